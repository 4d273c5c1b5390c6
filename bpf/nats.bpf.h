/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NATS messages to exchanges. The reply subject is the exchange's id: a message that carries one
 * opens it, the message whose subject it is, in the other direction of the same socket, closes it.
 */
#ifndef HOPSCOPE_NATS_BPF_H
#define HOPSCOPE_NATS_BPF_H

#include "conn.bpf.h"
#include "flight.bpf.h"
#include "relay.bpf.h"

/* Hooks of the framer, and what they need. */
struct nats_io {
	struct __sk_buff *skb;
	struct conn *conn;
	struct wire_acct *acct;
	struct lane_scratch *scratch;
	struct flights *flights; /* NULL: not looked up yet, or there is none */
	__u32 off;		 /* of the direction's next byte in the packet */
	__u32 dir;
};

#define NATS_ID_MAX 256 /* longest reply subject that is kept as an id */

const volatile __u64 targ_seed; /* random: nobody outside can aim at one slot or route */
const volatile __u64 targ_slow_ns;
const volatile __u32 targ_sample;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} exemplars SEC(".maps");

/* Control lines split over segments. The largest part of one is a subject of 4 KB. */
struct kept_key {
	__u64 cookie;
	__u64 dir;
};

struct kept_val {
	__u8 bytes[(NATS_UNIT_MAX + 7) / 8 * 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct kept_key);
	__type(value, struct kept_val);
} kept_units SEC(".maps");

static __always_inline int nats_io__load(struct nats_io *io, struct nats_run *r, __u32 off,
					 __u32 at, __u32 n)
{
	return bpf_skb_load_bytes(io->skb, io->off + off, r->win + at, n);
}

static __always_inline int nats_io__keep(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n)
{
	struct kept_key key = {.cookie = io->conn->cookie, .dir = io->dir};

	if (at > NATS_WIN_MASK - NATS_UNIT_MAX)
		return -1;
	return bpf_map_update_elem(&kept_units, &key, r->win + at, BPF_ANY);
}

struct kept_copy {
	__u8 *to;
	const __u8 *from;
};

static long kept__word(__u32 i, void *ctx)
{
	struct kept_copy *k = ctx;

	if (i >= sizeof(struct kept_val) / 8)
		return 1;
	*(__u64 *)(k->to + 8 * i) = *(const __u64 *)(k->from + 8 * i);
	return 0;
}

/* A function of its own: its stack is then not under that of the deepest calls. */
static __noinline int kept__copy(__u8 *to, const __u8 *from, __u32 n)
{
	struct kept_copy copy = {.to = to, .from = from};

	bpf_loop((n + 7) / 8, kept__word, &copy, 0);
	return 0;
}

static __always_inline int nats_io__kept(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n)
{
	struct kept_key key = {.cookie = io->conn->cookie, .dir = io->dir};
	struct kept_val *v = bpf_map_lookup_elem(&kept_units, &key);

	(void)at; /* always NATS_WIN_PAD */
	if (!v || n < 1 || n > NATS_UNIT_MAX)
		return -1;
	kept__copy(r->win + NATS_WIN_PAD, v->bytes, n);
	bpf_map_delete_elem(&kept_units, &key);
	return 0;
}

/* Hash of window bytes, 8 at a time; len at most NATS_ID_MAX. Never 0. */
__noinline __u64 nats__hash(const struct nats_window *window, __u32 at, __u32 len)
{
	__u64 h = targ_seed ^ len, w;
	const __u8 *win;
	__u32 i;

	if (!window)
		return 1;
	win = window->bytes;

	for (i = 0; i < NATS_ID_MAX / 8; i++) {
		if (len < 8)
			break;
		h = (h ^ nats__load64(win, at)) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 32;
		at += 8;
		len -= 8;
	}
	if (len & 7) {
		w = nats__load64(win, at) & (((__u64)1 << (8 * (len & 7))) - 1);
		h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 32;
	}
	h *= 0xd6e8feb86659fd93ULL;
	return (h ^ (h >> 32)) | 1;
}

