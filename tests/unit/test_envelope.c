/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load/envelope.h"
#include "random.h"

#define ID_TEXT "01234567-89ab-4def-8123-456789abcdef"

static struct envelope_reader reader;
static const char *why;

static int setup(void **state)
{
	(void)state;
	return envelope_reader__init(&reader);
}

static int teardown(void **state)
{
	(void)state;
	envelope_reader__free(&reader);
	return 0;
}

static struct envelope sample(const char *payload, size_t n)
{
	return (struct envelope){
		.message_id = slice__str(ID_TEXT),
		.trace_id = slice__str("trace"),
		.timestamp = slice__str("2026-11-21T21:50:00.123456Z"),
		.source = slice__str("cli"),
		.target = slice__str("svc-1"),
		.method = slice__str("echo"),
		.success = true,
		.domain = slice__str("orders"),
		.event_type = slice__str("created"),
		.run_id = slice__str("run-7"),
		.id = 4711,
		.payload = slice__of(payload, n),
	};
}

static void assert_slice(struct slice s, const char *text)
{
	if (!slice__equal(s, slice__str(text)))
		fail_msg("got \"%.*s\", not \"%s\"", (int)s.n, s.p ? s.p : "", text);
}

/* Decodes a copy of exactly len bytes on the heap, so that ASan sees a byte too far. */
static int decode(enum envelope_kind kind, const void *data, size_t len, struct envelope *e)
{
	static char *copy;

	free(copy); /* the last one's slices are dead by now */
	copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, data, len);
	return envelope__decode(&reader, kind, copy, len, e, &why);
}

static void request_round_trip(void **state)
{
	static const size_t sizes[] = {0, 1, 64, 255, 256, 65535, 65536, 1 << 20};
	struct envelope in, e;
	msgpack_sbuffer buf;
	char *payload = calloc(1, 1 << 20);

	(void)state;
	msgpack_sbuffer_init(&buf);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(payload, 'a' + (int)i, sizes[i]);
		in = sample(payload, sizes[i]);
		msgpack_sbuffer_clear(&buf);
		assert_int_equal(envelope__encode(&buf, ENVELOPE_REQUEST, &in), 0);
		assert_int_equal(decode(ENVELOPE_REQUEST, buf.data, buf.size, &e), 0);
		assert_null(why);
		assert_slice(e.message_id, ID_TEXT);
		assert_slice(e.trace_id, "trace");
		assert_null(e.correlation_id.p);
		assert_slice(e.timestamp, "2026-11-21T21:50:00.123456Z");
		assert_slice(e.source, "cli");
		assert_slice(e.target, "svc-1");
		assert_slice(e.method, "echo");
		assert_true(slice__equal(e.payload, in.payload));
	}
	msgpack_sbuffer_destroy(&buf);
	free(payload);
}

static void response_round_trip(void **state)
{
	struct envelope in = sample("pay", 3), e;
	msgpack_sbuffer buf;

	(void)state;
	msgpack_sbuffer_init(&buf);
	in.correlation_id = slice__str(ID_TEXT);
	assert_int_equal(envelope__encode(&buf, ENVELOPE_RESPONSE, &in), 0);
	assert_int_equal(decode(ENVELOPE_RESPONSE, buf.data, buf.size, &e), 0);
	assert_true(e.success);
	assert_slice(e.correlation_id, ID_TEXT);
	assert_slice(e.payload, "pay");
	assert_null(e.error.p);

	in.has_sum = true;
	in.sum = 1ull << 40;
	msgpack_sbuffer_clear(&buf);
	assert_int_equal(envelope__encode(&buf, ENVELOPE_RESPONSE, &in), 0);
	assert_int_equal(decode(ENVELOPE_RESPONSE, buf.data, buf.size, &e), 0);
	assert_true(e.sum == in.sum);
	assert_null(e.payload.p);

	/* A refusal, of a request whose id could not be read. */
	in.success = false;
	in.error = slice__str("no valid method");
	in.correlation_id = slice__of(NULL, 0);
	msgpack_sbuffer_clear(&buf);
	assert_int_equal(envelope__encode(&buf, ENVELOPE_RESPONSE, &in), 0);
	assert_int_equal(decode(ENVELOPE_RESPONSE, buf.data, buf.size, &e), 0);
	assert_false(e.success);
	assert_slice(e.error, "no valid method");
	assert_null(e.correlation_id.p);
	msgpack_sbuffer_destroy(&buf);
}

