/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/hist.h"
#include "model/snapshot.h"
#include "random.h"

static struct snapshot_series *add_series(struct snapshot *s, uint32_t route)
{
	struct snapshot_series *n;

	s->series = realloc(s->series, (s->n_series + 1) * sizeof(*s->series));
	n = &s->series[s->n_series++];
	memset(n, 0, sizeof(*n));
	n->key = (struct series_key){.cgroup = 1,
				     .route = route,
				     .proto = PROTO_NATS,
				     .role = ROLE_CLIENT,
				     .status = STATUS_OK};
	snprintf(n->route, sizeof(n->route), "r%u", route);
	strcpy(n->container, "/");
	return n;
}

static void record(struct snapshot_series *s, uint64_t ns)
{
	hist__add(&s->hist, ns);
	s->count++;
	s->bytes += 10;
}

static struct snapshot copy(const struct snapshot *s)
{
	struct snapshot c = *s;

	c.series = malloc(s->n_series * sizeof(*s->series) + 1);
	memcpy(c.series, s->series, s->n_series * sizeof(*s->series));
	return c;
}

/* An interval holds what was recorded in it, and nothing else; bounds contain the real extremes. */
static void delta_is_what_came_between(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		static struct hist between[3];
		struct snapshot now = {0}, before, d;
		uint64_t s = seed;

		memset(between, 0, sizeof(between));
		for (uint32_t r = 0; r < 3; r++)
			add_series(&now, r + 1);
		for (int i = 0; i < 500; i++)
			record(&now.series[random__next(&s) % 3], random__log(&s, 44));
		now.time_ns = 1000;
		before = copy(&now);
		for (int i = 0; i < 200; i++) {
			/* the third one rests */
			uint64_t ns = random__log(&s, 44), r = random__next(&s) % 2;

			record(&now.series[r], ns);
			hist__add(&between[r], ns);
		}
		now.time_ns = 5000;
		assert_int_equal(snapshot__delta(&d, &now, &before), 0);
		assert_int_equal(d.duration_ns, 4000);
		assert_int_equal(d.n_series, 2);
		for (size_t i = 0; i < d.n_series; i++) {
			const struct hist *want = &between[d.series[i].key.route - 1];
			struct hist *got = &d.series[i].hist;

			assert_memory_equal(got->bucket, want->bucket, sizeof(got->bucket));
			assert_int_equal(got->sum, want->sum);
			assert_int_equal(d.series[i].count, hist__count(want));
			assert_int_equal(d.series[i].bytes, 10 * hist__count(want));
			assert_true(hist__min_ns(got) <= hist__min_ns(want));
			assert_true(hist__max_ns(got) >= hist__max_ns(want));
			assert_int_equal(hist__index(hist__min_ns(got)),
					 hist__index(hist__min_ns(want)));
			assert_int_equal(hist__index(hist__max_ns(got)),
					 hist__index(hist__max_ns(want)));
		}
		snapshot__free(&d);
		snapshot__free(&before);
		snapshot__free(&now);
	}
}

static void delta_min_and_max_are_clipped_to_the_totals(void **state)
{
	struct snapshot now = {0}, before, d;

	(void)state;
	add_series(&now, 1);
	before = copy(&now);
	record(&now.series[0], 1000003);
	assert_int_equal(snapshot__delta(&d, &now, &before), 0);
	/* one value, so that the totals' extremes are narrower than its bucket */
	assert_int_equal(hist__min_ns(&d.series[0].hist), 1000003);
	assert_int_equal(hist__max_ns(&d.series[0].hist), 1000003);
	snapshot__free(&d);
	snapshot__free(&before);
	snapshot__free(&now);
}

