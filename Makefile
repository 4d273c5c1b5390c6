# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make            builds build/hopscope: no network, no root
# make demo       (root) installs what is missing, builds, runs the demonstration
# make demo-gateway (root) the same with the gateway that masks
# make demo-port-forward (root) the same with the ways to forward a port
# make test       (root) installs what is missing, builds, runs every test
# make help       the rest
#
# The Makefile never calls sudo. A new file in src/*/, bpf/ or tests/*/ needs no line here.

VERSION := 0.1.0

ifeq ($(origin CC),default)
CC := gcc
endif
# Debian keeps bpftool and nats-server where a plain user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin

# libbpf's names for the architecture.
HOST_ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/; s/ppc64le/powerpc/; \
	s/riscv64/riscv/; s/s390x/s390/')
ARCH ?= $(HOST_ARCH)
PKG_CONFIG ?= pkg-config
ifeq ($(ARCH),$(HOST_ARCH))
MACHINE := $(shell uname -m)
SYSROOT :=
else
include scripts/cross.mk
endif

BUILD   ?= build
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
CLANG   ?= clang
BPFTOOL ?= bpftool
AR      ?= ar
# Sanitizers for everything in BUILD: see `asan` and `fuzz`.
SANITIZE ?=

# As many jobs as cores, unless -j was given here or to the make that called this one.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif
MAKEFLAGS += --no-print-directory

ifeq ($(V),1)
Q :=
say := @:
else
Q := @
say := @printf '  %-5s %s\n'
endif

O := $(BUILD)

SRCS     := $(wildcard src/*.c src/*/*.c)
LIB_OBJS := $(patsubst %.c,$(O)/%.o,$(filter-out src/main.c,$(SRCS)))
SKELS    := $(patsubst bpf/%.bpf.c,$(O)/%.skel.h,$(wildcard bpf/*.bpf.c))
LIB      := $(O)/libhopscope.a
# Made from other than C: protocol buffers, and texts that are built in.
PROTOS    := $(patsubst %.proto,$(O)/%.pb-c.h,$(wildcard src/*/*.proto))
TEXTS     := $(patsubst %,$(O)/%.inc,$(wildcard src/*/*.js src/*/*.css))
GENERATED := $(PROTOS) $(TEXTS)
LIB_OBJS  += $(PROTOS:.h=.o)

UNIT_TESTS := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/test_*.c))
BPF_TESTS  := $(patsubst %.c,$(O)/%,$(wildcard tests/bpf/test_*.c))
# Programs for the tests to look at, which know nothing of hopscope.
TARGETS    := $(patsubst %.c,$(O)/%,$(wildcard tests/targets/*.c))
# Programs with which e2e tests do by hand what a command does.
E2E_TOOLS  := $(patsubst %.c,$(O)/%,$(filter-out %.bpf.c,$(wildcard tests/e2e/tools/*.c)))
FUZZERS    := $(patsubst %.c,$(O)/%,$(wildcard tests/fuzz/fuzz_*.c))

# pkg-config may be absent until `scripts/deps` ran, so it is asked when first needed, and once.
PKGS = libbpf libelf libdw capstone libprotobuf-c zlib libcyaml jansson libcap libseccomp libnats libcurl \
       $(shell $(PKG_CONFIG) --exists msgpack 2>/dev/null && echo msgpack || echo msgpack-c)
once = $(eval $(1) := $(2))$($(1))
PKG_CFLAGS = $(call once,PKG_CFLAGS,$(shell $(PKG_CONFIG) --cflags $(PKGS)))
# libiberty has no .pc file; liblzma is libdw's own need, too.
PKG_LIBS   = $(call once,PKG_LIBS,$(shell $(PKG_CONFIG) --libs $(PKGS) liblzma) -liberty -lm)

# Skeletons are generated: as system headers they are nobody's warning.
INCLUDES := -Isrc -Iinclude -isystem $(O)
SAN_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
	     -fno-omit-frame-pointer)
ALL_CFLAGS = -std=gnu11 $(CFLAGS) -Wall -Wextra -Werror $(SAN_FLAGS) $(INCLUDES) \
	     -DHOPSCOPE_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
ALL_LDFLAGS = $(CFLAGS) $(LDFLAGS) $(SAN_FLAGS)

# The last path is for <asm/types.h>, which Debian keeps per architecture.
BPF_CFLAGS = -g -O2 -Wall -Werror -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) \
	     -Iinclude -Ivmlinux -Ibpf -idirafter $(SYSROOT)/usr/include/$(MACHINE)-linux-gnu

.PHONY: all demo demo-gateway demo-port-forward test test-vm vm-programs bench benches check format asan fuzz fuzzers test-binaries \
	gateway-tools portforward-tools unit-tests install clean deps \
	help tools check-commands FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(O)/hopscope

$(O)/hopscope: $(O)/src/main.o $(LIB) | check-commands
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

$(LIB): $(LIB_OBJS) $(O)/.objects
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJS)

$(O)/%.o: %.c $(O)/.flags | $(SKELS) $(GENERATED)
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MD -MP -c $< -o $@

# `gen object` drops DWARF and keeps BTF.
$(O)/bpf/%.bpf.o: bpf/%.bpf.c $(O)/.flags
	$(say) BPF $@
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $(@:.bpf.o=.tmp)
	$(Q)$(BPFTOOL) gen object $@ $(@:.bpf.o=.tmp)

$(O)/%.skel.h: $(O)/bpf/%.bpf.o
	$(say) SKEL $@
	$(Q){ echo '/* NOLINTBEGIN: generated */' && $(BPFTOOL) gen skeleton $< && \
		echo '/* NOLINTEND */'; } >$@.tmp && mv $@.tmp $@

$(O)/%.pb-c.c $(O)/%.pb-c.h: %.proto | tools
	$(say) PROTO $@
	@mkdir -p $(@D)
	$(Q)protoc-c --c_out=$(O) $<

$(O)/%.pb-c.o: $(O)/%.pb-c.c $(O)/.flags
	$(say) CC $@
	$(Q)$(CC) $(ALL_CFLAGS) -MD -MP -c $< -o $@

# src/out/flame.js becomes `static const char flame_js[]`, src/out/flame.css flame_css.
$(O)/%.inc: % Makefile
	$(say) TEXT $@
	@mkdir -p $(@D)
	$(Q){ echo 'static const char $(subst .,_,$(notdir $*))[] =' && \
		sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< && echo ';'; } >$@.tmp && mv $@.tmp $@

quoted = '$(subst ','\'',$(1))'
FLAGS = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PKG_LIBS) $(CLANG) $(BPF_CFLAGS)

