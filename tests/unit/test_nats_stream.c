// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A direction of a NATS connection, cut into segments: include/proto/nats_stream.h. */
#include "../support/nats_check.h"

static struct cuts cuts;
static struct nats_ref ref;

/* A random stream and what the reference finds in it. */
static void make(struct gen *g, uint64_t seed, uint32_t frames)
{
	if (frames)
		gen__frames(g, frames);
	if (!nats_ref__read(&ref, g->data, g->len) || !nats_ref__at_rest(&ref, g->len))
		fail_msg("seed %llu: the reference refuses a stream made to be valid",
			 (unsigned long long)seed);
}

static void unmake(struct gen *g)
{
	nats_ref__free(&ref);
	gen__close(g);
}

/* ---- streams whose beginning is known */

static void finish_valid(struct host *h, const struct gen *g, const struct context *c)
{
	check_all(h, &ref, c);
	if (h->framed != (int64_t)g->len || h->frames != ref.list.n || h->desyncs)
		fail_msg(
			"%s, seed %llu: %lld of %zu bytes framed, %llu of %zu frames, %llu desyncs",
			c->how, (unsigned long long)c->seed, (long long)h->framed, g->len,
			(unsigned long long)h->frames, ref.list.n, (unsigned long long)h->desyncs);
	assert_int_equal(h->dir.sync, NATS_SYNCED);
	assert_int_equal(h->dir.kept, 0);
	host__close(h);
}

static void feed_by(const struct gen *g, uint64_t seed, uint32_t step)
{
	struct context c = {.how = "fed in steps", .seed = seed, .at = step};
	struct host h;

	host__open_synced(&h, g->data);
	host__feed_by(&h, 0, g->len, step);
	finish_valid(&h, g, &c);
}

static void feed_cut_once(const struct gen *g, uint64_t seed, uint32_t at)
{
	struct context c = {.how = "cut once", .seed = seed, .at = at};
	struct host h;

	host__open_synced(&h, g->data);
	h.poison = 1;
	host__feed(&h, 0, at);
	host__feed(&h, at, (uint32_t)g->len - at);
	finish_valid(&h, g, &c);
}

static void feed_random(const struct gen *g, uint64_t seed, struct rng *r)
{
	struct context c = {.how = "random segments", .seed = seed};
	struct host h;

	cuts__random(&cuts, r, g->len);
	host__open_synced(&h, g->data);
	h.poison = cuts.n < 200;
	cuts__feed(&cuts, &h, 0, 0);
	finish_valid(&h, g, &c);
}

/* The generator's own list against the reference's: neither is right alone. */
static void test_reference_and_generator_agree(void **state)
{
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 500; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.hostile = 1;
		g.subject_max = 1000;
		make(&g, seed, 30);
		assert_int_equal(g.truth.n, ref.list.n);
		for (size_t i = 0; i < g.truth.n; i++) {
			struct ref_unit *want = &g.truth.unit[i];

			assert_int_equal(want->end, ref.list.unit[i].end);
			if (unit_is(&ref.list.unit[i], want))
				continue;
			print_unit("generated", g.data, want);
			print_unit("reference", g.data, &ref.list.unit[i]);
			fail_msg("seed %llu", (unsigned long long)seed);
		}
		unmake(&g);
	}
}

static void test_short_streams_cut_everywhere(void **state)
{
	struct rng r = {.state = 11};
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.hostile = 1;
		g.payload_max = seed & 1 ? 40 : 500;
		make(&g, seed, rng__in(&r, 1, 8));
		feed_by(&g, seed, (uint32_t)g.len);
		feed_by(&g, seed, 1);
		feed_by(&g, seed, 2);
		feed_by(&g, seed, 13);
		for (uint32_t at = 1; at < g.len && at < 3000; at++)
			feed_cut_once(&g, seed, at);
		unmake(&g);
	}
}

