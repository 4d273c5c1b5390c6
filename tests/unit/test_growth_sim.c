/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * False alarms and power of the growth verdict, over many seeded series of each kind that is known
 * to mislead trend tests. HOPSCOPE_SIM=1 prints the table.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/growth.h"
#include "random.h"

#define MB	 1048576.0
#define PAGE	 4096.0
#define MAX	 1000
#define SEEDS	 300
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A kind of series: parameters come from `shape`, the noise and the phase from `seed`. */
struct kind {
	const char *name;
	void (*fill)(struct growth_sample *s, size_t n, uint64_t *shape, uint64_t *seed, double a);
	double a;
};

static const size_t sizes[] = {24, 60, 300, 1000};
static struct growth_sample s[MAX];

static double uniform(uint64_t *seed, double from, double to)
{
	return from + (to - from) * random__uniform(seed);
}

static double log_uniform(uint64_t *seed, double from, double to)
{
	return from * exp(random__uniform(seed) * log(to / from));
}

/* a: correlation from reading to reading; 1 is a random walk. */
static void ar1(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	double x = a < 1 ? random__normal(seed) / sqrt(1 - a * a) : 0;

	(void)shape;
	for (size_t i = 0; i < n; i++) {
		v[i] = (struct growth_sample){(double)i, 100 * MB + MB * x};
		x = a * x + random__normal(seed);
	}
}

/* White noise on top of slow noise, which hides it. */
static void two_noises(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	ar1(v, n, shape, seed, a);
	for (size_t i = 0; i < n; i++)
		v[i].bytes += 2 * MB * random__normal(seed);
}

/* Teeth of 3 readings to a third of the run; a: noise beside their 10 MB. */
static void sawtooth(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	double period = log_uniform(shape, 3, (double)n / 3), phase = random__uniform(seed);

	for (size_t i = 0; i < n; i++) {
		double x = (double)i / period + phase;

		v[i] = (struct growth_sample){(double)i, 100 * MB + 10 * MB * (x - floor(x)) +
								 a * MB * random__normal(seed)};
	}
}

/* A collector that never runs at the same level nor down to the same one. */
static void ragged_sawtooth(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed,
			    double a)
{
	double period = log_uniform(shape, 4, (double)n / 3), x = random__uniform(seed);
	double rate = 1 / period;

	for (size_t i = 0; i < n; i++) {
		v[i] = (struct growth_sample){(double)i, 100 * MB + 10 * MB * x +
								 a * MB * random__normal(seed)};
		x += rate;
		if (x > 1) {
			x = uniform(seed, 0, 0.1);
			rate = uniform(seed, 0.7, 1.3) / period;
		}
	}
}

/* 50 MB of caches that fill; a to 2a time constants long. */
static void warm_up(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	double tau = (double)n / uniform(shape, a, 2 * a), sigma = log_uniform(shape, 0.01, 10);

	for (size_t i = 0; i < n; i++)
		v[i] = (struct growth_sample){(double)i,
					      100 * MB + 50 * MB * (1 - exp(-(double)i / tau)) +
						      sigma * MB * random__normal(seed)};
}

/* a: steps of half a sigma to 100 sigma up, anywhere. */
static void steps(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	ar1(v, n, shape, seed, 0);
	for (int k = 0; k < (int)a; k++) {
		double height = log_uniform(shape, 0.5, 100) * MB;
		size_t at = (size_t)uniform(shape, 0.03 * (double)n, 0.97 * (double)n);

		for (size_t i = at; i < n; i++)
			v[i].bytes += height;
	}
}

/* A share a of the readings is 20 to 70 MB higher. */
static void spikes(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	ar1(v, n, shape, seed, 0);
	for (size_t i = 0; i < n; i++)
		if (random__uniform(seed) < a)
			v[i].bytes += uniform(seed, 20, 70) * MB;
}

