/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP/1 framer, step 2: a direction of a TCP connection. Keeps its place across segments: heads
 * split anywhere, bodies passed over by their declared length, any number of messages in a segment.
 *
 * Besides the hooks of stream.h the includer gives
 *
 *   void http_io__event(struct stream_io *, struct stream_run *, struct http_unit *)
 *
 * u->what says what happened; the m_ fields, seq, head and bytes are of the message:
 *
 *   HTTP_ON_BEGIN   its first byte passed (while TRYING, too: that may come to nothing)
 *   HTTP_ON_LINE    the start line was read; window positions path, path_len are valid now
 *   HTTP_ON_FIELD   traceparent or x-request-id was read; value, value_len are valid now
 *   HTTP_ON_HEAD    the head is complete
 *   HTTP_ON_END     the last byte passed
 *   HTTP_ON_OPAQUE  from here on the connection is something else: pair->opaque says what
 *
 * Requests and responses. A response's end depends on its request's method, and which request it
 * answers is known by order alone. struct http_pair, one a connection, holds that: each direction
 * writes its own members only (but see http_pair__align), so the directions may run on two CPUs.
 *
 * Certainty. A direction is SYNCED when its place is known. After an attach in mid-stream, a gap or
 * bad input it is LOST; then only a start line that begins where a segment begins is tried, and it
 * is the proof: one of the methods with a number, target and "HTTP/1.x", or "HTTP/1.x NNN". The
 * rest of a segment without one is passed over unread. What remains is a body of which a segment
 * begins exactly at such a line. Whose answer a response is (`paired`) is certain when the request
 * direction was SYNCED since a request that began while no response was under way: the first one
 * after an attach or a loss. What remains is a client that pipelines over that moment, with
 * responses to come to requests never seen; it shows when there are more responses than requests,
 * and is then not paired until the next such request. A response of which it is not known what it
 * answers is handed over, and the place is lost behind its head unless it has no body whatever was
 * asked.
 */
#ifndef HOPSCOPE_PROTO_HTTP_STREAM_H
#define HOPSCOPE_PROTO_HTTP_STREAM_H

#include "http.h"

enum http_what {
	HTTP_ON_BEGIN = 1,
	HTTP_ON_LINE = 2,
	HTTP_ON_FIELD = 3,
	HTTP_ON_HEAD = 4,
	HTTP_ON_END = 5,
	HTTP_ON_OPAQUE = 6,
};

enum http_opaque {
	HTTP_NOT_OPAQUE = 0,
	HTTP_IS_HTTP2 = 1, /* its preface */
	HTTP_IS_UPGRADED = 2,
	HTTP_IS_WEBSOCKET = 3,
	HTTP_IS_TUNNEL = 4, /* CONNECT */
};

enum http_state {
	HTTP_S_START = 0,    /* a start line comes */
	HTTP_S_FIELDS = 1,   /* a header line comes */
	HTTP_S_INSIDE = 2,   /* inside a header line that nobody reads */
	HTTP_S_BODY = 3,     /* counted bytes */
	HTTP_S_SIZE = 4,     /* a chunk's size comes */
	HTTP_S_CHUNK = 5,    /* a chunk's bytes */
	HTTP_S_CHUNKED = 6,  /* the line end behind them */
	HTTP_S_TRAILER = 7,  /* a trailer line comes */
	HTTP_S_TRAILING = 8, /* inside one */
	HTTP_S_CLOSE = 9,    /* the body ends with the connection */
};

#define HTTP_DEPTH 64 /* requests outstanding of which HEAD and CONNECT are told apart */

/* A connection. `asked`, `unseen`, `special`, the bits: by the request direction. The rest: by the
 * other. */
struct http_pair {
	__u64 heads;	/* bit seq % 64: HEAD */
	__u64 connects; /* CONNECT */
	__u32 asked;	/* requests whose line was read */
	__u32 answered; /* final responses that have ended */
	__u32 unseen;	/* times the request direction was lost */
	__u32 aligned;	/* 1 + unseen + missed, when last aligned; 0 never */
	__u32 missed;	/* times the response direction was lost */
	__u32 special;	/* 1 + the last HEAD's or CONNECT's number; 0: there was none */
	__u8 busy;	/* a response is under way */
	__u8 opaque;	/* enum http_opaque */
	__u8 upgrade;	/* HTTP_WEBSOCKET or the like was asked for */
	__u8 pad;
	__u32 pad1;
};

