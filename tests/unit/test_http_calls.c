/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "load/http_calls.h"
#include "load/http_error.h"
#include "load/schedule.h"

#define MS 1000000ull
#define T0 (5000 * MS)

static json_int_t number(const json_t *o, const char *key)
{
	if (!json_is_integer(json_object_get(o, key)))
		fail_msg("no number \"%s\"", key);
	return json_integer_value(json_object_get(o, key));
}

static json_int_t within(const json_t *o, const char *object, const char *key)
{
	return number(json_object_get(o, object), key);
}

static void begin(struct http_calls *c, size_t i, uint64_t due, uint64_t start)
{
	c->call[i].due_ns = due;
	c->call[i].start_ns = start;
	c->call[i].fate = HTTP_PENDING;
}

/* Eight calls, one not begun, in two buckets of 100 ms with an empty one between them. */
static void make(struct http_calls *c, bool open)
{
	assert_int_equal(http_calls__init(c, 8, open), 0);
	begin(c, 0, T0, T0);
	begin(c, 1, T0 + 10 * MS, T0 + 10 * MS + SCHEDULE_LATE_NS);
	begin(c, 2, T0 + 20 * MS, T0 + 20 * MS + SCHEDULE_LATE_NS + 1);
	begin(c, 3, T0 + 99 * MS, T0 + 99 * MS);
	begin(c, 4, T0 + 200 * MS, T0 + 203 * MS);
	begin(c, 5, T0 + 210 * MS, T0 + 210 * MS);
	begin(c, 6, T0 + 299 * MS, T0 + 299 * MS);
	/* They end in another order than they began. */
	http_calls__end(c, 6, T0 + 300 * MS, HTTP_RESET, 0);
	http_calls__end(c, 0, T0 + 5 * MS, HTTP_ANSWERED, 200);
	http_calls__end(c, 1, T0 + 17 * MS, HTTP_ANSWERED, 204);
	http_calls__end(c, 2, T0 + 30 * MS, HTTP_ANSWERED, 503);
	http_calls__end(c, 3, T0 + 100 * MS, HTTP_BAD_BODY, 200);
	http_calls__end(c, 4, T0 + 400 * MS, HTTP_ANSWERED, 200);
	http_calls__end(c, 5, T0 + 450 * MS, HTTP_TIMEOUT, 0);
}

static void totals(void **state)
{
	const json_t *list;
	struct http_calls c;
	json_t *o;

	(void)state;
	make(&c, true);
	o = http_calls__to_json(&c, T0, 0, true);
	assert_int_equal(number(o, "attempted"), 7);
	assert_int_equal(number(o, "succeeded"), 3);
	assert_int_equal(number(o, "failed"), 4);
	assert_int_equal(number(o, "behind_schedule"), 2); /* 1 ms late is not yet behind */
	assert_int_equal(number(o, "late_ns_max"), 3 * MS);
	assert_int_equal(within(o, "status", "2xx"), 4);
	assert_int_equal(within(o, "status", "5xx"), 1);
	assert_int_equal(within(o, "status", "3xx"), 0);
	assert_int_equal(within(o, "codes", "200"), 3);
	assert_int_equal(json_object_size(json_object_get(o, "codes")), 3);
	assert_int_equal(within(o, "errors", "bad_body"), 1);
	assert_int_equal(within(o, "errors", "reset"), 1);
	assert_int_equal(within(o, "errors", "timeout"), 1);
	assert_int_equal(within(o, "errors", "closed"), 0);
	assert_int_equal(json_object_size(json_object_get(o, "errors")), 7);
	/* Successful calls only: 5, 6 and 197 ms from the start, 5, 7 and 200 ms from due. */
	assert_int_equal(within(o, "client", "sum"), 208 * MS);
	assert_int_equal(within(o, "intended", "sum"), 212 * MS);
	assert_int_equal(within(o, "intended", "max_ns"), 200 * MS);
	assert_null(json_object_get(o, "timeline"));

	list = json_object_get(o, "first_failures");
	assert_int_equal(json_array_size(list), 4);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "what")),
			    "reset");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "what")),
			    "503");
	assert_int_equal(number(json_array_get(list, 1), "t_ns"), T0 + 30 * MS);

	list = json_object_get(o, "calls");
	assert_int_equal(json_array_size(list), 7);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(list, 2), 3)), 503);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(list, 3), 3)), 0);
	json_decref(o);
	http_calls__free(&c);
}

static void closed_loop(void **state)
{
	struct http_calls c;
	json_t *o;

	(void)state;
	make(&c, false);
	o = http_calls__to_json(&c, T0, 0, false);
	assert_true(json_is_null(json_object_get(o, "intended")));
	assert_true(json_is_null(json_object_get(o, "late_ns_max")));
	assert_null(json_object_get(o, "calls"));
	json_decref(o);
	http_calls__free(&c);
}

