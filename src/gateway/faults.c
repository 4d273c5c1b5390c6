// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What befalls the stack while the load goes on, and what the load made of it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/answer.h"
#include "gateway/run.h"
#include "log.h"
#include "stack/clock.h"

#define GRACE_MS      2000
#define HEALTH_MS     200
#define HEALTH_EACH   (50 * NS_PER_MS)
#define START_LEAD_NS (200 * NS_PER_MS) /* until the load has begun; the baseline pays for it */
#define READY_MS      15000

static int do_fault(struct gwrun *r, struct gw_fault_result *f)
{
	enum gateway_id id = f->fault->id;

	switch (f->fault->kind) {
	case FAULT_STOP: return gateway__terminate(&r->gateway, id, GRACE_MS, &f->done);
	case FAULT_KILL: return gateway__kill(&r->gateway, id, &f->done);
	case FAULT_PAUSE: return gateway__pause(&r->gateway, id, &f->done);
	case FAULT_RESET: return gateway__reset(&r->gateway, id, &f->resets, &f->done);
	default: return -EINVAL;
	}
}

static int undo_fault(struct gwrun *r, struct gw_fault_result *f)
{
	enum gateway_id id = f->fault->id;

	if (f->fault->kind == FAULT_PAUSE)
		return gateway__resume(&r->gateway, id, &f->undone);
	return gateway__launch(&r->gateway, id, &f->undone);
}

static void act(struct gwrun *r, bool undo)
{
	struct gw_phase *p = r->faulty;
	struct gw_fault_result *f = &p->fault;
	int err = undo ? undo_fault(r, f) : do_fault(r, f);

	if (err) {
		f->refused = true;
		r->undo_ns = 0;
		gw_phase__invalidate(p, "%s could not be %s: %s", f->fault->name,
				     undo ? "undone" : "done", strerror(-err));
		return;
	}
	if (f->fault->kind == FAULT_RESET && !f->resets)
		gw_phase__invalidate(p, "there was no connection to reset");
	log_info("[%5.1f s] %s: %s", course__elapsed(&r->course), f->fault->name,
		 undo ? "undone" : "done");
	r->await_health = undo;
}

uint64_t gwrun__do_faults(struct gwrun *r)
{
	struct gateway_health h;
	uint64_t now = clock__now();

	if (!r->faulty)
		return UINT64_MAX;
	if (r->fault_ns && now >= r->fault_ns) {
		r->fault_ns = 0;
		act(r, false);
		/* Down for as long as the scenario says, from when it was down. */
		if (r->undo_ns)
			r->undo_ns = r->faulty->fault.done.end_ns +
				     (uint64_t)(r->faulty->fault.fault->down * 1e9);
	} else if (!r->fault_ns && r->undo_ns && now >= r->undo_ns) {
		r->undo_ns = 0;
		act(r, true);
	}
	if (r->await_health &&
	    !gateway__health(&r->gateway, r->faulty->fault.fault->id, HEALTH_MS, &h) && h.healthy) {
		r->faulty->fault.healthy_ns = clock__now();
		r->await_health = false;
	}
	if (r->fault_ns)
		return r->fault_ns;
	if (r->undo_ns)
		return r->undo_ns;
	return r->await_health ? clock__now() + HEALTH_EACH : UINT64_MAX;
}

/* What calls met that were due in the fault's bucket or later. */
static void take_seen(struct gw_phase *p, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "timeline");
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		const json_t *b = json_array_get(list, i);

		if (answer__count(b, "t_ns") + (uint64_t)(p->bucket_s * 1e9) <=
		    p->fault.done.begin_ns)
			continue;
		answer__add_counts(p->fault.codes, json_object_get(b, "codes"));
		answer__add_counts(p->fault.errors, json_object_get(b, "errors"));
	}
}

/* The moment at which the first failure was known: finer than a bucket. */
static void take_first_failure(struct gw_phase *p, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "first_failures");
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		const json_t *f = json_array_get(list, i);
		const char *what = json_string_value(json_object_get(f, "what"));
		uint64_t t = answer__count(f, "t_ns");

		if (t < p->fault.done.begin_ns)
			continue;
		p->fault.first_known_ns = t;
		snprintf(p->fault.first_what, sizeof(p->fault.first_what), "%s", what ? what : "");
		return;
	}
}

