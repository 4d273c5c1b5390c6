/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exchanges in flight where answers come in the order of the requests. The framers number both, and
 * a request's number is its slot: a few in the connection's state, and rings, each in a storage of
 * its own, made when a pipeline first needs it. What does not fit there is dropped and counted.
 *
 * Only the holder of the request direction's lock puts entries in; taking one out is a
 * compare-and-swap of its word, which one of answer, sweep and close wins.
 */
#ifndef HOPSCOPE_FIFO_BPF_H
#define HOPSCOPE_FIFO_BPF_H

#include "cause_tell.bpf.h"
#include "exemplar.bpf.h"
#include "flight.bpf.h"
#include "hop_id.bpf.h"
#include "hops_tell.bpf.h"
#include "source.bpf.h"

#define FIFO_RINGS 2   /* taken in turn, see STORAGE_MAX */
#define FIFO_SLOTS 504 /* of a ring: as many as fit, in eights as FIFO_FIRST is */

struct fifo_ring {
	struct fifo_entry slot[FIFO_SLOTS];
};

_Static_assert(sizeof(struct fifo_ring) <= STORAGE_MAX, "or it is never made");
_Static_assert(FIFO_SLOTS % FIFO_FIRST == 0, "a slot tells the number's lower bits");
_Static_assert(FIFO_FIRST + FIFO_RINGS * FIFO_SLOTS <= HOP_EVENTS,
	       "a segment's answers are all told");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fifo_ring);
} fifo_rings SEC(".maps"), fifo_rings_odd SEC(".maps");

/* See test_conns. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4 * FIFO_RINGS);
	__type(key, __u32);
	__type(value, struct fifo_ring);
} test_rings SEC(".maps");

/* The request's ring: 0 or 1. */
static __always_inline __u32 fifo__ring_of(__u32 seq)
{
	return seq / FIFO_SLOTS % FIFO_RINGS;
}

/* Its slot there. */
static __always_inline struct fifo_entry *fifo__slot(struct fifo_ring *ring, __u32 seq)
{
	__u32 at = seq % FIFO_SLOTS;

	OPAQUE(at);
	return &ring->slot[at < FIFO_SLOTS ? at : 0];
}

/* An entry's word: bytes of the request, route, tag and flags. */
enum fifo_flag {
	FIFO_OPEN = 1,
	FIFO_ASKED = 2,	   /* the request's last byte has passed */
	FIFO_BLOCKING = 4, /* may wait for others */
	FIFO_SERVER = 8,
};

#define FIFO_TAG_MASK 0xfff
#define FIFO_NUMBERS  ((FIFO_TAG_MASK + 1) * FIFO_FIRST) /* then slot and tag are the same again */

/* The number's bits above those that every slot's index tells. */
static __always_inline __u32 fifo__tag(__u32 seq)
{
	return seq / FIFO_FIRST & FIFO_TAG_MASK;
}

static __always_inline __u32 fifo__tag_of(__u64 word)
{
	return (__u32)(word >> 4) & FIFO_TAG_MASK;
}

static __always_inline __u32 fifo__route_of(__u64 word)
{
	return (__u32)(word >> 16) & 0xffff;
}

static __always_inline __u32 fifo__role_of(__u64 word)
{
	return word & FIFO_SERVER ? ROLE_SERVER : ROLE_CLIENT;
}

/* Number of the request in a slot, as far as the slot tells. */
static __always_inline __u32 fifo__seq_of(__u64 word, __u32 slot)
{
	return fifo__tag_of(word) * FIFO_FIRST + (slot & (FIFO_FIRST - 1));
}

/* ---- for cause.bpf.h */

static __always_inline void cause__tell_open(struct lane_scratch *s)
{
	__u64 word = s->opening.word;
	struct cause_event *e = cause__tell(s, CAUSE_OPENED, s->opening.seq, fifo__route_of(word),
					    word & FIFO_SERVER);

	if (e)
		e->at = s->opening.t0;
}

static __always_inline void cause__tell_end(struct lane_scratch *s)
{
	struct cause_event *e = cause__tell(s, CAUSE_ANSWERED, s->x.seq, fifo__route_of(s->x.word),
					    s->x.word & FIFO_SERVER);

	if (!e)
		return;
	e->began = s->x.t0;
	e->at = s->answer.end;
	e->status = s->answer.status;
}

/* ---- for hops.bpf.h */

static __always_inline void fifo__hop_open(const struct conn *c, struct lane_scratch *s)
{
	bool server = s->opening.word & FIFO_SERVER;
	struct hop_event *e = hops__write(s, HOP_OPENED, hop__id_at(c, server, s->opening.at),
					  fifo__role_of(s->opening.word), server ? IN : OUT);

	if (!e)
		return;
	e->at = s->opening.t0;
	e->seq = s->opening.at - s->seq;
	e->route = (__u16)fifo__route_of(s->opening.word);
	e->number = s->opening.seq;
}

