// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Verdicts: every target of the scenario, on every phase that it speaks of. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/phase.h"
#include "log.h"
#include "model/quantile.h"

static double quantile_of(enum metric m)
{
	switch (m) {
	case METRIC_RPC_P50: return 0.5;
	case METRIC_RPC_P90: return 0.9;
	case METRIC_RPC_P95: return 0.95;
	case METRIC_RPC_P99: return 0.99;
	case METRIC_RPC_P999: return 0.999;
	default: return 0;
	}
}

/* The target's histogram in a phase: what the user of that loop feels, unless it names a clock. */
static const struct hist *clock_of(const struct scenario_target *t, const struct phase *p)
{
	switch (t->clock) {
	case CLOCK_KERNEL: return &p->kernel;
	case CLOCK_CLIENT: return &p->client;
	case CLOCK_INTENDED: return &p->intended;
	default: return p->mode == MODE_OPEN ? &p->intended : &p->client;
	}
}

static struct target *add_target(struct bench *b, const struct scenario_target *t,
				 const char *where)
{
	static const char *const clocks[] = {"", "", "", ", kernel"};
	char name[96];
	struct target *target;

	if (b->n_targets == MAX_TARGETS) {
		course__incomplete(&b->course, "more than %d targets: the rest is not judged",
				   MAX_TARGETS);
		return NULL;
	}
	if (where)
		snprintf(name, sizeof(name), "%s (%s%s)", metric__title(t->metric), where,
			 clocks[t->clock]);
	else
		snprintf(name, sizeof(name), "%s", metric__title(t->metric));
	target = &b->targets[b->n_targets++];
	target__init(target, name, t->op, t->limit, metric__unit(t->metric));
	return target;
}

/* What makes any number of a phase worthless. */
static void check_phase(const struct bench *b, struct target *target, const struct phase *p)
{
	/* An event that was acknowledged and never came is as good as failed. */
	target__check_errors(target, p->attempted, p->failed + p->missing,
			     b->scenario->error_bound);
	if (p->invalid[0])
		target__invalidate(target, "%s", p->invalid);
	if (b->course.has_last)
		target__check_accounting(target, &b->course.last);
	target__check_clock(target, b->course.clock_step_ns,
			    b->course.ended_ns - b->course.started_ns);
}

static void judge_rpc(struct target *target, const struct scenario_target *t, const struct phase *p)
{
	const struct hist *h = clock_of(t, p);
	struct estimate e;
	uint64_t n;

	if (t->metric == METRIC_RPC_RATE) {
		e = phase__rate(p);
		target__judge(target, &e);
		return;
	}
	target__judge_quantile(target, h, quantile_of(t->metric));
	n = hist__count(h);
	if (t->clock == CLOCK_KERNEL && n && n < p->succeeded)
		target__check_lost(target, h, quantile_of(t->metric), p->succeeded - n);
}

static void judge_phase(struct bench *b, const struct scenario_target *t, const struct phase *p)
{
	char where[48];
	struct target *target = add_target(
		b, t, phase__label(p, t->metric == METRIC_ERROR_RATE, where, sizeof(where)));
	struct estimate e;

	if (!target)
		return;
	if (!p->attempted) {
		e = estimate__none();
		target__judge(target, &e);
		return;
	}
	if (t->metric == METRIC_ERROR_RATE) {
		e = estimate__exact(100 * (double)p->failed / (double)p->attempted, p->attempted);
		target__judge(target, &e);
		return;
	}
	if (t->metric == METRIC_EVENTS_RATE) {
		e = phase__rate(p);
		target__judge(target, &e);
	} else if (t->metric == METRIC_EVENTS_MISSING) {
		e = estimate__exact((double)p->missing, p->attempted);
		target__judge(target, &e);
	} else {
		judge_rpc(target, t, p);
	}
	check_phase(b, target, p);
}

struct estimate bench__memory_per_service(const struct bench *b)
{
	double v[MAX_SERVICES];
	struct estimate e;
	size_t i, n = 0;

	for (i = 0; i < b->n_services && i < b->n_members; i++)
		if (b->members[i].measured)
			v[n++] = (double)b->members[i].memory.current;
	e = n ? estimate__mean(v, n) : estimate__none();
	if (e.lo < 0)
		e.lo = 0; /* no memory is less than none */
	return e;
}

