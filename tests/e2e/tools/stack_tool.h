/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A stack of services by hand: it is started, says where everything is, and obeys: a command a line
 * on stdin, a JSON object a line on stdout. Ends with its input, on `quit`, and on SIGTERM.
 */
#ifndef HOPSCOPE_TESTS_STACK_TOOL_H
#define HOPSCOPE_TESTS_STACK_TOOL_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "log.h"
#include "stack/cgroup.h"
#include "stack/rundir.h"
#include "stack/watch.h"

static struct watch watch;
static struct rundir run;
static unsigned int deaths;

/* What the tool is made of. */
static json_t *info(void);
static json_t *obey(const char *what, const char *name, unsigned int number);
static int start(void);
static void stop(void);

static void say(json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT);
	json_decref(j);
	putchar('\n');
	fflush(stdout);
}

/* "NAME=VALUE" in two; NULL: there is no value. */
static char *value_of(char *arg)
{
	char *value = strchr(arg, '=');

	if (value)
		*value++ = '\0';
	return value;
}

/* A line of stdin, waiting with the watch. 0: the end. Commands are written whole. */
static int next_command(char *line, size_t size)
{
	int err = watch__wait(&watch, STDIN_FILENO, UINT64_MAX / 2, NULL);
	size_t len = 0;

	while (err == 1 && len + 1 < size && read(STDIN_FILENO, line + len, 1) == 1 &&
	       line[len] != '\n')
		len++;
	line[len] = '\0';
	return err == 1 && len;
}

static void on_death(void *ctx, struct child *c)
{
	(void)ctx;
	(void)c;
	deaths++;
}

static void commands(void)
{
	char line[256], what[32], name[64];
	unsigned int number;

	say(info());
	while (next_command(line, sizeof(line)) && strcmp(line, "quit") != 0) {
		name[0] = '\0';
		number = 0;
		if (sscanf(line, "%31s %63s %u", what, name, &number) >= 1)
			say(obey(what, name, number));
	}
}

/* The rest of main(), when its arguments are understood. Returns an enum exit_code. */
static int stack_tool(void)
{
	struct cgroup_mounts mounts;
	int err = cgroup__mounts(&mounts);

	if (err)
		return EXIT_RUNTIME;
	rundir__sweep(&mounts);
	err = watch__init(&watch, NULL);
	if (!err)
		watch__tell(&watch, on_death);
	if (!err)
		err = rundir__create(&run, &mounts);
	if (!err)
		err = cgroup__create(&run.cgroup, true);
	if (!err)
		err = start();
	if (!err)
		commands();
	stop();
	watch__close(&watch);
	rundir__remove(&run);
	return err ? EXIT_RUNTIME : EXIT_PASS;
}

#endif
