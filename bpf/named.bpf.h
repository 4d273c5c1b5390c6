/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Filters by container and pod: only userspace knows the names of cgroups. It decides on those that
 * are there before the attach; a new one is put in a queue when it is made or, at the latest, when
 * its first segment passes, and its sockets stay undecided until userspace has looked.
 */
#ifndef HOPSCOPE_NAMED_BPF_H
#define HOPSCOPE_NAMED_BPF_H

#include "wire.h"

enum conn_filter { FILTER_UNDECIDED = 0, FILTER_PASS = 1, FILTER_STOP = 2 };

const volatile bool targ_named; /* there are such filters */

/* An entry that had to go is asked for again: an LRU map does no harm here. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, __u64);	/* cgroup v2 id */
	__type(value, __u32);	/* enum conn_filter */
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1); /* set before loading */
	__type(value, __u64);
} undecided SEC(".maps");

static __always_inline __u32 named__verdict(__u64 cgroup)
{
	__u32 *verdict = bpf_map_lookup_elem(&verdicts, &cgroup), none = FILTER_UNDECIDED;

	if (verdict)
		return *verdict;
	/* No room in the queue: it is asked for again at its next segment. */
	if (!bpf_map_update_elem(&verdicts, &cgroup, &none, BPF_NOEXIST) &&
	    bpf_map_push_elem(&undecided, &cgroup, BPF_ANY))
		bpf_map_delete_elem(&verdicts, &cgroup);
	return FILTER_UNDECIDED;
}

/* Of the kernel's types what is read here; what follows the ___ is no part of the name. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node___named {
	__u64 id;
};

struct cgroup_root___named {
	int hierarchy_id;
};

struct cgroup___named {
	struct kernfs_node___named *kn;
	struct cgroup_root___named *root;
};

#pragma clang attribute pop

#endif
