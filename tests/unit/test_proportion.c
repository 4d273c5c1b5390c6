/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shares and their exact intervals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/proportion.h"
#include "model/quantile.h"

static void near(double got, double want)
{
	if (fabs(got - want) > 5e-7)
		fail_msg("got %.7f, want %.7f", got, want);
}

/* From the closed forms: (tail)^(1/n), and 1 - (1 - tail)^(1/n) for one of n. */
static void closed_forms(void **state)
{
	struct estimate e = proportion__estimate(1000, 1000);

	(void)state;
	near(e.value, 1);
	near(e.lo, pow(0.025, 1 / 1000.0));
	near(e.hi, 1);
	e = proportion__estimate(0, 480);
	near(e.value, 0);
	near(e.lo, 0);
	near(e.hi, 1 - pow(0.025, 1 / 480.0));
	e = proportion__estimate(1, 50);
	near(e.lo, 1 - pow(0.975, 1 / 50.0));
}

/* Newcombe, Statistics in Medicine 17 (1998), table I, method 5 (Clopper-Pearson). */
static void published(void **state)
{
	static const struct {
		uint64_t k, n;
		double lo, hi;
	} known[] = {{81, 263, 0.2527, 0.3676}, {15, 148, 0.0578, 0.1617}, {1, 29, 0.0009, 0.1776}};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct estimate e = proportion__estimate(known[i].k, known[i].n);

		assert_true(fabs(e.lo - known[i].lo) < 6e-5);
		assert_true(fabs(e.hi - known[i].hi) < 6e-5);
	}
}

/* The definition itself: at each end the other side's tail is 2.5 %. */
static void large_numbers(void **state)
{
	struct estimate e = proportion__estimate(99123, 100000);

	(void)state;
	near(binomial__cdf(99122, 100000, e.lo), 0.975);
	near(binomial__cdf(99123, 100000, e.hi), 0.025);
}

static void nothing(void **state)
{
	(void)state;
	assert_true(isnan(proportion__estimate(0, 0).value));
	assert_true(isnan(proportion__estimate(2, 1).value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closed_forms),
		cmocka_unit_test(published),
		cmocka_unit_test(large_numbers),
		cmocka_unit_test(nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
