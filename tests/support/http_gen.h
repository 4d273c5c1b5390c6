/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random valid HTTP/1 connections: both directions, and which answer belongs to which request. */
#ifndef TESTS_HTTP_GEN_H
#define TESTS_HTTP_GEN_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

struct http_text {
	uint8_t *data;
	size_t len;
	size_t room;
};

/* An exchange: where it stands in both streams. */
struct http_xchg {
	uint64_t ask, asked; /* first byte of the request, behind its last one */
	uint64_t reply, replied;
};

struct http_gen {
	struct rng rng;
	struct http_text side[2]; /* requests, responses */
	struct http_xchg *xchg;
	size_t n, room;
	uint32_t body_max;
	int hostile; /* bodies may look like messages */
};

static inline void http_gen__open(struct http_gen *g, uint64_t seed)
{
	memset(g, 0, sizeof(*g));
	g->rng.state = seed;
	g->body_max = 3000;
}

static inline void http_gen__close(struct http_gen *g)
{
	free(g->side[0].data);
	free(g->side[1].data);
	free(g->xchg);
	memset(g, 0, sizeof(*g));
}

static inline void http_text__add(struct http_text *t, const void *bytes, size_t n)
{
	if (t->len + n > t->room) {
		t->room = 2 * (t->len + n) + 256;
		t->data = realloc(t->data, t->room);
		if (!t->data)
			abort();
	}
	memcpy(t->data + t->len, bytes, n);
	t->len += n;
}

