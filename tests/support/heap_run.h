/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs tests/targets/alloc_*, and compares what they say they hold with what was read. */
#ifndef HOPSCOPE_TESTS_HEAP_RUN_H
#define HOPSCOPE_TESTS_HEAP_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "probe/heap.h"

struct told_site {
	char name[64];
	unsigned long long start, end, bytes, blocks;
};

struct target {
	pid_t pid;	/* of the process we started */
	pid_t answers;	/* of the one that reads our lines: a child of it, after a fork */
	FILE *in, *out; /* ours to write, ours to read */
	struct told_site site[32];
	size_t n;
	/*
	 * Its C library tells nobody how its frames are laid out (Debian's musl): who called strdup
	 * cannot be seen, only that strdup called malloc.
	 */
	bool no_frames;
};

static inline void target__read(struct target *t)
{
	char line[512];

	t->n = 0;
	for (;;) {
		struct told_site *s = &t->site[t->n];

		if (!fgets(line, sizeof(line), t->out))
			fail_msg("the target ended");
		if (!strcmp(line, "done\n"))
			return;
		if (sscanf(line, "pid %d", &t->answers) == 1)
			continue;
		if (sscanf(line, "site %63s %llx %llx %llu %llu", s->name, &s->start, &s->end,
			   &s->bytes, &s->blocks) == 5 &&
		    t->n < 31)
			t->n++;
	}
}

/* preload: "" or NULL for none. */
static inline void target__start(struct target *t, const char *program, const char *preload)
{
	const char *build = getenv("BUILD");
	int to[2], from[2];
	char path[256];

	memset(t, 0, sizeof(*t));
	if (preload && preload[0] && access(preload, R_OK)) {
		print_message("%s is not here\n", preload);
		skip();
	}
	snprintf(path, sizeof(path), "%s/tests/targets/%s", build ? build : "build", program);
	if (access(path, X_OK))
		fail_msg("%s is not there: make test-binaries", path);
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	t->pid = t->answers = fork();
	if (!t->pid) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		for (int fd = 3; fd < 256; fd++)
			close(fd);
		if (preload && preload[0])
			setenv("LD_PRELOAD", preload, 1);
		execl(path, path, NULL);
		_exit(127);
	}
	assert_true(t->pid > 0);
	close(to[0]);
	close(from[1]);
	fcntl(to[1], F_SETFD, FD_CLOEXEC);
	fcntl(from[0], F_SETFD, FD_CLOEXEC);
	t->in = fdopen(to[1], "w");
	t->out = fdopen(from[0], "r");
	target__read(t);
}

static inline void target__do(struct target *t, const char *action)
{
	fprintf(t->in, "%s\n", action);
	fflush(t->in);
	target__read(t);
}

static inline void target__stop(struct target *t)
{
	if (t->in)
		fclose(t->in);
	if (t->out)
		fclose(t->out);
	if (t->pid > 0) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	if (t->answers > 0 && t->answers != t->pid)
		kill(t->answers, SIGKILL);
	memset(t, 0, sizeof(*t));
}

/* What was read of a function, by any stack that passes it. */
struct read_site {
	double bytes, blocks, variance, total_bytes, total_blocks;
	uint64_t oldest, youngest;
};

static inline bool site__passes(const struct heap_raw_site *s, const struct told_site *t)
{
	for (size_t i = 0; i < s->n_pcs; i++) {
		if (s->pcs[i] > t->start && s->pcs[i] <= t->end)
			return true;
	}
	return false;
}

static inline struct read_site reading__sum(const struct heap_reading *r, pid_t pid,
					    const struct told_site *t)
{
	struct read_site sum = {0};

	for (size_t i = 0; i < r->n_sites; i++) {
		const struct heap_raw_site *s = &r->sites[i];

		if ((pid && s->tgid != (uint32_t)pid) || (t && !site__passes(s, t)))
			continue;
		sum.bytes += s->bytes;
		sum.blocks += s->blocks;
		sum.variance += s->bytes_error * s->bytes_error;
		sum.total_bytes += s->total_bytes;
		sum.total_blocks += s->total_blocks;
		if (s->oldest_ns && (!sum.oldest || s->oldest_ns < sum.oldest))
			sum.oldest = s->oldest_ns;
		if (s->youngest_ns > sum.youngest)
			sum.youngest = s->youngest_ns;
	}
	return sum;
}

