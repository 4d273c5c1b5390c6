/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NATS messages to exchanges. The reply subject is the exchange's id: a message that carries one
 * opens it, the message whose subject it is, in the other direction of the same socket, closes it.
 */
#ifndef HOPSCOPE_NATS_BPF_H
#define HOPSCOPE_NATS_BPF_H

#include "cause_tell.bpf.h"
#include "conn.bpf.h"
#include "exemplar.bpf.h"
#include "flight.bpf.h"
#include "hash.bpf.h"
#include "hops_tell.bpf.h"
#include "kept.bpf.h"
#include "relay.bpf.h"
#include "source.bpf.h"

/* Hooks of the framer, and what they need. */
struct nats_io {
	wire_ctx *ctx;
	struct conn *conn;
	struct wire_acct *acct;
	struct lane_scratch *scratch;
	__u32 off; /* of the direction's next byte in the packet */
	__u32 dir;
};

#define NATS_ID_MAX HASH_MAX /* longest reply subject that is kept as an id */

static __always_inline int nats_io__load(struct nats_io *io, struct nats_run *r, __u32 off,
					 __u32 at, __u32 n)
{
	if (__builtin_constant_p(at)) /* the window's far end, for a few bytes */
		return wire_ctx__load(io->ctx, io->off + off, r->win + at, n, NATS_WIN_SIZE - at);
	OPAQUE(at);
	if (at > NATS_WIN_SIZE - NATS_WIN_LOAD)
		return -1;
	return wire_ctx__load(io->ctx, io->off + off, r->win + at, n, NATS_WIN_LOAD);
}

/* Functions of their own, as for the streams: their stack is then not under that of all others. */
static __noinline int nats__keep(const struct conn *c, const struct lane_scratch *scratch,
				 __u32 dir, __u32 at)
{
	struct lane_scratch *s = scratch__again(scratch);

	OPAQUE(at);
	if (!s || at > NATS_WIN_MASK - NATS_UNIT_MAX)
		return -1;
	return kept__put(c, dir, s->run.win + at);
}

static __always_inline int nats_io__keep(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n)
{
	(void)n, (void)r;
	return nats__keep(io->conn, io->scratch, io->dir, at);
}

static __always_inline int nats_io__kept(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n)
{
	(void)at; /* always NATS_WIN_PAD */
	return kept__take(io->conn, io->dir, r->win + NATS_WIN_PAD, n);
}

/* Role of this socket for a request that passes in this direction. */
static __always_inline __u32 nats__role(const struct conn *c, __u32 dir, const struct nats_unit *u)
{
	bool out = dir == OUT;

	switch (u->verb) {
	case NATS_PUB:
	case NATS_HPUB: return out ? ROLE_CLIENT : ROLE_BROKER;
	case NATS_RMSG:
	case NATS_LMSG: return out ? ROLE_ROUTE : ROLE_ROUTE_IN;
	}
	if (c->kind == NATS_KIND_ROUTE || c->kind == NATS_KIND_LEAF)
		return out ? ROLE_ROUTE : ROLE_ROUTE_IN;
	return out ? ROLE_BROKER_OUT : ROLE_SERVICE;
}

/* Subjects by their first eight bytes. */
static __always_inline bool nats__starts(const __u8 *win, __u32 at, __u64 word, __u32 n)
{
	return (nats__load64(win, at) & (~0ULL >> (8 * (8 - n)))) == word;
}

/* "_INBOX.", "$JS.ACK." and the like: a reply whose request was not seen, not a one-way message. */
static __always_inline bool nats__is_reply(const __u8 *win, const struct nats_unit *u)
{
	return nats__starts(win, u->subject,
			    NATS_W4('_', 'I', 'N', 'B') | NATS_W3('O', 'X', '.') << 32, 7) ||
	       nats__starts(win, u->subject,
			    NATS_W4('$', 'J', 'S', '.') | NATS_W4('A', 'C', 'K', '.') << 32, 8) ||
	       nats__starts(win, u->subject, NATS_W4('_', 'R', '_', '.'), 4) ||
	       nats__starts(win, u->subject, NATS_W4('_', 'G', 'R', '_'), 4);
}

/*
 * "$NRG." is the brokers' Raft traffic: one reply subject for many messages, so no ids. "$JSC.ACK"
 * style internals are left alone: they are rare and some are real exchanges.
 */
static __always_inline bool nats__is_internal(const __u8 *win, const struct nats_unit *u)
{
	return nats__starts(win, u->subject, NATS_W4('$', 'N', 'R', 'G') | (__u64)'.' << 32, 5);
}

/* "$JS.API.CONSUMER.MSG.NEXT.": messages come on their own subjects, no reply closes this. */
static __always_inline bool nats__is_pull(const __u8 *win, const struct nats_unit *u)
{
	return u->subject_len > 26 &&
	       nats__starts(win, u->subject,
			    NATS_W4('$', 'J', 'S', '.') | NATS_W4('A', 'P', 'I', '.') << 32, 8) &&
	       nats__starts(win, u->subject + 8,
			    NATS_W4('C', 'O', 'N', 'S') | NATS_W4('U', 'M', 'E', 'R') << 32, 8) &&
	       nats__starts(win, u->subject + 16,
			    NATS_W4('.', 'M', 'S', 'G') | NATS_W4('.', 'N', 'E', 'X') << 32, 8);
}