__attribute__((format(printf, 2, 3))) static inline void http_text__put(struct http_text *t,
									const char *fmt, ...)
{
	char buf[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	http_text__add(t, buf, strlen(buf));
}

static inline const char *http_gen__word(struct http_gen *g)
{
	static const char *const words[] = {"users",   "v1",   "messages", "Content-Length",
					    "chunked", "x",    "close",	   "traceparent",
					    "42",      "text", "a-b",	   "keep-alive"};

	return words[rng__next(&g->rng) % 12];
}

/* A name in odd case, now and then. */
static inline void http_gen__name(struct http_gen *g, struct http_text *t, const char *name)
{
	int odd = rng__chance(&g->rng, 1, 6);

	for (; *name; name++) {
		char c = *name;

		if (odd && c >= 'a' && c <= 'z' && rng__chance(&g->rng, 1, 2))
			c = (char)(c - 'a' + 'A');
		http_text__add(t, &c, 1);
	}
	http_text__put(t, ":%s", rng__chance(&g->rng, 1, 8) ? "  \t" : " ");
}

static inline void http_gen__eol(struct http_gen *g, struct http_text *t)
{
	http_text__put(t, "%s%s", rng__chance(&g->rng, 1, 30) ? " " : "",
		       rng__chance(&g->rng, 1, 25) ? "\n" : "\r\n");
}

/* Header fields that decide nothing; some are nearly ones that do. */
static inline void http_gen__fields(struct http_gen *g, struct http_text *t)
{
	static const char *const names[] = {"host",
					    "user-agent",
					    "accept",
					    "content-type",
					    "cookie",
					    "x-request-id",
					    "traceparent",
					    "connection",
					    "te",
					    "content-length-foo",
					    "x-forwarded-for",
					    "etag",
					    "trace",
					    "upgrade-insecure-requests",
					    "expectation",
					    "server"};

	for (uint32_t n = rng__in(&g->rng, 0, 8); n; n--) {
		http_gen__name(g, t, names[rng__next(&g->rng) % 16]);
		for (uint32_t k = rng__in(&g->rng, 0, rng__chance(&g->rng, 1, 15) ? 90 : 5); k; k--)
			http_text__put(t, "%s;", http_gen__word(g));
		if (rng__chance(&g->rng, 1, 20))
			http_text__put(t, "\r\n  folded: yes");
		http_gen__eol(g, t);
	}
}

static inline void http_gen__data(struct http_gen *g, struct http_text *t, size_t n)
{
	static const char *const fakes[] = {"GET /fake HTTP/1.1\r\nHost: x\r\n\r\n",
					    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "\r\n",
					    "0\r\n\r\n", "5\r\nhello\r\n"};
	uint32_t what = (uint32_t)(rng__next(&g->rng) % (g->hostile ? 4 : 3));
	size_t end = t->len + n;

	while (t->len < end) {
		char c = (char)rng__next(&g->rng);

		if (what == 1)
			c = (char)('a' + (uint8_t)c % 26);
		else if (what == 2)
			c = "\r\n0a:\0"[(uint8_t)c % 6];
		if (what == 3)
			http_text__put(t, "%s", fakes[(uint8_t)c % 5]);
		else
			http_text__add(t, &c, 1);
	}
	t->len = end;
}

static inline uint32_t http_gen__size(struct http_gen *g)
{
	uint32_t max = g->body_max;

	if (rng__chance(&g->rng, 3, 4) && max > 60)
		max = 60;
	return rng__in(&g->rng, 0, max);
}

static inline void http_gen__chunks(struct http_gen *g, struct http_text *t)
{
	for (uint32_t n = rng__in(&g->rng, 0, 5); n; n--) {
		uint32_t size = http_gen__size(g) + 1;

		http_text__put(t, rng__chance(&g->rng, 1, 4) ? "%04X" : "%x", size);
		if (rng__chance(&g->rng, 1, 6))
			http_text__put(t, ";ext=\"%s\"", http_gen__word(g));
		http_text__put(t, "\r\n");
		http_gen__data(g, t, size);
		http_text__put(t, "\r\n");
	}
	http_text__put(t, "%s\r\n", rng__chance(&g->rng, 1, 6) ? "000" : "0");
	if (rng__chance(&g->rng, 1, 4)) {
		http_text__put(t, "Content-Length: 99\r\nX-Sum: %s\r\n", http_gen__word(g));
		if (rng__chance(&g->rng, 1, 3))
			http_text__put(t, "\tfolded\r\n");
	}
	http_text__put(t, "\r\n");
}

/* The rest of a head and the body. `body` 0: a head that may announce one that does not come. */
static inline void http_gen__rest(struct http_gen *g, struct http_text *t, int v11, int body,
				  int must)
{
	uint32_t kind = (uint32_t)(rng__next(&g->rng) % 3), size = 0;

	if (must && !kind)
		kind = 2;
	if (kind == 1 && !v11)
		kind = 2;
	http_gen__fields(g, t);
	if (kind == 1) {
		http_gen__name(g, t, "transfer-encoding");
		http_text__put(t, rng__chance(&g->rng, 1, 5) ? "gzip, Chunked" : "chunked");
		http_gen__eol(g, t);
	} else if (kind == 2) {
		size = http_gen__size(g);
		http_gen__name(g, t, "content-length");
		http_text__put(t, "%u", size);
		http_gen__eol(g, t);
	}
	http_gen__fields(g, t);
	http_text__put(t, rng__chance(&g->rng, 1, 25) ? "\n" : "\r\n");
	if (!body)
		return;
	if (kind == 1)
		http_gen__chunks(g, t);
	else if (kind == 2)
		http_gen__data(g, t, size);
}

static inline void http_gen__request(struct http_gen *g, const char *method)
{
	struct http_text *t = &g->side[0];
	int v11 = rng__chance(&g->rng, 7, 8);

	if (t->len && rng__chance(&g->rng, 1, 15))
		http_text__put(t, "\r\n");
	g->xchg[g->n].ask = t->len;
	http_text__put(t, "%s ", method);
	if (!strcmp(method, "OPTIONS") && rng__chance(&g->rng, 1, 2)) {
		http_text__put(t, "*");
	} else {
		if (rng__chance(&g->rng, 1, 10))
			http_text__put(t, "http://host:80");
		http_text__put(t, "/x");
		for (uint32_t n = rng__in(&g->rng, 0, rng__chance(&g->rng, 1, 20) ? 250 : 4); n;
		     n--)
			http_text__put(t, "/%s", http_gen__word(g));
		if (rng__chance(&g->rng, 1, 3))
			http_text__put(t, "?q=%s?/#", http_gen__word(g));
	}
	http_text__put(t, " HTTP/1.%d\r\n", v11);
	http_gen__rest(g, t, v11, 1, 0);
	g->xchg[g->n].asked = t->len;
}

static inline void http_gen__response(struct http_gen *g, const char *method)
{
	static const int codes[] = {200, 200, 200, 201, 204, 304, 400, 404, 500, 503};
	struct http_text *t = &g->side[1];
	int code = codes[rng__next(&g->rng) % 10], v11 = rng__chance(&g->rng, 7, 8);

	g->xchg[g->n].reply = t->len;
	while (rng__chance(&g->rng, 1, 12)) {
		http_text__put(t, "HTTP/1.1 10%d Wait\r\n", rng__chance(&g->rng, 1, 2) ? 0 : 3);
		http_gen__fields(g, t);
		http_text__put(t, "\r\n");
	}
	http_text__put(t, "HTTP/1.%d %d%s\r\n", v11, code,
		       rng__chance(&g->rng, 1, 5) ? "" : " Some Reason");
	http_gen__rest(g, t, v11, code != 204 && code != 304 && strcmp(method, "HEAD"), 1);
	g->xchg[g->n].replied = t->len;
}

static inline void http_gen__exchange(struct http_gen *g)
{
	static const char *const methods[] = {"GET",
					      "GET",
					      "GET",
					      "HEAD",
					      "POST",
					      "POST",
					      "PUT",
					      "DELETE",
					      "PATCH",
					      "OPTIONS",
					      "VERSION-CONTROL",
					      "M-SEARCH"};
	/* The first is one that every server knows. */
	const char *method = methods[rng__next(&g->rng) % (g->n ? 12 : 10)];

	if (g->n == g->room) {
		g->room = g->room ? 2 * g->room : 64;
		g->xchg = realloc(g->xchg, g->room * sizeof(*g->xchg));
		if (!g->xchg)
			abort();
	}
	http_gen__request(g, method);
	http_gen__response(g, method);
	g->n++;
}

/* Offset up to which responses may have come once `asked` bytes of requests have. */
static inline uint64_t http_gen__may_come(const struct http_gen *g, uint64_t asked)
{
	uint64_t may = 0;

	for (size_t i = 0; i < g->n && g->xchg[i].asked <= asked; i++)
		may = g->xchg[i].replied;
	return may;
}

#endif
