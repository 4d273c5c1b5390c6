/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exchanges in flight. An exchange opens and closes on one socket, so it is kept in the socket's
 * own storage: no global map, no lock, gone with the socket.
 *
 * Three places, each for what does not fit into the one before: a set of four slots in the
 * connection's state, which is at hand anyway; a table of sets in a storage of its own, made when
 * it is first needed; a bounded hash map. What does not fit there is dropped and counted. Never an
 * LRU: it would drop the slowest, the ones that matter.
 *
 * Every set belongs to one direction, so that only the holder of the direction's lock puts entries
 * in; taking one out is a compare-and-swap, which one of reply, sweep and close wins.
 */
#ifndef HOPSCOPE_FLIGHT_BPF_H
#define HOPSCOPE_FLIGHT_BPF_H

#include "relay.bpf.h"
#include "series.bpf.h"

/*
 * Bytes of a value in a socket's storage. On Linux 7.2 what does not fit into 8 KiB with the
 * kernel's own 72 is never made: kmalloc_nolock() has no larger ones. All of a socket's have 20 KiB
 * on kernels before 6.7 (net.core.optmem_max).
 */
#define STORAGE_MAX 8120

#define FLIGHT_SETS  84 /* as many as fit, half of them for each direction */
#define FLIGHT_SLOTS (FLIGHT_SETS * FLIGHT_WAYS)

struct flights {
	struct flight_set set[FLIGHT_SETS];
};

_Static_assert(sizeof(struct flights) <= STORAGE_MAX, "or it is never made");

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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536); /* set before loading */
	__type(key, struct overflow_key);
	__type(value, struct overflow_val);
} flight_overflow SEC(".maps");

const volatile __u64 targ_timeout_ns = 5000000000ULL;

/* The set of an id for requests in direction `dir`: 32 bits of it as a share of the sets. */
static __always_inline struct flight_set *flight__set(struct flights *t, __u64 id, __u32 dir)
{
	__u64 set = ((__u64)(__u32)(id >> 20) * (FLIGHT_SETS / 2) >> 32) * 2 + (dir & 1);

	OPAQUE(set);
	return &t->set[set < FLIGHT_SETS ? set : 0];
}

/* Requests that are asked here; the others were delivered here, perhaps to many. */
static __always_inline bool role__asks(__u32 role)
{
	return role == ROLE_CLIENT || role == ROLE_BROKER || role == ROLE_SERVER;
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

/* More routes than places: those of a socket that never answered anything share what is known of
 * it. */
static __always_inline struct listener *listener__of(struct conn *c, __u32 route)
{
	struct listener *l = &c->listeners[route & (LISTENERS - 1)];

	if (l->route != route) {
		l->route = (__u16)route;
		if (c->answers) {
			l->silent = 0;
			l->open = 0;
		}
	}
	return l;
}

/* A delivery timed out. */
static __always_inline void listener__silent(struct conn *c, __u32 route)
{
	struct listener *l = listener__of(c, route);

	if (l->silent < LISTENER_SILENT)
		l->silent++;
}

/* A delivery was answered. */
static __always_inline void listener__answers(struct conn *c, __u32 route)
{
	struct listener *l = listener__of(c, route);

	c->answers = 1;
	c->unanswered = 0;
	l->silent = 0;
	l->open = 0;
}

/* A delivery came: is it to somebody who only listens? */
static __always_inline bool listener__skip(struct conn *c, __u32 route)
{
	struct listener *l = listener__of(c, route);

	if (l->silent < LISTENER_SILENT && l->open < LISTENER_OPEN &&
	    c->unanswered < LISTENER_OPEN) {
		l->open++;
		c->unanswered++;
		return false;
	}
	return ++l->skipped % LISTENER_PROBE;
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

/* A function of its own: its stack is then not under that of those who have nothing to expire. */
static __noinline int flight__expire(struct wire_acct *a, struct conn *c, struct flight *slot,
				     __u32 reason)
{
	struct flight f = *slot;

	if (!f.id || __sync_val_compare_and_swap(&slot->id, f.id, 0) != f.id)
		return 0;
	reason = flight__why(c, &f, reason);
	flight__give_up(a, series__get(a, c, f.route, relay__role(c, f.role), STATUS_UNANSWERED),
			&f, reason);
	return 0;
}

/* Neither of the socket's own places had room. The value is in `scratch`: the stack is short. */
static __always_inline void flight__open_overflow(struct wire_acct *a, struct conn *c,
						  const struct lane_scratch *scratch,
						  const struct flight *f)
{
	struct overflow_key key = {.cookie = c->cookie, .id = f->id};
	struct lane_scratch *s = scratch__again(scratch);

	if (s) {
		s->overflow.flight = *f;
		s->overflow.cgroup = c->cgroup;
		s->overflow.proto = c->proto;
		s->overflow.relay = c->relay;
	}
	if (!s || bpf_map_update_elem(&flight_overflow, &key, &s->overflow, BPF_NOEXIST)) {
		a->dropped++;
		a->reason[REASON_TABLE_FULL]++;
		return;
	}
	__sync_fetch_and_add(&c->overflow, 1);
	flight__opened(a, f);
}

/* Puts the exchange into a set, whose dead entries go. False: it is full. */
static __noinline bool flight__put(struct wire_acct *a, struct conn *c, struct flight_set *set,
				   const struct flight *f)
{
	struct flight *s, *free = NULL;
	__u64 id;
	__u32 i;

	for (i = 0; i < FLIGHT_WAYS; i++) {
		s = &set->slot[i];
		id = *(volatile __u64 *)&s->id;
		if (id == f->id)
			flight__expire(a, c, s, REASON_SUPERSEDED);
		else if (id && (__s64)(f->t0 - s->t0) > (__s64)targ_timeout_ns)
			flight__expire(a, c, s, REASON_TIMEOUT);
		if (!free && !*(volatile __u64 *)&s->id)
			free = s;
	}
	if (!free)
		return false;
	free->t0 = f->t0;
	free->bytes = f->bytes;
	free->route = f->route;
	free->role = f->role;
	free->dir = f->dir;
	STORE_RELEASE(&free->id, f->id);
	flight__opened(a, f);
	return true;
}

/* Takes an exchange out of a set. */
static __always_inline bool flight__take(struct flight_set *set, __u64 id, struct flight *out)
{
	struct flight *s;
	__u32 i;

	for (i = 0; i < FLIGHT_WAYS; i++) {
		s = &set->slot[i];
		if (*(volatile __u64 *)&s->id != id)
			continue;
		*out = *s;
		return __sync_val_compare_and_swap(&s->id, id, 0) == id;
	}
	return false;
}

/* Takes an exchange out of the overflow map. */
static __always_inline bool flight__take_overflow(struct conn *c, __u64 id, __u32 dir,
						  struct flight *out)
{
	struct overflow_key key = {.cookie = c->cookie, .id = id};
	struct overflow_val *v = bpf_map_lookup_elem(&flight_overflow, &key);

	if (!v || v->flight.dir != dir)
		return false;
	*out = v->flight;
	if (bpf_map_delete_elem(&flight_overflow, &key))
		return false;
	__sync_fetch_and_add(&c->overflow, -1);
	return true;
}

#endif
