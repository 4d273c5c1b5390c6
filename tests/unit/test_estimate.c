/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/estimate.h"
#include "random.h"

#define near(a, b, rel) assert_true(fabs((a) - (b)) <= (rel)*fabs(b))

static void student_t_known(void **state)
{
	/* tables, two-sided 95 % */
	static const double table[][2] = {
		{1, 12.7062047362}, {2, 4.3026527297},	{3, 3.1824463053},  {4, 2.7764451052},
		{5, 2.5705818356},  {9, 2.2621571628},	{10, 2.2281388520}, {19, 2.0930240544},
		{29, 2.0452296421}, {30, 2.0422724563}, {60, 2.0002978220}, {120, 1.9799304051},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		near(student_t__quantile(0.975, table[i][0]), table[i][1], 1e-9);
	near(student_t__quantile(0.975, 1e9), 1.959963985, 1e-6);
	near(student_t__quantile(0.95, 4), 2.1318467863, 1e-9);
	assert_true(isnan(student_t__quantile(0, 4)));
	assert_true(isnan(student_t__quantile(1, 4)));
	assert_true(isnan(student_t__quantile(0.5, 0)));
}

/* With 1 and 2 degrees of freedom there are closed forms. */
static void student_t_closed_forms(void **state)
{
	(void)state;
	for (int i = 1; i < 2000; i++) {
		double p = i / 2000.0, u = 2 * p - 1;
		double one = tan(M_PI * (p - 0.5)), two = u * sqrt(2 / (1 - u * u));

		assert_true(fabs(student_t__quantile(p, 1) - one) < 1e-9 * (1 + fabs(one)));
		assert_true(fabs(student_t__quantile(p, 2) - two) < 1e-9 * (1 + fabs(two)));
	}
	near(student_t__quantile(0.1, 7), -student_t__quantile(0.9, 7), 1e-12);
}

static void mean_known(void **state)
{
	static const double v[] = {2, 4, 4, 4, 5, 5, 7, 9};
	struct estimate e = estimate__mean(v, 8);

	(void)state;
	assert_int_equal(e.n, 8);
	near(e.value, 5.0, 1e-15);
	/* sd sqrt(32/7), t(7) 2.364624 */
	near(e.hi - e.value, 2.3646242516 * sqrt(32.0 / 7 / 8), 1e-9);
	near(e.value - e.lo, 2.3646242516 * sqrt(32.0 / 7 / 8), 1e-9);
}

static void mean_of_few(void **state)
{
	static const double one[] = {3}, hole[] = {1, NAN, 2}, equal[] = {1e15 + 1, 1e15 + 1};
	struct estimate e = estimate__mean(one, 1);

	(void)state;
	assert_true(e.value == 3 && e.n == 1 && isnan(e.lo) && isnan(e.hi));
	e = estimate__mean(one, 0);
	assert_true(isnan(e.value) && e.n == 0);
	e = estimate__mean(hole, 3);
	assert_true(isnan(e.value) && e.n == 0);
	e = estimate__mean(equal, 2);
	assert_true(e.value == 1e15 + 1 && e.lo == e.value && e.hi == e.value);
}

/* In 95 % of all runs the interval holds the true mean. */
static void mean_coverage(void **state)
{
	const int runs = 20000;

	(void)state;
	for (int n = 2; n <= 10; n += 4) {
		int inside = 0;
		uint64_t s = (uint64_t)n;

		for (int run = 0; run < runs; run++) {
			struct estimate e;
			double v[10];

			for (int i = 0; i < n; i++)
				v[i] = 100 + 7 * random__normal(&s);
			e = estimate__mean(v, (size_t)n);
			inside += e.lo <= 100 && 100 <= e.hi;
		}
		assert_true(fabs(inside - 0.95 * runs) < 4 * sqrt(0.95 * 0.05 * runs));
	}
}

/* A drift that both sides suffer cancels: the reason for pairing. */
static void pairs_cancel_what_both_suffer(void **state)
{
	double base[10], with[10];
	struct estimate e;
	uint64_t s = 5;

	(void)state;
	for (int i = 0; i < 10; i++) {
		base[i] = 1000 + 500 * i;
		with[i] = base[i] + 30 + 0.5 * random__normal(&s);
	}
	e = estimate__paired(base, with, 10);
	assert_true(e.lo > 29 && e.hi < 31 && e.lo < 30 && e.hi > 30 && e.n == 10);
	e = estimate__paired(with, base, 10);
	assert_true(e.value < -29);
	for (int i = 0; i < 10; i++)
		with[i] = base[i] * 1.05 * exp(0.001 * random__normal(&s));
	e = estimate__percent(base, with, 10);
	assert_true(e.lo < 5 && 5 < e.hi && e.lo > 4.8 && e.hi < 5.2);
	e = estimate__percent_robust(base, with, 10);
	assert_true(e.lo < 5 && 5 < e.hi && e.lo > 4.7 && e.hi < 5.3);
	base[3] = 0;
	assert_true(isnan(estimate__percent(base, with, 10).value));
	assert_true(isnan(estimate__percent_robust(base, with, 10).value));
	assert_true(isnan(estimate__paired(base, with, 0).value));
}

/* Exact ratios: each pair doubled is +100 %, halved is -50 %. */
static void percent_is_of_the_ratio(void **state)
{
	static const double base[] = {10, 200, 3000}, twice[] = {20, 400, 6000};
	struct estimate e = estimate__percent(base, twice, 3);

	(void)state;
	near(e.value, 100.0, 1e-12);
	near(e.lo, 100.0, 1e-9);
	e = estimate__percent(twice, base, 3);
	near(e.value, -50.0, 1e-12);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Lower end by walking over all 2^n sign patterns instead of counting subsets. */
static double lower_by_enumeration(const double *d, int n)
{
	double walsh[120] = {0};
	int count = 0, k = -1, below = 0;

	for (int i = 0; i < n; i++)
		for (int j = i; j < n; j++)
			walsh[count++] = (d[i] + d[j]) / 2;
	qsort(walsh, (size_t)count, sizeof(walsh[0]), compare);
	for (int w = 0; w <= count; w++) {
		for (int signs = 0; signs < 1 << n; signs++) {
			int sum = 0;

			for (int i = 0; i < n; i++)
				sum += signs & 1 << i ? i + 1 : 0;
			below += sum == w;
		}
		if (below > 0.025 * (1 << n))
			break;
		k = w;
	}
	return k < 0 ? NAN : walsh[k];
}

static void hodges_lehmann_by_enumeration(void **state)
{
	uint64_t s = 9;

	(void)state;
	for (int n = 1; n <= 13; n++) {
		double d[13], mirror[13], lo;
		struct estimate e, m;

		for (int i = 0; i < n; i++) {
			d[i] = 3 + random__normal(&s);
			mirror[i] = -d[i];
		}
		e = estimate__hodges_lehmann(d, (size_t)n);
		m = estimate__hodges_lehmann(mirror, (size_t)n);
		lo = lower_by_enumeration(d, n);
		assert_int_equal(isnan(e.lo), n < 6);
		if (n >= 6) {
			assert_true(e.lo == lo);
			assert_true(e.hi == -lower_by_enumeration(mirror, n));
		}
		assert_true(m.value == -e.value);
	}
}

/* Critical values of the signed-rank table (two-sided 5 %): the rank of the lower end. */
static void hodges_lehmann_known(void **state)
{
	static const struct {
		int n, critical;
	} table[] = {{6, 0}, {8, 3}, {10, 8}, {15, 25}, {20, 52}, {25, 89}, {30, 137}, {50, 434}};

	(void)state;
	for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
		double d[50];
		struct estimate e;
		int below = 0;

		/* powers of two: all averages differ */
		for (int i = 0; i < table[t].n; i++)
			d[i] = exp2(i);
		e = estimate__hodges_lehmann(d, (size_t)table[t].n);
		for (int i = 0; i < table[t].n; i++)
			for (int j = i; j < table[t].n; j++)
				below += (d[i] + d[j]) / 2 < e.lo;
		assert_int_equal(below, table[t].critical);
	}
}

/* Beyond 64 pairs the normal approximation takes over without a step. */
static void hodges_lehmann_is_smooth_at_the_switch(void **state)
{
	double d[66], width[67];
	uint64_t s = 3;

	(void)state;
	for (int i = 0; i < 66; i++)
		d[i] = random__normal(&s);
	for (size_t n = 63; n <= 66; n++) {
		struct estimate e = estimate__hodges_lehmann(d, n);

		width[n] = e.hi - e.lo;
	}
	near(width[65], width[64], 0.1);
}

/* Half of the noise, four slices disturbed: the robust interval stays small and true. */
static void robust_against_disturbed_slices(void **state)
{
	const int runs = 2000;
	int inside = 0, narrower = 0;
	uint64_t s = 11;

	(void)state;
	for (int run = 0; run < runs; run++) {
		double base[30], with[30];
		struct estimate t, r;

		for (int i = 0; i < 30; i++) {
			base[i] = 1000 * exp(0.01 * random__normal(&s));
			with[i] = 1020 * exp(0.01 * random__normal(&s));
			if (random__uniform(&s) < 0.1)
				(random__uniform(&s) < 0.5 ? base : with)[i] *=
					1 + 2 * random__uniform(&s);
		}
		t = estimate__percent(base, with, 30);
		r = estimate__percent_robust(base, with, 30);
		inside += r.lo <= 2 && 2 <= r.hi;
		narrower += r.hi - r.lo < t.hi - t.lo;
	}
	assert_true(inside >= runs * (0.95 - 4 * sqrt(0.95 * 0.05 / runs)));
	assert_true(narrower > 0.9 * runs);
}

static void helpers(void **state)
{
	struct estimate e = {.value = 2, .lo = 1, .hi = 4, .n = 3}, none = estimate__none();
	struct estimate s = estimate__scale(e, -2);

	(void)state;
	assert_true(s.value == -4 && s.lo == -8 && s.hi == -2 && s.n == 3);
	assert_true(estimate__excludes(&e, 0.5) && estimate__excludes(&e, 5));
	assert_false(estimate__excludes(&e, 1));
	assert_false(estimate__excludes(&e, 2));
	assert_false(estimate__excludes(&none, 0));
	e.hi = NAN;
	assert_false(estimate__excludes(&e, 0.5));
	e = estimate__exact(7, 10);
	assert_true(e.value == 7 && e.lo == 7 && e.hi == 7 && e.n == 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(student_t_known),
		cmocka_unit_test(student_t_closed_forms),
		cmocka_unit_test(mean_known),
		cmocka_unit_test(mean_of_few),
		cmocka_unit_test(mean_coverage),
		cmocka_unit_test(pairs_cancel_what_both_suffer),
		cmocka_unit_test(percent_is_of_the_ratio),
		cmocka_unit_test(hodges_lehmann_by_enumeration),
		cmocka_unit_test(hodges_lehmann_known),
		cmocka_unit_test(hodges_lehmann_is_smooth_at_the_switch),
		cmocka_unit_test(robust_against_disturbed_slices),
		cmocka_unit_test(helpers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