static __always_inline __u32 nats__outcome(const struct nats_unit *u)
{
	if (u->status == 503)
		return STATUS_NO_RESPONDERS;
	return u->status >= 400 ? STATUS_ERROR : STATUS_OK;
}

/* Calls of requests, for cause.bpf.h. */
static __always_inline void nats__tell_end(struct lane_scratch *s)
{
	struct cause_event *e =
		cause__tell(s, CAUSE_ANSWERED, s->closed.id, s->closed.route, false);

	if (!e)
		return;
	e->began = s->closed.t0;
	e->at = s->run.now;
	e->status = nats__outcome(&s->run.unit);
}

static __always_inline void nats__tell_open(struct lane_scratch *s)
{
	struct cause_event *e = cause__tell(s, CAUSE_OPENED, s->flight.id, s->flight.route, false);

	if (e)
		e->at = s->flight.t0;
}

/* Hops, for hops.bpf.h. */
static __always_inline __u32 nats_run__begin(const struct nats_run *r)
{
	return r->next - (r->end - r->pos);
}

static __always_inline void nats__hop_end(struct lane_scratch *s, __u32 dir)
{
	struct hop_event *e = hops__tell(s, HOP_CLOSED, s->closed.id, s->closed.role, dir);

	if (!e)
		return;
	e->at = s->run.now;
	e->seq = nats_run__begin(&s->run);
	e->status = (__u8)nats__outcome(&s->run.unit);
}

static __always_inline void nats__hop_open(struct lane_scratch *s, __u32 dir)
{
	struct hop_event *e = hops__tell(s, HOP_OPENED, s->flight.id, s->flight.role, dir);

	if (!e)
		return;
	e->at = s->flight.t0;
	e->seq = nats_run__begin(&s->run);
	e->route = s->flight.route;
}

/*
 * A message that wants no answer, for hops_deliver.bpf.h: the hash of its subject, its length and
 * the first bytes of the payload are its id, where these are in the same segment.
 */
static __noinline void nats__hop_pass(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
				      struct lane_scratch *s, __u32 dir)
{
	struct nats_run *r = &s->run;
	struct nats_unit *u = &r->unit;
	__u32 at = nats_run__begin(r) + u->len, n = u->payload, i;
	__u64 subject = s->hop_subject, hash = subject;
	struct hop_event *e;

