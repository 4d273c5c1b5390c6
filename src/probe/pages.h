/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * heap --pages: anonymous pages held (resident or swapped), by the stack that first wrote to them.
 * For any allocator and language; nothing is attached to the process. Children are followed.
 *
 * Not attributed, because no fault of the process brought them in: what was there before the
 * attach, what a child shares with its parent, what mremap(2) moved, what was filled in by
 * MAP_POPULATE, mlock(2) or O_DIRECT. A page that a write brings back from swap is that writer's.
 */
#ifndef HOPSCOPE_PROBE_PAGES_H
#define HOPSCOPE_PROBE_PAGES_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

#include "model/heap.h"
#include "probe/heap.h"

#define PAGES_SAMPLE_DEFAULT 16

struct pages_opts {
	pid_t pids[HEAP_MAX_PIDS];
	size_t n_pids;
	uint32_t sample;     /* follow one page in N, by a hash of its number; 0: the default */
	uint32_t max_pages;  /* records; 0: what the machine's memory can need, at most 1 << 20 */
	uint32_t max_stacks; /* 0: 16384 */
	bool no_ioctl;	     /* for tests: read pages' states as on kernels before 6.7 */
};

struct pages;

/*
 * Loads, attaches. 0, or negative errno after a message that says what to do: -ESRCH no such
 * process, -EPERM, -EOPNOTSUPP: this kernel has no such tracepoints (they are x86's).
 */
int pages__open(struct pages **out, const struct pages_opts *opts);
/* Does the kernel take the programs? Attaches nothing. 0 or negative errno, without a message. */
int pages__try(void);
void pages__close(struct pages *p);

/*
 * What is held now; when all processes have ended, what pages__tend() or this last found. Frees
 * with heap_reading__free(). 0 or negative errno.
 */
int pages__read(struct pages *p, struct heap_reading *r);

/*
 * Call every 100 ms or so: looks for libraries opened and programs run since, takes a reading of
 * its own now and then, so that one is there when the process ends. 0; -ESRCH: all have ended.
 */
int pages__tend(struct pages *p);

/* Mean bytes between samples: N pages. 0: every page is followed. */
double pages__sample_bytes(const struct pages *p);

#endif
