/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* heap --allocs: outstanding bytes by stack from uprobes on the allocators of chosen processes. */
#ifndef HOPSCOPE_PROBE_HEAP_H
#define HOPSCOPE_PROBE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/heap.h"

#define HEAP_MAX_PIDS 64

struct heap_opts {
	pid_t pids[HEAP_MAX_PIDS];
	size_t n_pids;
	const char *host_root;
	const char *binary;    /* where the allocator is, when it is not found by itself; NULL */
	uint64_t sample_bytes; /* mean bytes between samples (Poisson); 0: every allocation */
	double budget; /* share of one core; 0: none. Beyond it the probes detach themselves */
	uint32_t max_blocks; /* 0: 1 << 20 */
	uint32_t max_stacks; /* 0: 16384 */
	/* For measurements and tests: what a kernel without them, and peers, do. */
	bool no_session; /* return probes for every call */
	bool no_multi;	 /* a perf event for each probe */
	bool at_entry;	 /* probes at functions' first bytes, emulated or not */
};

struct heap;

/*
 * Finds the allocators, places and attaches the probes. 0, or negative errno after a message that
 * says what to do: -ESRCH no such process, -ENOENT no allocator found, -EPERM, -EOPNOTSUPP (Go;
 * return probes would kill a seccomp-filtered process on this kernel) ...
 */
int heap__open(struct heap **out, const struct heap_opts *opts);
/* Does the kernel take the programs? Attaches nothing. 0 or negative errno, without a message. */
int heap__try(void);
void heap__close(struct heap *h);

/* Everything so far; frees with heap_reading__free(). 0 or negative errno. */
int heap__read(struct heap *h, struct heap_reading *r);

/* Call every 100 ms or so: dlopen, fork, exec, exit, the budget. 0; -ESRCH: all processes ended. */
int heap__tend(struct heap *h);

/* "" while attached; else why it detached itself (the budget), one sentence. */
const char *heap__stopped(const struct heap *h);
/* "glibc", "jemalloc 5.3" ...; several are joined by ", ". */
const char *heap__allocator(const struct heap *h);
/* One line a probed function: "malloc in /usr/lib/.../libc.so.6 +0x4 (push), session": for -v. */
typedef void (*heap_probe_fn)(void *ctx, const char *line);
void heap__probes(const struct heap *h, heap_probe_fn fn, void *ctx);

#endif