_Static_assert(sizeof(struct http_pair) == 48, "kept per socket");

/* What is remembered of a direction between segments. Zero is a direction never seen. */
struct http_dir {
	struct stream_dir s;
	__u64 length; /* Content-Length */
	__u32 head;   /* bytes of the head */
	__u32 seq;
	__u16 status;
	__u16 flags; /* enum http_flag */
	__u8 state;  /* enum http_state */
	__u8 role;   /* enum http_role; stays when the place is lost */
	__u8 method;
	__u8 version;
	__u8 field; /* of the line before, for folded lines */
	__u8 paired;
	__u8 known; /* a response: what it answers is known well enough to tell its end */
	__u8 pad;
	__u32 pad1;
};

_Static_assert(sizeof(struct http_dir) == 56, "kept per socket");

struct http_feed {
	struct stream_run *run;
	struct http_dir *dir;
	struct http_pair *pair;
	struct http_unit *unit;
	struct stream_io *io;
};

STREAM_INLINE void http_feed__event(struct http_feed *f, __u8 what)
{
	struct http_dir *d = f->dir;
	struct http_unit *u = f->unit;

	u->what = what;
	if (what == HTTP_ON_BEGIN) { /* nothing is known of it */
		http_io__event(f->io, f->run, u);
		return;
	}
	u->m_role = d->role;
	u->m_method = d->method;
	u->m_version = d->version;
	u->m_status = d->status;
	u->m_flags = d->flags;
	u->paired = d->paired;
	u->seq = d->seq;
	u->head = d->head;
	u->bytes = d->s.bytes;
	http_io__event(f->io, f->run, u);
}

STREAM_INLINE int http_pair__sure(const struct http_pair *p)
{
	return STREAM_GET(p->aligned) == 1 + STREAM_GET(p->unseen) + STREAM_GET(p->missed);
}

/*
 * A request begins and nothing is certain: when no response is under way, all earlier requests are
 * taken as answered. The one place where a direction writes what belongs to the other, which is
 * idle.
 */
STREAM_INLINE void http_pair__align(struct http_pair *p)
{
	if (http_pair__sure(p) || STREAM_GET(p->busy))
		return;
	p->answered = p->asked;
	p->aligned = 1 + p->unseen + p->missed;
}

/*
 * Bytes passed that nobody understood. A direction of which nothing is known may be that of the
 * responses. Requests passed unread since the place was lost need not be counted again: the next
 * one that is read aligns.
 */
STREAM_INLINE void http_dir__lost(struct http_dir *d, struct http_pair *p)
{
	if (d->role == HTTP_REQUEST) {
		p->unseen += d->s.sync == STREAM_SYNCED;
	} else {
		p->missed++;
		p->busy = 0;
	}
	d->state = HTTP_S_START;
	d->flags = 0;
}

/* The place is lost, with n window bytes that are not the protocol. */
STREAM_INLINE void http_feed__lose(struct http_feed *f, __u32 n)
{
	http_dir__lost(f->dir, f->pair);
	stream__lose(f->run, &f->dir->s, n);
}

/* The window could not be filled, or the line is too long: all that is in it goes. */
STREAM_INLINE int http_feed__more(struct http_feed *f)
{
	int rc = stream__more(f->run, &f->dir->s, f->io);

	if (rc < 0)
		http_feed__lose(f, f->run->end - f->run->pos);
	return rc > 0;
}

STREAM_INLINE void http_feed__opaque(struct http_feed *f, __u8 what)
{
	f->pair->opaque = what;
	http_feed__event(f, HTTP_ON_OPAQUE);
}

