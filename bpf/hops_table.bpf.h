/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exchanges whose sockets are being recorded. Every socket that an exchange passes finds its record
 * by the exchange's id: sets of four ways, a set in one cache line, the spans elsewhere, each in a
 * line of its own, so that a socket touches two lines, and its own only. Records are handed out
 * last in, first out: those in use are in the caches.
 *
 * A way's `state` decides whose it is, by compare-and-swap. A record that is done keeps its id
 * until its way is needed: a delivery to somebody who does not answer may pass later than the
 * answer, and is then known as such and begins nothing. Nothing is evicted: a set that is full
 * refuses.
 */
#ifndef HOPSCOPE_HOPS_TABLE_BPF_H
#define HOPSCOPE_HOPS_TABLE_BPF_H

#include "flight.bpf.h"
#include "hops_tell.bpf.h"
#include "relay.bpf.h"

#define HOP_WAYS 4

#define HOP_LIKE_NS 1000000000ull /* messages that are alike, so far apart, are two */

/* Of struct hop_way. 0: free, never used. */
#define HOP_N		0xffu	  /* spans that began */
#define HOP_RECORD	8	  /* shift: number of the record, 20 bits */
#define HOP_TARGET	0xffffffu /* of an alias: number of the way that it stands for */
#define HOP_IS_ALIAS	(1u << 28)
#define HOP_IS_BUSY	(1u << 29) /* being begun or finished */
#define HOP_IS_DONE	(1u << 30) /* free; the id is kept */
#define HOP_IS_OUT	(1u << 31) /* done before it began: --sample-hops leaves it out */
#define HOP_IS_DELIVERY (1u << 31) /* the same bit, not done: see hops_deliver.bpf.h */

struct hop_way {
	__u64 id;
	__u32 state;
	__u16 gen;  /* of the record's use */
	__u16 mark; /* of a record: of its first socket; of an alias: the target's gen */
};

struct hop_set {
	struct hop_way way[HOP_WAYS];
};

_Static_assert(sizeof(struct hop_set) == 64, "a cache line");

/* A span. Written when its request and when its reply passes, and when these are read. */
struct hop_socket {
	__u64 request;
	__u64 reply; /* 0: not yet */
	__u64 queue; /* what came in, request or reply, waited so long to be read; HOP_UNKNOWN */
	__u64 run;   /* HOP_UNKNOWN */
	__u64 cookie;
	__u32 tag; /* of the id under which it opened */
	__u32 seq; /* TCP sequence number of the request's first byte; 0: not known */
	__u32 tgid;
	__u16 local;
	__u16 remote;
	__u16 node;
	__u16 route;
	__u32 life; /* HOP_LIFE: written last */
};

/* What was written for another gen of the record is not of this exchange. `parent`: 1 + its index,
 * where that is known; else 0.
 */
#define HOP_LIFE(gen, proto, parent, request_in) \
	((__u32)(gen) << 16 | (__u32)(proto) << 8 | (__u32)(parent) << 1 | (request_in))
#define HOP_LIFE_PARENT(life) ((life) >> 1 & 15)
#define HOP_LIFE_GEN(life)    ((__u16)((life) >> 16))
#define HOP_LIFE_PROTO(life)  ((__u8)((life) >> 8))
#define HOP_LIFE_IN(life)     ((life)&1)

_Static_assert(sizeof(struct hop_socket) == 64, "a cache line");

struct hop_record {
	struct hop_socket span[HOP_SPANS];
};

/* Sizes are set before loading; without targ_hops they stay 1. Mapped: their values are then
 * aligned to pages.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hop_set);
} hop_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hop_record);
} hop_records SEC(".maps");

/* Records that are not in use. Not beside anything that packets only read. */
struct hop_pool {
	__u64 free; /* the first one + 1, and in the upper half how often this was changed */
	__u32 used; /* that ever were */
	__u32 pad[13];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hop_pool);
} hop_pools SEC(".maps");

struct hop_counts {
	__u64 count[HOP_COUNTS];
};

/* By lane; the first: for runs without one, atomic. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hop_counts);
} hop_counters SEC(".maps");

/*
 * Messages that came in and were not read yet, of a socket: those that find no room in its
 * connection's state. See hops_wait.bpf.h.
 */
#define HOP_WAITS 128

struct hop_waits {
	struct hop_wait wait[HOP_WAITS];
};

