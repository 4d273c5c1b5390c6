// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The Redis framer against a plain reference parser, on streams cut in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../support/redis_gen.h"
#include "../support/redis_host.h"
#include "../support/redis_ref.h"

static struct redis_ref ref[2];
static struct redis_host h;

static void read_refs(const struct redis_gen *g)
{
	redis_ref__read(&ref[0], g->side[0].data, g->side[0].len, 1);
	redis_ref__read(&ref[1], g->side[1].data, g->side[1].len, 0);
}

static void free_refs(void)
{
	redis_ref__free(&ref[0]);
	redis_ref__free(&ref[1]);
}

/* Names are read of commands and pushes, and of errors. */
static int same(const struct redis_msg *m, const struct redis_ref_unit *u, int dir)
{
	if (m->pos != u->pos || m->end != u->end || m->top != (uint8_t)u->top)
		return 0;
	return (dir && !m->push && m->top != '-') || !strcmp(m->name, u->first);
}

static void check_all(const char *how, uint64_t seed)
{
	for (int dir = 0; dir < 2; dir++) {
		uint32_t seq = 0;

		for (size_t i = 0; i < ref[dir].n && i < h.n[dir]; i++) {
			const struct redis_msg *m = &h.msg[dir][i];
			const struct redis_ref_unit *u = &ref[dir].unit[i];

			if (same(m, u, dir) && m->push == (u->top == '>') &&
			    m->error == (dir && (u->top == '-' || u->top == '!')) &&
			    (m->push || (m->paired && m->seq == seq))) {
				seq += !m->push;
				continue;
			}
			fail_msg("%s, seed %llu, dir %d, unit %zu: [%llu,%llu) '%c' %s seq %u "
				 "paired %u push %u, not [%llu,%llu) '%c' %s",
				 how, (unsigned long long)seed, dir, i, (unsigned long long)m->pos,
				 (unsigned long long)m->end, m->top, m->name, m->seq, m->paired,
				 m->push, (unsigned long long)u->pos, (unsigned long long)u->end,
				 u->top, u->first);
		}
		if (h.n[dir] != ref[dir].n)
			fail_msg("%s, seed %llu: dir %d: %zu units, not %zu", how,
				 (unsigned long long)seed, dir, h.n[dir], ref[dir].n);
		/* The place is known behind the first name; a part of it, alone, is not. */
		assert_int_equal(h.io[dir].framed + h.io[dir].resync, h.io[dir].fed);
		assert_true(h.io[dir].resync < 16);
		assert_int_equal(h.io[dir].desyncs, 0);
	}
}

static void feed_connection(const struct redis_gen *g, struct rng *r, uint32_t low, uint32_t high)
{
	uint64_t at[2] = {0}, may = 0;

	while (at[0] < g->side[0].len || at[1] < g->side[1].len) {
		int dir = rng__chance(r, 1, 2);
		uint64_t limit = dir ? may : g->side[0].len;
		uint32_t n = rng__in(r, low, high);

		if (at[dir] >= limit)
			continue;
		if (n > limit - at[dir])
			n = (uint32_t)(limit - at[dir]);
		redis_host__feed(&h, dir, at[dir], n);
		at[dir] += n;
		if (!dir)
			may = redis_gen__may_come(g, at[0]);
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
	struct redis_gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		redis_gen__open(&g, seed);
		g.hostile = 1;
		g.bulk_max = seed % 7 ? 600 : 70000;
		for (uint32_t i = rng__in(&r, 1, 40); i; i--)
			redis_gen__exchange(&g);
		read_refs(&g);
		assert_int_equal(ref[0].n, g.n);
		for (size_t i = 0; i < g.n; i++)
			assert_int_equal(ref[0].unit[i].end, g.xchg[i].asked);
		assert_int_equal(ref[1].unit[ref[1].n - 1].end, g.side[1].len);
		for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
			if (i < 2 && (seed % 4 || seed % 7 == 0))
				continue;
			redis_host__open(&h, g.side[0].data, g.side[1].data);
			feed_connection(&g, &r, styles[i].low, styles[i].high);
			check_all(styles[i].how, seed);
			redis_host__close(&h);
		}
		free_refs();
		redis_gen__close(&g);
	}
}

