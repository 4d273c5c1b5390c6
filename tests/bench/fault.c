// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What heap --pages costs a program that does nothing but fault, and one that is not watched:
 *slices with and without the programs attached, in turns.
 *
 *	fault PAIRS MILLISECONDS [N...]     one page in N followed (default: the default)
 *	fault PAIRS run PID COMMAND         processor time of PID, and time, that COMMAND takes
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe/pages.h"

#define BLOCK	   (2ul << 20)
#define BLOCKS_MAX 8192

/* Shared with the program that faults: what each block took, in the slices that are on. */
struct board {
	_Atomic int on;
	_Atomic uint32_t n;
	uint64_t ns[BLOCKS_MAX];
};

struct fault_load {
	struct board *board;
	unsigned int ms;
};

/* Processor time: other programs' turns are not ours. */
static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Some depth, as real programs have. */
__attribute__((noinline)) static void touch(char *at, size_t bytes, int depth)
{
	if (depth) {
		touch(at, bytes, depth - 1);
		__asm__ volatile("" ::: "memory");
		return;
	}
	for (size_t i = 0; i < bytes; i += 4096)
		((volatile char *)at)[i] = 1;
}

static void fault_forever(struct board *b)
{
	char *block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(block, BLOCK, MADV_NOHUGEPAGE);
	for (;;) {
		uint64_t t0 = now_ns();
		uint32_t n = atomic_load(&b->n);

		touch(block, BLOCK, 12);
		if (atomic_load(&b->on) && n < BLOCKS_MAX) {
			b->ns[n] = now_ns() - t0;
			atomic_store(&b->n, n + 1);
		}
		madvise(block, BLOCK, MADV_DONTNEED);
	}
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Nanoseconds a fault in one slice: the median of its blocks. */
static double slice(struct board *b, unsigned int ms)
{
	uint32_t n;

	usleep(5000); /* the block that was begun before */
	atomic_store(&b->n, 0);
	atomic_store(&b->on, 1);
	usleep(ms * 1000);
	atomic_store(&b->on, 0);
	usleep(5000);
	n = atomic_load(&b->n);
	if (!n)
		return NAN;
	qsort(b->ns, n, sizeof(b->ns[0]), by_value);
	return (double)b->ns[n / 2] / (BLOCK / 4096.0);
}

static int by_ratio(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * Median of the pairs' ratios, and its interval by order statistics: other programs' turns spoil
 * some pairs wholly. Sorts and overwrites off[] and on[]. Below 6 pairs the interval is their
 * range.
 */
static void print_ratio(const char *what, double *off, double *on, int n, const char *unit)
{
	int low = (int)floor((n - 1.96 * sqrt(n)) / 2);
	double ratio;

	low = low < 0 ? 0 : low;
	for (int i = 0; i < n; i++)
		on[i] /= off[i];
	qsort(on, (size_t)n, sizeof(*on), by_ratio);
	qsort(off, (size_t)n, sizeof(*off), by_ratio);
	ratio = (on[n / 2] + on[(n - 1) / 2]) / 2;
	printf("%s: %+.1f %% (%.1f to %.1f %%, 95 %%, %d pairs) on %.0f %s\n", what,
	       (ratio - 1) * 100, (on[low] - 1) * 100, (on[n - 1 - low] - 1) * 100, n, off[n / 2],
	       unit);
	fflush(stdout);
}

/* Which comes first changes, so that a drift is not taken for a difference. */
struct pairs {
	double (*slice)(void *ctx, double *second);
	void *ctx;
	double *off, *on, *off2, *on2; /* what slice() gave */
	int n;
};

static int pairs__run(struct pairs *s, pid_t watched, uint32_t sample)
{
	struct pages_opts opts = {.pids = {watched}, .n_pids = 1, .sample = sample};
	size_t n = (size_t)s->n;
	int err = 0;

	s->off = calloc(n * 4, sizeof(double));
	if (!s->off)
		return -ENOMEM;
	s->on = s->off + n;
	s->off2 = s->on + n;
	s->on2 = s->off2 + n;
	for (int i = 0; !err && i < s->n; i++) {
		struct pages *p = NULL;

		if (i % 2)
			s->off[i] = s->slice(s->ctx, &s->off2[i]);
		err = pages__open(&p, &opts);
		if (!err)
			s->on[i] = s->slice(s->ctx, &s->on2[i]);
		pages__close(p);
		if (i % 2 == 0)
			s->off[i] = s->slice(s->ctx, &s->off2[i]);
	}
	return err;
}

static double fault_slice(void *ctx, double *second)
{
	struct fault_load *l = ctx;

	*second = 0;
	return slice(l->board, l->ms);
}

static int compare(struct fault_load *l, pid_t watched, const char *who, uint32_t sample, int n)
{
	struct pairs s = {.slice = fault_slice, .ctx = l, .n = n};
	int err = pairs__run(&s, watched, sample);
	char what[96];

	if (!err) {
		snprintf(what, sizeof(what), sample ? "%s, one page in %u" : "%s, default", who,
			 sample);
		print_ratio(what, s.off, s.on, n, "ns a fault");
	}
	free(s.off);
	return err;
}

/* ---- a command that keeps a server busy */

struct command_load {
	const char *command;
	pid_t pid;
};

/* Nanoseconds on a processor, of all threads. */
static double run_time(pid_t pid)
{
	struct timespec ts = {0};
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		return NAN;
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double command_slice(void *ctx, double *second)
{
	const struct command_load *l = ctx;
	struct timespec a, b;
	double cpu = run_time(l->pid);

	clock_gettime(CLOCK_MONOTONIC, &a);
	if (system(l->command))
		cpu = NAN;
	clock_gettime(CLOCK_MONOTONIC, &b);
	*second = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
	return (run_time(l->pid) - cpu) / 1e6;
}

/*
 * The programs' own account, in one more slice: what a difference of two noisy times cannot show.
 * With statistics on, which count their own clock reads too.
 */
static int print_account(struct command_load *l)
{
	struct pages_opts opts = {.pids = {l->pid}, .n_pids = 1};
	struct heap_reading r = {0};
	struct pages *p = NULL;
	double ms;
	int err = pages__open(&p, &opts);

	err = err ? err : pages__tend(p);
	if (!err)
		command_slice(l, &ms);
	err = err ? err : pages__tend(p);
	err = err ? err : pages__read(p, &r);
	if (!err)
		printf("the programs themselves: %llu faults, %.0f ns each: %.2f %% of the time\n",
		       (unsigned long long)r.probe_hits, r.probe_ns / (double)r.probe_hits,
		       r.probe_ns / 1e4 / ms);
	heap_reading__free(&r);
	pages__close(p);
	return err;
}

static int compare_command(pid_t pid, const char *command, int n)
{
	struct command_load l = {.command = command, .pid = pid};
	struct pairs s = {.slice = command_slice, .ctx = &l, .n = n};
	double ignored;
	int err;

	command_slice(&l, &ignored); /* the first is another */
	err = pairs__run(&s, pid, 0);
	if (!err) {
		print_ratio("processor time of the server", s.off, s.on, n, "ms");
		print_ratio("time of the load", s.off2, s.on2, n, "ms");
	}
	free(s.off);
	err = err ? err : print_account(&l);
	return err;
}

int main(int argc, char **argv)
{
	int pairs = argc > 1 ? atoi(argv[1]) : 0, err = 0;
	struct fault_load l = {0};
	pid_t pid;

	if (pairs >= 2 && argc == 5 && !strcmp(argv[2], "run"))
		return compare_command(atoi(argv[3]), argv[4], pairs) ? 1 : 0;
	l.ms = argc > 2 ? (unsigned int)atoi(argv[2]) : 0;
	l.board = mmap(NULL, sizeof(*l.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (pairs < 2 || l.ms < 20 || l.board == MAP_FAILED) {
		fprintf(stderr, "usage: fault PAIRS MILLISECONDS [N...]\n"
				"       fault PAIRS run PID COMMAND\n");
		return 2;
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fault_forever(l.board);
	}
	if (pid < 0)
		return 1;
	for (int i = 3; !err && i < argc; i++)
		err = compare(&l, pid, "watched", (uint32_t)atoi(argv[i]), pairs);
	if (!err && argc <= 3)
		err = compare(&l, pid, "watched", 0, pairs);
	if (!err)
		err = compare(&l, getpid(), "another process is watched", 0, pairs);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return err ? 1 : 0;
}
