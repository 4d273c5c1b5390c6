# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make ARCH=arm64 on a machine of another architecture, for the Makefile: Debian's cross compiler, and its
# libraries unpacked beside the machine's own.

ifneq ($(ARCH),arm64)
$(error this machine is $(HOST_ARCH), and the other architecture known is arm64, not $(ARCH))
endif
MACHINE := aarch64
SYSROOT := $(shell scripts/sysroot $(ARCH))
ifeq ($(SYSROOT),)
$(error no libraries for $(ARCH))
endif

BUILD ?= build/$(ARCH)
CC := $(MACHINE)-linux-gnu-gcc
AR := $(MACHINE)-linux-gnu-ar
PKG_CONFIG := env PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) \
	PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(MACHINE)-linux-gnu/pkgconfig:$(SYSROOT)/usr/share/pkgconfig pkg-config
CFLAGS ?= -O2 -g
override CFLAGS += --sysroot=$(SYSROOT)