const volatile __u32 targ_hop_sets = 1; /* a power of two */

static __always_inline void hops__count_atomic(__u32 what, __u64 n)
{
	__u32 zero = 0;
	struct hop_counts *c = bpf_map_lookup_elem(&hop_counters, &zero);

	if (c)
		__sync_fetch_and_add(&c->count[what & (HOP_COUNTS - 1)], n);
}

static __always_inline void hops__count(const struct lane_scratch *s, __u32 what, __u64 n)
{
	__u32 at = 1 + s->lane;
	struct hop_counts *c = bpf_map_lookup_elem(&hop_counters, &at);

	if (c)
		c->count[what & (HOP_COUNTS - 1)] += n;
}

static __always_inline __u32 hops__set_of(__u64 id)
{
	return (__u32)(id >> 24) & (targ_hop_sets - 1);
}

static __always_inline struct hop_way *hop_way__at(__u32 slot)
{
	__u32 at = slot / HOP_WAYS;
	struct hop_set *set = bpf_map_lookup_elem(&hop_sets, &at);

	if (!set)
		return NULL;
	asm volatile("" : "+r"(set)); /* the check comes before the arithmetic */
	return &set->way[slot & (HOP_WAYS - 1)];
}

static __always_inline __u32 hop_way__state(const struct hop_way *w)
{
	return *(const volatile __u32 *)&w->state;
}

static __always_inline __u32 hop_state__record(__u32 state)
{
	return state >> HOP_RECORD & 0xfffff;
}

/* ---- records */

#define HOP_TRIES 16 /* others change the list meanwhile */

/* Number + 1 of a record and in the upper half the number of its use; 0: there is none. */
__noinline __u64 hops__take_record(void)
{
	__u32 zero = 0, i, at;
	struct hop_pool *pool = bpf_map_lookup_elem(&hop_pools, &zero);
	struct hop_record *r;
	__u64 head, next;

	if (!pool)
		return 0;
	for (i = 0; i < HOP_TRIES; i++) {
		head = *(volatile __u64 *)&pool->free;
		if (!(__u32)head)
			break;
		at = (__u32)head - 1;
		r = bpf_map_lookup_elem(&hop_records, &at);
		if (!r)
			return 0;
		next = ((head >> 32) + 1) << 32 | (__u32) * (volatile __u64 *)&r->span[0].cookie;
		if (__sync_val_compare_and_swap(&pool->free, head, next) == head)
			return next >> 32 << 32 | (at + 1);
	}
	if (*(volatile __u32 *)&pool->used >= targ_hop_sets * HOP_WAYS)
		return 0;
	at = __sync_fetch_and_add(&pool->used, 1);
	return at < targ_hop_sets * HOP_WAYS ? 1ULL << 32 | (at + 1) : 0;
}

__noinline int hops__free_record(__u32 at)
{
	struct hop_record *r = bpf_map_lookup_elem(&hop_records, &at);
	__u32 zero = 0, i;
	struct hop_pool *pool = bpf_map_lookup_elem(&hop_pools, &zero);
	__u64 head, next;

	if (!pool || !r)
		return 0;
	for (i = 0; i < HOP_TRIES; i++) {
		head = *(volatile __u64 *)&pool->free;
		*(volatile __u64 *)&r->span[0].cookie = (__u32)head;
		next = ((head >> 32) + 1) << 32 | (at + 1);
		if (__sync_val_compare_and_swap(&pool->free, head, next) == head)
			return 0;
	}
	return 0;
}

/* ---- ways */

/* Is there an exchange in it? */
static __always_inline bool hop_state__lives(__u32 state)
{
	return state && !(state & (HOP_IS_BUSY | HOP_IS_DONE));
}

static __always_inline bool hop_way__take(struct hop_way *w, __u32 state)
{
	return __sync_val_compare_and_swap(&w->state, state, HOP_IS_BUSY) == state;
}

/* Number + 1 of the way that has this id, 0: none. */
static __always_inline __u32 hops__find_way(struct hop_set *set, __u32 at, __u64 id)
{
	__u32 i;

	for (i = 0; i < HOP_WAYS; i++) {
		if (*(volatile __u64 *)&set->way[i].id == id)
			return at * HOP_WAYS + i + 1;
	}
	return 0;
}