/* Role of this socket for a request that passes in this direction. */
static __always_inline __u32 nats__role(const struct nats_io *io, const struct nats_unit *u)
{
	bool out = io->dir == OUT;

	switch (u->verb) {
	case NATS_PUB:
	case NATS_HPUB: return out ? ROLE_CLIENT : ROLE_BROKER;
	case NATS_RMSG:
	case NATS_LMSG: return out ? ROLE_ROUTE : ROLE_ROUTE_IN;
	}
	if (io->conn->kind == NATS_KIND_ROUTE || io->conn->kind == NATS_KIND_LEAF)
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

static __always_inline struct flights *nats_io__flights(struct nats_io *io, bool create)
{
	__u32 at = (io->conn->port_local + io->conn->port_remote) & 3;
	struct bpf_sock *sk;

	if (io->flights || (!create && !io->conn->flights))
		return io->flights;
	if (targ_test) {
		io->flights = bpf_map_lookup_elem(&test_flights, &at);
		return io->flights;
	}
	sk = io->skb->sk;
	if (!sk)
		return NULL;
	io->flights =
		bpf_sk_storage_get(&flight_tables, sk, 0, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	return io->flights;
}

static __always_inline void exemplar__send(struct nats_io *io, struct series_key *key,
					   const struct flight *f, __u64 ns, __u64 bytes)
{
	struct wire_exemplar *e = bpf_ringbuf_reserve(&exemplars, sizeof(*e), 0);
	struct conn *c = io->conn;

	if (!e) {
		io->acct->exemplars_lost++;
		return;
	}
	io->acct->exemplars++;
	e->type = RECORD_EXEMPLAR;
	e->size = sizeof(*e);
	e->start_ns = f->t0;
	e->duration_ns = ns;
	e->cookie = c->cookie;
	e->key = *key;
	e->tgid = c->tgid;
	e->port_local = c->port_local;
	e->port_remote = c->port_remote;
	__builtin_memcpy(e->comm, c->comm, sizeof(e->comm));
	e->bytes = (__u32)bytes;
	e->pad = 0;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline __u32 nats__outcome(const struct nats_unit *u)
{
	if (u->status == 503)
		return STATUS_NO_RESPONDERS;
	return u->status >= 400 ? STATUS_ERROR : STATUS_OK;
}

/*
 * Takes out the exchange that a reply with this id closes: its request went the other way. An id
 * may have been put into any of the three places.
 */
static __always_inline bool nats__take(struct nats_io *io, __u64 id, struct flight *out)
{
	__u32 dir = !io->dir;
	struct flights *t;

	if (flight__take(&io->conn->first[dir & 1], id, out))
		return true;
	t = nats_io__flights(io, false);
	if (!t)
		return false;
	return flight__take(&t->set[flight__set(id, dir) & (FLIGHT_SETS - 1)], id, out) ||
	       (*(volatile __u32 *)&io->conn->overflow &&
		flight__take_overflow(io->conn, id, dir, out));
}

/* Does this message answer an open exchange? True when it does. */
static __always_inline bool nats__close(struct nats_io *io, struct nats_run *r, __u64 hash)
{
	struct wire_acct *a = io->acct;
	struct conn *c = io->conn;
	struct series_val *v;
	struct flight *f = &io->scratch->closed;
	__u64 ns;

	if (!nats__take(io, hash, f))
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
	relay__look(c);
	v = series__get(a, c, f->route, relay__role(c, f->role), nats__outcome(&r->unit));
	if (!v)
		return true;
	series__add(v, ns, f->bytes + r->unit.payload);
	if ((targ_slow_ns && ns >= targ_slow_ns) || (targ_sample && a->matched % targ_sample == 0))
		exemplar__send(io, &v->key, f, ns, f->bytes + r->unit.payload);
	return true;
}

static __always_inline void nats__one_way(struct wire_acct *a, __u32 reason)
{
	a->seen++;
	a->one_way++;
	a->reason[reason]++;
}

/* The first set is full: the table, made when there is none, then the overflow map. */
static __noinline void nats__open_more(struct nats_io *io, const struct flight *f)
{
	struct flights *t = nats_io__flights(io, true);

	if (!t) {
		io->acct->dropped++;
		io->acct->reason[REASON_NO_MEMORY]++;
		return;
	}
	io->conn->flights = 1;
	if (!flight__put(io->acct, io->conn,
			 &t->set[flight__set(f->id, f->dir) & (FLIGHT_SETS - 1)], f))
		flight__open_overflow(io->acct, io->conn, &io->scratch->overflow, f);
}

/* A message with a reply subject: an exchange begins. */
static __always_inline void nats__open(struct nats_io *io, struct nats_run *r, __u64 hash)
{
	struct wire_acct *a = io->acct;
	struct nats_unit *u = &r->unit;
	struct flight *f = &io->scratch->flight;

	f->route = (__u16)route__of(io->scratch, a, io->conn, hash, u->subject, u->subject_len);
	f->role = (__u8)nats__role(io, u);
	if (!role__asks(f->role) && listener__skip(io->conn, f->route)) {
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
	f->id = nats__hash((const struct nats_window *)r->win, u->reply, u->reply_len);
	f->t0 = r->now;
	f->bytes = u->payload;
	f->dir = (__u8)io->dir;
	if (!flight__put(a, io->conn, &io->conn->first[io->dir & 1], f))
		nats__open_more(io, f);
}

static __always_inline void nats__error(struct nats_io *io)
{
	struct series_val *v =
		series__get(io->acct, io->conn, 0, io->dir == OUT ? ROLE_BROKER : ROLE_CLIENT,
			    STATUS_PROTO_ERR);

	if (v)
		series__count(v, 0);
}

/* A unit was read for certain. */
static __always_inline void nats__message_read(struct nats_io *io, struct nats_run *r)
{
	struct nats_unit *u = &r->unit;
	struct wire_acct *a = io->acct;
	__u64 hash;

	if (u->kind && io->conn->kind != u->kind)
		io->conn->kind = u->kind;
	if (!NATS_IS_MESSAGE(u->verb)) {
		if (u->verb == NATS_MINUS_ERR)
			nats__error(io);
		return;
	}
	relay__note(io->conn, io->dir, u);
	if (u->ambiguous) {
		nats__one_way(a, REASON_AMBIGUOUS);
		return;
	}
	/* The sender's own subject may exceed an id's length: its route only needs the beginning.
	 */
	hash = nats__hash((const struct nats_window *)r->win, u->subject,
			  u->subject_len < NATS_ID_MAX ? u->subject_len : NATS_ID_MAX);
	if (u->subject_len <= NATS_ID_MAX && nats__close(io, r, hash)) {
		if (!u->reply_len)
			return;
	} else if (!u->reply_len) {
		if (nats__is_reply(r->win, u)) {
			a->orphans++;
			a->reason[REASON_ORPHAN]++;
		} else {
			nats__one_way(a, REASON_NO_REPLY);
		}
		return;
	}
	if (nats__is_internal(r->win, u))
		nats__one_way(a, REASON_INTERNAL);
	else if (nats__is_pull(r->win, u))
		nats__one_way(a, REASON_PULL);
	else
		nats__open(io, r, hash);
}

/* Global: the framer has two places that hand over a message, the verifier looks once. */
__noinline int nats__on_message(struct __sk_buff *skb, struct conn *c, struct wire_acct *a,
				struct lane_scratch *s, __u32 dir)
{
	struct nats_io io = {.skb = skb, .conn = c, .acct = a, .scratch = s, .dir = dir & 1};

	if (!c || !a || !s)
		return 0;
	nats__message_read(&io, &s->run);
	return 0;
}

static __always_inline void nats_io__message(struct nats_io *io, struct nats_run *r)
{
	(void)r;
	nats__on_message(io->skb, io->conn, io->acct, io->scratch, io->dir);
}

#endif
