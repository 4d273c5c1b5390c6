/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exchanges in flight. An exchange opens and closes on one socket, so its table is in the socket's
 * own storage: no global map, no lock, gone with the socket. Sets of four slots, a half of the
 * sets for each direction, so that only the holder of the direction's lock puts entries in; taking
 * one out is a compare-and-swap, which one of reply, sweep and close wins. What does not fit into
 * its set goes to a bounded hash map; what does not fit there is dropped and counted. Never an LRU:
 * it would drop the slowest, the ones that matter.
 */
#ifndef HOPSCOPE_FLIGHT_BPF_H
#define HOPSCOPE_FLIGHT_BPF_H

#include "series.bpf.h"

#define FLIGHT_WAYS 4
#define FLIGHT_SETS 128 /* 12 KiB: below the 20 KiB a socket may have on kernels before 6.7 */
#define FLIGHT_SLOTS (FLIGHT_SETS * FLIGHT_WAYS)

struct flight {
	__u64 id; /* 0: free */
	__u64 t0;
	__u32 bytes;
	__u16 route;
	__u8 role;
	__u8 dir; /* direction of the request */
};

struct flights {
	struct flight slot[FLIGHT_SLOTS];
};

_Static_assert(sizeof(struct flights) <= 16384, "socket option memory is 20 KiB by default");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct flights);
} flight_tables SEC(".maps");

/* See test_conns. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct flights);
} test_flights SEC(".maps");

struct overflow_key {
	__u64 cookie;
	__u64 id;
};

struct overflow_val {
	struct flight flight;
	__u64 cgroup;
	__u64 proto;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536); /* set before loading */
	__type(key, struct overflow_key);
	__type(value, struct overflow_val);
} flight_overflow SEC(".maps");

const volatile __u64 targ_timeout_ns = 5000000000ULL;

/* Exchanges in the overflow map, so that an empty one costs no look-up. */
__s64 overflow_used;

/* The set of an id for requests in direction `dir`. */
static __always_inline __u32 flight__set(__u64 id, __u32 dir)
{
	return (((__u32)(id >> 20) & (FLIGHT_SETS / 2 - 1)) * 2 + (dir & 1)) * FLIGHT_WAYS;
}

/* Requests that are asked here; the others were delivered here, perhaps to many. */
static __always_inline bool role__asks(__u32 role)
{
	return role == ROLE_CLIENT || role == ROLE_BROKER;
}

static __always_inline void flight__opened(struct wire_acct *a, const struct flight *f)
{
	a->in_flight++;
	if (!role__asks(f->role))
		a->reason[REASON_DELIVERIES]++;
}

static __always_inline void flight__ended(struct wire_acct *a, const struct flight *f)
{
	a->in_flight--;
	if (!role__asks(f->role))
		a->reason[REASON_DELIVERIES]--;
}

static __always_inline struct listener *listener__of(struct conn *c, __u32 route)
{
	return &c->listeners[route & (CONN_CACHE - 1)];
}

/* A delivery timed out. */
static __always_inline void listener__silent(struct conn *c, __u32 route)
{
	struct listener *l = listener__of(c, route);

	if (l->route != route) {
		l->route = (__u16)route;
		l->silent = 0;
	}
	if (l->silent < LISTENER_AFTER)
		l->silent++;
}

/* A delivery was answered. */
static __always_inline void listener__answers(struct conn *c, __u32 route)
{
	struct listener *l = listener__of(c, route);

	if (l->silent && l->route == route)
		l->silent = 0;
}

/* Is this delivery one to somebody who only listens? */
static __always_inline bool listener__skip(struct conn *c, __u32 route)
{
	struct listener *l = listener__of(c, route);

	return l->silent >= LISTENER_AFTER && l->route == route && ++l->skipped % LISTENER_PROBE;
}

/* An exchange ended without an answer: why, and its series. */
static __always_inline void flight__give_up(struct wire_acct *a, struct series_val *v,
					    const struct flight *f, __u32 reason)
{
	flight__ended(a, f);
	a->reason[reason & (REASON_MAX - 1)]++;
	if (reason == REASON_GAP_LOST) {
		a->dropped++;
		return;
	}
	a->unanswered++;
	if (v)
		series__count(v, f->bytes);
}

