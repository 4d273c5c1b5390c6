/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"
#include "out/markdown.h"
#include "out/session.h"
#include "out/text.h"

static char why[512];

static void assert_printable(const char *text)
{
	for (size_t len; *text; text += len) {
		int32_t cp = text__decode(text, &len);

		assert_true(cp == '\n' || text__is_printable(cp));
	}
}

/* If a session passes the check, then rendering it must work and be printable. */
static bool accepted_and_rendered(const json_t *s)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f;
	int err;

	why[0] = 0;
	err = session__check(s, why, sizeof(why));
	assert_true(err <= 0);
	if (err) {
		assert_true(why[0]);
		assert_printable(why);
		return false;
	}
	f = open_memstream(&text, &len);
	assert_int_equal(markdown__report(f, s), 0);
	fclose(f);
	assert_printable(text);
	assert_true(text[len - 1] == '\n' && text[len - 2] != '\n');
	free(text);
	return true;
}

static void a_whole_session_is_accepted(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	assert_true(accepted_and_rendered(s));
	json_decref(s);
}

static void the_smallest_session_is_accepted(void **state)
{
	json_t *s = fixture__parse("{\"schema\": 1, \"phases\": []}");

	(void)state;
	assert_true(accepted_and_rendered(s));
	json_decref(s);
}

static void not_a_session(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *says;
	} table[] = {
		{"[]", -EINVAL, "\"schema\""},
		{"{}", -EINVAL, "\"schema\""},
		{"{\"schema\": \"1\", \"phases\": []}", -EINVAL, "\"schema\""},
		{"{\"schema\": 2, \"phases\": []}", -EPROTONOSUPPORT, "schema is 2"},
		{"{\"schema\": 0, \"phases\": []}", -EPROTONOSUPPORT, "schema is 0"},
		{"{\"schema\": 1}", -EINVAL, "\"phases\""},
		{"{\"schema\": 1, \"phases\": {}}", -EINVAL, "\"phases\""},
		{"{\"schema\": 1, \"series\": [], \"accounting\": {}}", -EINVAL, "trace --json"},
		{"{\"schema\": 1, \"phases\": [], \"duration_s\": \"long\"}", -EINVAL,
		 "duration_s: is not a number"},
		{"{\"schema\": 1, \"phases\": [{\"rate_per_s\": {\"value\": []}}]}", -EINVAL,
		 "phases[0].rate_per_s.value: is not a number"},
		{"{\"schema\": 1, \"phases\": [], \"duration_s\": -1.1e18}", -EINVAL,
		 "duration_s: is not a number"},
		{"{\"schema\": 1, \"phases\": [{\"growth\": [{\"readings\": [[0, 0], [1, "
		 "1e308]]}]}]}",
		 -EINVAL, "phases[0].growth[0].readings: is not a list of [number, number]"},
		{"{\"schema\": 1, \"phases\": [{\"rounds\": 1.5}]}", -EINVAL,
		 "phases[0].rounds: is not a count"},
		{"{\"schema\": 1, \"phases\": [{\"name\": 1}]}", -EINVAL,
		 "phases[0].name: is not a text"},
		{"{\"schema\": 1, \"phases\": [], \"complete\": 1}", -EINVAL, "complete: "},
		{"{\"schema\": 1, \"phases\": [3]}", -EINVAL, "phases[0]: is not an object"},
		{"{\"schema\": 1, \"phases\": [{}, {\"latency\": {\"client\": {\"buckets\": [[5, "
		 "1], [5, 1]]}}}]}",
		 -EINVAL, "phases[1].latency.client.buckets"},
		{"{\"schema\": 1, \"phases\": [{\"latency\": {\"client\": {\"buckets\": [[1216, "
		 "1]]}}}]}",
		 -EINVAL, "out of range"},
		{"{\"schema\": 1, \"phases\": [{\"latency\": {\"client\": {\"buckets\": [[-1, "
		 "1]]}}}]}",
		 -EINVAL, "buckets"},
		{"{\"schema\": 1, \"phases\": [{\"latency\": {\"client\": {\"buckets\": [[1, "
		 "-1]]}}}]}",
		 -EINVAL, "buckets"},
		{"{\"schema\": 1, \"phases\": [{\"latency\": {\"client\": {\"count\": 2, "
		 "\"buckets\":"
		 " [[1, 1]]}}}]}",
		 -EINVAL, "count"},
		{"{\"schema\": 1, \"phases\": [{\"latency\": {\"client\": {\"buckets\":"
		 " [[1, 9007199254740992], [2, 1]]}}}]}",
		 -EINVAL, "2^53"},
		{"{\"schema\": 1, \"phases\": [], \"targets\": [{\"verdict\": \"GREAT\"}]}",
		 -EINVAL, "targets[0].verdict"},
		{"{\"schema\": 1, \"phases\": [], \"targets\": [{\"op\": \"<\"}]}", -EINVAL,
		 "targets[0].op"},
		{"{\"schema\": 1, \"phases\": [], \"accounting\": {\"reasons\": {\"x\": -1}}}",
		 -EINVAL, "accounting.reasons"},
		{"{\"schema\": 1, \"phases\": [], \"configuration\": [[\"a\"]]}", -EINVAL,
		 "configuration"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		json_t *s = fixture__parse(table[i].text);

		assert_int_equal(session__check(s, why, sizeof(why)), table[i].err);
		if (!strstr(why, table[i].says))
			fail_msg("\"%s\" does not say \"%s\"", why, table[i].says);
		json_decref(s);
	}
}

