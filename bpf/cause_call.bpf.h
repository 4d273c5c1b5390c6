/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls: whose they are, when they begin and end. See cause.bpf.h. */
#ifndef HOPSCOPE_CAUSE_CALL_BPF_H
#define HOPSCOPE_CAUSE_CALL_BPF_H

#include "cause_task.bpf.h"

/*
 * May what the task sends now be a call of the request it has in hand? Not when it cannot be told
 * from work for others: with several requests open, when the task has slept since it read (a timer,
 * or a queue, woke it up, not a read), when reads like this one are often followed by nothing
 * (then, too, what follows is likely a timer's), or when the process hands requests from
 * thread to thread.
 */
static __always_inline __u32 cause__trust(struct cause_actor *a, const struct task_struct *t)
{
	__u32 tgid = a->tgid;
	struct cause_process *p;

	if (a->ref <= CAUSE_UNKNOWN)
		return CAUSE_NO_REQUEST;
	p = bpf_map_lookup_elem(&cause_processes, &tgid);
	if (p && p->open > 1 && p->moved * 16 > p->own)
		return CAUSE_MOVED;
	if (a->open <= 1)
		return CAUSE_BY_TASK;
	if (a->slept != t->nvcsw)
		return CAUSE_STALE;
	return actor__defers(a) ? CAUSE_DEFERRED : CAUSE_BY_TASK;
}

/* Whose call is it that a task sends on a socket? The request, which has a record; 0: not known. */
__noinline __u64 cause__whose(struct conn *c, __u32 in_task)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct cause_actor *a;
	__u64 ref;
	__u32 why;

	if (!c)
		return 0;
	a = in_task ? actor__of(t) : NULL;
	/* Until the first answer: a pipeline may be written at once, or one by one. */
	ref = c->cause.opener;
	/* Or a relay opened it before there was a request: with one in hand, it is that one's. */
	if (ref == CAUSE_UNKNOWN && !(a && a->open == 1)) {
		c->cause.batch_why = CAUSE_NO_REQUEST;
		return 0;
	}
	if (ref > CAUSE_UNKNOWN && bpf_map_lookup_elem(&cause_parents, &ref)) {
		c->cause.batch_why = CAUSE_BY_CONNECT;
		return ref;
	}
	c->cause.opener = 0;
	if (!a) {
		c->cause.batch_why = CAUSE_NO_TASK;
		return 0;
	}
	why = cause__trust(a, t);
	a->acted = 1; /* trusted or not, or distrust would feed itself */
	if (why == CAUSE_BY_TASK) {
		ref = a->ref;
		if (!cause__adopt(a)) {
			why = CAUSE_NO_REQUEST;
			ref = 0;
		}
	}
	c->cause.batch_why = why;
	return ref;
}

static __always_inline __u32 cause__proto(__u32 proto)
{
	return proto == PROTO_HTTP ? CAUSE_HTTP : proto == PROTO_REDIS ? CAUSE_REDIS : CAUSE_NATS;
}

/* The request's place `slot` for an edge. NULL: it has none. */
static __always_inline struct cause_busy *parent__at(struct cause_parent *p, __u32 slot)
{
	if (slot >= CAUSE_SLOTS)
		return NULL;
	OPAQUE(slot); /* the mask stays, where the check is on another copy of it */
	return &p->slot[slot & (CAUSE_SLOTS - 1)];
}

static __always_inline void parent__begin(struct cause_parent *p, __u32 proto, __u32 slot, __u64 t0)
{
	struct cause_busy *edge = parent__at(p, slot);
	__u32 k = cause__proto(proto);

	busy__begin(&p->any, t0);
	p->proto[k].id = 1;
	busy__begin(&p->proto[k], t0);
	if (edge)
		busy__begin(edge, t0);
}

static __always_inline void parent__end(struct cause_parent *p, __u32 proto, __u32 slot, __u64 now)
{
	struct cause_busy *edge = parent__at(p, slot);

	busy__end(&p->any, now);
	busy__end(&p->proto[cause__proto(proto)], now);
	if (edge)
		busy__end(edge, now);
}

/* The request's place for an edge; CAUSE_SLOTS: there is none left. */
__noinline __u32 parent__slot(struct cause_parent *p, __u32 edge)
{
	__u32 i, old;

	if (!p)
		return CAUSE_SLOTS;
	for (i = 0; i < CAUSE_SLOTS; i++) {
		old = *(volatile __u32 *)&p->slot[i].id;
		if (!old)
			old = __sync_val_compare_and_swap(&p->slot[i].id, 0, edge) ?: edge;
		if (old == edge)
			return i;
	}
	cause__count(CAUSE_SLOTS_FULL);
	return CAUSE_SLOTS;
}

