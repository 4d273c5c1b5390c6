/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Single series with a known answer. False alarms and power over many: test_growth_sim.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/estimate.h"
#include "model/growth.h"
#include "model/theil_sen.h"
#include "model/trend.h"
#include "random.h"

#define MB	 1048576.0
#define PAGE	 4096.0
#define MAX	 10000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define near(a, b, rel) assert_true(fabs((a) - (b)) <= (rel)*fabs((double)(b)))
#define says(g, text)                                                        \
	do {                                                                 \
		if (!strstr((g)->reason, text))                              \
			fail_msg("\"%s\" not in \"%s\"", text, (g)->reason); \
	} while (0)
#define judged(g, v)                                                                        \
	do {                                                                                \
		if ((g)->verdict != (v))                                                    \
			fail_msg("%s, expected %s: %s", growth_verdict__name((g)->verdict), \
				 growth_verdict__name(v), (g)->reason);                     \
	} while (0)

static struct growth_sample s[MAX];

static void line(size_t n, double step_s, double base, double slope)
{
	for (size_t i = 0; i < n; i++)
		s[i] = (struct growth_sample){(double)i * step_s,
					      base + slope * (double)i * step_s};
}

static void noise(size_t n, double sigma, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		s[i].bytes += sigma * random__normal(&seed);
}

static struct growth judge(size_t n, double room)
{
	struct growth g;

	memset(&g, 0xff, sizeof(g));
	assert_int_equal(growth__judge(&g, s, n, room), 0);
	assert_non_null(memchr(g.reason, 0, sizeof(g.reason)));
	assert_true(strlen(g.reason) > 0);
	return g;
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(growth_verdict__name(GROWTH_GROWING), "GROWING");
	assert_string_equal(growth_verdict__name(GROWTH_STABLE), "STABLE");
	assert_string_equal(growth_verdict__name(GROWTH_INCONCLUSIVE), "INCONCLUSIVE");
	assert_string_equal(growth_verdict__name(GROWTH_NO_DATA), "NO DATA");
	assert_string_equal(growth_verdict__name((enum growth_verdict)99), "NO DATA");
}

static void nothing(void **state)
{
	struct growth g;

	(void)state;
	assert_int_equal(growth__judge(&g, NULL, 0, 1), 0);
	judged(&g, GROWTH_NO_DATA);
	assert_true(isnan(g.slope) && isnan(g.ci_low) && isnan(g.ci_high));
	assert_true(isnan(g.min_detectable) && isnan(g.time_to_limit_s));
	says(&g, "no readings");
	line(50, 1, NAN, 0);
	g = judge(50, NAN);
	judged(&g, GROWTH_NO_DATA);
	assert_int_equal(g.n, 0);
}

static void too_few(void **state)
{
	struct growth g;

	(void)state;
	for (size_t n = 1; n < TREND_MIN_READINGS; n++) {
		line(n, 1, 100 * MB, MB);
		g = judge(n, 1);
		judged(&g, GROWTH_INCONCLUSIVE);
		assert_true(isnan(g.slope) && isnan(g.min_detectable) && isnan(g.time_to_limit_s));
		assert_int_equal(g.n, n);
		assert_true(g.duration_s == (double)(n - 1));
	}
	assert_string_equal(g.reason, "19 readings over 18 s: too few to tell");
	g = judge(1, NAN);
	assert_string_equal(g.reason, "1 reading over 0 s: too few to tell");
}

static void constant(void **state)
{
	static const double levels[] = {0, PAGE, 100 * MB, 1e15, 12345};

	(void)state;
	for (size_t i = 0; i < COUNT(levels); i++)
		for (size_t n = TREND_MIN_READINGS; n <= MAX; n = n * 3 / 2) {
			double least =
				(fmod(levels[i], PAGE) != 0 ? 4 : 4 * PAGE) / (double)(n - 1);
			struct growth g;

			line(n, 1, levels[i], 0);
			g = judge(n, MB);
			judged(&g, GROWTH_STABLE);
			assert_true(g.slope == 0 && g.ci_low <= 0 && g.ci_high >= 0);
			assert_true(isfinite(g.ci_low) && isfinite(g.ci_high));
			near(g.min_detectable, least, 1e-9);
			assert_true(isnan(g.time_to_limit_s));
		}
	line(31, 1, 100 * MB, 0);
	assert_string_equal(judge(31, NAN).reason, "no growth over 30 s: less than 1.88 MiB/h");
}