static void test_tiny_streams_cut_twice(void **state)
{
	struct context c = {.how = "cut twice"};
	struct host h;
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.payload_max = 12;
		make(&g, seed, 2);
		c.seed = seed;
		for (uint32_t a = 1; a + 1 < g.len && g.len < 200; a++) {
			for (uint32_t b = a + 1; b < g.len; b++) {
				host__open_synced(&h, g.data);
				host__feed(&h, 0, a);
				host__feed(&h, a, b - a);
				host__feed(&h, b, (uint32_t)g.len - b);
				finish_valid(&h, &g, &c);
			}
		}
		unmake(&g);
	}
}

static void test_random_streams_in_random_segments(void **state)
{
	struct rng r = {.state = 12};
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 2500; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.hostile = seed & 1;
		g.payload_max = seed % 50 ? 3000 : 70 * 1024;
		g.subject_max = seed % 7 ? 60 : 3000;
		make(&g, seed, rng__in(&r, 1, 60));
		feed_by(&g, seed, (uint32_t)g.len);
		if (seed % 5 == 0)
			feed_by(&g, seed, 1);
		for (int i = 0; i < 4; i++)
			feed_random(&g, seed, &r);
		unmake(&g);
	}
}

/* Payloads of every size near the window's, a segment's and the offload's, and some far larger. */
static void test_payload_sizes(void **state)
{
	static const uint32_t around[] = {0, 490, 512, 1024, 4096, 8192, 65536, 70 * 1024, 1 << 20};
	struct rng r = {.state = 13};
	struct gen g;

	(void)state;
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		for (uint32_t d = 0; d < (around[i] < 9000 ? 48 : 4); d++) {
			gen__open(&g, 1000 * i + d, (enum gen_flow)(d % GEN_FLOWS));
			gen__message_sized(&g, around[i] > 24 ? around[i] - 24 + d : d);
			gen__message_sized(&g, d);
			make(&g, 1000 * i + d, 3);
			feed_by(&g, d, (uint32_t)g.len);
			feed_random(&g, d, &r);
			unmake(&g);
		}
	}
}

/* INFO and CONNECT of several KB, in every state of the window. */
static void test_long_info(void **state)
{
	struct rng r = {.state = 14};
	struct gen g;

	(void)state;
	for (uint32_t n = 400; n < 20000; n = n < 1200 ? n + 7 : n + 1900) {
		gen__open(&g, n, (enum gen_flow)(n % 2));
		gen__message(&g);
		gen__hello(&g, n);
		make(&g, n, 2);
		feed_by(&g, n, (uint32_t)g.len);
		feed_by(&g, n, 1);
		feed_random(&g, n, &r);
		unmake(&g);
	}
}

/* A line of the full length behind other units, so that it starts anywhere in the window. */
static void test_full_lines_anywhere(void **state)
{
	static char line[NATS_LINE_MAX + 3];
	struct gen g;

	(void)state;
	memset(line, 'y', sizeof(line));
	memcpy(line, "PUB ", 4);
	strcpy(line + NATS_LINE_MAX - 2, " 3\r\n");
	for (uint32_t n = 1; n <= 520; n += n < 30 ? 1 : 49) {
		gen__open(&g, n, GEN_TO_BROKER);
		g.plain = 1;
		g.payload_max = 20;
		for (uint32_t i = 0; i < n / 20; i++)
			gen__message(&g);
		for (int i = 0; i < 2; i++) {
			gen__text(&g, line);
			gen__text(&g, "abc\r\n");
		}
		make(&g, n, 3);
		feed_by(&g, n, (uint32_t)g.len);
		for (uint32_t at = 1; at < g.len; at += n < 6 ? 1 : 31)
			feed_cut_once(&g, n, at);
		unmake(&g);
	}
}

/* ---- attach in mid-stream */

