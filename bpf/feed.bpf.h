/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes of a connection, in order: recognised, given to their framer, accounted for.
 *
 * A new connection is tried as NATS. One whose segment begins as HTTP, Redis or TLS do changes its
 * state to theirs before that segment is read (`trying`), and back if nothing comes of it. The
 * framers' own proof decides (see "Certainty" there), not the first bytes.
 */
#ifndef HOPSCOPE_FEED_BPF_H
#define HOPSCOPE_FEED_BPF_H

#include "cause.bpf.h"
#include "hops.bpf.h"
#include "http.bpf.h"
#include "nats.bpf.h"
#include "redis.bpf.h"

#define FEED_PEEK 16

static __always_inline void acct__unparsed(struct wire_acct *a, __s64 n, __u32 reason)
{
	a->bytes_unparsed += n;
	a->reason[reason] += n;
}

static __always_inline bool proto__is_stream(__u32 proto)
{
	return proto == PROTO_HTTP || proto == PROTO_REDIS;
}

/* ---- recognition */

/*
 * The first n bytes of a request or response; `next`: the ninth byte. NATS has verbs that begin
 * with "P" and "H", too, and a CONNECT of its own, with JSON behind it.
 */
static __always_inline bool peek__is_http(__u64 w, __u8 next, __u32 n)
{
	__u8 c = (__u8)w;

	if (c == 'C')
		return n > 8 && w == STREAM_W8('C', 'O', 'N', 'N', 'E', 'C', 'T', ' ') &&
		       next != '{' && next > ' ';
	return (n >= 4 || c == 'G' || c == 'D' || c == 'O') && http__maybe_start(w, n);
}

/* "*3\r\n$": a command. Replies look like too many things, and come after commands. */
static __always_inline bool peek__is_redis(__u64 w, __u32 n)
{
	__u8 digit = (__u8)(w >> 8), next = (__u8)(w >> 16);

	return (__u8)w == '*' && (n < 2 || (digit >= '1' && digit <= '9')) &&
	       (n < 3 || next == '\r' || (next >= '0' && next <= '9'));
}

/* The record of a ClientHello or ServerHello; or, of a connection that was there, one of data. */
static __always_inline bool peek__is_tls(__u64 w)
{
	__u32 len = (__u32)(w >> 24 & 0xff) << 8 | (__u32)(w >> 32 & 0xff);
	__u8 hello = (__u8)(w >> 40);

	if ((__u32)(w & 0xffffff) == 0x030317)
		return len >= 16 && len <= 16384 + 256;
	return (__u16)w == 0x0316 && (__u8)(w >> 16) <= 4 && (hello == 1 || hello == 2);
}

/* What the segment in scratch begins like; PROTO_NATS where nothing says otherwise. */
static __noinline __u32 feed__peek(wire_ctx *ctx, const struct lane_scratch *s)
{
	__u64 w[FEED_PEEK / 8] = {};
	__u32 n = *(volatile const __u32 *)&s->len;

	if (n > FEED_PEEK)
		n = FEED_PEEK;
	if (n < 1 || wire_ctx__load(ctx, s->off, w, n, FEED_PEEK))
		return PROTO_NATS;
	if (peek__is_http(w[0], (__u8)w[1], n))
		return PROTO_HTTP;
	if (peek__is_redis(w[0], n))
		return PROTO_REDIS;
	if (peek__is_tls(w[0]))
		return PROTO_TLS;
	return PROTO_NATS;
}

/* Recognised; once, where both directions are at the same time on two CPUs. */
static __always_inline void conn__is(struct conn *c, struct wire_acct *a, __u32 proto)
{
	c->proto = (__u8)proto;
	c->trying = 0;
	if (__sync_lock_test_and_set(&c->known, 1))
		return;
	a->conns++;
	a->proto_conns[proto & 7]++;
}

/*
 * Makes the connection's state that of `trying`, or (PROTO_NEW) of one not seen yet. It belongs to
 * both directions: not while the other one is being parsed, the next segment will do.
 */
static __always_inline bool conn__try(struct conn *c, __u32 dir, __u32 trying)
{
	__u32 *lock = &c->lock[!(dir & 1)];

	if (__sync_lock_test_and_set(lock, 1))
		return false;
	__builtin_memset(&c->stream, 0, sizeof(c->stream));
	c->trying = (__u8)trying;
	if (trying == PROTO_REDIS)
		c->stream.redis.pair.fresh = c->fresh && !c->tries;
	STORE_RELEASE(lock, 0);
	return true;
}

