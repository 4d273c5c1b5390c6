// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The session document, as docs/session.md has it: everything that a report may say. */
#include <math.h>
#include <stdio.h>

#include "bench/environment.h"
#include "gateway/run.h"
#include "model/proportion.h"
#include "out/json.h"

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *configuration(const struct gwrun *r)
{
	json_t *list = json_array();

	gw_scenario__settings(r->scenario, course__add_setting, list);
	if (r->course.opts->no_probe)
		course__add_setting(list, "--no-probe", "true");
	return list;
}

static const char *program_of(int id)
{
	switch (id) {
	case GATEWAY_REDIS: return "redis-server";
	case GATEWAY_CLIENT: return "load";
	case GATEWAY_API: return "nginx with Lua, TLS: stand-in of the Claude API";
	case GATEWAY_KONG: return "nginx with Lua: the masker";
	default: return "nginx";
	}
}

static json_t *topology(const struct gwrun *r)
{
	json_t *list = json_array();
	char address[32];
	int id;

	for (id = GATEWAY_COUNT - 1; id >= 0; id--) {
		const struct gateway_service *s = &r->gateway.service[id];
		const struct child *c = id == GATEWAY_CLIENT ? &r->client.child : &s->child;

		snprintf(address, sizeof(address), "127.0.0.1:%u", s->port);
		environment__add_process(list, s->name, program_of(id), c, s->port ? address : NULL,
					 environment__cgroup(&r->course.mounts, &s->cgroup));
	}
	return list;
}

static json_t *text_or_null(const char *s)
{
	return session__text(s[0] ? s : NULL);
}

static json_t *environment(const struct gwrun *r)
{
	json_t *e = environment__host(&r->course.mounts);

	session__put(&e, "nginx", text_or_null(r->versions.nginx));
	session__put(&e, "lua_module", text_or_null(r->versions.lua_module));
	session__put(&e, "redis", text_or_null(r->versions.redis));
	session__put(&e, "openssl", text_or_null(r->versions.openssl));
	session__put(&e, "topology", topology(r));
	return e;
}

static json_t *health_of(const struct gateway_health *h, bool asked)
{
	json_t *o = json_object();

	if (!asked) {
		json_decref(o);
		return json_null();
	}
	session__put(&o, "healthy", json_boolean(h->healthy));
	session__put(&o, "took_ns", h->took_ns ? count(h->took_ns) : json_null());
	session__put(&o, "why", text_or_null(h->why));
	return o;
}

static json_t *health(const struct gwrun *r)
{
	json_t *list = json_array();
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++) {
		const struct gw_container *c = &r->containers[id];
		unsigned int starts = r->gateway.service[id].starts;
		json_t *o = json_object();

		session__put(&o, "name", session__text(gateway__name(c->id)));
		session__put(&o, "begin", health_of(&c->first, c->has_first));
		session__put(&o, "end", health_of(&c->last, c->has_last));
		session__put(&o, "starts", count(id == GATEWAY_CLIENT ? 1 : starts));
		session__put(&o, "deaths", count(c->deaths));
		session__append(&list, o);
	}
	return list;
}

static json_t *bytes(const struct gw_container *c, uint64_t n)
{
	return c->has_memory && n != MEMORY_NOT_KNOWN ? count(n) : json_null();
}

static json_t *containers(const struct gwrun *r)
{
	json_t *list = json_array();
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++) {
		const struct gw_container *c = &r->containers[id];
		const struct memory_reading *m = &c->memory;
		struct gw_use u = gw_container__use(c, 0, INFINITY);
		json_t *o = json_object();

		session__put(&o, "id", count(r->gateway.service[id].cgroup.id));
		session__put(&o, "name", session__text(gateway__name(c->id)));
		session__put(&o, "current", bytes(c, m->current));
		session__put(&o, "working_set", bytes(c, m->working_set));
		session__put(&o, "anon", bytes(c, m->anon));
		session__put(&o, "file", bytes(c, m->file));
		session__put(&o, "kernel", bytes(c, m->kernel));
		session__put(&o, "swap", bytes(c, m->swap));
		session__put(&o, "peak", bytes(c, m->peak));
		session__put(&o, "limit", bytes(c, m->limit));
		session__put(&o, "worst_limit_share", session__number(u.share));
		session__put(&o, "oom_kills", bytes(c, m->events_oom_kill));
		session__append(&list, o);
	}
	return list;
}