static void event_round_trip(void **state)
{
	struct envelope in = sample("data", 4), e;
	msgpack_sbuffer buf;

	(void)state;
	msgpack_sbuffer_init(&buf);
	in.id = UINT64_MAX;
	assert_int_equal(envelope__encode(&buf, ENVELOPE_EVENT, &in), 0);
	assert_int_equal(decode(ENVELOPE_EVENT, buf.data, buf.size, &e), 0);
	assert_slice(e.domain, "orders");
	assert_slice(e.event_type, "created");
	assert_slice(e.run_id, "run-7");
	assert_true(e.id == UINT64_MAX);
	assert_slice(e.payload, "data");
	msgpack_sbuffer_destroy(&buf);
}

/* Another SDK: other order, keys we do not know, a number for the time, str for bin. */
static void foreign_request(void **state)
{
	msgpack_packer pk;
	msgpack_sbuffer buf;
	struct envelope e;

	(void)state;
	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	msgpack_pack_map(&pk, 6);
	msgpack_pack_int(&pk, 7); /* a key that is no string */
	msgpack_pack_true(&pk);
	msgpack_pack_str_with_body(&pk, "params", 6);
	msgpack_pack_map(&pk, 2);
	msgpack_pack_str_with_body(&pk, "deep", 4);
	for (int i = 0; i < 20; i++)
		msgpack_pack_array(&pk, 1);
	msgpack_pack_nil(&pk);
	msgpack_pack_str_with_body(&pk, "payload", 7);
	msgpack_pack_str_with_body(&pk, "text", 4);
	msgpack_pack_str_with_body(&pk, "timestamp", 9);
	msgpack_pack_double(&pk, 1763761800.25);
	msgpack_pack_str_with_body(&pk, "method", 6);
	msgpack_pack_str_with_body(&pk, "sum", 3);
	msgpack_pack_str_with_body(&pk, "message_id", 10);
	msgpack_pack_str_with_body(&pk, "x", 1);
	msgpack_pack_str_with_body(&pk, "priority", 8);
	msgpack_pack_ext_with_body(&pk, "ext", 3, 1);

	assert_int_equal(decode(ENVELOPE_REQUEST, buf.data, buf.size, &e), 0);
	assert_slice(e.method, "sum");
	assert_slice(e.message_id, "x");
	assert_slice(e.payload, "text");
	assert_null(e.timestamp.p);
	assert_null(e.target.p);
	msgpack_sbuffer_destroy(&buf);
}

static void refused(enum envelope_kind kind, const void *data, size_t len, const char *reason)
{
	struct envelope e;

	assert_int_equal(decode(kind, data, len, &e), -EBADMSG);
	assert_string_equal(why, reason);
}

static void wrong_fields(void **state)
{
	struct envelope e;

	(void)state;
	refused(ENVELOPE_REQUEST, "\x80", 1, "no valid message_id");
	refused(ENVELOPE_REQUEST, "\x90", 1, "not a map");
	refused(ENVELOPE_REQUEST, "\xc0", 1, "not a map");
	refused(ENVELOPE_REQUEST, "\x81\xaamessage_id\x05", 13, "no valid message_id");
	refused(ENVELOPE_REQUEST, "\x81\xaamessage_id\xa1x", 14, "no valid method");
	/* The id is known when the rest is refused: the answer names it. */
	assert_int_equal(decode(ENVELOPE_REQUEST, "\x81\xaamessage_id\xa1x", 14, &e), -EBADMSG);
	assert_slice(e.message_id, "x");
	refused(ENVELOPE_REQUEST, "\x82\xaamessage_id\xa1x\xa6method\xa1m", 23, "no valid params");
	refused(ENVELOPE_REQUEST, "\x83\xaamessage_id\xa1x\xa6method\xa1m\xa6params\x90", 31,
		"no valid params");
	refused(ENVELOPE_REQUEST,
		"\x83\xaamessage_id\xa1x\xa6method\xa1m\xa6params\x81\xa7payload\x01", 40,
		"no valid payload");
	refused(ENVELOPE_RESPONSE, "\x82\xaamessage_id\xa1x\xa7success\x01", 23,
		"no valid success");
	refused(ENVELOPE_EVENT,
		"\x83\xaamessage_id\xa1x\xaa"
		"event_type\xa1m\xa7payload\x80",
		36, "no valid run_id");
}

