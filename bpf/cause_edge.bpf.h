/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is kept of requests and their calls: records, edges, both ends of a connection. See
 * cause.bpf.h.
 */
#ifndef HOPSCOPE_CAUSE_EDGE_BPF_H
#define HOPSCOPE_CAUSE_EDGE_BPF_H

#include "cause.h"
#include "fifo.bpf.h"
#include "hop_id.bpf.h"

const volatile __u32 targ_max_edges = 256;

#define CAUSE_SLOTS    8
#define CAUSE_UNKNOWN  1ULL /* a reference to no request: one is in hand, but which? */
#define CAUSE_CLOSED   (1u << 16)
#define CAUSE_NO_TURN  (~0u) /* a reading of which nothing is expected (a handshake) */
#define CAUSE_TAKEN    (1u << 16)
#define CAUSE_DEFER_IN 16 /* readings of a kind until it is judged, */
#define CAUSE_DEFER_OF 8  /* and one in so many without a call or an answer is too many */

enum cause_proto { CAUSE_HTTP = 0, CAUSE_REDIS = 1, CAUSE_NATS = 2, CAUSE_PROTOS = 3 };

/*
 * Time in which at least one of several things was under way. Counting up from 0 subtracts the
 * moment, counting down to 0 adds it: the sum is right in whatever order the CPUs do it.
 */
struct cause_busy {
	__u64 ns;
	__u32 n;
	__u32 id; /* what it is; see its user */
};

struct cause_parent {
	__u64 t0;
	__u64 cgroup;
	__u64 hop; /* with targ_hops: see hop__id_at() */
	__u32 route;
	__u32 tgid;
	struct cause_busy any;
	struct cause_busy proto[CAUSE_PROTOS];
	struct cause_busy slot[CAUSE_SLOTS]; /* id: edge, 0: free */
};

struct cause_link_key {
	__u64 cookie;
	__u64 id; /* number, or hash of the reply subject */
};

/* Readings of a kind (a request, answers of an edge), and after how many the task did nothing. */
struct cause_turns {
	__u32 all;
	__u32 idle;
};

/* A task that reads requests. */
struct cause_actor {
	__u64 born;	/* start_time: numbers of tasks are used again */
	__u64 ref;	/* the request in hand; 0: none, CAUSE_UNKNOWN */
	__u64 slept;	/* nvcsw, when it was taken in hand */
	__u64 read_ref; /* the request read last, of which the rest is */
	__u64 t0;
	__u64 cgroup;
	__u64 hop;
	__u32 route;
	__u32 open; /* requests it has read that are not answered */
	__u32 tgid;
	__u32 turn;  /* what began this turn: an edge, 0: a request */
	__u32 acted; /* has sent something since */
	__u32 pad;
};

struct cause_process {
	__u32 open;
	__u32 own;   /* answers sent by the task that had the request in hand */
	__u32 moved; /* by another one */
	__u32 pad;
	struct cause_turns requests;
};

struct cause_id_key {
	__u64 id;
	__u64 tgid;
};

struct cause_end {
	__u64 cookie;
	__u64 cgroup;
};

/* How a request of a server ended. */
struct cause_ending {
	__u64 t0;
	__u64 end;
	__u32 seq;
	__u32 route;
	__u32 status; /* 0: it never gets an answer */
	__u32 in_task;
};

#define CAUSE_MAP(name, kind, n, k, v)  \
	struct {                        \
		__uint(type, kind);     \
		__uint(max_entries, n); \
		__type(key, k);         \
		__type(value, v);       \
	} name SEC(".maps")

/* Sizes are those with targ_tree; without it, user space makes them 1. What is refused counts. */
CAUSE_MAP(cause_parents, BPF_MAP_TYPE_HASH, 16384, __u64, struct cause_parent);
CAUSE_MAP(cause_links, BPF_MAP_TYPE_HASH, 16384, struct cause_link_key, struct cause_link);
CAUSE_MAP(cause_actors, BPF_MAP_TYPE_HASH, 16384, __u32, struct cause_actor);
CAUSE_MAP(cause_processes, BPF_MAP_TYPE_HASH, 4096, __u32, struct cause_process);
CAUSE_MAP(cause_ids, BPF_MAP_TYPE_HASH, 16384, struct cause_id_key, __u64);
CAUSE_MAP(edge_ids, BPF_MAP_TYPE_HASH, 1, struct edge_key, __u32);

/* The two ends of a connection on this host meet by the first sequence number that both see. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set before loading, as of the next two */
	__type(key, __u32);
	__type(value, struct cause_end);
} cause_meet SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);   /* cookie */
	__type(value, __u64); /* cgroup of the other end */
} cause_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct edge_val);
} edges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cause_stats);
} cause_counts SEC(".maps");

/* What a new record is made of: too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cause_parent);
} cause_blank SEC(".maps");

static __always_inline void cause__count(__u32 what)
{
	__u32 zero = 0;
	struct cause_stats *s = bpf_map_lookup_elem(&cause_counts, &zero);

	if (s)
		__sync_fetch_and_add(&s->count[what & (CAUSE_COUNTS - 1)], 1);
}

/* fifo.bpf.h knows of a number no more than this once the request is in its slot. */
#define CAUSE_SEQ_MASK (FIFO_FIRST * (FIFO_TAG_MASK + 1) - 1)

/* Is number a behind b? */
static __always_inline bool seq__after(__u32 a, __u32 b)
{
	return ((a - b) & CAUSE_SEQ_MASK) - 1 < CAUSE_SEQ_MASK / 2;
}

