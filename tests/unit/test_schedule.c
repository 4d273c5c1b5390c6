/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "load/calls.h"
#include "load/schedule.h"
#include "stack/clock.h"

static void due_times(void **state)
{
	struct schedule s = {.start_ns = 1000, .rate = 500};

	(void)state;
	assert_true(schedule__at(&s, 0) == 1000);
	assert_true(schedule__at(&s, 1) == 1000 + 2000000);
	assert_true(schedule__at(&s, 500) == 1000 + NS_PER_S);
	/* A day later still exact: errors do not add up. */
	assert_true(schedule__at(&s, 500ull * 86400) == 1000 + 86400 * NS_PER_S);

	s.rate = 3; /* a period that is not whole */
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t want = 1000 + i * NS_PER_S / 3;
		uint64_t at = schedule__at(&s, i);

		assert_true(at + 1 >= want && at <= want + 1);
	}
	s.rate = 0.001;
	assert_true(schedule__at(&s, 2) == 1000 + 2000 * NS_PER_S);
}

static void sleeps_until(void **state)
{
	uint64_t at;

	(void)state;
	schedule__tighten();
	for (int i = 0; i < 20; i++) {
		at = clock__now() + 2 * NS_PER_MS;
		schedule__sleep_until(at);
		assert_true(clock__now() >= at); /* never early; how late is the machine's */
	}
	schedule__sleep_until(0); /* long past */
}

/* Totals of five open-loop calls, one of each fate. */
static void totals(void **state)
{
	static struct calls_totals t; /* 20 KB */
	struct calls c;

	(void)state;
	assert_int_equal(calls__init(&c, 6, true), 0);
	c.call[0] = (struct call){1000, 1000, 5000, CALL_OK};
	/* 2 ms late: behind schedule, and the caller's latency counts from when it was due */
	c.call[1] = (struct call){1000, 2001000, 2005000, CALL_OK};
	/* exactly 1 ms is not behind */
	c.call[2] = (struct call){1000, 1001000, 1002000, CALL_OK};
	c.call[3] = (struct call){1000, 1000, 9000, CALL_TIMEOUT};
	c.call[4] = (struct call){1000, 1000, 9000, CALL_NO_RESPONDERS};
	calls__total(&c, &t);
	assert_int_equal(t.attempted, 5);
	assert_int_equal(t.succeeded, 3);
	assert_int_equal(t.failed, 2);
	assert_int_equal(t.errors[CALL_TIMEOUT], 1);
	assert_int_equal(t.errors[CALL_NO_RESPONDERS], 1);
	assert_int_equal(t.errors[CALL_OTHER], 0);
	assert_int_equal(t.behind_schedule, 1);
	assert_true(hist__count(&t.client) == 3 && hist__count(&t.intended) == 3);
	assert_true(hist__max_ns(&t.client) == 4000 && hist__min_ns(&t.client) == 1000);
	assert_true(hist__max_ns(&t.intended) == 2004000 && hist__min_ns(&t.intended) == 4000);
	calls__free(&c);
}

static json_int_t number(const json_t *o, const char *key)
{
	assert_true(json_is_integer(json_object_get(o, key)));
	return json_integer_value(json_object_get(o, key));
}

static void as_json(void **state)
{
	const json_t *client, *bucket;
	struct calls c;
	json_t *o;

	(void)state;
	assert_int_equal(calls__init(&c, 3, false), 0);
	c.call[0] = (struct call){0, 100, 150, CALL_OK};
	c.call[1] = (struct call){0, 200, 250, CALL_OK};
	c.call[2] = (struct call){0, 200, 250, CALL_BAD_ENVELOPE};
	o = calls__to_json(&c, true);
	assert_int_equal(number(o, "attempted"), 3);
	assert_int_equal(number(o, "succeeded"), 2);
	assert_int_equal(number(o, "failed"), 1);
	assert_int_equal(number(json_object_get(o, "errors"), "bad_envelope"), 1);
	assert_int_equal(number(json_object_get(o, "errors"), "timeout"), 0);
	assert_true(json_is_null(json_object_get(o, "intended")));
	client = json_object_get(o, "client");
	assert_int_equal(number(client, "sum"), 100);
	assert_int_equal(number(client, "min_ns"), 50);
	assert_int_equal(number(client, "max_ns"), 50);
	assert_int_equal(json_array_size(json_object_get(client, "buckets")), 1);
	bucket = json_array_get(json_object_get(client, "buckets"), 0);
	assert_int_equal(json_integer_value(json_array_get(bucket, 0)), hist__index(50));
	assert_int_equal(json_integer_value(json_array_get(bucket, 1)), 2);
	assert_int_equal(json_array_size(json_object_get(o, "calls")), 2);
	json_decref(o);
	calls__free(&c);
}

/* Nothing measured is null, never 0. */
static void nothing_measured(void **state)
{
	const json_t *client;
	struct calls c;
	json_t *o;

	(void)state;
	assert_int_equal(calls__init(&c, 2, true), 0);
	c.call[0].status = CALL_TIMEOUT;
	o = calls__to_json(&c, false);
	assert_int_equal(number(o, "attempted"), 1);
	assert_int_equal(number(o, "failed"), 1);
	client = json_object_get(o, "client");
	assert_true(json_is_null(json_object_get(client, "min_ns")));
	assert_true(json_is_null(json_object_get(client, "max_ns")));
	assert_int_equal(json_array_size(json_object_get(client, "buckets")), 0);
	assert_true(json_is_object(json_object_get(o, "intended")));
	assert_null(json_object_get(o, "calls"));
	json_decref(o);
	calls__free(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(due_times),	    cmocka_unit_test(sleeps_until),
		cmocka_unit_test(totals),	    cmocka_unit_test(as_json),
		cmocka_unit_test(nothing_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