/* A message's last byte has passed. */
STREAM_INLINE void http_feed__end(struct http_feed *f)
{
	struct http_dir *d = f->dir;
	struct http_pair *p = f->pair;

	d->state = HTTP_S_START;
	d->s.begun = 0;
	f->run->units++;
	http_feed__event(f, HTTP_ON_END);
	if (d->role != HTTP_RESPONSE)
		return;
	if (d->status == 101)
		http_feed__opaque(f, d->flags & HTTP_WEBSOCKET ? HTTP_IS_WEBSOCKET
				     : d->flags & HTTP_H2C     ? HTTP_IS_HTTP2
							       : HTTP_IS_UPGRADED);
	else if (d->method == HTTP_CONNECT && d->status / 100 == 2)
		http_feed__opaque(f, HTTP_IS_TUNNEL);
	if (d->status >= 200 || d->status == 101)
		p->answered = d->seq + 1;
	STREAM_PUT(p->busy, 0);
}

/* A request's line was read: it joins those that wait for their answer. */
STREAM_INLINE void http_feed__ask(struct http_feed *f)
{
	struct http_pair *p = f->pair;
	struct http_dir *d = f->dir;
	__u64 bit;

	http_pair__align(p);
	d->seq = p->asked;
	d->method = f->unit->method;
	d->paired = 1;
	bit = (__u64)1 << (d->seq % HTTP_DEPTH);
	p->heads = d->method == HTTP_HEAD ? p->heads | bit : p->heads & ~bit;
	p->connects = d->method == HTTP_CONNECT ? p->connects | bit : p->connects & ~bit;
	if (d->method == HTTP_HEAD || d->method == HTTP_CONNECT)
		p->special = d->seq + 1;
	STREAM_PUT(p->asked, d->seq + 1);
}

/* A status line was read: which request does it answer? */
STREAM_INLINE void http_feed__answer(struct http_feed *f)
{
	struct http_pair *p = f->pair;
	struct http_dir *d = f->dir;
	__u32 waiting = STREAM_GET(p->asked) - p->answered, special;
	__u64 bit;

	d->seq = p->answered;
	d->status = f->unit->status;
	d->method = HTTP_NONE;
	d->paired = 0;
	d->known = (__u8)http_pair__sure(p);
	STREAM_PUT(p->busy, 1);
	if (!d->known)
		return;
	if (!waiting) {
		/* A timeout or a refusal, before there was a whole request: its end is known. */
		d->seq = p->answered - 1;
		if (d->status >= 200)
			p->missed++;
		return;
	}
	d->paired = 1;
	d->method = HTTP_OTHER;
	special = STREAM_GET(p->special);
	if (!special || (__s32)(special - 1 - d->seq) < 0)
		return; /* since then nothing whose answer has an end of its own */
	if (waiting > HTTP_DEPTH) {
		d->method = HTTP_NONE;
		d->known = 0; /* its bit was overwritten */
		return;
	}
	bit = (__u64)1 << (d->seq % HTTP_DEPTH);
	if (STREAM_GET(p->heads) & bit)
		d->method = HTTP_HEAD;
	else if (STREAM_GET(p->connects) & bit)
		d->method = HTTP_CONNECT;
}

/* Behind the head: how long is the body? 0: that is not clear, or not allowed. */
STREAM_INLINE int http_feed__body(struct http_feed *f)
{
	struct http_dir *d = f->dir;
	__u16 flags = d->flags;

	if ((flags & HTTP_HAS_ENCODING) && ((flags & HTTP_HAS_LENGTH) || d->version != 11))
		return 0;
	d->state = HTTP_S_START;
	if (d->role == HTTP_REQUEST) {
		if ((flags & HTTP_HAS_ENCODING) && !(flags & HTTP_CHUNKED))
			return 0;
		if (flags & (HTTP_WEBSOCKET | HTTP_H2C))
			f->pair->upgrade = 1;
	} else {
		if (d->status < 200 || d->status == 204 || d->status == 304 ||
		    d->method == HTTP_HEAD || (d->method == HTTP_CONNECT && d->status / 100 == 2))
			return 1;
		if (!(flags & (HTTP_CHUNKED | HTTP_HAS_LENGTH)))
			d->state = HTTP_S_CLOSE;
	}
	if (flags & HTTP_CHUNKED) {
		d->state = HTTP_S_SIZE;
	} else if ((flags & HTTP_HAS_LENGTH) && d->length) {
		d->state = HTTP_S_BODY;
		d->s.skip = d->length;
	}
	return 1;
}