static void delta_finds_series_by_key(void **state)
{
	struct snapshot now = {0}, before = {0}, d;

	(void)state;
	record(add_series(&before, 1), 10);
	record(add_series(&before, 2), 20);
	/* other order, and one that is new */
	record(add_series(&now, 2), 20);
	record(add_series(&now, 3), 30);
	record(add_series(&now, 1), 10);
	record(&now.series[0], 21);
	/* unanswered ones have a count and no latency */
	add_series(&now, 4)->count = 5;
	assert_int_equal(snapshot__delta(&d, &now, &before), 0);
	assert_int_equal(d.n_series, 3);
	assert_int_equal(d.series[0].key.route, 2);
	assert_int_equal(d.series[0].count, 1);
	assert_int_equal(d.series[1].key.route, 3);
	assert_int_equal(d.series[2].key.route, 4);
	assert_int_equal(d.series[2].count, 5);
	assert_int_equal(d.series[2].hist.min, 0);
	snapshot__free(&d);
	/* to itself: nothing */
	assert_int_equal(snapshot__delta(&d, &now, &now), 0);
	assert_int_equal(d.n_series, 0);
	snapshot__free(&d);
	snapshot__free(&now);
	snapshot__free(&before);
	snapshot__free(NULL);
}

static void acct__random(struct wire_acct *a, uint64_t *s)
{
	int64_t open;

	a->matched += random__next(s) % 100;
	a->one_way += random__next(s) % 100;
	a->unanswered += random__next(s) % 100;
	a->dropped += random__next(s) % 100;
	open = (int64_t)(random__next(s) % 50);
	a->in_flight = open;
	a->seen = a->matched + a->one_way + a->unanswered + a->dropped + (uint64_t)open;
	a->bytes_framed += random__next(s) % 10000;
	a->bytes_unparsed += random__next(s) % 100;
	a->bytes_seen = a->bytes_framed + a->bytes_unparsed;
	a->reason[REASON_TIMEOUT] += random__next(s) % 10;
}

/* The identities hold for readings and for intervals between them, and see any one counter slip. */
static void identities(void **state)
{
	struct snapshot now = {.settled = true}, before, d;
	uint64_t s = 1;

	(void)state;
	for (int i = 0; i < 100; i++) {
		before = now;
		acct__random(&now.acct, &s);
		assert_true(snapshot__identities_hold(&now.acct));
		assert_true(snapshot__holds(&now));
		assert_int_equal(snapshot__delta(&d, &now, &before), 0);
		assert_true(snapshot__holds(&d));
		assert_int_equal(d.in_flight_before, before.acct.in_flight);
		assert_int_equal(d.acct.in_flight, now.acct.in_flight);
		assert_int_equal(d.acct.reason[REASON_TIMEOUT],
				 now.acct.reason[REASON_TIMEOUT] -
					 before.acct.reason[REASON_TIMEOUT]);
		assert_true(d.settled == before.settled);
		for (int slip = 0; slip < 9; slip++) {
			struct snapshot x = d;
			__u64 *field[] = {&x.acct.seen,		 &x.acct.matched,
					  &x.acct.one_way,	 (__u64 *)&x.acct.in_flight,
					  &x.acct.unanswered,	 &x.acct.dropped,
					  &x.acct.bytes_seen,	 &x.acct.bytes_framed,
					  &x.acct.bytes_unparsed};

			(*field[slip])++;
			assert_false(snapshot__holds(&x));
		}
	}
	/* a gauge below 0 (an exchange closed by another lane) is counted as such */
	memset(&now, 0, sizeof(now));
	now.acct.matched = 3;
	now.acct.in_flight = -1;
	now.acct.seen = 2;
	assert_true(snapshot__identities_hold(&now.acct));
}