static void attach(const struct gen *g, uint64_t seed, uint64_t at, int certain)
{
	struct context c = {.how = "attached", .seed = seed, .at = at};
	struct host h;

	host__open(&h, g->data);
	h.poison = cuts.n < 200;
	cuts__feed(&cuts, &h, cuts__find(&cuts, at), at);
	if (certain == 2)
		check_seen_from(&h, &ref, first_certain(&ref, &cuts, at), &c);
	if (certain)
		check_none_invented(&h, &ref, &c);
	host__close(&h);
}

/* Attach everywhere: nothing is invented, and soon all is seen. */
static void test_attach_anywhere(void **state)
{
	struct rng r = {.state = 21};
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.payload_max = 300;
		make(&g, seed, 14);
		for (uint64_t at = 0; at < g.len; at++) {
			/* The rest in one segment, or segments that begin and end anywhere. */
			cuts.n = 1;
			cuts.at[1] = (uint32_t)g.len;
			if (at % 8 == seed % 8)
				cuts__random(&cuts, &r, g.len);
			attach(&g, seed, at, 2);
		}
		unmake(&g);
	}
}

static void test_attach_to_long_streams(void **state)
{
	struct rng r = {.state = 22};
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.payload_max = seed % 10 ? 4000 : 70 * 1024;
		make(&g, seed, 60);
		for (int i = 0; i < 40; i++) {
			cuts__random(&cuts, &r, g.len);
			attach(&g, seed, rng__next(&r) % g.len, 2);
		}
		unmake(&g);
	}
}

/* One message a segment, as most senders write: the first one proves the place of the second. */
static void test_attach_costs_one_message(void **state)
{
	struct context c = {.how = "a frame a segment"};
	struct host h;
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.payload_max = 900;
		make(&g, seed, 8);
		for (size_t first = 0; first < ref.list.n; first++) {
			host__open(&h, g.data);
			for (size_t i = first; i < ref.list.n; i++)
				host__feed(&h, ref.list.unit[i].pos,
					   (uint32_t)(ref.list.unit[i].end - ref.list.unit[i].pos));
			c.seed = seed;
			check_seen_from(&h, &ref, first + 1, &c);
			check_none_invented(&h, &ref, &c);
			assert_true(h.resync <=
				    (int64_t)(ref.list.unit[first].end - ref.list.unit[first].pos));
			host__close(&h);
		}
		unmake(&g);
	}
}

/* Payloads made to deceive: accounts still add up (host__feed), and nothing crashes. */
static void test_attach_to_hostile_streams(void **state)
{
	struct rng r = {.state = 23};
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.hostile = 1;
		make(&g, seed, 30);
		for (int i = 0; i < 20; i++) {
			cuts__random(&cuts, &r, g.len);
			attach(&g, seed, rng__next(&r) % g.len, 0);
		}
		unmake(&g);
	}
}

/* ---- what the rule of certainty guarantees, and what it does not */

static struct host rule; /* what came out of the last deceive() */

/* Attaches where `text` begins, cut at `cut`; the number of messages that came out. */
static size_t deceive(const char *text, uint32_t cut)
{
	return attach_to_text(&rule, text, cut);
}

#define FAKE "PUB fake r 2\r\nhi\r\n"