static double since(const struct gw_phase *p, uint64_t t_ns)
{
	return t_ns ? ((double)t_ns - (double)p->start_ns) / 1e9 : NAN;
}

void gw_fault__take(struct gw_phase *p, const json_t *answer, double error_bound)
{
	struct gw_fault_result *f = &p->fault;
	struct recovery_bucket *b = calloc(p->n_buckets ? p->n_buckets : 1, sizeof(*b));
	size_t i;

	if (!b || !f->done.begin_ns || f->refused) {
		free(b);
		return;
	}
	for (i = 0; i < p->n_buckets; i++)
		b[i] = (struct recovery_bucket){.t_s = since(p, p->buckets[i].t_ns),
						.due = p->buckets[i].due,
						.failed = p->buckets[i].failed,
						.p50_ns = p->buckets[i].p50_ns};
	/* An undo that did not come is none, but no sign that the fault ended by itself. */
	if (f->fault->kind == FAULT_RESET || f->undone.begin_ns) {
		recovery__judge(&f->recovery, b, p->n_buckets, p->bucket_s,
				since(p, f->done.begin_ns), since(p, f->undone.begin_ns),
				error_bound);
		/* Without a baseline its zeros are no counts: nothing was compared with anything.
		 */
		f->judged = !isnan(f->recovery.baseline_p50_ns);
	}
	free(b);
	take_seen(p, answer);
	take_first_failure(p, answer);
}

/* It is up and well before the next thing befalls it. */
static int restore(struct gwrun *r, struct gw_fault_result *f)
{
	enum gateway_id id = f->fault->id;
	enum gateway_state state = r->gateway.service[id].state;

	if (id == GATEWAY_CLIENT)
		return 0;
	if (state == GATEWAY_PAUSED)
		gateway__resume(&r->gateway, id, NULL);
	if (state == GATEWAY_DOWN)
		gateway__launch(&r->gateway, id, NULL);
	return gateway__await(&r->gateway, id, READY_MS);
}

/* What the breaker did since `before`; a gateway that was started again began at 0. */
static void take_breaker(const struct gwrun *r, struct gw_fault_result *f,
			 const struct gateway_status *before, unsigned int starts)
{
	struct gateway_status now;

	if (gateway__status(&r->gateway, &now))
		return;
	f->has_breaker = true;
	f->breaker_opened = now.opened;
	f->breaker_refused = now.refused;
	if (r->gateway.service[GATEWAY_KONG].starts != starts)
		return;
	f->breaker_opened -= before->opened;
	f->breaker_refused -= before->refused;
}

static int run_fault(struct gwrun *r, const struct gw_fault *f)
{
	const struct gw_scenario *s = r->scenario;
	double seconds = START_LEAD_NS / 1e9 + s->faults.before + f->down + f->after;
	struct gw_phase *p = gw_phase__add(r, GW_FAULT, f->name, s->faults.rate, s->faults.rate);
	unsigned int starts = r->gateway.service[GATEWAY_KONG].starts;
	struct gateway_status before;
	int err, known = !gateway__status(&r->gateway, &before);

	if (!p)
		return log_fail(-ENOMEM, "out of memory");
	p->fault.fault = f;
	log_info("[%5.1f s] fault: %s, under %g requests/s for %g s", course__elapsed(&r->course),
		 f->name, s->faults.rate, seconds);
	r->faulty = p;
	r->fault_ns = clock__now() + START_LEAD_NS + (uint64_t)(s->faults.before * 1e9);
	r->undo_ns = f->kind == FAULT_RESET ? 0 : UINT64_MAX;
	if (!r->course.watch.next_ns || r->fault_ns < r->course.watch.next_ns)
		r->course.watch.next_ns = r->fault_ns;
	err = gw_phase__drive(r, p, (uint64_t)(seconds * s->faults.rate + 0.5),
			      (unsigned int)s->faults.bucket_ms);
	r->faulty = NULL;
	r->fault_ns = r->undo_ns = 0;
	r->await_health = false;
	if (!err)
		err = restore(r, &p->fault);
	if (!err && known)
		take_breaker(r, &p->fault, &before, starts);
	return err;
}

int gwrun__run_faults(struct gwrun *r)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < r->scenario->faults.n_list && !err; i++)
		err = run_fault(r, &r->scenario->faults.list[i]);
	return err;
}