static void hostile_lengths(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"", 0},
		{"\xc1", 1},
		{"\xdd\xff\xff\xff\xff", 5}, /* array of 4 G: 200 GB for msgpack-c */
		{"\xdf\xff\xff\xff\xff", 5},
		{"\xdf\x7f\xff\xff\xff\xc0\xc0", 7},
		{"\xdc\xff\xff", 3},
		{"\xde\xff", 2},
		{"\xdb\xff\xff\xff\xff"
		 "a",
		 6},
		{"\xc6\xff\xff\xff\xff", 5},
		{"\xc9\xff\xff\xff\xff\x01", 6},
		{"\xc4", 1},
		{"\xd9", 1},
		{"\xcf\x01\x02\x03", 4},
		{"\xcb\x01", 2},
		{"\xd8\x01", 2},
		{"\x81\xa1", 2},
		{"\x8f\xc0", 2},
		{"\x80\x80", 2}, /* two objects */
		{"\xbf\x01", 2},
	};
	char deep[4000];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(ENVELOPE_REQUEST, bad[i].bytes, bad[i].len, "not one MessagePack object");
	memset(deep, 0x91, sizeof(deep));
	deep[sizeof(deep) - 1] = (char)0xc0;
	refused(ENVELOPE_REQUEST, deep, sizeof(deep), "nested too deeply");
}

/* Every scalar and container head, as the value of a key that is passed over. */
static void every_type(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} value[] = {
		{"\x7f", 1},
		{"\xff", 1},
		{"\xc2", 1},
		{"\xc3", 1},
		{"\xca\0\0\0\0", 5},
		{"\xcb\0\0\0\0\0\0\0\0", 9},
		{"\xcc\1", 2},
		{"\xcd\1\1", 3},
		{"\xce\1\1\1\1", 5},
		{"\xcf\1\1\1\1\1\1\1\1", 9},
		{"\xd0\1", 2},
		{"\xd1\1\1", 3},
		{"\xd2\1\1\1\1", 5},
		{"\xd3\1\1\1\1\1\1\1\1", 9},
		{"\xd4\1a", 3},
		{"\xd5\1aa", 4},
		{"\xd6\1aaaa", 6},
		{"\xd7\1aaaaaaaa", 10},
		{"\xd8\1aaaaaaaaaaaaaaaa", 18},
		{"\xc7\2\1aa", 5},
		{"\xc8\0\2\1aa", 6},
		{"\xc9\0\0\0\2\1aa", 8},
		{"\xc4\2aa", 4},
		{"\xc5\0\2aa", 5},
		{"\xc6\0\0\0\2aa", 7},
		{"\xd9\2aa", 4},
		{"\xda\0\2aa", 5},
		{"\xdb\0\0\0\2aa", 7},
		{"\x92\xc0\xc0", 3},
		{"\xdc\0\1\xc0", 4},
		{"\xdd\0\0\0\1\xc0", 6},
		{"\xde\0\1\xc0\xc0", 5},
		{"\xdf\0\0\0\1\xc0\xc0", 7},
	};
	static const char head[] = "\x83\xaamessage_id\xa1x\xa7success\xc3\xa1z";
	const size_t n = sizeof(head) - 1;
	struct envelope e;
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(value) / sizeof(value[0]); i++) {
		memcpy(buf, head, n);
		memcpy(buf + n, value[i].bytes, value[i].len);
		assert_int_equal(decode(ENVELOPE_RESPONSE, buf, n + value[i].len, &e), 0);
		/* One byte less is never whole. */
		assert_int_equal(decode(ENVELOPE_RESPONSE, buf, n - 1 + value[i].len, &e),
				 -EBADMSG);
	}
}

