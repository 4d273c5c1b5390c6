// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rounds: every way at every point, in turn. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "portforward/run.h"
#include "stack/clock.h"

#define PROGRESS_NS (5 * NS_PER_S)
#define WARM_S	    0.1

static double *values(size_t n)
{
	double *v = malloc(n * sizeof(*v));
	size_t i;

	for (i = 0; v && i < n; i++)
		v[i] = NAN;
	return v;
}

static int make_cell(struct pf_cell *c, size_t rounds)
{
	size_t i;
	bool ok;

	c->errors = json_object();
	c->mean = values(rounds);
	c->p50 = values(rounds);
	c->p99 = values(rounds);
	c->rate = values(rounds);
	c->relays = values(rounds);
	c->machine = values(rounds);
	ok = c->errors && c->mean && c->p50 && c->p99 && c->rate && c->relays && c->machine;
	for (i = 0; i < PF_MAX_RELAYS; i++)
		ok = (c->cpu[i] = values(rounds)) && ok;
	for (i = 0; i < 2 * (size_t)PF_MAX_LEGS; i++)
		ok = (c->srtt[i / 2][i % 2] = values(rounds)) && ok;
	return ok ? 0 : -ENOMEM;
}

int pfrun__make_cells(struct pfrun *r)
{
	size_t n = r->scenario->n_used * r->scenario->n_points, i;
	int err = 0;

	r->cells = calloc(n, sizeof(*r->cells));
	for (i = 0; r->cells && i < n && !err; i++)
		err = make_cell(&r->cells[i], (size_t)r->scenario->load.rounds);
	return !r->cells || err ? log_fail(-ENOMEM, "out of memory") : 0;
}

static void free_cell(struct pf_cell *c)
{
	size_t i;

	json_decref(c->errors);
	free(c->mean);
	free(c->p50);
	free(c->p99);
	free(c->rate);
	free(c->relays);
	free(c->machine);
	for (i = 0; i < PF_MAX_RELAYS; i++)
		free(c->cpu[i]);
	for (i = 0; i < 2 * (size_t)PF_MAX_LEGS; i++)
		free(c->srtt[i / 2][i % 2]);
	if (c->hops.has_paths)
		hops__free(&c->hops.paths);
}

void pfrun__free_cells(struct pfrun *r)
{
	size_t i;

	for (i = 0; r->cells && i < r->scenario->n_used * r->scenario->n_points; i++)
		free_cell(&r->cells[i]);
	free(r->cells);
	r->cells = NULL;
}

/*
 * Each way at each point for a moment: connections that HTTP will use are open then, windows have
 * grown, and programs have paged in what they need. Nothing of it is kept.
 */
static int warm_up(struct pfrun *r)
{
	double seconds = fmin(r->scenario->load.seconds, WARM_S);
	size_t way, point;
	json_t *answer;
	int err;

	for (point = 0; point < r->scenario->n_points; point++) {
		for (way = 0; way < r->scenario->n_used; way++) {
			if (!pfrun__available(r, way))
				continue;
			err = pfrun__drive(r, way, &r->scenario->points[point], seconds, &answer);
			json_decref(answer);
			if (!err)
				err = pfrun__close(r, way, &r->scenario->points[point]);
			if (err == -EINTR)
				return err;
		}
	}
	return 0;
}

static void say_progress(const struct pfrun *r, unsigned int round, size_t point, uint64_t *told)
{
	if (clock__now() - *told < PROGRESS_NS)
		return;
	*told = clock__now();
	log_info("[%5.1f s] round %u of %lld, point %zu of %zu", course__elapsed(&r->course),
		 round + 1, (long long)r->scenario->load.rounds, point + 1, r->scenario->n_points);
}

/* All ways at one point, one after the other. */
static int run_point(struct pfrun *r, unsigned int round, size_t point)
{
	size_t order[PF_WAYS], i, n = r->scenario->n_used;
	int err;

	pf_sweep__order(round, point, n, order);
	for (i = 0; i < n; i++) {
		if (!pfrun__available(r, order[i]))
			continue;
		err = pfrun__slice(r, order[i], point, r->scenario->load.seconds, round);
		if (err == -EINTR)
			return err;
	}
	/* Without what the others are compared with there is nothing more to learn. */
	return pfrun__available(r, 0) ? 0 : -ECANCELED;
}

static void read_tcp(struct pfrun *r, int when)
{
	int place;

	r->has_tcp = when == 0 || r->has_tcp;
	for (place = 0; place < PF_PLACES; place++)
		if (pf_stack__tcp(&r->stack, (enum pf_place)place, &r->tcp[place][when]))
			r->has_tcp = false;
}

static void first_legs(struct pfrun *r)
{
	size_t way;

	for (way = 0; way < r->scenario->n_used; way++) {
		struct pf_used *u = &r->used[way];

		if (!pfrun__available(r, way) ||
		    pf_stack__legs(&r->stack, u->way, u->legs, &u->n_legs))
			continue;
		memcpy(u->first, u->legs, sizeof(u->first));
	}
}

int pfrun__measure(struct pfrun *r)
{
	const struct pf_scenario *s = r->scenario;
	unsigned int rounds = (unsigned int)s->load.rounds, round;
	uint64_t told;
	size_t point;
	int err;

	log_info("[%5.1f s] warm-up, %zu point%s on each way", course__elapsed(&r->course),
		 s->n_points, s->n_points == 1 ? "" : "s");
	err = warm_up(r);
	if (err)
		return err;
	first_legs(r);
	read_tcp(r, 0);
	told = clock__now();
	log_info("[%5.1f s] %u rounds of %zu point%s, %zu ways in turn, %g s each: %.0f s of load",
		 course__elapsed(&r->course), rounds, s->n_points, s->n_points == 1 ? "" : "s",
		 s->n_used, s->load.seconds,
		 rounds * s->load.seconds * (double)(s->n_points * s->n_used));
	for (round = 0; round < rounds && !err; round++) {
		for (point = 0; point < s->n_points && !err; point++) {
			say_progress(r, round, point, &told);
			err = run_point(r, round, point);
		}
		if (!err)
			r->rounds++;
	}
	read_tcp(r, 1);
	r->measured = true;
	if (err == -ECANCELED)
		course__incomplete(&r->course, "the load over the direct way was lost");
	return err == -EINTR ? err : 0;
}
