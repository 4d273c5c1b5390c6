// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The HTTP/1 framer against a plain reference parser, on streams cut in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../support/http_gen.h"
#include "../support/http_host.h"
#include "../support/http_ref.h"

static struct http_ref ref[2];
static struct http_host h;
static size_t first_line[2];

static void print_msg(const char *what, int dir, const struct http_msg *m)
{
	print_error("%s: dir %d pos %llu head %llu end %llu method %u status %u version %u path "
		    "%llu+%u seq %u paired %u fields %u\n",
		    what, dir, (unsigned long long)m->pos, (unsigned long long)m->head_end,
		    (unsigned long long)m->end, m->method, m->status, m->version,
		    (unsigned long long)m->path, m->path_len, m->seq, m->paired, m->fields);
}

static struct http_msg of_ref(const struct ref_msg *r)
{
	/* Of a response only what decides its end. */
	uint8_t method =
		r->status && r->method && r->method != HTTP_HEAD && r->method != HTTP_CONNECT
			? HTTP_OTHER
			: r->method;

	return (struct http_msg){.pos = r->pos,
				 .head_end = r->head_end,
				 .end = r->end,
				 .path = r->path,
				 .path_len = r->path_len,
				 .method = method,
				 .status = r->status,
				 .version = r->version,
				 .fields = r->fields,
				 .seq = r->seq,
				 .paired = 1,
				 .line = 1};
}

static int same(const struct http_msg *a, const struct http_msg *b)
{
	return a->pos == b->pos && a->head_end == b->head_end && a->end == b->end &&
	       a->method == b->method && a->status == b->status && a->version == b->version &&
	       a->path_len == b->path_len && (!a->path_len || a->path == b->path) &&
	       a->fields == b->fields;
}

static void check_all(const char *how, uint64_t seed)
{
	for (int dir = 0; dir < 2; dir++) {
		for (size_t i = 0; i < ref[dir].n && i < h.n[dir]; i++) {
			struct http_msg want = of_ref(&ref[dir].msg[i]);

			if (same(&h.msg[dir][i], &want) && h.msg[dir][i].seq == want.seq &&
			    h.msg[dir][i].paired)
				continue;
			print_msg("got ", dir, &h.msg[dir][i]);
			print_msg("want", dir, &want);
			fail_msg("%s, seed %llu: message %zu differs", how,
				 (unsigned long long)seed, i);
		}
		if (h.n[dir] != ref[dir].n)
			fail_msg("%s, seed %llu: dir %d: %zu messages, not %zu", how,
				 (unsigned long long)seed, dir, h.n[dir], ref[dir].n);
		/* The place is known behind the first line; a part of it, alone, is not. */
		assert_int_equal(h.io[dir].framed + h.io[dir].resync, h.io[dir].fed);
		assert_true(h.io[dir].resync <= (int64_t)first_line[dir]);
		assert_int_equal(h.io[dir].desyncs, 0);
	}
}

static void read_refs(const struct http_gen *g)
{
	for (int dir = 0; dir < 2; dir++)
		first_line[dir] = strcspn((const char *)g->side[dir].data, "\n");
	http_ref__read(&ref[0], g->side[0].data, g->side[0].len, NULL);
	http_ref__read(&ref[1], g->side[1].data, g->side[1].len, &ref[0]);
}

static void free_refs(void)
{
	http_ref__free(&ref[0]);
	http_ref__free(&ref[1]);
}

/*
 * Feeds both directions in segments, in an order that may be: no response before its request. The
 * very first line comes whole, for a connection never seen.
 */
static void feed_connection(const struct http_gen *g, struct rng *r, uint32_t low, uint32_t high)
{
	uint64_t at[2] = {0}, may;

	while (at[0] < g->side[0].len || at[1] < g->side[1].len) {
		int dir = rng__chance(r, 1, 2);
		uint64_t limit = g->side[0].len;
		uint32_t n = rng__in(r, low, high);

		if (dir) {
			may = http_gen__may_come(g, at[0]);
			limit = may < g->side[1].len ? may : g->side[1].len;
		}
		if (at[dir] >= limit)
			continue;
		if (n > limit - at[dir])
			n = (uint32_t)(limit - at[dir]);
		http_host__feed(&h, dir, at[dir], n);
		at[dir] += n;
	}
}

