/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs tests/targets/pages_target.c, whose pages are known, and tells what was read of it. */
#ifndef HOPSCOPE_TESTS_PAGES_RUN_H
#define HOPSCOPE_TESTS_PAGES_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/pages.h"

#define PAGE  4096.0
#define HUGE  (2048 * 1024.0)
#define SITES 16

struct target {
	pid_t pid;
	FILE *in, *out;
	struct {
		char name[32];
		uint64_t from, to;
	} sites[SITES];
	size_t n_sites;
};

/* ---- the target */

static inline void target__path(const char *name, char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *end;

	assert_true(n > 0);
	self[n] = '\0';
	for (int i = 0; i < 2; i++) {
		end = strrchr(self, '/');
		assert_non_null(end);
		*end = '\0';
	}
	assert_true(snprintf(path, PATH_MAX, "%s/targets/%s", self, name) < PATH_MAX);
}

static inline void target__learn(struct target *t)
{
	char line[256];
	unsigned long long from, to;

	t->n_sites = 0;
	while (fgets(line, sizeof(line), t->out) && strcmp(line, "ready\n")) {
		assert_true(t->n_sites < SITES);
		assert_int_equal(
			sscanf(line, "site %31s %llx %llx", t->sites[t->n_sites].name, &from, &to),
			3);
		t->sites[t->n_sites].from = from;
		t->sites[t->n_sites++].to = to;
	}
	assert_true(t->n_sites > 0);
}

static bool same_addresses; /* after an exec: without randomisation */

static inline void target__start(struct target *t, const char *name)
{
	char path[PATH_MAX];
	int in[2], out[2];

	memset(t, 0, sizeof(*t));
	target__path(name, path);
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	t->pid = fork();
	assert_true(t->pid >= 0);
	if (!t->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		if (same_addresses)
			personality(ADDR_NO_RANDOMIZE);
		execl(path, name, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	t->in = fdopen(in[1], "w");
	t->out = fdopen(out[0], "r");
	target__learn(t);
}

/* Its answer: a pid, or 0. */
static inline pid_t target__do(struct target *t, const char *what)
{
	char line[64];
	int pid;

	fprintf(t->in, "%s\n", what);
	fflush(t->in);
	assert_non_null(fgets(line, sizeof(line), t->out));
	assert_int_equal(sscanf(line, "ok %d", &pid), 1);
	return pid;
}

static inline void target__end(struct target *t)
{
	if (!t->pid)
		return;
	if (t->in)
		fclose(t->in); /* it ends by itself */
	else
		kill(t->pid, SIGKILL);
	if (t->out)
		fclose(t->out);
	waitpid(t->pid, NULL, 0);
	memset(t, 0, sizeof(*t));
}

/* ---- what is found */

static struct target t;
static struct pages *p;
static struct heap_reading r;

static inline int teardown(void **state)
{
	(void)state;
	heap_reading__free(&r);
	pages__close(p);
	p = NULL;
	target__end(&t);
	return 0;
}

static inline void open_sampled(const char *name, uint32_t sample)
{
	struct pages_opts opts = {.n_pids = 1, .sample = sample};

	target__start(&t, name);
	opts.pids[0] = t.pid;
	assert_int_equal(pages__open(&p, &opts), 0);
}

static inline void read_now(void)
{
	heap_reading__free(&r);
	assert_int_equal(pages__read(p, &r), 0);
}

struct held {
	double bytes, error, total;
};

static inline bool site_has(const struct heap_raw_site *s, const char *name)
{
	for (size_t i = 0; i < t.n_sites; i++) {
		if (strcmp(t.sites[i].name, name))
			continue;
		for (size_t k = 0; k < s->n_pcs; k++) {
			if (s->pcs[k] >= t.sites[i].from && s->pcs[k] < t.sites[i].to)
				return true;
		}
		return false;
	}
	fail_msg("the target has no function %s", name);
	return false;
}

/* Of the stacks that go through a function. name NULL: of all. */
static inline struct held held_by(pid_t pid, const char *name)
{
	struct held h = {0};

	for (size_t i = 0; i < r.n_sites; i++) {
		const struct heap_raw_site *s = &r.sites[i];

		if (s->tgid != (uint32_t)pid || (name && !site_has(s, name)))
			continue;
		h.bytes += s->bytes;
		h.total += s->total_bytes;
		h.error = hypot(h.error, s->bytes_error);
	}
	return h;
}

static inline void assert_held(const char *name, double pages)
{
	double got = held_by(t.pid, name).bytes / PAGE;

	if (got < pages - 0.001 || got > pages + 0.001)
		fail_msg("%s holds %.3f pages, not %.0f", name, got, pages);
}

static inline double status_kb(pid_t pid, const char *field)
{
	char path[64], line[256], name[64];
	double v, found = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]: %lf kB", name, &v) == 2 && !strcmp(name, field))
			found = v;
	}
	fclose(f);
	assert_true(found >= 0);
	return found * 1024;
}

/* Attributed and unattributed together are what the process holds, by the kernel's own count. */
static inline void assert_closes(void)
{
	double sum = held_by(t.pid, NULL).bytes + r.unattributed_bytes;
	double rss = status_kb(t.pid, "RssAnon") + status_kb(t.pid, "VmSwap");

	/* The kernel's count lags by up to 32 pages and more a CPU (mm/memory.c, rss_stat). */
	if (fabs(sum - rss) > 0.05 * rss + 512 * 1024)
		fail_msg("%.0f bytes attributed and not, %.0f resident", sum, rss);
	assert_true(r.unattributed_bytes >= 0);
}

#endif