/*
 * Every value of a whole session, one by one, becomes every other kind of value: the check turns it
 * down or it renders, and nothing crashes (run it under the sanitizers).
 */
static const char *const strange[] = {
	"null",
	"true",
	"17",
	"-1",
	"1e308",
	"-0.5",
	"\"\"",
	"\"\\u001b[31m`|\"",
	"[]",
	"{}",
	"[[1,2]]",
	"[{}]",
	"9223372036854775807",
	"{\"value\": \"x\"}",
	"\"<=\"",
};

static unsigned int mutations, accepted;

static void mutate(json_t *session, json_t *at)
{
	for (size_t i = 0; i < json_array_size(at) && i < 3; i++) {
		json_t *was = json_incref(json_array_get(at, i));

		mutate(session, was);
		for (size_t k = 0; k < sizeof(strange) / sizeof(strange[0]); k++) {
			json_error_t error;

			json_array_set_new(at, i, json_loads(strange[k], JSON_DECODE_ANY, &error));
			accepted += accepted_and_rendered(session);
			mutations++;
		}
		json_array_set_new(at, i, was);
	}
	for (void *i = json_object_iter(at); i; i = json_object_iter_next(at, i)) {
		json_t *was = json_incref(json_object_iter_value(i));

		mutate(session, was);
		for (size_t k = 0; k < sizeof(strange) / sizeof(strange[0]); k++) {
			json_error_t error;

			json_object_iter_set_new(at, i,
						 json_loads(strange[k], JSON_DECODE_ANY, &error));
			accepted += accepted_and_rendered(session);
			mutations++;
		}
		json_object_iter_set_new(at, i, was);
	}
}

static void every_value_replaced(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	mutate(s, s);
	assert_true(mutations > 5000);
	/* null is fine nearly everywhere, other things are not */
	assert_true(accepted > mutations / 15 && accepted < mutations / 2);
	assert_true(accepted_and_rendered(s));
	json_decref(s);
}

static void every_key_removed(void **state)
{
	json_t *s = fixture__session();
	const char *key;
	json_t *v;
	void *tmp;

	(void)state;
	/* one more each time, until nothing is left */
	json_object_foreach_safe(s, tmp, key, v)
	{
		bool needed = !strcmp(key, "schema") || !strcmp(key, "phases");

		if (needed)
			continue;
		json_object_del(s, key);
		assert_true(accepted_and_rendered(s));
	}
	json_decref(s);
}