/* The empty line behind the head; its bytes are taken already. */
STREAM_INLINE void http_feed__head(struct http_feed *f)
{
	struct http_dir *d = f->dir;

	d->head = (__u32)d->s.bytes;
	if (!http_feed__body(f)) {
		http_feed__lose(f, 0);
		return;
	}
	http_feed__event(f, HTTP_ON_HEAD);
	if (d->state == HTTP_S_START) {
		http_feed__end(f);
	} else if (d->role == HTTP_RESPONSE && !d->known) {
		/* The answer to a HEAD would end here. */
		http_feed__lose(f, 0);
	}
}

/* A segment begins, and nothing is known: may this be a start line? */
STREAM_INLINE void http_feed__try(struct http_feed *f)
{
	struct stream_run *r = f->run;

	if (stream__at_start(r) &&
	    http__maybe_start(stream__load64(r->win, r->pos), r->end - r->pos)) {
		f->dir->s.sync = STREAM_TRYING;
		return;
	}
	http_dir__lost(f->dir, f->pair);
	stream__pass(r, &f->dir->s, STREAM_ALL); /* all that is left of the segment */
}

/* The start line [pos, stop), or (stop 0) as much of a long one as fits. */
STREAM_INLINE void http_feed__start(struct http_feed *f, __u32 stop)
{
	struct stream_run *r = f->run;
	struct http_dir *d = f->dir;
	struct http_unit *u = f->unit;
	int rc;

	u->begin = r->pos;
	u->stop = stop;
	u->end = r->end;
	rc = http__start((const struct stream_window *)r->win, u);
	if (rc == HTTP_PREFACE && d->role != HTTP_RESPONSE) {
		d->s.sync = STREAM_SYNCED;
		d->role = HTTP_REQUEST;
		http_feed__opaque(f, HTTP_IS_HTTP2);
		return;
	}
	if (rc == HTTP_OK && d->s.sync != STREAM_SYNCED && u->method == HTTP_OTHER)
		rc = HTTP_BAD; /* "SEARCH" may be the rest of "M-SEARCH" */
	if (rc != HTTP_OK || (d->s.sync == STREAM_SYNCED && d->role && d->role != u->role)) {
		http_feed__lose(f, (stop ? stop : r->end) - r->pos);
		return;
	}
	d->s.sync = STREAM_SYNCED;
	d->role = u->role;
	d->version = u->version;
	d->flags = 0;
	d->field = HTTP_F_FOLD; /* nothing to be folded yet */
	d->length = 0;
	if (u->role == HTTP_REQUEST)
		http_feed__ask(f);
	else
		http_feed__answer(f);
	http_feed__event(f, HTTP_ON_LINE);
	stream__take(r, &d->s, (stop ? stop : r->end) - r->pos);
	d->state = stop ? HTTP_S_FIELDS : HTTP_S_INSIDE;
}

/* A header or trailer line [pos, stop). */
STREAM_INLINE void http_feed__field(struct http_feed *f, __u32 stop)
{
	struct stream_run *r = f->run;
	struct http_dir *d = f->dir;
	struct http_unit *u = f->unit;
	int trailer = d->state == HTTP_S_TRAILER;

	u->begin = r->pos;
	u->stop = stop;
	if (http__field((const struct stream_window *)r->win, u, (__u32)trailer) != HTTP_OK)
		goto bad;
	if (u->field == HTTP_F_END) {
		stream__take(r, &d->s, stop - r->pos);
		if (trailer)
			http_feed__end(f);
		else
			http_feed__head(f);
		return;
	}
	if (u->field == HTTP_F_FOLD) {
		/* Behind the start line, or more of what decides where the message ends. */
		if (d->field == HTTP_F_LENGTH || d->field == HTTP_F_ENCODING ||
		    d->field == HTTP_F_FOLD)
			goto bad;
	} else if (trailer) {
		d->field = HTTP_F_NONE;
	} else {
		if (u->flags & d->flags & (HTTP_HAS_LENGTH | HTTP_HAS_ENCODING))
			goto bad;
		d->flags |= u->flags;
		d->field = (__u8)u->field;
		if (u->field == HTTP_F_LENGTH)
			d->length = u->number;
		if (u->field >= HTTP_F_TRACEPARENT && u->value_len)
			http_feed__event(f, HTTP_ON_FIELD);
	}
	stream__take(r, &d->s, stop - r->pos);
	return;
bad:
	http_feed__lose(f, stop - r->pos);
}

