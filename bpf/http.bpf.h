/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HTTP/1 messages to exchanges. A request opens one with its first byte, once its line was read;
 * the last byte of its final response closes it, the response's first byte is a part of its own.
 */
#ifndef HOPSCOPE_HTTP_BPF_H
#define HOPSCOPE_HTTP_BPF_H

#include "hash.bpf.h"
#include "stream.bpf.h"

#define HTTP_PATH_MAX 256 /* bytes of a path that make its route */

static __always_inline __u32 http__outcome(__u32 status)
{
	return status < 600 ? STATUS_1XX + status / 100 - 1 : STATUS_ERROR;
}

struct path_feed {
	struct route_norm *norm;
	const __u8 *win;
	__u32 at;
	__u32 len;
};

static long http__path_byte(__u32 i, void *ctx)
{
	struct path_feed *f = ctx;

	if (i >= f->len)
		return 1;
	route__path_byte(f->norm, stream__byte(f->win, f->at + i));
	return 0;
}

/* Normalises "METHOD /path" and gives it a number. */
static __noinline __u32 http__learn(struct lane_scratch *s, struct wire_acct *a)
{
	__u32 method = http__method_len((const struct stream_window *)s->stream.win, s->http.begin);
	struct path_feed f = {&s->norm, s->stream.win, s->http.begin, method + 1};
	__u32 len = s->http.path_len;

	__builtin_memset(&s->norm, 0, sizeof(s->norm));
	bpf_loop(HTTP_METHOD_MAX + 1, http__path_byte, &f, 0);
	f.at = s->http.path;
	f.len = len;
	if (!len)
		route__path_byte(&s->norm, '/'); /* "GET http://host HTTP/1.1" */
	bpf_loop(HTTP_PATH_MAX, http__path_byte, &f, 0);
	route__path_end(&s->norm, len > HTTP_PATH_MAX);
	return route__number(s, a);
}

static __always_inline __u32 http__route(struct conn *c, struct wire_acct *a,
					 struct lane_scratch *s)
{
	const struct nats_window *win = (const struct nats_window *)s->stream.win;
	__u32 len = s->http.path_len < HTTP_PATH_MAX ? s->http.path_len : HTTP_PATH_MAX + 1, id;
	__u64 hash = window__hash(win, s->http.path, len < HTTP_PATH_MAX ? len : HTTP_PATH_MAX);
	__u64 *e;

	hash ^= (__u64)(s->http.method + 1) * 0x9e3779b97f4a7c15ULL;
	hash ^= (__u64)len << 40;
	if (s->http.method == HTTP_OTHER)
		hash ^= window__hash(win, s->http.begin,
				     http__method_len((const struct stream_window *)win,
						      s->http.begin)) *
			3;
	id = route__cached(c, hash, &e);
	if (id || !e)
		return id;
	id = http__learn(s, a);
	route__remember(c, hash, e, id);
	return id;
}

/* A request's line was read. */
static __always_inline void http__asked(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
					struct lane_scratch *s, __u32 dir)
{
	struct http_pair *p = &c->stream.http.pair;

	if (!http_pair__sure(p)) {
		acct__unsure(a);
		return;
	}
	s->opening.seq = s->http.seq;
	s->opening.waiting = s->http.seq - STREAM_GET(p->answered);
	s->opening.t0 = c->stream.begin_ns[dir & 1];
	s->opening.at = c->stream.begin_seq[dir & 1];
	s->opening.word = (__u64)http__route(c, a, s) << 16 | (dir == IN ? FIFO_SERVER : 0);
	fifo__open(ctx, c, a, s);
}

#define TRACEPARENT_LEN 55 /* "00-", trace, "-", span, "-", flags */
#define TRACE_AT	3  /* the span changes from hop to hop, the trace does not */
#define TRACE_LEN	32

/* traceparent or x-request-id of a request was read. Nothing but a hash of it is kept. */
static __noinline void http__named(struct conn *c, struct lane_scratch *s)
{
	const struct nats_window *win = (const struct nats_window *)s->stream.win;
	__u32 at = s->http.value, len = s->http.value_len, seq = s->http.seq;
	struct fifo_entry *f = &c->stream.first[seq & (FIFO_FIRST - 1)];
	bool trace = s->http.field == HTTP_F_TRACEPARENT;
	__u64 word = *(volatile __u64 *)&f->word;
	struct cause_event *e;

	if (trace && len < TRACEPARENT_LEN)
		return;
	if (!word || fifo__tag_of(word) != fifo__tag(seq) || len > HASH_MAX)
		return;
	e = cause__tell(s, CAUSE_NAMED, seq, fifo__route_of(word), word & FIFO_SERVER);
	if (!e)
		return;
	e->began = f->t0;
	e->status = trace;
	e->hash = window__hash(win, trace ? at + TRACE_AT : at, trace ? TRACE_LEN : len);
}

