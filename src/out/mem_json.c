// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "out/mem_json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "out/json.h"

#define REAL_DIGITS 15 /* as in out/json.c */
#define DUMP_FLAGS  (JSON_REAL_PRECISION(REAL_DIGITS))

/* Takes `value` over, also on failure; *o becomes NULL when memory ran out. */
/* MEMORY_NOT_KNOWN and MEMORY_NO_LIMIT are null. */
static json_t *figure(uint64_t v)
{
	return v > INT64_MAX ? json_null() : json_integer((json_int_t)v);
}

static json_t *name_or_null(const char *s)
{
	return *s ? session__text(s) : json_null();
}

static void put_reading(json_t **o, const struct memory_reading *r)
{
	session__put(o, "current", figure(r->current));
	session__put(o, "working_set", figure(r->working_set));
	session__put(o, "anon", figure(r->anon));
	session__put(o, "file", figure(r->file));
	session__put(o, "inactive_file", figure(r->inactive_file));
	session__put(o, "shmem", figure(r->shmem));
	session__put(o, "kernel", figure(r->kernel));
	session__put(o, "slab", figure(r->slab));
	session__put(o, "sock", figure(r->sock));
	session__put(o, "swap", figure(r->swap));
	session__put(o, "limit", figure(r->limit));
	session__put(o, "high", figure(r->high));
	session__put(o, "limit_share", session__number(memory_reading__share(r)));
	session__put(o, "peak", figure(r->peak));
	session__put(o, "refaults", figure(r->refaults));
	session__put(o, "processes", figure(r->processes));
}

static json_t *events(const struct memory_reading *r)
{
	json_t *o = json_object();

	session__put(&o, "high", figure(r->events_high));
	session__put(&o, "max", figure(r->events_max));
	session__put(&o, "oom", figure(r->events_oom));
	session__put(&o, "oom_kill", figure(r->events_oom_kill));
	return o;
}

static json_t *pressure(const struct memory_reading *r)
{
	json_t *o;

	if (isnan(r->pressure_some) && isnan(r->pressure_full))
		return json_null();
	o = json_object();
	session__put(&o, "some", session__number(r->pressure_some));
	session__put(&o, "full", session__number(r->pressure_full));
	return o;
}

static json_t *growth(const struct growth *g)
{
	json_t *o = json_object();

	session__put(&o, "verdict", session__text(growth_verdict__name(g->verdict)));
	session__put(&o, "slope_bytes_per_s", session__number(g->slope));
	session__put(&o, "ci_low", session__number(g->ci_low));
	session__put(&o, "ci_high", session__number(g->ci_high));
	session__put(&o, "min_detectable", session__number(g->min_detectable));
	session__put(&o, "time_to_limit_s", session__number(g->time_to_limit_s));
	session__put(&o, "samples", json_integer((json_int_t)g->n));
	session__put(&o, "duration_s", session__number(g->duration_s));
	session__put(&o, "judged_s", session__number(g->judged_s));
	session__put(&o, "reason", session__text(g->reason));
	return o;
}

static json_t *kill_record(const struct oom_kill *k)
{
	json_t *o = json_object(), *before = json_object();

	session__put(&o, "time_ns", figure(k->time_ns));
	session__put(&o, "pid", k->pid ? json_integer(k->pid) : json_null());
	session__put(&o, "comm", name_or_null(k->comm));
	session__put(&o, "anon_rss", figure(k->anon_rss));
	session__put(&o, "file_rss", figure(k->file_rss));
	session__put(&o, "shmem_rss", figure(k->shmem_rss));
	session__put(&o, "usage", figure(k->usage));
	if (k->before.time_ns) {
		session__put(&before, "time_ns", figure(k->before.time_ns));
		put_reading(&before, &k->before);
		session__put(&before, "events", events(&k->before));
		session__put(&before, "pressure", pressure(&k->before));
		session__put(&before, "growth", growth(&k->growth));
		session__put(&o, "before", before);
	} else {
		json_decref(before);
		session__put(&o, "before", json_null());
	}
	return o;
}

