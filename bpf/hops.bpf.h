/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which sockets an exchange passes, and the time between them. include/hop.h says what is told of
 * it. A framer writes down what it sees (hops_tell.bpf.h), and when it has returned, every request
 * becomes a span of its exchange's record and every answer closes one (hops_table.bpf.h). With the
 * first one's the exchange is over (hops_finish.bpf.h).
 */
#ifndef HOPSCOPE_HOPS_BPF_H
#define HOPSCOPE_HOPS_BPF_H

#include "cause_call.bpf.h"
#include "hops_deliver.bpf.h"
#include "hops_wait.bpf.h"

struct hop_hearing {
	struct lane_scratch *scratch;
	struct hop_lane *lane;
	struct conn *conn;
	struct hop_waits *far;
	__u32 seq; /* of the segment; HOP_NO_SEQ: not known */
	__u32 pad;
};

/* The request whose call leaves. Calls of NATS are taken and left out for themselves. */
static __always_inline __u64 hops__caller(struct conn *c, const struct hop_event *e)
{
	if (!targ_tree || e->role != ROLE_CLIENT)
		return 0;
	if (conn__proto(c) != PROTO_NATS)
		return cause__caller(c, e->number & CAUSE_SEQ_MASK);
	return targ_hop_sample > 1 || !cause__wants_nats() ? 0 : cause__caller(c, e->id);
}

static long hops__next_event(__u32 i, void *ctx)
{
	struct hop_hearing *h = ctx;
	struct hop_event *e;

	if (i >= HOP_EVENTS)
		return 1;
	e = &h->lane->event[i];
	if (h->seq != HOP_NO_SEQ)
		e->seq += h->seq;
	else
		e->seq = HOP_NO_SEQ;
	if (e->what == HOP_OPENED)
		hops__open(h->scratch, h->conn, h->far, e, hops__caller(h->conn, e));
	else if (e->what == HOP_PASSED)
		hops__message(h->scratch, h->conn, h->far, e);
	else
		hops__close(h->scratch, h->conn, h->far, e);
	return 0;
}

/* Was something told of the segment that hops__hear() has to be called for? */
static __always_inline bool hops__told(const struct lane_scratch *s)
{
	return s->n_hops || s->hops_out || s->hops_cut;
}

/*
 * What the framers have told of a segment, whose first byte has the number `seq` (HOP_NO_SEQ: the
 * bytes are not those on the wire). `far`: as in hops__open(). With the lane.
 */
static __noinline int hops__hear(struct lane_scratch *s, struct conn *c, struct hop_waits *far,
				 __u32 seq)
{
	struct hop_hearing h = {.scratch = s, .conn = c, .far = far, .seq = seq};

	h.lane = hop_lane__of(s);
	if (!h.lane)
		return 0;
	if (s->n_hops == 1)
		hops__next_event(0, &h);
	else
		bpf_loop(s->n_hops, hops__next_event, &h, 0);
	s->n_hops = 0;
	if (s->hops_lost) {
		hops__count(s, HOP_EVENTS_LOST, s->hops_lost);
		s->hops_lost = 0;
	}
	if (s->hops_out) {
		hops__count(s, HOP_SAMPLED_OUT, s->hops_out);
		s->hops_out = 0;
	}
	if (s->hops_cut) {
		hops__count(s, HOP_CUT, s->hops_cut);
		s->hops_cut = 0;
	}
	return 0;
}

/* ---- what was never finished */

static long hops__sweep_set(__u32 at, void *ctx)
{
	struct hop_set *set = bpf_map_lookup_elem(&hop_sets, &at);
	__u64 now = *(const __u64 *)ctx;
	__u32 i, state;

	if (!set)
		return 1;
	for (i = 0; i < HOP_WAYS; i++) {
		state = hop_way__state(&set->way[i]);
		if (!hop_state__lives(state) || !hop_way__is_old(&set->way[i], state, now) ||
		    !hop_way__take(&set->way[i], state))
			continue;
		if (!(state & HOP_IS_ALIAS)) {
			if (!(state & HOP_IS_DELIVERY))
				hops__count_atomic(HOP_ABANDONED, 1);
			hops__free_record(hop_state__record(state));
		}
		STORE_RELEASE(&set->way[i].state, HOP_IS_DONE);
	}
	return 0;
}

static __noinline __attribute__((unused)) int hops__sweep(void)
{
	__u64 now = bpf_ktime_get_ns();

	bpf_loop(targ_hop_sets, hops__sweep_set, &now, 0);
	return 0;
}

#endif
