// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stack/file.h"
#include "stack/template.h"

static struct template_vars vars;

static int set_up(void **state)
{
	(void)state;
	memset(&vars, 0, sizeof(vars));
	template__set(&vars, "PORT", "%u", 8000u);
	template__set(&vars, "PORTS", "many");
	template__set(&vars, "EMPTY", "%s", "");
	template__set(&vars, "AT", "@PORT@");
	return 0;
}

static void expect(const char *text, const char *want)
{
	char *out = NULL, unknown[32];
	unsigned int line;

	assert_int_equal(template__expand(text, &vars, &out, &line, unknown, sizeof(unknown)), 0);
	assert_string_equal(out, want);
	free(out);
}

static void test_expand(void **state)
{
	(void)state;
	expect("", "");
	expect("no names", "no names");
	expect("listen @PORT@;", "listen 8000;");
	expect("@PORT@@PORTS@", "8000many");
	expect("a@EMPTY@b", "ab");
	/* What a value holds is not looked at again. */
	expect("@AT@", "@PORT@");
}

static void test_at_signs(void **state)
{
	(void)state;
	expect("user@example.org", "user@example.org");
	expect("@", "@");
	expect("@@", "@@");
	expect("@@PORT@", "@8000");
	expect("@PORT", "@PORT");
	expect("@PORT @PORT@", "@PORT 8000");
	expect("[=,.@:/*$?-]", "[=,.@:/*$?-]");
	expect("@port@", "@port@");
}

static void test_unknown_name(void **state)
{
	char *out = NULL, unknown[32];
	unsigned int line;

	(void)state;
	assert_int_equal(template__expand("a @PORT@\nb\nc @POR@\n", &vars, &out, &line, unknown,
					  sizeof(unknown)),
			 -EINVAL);
	assert_null(out);
	assert_int_equal(line, 3);
	assert_string_equal(unknown, "POR");
}

static void test_set(void **state)
{
	static char names[TEMPLATE_MAX_VARS + 1][8];
	static char too_long[TEMPLATE_VALUE_LEN + 1];
	int i, err = 0;

	(void)state;
	assert_int_equal(template__set(&vars, "PORT", "9"), 0);
	expect("@PORT@", "9");
	memset(too_long, 'x', sizeof(too_long) - 1);
	assert_int_equal(template__set(&vars, "PORT", "%s", too_long), -E2BIG);
	for (i = 0; i <= TEMPLATE_MAX_VARS && !err; i++) {
		snprintf(names[i], sizeof(names[i]), "N%d", i);
		err = template__set(&vars, names[i], "x");
	}
	assert_int_equal(err, -E2BIG);
	assert_int_equal(vars.n, TEMPLATE_MAX_VARS);
}

static void test_files(void **state)
{
	char dir[] = "/tmp/hopscope-template-XXXXXX", from[PATH_MAX], to[PATH_MAX], text[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	path__format(from, "%s/in", dir);
	path__format(to, "%s/out", dir);
	assert_int_equal(file__create(from, "port @PORT@\n"), 0);
	assert_int_equal(template__render(from, to, &vars), 0);
	/* Anew, over the one that is there. */
	template__set(&vars, "PORT", "1");
	assert_int_equal(template__render(from, to, &vars), 0);
	assert_int_equal(file__read(to, text, sizeof(text)), 7);
	assert_string_equal(text, "port 1\n");
	assert_int_equal(tree__remove(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_expand, set_up),
		cmocka_unit_test_setup(test_at_signs, set_up),
		cmocka_unit_test_setup(test_unknown_name, set_up),
		cmocka_unit_test_setup(test_set, set_up),
		cmocka_unit_test_setup(test_files, set_up),
	};

	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
