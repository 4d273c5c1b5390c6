/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is remembered of a TCP socket, in the socket's own storage: it goes when the socket goes,
 * and a reused port or file descriptor never inherits it.
 */
#ifndef HOPSCOPE_CONN_BPF_H
#define HOPSCOPE_CONN_BPF_H

#include "wire.h"
#include "proto/nats_stream.h"
#include "proto/http_stream.h"
#include "proto/redis_stream.h"
#include "lane.bpf.h"
#include "named.bpf.h"

#define PF_KTHREAD     0x00200000 /* include/linux/sched.h, stable since 2.6 */
#define CONN_TRIES     32	  /* segments that are tried as NATS, whatever they begin like */
#define CONN_PEEKS     255	  /* segments until an unrecognised connection is left alone */
#define CONN_TRY_BYTES 1024	  /* of a segment, while not recognised */
#define CONN_CACHE     8

enum { IN = 0, OUT = 1 }; /* direction of a segment, seen from the socket */

struct flight_set {
	struct flight slot[FLIGHT_WAYS];
};

/*
 * Deliveries of a route to this socket since it last answered one. A subscriber that only listens
 * would fill the tables with exchanges that nobody closes: once LISTENER_SILENT of them timed out,
 * or LISTENER_OPEN were made (of all routes of the socket, too), only one in LISTENER_PROBE opens
 * an exchange, to notice when it begins to answer. The second number is far above what a responder
 * has in hand before its first answer.
 */
struct listener {
	__u16 route;
	__u8 silent;
	__u8 skipped;
	__u32 open;
};

/* Of a connection where answers come in order. */
struct stream_conn {
	__u64 begin_ns[2];  /* when the unit under way began, by direction */
	__u64 last_ns;	    /* of an answer that the connection's end ends: its last byte */
	__u32 begin_seq[2]; /* where: TCP sequence number of its first byte */
	union {
		struct {
			struct http_pair pair;
			struct http_dir dir[2];
		} http;
		struct {
			struct redis_pair pair;
			struct redis_dir dir[2];
		} redis;
	};
	struct fifo_entry first[FIFO_FIRST];
	__u32 at[FIFO_FIRST]; /* begin_seq of these */
};

#define LISTENERS	16
#define LISTENER_SILENT 32
#define LISTENER_OPEN	4096
#define LISTENER_PROBE	64

struct conn {
	__u64 cookie; /* 0: no segment passed yet, only the owner is known */
	__u64 cgroup;
	__u64 lost_ns[2]; /* when the direction last missed or passed over bytes */
	__u32 lock[2];	  /* a direction is parsed on one CPU at a time */
	__u32 next_seq[2];
	__u32 cpu[2]; /* that parsed the direction last */
	__u32 tgid;   /* 0: owner not known yet */
	__u32 born;   /* when it began, in about ms: numbers of processes are used again */
	__u32 relay_epoch;
	__u32 attach_epoch;
	char comm[COMM_LEN];
	__u16 port_local;
	__u16 port_remote;
	__u8 has_seq[2];
	__u8 proto;   /* enum wire_proto */
	__u8 filter;  /* enum conn_filter */
	__u8 claimed; /* a port that was asked for: what is not understood there is counted */
	__u8 tries;
	__u8 verbs;	  /* VERB_* this socket was seen to carry */
	__u8 verbs_told;  /* of them, those that its process is known for */
	__u8 relay;	  /* its process is a forwarder */
	__u8 flights;	  /* an exchange did not fit into `first`: the socket has a table */
	__u8 kind;	  /* enum nats_kind */
	__u8 named;	  /* enum conn_filter: the verdict on its cgroup's names */
	__u32 known;	  /* counted as recognised */
	__u32 overflow;	  /* how many of its exchanges are in the overflow map, at most */
	__u8 trying;	  /* enum wire_proto whose state this is while `proto` is PROTO_NEW */
	__u8 plain;	  /* a TLS socket whose text is read by bpf/tls.bpf.c */
	__u8 fresh;	  /* nothing had passed when it was first seen */
	__u8 outside;	  /* its port or cgroup was not asked for, whoever owns it */
	__u64 last_route; /* hash and route of the last subject or path, as in route_cache */
	struct hop_conn hops;
	union {
		struct { /* NATS, and as long as nothing else looks likely */
			struct nats_dir nats[2];
			struct flight_set first[2];	      /* by direction; see flight.bpf.h */
			struct listener listeners[LISTENERS]; /* by route */
		};
		struct stream_conn stream; /* HTTP, Redis */
	};
	struct cause_conn cause;
	__u64 series_cache[CONN_CACHE]; /* route, role, status and index of a series, in one word */
	__u64 bytes_opaque;		/* where nothing is read (HTTP/2, TLS): all that is known */
	__u64 bytes_told;		/* of them, those that a lane counts already */
	__u32 answers;	  /* a delivery was answered: it is not one that only listens */
	__u32 unanswered; /* deliveries since then that were followed */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn);
} conns SEC(".maps");

