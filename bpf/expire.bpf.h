/* SPDX-License-Identifier: GPL-2.0-only */
/* Exchanges that end without an answer: too old, or their connection ended. */
#ifndef HOPSCOPE_EXPIRE_BPF_H
#define HOPSCOPE_EXPIRE_BPF_H

#include "feed.bpf.h"

struct expire_ctx {
	struct wire_acct *acct;
	struct conn *conn;
	struct lane_scratch *scratch; /* the connection has ended; else NULL */
	union {			      /* by protocol: the stack is short */
		struct flights *flights;
		struct fifo_ring *ring; /* that with even numbers, then the other one */
	};
	struct fifo_ring *odd;
	__u64 before; /* entries older than this go */
	__u64 cookie; /* != 0: entries of this socket only */
	__u32 reason;
	__u32 answered;	 /* number of the request whose answer comes next, and */
	__u32 answering; /* whether it is under way: it is not given up */
};

/* The moment `ns` ago; 0: before the machine came up. */
static __always_inline __u64 expire__ago(__u64 ns)
{
	__u64 now = bpf_ktime_get_ns();

	return now > ns ? now - ns : 0;
}

static __always_inline void expire__one(struct expire_ctx *e, struct flight *f)
{
	__u64 id = *(volatile __u64 *)&f->id;

	if (!id || f->t0 >= e->before)
		return;
	/* One that makes room for another goes without this: its request's end is then its own. */
	if (targ_tree && f->role == ROLE_CLIENT)
		cause__returned(e->conn, id, bpf_ktime_get_ns(), 0);
	flight__expire(e->acct, e->conn, f, e->reason);
}

static long expire__slot(__u32 i, void *ctx)
{
	struct expire_ctx *e = ctx;

	if (i >= FLIGHT_SLOTS)
		return 1;
	expire__one(e, &e->flights->set[i / FLIGHT_WAYS].slot[i & (FLIGHT_WAYS - 1)]);
	return 0;
}

static long expire__first(__u32 i, void *ctx)
{
	struct expire_ctx *e = ctx;

	expire__one(e, &e->conn->first[(i / FLIGHT_WAYS) & 1].slot[i & (FLIGHT_WAYS - 1)]);
	return 0;
}

static __always_inline void expire__entry(struct expire_ctx *e, struct fifo_entry *f, __u32 slot)
{
	struct exchange x = {.word = *(volatile __u64 *)&f->word};

	if (!x.word)
		return;
	x.t0 = f->t0;
	x.seq = fifo__seq_of(x.word, slot);
	if (e->reason == REASON_TIMEOUT &&
	    (x.t0 >= e->before || (x.word & FIFO_BLOCKING) ||
	     (e->answering && fifo__tag_of(x.word) == fifo__tag(e->answered) &&
	      ((slot ^ e->answered) & (FIFO_FIRST - 1)) == 0)))
		return;
	if (__sync_val_compare_and_swap(&f->word, x.word, 0) != x.word)
		return;
	fifo__give_up(e->acct, e->conn, &x, e->reason);
	if (targ_tree)
		cause__given_up(e->conn, x.seq, x.word);
}

static long expire__fifo(__u32 i, void *ctx)
{
	struct expire_ctx *e = ctx;

	expire__entry(e, &e->conn->stream.first[i & (FIFO_FIRST - 1)], i);
	return 0;
}

static long expire__ring(__u32 i, void *ctx)
{
	struct expire_ctx *e = ctx;

	if (i >= FIFO_SLOTS)
		return 1;
	expire__entry(e, &e->ring->slot[i], i);
	return 0;
}