/* At a header line's first byte: on through as much of the head as is plain. */
STREAM_INLINE void http_feed__plain(struct http_feed *f)
{
	struct stream_run *r = f->run;
	struct http_dir *d = f->dir;
	struct http_unit *u = f->unit;
	__u32 n, last;

	if (d->s.bytes + (r->end - r->pos) > HTTP_HEAD_MAX)
		return;
	u->begin = r->pos;
	u->end = r->end;
	u->flags = d->flags;
	u->number = d->length;
	last = http__plain((struct stream_window *)r->win, u);
	n = STREAM_GET(u->begin) - r->pos;
	if (n) {
		d->flags = u->flags;
		d->length = u->number;
		d->field = (__u8)u->field;
	}
	if (n + last)
		stream__take(r, &d->s, n + last);
	if (last)
		http_feed__head(f);
}

/* A chunk-size line, or the empty one behind a chunk. */
STREAM_INLINE void http_feed__chunk(struct http_feed *f, __u32 stop)
{
	struct stream_run *r = f->run;
	struct http_dir *d = f->dir;
	__u32 n = stop - r->pos;

	if (d->state == HTTP_S_CHUNKED) {
		if (n > 2 || (n == 2 && stream__byte(r->win, r->pos) != '\r')) {
			http_feed__lose(f, n);
			return;
		}
		d->state = HTTP_S_SIZE;
		stream__take(r, &d->s, n);
		return;
	}
	f->unit->begin = r->pos;
	f->unit->stop = stop;
	if (http__chunk((const struct stream_window *)r->win, f->unit) != HTTP_OK) {
		http_feed__lose(f, n);
		return;
	}
	stream__take(r, &d->s, n);
	d->s.skip = f->unit->number;
	d->field = HTTP_F_FOLD;
	d->state = d->s.skip ? HTTP_S_CHUNK : HTTP_S_TRAILER;
}

/* Header lines, as many as nobody reads. 1: pos is at a line that must be looked at. */
STREAM_INLINE int http_feed__skim(struct http_feed *f)
{
	struct stream_run *r = f->run;
	struct http_dir *d = f->dir;
	struct http_unit *u = f->unit;
	int trailer = d->state == HTTP_S_TRAILING;

	u->begin = r->pos;
	u->end = r->end;
	if (http__skim((const struct stream_window *)r->win, u, (__u32)trailer))
		d->state = trailer ? HTTP_S_TRAILER : HTTP_S_FIELDS;
	stream__take(r, &d->s, STREAM_GET(u->begin) - r->pos);
	return d->s.bytes <= HTTP_HEAD_MAX || trailer;
}

/* At a header line's first byte: can it be passed over? */
STREAM_INLINE int http_feed__boring(const struct http_feed *f)
{
	const struct stream_run *r = f->run;
	__u32 len;
	__u8 c;

	if (r->pos + HTTP_NAME_MAX > r->end)
		return 0;
	c = stream__byte(r->win, r->pos);
	if (!http__maybe(c))
		return 1;
	if (c < '!')
		return 0;
	return f->dir->state == HTTP_S_TRAILER || !http__name(r->win, r->pos, &len);
}

/* Oversized: more than anybody takes, so the place is not where we think. */
STREAM_INLINE void http_feed__oversized(struct http_feed *f)
{
	f->run->oversized++;
	http_feed__lose(f, 0);
}

/* At a message's first byte. 0: not one yet (an empty line in front of a request). */
STREAM_INLINE int http_feed__begin(struct http_feed *f)
{
	struct stream_run *r = f->run;
	struct http_dir *d = f->dir;
	__u8 c = stream__byte(r->win, r->pos);

	if (d->role == HTTP_REQUEST && d->s.sync == STREAM_SYNCED && (c == '\r' || c == '\n')) {
		stream__take(r, &d->s, 1);
		return 0;
	}
	d->s.bytes = 0;
	d->s.begun = 1;
	d->head = 0;
	d->flags = 0;
	d->method = HTTP_NONE;
	d->status = 0;
	d->paired = 0;
	http_feed__event(f, HTTP_ON_BEGIN);
	return 1;
}