/* The way that an alias stands for, + 1; 0: its exchange has ended. */
static __always_inline __u32 hops__target(const struct hop_way *w, __u32 state)
{
	__u32 slot = state & HOP_TARGET, is;
	struct hop_way *to = hop_way__at(slot);

	if (!to || to->gen != w->mark)
		return 0;
	is = hop_way__state(to);
	return hop_state__lives(is) && !(is & HOP_IS_ALIAS) ? slot + 1 : 0;
}

/* The way of the exchange that is in flight in this one, + 1; 0: none is. */
static __always_inline __u32 hops__live(const struct hop_set *set, __u32 slot)
{
	const struct hop_way *w = &set->way[slot & (HOP_WAYS - 1)];
	__u32 state = hop_way__state(w);

	if (!hop_state__lives(state))
		return 0;
	return state & HOP_IS_ALIAS ? hops__target(w, state) : slot + 1;
}

/*
 * Number + 1 of the way of an exchange in flight, 0: there is none. Through an alias. Global, as
 * the larger ones below: the verifier looks once, not at every place that calls.
 */
__noinline __u32 hops__find(__u64 id)
{
	__u32 at = hops__set_of(id), slot;
	struct hop_set *set = bpf_map_lookup_elem(&hop_sets, &at);

	slot = set ? hops__find_way(set, at, id) : 0;
	return slot ? hops__live(set, slot - 1) : 0;
}

/* Is what is in a way past its time? */
static __always_inline bool hop_way__is_old(const struct hop_way *w, __u32 state, __u64 now)
{
	struct hop_record *r;
	__u64 began;
	__u32 at;

	if (state & HOP_IS_ALIAS)
		return !hops__target(w, state);
	at = hop_state__record(state);
	r = bpf_map_lookup_elem(&hop_records, &at);
	began = r ? *(volatile __u64 *)&r->span[0].request : now;
	return now > began &&
	       now - began > (state & HOP_IS_DELIVERY ? HOP_LIKE_NS : targ_timeout_ns);
}

/* A way of the set that was free, or whose exchange was given up: + 1, and ours. 0: it is full. */
__noinline __u32 hops__claim(struct lane_scratch *s, __u32 at, __u64 now)
{
	struct hop_set *set = bpf_map_lookup_elem(&hop_sets, &at);
	__u32 i, state;

	if (!set || !s)
		return 0;
	for (i = 0; i < HOP_WAYS; i++) {
		state = hop_way__state(&set->way[i]);
		if ((!state || state & HOP_IS_DONE) && hop_way__take(&set->way[i], state))
			return at * HOP_WAYS + i + 1;
	}
	for (i = 0; i < HOP_WAYS; i++) {
		state = hop_way__state(&set->way[i]);
		if (!hop_state__lives(state) || !hop_way__is_old(&set->way[i], state, now) ||
		    !hop_way__take(&set->way[i], state))
			continue;
		if (!(state & HOP_IS_ALIAS)) {
			if (!(state & HOP_IS_DELIVERY))
				hops__count(s, HOP_ABANDONED, 1);
			hops__free_record(hop_state__record(state));
		}
		return at * HOP_WAYS + i + 1;
	}
	return 0;
}

static __always_inline __u16 hops__mark(const struct conn *c, const struct hop_event *e)
{
	return (__u16)(c->cookie << 1 | e->out);
}

/* Is nothing in the socket's own ring? */
static __always_inline bool hop_conn__is_near(const struct hop_conn *h)
{
	return h->far_head == *(const volatile __u32 *)&h->far_tail;
}

/*
 * A message that came in waits to be read. First in the connection's state; behind what is in the
 * socket's own ring (`far`; NULL: it was not asked for), there, too.
 */
static __always_inline void hops__wait(struct lane_scratch *s, struct conn *c,
				       struct hop_waits *far, const struct hop_event *e,
				       __u32 where)
{
	__u32 head = c->hops.head, far_head = c->hops.far_head;
	struct hop_wait *to;
	bool near;

	if (e->out || e->seq == HOP_NO_SEQ || targ_test)
		return;
	near = head - *(volatile __u32 *)&c->hops.tail < HOP_NEAR && hop_conn__is_near(&c->hops);
	if (near) {
		to = &c->hops.wait[head & (HOP_NEAR - 1)];
	} else if (far && far_head - *(volatile __u32 *)&c->hops.far_tail < HOP_WAITS) {
		to = &far->wait[far_head & (HOP_WAITS - 1)];
	} else {
		hops__count(s, HOP_QUEUE_FULL, 1);
		return;
	}
	to->at = e->at;
	to->seq = e->seq;
	to->where = where;
	if (near)
		STORE_RELEASE(&c->hops.head, head + 1);
	else
		STORE_RELEASE(&c->hops.far_head, far_head + 1);
}

