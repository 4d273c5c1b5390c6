/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reference HTTP/1 parser: whole buffers, string functions, written from RFC 9112. It shares the
 * numbering of methods with include/proto/http.h, and nothing else.
 *
 * Both directions of a connection go in, each from its beginning; the messages come out, up to the
 * first one that is bad or not complete.
 */
#ifndef TESTS_HTTP_REF_H
#define TESTS_HTTP_REF_H

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REF_LINE 4096
#define REF_HEAD (256u << 10)

struct ref_msg {
	uint64_t pos;
	uint64_t end;	   /* 0: with the connection, or not there */
	uint64_t head_end; /* behind the empty line; 0: not there */
	uint64_t path;
	uint32_t path_len;
	uint16_t status; /* 0: a request */
	uint8_t method;	 /* of a response: of the request it answers */
	uint8_t version;
	uint8_t fields; /* traceparent and x-request-id lines */
	uint8_t extra;	/* a response that answers none */
	uint32_t seq;
};

enum ref_end { REF_ALL, REF_PARTIAL, REF_FAULT, REF_OPAQUE, REF_CLOSE };

struct http_ref {
	struct ref_msg *msg;
	size_t n;
	enum ref_end how;
	uint64_t fault; /* REF_FAULT: the message, or line, is at or behind this */
};

static const char *const ref_methods[] = {"",	    "GET",     "HEAD",	"POST",	   "PUT",
					  "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"};

struct ref_line {
	const char *s;
	size_t len;  /* without line end */
	size_t full; /* with it */
};

static inline int ref__line(const uint8_t *s, size_t at, size_t len, struct ref_line *l)
{
	const uint8_t *lf = at < len ? memchr(s + at, '\n', len - at) : NULL;

	if (!lf)
		return 0;
	l->s = (const char *)s + at;
	l->full = (size_t)(lf - (s + at)) + 1;
	l->len = l->full - 1;
	if (l->len && l->s[l->len - 1] == '\r')
		l->len--;
	return 1;
}

static inline int ref__version(const char *s)
{
	if (memcmp(s, "HTTP/1.", 7) || (s[7] != '0' && s[7] != '1'))
		return 0;
	return s[7] == '1' ? 11 : 10;
}

/* 1: good, 0: bad, 2: an HTTP/2 preface. */
static inline int ref__request_line(const struct ref_line *l, struct ref_msg *m)
{
	const char *sp, *t, *e;
	size_t n = 0;

	if (l->len == 14 && l->full == 16 && !memcmp(l->s, "PRI * HTTP/2.0", 14))
		return 2;
	if (l->len < 12 || l->s[l->len - 9] != ' ')
		return 0;
	m->version = (uint8_t)ref__version(l->s + l->len - 8);
	sp = memchr(l->s, ' ', l->len);
	if (!m->version || !sp || sp == l->s || sp - l->s > 24)
		return 0;
	for (t = l->s; t < sp; t++) {
		if (!isupper((unsigned char)*t) && *t != '-')
			return 0;
	}
	m->method = 10;
	for (n = 1; n < 10; n++) {
		if (strlen(ref_methods[n]) == (size_t)(sp - l->s) &&
		    !memcmp(l->s, ref_methods[n], (size_t)(sp - l->s)))
			m->method = (uint8_t)n;
	}
	t = sp + 1;
	e = l->s + l->len - 9;
	if (t >= e || (unsigned char)*t <= ' ')
		return 0;
	n = (size_t)(e - t);
	if ((n >= 7 && !strncasecmp(t, "http://", 7)) ||
	    (n >= 8 && !strncasecmp(t, "https://", 8))) {
		t += tolower((unsigned char)t[4]) == 's' ? 8 : 7;
		while (t < e && *t != '/')
			t++;
	}
	m->path = (uint64_t)(t - l->s);
	while (t < e && *t != '?' && *t != '#' && *t != ' ')
		t++;
	m->path_len = (uint32_t)(t - l->s) - (uint32_t)m->path;
	m->path += m->pos;
	return 1;
}

