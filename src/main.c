// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hopscope COMMAND: finds the command, runs it, and sees to it that its output arrived. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "log.h"

#ifndef HOPSCOPE_VERSION
#error "the Makefile gives HOPSCOPE_VERSION"
#endif

#define NAME_MAX_LEN 32 /* of a command; longer input is not worth a suggestion */

struct command {
	const char *name;
	const char *args;
	const char *help;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define COMMAND_ROW(name, args, help) {#name, args, help, cmd_##name},
	COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *f)
{
	fputs("hopscope: eBPF latency and memory profiler\n\n"
	      "usage: hopscope COMMAND [options]\n\n",
	      f);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-8s %-14s %s\n", commands[i].name, commands[i].args,
			commands[i].help);
	fputs("\n  hopscope help COMMAND    the command's options\n"
	      "  hopscope --version\n\n"
	      "exit codes: 0 every target passed; 1 a run-time error; 2 usage; 3 a target FAILED;\n"
	      "4 none failed, but one is INCONCLUSIVE, NO DATA or INVALID\n",
	      f);
}

static const struct command *command__find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* Levenshtein's distance of two words shorter than NAME_MAX_LEN. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i] != b[j - 1]);

			diagonal = row[j];
			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j - 1] + 1)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

static int command__unknown(const char *name)
{
	const char *best = NULL;
	size_t least = 3; /* two slips of the finger */
	size_t len = strlen(name);

	for (size_t i = 0; i < N_COMMANDS && len < NAME_MAX_LEN; i++) {
		size_t d = distance(name, commands[i].name);

		if (len >= 2 && !strncmp(name, commands[i].name, len))
			d = 0;
		if (d < least) {
			least = d;
			best = commands[i].name;
		}
	}
	if (best)
		log_fail(0, "unknown command '%s': did you mean '%s'?", name, best);
	else
		log_fail(0, "unknown command '%s': `hopscope --help` lists them", name);
	return EXIT_USAGE;
}

/* `hopscope help [COMMAND]`: a command explains itself. */
static int help(int argc, char **argv)
{
	const struct command *c;
	char option[] = "--help";
	char *args[] = {argc > 1 ? argv[1] : NULL, option, NULL};

	if (argc < 2) {
		usage(stdout);
		return EXIT_PASS;
	}
	c = command__find(argv[1]);
	return c ? c->run(2, args) : command__unknown(argv[1]);
}

static int dispatch(int argc, char **argv)
{
	const struct command *c;

	if (argc < 1) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h") || !strcmp(argv[0], "help"))
		return help(argc, argv);
	if (!strcmp(argv[0], "--version") || !strcmp(argv[0], "-V")) {
		puts("hopscope " HOPSCOPE_VERSION);
		return EXIT_PASS;
	}
	if (!strcmp(argv[0], "__worker"))
		return cmd_worker(argc, argv);
	c = command__find(argv[0]);
	return c ? c->run(argc, argv) : command__unknown(argv[0]);
}

/*
 * Were one of the first three descriptors closed, the next file or BPF object opened would take its
 * place, and messages would be written into it. /dev/null the wrong way round makes them fail.
 */
static int descriptors__reserve(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			return -1;
	}
	return 0;
}

/* What was printed may still sit in a buffer: a full disk or a closed pipe shows only now. */
static int output__finish(int rc)
{
	const char *why = ferror(stdout) ? "a write failed" : NULL;

	if (fflush(stdout))
		why = strerror(errno);
	if (!why)
		return rc;
	log_fail(0, "cannot write to standard output: %s", why);
	return EXIT_RUNTIME;
}

int main(int argc, char **argv)
{
	if (descriptors__reserve())
		return EXIT_RUNTIME;
	/* A reader that went away is an error to report and clean up after, not sudden death. */
	signal(SIGPIPE, SIG_IGN);
	return output__finish(dispatch(argc - 1, argv + 1));
}