/* A few requests that hold 5 to 25 MB for a while. */
static void bursts(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	size_t left = 0;
	double height = 0;

	ar1(v, n, shape, seed, 0);
	for (size_t i = 0; i < n; i++) {
		if (!left && random__uniform(seed) < a / (double)n) {
			left = 1 + (size_t)uniform(seed, 0, (double)n / 20);
			height = uniform(seed, 5, 25) * MB;
		}
		if (left) {
			left--;
			v[i].bytes += height;
		}
	}
}

/* Pages; noise of a pages, so that most readings are ties. */
static void pages(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	(void)shape;
	for (size_t i = 0; i < n; i++)
		v[i] = (struct growth_sample){(double)i,
					      PAGE * rint(5000 + a * random__normal(seed))};
}

/* One page that comes and goes; a: how often it changes. */
static void one_page(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	int there = 0;

	(void)shape;
	for (size_t i = 0; i < n; i++) {
		there ^= random__uniform(seed) < a;
		v[i] = (struct growth_sample){(double)i, PAGE * (5000 + there)};
	}
}

/* Readings 0.1 to 3 s apart, and two holes of half the run each. */
static void uneven(struct growth_sample *v, size_t n, uint64_t *shape, uint64_t *seed, double a)
{
	size_t hole[2] = {(size_t)uniform(shape, 1, (double)n),
			  (size_t)uniform(shape, 1, (double)n)};
	double t = 0;

	ar1(v, n, shape, seed, a);
	for (size_t i = 0; i < n; i++) {
		t += log_uniform(seed, 0.1, 3);
		for (int k = 0; k < 2; k++)
			t += i == hole[k] ? (double)n / 2 : 0;
		v[i].t_s = t;
	}
}

static const struct kind flat[] = {
	{"white noise", ar1, 0},
	{"AR(1) 0.5", ar1, 0.5},
	{"AR(1) 0.9", ar1, 0.9},
	{"AR(1) 0.97", ar1, 0.97},
	{"AR(1) 0.9 + white", two_noises, 0.9},
	{"random walk", ar1, 1},
	{"sawtooth", sawtooth, 0.1},
	{"sawtooth, no noise", sawtooth, 0},
	{"ragged sawtooth", ragged_sawtooth, 0.3},
	{"warm-up, 4 to 8 tau", warm_up, 4},
	{"warm-up, 10 to 20 tau", warm_up, 10},
	{"step", steps, 1},
	{"two steps", steps, 2},
	{"spikes", spikes, 0.03},
	{"bursts", bursts, 3},
	{"noise of a page", pages, 1},
	{"noise of 1/3 page", pages, 0.33},
	{"one page now and then", one_page, 0.1},
	{"uneven times", uneven, 0},
	{"uneven times, AR(1) 0.9", uneven, 0.9},
};

static const struct kind noisy[] = {
	{"white noise", ar1, 0},
	{"AR(1) 0.5", ar1, 0.5},
	{"AR(1) 0.9", ar1, 0.9},
	{"sawtooth", sawtooth, 0.1},
	{"sawtooth, no noise", sawtooth, 0},
	{"ragged sawtooth", ragged_sawtooth, 0.3},
	{"spikes", spikes, 0.03},
	{"bursts", bursts, 3},
	{"noise of a page", pages, 1},
	{"uneven times", uneven, 0},
};

/* The same `shape` gives the same parameters, `seed` another run with them. */
static void fill(const struct kind *k, size_t n, uint64_t shape, uint64_t seed)
{
	uint64_t a = 1 + shape * 7919 + n * 104729, b = a ^ (seed * 0x9e3779b97f4a7c15ull + 1);

	k->fill(s, n, &a, &b, k->a);
}

static void leak(size_t n, double slope)
{
	for (size_t i = 0; i < n; i++)
		s[i].bytes += slope * s[i].t_s;
}

static struct growth judge(size_t n)
{
	struct growth g;

	assert_int_equal(growth__judge(&g, s, n, NAN), 0);
	return g;
}

static void print(const char *fmt, ...)
{
	va_list args;

	if (!getenv("HOPSCOPE_SIM"))
		return;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
}

static double percent(int count, int of)
{
	return 100.0 * count / of;
}

/* ---- that the series are as bad as they should be */