static void write_file(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static void loading(void **state)
{
	char dir[] = "/tmp/hopscope-test.XXXXXX", path[64], *text = NULL, *again = NULL;
	json_t *s = fixture__session(), *back;
	size_t len = 0, again_len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/session.json", dir);
	session__dump(s, f);
	fclose(f);
	assert_int_equal(session__load(path, &back, why, sizeof(why)), -ENOENT);
	assert_null(back);
	assert_int_equal(session__load(dir, &back, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, path));
	write_file(path, text, len);
	assert_int_equal(session__load(path, &back, why, sizeof(why)), 0);
	f = open_memstream(&again, &again_len);
	session__dump(back, f);
	fclose(f);
	assert_string_equal(again, text);
	free(again);
	json_decref(back);
	assert_int_equal(session__load(dir, &back, why, sizeof(why)), 0);
	json_decref(back);
	/* cut short anywhere; what is after the last brace does not count */
	for (size_t cut = 0; cut < len - 1; cut += 1 + len / 300) {
		write_file(path, text, cut);
		assert_int_equal(session__load(path, &back, why, sizeof(why)), -EINVAL);
		assert_null(back);
		assert_printable(why);
	}
	/* and something after it, a key twice, bytes that are no text */
	write_file(path, "{\"schema\": 1, \"phases\": []} x", 30);
	assert_int_equal(session__load(path, &back, why, sizeof(why)), -EINVAL);
	write_file(path, "{\"schema\": 1, \"schema\": 1, \"phases\": []}", 40);
	assert_int_equal(session__load(path, &back, why, sizeof(why)), -EINVAL);
	write_file(path, "{\"\x1b[31m\": \xff}", 11);
	assert_int_equal(session__load(path, &back, why, sizeof(why)), -EINVAL);
	assert_printable(why);
	write_file(path, "{\"a\": \x1b[31m}", 12);
	assert_int_equal(session__load(path, &back, why, sizeof(why)), -EINVAL);
	assert_printable(why);
	unlink(path);
	rmdir(dir);
	free(text);
	json_decref(s);
}

static void deep_nesting(void **state)
{
	static char text[200001];
	char dir[] = "/tmp/hopscope-test.XXXXXX", path[64];
	json_t *s;

	(void)state;
	memset(text, '[', sizeof(text) - 1);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	write_file(path, text, sizeof(text) - 1);
	assert_int_equal(session__load(path, &s, why, sizeof(why)), -EINVAL);
	unlink(path);
	rmdir(dir);
}

static void accessors(void **state)
{
	json_t *o = fixture__parse("{\"n\": 1.5, \"t\": \"x\", \"z\": null, \"b\": false}");

	(void)state;
	assert_true(session__get_number(o, "n") == 1.5);
	assert_true(isnan(session__get_number(o, "t")));
	assert_true(isnan(session__get_number(o, "z")));
	assert_true(isnan(session__get_number(NULL, "z")));
	assert_string_equal(session__get_text(o, "t"), "x");
	assert_string_equal(session__get_text(o, "n"), "");
	assert_string_equal(session__get_text(NULL, "n"), "");
	assert_null(session__get(o, "z"));
	assert_null(session__get(o, "absent"));
	assert_false(session__get_bool(o, "b", true));
	assert_true(session__get_bool(o, "z", true));
	assert_false(session__get_bool(o, "absent", false));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_session_is_accepted),
		cmocka_unit_test(the_smallest_session_is_accepted),
		cmocka_unit_test(not_a_session),
		cmocka_unit_test(every_value_replaced),
		cmocka_unit_test(every_key_removed),
		cmocka_unit_test(loading),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(accessors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
