// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The order of things in a run of a port-forward scenario. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ending.h"
#include "log.h"
#include "portforward/run.h"
#include "stack/clock.h"

#define GRACE_MS 3000

void pfrun__incomplete(struct pfrun *r, const char *fmt, ...)
{
	va_list args;

	if (r->incomplete[0])
		return;
	va_start(args, fmt);
	vsnprintf(r->incomplete, sizeof(r->incomplete), fmt, args);
	va_end(args);
}

double pfrun__elapsed(const struct pfrun *r)
{
	return (double)(clock__now() - r->started_ns) / 1e9;
}

bool pfrun__available(const struct pfrun *r, size_t way)
{
	const struct pf_used *u = &r->used[way];

	return !u->gone && r->stack.routes[u->way].available;
}

struct pf_cell *pfrun__cell(const struct pfrun *r, size_t way, size_t point)
{
	return &r->cells[way * r->scenario->n_points + point];
}

/* Whose relay it is; what is nobody's is everybody's. */
static void on_death(void *run, struct child *c)
{
	struct pfrun *r = run;
	char how[96];
	size_t w, i;

	child__how_it_ended(c, how, sizeof(how));
	for (w = 0; w < r->scenario->n_used; w++) {
		struct pf_used *u = &r->used[w];
		const struct pf_route *route = &r->stack.routes[u->way];

		for (i = 0; i < route->n_relays; i++) {
			if (c != &route->relays[i].child)
				continue;
			u->gone = true;
			snprintf(u->why, sizeof(u->why), "%s ended in the middle of the run (%s)",
				 c->name, how);
		}
	}
	pfrun__incomplete(r, "%s ended in the middle of the run (%s)", c->name, how);
}

static int measure_all(struct pfrun *r)
{
	int err = pfrun__measure(r);

	if (!err && r->wire)
		err = pfrun__measure_hops(r);
	if (err == -EINTR)
		pfrun__incomplete(r, "a signal (%s) ended it", strsignal(r->watch.signal));
	return err;
}

static int measure(struct pfrun *r)
{
	struct timespec end;
	int64_t offset;
	int err = watch__init(&r->watch, on_death, r);

	if (err)
		return log_fail(err, "cannot receive signals: %s", strerror(-err));
	offset = clock__offset(&r->started);
	r->started_ns = clock__now();
	r->watch.when = "while the run was being set up";
	err = pfrun__setup(r);
	r->watch.when = "in the middle of the run";
	if (err) {
		if (err == -EINTR)
			log_fail(err, "ended by a signal before anything was measured: no report");
		pfrun__teardown(r, r->watch.interrupts ? 0 : GRACE_MS);
		return err;
	}
	measure_all(r);
	r->ended_ns = clock__now();
	r->clock_step_ns = clock__offset(&end) - offset;
	log_info("[%5.1f s] stopping", pfrun__elapsed(r));
	pfrun__teardown(r, GRACE_MS);
	watch__poll(&r->watch);
	if (r->watch.interrupts > 1)
		return log_fail(-EINTR, "ended by a second signal: no report");
	return 0;
}

static int run(struct pfrun *r)
{
	r->scenario = pf_scenario__load(r->opts->scenario);
	if (!r->scenario)
		return EXIT_USAGE;
	if (pfrun__precheck(r) || measure(r))
		return EXIT_RUNTIME;
	pfrun__judge(r);
	return ending__report(&r->outdir, pfrun__session(r), r->opts->json, r->incomplete,
			      r->targets, r->n_targets);
}

int pfrun__run(const struct bench_opts *opts)
{
	struct pfrun *r = calloc(1, sizeof(*r));
	int rc;

	if (!r) {
		log_fail(-ENOMEM, "out of memory");
		return EXIT_RUNTIME;
	}
	r->opts = opts;
	r->outdir.fd = -1;
	r->watch.signals = -1;
	rc = run(r);
	if (r->scenario)
		pfrun__free_cells(r);
	if (r->has_last)
		snapshot__free(&r->last);
	watch__close(&r->watch);
	outdir__close(&r->outdir);
	pf_scenario__free(r->scenario);
	free(r);
	return rc;
}