static void test_cut_everywhere(void **state)
{
	struct redis_gen g;

	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		redis_gen__open(&g, seed);
		g.hostile = 1;
		g.bulk_max = 60;
		for (int i = 0; i < 6; i++)
			redis_gen__exchange(&g);
		read_refs(&g);
		for (int dir = 0; dir < 2; dir++) {
			for (size_t cut = 1; cut < g.side[dir].len; cut++) {
				redis_host__open(&h, g.side[0].data, g.side[1].data);
				for (int k = 0; k < 2; k++) {
					size_t c = k == dir ? cut : 0;

					if (c)
						redis_host__feed(&h, k, 0, (uint32_t)c);
					redis_host__feed(&h, k, c, (uint32_t)(g.side[k].len - c));
				}
				check_all("cut", seed);
				redis_host__close(&h);
			}
		}
		free_refs();
		redis_gen__close(&g);
	}
}

/* ---- single connections */

static char said[2][65536];
static size_t told[2];

/* One segment more of a direction. */
static void talk(int dir, const char *text)
{
	size_t n = strlen(text);

	assert_true(told[dir] + n < sizeof(said[dir]));
	h.io[dir].stream = (const uint8_t *)said[dir];
	memcpy(said[dir] + told[dir], text, n);
	redis_host__feed(&h, dir, told[dir], (uint32_t)n);
	told[dir] += n;
}

/* n bytes that do not pass. */
static int miss(int dir, uint32_t n)
{
	told[dir] += n;
	return redis_host__miss(&h, dir, n);
}

static const struct redis_msg *last(int dir)
{
	static const struct redis_msg none;

	return h.n[dir] ? &h.msg[dir][h.n[dir] - 1] : &none;
}

static void fresh(void)
{
	redis_host__close(&h);
	redis_host__open(&h, NULL, NULL);
	told[0] = told[1] = 0;
}

#define PING "*1\r\n$4\r\nPING\r\n"

static void test_commands(void **state)
{
	static const struct {
		const char *text, *name, *sub;
		int class;
	} cases[] = {
		{"*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\nb\r\n", "SET", "", REDIS_PLAIN},
		{"*2\r\n$6\r\nconfig\r\n$3\r\nget\r\n", "CONFIG", "GET", REDIS_PLAIN},
		{"*3\r\n$5\r\nBLPOP\r\n$1\r\na\r\n$1\r\n0\r\n", "BLPOP", "", REDIS_BLOCKING},
		{"*1\r\n$10\r\nBRPOPLPUSH\r\n", "BRPOPLPUSH", "", REDIS_BLOCKING},
		{"*2\r\n$5\r\nXREAD\r\n$5\r\nblock\r\n", "XREAD", "", REDIS_BLOCKING},
		{"*3\r\n$10\r\nXREADGROUP\r\n$7\r\nSTREAMS\r\n$5\r\nBLOCK\r\n", "XREADGROUP", "",
		 REDIS_PLAIN},
		{"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n", "SUBSCRIBE", "", REDIS_PUBSUB},
		{"*1\r\n$12\r\nPUNSUBSCRIBE\r\n", "PUNSUBSCRIBE", "", REDIS_PUBSUB},
		{"*1\r\n$25\r\naaaaaaaaaaaaaaaaaaaaaaaaa\r\n", "", "", REDIS_PLAIN},
		{"*1\r\n$3\r\na b\r\n", "", "", REDIS_PLAIN},
		{"blpop x 0\r\n", "BLPOP", "", REDIS_BLOCKING},
		{"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n", "CLIENT", "REPLY",
		 REDIS_NO_ANSWER},
		{"*1\r\n$7\r\nmonitor\r\n", "MONITOR", "", REDIS_MONITORS},
		{"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n", "PSYNC", "", REDIS_REPLICA},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fresh();
		talk(0, PING);
		talk(0, cases[i].text);
		assert_int_equal(h.n[0], 2);
		assert_int_not_equal(last(0)->end, 0);
		assert_string_equal(last(0)->name, cases[i].name);
		assert_string_equal(last(0)->sub, cases[i].sub);
		assert_int_equal(last(0)->class, cases[i].class);
	}
	redis_host__close(&h);
}

