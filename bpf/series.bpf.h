/* SPDX-License-Identifier: GPL-2.0-only */
/* Routes and series: bounded tables, the rest goes to "(other)" and is counted. */
#ifndef HOPSCOPE_SERIES_BPF_H
#define HOPSCOPE_SERIES_BPF_H

#include "conn.bpf.h"
#include "lane.bpf.h"

#define ROUTE_CACHE 512

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256); /* set before loading */
	__type(key, struct route_key);
	__type(value, __u32);
} routes SEC(".maps");

/* Subject hash and route in one word: a subject seen before needs no normalising. */
struct route_cache {
	__u64 entry[ROUTE_CACHE];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct route_cache);
} route_caches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512); /* set before loading */
	__type(key, struct series_key);
	__type(value, __u32);
} series_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SERIES_FIXED + 1); /* set before loading */
	__type(key, __u32);
	__type(value, struct series_val);
} series SEC(".maps");

const volatile __u32 targ_max_routes = 256;
const volatile __u32 targ_max_series = 512; /* SERIES_FIXED included */
__u32 routes_used SHARED = 1;		    /* 0 is "(other)" */
__u32 series_used SHARED = SERIES_FIXED;

struct route_feed {
	struct route_norm *norm;
	const __u8 *win;
	__u32 at;
	__u32 len;
};

static long route__next_byte(__u32 i, void *ctx)
{
	struct route_feed *f = ctx;

	if (i >= f->len)
		return 1;
	route__byte(f->norm, nats__byte(f->win, f->at + i));
	return 0;
}

/* Number of the normalised route in s->norm. */
__noinline __u32 route__number(struct lane_scratch *s, struct wire_acct *a)
{
	__u32 id, *old;

	if (!s || !a)
		return 0;
	s = scratch__again(s);
	if (!s)
		return 0;
	old = bpf_map_lookup_elem(&routes, s->norm.name);
	if (old)
		return *old;
	if (*(volatile __u32 *)&routes_used < targ_max_routes) {
		id = __sync_fetch_and_add(&routes_used, 1);
		if (id < targ_max_routes) {
			if (!bpf_map_update_elem(&routes, s->norm.name, &id, BPF_NOEXIST))
				return id;
			/* Another CPU was first (its number counts, ours stays unused) or full. */
			old = bpf_map_lookup_elem(&routes, s->norm.name);
			if (old)
				return *old;
		}
	}
	a->reason[REASON_ROUTE_FULL]++;
	return 0;
}

/* Normalises the subject at window position `at` and gives its route a number. */
static __noinline __u32 route__learn(struct lane_scratch *s, struct wire_acct *a, __u32 at,
				     __u32 len)
{
	struct route_feed f = {&s->norm, s->run.win, at, len};

	__builtin_memset(&s->norm, 0, sizeof(s->norm));
	bpf_loop(NATS_LINE_MAX, route__next_byte, &f, 0);
	route__end(&s->norm);
	return route__number(s, a);
}

/*
 * Looks a hash up in the connection and in the CPU's cache: the route, or 0, and then *e is where
 * to remember it (NULL: nowhere). Numbers are below 65536: see targ_max_routes.
 */
static __always_inline __u32 route__cached(struct conn *c, __u64 hash, __u64 **e)
{
	struct route_cache *rc;
	__u64 want = hash | 0xffff;
	__u32 zero = 0;

	*e = NULL;
	/* A connection mostly repeats itself, and its own state is at hand. */
	if ((c->last_route | 0xffff) == want)
		return (__u32)c->last_route & 0xffff;
	rc = bpf_map_lookup_elem(&route_caches, &zero);
	if (!rc)
		return 0;
	*e = &rc->entry[(hash >> 32) & (ROUTE_CACHE - 1)];
	if ((**e | 0xffff) != want)
		return 0;
	c->last_route = **e;
	return (__u32) * *e & 0xffff;
}

static __always_inline void route__remember(struct conn *c, __u64 hash, __u64 *e, __u32 id)
{
	if (id && e)
		*e = c->last_route = (hash & ~0xffffULL) | id;
}

