// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The order of things in `hopscope bench`. */
#include <errno.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/phase.h"
#include "log.h"

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
	course__incomplete(&b->course, "%s ended in the middle of the run (%s)", c->name,
			   child__how_it_ended(c, how, sizeof(how)));
}

static int measure(void *run)
{
	struct bench *b = run;
	bool ab = b->course.opts->ab || b->course.opts->ab_only;
	int err = 0;

	bench__list_members(b);
	if (!b->course.opts->ab_only) {
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
	if (!b->course.opts->ab_only)
		course__read_last(&b->course);
	if (!err && ab)
		err = bench__run_ab(b);
	if (b->course.opts->ab_only)
		course__read_last(&b->course);
	else if (!err)
		err = bench__run_hops(b);
	return err;
}

static const struct course_steps steps = {.setup = bench__setup,
					  .measure = measure,
					  .teardown = bench__teardown,
					  .on_death = on_death};

static int run(struct bench *b)
{
	b->scenario = scenario__load(b->course.opts->scenario);
	if (!b->scenario)
		return EXIT_USAGE;
	if (bench__precheck(b) || course__run(&b->course, &steps, b))
		return EXIT_RUNTIME;
	bench__judge(b);
	return course__report(&b->course, bench__session(b), b->targets, b->n_targets);
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
	course__init(&b->course, opts);
	rc = run(b);
	for (i = 0; i < b->n_phases; i++)
		phase__free(b->phases[i]);
	for (i = 0; i < b->n_members; i++)
		free(b->members[i].samples);
	course__free(&b->course);
	scenario__free(b->scenario);
	free(b);
	return rc;
}