static void test_replies(void **state)
{
	(void)state;
	fresh();
	talk(0, PING PING PING PING);
	talk(1, "+PONG\r\n-ERR bad thing\r\n+QUEUED\r\n*2\r\n+OK\r\n-ERR\r\n");
	assert_int_equal(h.n[1], 4);
	assert_int_equal(h.msg[1][1].error, 1);
	assert_string_equal(h.msg[1][1].name, "ERR");
	assert_int_equal(h.msg[1][2].queued, 1);
	assert_int_equal(h.msg[1][3].error, 0);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(h.msg[1][i].paired, 1);
		assert_int_equal(h.msg[1][i].seq, i);
	}
	/* RESP2 pub/sub: arrays that answer nothing, between those that do */
	fresh();
	talk(0, PING "*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n" PING);
	talk(1,
	     "+PONG\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb"
	     "\r\n:2\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0"
	     "\r\n\r\n");
	assert_int_equal(h.n[1], 5);
	assert_int_equal(h.msg[1][3].push, 1);
	assert_string_equal(h.msg[1][3].name, "MESSAGE");
	assert_int_equal(last(1)->push, 0);
	assert_int_equal(last(1)->paired, 1);
	assert_int_equal(last(1)->seq, 1);
	/* a replica's stream is not ours */
	fresh();
	talk(0, "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nSYNC\r\n");
	talk(1, "$100\r\nREDIS0011rubbish");
	assert_int_equal(h.io[1].framed, h.io[1].fed);
	assert_int_equal(h.n[1], 0);
	redis_host__close(&h);
}

static void test_bad(void **state)
{
	static const char *const commands[] = {
		"*-1\r\n",
		"*0\r\n",
		"*1\r\n:5\r\n",
		"*1\r\n$-1\r\n",
		"*2\r\n*1\r\n",
		"*1\r\n$5\r\nhello!\r\n",
		"*1048577\r\n",
		"*x\r\n",
		"$3\r\nGET\r\n",
		"+OK\r\n",
		"*1\n$4\r\nPING\r\n",
		"*1\r\n$2147483648\r\n",
		"*1\r\n$99999999999\r\n",
		"*1\r\n$\r\n",
		"\001",
	};
	static const char *const replies[] = {
		"$-2\r\n",	  "$?\r\n",	 "*?\r\n",    "%-1\r\n",
		"$3\r\nabcd\r\n", "+OK\n",	 "hello\r\n", "*1\r\n>1\r\n+a\r\n",
		"$+3\r\n",	  "*1\r\n.\r\n", "$0x3\r\n",  "*4294967296\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		fresh();
		talk(0, PING);
		talk(0, commands[i]);
		if (h.io[0].desyncs != 1 || last(0)->end > 14)
			fail_msg("taken: %s", commands[i]);
	}
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		fresh();
		talk(0, PING PING);
		talk(1, "+PONG\r\n");
		talk(1, replies[i]);
		if (h.io[1].desyncs != 1 || last(1)->end > 7)
			fail_msg("taken: %s", replies[i]);
	}
	redis_host__close(&h);
}

static void test_certainty(void **state)
{
	(void)state;
	/* replies before any command prove nothing, nor does a name that nobody knows */
	fresh();
	talk(1, "+OK\r\n");
	talk(0, "*1\r\n$6\r\nfoobar\r\n");
	talk(0, "x" PING);
	assert_int_equal(h.dir[0].s.sync, STREAM_LOST);
	assert_int_equal(h.dir[1].s.sync, STREAM_LOST);
	assert_int_equal(h.io[0].framed + h.io[1].framed, 0);
	talk(0, PING);
	talk(1, "+PONG\r\n");
	assert_int_equal(last(1)->paired, 1);
	/* after a gap in a reply, the next command's reply is certain again */
	talk(0, PING);
	assert_true(miss(1, 3));
	talk(1, "abc\r\n");
	assert_int_equal(h.dir[1].s.sync, STREAM_LOST);
	talk(0, "*1\r\n$6\r\nfoobar\r\n");
	talk(1, "$1\r\nx\r\n");
	assert_int_equal(last(1)->paired, 1);
	assert_int_equal(last(1)->seq, last(0)->seq);
	/* the beginning of that reply is missed: an element behind it is not the reply */
	talk(0, PING);
	assert_true(miss(1, 10));
	talk(1, "$1\r\nx\r\n");
	assert_int_equal(h.dir[1].s.sync, STREAM_LOST);
	talk(0, "*1\r\n$6\r\nfoobar\r\n");
	talk(1, "$1\r\nx\r\n");
	assert_int_equal(last(1)->paired, 1);
	assert_int_equal(last(1)->seq, last(0)->seq);
	/* inside a string the place is kept */
	talk(0, "*2\r\n$3\r\nGET\r\n$100\r\nxxx");
	assert_false(miss(0, 90));
	talk(0, "1234567\r\n");
	assert_string_equal(last(0)->name, "GET");
	assert_int_not_equal(last(0)->end, 0);
	/* one reply too many */
	talk(1, "+OK\r\n+OK\r\n");
	assert_int_equal(last(1)->paired, 0);
	assert_false(redis_pair__sure(&h.pair));
	redis_host__close(&h);
}

