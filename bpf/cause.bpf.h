/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which calls belong to which request, and how much of its time they took.
 *
 * The task that reads a request from a socket works on that request until it reads something else;
 * what it sends meanwhile on other sockets are the request's calls. Reading the answer of a call
 * makes the call's request the one in hand again. So it is with a thread for each request as with
 * an event loop that has many in hand, whose turns all begin with a read. A connection that was
 * opened for a request carries that request's call first: its write waits for the handshake, and
 * others are served meanwhile. An identifier in the head (traceparent, x-request-id) that one open
 * request of the process has, and no other, is better than all of this.
 *
 * A missing link is better than a wrong one: see cause__trust().
 *
 * A request is (socket cookie, number on its connection): a reference to one that has ended finds
 * nothing. It has a record from its first call to its answer.
 */
#ifndef HOPSCOPE_CAUSE_BPF_H
#define HOPSCOPE_CAUSE_BPF_H

#include "cause_call.bpf.h"

/* ---- reads */

/* A record stays that long at most, even where an answer is under way for longer. */
static __always_inline __u64 cause__kept_ns(void)
{
	return 9 * targ_timeout_ns;
}

/* When request `seq` was read; 0: not known. */
static __always_inline __u64 cause__read_ns(const struct conn *c, __u32 seq)
{
	__u32 i, first = c->cause.n_reads > CAUSE_READS ? c->cause.n_reads - CAUSE_READS : 0;
	const struct cause_read *r;

	for (i = 0; i < CAUSE_READS; i++) {
		if (first + i >= c->cause.n_reads)
			break;
		r = &c->cause.reads[(first + i) & (CAUSE_READS - 1)];
		if (seq__after(r->upto, seq))
			/* The oldest that is kept may not be the first that had it. */
			return first && !i ? 0 : r->ns;
	}
	return 0;
}

static __always_inline void conn__note_read(struct conn *c)
{
	__u32 n = c->cause.n_reads;
	struct cause_read *r;

	if (c->cause.read_upto == c->cause.asked)
		return;
	c->cause.read_upto = c->cause.asked;
	r = &c->cause.reads[n & (CAUSE_READS - 1)];
	r->upto = c->cause.asked;
	r->ns = bpf_ktime_get_ns();
	c->cause.n_reads = n + 1;
}

/*
 * The current task has read from a connection: bytes of a socket, or plaintext of TLS. Public, for
 * whoever knows of reads.
 */
__noinline int cause__read(struct conn *c)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct cause_actor *a;
	__u32 turn = CAUSE_NO_TURN;
	__u64 ref;

	if (!c)
		return 0;
	if (conn__proto(c) == PROTO_HTTP && c->cause.role == ROLE_SERVER) {
		if (targ_parts)
			conn__note_read(c);
		cause__take(c, 1);
		return 0;
	}
	a = actor__of(t);
	if (!a)
		return 0;
	ref = CAUSE_UNKNOWN;
	if (c->cause.role == ROLE_CLIENT) {
		turn = c->cause.reply_edge;
		ref = __sync_lock_test_and_set(&c->cause.replied, 0);
		if (ref)
			c->cause.opener = 0;
		if (!ref)
			ref = c->cause.calls ? c->cause.asking : CAUSE_UNKNOWN;
	} else if (c->cause.opener) {
		ref = c->cause.opener; /* a handshake of some kind */
	}
	actor__turn(a, ref, turn, t);
	return 0;
}

/* ---- a request's end */

/* `route_status`: the route in the upper half. */
__noinline int cause__part(struct wire_acct *acct, struct conn *c, __u32 route_status, __u32 part,
			   __u64 ns)
{
	struct series_val *v;

	if (!acct || !c)
		return 0;
	v = series__get_part(acct, c, route_status >> 16, ROLE_SERVER, route_status & 0xffff, part);
	if (v)
		series__add(v, ns, 0);
	return 0;
}

__noinline int cause__edge_time(struct cause_busy *b, __u64 now)
{
	struct edge_val *v;
	__u32 i, edge;
	__u64 ns;

	if (!b)
		return 0;
	edge = b->id;
	ns = busy__close(b, now);
	v = bpf_map_lookup_elem(&edges, &edge);
	i = hist__index(ns);
	if (!v || !edge || i >= HIST_BUCKETS)
		return 0;
	__sync_fetch_and_add(&v->hist.bucket[i], 1);
	__sync_fetch_and_add(&v->hist.sum, ns);
	series__extreme(&v->hist.min, ns + 1, true);
	series__extreme(&v->hist.max, ns, false);
	return 0;
}

/* Times of calls; how long any was under way. */
static __always_inline __u64 cause__children(struct wire_acct *acct, struct conn *c,
					     struct cause_parent *p, __u32 route_status, __u64 now)
{
	__u32 i;