static void timeline(void **state)
{
	struct http_calls c;
	const json_t *b;
	json_t *list;

	(void)state;
	make(&c, true);
	list = http_calls__timeline(&c, T0, 100 * MS);
	assert_int_equal(json_array_size(list), 2); /* the empty one is left out */
	b = json_array_get(list, 0);
	assert_int_equal(number(b, "t_ns"), T0);
	assert_int_equal(number(b, "due"), 4);
	assert_int_equal(number(b, "succeeded"), 2);
	assert_int_equal(number(b, "failed"), 2);
	assert_int_equal(number(b, "p50_ns"), 5 * MS);
	assert_int_equal(number(b, "p99_ns"), 7 * MS);
	assert_int_equal(within(b, "codes", "503"), 1);
	assert_int_equal(within(b, "errors", "bad_body"), 1);
	assert_int_equal(json_object_size(json_object_get(b, "errors")), 1);
	b = json_array_get(list, 1);
	assert_int_equal(number(b, "t_ns"), T0 + 200 * MS);
	assert_int_equal(number(b, "due"), 3);
	assert_int_equal(number(b, "succeeded"), 1);
	/* In the bucket in which it was due, though it ended two later. */
	assert_int_equal(number(b, "max_ns"), 200 * MS);
	json_decref(list);

	/* A bucket of failures has no latency, and that is not 0. */
	list = http_calls__timeline(&c, T0, 10 * MS);
	assert_int_equal(json_array_size(list), 7);
	b = json_array_get(list, 2);
	assert_int_equal(number(b, "failed"), 1);
	assert_true(json_is_null(json_object_get(b, "p50_ns")));
	assert_true(json_is_null(json_object_get(b, "max_ns")));
	json_decref(list);
	http_calls__free(&c);
}

/* Nearest rank over 200 calls of 1..200 ms in one bucket. */
static void exact_quantiles(void **state)
{
	struct http_calls c;
	json_t *list;

	(void)state;
	assert_int_equal(http_calls__init(&c, 200, true), 0);
	for (size_t i = 0; i < 200; i++) {
		begin(&c, i, T0, T0);
		http_calls__end(&c, i, T0 + (1 + i * 7 % 200) * MS, HTTP_ANSWERED, 200);
	}
	list = http_calls__timeline(&c, T0, 1000 * MS);
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(number(json_array_get(list, 0), "p50_ns"), 100 * MS);
	assert_int_equal(number(json_array_get(list, 0), "p99_ns"), 198 * MS);
	assert_int_equal(number(json_array_get(list, 0), "max_ns"), 200 * MS);
	json_decref(list);
	http_calls__free(&c);
}

static void failures_are_bounded(void **state)
{
	struct http_calls c;
	json_t *o;

	(void)state;
	assert_int_equal(http_calls__init(&c, 100, true), 0);
	for (size_t i = 0; i < 100; i++) {
		begin(&c, i, T0, T0);
		http_calls__end(&c, i, T0 + i, HTTP_REFUSED, 0);
	}
	o = http_calls__to_json(&c, T0, 100 * MS, false);
	assert_int_equal(json_array_size(json_object_get(o, "first_failures")),
			 HTTP_FIRST_FAILURES);
	assert_int_equal(within(o, "errors", "refused"), 100);
	json_decref(o);
	http_calls__free(&c);
}

static void what_errors_are_called(void **state)
{
	static const struct {
		CURLcode code;
		int os_errno;
		enum http_fate want;
	} table[] = {
		{CURLE_OK, 0, HTTP_ANSWERED},
		{CURLE_OK, ECONNRESET, HTTP_ANSWERED},
		{CURLE_COULDNT_CONNECT, ECONNREFUSED, HTTP_REFUSED},
		{CURLE_COULDNT_CONNECT, ETIMEDOUT, HTTP_TIMEOUT},
		{CURLE_COULDNT_CONNECT, ECONNRESET, HTTP_RESET},
		{CURLE_COULDNT_CONNECT, EHOSTUNREACH, HTTP_OTHER},
		{CURLE_COULDNT_CONNECT, EADDRNOTAVAIL, HTTP_OTHER},
		{CURLE_COULDNT_CONNECT, 0, HTTP_OTHER},
		{CURLE_OPERATION_TIMEDOUT, 0, HTTP_TIMEOUT},
		{CURLE_GOT_NOTHING, 0, HTTP_CLOSED},
		{CURLE_PARTIAL_FILE, 0, HTTP_CLOSED},
		{CURLE_RECV_ERROR, 0, HTTP_CLOSED},
		{CURLE_RECV_ERROR, ECONNRESET, HTTP_RESET},
		{CURLE_RECV_ERROR, ETIMEDOUT, HTTP_TIMEOUT},
		{CURLE_SEND_ERROR, ECONNRESET, HTTP_RESET},
		{CURLE_SEND_ERROR, EPIPE, HTTP_CLOSED},
		{CURLE_SSL_CONNECT_ERROR, 0, HTTP_TLS},
		{CURLE_SSL_CONNECT_ERROR, ECONNRESET, HTTP_RESET},
		{CURLE_PEER_FAILED_VERIFICATION, 0, HTTP_TLS},
		{CURLE_SSL_CACERT_BADFILE, 0, HTTP_TLS},
		{CURLE_WRITE_ERROR, 0, HTTP_OTHER}, /* we gave the answer up */
		{CURLE_WEIRD_SERVER_REPLY, 0, HTTP_OTHER},
		{CURLE_OUT_OF_MEMORY, 0, HTTP_OTHER},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (http_error__fate(table[i].code, table[i].os_errno) != table[i].want)
			fail_msg("%s, errno %d", curl_easy_strerror(table[i].code),
				 table[i].os_errno);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(totals),
		cmocka_unit_test(closed_loop),
		cmocka_unit_test(timeline),
		cmocka_unit_test(exact_quantiles),
		cmocka_unit_test(failures_are_bounded),
		cmocka_unit_test(what_errors_are_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
