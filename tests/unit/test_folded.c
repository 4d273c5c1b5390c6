/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap_fixture.h"
#include "out/folded.h"
#include "stack_walk.h"

static void expect(const struct heap_profile *p, bool grown, const char *want)
{
	char *text;

	PRINTED(text, folded__print(out, p, grown));
	assert_string_equal(text, want);
	free(text);
}

static void outermost_first(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p;

	(void)state;
	fixture__add(&f, &r, 7, "malloc<b<main", 10, 1);
	fixture__add(&f, &r, 7, "malloc<a<main", 20.6, 1);
	fixture__add(&f, &r, 7, "libx.so:?<main", 5, 1);
	fixture__add(&f, &r, 7, "none<main", 0.2, 1);
	fixture__profile(&f, &r, &p);
	expect(&p, false, "main;[unknown] libx.so 5\nmain;a;malloc 21\nmain;b;malloc 10\n");
	heap_profile__free(&p);
	expect(&p, false, "");
}

/* A ';' or a line end in a name would make other stacks of one. */
static void hostile_names(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p;

	(void)state;
	fixture__add(&f, &r, 7, "a;b\n9 9\033[2J<core::f([u8; 4])<m", 10, 1);
	fixture__profile(&f, &r, &p);
	expect(&p, false, "m;core::f([u8\\x3b 4]);a\\x3bb\\x0a9 9\\x1b[2J 10\n");
	heap_profile__free(&p);
}

/* Lines that are told apart in the profile are one stack here. */
static void equal_stacks_add_up(void **state)
{
	struct fixture f = {.lines = true};
	struct heap_reading r = {};
	struct heap_profile p;

	(void)state;
	fixture__add(&f, &r, 7, "f<main", 10, 1);
	fixture__add(&f, &r, 7, "f<main2", 5, 1);
	snprintf(f.names[2], sizeof(f.names[2]), "main");
	fixture__profile(&f, &r, &p);
	assert_int_equal(p.n_sites, 2);
	expect(&p, false, "main;f 15\n");
	p.sites[0].grown_bytes = 4;
	p.sites[1].grown_bytes = -3;
	expect(&p, true, "main;f 14 15\n");
	heap_profile__free(&p);
}

static void roots(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p;

	(void)state;
	fixture__add(&f, &r, 7, "f<main", 10, 1)->flags = STACK_TRUNCATED;
	fixture__add(&f, &r, 8, "f<main", 11, 1)->flags = STACK_BROKEN;
	fixture__add(&f, &r, 8, "", 12, 1);
	fixture__profile(&f, &r, &p);
	expect(&p, false,
	       "app7[7];[stack cut off];main;f 10\n"
	       "app8[8];[stack broken off];main;f 11\n"
	       "app8[8];[stack not kept] 12\n");
	heap_profile__free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outermost_first),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(equal_stacks_add_up),
		cmocka_unit_test(roots),
	};

	return cmocka_run_group_tests_name("folded", tests, NULL, NULL);
}