static __always_inline void fifo__hop_end(const struct conn *c, struct lane_scratch *s)
{
	bool server = s->x.word & FIFO_SERVER;
	struct hop_event *e = hops__write(s, HOP_CLOSED, hop__id_at(c, server, s->x.at),
					  fifo__role_of(s->x.word), server ? OUT : IN);

	if (!e)
		return;
	e->at = s->answer.end;
	e->seq = s->answer.at - 1 - s->seq; /* read when its last byte is */
	e->status = (__u8)s->answer.status;
}

static __always_inline bool fifo__take(struct fifo_entry *e, __u32 seq, struct exchange *out)
{
	__u64 word = *(volatile __u64 *)&e->word;

	if (!word || fifo__tag_of(word) != fifo__tag(seq))
		return false;
	out->t0 = e->t0;
	out->word = word;
	out->seq = seq;
	return __sync_val_compare_and_swap(&e->word, word, 0) == word;
}

/*
 * Where requests in rings begin: a ring has no room for it, see STORAGE_MAX. An LRU, as
 * what is given up is not taken out; what is lost here costs no more than a span of a deep
 * pipeline.
 */
struct fifo_far_key {
	__u64 cookie;
	__u64 seq;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, struct fifo_far_key);
	__type(value, __u32);
} fifo_far SEC(".maps");

static __always_inline void fifo__put_far(struct conn *c, struct lane_scratch *s)
{
	struct fifo_far_key key = {.cookie = c->cookie, .seq = s->opening.seq};
	__u32 at = s->opening.at; /* see scratch__again() */

	bpf_map_update_elem(&fifo_far, &key, &at, BPF_ANY);
}

static __always_inline __u32 fifo__far_at(const struct conn *c, __u32 seq)
{
	struct fifo_far_key key = {.cookie = c->cookie, .seq = seq};
	__u32 *at = bpf_map_lookup_elem(&fifo_far, &key);

	return at ? *at : 0;
}

static __always_inline bool fifo__take_first(struct conn *c, __u32 seq, struct exchange *out)
{
	out->at = c->stream.at[seq & (FIFO_FIRST - 1)];
	return fifo__take(&c->stream.first[seq & (FIFO_FIRST - 1)], seq, out);
}

static __always_inline bool fifo__take_far(struct conn *c, struct fifo_ring *ring, __u32 seq,
					   struct exchange *out)
{
	if (!fifo__take(fifo__slot(ring, seq), seq, out))
		return false;
	out->at = targ_hops ? fifo__far_at(c, seq) : 0;
	return true;
}

/* Takes out request `seq`, wherever it is. */
static __always_inline bool fifo__find(wire_ctx *ctx, struct conn *c, __u32 seq,
				       struct exchange *out)
{
	struct fifo_ring *ring;

	if (fifo__take_first(c, seq, out))
		return true;
	if (!c->flights)
		return false;
	ring = wire_ctx__ring(ctx, c, fifo__ring_of(seq), false);
	return ring && fifo__take_far(c, ring, seq, out);
}

/* An exchange that was taken out ends without an answer. */
__noinline int fifo__give_up(struct wire_acct *a, struct conn *c, const struct exchange *x,
			     __u32 reason)
{
	struct flight f = {};

	if (!a || !c || !x)
		return 0;
	f.t0 = x->t0;
	f.bytes = (__u32)(x->word >> 32);
	f.route = (__u16)fifo__route_of(x->word);
	f.role = (__u8)fifo__role_of(x->word);
	/* Bytes missed on either side: which answer is whose was not known since. */
	if (c->lost_ns[IN] > f.t0 || c->lost_ns[OUT] > f.t0)
		reason = REASON_GAP_LOST;
	flight__give_up(a, series__get(a, c, f.route, f.role, STATUS_UNANSWERED), &f, reason);
	return 0;
}

/*
 * Is the slot free for the request in s->opening? What was passed over when the place was lost, and
 * what is too old, goes.
 */
static __always_inline bool fifo__room(struct conn *c, struct wire_acct *a, struct lane_scratch *s,
				       struct fifo_entry *e)
{
	struct exchange *x = &s->x;
	__u32 behind;
	bool old;

