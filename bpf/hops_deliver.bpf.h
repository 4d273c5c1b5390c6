/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages that nobody answers, from who publishes to each who subscribes. They have no id that
 * travels, but all that travels is theirs: subject, length and the first bytes of the payload, of
 * which a seeded hash stays in the kernel. So messages that are alike cannot be told from each
 * other while one of them is under way: they are counted, and not measured.
 *
 * Every socket that such a message passes must be joined to one before it: the other end of its
 * connection, or a socket of its process through which it came in. That is what keeps two
 * publishers of the same bytes apart, and why a message is not followed through what cannot be read
 * (a tunnel).
 */
#ifndef HOPSCOPE_HOPS_DELIVER_BPF_H
#define HOPSCOPE_HOPS_DELIVER_BPF_H

#include "hops_finish.bpf.h"

#define HOP_NO_LINK 0xffu

static __always_inline bool hop_event__begins(const struct hop_event *e)
{
	return e->role == ROLE_CLIENT || e->role == ROLE_BROKER || e->role == ROLE_ROUTE_IN;
}

/* Where a message comes from that passes `c`: index << 4 | enum hop_kind, HOP_NO_LINK: not known.
 */
__noinline __u32 hops__origin(struct hop_record *r, struct conn *c, const struct hop_event *e,
			      __u32 gen)
{
	const struct hop_socket *sp;
	__u32 k, j;

	if (!r || !c || !e)
		return HOP_NO_LINK;
	for (k = 0; k < HOP_SPANS; k++) {
		j = HOP_SPANS - 1 - k;
		OPAQUE(j); /* or clang counts down from behind the last, which Linux 7.2 refuses */
		if (j >= HOP_SPANS)
			break;
		sp = &r->span[j];
		if (HOP_LIFE_GEN(sp->life) != (__u16)gen)
			continue;
		if (e->out) {
			if (HOP_LIFE_IN(sp->life) && c->tgid && sp->tgid == c->tgid)
				return j << 4 | HOP_PROCESS;
		} else if (!HOP_LIFE_IN(sp->life) && e->seq != HOP_NO_SEQ && sp->seq == e->seq &&
			   (sp->local == c->port_remote || sp->remote == c->port_local)) {
			return j << 4 | HOP_NETWORK;
		}
	}
	return HOP_NO_LINK;
}

/* Of a span that a message left behind, what is not as in an exchange: `tag` is where it came from.
 */
static __always_inline void hop_socket__join(struct lane_scratch *s, struct hop_socket *sp,
					     struct conn *c, const struct hop_event *e, __u32 link)
{
	sp->tag = link;
	sp->tgid = c->tgid;
	sp->node = (__u16)hops__node(s, c, e->role, !e->out);
}

/* The spans from `link` back to the first one, into kept[]: how many. 0: broken. */
static __always_inline __u32 hop_work__back(struct hop_work *w, const struct hop_record *r,
					    __u32 link)
{
	__u32 k, j = link >> 4;

	for (k = 0; k < HOP_SPANS - 1; k++) {
		if (j >= HOP_SPANS || HOP_LIFE_GEN(r->span[j].life) != w->gen)
			return 0;
		w->kept[k] = (__u8)j;
		if (!j)
			return k + 1;
		j = r->span[j].tag >> 4;
	}
	return 0;
}

struct hop_delivery {
	struct hop_record *record;
	struct hop_work *work;
	__u64 last;
	__u32 spans; /* without the subscriber's */
	__u32 pad;
};