static __always_inline void hop_socket__begin(struct hop_socket *sp, const struct conn *c,
					      const struct hop_event *e, __u16 gen, __u32 parent)
{
	sp->request = e->at;
	sp->reply = 0;
	sp->tgid = 0; /* known when it closes; not that of the record's last user */
	sp->queue = sp->run = HOP_UNKNOWN;
	sp->cookie = c->cookie;
	sp->tag = (__u32)(e->id >> 32);
	sp->seq = e->seq;
	sp->local = c->port_local;
	sp->remote = c->port_remote;
	sp->route = e->route;
	STORE_RELEASE(&sp->life, HOP_LIFE(gen, c->proto, parent, !e->out));
}

/*
 * Where a span is, for whoever wants to find it again: record << 8 | index + 1. 0: nowhere.
 *
 * An exchange begins in a way that was claimed. 0: there is no record, which is counted.
 */
static __always_inline __u32 hops__begin(struct lane_scratch *s, struct hop_way *w,
					 const struct conn *c, const struct hop_event *e)
{
	__u64 taken = hops__take_record();
	__u32 at = (__u32)taken - 1;
	struct hop_record *r = bpf_map_lookup_elem(&hop_records, &at);

	if (!taken || !r) {
		hops__count(s, HOP_TABLE_FULL, 1);
		STORE_RELEASE(&w->state, HOP_IS_DONE);
		return 0;
	}
	w->id = e->id;
	w->gen = (__u16)(taken >> 32);
	w->mark = hops__mark(c, e);
	hop_socket__begin(&r->span[0], c, e, w->gen, 0);
	STORE_RELEASE(&w->state, at << HOP_RECORD | 1);
	return at << 8 | 1;
}

/* Index + 1 of the span at which the request `id` came in. 0: it did not here. */
static __always_inline __u32 hops__index(const struct hop_record *r, const struct hop_way *w,
					 __u64 id)
{
	const struct hop_socket *sp;
	__u32 i;

	for (i = 0; i < HOP_SPANS; i++) {
		sp = &r->span[i];
		if (sp->tag == (__u32)(id >> 32) && HOP_LIFE_IN(sp->life) &&
		    HOP_LIFE_GEN(sp->life) == w->gen)
			return i + 1;
	}
	return 0;
}

static __noinline __u32 hops__supersede(struct lane_scratch *s, struct hop_way *w,
					const struct conn *c, const struct hop_event *e,
					__u32 state)
{
	if (!hop_way__take(w, state))
		return 0;
	hops__count(s, HOP_ABANDONED, 1);
	hops__free_record(hop_state__record(state));
	return hops__begin(s, w, c, e);
}

/*
 * One more span, as hops__begin() says. An exchange that opens again on its first socket is another
 * one, under the same id.
 */
static __always_inline __u32 hops__append(struct lane_scratch *s, const struct conn *c,
					  const struct hop_event *e, __u32 slot, __u64 parent)
{
	struct hop_way *w = hop_way__at(slot);
	struct hop_record *r;
	__u32 state, at, i;

	if (!w)
		return 0;
	state = hop_way__state(w);
	at = hop_state__record(state);
	r = bpf_map_lookup_elem(&hop_records, &at);
	if (!r || !hop_state__lives(state) || state & HOP_IS_ALIAS)
		return 0;
	if (w->mark == hops__mark(c, e) && r->span[0].cookie == c->cookie && w->id == e->id)
		return hops__supersede(s, w, c, e, state);
	i = state & HOP_N;
	if (i < HOP_SPANS) {
		state = __sync_fetch_and_add(&w->state, 1);
		i = state & HOP_N;
	}
	if (i >= HOP_SPANS) {
		hops__count(s, HOP_SPANS_FULL, 1);
		return 0;
	}
	/* It may have ended in between. */
	if (!hop_state__lives(state) || hop_state__record(state) != at)
		return 0;
	hop_socket__begin(&r->span[i], c, e, w->gen, parent ? hops__index(r, w, parent) : 0);
	return at << 8 | (i + 1);
}