/* A response's last byte has passed. */
static __always_inline void http__answered(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
					   struct lane_scratch *s, __u32 dir)
{
	__u32 status = s->http.m_status;

	if (status < 200 && status != 101)
		return;
	if (!s->http.paired || !fifo__find(ctx, c, s->http.seq, &s->x)) {
		acct__orphan(a);
		return;
	}
	s->answer.begin = c->stream.begin_ns[dir & 1];
	s->answer.end = stream_run__now(&s->stream);
	s->answer.at = stream__seq(s);
	s->answer.bytes = s->http.bytes;
	s->answer.status = http__outcome(status);
	exchange__end(a, c, s);
}

/* One of the framer's events. Global: the verifier looks once, not at every place that has one. */
__noinline int http__on_event(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
			      struct lane_scratch *s, __u32 dir)
{
	if (!c || !a || !s)
		return 0;
	switch (s->http.what) {
	case HTTP_ON_LINE: http__asked(ctx, c, a, s, dir); break;
	case HTTP_ON_FIELD:
		if (s->http.m_role == HTTP_REQUEST)
			http__named(c, s);
		break;
	case HTTP_ON_END:
		if (s->http.m_role == HTTP_REQUEST)
			fifo__asked(ctx, c, s->http.seq, s->http.bytes);
		else
			http__answered(ctx, c, a, s, dir);
		break;
	}
	return 0;
}

static __always_inline void http_io__event(struct stream_io *io, struct stream_run *r,
					   struct http_unit *u)
{
	(void)r;
	/* A head's end opens and closes nothing. */
	if (u->what == HTTP_ON_HEAD || u->what == HTTP_ON_OPAQUE ||
	    (u->what == HTTP_ON_FIELD && !targ_tree))
		return;
	/* Calls are a good part of what all this costs. */
	if (u->what == HTTP_ON_BEGIN)
		stream__begins(io->conn, io->scratch, io->dir);
	else if (u->what == HTTP_ON_END && u->m_role == HTTP_REQUEST &&
		 fifo__asked_at(&io->conn->stream.first[u->seq & (FIFO_FIRST - 1)], u->seq,
				u->bytes))
		return;
	else if (u->what != HTTP_ON_LINE || u->m_role == HTTP_REQUEST)
		http__on_event(io->ctx, io->conn, io->acct, io->scratch, io->dir);
}

/* The segment in scratch follows the direction's last bytes. How sure the protocol is. */
__noinline int http__segment(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
			     struct lane_scratch *s, __u32 dir)
{
	struct stream_io io = {.ctx = ctx, .conn = c, .acct = a, .scratch = s, .dir = dir & 1};
	struct http_feed f = {.io = &io};

	if (!c || !a || !s)
		return 0;
	io.off = s->off;
	f.run = &s->stream;
	f.unit = &s->http;
	f.pair = &c->stream.http.pair;
	f.dir = &c->stream.http.dir[dir & 1];
	http_feed(&f, s->len);
	if (f.dir->state == HTTP_S_CLOSE)
		c->stream.last_ns = stream_run__now(&s->stream);
	/* A start line proves the protocol, even where the place is lost behind it. */
	return f.dir->role ? STREAM_SYNCED : f.dir->s.sync;
}

/* The connection has ended: is that what ends a response? `s` is the lane's. */
static __always_inline void http__closed(struct conn *c, struct wire_acct *a,
					 struct lane_scratch *s, __u32 dir, struct fifo_ring *ring,
					 struct fifo_ring *odd)
{
	struct http_dir *d = &c->stream.http.dir[dir];

	if (d->state != HTTP_S_CLOSE || d->s.sync != STREAM_SYNCED || !d->paired)
		return;
	if (fifo__ring_of(d->seq))
		ring = odd;
	if (!fifo__take_first(c, d->seq, &s->x) &&
	    !(ring && fifo__take_far(c, ring, d->seq, &s->x)))
		return;
	s->answer.begin = c->stream.begin_ns[dir];
	s->answer.end = c->stream.last_ns;
	s->answer.at = 0;
	s->answer.bytes = d->s.bytes;
	s->answer.status = http__outcome(d->status);
	exchange__end(a, c, s);
}

#endif