static __always_inline __u32 seq__next(__u32 seq)
{
	return (seq + 1) & CAUSE_SEQ_MASK;
}

static __always_inline __u64 cause__ref(const struct conn *c, __u32 seq)
{
	/* The uppermost bit tells numbers of sockets from those that tls.bpf.c gives. */
	return c->cookie << 15 | (c->cookie & 1ULL << 63) | (seq & CAUSE_SEQ_MASK);
}

static __always_inline __u32 conn__proto(const struct conn *c)
{
	return c->proto ? c->proto : c->trying;
}

/* ---- time under way */

static __always_inline void busy__begin(struct cause_busy *b, __u64 now)
{
	if (__sync_fetch_and_add(&b->n, 1) == 0)
		__sync_fetch_and_add(&b->ns, -now);
}

static __always_inline void busy__end(struct cause_busy *b, __u64 now)
{
	if (__sync_fetch_and_add(&b->n, -1) == 1)
		__sync_fetch_and_add(&b->ns, now);
}

/* At the request's end; what ends later finds the count closed. */
static __always_inline __u64 busy__close(struct cause_busy *b, __u64 now)
{
	__u32 n = __sync_fetch_and_add(&b->n, CAUSE_CLOSED);
	__u64 ns = *(volatile __u64 *)&b->ns;

	/* Or the last one has just been counted down, and its moment is still to be added. */
	if ((n & (CAUSE_CLOSED - 1)) || (__s64)ns < 0)
		ns += now;
	return (__s64)ns < 0 ? 0 : ns;
}

/* ---- edges */

static __always_inline __u32 edge__find(const struct edge_key *key)
{
	__u32 zero = 0, id, *old;
	struct cause_stats *s;
	struct edge_val *v;

	old = bpf_map_lookup_elem(&edge_ids, key);
	if (old)
		return *old;
	s = bpf_map_lookup_elem(&cause_counts, &zero);
	if (!s)
		return 0;
	if (*(volatile __u32 *)&s->edges_used + EDGES_FIRST < targ_max_edges) {
		id = __sync_fetch_and_add(&s->edges_used, 1) + EDGES_FIRST;
		v = id < targ_max_edges ? bpf_map_lookup_elem(&edges, &id) : NULL;
		if (v) {
			v->key = *key;
			__sync_fetch_and_add(&v->used, 1);
			if (!bpf_map_update_elem(&edge_ids, key, &id, BPF_NOEXIST))
				return id;
			v->used = 0;
			old = bpf_map_lookup_elem(&edge_ids, key);
			if (old)
				return *old;
		}
	}
	cause__count(CAUSE_EDGES_FULL);
	return 0;
}

/*
 * The edge of a call; the connection remembers the last one. Global, as the larger ones below: the
 * verifier looks once, not at every place that calls.
 */
__noinline __u32 cause__edge(struct conn *c, const struct cause_parent *p, __u32 kind, __u32 route)
{
	struct edge_key key = {.child_route = route, .kind = (__u8)kind};
	__u64 tag = (__u64)kind << 48 | (__u64)route << 16;
	__u32 id;

	if (!c)
		return 0;
	key.child_cgroup = c->cgroup;
	key.remote_port = c->port_remote;
	key.child_proto = (__u8)conn__proto(c);
	key.family = c->cause.family;
	if (p)
		tag |= p->route;
	if (c->cause.edge_tag == tag && (!p || c->cause.edge_cgroup == p->cgroup))
		return c->cause.edge;
	__builtin_memcpy(key.remote, c->cause.remote, sizeof(key.remote));
	if (p) {
		key.parent_cgroup = p->cgroup;
		key.parent_route = p->route;
		key.parent_proto = PROTO_HTTP;
	}
	id = edge__find(&key);
	if (id) {
		c->cause.edge = id;
		c->cause.edge_cgroup = key.parent_cgroup;
		c->cause.edge_tag = tag;
	}
	return id;
}

/* ---- both ends of a connection */

/* The first payload of a connection that was seen on this socket. */
__noinline int cause__meet(struct conn *c, __u32 dir, __u32 seq)
{
	struct cause_end e = {}, *other;

	if (!c)
		return 0;
	e.cookie = c->cookie;
	e.cgroup = c->cgroup;

	c->cause.met = 1;
	if (dir == OUT) {
		bpf_map_update_elem(&cause_meet, &seq, &e, BPF_ANY);
		return 0;
	}
	other = bpf_map_lookup_elem(&cause_meet, &seq);
	if (!other)
		return 0;
	c->cause.peer = other->cgroup;
	bpf_map_update_elem(&cause_peers, &other->cookie, &e.cgroup, BPF_ANY);
	return 0;
}

#define CAUSE_PEER_TRIES 4

static __always_inline void cause__callee(struct conn *c, struct edge_val *v)
{
	__u64 cookie = c->cause.socket ? c->cause.socket : c->cookie, *peer;

	if (!c->cause.peer) {
		if (c->cause.peer_tries >= CAUSE_PEER_TRIES)
			return;
		c->cause.peer_tries++;
		peer = bpf_map_lookup_elem(&cause_peers, &cookie);
		if (!peer)
			return;
		c->cause.peer = *peer;
	}
	if (v->callee == c->cause.peer)
		return;
	if (v->callee)
		__sync_fetch_and_add(&v->callees, 1);
	v->callee = c->cause.peer;
}

#endif