static void test_reference_and_generator_agree(void **state)
{
	struct http_gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		size_t k = 0;

		http_gen__open(&g, seed);
		g.hostile = seed & 1;
		for (int i = 0; i < 20; i++)
			http_gen__exchange(&g);
		read_refs(&g);
		assert_int_equal(ref[0].n, 20);
		for (size_t i = 0; i < 20; i++) {
			assert_int_equal(ref[0].msg[i].pos, g.xchg[i].ask);
			assert_int_equal(ref[0].msg[i].end, g.xchg[i].asked);
		}
		for (size_t i = 0; i < ref[1].n; i++) {
			if (ref[1].msg[i].status >= 200)
				assert_int_equal(ref[1].msg[i].end, g.xchg[k++].replied);
		}
		assert_int_equal(k, 20);
		free_refs();
		http_gen__close(&g);
	}
}

static void test_random_connections(void **state)
{
	static const struct {
		uint32_t low, high;
		const char *how;
	} styles[] = {{1, 1, "byte by byte"},	   {1, 3, "1-3"},	  {1, 40, "1-40"},
		      {100, 700, "100-700"},	   {505, 520, "505-520"}, {1448, 1448, "1448"},
		      {65535, 65535, "coalesced"}, {1, 3000, "1-3000"}};
	struct rng r = {.state = 7};
	struct http_gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++) {
		http_gen__open(&g, seed);
		g.hostile = seed & 1;
		g.body_max = seed % 7 ? 500 : 30000;
		for (uint32_t i = rng__in(&r, 1, 40); i; i--)
			http_gen__exchange(&g);
		read_refs(&g);
		for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
			if (i < 2 && (seed % 4 || seed % 7 == 0))
				continue;
			http_host__open(&h, g.side[0].data, g.side[1].data);
			feed_connection(&g, &r, styles[i].low, styles[i].high);
			check_all(styles[i].how, seed);
			http_host__close(&h);
		}
		free_refs();
		http_gen__close(&g);
	}
}

/* One exchange after the other, each direction's message cut at every place. */
static void test_cut_everywhere(void **state)
{
	struct http_gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		http_gen__open(&g, seed);
		g.hostile = 1;
		g.body_max = 40;
		for (int i = 0; i < 4; i++)
			http_gen__exchange(&g);
		read_refs(&g);
		for (int dir = 0; dir < 2; dir++) {
			for (size_t cut = 1; cut < g.side[dir].len; cut++) {
				http_host__open(&h, g.side[0].data, g.side[1].data);
				for (int k = 0; k < 2; k++) {
					size_t c = k == dir ? cut : 0;

					if (c)
						http_host__feed(&h, k, 0, (uint32_t)c);
					http_host__feed(&h, k, c, (uint32_t)(g.side[k].len - c));
				}
				check_all("cut", seed);
				http_host__close(&h);
			}
		}
		free_refs();
		http_gen__close(&g);
	}
}

/* ---- single connections */

static char said[2][65536];

/* One segment more of a direction. */
static void talk(int dir, const char *text)
{
	size_t n = strlen(text);

	assert_true(h.io[dir].fed + n < sizeof(said[dir]));
	h.io[dir].stream = (const uint8_t *)said[dir];
	memcpy(said[dir] + h.io[dir].fed, text, n);
	http_host__feed(&h, dir, h.io[dir].fed, (uint32_t)n);
}

static const struct http_msg *last(int dir)
{
	static const struct http_msg none;

	return h.n[dir] ? &h.msg[dir][h.n[dir] - 1] : &none;
}

static void fresh(void)
{
	http_host__close(&h);
	http_host__open(&h, NULL, NULL);
}