/* Route of a subject whose hash is `hash`. */
static __always_inline __u32 route__of(struct lane_scratch *s, struct wire_acct *a, struct conn *c,
				       __u64 hash, __u32 at, __u32 len)
{
	__u64 *e;
	__u32 id = route__cached(c, hash, &e);

	if (id || !e)
		return id;
	id = route__learn(s, a, at, len);
	route__remember(c, hash, e, id);
	return id;
}

/* Global, as others here: the verifier looks once, not at every call. */
__noinline __u32 series__find(struct wire_acct *a, const struct series_key *wanted)
{
	struct series_key copy, *key = &copy; /* see scratch__again() */
	struct series_val *v;
	__u32 id, *old;

	if (!a || !wanted)
		return 0;
	copy = *wanted;
	old = bpf_map_lookup_elem(&series_ids, key);
	if (old)
		return *old;
	if (*(volatile __u32 *)&series_used < targ_max_series) {
		id = __sync_fetch_and_add(&series_used, 1);
		v = id < targ_max_series ? bpf_map_lookup_elem(&series, &id) : NULL;
		if (v) {
			v->key = *key;
			__sync_fetch_and_add(&v->used, 1);
			if (!bpf_map_update_elem(&series_ids, key, &id, BPF_NOEXIST))
				return id;
			v->used = 0;
			old = bpf_map_lookup_elem(&series_ids, key);
			if (old)
				return *old;
		}
	}
	a->reason[REASON_SERIES_FULL]++;
	id = series__other(key);
	v = bpf_map_lookup_elem(&series, &id);
	if (v && !v->used) {
		v->key.proto = key->proto;
		v->key.role = key->role;
		v->key.status = key->status;
		v->key.part = key->part;
		v->used = 1;
	}
	return id;
}

_Static_assert(ROLE_MAX <= 64 && STATUS_MAX <= 64 && PART_MAX <= 8, "a cache word's tag");

static __always_inline struct series_val *series__get_part(struct wire_acct *a, struct conn *c,
							   __u32 route, __u32 role, __u32 status,
							   __u32 part)
{
	__u32 tag = route << 16 | part << 12 | role << 6 | status, at = tag ^ route ^ part << 2, id;
	__u64 *slot, word;

	OPAQUE(at);
	slot = &c->series_cache[at & (CONN_CACHE - 1)];
	word = *slot;
	if (word >> 32 == tag) {
		id = (__u32)word;
	} else {
		struct series_key key = {.cgroup = c->cgroup,
					 .route = route,
					 .proto = c->proto,
					 .role = role,
					 .status = status,
					 .part = part};

		id = series__find(a, &key);
		if (id >= SERIES_FIXED)
			*slot = (__u64)tag << 32 | id;
	}
	return bpf_map_lookup_elem(&series, &id);
}

static __always_inline struct series_val *series__get(struct wire_acct *a, struct conn *c,
						      __u32 route, __u32 role, __u32 status)
{
	return series__get_part(a, c, route, role, status, PART_WHOLE);
}

static __always_inline void series__extreme(__u64 *p, __u64 v, bool lower)
{
	__u64 old = *(volatile __u64 *)p, seen;
	__u32 i;

	for (i = 0; i < 16 && (!old || (lower ? v < old : v > old)); i++) {
		seen = __sync_val_compare_and_swap(p, old, v);
		if (seen == old)
			return;
		old = seen;
	}
}

/* One answered exchange. */
static __always_inline void series__add(struct series_val *v, __u64 ns, __u64 bytes)
{
	__u32 i = hist__index(ns);

	if (i >= HIST_BUCKETS)
		return;
	__sync_fetch_and_add(&v->hist.bucket[i], 1);
	__sync_fetch_and_add(&v->hist.sum, ns);
	__sync_fetch_and_add(&v->bytes, bytes);
	series__extreme(&v->hist.min, ns + 1, true);
	series__extreme(&v->hist.max, ns, false);
}

/* One without latency. */
static __always_inline void series__count(struct series_val *v, __u64 bytes)
{
	__sync_fetch_and_add(&v->count, 1);
	__sync_fetch_and_add(&v->bytes, bytes);
}

#endif