static void test_certainty_a_message_at_a_segments_start(void **state)
{
	(void)state;
	/* Its whole frame is in the segment, which ends there or goes on with a verb: handed over.
	 * So a payload of which a segment begins with a frame deceives who attaches there. That is
	 * the price of seeing the first message. */
	assert_int_equal(deceive(FAKE, 0), 1);
	assert_int_equal(deceive(FAKE "PING\r\n", 0), 1);
	assert_int_equal(deceive(FAKE "MSG x", 0), 1);
	assert_int_equal(deceive(FAKE FAKE, 0), 2);
	assert_int_equal(rule.framed, rule.fed);
	assert_int_equal(deceive(FAKE FAKE, 18), 2);
	/* No verb follows, or none that could be seen whole: the frame proves the place only. */
	assert_int_equal(deceive(FAKE "MSG", 0), 0);
	assert_int_equal(rule.dir.sync, NATS_SYNCED);
	assert_int_equal(deceive(FAKE "xyz", 0), 0);
	assert_int_equal(deceive(FAKE "xyz abc\r\n" FAKE, 0), 0);
	assert_int_equal(deceive(FAKE "\r\n" FAKE, 0), 0);
	/* The frame ends in the next segment: it proves the place, the next one is handed over. */
	assert_int_equal(deceive(FAKE FAKE, 17), 1);
	assert_int_equal(rule.io.list.unit[0].pos, strlen(FAKE));
	assert_int_equal(deceive(FAKE FAKE, 15), 1);
	assert_int_equal(rule.io.list.unit[0].pos, strlen(FAKE));
	/* It does not end as it must. */
	assert_int_equal(deceive("PUB fake r 3\r\nhi\r\n" FAKE, 0), 0);
	assert_int_equal(deceive("PUB fake r 1\r\nhi\r\n" FAKE, 0), 0);
	/* A line that is cut proves nothing. */
	assert_int_equal(deceive(FAKE FAKE, 10), 0);
	assert_int_equal(rule.dir.sync, NATS_TRYING);
}

static void test_certainty_lines(void **state)
{
	(void)state;
	/* A segment of nothing but lines proves the place, and a message behind them does so as one
	 * at the segment's start would. */
	assert_int_equal(deceive("PING\r\n" FAKE, 6), 1);
	assert_int_equal(deceive("+OK\r\nPING\r\n" FAKE, 11), 1);
	assert_int_equal(deceive("PING\r\n" FAKE, 0), 1);
	assert_int_equal(deceive("SUB a 1\r\nPUB fake r 1\r\nhi\r\n" FAKE, 0), 0);
	assert_int_equal(deceive("x\nINFO a\nINFO b\nINFO c\nINFO d\nINFO e\n" FAKE, 0), 0);
	assert_int_equal(deceive("x\nINFO a\nINFO b\nINFO c\nDEBUG d\n" FAKE, 0), 0);
	/* The beginning of a connection is certain at once, INFO in one piece or not. */
	assert_int_equal(deceive("INFO {\"a\":1}\r\n" FAKE, 0), 1);
	assert_int_equal(rule.framed, rule.fed);
	assert_int_equal(deceive("CONNECT {\"a\":1}\r\n" FAKE, 0), 1);
	assert_int_equal(deceive("INFO {\"a\":1}\r\n" FAKE, 8), 1);
	assert_int_equal(rule.framed, rule.fed);
	assert_int_equal(deceive("x\nINFO {\"a\":1}\r\n" FAKE, 0), 0);
}

static void test_certainty_frames_elsewhere(void **state)
{
	(void)state;
	/* Behind some line: the first four prove it, the fifth is handed over. */
	assert_int_equal(deceive("x\r\n" FAKE, 0), 0);
	assert_int_equal(deceive("x\r\n" FAKE FAKE FAKE FAKE, 0), 0);
	assert_int_equal(deceive("x\r\n" FAKE FAKE FAKE FAKE FAKE, 0), 1);
	assert_int_equal(deceive("x\r\n" FAKE FAKE FAKE "x" FAKE FAKE, 0), 0);
	/* A fault in the chain starts it anew. */
	assert_int_equal(deceive("x\r\n" FAKE FAKE FAKE "PUB a 3\r\nabcd\r\n" FAKE FAKE, 0), 0);
	assert_int_equal(deceive("x\r\n" FAKE FAKE FAKE "x\r\n" FAKE FAKE FAKE FAKE, 0), 0);
	assert_int_equal(deceive("x\r\n" FAKE FAKE FAKE "x\r\n" FAKE FAKE FAKE FAKE FAKE, 0), 1);
	assert_int_equal(deceive("x\r\n" FAKE "PING\r\n" FAKE FAKE "PING\r\n" FAKE FAKE, 0), 1);
}

/*
 * The segment begins inside a control line, and the rest of it is one too, with the right size and
 * the wrong names: not handed over, but it proves the place.
 */
