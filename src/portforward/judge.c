// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Verdicts: every target of the scenario, on every way and workload that it speaks of. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/quantile.h"
#include "portforward/analysis.h"
#include "portforward/run.h"

static struct target *add_target(struct pfrun *r, const struct pf_target *t, const char *where)
{
	char name[160];
	struct target *target;

	if (r->n_targets == PFRUN_MAX_TARGETS) {
		course__incomplete(&r->course, "more than %d targets: the rest is not judged",
				   PFRUN_MAX_TARGETS);
		return NULL;
	}
	snprintf(name, sizeof(name), "%s (%s)", pf_metric__title(t->metric), where);
	target = &r->targets[r->n_targets++];
	target__init(target, name, t->op, t->limit, pf_metric__unit(t->metric));
	return target;
}

/* What makes any number of a cell worthless. */
static void check_cell(const struct pfrun *r, struct target *target, size_t way,
		       const struct pf_cell *c)
{
	target__check_errors(target, c->attempted, c->failed, r->scenario->error_bound);
	if (r->used[way].broken)
		target__invalidate(target, "%s", r->used[way].why);
	target__check_clock(target, r->course.clock_step_ns,
			    r->course.ended_ns - r->course.started_ns);
}

static struct estimate estimate_of(const struct pfrun *r, enum pf_metric metric,
				   const struct pf_cell *c, const struct pf_cell *direct)
{
	size_t n = (size_t)r->scenario->load.rounds;

	switch (metric) {
	case PF_ADDED_P50: return pf_added(direct->p50, c->p50, n);
	case PF_ADDED_P99: return pf_added(direct->p99, c->p99, n);
	case PF_RATE: return pf_middle(c->rate, n);
	case PF_RATE_LOSS: return estimate__scale(pf_percent(direct->rate, c->rate, n), -1);
	default: return estimate__none();
	}
}

/* NO DATA already: and why. */
static void say_why(const struct pfrun *r, struct target *target, size_t way)
{
	const struct pf_used *u = &r->used[way];
	const struct pf_route *route = &r->stack.routes[u->way];

	if (!route->available && route->why[0])
		snprintf(target->reason, sizeof(target->reason), "not started: %.200s", route->why);
	else if (u->gone)
		snprintf(target->reason, sizeof(target->reason), "%.200s", u->why);
}

/*
 * The rounds with the fewest calls are the slow ones: those that have a p99 are not like the rest,
 * and what passes by them may not by all. What fails fails.
 */
static void check_p99s(struct target *target, const struct pf_cell *c, const struct pf_cell *direct)
{
	unsigned int rounds = c->rounds < direct->rounds ? c->rounds : direct->rounds;

	if (target->estimate.n >= rounds || target->verdict == VERDICT_FAIL)
		return;
	target->verdict = VERDICT_INCONCLUSIVE;
	snprintf(target->reason, sizeof(target->reason),
		 "in %llu of %u rounds direct and the way had the %d calls that a p99 takes",
		 (unsigned long long)target->estimate.n, rounds, PFRUN_P99_CALLS);
}

static void judge_cell(struct pfrun *r, const struct pf_target *t, size_t way, enum pf_workload w)
{
	size_t point = pf_point__find(r->scenario->points, r->scenario->n_points, &t->point[w]);
	const struct pf_cell *c = pfrun__cell(r, way, point);
	const struct pf_cell *direct = pfrun__cell(r, 0, point);
	struct estimate e;
	char name[96], where[128];
	struct target *target;

	snprintf(where, sizeof(where), "%s, %s", pf_way__name(r->used[way].way),
		 pf_point__name(&t->point[w], name, sizeof(name)));
	target = add_target(r, t, where);
	if (!target)
		return;
	if (!c->attempted) {
		say_why(r, target, way);
		return;
	}
	if (t->metric == PF_P50 || t->metric == PF_P99) {
		target__judge_quantile(target, &c->client, t->metric == PF_P50 ? 0.5 : 0.99);
	} else {
		e = estimate_of(r, t->metric, c, direct);
		target__judge(target, &e);
		if (t->metric == PF_ADDED_P99)
			check_p99s(target, c, direct);
	}
	check_cell(r, target, way, c);
	if (pf_metric__compares(t->metric))
		check_cell(r, target, 0, direct);
}

/* Failures of a way under a workload, at all its points: each that fails is one too many. */
static void judge_errors(struct pfrun *r, const struct pf_target *t, size_t way, enum pf_workload w)
{
	uint64_t attempted = 0, failed = 0;
	struct estimate e;
	struct target *target;
	char where[64];
	size_t i;

	snprintf(where, sizeof(where), "%s, %s, all points", pf_way__name(r->used[way].way),
		 w == PF_HTTP ? "HTTP" : "NATS");
	target = add_target(r, t, where);
	for (i = 0; i < r->scenario->n_points; i++) {
		const struct pf_cell *c = pfrun__cell(r, way, i);

		if (r->scenario->points[i].workload != w)
			continue;
		attempted += c->attempted;
		failed += c->failed;
	}
	if (!target)
		return;
	if (!attempted) {
		say_why(r, target, way);
		return;
	}
	e = estimate__exact(100 * (double)failed / (double)attempted, attempted);
	target__judge(target, &e);
	if (r->used[way].broken && target->verdict == VERDICT_PASS)
		target__invalidate(target, "%s", r->used[way].why);
}

void pfrun__judge(struct pfrun *r)
{
	const struct pf_scenario *s = r->scenario;
	size_t way;
	unsigned int i;
	int w;

	for (i = 0; i < s->n_targets; i++) {
		const struct pf_target *t = &s->targets[i];

		for (way = 0; way < s->n_used; way++) {
			if (t->way != PF_WAYS ? r->used[way].way != t->way
					      : !way && pf_metric__compares(t->metric))
				continue;
			for (w = 0; w < PF_WORKLOADS; w++) {
				if (!t->workload[w])
					continue;
				if (t->metric == PF_ERROR_RATE)
					judge_errors(r, t, way, (enum pf_workload)w);
				else
					judge_cell(r, t, way, (enum pf_workload)w);
			}
		}
	}
}