	for (i = 0; i < CAUSE_PROTOS; i++) {
		if (p->proto[i].id)
			cause__part(acct, c, route_status, PART_HTTP + i,
				    busy__close(&p->proto[i], now));
	}
	for (i = 0; i < CAUSE_SLOTS; i++) {
		if (!p->slot[i].id)
			break;
		cause__edge_time(&p->slot[i], now);
	}
	return busy__close(&p->any, now);
}

/* The answer was sent by the task that had the request in hand, or another one? */
static __always_inline void cause__answers(struct conn *c, __u32 seq)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct cause_actor *a = actor__of(t);
	__u32 tgid = (__u32)t->tgid;
	struct cause_process *p = bpf_map_lookup_elem(&cause_processes, &tgid);

	if (p && c->cause.taken == (seq | CAUSE_TAKEN)) {
		if (c->cause.reader == (__u32)t->pid)
			p->own++;
		else
			p->moved++;
		if (p->own + p->moved > 1024) {
			p->own /= 2;
			p->moved /= 2;
		}
	}
	if (!a)
		return;
	if (a->ref == cause__ref(c, seq))
		a->acted = 1;
}

/* Where the time of a request went that has its answer. `p`: its calls; NULL: it made none. */
static __always_inline void cause__parts(struct wire_acct *acct, struct conn *c,
					 struct cause_parent *p, const struct cause_ending *e)
{
	__u64 read, whole = e->end - e->t0, any = 0, queue = 0;
	__u32 as = e->route << 16 | e->status;

	if (bpf_ktime_get_ns() - e->t0 >= cause__kept_ns()) {
		cause__count(CAUSE_FORGOTTEN);
		return;
	}
	if ((__s64)whole < 0)
		return;
	read = cause__read_ns(c, e->seq);
	if (read > e->t0 && read - e->t0 <= whole) {
		queue = read - e->t0;
		cause__part(acct, c, as, PART_QUEUE, queue);
	}
	if (p)
		any = cause__children(acct, c, p, as, e->end);
	if (queue + any > whole) {
		cause__count(CAUSE_NEGATIVE);
		any = whole - queue;
	}
	cause__part(acct, c, as, PART_SELF, whole - queue - any);
}

/*
 * A request of a server has its answer. status 0: it never gets one. `end`: when its last byte
 * passed.
 */
__noinline int cause__served(struct wire_acct *acct, struct conn *c, const struct cause_ending *e)
{
	struct cause_parent *p;
	__u64 ref;

	if (!c || !e)
		return 0;
	ref = cause__ref(c, e->seq);
	p = bpf_map_lookup_elem(&cause_parents, &ref);
	if (e->in_task)
		cause__answers(c, e->seq);
	if (targ_parts && acct && e->status)
		cause__parts(acct, c, p, e);
	if (p)
		bpf_map_delete_elem(&cause_parents, &ref);
	cause__release(c, e->seq);
	if (!seq__after(c->cause.answered, e->seq))
		c->cause.answered = seq__next(e->seq);
	/* The next one of a pipeline is in hand without another read. */
	if (e->in_task)
		cause__take(c, 0);
	return 0;
}

/* A request of a server begins. */
static __always_inline void cause__asked(struct conn *c, __u32 seq)
{
	if (c->cause.role != ROLE_SERVER || c->cause.asked == c->cause.answered)
		c->cause.answered = seq;
	c->cause.role = ROLE_SERVER;
	c->cause.asked = seq__next(seq);
}

/* ---- what the framers tell */

/* The head of a request that came in names it. A trace is better than another identifier. */
static __always_inline void cause__note_name(struct conn *c, const struct cause_event *e, __u32 seq)
{
	if (c->cause.id && c->cause.id_seq == seq && !e->status)
		return;
	if (c->cause.id) /* of the one before in a pipeline, or not as good as this */
		cause__unname(c);
	c->cause.id_seq = seq;
	c->cause.id = e->hash;
}

static __always_inline void cause__given_up(struct conn *c, __u64 seq, __u64 word)
{
	struct cause_ending e = {.seq = (__u32)seq & CAUSE_SEQ_MASK};

	if (!(word & FIFO_SERVER))
		cause__returned(c, e.seq, bpf_ktime_get_ns(), 0);
	else if (conn__proto(c) == PROTO_HTTP)
		cause__served(NULL, c, &e);
}

