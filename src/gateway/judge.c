// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Verdicts: every target of the scenario, on everything that it speaks of. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gateway/run.h"
#include "model/proportion.h"
#include "model/quantile.h"
#include "model/units.h"

#define BACKLOG_SHARE 0.95 /* of what is offered, below which a backlog grows */
#define LATE_SHARE    0.01 /* of requests sent late, from which on the generator is at fault */

static struct target *add_target(struct gwrun *r, const struct gw_target *t, const char *where)
{
	char name[96];
	struct target *target;

	if (r->n_targets == GW_MAX_TARGETS) {
		course__incomplete(&r->course, "more than %d targets: the rest is not judged",
				   GW_MAX_TARGETS);
		return NULL;
	}
	snprintf(name, sizeof(name), where ? "%s (%s)" : "%s", gw_metric__title(t->metric), where);
	target = &r->targets[r->n_targets++];
	target__init(target, name, t->op, t->limit, gw_metric__unit(t->metric));
	return target;
}

static struct gw_phase *find_phase(const struct gwrun *r, enum gw_phase_kind kind, double rate,
				   const struct gw_fault *fault)
{
	size_t i;

	for (i = 0; i < r->n_phases; i++) {
		struct gw_phase *p = r->phases[i];

		if (p->kind == kind &&
		    (kind == GW_FAULT ? p->fault.fault == fault : p->rate == rate))
			return p->ran ? p : NULL;
	}
	return NULL;
}

static void check_clock(const struct gwrun *r, struct target *target)
{
	target__check_clock(target, r->course.clock_step_ns,
			    r->course.ended_ns - r->course.started_ns);
}

/* What was never sent could not fail: a load of which much is missing is no load. */
static void check_sent(const struct gwrun *r, struct target *target, const struct gw_phase *p)
{
	uint64_t missing = p->scheduled - p->attempted;
	char n[UNITS_LEN], all[UNITS_LEN];

	if (p->scheduled > p->attempted && target->op == TARGET_GE &&
	    target->verdict == VERDICT_PASS &&
	    (double)missing > r->scenario->error_bound * (double)p->scheduled)
		target__invalidate(target, "%s of %s requests were never sent",
				   units__count(n, sizeof(n), missing),
				   units__count(all, sizeof(all), p->scheduled));
}

/* What makes any number of a phase worthless. */
static void check_phase(const struct gwrun *r, struct target *target, const struct gw_phase *p,
			bool errors)
{
	if (errors)
		target__check_errors(target, p->attempted, p->failed, r->scenario->error_bound);
	if (p->invalid[0])
		target__invalidate(target, "%s", p->invalid);
	check_sent(r, target, p);
	if (r->course.has_last)
		target__check_accounting(target, &r->course.last);
	check_clock(r, target);
}

static void judge_response(struct gwrun *r, const struct gw_target *t)
{
	const struct gw_phase *p = find_phase(r, GW_RESPONSE, 0, NULL);
	struct target *target = add_target(r, t, NULL);
	struct estimate e = estimate__none();

	if (!target || !p)
		return;
	switch (t->metric) {
	case GW_RESPONSE_AVG: target__judge(target, &p->mean); break;
	case GW_RESPONSE_P50: target__judge_quantile(target, &p->client, 0.5); break;
	case GW_RESPONSE_P99: target__judge_quantile(target, &p->client, 0.99); break;
	default:
		/* The longest of those that were made, which says nothing about others. */
		if (hist__count(&p->client))
			e = estimate__exact((double)hist__max_ns(&p->client),
					    hist__count(&p->client));
		target__judge(target, &e);
	}
	check_phase(r, target, p, true);
}