/* Makes the id of `e` one more of the way `slot`. False: no room, counted. */
static __noinline bool hops__alias(struct lane_scratch *s, __u32 at, const struct hop_event *e,
				   __u32 slot)
{
	struct hop_way *to = hop_way__at(slot), *w;
	__u32 mine = hops__claim(s, at, e->at);

	w = mine ? hop_way__at(mine - 1) : NULL;
	if (!w || !to) {
		hops__count(s, HOP_TABLE_FULL, 1);
		return false;
	}
	w->id = e->id;
	w->mark = to->gen;
	STORE_RELEASE(&w->state, HOP_IS_ALIAS | slot);
	return true;
}

/*
 * The way `slot` had this id and is done. On its first socket the id is being used again; else it
 * is a delivery to somebody who was not waited for, and this is counted. An alias whose exchange
 * has ended is free. 0: nothing begins.
 */
static __noinline __u32 hops__again(struct lane_scratch *s, const struct conn *c,
				    const struct hop_event *e, __u32 slot)
{
	struct hop_way *w = hop_way__at(slot);
	__u32 state;

	if (!w)
		return 0;
	state = hop_way__state(w);
	if (!(state & HOP_IS_BUSY) && (state & HOP_IS_ALIAS || w->mark == hops__mark(c, e)) &&
	    hop_way__take(w, state))
		return hops__begin(s, w, c, e);
	if (!(state & HOP_IS_OUT))
		hops__count(s, HOP_UNANSWERED, 1);
	return 0;
}

/* An exchange begins. 0: the table is full, which is counted. */
static __always_inline __u32 hops__first(struct lane_scratch *s, const struct conn *c,
					 const struct hop_event *e, __u32 at)
{
	__u32 slot = hops__claim(s, at, e->at);
	struct hop_way *w;

	w = slot ? hop_way__at(slot - 1) : NULL;
	if (!w) {
		hops__count(s, HOP_TABLE_FULL, 1);
		return 0;
	}
	return hops__begin(s, w, c, e);
}

/*
 * --sample-hops takes exchanges with all their calls: a call of one that is left out is, too, and
 * where its own number would be taken, a way that is done tells the other end so.
 */
static __noinline int hops__leave_out(struct lane_scratch *s, const struct conn *c, __u32 at,
				      const struct hop_event *e, __u64 parent)
{
	struct hop_way *w;
	__u32 mine;

	if (!parent) {
		s->hops_out++;
		return 0;
	}
	mine = hops__is_out(e->id) ? 0 : hops__claim(s, at, e->at);
	w = mine ? hop_way__at(mine - 1) : NULL;
	if (!w)
		return 0;
	w->id = e->id;
	w->mark = (__u16)~hops__mark(c, e); /* it is never begun again */
	STORE_RELEASE(&w->state, HOP_IS_DONE | HOP_IS_OUT);
	return 0;
}

/*
 * A request passes a socket. The exchange is known by its id: one more span. Else it is a part of
 * `parent` (an id; 0: of none), where that is known: then its own id stands for the parent's from
 * now on, so that the other end of this connection finds it. Else an exchange begins.
 *
 * `far`: ring of the socket, see hops__wait(); or NULL. For whoever feeds framers, with the lane;
 * `e->seq` is TCP's by now.
 */
__noinline int hops__open(struct lane_scratch *s, struct conn *c, struct hop_waits *far,
			  const struct hop_event *e, __u64 parent)
{
	__u32 at, way, slot = 0, span = 0;
	struct hop_set *set;

	if (!s || !c || !e)
		return 0;
	at = hops__set_of(e->id);
	set = bpf_map_lookup_elem(&hop_sets, &at);
	if (!set)
		return 0;
	way = hops__find_way(set, at, e->id);
	if (way) {
		slot = hops__live(set, way - 1);
		span = slot ? hops__append(s, c, e, slot - 1, 0) : hops__again(s, c, e, way - 1);
	} else {
		slot = parent ? hops__find(parent) : 0;
		if (!slot && targ_hop_sample > 1 && (parent || hops__is_out(e->id)))
			hops__leave_out(s, c, at, e, parent);
		else if (!slot)
			span = hops__first(s, c, e, at);
		else if (hops__alias(s, at, e, slot - 1))
			span = hops__append(s, c, e, slot - 1, parent);
	}
	if (!span)
		return 0;
	c->hops.span[!e->out] = (__u8)(span - 1);
	hops__wait(s, c, far, e, span - 1);
	return 0;
}

#endif