static json_t *kills(const struct memory_container *c)
{
	json_t *a = json_array();

	for (size_t i = 0; i < c->n_kills_kept; i++)
		session__append(&a, kill_record(&c->kills[i]));
	return a;
}

static json_t *findings(const struct memory_container *c)
{
	json_t *a = json_array();

	for (unsigned int i = 0; i < MEMORY_FINDINGS; i++)
		if (c->findings & 1u << i)
			session__append(&a, session__text(memory_finding__name(1u << i)));
	return a;
}

json_t *mem_json__container(const struct memory_container *c)
{
	json_t *o = json_object();

	session__put(&o, "id", name_or_null(c->name.id));
	session__put(&o, "name", name_or_null(c->name.name));
	session__put(&o, "pod", name_or_null(c->name.pod));
	session__put(&o, "pod_uid", name_or_null(c->name.pod_uid));
	session__put(&o, "namespace", name_or_null(c->name.namespace_));
	session__put(&o, "runtime", name_or_null(c->name.runtime));
	session__put(&o, "cgroup", figure(c->cgroup));
	session__put(&o, "path", session__text(c->path));
	put_reading(&o, &c->last);
	session__put(&o, "events", events(&c->last));
	session__put(&o, "pressure", pressure(&c->last));
	session__put(&o, "worst_limit_share", session__number(c->worst_share));
	session__put(&o, "growth", growth(&c->growth));
	session__put(&o, "restarts", json_integer(c->restarts));
	session__put(&o, "gone", json_boolean(c->gone));
	session__put(&o, "findings", findings(c));
	session__put(&o, "kills", json_integer((json_int_t)c->n_kills));
	session__put(&o, "oom_kills", kills(c));
	return o;
}

static json_t *overhead(const struct memory_snapshot *s)
{
	json_t *o = json_object();

	session__put(&o, "user_cpu_s", session__number(s->user_cpu_s));
	session__put(&o, "system_cpu_s", session__number(s->system_cpu_s));
	session__put(&o, "rss_bytes", s->rss_bytes ? figure(s->rss_bytes) : json_null());
	return o;
}

static json_t *utc(void)
{
	char buf[32];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

json_t *mem_json__snapshot(const struct memory_snapshot *s, bool final)
{
	const struct memory_container **sorted = memory_snapshot__sorted(s, MEMORY_BY_WORKING_SET);
	json_t *o = json_object(), *list = json_array();

	for (size_t i = 0; sorted && i < s->n; i++)
		session__append(&list, mem_json__container(sorted[i]));
	if (!sorted) {
		json_decref(list);
		list = NULL;
	}
	free(sorted);
	session__put(&o, "schema", json_integer(SESSION_SCHEMA));
	session__put(&o, "time_ns", figure(s->time_ns));
	session__put(&o, "time", utc());
	session__put(&o, "duration_s", session__number(s->duration_s));
	session__put(&o, "final", json_boolean(final));
	session__put(&o, "hierarchy", session__text(s->hierarchy));
	session__put(&o, "followed", json_boolean(s->followed));
	session__put(&o, "containers", list);
	session__put(&o, "events_lost", figure(s->events_lost));
	session__put(&o, "kills_elsewhere", figure(s->kills_elsewhere));
	session__put(&o, "forgotten", figure(s->forgotten));
	session__put(&o, "overhead", overhead(s));
	return o;
}

int mem_json__print(FILE *out, const struct memory_snapshot *s, bool final)
{
	json_t *o = mem_json__snapshot(s, final);
	int err;

	if (!o)
		return -ENOMEM;
	err = json_dumpf(o, out, DUMP_FLAGS) ? -EIO : 0;
	json_decref(o);
	if (fputc('\n', out) == EOF || fflush(out))
		return -EIO;
	return err;
}
