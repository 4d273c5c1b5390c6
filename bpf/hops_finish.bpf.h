/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An exchange is over: its spans are put into each other, which gives the path that it took, and
 * the times between them go into the path's histograms. See include/hop.h for what they are.
 *
 * A span's parent is told by what the sockets are (and, for calls, by bpf/cause.bpf.h): the other
 * end of its connection, or for a request that leaves, the socket of the same process through which
 * one came in. Only where neither was seen, by time: the last one that was open.
 */
#ifndef HOPSCOPE_HOPS_FINISH_BPF_H
#define HOPSCOPE_HOPS_FINISH_BPF_H

#include "hops_table.bpf.h"
#include "series.bpf.h"

struct hop_node {
	struct hop_node_key key;
	__u64 used;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* HOP_NODES, with targ_hops */
	__type(key, struct hop_node_key);
	__type(value, __u32);
} hop_node_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hop_node);
} hop_nodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before loading, as of the next two */
	__type(key, struct hop_path_key);
	__type(value, __u32);
} hop_path_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hop_path);
} hop_paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hist);
} hop_hists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* set before loading */
} hop_timelines SEC(".maps");

const volatile __u32 targ_hop_paths = 1;
const volatile __u32 targ_hop_hists = 1;
const volatile __u32 targ_hop_slots = 3; /* of a span: enum hop_place */

/* Histograms of a span, as they lie in the pool: one of the two queues is always empty. */
enum hop_place { HOP_IN_BEFORE = 0, HOP_IN_AFTER = 1, HOP_IN_QUEUE = 2, HOP_IN_RUN = 3 };

__u32 hop_nodes_used SHARED = 1; /* 0 is "(other)" */
__u32 hop_paths_used SHARED = 0;
__u32 hop_hists_used SHARED = 0;
/* Written by user space at any time. */
__u64 hop_slow_ns SHARED = 0; /* 0: none is slow */
__u32 hop_one_in SHARED = 0;  /* 0: none is taken by chance */

/* ---- nodes */

/* Not global: an argument is no key to the verifier of Linux 6.1. See scratch__again(). */
static __noinline __u32 hops__learn_node(struct lane_scratch *s, const struct hop_node_key *key)
{
	struct hop_node *n;
	__u32 id, *old;

	old = bpf_map_lookup_elem(&hop_node_ids, key);
	if (old)
		return *old;
	if (*(volatile __u32 *)&hop_nodes_used < HOP_NODES) {
		id = __sync_fetch_and_add(&hop_nodes_used, 1);
		n = id < HOP_NODES ? bpf_map_lookup_elem(&hop_nodes, &id) : NULL;
		if (n) {
			n->key = *key;
			__sync_fetch_and_add(&n->used, 1);
			if (!bpf_map_update_elem(&hop_node_ids, key, &id, BPF_NOEXIST))
				return id;
			n->used = 0;
			old = bpf_map_lookup_elem(&hop_node_ids, key);
			if (old)
				return *old;
		}
	}
	hops__count(s, HOP_NODES_FULL, 1);
	return 0;
}

/* Either end of a route between brokers may have connected: the lower port is the listener's then,
 * as a rule. */
static __always_inline __u16 hops__port(const struct conn *c, __u32 role)
{
	const __u32 asking = 1u << ROLE_CLIENT | 1u << ROLE_SERVICE | 1u << ROLE_RELAY_OUT |
			     1u << ROLE_RELAY_SERVICE;
	const __u32 asked = 1u << ROLE_BROKER | 1u << ROLE_BROKER_OUT | 1u << ROLE_RELAY |
			    1u << ROLE_RELAY_SERVICE_OUT | 1u << ROLE_SERVER;

	if (1u << (role & 31) & asking)
		return c->port_remote;
	if (1u << (role & 31) & asked)
		return c->port_local;
	return c->port_local < c->port_remote ? c->port_local : c->port_remote;
}

