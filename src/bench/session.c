// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The session document, as docs/session.md has it: everything that a report may say. */
#include <math.h>
#include <stdio.h>

#include "bench/phase.h"
#include "out/hops.h"
#include "out/json.h"

/* Sets a key, or marks the whole as failed; so callers check once, at the end. */
static void set(json_t *o, const char *key, json_t *value, bool *failed)
{
	if (!value || json_object_set_new(o, key, value))
		*failed = true;
}

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* The settings of the file, then those of the command line. */
static json_t *configuration(const struct bench *b)
{
	json_t *list = json_array();
	char address[URL_HOST_LEN + 16], text[64];
	size_t i;

	scenario__settings(b->scenario, course__add_setting, list);
	for (i = 0; i < b->course.opts->n_urls; i++)
		course__add_setting(
			list, "--nats-url",
			url__address(&b->course.opts->urls[i], address, sizeof(address)));
	if (b->course.opts->no_probe)
		course__add_setting(list, "--no-probe", "true");
	if (b->course.opts->ab || b->course.opts->ab_only) {
		snprintf(text, sizeof(text), "%lld", (long long)b->scenario->ab.slices);
		course__add_setting(list, "ab.slices", text);
		snprintf(text, sizeof(text), "%g", b->scenario->ab.seconds);
		course__add_setting(list, "ab.seconds", text);
	}
	return list;
}

static json_t *latency(const struct hist *h)
{
	return hist__count(h) ? session__latency(h) : json_null();
}

static json_t *events_of(const struct phase *p)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:O}", "published", count(p->published), "acked",
			 count(p->acked), "received", count(p->received), "missing",
			 count(p->missing), "duplicates", count(p->duplicates), "missing_ids",
			 p->missing_ids);
}

static const char *kind_of(const struct phase *p)
{
	switch (p->kind) {
	case PHASE_RPC: return "rpc";
	case PHASE_EVENTS: return "events";
	default: return "hops";
	}
}

static json_t *phase_object(const struct bench *b, const struct phase *p)
{
	struct estimate rate = phase__rate(p);
	bool rpc = p->kind != PHASE_EVENTS, open = p->mode == MODE_OPEN, failed = false;
	json_t *o = json_object(), *l = json_object();

	set(o, "name", session__text(p->name), &failed);
	set(o, "kind", json_string(kind_of(p)), &failed);
	set(o, "path", json_string(path__label(p->path)), &failed);
	if (rpc)
		set(o, "mode", json_string(open ? "open" : "closed"), &failed);
	set(o, "rounds", count(p->rounds), &failed);
	set(o, "attempted", count(p->attempted), &failed);
	set(o, "succeeded", count(p->succeeded), &failed);
	set(o, "failed", count(p->failed), &failed);
	set(o, "errors", json_incref(p->errors), &failed);
	set(o, "duration_s", session__number(p->duration_s), &failed);
	set(o, "rate_per_s", session__estimate(&rate), &failed);
	if (rpc) {
		set(o, "target_rate_per_s",
		    session__number(open ? b->scenario->rpc_open.rate : NAN), &failed);
		set(o, "behind_schedule", open ? count(p->behind_schedule) : json_null(), &failed);
	}
	set(l, "client", latency(&p->client), &failed);
	if (open)
		set(l, "intended", latency(&p->intended), &failed);
	set(l, "kernel", p->has_kernel ? latency(&p->kernel) : json_null(), &failed);
	set(o, "latency", l, &failed);
	if (!rpc)
		set(o, "events", events_of(p), &failed);
	if (p->kind == PHASE_HOPS) {
		set(o, "invalid", session__text(p->invalid[0] ? p->invalid : NULL), &failed);
		session__put_hops(&o, &p->ways);
	}
	if (o && !failed)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *bytes(const struct member *c, uint64_t n)
{
	return c->measured && n != MEMORY_NOT_KNOWN ? count(n) : json_null();
}

static json_t *service_object(const struct bench *b, const struct member *c)
{
	const char *cgroup = bench__cgroup_name(b, c->cgroup);

	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "name", session__text(c->name), "cgroup",
			 session__text(cgroup), "current_bytes", bytes(c, c->memory.current),
			 "anon_bytes", bytes(c, c->memory.anon), "file_bytes",
			 bytes(c, c->memory.file));
}

