/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When a fault was over, on timelines whose answer is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/recovery.h"
#include "random.h"

#define N     120
#define WIDTH 0.1
#define MS    1e6
#define BOUND 0.01

static struct recovery_bucket line[N];
static struct recovery r;

/* 12 s of 10 calls a bucket, all well; medians of 20 to 21 ms in the baseline's own spread. */
static void steady(void)
{
	for (int i = 0; i < N; i++)
		line[i] = (struct recovery_bucket){.t_s = i * WIDTH,
						   .due = 10,
						   .failed = 0,
						   .p50_ns = (20 + (i * 7 % 10) / 10.0) * MS};
}

/* Buckets from..to-1 lose `failed` calls each. */
static void lose(int from, int to, uint64_t failed)
{
	for (int i = from; i < to; i++) {
		line[i].failed = failed;
		if (failed == 10)
			line[i].p50_ns = NAN;
	}
}

static void slow(int from, int to, double ms)
{
	for (int i = from; i < to; i++)
		line[i].p50_ns = ms * MS;
}

static void near(double got, double want)
{
	if (fabs(got - want) > 1e-6)
		fail_msg("got %g, want %g", got, want);
}

static void nothing_happens(void **state)
{
	(void)state;
	steady();
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	assert_int_equal(r.baseline, 40);
	assert_int_equal(r.baseline_due, 400);
	near(r.baseline_share, 1);
	assert_true(fabs(r.baseline_p50_ns / (20.4 * MS) - 1) < 0.02);
	near(r.normal_p50_ns, 1.5 * r.baseline_p50_ns);
	assert_false(r.affected);
	assert_true(r.recovered);
	assert_int_equal(r.failed, 0);
	assert_true(isnan(r.first_failure_s));
	near(r.downtime_s, 0);
	near(r.time_s.value, 0);
	near(r.time_s.lo, 0);
	near(r.time_s.hi, 0);
}

/* Down from 4.0 to 7.0 s, and half a second more until it answers again. */
static void an_outage(void **state)
{
	(void)state;
	steady();
	lose(40, 75, 10);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	assert_int_equal(r.baseline, 40);
	assert_int_equal(r.failed, 350);
	assert_true(r.affected);
	assert_true(r.recovered);
	near(r.first_failure_s, 0);
	near(r.last_failure_s, 3.5);
	near(r.downtime_s, 3.5);
	near(r.time_s.value, 0.5);
	near(r.time_s.lo, 0.4);
	near(r.time_s.hi, 0.5);
	near(r.from_fault_s, 3.5);
}

/* It answers again at once, but slowly at first: success is back before latency. */
static void latency_comes_back_later(void **state)
{
	(void)state;
	steady();
	lose(42, 70, 10);
	slow(70, 90, 80);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	near(r.first_failure_s, 0.2);
	near(r.last_failure_s, 3.0);
	near(r.downtime_s, 2.8);
	near(r.time_s.value, 2.0);
	near(r.from_fault_s, 5.0);
}

/* A pause fails nothing: calls wait. */
static void only_latency(void **state)
{
	(void)state;
	steady();
	for (int i = 40; i < 70; i++)
		line[i].p50_ns = (70 - i) * 100 * MS;
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	assert_int_equal(r.failed, 0);
	assert_true(r.affected);
	assert_true(r.recovered);
	near(r.downtime_s, 0);
	near(r.time_s.value, 0);
}

/* Four good buckets in a row do not make a recovery, five do. */
static void a_gap_is_no_recovery(void **state)
{
	(void)state;
	steady();
	lose(40, 70, 10);
	lose(74, 80, 10);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	near(r.time_s.value, 1.0);
	near(r.downtime_s, 4.0);
	steady();
	lose(40, 70, 10);
	lose(75, 80, 10);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	near(r.time_s.value, 0);
	near(r.downtime_s, 3.0);
	near(r.last_failure_s, 4.0);
}

static void it_never_comes_back(void **state)
{
	(void)state;
	steady();
	lose(40, N, 3);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	assert_false(r.recovered);
	near(r.time_s.value, 5);
	near(r.time_s.lo, 5);
	assert_true(isnan(r.time_s.hi));
	assert_true(isnan(r.downtime_s));
	assert_true(isnan(r.from_fault_s));
	/* the last four buckets are not enough to say so, either */
	steady();
	lose(40, N - 4, 10);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	assert_false(r.recovered);
}

/* Reset connections: over in the moment in which it happens. */
static void without_an_undo(void **state)
{
	(void)state;
	steady();
	lose(40, 41, 4);
	recovery__judge(&r, line, N, WIDTH, 4.03, NAN, BOUND);
	assert_true(r.affected);
	assert_int_equal(r.failed, 4);
	near(r.first_failure_s, 0);
	near(r.last_failure_s, 0.07);
	near(r.downtime_s, 0.07);
	near(r.time_s.value, 0.07);
	near(r.time_s.lo, 0);
	near(r.from_fault_s, 0.07);
}

