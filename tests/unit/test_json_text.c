/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The text writer against the builder: a parser finds the same in both. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "out/json.h"
#include "out/json_text.h"

/* What was written, parsed; frees it. */
static json_t *parsed(struct json_text *j)
{
	json_t *o;

	assert_false(j->text.failed);
	o = json_loadb(j->text.data, j->text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	assert_non_null(o);
	text__free(&j->text);
	return o;
}

static void same_number(double v)
{
	struct json_text j = {0};
	json_t *want = session__number(v), *got;

	json_text__number(&j, NULL, v);
	got = parsed(&j);
	assert_int_equal(json_typeof(got), json_typeof(want));
	if (json_is_real(want))
		assert_true(fabs(json_real_value(got) - v) <= fabs(v) * 1e-14);
	else
		assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
}

static void test_numbers(void **state)
{
	static const double list[] = {0,    -0.0,     1.5,	 0.1,	-3,	2.5e10,
				      NAN,  INFINITY, -INFINITY, 1e300, 1e-300, 8999999999999999.0,
				      9e15, -9e15,    -1.0 / 3};
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		same_number(list[i]);
	for (int i = 0; i < 20000; i++) {
		double v;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		memcpy(&v, &seed, sizeof(v));
		same_number(v);
	}
}

static void test_integers(void **state)
{
	static const int64_t list[] = {0, 1, -1, 9, 10, INT64_MAX, INT64_MIN, INT64_MIN + 1};
	struct json_text j = {0};
	json_t *o;

	(void)state;
	json_text__open(&j, NULL, '[');
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		json_text__integer(&j, NULL, list[i]);
	json_text__close(&j, ']');
	o = parsed(&j);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		assert_true(json_integer_value(json_array_get(o, i)) == list[i]);
	json_decref(o);
}

static void same_text(const char *s)
{
	struct json_text j = {0};
	json_t *want = session__text(s), *got;

	json_text__text(&j, NULL, s);
	got = parsed(&j);
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
}

/* Any bytes, and most of all those that mean something to JSON. */
static void test_texts(void **state)
{
	static const char odd[] = "\"\\\x01\n\x7f\xff\xc2\x9b\xe2\x80\xae/ab{}[],:";
	uint64_t seed = 7;
	char s[24];

	(void)state;
	same_text(NULL);
	same_text("");
	same_text("/kubepods/pod-1 (x)");
	same_text("gr\xc3\xb6\xc3\x9f"
		  "e\"");
	for (int i = 0; i < 20000; i++) {
		size_t n = 0;

		do {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			s[n] = seed >> 63 ? odd[(seed >> 40) % (sizeof(odd) - 1)]
					  : (char)(1 + (seed >> 33) % 255);
		} while (++n < sizeof(s) - 1 && (seed >> 20) % 16);
		s[n] = 0;
		same_text(s);
	}
}

static void test_nesting(void **state)
{
	struct json_text j = {0};

	(void)state;
	json_text__open(&j, NULL, '{');
	json_text__open(&j, "a", '[');
	json_text__close(&j, ']');
	json_text__bool(&j, "b", true);
	json_text__open(&j, "c", '[');
	json_text__open(&j, NULL, '{');
	json_text__null(&j, "d");
	json_text__close(&j, '}');
	json_text__integer(&j, NULL, 2);
	json_text__close(&j, ']');
	json_text__close(&j, '}');
	assert_string_equal(j.text.data, "{\"a\": [], \"b\": true, \"c\": [{\"d\": null}, 2]}");
	text__free(&j.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_nesting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