static void test_certainty_the_rest_of_a_line(void **state)
{
	static const char *const rests[] = {
		"PUB s.x 12 12\r\nNATS/1.0\r\n\r\n\r\n", /* HPUB */
		"PUB s.x 16 17\r\nNATS/1.0 503\r\n\r\nx\r\n",
		"MSG s.x 12 12\r\nNATS/1.0\r\n\r\n\r\n", /* HMSG of a leaf node */
		"MSG s.x 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
		"MSG s.x 7 12 12\r\nNATS/1.0\r\n\r\n\r\n",
		"MSG $G s.x 12 12\r\nNATS/1.0\r\n\r\n\r\n",
		"MSG s.x r.y 12 12\r\nNATS/1.0\r\n\r\n\r\n",
		"MSG $G s.x 2\r\nhi\r\n", /* RMSG */
		"MSG $G s.x r.y 2\r\nhi\r\n",
		"MSG s.x r.y 2\r\nhi\r\n", /* LMSG */
		"pub 7 2\r\nhi\r\n",	   /* MSG x.pub 7 2 */
		"pub 7 r.y 2\r\nhi\r\n",
		"pub 12 12\r\nNATS/1.0\r\n\r\n\r\n", /* HPUB x.pub 12 12 */
		"pub r.y 12 12\r\nNATS/1.0\r\n\r\n\r\n",
		"msg r.y 12 12\r\nNATS/1.0\r\n\r\n\r\n", /* HPUB x.msg r.y 12 12 */
		"msg 7 r.y 2\r\nhi\r\n",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
		if (deceive(rests[i], 0))
			fail_msg("invented: %s", rests[i]);
		snprintf(text, sizeof(text), "%s" FAKE, rests[i]);
		assert_int_equal(deceive(text, 0), 1);
		assert_int_equal(rule.io.list.unit[0].pos, strlen(rests[i]));
	}
	/* These can hardly be anything else. */
	assert_int_equal(deceive("PUB s.x 2\r\nhi\r\n", 0), 1);
	assert_int_equal(deceive("PUB s.x r.y 2\r\nhi\r\n", 0), 1);
	assert_int_equal(deceive("MSG s.x 7 2\r\nhi\r\n", 0), 1);
	assert_int_equal(deceive("MSG s.x 7 r.y 13\r\nNATS/2.0 hi!!\r\n", 0), 1);
	assert_int_equal(deceive("HPUB s.x r.y 12 12\r\nNATS/1.0\r\n\r\n\r\n", 0), 1);
	assert_int_equal(deceive("HMSG s.x 7 12 12\r\nNATS/1.0\r\n\r\n\r\n", 0), 1);
	/* What remains, and is known: "PUB x.pub r.y 2" without its "PUB x.". */
	assert_int_equal(deceive("pub r.y 2\r\nhi\r\n", 0), 1);
}

/* Once the place is known no payload can deceive. */
static void test_certainty_when_synced(void **state)
{
	static uint8_t text[] = "PUB a 70\r\n" FAKE FAKE FAKE "PUB fake 6\r\nPING\r\n";
	struct host h;

	(void)state;
	for (uint32_t step = 1; step < sizeof(text); step++) {
		host__open_synced(&h, text);
		host__feed_by(&h, 0, sizeof(text) - 1, step);
		assert_int_equal(h.io.list.n, 1);
		assert_int_equal(h.frames, 1);
		host__close(&h);
	}
}

