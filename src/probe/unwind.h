/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fills the maps of bpf/unwind.bpf.h for the processes that are watched. */
#ifndef HOPSCOPE_PROBE_UNWIND_H
#define HOPSCOPE_PROBE_UNWIND_H

#include <bpf/libbpf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/heap.h"
#include "stack_walk.h"

/* Rows of all files together: 32 MiB. What goes beyond is walked by frame pointers, and said so. */
#define UNWIND_ROWS_MAX (4u << 20)

struct unwinder;

/*
 * Reads the tables of everything executable in these processes. Before bpf_object load: sizes the
 * maps unwind_rows, unwind_processes and stack_lanes of obj (room is left for libraries that are
 * opened later and for children; the size of `stacks` is its owner's to choose). A table made for
 * one file serves all who map it. Maps that obj does not have are not missed. 0 or negative errno
 * after a message.
 */
int unwinder__open(struct unwinder **out, struct bpf_object *obj, const pid_t *pids, size_t n);
/* After load: writes the maps. */
int unwinder__fill(struct unwinder *u);
/*
 * Looks again at a process's mappings (dlopen, exec), or takes a new one in (fork). Cheap when
 * nothing changed. -ESRCH: it has ended, and was taken out; -ENOSPC: what did not fit is walked by
 * frame pointers.
 */
int unwinder__refresh(struct unwinder *u, pid_t pid);
void unwinder__close(struct unwinder *u);

/* The frames of a stack id, innermost first: number of them, 0 when it is not there. */
size_t unwinder__stack(struct unwinder *u, uint64_t id, uint64_t pcs[STACK_FRAMES],
		       uint32_t *flags);
/* Adds walks' losses to c (stacks_lost, stacks_broken, stacks_truncated). */
void unwinder__counters(struct unwinder *u, struct heap_counters *c);

#endif
