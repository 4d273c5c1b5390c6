/* SPDX-License-Identifier: GPL-2.0-only */
/* How what is deep in a framer's calls tells hops.bpf.h what happened. With targ_hops only. */
#ifndef HOPSCOPE_HOPS_TELL_BPF_H
#define HOPSCOPE_HOPS_TELL_BPF_H

#include "conn.bpf.h"
#include "lane.bpf.h"

const volatile __u32 targ_hop_sample; /* > 1: one exchange in so many */
const volatile bool targ_deliveries;  /* messages that want no answer, too */

/* Does --sample-hops leave an exchange out, here as on every other socket? */
static __always_inline bool hops__is_out(__u64 id)
{
	return targ_hop_sample > 1 && (id >> 33) % targ_hop_sample;
}

/* The caller fills in the rest. NULL: there have been too many in this segment. */
static __always_inline struct hop_event *hops__write(struct lane_scratch *s, __u32 what, __u64 id,
						     __u32 role, __u32 dir)
{
	__u32 n = *(volatile __u32 *)&s->n_hops;
	struct hop_event *e;

	if (n >= HOP_EVENTS) {
		s->hops_lost++;
		return NULL;
	}
	e = &s->hop_event[n];
	e->id = id;
	e->what = (__u8)what;
	e->role = (__u8)role;
	e->out = dir == OUT;
	s->n_hops = n + 1;
	return e;
}

/* The same; NULL, too, when the exchange is left out. For ids that all its sockets have in common.
 */
static __always_inline struct hop_event *hops__tell(struct lane_scratch *s, __u32 what, __u64 id,
						    __u32 role, __u32 dir)
{
	if (hops__is_out(id)) {
		s->hops_out += what != HOP_CLOSED;
		return NULL;
	}
	return hops__write(s, what, id, role, dir);
}

#endif
