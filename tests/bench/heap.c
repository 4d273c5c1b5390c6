// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a pair of malloc and free costs, by what watches it. A process does nothing else; variants
 * take turns, so that a noisy machine disturbs them alike; quoted are medians of slices, and of
 * ratios within a turn.
 *
 *   heap [turns] [milliseconds a slice] [shell command that watches process $1]
 *
 * The command (memleak, say) gets a slice in every turn too; it has SETTLE seconds (3) to attach.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe/heap.h"

#define TURNS_MAX 100

struct variant {
	const char *name;
	bool attached;
	struct heap_opts opts;
	double ns[TURNS_MAX];
};

static struct variant variants[] = {
	{.name = "bare"},
	{.name = "exact, with stacks", .attached = true},
	{.name = "exact, no session probes", .attached = true, .opts.no_session = true},
	{.name = "exact, perf events", .attached = true, .opts.no_multi = true},
	{.name = "sampled 512 KiB, session probes",
	 .attached = true,
	 .opts.sample_bytes = 512 * 1024},
	{.name = "same programs at function entry",
	 .attached = true,
	 .opts = {.no_multi = true, .at_entry = true}},
	{.name = "command"},
};

#define N_VARIANTS (sizeof(variants) / sizeof(variants[0]))

static volatile uint64_t *pairs; /* shared with the child */
static pid_t child;

/* The child's processor time: what else runs on the machine is not its cost. */
static uint64_t child_ns(void)
{
	struct timespec ts = {0};
	clockid_t clock;

	if (clock_getcpuclockid(child, &clock) || clock_gettime(clock, &ts))
		exit(1);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Some calls deep, so that there is a stack to walk. */
static __attribute__((noinline)) void work(int depth)
{
	void *volatile p;

	if (depth) {
		work(depth - 1);
		asm volatile("");
		return;
	}
	while (*pairs != UINT64_MAX) {
		for (int i = 0; i < 16; i++) {
			p = malloc(64);
			free(p);
		}
		*pairs += 16;
	}
}

static void start_child(void)
{
	pairs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	child = fork();
	if (!child)
		work(8);
}

static double slice(int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	uint64_t n = *pairs, start = child_ns();

	nanosleep(&ts, NULL);
	return (double)(child_ns() - start) / (double)(*pairs - n + 1);
}

/* A process group of its own, so that all of it can be ended. */
static pid_t start_command(const char *command)
{
	const char *settle = getenv("SETTLE");
	char pid[16];
	pid_t p;

	snprintf(pid, sizeof(pid), "%d", child);
	p = fork();
	if (!p) {
		setpgid(0, 0);
		execl("/bin/sh", "sh", "-c", command, "sh", pid, NULL);
		_exit(127);
	}
	setpgid(p, p);
	sleep(settle ? (unsigned int)atoi(settle) : 3);
	return p;
}

static double measure(struct variant *v, const char *command, int ms)
{
	struct heap *h = NULL;
	pid_t p = 0;
	double ns;

	if (v->attached) {
		v->opts.pids[0] = child;
		v->opts.n_pids = 1;
		if (heap__open(&h, &v->opts))
			exit(1);
	} else if (!strcmp(v->name, "command")) {
		p = start_command(command);
	}
	slice(20);
	ns = slice(ms);
	heap__close(h);
	if (p) {
		kill(-p, SIGINT);
		waitpid(p, NULL, 0);
	}
	return ns;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *of, size_t n)
{
	double sorted[TURNS_MAX];

	memcpy(sorted, of, n * sizeof(*of));
	qsort(sorted, n, sizeof(*sorted), by_value);
	return sorted[n / 2];
}

static void report(size_t turns, size_t used)
{
	double ratio[TURNS_MAX];
	size_t peer = used - 1;

	for (size_t i = 0; i < used; i++) {
		printf("%-34s %8.0f ns a pair", variants[i].name, median(variants[i].ns, turns));
		for (size_t t = 0; t < turns; t++) {
			double mine = variants[i].ns[t] - variants[0].ns[t];

			ratio[t] = (variants[peer].ns[t] - variants[0].ns[t]) / mine;
		}
		if (i && i < peer)
			printf(", %.1fx cheaper than '%s'", median(ratio, turns),
			       variants[peer].name);
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	size_t turns = argc > 1 ? (size_t)atoi(argv[1]) : 9;
	int ms = argc > 2 ? atoi(argv[2]) : 150;
	const char *command = argc > 3 ? argv[3] : NULL;
	size_t used = command ? N_VARIANTS : N_VARIANTS - 1;

	if (!turns || turns > TURNS_MAX || ms < 1)
		return 2;
	start_child();
	for (size_t t = 0; t < turns; t++) {
		for (size_t i = 0; i < used; i++)
			variants[i].ns[t] = measure(&variants[i], command, ms);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (command && median(variants[used - 1].ns, turns) < 10 * median(variants[0].ns, turns)) {
		fprintf(stderr,
			"heap: the command did not attach: its slices are as the bare ones\n");
		used--;
		report(turns, used);
		return 1;
	}
	report(turns, used);
	return 0;
}