static __always_inline void expire__stream(struct expire_ctx *e)
{
	struct conn *c = e->conn;

	if (c->proto == PROTO_HTTP) {
		e->answering = c->stream.http.pair.busy;
		e->answered = c->stream.http.pair.answered;
		if (e->scratch) {
			http__closed(c, e->acct, e->scratch, IN, e->ring, e->odd);
			http__closed(c, e->acct, e->scratch, OUT, e->ring, e->odd);
		}
	} else {
		e->answering = c->stream.redis.pair.busy;
		e->answered = c->stream.redis.pair.answered;
	}
	bpf_loop(FIFO_FIRST, expire__fifo, e, 0);
	if (e->ring)
		bpf_loop(FIFO_SLOTS, expire__ring, e, 0);
	e->ring = e->odd;
	if (e->ring)
		bpf_loop(FIFO_SLOTS, expire__ring, e, 0);
}

/* Bytes of connections that nobody reads go to a lane from time to time. */
static __always_inline void expire__opaque(struct wire_acct *a, struct conn *c)
{
	__u64 told = c->bytes_told, now = *(volatile __u64 *)&c->bytes_opaque, n = now - told;

	if (!n || __sync_val_compare_and_swap(&c->bytes_told, told, now) != told)
		return;
	if (c->plain) /* read elsewhere: bpf/tls.bpf.c */
		return;
	a->bytes_opaque += n;
	if (c->claimed) {
		a->bytes_seen += n;
		acct__unparsed(a, n, REASON_UNKNOWN);
	}
}

/*
 * Nothing was answered, maybe, and so nobody has looked. On a stack of its own, see
 * flight__expire(), and global: verified once, and not with all that comes behind it.
 */
__noinline int expire__relay(struct conn *c)
{
	if (c)
		relay__look(c);
	return 0;
}

/* Gives up what is old enough in the connection's own places: its tables are in *e, where it has
 * any. */
static __always_inline void expire__conn(struct expire_ctx *e)
{
	__u32 proto = e->conn->proto;

	if (proto__is_stream(proto)) {
		expire__stream(e);
		return;
	}
	if (proto != PROTO_NATS) {
		expire__opaque(e->acct, e->conn);
		return;
	}
	expire__relay(e->conn);
	bpf_loop(2 * FLIGHT_WAYS, expire__first, e, 0);
	if (e->flights)
		bpf_loop(FLIGHT_SLOTS, expire__slot, e, 0);
}

/* See flight__why(). */
static __always_inline __u32 expire__why(const struct overflow_key *k, const struct flight *f,
					 __u32 reason)
{
	const struct conn_lost *lost = bpf_map_lookup_elem(&conns_lost, &k->cookie);

	if (lost && lost->ns[!(f->dir & 1)] > f->t0)
		return REASON_GAP_LOST;
	return reason == REASON_TIMEOUT && !role__asks(f->role) ? REASON_NOT_ANSWERED : reason;
}

static long expire__overflow(struct bpf_map *map, const void *key, void *value, void *ctx)
{
	struct expire_ctx *e = ctx;
	const struct overflow_key *k = key;
	struct overflow_val *v = value;
	struct flight f = v->flight;
	struct series_key sk = {.cgroup = v->cgroup,
				.route = f.route,
				.proto = (__u8)v->proto,
				.role = (__u8)relay__named(v->relay, f.role),
				.status = STATUS_UNANSWERED};
	__u32 id;

	if (f.t0 >= e->before || (e->cookie && e->cookie != k->cookie) ||
	    bpf_map_delete_elem(&flight_overflow, key))
		return 0;
	id = series__find(e->acct, &sk);
	flight__give_up(e->acct, bpf_map_lookup_elem(&series, &id), &f,
			expire__why(k, &f, e->reason));
	return 0;
}

/* And, when it ends, in the map for all. */
static __always_inline void expire__overflowed(struct expire_ctx *e)
{
	if (e->conn->proto != PROTO_NATS || !e->conn->overflow)
		return;
	e->cookie = e->conn->cookie;
	bpf_for_each_map_elem(&flight_overflow, expire__overflow, e, 0);
	bpf_map_delete_elem(&conns_lost, &e->cookie);
}

#endif
