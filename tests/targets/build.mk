# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Programs that the tests look at, in the ways of building them that matter. For the Makefile.

$(TARGETS): $(O)/%: %.c $(O)/.flags
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) -Wall -Wextra -Werror $(TARGET_FLAGS) -o $@ $< $(TARGET_LIBS) -lpthread

# Programs whose stacks are walked, built in the ways that matter to it.
$(O)/tests/targets/stack_fp: TARGET_FLAGS = -fno-omit-frame-pointer
$(O)/tests/targets/stack_static: TARGET_FLAGS = -static -no-pie
$(O)/tests/targets/stack_plugin: TARGET_FLAGS = -shared -fPIC
$(addprefix $(O)/tests/targets/stack_,plain fp static): tests/targets/stack_body.h

$(O)/tests/targets/pages_static: TARGET_FLAGS = -static
$(O)/tests/targets/pages_frames: TARGET_FLAGS = -fno-omit-frame-pointer -fno-asynchronous-unwind-tables
$(addprefix $(O)/tests/targets/pages_,static frames): tests/targets/pages_target.c

# The same program with other C libraries and other ways to link, for tests/bpf/test_heap.c.
KINDS := $(O)/tests/targets/alloc_kinds
KINDS_BUILD = $(say) CC $@; mkdir -p $(@D); $(1) -std=gnu11 $(CFLAGS) -w $(2) -o $@ $< -lpthread
test-binaries: $(KINDS)-static $(KINDS)-nopie $(KINDS)-fp $(KINDS)-musl $(KINDS)-muslstatic \
	$(O)/tests/targets/alloc_cxx
$(KINDS)-static: tests/targets/alloc_kinds.c $(O)/.flags
	$(Q)$(call KINDS_BUILD,$(CC),-static)
$(KINDS)-nopie: tests/targets/alloc_kinds.c $(O)/.flags
	$(Q)$(call KINDS_BUILD,$(CC),-no-pie -fno-pie)
$(KINDS)-fp: tests/targets/alloc_kinds.c $(O)/.flags
	$(Q)$(call KINDS_BUILD,$(CC),-fno-omit-frame-pointer)
$(KINDS)-musl: tests/targets/alloc_kinds.c $(O)/.flags
	$(Q)$(call KINDS_BUILD,musl-gcc,)
$(KINDS)-muslstatic: tests/targets/alloc_kinds.c $(O)/.flags
	$(Q)$(call KINDS_BUILD,musl-gcc,-static)
$(O)/tests/targets/alloc_cxx: tests/targets/alloc_cxx.cc $(O)/.flags
	$(Q)$(say) CXX $@; mkdir -p $(@D); $(CXX) -std=gnu++17 $(CFLAGS) -Wall -Wextra -Werror -o $@ $< -lpthread

# Programs that speak TLS: with the shared library, and with all of it in one file.
$(O)/tests/targets/tls_peer: TARGET_LIBS = -lssl -lcrypto
$(O)/tests/targets/tls_nats: TARGET_LIBS = -lnats
test-binaries benches: $(O)/tests/targets/tls_peer $(O)/tests/targets/tls_peer-static
$(O)/tests/targets/tls_peer-static: tests/targets/tls_peer.c $(O)/.flags
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) -Wall -Wextra -Werror -o $@ $< -l:libssl.a -l:libcrypto.a -lpthread -ldl