/* A generator that does not send cannot be answered: what it did not offer was not missed. */
static void check_generator(struct target *target, const struct gw_phase *p)
{
	char sent[UNITS_LEN], late[UNITS_LEN], all[UNITS_LEN];
	uint64_t own = p->behind_schedule - p->waited;

	/* What waited for a connection waited for the gateway's answers. */
	if (target->verdict == VERDICT_PASS || p->behind_schedule < 2 * p->waited)
		return;
	/* A rate lacks what was not sent; that it was sent a little late is nothing to it. */
	if (target->op == TARGET_GE) {
		if (p->sent.value < target->limit)
			target__invalidate(
				target, "the load generator itself sent only %s",
				units__format(sent, sizeof(sent), p->sent.value, "requests/s"));
		return;
	}
	if (p->attempted && (double)own > LATE_SHARE * (double)p->attempted)
		target__invalidate(target,
				   "the load generator itself fell behind: it sent %s of %s "
				   "requests more than 1 ms late",
				   units__count(late, sizeof(late), own),
				   units__count(all, sizeof(all), p->attempted));
}

/* A backlog that grows makes latency a matter of how long the load lasted. */
static void check_backlog(struct target *target, const struct gw_phase *p)
{
	char carried[UNITS_LEN], offered[UNITS_LEN];

	if (!(p->carried.hi < BACKLOG_SHARE * p->offered))
		return;
	target__invalidate(target,
			   "only %s of %s were carried: the backlog, and the latency with it, grew "
			   "for as long as the load lasted",
			   units__number(carried, sizeof(carried), p->carried.value),
			   units__format(offered, sizeof(offered), p->offered, "requests/s"));
}

static void judge_load_at(struct gwrun *r, const struct gw_target *t, double rate)
{
	const struct gw_phase *p = find_phase(r, GW_LOAD, rate, NULL);
	struct target *target;
	struct estimate e;
	char where[48];

	snprintf(where, sizeof(where), "at %.10g/s", rate);
	target = add_target(r, t, where);
	if (!target || !p)
		return;
	switch (t->metric) {
	case GW_LOAD_P50:
	case GW_LOAD_P99:
		target__judge_quantile(target, &p->intended, t->metric == GW_LOAD_P50 ? 0.5 : 0.99);
		check_generator(target, p);
		check_backlog(target, p);
		break;
	case GW_LOAD_RATE:
		target__judge(target, &p->carried);
		check_generator(target, p);
		break;
	default:
		e = estimate__scale(proportion__estimate(p->succeeded, p->attempted), 100);
		target__judge(target, &e);
	}
	/* A success rate is about the failures: it is not made worthless by them. */
	check_phase(r, target, p, t->metric != GW_SUCCESS && t->metric != GW_LOAD_RATE);
}

static void judge_load(struct gwrun *r, const struct gw_target *t)
{
	const struct gw_scenario *s = r->scenario;
	unsigned int i;

	for (i = 0; i < s->load.n_rates; i++)
		if (!(t->rate > 0) || t->rate == s->load.rates[i])
			judge_load_at(r, t, s->load.rates[i]);
}

static void say_no_baseline(struct target *target, const struct recovery *v)
{
	char failed[UNITS_LEN], due[UNITS_LEN];

	if (v->baseline < RECOVERY_MIN_BASELINE)
		snprintf(target->reason, sizeof(target->reason),
			 "nothing to compare with: too few requests were due before the fault");
	else
		snprintf(target->reason, sizeof(target->reason),
			 "nothing to compare with: %s of %s requests failed before the fault",
			 units__count(failed, sizeof(failed), v->baseline_failed),
			 units__count(due, sizeof(due), v->baseline_due));
}

static void judge_recovery(struct gwrun *r, const struct gw_target *t, const struct gw_fault *f)
{
	const struct gw_phase *p = find_phase(r, GW_FAULT, 0, f);
	struct target *target = add_target(r, t, f->name);
	const struct recovery *v;
	struct estimate e;
	char watched[UNITS_LEN];

	if (!target || !p)
		return;
	v = &p->fault.recovery;
	e = p->fault.judged ? estimate__scale(v->time_s, 1e9) : estimate__none();
	target__judge(target, &e);
	/* NaN after a comparison without a baseline; 0 where it did not come to one. */
	if (!p->fault.judged && isnan(v->baseline_p50_ns))
		say_no_baseline(target, v);
	if (p->fault.judged && !v->recovered && target->verdict == VERDICT_INCONCLUSIVE)
		snprintf(target->reason, sizeof(target->reason),
			 "not recovered in the %s that were watched",
			 units__ns(watched, sizeof(watched), e.value));
	if (p->fault.judged && v->recovered && !v->affected)
		snprintf(target->reason, sizeof(target->reason),
			 "no request was slower or failed: there was nothing to recover from");
	if (p->invalid[0])
		target__invalidate(target, "%s", p->invalid);
	check_clock(r, target);
}

