/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why the processes of a profile have no names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "heap/names.h"
#include "heap_fixture.h"

#define NOBODY 2000000000 /* no pid is as large */

static void beyond_the_table(void **state)
{
	struct heap_names *n = heap_names__open();
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p;

	(void)state;
	for (int i = 0; i < 1024; i++)
		assert_int_equal(heap_names__learn(n, NOBODY + i), -ESRCH);
	assert_int_equal(heap_names__learn(n, NOBODY + 1024), -ENOSPC);
	assert_int_equal(heap_names__learn(n, NOBODY), -ESRCH);
	fixture__add(&f, &r, NOBODY, "f<main", 1, 1);
	fixture__add(&f, &r, NOBODY + 1024, "f<main", 1, 1);
	fixture__add(&f, &r, NOBODY + 1025, "f<main", 1, 1);
	fixture__add(&f, &r, NOBODY + 1024, "g<main", 1, 1);
	fixture__add(&f, &r, 0, "", 1, 1);
	fixture__profile(&f, &r, &p);
	heap_names__note(n, &p);
	assert_string_equal(p.notes[0],
			    "2 more processes than the 1024 whose files are read: their "
			    "frames have no names");
	assert_string_equal(p.notes[1], "process 2000000000 ended before its files could be read: "
					"its frames have no names");
	assert_int_equal(p.n_notes + p.notes_lost, 1025);
	heap_profile__free(&p);
	heap_names__close(n);
}

/* It lives: to say that it ended would be false. */
static void no_descriptor_is_no_end(void **state)
{
	struct heap_names *n = heap_names__open();
	struct fixture f = {};
	struct heap_reading r = {};
	struct rlimit was, none;
	struct heap_profile p;
	int err;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	err = heap_names__learn(n, getpid());
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(err, -EMFILE);
	fixture__add(&f, &r, (uint32_t)getpid(), "f<main", 1, 1);
	fixture__profile(&f, &r, &p);
	heap_names__note(n, &p);
	assert_int_equal(p.n_notes, 1);
	assert_non_null(strstr(p.notes[0], "its files could not be read: Too many open files"));
	heap_profile__free(&p);
	heap_names__close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beyond_the_table),
		cmocka_unit_test(no_descriptor_is_no_end),
	};

	return cmocka_run_group_tests_name("heap names", tests, NULL, NULL);
}