/* Bytes missed, bytes changed, hooks that fail: commands that come out are true, accounts add up.
 */
static void test_damage(void **state)
{
	struct rng r = {.state = 9};
	struct redis_gen g;
	uint32_t paired = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		int changed = seed % 3 == 0;
		uint64_t at[2] = {0};

		redis_gen__open(&g, seed);
		g.hostile = changed;
		for (int i = 0; i < 14; i++)
			redis_gen__exchange(&g);
		read_refs(&g);
		for (uint32_t i = changed ? 8 : 0; i; i--) {
			int dir = rng__chance(&r, 1, 2);

			g.side[dir].data[rng__next(&r) % g.side[dir].len] =
				"\r\n$*:+->|%0123\0\xff"[rng__next(&r) % 16];
		}
		redis_host__open(&h, g.side[0].data, g.side[1].data);
		h.io[0].fail_load = rng__chance(&r, 1, 9) ? rng__in(&r, 1, 30) : 0;
		h.io[1].fail_keep = rng__chance(&r, 1, 9) ? rng__in(&r, 1, 10) : 0;
		h.io[0].fail_kept = rng__chance(&r, 1, 9) ? rng__in(&r, 1, 10) : 0;
		for (size_t i = 0; i < g.n; i++) {
			for (int dir = 0; dir < 2; dir++) {
				uint64_t end = dir ? g.xchg[i].replied : g.xchg[i].asked;

				while (at[dir] < end) {
					uint32_t n = rng__in(&r, 1, 900);

					if (n > end - at[dir])
						n = (uint32_t)(end - at[dir]);
					if (rng__chance(&r, 1, 40))
						redis_host__miss(&h, dir, n);
					else
						redis_host__feed(&h, dir, at[dir], n);
					at[dir] += n;
				}
			}
		}
		for (int dir = 0; dir < 2; dir++) {
			size_t k = 0;

			assert_int_equal(h.io[dir].framed + h.io[dir].resync + h.io[dir].bad +
						 h.io[dir].refused,
					 h.io[dir].fed);
			for (size_t i = 0; !changed && i < h.n[dir]; i++) {
				const struct redis_msg *m = &h.msg[dir][i];

				if (!m->end)
					continue;
				while (k < ref[dir].n && ref[dir].unit[k].pos < m->pos)
					k++;
				assert_true(k < ref[dir].n);
				if (!same(m, &ref[dir].unit[k], dir))
					fail_msg("seed %llu: dir %d invented at %llu-%llu '%c' %s, "
						 "not "
						 "%llu-%llu '%c' %s",
						 (unsigned long long)seed, dir,
						 (unsigned long long)m->pos,
						 (unsigned long long)m->end, m->top, m->name,
						 (unsigned long long)ref[dir].unit[k].pos,
						 (unsigned long long)ref[dir].unit[k].end,
						 ref[dir].unit[k].top, ref[dir].unit[k].first);
				if (!dir || !m->paired)
					continue;
				for (size_t q = 0; q < h.n[0]; q++) {
					if (!h.msg[0][q].end || h.msg[0][q].seq != m->seq)
						continue;
					for (size_t x = 0; x < g.n; x++) {
						if (g.xchg[x].reply == m->pos)
							assert_int_equal(g.xchg[x].ask,
									 h.msg[0][q].pos);
					}
					paired++;
				}
			}
		}
		redis_host__close(&h);
		free_refs();
		redis_gen__close(&g);
	}
	assert_true(paired > 5000);
}

static void test_limits(void **state)
{
	static char big[REDIS_LINE_MAX + 4096];

	(void)state;
	/* a line without an end is given up */
	fresh();
	talk(0, PING);
	memset(big, 'x', sizeof(big));
	big[0] = '+';
	h.io[1].stream = (const uint8_t *)big;
	for (size_t at = 0; at < sizeof(big); at += 4096)
		redis_host__feed(&h, 1, at, 4096);
	assert_int_equal(h.io[1].oversized, 1);
	assert_int_equal(h.io[1].desyncs, 1);
	/* any depth */
	fresh();
	talk(0, PING);
	for (size_t i = 0; i < 40000; i += 4)
		memcpy(big + i, "*1\r\n", 4);
	memcpy(big + 40000, ":1\r\n", 5);
	h.io[1].stream = (const uint8_t *)big;
	redis_host__feed(&h, 1, 0, 40004);
	assert_int_equal(last(1)->end, 40004);
	redis_host__close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_connections),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_certainty),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests_name("redis_framer", tests, NULL, NULL);
}
