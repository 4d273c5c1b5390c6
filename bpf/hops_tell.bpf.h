/* SPDX-License-Identifier: GPL-2.0-only */
/* How what is deep in a framer's calls tells hops.bpf.h what happened. With targ_hops only. */
#ifndef HOPSCOPE_HOPS_TELL_BPF_H
#define HOPSCOPE_HOPS_TELL_BPF_H

#include "conn.bpf.h"
#include "lane.bpf.h"

const volatile __u32 targ_hop_sample; /* > 1: one exchange in so many */
const volatile bool targ_deliveries;  /* messages that want no answer, too */
const volatile __u32 targ_hop_events = HOP_EVENTS;

/* By lane, with targ_hops; without, as all maps of hops, a single entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hop_lane);
} hop_lanes SEC(".maps");

/*
 * Exchanges of which a message found no room: nobody knows what is missing of them, so they are
 * left out when they end.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} hop_lost SEC(".maps");

__u32 hop_any_lost SHARED = 0;

static __always_inline struct hop_lane *hop_lane__of(const struct lane_scratch *s)
{
	__u32 lane = s->lane;

	return bpf_map_lookup_elem(&hop_lanes, &lane);
}

/* Does --sample-hops leave an exchange out, here as on every other socket? */
static __always_inline bool hops__is_out(__u64 id)
{
	return targ_hop_sample > 1 && (id >> 33) % targ_hop_sample;
}

static __noinline void hops__lose(struct lane_scratch *s, __u32 what, __u64 id)
{
	__u32 one = 1;

	s->hops_lost++;
	if (what == HOP_PASSED) /* who is not joined to it has no origin */
		return;
	hop_any_lost = 1;
	bpf_map_update_elem(&hop_lost, &id, &one, BPF_ANY);
}

/* The caller fills in the rest. NULL: there have been too many in this segment. */
static __always_inline struct hop_event *hops__write(struct lane_scratch *s, __u32 what, __u64 id,
						     __u32 role, __u32 dir)
{
	__u32 n = *(volatile __u32 *)&s->n_hops;
	struct hop_lane *l = hop_lane__of(s);
	struct hop_event *e;

	if (!l || n >= HOP_EVENTS || n >= targ_hop_events) {
		hops__lose(s, what, id);
		return NULL;
	}
	e = &l->event[n];
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
