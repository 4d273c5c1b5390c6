/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections that were recognised and cannot be read: what bpf/opaque.bpf.c tells of them. */
#ifndef HOPSCOPE_OPAQUE_H
#define HOPSCOPE_OPAQUE_H

#include <linux/types.h>

#define OPAQUE_COMM 16

/*
 * Connections that are told together. Which end is the server is not written anywhere: it is taken
 * to be the one with the lower port, as those of clients are picked from the upper end.
 */
struct opaque_key {
	__u64 cgroup;
	char comm[OPAQUE_COMM];
	__u16 port; /* the server's */
	__u8 proto; /* enum wire_proto */
	__u8 server;
	__u32 pad;
};

_Static_assert(sizeof(struct opaque_key) == 32, "hash key without padding");

struct opaque_sum {
	__u64 connections;
	__u64 bytes;   /* both directions, as TCP carries them */
	__u64 rtt_us;  /* sum of the kernel's smoothed round trips ... */
	__u64 rtt_n;   /* ... of so many connections that have one */
	__u64 rtt_max; /* us */
};

/* What the iterator writes, one for each connection. */
struct opaque_record {
	struct opaque_key key;
	struct opaque_sum sum;
};

#endif