/* A call's link: with the connection, where its number is a place there, else in the map. */
static __always_inline bool link__is_near(const struct conn *c)
{
	return conn__proto(c) != PROTO_NATS;
}

/* Key and value on the stack: see scratch__again(). */
static __noinline int link__put_far(const struct conn *c, __u64 id, const struct cause_link *l)
{
	struct cause_link_key key = {.cookie = c->cookie, .id = id};
	struct cause_link copy = *l;

	return bpf_map_update_elem(&cause_links, &key, &copy, BPF_ANY) ? -1 : 0;
}

static __always_inline int link__put(struct conn *c, __u64 id, const struct cause_link *l)
{
	struct cause_near *near = &c->cause.near[id & (CAUSE_NEAR - 1)];
	__u64 used = *(volatile __u64 *)&near->used;

	if (link__is_near(c) && (!used || used == id + 1)) {
		near->link = *l;
		STORE_RELEASE(&near->used, id + 1);
		return 0;
	}
	if (link__put_far(c, id, l))
		return -1;
	__sync_fetch_and_add(&c->cause.far, 1);
	return 0;
}

static __always_inline bool link__get(struct conn *c, const struct cause_link_key *key,
				      struct cause_link *out)
{
	struct cause_near *near = &c->cause.near[key->id & (CAUSE_NEAR - 1)];
	struct cause_link *far;

	if (link__is_near(c) && *(volatile __u64 *)&near->used == key->id + 1) {
		*out = near->link;
		return true;
	}
	far = *(volatile __u32 *)&c->cause.far ? bpf_map_lookup_elem(&cause_links, key) : NULL;
	if (far)
		*out = *far;
	return far;
}

/*
 * The request whose call `id` of the connection is, as hop__id_at() names it. 0: it has none, or
 * that is not known.
 */
__noinline __u64 cause__caller(struct conn *c, __u64 id)
{
	struct cause_link_key key = {.id = id};
	struct cause_link l;
	struct cause_parent *p;

	if (!c)
		return 0;
	key.cookie = c->cookie;
	if (!link__get(c, &key, &l))
		return 0;
	p = bpf_map_lookup_elem(&cause_parents, &l.parent);
	return p ? p->hop : 0;
}

/* Takes it away; one of answer, sweep and close does. */
static __always_inline bool link__take(struct conn *c, const struct cause_link_key *key,
				       struct cause_link *out)
{
	struct cause_near *near = &c->cause.near[key->id & (CAUSE_NEAR - 1)];

	if (!link__get(c, key, out))
		return false;
	if (link__is_near(c) &&
	    __sync_val_compare_and_swap(&near->used, key->id + 1, 0) == key->id + 1)
		return true;
	if (bpf_map_delete_elem(&cause_links, key))
		return false;
	count__down(&c->cause.far);
	return true;
}

/* Makes the call a call of the request. */
__noinline int cause__link(struct conn *c, __u64 id, struct cause_link *l, __u32 route)
{
	struct cause_parent *p;
	struct edge_val *v;
	__u32 edge;
	__u64 ref;

	if (!c || !l)
		return -1;
	ref = l->parent;
	p = bpf_map_lookup_elem(&cause_parents, &ref);
	if (!p)
		return -1;
	edge = cause__edge(c, p, EDGE_LINKED, route);
	l->edge = edge;
	l->slot = targ_parts && edge ? parent__slot(p, edge) : CAUSE_SLOTS;
	if (link__put(c, id, l)) {
		cause__count(CAUSE_LINKS_FULL);
		return -1;
	}
	if (!targ_parts)
		return 0;
	parent__begin(p, conn__proto(c), l->slot, l->t0);
	v = bpf_map_lookup_elem(&edges, &edge);
	if (v && edge)
		__sync_fetch_and_add(&v->calls, 1);
	return 0;
}

/* A call without a request that is known. */
__noinline int cause__stray(struct conn *c, __u32 route)
{
	__u32 tgid, id;
	struct edge_val *v;

	if (!c || !targ_parts)
		return 0;
	tgid = c->tgid;
	id = cause__edge(c, NULL,
			 bpf_map_lookup_elem(&cause_processes, &tgid) ? EDGE_UNLINKED : EDGE_ROOT,
			 route);
	v = bpf_map_lookup_elem(&edges, &id);
	if (!v || !id)
		return 0;
	__sync_fetch_and_add(&v->calls, 1);
	cause__callee(c, v);
	return 0;
}

