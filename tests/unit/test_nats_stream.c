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
		fail_msg("%s, seed %llu: %lld of %zu bytes framed, %llu of %zu frames, %llu desyncs",
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
	for (uint64_t seed = 1; seed <= 600; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.hostile = 1;
		g.payload_max = seed & 1 ? 40 : 600;
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
		g.subject_max = seed % 7 ? 60 : 3800;
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
		for (uint32_t at = 1; at < g.len; at += n < 20 ? 1 : 17)
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
	for (uint64_t seed = 1; seed <= 250; seed++) {
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.payload_max = 300;
		make(&g, seed, 14);
		cuts.n = 1;
		cuts.at[1] = (uint32_t)g.len;
		for (uint64_t at = 0; at < g.len; at++) {
			/* Segments begin and end anywhere: a new set of cuts for every offset. */
			if (at & 1)
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

/* One message a segment, as most senders write: attached at a message, it is seen at once. */
static void test_attach_at_a_message_sees_it(void **state)
{
	struct context c = {.how = "a frame a segment"};
	struct host h;
	struct gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		gen__open(&g, seed, GEN_TO_BROKER);
		g.plain = 1;
		g.payload_max = 900;
		make(&g, seed, 8);
		for (size_t first = 0; first < ref.list.n; first++) {
			if (ref.list.unit[first].verb > NATS_LMSG)
				continue;
			host__open(&h, g.data);
			for (size_t i = first; i < ref.list.n; i++)
				host__feed(&h, ref.list.unit[i].pos,
					   (uint32_t)(ref.list.unit[i].end - ref.list.unit[i].pos));
			c.seed = seed;
			check_seen_from(&h, &ref, first, &c);
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