static inline int ref__status_line(const struct ref_line *l, struct ref_msg *m)
{
	if (l->len < 12 || !ref__version(l->s) || l->s[8] != ' ')
		return 0;
	m->version = (uint8_t)ref__version(l->s);
	for (int i = 9; i < 12; i++) {
		if (!isdigit((unsigned char)l->s[i]))
			return 0;
	}
	m->status = (uint16_t)atoi(l->s + 9);
	return m->status >= 100 && (l->len == 12 || l->s[12] == ' ');
}

struct ref_head {
	int lengths;
	int encodings;
	int chunked;
	uint64_t length;
};

/* 1 good, 0 bad. `last`: in and out, whether the line before decides the framing (1), or is none
 * (2). */
static inline int ref__field(const struct ref_line *l, struct ref_head *h, struct ref_msg *m,
			     int *last)
{
	static const char *const names[] = {
		"content-length", "transfer-encoding", "connection",  "upgrade",
		"expect",	  "traceparent",       "x-request-id"};
	const char *v, *e = l->s + l->len;

	if ((unsigned char)l->s[0] <= ' ')
		return (l->s[0] == ' ' || l->s[0] == '\t') && !*last;
	*last = 0;
	for (int i = 0; i < 7; i++) {
		size_t n = strlen(names[i]);

		if (l->len <= n || strncasecmp(l->s, names[i], n))
			continue;
		if (l->s[n] == ' ' || l->s[n] == '\t')
			return 0;
		if (l->s[n] != ':')
			continue;
		if (l->full > REF_LINE)
			return 0;
		v = l->s + n + 1;
		for (int k = 0; k < 64 && v < e && (*v == ' ' || *v == '\t'); k++)
			v++;
		for (int k = 0; k < 64 && v < e && (e[-1] == ' ' || e[-1] == '\t'); k++)
			e--;
		n = (size_t)(e - v);
		*last = i < 2;
		if (i == 0) {
			if (!n || n > 19 || h->lengths++)
				return 0;
			for (h->length = 0; v < e; v++) {
				if (!isdigit((unsigned char)*v))
					return 0;
				h->length = h->length * 10 + (uint64_t)(*v - '0');
			}
			if (h->length > (uint64_t)1 << 48)
				return 0;
		} else if (i == 1) {
			if (h->encodings++)
				return 0;
			h->chunked = n >= 7 && !strncasecmp(e - 7, "chunked", 7) &&
				     (n == 7 || e[-8] == ',' || e[-8] == ' ' || e[-8] == '\t');
		} else if (i >= 5 && n) {
			m->fields++;
		}
	}
	return 1;
}

