/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/cgroup.bpf.c tells its reader (src/probe/memory_events.c). Append-only, 0 invalid. */
#ifndef HOPSCOPE_CGROUP_H
#define HOPSCOPE_CGROUP_H

#include <linux/types.h>

#define CGROUP_COMM_LEN 16

enum cgroup_record {
	CGROUP_MADE = 1,
	CGROUP_REMOVED = 2,
	CGROUP_OOM_VICTIM = 3,
	CGROUP_ENTERED = 4, /* a process was moved into it; not each is told */
};

#define CGROUP_NOT_TOLD (~0ull)

struct cgroup_event {
	__u32 type; /* enum cgroup_record */
	__u32 size;
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 cgroup;  /* id in the memory hierarchy: the inode of its directory; 0: not told */
	/* Of an OOM victim: */
	__u32 pid; /* of the process; 0: not told */
	__u32 pad;
	char comm[CGROUP_COMM_LEN]; /* "" when not told */
	/* Pages, CGROUP_NOT_TOLD where this kernel does not say. */
	__u64 anon_pages;
	__u64 file_pages;
	__u64 shmem_pages;
	__u64 usage_pages; /* of its cgroup at that moment */
};

_Static_assert(sizeof(struct cgroup_event) == 80, "ring record");

#endif