/* Other protocols, on a connection not yet recognised: never certain, whatever NATS may share. */
static void test_strict_leaves_other_protocols_alone(void **state)
{
	static const char *const texts[] = {
		"+OK\r\n",
		"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
		"PING\r\nPING\r\nPING\r\nPING\r\nPING\r\n",
		"+PONG\r\n+PONG\r\n",
		"-ERR unknown command\r\n",
		"*1\r\n$4\r\nPING\r\n",
		"SUB a b\r\nSUB a b\r\nSUB a b\r\nSUB a b\r\nSUB a b\r\n",
		"INFO replication\r\nINFO all\r\nINFO\r\nINFO x\r\nINFO y\r\n",
		"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"CONNECT\naccept-version:1.2\n\n\0\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"INFO ",
		"CONNECT ",
		"\r\n\r\n\r\n",
	};
	struct host h;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		host__open(&h, (const uint8_t *)texts[i]);
		for (int again = 0; again < 40; again++) {
			h.run->strict = 1;
			h.poison = again < 20;
			memset(h.run->win, '{', sizeof(h.run->win)); /* as of somebody's INFO */
			host__feed(&h, 0, (uint32_t)strlen(texts[i]));
			if (h.dir.sync == NATS_SYNCED)
				fail_msg("'%s' is taken for NATS", texts[i]);
		}
		assert_int_equal(h.io.list.n, 0);
		assert_int_equal(h.framed, 0);
		host__close(&h);
	}
}

static void test_strict_recognises_nats(void **state)
{
	static const char *const texts[] = {
		"INFO {\"server_id\":\"x\"}\r\n",
		"CONNECT {\"verbose\":false}\r\nPING\r\n",
		"PUB a 2\r\nhi\r\n",
		"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
		"MSG a 1 2\r\nhi\r\n",
		"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
		"RMSG $G a 2\r\nhi\r\n",
		"LMSG a 2\r\nhi\r\nLS+ b\r\n",
		"x\r\n" FAKE FAKE FAKE FAKE,
	};
	struct host h;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		host__open(&h, (const uint8_t *)texts[i]);
		h.run->strict = 1;
		host__feed(&h, 0, (uint32_t)strlen(texts[i]));
		if (h.dir.sync != NATS_SYNCED)
			fail_msg("'%s' is not recognised: %u", texts[i], h.dir.sync);
		host__close(&h);
	}
}

/* HMSG as a leaf node sends it is bad on a client's connection; that it is one may be an error. */
static void test_a_wrong_kind_does_not_keep_us_lost(void **state)
{
	static const char text[] = "x\r\nHMSG s.x 0 0\r\n\r\nHMSG s.x 0 0\r\n\r\n"
				   "HMSG s.x 0 0\r\n\r\nHMSG s.x 0 0\r\n\r\n";
	struct host h;

	(void)state;
	host__open(&h, (const uint8_t *)text);
	h.dir.kind = NATS_KIND_CLIENT;
	host__feed(&h, 0, sizeof(text) - 1);
	assert_int_equal(h.dir.sync, NATS_SYNCED);
	host__close(&h);
}

/* A frame that does not end as it must, in each of the ways frames are read. */
static void test_bad_trailers(void **state)
{
	static const char *const ends[] = {"\rx", "x\n", "xx", "\n\r", "\n\n"};
	static uint8_t text[1200];
	struct host h;

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		for (uint32_t n = 2; n < 900; n += 449) {
			for (uint32_t more = 0; more < 40; more += 8) {
				uint32_t at = (uint32_t)sprintf((char *)text, "PUB a %u\r\n", n);

				memset(text + at, 'x', sizeof(text) - at);
				memcpy(text + at + n, ends[i], 2);
				for (uint32_t step = 1; step < 1200; step += 133) {
					host__open_synced(&h, text);
					host__feed_by(&h, 0, at + n + 2 + more, step);
					assert_int_equal(h.desyncs, 1);
					assert_int_equal(h.frames, 1);
					host__close(&h);
				}
			}
		}
	}
}

/* ---- gaps */

static void test_gaps(void **state)
{
	struct rng r = {.state = 31};
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.payload_max = 300;
		make(&g, seed, 14);
		for (uint64_t at = 1; at < g.len; at++) {
			uint32_t n = rng__in(&r, 1, seed & 1 ? 8 : 400);

			if (at + n > g.len)
				break;
			check_gap(&g, &ref, seed, at, n);
		}
		unmake(&g);
	}
}

