/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "model/quantile.h"
#include "out/json.h"
#include "out/session.h"
#include "out/text.h"

/* What a dump writes; the caller frees it. */
static char *dumped(const json_t *v)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(session__dump(v, f), 0);
	fclose(f);
	return text;
}

static void numbers(void **state)
{
	static const struct {
		double v;
		const char *want;
	} table[] = {{0, "0\n"},
		     {-0.0, "0\n"},
		     {1, "1\n"},
		     {1.5, "1.5\n"},
		     {0.1, "0.1\n"},
		     {-3, "-3\n"},
		     {2.5e10, "25000000000\n"},
		     {NAN, "null\n"},
		     {INFINITY, "null\n"},
		     {-INFINITY, "null\n"},
		     {1e300, "1e300\n"}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		json_t *v = session__number(table[i].v);
		char *text = dumped(v);

		assert_string_equal(text, table[i].want);
		free(text);
		json_decref(v);
	}
}

static void estimates(void **state)
{
	struct estimate e = {.value = 1.5, .lo = 1, .hi = NAN, .n = 7};
	json_t *o = session__estimate(&e), *outer = json_pack("{s:o}", "e", o);
	struct estimate back = session__get_estimate(outer, "e");
	char *text = dumped(o);

	(void)state;
	assert_string_equal(text, "{\"value\": 1.5, \"ci_low\": 1, \"ci_high\": null, \"n\": 7}\n");
	assert_true(back.value == 1.5 && back.lo == 1 && isnan(back.hi) && back.n == 7);
	back = session__get_estimate(outer, "nothing");
	assert_true(isnan(back.value) && back.n == 0);
	free(text);
	json_decref(outer);
}

/* A histogram survives the way through JSON. */
static void latencies(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 40; seed++) {
		static struct hist h, back;
		uint64_t s = seed, n = 1 + random__next(&s) % 3000;
		struct estimate e;
		json_t *l, *q;

		memset(&h, 0, sizeof(h));
		for (uint64_t i = 0; i < n; i++)
			hist__add(&h, random__log(&s, 43));
		l = session__latency(&h);
		assert_true(session__get_hist(l, &back));
		assert_memory_equal(h.bucket, back.bucket, sizeof(h.bucket));
		assert_int_equal(h.min, back.min);
		assert_int_equal(h.max, back.max);
		assert_true(fabs((double)h.sum - (double)back.sum) <= 1e-12 * (double)h.sum + 1);
		assert_int_equal(json_integer_value(json_object_get(l, "count")), (json_int_t)n);
		q = json_object_get(l, "quantiles");
		e = quantile__estimate(&h, 0.99);
		assert_true(session__get_estimate(q, "p99").value == e.value);
		assert_true(session__get_estimate(q, "p99").lo == e.lo);
		assert_true(isnan(session__get_estimate(q, "p99").hi) == (n < 299));
		json_decref(l);
	}
}

static void empty_latency(void **state)
{
	static struct hist h;
	json_t *l = session__latency(&h);

	(void)state;
	assert_true(json_is_null(json_object_get(l, "min_ns")));
	assert_true(json_is_null(json_object_get(l, "mean_ns")));
	assert_int_equal(json_integer_value(json_object_get(l, "count")), 0);
	assert_false(session__get_hist(l, &h));
	json_decref(l);
}

static void targets(void **state)
{
	struct target t;
	json_t *o;
	char *text;

	(void)state;
	target__init(&t, "events", TARGET_GE, 50000, "events/s");
	o = session__target(&t);
	text = dumped(o);
	assert_string_equal(text,
			    "{\n \"name\": \"events\",\n \"value\": null,\n \"ci_low\": null,\n"
			    " \"ci_high\": null,\n \"limit\": 50000,\n \"op\": \">=\",\n"
			    " \"unit\": \"events/s\",\n \"verdict\": \"NO DATA\",\n"
			    " \"reason\": \"nothing was measured\"\n}\n");
	free(text);
	json_decref(o);
}

