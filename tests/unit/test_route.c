// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Normalising of subjects to routes: include/route.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/rng.h"
#include "../support/route_ref.h"

static struct route_norm norm;

static const char *route_of(const char *subject)
{
	route__normalise(&norm, subject, strlen(subject));
	return norm.name;
}

/* Zeros to the end: the whole array is the key of a map. */
static void assert_filled(const char *subject)
{
	size_t n = strnlen(norm.name, ROUTE_LEN);

	assert_true(n < ROUTE_LEN);
	for (size_t i = n; i < ROUTE_LEN; i++) {
		if (norm.name[i])
			fail_msg("'%s': '%s' is followed by '%s'", subject, norm.name,
				 norm.name + i);
	}
}

static void assert_route(const char *subject, const char *want)
{
	char again[ROUTE_LEN];

	if (strcmp(route_of(subject), want))
		fail_msg("'%s': '%s', not '%s'", subject, norm.name, want);
	assert_filled(subject);
	memcpy(again, norm.name, sizeof(again));
	if (strcmp(route_of(again), want))
		fail_msg("'%s': '%s', and that '%s'", subject, again, norm.name);
}

struct pair {
	const char *subject;
	const char *route;
};

static void assert_pairs(const struct pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_route(p[i].subject, p[i].route);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_inbox(void **state)
{
	static const struct pair pairs[] = {
		{"_INBOX.Yw3xUf9k0mMTsGbQ.1", "_INBOX.*"},
		{"_INBOX.a", "_INBOX.*"},
		{"_INBOX.", "_INBOX.*"},
		{"_INBOX..", "_INBOX.*"},
		{"_INBOX.a.b.c.d.e.f", "_INBOX.*"},
		{"_INBOX", "_INBOX"},
		{"_INBOXES.a", "_INBOXES.a"},
		{"_INBO.a", "_INBO.a"},
		{"_inbox.a", "_inbox.a"},
		{"a._INBOX.b", "a._INBOX.b"},
		{"._INBOX.b", "._INBOX.b"},
	};

	(void)state;
	assert_pairs(pairs, COUNT(pairs));
}

static void test_numbers(void **state)
{
	static const struct pair pairs[] = {
		{"EVENTS.orders.123", "EVENTS.orders.*"},
		{"users.7.cart", "users.*.cart"},
		{"1.2.3", "*.*.*"},
		{"0", "*"},
		{"123456789012345678901234567890", "*"},
		{"$JS.ACK.S.C.1.22.333.1700000000000000000.0", "$JS.ACK.S.C.*.*.*.*.*"},
		{"v1.users", "v1.users"},
		{"1a", "1a"},
		{"-1", "-1"},
		{"1.5x", "*.5x"},
		{"a.12b.34", "a.12b.*"},
		{"orders.12345678.created", "orders.*.created"},
		{"2024-01-31", "2024-01-31"},
	};

	(void)state;
	assert_pairs(pairs, COUNT(pairs));
}

static void test_ids(void **state)
{
	static const struct pair pairs[] = {
		/* nuid: 22 letters and digits */
		{"job.7T8Zc0uY2fFqkVbA1rEw9x.done", "job.*.done"},
		{"job.ABCDEFGHIJKLMNOPQRSTU1", "job.*"},
		{"job.abcdefghijklmnopqrstuv", "job.abcdefghijklmnopqrstuv"},
		{"job.7T8Zc0uY2fFqkVbA1rEw9", "job.7T8Zc0uY2fFqkVbA1rEw9"},
		{"job.7T8Zc0uY2fFqkVbA1rEw9xy", "job.7T8Zc0uY2fFqkVbA1rEw9xy"},
		{"job.7T8Zc0uY2fFqkVbA1rEw_x", "job.7T8Zc0uY2fFqkVbA1rEw_x"},
		{"orders.order-created-event-v2", "orders.order-created-event-v2"},
		/* uuid */
		{"u.550e8400-e29b-41d4-a716-446655440000.x", "u.*.x"},
		{"u.550E8400-E29B-41D4-A716-446655440000", "u.*"},
		/* trace and object ids */
		{"t.4bf92f3577b34da6a3ce929d0e0e4736", "t.*"},
		{"t.00f067aa0ba902b7", "t.*"},
		{"t.00f067aa0ba902b", "t.00f067aa0ba902b"},
		{"t.507f1f77bcf86cd799439011.z", "t.*.z"},
		{"t.deadbeefdeadbeef", "t.deadbeefdeadbeef"},
		{"t.deadbeef-deadbeef", "t.deadbeef-deadbeef"},
		{"t.00g067aa0ba902b7", "t.00g067aa0ba902b7"},
		{"t.2024-01-31-23-59-59", "t.*"},
		{"----------------", "----------------"},
	};

	(void)state;
	assert_pairs(pairs, COUNT(pairs));
}

static void test_ordinary_words(void **state)
{
	static const char *const words[] = {
		"orders",
		"created",
		"a",
		"A.B.C",
		"internationalizations1", /* 22, one of them a digit: see below */
		"counterrevolutionaries", /* 22 */
		"facade.added.feed.deed",
		"EVENTS.orders.created",
		"$SYS.REQ.SERVER.PING",
		"$JS.API.CONSUMER.MSG.NEXT.stream.consumer",
		"orders.*",
		"orders.>",
		"a-b_c.d",
		"svc.v2.get",
		"\xc3\xa9t\xc3\xa9.\xe2\x82\xac",
		"KV_config",
		"sensor_123",
		"",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		if (i != 4)
			assert_route(words[i], words[i]);
	}
	/* 22 letters and a digit look like a nuid. */
	assert_route(words[4], "*");
}

static void test_empty_tokens(void **state)
{
	static const struct pair pairs[] = {
		{".", "."},	  {"..", ".."},	      {"a..b", "a..b"},	    {".1.", ".*."},
		{"1..2", "*..*"}, {"a.123.", "a.*."}, {".a.12345", ".a.*"},
	};

	(void)state;
	assert_pairs(pairs, COUNT(pairs));
}

static void test_long_subjects(void **state)
{
	char subject[4100], want[ROUTE_LEN];

	(void)state;
	for (size_t n = 1; n < sizeof(subject); n += n < 300 ? 1 : 97) {
		memset(subject, 'q', n);
		subject[n] = 0;
		memset(want, 0, sizeof(want));
		memset(want, 'q', n < ROUTE_LEN - 1 ? n : ROUTE_LEN - 1);
		if (n > ROUTE_LEN - 1)
			want[ROUTE_LEN - 2] = '>';
		assert_route(subject, want);
		/* However long an id is, and wherever it stands, it is one '*'. */
		memset(subject, '7', n);
		assert_route(subject, "*");
		if (n > 4) {
			memcpy(subject, "a.b.", 4);
			assert_route(subject, "a.b.*");
			if (n > 8 && n < 4000) {
				strcpy(subject + n, ".tail");
				assert_route(subject, "a.b.*.tail");
			}
		}
	}
}

/* An id that ends, begins or stands at the last bytes there are. */
static void test_ids_at_the_end_of_the_room(void **state)
{
	static const char *const ids[] = {"7", "1234567", "7T8Zc0uY2fFqkVbA1rEw9x",
					  "550e8400-e29b-41d4-a716-446655440000"};
	static const char *const tails[] = {"", ".", ".x", ".tail", ".7", "..8.z"};
	char subject[400], want[ROUTE_LEN];

	(void)state;
	for (size_t front = 60; front < 110; front++) {
		for (size_t i = 0; i < COUNT(ids); i++) {
			for (size_t k = 0; k < COUNT(tails); k++) {
				memset(subject, 'q', front);
				snprintf(subject + front, sizeof(subject) - front, ".%s%s", ids[i],
					 tails[k]);
				route_ref(subject, strlen(subject), want);
				assert_route(subject, want);
			}
		}
	}
}

/* Many subjects, few routes: what the whole thing is for. */
static void test_cardinality(void **state)
{
	static const char alphabet[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	struct rng r = {.state = 3};
	char subject[200], id[40];

	(void)state;
	for (int i = 0; i < 50000; i++) {
		unsigned long long a = rng__next(&r), b = rng__next(&r);

		snprintf(subject, sizeof(subject), "_INBOX.%llx.%llu", a, b % 1000);
		assert_string_equal(route_of(subject), "_INBOX.*");
		snprintf(subject, sizeof(subject), "orders.%llu.created", a >> (b % 64));
		assert_string_equal(route_of(subject), "orders.*.created");
		assert_filled(subject);
		snprintf(subject, sizeof(subject), "users.%08llx-%04llx-4%03llx-a%03llx-%012llx",
			 a >> 32, a & 0xffff, b & 0xfff, b >> 52, (b >> 8) & 0xffffffffffff);
		assert_string_equal(route_of(subject), "users.*");
		assert_filled(subject);
		for (int k = 0; k < 22; k++)
			id[k] = alphabet[rng__next(&r) % 62];
		id[0] = (char)('0' + a % 10); /* one in 60 nuids has no digit */
		snprintf(subject, sizeof(subject), "job.%.22s.ack.%llu", id, b);
		assert_string_equal(route_of(subject), "job.*.ack.*");
		assert_filled(subject);
	}
}

static void test_random_subjects_against_the_reference(void **state)
{
	static const char *const parts[] = {
		".",	".", "123",	 "orders", "_INBOX", "7T8Zc0uY2fFqkVbA1rEw9x",
		"a",	"-", "deadbeef", "0",	   "_",	     "550e8400-e29b-41d4-a716-446655440000",
		"\xff", "*",
	};
	struct rng r = {.state = 4};
	char subject[1024], want[ROUTE_LEN];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		size_t n = 0;

		for (uint32_t k = rng__in(&r, 0, rng__chance(&r, 1, 4) ? 20 : 6); k; k--) {
			const char *part = parts[rng__next(&r) % COUNT(parts)];

			memcpy(subject + n, part, strlen(part));
			n += strlen(part);
		}
		subject[n] = 0;
		route_ref(subject, n, want);
		assert_route(subject, want);
	}
}

/* ---- HTTP paths */

static void test_paths(void **state)
{
	static const struct pair pairs[] = {
		{"/", "GET /"},
		{"*", "GET *"},
		{"/claude-proxy/v1/messages", "GET /claude-proxy/v1/messages"},
		{"/users/123", "GET /users/{n}"},
		{"/users/123/", "GET /users/{n}/"},
		{"/users/user123", "GET /users/user123"},
		{"/day/2024-11-21", "GET /day/{n}"},
		{"/-/metrics", "GET /-/metrics"},
		{"/v1/550e8400-e29b-41d4-a716-446655440000", "GET /v1/{id}"},
		{"/obj/507f1f77bcf86cd799439011", "GET /obj/{id}"},
		{"/vpc/i-0a1b2c3d4e5f67890/x", "GET /vpc/{id}/x"},
		{"/watch/dQw4w9WgXcQabcdef", "GET /watch/{id}"},
		{"/static/kubernetes-dashboard-v2", "GET /static/kubernetes-dashboard-v2"},
		{"/static/jquery-3.6.0.min.js", "GET /static/jquery-3.6.0.min.js"},
		{"/.well-known/openid-configuration", "GET /.well-known/openid-configuration"},
		{"/name/J%C3%BCrgen", "GET /name/{id}"},
		{"/mail/a@b.c", "GET /mail/{id}"},
		{"/x/a=b", "GET /x/{id}"},
		{"/x/\x01", "GET /x/{id}"},
		{"/x/\xc3\xbc/y", "GET /x/{id}/y"},
		{"/cart;jsessionid=1A2B/buy", "GET /cart/buy"},
		{"/cart;1/2;3", "GET /cart/{n}"},
		{"/users:batchGet", "GET /users:batchGet"},
		{"//a//", "GET //a//"},
		{"example.com:443", "GET example.com:443"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		route__path(&norm, "GET", pairs[i].subject, strlen(pairs[i].subject), 256);
		if (strcmp(norm.name, pairs[i].route))
			fail_msg("'%s': '%s', not '%s'", pairs[i].subject, norm.name,
				 pairs[i].route);
		assert_filled(pairs[i].subject);
	}
}

/* Longer than the room, and longer than what is looked at. */
static void test_long_paths(void **state)
{
	char path[600];

	(void)state;
	for (size_t n = 1; n < sizeof(path); n++) {
		memset(path, 'a', sizeof(path));
		path[0] = '/';
		route__path(&norm, "GET", path, n, 256);
		assert_int_equal(strlen(norm.name), n + 4 < ROUTE_LEN ? n + 4 : ROUTE_LEN - 1);
		assert_int_equal(norm.name[strlen(norm.name) - 1] == '>', n + 4 >= ROUTE_LEN);
		assert_filled(path);
		/* what is not looked at decides nothing */
		for (size_t i = 0; i < n; i++)
			path[i] = "/123"[i % 4];
		route__path(&norm, "GET", path, n, 64);
		assert_filled(path);
		if (n > 64) {
			char was[ROUTE_LEN];

			memcpy(was, norm.name, sizeof(was));
			path[65 < n ? 65 : 64] = 'x';
			route__path(&norm, "GET", path, n, 64);
			assert_string_equal(norm.name, was);
			assert_int_equal(norm.name[strlen(norm.name) - 1], '>');
		}
	}
}

static void test_random_paths_against_the_reference(void **state)
{
	static const char *const parts[] = {
		"/",	    "/",
		"/",	    "123",
		"users",    ";",
		"%20",	    "7T8Zc0uY2fFqkVbA1rEw9x",
		"a",	    "-",
		"deadbeef", "0",
		"_",	    "550e8400-e29b-41d4-a716-446655440000",
		"\xff",	    "*",
		"Z",	    ".",
		"@",	    " ",
	};
	struct rng r = {.state = 6};
	char path[1024], want[ROUTE_LEN];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		size_t n = 0;

		for (uint32_t k = rng__in(&r, 0, rng__chance(&r, 1, 4) ? 20 : 6); k; k--) {
			const char *part = parts[rng__next(&r) % COUNT(parts)];

			memcpy(path + n, part, strlen(part));
			n += strlen(part);
		}
		path[n] = 0;
		route_ref__path("POST", path, n, want);
		route__path(&norm, "POST", path, n, sizeof(path));
		if (strcmp(norm.name, want))
			fail_msg("'%s': '%s', not '%s'", path, norm.name, want);
		assert_filled(path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_long_paths),
		cmocka_unit_test(test_random_paths_against_the_reference),
		cmocka_unit_test(test_inbox),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_ordinary_words),
		cmocka_unit_test(test_empty_tokens),
		cmocka_unit_test(test_long_subjects),
		cmocka_unit_test(test_ids_at_the_end_of_the_room),
		cmocka_unit_test(test_cardinality),
		cmocka_unit_test(test_random_subjects_against_the_reference),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
