// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The order of things in a run of a port-forward scenario. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "portforward/run.h"

bool pfrun__available(const struct pfrun *r, size_t way)
{
	const struct pf_used *u = &r->used[way];

	return !u->gone && r->stack.routes[u->way].available;
}

struct pf_cell *pfrun__cell(const struct pfrun *r, size_t way, size_t point)
{
	return &r->cells[way * r->scenario->n_points + point];
}

void pfrun__lose(struct pfrun *r, struct pf_used *u, const char *fmt, ...)
{
	va_list args;

	if (u->gone)
		return;
	u->gone = true;
	u->broken = !r->measured;
	va_start(args, fmt);
	vsnprintf(u->why, sizeof(u->why), fmt, args);
	va_end(args);
}

static bool is_of(const struct pfrun *r, const struct pf_used *u, const struct child *c)
{
	const struct pf_route *route = &r->stack.routes[u->way];
	bool is = c == &u->http.remote.child;
	size_t i;

	for (i = 0; i < route->n_relays; i++)
		is = is || c == &route->relays[i].child;
	for (i = 0; i < PFRUN_MAX_WORKERS; i++)
		is = is || c == &u->nats[i].remote.child;
	for (i = 0; i < 2; i++)
		is = is || c == &u->bulk[i].remote.child;
	return is;
}

/* Whose relay or load worker it is; what is nobody's, a broker or a responder, is everybody's. */
static void on_death(void *run, struct child *c)
{
	struct pfrun *r = run;
	bool anybodys = false;
	char how[96];
	size_t w;

	child__how_it_ended(c, how, sizeof(how));
	for (w = 0; w < r->scenario->n_used; w++)
		anybodys = anybodys || is_of(r, &r->used[w], c);
	for (w = 0; w < r->scenario->n_used; w++)
		if (!anybodys || is_of(r, &r->used[w], c))
			pfrun__lose(r, &r->used[w], "%s ended in the middle of the run (%s)",
				    c->name, how);
	course__incomplete(&r->course, "%s ended in the middle of the run (%s)", c->name, how);
}

static int measure(void *run)
{
	struct pfrun *r = run;
	int err = pfrun__measure(r);

	if (!err && r->course.wire && pfrun__available(r, 0))
		err = pfrun__measure_hops(r);
	return err;
}

static const struct course_steps steps = {.setup = pfrun__setup,
					  .measure = measure,
					  .teardown = pfrun__teardown,
					  .on_death = on_death};

static int run(struct pfrun *r)
{
	r->scenario = pf_scenario__load(r->course.opts->scenario);
	if (!r->scenario)
		return EXIT_USAGE;
	if (pfrun__precheck(r) || course__run(&r->course, &steps, r))
		return EXIT_RUNTIME;
	pfrun__judge(r);
	return course__report(&r->course, pfrun__session(r), r->targets, r->n_targets);
}

int pfrun__run(const struct bench_opts *opts)
{
	struct pfrun *r = calloc(1, sizeof(*r));
	int rc;

	if (!r) {
		log_fail(-ENOMEM, "out of memory");
		return EXIT_RUNTIME;
	}
	course__init(&r->course, opts);
	rc = run(r);
	if (r->scenario)
		pfrun__free_cells(r);
	course__free(&r->course);
	pf_scenario__free(r->scenario);
	free(r);
	return rc;
}