/* Span i of the way, its time since the one before. */
__noinline int hops__passed(struct hop_record *r, struct hop_work *w, __u32 i, __u32 spans)
{
	const struct hop_socket *sp;
	__u32 at, from, prev = i - 1;

	if (!r || !w || i >= spans || spans > HOP_SPANS || i >= HOP_SPANS)
		return 1;
	at = spans - 1 - i;
	if (at >= HOP_SPANS)
		return 1;
	from = w->kept[at];
	if (from >= HOP_SPANS)
		return 1;
	sp = &r->span[from];
	w->key.node[i] = sp->node;
	w->key.link[i] = i ? (__u8)((i - 1) << 4 | (sp->tag & 15)) : 0;
	w->before[i] = sp->request;
	OPAQUE(prev); /* Linux 6.1 learns nothing from i != 0 */
	w->negative += prev < HOP_SPANS && sp->request < w->before[prev];
	w->cursor[i] = HOP_LIFE_IN(sp->life) ? *(volatile __u64 *)&sp->queue : HOP_UNKNOWN;
	return 0;
}

static long hops__next_passed(__u32 i, void *ctx)
{
	struct hop_delivery *d = ctx;

	hops__passed(d->record, d->work, i, d->spans);
	return 0;
}

__noinline int hops__add_passed(struct hop_work *w, __u32 i, __u64 end)
{
	__u32 at, prev = i - 1;

	if (!w || i >= HOP_SPANS || i >= w->n)
		return 1;
	at = w->first + i * targ_hop_slots;
	OPAQUE(prev);
	hops__add(at + HOP_IN_BEFORE,
		  prev < HOP_SPANS ? w->before[i] - w->before[prev] : end - w->before[0]);
	if (w->cursor[i] != HOP_UNKNOWN)
		hops__add(at + HOP_IN_QUEUE, w->cursor[i]);
	return 0;
}

static long hops__next_add(__u32 i, void *ctx)
{
	struct hop_delivery *d = ctx;

	hops__add_passed(d->work, i, d->last);
	return 0;
}

/* The message has reached the socket of a subscriber: its way is known now. */
__noinline int hops__deliver(struct lane_scratch *s, struct conn *c, struct hop_record *r,
			     const struct hop_event *e, __u32 gen_link)
{
	struct hop_lane *l = s ? hop_lane__of(s) : NULL;
	struct hop_delivery d;
	struct hop_path *p;
	struct hop_work *w;
	__u32 n, last, link = gen_link & 0xff;

	if (!l || !c || !r || !e)
		return 0;
	w = &l->work;
	hop_work__start(w, r, (__u16)(gen_link >> 8), STATUS_OK);
	w->key.one_way = 1;
	n = hop_work__back(w, r, link);
	last = n - 1;
	OPAQUE(last);
	if (last >= HOP_SPANS - 1) {
		hops__count(s, HOP_NO_ORIGIN, 1);
		return 0;
	}
	d.record = r;
	d.work = w;
	d.last = e->at;
	d.spans = n = last + 1;
	bpf_loop(n, hops__next_passed, &d, 0);
	w->key.node[n] = (__u16)hops__node(s, c, e->role, 1);
	w->key.link[n] = (__u8)(last << 4 | (link & 15));
	w->before[n] = e->at;
	w->cursor[n] = HOP_UNKNOWN;
	w->negative += e->at < w->before[last];
	w->n = n + 1;
	w->key.n = (__u8)(n + 1);
	if (w->negative) {
		hops__count(s, HOP_NEGATIVE, 1);
		return 0;
	}
	p = hops__path(s, c, w, 1);
	if (!p) {
		hops__count(s, HOP_PATHS_FULL, 1);
		return 0;
	}
	__sync_fetch_and_add(&p->count, 1);
	w->first = p->first;
	bpf_loop(n + 1, hops__next_add, &d, 0);
	return 0;
}

/* Begins the record of a message, at the first socket that it is seen at, in a way that is ours. */
static __always_inline void hops__publish(struct lane_scratch *s, struct conn *c, struct hop_way *w,
					  const struct hop_event *e)
{
	__u32 at = hops__begin(s, w, c, e) >> 8;
	struct hop_record *r = bpf_map_lookup_elem(&hop_records, &at);

	if (!r || !hop_state__lives(hop_way__state(w)))
		return;
	hop_socket__join(s, &r->span[0], c, e, 0);
	__sync_fetch_and_or(&w->state, HOP_IS_DELIVERY);
}

/*
 * Is it known that there was another one like it? Neither can be told from the other until both are
 * long gone.
 */