/* Plain Mann-Kendall, one-sided 5 %, as a tool without statistics would use it. */
static bool mann_kendall(size_t n)
{
	double k = (double)n, sum = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			sum += (s[j].bytes > s[i].bytes) - (s[j].bytes < s[i].bytes);
	return sum / sqrt(k * (k - 1) * (2 * k + 5) / 18) > 1.645;
}

static int naive_alarms(const struct kind *k, size_t n)
{
	int alarms = 0;

	for (uint64_t i = 0; i < SEEDS; i++) {
		fill(k, n, i, 0);
		alarms += mann_kendall(n);
	}
	return alarms;
}

static void series_mislead_plain_tests(void **state)
{
	static const struct {
		struct kind kind;
		double least; /* % */
	} known[] = {
		{{"AR(1) 0.9", ar1, 0.9}, 20},
		{{"random walk", ar1, 1}, 30},
		{{"warm-up", warm_up, 4}, 90},
		{{"step", steps, 1}, 60},
	};
	int white = naive_alarms(&(struct kind){"white", ar1, 0}, 60);

	(void)state;
	assert_true(percent(white, SEEDS) < 8); /* the test itself is right */
	for (size_t i = 0; i < COUNT(known); i++) {
		double alarms = percent(naive_alarms(&known[i].kind, 60), SEEDS);

		print("Mann-Kendall, %s: %.0f %%\n", known[i].kind.name, alarms);
		if (alarms < known[i].least)
			fail_msg("%s: only %.0f %%", known[i].kind.name, alarms);
	}
}

/* ---- false alarms */

static void no_false_alarms(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(flat); k++)
		for (size_t z = 0; z < COUNT(sizes); z++) {
			int count[4] = {0};

			for (uint64_t i = 0; i < SEEDS; i++) {
				fill(&flat[k], sizes[z], i, 0);
				count[judge(sizes[z]).verdict]++;
			}
			print("%-24s n %4zu: GROWING %4.1f %%, STABLE %3.0f, INCONCLUSIVE %3.0f\n",
			      flat[k].name, sizes[z], percent(count[GROWTH_GROWING], SEEDS),
			      percent(count[GROWTH_STABLE], SEEDS),
			      percent(count[GROWTH_INCONCLUSIVE], SEEDS));
			if (percent(count[GROWTH_GROWING], SEEDS) > 5)
				fail_msg("%s, n %zu: %d of %d GROWING", flat[k].name, sizes[z],
					 count[GROWTH_GROWING], SEEDS);
		}
}

/* What is flat is mostly called so: a verdict that is always INCONCLUSIVE has no false alarms. */
static void flat_is_stable(void **state)
{
	static const struct kind kinds[] = {
		{"white noise", ar1, 0},
		{"AR(1) 0.9", ar1, 0.9},
		{"sawtooth", sawtooth, 0.1},
		{"ragged sawtooth", ragged_sawtooth, 0.3},
		{"spikes", spikes, 0.03},
		{"noise of a page", pages, 1},
		{"one page", one_page, 0.1},
		{"uneven times", uneven, 0},
		{"flattened long ago", warm_up, 10},
	};

	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++)
		for (size_t z = 0; z < COUNT(sizes); z++) {
			int stable = 0;

			for (uint64_t i = 0; i < SEEDS; i++) {
				fill(&kinds[k], sizes[z], i, 1);
				stable += judge(sizes[z]).verdict == GROWTH_STABLE;
			}
			if (percent(stable, SEEDS) < 85)
				fail_msg("%s, n %zu: %d of %d STABLE", kinds[k].name, sizes[z],
					 stable, SEEDS);
		}
}

/* A curve of one time constant or two is not yet known to flatten or not, but seldom called a leak.
 */
