// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One phase of load: sent, taken, compared with what the kernel saw. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/answer.h"
#include "bench/hops.h"
#include "gateway/run.h"
#include "log.h"
#include "model/critical_path.h"
#include "out/json.h"
#include "out/tree.h"
#include "stack/clock.h"

#define MARGIN_MS	15000
#define PATIENCE	2 /* times the schedule, for a load that cannot be carried */
#define SLOWEST_CALLS_S 5 /* pace of a closed loop that is waited for */
#define CLOSED_LIMIT_S	20
#define COST_CALLS	300
/* Seeds of what is sent: 0 is the warm-up's, a phase has its place in the run, from 1. */
#define COST_SEED      (GW_MAX_PHASES + 1)
#define LOAD_BUCKET_MS 100

struct gw_phase *gw_phase__add(struct gwrun *r, enum gw_phase_kind kind, const char *name,
			       double rate, double offered)
{
	struct gw_phase *p = r->n_phases < GW_MAX_PHASES ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	p->kind = kind;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->rate = rate;
	p->offered = offered;
	p->mean = p->carried = p->sent = estimate__none();
	p->machine = (struct machine){NAN, NAN, NAN};
	p->status = json_object();
	p->codes = json_object();
	p->errors = json_object();
	p->fault.codes = json_object();
	p->fault.errors = json_object();
	if (!p->status || !p->codes || !p->errors || !p->fault.codes || !p->fault.errors) {
		gw_phase__free(p);
		return NULL;
	}
	r->phases[r->n_phases++] = p;
	return p;
}

void gw_phase__free(struct gw_phase *p)
{
	json_decref(p->status);
	json_decref(p->codes);
	json_decref(p->errors);
	json_decref(p->fault.codes);
	json_decref(p->fault.errors);
	json_decref(p->critical_paths);
	json_decref(p->calls);
	json_decref(p->tls);
	free(p->buckets);
	waterfalls__free(&p->ways);
	free(p);
}

void gw_phase__invalidate(struct gw_phase *p, const char *fmt, ...)
{
	va_list args;

	if (p->invalid[0])
		return;
	va_start(args, fmt);
	vsnprintf(p->invalid, sizeof(p->invalid), fmt, args);
	va_end(args);
	log_warn("%s: %s", p->name, p->invalid);
}

static uint64_t seed_of(const struct gwrun *r, const struct gw_phase *p)
{
	uint64_t i = 0;

	while (i < r->n_phases && r->phases[i] != p)
		i++;
	return i + 1;
}

static json_t *command(const struct gwrun *r, const struct gw_phase *p, uint64_t calls,
		       unsigned int bucket_ms, double limit_s)
{
	const struct gw_scenario *s = r->scenario;
	json_t *c = json_pack("{s:s,s:I,s:I,s:f,s:s,s:s,s:I,s:b,s:i,s:I}", "cmd", "run", "calls",
			      (json_int_t)calls, "timeout_ms", (json_int_t)s->client.timeout_ms,
			      "limit_s", limit_s, "method", "POST", "content", "masker", "payload",
			      (json_int_t)s->client.payload, "record",
			      p->kind == GW_RESPONSE || p->kind == GW_LOAD, "bucket_ms",
			      (int)bucket_ms, "seed", (json_int_t)seed_of(r, p));

	if (p->kind == GW_HOPS)
		session__put(&c, "traceparent", json_true());
	if (p->offered > 0) {
		session__put(&c, "mode", json_string("open"));
		session__put(&c, "rate", json_real(p->offered));
	} else {
		session__put(&c, "mode", json_string("closed"));
		session__put(&c, "concurrency", json_integer(s->response.concurrency));
	}
	return c;
}

static uint64_t sum(const json_t *counts)
{
	json_t *o = (json_t *)counts;
	uint64_t n = 0;
	void *i;

	for (i = json_object_iter(o); i; i = json_object_iter_next(o, i))
		n += (uint64_t)json_integer_value(json_object_iter_value(i));
	return n;
}

static int take_bucket(struct gw_bucket *b, const json_t *o)
{
	*b = (struct gw_bucket){
		.t_ns = answer__count(o, "t_ns"),
		.due = answer__count(o, "due"),
		.succeeded = answer__count(o, "succeeded"),
		.failed = answer__count(o, "failed"),
		.p50_ns = answer__number(o, "p50_ns"),
		.p99_ns = answer__number(o, "p99_ns"),
	};
	return b->succeeded + b->failed == b->due ? 0 : -EPROTO;
}

