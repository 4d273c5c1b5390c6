// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "out/mem_json.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "out/json.h"
#include "out/json_text.h"

/* MEMORY_NOT_KNOWN and MEMORY_NO_LIMIT are null. */
static void figure(struct json_text *j, const char *key, uint64_t v)
{
	if (v > INT64_MAX)
		json_text__null(j, key);
	else
		json_text__integer(j, key, (int64_t)v);
}

static void name_or_null(struct json_text *j, const char *key, const char *s)
{
	json_text__text(j, key, *s ? s : NULL);
}

static void put_reading(struct json_text *j, const struct memory_reading *r)
{
	figure(j, "current", r->current);
	figure(j, "working_set", r->working_set);
	figure(j, "anon", r->anon);
	figure(j, "file", r->file);
	figure(j, "inactive_file", r->inactive_file);
	figure(j, "shmem", r->shmem);
	figure(j, "kernel", r->kernel);
	figure(j, "slab", r->slab);
	figure(j, "sock", r->sock);
	figure(j, "swap", r->swap);
	figure(j, "limit", r->limit);
	figure(j, "high", r->high);
	json_text__number(j, "limit_share", memory_reading__share(r));
	figure(j, "peak", r->peak);
	figure(j, "refaults", r->refaults);
	figure(j, "processes", r->processes);
}

static void put_events(struct json_text *j, const struct memory_reading *r)
{
	json_text__open(j, "events", '{');
	figure(j, "high", r->events_high);
	figure(j, "max", r->events_max);
	figure(j, "oom", r->events_oom);
	figure(j, "oom_kill", r->events_oom_kill);
	json_text__close(j, '}');
}

static void put_pressure(struct json_text *j, const struct memory_reading *r)
{
	if (isnan(r->pressure_some) && isnan(r->pressure_full)) {
		json_text__null(j, "pressure");
		return;
	}
	json_text__open(j, "pressure", '{');
	json_text__number(j, "some", r->pressure_some);
	json_text__number(j, "full", r->pressure_full);
	json_text__close(j, '}');
}

static void put_growth(struct json_text *j, const struct growth *g)
{
	json_text__open(j, "growth", '{');
	json_text__text(j, "verdict", growth_verdict__name(g->verdict));
	json_text__number(j, "slope_bytes_per_s", g->slope);
	json_text__number(j, "ci_low", g->ci_low);
	json_text__number(j, "ci_high", g->ci_high);
	json_text__number(j, "min_detectable", g->min_detectable);
	json_text__number(j, "time_to_limit_s", g->time_to_limit_s);
	json_text__integer(j, "samples", g->n);
	json_text__number(j, "duration_s", g->duration_s);
	json_text__number(j, "judged_s", g->judged_s);
	json_text__text(j, "reason", g->reason);
	json_text__close(j, '}');
}

/* The last accounting before a kill. */
static void put_before(struct json_text *j, const struct oom_kill *k)
{
	if (!k->before.time_ns) {
		json_text__null(j, "before");
		return;
	}
	json_text__open(j, "before", '{');
	figure(j, "time_ns", k->before.time_ns);
	put_reading(j, &k->before);
	put_events(j, &k->before);
	put_pressure(j, &k->before);
	put_growth(j, &k->growth);
	json_text__close(j, '}');
}

static void put_kill(struct json_text *j, const struct oom_kill *k)
{
	json_text__open(j, NULL, '{');
	figure(j, "time_ns", k->time_ns);
	if (k->pid)
		json_text__integer(j, "pid", k->pid);
	else
		json_text__null(j, "pid");
	name_or_null(j, "comm", k->comm);
	figure(j, "anon_rss", k->anon_rss);
	figure(j, "file_rss", k->file_rss);
	figure(j, "shmem_rss", k->shmem_rss);
	figure(j, "usage", k->usage);
	put_before(j, k);
	json_text__close(j, '}');
}

static void put_container(struct json_text *j, const struct memory_container *c)
{
	json_text__open(j, NULL, '{');
	name_or_null(j, "id", c->name.id);
	name_or_null(j, "name", c->name.name);
	name_or_null(j, "pod", c->name.pod);
	name_or_null(j, "pod_uid", c->name.pod_uid);
	name_or_null(j, "namespace", c->name.namespace_);
	name_or_null(j, "runtime", c->name.runtime);
	figure(j, "cgroup", c->cgroup);
	json_text__text(j, "path", c->path);
	put_reading(j, &c->last);
	put_events(j, &c->last);
	put_pressure(j, &c->last);
	json_text__number(j, "worst_limit_share", c->worst_share);
	put_growth(j, &c->growth);
	json_text__integer(j, "restarts", c->restarts);
	json_text__bool(j, "gone", c->gone);
	json_text__open(j, "findings", '[');
	for (unsigned int i = 0; i < MEMORY_FINDINGS; i++)
		if (c->findings & 1u << i)
			json_text__text(j, NULL, memory_finding__name(1u << i));
	json_text__close(j, ']');
	json_text__integer(j, "kills", (int64_t)c->n_kills);
	json_text__open(j, "oom_kills", '[');
	for (size_t i = 0; i < c->n_kills_kept; i++)
		put_kill(j, &c->kills[i]);
	json_text__close(j, ']');
	json_text__close(j, '}');
}

static void put_overhead(struct json_text *j, const struct memory_snapshot *s)
{
	json_text__open(j, "overhead", '{');
	json_text__number(j, "user_cpu_s", s->user_cpu_s);
	json_text__number(j, "system_cpu_s", s->system_cpu_s);
	figure(j, "rss_bytes", s->rss_bytes ? s->rss_bytes : MEMORY_NOT_KNOWN);
	json_text__close(j, '}');
}

static void put_utc(struct json_text *j)
{
	char buf[32];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_text__text(j, "time", buf);
}

static void put_snapshot(struct json_text *j, const struct memory_snapshot *s,
			 const struct memory_container **sorted, bool final)
{
	json_text__open(j, NULL, '{');
	json_text__integer(j, "schema", SESSION_SCHEMA);
	figure(j, "time_ns", s->time_ns);
	put_utc(j);
	json_text__number(j, "duration_s", s->duration_s);
	json_text__bool(j, "final", final);
	json_text__text(j, "hierarchy", s->hierarchy);
	json_text__bool(j, "followed", s->followed);
	json_text__open(j, "containers", '[');
	for (size_t i = 0; i < s->n; i++)
		put_container(j, sorted[i]);
	json_text__close(j, ']');
	figure(j, "events_lost", s->events_lost);
	figure(j, "kills_elsewhere", s->kills_elsewhere);
	figure(j, "forgotten", s->forgotten);
	put_overhead(j, s);
	json_text__close(j, '}');
	text__addn(&j->text, "\n", 1);
}

int mem_json__print(FILE *out, const struct memory_snapshot *s, bool final)
{
	const struct memory_container **sorted = memory_snapshot__sorted(s, MEMORY_BY_WORKING_SET);
	struct json_text j = {0};

	if (sorted)
		put_snapshot(&j, s, sorted, final);
	free(sorted);
	if (!sorted)
		j.text.failed = true;
	return text__print(&j.text, out);
}
