/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "out/text.h"
#include "random.h"

static void check(const char *in, const char *want)
{
	struct text t = {0}, again = {0};

	text__add_printable(&t, in);
	assert_string_equal(t.data ? t.data : "", want);
	text__add_printable(&again, want);
	assert_string_equal(again.data ? again.data : "", want);
	text__free(&t);
	text__free(&again);
}

static void hostile_names(void **state)
{
	(void)state;
	check("", "");
	check("rpc.echo.call", "rpc.echo.call");
	check("größe.日本.€.😀", "größe.日本.€.😀");
	check("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07");
	check("a\r\nb\tc\x7f", "a\\x0d\\x0ab\\x09c\\x7f");
	check("\xc2\x9b"
	      "31m",
	      "\\u{009b}31m"); /* CSI as one C1 control */
	check("\xe2\x80\xae"
	      "gpj.exe",
	      "\\u{202e}gpj.exe"); /* right-to-left override */
	check("a\xe2\x80\x8b"
	      "b",
	      "a\\u{200b}b"); /* zero-width space */
	check("\xef\xbb\xbf", "\\u{feff}");
	/* not UTF-8: lone continuation, cut short, overlong '/', surrogate, beyond Unicode, latin-1
	 */
	check("\x80", "\\x80");
	check("a\xe2\x82", "a\\xe2\\x82");
	check("\xc0\xaf", "\\xc0\\xaf");
	check("\xed\xa0\x80", "\\xed\\xa0\\x80");
	check("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	check("\xff\xfe", "\\xff\\xfe");
	check("gr\xf6\xdf"
	      "e",
	      "gr\\xf6\\xdfe");
}

/* Whatever goes in: valid UTF-8 without control characters comes out. */
static void random_bytes(void **state)
{
	uint64_t s = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct text t = {0};
		size_t n = random__next(&s) % 60, len;
		char in[61];

		for (size_t k = 0; k < n; k++)
			in[k] = (char)(1 + random__next(&s) % 255);
		in[n] = 0;
		text__add_printable(&t, in);
		assert_false(t.failed);
		for (const char *p = t.data ? t.data : ""; *p; p += len)
			assert_true(text__is_printable(text__decode(p, &len)));
		text__free(&t);
	}
}

static void widths(void **state)
{
	(void)state;
	assert_int_equal(text__width(""), 0);
	assert_int_equal(text__width("abc"), 3);
	assert_int_equal(text__width("größe"), 5);
	assert_int_equal(text__width("日本"), 4);
	assert_int_equal(text__width("e\xcc\x81"), 1); /* combining accent */
	assert_int_equal(text__width("😀"), 2);
}

static void fit(const char *in, size_t width, const char *want)
{
	struct text t = {0};

	text__add_fit(&t, in, width);
	assert_string_equal(t.data ? t.data : "", want);
	assert_int_equal(text__width(t.data ? t.data : ""), width);
	text__free(&t);
}

static void fitting(void **state)
{
	(void)state;
	fit("abc", 5, "abc  ");
	fit("abc", 3, "abc");
	fit("abcd", 3, "ab…");
	fit("abcd", 1, "…");
	fit("abcd", 0, "");
	fit("größer", 5, "größ…");
	fit("日本語", 6, "日本語");
	fit("日本語", 5, "日本…");
	fit("日本語", 4, "日… "); /* a wide one does not fit into one column */
}

static void growing(void **state)
{
	struct text t = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		text__addf(&t, "%d%0300d", i % 10, 0);
	assert_int_equal(t.len, 301000);
	assert_int_equal(strlen(t.data), t.len);
	assert_false(t.failed);
	text__free(&t);
	assert_null(t.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_names), cmocka_unit_test(random_bytes),
		cmocka_unit_test(widths),	 cmocka_unit_test(fitting),
		cmocka_unit_test(growing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