static __always_inline bool hops__is_alike(const struct hop_record *r)
{
	return *(volatile __u64 *)&r->span[0].reply;
}

static __always_inline void hops__alike(struct lane_scratch *s, struct hop_record *r, __u64 now)
{
	hops__count(s, HOP_ALIKE, 1);
	*(volatile __u64 *)&r->span[0].reply = 1;
	*(volatile __u64 *)&r->span[0].request = now;
}

/* One more span, or the end of the way. */
static __always_inline void hops__passes(struct lane_scratch *s, struct conn *c,
					 struct hop_waits *far, const struct hop_event *e,
					 struct hop_way *w, __u32 link)
{
	__u32 state = hop_way__state(w), at = hop_state__record(state), i = state & HOP_N;
	struct hop_record *r = bpf_map_lookup_elem(&hop_records, &at);

	if (!r)
		return;
	if (relay__role(c, e->role) == ROLE_SERVICE) {
		hops__deliver(s, c, r, e, (__u32)w->gen << 8 | link);
		return;
	}
	if (i < HOP_SPANS) {
		state = __sync_fetch_and_add(&w->state, 1);
		i = state & HOP_N;
	}
	if (i >= HOP_SPANS) {
		hops__count(s, HOP_SPANS_FULL, 1);
		return;
	}
	/* It may have ended in between. */
	if (!hop_state__lives(state) || hop_state__record(state) != at)
		return;
	hop_socket__begin(&r->span[i], c, e, w->gen, 0);
	hop_socket__join(s, &r->span[i], c, e, link);
	hops__wait(s, c, far, e, at << 8 | i);
}

/* Joins the socket to those that the message has passed. */
static __always_inline void hops__pass_on(struct lane_scratch *s, struct conn *c,
					  struct hop_waits *far, const struct hop_event *e,
					  struct hop_way *w)
{
	__u32 at = hop_state__record(hop_way__state(w)), link;
	struct hop_record *r = bpf_map_lookup_elem(&hop_records, &at);

	if (!r)
		return;
	link = hops__is_alike(r) ? HOP_NO_LINK : hops__origin(r, c, e, w->gen);
	if (link != HOP_NO_LINK)
		hops__passes(s, c, far, e, w, link);
	else if (hop_event__begins(e))
		hops__alike(s, r, e->at);
	else
		hops__count(s, hops__is_alike(r) ? HOP_ALIKE : HOP_NO_ORIGIN, 1);
}

/* A message without a reply subject passes a socket. As hops__open(). */
__noinline int hops__message(struct lane_scratch *s, struct conn *c, struct hop_waits *far,
			     const struct hop_event *e)
{
	__u32 at, slot, state = HOP_IS_DONE;
	struct hop_way *w = NULL;
	struct hop_set *set;

	if (!s || !c || !e)
		return 0;
	at = hops__set_of(e->id);
	set = bpf_map_lookup_elem(&hop_sets, &at);
	slot = set ? hops__find_way(set, at, e->id) : 0;
	if (slot)
		w = hop_way__at(slot - 1);
	if (w)
		state = hop_way__state(w);
	if (w && hop_state__lives(state) && !hop_way__is_old(w, state, e->at)) {
		hops__pass_on(s, c, far, e, w);
		return 0;
	}
	if (!hop_event__begins(e)) {
		hops__count(s, HOP_NO_ORIGIN, 1);
		return 0;
	}
	if (w) { /* of one like it, long ago */
		if (state & HOP_IS_BUSY || !hop_way__take(w, state)) {
			hops__count(s, HOP_ALIKE, 1); /* it begins elsewhere, right now */
			return 0;
		}
		if (hop_state__lives(state))
			hops__free_record(hop_state__record(state));
	} else {
		slot = hops__claim(s, at, e->at);
		w = slot ? hop_way__at(slot - 1) : NULL;
	}
	if (w)
		hops__publish(s, c, w, e);
	else
		hops__count(s, HOP_TABLE_FULL, 1);
	return 0;
}

#endif