static json_t *containers(const struct bench *b)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < b->n_members; i++) {
		const struct member *c = &b->members[i];

		const struct memory_reading *r = &c->memory;

		json_array_append_new(
			list,
			json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "id",
				  count(c->cgroup->id), "name", session__text(c->name), "current",
				  bytes(c, r->current), "working_set", bytes(c, r->working_set),
				  "anon", bytes(c, r->anon), "file", bytes(c, r->file), "kernel",
				  bytes(c, r->kernel), "swap", bytes(c, r->swap), "peak",
				  bytes(c, r->peak), "limit", bytes(c, r->limit)));
	}
	return list;
}

static json_t *services_phase(const struct bench *b)
{
	struct estimate each = bench__memory_per_service(b);
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < b->n_services && i < b->n_members; i++)
		json_array_append_new(list, service_object(b, &b->members[i]));
	return json_pack("{s:s,s:s,s:{s:o,s:o,s:o,s:o}}", "name", "services", "kind", "services",
			 "memory", "baseline_bytes", session__number(b->baseline_bytes),
			 "total_bytes", session__number(b->total_bytes), "services", list,
			 "per_service_bytes", session__estimate(&each));
}

static json_t *growth_object(const struct bench *b, const struct member *m)
{
	const struct growth *g = &m->growth;
	struct estimate slope = {.value = g->slope, .lo = g->ci_low, .hi = g->ci_high, .n = g->n};
	json_t *readings = json_array();
	size_t i;

	slope = estimate__scale(slope, 3600);
	for (i = 0; i < m->n_samples; i++)
		json_array_append_new(readings,
				      json_pack("[o,o]", session__number(m->samples[i].t_s),
						session__number(m->samples[i].bytes)));
	return json_pack("{s:o,s:o,s:s,s:o,s:o,s:o,s:o}", "name", session__text(m->name), "cgroup",
			 session__text(bench__cgroup_name(b, m->cgroup)), "verdict",
			 growth_verdict__name(g->verdict), "bytes_per_hour",
			 session__estimate(&slope), "min_detectable_bytes_per_hour",
			 session__number(3600 * g->min_detectable), "reason",
			 session__text(g->reason), "readings", readings);
}

static json_t *memory_phase(const struct bench *b)
{
	const struct memory_watch *w = &b->memory_watch;
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < b->n_members; i++)
		if (b->members[i].watched)
			json_array_append_new(list, growth_object(b, &b->members[i]));
	return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "name", "memory", "kind", "memory",
			 "attempted", count(w->attempted), "succeeded", count(w->succeeded),
			 "failed", count(w->failed), "duration_s", session__number(w->duration_s),
			 "target_rate_per_s", session__number(b->scenario->memory.rate), "growth",
			 list);
}

static json_t *phases(const struct bench *b)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < b->n_phases; i++)
		json_array_append_new(list, phase_object(b, b->phases[i]));
	if (b->services_measured)
		json_array_append_new(list, services_phase(b));
	if (b->memory_watch.ran)
		json_array_append_new(list, memory_phase(b));
	return list;
}

static json_t *differences(const struct bench *b)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < b->n_differences; i++) {
		const struct difference *d = &b->differences[i];

		json_array_append_new(list, json_pack("{s:o,s:s,s:o,s:o}", "name",
						      session__text(d->name), "unit", d->unit,
						      "estimate", session__estimate(&d->estimate),
						      "base_ns", session__number(d->base_ns)));
	}
	return list;
}

json_t *bench__session(const struct bench *b)
{
	json_t *o = course__session(&b->course, NULL, b->scenario->name, b->scenario->title);

	session__put(&o, "environment", bench__environment(b));
	session__put(&o, "configuration", configuration(b));
	session__put(&o, "phases", phases(b));
	session__put(&o, "differences", differences(b));
	course__put_probe(&o, &b->course, true);
	session__put(&o, "containers", containers(b));
	session__put(&o, "targets", session__targets(b->targets, b->n_targets));
	return o;
}