/*
 * `lost_ns` of connections with exchanges in the overflow map (flight.bpf.h): their sockets are not
 * at hand when those are given up.
 */
struct conn_lost {
	__u64 ns[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* cookie */
	__type(value, struct conn_lost);
} conns_lost SEC(".maps");

/*
 * For those in the overflow map, which are given up without their socket. Key and value are copies,
 * and on a stack of their own, see scratch__again().
 */
static __noinline int conn__tell_lost(const struct conn *c)
{
	struct conn_lost lost = {.ns = {c->lost_ns[0], c->lost_ns[1]}};
	__u64 cookie = c->cookie;

	bpf_map_update_elem(&conns_lost, &cookie, &lost, BPF_ANY);
	return 0;
}

/* The direction missed or passed over bytes. */
static __always_inline void conn__lost(struct conn *c, __u32 dir)
{
	c->lost_ns[dir & 1] = bpf_ktime_get_ns();
	if (*(volatile __u32 *)&c->overflow)
		conn__tell_lost(c);
}

/*
 * BPF_PROG_TEST_RUN makes a new socket for every run. For the tests, and only for them, the state
 * of some connections is kept in an array; a connection is the sum of its ports.
 */
const volatile bool targ_test;
const volatile __u32 targ_test_conns = 4; /* a power of two */

const volatile bool targ_tree; /* which calls belong to which request: cause.bpf.h */
const volatile bool targ_hops; /* which sockets an exchange passes: hops.bpf.h */

const volatile bool targ_parts; /* with targ_tree: how much of a request's time its calls took */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct conn);
} test_conns SEC(".maps");

/* Raised by every attach: what passed in between was not seen, and is not a gap. */
__u32 attach_epoch SHARED = 1;

const volatile __u32 targ_protos = ~0u; /* bit (enum wire_proto): wanted */
const volatile __u32 targ_pids[16];
const volatile __u32 targ_n_pids;
const volatile char targ_comms[16][COMM_LEN];
const volatile __u32 targ_n_comms;
const volatile __u16 targ_ports[16];
const volatile __u32 targ_n_ports;
const volatile __u64 targ_cgroups[16];
const volatile __u32 targ_cgroup_levels[16];
const volatile __u32 targ_n_cgroups;

/* Segments of sockets without a known owner: the reader then looks through all files again. */
__u64 owners_wanted SHARED = 0;

static __always_inline bool filter__ports(__u16 local, __u16 remote)
{
	__u32 i;

	for (i = 0; i < 16 && i < targ_n_ports; i++) {
		if (targ_ports[i] == local || targ_ports[i] == remote)
			return true;
	}
	return false;
}

static __always_inline bool filter__port(const struct conn *c)
{
	return filter__ports(c->port_local, c->port_remote);
}

static __always_inline bool filter__cgroup(struct __sk_buff *skb)
{
	__u32 i;

	for (i = 0; i < 16 && i < targ_n_cgroups; i++) {
		if (bpf_skb_ancestor_cgroup_id(skb, targ_cgroup_levels[i]) == targ_cgroups[i])
			return true;
	}
	return false;
}

static __always_inline bool filter__comm(const struct conn *c)
{
	__u32 i, k;

	for (i = 0; i < 16 && i < targ_n_comms; i++) {
		for (k = 0; k < COMM_LEN; k++) {
			if (targ_comms[i][k] != c->comm[k])
				break;
			if (!c->comm[k])
				return true;
		}
		if (k == COMM_LEN)
			return true;
	}
	return false;
}

static __always_inline bool filter__pid(const struct conn *c)
{
	__u32 i;

	for (i = 0; i < 16 && i < targ_n_pids; i++) {
		if (targ_pids[i] == c->tgid)
			return true;
	}
	return false;
}

static __always_inline bool filter__owned(const struct conn *c)
{
	return (!targ_n_comms || filter__comm(c)) && (!targ_n_pids || filter__pid(c));
}