/* Whose socket is this? Asked when the reply passes: by then the owner has sent something. */
static __always_inline __u32 hops__node(struct lane_scratch *s, struct conn *c, __u32 role,
					__u32 request_in)
{
	__u32 at = request_in & 1, id;
	struct hop_node_key key = {};
	__u64 tag;

	role = relay__role(c, role);
	tag = (__u64)c->tgid << 8 | role;
	if (c->hops.node[at] && c->hops.tag[at] == tag)
		return c->hops.node[at];
	key.cgroup = c->cgroup;
	__builtin_memcpy(key.comm, c->comm, sizeof(key.comm));
	key.port = hops__port(c, role);
	key.proto = c->proto;
	key.role = (__u8)role;
	key.request_in = (__u8)at;
	id = hops__learn_node(s, &key);
	c->hops.tag[at] = tag;
	c->hops.node[at] = (__u16)id;
	return id;
}

/* ---- whose child a span is */

static __always_inline bool hop_sockets__connected(const struct hop_socket *from,
						   const struct hop_socket *to)
{
	return from->seq != HOP_NO_SEQ && from->seq == to->seq && !HOP_LIFE_IN(from->life) &&
	       HOP_LIFE_IN(to->life) && (from->local == to->remote || from->remote == to->local);
}

/* Index of the parent << 4 | enum hop_kind; 0: none was open. */
static __always_inline __u32 hops__parent(const struct hop_record *r, const struct hop_work *w,
					  __u32 i)
{
	const struct hop_socket *sp = &r->span[i], *p;
	__u32 j, k, open = 0, told = HOP_LIFE_PARENT(sp->life);

	if (told)
		return (told - 1) << 4 | HOP_PROCESS;

	for (k = 0; k < HOP_SPANS; k++) {
		if (k >= i)
			break;
		j = i - 1 - k;
		if (j >= HOP_SPANS)
			break;
		p = &r->span[j];
		if (HOP_LIFE_GEN(p->life) != w->gen)
			continue;
		if (hop_sockets__connected(p, sp))
			return j << 4 | HOP_NETWORK;
		if (!HOP_LIFE_IN(sp->life) && HOP_LIFE_IN(p->life) && sp->tgid &&
		    sp->tgid == p->tgid)
			return j << 4 | HOP_PROCESS;
		if (!open && w->kept[j] && p->reply >= sp->request)
			open = j << 4 |
			       (sp->tgid && sp->tgid == p->tgid ? HOP_PROCESS : HOP_OPAQUE);
	}
	return open;
}

static __always_inline void hop_work__keep(struct hop_work *w, const struct hop_socket *sp, __u32 i,
					   __u32 link)
{
	__u32 n = w->n;

	if (n >= HOP_SPANS)
		return;
	w->key.node[n] = sp->node;
	w->key.link[n] = (__u8)link;
	w->kept[i] = (__u8)(n + 1);
	w->cursor[i] = sp->request;
	w->n = n + 1;
}

/*
 * Span `i`, when all in front of it are placed. Global, as the larger ones below: the verifier
 * looks once, not at every place that calls.
 */
__noinline int hops__place(struct hop_record *r, struct hop_work *w, __u32 i)
{
	struct hop_socket *sp;
	__u32 link, p;

	if (!r || !w || i >= HOP_SPANS)
		return 0;
	sp = &r->span[i];
	w->kept[i] = 0;
	if (HOP_LIFE_GEN(sp->life) != w->gen || !sp->reply || sp->reply > r->span[0].reply) {
		w->unanswered++;
		return 0;
	}
	if (!i) {
		hop_work__keep(w, sp, 0, 0);
		return 0;
	}
	link = hops__parent(r, w, i);
	p = link >> 4;
	asm volatile("" : "+r"(p)); /* or clang checks `link`, which Linux 6.12 does not follow */
	if (!link || p >= HOP_SPANS || !w->kept[p] || sp->request < w->cursor[p] ||
	    sp->reply > r->span[p].reply) {
		w->overlapping++;
		w->negative += link && p < HOP_SPANS && sp->request < r->span[p].request;
		return 0;
	}
	w->before[i] = sp->request - w->cursor[p];
	w->cursor[p] = sp->reply;
	hop_work__keep(w, sp, i, (w->kept[p] - 1u) << 4 | (link & 15));
	return 0;
}

/* ---- paths */

