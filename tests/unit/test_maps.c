/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sym/maps.h"

static void parse(const char *text, bool exec_only, struct maps *m)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	assert_int_equal(maps__parse(m, copy, strlen(text), exec_only), 0);
}

static void lines(void **state)
{
	struct maps m;

	(void)state;
	parse("00400000-00402000 r-xp 00001000 fd:01 1234 /usr/bin/a b  c\n"
	      "00402000-00403000 rw-p 00000000 00:00 0 \n"
	      "00500000-00501000 rwxs 00000000 00:1a 7                          /dev/shm/x "
	      "(deleted)\n"
	      "7ffd0-7ffd1 r-xp 00000000 00:00 0                          [vdso]\n",
	      false, &m);
	assert_int_equal(m.n, 3);
	assert_int_equal(m.lost, 1); /* the last is out of order */
	assert_int_equal(m.map[0].start, 0x400000);
	assert_int_equal(m.map[0].end, 0x402000);
	assert_int_equal(m.map[0].offset, 0x1000);
	assert_int_equal(m.map[0].major, 0xfd);
	assert_int_equal(m.map[0].minor, 1);
	assert_int_equal(m.map[0].inode, 1234);
	assert_true(m.map[0].read && !m.map[0].write && m.map[0].exec && !m.map[0].shared);
	assert_string_equal(m.map[0].path, "/usr/bin/a b  c");
	assert_false(m.map[0].deleted);
	assert_string_equal(m.map[1].path, "");
	assert_true(m.map[1].write && !m.map[1].exec);
	assert_string_equal(m.map[2].path, "/dev/shm/x");
	assert_true(m.map[2].deleted && m.map[2].shared);
	maps__free(&m);
}

static void only_executable(void **state)
{
	struct maps m;

	(void)state;
	parse("1000-2000 r--p 00000000 08:01 5 /a\n2000-3000 r-xp 00001000 08:01 5 /a\n"
	      "3000-4000 rw-p 00002000 08:01 5 /a",
	      true, &m);
	assert_int_equal(m.n, 1);
	assert_int_equal(m.lost, 0);
	assert_int_equal(m.map[0].start, 0x2000);
	maps__free(&m);
}

static void newlines_in_names(void **state)
{
	struct maps m;

	(void)state;
	parse("1000-2000 r-xp 00000000 08:01 5 /tmp/a\\012b\\01\\012 (deleted)\n", false, &m);
	assert_int_equal(m.n, 1);
	assert_string_equal(m.map[0].path, "/tmp/a\nb\\01\n");
	assert_true(m.map[0].deleted);
	maps__free(&m);
}

static void not_lines(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"1000",
		"1000-",
		"1000-2000",
		"1000-2000 r-x",
		"1000-2000 r-xp",
		"1000-2000 r-xp 0",
		"1000-2000 r-xp 0 08",
		"1000-2000 r-xp 0 08:01",
		"1000-2000 r-xp 0 08:01 ",
		"1000-2000 r-xp 0 08:01 x",
		"-1000-2000 r-xp 0 08:01 5 /a",
		" 1000-2000 r-xp 0 08:01 5 /a",
		"1000-+2000 r-xp 0 08:01 5 /a",
		"2000-1000 r-xp 0 08:01 5 /a",
		"1000-1000 r-xp 0 08:01 5 /a",
		"1000-10000000000000000 r-xp 0 08:01 5 /a",
		"1000-2000 r-xp 0 08:01 99999999999999999999999 /a",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[128];
		struct map m;

		strcpy(line, bad[i]);
		if (map__parse(line, &m) != -EINVAL)
			fail_msg("taken for a line: '%s'", bad[i]);
	}
}

static void find(void **state)
{
	struct maps m;

	(void)state;
	parse("1000-2000 r-xp 0 08:01 5 /a\n2000-3000 r-xp 0 08:01 5 /b\n5000-6000 r-xp 0 08:01 5 "
	      "/c\n",
	      false, &m);
	assert_null(maps__find(&m, 0));
	assert_null(maps__find(&m, 0xfff));
	assert_ptr_equal(maps__find(&m, 0x1000), &m.map[0]);
	assert_ptr_equal(maps__find(&m, 0x1fff), &m.map[0]);
	assert_ptr_equal(maps__find(&m, 0x2000), &m.map[1]);
	assert_null(maps__find(&m, 0x3000));
	assert_null(maps__find(&m, 0x4fff));
	assert_ptr_equal(maps__find(&m, 0x5fff), &m.map[2]);
	assert_null(maps__find(&m, 0x6000));
	assert_null(maps__find(&m, UINT64_MAX));
	maps__free(&m);
}

static void own(void **state)
{
	const struct map *map;
	struct stat st;
	struct maps m;

	(void)state;
	assert_int_equal(maps__read(&m, getpid(), true), 0);
	assert_int_equal(m.lost, 0);
	map = maps__find(&m, (uint64_t)(uintptr_t)own);
	assert_non_null(map);
	assert_int_equal(stat("/proc/self/exe", &st), 0);
	assert_int_equal(map->inode, st.st_ino);
	assert_non_null(strstr(map->path, "test_maps"));
	maps__free(&m);
}

static void no_process(void **state)
{
	struct maps m;
	pid_t pid;

	(void)state;
	assert_int_equal(maps__read(&m, 0x7ffffff0, true), -ESRCH);
	pid = fork();
	if (!pid)
		_exit(0);
	/* a zombie has no memory */
	assert_int_equal(waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT), 0);
	assert_int_equal(maps__read(&m, pid, true), -ESRCH);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(maps__read(&m, pid, true), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(only_executable),
		cmocka_unit_test(newlines_in_names),
		cmocka_unit_test(not_lines),
		cmocka_unit_test(find),
		cmocka_unit_test(own),
		cmocka_unit_test(no_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