/* Of a fault's phase what was before the fault and after the recovery. */
static bool is_outside(const struct gw_phase *p, const struct gw_bucket *b)
{
	const struct gw_fault_result *f = &p->fault;
	double since = ((double)b->t_ns - (double)f->done.begin_ns) / 1e9;

	if (p->kind != GW_FAULT || !f->done.begin_ns)
		return true;
	return since + p->bucket_s <= 0 ||
	       (f->judged && f->recovery.recovered && since >= f->recovery.from_fault_s);
}

/* What it costs to follow calls hop by hop is in no other figure. */
static bool is_for_availability(const struct gw_phase *p)
{
	return p->ran && p->kind != GW_HOPS;
}

void gwrun__available(const struct gwrun *r, uint64_t *succeeded, uint64_t *due, double *seconds)
{
	size_t i, k;

	*succeeded = *due = 0;
	*seconds = 0;
	for (i = 0; i < r->n_phases; i++) {
		const struct gw_phase *p = r->phases[i];

		if (!is_for_availability(p))
			continue;
		if (!p->n_buckets) {
			*succeeded += p->succeeded;
			*due += p->attempted;
			*seconds += p->duration_s;
			continue;
		}
		for (k = 0; k < p->n_buckets; k++) {
			if (!is_outside(p, &p->buckets[k]))
				continue;
			*succeeded += p->buckets[k].succeeded;
			*due += p->buckets[k].due;
			*seconds += p->bucket_s;
		}
	}
}

static uint64_t bad_bodies(const struct gwrun *r, uint64_t *answers)
{
	uint64_t bad = 0;
	size_t i;

	*answers = 0;
	for (i = 0; i < r->n_phases; i++) {
		bad += r->phases[i]->bad_bodies;
		*answers += r->phases[i]->succeeded + r->phases[i]->bad_bodies;
	}
	return bad;
}

static void judge_run(struct gwrun *r, const struct gw_target *t)
{
	struct target *target = add_target(r, t, NULL);
	struct estimate e = estimate__none();
	uint64_t k, n;
	double seconds;
	size_t i;

	if (!target)
		return;
	if (t->metric == GW_AVAILABILITY) {
		gwrun__available(r, &k, &n, &seconds);
		e = estimate__scale(proportion__estimate(k, n), 100);
	} else if (t->metric == GW_LEAKS) {
		if (r->has_counters && r->counters.requests)
			e = estimate__exact((double)r->counters.with_identifiers,
					    r->counters.requests);
	} else {
		k = bad_bodies(r, &n);
		if (n)
			e = estimate__exact((double)k, n);
	}
	target__judge(target, &e);
	for (i = 0; i < r->n_phases && t->metric == GW_AVAILABILITY; i++)
		if (is_for_availability(r->phases[i]))
			check_sent(r, target, r->phases[i]);
	if (t->metric == GW_LEAKS && r->gateway.service[GATEWAY_API].starts > 1)
		target__invalidate(target, "claude-api was started again: what it had counted "
					   "before is lost");
	check_clock(r, target);
}

/* What is killed for want of memory was full in between two readings. */
static void check_kills(struct target *target, const struct gw_container *c)
{
	uint64_t kills = c->memory.events_oom_kill;
	char n[UNITS_LEN];

	if (target->verdict != VERDICT_PASS || !c->has_memory || kills == MEMORY_NOT_KNOWN ||
	    !kills)
		return;
	target__invalidate(target,
			   "the kernel killed %s of its processes for want of memory, which "
			   "no reading shows",
			   units__count(n, sizeof(n), kills));
}