/* What was so before the fault is no effect of it. */
static void the_baseline_s_own_spread(void **state)
{
	(void)state;
	steady();
	lose(10, 11, 2);
	slow(20, 21, 35);
	lose(40, 50, 10);
	lose(60, 61, 2);
	slow(61, 62, 35);
	recovery__judge(&r, line, N, WIDTH, 4, 5, BOUND);
	near(r.baseline_share, 0.8);
	near(r.normal_p50_ns, 35 * MS);
	assert_int_equal(r.baseline_failed, 2);
	near(r.time_s.value, 0);
	near(r.downtime_s, 1.0);
	near(r.last_failure_s, 2.1);
}

static void too_little_to_say(void **state)
{
	(void)state;
	steady();
	recovery__judge(&r, line, N, WIDTH, 0.9, 2, BOUND);
	assert_true(isnan(r.time_s.value) && isnan(r.baseline_share));
	recovery__judge(&r, line, N, WIDTH, 4, 99, BOUND);
	assert_true(isnan(r.time_s.value));
	recovery__judge(&r, line, 0, WIDTH, 4, 7, BOUND);
	assert_true(isnan(r.time_s.value));
	recovery__judge(&r, line, 1, WIDTH, 4, 7, BOUND);
	assert_true(isnan(r.time_s.value));
	recovery__judge(&r, line, N, NAN, 4, 7, BOUND);
	assert_true(isnan(r.time_s.value));
	recovery__judge(&r, line, N, WIDTH, NAN, NAN, BOUND);
	assert_true(isnan(r.time_s.value));
	/* a baseline in which nothing ever succeeded */
	lose(0, N, 10);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	assert_true(isnan(r.time_s.value));
	/* buckets in which nothing was due are neither good nor bad */
	steady();
	for (int i = 0; i < N; i++)
		line[i].due = i % 2 ? 10 : 0;
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	assert_int_equal(r.baseline, 20);
	assert_false(r.affected);
}

/* What failed before the fault is no normal state to come back to. */
static void a_baseline_that_failed(void **state)
{
	(void)state;
	/* 4 of 400 are within the bound, 5 are not */
	steady();
	lose(10, 11, 4);
	lose(40, N, 4);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	near(r.baseline_share, 0.6);
	lose(12, 13, 1);
	recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
	assert_true(isnan(r.baseline_p50_ns) && isnan(r.time_s.value));
	assert_false(r.recovered);
	assert_int_equal(r.baseline_failed, 5);
	/* one bucket of nothing else than failures, whatever the bound: its share would be 0 % */
	steady();
	lose(10, 11, 10);
	lose(40, N, 9);
	recovery__judge(&r, line, N, WIDTH, 4, 7, 0.05);
	assert_true(isnan(r.baseline_p50_ns) && isnan(r.time_s.value));
	assert_false(r.recovered);
	assert_int_equal(r.baseline_due, 400);
	assert_int_equal(r.baseline_failed, 10);
}

/* The baseline was quiet: what is 1.4 times its median later is the machine, what is 1.6 is not. */
static void a_drift_is_no_effect(void **state)
{
	(void)state;
	steady();
	lose(40, 50, 10);
	slow(50, 60, 1.6 * 20.4);
	slow(60, N, 1.4 * 20.4);
	recovery__judge(&r, line, N, WIDTH, 4, 5, BOUND);
	near(r.time_s.value, 1.0);
}

/* A baseline as noisy as what follows: how long chance alone delays the verdict. */
static void chance_alone(void **state)
{
	unsigned int at_once = 0, runs = 2000;
	uint64_t seed = 7;

	(void)state;
	for (unsigned int k = 0; k < runs; k++) {
		steady();
		for (int i = 0; i < N; i++)
			line[i].p50_ns = 20 * MS * exp(0.5 * random__normal(&seed));
		recovery__judge(&r, line, N, WIDTH, 4, 7, BOUND);
		assert_true(r.recovered);
		at_once += r.time_s.value == 0;
	}
	/* one of 41 is above the other 40: (40 / 41) ^ 5 is 88 % */
	assert_in_range(at_once, runs * 85 / 100, runs * 92 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_happens),
		cmocka_unit_test(an_outage),
		cmocka_unit_test(latency_comes_back_later),
		cmocka_unit_test(only_latency),
		cmocka_unit_test(a_gap_is_no_recovery),
		cmocka_unit_test(it_never_comes_back),
		cmocka_unit_test(without_an_undo),
		cmocka_unit_test(the_baseline_s_own_spread),
		cmocka_unit_test(too_little_to_say),
		cmocka_unit_test(a_baseline_that_failed),
		cmocka_unit_test(a_drift_is_no_effect),
		cmocka_unit_test(chance_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