/* A valid message with some bytes changed or cut: decodes or is refused, touches nothing else. */
static void mutated(void **state)
{
	struct envelope in = sample("payload", 7), e;
	uint64_t seed = 1;
	msgpack_sbuffer buf;
	char copy[512];
	size_t n;

	(void)state;
	msgpack_sbuffer_init(&buf);
	for (int kind = ENVELOPE_REQUEST; kind <= ENVELOPE_EVENT; kind++) {
		msgpack_sbuffer_clear(&buf);
		assert_int_equal(envelope__encode(&buf, (enum envelope_kind)kind, &in), 0);
		assert_true(buf.size <= sizeof(copy));
		for (int round = 0; round < 30000; round++) {
			n = buf.size;
			memcpy(copy, buf.data, n);
			for (uint64_t k = random__next(&seed) % 4; k < 4; k++)
				copy[random__next(&seed) % n] = (char)random__next(&seed);
			if (random__next(&seed) % 8 == 0)
				n = random__next(&seed) % n;
			decode((enum envelope_kind)kind, copy, n, &e);
		}
	}
	msgpack_sbuffer_destroy(&buf);
}

static void ids(void **state)
{
	struct envelope_ids a, b;
	char x[UUID_LEN + 1], y[UUID_LEN + 1];
	size_t i;

	(void)state;
	assert_int_equal(envelope_ids__init(&a), 0);
	assert_int_equal(envelope_ids__init(&b), 0);
	envelope_ids__format(&a, 0xabcdef012345, x);
	assert_int_equal(strlen(x), UUID_LEN);
	assert_string_equal(x + 24, "abcdef012345");
	assert_int_equal(x[14], '4');
	assert_non_null(strchr("89ab", x[19]));
	for (i = 0; i < UUID_LEN; i++)
		assert_non_null(strchr(
			i == 8 || i == 13 || i == 18 || i == 23 ? "-" : "0123456789abcdef", x[i]));
	envelope_ids__format(&a, 0xabcdef012345, y);
	assert_string_equal(x, y);
	envelope_ids__format(&a, 0xabcdef012346, y);
	assert_string_not_equal(x, y);
	envelope_ids__format(&b, 0xabcdef012345, y);
	assert_string_not_equal(x, y);
	/* The number never reaches the variant bits. */
	envelope_ids__format(&a, UINT64_MAX, y);
	assert_string_equal(y + 24, "ffffffffffff");
	assert_memory_equal(x, y, 24);
}

static void timestamp(void **state)
{
	char t[TIMESTAMP_LEN + 1];
	unsigned int y, mo, d, h, mi, s, us;

	(void)state;
	assert_ptr_equal(envelope__timestamp(t), t);
	assert_int_equal(strlen(t), TIMESTAMP_LEN);
	assert_int_equal(sscanf(t, "%4u-%2u-%2uT%2u:%2u:%2u.%6uZ", &y, &mo, &d, &h, &mi, &s, &us),
			 7);
	assert_true(y >= 2020 && mo >= 1 && mo <= 12 && d >= 1 && d <= 31 && h < 24 && mi < 60);
	assert_int_equal(t[TIMESTAMP_LEN - 1], 'Z');
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_round_trip),
		cmocka_unit_test(response_round_trip),
		cmocka_unit_test(event_round_trip),
		cmocka_unit_test(foreign_request),
		cmocka_unit_test(wrong_fields),
		cmocka_unit_test(hostile_lengths),
		cmocka_unit_test(every_type),
		cmocka_unit_test(mutated),
		cmocka_unit_test(ids),
		cmocka_unit_test(timestamp),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