static int take_timeline(struct gw_phase *p, const json_t *answer, unsigned int bucket_ms)
{
	const json_t *list = json_object_get(answer, "timeline");
	size_t i, n = json_array_size(list);
	int err = 0;

	p->bucket_s = bucket_ms / 1e3;
	p->buckets = calloc(n ? n : 1, sizeof(*p->buckets));
	if (!p->buckets)
		return -ENOMEM;
	for (i = 0; i < n && !err; i++)
		err = take_bucket(&p->buckets[i], json_array_get(list, i));
	p->n_buckets = err ? 0 : n;
	return err;
}

static int take_answer(struct gw_phase *p, const json_t *answer, unsigned int bucket_ms)
{
	const json_t *errors = json_object_get(answer, "errors");
	int err = answer__merge_hist(json_object_get(answer, "client"), &p->client);

	if (!err && p->offered > 0)
		err = answer__merge_hist(json_object_get(answer, "intended"), &p->intended);
	if (!err && bucket_ms)
		err = take_timeline(p, answer, bucket_ms);
	if (err)
		return log_fail(err, "%s: the answer of the load worker cannot be read", p->name);
	p->ran = true;
	p->attempted = answer__count(answer, "attempted");
	p->succeeded = answer__count(answer, "succeeded");
	p->failed = answer__count(answer, "failed");
	p->duration_s = answer__number(answer, "duration_s");
	p->start_ns = answer__count(answer, "start_ns");
	p->end_ns = answer__count(answer, "end_ns");
	p->behind_schedule = answer__count(answer, "behind_schedule");
	p->waited = answer__count(answer, "waited");
	p->unsent = answer__count(answer, "unsent");
	p->late_ns_max = answer__count(answer, "late_ns_max");
	p->connections_opened = answer__count(answer, "connections_opened");
	p->peak_in_flight = answer__count(answer, "peak_in_flight");
	p->bad_bodies = answer__count(errors, "bad_body");
	json_object_update(p->status, json_object_get(answer, "status"));
	json_object_update(p->codes, json_object_get(answer, "codes"));
	json_object_update(p->errors, (json_t *)errors);
	gw_phase__take_calls(p, json_object_get(answer, "calls"));
	return 0;
}

/* An exchange at the load worker's own sockets that was answered. */
static bool is_answered(const struct gwrun *r, const struct series_key *k)
{
	return k->proto == PROTO_HTTP && k->role == ROLE_CLIENT && k->part == PART_WHOLE &&
	       k->cgroup == r->gateway.service[GATEWAY_CLIENT].cgroup.id &&
	       k->status >= STATUS_1XX && k->status <= STATUS_5XX;
}

/* Under a fault a path is one of several things: only steady phases have one. */
static void take_paths(struct gw_phase *p, const struct snapshot *delta)
{
	struct critical_paths paths;

	if (!delta->tree || p->kind == GW_FAULT || critical_paths__build(&paths, delta))
		return;
	p->critical_paths = session__critical_paths(&paths);
	p->calls = session__calls(&paths, delta);
	critical_paths__free(&paths);
}

/*
 * What the kernel saw of the phase. Every answer that the client took passed its socket; of the
 * calls that it gave up some may have been answered all the same.
 */