# Everything is built anew when the compiler or its options change ...
$(O)/.flags: FORCE | tools
	@mkdir -p $(@D)
	@printf '%s\n' $(call quoted,$(FLAGS)) | cmp -s - $@ || \
		printf '%s\n' $(call quoted,$(FLAGS)) >$@

# ... and the archive when a file went.
$(O)/.objects: FORCE
	@mkdir -p $(@D)
	@echo '$(LIB_OBJS)' | cmp -s - $@ || echo '$(LIB_OBJS)' >$@

tools:
	@scripts/tools $(CC) $(CLANG) $(BPFTOOL) pkg-config
	@$(PKG_CONFIG) --exists --print-errors $(PKGS) || \
		{ echo 'make: libraries are missing: run `scripts/deps build` as root' >&2; exit 1; }

# src/cmd/X.c and the row X of COMMANDS come and go together.
check-commands: | tools
	@CC='$(CC)' scripts/check-commands src/cmd

# Tests. Their output is read by tests/run, which also builds them.

unit-tests: $(UNIT_TESTS)
test-binaries: $(UNIT_TESTS) $(BPF_TESTS) $(TARGETS) $(E2E_TOOLS)
fuzzers: $(FUZZERS)

$(UNIT_TESTS) $(BPF_TESTS): $(O)/%: $(O)/%.o $(LIB)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS) -lcmocka -lm -lpthread

$(E2E_TOOLS): $(O)/%: $(O)/%.o $(LIB)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

# What tests/e2e/gateway_stack.bats and portforward_stack.bats run.
gateway-tools: $(O)/tests/e2e/tools/gateway_stack $(O)/tests/targets/lag_relay
portforward-tools: $(O)/tests/e2e/tools/portforward_stack

include tests/targets/build.mk

# A BPF program that only a test loads.
$(O)/tests/bpf/%.bpf.o: tests/bpf/%.bpf.c $(O)/.flags
	$(say) BPF $@
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -Itests/bpf -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $(@:.bpf.o=.tmp)
	$(Q)$(BPFTOOL) gen object $@ $(@:.bpf.o=.tmp)

$(O)/tests/bpf/%.skel.h: $(O)/tests/bpf/%.bpf.o
	$(say) SKEL $@
	$(Q){ echo '/* NOLINTBEGIN: generated */' && $(BPFTOOL) gen skeleton $< && \
		echo '/* NOLINTEND */'; } >$@.tmp && mv $@.tmp $@

$(O)/tests/bpf/test_unwind.o check: $(O)/tests/bpf/stack_walk.skel.h
$(O)/tests/bpf/test_framers.o check: $(O)/tests/bpf/framers.skel.h
-include $(O)/tests/bpf/stack_walk.bpf.d $(O)/tests/bpf/framers.bpf.d

# The library is only instrumented (SANITIZE=fuzzer-no-link,...); the driver comes in here.
$(FUZZERS): $(O)/%: $(O)/%.o $(LIB)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB) $(PKG_LIBS)

# What the benchmarks are made of: tests/bench/run uses them.
BENCHES := $(addprefix $(O)/tests/bench/,echo coalesced fault requests heap traffic hops)

$(BENCHES): $(O)/%: $(O)/%.o $(O)/tests/bench/empty.o $(LIB)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(O)/tests/bench/empty.o $(LIB) $(PKG_LIBS) -lpthread

benches: $(BENCHES)
benches: $(O)/tests/targets/mem_shapes

# Virtual machines with other kernels: tests/vm/run.
$(O)/tests/vm/programs: $(O)/tests/vm/programs.o $(LIB)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

