// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The order of things in a run of a gateway scenario. */
#include <errno.h>
#include <stdlib.h>

#include "gateway/run.h"
#include "log.h"

static void on_death(void *run, struct child *c)
{
	struct gwrun *r = run;
	char how[96];
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++)
		if (c == &r->gateway.service[id].child)
			r->containers[id].deaths++;
	course__incomplete(&r->course, "%s ended in the middle of the run (%s)", c->name,
			   child__how_it_ended(c, how, sizeof(how)));
}

/* What is counted by the services themselves, and how they are, before they are ended. */
static void take_leave(void *run)
{
	struct gwrun *r = run;

	r->has_counters = !gateway__counters(&r->gateway, &r->counters);
	r->has_status = !gateway__status(&r->gateway, &r->status);
	gwrun__health(r, false);
}

static int measure(void *run)
{
	struct gwrun *r = run;
	int err = gwrun__phases(r);

	/* What it costs to follow calls is in no reading. */
	gwrun__end_sampler(r);
	gwrun__judge_growth(r);
	course__read_last(&r->course);
	return err ? err : gwrun__run_hops(r);
}

static const struct course_steps steps = {.setup = gwrun__setup,
					  .measure = measure,
					  .leave = take_leave,
					  .teardown = gwrun__teardown,
					  .on_death = on_death};

static int run(struct gwrun *r)
{
	r->scenario = gw_scenario__load(r->course.opts->scenario);
	if (!r->scenario)
		return EXIT_USAGE;
	if (gwrun__precheck(r) || course__run(&r->course, &steps, r))
		return EXIT_RUNTIME;
	gwrun__judge(r);
	return course__report(&r->course, gwrun__session(r), r->targets, r->n_targets);
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
	course__init(&r->course, opts);
	for (i = 0; i < GATEWAY_COUNT; i++)
		r->containers[i].id = (enum gateway_id)i;
	rc = run(r);
	for (i = 0; i < r->n_phases; i++)
		gw_phase__free(r->phases[i]);
	for (i = 0; i < GATEWAY_COUNT; i++)
		free(r->containers[i].readings);
	course__free(&r->course);
	gw_scenario__free(r->scenario);
	free(r);
	return rc;
}