/* As which protocol is the segment to be read? PROTO_OTHER: not at all. */
static __noinline __u32 feed__guess(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
				    struct lane_scratch *s, __u32 dir)
{
	__u32 proto;

	/*
	 * After the server's INFO in plain text, and no message has come yet. Else it is bytes that
	 * happen to begin like a record: what is in flight would be nobody's.
	 */
	if (c->proto == PROTO_NATS) {
		if (c->verbs || feed__peek(ctx, s) != PROTO_TLS)
			return PROTO_NATS;
		c->proto = PROTO_TLS;
		a->proto_conns[PROTO_NATS]--;
		a->proto_conns[PROTO_TLS]++;
		return PROTO_TLS;
	}
	if (c->trying)
		return c->trying;
	if (c->nats[IN].sync != NATS_LOST || c->nats[OUT].sync != NATS_LOST)
		return PROTO_NATS;
	proto = feed__peek(ctx, s);
	if (!proto__wanted(proto) || (proto == PROTO_NATS && c->tries >= CONN_TRIES && !c->claimed))
		return PROTO_OTHER;
	if (proto == PROTO_TLS)
		conn__is(c, a, PROTO_TLS);
	else if (proto != PROTO_NATS && !conn__try(c, dir, proto))
		return PROTO_OTHER;
	return proto;
}

/* One try less. */
static __always_inline void conn__failed(struct conn *c)
{
	if (!c->claimed && ++c->tries >= CONN_PEEKS)
		c->proto = PROTO_OTHER;
}

/* ---- accounting */

/* What a framer's run says of the segment. */
static __always_inline void feed__account(struct conn *c, struct wire_acct *a, __u32 dir, __u32 len,
					  __s64 framed, __s64 resync, __s64 bad, __s64 refused)
{
	a->bytes_framed += framed;
	if (framed == len)
		return;
	acct__unparsed(a, resync, REASON_RESYNC);
	acct__unparsed(a, bad, REASON_BAD);
	acct__unparsed(a, refused, REASON_REFUSED);
	conn__lost(c, dir);
}

/* Bytes that did not pass: the direction's place may be lost with them. */
static __noinline void conn__missed(struct conn *c, struct wire_acct *a, __u32 dir, __u32 n,
				    __u32 reason)
{
	__u32 proto = c->proto ? c->proto : c->trying, kept;
	bool synced, lost;

	if (proto == PROTO_HTTP) {
		struct http_dir *d = &c->stream.http.dir[dir & 1];

		kept = d->s.kept;
		synced = d->s.sync == STREAM_SYNCED;
		lost = http_dir__gap(d, &c->stream.http.pair, n);
	} else if (proto == PROTO_REDIS) {
		struct redis_dir *d = &c->stream.redis.dir[dir & 1];

		kept = d->s.kept;
		synced = d->s.sync == STREAM_SYNCED;
		lost = redis_dir__gap(d, &c->stream.redis.pair, n);
	} else {
		kept = c->nats[dir & 1].kept;
		synced = c->nats[dir & 1].sync == NATS_SYNCED;
		lost = nats_dir__gap(&c->nats[dir & 1], n);
	}
	if (!c->proto) {
		c->fresh = 0;
		return;
	}
	if (lost) {
		conn__lost(c, dir);
		if (synced) {
			a->bytes_framed -= kept;
			acct__unparsed(a, kept, reason);
		}
	}
	a->bytes_seen += n;
	acct__unparsed(a, n, reason);
}

/* ---- the framers */

/* HTTP or Redis. Global: the verifier goes through both framers once. */
__noinline int feed__stream(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
			    struct lane_scratch *s, __u32 dir_proto)
{
	__u32 dir = dir_proto & 1, proto = dir_proto >> 1;
	struct stream_run *r;
	bool fresh;
	int sync;