/* Every field of the contract, with the units its name says. */
static void snapshots(void **state)
{
	static const char *const series[] = {"proto",  "role",	 "route",  "container", "status",
					     "count",  "errors", "bytes",  "min_ns",	"mean_ns",
					     "p50_ns", "p90_ns", "p99_ns", "p999_ns",	"max_ns"};
	static const char *const accounting[] = {
		"seen",		  "matched", "one_way",	   "in_flight",	   "unanswered",
		"dropped",	  "orphans", "bytes_seen", "bytes_framed", "bytes_unparsed",
		"exemplars_lost", "packets", "messages",   "connections",  "settled",
		"holds",	  "reasons"};
	static struct snapshot s;
	static struct snapshot_series one;
	json_t *o, *row;

	(void)state;
	one.key = (struct series_key){
		.proto = PROTO_NATS, .role = ROLE_BROKER, .status = STATUS_UNANSWERED};
	strcpy(one.route, "a\x1b[31m\xff");
	strcpy(one.container, "/");
	one.count = 4;
	s.series = &one;
	s.n_series = 1;
	s.duration_ns = 1500000000;
	s.acct.seen = 4;
	s.acct.unanswered = 4;
	s.acct.reason[REASON_CLOSED] = 4;
	s.settled = true;
	o = json__snapshot(&s, true, NULL, 0);
	assert_int_equal(json_integer_value(json_object_get(o, "schema")), 1);
	assert_true(json_real_value(json_object_get(o, "duration_s")) == 1.5);
	assert_true(json_is_true(json_object_get(o, "final")));
	row = json_array_get(json_object_get(o, "series"), 0);
	for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++)
		assert_non_null(json_object_get(row, series[i]));
	assert_string_equal(json_string_value(json_object_get(row, "route")), "a\\x1b[31m\\xff");
	assert_string_equal(json_string_value(json_object_get(row, "role")), "broker");
	/* counted, but no latency */
	assert_int_equal(json_integer_value(json_object_get(row, "errors")), 4);
	assert_true(json_is_null(json_object_get(row, "p50_ns")));
	assert_true(json_is_null(json_object_get(row, "max_ns")));
	row = json_object_get(o, "accounting");
	for (size_t i = 0; i < sizeof(accounting) / sizeof(accounting[0]); i++)
		assert_non_null(json_object_get(row, accounting[i]));
	assert_true(json_is_true(json_object_get(row, "holds")));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(row, "reasons"), "closed")), 4);
	row = json_object_get(o, "overhead");
	assert_true(json_is_null(json_object_get(row, "ns_per_exchange")));
	assert_int_equal(json_array_size(json_object_get(o, "targets")), 0);
	json_decref(o);
}

static void a_snapshot_is_one_line(void **state)
{
	static struct snapshot s;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	json_t *o;

	(void)state;
	assert_int_equal(json__print_snapshot(f, &s, false), 0);
	assert_int_equal(json__print_snapshot(f, &s, true), 0);
	fclose(f);
	assert_ptr_equal(strchr(strchr(text, '\n') + 1, '\n'), text + len - 1);
	*strchr(text, '\n') = 0;
	o = json_loads(text, 0, NULL);
	assert_non_null(o);
	json_decref(o);
	free(text);
	f = fopen("/dev/full", "w");
	assert_true(json__print_snapshot(f, &s, true) < 0);
	fclose(f);
}

static void the_cost_per_exchange(void **state)
{
	static struct snapshot s;
	json_t *o;

	(void)state;
	s.n_programs = 2;
	s.programs[0] = (struct snapshot_program){"egress", 10, 5000, 0};
	s.programs[1] = (struct snapshot_program){"ingress", 10, 7000, 2};
	s.acct.matched = 6;
	o = session__overhead(&s);
	assert_true(json_number_value(json_object_get(o, "ns_per_exchange")) == 2000);
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(json_object_get(o, "programs"), 1), "missed")),
			 2);
	json_decref(o);
}

/* Writing what was read gives the same bytes, hostile strings and odd numbers included. */
static void dumping_is_idempotent(void **state)
{
	json_t *s = fixture__session(), *again;
	char *first, *second;

	(void)state;
	json_object_set_new(s, "x\x1b\x7f\xc2\x9b",
			    json_pack("[f,f,f]", 1.0 / 3, 0.1 + 0.2, 1e-300));
	json_object_set_new(s, "y",
			    json_string("\"\\\x01\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\x81größe😀/"));
	json_object_set_new(s, "empty", json_pack("{s:{},s:[],s:[[],{}]}", "a", "b", "c"));
	first = dumped(s);
	again = fixture__parse(first);
	second = dumped(again);
	assert_string_equal(first, second);
	assert_true(json_equal(json_object_get(s, "y"), json_object_get(again, "y")));
	assert_true(json_equal(json_object_get(s, "series"), json_object_get(again, "series")));
	for (const char *p = first; *p;) {
		size_t len;
		int32_t cp = text__decode(p, &len);

		assert_true(cp == '\n' || text__is_printable(cp));
		p += len;
	}
	/* bench dumps it, report dumps it again: a copy of ours must not differ either */
	assert_non_null(strstr(first, "\"rate_per_s\": {\"value\": 400, "));
	assert_non_null(strstr(first, "[\"rpc.calls\", \"1000\"]\n"));
	assert_true(first[strlen(first) - 1] == '\n');
	free(first);
	free(second);
	json_decref(again);
	json_decref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(estimates),
		cmocka_unit_test(latencies),
		cmocka_unit_test(empty_latency),
		cmocka_unit_test(targets),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(a_snapshot_is_one_line),
		cmocka_unit_test(the_cost_per_exchange),
		cmocka_unit_test(dumping_is_idempotent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