static void programs_and_cost(void **state)
{
	struct snapshot before = {.user_cpu_s = 1, .n_programs = 1}, now = {.user_cpu_s = 3}, d;

	(void)state;
	before.programs[0] = (struct snapshot_program){"egress", 10, 1000, 3};
	now.programs[0] = (struct snapshot_program){"ingress", 5, 500, 1};
	now.programs[1] = (struct snapshot_program){"egress", 30, 4000, 7};
	now.n_programs = 2;
	now.rss_bytes = 77;
	assert_int_equal(snapshot__delta(&d, &now, &before), 0);
	assert_int_equal(d.programs[0].runs, 5);
	assert_int_equal(d.programs[1].runs, 20);
	assert_int_equal(d.programs[1].ns, 3000);
	assert_int_equal(d.programs[0].missed, 1);
	assert_int_equal(d.programs[1].missed, 4);
	assert_true(d.user_cpu_s == 2);
	assert_int_equal(d.rss_bytes, 77);
}

static void sorting(void **state)
{
	struct snapshot s = {0};
	const struct snapshot_series **by;

	(void)state;
	record(add_series(&s, 1), 1000);
	for (int i = 0; i < 3; i++)
		record(&s.series[0], 1);
	record(add_series(&s, 2), 5000000);
	record(add_series(&s, 3), 1000);
	by = snapshot__sorted(&s, SNAPSHOT_BY_COUNT);
	assert_int_equal(by[0]->key.route, 1);
	assert_int_equal(by[1]->key.route, 2); /* as many: by name */
	assert_int_equal(by[2]->key.route, 3);
	free(by);
	by = snapshot__sorted(&s, SNAPSHOT_BY_TOTAL);
	assert_int_equal(by[0]->key.route, 2);
	assert_int_equal(by[1]->key.route, 1);
	free(by);
	snapshot__free(&s);
	by = snapshot__sorted(&s, SNAPSHOT_BY_COUNT);
	assert_non_null(by);
	free(by);
}

static void names(void **state)
{
	(void)state;
	for (unsigned int a = 0; a < 300; a++)
		for (unsigned int b = 0; b < a; b++)
			if (strcmp(wire_reason__name(a), "?") != 0)
				assert_string_not_equal(wire_reason__name(a), wire_reason__name(b));
	for (unsigned int r = 1; r < ROLE_MAX; r++)
		assert_string_not_equal(wire_role__name(r), "?");
	for (unsigned int st = 1; st < STATUS_MAX; st++)
		assert_string_not_equal(wire_status__name(st), "?");
	assert_string_equal(wire_role__name(0), "?");
	assert_string_equal(wire_role__name(12345), "?");
	assert_string_equal(wire_proto__name(PROTO_NATS), "nats");
	assert_string_equal(wire_reason__name(REASON_TIMEOUT), "timeout");
	assert_string_equal(wire_reason__term(REASON_TIMEOUT), "unanswered");
	assert_string_equal(wire_reason__term(REASON_GAP), "bytes_unparsed");
	assert_string_equal(wire_reason__term(0), "other");
}

/* A split line is framed when it is kept, and unparsed when the rest shows that it is none. */
static void test_delta_closes_when_framed_bytes_turn_bad(void **state)
{
	struct snapshot before = {0}, now = {0}, delta;

	(void)state;
	before.acct.bytes_seen = before.acct.bytes_framed = 100;
	now.acct.bytes_seen = 110;
	now.acct.bytes_framed = 60;
	now.acct.bytes_unparsed = 50;
	before.settled = now.settled = true;
	assert_int_equal(snapshot__delta(&delta, &now, &before), 0);
	assert_int_equal(delta.acct.bytes_seen, 10);
	assert_int_equal(delta.acct.bytes_framed, 0);
	assert_int_equal(delta.acct.bytes_unparsed, 10);
	assert_true(snapshot__holds(&delta));
	snapshot__free(&delta);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delta_closes_when_framed_bytes_turn_bad),
		cmocka_unit_test(delta_is_what_came_between),
		cmocka_unit_test(delta_min_and_max_are_clipped_to_the_totals),
		cmocka_unit_test(delta_finds_series_by_key),
		cmocka_unit_test(identities),
		cmocka_unit_test(programs_and_cost),
		cmocka_unit_test(sorting),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