/* Answers under way on a connection, and the request whose they are when it is one request. */
static __always_inline void conn__asks_for(struct conn *c, __u64 ref)
{
	if (!c->cause.calls)
		c->cause.asking = ref;
	else if (c->cause.asking != ref)
		c->cause.asking = CAUSE_UNKNOWN;
	__sync_fetch_and_add(&c->cause.calls, 1);
}

/* A call begins: number or hash `id` on its connection. Its context: sent by the current task? */
__noinline int cause__called(struct conn *c, __u64 id, __u32 route, __u64 t0, __u32 in_task)
{
	struct cause_link l = {.t0 = t0};

	if (!c)
		return 0;
	c->cause.role = ROLE_CLIENT;
	/* What leaves together has one cause. */
	if (!c->cause.batch)
		c->cause.batch = cause__whose(c, in_task) ?: CAUSE_UNKNOWN;
	cause__count(c->cause.batch_why);
	l.parent = c->cause.batch == CAUSE_UNKNOWN ? 0 : c->cause.batch;
	if (l.parent && cause__link(c, id, &l, route))
		l.parent = 0;
	conn__asks_for(c, l.parent ? l.parent : CAUSE_UNKNOWN);
	if (!l.parent)
		cause__stray(c, route);
	return 0;
}

/* Its part of the request's time. */
static __always_inline void cause__took(struct conn *c, const struct cause_link *l, __u64 now,
					__u32 answered)
{
	__u64 ref = l->parent;
	__u32 edge = l->edge;
	struct cause_parent *p = bpf_map_lookup_elem(&cause_parents, &ref);
	struct edge_val *v = bpf_map_lookup_elem(&edges, &edge);

	if (p)
		parent__end(p, c->proto, l->slot, now);
	if (!v || !edge || !answered)
		return;
	__sync_fetch_and_add(p ? &v->done : &v->late, 1);
	if (p && (__s64)(now - l->t0) > 0)
		__sync_fetch_and_add(&v->sum_ns, now - l->t0);
	cause__callee(c, v);
}

/* A call ends, answered or not. */
__noinline int cause__returned(struct conn *c, __u64 id, __u64 now, __u32 answered)
{
	struct cause_link_key key = {.id = id};
	__u64 ref = CAUSE_UNKNOWN, old;
	struct cause_link l;

	if (!c)
		return 0;
	key.cookie = c->cookie;
	count__down(&c->cause.calls);
	if (link__take(c, &key, &l)) {
		ref = l.parent;
		c->cause.reply_edge = l.edge;
		if (targ_parts)
			cause__took(c, &l, now, answered);
	}
	old = c->cause.replied;
	c->cause.replied = old && old != ref ? CAUSE_UNKNOWN : ref;
	return 0;
}

/* Takes a call from the request, or from nobody, that it was thought to be of. */
static __always_inline void cause__unlink(struct conn *c, const struct cause_link *l)
{
	__u64 ref = l ? l->parent : 0;
	struct cause_parent *p = bpf_map_lookup_elem(&cause_parents, &ref);
	__u32 edge = l ? l->edge : c->cause.edge;
	struct edge_val *v = bpf_map_lookup_elem(&edges, &edge);

	if (p)
		parent__end(p, conn__proto(c), l ? l->slot : CAUSE_SLOTS, l ? l->t0 : 0);
	if (v && edge)
		__sync_fetch_and_add(&v->calls, -1ULL);
}

/* The head of a call names a request: it is that one's. */
__noinline int cause__named(struct conn *c, __u32 seq, __u32 route, __u64 t0, __u64 hash)
{
	struct cause_link_key key = {.id = seq};
	struct cause_link l = {.t0 = t0}, old = {};
	struct cause_id_key id = {.id = hash};
	struct cause_parent *p;
	__u64 *ref;
	bool has;

	if (!c)
		return 0;
	key.cookie = c->cookie;
	id.tgid = c->tgid;
	ref = bpf_map_lookup_elem(&cause_ids, &id);
	if (!ref || *ref <= CAUSE_UNKNOWN)
		return 0;
	l.parent = *ref;
	p = bpf_map_lookup_elem(&cause_parents, &l.parent);
	has = link__get(c, &key, &old);
	if (!p || (has && old.parent == l.parent))
		return 0;
	if (targ_parts)
		cause__unlink(c, has ? &old : NULL);
	if (!cause__link(c, seq, &l, route)) {
		cause__count(CAUSE_BY_ID);
		c->cause.asking = c->cause.calls <= 1 ? l.parent : CAUSE_UNKNOWN;
	}
	return 0;
}

#endif