vm-programs: all $(O)/tests/vm/programs $(addprefix $(O)/tests/targets/,mem_shapes two_sites) \
		$(O)/tests/e2e/tools/flood

demo:
	@scripts/deps build run
	@$(MAKE) all
	@BUILD='$(BUILD)' scripts/demo

demo-gateway:
	@scripts/deps build run
	@$(MAKE) all
	@BUILD='$(BUILD)' scripts/demo gateway out-gateway

demo-port-forward:
	@scripts/deps build run forward
	@$(MAKE) all
	@BUILD='$(BUILD)' scripts/demo port-forward out-port-forward

# What installing takes is of the time that there is for all of it.
test:
	@begin=$$(date +%s) && scripts/deps build run forward test vm && BUILD='$(BUILD)' \
		TIME_LIMIT=$$(($${TIME_LIMIT:-2340} - $$(date +%s) + begin)) tests/run

# The kernels of another architecture have its name.
VM_CROSS = $(if $(VM),$(findstring arm64,$(VM)),arm64)

test-vm:
	@scripts/deps build run vm $(VM_CROSS:arm64=cross)
	@$(MAKE) vm-programs
	$(if $(VM_CROSS),@$(MAKE) ARCH=$(VM_CROSS) BUILD='$(BUILD)/$(VM_CROSS)' vm-programs)
	@BUILD='$(BUILD)' tests/vm/run $(VM)

asan:
	@scripts/deps build test
	@tests/run asan

fuzz:
	@scripts/deps build test
	@FUZZ_SECONDS='$(or $(FUZZ_SECONDS),60)' TIME_LIMIT=86400 tests/run fuzz

bench:
	@scripts/deps build run bench
	@$(MAKE) all benches
	@BUILD='$(BUILD)' tests/bench/run

check: compile_commands.json
	@scripts/deps build check
	@$(MAKE) $(SKELS) $(GENERATED) check-commands
	@scripts/lint

format:
	@scripts/lint --format

# All sources with the options they are built with, for clang-tidy and editors.
compile_commands.json: FORCE | tools
	@scripts/compile-commands $(call quoted,$(CC) $(ALL_CFLAGS)) $(SRCS) \
		$(filter-out %.bpf.c,$(wildcard tests/unit/*.c tests/bpf/*.c tests/fuzz/*.c tests/bench/*.c \
			tests/vm/*.c)) \
		-- '$(CLANG) $(BPF_CFLAGS)' $(wildcard bpf/*.bpf.c tests/bpf/*.bpf.c) >$@.tmp && mv $@.tmp $@

install: all
	install -D -m 755 $(O)/hopscope $(DESTDIR)$(PREFIX)/bin/hopscope
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/hopscope LICENSE $(wildcard README.md)
	$(if $(wildcard scenarios/*.yaml),install -D -m 644 -t \
		$(DESTDIR)$(PREFIX)/share/hopscope/scenarios $(wildcard scenarios/*.yaml))
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/hopscope/scenarios/gateway scenarios/gateway/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/hopscope/scenarios/port-forward \
		$(filter-out %/fetch,$(wildcard scenarios/port-forward/*))
	install -m 755 -t $(DESTDIR)$(PREFIX)/share/hopscope/scenarios/port-forward \
		scenarios/port-forward/fetch

deps:
	@scripts/deps build run forward test

# Not $(BUILD): it may be a folder that is not ours to remove.
clean:
	rm -rf build compile_commands.json

help:
	@sed -n 's/^#H //p' $(firstword $(MAKEFILE_LIST))

#H make                build/hopscope               (V=1 shows the commands)
#H make CC=clang BUILD=build/clang
#H make ARCH=arm64     build/arm64/hopscope, by Debian's cross compiler (scripts/deps cross)
#H make demo           install, build, run scenarios/aegis.yaml into out/     (root)
#H make demo-gateway   the same with scenarios/gateway.yaml into out-gateway/ (root)
#H make demo-port-forward  the same with scenarios/port-forward.yaml into out-port-forward/ (root)
#H make test           install, build, run every test                         (root)
#H make test-vm        stock Debian kernels in qemu: tests/vm/run            (root)
#H                     (VM='6.1 sid' only those, RECORD=1 records)
#H make bench          what hopscope itself costs: tests/bench/run            (root)
#H make asan           unit tests under AddressSanitizer and UBSan
#H make fuzz           every fuzz target for FUZZ_SECONDS=60 each
#H make check          clang-format, clang-tidy, cppcheck
#H make format         clang-format, in place
#H make compile_commands.json
#H make install        DESTDIR= PREFIX=/usr/local
#H make deps           only install what building, running and testing need   (root)
#H make clean

-include $(LIB_OBJS:.o=.d) $(O)/src/main.d $(SKELS:$(O)/%.skel.h=$(O)/bpf/%.bpf.d)
-include $(UNIT_TESTS:=.d) $(BPF_TESTS:=.d) $(FUZZERS:=.d) $(BENCHES:=.d) $(E2E_TOOLS:=.d)