/* A head that is refused, fed as a request (`dir` 0) or as the answer to a GET. */
static void assert_bad(int dir, const char *text)
{
	fresh();
	talk(0, "GET / HTTP/1.1\r\n\r\n");
	if (dir)
		talk(1, "HTTP/1.1 100 Continue\r\n\r\n");
	talk(dir, text);
	if (h.io[dir].desyncs != 1 || last(dir)->end || h.dir[dir].s.sync != STREAM_LOST)
		fail_msg("taken: %s", text);
}

static void test_bad_requests(void **state)
{
	static const char *const heads[] = {
		"Content-Length: 5\r\nContent-Length: 5",
		"Content-Length: 5\r\ncontent-length: 6",
		"Content-Length: -1",
		"Content-Length: +1",
		"Content-Length:",
		"Content-Length: 5,5",
		"Content-Length: 5 5",
		"Content-Length: 0x10",
		"Content-Length: 99999999999999999999",
		"Content-Length: 281474976710657",
		"Content-Length : 5",
		"Content-Length: 5\r\n 5",
		"Content-Length: 5\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nContent-Length: 5",
		"Transfer-Encoding: gzip",
		"Transfer-Encoding: xchunked",
		"Transfer-Encoding: chunked, gzip",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\n\t, gzip",
		"Transfer-Encoding\t: chunked",
		"\001X: y",
	};
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		snprintf(text, sizeof(text), "POST /a HTTP/1.1\r\n%s\r\n\r\nhello", heads[i]);
		assert_bad(0, text);
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\n\r\nhello", heads[i]);
		if (!strstr(heads[i], "gzip") && !strstr(heads[i], "xchunked"))
			assert_bad(1, text);
	}
	assert_bad(0, "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_bad(0, "POST /a HTTP/1.1\r\n folded\r\n\r\n");
	assert_bad(0, "GET /a HTTP/1.2\r\n\r\n");
	assert_bad(0, "GET  HTTP/1.1\r\n\r\n");
	assert_bad(0, "get / HTTP/1.1\r\n\r\n");
	assert_bad(0, "GET /\r\n\r\n");
	assert_bad(0, "HTTP/1.1 200 OK\r\n\r\n");
	assert_bad(0, "AVERYLONGMETHODNAMETHATNOBODYHAS / HTTP/1.1\r\n\r\n");
	assert_bad(1, "HTTP/1.1 20 OK\r\n\r\n");
	assert_bad(1, "HTTP/1.1 2000 OK\r\n\r\n");
	assert_bad(1, "HTTP/1.1 099 OK\r\n\r\n");
	assert_bad(1, "HTTP/2.0 200 OK\r\n\r\n");
	assert_bad(1, "GET / HTTP/1.1\r\n\r\n");
	http_host__close(&h);
}

static void test_bad_chunks(void **state)
{
	static const char *const bodies[] = {
		"ffffffffffffffff\r\nx",
		"1000000000001\r\nx",
		"-5\r\nhello\r\n",
		"\r\nhello",
		"g\r\nhello\r\n",
		"5hello\r\n",
		"5\r\nhelloX\r\n",
		"5\r\nhello5\r\nhello\r\n",
		"00000000000000005\r\nhello\r\n",
		"5\rhello\r\n",
		"0\r\n bad: fold\r\n\r\n",
	};
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		snprintf(text, sizeof(text),
			 "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
		assert_bad(0, text);
	}
	http_host__close(&h);
}