/* Not for good: somebody else may have been taken for its owner, or holds it, too. */
static __always_inline void filter__stop(struct conn *c)
{
	c->filter = FILTER_STOP;
	c->fresh = 0; /* what is read later is not its first bytes */
}

/* For good. */
static __always_inline void filter__outside(struct conn *c)
{
	c->filter = FILTER_STOP;
	c->outside = 1;
}

/*
 * pid and comm, whenever the owner is known anew (the thread group's id is what ps calls pid), and
 * the names of the cgroup, once userspace knows them.
 */
static __noinline void filter__decide(struct conn *c)
{
	bool owned = !targ_n_pids && !targ_n_comms;

	if (c->filter == FILTER_PASS || c->outside || !c->cookie)
		return;
	if (targ_named && c->named == FILTER_UNDECIDED)
		c->named = (__u8)named__verdict(c->cgroup);
	if (!owned && c->tgid) {
		owned = filter__owned(c);
		if (!owned)
			filter__stop(c);
	}
	if (targ_named && c->named == FILTER_STOP)
		filter__stop(c);
	else if (owned && (!targ_named || c->named == FILTER_PASS))
		c->filter = FILTER_PASS;
}

/* Port and cgroup, when the socket is first seen. */
static __always_inline void filter__socket(struct __sk_buff *skb, struct conn *c)
{
	if ((targ_n_ports && !filter__port(c)) || (targ_n_cgroups && !filter__cgroup(skb)))
		filter__outside(c);
	else
		filter__decide(c);
}

/*
 * The process's name, which is its first thread's: others are called what they do.
 * Typed reads, not bpf_probe_read_kernel(): lockdown's "confidentiality" refuses that one.
 */
static __always_inline void conn__set_owner(struct conn *c, struct task_struct *thread)
{
	struct task_struct *t = thread->group_leader;
	__u64 *to = (__u64 *)c->comm;

	_Static_assert(sizeof(t->comm) == COMM_LEN, "TASK_COMM_LEN");
	to[0] = *(__u64 *)&t->comm[0];
	to[1] = *(__u64 *)&t->comm[8];
	c->born = (__u32)(t->start_time >> 20);
	c->tgid = t->tgid;
	filter__decide(c);
}

/*
 * A sender is usually in process context when its segment passes. This guess names short-lived
 * connections at once; the reader's walk over all open files corrects it where a softirq sent.
 */
static __always_inline void conn__guess_owner(struct conn *c)
{
	struct task_struct *t = bpf_get_current_task_btf();

	if (t->flags & PF_KTHREAD)
		return;
	conn__set_owner(c, t);
}

static __always_inline bool proto__wanted(__u32 proto)
{
	return targ_protos & (1u << (proto & 31));
}

/* Ports where bytes that are not understood are worth counting: NATS and its routes, Redis. */
static __always_inline bool port__usual(__u16 port)
{
	if (port == 6379)
		return proto__wanted(PROTO_REDIS);
	return (port == 4222 || port == 6222) && proto__wanted(PROTO_NATS);
}

/* Is this segment one of the connection's first? SYN counts as an acknowledged byte. */
static __always_inline bool sock__is_fresh(struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);

	return tp && !tp->bytes_received && tp->bytes_acked <= 1;
}

static __always_inline struct conn *conn__create(struct __sk_buff *skb, struct bpf_sock *sk,
						 __u16 local, __u16 remote)
{
	__u32 at = (local + remote) & (targ_test_conns - 1);
	struct conn *c;

	if (targ_test)
		c = bpf_map_lookup_elem(&test_conns, &at);
	else
		c = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c || c->cookie)
		return c;
	c->cookie = bpf_get_socket_cookie(skb);
	c->cgroup = bpf_skb_cgroup_id(skb);
	c->port_local = local;
	c->port_remote = remote;
	c->fresh = sock__is_fresh(sk);
	c->claimed = filter__port(c) || port__usual(local) || port__usual(remote);
	filter__socket(skb, c);
	return c;
}

/* A direction of a stream whose place is not known any more; what it is stays. */
static __always_inline void stream_dir__reset(struct stream_dir *s)
{
	s->skip = s->bytes = 0;
	s->kept = 0;
	s->sync = STREAM_LOST;
	s->begun = 0;
}