/* Timed out or cut off: unanswered, or dropped where the reply may have passed unread. */
static __always_inline __u32 flight__why(struct conn *c, const struct flight *f, __u32 reason)
{
	if (c->lost_ns[!(f->dir & 1)] > f->t0)
		return REASON_GAP_LOST;
	if (reason != REASON_TIMEOUT || role__asks(f->role))
		return reason;
	listener__silent(c, f->route);
	return REASON_NOT_ANSWERED;
}

static __always_inline void flight__expire(struct wire_acct *a, struct conn *c, struct flight *slot,
					   __u32 reason)
{
	struct flight f = *slot;

	if (!f.id || __sync_val_compare_and_swap(&slot->id, f.id, 0) != f.id)
		return;
	flight__give_up(a, series__get(a, c, f.route, f.role, STATUS_UNANSWERED), &f,
			flight__why(c, &f, reason));
}

/* The socket's own set is full. */
static __noinline void flight__open_overflow(struct wire_acct *a, struct conn *c,
					     const struct flight *f)
{
	struct overflow_key key = {.cookie = c->cookie, .id = f->id};
	struct overflow_val val = {.flight = *f, .cgroup = c->cgroup, .proto = c->proto};

	if (bpf_map_update_elem(&flight_overflow, &key, &val, BPF_NOEXIST)) {
		a->dropped++;
		a->reason[REASON_TABLE_FULL]++;
		return;
	}
	__sync_fetch_and_add(&overflow_used, 1);
	flight__opened(a, f);
}

/* Opens the exchange `f` (counted as seen by the caller). The direction's lock is held. */
static __always_inline void flight__open(struct wire_acct *a, struct conn *c, struct flights *t,
					 const struct flight *f)
{
	__u32 set = flight__set(f->id, f->dir), i;
	struct flight *s, *free = NULL;
	__u64 id;

	for (i = 0; i < FLIGHT_WAYS; i++) {
		s = &t->slot[(set + i) & (FLIGHT_SLOTS - 1)];
		id = *(volatile __u64 *)&s->id;
		if (id == f->id)
			flight__expire(a, c, s, REASON_SUPERSEDED);
		else if (id && f->t0 - s->t0 > targ_timeout_ns && (__s64)(f->t0 - s->t0) > 0)
			flight__expire(a, c, s, REASON_TIMEOUT);
		if (!free && !*(volatile __u64 *)&s->id)
			free = s;
	}
	if (!free) {
		flight__open_overflow(a, c, f);
		return;
	}
	free->t0 = f->t0;
	free->bytes = f->bytes;
	free->route = f->route;
	free->role = f->role;
	free->dir = f->dir;
	STORE_RELEASE(&free->id, f->id);
	flight__opened(a, f);
}

static __noinline bool flight__close_overflow(struct conn *c, __u64 id, __u32 dir,
					      struct flight *out)
{
	struct overflow_key key = {.cookie = c->cookie, .id = id};
	struct overflow_val *v = bpf_map_lookup_elem(&flight_overflow, &key);

	if (!v || v->flight.dir != dir)
		return false;
	*out = v->flight;
	if (bpf_map_delete_elem(&flight_overflow, &key))
		return false;
	__sync_fetch_and_add(&overflow_used, -1);
	return true;
}

/* Takes out the exchange that a reply with this id closes: its request went in direction `dir`. */
static __always_inline bool flight__close(struct wire_acct *a, struct conn *c, struct flights *t,
					  __u64 id, __u32 dir, struct flight *out)
{
	__u32 set = flight__set(id, dir), i;
	struct flight *s;

	for (i = 0; i < FLIGHT_WAYS; i++) {
		s = &t->slot[(set + i) & (FLIGHT_SLOTS - 1)];
		if (*(volatile __u64 *)&s->id != id)
			continue;
		*out = *s;
		if (__sync_val_compare_and_swap(&s->id, id, 0) != id)
			break;
		flight__ended(a, out);
		a->matched++;
		return true;
	}
	if (*(volatile __s64 *)&overflow_used > 0 && flight__close_overflow(c, id, dir, out)) {
		flight__ended(a, out);
		a->matched++;
		return true;
	}
	return false;
}

#endif