static void judge_memory(struct bench *b, const struct scenario_target *t)
{
	struct target *target = add_target(b, t, NULL);
	struct estimate e = bench__memory_per_service(b);
	size_t i;

	if (!target)
		return;
	target__judge(target, &e);
	for (i = 0; i < b->n_services && e.n; i++)
		if (!b->members[i].measured)
			target__invalidate(target, "%s was not measured: it had ended",
					   b->members[i].name);
}

static void judge_growth_of(struct bench *b, const struct scenario_target *t,
			    const struct member *m)
{
	struct target *target = add_target(b, t, m->name);

	if (!target)
		return;
	target__judge_growth(target, &m->growth);
	if (b->scenario->memory.rate > 0)
		target__check_errors(target, b->memory_watch.attempted, b->memory_watch.failed,
				     b->scenario->error_bound);
	target__check_clock(target, b->course.clock_step_ns,
			    b->course.ended_ns - b->course.started_ns);
	if (m->ended)
		target__invalidate(target, "%s ended during the run", m->name);
}

static void judge_growth(struct bench *b, const struct scenario_target *t)
{
	bool any = false;
	size_t i;

	for (i = 0; i < b->n_members; i++) {
		const struct member *m = &b->members[i];

		if (!m->watched || (t->container && strcmp(t->container, m->name) != 0))
			continue;
		judge_growth_of(b, t, m);
		any = true;
	}
	if (!any) {
		struct target *target = add_target(b, t, t->container);
		struct estimate e = estimate__none();

		if (target)
			target__judge(target, &e);
	}
}

static bool speaks_of(const struct scenario_target *t, enum phase_kind kind, enum path path,
		      enum rpc_mode mode)
{
	bool events = t->metric == METRIC_EVENTS_RATE || t->metric == METRIC_EVENTS_MISSING;

	if (t->path >= 0 && t->path != (int)path)
		return false;
	if (t->metric == METRIC_ERROR_RATE)
		return true;
	if (events || kind == PHASE_EVENTS)
		return events && kind == PHASE_EVENTS;
	if (t->clock == CLOCK_INTENDED && mode == MODE_CLOSED)
		return false;
	return !t->mode || t->mode == mode;
}

/* Phases that were not reached are judged, too: NO DATA. */
static void judge_target(struct bench *b, const struct scenario_target *t)
{
	static const struct {
		enum phase_kind kind;
		enum rpc_mode mode;
	} kinds[] = {{PHASE_RPC, MODE_CLOSED}, {PHASE_RPC, MODE_OPEN}, {PHASE_EVENTS, MODE_ANY}};
	const struct scenario *s = b->scenario;
	size_t k, before = b->n_targets;
	unsigned int i;

	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if ((kinds[k].mode == MODE_OPEN && !s->has_open) ||
		    (kinds[k].kind == PHASE_EVENTS && !s->has_events))
			continue;
		for (i = 0; i < s->n_paths; i++) {
			struct phase none = {
				.kind = kinds[k].kind, .mode = kinds[k].mode, .path = s->paths[i]};
			struct phase *p;

			if (!speaks_of(t, kinds[k].kind, s->paths[i], kinds[k].mode))
				continue;
			p = phase__find(b, kinds[k].kind, s->paths[i], kinds[k].mode);
			judge_phase(b, t, p ? p : &none);
		}
	}
	/* A target that speaks of nothing in this run is in the report all the same: NO DATA. */
	if (b->n_targets == before)
		add_target(b, t, NULL);
}

void bench__judge(struct bench *b)
{
	unsigned int i;

	if (b->course.opts->ab_only)
		return;
	for (i = 0; i < b->scenario->n_targets; i++) {
		if (b->scenario->targets[i].metric == METRIC_MEMORY)
			judge_memory(b, &b->scenario->targets[i]);
		else if (b->scenario->targets[i].metric == METRIC_GROWTH)
			judge_growth(b, &b->scenario->targets[i]);
		else
			judge_target(b, &b->scenario->targets[i]);
	}
}