/* Position behind a chunked body, 0: not all there, -1: bad. */
static inline int64_t ref__chunks(const uint8_t *s, size_t at, size_t len)
{
	struct ref_line l;
	struct ref_head h;
	struct ref_msg m;
	int last = 2;

	for (;;) {
		uint64_t size = 0;
		size_t i;

		if (!ref__line(s, at, len, &l))
			return 0;
		for (i = 0; i < 16 && i < l.len && isxdigit((unsigned char)l.s[i]); i++) {
			unsigned char c = (unsigned char)tolower((unsigned char)l.s[i]);

			size = size * 16 + (uint64_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
		}
		if (!i || l.full > REF_LINE || size > (uint64_t)1 << 48)
			return -1;
		if (i < l.len && l.s[i] != ';' && l.s[i] != ' ' && l.s[i] != '\t')
			return -1;
		at += l.full;
		if (!size)
			break;
		if (size > len - at)
			return 0;
		at += size;
		if (!ref__line(s, at, len, &l)) /* what there is may be bad already */
			return 0;
		if (l.len || l.full > 2)
			return -1;
		at += l.full;
	}
	memset(&h, 0, sizeof(h));
	for (;; at += l.full) {
		if (!ref__line(s, at, len, &l))
			return 0;
		if (!l.len)
			return (int64_t)(at + l.full);
		if ((unsigned char)l.s[0] <= ' ') {
			if ((l.s[0] != ' ' && l.s[0] != '\t') || last == 2)
				return -1;
		}
		last = 0;
		(void)m;
	}
}

/* The message at m->pos. */
static inline enum ref_end ref__message(const uint8_t *s, size_t len, struct ref_msg *m,
					const struct ref_msg *request, int request_side)
{
	struct ref_head h = {0};
	struct ref_line l;
	size_t at = m->pos;
	int last = 2, rc;
	int64_t end;

	if (!ref__line(s, at, len, &l))
		return REF_PARTIAL;
	rc = request_side ? ref__request_line(&l, m) : ref__status_line(&l, m);
	if (rc == 2)
		return REF_OPAQUE;
	if (!rc || l.full > REF_LINE)
		return REF_FAULT;
	if (!request_side) {
		m->method = request ? request->method : 0;
		m->extra = !request;
	}
	for (;;) {
		at += l.full;
		if (!ref__line(s, at, len, &l))
			return REF_PARTIAL;
		if (!l.len)
			break;
		if (!ref__field(&l, &h, m, &last))
			return REF_FAULT;
	}
	if (h.encodings && (h.lengths || m->version != 11 || (request_side && !h.chunked)))
		return REF_FAULT;
	at += l.full;
	m->head_end = at;
	if (!request_side && (m->status < 200 || m->status == 204 || m->status == 304 ||
			      m->method == 2 || (m->method == 8 && m->status / 100 == 2))) {
		m->end = at;
		return m->status == 101 || (m->method == 8 && m->status / 100 == 2) ? REF_OPAQUE
										    : REF_ALL;
	}
	if (h.chunked) {
		end = ref__chunks(s, at, len);
		if (end <= 0)
			return end ? REF_FAULT : REF_PARTIAL;
		m->end = (uint64_t)end;
		return REF_ALL;
	}
	if (!h.lengths && !request_side)
		return REF_CLOSE;
	if (h.length > len - at)
		return REF_PARTIAL;
	m->end = at + h.length;
	return REF_ALL;
}

/* Reads one side. `requests`: NULL for the request side. */
static inline void http_ref__read(struct http_ref *ref, const uint8_t *s, size_t len,
				  const struct http_ref *requests)
{
	uint64_t at = 0;
	size_t asked = 0, room = 0;

	memset(ref, 0, sizeof(*ref));
	while (at < len) {
		const struct ref_msg *q =
			requests && asked < requests->n ? &requests->msg[asked] : NULL;
		struct ref_msg m = {.pos = at, .seq = (uint32_t)(requests ? asked : ref->n)};

		if (!requests && (s[at] == '\r' || s[at] == '\n') && ref->n) {
			at++;
			continue;
		}
		ref->how = ref__message(s, len, &m, q, !requests);
		ref->fault = at;
		if (ref->how == REF_FAULT || (!m.head_end && ref->how != REF_OPAQUE))
			return;
		if (ref->how == REF_OPAQUE && !m.head_end) /* preface */
			return;
		if (ref->n == room) {
			room = room ? 2 * room : 64;
			ref->msg = realloc(ref->msg, room * sizeof(m));
			if (!ref->msg)
				abort();
		}
		ref->msg[ref->n++] = m;
		if (ref->how != REF_ALL)
			return;
		if (m.status >= 200 && q)
			asked++;
		at = m.end;
	}
	ref->how = REF_ALL;
	ref->fault = len;
}

static inline void http_ref__free(struct http_ref *ref)
{
	free(ref->msg);
	memset(ref, 0, sizeof(*ref));
}

#endif