	__builtin_memset(s->hop_head, 0, sizeof(s->hop_head));
	n = n < HOP_HEAD ? n : HOP_HEAD;
	if (at + n > s->len || (n && wire_ctx__load(ctx, s->off + at, s->hop_head, n, HOP_HEAD))) {
		s->hops_cut++;
		return;
	}
	hash ^= (__u64)u->payload << 32;
	for (i = 0; i < HOP_HEAD / 8; i++) {
		hash = (hash ^ s->hop_head[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	e = hops__tell(s, HOP_PASSED, hash | 1, nats__role(c, dir, u), dir);
	if (!e)
		return;
	if (!r->now)
		r->now = bpf_ktime_get_ns();
	relay__look(c); /* who hands it on is no subscriber */
	e->at = r->now;
	e->seq = nats_run__begin(r);
	e->route = (__u16)route__of(s, a, c, subject, u->subject, u->subject_len);
}

/*
 * Takes out the exchange that a reply with this id closes: its request went the other way. An id
 * may have been put into any of the three places.
 */
static __always_inline bool nats__take(wire_ctx *ctx, struct conn *c, __u64 id, __u32 dir,
				       struct flight *out)
{
	struct flights *t;

	if (flight__take(&c->first[dir & 1], id, out))
		return true;
	t = c->flights ? wire_ctx__flights(ctx, c, false) : NULL;
	if (!t)
		return false;
	return flight__take(flight__set(t, id, dir), id, out) ||
	       (*(volatile __u32 *)&c->overflow && flight__take_overflow(c, id, dir, out));
}

/* Does this message answer an open exchange? True when it does. */
static __always_inline bool nats__close(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
					struct lane_scratch *s, __u32 dir, __u64 hash)
{
	struct nats_run *r = &s->run;
	struct flight *f = &s->closed;
	struct series_val *v;
	__u64 ns;

	if (!nats__take(ctx, c, hash, !dir, f))
		return false;
	flight__ended(a, f);
	a->matched++;
	if (!r->now)
		r->now = bpf_ktime_get_ns();
	ns = r->now - f->t0;
	if ((__s64)ns < 0)
		ns = 0;
	if (!role__asks(f->role))
		listener__answers(c, f->route);
	if (f->role == ROLE_CLIENT && cause__wants_nats())
		nats__tell_end(s);
	if (targ_hops)
		nats__hop_end(s, dir);
	relay__look(c);
	v = series__get(a, c, f->route, relay__role(c, f->role), nats__outcome(&r->unit));
	if (!v)
		return true;
	series__add(v, ns, f->bytes + r->unit.payload);
	if (exemplar__wanted(a, ns))
		exemplar__send(a, c, &v->key, f->t0, ns, f->bytes + r->unit.payload);
	return true;
}

static __always_inline void nats__one_way(struct wire_acct *a, __u32 reason)
{
	a->seen++;
	a->one_way++;
	a->reason[reason]++;
}

/* The first set is full: the table, made when there is none, then the overflow map. */
static __noinline void nats__open_more(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
				       struct lane_scratch *s)
{
	struct flights *t = wire_ctx__flights(ctx, c, true);
	const struct flight *f = &s->flight;

	if (!t) {
		a->dropped++;
		a->reason[REASON_NO_MEMORY]++;
		return;
	}
	c->flights = 1;
	if (!flight__put(a, c, flight__set(t, f->id, f->dir), f))
		flight__open_overflow(a, c, s, f);
}

/* A message with a reply subject: an exchange begins. */
static __always_inline void nats__open(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
				       struct lane_scratch *s, __u32 dir, __u64 hash)
{
	struct nats_run *r = &s->run;
	struct nats_unit *u = &r->unit;
	struct flight *f = &s->flight;

	f->route = (__u16)route__of(s, a, c, hash, u->subject, u->subject_len);
	f->role = (__u8)nats__role(c, dir, u);
	if (!role__asks(f->role) && listener__skip(c, f->route)) {
		nats__one_way(a, REASON_LISTENER);
		return;
	}
	a->seen++;
	if (u->reply_len > NATS_ID_MAX) {
		a->dropped++;
		a->reason[REASON_ID_LONG]++;
		return;
	}
	if (!r->now)
		r->now = bpf_ktime_get_ns();
	f->id = window__hash((const struct nats_window *)r->win, u->reply, u->reply_len);
	f->t0 = r->now;
	f->bytes = u->payload;
	f->dir = (__u8)dir;
	if (f->role == ROLE_CLIENT && cause__wants_nats())
		nats__tell_open(s);
	if (targ_hops)
		nats__hop_open(s, dir);
	if (!flight__put(a, c, &c->first[dir & 1], f))
		nats__open_more(ctx, c, a, s);
}

static __always_inline void nats__error(struct conn *c, struct wire_acct *a, __u32 dir)
{
	__u32 role = relay__role(c, dir == OUT ? ROLE_BROKER : ROLE_CLIENT);
	struct series_val *v = series__get(a, c, 0, role, STATUS_PROTO_ERR);

	if (v)
		series__count(v, 0);
}

/* A unit was read for certain. */
static __always_inline void nats__message_read(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
					       struct lane_scratch *s, __u32 dir)
{
	struct nats_run *r = &s->run;
	struct nats_unit *u = &r->unit;
	__u64 hash;

	if (u->kind && c->kind != u->kind)
		c->kind = u->kind;
	if (!NATS_IS_MESSAGE(u->verb)) {
		if (u->verb == NATS_MINUS_ERR)
			nats__error(c, a, dir);
		return;
	}
	relay__note(c, dir, u);
	if (u->ambiguous) {
		nats__one_way(a, REASON_AMBIGUOUS);
		return;
	}
	/* The sender's own subject may exceed an id's length: its route only needs the beginning.
	 */
	hash = window__hash((const struct nats_window *)r->win, u->subject,
			    u->subject_len < NATS_ID_MAX ? u->subject_len : NATS_ID_MAX);
	if (u->subject_len <= NATS_ID_MAX && nats__close(ctx, c, a, s, dir, hash)) {
		if (!u->reply_len)
			return;
	} else if (!u->reply_len) {
		if (nats__is_reply(r->win, u)) {
			a->orphans++;
			a->reason[REASON_ORPHAN]++;
		} else {
			nats__one_way(a, REASON_NO_REPLY);
			if (targ_hops && targ_deliveries) {
				s->hop_subject = hash;
				nats__hop_pass(ctx, c, a, s, dir);
			}
		}
		return;
	}
	if (nats__is_internal(r->win, u))
		nats__one_way(a, REASON_INTERNAL);
	else if (nats__is_pull(r->win, u))
		nats__one_way(a, REASON_PULL);
	else
		nats__open(ctx, c, a, s, dir, hash);
}

/* Global: the framer has two places that hand over a message, the verifier looks once. */
__noinline int nats__on_message(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
				struct lane_scratch *s, __u32 dir)
{
	if (!c || !a || !s)
		return 0;
	nats__message_read(ctx, c, a, s, dir & 1);
	return 0;
}

static __always_inline void nats_io__message(struct nats_io *io, struct nats_run *r)
{
	(void)r;
	nats__on_message(io->ctx, io->conn, io->acct, io->scratch, io->dir);
}

#endif
