/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A scenario file, and what is said of it. For one kind of scenario a test program, which says
 * before it includes this:
 *
 *	#define SCENARIO      struct scenario
 *	#define SCENARIO_LOAD scenario__load
 *	#define SCENARIO_FREE scenario__free
 */
#ifndef HOPSCOPE_TESTS_SCENARIO_FIXTURE_H
#define HOPSCOPE_TESTS_SCENARIO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random.h"

static char dir[PATH_MAX], file[PATH_MAX + 8], said_file[PATH_MAX + 8];
static char said[4096]; /* what was last printed on stderr */
static int saved_stderr;

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%s/hopscope-scenario-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/s.yaml", dir);
	snprintf(said_file, sizeof(said_file), "%s/stderr", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file);
	unlink(said_file);
	return rmdir(dir);
}

static void begin_listening(void)
{
	saved_stderr = dup(STDERR_FILENO);
	fflush(stderr);
	assert_non_null(freopen(said_file, "w", stderr));
}

static void end_listening(void)
{
	size_t n;
	FILE *f;

	fflush(stderr);
	assert_int_not_equal(dup2(saved_stderr, STDERR_FILENO), -1);
	close(saved_stderr);
	f = fopen(said_file, "r");
	assert_non_null(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	fclose(f);
}

static SCENARIO *load_file(const char *path)
{
	SCENARIO *s;

	begin_listening();
	s = SCENARIO_LOAD(path);
	end_listening();
	return s;
}

static void write_file(const char *text, size_t len)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static SCENARIO *load(const char *text)
{
	write_file(text, strlen(text));
	return load_file(file);
}

/* The file must be refused with one line that says "s.yaml:LINE: " and `reason`. */
static void refuses(const char *text, unsigned int line, const char *reason)
{
	SCENARIO *s = load(text);
	char where[PATH_MAX + 32];

	snprintf(where, sizeof(where), "hopscope: %s:%u: ", file, line);
	if (s || strncmp(said, where, strlen(where)) != 0 || !strstr(said, reason) ||
	    strchr(said, '\n') != said + strlen(said) - 1)
		fail_msg("for\n%s\nwanted line %u and \"%s\", got %s: %s\n", text, line, reason,
			 s ? "a scenario" : "an error", said);
}

/* Damaged files are refused or understood; never a crash (the sanitizers watch). */
static void damage(const char *path, uint64_t seed)
{
	static char whole[16384], text[16384];
	FILE *f = fopen(path, "r");
	size_t len;
	int i;

	if (!f)
		skip();
	len = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	assert_true(len < sizeof(whole));
	for (i = 0; i < 1500; i++) {
		size_t n = len, k;

		memcpy(text, whole, len);
		if (i % 3 == 0)
			n = (size_t)(random__next(&seed) % len) + 1;
		for (k = 0; k < 4; k++)
			text[random__next(&seed) % n] =
				"\n :-[]{}x0\"'\t&*#"[random__next(&seed) % 16];
		write_file(text, n);
		SCENARIO_FREE(load_file(file));
	}
}

#endif