static __always_inline bool hop_path__is(const struct hop_path *p, const struct hop_path_key *key)
{
	const __u64 *a = (const __u64 *)&p->key, *b = (const __u64 *)key;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] &&
	       a[5] == b[5];
}

/* Number + 1 of the path that the lane's work is of; 0: too many. See scratch__again(). */
static __noinline __u32 hops__learn_path(const struct lane_scratch *s)
{
	struct hop_lane *l = hop_lane__of(s);
	struct hop_work *w;
	__u32 id, first, *old;
	struct hop_path *p;

	if (!l)
		return 0;
	w = &l->work;
	old = bpf_map_lookup_elem(&hop_path_ids, &w->key);
	if (old)
		return *old + 1;
	if (*(volatile __u32 *)&hop_paths_used >= targ_hop_paths)
		return 0;
	first = __sync_fetch_and_add(&hop_hists_used, w->n * targ_hop_slots);
	if (first + w->n * targ_hop_slots > targ_hop_hists)
		return 0;
	id = __sync_fetch_and_add(&hop_paths_used, 1);
	p = id < targ_hop_paths ? bpf_map_lookup_elem(&hop_paths, &id) : NULL;
	if (!p)
		return 0;
	p->key = w->key;
	p->first = first;
	__sync_fetch_and_add(&p->used, 1);
	if (!bpf_map_update_elem(&hop_path_ids, &w->key, &id, BPF_NOEXIST))
		return id + 1;
	p->used = 0; /* another one was quicker: these histograms stay empty */
	old = bpf_map_lookup_elem(&hop_path_ids, &w->key);
	return old ? *old + 1 : 0;
}

static __always_inline struct hop_path *hops__path(const struct lane_scratch *s, struct conn *c,
						   const struct hop_work *w, __u32 at)
{
	__u32 id = c->hops.path[at & 1];
	struct hop_path *p = bpf_map_lookup_elem(&hop_paths, &id);

	if (p && p->used && hop_path__is(p, &w->key))
		return p;
	id = hops__learn_path(s);
	if (!id--)
		return NULL;
	c->hops.path[at & 1] = (__u16)id;
	return bpf_map_lookup_elem(&hop_paths, &id);
}

/* ---- histograms */

static __always_inline void hops__add(__u32 at, __u64 ns)
{
	struct hist *h = bpf_map_lookup_elem(&hop_hists, &at);
	__u32 i = hist__index(ns);

	if (!h || i >= HIST_BUCKETS)
		return;
	__sync_fetch_and_add(&h->bucket[i], 1);
	__sync_fetch_and_add(&h->sum, ns);
	series__extreme(&h->min, ns + 1, true);
	series__extreme(&h->max, ns, false);
}

__noinline int hops__measure(struct hop_record *r, struct hop_work *w, __u32 i)
{
	struct hop_socket *sp;
	__u32 at;

	if (!r || !w || i >= HOP_SPANS || !w->kept[i])
		return 0;
	sp = &r->span[i];
	at = w->first + (w->kept[i] - 1u) * targ_hop_slots;
	hops__add(at + HOP_IN_BEFORE, i ? w->before[i] : sp->reply - sp->request);
	hops__add(at + HOP_IN_AFTER, sp->reply - w->cursor[i]);
	if (sp->queue != HOP_UNKNOWN)
		hops__add(at + HOP_IN_QUEUE, sp->queue);
	if (targ_hop_slots > HOP_IN_RUN && sp->run != HOP_UNKNOWN)
		hops__add(at + HOP_IN_RUN, sp->run);
	return 0;
}

struct hop_finish {
	struct hop_record *record;
	struct hop_work *work;
	struct hop_timeline *line;
};

static long hops__next_place(__u32 i, void *ctx)
{
	struct hop_finish *f = ctx;

	return hops__place(f->record, f->work, i);
}

static long hops__next_measure(__u32 i, void *ctx)
{
	struct hop_finish *f = ctx;

	return hops__measure(f->record, f->work, i);
}

/* ---- one by one */