static void test_bodies_end_where_they_do(void **state)
{
	(void)state;
	/* HEAD, 204 and 304 say lengths and have none; a bad answer before the request's end. */
	fresh();
	talk(0, "HEAD / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
	talk(1, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nHTTP/1.1 304 X\r\nContent-Length: "
		"7\r\n\r\n");
	assert_int_equal(h.n[1], 2);
	assert_int_equal(h.msg[1][0].method, HTTP_HEAD);
	assert_int_equal(h.msg[1][1].seq, 1);
	assert_int_not_equal(h.msg[1][1].end, 0);
	/* early response: the request's body is still coming */
	fresh();
	talk(0, "POST /up HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
	talk(1, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
	assert_int_equal(last(0)->end, 0);
	assert_int_equal(last(1)->paired, 1);
	assert_int_not_equal(last(1)->end, 0);
	talk(0, "defghijGET / HTTP/1.1\r\n\r\n");
	assert_int_equal(h.n[0], 2);
	/* close-delimited */
	fresh();
	talk(0, "GET / HTTP/1.0\r\n\r\n");
	talk(1, "HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(h.n[1], 1);
	assert_int_equal(last(1)->end, 0);
	assert_int_equal(h.dir[1].state, HTTP_S_CLOSE);
	assert_int_equal(h.io[1].framed, h.io[1].fed);
	talk(1, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(h.n[1], 1);
	/* 100-continue */
	fresh();
	talk(0, "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_true(h.dir[0].flags & HTTP_EXPECT);
	talk(1, "HTTP/1.1 100 Continue\r\n\r\n");
	talk(0, "hi");
	talk(1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(h.n[1], 2);
	assert_int_equal(h.msg[1][0].seq, 0);
	assert_int_equal(h.msg[1][1].seq, 0);
	assert_int_equal(h.pair.answered, 1);
	http_host__close(&h);
}

/*
 * A field that nearly is what everybody writes, in a segment with all of its head and with what
 * follows: read as the plain reference does, as a whole and cut once anywhere.
 */
static void test_spellings(void **state)
{
	static const char *const lines[] = {
		"Content-Length: 12\r\n",
		"Content-Length:12\r\n",
		"Content-Length:  12\r\n",
		"Content-Length: 12 \r\n",
		"Content-Length:\t12\r\n",
		"Content-Length: 12\n",
		"content-LENGTH: 0000012\r\n",
		"Content-Length: 00000012\r\n",
		"Content-Length: 000000012\r\n",
		"Content-Length: 1x\r\n",
		"Content-Length: \r\n",
		"Content-Length:\r\n",
		"Content-Length \r\n",
		"Content-Lengthy: 12\r\n",
		"Content-Length.: 12\r\n",
		"Content\rLength: 12\r\n",
		"Content-Type: 12\r\n",
		"Content-Length: 12\r\nContent-Length: 12\r\n",
		"Content-Length: 12\r\nX: y\r\n",
		"Content-Length: 12\r\n 3\r\n",
		"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\n",
		"Transfer-Encoding:chunked\r\n",
		"transfer-encoding: CHUNKED\r\n",
		"Transfer-Encoding: chunked\n",
		"Transfer-Encoding: chunked \r\n",
		"Transfer-Encoding: Chunkec\r\n",
		"Transfer\rEncoding: chunked\r\n",
		"Transfer-Encoding\032 chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\n x\r\n",
		"Connection: keep-alive\r\nC:\nContent-Length: 12\r\n",
		"Connection : close\r\n",
		"Connection:close\r\nContent-Length: 12\r\n",
		"Upgrade-Insecure-Requests: 1\r\nContent-Length: 12\r\n",
		"Upgrade : 1\r\n",
		"Expect : 1\r\n",
		"c\nt\nu\ne\nx\nContent-Length: 12\n",
		"c: 1\nt: 1\nu: 1\ne: 1\nx: 1\nc: 1\nt: 1\nu: 1\ne: 1\nx: 1\nContent-Length: 12\n",
		" folded\r\n",
		"A: b\r\n folded\r\nContent-Length: 12\r\n",
	};
	static const char ask[] = "GET /1 HTTP/1.1\r\nHost: a\r\n%s\r\n"
				  "5\r\nhello\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char text[1024];
		size_t n = (size_t)snprintf(text, sizeof(text), ask, lines[i]);

		http_ref__read(&ref[0], (const uint8_t *)text, n, NULL);
		for (size_t cut = 0; cut < n; cut++) {
			http_host__open(&h, (const uint8_t *)text, NULL);
			if (cut)
				http_host__feed(&h, 0, 0, (uint32_t)cut);
			http_host__feed(&h, 0, cut, (uint32_t)(n - cut));
			for (size_t k = 0; k < ref[0].n; k++) {
				if (h.n[0] <= k || h.msg[0][k].head_end != ref[0].msg[k].head_end ||
				    h.msg[0][k].end != ref[0].msg[k].end)
					fail_msg("message %zu, cut at %zu: %s", k, cut, lines[i]);
			}
			assert_int_equal(h.io[0].desyncs != 0, ref[0].how == REF_FAULT);
			http_host__close(&h);
		}
		free(ref[0].msg);
	}
}

static void test_opaque(void **state)
{
	(void)state;
	fresh();
	talk(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\001\002");
	assert_int_equal(h.pair.opaque, HTTP_IS_HTTP2);
	talk(1, "HTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(h.n[1], 0);
	fresh();
	talk(0, "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	talk(1, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n\x81\x05GET / ");
	assert_int_equal(h.pair.opaque, HTTP_IS_WEBSOCKET);
	assert_int_equal(h.opaque, 1);
	talk(0, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(h.n[0], 1);
	assert_int_equal(h.io[0].framed, h.io[0].fed);
	fresh();
	talk(0, "CONNECT host:443 HTTP/1.1\r\nHost: x\r\n\r\n");
	talk(1, "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno");
	assert_int_equal(h.pair.opaque, 0);
	talk(0, "CONNECT host:443 HTTP/1.1\r\nHost: x\r\n\r\n");
	talk(1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\x16\x03\x01");
	assert_int_equal(h.pair.opaque, HTTP_IS_TUNNEL);
	assert_int_equal(h.n[1], 2);
	assert_int_equal(h.msg[1][1].end, h.msg[1][1].head_end);
	http_host__close(&h);
}

/* ---- certainty */

static void test_attach_in_midstream(void **state)
{
	(void)state;
	/* a response to a request never seen: not paired, and its end is not known */
	fresh();
	talk(1, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	assert_int_equal(last(1)->paired, 0);
	assert_int_equal(last(1)->end, 0);
	assert_int_equal(h.dir[1].s.sync, STREAM_LOST);
	assert_int_equal(h.io[1].resync, 5);
	/* the next exchange is whole */
	talk(0, "GET /a HTTP/1.1\r\n\r\n");
	talk(1, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	assert_int_equal(last(1)->paired, 1);
	assert_int_equal(last(1)->seq, last(0)->seq);
	assert_int_not_equal(last(1)->end, 0);
	/* the middle of a body, and of a head */
	fresh();
	talk(0, "lo wor\r\nGET /in/body HTTP/1.1\r\n\r\n");
	talk(0, "Host: x\r\n\r\n");
	assert_int_equal(last(0)->line, 0);
	talk(0, "GET /b HTTP/1.1\r\n\r\n");
	assert_int_not_equal(last(0)->end, 0);
	/* a request that begins while a response to an unseen one is under way: not paired */
	fresh();
	talk(0, "GET /a HTTP/1.1\r\n\r\n");
	talk(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
	assert_true(http_host__miss(&h, 0, 3));
	talk(0, "GET /b HTTP/1.1\r\n\r\n");
	talk(1, "1234HTTP/1.1 204 X\r\n\r\n");
	assert_int_equal(last(1)->status, 204);
	assert_int_equal(last(1)->paired, 0);
	talk(0, "GET /c HTTP/1.1\r\n\r\n");
	talk(1, "HTTP/1.1 204 X\r\n\r\n");
	assert_int_equal(last(1)->paired, 1);
	assert_int_equal(last(1)->seq, last(0)->seq);
	/* an answer too many shows that the pairs were shifted */
	fresh();
	talk(0, "GET /b HTTP/1.1\r\n\r\n");
	talk(1, "HTTP/1.1 204 X\r\n\r\nHTTP/1.1 204 X\r\n\r\n");
	assert_int_equal(last(1)->paired, 0);
	assert_false(http_pair__sure(&h.pair));
	http_host__close(&h);
}

/* Bytes missed: inside a body the place is kept, else what comes out later is still true. */
static void test_gaps(void **state)
{
	struct rng r = {.state = 9};
	struct http_gen g;
	uint32_t kept = 0, paired = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		uint64_t at[2] = {0};

		http_gen__open(&g, seed);
		g.body_max = 4000;
		for (int i = 0; i < 14; i++)
			http_gen__exchange(&g);
		read_refs(&g);
		http_host__open(&h, g.side[0].data, g.side[1].data);
		h.io[0].fail_load = rng__chance(&r, 1, 9) ? rng__in(&r, 1, 30) : 0;
		h.io[1].fail_keep = rng__chance(&r, 1, 9) ? rng__in(&r, 1, 10) : 0;
		h.io[0].fail_kept = rng__chance(&r, 1, 9) ? rng__in(&r, 1, 10) : 0;
		for (size_t i = 0; i < g.n; i++) { /* in turns, as most clients do */
			for (int dir = 0; dir < 2; dir++) {
				uint64_t end = dir ? g.xchg[i].replied : g.xchg[i].asked;

				while (at[dir] < end) {
					uint32_t n = rng__in(&r, 1, 900);

					if (n > end - at[dir])
						n = (uint32_t)(end - at[dir]);
					if (rng__chance(&r, 1, 40))
						kept += !http_host__miss(&h, dir, n);
					else
						http_host__feed(&h, dir, at[dir], n);
					at[dir] += n;
				}
			}
		}
		for (int dir = 0; dir < 2; dir++) {
			size_t k = 0;

			for (size_t i = 0; i < h.n[dir]; i++) {
				const struct http_msg *m = &h.msg[dir][i];
				struct http_msg want;

				if (!m->end)
					continue;
				while (k < ref[dir].n && ref[dir].msg[k].pos < m->pos)
					k++;
				assert_true(k < ref[dir].n);
				want = of_ref(&ref[dir].msg[k]);
				want.fields = m->fields;
				if (!m->paired)
					want.method = m->method;
				if (!same(m, &want)) {
					print_msg("got ", dir, m);
					print_msg("want", dir, &want);
					fail_msg("seed %llu: invented", (unsigned long long)seed);
				}
				if (!dir || !m->paired)
					continue;
				/* the request of that number is the one it answers */
				for (size_t q = 0; q < h.n[0]; q++) {
					if (h.msg[0][q].line && h.msg[0][q].seq == m->seq) {
						assert_int_equal(h.msg[0][q].pos,
								 ref[0].msg[ref[1].msg[k].seq].pos);
						paired++;
					}
				}
			}
		}
		http_host__close(&h);
		free_refs();
		http_gen__close(&g);
	}
	assert_true(kept > 100);
	assert_true(paired > 8000);
}

/* Valid streams with bytes changed, dropped and added: no crash, and accounts add up. */
static void test_damage(void **state)
{
	struct rng r = {.state = 10};
	struct http_gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		uint64_t at[2] = {0};

		http_gen__open(&g, seed);
		g.hostile = 1;
		g.body_max = 300;
		for (int i = 0; i < 10; i++)
			http_gen__exchange(&g);
		for (uint32_t i = rng__in(&r, 1, 10); i; i--) {
			int dir = rng__chance(&r, 1, 2);

			g.side[dir].data[rng__next(&r) % g.side[dir].len] =
				"\r\n :HTTP/1.0 9\0\xff"[rng__next(&r) % 15];
		}
		http_host__open(&h, g.side[0].data, g.side[1].data);
		while (at[0] < g.side[0].len || at[1] < g.side[1].len) {
			int dir = rng__chance(&r, 1, 2);
			uint32_t n = rng__in(&r, 1, 1500);

			if (n > g.side[dir].len - at[dir])
				n = (uint32_t)(g.side[dir].len - at[dir]);
			if (!n)
				continue;
			if (rng__chance(&r, 1, 20))
				http_host__miss(&h, dir, n);
			else
				http_host__feed(&h, dir, at[dir], n);
			at[dir] += n;
		}
		for (int dir = 0; dir < 2; dir++)
			assert_int_equal(h.io[dir].framed + h.io[dir].resync + h.io[dir].bad +
						 h.io[dir].refused,
					 h.io[dir].fed);
		http_host__close(&h);
		http_gen__close(&g);
	}
}

/* ---- limits */

static char big[HTTP_HEAD_MAX + 70000];

static void test_long_lines(void **state)
{
	size_t n;

	(void)state;
	/* a long target: the message is whole, its path as much as could be seen */
	for (uint32_t len = 4000; len < 9000; len += 331) {
		fresh();
		memset(big, 'a', sizeof(big));
		memcpy(big, "GET /", 5);
		strcpy(big + len, "?q HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
		n = strlen(big);
		h.io[0].stream = (const uint8_t *)big;
		for (size_t at = 0; at < n; at += 1448)
			http_host__feed(&h, 0, at, n - at < 1448 ? (uint32_t)(n - at) : 1448);
		assert_int_equal(h.n[0], 1);
		assert_int_equal(last(0)->end, n);
		assert_true(last(0)->path_len >= 3900);
	}
	/* a cookie of 100 KB is passed over; a framing field that long is refused */
	for (int framing = 0; framing < 2; framing++) {
		fresh();
		memset(big, ' ', sizeof(big));
		memcpy(big,
		       framing ? "GET / HTTP/1.1\r\nContent-Length:"
			       : "GET / HTTP/1.1\r\nCookie:aaaaaaaa:",
		       31);
		strcpy(big + 100000, "0\r\n\r\n");
		n = strlen(big);
		h.io[0].stream = (const uint8_t *)big;
		for (size_t at = 0; at < n; at += 1000)
			http_host__feed(&h, 0, at, n - at < 1000 ? (uint32_t)(n - at) : 1000);
		assert_int_equal(last(0)->end, framing ? 0 : n);
		assert_int_equal(h.io[0].desyncs, framing);
	}
	/* oversized */
	fresh();
	memset(big, 'c', sizeof(big));
	memcpy(big, "GET / HTTP/1.1\r\n", 16);
	h.io[0].stream = (const uint8_t *)big;
	for (size_t at = 0; at + 7000 < sizeof(big); at += 7000)
		http_host__feed(&h, 0, at, 7000);
	assert_int_equal(h.io[0].oversized, 1);
	assert_int_equal(h.io[0].desyncs, 1);
	http_host__close(&h);
}

/* More requests outstanding than methods are remembered: nothing is guessed. */
static void test_deep_pipelines(void **state)
{
	(void)state;
	for (int n = HTTP_DEPTH; n <= HTTP_DEPTH + 1; n++) {
		fresh();
		for (int i = 0; i < n; i++)
			talk(0, i ? "GET /a HTTP/1.1\r\n\r\n" : "HEAD /a HTTP/1.1\r\n\r\n");
		talk(1, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
		assert_int_equal(last(1)->paired, 1);
		assert_int_equal(!last(1)->end, n > HTTP_DEPTH);
		assert_int_equal(h.dir[1].s.sync == STREAM_LOST, n > HTTP_DEPTH);
	}
	http_host__close(&h);
}

/* What a segment can make us read: a few times its length, whatever is in it. */
static void test_work_is_bounded(void **state)
{
	static const char *const worst[] = {"GET / HTTP/1.1\r\n\r\n", "\n",   "GET ", "a",
					    "Content-Length",	      "c:\n", "0\r\n"};
	static char text[65536];

	(void)state;
	for (size_t i = 0; i < sizeof(worst) / sizeof(worst[0]); i++) {
		for (int head = 0; head < 2; head++) {
			fresh();
			for (size_t k = 0; k < sizeof(text); k++)
				text[k] = worst[i][k % strlen(worst[i])];
			if (head)
				memcpy(text, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
				       45);
			h.io[0].stream = (const uint8_t *)text;
			http_host__feed(&h, 0, 0, sizeof(text));
			assert_in_range(h.io[0].loaded, 1, 4 * sizeof(text));
			assert_int_equal(h.io[0].refused, 0);
		}
	}
	http_host__close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_and_generator_agree),
		cmocka_unit_test(test_random_connections),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_bad_chunks),
		cmocka_unit_test(test_bodies_end_where_they_do),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_opaque),
		cmocka_unit_test(test_attach_in_midstream),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_deep_pipelines),
		cmocka_unit_test(test_work_is_bounded),
	};

	return cmocka_run_group_tests_name("http_framer", tests, NULL, NULL);
}