static __always_inline void cause__event(struct wire_acct *acct, struct conn *c,
					 const struct cause_event *e, __u32 in_task)
{
	__u32 seq = (__u32)e->id & CAUSE_SEQ_MASK;
	__u64 id = conn__proto(c) == PROTO_NATS ? e->id : seq;
	struct cause_ending end = {
		.t0 = e->began, .end = e->at, .seq = seq, .route = e->route, .in_task = in_task};

	/* Servers of Redis ask nobody. */
	if (e->server && conn__proto(c) != PROTO_HTTP)
		return;
	switch (e->what) {
	case CAUSE_OPENED:
		if (e->server)
			cause__asked(c, seq);
		else
			cause__called(c, id, e->route, e->at, in_task);
		break;
	case CAUSE_ANSWERED: end.status = e->status;
	case CAUSE_GIVEN_UP:
		if (e->server)
			cause__served(acct, c, &end);
		else
			cause__returned(c, id, end.status ? e->at : bpf_ktime_get_ns(), end.status);
		break;
	case CAUSE_NAMED:
		if (e->server)
			cause__note_name(c, e, seq);
		else
			cause__named(c, seq, e->route, e->began, e->hash);
		break;
	}
}

struct cause_hearing {
	struct wire_acct *acct;
	struct conn *conn;
	struct lane_scratch *scratch;
	__u32 in_task;
};

static long cause__next_event(__u32 i, void *ctx)
{
	struct cause_hearing *h = ctx;

	if (i < CAUSE_EVENTS)
		cause__event(h->acct, h->conn, &h->scratch->event[i], h->in_task);
	return 0;
}

/*
 * Does the connection's process serve requests? One that does not calls for nobody. (A tree tells
 * of these calls, too.)
 */
static __always_inline bool cause__serves(const struct conn *c)
{
	__u32 tgid = c->tgid;

	return targ_parts || bpf_map_lookup_elem(&cause_processes, &tgid);
}

/*
 * What the framers have told of a segment. `in_task`: the current task sends it. Public, for
 * whoever feeds framers.
 */
static __noinline int cause__hear(struct wire_acct *acct, struct conn *c, struct lane_scratch *s,
				  __u32 in_task)
{
	struct cause_hearing h = {.acct = acct, .conn = c, .scratch = s, .in_task = in_task};

	c->cause.batch = 0;
	if (s->event[0].server || cause__serves(c))
		bpf_loop(s->n_events, cause__next_event, &h, 0);
	s->n_events = 0;
	if (s->events_lost) {
		cause__count(CAUSE_EVENTS_LOST);
		s->events_lost = 0;
	}
	return 0;
}

/* ---- for the tracepoints */

/* The current task has read from a socket of which nothing is known. */
static __always_inline void cause__read_other(void)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct cause_actor *a = actor__of(t);

	if (a)
		actor__turn(a, CAUSE_UNKNOWN, CAUSE_NO_TURN, t);
}

/* Does the current task serve requests? */
static __always_inline bool cause__works(void)
{
	return actor__of(bpf_get_current_task_btf());
}

/* A task ends, perhaps with its process. Numbers are used again, and there is room for so many. */
static __always_inline void cause__exits(const struct task_struct *t)
{
	__u32 pid = (__u32)t->pid, tgid = (__u32)t->tgid;

	bpf_map_delete_elem(&cause_actors, &pid);
	if (!t->signal->live.counter)
		bpf_map_delete_elem(&cause_processes, &tgid);
}

/* It opens a connection. */
static __always_inline int cause__connect(struct conn *c)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct cause_actor *a = actor__of(t);

	c->cause.opener = CAUSE_UNKNOWN;
	if (!a)
		return 0;
	if (cause__trust(a, t) == CAUSE_BY_TASK && cause__adopt(a))
		c->cause.opener = a->ref;
	a->acted = 1;
	return 0;
}

/* What was not taken away with its exchange, which is given up after a timeout at the latest. */
static long cause__sweep_link(struct bpf_map *map, const void *key, void *value, void *ctx)
{
	const struct cause_link *l = value;

	if (l->t0 < *(const __u64 *)ctx)
		bpf_map_delete_elem(&cause_links, key);
	return 0;
}

static long cause__sweep_parent(struct bpf_map *map, const void *key, void *value, void *ctx)
{
	const struct cause_parent *p = value;

	if (p->t0 < *(const __u64 *)ctx)
		bpf_map_delete_elem(&cause_parents, key);
	return 0;
}

/* An identifier whose request is gone, and did not take it away. */
static long cause__sweep_id(struct bpf_map *map, const void *key, void *value, void *ctx)
{
	__u64 ref = *(const __u64 *)value;

	if (ref != CAUSE_UNKNOWN && !bpf_map_lookup_elem(&cause_parents, &ref))
		bpf_map_delete_elem(&cause_ids, key);
	return 0;
}

static __noinline __attribute__((unused)) int cause__sweep(void)
{
	__u64 now = bpf_ktime_get_ns(), kept = cause__kept_ns(), before;

	before = now > kept ? now - kept : 0;
	bpf_for_each_map_elem(&cause_links, cause__sweep_link, &before, 0);
	bpf_for_each_map_elem(&cause_parents, cause__sweep_parent, &before, 0);
	bpf_for_each_map_elem(&cause_ids, cause__sweep_id, &before, 0);
	return 0;
}

#endif