/* Whose answers come is not known from here on; the requests' numbers go on. */
static __always_inline void stream_conn__start_over(struct stream_conn *s, __u32 proto)
{
	if (proto == PROTO_HTTP) {
		stream_dir__reset(&s->http.dir[IN].s);
		stream_dir__reset(&s->http.dir[OUT].s);
		s->http.dir[IN].state = s->http.dir[OUT].state = HTTP_S_START;
		s->http.pair.aligned = 0;
		s->http.pair.busy = 0;
	} else {
		stream_dir__reset(&s->redis.dir[IN].s);
		stream_dir__reset(&s->redis.dir[OUT].s);
		s->redis.dir[IN].state = s->redis.dir[OUT].state = REDIS_S_ELEMENT;
		s->redis.dir[IN].left = s->redis.dir[OUT].left = 0;
		s->redis.dir[IN].passed = s->redis.dir[OUT].passed = s->redis.pair.passed;
		s->redis.pair.aligned = 0;
		s->redis.pair.busy = 0;
	}
}

/* Packets passed unseen between a detach and this attach: start over, without counting a gap. */
static __noinline void conn__start_over(struct conn *c, __u32 epoch)
{
	if (c->attach_epoch)
		c->fresh = 0;
	c->attach_epoch = epoch;
	c->has_seq[IN] = c->has_seq[OUT] = 0;
	conn__lost(c, IN);
	conn__lost(c, OUT);
	if (c->proto == PROTO_HTTP || c->proto == PROTO_REDIS) {
		stream_conn__start_over(&c->stream, c->proto);
		return;
	}
	if (c->trying) {
		__builtin_memset(&c->stream, 0, sizeof(c->stream));
		c->trying = 0;
		return;
	}
	c->nats[IN].sync = c->nats[OUT].sync = NATS_LOST;
	c->nats[IN].skip = c->nats[OUT].skip = 0;
	c->nats[IN].line = c->nats[OUT].line = 0;
	c->nats[IN].kept = c->nats[OUT].kept = 0;
	c->nats[IN].trailer = c->nats[OUT].trailer = 0;
}

/*
 * Incoming segments pass us before the kernel locks the socket. On loopback two of a connection can
 * do so on two CPUs at once, and overtake each other (the sender moved to another CPU, or an
 * acknowledgement made the other one send). So a segment waits for the one in front of it: for a
 * bounded time, about what parsing a large segment takes, and only where the direction was last
 * parsed on another CPU. With a network card's flows, which stay on one CPU, and with segments that
 * were really lost, nobody waits.
 */
#define WAIT_TURNS 8192

struct wait {
	struct conn *conn;
	__u64 until; /* keeps the clock read, which is our pause, from being optimised away */
	__u32 dir;
	__u32 seq;
};

static long wait__lock(__u32 i, void *ctx)
{
	struct wait *w = ctx;
	__u32 *lock = &w->conn->lock[w->dir & 1];

	w->until = bpf_ktime_get_ns();
	return !*(volatile __u32 *)lock;
}

static long wait__turn(__u32 i, void *ctx)
{
	struct wait *w = ctx;

	w->until = bpf_ktime_get_ns();
	return (__s32)(w->seq - *(volatile __u32 *)&w->conn->next_seq[w->dir & 1]) <= 0;
}

static __noinline void conn__wait_turn(struct conn *c, __u32 dir, __u32 seq)
{
	struct wait w = {.conn = c, .dir = dir, .seq = seq};

	bpf_loop(WAIT_TURNS, wait__turn, &w, 0);
}

static __noinline bool conn__wait_lock(struct conn *c, __u32 dir)
{
	struct wait w = {.conn = c, .dir = dir};
	__u32 i;

	/* Another waiter may be quicker: a few tries. */
	for (i = 0; i < 4; i++) {
		bpf_loop(WAIT_TURNS, wait__lock, &w, 0);
		if (!__sync_lock_test_and_set(&c->lock[dir & 1], 1))
			return true;
	}
	return false;
}

/* True: locked, and as far as could be known it is this segment's turn. */
static __always_inline bool conn__lock(struct conn *c, __u32 dir, __u32 seq)
{
	__u32 cpu = bpf_get_smp_processor_id();

	if (c->cpu[dir] != cpu && c->has_seq[dir] && (__s32)(seq - c->next_seq[dir]) > 0)
		conn__wait_turn(c, dir, seq);
	if (__sync_lock_test_and_set(&c->lock[dir], 1) && !conn__wait_lock(c, dir))
		return false;
	c->cpu[dir] = cpu;
	return true;
}

static __always_inline void conn__unlock(struct conn *c, __u32 dir)
{
	STORE_RELEASE(&c->lock[dir], 0);
}

#endif
