// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The order of things in `hopscope bench`. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/ending.h"
#include "bench/phase.h"
#include "log.h"
#include "stack/clock.h"

#define GRACE_MS 3000

void bench__incomplete(struct bench *b, const char *fmt, ...)
{
	va_list args;

	if (b->incomplete[0])
		return;
	va_start(args, fmt);
	vsnprintf(b->incomplete, sizeof(b->incomplete), fmt, args);
	va_end(args);
}

bool bench__has_path(const struct bench *b, enum path p)
{
	unsigned int i;

	for (i = 0; i < b->scenario->n_paths; i++)
		if (b->scenario->paths[i] == p)
			return true;
	return false;
}

static void on_death(void *ctx, struct child *c)
{
	struct bench *b = ctx;
	char how[96];

	b->deaths++;
	bench__incomplete(b, "%s ended in the middle of the run (%s)", c->name,
			  child__how_it_ended(c, how, sizeof(how)));
}

/* The whole run as the probe saw it, read when the load has stopped. */
static void read_last(struct bench *b)
{
	if (!b->wire)
		return;
	b->has_last = ending__read(b->wire, &b->last);
	if (!b->has_last)
		bench__incomplete(b, "the probe could not be read");
}

static int run_phases(struct bench *b)
{
	bool ab = b->opts->ab || b->opts->ab_only;
	int err = 0;

	bench__list_members(b);
	if (!b->opts->ab_only) {
		err = bench__run_rpc(b);
		if (!err && b->scenario->has_events)
			err = bench__run_events(b);
		/* What the services hold is worth knowing after a run that was cut short, too. */
		bench__measure_members(b);
		if (!err && b->scenario->has_memory)
			err = bench__watch_memory(b);
	}
	if (!err)
		err = bench__measure_cost(b);
	bench__compare(b);
	/* Before the probe comes and goes: each time it meets connections in the middle. */
	if (!b->opts->ab_only)
		read_last(b);
	if (!err && ab)
		err = bench__run_ab(b);
	if (b->opts->ab_only)
		read_last(b);
	return err;
}

static int measure(struct bench *b)
{
	struct timespec end;
	int64_t offset;
	int err = watch__init(&b->watch, on_death, b);

	if (err)
		return log_fail(err, "cannot receive signals: %s", strerror(-err));
	offset = clock__offset(&b->started);
	b->started_ns = clock__now();
	b->watch.when = "while the run was being set up";
	err = bench__setup(b);
	b->watch.when = "in the middle of the run";
	if (err) {
		if (err == -EINTR)
			log_fail(err, "ended by a signal before anything was measured: no report");
		bench__teardown(b, b->watch.interrupts ? 0 : GRACE_MS);
		return err;
	}
	err = run_phases(b);
	if (err == -EINTR)
		bench__incomplete(b, "a signal (%s) ended it", strsignal(b->watch.signal));
	b->ended_ns = clock__now();
	b->clock_step_ns = clock__offset(&end) - offset;
	log_info("[%5.1f s] stopping", (double)(b->ended_ns - b->started_ns) / 1e9);
	bench__teardown(b, GRACE_MS);
	watch__poll(&b->watch);
	if (b->watch.interrupts > 1)
		return log_fail(-EINTR, "ended by a second signal: no report");
	return 0;
}

static int run(struct bench *b)
{
	b->scenario = scenario__load(b->opts->scenario);
	if (!b->scenario)
		return EXIT_USAGE;
	if (bench__precheck(b) || measure(b))
		return EXIT_RUNTIME;
	bench__judge(b);
	return ending__report(&b->outdir, bench__session(b), b->opts->json, b->incomplete,
			      b->targets, b->n_targets);
}

int bench__run(const struct bench_opts *opts)
{
	struct bench *b = calloc(1, sizeof(*b));
	size_t i;
	int rc;

	if (!b) {
		log_fail(-ENOMEM, "out of memory");
		return EXIT_RUNTIME;
	}
	b->opts = opts;
	b->outdir.fd = -1;
	b->watch.signals = -1;
	rc = run(b);
	for (i = 0; i < b->n_phases; i++)
		phase__free(b->phases[i]);
	for (i = 0; i < b->n_members; i++)
		free(b->members[i].samples);
	if (b->has_last)
		snapshot__free(&b->last);
	if (b->has_cost)
		snapshot__free(&b->cost);
	watch__close(&b->watch);
	outdir__close(&b->outdir);
	scenario__free(b->scenario);
	free(b);
	return rc;
}
