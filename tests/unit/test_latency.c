// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/latency.h"
#include "random.h"

static struct latency parse(const char *text)
{
	const char *why = "";
	struct latency l;

	if (latency__parse(text, &l, &why))
		fail_msg("'%s': %s", text, why);
	return l;
}

static void test_kinds(void **state)
{
	struct latency l = parse("fixed 20 ms");

	(void)state;
	assert_int_equal(l.kind, LATENCY_FIXED);
	assert_int_equal(l.low_us, 20000);
	assert_int_equal(l.at_most_us, LATENCY_MAX_US);
	l = parse("uniform 1.5ms 3ms");
	assert_int_equal(l.kind, LATENCY_UNIFORM);
	assert_int_equal(l.low_us, 1500);
	assert_int_equal(l.high_us, 3000);
	l = parse("lognormal 20 ms sigma 0.35, slow 1 % 400 ms, at most 2 s");
	assert_int_equal(l.kind, LATENCY_LOGNORMAL);
	assert_int_equal(l.low_us, 20000);
	assert_true(l.sigma == 0.35);
	assert_true(l.slow_share == 0.01);
	assert_int_equal(l.slow_us, 400000);
	assert_int_equal(l.at_most_us, 2000000);
	l = parse("fixed 0 us");
	assert_int_equal(l.low_us, 0);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"20 ms",
		"fixed",
		"fixed 20",
		"fixed 20 m",
		"fixed 20 msec",
		"fixed -1 ms",
		"fixed nan ms",
		"fixed inf ms",
		"fixed 0x10 ms",
		"fixed 61 s",
		"fixed 1e300 s",
		"fixed 1 ms 2 ms",
		"uniform 1 ms",
		"uniform 2 ms 1 ms",
		"lognormal 20 ms",
		"lognormal 20 ms 0.3",
		"lognormal 0 ms sigma 1",
		"lognormal 20 ms sigma 4",
		"fixed 1 ms slow 1 2 ms",
		"fixed 1 ms slow 101 % 2 ms",
		"fixed 1 ms at most",
		"Fixed 1 ms",
		"fixedly 1 ms",
	};
	struct latency l;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why = NULL;

		if (!latency__parse(bad[i], &l, &why))
			fail_msg("'%s' was taken", bad[i]);
		assert_non_null(why);
	}
}

static void test_format_is_read_back(void **state)
{
	static const char *const texts[] = {
		"fixed 20 ms",
		"fixed 0 us",
		"uniform 1500 us 3 s",
		"lognormal 20 ms sigma 0.35",
		"lognormal 777 us sigma 1.25 slow 0.1 % 400 ms at most 2 s",
		"fixed 1 ms slow 100 % 33 ms",
	};
	char buf[LATENCY_TEXT_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct latency l = parse(texts[i]);

		assert_string_equal(latency__format(&l, buf, sizeof(buf)), texts[i]);
	}
}

/* The same drawing as claude_api.lua's. */
static double draw(const struct latency *l, uint64_t *r)
{
	double us;

	if (random__uniform(r) < l->slow_share)
		us = (double)l->slow_us;
	else if (l->kind == LATENCY_FIXED)
		us = (double)l->low_us;
	else if (l->kind == LATENCY_UNIFORM)
		us = (double)l->low_us + (double)(l->high_us - l->low_us) * random__uniform(r);
	else
		us = (double)l->low_us * exp(l->sigma * random__normal(r));
	return us < (double)l->at_most_us ? us : (double)l->at_most_us;
}

static void test_mean_against_draws(void **state)
{
	static const char *const texts[] = {
		"fixed 20 ms at most 5 ms",
		"uniform 10 ms 30 ms",
		"uniform 10 ms 30 ms at most 15 ms",
		"uniform 10 ms 30 ms at most 5 ms",
		"lognormal 20 ms sigma 0",
		"lognormal 20 ms sigma 0.35",
		"lognormal 20 ms sigma 1 at most 40 ms",
		"lognormal 20 ms sigma 0.5 slow 10 % 200 ms",
	};
	const unsigned int n = 200000;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct latency l = parse(texts[i]);
		uint64_t r = i + 1;
		double sum = 0, squares = 0, mean, error;
		unsigned int k;

		for (k = 0; k < n; k++) {
			double us = draw(&l, &r);

			sum += us;
			squares += us * us;
		}
		mean = sum / n;
		error = sqrt(fabs(squares / n - mean * mean) / n);
		if (fabs(mean - latency__mean_us(&l)) > 5 * error + 1)
			fail_msg("'%s': %.1f us drawn, %.1f us said", texts[i], mean,
				 latency__mean_us(&l));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_format_is_read_back),
		cmocka_unit_test(test_mean_against_draws),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