static __always_inline void hop_timeline__span(struct hop_timeline *t, const struct hop_work *w,
					       const struct hop_socket *sp, __u32 at)
{
	struct hop_span *to;

	if (at >= HOP_SPANS)
		return;
	to = &t->span[at];
	to->request_ns = sp->request - t->start_ns;
	to->reply_ns = sp->reply - t->start_ns;
	to->queue_request_ns = HOP_LIFE_IN(sp->life) ? sp->queue : HOP_UNKNOWN;
	to->queue_reply_ns = HOP_LIFE_IN(sp->life) ? HOP_UNKNOWN : sp->queue;
	to->run_queue_ns = sp->run;
	to->tgid = sp->tgid;
	to->node = sp->node;
	to->link = w->key.link[at];
	to->pad = 0;
}

static long hops__next_span(__u32 i, void *ctx)
{
	struct hop_finish *f = ctx;

	if (i < HOP_SPANS && f->work->kept[i])
		hop_timeline__span(f->line, f->work, &f->record->span[i], f->work->kept[i] - 1u);
	return 0;
}

static __noinline int hops__send(struct lane_scratch *s, struct hop_record *r, struct hop_work *w,
				 __u32 spans)
{
	struct hop_timeline *t = bpf_ringbuf_reserve(&hop_timelines, sizeof(*t), 0);
	struct hop_finish f = {.record = r, .work = w, .line = t};

	if (!t) {
		hops__count(s, HOP_TIMELINES_LOST, 1);
		return 0;
	}
	__builtin_memset(t, 0, sizeof(*t));
	t->type = RECORD_TIMELINE;
	t->size = sizeof(*t);
	t->start_ns = r->span[0].request;
	t->duration_ns = r->span[0].reply - r->span[0].request;
	t->route = w->key.route;
	t->n = w->key.n;
	t->status = w->key.status;
	t->proto = w->key.proto;
	t->sampled = !w->slow;
	bpf_loop(spans, hops__next_span, &f, 0);
	bpf_ringbuf_submit(t, BPF_RB_NO_WAKEUP);
	return 0;
}

/* ---- the end */

static __always_inline void hop_work__start(struct hop_work *w, const struct hop_record *r,
					    __u16 gen, __u32 status)
{
	w->n = 0;
	w->unanswered = w->overlapping = w->negative = 0;
	w->gen = gen;
	__builtin_memset(&w->key, 0, sizeof(w->key));
	w->key.route = r->span[0].route;
	w->key.proto = HOP_LIFE_PROTO(r->span[0].life);
	w->key.status = (__u8)status;
}

static __always_inline void hops__tell_left_out(struct lane_scratch *s, const struct hop_work *w)
{
	if (w->unanswered)
		hops__count(s, HOP_UNANSWERED, w->unanswered);
	if (w->overlapping)
		hops__count(s, HOP_OVERLAPPING, w->overlapping);
}

/* Is the exchange worth telling, whole? */
static __always_inline bool hops__is_told(struct hop_work *w, const struct hop_record *r)
{
	__u64 slow = *(volatile __u64 *)&hop_slow_ns;
	__u32 one_in = *(volatile __u32 *)&hop_one_in;

	w->slow = slow && r->span[0].reply - r->span[0].request >= slow;
	return w->slow || (one_in && bpf_get_prandom_u32() % one_in == 0);
}

/* All of a record that is ours, of so many spans. */
__noinline int hops__add_up(struct lane_scratch *s, struct conn *c, struct hop_record *r,
			    struct hop_work *w, __u32 spans)
{
	struct hop_path *p;
	struct hop_finish f;

	if (!s || !c || !r || !w)
		return 0;
	f.record = r;
	f.work = w;
	f.line = NULL;
	bpf_loop(spans, hops__next_place, &f, 0);
	hops__tell_left_out(s, w);
	if (w->negative || r->span[0].reply < r->span[0].request) {
		hops__count(s, HOP_NEGATIVE, 1);
		return 0;
	}
	w->key.n = (__u8)w->n;
	p = hops__path(s, c, w, HOP_LIFE_IN(r->span[0].life));
	if (p) {
		__sync_fetch_and_add(&p->count, 1);
		w->first = p->first;
		bpf_loop(spans, hops__next_measure, &f, 0);
	} else {
		hops__count(s, HOP_PATHS_FULL, 1);
	}
	if (hops__is_told(w, r))
		hops__send(s, r, w, spans);
	return 0;
}