static inline void reading__print(const struct heap_reading *r)
{
	for (size_t i = 0; i < r->n_sites; i++) {
		printf("# site %u: %.0f bytes %.0f blocks, flags %u:", r->sites[i].tgid,
		       r->sites[i].bytes, r->sites[i].blocks, r->sites[i].flags);
		for (size_t k = 0; k < r->sites[i].n_pcs && k < 8; k++)
			printf(" %llx", (unsigned long long)r->sites[i].pcs[k]);
		printf("\n");
	}
#define PRINT_COUNTER(name, what) \
	printf("# %s %llu\n", #name, (unsigned long long)r->counters.name);
	HEAP_COUNTERS(PRINT_COUNTER)
#undef PRINT_COUNTER
}

/* To the byte: each function, and all together, what the C library takes for itself apart. */
static inline void assert_exact(struct heap *h, const struct target *t)
{
	double told_bytes = 0, told_blocks = 0, noise_bytes = 0, noise_blocks = 0;
	struct heap_reading r;
	struct read_site all;

	assert_int_equal(heap__read(h, &r), 0);
	for (size_t i = 0; i < t->n; i++) {
		const struct told_site *s = &t->site[i];
		struct read_site sum = reading__sum(&r, t->answers, s);

		if (!strcmp(s->name, "noise")) {
			noise_bytes = sum.bytes;
			noise_blocks = sum.blocks;
			continue;
		}
		told_bytes += (double)s->bytes;
		told_blocks += (double)s->blocks;
		if (t->no_frames && !strcmp(s->name, "by_strdup"))
			continue;
		if (sum.bytes != (double)s->bytes || sum.blocks != (double)s->blocks) {
			reading__print(&r);
			fail_msg("%s: %.0f bytes in %.0f blocks were read, it holds %llu in %llu",
				 s->name, sum.bytes, sum.blocks, s->bytes, s->blocks);
		}
	}
	all = reading__sum(&r, t->answers, NULL);
	if (all.bytes != told_bytes + noise_bytes || all.blocks != told_blocks + noise_blocks) {
		reading__print(&r);
		fail_msg("together %.0f bytes in %.0f blocks were read, the target holds %.0f in "
			 "%.0f, and the library %.0f in %.0f",
			 all.bytes, all.blocks, told_bytes, told_blocks, noise_bytes, noise_blocks);
	}
	if (r.counters.missed_frees || r.counters.blocks_lost || r.counters.sites_lost ||
	    r.counters.stacks_lost || r.counters.pending_lost) {
		reading__print(&r);
		fail_msg("something was lost or missed");
	}
	heap_reading__free(&r);
}

/* The one target, and what watches it. */
static struct target t;
static struct heap *h;

static inline int stop(void **state)
{
	(void)state;
	heap__close(h);
	h = NULL;
	target__stop(&t);
	return 0;
}

static inline void watch_with(struct heap_opts opts)
{
	opts.pids[0] = t.pid;
	opts.n_pids = 1;
	opts.max_blocks = opts.max_blocks ? opts.max_blocks : 1 << 18;
	assert_int_equal(heap__open(&h, &opts), 0);
}

static inline void watch(void)
{
	watch_with((struct heap_opts){0});
}

static inline void read_it(struct heap_reading *r)
{
	assert_int_equal(heap__read(h, r), 0);
}

/* What alloc_kinds does; the first again, on what has been freed by then. */
static const char *const kinds[] = {"malloc", "calloc", "realloc", "reallocarray", "memalign",
				    "strdup", "large",	"reuse",   "threads",	   "malloc"};

#endif