	x->word = *(volatile __u64 *)&e->word;
	if (!x->word)
		return true;
	behind = ((fifo__tag(s->opening.seq) - fifo__tag_of(x->word)) & FIFO_TAG_MASK) * FIFO_FIRST;
	x->t0 = e->t0;
	x->seq = fifo__seq_of(x->word, s->opening.seq);
	old = !(x->word & FIFO_BLOCKING) && (__s64)(s->opening.t0 - x->t0) > (__s64)targ_timeout_ns;
	/* One more: its answer may be at hand on another CPU, counted and not taken out yet. */
	if (!old && behind && behind <= s->opening.waiting + 1)
		return false;
	if (targ_tree)
		cause__tell(s, CAUSE_GIVEN_UP, x->seq, fifo__route_of(x->word),
			    x->word & FIFO_SERVER);
	if (__sync_val_compare_and_swap(&e->word, x->word, 0) == x->word)
		fifo__give_up(a, c, x, old ? REASON_TIMEOUT : REASON_GAP_LOST);
	return true;
}

/* The first slots have no room: its ring, made when there is none. NULL: it has none either. */
static __noinline struct fifo_entry *fifo__more(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
						struct lane_scratch *s)
{
	struct fifo_ring *ring = wire_ctx__ring(ctx, c, fifo__ring_of(s->opening.seq), true);
	struct fifo_entry *e;

	if (!ring) {
		a->reason[REASON_NO_MEMORY]++;
		return NULL;
	}
	c->flights = 1;
	e = fifo__slot(ring, s->opening.seq);
	if (fifo__room(c, a, s, e)) {
		if (targ_hops)
			fifo__put_far(c, s);
		return e;
	}
	a->reason[REASON_TABLE_FULL]++;
	return NULL;
}

/* The request in s->opening begins an exchange. */
static __always_inline void fifo__open(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
				       struct lane_scratch *s)
{
	struct fifo_entry *e = &c->stream.first[s->opening.seq & (FIFO_FIRST - 1)];

	a->seen++;
	/* One of those that wait has the same number. (Below 0: its answer was counted already.) */
	if ((__s32)s->opening.waiting >= FIFO_NUMBERS - 1) {
		a->dropped++;
		a->reason[REASON_TABLE_FULL]++;
		return;
	}
	if (fifo__room(c, a, s, e)) {
		c->stream.at[s->opening.seq & (FIFO_FIRST - 1)] = s->opening.at;
	} else {
		e = fifo__more(ctx, c, a, s);
		if (!e) {
			a->dropped++;
			return;
		}
	}
	e->t0 = s->opening.t0;
	STORE_RELEASE(&e->word, s->opening.word | fifo__tag(s->opening.seq) << 4 | FIFO_OPEN);
	a->in_flight++;
	if (targ_tree)
		cause__tell_open(s);
	if (targ_hops)
		fifo__hop_open(c, s);
}

static __always_inline bool fifo__asked_at(struct fifo_entry *e, __u32 seq, __u64 bytes)
{
	__u64 word = *(volatile __u64 *)&e->word;

	if (!word || fifo__tag_of(word) != fifo__tag(seq))
		return false;
	__sync_val_compare_and_swap(&e->word, word, (word & 0xffffffff) | FIFO_ASKED | bytes << 32);
	return true;
}

/* The request's last byte has passed; the answer may have come already. */
static __always_inline void fifo__asked(wire_ctx *ctx, struct conn *c, __u32 seq, __u64 bytes)
{
	struct fifo_ring *ring;

	if (fifo__asked_at(&c->stream.first[seq & (FIFO_FIRST - 1)], seq, bytes) || !c->flights)
		return;
	ring = wire_ctx__ring(ctx, c, fifo__ring_of(seq), false);
	if (ring)
		fifo__asked_at(fifo__slot(ring, seq), seq, bytes);
}

/*
 * The exchange s->x, which was taken out, ends with s->answer. Built in memory, not on the stack,
 * which is short here. Global, as others here: the verifier looks once, not at every call.
 */
__noinline int exchange__end(struct wire_acct *a, struct conn *c, struct lane_scratch *s)
{
	__u64 word, ns, bytes;
	__u32 part = PART_WHOLE;
	struct series_val *v;

	if (!a || !c || !s)
		return 0;
	word = s->x.word;
	bytes = (word >> 32) + s->answer.bytes;
	a->in_flight--;
	a->matched++;
	if (targ_tree)
		cause__tell_end(s);
	if (targ_hops)
		fifo__hop_end(c, s);
#pragma clang loop unroll(disable)
	do {
		ns = (part ? s->answer.begin : s->answer.end) - s->x.t0;
		if ((__s64)ns < 0)
			ns = 0;
		v = series__get_part(a, c, fifo__route_of(word), fifo__role_of(word),
				     s->answer.status, part);
		if (!v)
			break;
		series__add(v, ns, part ? 0 : bytes);
		if (!part && exemplar__wanted(a, ns))
			exemplar__send(a, c, &v->key, s->x.t0, ns, bytes);
	} while (s->answer.begin && ++part <= PART_FIRST_BYTE);
	return 0;
}

#endif
