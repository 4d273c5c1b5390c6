/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "model/verdict.h"

static struct target judge(enum target_op op, double limit, double value, double lo, double hi)
{
	struct estimate e = {.value = value, .lo = lo, .hi = hi, .n = 5};
	struct target t;

	target__init(&t, "t", op, limit, "");
	target__judge(&t, &e);
	assert_true(t.reason[0]);
	return t;
}

static void by_interval(void **state)
{
	static const struct {
		double limit, value, lo, hi;
		enum target_op op;
		enum verdict want;
	} table[] = {
		/* <= : good is below */
		{10, 5, 4, 6, TARGET_LE, VERDICT_PASS},
		{10, 9, 8, 10, TARGET_LE, VERDICT_PASS}, /* the limit itself is good */
		{10, 9, 8, 10.01, TARGET_LE, VERDICT_INCONCLUSIVE},
		{10, 11, 9, 13, TARGET_LE, VERDICT_INCONCLUSIVE},
		{10, 11, 10, 13, TARGET_LE, VERDICT_INCONCLUSIVE}, /* 10 would be good */
		{10, 12, 10.01, 13, TARGET_LE, VERDICT_FAIL},
		{10, 5, 4, NAN, TARGET_LE, VERDICT_INCONCLUSIVE}, /* may be as high as it likes */
		{10, 12, 11, NAN, TARGET_LE, VERDICT_FAIL},	  /* and is bad wherever it is */
		{10, 5, NAN, 6, TARGET_LE, VERDICT_PASS},
		{10, 12, NAN, 13, TARGET_LE, VERDICT_INCONCLUSIVE},
		{10, 5, NAN, NAN, TARGET_LE, VERDICT_INCONCLUSIVE},
		{10, NAN, NAN, NAN, TARGET_LE, VERDICT_NO_DATA},
		{10, NAN, 4, 6, TARGET_LE, VERDICT_NO_DATA},
		{NAN, 5, 4, 6, TARGET_LE, VERDICT_NO_DATA},
		{10, 5, 6, 4, TARGET_LE, VERDICT_INVALID},
		/* counted */
		{0, 0, 0, 0, TARGET_LE, VERDICT_PASS},
		{0, 1, 1, 1, TARGET_LE, VERDICT_FAIL},
		/* >= : good is above */
		{10, 15, 12, 17, TARGET_GE, VERDICT_PASS},
		{10, 11, 10, 12, TARGET_GE, VERDICT_PASS},
		{10, 11, 9.99, 12, TARGET_GE, VERDICT_INCONCLUSIVE},
		{10, 8, 7, 10, TARGET_GE, VERDICT_INCONCLUSIVE},
		{10, 8, 7, 9.99, TARGET_GE, VERDICT_FAIL},
		{10, 15, NAN, 17, TARGET_GE, VERDICT_INCONCLUSIVE},
		{10, 8, NAN, 9, TARGET_GE, VERDICT_FAIL},
		{10, 15, 12, NAN, TARGET_GE, VERDICT_PASS},
		{10, 15, 9, NAN, TARGET_GE, VERDICT_INCONCLUSIVE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct target t = judge(table[i].op, table[i].limit, table[i].value, table[i].lo,
					table[i].hi);

		if (t.verdict != table[i].want)
			print_error("row %zu: %s, %s\n", i, verdict__name(t.verdict), t.reason);
		assert_int_equal(t.verdict, table[i].want);
	}
}

/* The report that hopscope replaces called these two a PASS. */
static void seeds(void **state)
{
	struct estimate rate = {.value = 6666, .lo = 6600, .hi = 6700, .n = 5};
	struct estimate memory = {.value = 60e6, .lo = 59e6, .hi = 61e6, .n = 5};
	struct target t;

	(void)state;
	target__init(&t, "events", TARGET_GE, 50000, "events/s");
	assert_int_equal(t.verdict, VERDICT_NO_DATA);
	target__judge(&t, &rate);
	assert_int_equal(t.verdict, VERDICT_FAIL);
	assert_string_equal(t.reason, "even the interval's upper end, 6,700 events/s, misses the "
				      "target of 50,000 events/s");
	target__init(&t, "memory", TARGET_LE, 50e6, "bytes");
	target__judge(&t, &memory);
	assert_int_equal(t.verdict, VERDICT_FAIL);
	/* and this, 480 of 480 requests failed, as well */
	target__init(&t, "load", TARGET_LE, 5e9, "ns");
	memory.value = memory.lo = memory.hi = 1e6;
	target__judge(&t, &memory);
	assert_int_equal(t.verdict, VERDICT_PASS);
	target__check_errors(&t, 480, 480, 0.01);
	assert_int_equal(t.verdict, VERDICT_INVALID);
	assert_string_equal(t.reason, "480 of 480 attempts failed: 100 %, and the bound is 1 %");
}

static void reasons_tell_value_and_limit_apart(void **state)
{
	struct estimate e = estimate__exact(15000400, 1);
	struct target t;

	(void)state;
	target__init(&t, "p99", TARGET_LE, 15e6, "ns");
	target__judge(&t, &e);
	assert_int_equal(t.verdict, VERDICT_FAIL);
	assert_string_equal(t.reason, "15.0004 ms; the target of 15.0000 ms is missed");
}

static void quantiles_need_samples(void **state)
{
	static struct hist h;
	struct target t;

	(void)state;
	memset(&h, 0, sizeof(h));
	target__init(&t, "p99", TARGET_LE, 15e6, "ns");
	target__judge_quantile(&t, &h, 0.99);
	assert_int_equal(t.verdict, VERDICT_NO_DATA);
	for (int i = 0; i < 298; i++)
		hist__add(&h, 1000000);
	target__judge_quantile(&t, &h, 0.99);
	assert_int_equal(t.verdict, VERDICT_INCONCLUSIVE);
	assert_string_equal(t.reason, "too few samples: 298 do not bound p99 from above, which "
				      "takes 299");
	hist__add(&h, 1000000);
	target__judge_quantile(&t, &h, 0.99);
	assert_int_equal(t.verdict, VERDICT_PASS);
	target__init(&t, "p99", TARGET_LE, 900e3, "ns");
	target__judge_quantile(&t, &h, 0.99);
	assert_int_equal(t.verdict, VERDICT_FAIL);
}

static void errors(void **state)
{
	struct target t = judge(TARGET_LE, 10, 5, 4, 6);

	(void)state;
	target__check_errors(&t, 1000, 10, 0.01);
	assert_int_equal(t.verdict, VERDICT_PASS);
	target__check_errors(&t, 1000, 11, 0.01);
	assert_int_equal(t.verdict, VERDICT_INVALID);
	t = judge(TARGET_LE, 10, 5, 4, 6);
	target__check_errors(&t, 0, 0, 0.01);
	assert_int_equal(t.verdict, VERDICT_INVALID);
	t = judge(TARGET_LE, 10, 5, 4, 6);
	target__check_errors(&t, 1000, 0, 0);
	assert_int_equal(t.verdict, VERDICT_PASS);
}

static void accounting(void **state)
{
	static struct snapshot s;
	struct target t = judge(TARGET_LE, 10, 5, 4, 6);

	(void)state;
	memset(&s, 0, sizeof(s));
	s.settled = true;
	s.acct.seen = 10;
	s.acct.matched = 7;
	s.acct.one_way = 1;
	s.acct.in_flight = 1;
	s.acct.unanswered = 1;
	s.acct.bytes_seen = 100;
	s.acct.bytes_framed = 90;
	s.acct.bytes_unparsed = 10;
	target__check_accounting(&t, &s);
	assert_int_equal(t.verdict, VERDICT_PASS);
	s.acct.matched--;
	target__check_accounting(&t, &s);
	assert_int_equal(t.verdict, VERDICT_INVALID);
	assert_string_equal(t.reason,
			    "the accounting does not close: 10 messages seen, 9 accounted for");
	s.acct.matched++;
	s.acct.bytes_framed++;
	t = judge(TARGET_LE, 10, 5, 4, 6);
	target__check_accounting(&t, &s);
	assert_string_equal(t.reason,
			    "the accounting does not close: 100 bytes seen, 101 accounted for");
	s.acct.bytes_framed--;
	s.settled = false;
	t = judge(TARGET_LE, 10, 5, 4, 6);
	target__check_accounting(&t, &s);
	assert_int_equal(t.verdict, VERDICT_INVALID);
}

/* 1000 values of 1 ms, limit 2 ms: p99 passes until as many are lost as could be its tail. */
static void lost(void **state)
{
	static struct hist h;
	struct target t;
	bool invalid = false;

	(void)state;
	memset(&h, 0, sizeof(h));
	for (int i = 0; i < 1000; i++)
		hist__add(&h, 1000000);
	for (uint64_t n = 0; n < 30; n++) {
		target__init(&t, "p99", TARGET_LE, 2e6, "ns");
		target__judge_quantile(&t, &h, 0.99);
		target__check_lost(&t, &h, 0.99, n);
		assert_true(t.verdict == (n <= 4 ? VERDICT_PASS : VERDICT_INVALID));
		invalid = invalid || t.verdict == VERDICT_INVALID;
	}
	assert_true(invalid);
	assert_string_equal(t.reason,
			    "29 exchanges were not measured; had they been slow, p99 could be "
			    "on the other side of the target of 2.00 ms");
	/* a FAIL that a few fast ones could not have changed stays one; many could have */
	target__init(&t, "p50", TARGET_LE, 0.5e6, "ns");
	target__judge_quantile(&t, &h, 0.5);
	assert_int_equal(t.verdict, VERDICT_FAIL);
	target__check_lost(&t, &h, 0.5, 10);
	assert_int_equal(t.verdict, VERDICT_FAIL);
	target__check_lost(&t, &h, 0.5, 1200);
	assert_int_equal(t.verdict, VERDICT_INVALID);
	/* what is undecided stays so */
	target__init(&t, "p50", TARGET_LE, 1e6, "ns");
	target__check_lost(&t, &h, 0.5, 1200);
	assert_int_equal(t.verdict, VERDICT_NO_DATA);
	/* a lower bound: lost ones that were fast */
	target__init(&t, "p50", TARGET_GE, 0.5e6, "ns");
	target__judge_quantile(&t, &h, 0.5);
	assert_int_equal(t.verdict, VERDICT_PASS);
	target__check_lost(&t, &h, 0.5, 1200);
	assert_int_equal(t.verdict, VERDICT_INVALID);
}

static void lost_exchanges_of_an_accounting(void **state)
{
	struct wire_acct a = {.dropped = 3};

	(void)state;
	assert_int_equal(accounting__lost_exchanges(&a), 3);
	a.bytes_framed = 1000;
	a.messages = 10;
	a.bytes_unparsed = 1;
	assert_int_equal(accounting__lost_exchanges(&a), 4);
	a.bytes_unparsed = 250;
	assert_int_equal(accounting__lost_exchanges(&a), 6);
	a.messages = 0; /* nothing to compare with: any byte */
	assert_int_equal(accounting__lost_exchanges(&a), 253);
}

static void clock_step(void **state)
{
	struct target t = judge(TARGET_LE, 10, 5, 4, 6);

	(void)state;
	target__check_clock(&t, 500000, 60000000000ull);
	target__check_clock(&t, -30000000, 60000000000ull); /* NTP slews by 500 ppm */
	assert_int_equal(t.verdict, VERDICT_PASS);
	target__check_clock(&t, -2000000000, 60000000000ull);
	assert_int_equal(t.verdict, VERDICT_INVALID);
	assert_string_equal(t.reason, "the system clock was set back by 2.00 s during the run");
	/* the first reason stays */
	target__invalidate(&t, "something else");
	assert_true(strstr(t.reason, "clock") != NULL);
	t = judge(TARGET_LE, 10, 5, 4, 6);
	target__check_clock(&t, INT64_MIN, 0);
	assert_int_equal(t.verdict, VERDICT_INVALID);
}

static void exit_codes(void **state)
{
	struct target t[3] = {0};

	(void)state;
	assert_int_equal(targets__exit_code(t, 0), EXIT_PASS);
	for (int a = 0; a < VERDICT_MAX; a++)
		for (int b = 0; b < VERDICT_MAX; b++) {
			int want = a == VERDICT_FAIL || b == VERDICT_FAIL   ? EXIT_TARGET_FAILED
				   : a == VERDICT_PASS && b == VERDICT_PASS ? EXIT_PASS
									    : EXIT_UNDECIDED;

			t[0].verdict = (enum verdict)a;
			t[1].verdict = (enum verdict)b;
			assert_int_equal(targets__exit_code(t, 2), want);
		}
}

static void names(void **state)
{
	(void)state;
	for (int v = 1; v < VERDICT_MAX; v++)
		assert_int_equal(verdict__from_name(verdict__name((enum verdict)v)), v);
	assert_int_equal(verdict__from_name("pass"), VERDICT_NONE);
	assert_string_equal(verdict__name(VERDICT_NONE), "NO DATA");
	assert_string_equal(verdict__name((enum verdict)99), "NO DATA");
	assert_string_equal(target_op__name(TARGET_LE), "<=");
	assert_string_equal(target_op__name(TARGET_GE), ">=");
}

/* A slope in bytes/s, against a limit of 100 MB/h: 27.8 kB/s. */
static struct target grown(enum target_op op, struct growth g)
{
	struct target t;

	snprintf(g.reason, sizeof(g.reason), "the watch's own words");
	g.n = 100;
	target__init(&t, "growth", op, 100e6, "bytes/h");
	target__judge_growth(&t, &g);
	return t;
}

static void is(struct target t, enum verdict v, const char *reason)
{
	if (t.verdict != v || !strstr(t.reason, reason))
		fail_msg("%s: %s", verdict__name(t.verdict), t.reason);
}

static void memory_growth(void **state)
{
	struct growth flat = {.verdict = GROWTH_STABLE,
			      .slope = 0,
			      .ci_low = -100,
			      .ci_high = 100,
			      .min_detectable = 27000};
	struct growth g = flat;

	(void)state;
	is(grown(TARGET_LE, flat), VERDICT_PASS, "upper end");
	/* what it would have shown is above the limit: no growth seen is none excluded */
	g.min_detectable = 28000;
	is(grown(TARGET_LE, g), VERDICT_INCONCLUSIVE,
	   "no growth below 96.1 MiB/h, and the target is 95.4 MiB/h");
	g.min_detectable = NAN;
	is(grown(TARGET_LE, g), VERDICT_INCONCLUSIVE, "too short a watch");
	/* it grew, and by more: that was seen */
	g = (struct growth){GROWTH_GROWING, 40000, 35000, 45000, 30000, NAN, 100, 60, 60, ""};
	is(grown(TARGET_LE, g), VERDICT_FAIL, "lower end");
	g.verdict = GROWTH_INCONCLUSIVE;
	is(grown(TARGET_LE, g), VERDICT_INCONCLUSIVE, "the watch's own words");
	g = flat;
	g.verdict = GROWTH_INCONCLUSIVE;
	is(grown(TARGET_LE, g), VERDICT_INCONCLUSIVE, "the watch's own words");
	g.slope = g.ci_low = g.ci_high = NAN;
	is(grown(TARGET_LE, g), VERDICT_INCONCLUSIVE, "the watch's own words");
	/* somebody who wants growth is not helped by a blind watch */
	g = flat;
	g.min_detectable = 1e9;
	is(grown(TARGET_GE, g), VERDICT_FAIL, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_interval),
		cmocka_unit_test(seeds),
		cmocka_unit_test(reasons_tell_value_and_limit_apart),
		cmocka_unit_test(quantiles_need_samples),
		cmocka_unit_test(memory_growth),
		cmocka_unit_test(errors),
		cmocka_unit_test(accounting),
		cmocka_unit_test(lost),
		cmocka_unit_test(lost_exchanges_of_an_accounting),
		cmocka_unit_test(clock_step),
		cmocka_unit_test(exit_codes),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