static void take_kernel(struct gwrun *r, struct gw_phase *p, const struct snapshot *before)
{
	struct snapshot now = {0}, delta = {0};
	uint64_t answers = sum(p->codes), given_up = sum(p->errors) - p->bad_bodies;
	size_t i;

	if (p->kind == GW_HOPS)
		hop_phase__settle();
	if (wire__read(r->course.wire, &now) || snapshot__delta(&delta, &now, before)) {
		gw_phase__invalidate(p, "the probe could not be read");
		goto out;
	}
	for (i = 0; i < delta.n_series; i++) {
		const struct snapshot_series *s = &delta.series[i];

		if (!is_answered(r, &s->key))
			continue;
		p->kernel_answered += s->count;
		/* As the client's latency: of successes. */
		if (s->key.status == STATUS_2XX)
			hist__merge(&p->kernel, &s->hist);
	}
	take_paths(p, &delta);
	if (p->kind == GW_HOPS &&
	    hop_phase__take(&p->ways, &delta, r->gateway.service[GATEWAY_CLIENT].cgroup.id))
		gw_phase__invalidate(p, "out of memory");
	p->tls = session__tls(&delta);
	p->has_kernel = p->kernel_answered > 0;
	if (p->has_kernel && p->kind != GW_FAULT &&
	    (p->kernel_answered < answers || p->kernel_answered > answers + given_up))
		gw_phase__invalidate(
			p, "the kernel saw %" PRIu64 " answers and the client %" PRIu64 "%s",
			p->kernel_answered, answers, given_up ? " and some it gave up" : "");
out:
	snapshot__free(&delta);
	snapshot__free(&now);
}

/* What the stand-in took by its own clock: what no probe sees of an encrypted call. */
static void take_upstream(const struct gwrun *r, struct gw_phase *p,
			  const struct gateway_counters *before)
{
	struct gateway_counters now;

	if (gateway__counters(&r->gateway, &now) || now.answered < before->answered)
		return;
	p->api_answered = now.answered - before->answered;
	p->api_waited_us = now.waited_us - before->waited_us;
}

int gw_phase__drive(struct gwrun *r, struct gw_phase *p, uint64_t calls, unsigned int bucket_ms)
{
	struct snapshot before = {0};
	double limit_s = p->offered > 0 ? PATIENCE * (double)calls / p->offered + 5
					: CLOSED_LIMIT_S + (double)calls / SLOWEST_CALLS_S;
	unsigned int wait_ms = (unsigned int)(limit_s * 1000) +
			       (unsigned int)r->scenario->client.timeout_ms + MARGIN_MS;
	struct machine begin, end;
	struct gateway_counters api;
	uint64_t begin_ns;
	bool counted = p->kind != GW_FAULT && !gateway__counters(&r->gateway, &api);
	json_t *answer;
	int err;

	p->scheduled = calls;
	if (r->course.wire && wire__read(r->course.wire, &before))
		gw_phase__invalidate(p, "the probe could not be read");
	begin = machine__read();
	begin_ns = clock__now();
	err = remote__call(&r->client, command(r, p, calls, bucket_ms, limit_s), wait_ms, &answer);
	if (!err) {
		end = machine__read();
		p->machine =
			machine__percent(&begin, &end, (double)(clock__now() - begin_ns) / 1e9);
		err = take_answer(p, answer, bucket_ms);
		if (!err && r->course.wire && !p->invalid[0])
			take_kernel(r, p, &before);
		if (!err && counted)
			take_upstream(r, p, &api);
		if (!err && p->kind == GW_FAULT)
			gw_fault__take(p, answer, r->scenario->error_bound);
		/* What could not be sent in good time is a result, and no reason to end here. */
		if (!err && json_is_true(json_object_get(answer, "aborted")))
			log_warn("%s: ended after %.0f s with %" PRIu64 " of %" PRIu64
				 " requests sent",
				 p->name, p->duration_s, p->attempted, p->scheduled);
		json_decref(answer);
	}
	snapshot__free(&before);
	return err;
}

/*
 * A phase of its own: the kernel's BPF statistics cost two clock reads a program run, so no latency
 * is taken from it.
 */
static int measure_cost(struct gwrun *r)
{
	struct snapshot before = {0}, now = {0};
	json_t *answer = NULL;
	int err;

	if (!r->course.wire)
		return 0;
	log_info("[%5.1f s] the probe's own cost", course__elapsed(&r->course));
	err = wire__statistics(r->course.wire, true);
	if (err) {
		log_warn("the kernel does not give BPF statistics: %s; no figure of the probe's "
			 "cost",
			 strerror(-err));
		return 0;
	}
	err = wire__read(r->course.wire, &before);
	if (!err)
		err = remote__call(&r->client,
				   json_pack("{s:s,s:s,s:i,s:f,s:I,s:f,s:s,s:s,s:I,s:I}", "cmd",
					     "run", "mode", "open", "calls", COST_CALLS, "rate",
					     200.0, "timeout_ms",
					     (json_int_t)r->scenario->client.timeout_ms, "limit_s",
					     10.0, "method", "POST", "content", "masker", "payload",
					     (json_int_t)r->scenario->client.payload, "seed",
					     (json_int_t)COST_SEED),
				   30000, &answer);
	if (!err && !wire__read(r->course.wire, &now))
		r->course.has_cost = !snapshot__delta(&r->course.cost, &now, &before);
	wire__statistics(r->course.wire, false);
	snapshot__free(&before);
	snapshot__free(&now);
	json_decref(answer);
	return err == -EINTR ? err : 0;
}