/* A whole line is at pos, or as much of it as can be kept. */
STREAM_INLINE int http_feed__line(struct http_feed *f)
{
	struct stream_run *r = f->run;
	struct http_dir *d = f->dir;
	__u32 stop = stream__line(r);

	if (!stop && r->scan < r->end)
		return 0;
	if (!stop && (d->state != HTTP_S_START || r->end - r->pos <= STREAM_KEEP_MAX ||
		      d->role == HTTP_RESPONSE))
		return http_feed__more(f);
	switch (d->state) {
	case HTTP_S_START: http_feed__start(f, stop); break;
	case HTTP_S_FIELDS:
	case HTTP_S_TRAILER: http_feed__field(f, stop); break;
	default: http_feed__chunk(f, stop);
	}
	if (d->state == HTTP_S_FIELDS && r->pos != r->end)
		http_feed__plain(f);
	return 0;
}

/* One turn. 1: the segment is used up. */
STREAM_INLINE int http_feed__step(struct http_feed *f)
{
	struct stream_run *r = f->run;
	struct http_dir *d = f->dir;
	int rc;

	if (STREAM_GET(f->pair->opaque) || d->state == HTTP_S_CLOSE) {
		d->s.sync = STREAM_SYNCED; /* nothing of it is read */
		stream__pass(r, &d->s, STREAM_ALL);
		return 1;
	}
	if (d->s.skip) {
		d->s.skip = stream__pass(r, &d->s, d->s.skip);
		if (d->s.skip)
			return 1;
		if (d->state == HTTP_S_CHUNK)
			d->state = HTTP_S_CHUNKED;
		else
			http_feed__end(f);
	}
	if (r->pos == r->end) {
		rc = stream__fill(r, f->io);
		if (rc < 0)
			http_feed__lose(f, 0);
		if (rc <= 0)
			return 1;
	}
	if (d->s.sync == STREAM_LOST) {
		http_feed__try(f);
		if (d->s.sync == STREAM_LOST)
			return 1;
	}
	if (!d->s.begun && !http_feed__begin(f))
		return 0;
	if (d->state == HTTP_S_FIELDS || d->state == HTTP_S_TRAILER) {
		if (http_feed__boring(f)) {
			d->field = HTTP_F_NONE;
			d->state = d->state == HTTP_S_FIELDS ? HTTP_S_INSIDE : HTTP_S_TRAILING;
		}
	}
	if (d->state == HTTP_S_INSIDE || d->state == HTTP_S_TRAILING) {
		if (!http_feed__skim(f))
			http_feed__oversized(f);
		return 0;
	}
	return http_feed__line(f);
}

static long http_feed__turn(__u32 i, void *ctx)
{
	struct http_feed *f = ctx;

	(void)i;
	return http_feed__step(f) || stream__used_up(f->run);
}

/* Reads `len` (> 0) bytes that follow the direction's last ones. */
STREAM_INLINE void http_feed(struct http_feed *f, __u32 len)
{
	struct stream_run *r = f->run;

	if (stream__open(r, &f->dir->s, f->io, len) < 0)
		http_feed__lose(f, r->end - r->pos);
	STREAM_LOOP(STREAM_STEPS, http_feed__turn, f);
	if (stream__close(r))
		http_feed__lose(f, 0);
}

/*
 * Bytes of this direction were missed: the place is lost unless all of them were of a body. 1: it
 * is. What was kept of a split line (dir->s.kept, before) was booked as framed while SYNCED.
 */
STREAM_INLINE int http_dir__gap(struct http_dir *d, struct http_pair *p, __u32 missed)
{
	if (p->opaque || d->state == HTTP_S_CLOSE || d->s.skip > missed) {
		d->s.bytes += missed;
		if (d->s.skip)
			d->s.skip -= missed;
		return 0;
	}
	http_dir__lost(d, p);
	d->s.sync = STREAM_LOST;
	d->s.skip = 0;
	d->s.kept = 0;
	d->s.begun = 0;
	return 1;
}

#endif
