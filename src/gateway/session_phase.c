// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A phase in the session document. */
#include <math.h>

#include "gateway/run.h"
#include "model/proportion.h"
#include "out/hops.h"
#include "out/json.h"

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *latency(const struct hist *h)
{
	return hist__count(h) ? session__latency(h) : json_null();
}

static double seconds(const struct gwrun *r, uint64_t t_ns)
{
	return t_ns ? ((double)t_ns - (double)r->course.started_ns) / 1e9 : NAN;
}

/* Since the phase's load began; null: it did not happen. */
static json_t *since(const struct gw_phase *p, uint64_t t_ns)
{
	return session__number(t_ns ? ((double)t_ns - (double)p->start_ns) / 1e9 : NAN);
}

static json_t *resources(const struct gwrun *r, const struct gw_phase *p)
{
	json_t *list = json_array();
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++) {
		struct gw_use u = gw_container__use(&r->containers[id], seconds(r, p->start_ns),
						    seconds(r, p->end_ns));
		json_t *o = json_object();

		session__put(&o, "name", session__text(gateway__name((enum gateway_id)id)));
		session__put(&o, "cpu_percent", session__number(u.cpu_percent));
		session__put(&o, "cpu_percent_max", session__number(u.cpu_percent_max));
		session__put(&o, "working_set_bytes", session__number(u.working_set));
		session__put(&o, "current_bytes", session__number(u.current));
		session__put(&o, "limit_bytes", session__number(u.limit));
		session__put(&o, "share_of_limit", session__number(u.share));
		session__append(&list, o);
	}
	return list;
}

static json_t *machine(const struct gw_phase *p)
{
	json_t *o = json_object();

	session__put(&o, "busy_percent", session__number(p->machine.busy));
	session__put(&o, "stolen_percent", session__number(p->machine.stolen));
	session__put(&o, "idle_percent", session__number(p->machine.idle));
	return o;
}

/* [t_s, due, succeeded, p50_ns, p99_ns], t_s since the load began; null: no success. */
static json_t *timeline(const struct gw_phase *p)
{
	json_t *list = json_array(), *o = json_object();
	size_t i;

	for (i = 0; i < p->n_buckets; i++) {
		const struct gw_bucket *b = &p->buckets[i];

		session__append(&list, json_pack("[o,o,o,o,o]", since(p, b->t_ns), count(b->due),
						 count(b->succeeded), session__number(b->p50_ns),
						 session__number(b->p99_ns)));
	}
	session__put(&o, "width_s", session__number(p->bucket_s));
	session__put(&o, "buckets", list);
	return o;
}

static json_t *baseline(const struct recovery *v)
{
	json_t *o = json_object();

	session__put(&o, "buckets", count(v->baseline));
	session__put(&o, "due", count(v->baseline_due));
	session__put(&o, "failed", count(v->baseline_failed));
	session__put(&o, "lowest_share", session__number(v->baseline_share));
	session__put(&o, "p50_ns", session__number(v->baseline_p50_ns));
	session__put(&o, "normal_p50_ns", session__number(v->normal_p50_ns));
	return o;
}

static void put_recovery(json_t **o, const struct recovery *v)
{
	session__put(o, "resolution_s", session__number(v->width_s));
	session__put(o, "affected", json_boolean(v->affected));
	session__put(o, "failed", count(v->failed));
	session__put(o, "first_failure_s", session__number(v->first_failure_s));
	session__put(o, "last_failure_s", session__number(v->last_failure_s));
	session__put(o, "downtime_s", session__number(v->downtime_s));
	session__put(o, "recovered", json_boolean(v->recovered));
	session__put(o, "recovery_s", session__estimate(&v->time_s));
	session__put(o, "from_fault_s", session__number(v->from_fault_s));
	session__put(o, "baseline", baseline(v));
}

static double between(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns && to_ns ? ((double)to_ns - (double)from_ns) / 1e9 : NAN;
}