static int run_response(struct gwrun *r)
{
	struct gw_phase *p = gw_phase__add(r, GW_RESPONSE, "response time", 0, 0);

	if (!p)
		return log_fail(-ENOMEM, "out of memory");
	log_info("[%5.1f s] response time: %lld requests, %lld at a time",
		 course__elapsed(&r->course), (long long)r->scenario->response.calls,
		 (long long)r->scenario->response.concurrency);
	return gw_phase__drive(r, p, (uint64_t)r->scenario->response.calls, 0);
}

static int run_open(struct gwrun *r, enum gw_phase_kind kind, double rate, double offered,
		    double seconds)
{
	struct gw_phase *p;
	char name[80];

	snprintf(name, sizeof(name), "%s, %.10g requests/s",
		 kind == GW_LOAD ? "load" : "steady load", rate);
	p = gw_phase__add(r, kind, name, rate, offered);
	if (!p)
		return log_fail(-ENOMEM, "out of memory");
	log_info("[%5.1f s] %s: %g s", course__elapsed(&r->course), name, seconds);
	return gw_phase__drive(r, p, (uint64_t)(offered * seconds + 0.5), LOAD_BUCKET_MS);
}

static int run_loads(struct gwrun *r)
{
	const struct gw_scenario *s = r->scenario;
	unsigned int i;
	int err = 0;

	for (i = 0; i < s->load.n_rates && !err; i++)
		err = run_open(r, GW_LOAD, s->load.rates[i],
			       gw_scenario__offered(s, s->load.rates[i]), s->load.seconds);
	return err;
}

/*
 * As for the response time. Without Redis: one request's pipelines are more calls than an exchange
 * has spans, and the call to claude-api comes behind them. As what the gateway read last is then an
 * answer that is not known, that call is told by the request's traceparent.
 */
int gwrun__run_hops(struct gwrun *r)
{
	const struct gw_scenario *s = r->scenario;
	const struct gw_phase *response = r->phases[0];
	double rate = (double)response->succeeded / response->duration_s;
	struct wire_opts opts = {.protos = 1u << PROTO_HTTP, .tls = true};
	struct gw_phase *p;
	int err;

	if (!hop_phase__is_wanted(&r->course, s->hops.seconds))
		return 0;
	log_info("[%5.1f s] hop by hop: %g s", course__elapsed(&r->course), s->hops.seconds);
	if (!hop_phase__attach(&r->course, &opts, s->client.timeout_ms))
		return 0;
	err = gwrun__warm_up(r);
	p = err ? NULL : gw_phase__add(r, GW_HOPS, "hops", 0, 0);
	if (!err)
		err = p ? gw_phase__drive(r, p, hop_phase__calls(rate, s->hops.seconds), 0)
			: log_fail(-ENOMEM, "out of memory");
	if (err && err != -EINTR) {
		course__incomplete(&r->course, "the phase hop by hop could not be finished");
		err = -ECANCELED;
	}
	return err;
}

int gwrun__phases(struct gwrun *r)
{
	const struct gw_scenario *s = r->scenario;
	int err;

	gwrun__start_sampler(r);
	err = run_response(r);
	if (!err)
		err = run_loads(r);
	/* Before the faults: they leave the probe with connections that it met in the middle. */
	if (!err)
		err = measure_cost(r);
	if (!err)
		err = gwrun__run_faults(r);
	if (!err && s->memory.seconds > 0)
		err = run_open(r, GW_STEADY, s->memory.rate, s->memory.rate, s->memory.seconds);
	if (err && err != -EINTR) {
		course__incomplete(&r->course, "%s could not be finished",
				   r->n_phases ? r->phases[r->n_phases - 1]->name : "the run");
		err = -ECANCELED;
	}
	return err;
}