static void judge_share(struct gwrun *r, const struct gw_target *t, const struct gw_container *c)
{
	struct target *target = add_target(r, t, gateway__name(c->id));
	struct gw_use u = gw_container__use(c, 0, INFINITY);
	struct estimate e =
		isfinite(u.share) ? estimate__exact(100 * u.share, c->n) : estimate__none();

	if (!target)
		return;
	target__judge(target, &e);
	if (target->verdict == VERDICT_NO_DATA && c->n)
		snprintf(target->reason, sizeof(target->reason), "it has no limit");
	check_kills(target, c);
}

/* The longest stretch between two starts: the one that can tell most. */
static const struct gw_growth *longest(const struct gwrun *r, enum gateway_id id)
{
	const struct gw_growth *best = NULL;
	size_t i;

	for (i = 0; i < r->n_growths; i++)
		if (r->growths[i].id == id && (!best || r->growths[i].n > best->n))
			best = &r->growths[i];
	return best;
}

static bool grew_in_another(const struct gwrun *r, const struct gw_growth *g)
{
	size_t i;

	for (i = 0; i < r->n_growths; i++)
		if (&r->growths[i] != g && r->growths[i].id == g->id &&
		    r->growths[i].growth.verdict == GROWTH_GROWING)
			return true;
	return false;
}

static void judge_growth(struct gwrun *r, const struct gw_target *t, const struct gw_container *c)
{
	const struct gw_growth *g = longest(r, c->id);
	struct target *target = add_target(r, t, gateway__name(c->id));
	size_t len;

	if (!target || !g)
		return;
	target__judge_growth(target, &g->growth);
	if (target->verdict == VERDICT_PASS && grew_in_another(r, g)) {
		target->verdict = VERDICT_INCONCLUSIVE;
		snprintf(target->reason, sizeof(target->reason),
			 "it grew between two other starts; in the longest stretch: %.150s",
			 g->growth.reason);
	}
	/* An hour's slope out of seconds: the verdict says of how many. */
	len = strlen(target->reason);
	if (target->verdict == VERDICT_PASS)
		snprintf(target->reason + len, sizeof(target->reason) - len, "; %s",
			 g->growth.reason);
	if (c->deaths)
		target__invalidate(target, "%s ended during the run", gateway__name(c->id));
	check_clock(r, target);
}

static void judge_containers(struct gwrun *r, const struct gw_target *t)
{
	size_t before = r->n_targets;
	struct target *none;
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++) {
		const struct gw_container *c = &r->containers[id];

		if (t->container && strcmp(t->container, gateway__name(c->id)) != 0)
			continue;
		if (t->metric == GW_GROWTH)
			judge_growth(r, t, c);
		else if (t->container || !c->n || c->memory.limit != MEMORY_NO_LIMIT)
			judge_share(r, t, c);
	}
	if (r->n_targets > before)
		return;
	none = add_target(r, t, NULL);
	if (none)
		snprintf(none->reason, sizeof(none->reason), "no container has a limit");
}

void gwrun__judge(struct gwrun *r)
{
	const struct gw_scenario *s = r->scenario;
	unsigned int i, k;

	for (i = 0; i < s->n_targets; i++) {
		const struct gw_target *t = &s->targets[i];

		switch (gw_metric__scope(t->metric)) {
		case GW_SCOPE_RESPONSE: judge_response(r, t); break;
		case GW_SCOPE_LOAD: judge_load(r, t); break;
		case GW_SCOPE_RUN: judge_run(r, t); break;
		case GW_SCOPE_CONTAINER: judge_containers(r, t); break;
		case GW_SCOPE_FAULT:
			for (k = 0; k < s->faults.n_list; k++)
				if (!t->fault_name ||
				    !strcmp(t->fault_name, s->faults.list[k].name))
					judge_recovery(r, t, &s->faults.list[k]);
			break;
		}
	}
}