static void test_gap_to_the_payloads_last_byte(void **state)
{
	static const uint8_t text[] = "PUB a 10\r\n0123456789\r\nPUB b 1\r\nx\r\n";
	struct host h;

	(void)state;
	for (uint32_t n = 1; n <= 8; n++) {
		host__open_synced(&h, text);
		host__feed(&h, 0, 12);
		assert_int_equal(host__miss(&h, n), 0);
		assert_int_equal(h.dir.skip, 8 - n);
		host__feed(&h, 12 + n, (uint32_t)sizeof(text) - 1 - 12 - n);
		assert_int_equal(h.io.list.n, 2);
		assert_int_equal(h.desyncs, 0);
		host__close(&h);
	}
	for (uint32_t n = 9; n <= 20; n++) {
		host__open_synced(&h, text);
		host__feed(&h, 0, 12);
		assert_int_equal(host__miss(&h, n), 1);
		assert_int_equal(h.dir.sync, NATS_LOST);
		host__close(&h);
	}
}

/* ---- faults of the hooks, and bad input */

static void test_faults(void **state)
{
	struct rng r = {.state = 41};
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		struct context c = {.how = "faults", .seed = seed};
		struct host h;

		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.payload_max = 300;
		make(&g, seed, 30);
		cuts__random(&cuts, &r, g.len);
		host__open_synced(&h, g.data);
		h.poison = cuts.n < 200;
		for (uint32_t i = 0; i < cuts.n; i++) {
			if (rng__chance(&r, 1, 8)) {
				h.io.fail_load = rng__in(&r, 0, 3);
				h.io.fail_keep = rng__in(&r, 0, 1);
				h.io.fail_kept = rng__in(&r, 0, 1);
			}
			host__feed(&h, cuts.at[i], cuts.at[i + 1] - cuts.at[i]);
		}
		check_none_invented(&h, &ref, &c);
		host__close(&h);
		unmake(&g);
	}
}

/* What was kept of a split line and cannot be had again was not read: it is not framed. */
static void test_kept_bytes_that_are_gone(void **state)
{
	static const uint8_t text[] = "PUB a 5\r\nhello\r\n";
	struct host h;

	(void)state;
	host__open_synced(&h, text);
	h.io.fail_kept = 1;
	host__feed(&h, 0, 4);
	assert_int_equal(h.framed, 4);
	host__feed(&h, 4, sizeof(text) - 1 - 4);
	assert_int_equal(h.framed, 0);
	assert_int_equal(h.refused, 4);
	assert_int_equal(h.desyncs, 1);
	host__close(&h);
}

/* Nothing valid, or valid streams with faults in them: no crash, and accounts add up. */
static void test_garbage(void **state)
{
	struct rng r = {.state = 42};
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 3000; seed++) {
		struct host h;

		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.hostile = 1;
		g.payload_max = 300;
		if (seed % 3)
			gen__frames(&g, 20);
		else
			gen__fakes(&g, rng__in(&r, 1, 9000));
		for (uint32_t i = rng__in(&r, 0, 12); i; i--)
			g.data[rng__next(&r) % g.len] = (uint8_t)rng__next(&r);
		cuts__random(&cuts, &r, g.len);
		host__open(&h, g.data);
		h.dir.sync = seed & 1 ? NATS_SYNCED : NATS_LOST;
		h.poison = cuts.n < 200;
		for (uint32_t i = 0; i < cuts.n; i++) {
			h.run->strict = rng__chance(&r, 1, 9);
			host__feed(&h, cuts.at[i], cuts.at[i + 1] - cuts.at[i]);
			if (rng__chance(&r, 1, 30))
				host__miss(&h, rng__in(&r, 1, 300));
		}
		host__close(&h);
		unmake(&g);
	}
}

/* ---- limits */

