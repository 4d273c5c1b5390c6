// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The order of things in a run of a gateway scenario. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ending.h"
#include "gateway/run.h"
#include "log.h"
#include "stack/clock.h"

#define GRACE_MS 3000

void gwrun__incomplete(struct gwrun *r, const char *fmt, ...)
{
	va_list args;

	if (r->incomplete[0])
		return;
	va_start(args, fmt);
	vsnprintf(r->incomplete, sizeof(r->incomplete), fmt, args);
	va_end(args);
}

double gwrun__elapsed(const struct gwrun *r)
{
	return (double)(clock__now() - r->started_ns) / 1e9;
}

static void on_death(void *run, struct child *c)
{
	struct gwrun *r = run;
	char how[96];
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++)
		if (c == &r->gateway.service[id].child)
			r->containers[id].deaths++;
	gwrun__incomplete(r, "%s ended in the middle of the run (%s)", c->name,
			  child__how_it_ended(c, how, sizeof(how)));
}

/* The whole run as the probe saw it, read when the load has stopped. */
static void read_last(struct gwrun *r)
{
	if (!r->wire)
		return;
	r->has_last = ending__read(r->wire, &r->last);
	if (!r->has_last)
		gwrun__incomplete(r, "the probe could not be read");
}

/* What is counted by the services themselves, and how they are, before they are ended. */
static void take_leave(struct gwrun *r)
{
	r->has_counters = !gateway__counters(&r->gateway, &r->counters);
	r->has_status = !gateway__status(&r->gateway, &r->status);
	gwrun__health(r, false);
	gwrun__sample(r);
	gwrun__judge_growth(r);
	read_last(r);
}

static int measure(struct gwrun *r)
{
	struct timespec end;
	int64_t offset;
	int err = watch__init(&r->watch, on_death, r);

	if (err)
		return log_fail(err, "cannot receive signals: %s", strerror(-err));
	offset = clock__offset(&r->started);
	r->started_ns = clock__now();
	r->watch.when = "while the run was being set up";
	err = gwrun__setup(r);
	r->watch.when = "in the middle of the run";
	if (err) {
		if (err == -EINTR)
			log_fail(err, "ended by a signal before anything was measured: no report");
		gwrun__teardown(r, r->watch.interrupts ? 0 : GRACE_MS);
		return err;
	}
	err = gwrun__phases(r);
	if (err == -EINTR)
		gwrun__incomplete(r, "a signal (%s) ended it", strsignal(r->watch.signal));
	take_leave(r);
	r->ended_ns = clock__now();
	r->clock_step_ns = clock__offset(&end) - offset;
	log_info("[%5.1f s] stopping", gwrun__elapsed(r));
	gwrun__teardown(r, GRACE_MS);
	watch__poll(&r->watch);
	if (r->watch.interrupts > 1)
		return log_fail(-EINTR, "ended by a second signal: no report");
	return 0;
}

static int run(struct gwrun *r)
{
	r->scenario = gw_scenario__load(r->opts->scenario);
	if (!r->scenario)
		return EXIT_USAGE;
	if (gwrun__precheck(r) || measure(r))
		return EXIT_RUNTIME;
	gwrun__judge(r);
	return ending__report(&r->outdir, gwrun__session(r), r->opts->json, r->incomplete,
			      r->targets, r->n_targets);
}

int gwrun__run(const struct bench_opts *opts)
{
	struct gwrun *r = calloc(1, sizeof(*r));
	size_t i;
	int rc;

	if (!r) {
		log_fail(-ENOMEM, "out of memory");
		return EXIT_RUNTIME;
	}
	r->opts = opts;
	r->outdir.fd = -1;
	r->watch.signals = -1;
	for (i = 0; i < GATEWAY_COUNT; i++)
		r->containers[i].id = (enum gateway_id)i;
	rc = run(r);
	for (i = 0; i < r->n_phases; i++)
		gw_phase__free(r->phases[i]);
	for (i = 0; i < GATEWAY_COUNT; i++)
		free(r->containers[i].readings);
	if (r->has_last)
		snapshot__free(&r->last);
	if (r->has_cost)
		snapshot__free(&r->cost);
	watch__close(&r->watch);
	outdir__close(&r->outdir);
	gw_scenario__free(r->scenario);
	free(r);
	return rc;
}