static void exact_line(void **state)
{
	static const size_t sizes[] = {20, 21, 24, 47, 48, 49, 60, 96, 97, 300, 1000, MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct growth g;

		line(sizes[i], 2, 100 * MB, MB);
		g = judge(sizes[i], 3600 * MB);
		judged(&g, GROWTH_GROWING);
		near(g.slope, MB, 1e-9);
		assert_true(g.ci_low > 0 && g.ci_low <= g.slope && g.slope <= g.ci_high);
		assert_true(g.min_detectable < MB);
		near(g.time_to_limit_s, 3600, 1e-9);
		assert_int_equal(g.n, sizes[i]);
		assert_true(g.judged_s == g.duration_s);
		says(&g, "grows by 3.52 GiB/h (");
		says(&g, "60 min to the limit");
	}
}

static void limits(void **state)
{
	struct growth g;

	(void)state;
	line(60, 1, 100 * MB, MB);
	assert_true(judge(60, 0).time_to_limit_s == 0);
	assert_true(judge(60, -5).time_to_limit_s == 0); /* over it already */
	g = judge(60, NAN);
	assert_true(isnan(g.time_to_limit_s));
	assert_null(strstr(g.reason, "limit"));
	line(60, 1, 100 * MB, 0);
	assert_true(isnan(judge(60, 100).time_to_limit_s));
}

/* Grows by a page every 3 s: most differences are 0, and Theil-Sen must not be caught by it. */
static void stairs_of_pages(void **state)
{
	struct growth g;

	(void)state;
	for (size_t i = 0; i < 300; i++)
		s[i] = (struct growth_sample){(double)i, 5000 * PAGE + PAGE * floor((double)i / 3)};
	g = judge(300, NAN);
	judged(&g, GROWTH_GROWING);
	near(g.slope, PAGE / 3, 0.02);
	/* a page in 300 s is nil */
	for (size_t i = 0; i < 300; i++)
		s[i].bytes = 5000 * PAGE + PAGE * floor((double)i / 150);
	g = judge(300, NAN);
	judged(&g, GROWTH_STABLE);
	/* so are two, however regular, but not six */
	for (size_t i = 0; i < 300; i++)
		s[i].bytes = 5000 * PAGE + PAGE * floor((double)i / 100);
	g = judge(300, NAN);
	judged(&g, GROWTH_STABLE);
	assert_true(g.slope > 0 && g.slope < g.min_detectable);
	for (size_t i = 0; i < 300; i++)
		s[i].bytes = 5000 * PAGE + PAGE * floor((double)i / 50);
	g = judge(300, NAN);
	judged(&g, GROWTH_GROWING);
}

/* The kernel folds its counters every 2 s or so, 32 pages a CPU. */
static void stale_readings(void **state)
{
	struct growth g;

	(void)state;
	for (size_t i = 0; i < 30; i++)
		s[i] = (struct growth_sample){(double)i,
					      64 * MB + 256 * 1024 * 2 * floor((double)i / 2)};
	g = judge(30, NAN);
	judged(&g, GROWTH_GROWING);
	near(g.slope, 256 * 1024, 0.1);
}

static void shrinks(void **state)
{
	struct growth g;

	(void)state;
	line(60, 1, 200 * MB, -MB);
	g = judge(60, MB);
	judged(&g, GROWTH_STABLE);
	near(g.slope, -MB, 1e-9);
	assert_true(g.ci_high < 0);
	assert_true(isnan(g.time_to_limit_s));
	says(&g, "shrinks by 3.52 GiB/h over 59 s");
}

static void one_step(void **state)
{
	(void)state;
	for (size_t n = 40; n <= 1000; n = n * 5 / 2)
		for (size_t at = 1; at < n; at++) {
			struct growth g;

			line(n, 1, 100 * MB, 0);
			for (size_t i = at; i < n; i++)
				s[i].bytes += 30 * MB;
			noise(n, 0.1 * MB, at);
			g = judge(n, NAN);
			if (g.verdict == GROWTH_GROWING)
				fail_msg("step at %zu of %zu: %s", at, n, g.reason);
		}
}

/* What came in the first half is over: the rest is judged, and the numbers are those of the rest.
 */
static void settled_after_a_step(void **state)
{
	struct growth g;

	(void)state;
	line(600, 1, 100 * MB, 0);
	for (size_t i = 250; i < 600; i++)
		s[i].bytes += 30 * MB;
	noise(600, 0.1 * MB, 3);
	g = judge(600, NAN);
	judged(&g, GROWTH_STABLE);
	says(&g, "settled; no growth over the last 5 min: less than ");
	assert_true(g.ci_low <= 0 && g.ci_high >= 0);
	assert_int_equal(g.n, 600);
	assert_true(g.duration_s == 599 && g.judged_s == 299);
}