static json_t *growth_object(const struct gwrun *r, const struct gw_growth *g)
{
	const struct gw_container *c = &r->containers[g->id];
	const struct growth *v = &g->growth;
	struct estimate slope = {.value = v->slope, .lo = v->ci_low, .hi = v->ci_high, .n = v->n};
	json_t *readings = json_array(), *o = json_object();
	size_t i;

	slope = estimate__scale(slope, 3600);
	for (i = g->from; i < g->from + g->n; i++)
		session__append(&readings, json_pack("[o,o]", session__number(c->readings[i].t_s),
						     session__number(c->readings[i].held)));
	session__put(&o, "name", session__text(gateway__name(g->id)));
	session__put(&o, "cgroup",
		     session__text(environment__cgroup(&r->course.mounts,
						       &r->gateway.service[g->id].cgroup)));
	session__put(&o, "stretch", count(g->stretch));
	session__put(&o, "stretches", count(g->stretches));
	session__put(&o, "verdict", json_string(growth_verdict__name(v->verdict)));
	session__put(&o, "bytes_per_hour", session__estimate(&slope));
	session__put(&o, "min_detectable_bytes_per_hour",
		     session__number(3600 * v->min_detectable));
	session__put(&o, "reason", session__text(v->reason));
	session__put(&o, "readings", readings);
	return o;
}

static json_t *memory_phase(const struct gwrun *r)
{
	json_t *list = json_array(), *o = json_object();
	size_t i;

	for (i = 0; i < r->n_growths; i++)
		session__append(&list, growth_object(r, &r->growths[i]));
	session__put(&o, "name", json_string("leak watch"));
	session__put(&o, "kind", json_string("memory"));
	session__put(&o, "interval_s", session__number(r->scenario->memory.interval));
	session__put(&o, "growth", list);
	return o;
}

static json_t *phases(const struct gwrun *r)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < r->n_phases; i++)
		if (r->phases[i]->ran)
			session__append(&list, gw_phase__json(r, r->phases[i]));
	session__append(&list, memory_phase(r));
	return list;
}

/* What the stand-in and the gateway counted themselves. */
static json_t *masking(const struct gwrun *r)
{
	const struct gateway_counters *c = &r->counters;
	const struct gateway_status *s = &r->status;
	json_t *o = json_object();
	uint64_t bad = 0, answers = 0;
	size_t i;

	for (i = 0; i < r->n_phases; i++) {
		bad += r->phases[i]->bad_bodies;
		answers += r->phases[i]->succeeded + r->phases[i]->bad_bodies;
	}
	session__put(&o, "answers_checked", count(answers));
	session__put(&o, "bad_bodies", count(bad));
	session__put(&o, "api_requests", r->has_counters ? count(c->requests) : json_null());
	session__put(&o, "api_with_identifiers",
		     r->has_counters ? count(c->with_identifiers) : json_null());
	session__put(&o, "api_refused", r->has_counters ? count(c->bad) : json_null());
	session__put(&o, "api_connections", r->has_counters ? count(c->connections) : json_null());
	session__put(&o, "api_wanted_s",
		     r->has_counters ? session__number((double)c->wanted_us / 1e6) : json_null());
	session__put(&o, "api_waited_s",
		     r->has_counters ? session__number((double)c->waited_us / 1e6) : json_null());
	session__put(&o, "api_answered", r->has_counters ? count(c->answered) : json_null());
	/* Since kong-gateway was last started. */
	session__put(&o, "masked", r->has_status ? count(s->masked) : json_null());
	session__put(&o, "unmasked", r->has_status ? count(s->unmasked) : json_null());
	session__put(&o, "gateway_starts", count(r->gateway.service[GATEWAY_KONG].starts));
	session__put(&o, "api_starts", count(r->gateway.service[GATEWAY_API].starts));
	return o;
}

static json_t *availability(const struct gwrun *r)
{
	uint64_t k, n;
	double seconds;
	struct estimate e;
	json_t *o = json_object();

	gwrun__available(r, &k, &n, &seconds);
	e = estimate__scale(proportion__estimate(k, n), 100);
	session__put(&o, "due", count(n));
	session__put(&o, "succeeded", count(k));
	session__put(&o, "seconds", session__number(seconds));
	session__put(&o, "percent", session__estimate(&e));
	return o;
}

json_t *gwrun__session(const struct gwrun *r)
{
	json_t *o = course__session(&r->course, "gateway", r->scenario->name, r->scenario->title);

	session__put(&o, "environment", environment(r));
	session__put(&o, "configuration", configuration(r));
	session__put(&o, "health", health(r));
	session__put(&o, "phases", phases(r));
	session__put(&o, "masking", masking(r));
	session__put(&o, "availability", availability(r));
	course__put_probe(&o, &r->course, true);
	session__put(&o, "opaque",
		     r->course.has_last ? session__opaque(&r->course.last) : json_null());
	session__put(&o, "tls", r->course.has_last ? session__tls(&r->course.last) : json_null());
	session__put(&o, "containers", containers(r));
	session__put(&o, "error_bound_percent", session__number(100 * r->scenario->error_bound));
	session__put(&o, "targets", session__targets(r->targets, r->n_targets));
	return o;
}
