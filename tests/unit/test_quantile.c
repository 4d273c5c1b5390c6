/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "model/quantile.h"
#include "random.h"

/* P(X <= k) of every k by adding one trial at a time: nothing but sums and products. */
static void binomial_table(long double *cdf, unsigned int n, double p)
{
	for (unsigned int k = 0; k <= n; k++)
		cdf[k] = k == 0;
	for (unsigned int i = 1; i <= n; i++)
		for (unsigned int k = i + 1; k-- > 0;)
			cdf[k] = cdf[k] * (1 - (long double)p) + (k ? cdf[k - 1] * p : 0);
	for (unsigned int k = 1; k <= n; k++)
		cdf[k] += cdf[k - 1];
}

static void cdf_by_enumeration(void **state)
{
	static const double ps[] = {0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999};
	static const unsigned int ns[] = {1, 2, 5, 15, 16, 17, 100, 299, 1000, 3000};
	static long double cdf[3001];

	(void)state;
	for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++)
		for (size_t j = 0; j < sizeof(ps) / sizeof(ps[0]); j++) {
			binomial_table(cdf, ns[i], ps[j]);
			for (unsigned int k = 0; k <= ns[i]; k++)
				assert_true(fabsl(cdf[k] - binomial__cdf(k, ns[i], ps[j])) < 1e-11);
		}
}

/* For large n the normal approximation with its first correction is off by O(1/n). */
static void cdf_of_large_n(void **state)
{
	static const double ps[] = {0.5, 0.99, 0.999}, ns[] = {1e6, 1e7, 1e8, 1e9};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < 4; j++)
			for (int z = -8; z <= 8; z++) {
				double n = ns[j], p = ps[i], sd = sqrt(n * p * (1 - p));
				uint64_t k = (uint64_t)(n * p + z / 2.0 * sd);
				double x = ((double)k + 0.5 - n * p) / sd;
				double ref = 0.5 * erfc(-x / M_SQRT2) +
					     (1 - 2 * p) / (6 * sd) * (1 - x * x) *
						     exp(-x * x / 2) / sqrt(2 * M_PI);

				assert_true(fabs(binomial__cdf(k, (uint64_t)n, p) - ref) <
					    1 / (n * p * (1 - p)));
			}
	/* symmetric: half of the distribution and half of the middle term */
	assert_true(fabs(binomial__cdf(500000000, 1000000000, 0.5) - 0.5 -
			 0.5 * sqrt(2 / (M_PI * 1e9))) < 1e-10);
}

static void ranks_by_definition(void **state)
{
	static const double qs[] = {0.5, 0.9, 0.95, 0.99, 0.999};
	static long double cdf[601];

	(void)state;
	for (unsigned int n = 1; n <= 600; n += n < 60 ? 1 : 13)
		for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
			uint64_t lower = 0, upper = 0;

			binomial_table(cdf, n, qs[i]);
			for (unsigned int r = 1; r <= n; r++) {
				if (cdf[r - 1] <= 0.05L)
					lower = r;
				if (!upper && cdf[r - 1] >= 0.95L)
					upper = r;
			}
			/* the n-th value bounds from above with 1 - q^n only */
			if (upper == n && 1 - powl(qs[i], n) < 0.95L)
				upper = 0;
			assert_int_equal(quantile__lower_rank(n, qs[i]), lower);
			assert_int_equal(quantile__upper_rank(n, qs[i]), upper);
		}
}

/* From tables (Hahn & Meeker A.15; Conover A.3 for the median). */
static void ranks_known(void **state)
{
	(void)state;
	assert_int_equal(quantile__lower_rank(100, 0.5), 42);
	assert_int_equal(quantile__upper_rank(100, 0.5), 59);
	assert_int_equal(quantile__lower_rank(10, 0.5), 2);
	assert_int_equal(quantile__upper_rank(10, 0.5), 9);
	assert_int_equal(quantile__upper_rank(298, 0.99), 0);
	assert_int_equal(quantile__upper_rank(299, 0.99), 299);
	assert_int_equal(quantile__upper_rank(2994, 0.999), 0);
	assert_int_equal(quantile__upper_rank(2995, 0.999), 2995);
	assert_int_equal(quantile__lower_rank(4, 0.5), 0);
	assert_int_equal(quantile__lower_rank(5, 0.5), 1);
	assert_int_equal(quantile__upper_rank(4, 0.5), 0);
	assert_int_equal(quantile__upper_rank(5, 0.5), 5);
	assert_int_equal(quantile__upper_needs(0.99), 299);
	assert_int_equal(quantile__upper_needs(0.999), 2995);
	assert_int_equal(quantile__upper_needs(0.95), 59);
	assert_int_equal(quantile__upper_needs(0.9), 29);
	assert_int_equal(quantile__upper_needs(0.5), 5);
	assert_int_equal(quantile__lower_needs(0.5), 5);
	assert_int_equal(quantile__lower_needs(0.99), 1);
	assert_int_equal(quantile__lower_rank(0, 0.5), 0);
	assert_int_equal(quantile__upper_rank(0, 0.5), 0);
}

static void a_billion_samples_take_no_time(void **state)
{
	clock_t start = clock();

	(void)state;
	for (int i = 0; i < 10; i++) {
		uint64_t n = 1000000000 - (uint64_t)i;
		double half = 1.6448536 * sqrt((double)n * 0.99 * 0.01);

		assert_true(fabs((double)quantile__lower_rank(n, 0.99) -
				 ((double)n * 0.99 - half)) < 3);
		assert_true(fabs((double)quantile__upper_rank(n, 0.99) -
				 ((double)n * 0.99 + half)) < 3);
	}
	assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 2);
}