static void unfinished_warm_up(void **state)
{
	const struct kind k = {"warm-up, 1.5 to 3 tau", warm_up, 1.5};

	(void)state;
	for (size_t z = 0; z < COUNT(sizes); z++) {
		int growing = 0;

		for (uint64_t i = 0; i < SEEDS; i++) {
			fill(&k, sizes[z], i, 0);
			growing += judge(sizes[z]).verdict == GROWTH_GROWING;
		}
		print("%-24s n %4zu: GROWING %4.1f %%\n", k.name, sizes[z],
		      percent(growing, SEEDS));
		if (percent(growing, SEEDS) > 10)
			fail_msg("n %zu: %d of %d", sizes[z], growing, SEEDS);
	}
}

/* ---- power */

/* min_detectable of one run; a leak of `times` that in another run under the same noise. */
static int detected(const struct kind *k, size_t n, double times)
{
	int count = 0;

	for (uint64_t i = 0; i < SEEDS; i++) {
		double least;

		fill(k, n, i, 0);
		least = judge(n).min_detectable;
		fill(k, n, i, 1);
		leak(n, times * least);
		count += judge(n).verdict == GROWTH_GROWING;
	}
	return count;
}

static void finds_twice_the_smallest(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(noisy); k++)
		for (size_t z = 0; z < COUNT(sizes); z++) {
			double once = percent(detected(&noisy[k], sizes[z], 1), SEEDS);
			double twice = percent(detected(&noisy[k], sizes[z], 2), SEEDS);

			print("%-24s n %4zu: found at the smallest slope %3.0f %%, at twice "
			      "%3.0f\n",
			      noisy[k].name, sizes[z], once, twice);
			if (twice < 80)
				fail_msg("%s, n %zu: %.0f %%", noisy[k].name, sizes[z], twice);
			/* and the claim itself is not far off */
			if (once < 60)
				fail_msg("%s, n %zu: %.0f %% at once", noisy[k].name, sizes[z],
					 once);
		}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* A smallest slope that were too large would be found, too: for white noise it is known. */
static void smallest_slope_is_small(void **state)
{
	const struct kind white = {"white noise", ar1, 0};

	(void)state;
	for (size_t z = 0; z < COUNT(sizes); z++) {
		double least[SEEDS], n = (double)sizes[z], unit = MB * sqrt(12 / (n * n * n));

		for (uint64_t i = 0; i < SEEDS; i++) {
			fill(&white, sizes[z], i, 0);
			least[i] = judge(sizes[z]).min_detectable;
		}
		qsort(least, SEEDS, sizeof(*least), compare);
		print("white noise, n %zu: smallest slope %.1f sigma sqrt(12/n^3)\n", sizes[z],
		      least[SEEDS / 2] / unit);
		assert_true(least[SEEDS / 2] > 3.17 * unit);
		assert_true(least[SEEDS / 2] < 4 * 3.17 * unit);
	}
}

/* The interval holds the true slope as often as it says, or nearly. */
static void interval_covers(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(noisy); k++)
		for (size_t z = 0; z < COUNT(sizes); z++) {
			double slope = 0.3 * MB;
			int in = 0;

			for (uint64_t i = 0; i < SEEDS; i++) {
				struct growth g;

				fill(&noisy[k], sizes[z], i, 2);
				leak(sizes[z], slope);
				g = judge(sizes[z]);
				in += g.ci_low <= slope && slope <= g.ci_high;
			}
			print("%-24s n %4zu: interval covers %3.0f %%\n", noisy[k].name, sizes[z],
			      percent(in, SEEDS));
			/* 60 readings of AR(1) 0.9 are worth three independent ones: 87 % */
			if (percent(in, SEEDS) < (sizes[z] <= 60 ? 84 : 92))
				fail_msg("%s, n %zu: %d of %d", noisy[k].name, sizes[z], in, SEEDS);
		}
}

/* A clear leak, 10 times the smallest: found, and its slope is right within 10 %. */
static void clear_leak(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(noisy); k++)
		for (size_t z = 0; z < COUNT(sizes); z++) {
			int found = 0, right = 0;

			for (uint64_t i = 0; i < SEEDS; i++) {
				struct growth g;
				double slope;

				fill(&noisy[k], sizes[z], i, 0);
				slope = 10 * judge(sizes[z]).min_detectable;
				fill(&noisy[k], sizes[z], i, 1);
				leak(sizes[z], slope);
				g = judge(sizes[z]);
				found += g.verdict == GROWTH_GROWING;
				right += fabs(g.slope - slope) <= 0.1 * slope;
			}
			if (percent(found, SEEDS) < 95 || percent(right, SEEDS) < 95)
				fail_msg("%s, n %zu: %d found, %d within 10 %% of %d",
					 noisy[k].name, sizes[z], found, right, SEEDS);
		}
}

