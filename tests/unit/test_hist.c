/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/hist.h"
#include "random.h"

static void buckets_tile_the_axis(void **state)
{
	(void)state;
	assert_int_equal(hist__low(0), 0);
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		assert_int_equal(hist__index(hist__low(i)), i);
		assert_int_equal(hist__index(hist__high(i)), i);
		if (i)
			assert_int_equal(hist__low(i), hist__high(i - 1) + 1);
	}
	assert_int_equal(hist__high(HIST_BUCKETS - 1), (1ull << 42) - 1);
	assert_int_equal(hist__index(1ull << 42), HIST_BUCKETS - 1);
	assert_int_equal(hist__index(UINT64_MAX), HIST_BUCKETS - 1);
}

static void one_value_is_off_by_1_6_percent_at_most(void **state)
{
	uint64_t seed = 1;
	double worst = 0;

	(void)state;
	for (int i = 0; i < 2000000; i++) {
		uint64_t v = random__log(&seed, 42);
		uint32_t b = hist__index(v);
		double mid = ((double)hist__low(b) + (double)hist__high(b)) / 2;
		double off = v ? fabs(mid - (double)v) / (double)v : 0;

		assert_true(v >= hist__low(b) && v <= hist__high(b));
		if (off > worst)
			worst = off;
	}
	assert_true(worst <= 1.0 / 64);
	assert_true(worst > 1.0 / 70); /* the bound is a tight one */
}

static void empty(void **state)
{
	static struct hist h;

	(void)state;
	assert_int_equal(hist__count(&h), 0);
	assert_true(isnan(hist__mean_ns(&h)));
	assert_true(isnan(hist__quantile_ns(&h, 0.5)));
	assert_int_equal(hist__rank_bucket(&h, 1), -1);
	assert_int_equal(hist__rank(0, 0.5), 0);
	assert_int_equal(hist__min_ns(&h), 0);
}

static void extremes_are_exact(void **state)
{
	static struct hist h;

	(void)state;
	memset(&h, 0, sizeof(h));
	hist__add(&h, 0);
	assert_int_equal(hist__min_ns(&h), 0);
	assert_int_equal(h.min, 1);
	assert_int_equal(hist__max_ns(&h), 0);
	assert_true(hist__quantile_ns(&h, 0.99) == 0);
	hist__add(&h, 1000003);
	assert_int_equal(hist__min_ns(&h), 0);
	assert_int_equal(hist__max_ns(&h), 1000003);
	assert_true(hist__mean_ns(&h) == 500001.5);
	/* one value: every quantile is that value, not the middle of its bucket */
	memset(&h, 0, sizeof(h));
	hist__add(&h, 1000003);
	assert_true(hist__quantile_ns(&h, 0.5) == 1000003);
	assert_true(hist__quantile_ns(&h, 1) == 1000003);
	/* the last bucket has no middle: the maximum is what is known */
	hist__add(&h, 1ull << 50);
	assert_true(hist__quantile_ns(&h, 1) == (double)(1ull << 50));
	assert_int_equal(hist__bucket_high_ns(&h, HIST_BUCKETS - 1), 1ull << 50);
}

static void ranks(void **state)
{
	(void)state;
	assert_int_equal(hist__rank(100, 0.5), 50);
	assert_int_equal(hist__rank(101, 0.5), 51);
	assert_int_equal(hist__rank(100, 0.07), 7); /* 0.07 * 100 is above 7 in a double */
	assert_int_equal(hist__rank(1000, 0.999), 999);
	assert_int_equal(hist__rank(1000000000, 0.999), 999000000);
	assert_int_equal(hist__rank(10, 0.99), 10);
	assert_int_equal(hist__rank(10, 0.001), 1);
	assert_int_equal(hist__rank(10, 1), 10);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void quantiles_against_sorted_values(void **state)
{
	static const double qs[] = {0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
	static uint64_t values[5000];

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		static struct hist h;
		uint64_t s = seed, n = 1 + random__next(&s) % 5000;
		double bits = 1 + 44 * random__uniform(&s), sum = 0;

		memset(&h, 0, sizeof(h));
		for (uint64_t i = 0; i < n; i++) {
			values[i] = random__log(&s, bits);
			sum += (double)values[i];
			hist__add(&h, values[i]);
		}
		qsort(values, n, sizeof(values[0]), compare);
		assert_int_equal(hist__count(&h), n);
		assert_int_equal(hist__min_ns(&h), values[0]);
		assert_int_equal(hist__max_ns(&h), values[n - 1]);
		assert_true(fabs(hist__mean_ns(&h) - sum / (double)n) <= 1e-9 * sum);
		for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
			uint64_t rank = (uint64_t)ceil(qs[i] * (double)n - 1e-9);
			uint64_t exact = values[rank ? rank - 1 : 0];
			double got = hist__quantile_ns(&h, qs[i]);

			if (exact < 1ull << 42 &&
			    !(hist__index(exact) == HIST_BUCKETS - 1 && h.max >> 42))
				assert_true(fabs(got - (double)exact) <= (double)exact / 64);
			else
				assert_true(got == (double)values[n - 1]);
		}
	}
}

static void fill(struct hist *h, uint64_t seed, int n)
{
	memset(h, 0, sizeof(*h));
	for (int i = 0; i < n; i++)
		hist__add(h, random__log(&seed, 40));
}

static void merging_is_adding_in_any_order(void **state)
{
	static struct hist a, b, c, left, right, all, nothing;

	(void)state;
	fill(&a, 1, 1000);
	fill(&b, 2, 1);
	fill(&c, 3, 777);
	/* (a + b) + c */
	left = a;
	hist__merge(&left, &b);
	hist__merge(&left, &c);
	/* (c + b) + a, by way of an empty one */
	right = nothing;
	hist__merge(&right, &c);
	hist__merge(&right, &b);
	hist__merge(&right, &a);
	assert_memory_equal(&left, &right, sizeof(left));
	/* all values recorded into one */
	for (uint64_t k = 1; k <= 3; k++) {
		uint64_t seed = k;

		for (int i = 0; i < (k == 1 ? 1000 : k == 2 ? 1 : 777); i++)
			hist__add(&all, random__log(&seed, 40));
	}
	assert_memory_equal(&left, &all, sizeof(left));
	hist__merge(&left, &nothing);
	assert_memory_equal(&left, &all, sizeof(left));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_tile_the_axis),
		cmocka_unit_test(one_value_is_off_by_1_6_percent_at_most),
		cmocka_unit_test(empty),
		cmocka_unit_test(extremes_are_exact),
		cmocka_unit_test(ranks),
		cmocka_unit_test(quantiles_against_sorted_values),
		cmocka_unit_test(merging_is_adding_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