/*
 * The promise itself: each end is on its side of the true quantile in 95 % of all runs at least.
 * A latency-like distribution, a bimodal one and a constant with rare outliers.
 */
static double draw(int kind, uint64_t *s)
{
	if (kind == 0)
		return exp(13 + 0.6 * random__normal(s));
	if (kind == 1)
		return random__uniform(s) < 0.5 ? 1e5 + 1e3 * random__uniform(s)
						: 1e7 + 1e5 * random__uniform(s);
	return random__uniform(s) < 0.985 ? 1e6 : 1e9 * random__uniform(s);
}

/* By inverting what draw() does. */
static double true_quantile(int kind, double q)
{
	if (kind == 0) /* z of 0.5, 0.9, 0.99 */
		return exp(13 + 0.6 * (q == 0.5	  ? 0
				       : q == 0.9 ? 1.2815515655446
						  : 2.3263478740408));
	if (kind == 1)
		return q <= 0.5 ? 1e5 + 1e3 * q / 0.5 : 1e7 + 1e5 * (q - 0.5) / 0.5;
	/* outliers below 1e6 are 0.0015 %, of no weight here */
	return q <= 0.985 ? 1e6 : 1e9 * (q - 0.985) / 0.015;
}

static void coverage(void **state)
{
	static const double qs[] = {0.5, 0.9, 0.99};
	static const int sizes[] = {40, 299, 1000};
	const int runs = 2000;

	(void)state;
	for (int kind = 0; kind < 3; kind++)
		for (size_t i = 0; i < 3; i++)
			for (size_t j = 0; j < 3; j++) {
				int lo = 0, hi = 0, hi_known = 0;
				double truth = true_quantile(kind, qs[i]);

				for (int run = 0; run < runs; run++) {
					static struct hist h;
					uint64_t s = (uint64_t)run * 7919 + (uint64_t)kind;
					struct estimate e;

					memset(&h, 0, sizeof(h));
					for (int v = 0; v < sizes[j]; v++)
						hist__add(&h, (uint64_t)draw(kind, &s));
					e = quantile__estimate(&h, qs[i]);
					lo += !(e.lo > truth);
					hi += !(e.hi < truth);
					hi_known += !isnan(e.hi);
				}
				/* four standard deviations of the simulation below 95 % */
				assert_true(lo >= runs * (0.95 - 4 * sqrt(0.05 * 0.95 / runs)));
				assert_true(hi >= runs * (0.95 - 4 * sqrt(0.05 * 0.95 / runs)));
				assert_int_equal(hi_known,
						 sizes[j] < 299 && qs[i] == 0.99 ? 0 : runs);
			}
}

static void ends_are_widened_to_their_buckets(void **state)
{
	static struct hist h;
	struct estimate e;

	(void)state;
	memset(&h, 0, sizeof(h));
	for (uint64_t i = 1; i <= 1000; i++)
		hist__add(&h, i * 1000);
	e = quantile__estimate(&h, 0.5);
	assert_int_equal(e.n, 1000);
	assert_true(e.lo == (double)hist__low(hist__index(quantile__lower_rank(1000, 0.5) * 1000)));
	assert_true(e.hi ==
		    (double)hist__high(hist__index(quantile__upper_rank(1000, 0.5) * 1000)));
	assert_true(e.lo < e.value && e.value < e.hi);
	e = quantile__estimate(&h, 0.99);
	assert_true(e.hi <= 1000000); /* but never beyond what was measured */
	e = quantile__estimate(&h, 0.999);
	assert_true(isnan(e.hi) && !isnan(e.lo) && !isnan(e.value));
	memset(&h, 0, sizeof(h));
	e = quantile__estimate(&h, 0.5);
	assert_true(e.n == 0 && isnan(e.value) && isnan(e.lo) && isnan(e.hi));
}

/* Against really adding the lost ones, slow or fast, and asking again. */
static void lost_exchanges_by_adding_them(void **state)
{
	static const double qs[] = {0.5, 0.9, 0.99};

	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		uint64_t s = seed, n = 300 + random__next(&s) % 3000, lost = random__next(&s) % 100;
		static struct hist h, slow, fast;

		memset(&h, 0, sizeof(h));
		for (uint64_t i = 0; i < n; i++)
			hist__add(&h, 1000 + random__log(&s, 30));
		slow = fast = h;
		for (uint64_t i = 0; i < lost; i++) {
			hist__add(&slow, 1ull << 60);
			hist__add(&fast, 0);
		}
		for (size_t i = 0; i < 3; i++) {
			double hi = quantile__highest_if_lost(&h, qs[i], lost);
			double lo = quantile__lowest_if_lost(&h, qs[i], lost);
			struct estimate e = quantile__estimate(&slow, qs[i]);

			assert_true(e.hi == (double)(1ull << 60)
					    ? isinf(hi)
					    : hi == fmin(e.hi, (double)hist__max_ns(&h)));
			e = quantile__estimate(&fast, qs[i]);
			assert_true(e.lo == 0 ? lo == 0
					      : lo == fmax(e.lo, (double)hist__min_ns(&h)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cdf_by_enumeration),
		cmocka_unit_test(cdf_of_large_n),
		cmocka_unit_test(ranks_by_definition),
		cmocka_unit_test(ranks_known),
		cmocka_unit_test(a_billion_samples_take_no_time),
		cmocka_unit_test(coverage),
		cmocka_unit_test(ends_are_widened_to_their_buckets),
		cmocka_unit_test(lost_exchanges_by_adding_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