/* Did a message of the exchange find no room? Then its first socket may not have been that. */
static __always_inline bool hop_way__is_lost(struct hop_way *w)
{
	__u64 id = w->id;

	if (!*(volatile __u32 *)&hop_any_lost || bpf_map_delete_elem(&hop_lost, &id))
		return false;
	w->mark = (__u16)~w->mark; /* nor does it begin there again */
	return true;
}

static __always_inline void hops__end(struct lane_scratch *s, struct conn *c, struct hop_way *way,
				      struct hop_record *r, __u32 status, __u32 spans)
{
	struct hop_lane *l = hop_lane__of(s);

	if (!l || hop_way__is_lost(way))
		return;
	hop_work__start(&l->work, r, way->gen, status);
	hops__add_up(s, c, r, &l->work, spans < HOP_SPANS ? spans : HOP_SPANS);
}

/* The first span of an exchange closed. */
static __always_inline void hops__finish(struct lane_scratch *s, struct conn *c, struct hop_way *w,
					 struct hop_record *r, __u32 status)
{
	__u32 i, state;

	/* Spans may be appended meanwhile: deliveries to others. */
	for (i = 0; i < 8; i++) {
		state = hop_way__state(w);
		if (!hop_state__lives(state))
			return;
		if (!hop_way__take(w, state))
			continue;
		hops__end(s, c, w, r, status, state & HOP_N);
		hops__free_record(hop_state__record(state));
		STORE_RELEASE(&w->state, HOP_IS_DONE);
		return;
	}
}

static __always_inline bool hop_socket__awaits(const struct hop_socket *sp, const struct conn *c,
					       const struct hop_event *e, __u16 gen)
{
	return sp->cookie == c->cookie && sp->tag == (__u32)(e->id >> 32) && !sp->reply &&
	       HOP_LIFE_GEN(sp->life) == gen;
}

/*
 * Index + 1 of the span that closes: where the socket began the last one, as its place in a path is
 * mostly the same (others' spans are others' cache lines); else the last one that is open.
 */
__noinline __u32 hops__find_span(const struct hop_record *r, const struct hop_way *w,
				 const struct conn *c, const struct hop_event *e)
{
	__u32 k, n, i;

	if (!r || !w || !c || !e)
		return 0;
	i = c->hops.span[e->out & 1];
	if (i < HOP_SPANS && hop_socket__awaits(&r->span[i], c, e, w->gen))
		return i + 1;
	n = hop_way__state(w) & HOP_N;
	if (n > HOP_SPANS)
		n = HOP_SPANS;
	for (k = 0; k < HOP_SPANS; k++) {
		i = n - 1 - k;
		if (i >= HOP_SPANS)
			break;
		if (hop_socket__awaits(&r->span[i], c, e, w->gen))
			return i + 1;
	}
	return 0;
}

/*
 * The answer passes a socket: its span closes, and with the first one the exchange. As
 * hops__open().
 */
__noinline int hops__close(struct lane_scratch *s, struct conn *c, struct hop_waits *far,
			   const struct hop_event *e)
{
	struct hop_record *r;
	struct hop_socket *sp;
	struct hop_way *w;
	__u32 slot, at, i;

	if (!s || !c || !e)
		return 0;
	slot = hops__find(e->id);
	w = slot ? hop_way__at(slot - 1) : NULL;
	if (!w)
		return 0;
	at = hop_state__record(hop_way__state(w));
	r = bpf_map_lookup_elem(&hop_records, &at);
	if (!r)
		return 0;
	i = hops__find_span(r, w, c, e) - 1;
	OPAQUE(i); /* clang knows its range, the verifier does not */
	if (i >= HOP_SPANS)
		return 0;
	sp = &r->span[i];
	sp->tgid = c->tgid;
	sp->node = (__u16)hops__node(s, c, e->role, HOP_LIFE_IN(sp->life));
	STORE_RELEASE(&sp->reply, e->at); /* whoever ends the exchange finds the rest there */
	if (!i)
		hops__finish(s, c, w, r, e->status);
	else
		hops__wait(s, c, far, e, at << 8 | i);
	return 0;
}

#endif