static void warm_up(void **state)
{
	struct growth g;

	(void)state;
	/* two time constants: nobody knows yet */
	for (size_t i = 0; i < 300; i++)
		s[i] = (struct growth_sample){(double)i,
					      100 * MB + 50 * MB * (1 - exp(-(double)i / 150))};
	noise(300, 0.05 * MB, 1);
	g = judge(300, NAN);
	judged(&g, GROWTH_INCONCLUSIVE);
	says(&g, "still flattening: grew by ");
	/* twelve: flat */
	for (size_t i = 0; i < 300; i++)
		s[i].bytes = 100 * MB + 50 * MB * (1 - exp(-(double)i / 25));
	noise(300, 0.2 * MB, 1);
	g = judge(300, NAN);
	judged(&g, GROWTH_STABLE);
}

static void late_leak(void **state)
{
	struct growth g;

	(void)state;
	line(1000, 1, 100 * MB, 0);
	for (size_t i = 450; i < 1000; i++)
		s[i].bytes += 0.1 * MB * (double)(i - 450);
	noise(1000, 0.2 * MB, 4);
	g = judge(1000, 360 * MB);
	judged(&g, GROWTH_GROWING);
	near(g.slope, 0.1 * MB, 0.02);
	near(g.time_to_limit_s, 3600, 0.02);
	says(&g, "over the last 8 min");
	assert_true(g.judged_s == 499);
}

static void too_noisy(void **state)
{
	struct growth g;

	(void)state;
	line(24, 1, 100 * MB, 0);
	noise(24, 60 * MB, 9);
	g = judge(24, NAN);
	judged(&g, GROWTH_INCONCLUSIVE);
	says(&g, "too noisy: in 23 s a growth of less than ");
	assert_true(isfinite(g.min_detectable) && g.ci_low < 0 && g.ci_high > 0);
}

/* One reading far off, up or down, does not hide what the rest shows. */
static void one_spike(void **state)
{
	(void)state;
	for (int sign = -1; sign <= 1; sign += 2) {
		struct growth quiet, spiked;

		line(24, 1, 100 * MB, 0);
		noise(24, MB, 11);
		quiet = judge(24, NAN);
		s[13].bytes += sign * 50 * MB;
		spiked = judge(24, NAN);
		judged(&spiked, GROWTH_STABLE);
		assert_true(spiked.min_detectable < 2.5 * quiet.min_detectable);
		assert_true(fabs(spiked.slope - quiet.slope) < quiet.ci_high - quiet.slope);
	}
}

/* As smooth as can be: all of it is correlation, and the numbers stay finite. */
static void one_wave(void **state)
{
	struct growth g;

	(void)state;
	for (size_t n = TREND_MIN_READINGS; n <= 1000; n += 7) {
		double waves = 2 + (double)(n % 3);

		line(n, 1, 100 * MB, 0);
		for (size_t i = 0; i < n; i++)
			s[i].bytes += 10 * MB * cos(M_PI * waves * (double)i / (double)n);
		g = judge(n, NAN);
		assert_true(g.verdict == GROWTH_STABLE || g.verdict == GROWTH_INCONCLUSIVE);
		assert_true(isfinite(g.min_detectable) && isfinite(g.slope));
	}
}

static void bad_readings(void **state)
{
	static struct growth_sample bad[MAX];
	static const struct growth_sample junk[] = {
		{NAN, 1},	{1, NAN},	{INFINITY, 1}, {-INFINITY, 1}, {1, INFINITY},
		{1, -INFINITY}, {1e300, 1e300}, {1, 1e300},    {-1e9, 5},
	};
	struct growth g, all;
	size_t n = 0;

	(void)state;
	line(100, 1, 100 * MB, MB);
	noise(100, 0.1 * MB, 5);
	all = judge(100, NAN);
	for (size_t i = 0; i < 100; i++) {
		for (size_t j = i ? 0 : COUNT(junk) - 1; i && j < COUNT(junk); j++)
			bad[n++] = junk[j];
		bad[n++] = s[i];
		bad[n++] = s[i]; /* the same instant again */
	}
	assert_int_equal(growth__judge(&g, bad, n, NAN), 0);
	assert_int_equal(g.n, 100);
	assert_int_equal(g.verdict, all.verdict);
	assert_true(g.slope == all.slope && g.ci_low == all.ci_low);
	assert_string_equal(g.reason, all.reason);
}