static void test_an_endless_line_is_given_up(void **state)
{
	static uint8_t text[NATS_LINE_SKIP + 100];
	struct host h;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "INFO {", 6);
	host__open_synced(&h, text);
	host__feed_by(&h, 0, NATS_LINE_SKIP - 100, 65000);
	assert_int_equal(h.dir.sync, NATS_SYNCED);
	host__feed_by(&h, NATS_LINE_SKIP - 100, sizeof(text), 65000);
	assert_int_equal(h.dir.sync, NATS_LOST);
	assert_int_equal(h.desyncs, 1);
	host__close(&h);
}

/* The largest payload, and the largest segment full of the smallest lines. */
static void test_largest(void **state)
{
	static uint8_t text[512 * 1024];
	struct host h;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "PUB a 67108864\r\n", 16);
	host__open_synced(&h, text);
	host__feed(&h, 0, sizeof(text));
	for (uint32_t at = sizeof(text); at < (64u << 20); at += sizeof(text))
		host__feed(&h, 0, sizeof(text));
	assert_int_equal(h.dir.skip, 16);
	assert_int_equal(h.frames, 1);
	host__close(&h);

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t) "+OK\n"[i & 3];
	host__open_synced(&h, text);
	host__feed(&h, 0, 65536 * 3);
	assert_int_equal(h.frames, 65536 * 3 / 4);
	assert_int_equal(h.refused, 0);
	/* Out of turns: counted, and the place is lost. */
	host__feed(&h, 0, sizeof(text));
	assert_true(h.refused > 0);
	assert_int_equal(h.dir.sync, NATS_LOST);
	assert_int_equal(h.desyncs, 1);
	host__close(&h);
}

/* What a segment can make us read: a few times its length, whatever is in it. */
static void test_work_is_bounded(void **state)
{
	static const char *const worst[] = {
		"PUB ",		"x",	 "\n",	  "PUB a\n",
		"PUB aaaaaaaa", "+OK\n", "INFO ", "HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n"};
	static uint8_t text[65536];
	struct host h;

	(void)state;
	for (size_t i = 0; i < sizeof(worst) / sizeof(worst[0]); i++) {
		for (int sync = 0; sync < 2; sync++) {
			for (size_t k = 0; k < sizeof(text); k++)
				text[k] = (uint8_t)worst[i][k % strlen(worst[i])];
			host__open(&h, text);
			h.dir.sync = sync ? NATS_SYNCED : NATS_LOST;
			host__feed(&h, 0, sizeof(text));
			if (h.io.loaded > 4 * sizeof(text))
				fail_msg("'%s': %llu bytes read of %zu", worst[i],
					 (unsigned long long)h.io.loaded, sizeof(text));
			host__close(&h);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_and_generator_agree),
		cmocka_unit_test(test_short_streams_cut_everywhere),
		cmocka_unit_test(test_tiny_streams_cut_twice),
		cmocka_unit_test(test_random_streams_in_random_segments),
		cmocka_unit_test(test_payload_sizes),
		cmocka_unit_test(test_long_info),
		cmocka_unit_test(test_full_lines_anywhere),
		cmocka_unit_test(test_attach_anywhere),
		cmocka_unit_test(test_attach_to_long_streams),
		cmocka_unit_test(test_attach_costs_one_message),
		cmocka_unit_test(test_attach_to_hostile_streams),
		cmocka_unit_test(test_certainty_a_message_at_a_segments_start),
		cmocka_unit_test(test_certainty_lines),
		cmocka_unit_test(test_certainty_frames_elsewhere),
		cmocka_unit_test(test_certainty_the_rest_of_a_line),
		cmocka_unit_test(test_certainty_when_synced),
		cmocka_unit_test(test_strict_leaves_other_protocols_alone),
		cmocka_unit_test(test_strict_recognises_nats),
		cmocka_unit_test(test_a_wrong_kind_does_not_keep_us_lost),
		cmocka_unit_test(test_bad_trailers),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_gap_to_the_payloads_last_byte),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_kept_bytes_that_are_gone),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_an_endless_line_is_given_up),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_work_is_bounded),
	};

	return cmocka_run_group_tests_name("nats_stream", tests, NULL, NULL);
}