	if (!c || !a || !s)
		return 0;
	r = &s->stream;
	fresh = c->proto == PROTO_NEW;
	sync = proto == PROTO_HTTP ? http__segment(ctx, c, a, s, dir)
				   : redis__segment(ctx, c, a, s, dir);
	if (fresh) {
		if (sync == STREAM_SYNCED) {
			conn__is(c, a, proto);
		} else if (sync == STREAM_LOST) {
			conn__try(c, dir, PROTO_NEW);
			conn__failed(c);
		}
	}
	if (c->proto < PROTO_NATS && !c->claimed)
		return 0;
	a->packets++;
	a->messages += r->units;
	a->bytes_seen += s->len;
	if (c->proto < PROTO_NATS)
		acct__unparsed(a, s->len, REASON_UNKNOWN);
	else
		feed__account(c, a, dir, s->len, r->framed, r->resync, r->bad, r->refused);
	if (fresh && proto == PROTO_HTTP &&
	    STREAM_GET(c->stream.http.pair.opaque) == HTTP_IS_HTTP2) {
		c->proto = PROTO_HTTP2;
		a->proto_conns[PROTO_HTTP]--;
		a->proto_conns[PROTO_HTTP2]++;
	}
	return 0;
}

/* An unrecognised connection: NATS now, or one try less. */
static __always_inline void feed__recognise_nats(struct conn *c, struct wire_acct *a, __u32 dir)
{
	if (c->nats[dir].sync == NATS_SYNCED)
		conn__is(c, a, PROTO_NATS);
	else
		conn__failed(c);
}

/* `len` bytes of the segment in scratch. Global, and no more than this: the stack is short. */
__noinline int nats__segment(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
			     struct lane_scratch *s, __u32 dir)
{
	struct nats_io io = {.ctx = ctx, .conn = c, .acct = a, .scratch = s, .dir = dir & 1};
	struct nats_feed f = {.io = &io};

	if (!c || !a || !s)
		return 0;
	io.off = s->off;
	f.run = &s->run;
	f.dir = &c->nats[dir & 1];
	nats_feed(&f, s->len);
	return 0;
}

static __always_inline void feed__nats(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
				       struct lane_scratch *s, __u32 dir)
{
	__u32 beyond = 0;

	if (c->proto == PROTO_NEW && !c->claimed && c->nats[dir].sync == NATS_LOST &&
	    s->len > CONN_TRY_BYTES) {
		beyond = s->len - CONN_TRY_BYTES;
		s->len = CONN_TRY_BYTES;
	}
	s->run.strict = c->proto == PROTO_NEW;
	if (!c->nats[dir].kind)
		c->nats[dir].kind = c->kind;
	nats__segment(ctx, c, a, s, dir);
	if (c->proto == PROTO_NEW)
		feed__recognise_nats(c, a, dir);
	if (c->proto == PROTO_NATS || c->claimed) {
		a->packets++;
		a->messages += s->run.frames;
		a->bytes_seen += s->len;
		if (c->proto == PROTO_NATS)
			feed__account(c, a, dir, s->len, s->run.framed, s->run.resync, s->run.bad,
				      s->run.refused);
		else
			acct__unparsed(a, s->len, REASON_UNKNOWN);
	}
	if (beyond)
		conn__missed(c, a, dir, beyond, REASON_RESYNC);
}

/* Bytes that nobody reads. */
static __always_inline void feed__nothing(struct conn *c, struct wire_acct *a, __u32 len)
{
	if (c->proto == PROTO_TLS) {
		__sync_fetch_and_add(&c->bytes_opaque, len);
		return;
	}
	if (c->claimed) {
		a->packets++;
		a->bytes_seen += len;
		acct__unparsed(a, len, REASON_UNKNOWN);
	}
	conn__failed(c);
}

/*
 * The segment at s->off, s->len (> 0) bytes that follow the direction's last ones. The caller holds
 * the direction's lock and the lane.
 */
static __always_inline void feed__segment(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
					  struct lane_scratch *s, __u32 dir)
{
	__u32 proto = c->proto;

	if (proto == PROTO_NEW || (proto == PROTO_NATS && c->nats[dir & 1].sync == NATS_LOST))
		proto = feed__guess(ctx, c, a, s, dir);
	if (proto == PROTO_NATS)
		feed__nats(ctx, c, a, s, dir);
	else if (proto__is_stream(proto))
		feed__stream(ctx, c, a, s, dir | proto << 1);
	else
		feed__nothing(c, a, s->len);
}

#endif