/* Whatever comes, the numbers are finite or NaN and belong together. */
static void any_bytes(void **state)
{
	uint64_t seed = 77;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		size_t n = random__next(&seed) % 130;
		double t = 0;
		struct growth g;

		for (size_t i = 0; i < n; i++) {
			double big = ldexp(random__normal(&seed), (int)(random__next(&seed) % 70));

			t += ldexp(random__uniform(&seed), (int)(random__next(&seed) % 40) - 25);
			s[i] = (struct growth_sample){
				t, round % 3 ? big : (double)(random__next(&seed) % 3)};
		}
		g = judge(n, 1e6);
		assert_false(isinf(g.slope) || isinf(g.ci_low) || isinf(g.ci_high));
		assert_false(isinf(g.min_detectable) || isinf(g.time_to_limit_s));
		assert_true(isnan(g.slope) == isnan(g.ci_low));
		if (g.verdict == GROWTH_GROWING)
			assert_true(g.ci_low > 0 && g.time_to_limit_s >= 0);
		if (g.verdict == GROWTH_STABLE)
			assert_true(g.min_detectable > 0 && isfinite(g.slope));
	}
}

/* The answer does not depend on where the clock or the memory starts, nor on the unit of time. */
static void shift_and_scale(void **state)
{
	struct growth a, b;

	(void)state;
	line(200, 1, 100 * MB, 0.05 * MB);
	noise(200, MB, 6);
	a = judge(200, NAN);
	for (size_t i = 0; i < 200; i++) {
		s[i].t_s = 1e6 + 60 * s[i].t_s;
		s[i].bytes += 1e10;
	}
	b = judge(200, NAN);
	assert_int_equal(a.verdict, b.verdict);
	near(b.slope, a.slope / 60, 1e-6);
	near(b.ci_low, a.ci_low / 60, 1e-6);
	near(b.min_detectable, a.min_detectable / 60, 1e-6);
}

static void critical_value(void **state)
{
	struct trend tr;

	(void)state;
	for (size_t n = TREND_MIN_READINGS; n < 1000; n += 7) {
		line(n, 1, 100 * MB, 0);
		noise(n, MB, n);
		assert_true(trend__fit(&tr, s, n, 1, INFINITY));
		assert_true(fabs(tr.critical - student_t__quantile(0.975, (double)tr.blocks - 3)) <
			    2e-3);
	}
	assert_false(trend__fit(&tr, s, TREND_MIN_READINGS - 1, 1, INFINITY));
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void median(void **state)
{
	double v[200], sorted[200];
	uint64_t seed = 8;

	(void)state;
	assert_true(isnan(theil_sen__median(v, 0)));
	for (int round = 0; round < 20000; round++) {
		size_t n = 1 + random__next(&seed) % 200, ties = 1 + random__next(&seed) % 300;
		double expected;

		for (size_t i = 0; i < n; i++)
			v[i] = round % 5 ? (double)(random__next(&seed) % ties) : (double)i;
		memcpy(sorted, v, n * sizeof(*v));
		qsort(sorted, n, sizeof(*v), compare);
		expected = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
		assert_true(theil_sen__median(v, n) == expected);
		qsort(v, n, sizeof(*v), compare);
		assert_memory_equal(v, sorted, n * sizeof(*v)); /* nothing lost */
	}
}

static void theil_sen(void **state)
{
	/* Sen (1968), the worked example of his section 6 */
	static const double x[] = {1, 2, 3, 4, 10, 12, 18}, y[] = {9, 15, 19, 20, 45, 55, 78};
	double pairs[THEIL_SEN_PAIRS(40)], t[40], v[40];

	(void)state;
	near(theil_sen__slope(x, y, 7, pairs), 4.0, 1e-12);
	assert_true(isnan(theil_sen__slope(x, y, 1, pairs)));
	assert_true(theil_sen__slope(x, y, 2, pairs) == 6);
	/* a quarter of it wild */
	for (int i = 0; i < 40; i++) {
		t[i] = i;
		v[i] = 3 * i + (i % 4 == 1 ? 1e6 * (i - 11) : 0.001 * (i % 3));
	}
	near(theil_sen__slope(t, v, 40, pairs), 3, 0.01);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(nothing),
		cmocka_unit_test(too_few),
		cmocka_unit_test(constant),
		cmocka_unit_test(exact_line),
		cmocka_unit_test(limits),
		cmocka_unit_test(stairs_of_pages),
		cmocka_unit_test(stale_readings),
		cmocka_unit_test(shrinks),
		cmocka_unit_test(one_step),
		cmocka_unit_test(settled_after_a_step),
		cmocka_unit_test(warm_up),
		cmocka_unit_test(late_leak),
		cmocka_unit_test(too_noisy),
		cmocka_unit_test(one_spike),
		cmocka_unit_test(one_wave),
		cmocka_unit_test(bad_readings),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(shift_and_scale),
		cmocka_unit_test(critical_value),
		cmocka_unit_test(median),
		cmocka_unit_test(theil_sen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