static json_t *fault(const struct gw_phase *p)
{
	const struct gw_fault_result *f = &p->fault;
	json_t *o = json_object();

	session__put(&o, "kind", json_string(fault_kind__name(f->fault->kind)));
	session__put(&o, "container", session__text(gateway__name(f->fault->id)));
	session__put(&o, "done_s", since(p, f->done.begin_ns));
	session__put(&o, "took_s", session__number(between(f->done.begin_ns, f->done.end_ns)));
	session__put(&o, "undone_s", since(p, f->undone.begin_ns));
	session__put(&o, "healthy_s", session__number(between(f->undone.begin_ns, f->healthy_ns)));
	if (f->fault->kind == FAULT_RESET)
		session__put(&o, "connections_reset", count(f->resets));
	session__put(&o, "first_failure", session__text(f->first_what[0] ? f->first_what : NULL));
	session__put(&o, "first_failure_known_s",
		     session__number(between(f->done.begin_ns, f->first_known_ns)));
	session__put(&o, "codes", json_incref(f->codes));
	session__put(&o, "errors", json_incref(f->errors));
	session__put(&o, "breaker_opened", f->has_breaker ? count(f->breaker_opened) : json_null());
	session__put(&o, "breaker_refused",
		     f->has_breaker ? count(f->breaker_refused) : json_null());
	if (f->judged)
		put_recovery(&o, &f->recovery);
	return o;
}

static const char *kind_of(const struct gw_phase *p)
{
	switch (p->kind) {
	case GW_RESPONSE: return "response";
	case GW_LOAD: return "load";
	case GW_FAULT: return "fault";
	case GW_HOPS: return "hops";
	default: return "steady";
	}
}

static void put_schedule(json_t **o, const struct gw_phase *p)
{
	session__put(o, "target_rate_per_s", session__number(p->rate));
	session__put(o, "offered_rate_per_s", session__number(p->offered));
	session__put(o, "rate_per_s", session__estimate(&p->carried));
	session__put(o, "sent_per_s", session__estimate(&p->sent));
	session__put(o, "behind_schedule", count(p->behind_schedule));
	session__put(o, "waited", count(p->waited));
	session__put(o, "unsent", count(p->unsent));
	session__put(o, "late_ns_max", count(p->late_ns_max));
	session__put(o, "peak_in_flight", count(p->peak_in_flight));
}

json_t *gw_phase__json(const struct gwrun *r, const struct gw_phase *p)
{
	struct estimate success =
		estimate__scale(proportion__estimate(p->succeeded, p->attempted), 100);
	bool open = p->offered > 0;
	json_t *o = json_object(), *l = json_object();

	session__put(&o, "name", session__text(p->name));
	session__put(&o, "kind", json_string(kind_of(p)));
	session__put(&o, "mode", json_string(open ? "open" : "closed"));
	session__put(&o, "at_s", session__number(seconds(r, p->start_ns)));
	session__put(&o, "scheduled", count(p->scheduled));
	session__put(&o, "attempted", count(p->attempted));
	session__put(&o, "succeeded", count(p->succeeded));
	session__put(&o, "failed", count(p->failed));
	session__put(&o, "status", json_incref(p->status));
	session__put(&o, "codes", json_incref(p->codes));
	session__put(&o, "errors", json_incref(p->errors));
	session__put(&o, "success_percent", session__estimate(&success));
	session__put(&o, "duration_s", session__number(p->duration_s));
	session__put(&o, "connections_opened", count(p->connections_opened));
	session__put(&o, "invalid", session__text(p->invalid[0] ? p->invalid : NULL));
	if (open)
		put_schedule(&o, p);
	else
		session__put(&o, "mean_ns", session__estimate(&p->mean));
	session__put(&l, "client", latency(&p->client));
	if (open)
		session__put(&l, "intended", latency(&p->intended));
	session__put(&l, "kernel", p->has_kernel ? latency(&p->kernel) : json_null());
	session__put(&o, "latency", l);
	session__put(&o, "kernel_answers", p->has_kernel ? count(p->kernel_answered) : json_null());
	session__put(&o, "resources", resources(r, p));
	session__put(&o, "machine", machine(p));
	session__put(&o, "api_answered", count(p->api_answered));
	session__put(&o, "api_mean_ns",
		     session__number(p->api_answered ? 1e3 * (double)p->api_waited_us /
							       (double)p->api_answered
						     : NAN));
	if (p->critical_paths) {
		session__put(&o, "critical_paths", json_incref(p->critical_paths));
		session__put(&o, "calls", json_incref(p->calls));
	}
	session__put(&o, "tls", p->tls ? json_incref(p->tls) : json_null());
	if (p->n_buckets)
		session__put(&o, "timeline", timeline(p));
	if (p->kind == GW_FAULT)
		session__put(&o, "fault", fault(p));
	if (p->kind == GW_HOPS)
		session__put_hops(&o, &p->ways);
	return o;
}