/* People and tests wait for it: a leak with little noise, a reading a second. */
static void found_in_half_a_minute(void **state)
{
	static const size_t n[] = {20, 24, 30};

	(void)state;
	for (size_t z = 0; z < COUNT(n); z++) {
		int found = 0, right = 0;

		for (uint64_t i = 0; i < SEEDS; i++) {
			uint64_t seed = i * 31 + 5;
			double rate = log_uniform(&seed, 0.1, 50) * MB;
			struct growth g;

			/* noise of a fifth of what is leaked in a second, whole pages, jittery
			 * clock */
			for (size_t j = 0; j < n[z]; j++) {
				double t = (double)j + uniform(&seed, 0, 0.02);

				s[j].t_s = t;
				s[j].bytes = PAGE * rint((20 * MB + rate * t +
							  0.2 * rate * random__normal(&seed)) /
							 PAGE);
			}
			g = judge(n[z]);
			found += g.verdict == GROWTH_GROWING;
			right += fabs(g.slope - rate) <= 0.1 * rate;
		}
		print("small noise, n %zu: found %.1f %%, within 10 %% %.1f\n", n[z],
		      percent(found, SEEDS), percent(right, SEEDS));
		assert_true(percent(found, SEEDS) >= 98);
		assert_true(percent(right, SEEDS) >= 98);
	}
}

/* 2 MB under teeth of 10 MB: the floor rises, 1000 readings show it. */
static void slow_leak_under_a_sawtooth(void **state)
{
	const struct kind k = {"sawtooth", sawtooth, 0.1};
	int found = 0, seen = 0;

	(void)state;
	for (uint64_t i = 0; seen < SEEDS; i++) {
		uint64_t shape = 1 + i * 7919 + 1000 * 104729;

		if (log_uniform(&shape, 3, 1000 / 3.0) > 60)
			continue; /* 16 teeth at least */
		seen++;
		fill(&k, 1000, i, 3);
		leak(1000, 2 * MB / 1000);
		found += judge(1000).verdict == GROWTH_GROWING;
	}
	print("2 MB under a sawtooth of 10 MB: found %.0f %%\n", percent(found, seen));
	assert_true(percent(found, seen) >= 80);
}

/* A leak that begins between a tenth and half of the way. */
static void late_leak(void **state)
{
	(void)state;
	for (size_t z = 1; z < COUNT(sizes); z++) {
		int found = 0;

		for (uint64_t i = 0; i < SEEDS; i++) {
			uint64_t seed = i + 99;
			double from = uniform(&seed, 0.1, 0.5) * (double)sizes[z];

			fill(&flat[0], sizes[z], i, 4);
			for (size_t j = 0; j < sizes[z]; j++)
				s[j].bytes += 2 * MB * fmax(0, (double)j - from);
			found += judge(sizes[z]).verdict == GROWTH_GROWING;
		}
		print("leak that begins late, n %zu: found %.0f %%\n", sizes[z],
		      percent(found, SEEDS));
		assert_true(percent(found, SEEDS) >= 80);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(series_mislead_plain_tests),
		cmocka_unit_test(no_false_alarms),
		cmocka_unit_test(flat_is_stable),
		cmocka_unit_test(unfinished_warm_up),
		cmocka_unit_test(finds_twice_the_smallest),
		cmocka_unit_test(smallest_slope_is_small),
		cmocka_unit_test(interval_covers),
		cmocka_unit_test(clear_leak),
		cmocka_unit_test(found_in_half_a_minute),
		cmocka_unit_test(slow_leak_under_a_sawtooth),
		cmocka_unit_test(late_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
