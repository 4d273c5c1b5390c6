// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "out/mem_findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/units.h"

#define PER_HOUR_BELOW (16 * 1024.0) /* bytes/s */

bool mem_findings__per_hour(double per_s)
{
	return fabs(per_s) < PER_HOUR_BELOW;
}

void mem_findings__add_name(struct text *out, const struct memory_container *c)
{
	char label[MEMORY_PATH_LEN];

	container__label(&c->name, c->path, label, sizeof(label));
	text__add_printable(out, label);
}

void mem_findings__add_seconds(struct text *out, double s)
{
	static const struct {
		double unit;
		const char *name;
	} scales[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	char buf[UNITS_LEN];
	size_t i = 0;

	if (isnan(s)) {
		text__add(out, "-");
		return;
	}
	while (i < 3 && s < 2 * scales[i].unit)
		i++;
	text__addf(out, "%s %s", units__number(buf, sizeof(buf), s / scales[i].unit),
		   scales[i].name);
}

static void add_bytes(struct text *out, uint64_t v)
{
	char buf[UNITS_LEN];

	if (v == MEMORY_NOT_KNOWN)
		text__add(out, "not known");
	else
		text__add(out, units__bytes(buf, sizeof(buf), (double)v));
}

static void add_part(struct text *out, const char *sep, const char *name, uint64_t v)
{
	if (v == MEMORY_NOT_KNOWN)
		return;
	text__addf(out, "%s%s ", sep, name);
	add_bytes(out, v);
}

static void add_rate(struct text *out, double per_s)
{
	bool hour = mem_findings__per_hour(per_s);
	char buf[UNITS_LEN];

	text__add(out, units__bytes(buf, sizeof(buf), hour ? per_s * 3600 : per_s));
	text__add(out, hour ? "/h" : "/s");
}

static void add_growing(struct text *out, const struct memory_container *c)
{
	const struct growth *g = &c->growth;

	text__add(out, "growing: ");
	mem_findings__add_name(out, c);
	if (g->verdict == GROWTH_GROWING) {
		text__add(out, " by ");
		add_rate(out, g->slope);
		if (!isnan(g->ci_low) && !isnan(g->ci_high)) {
			text__add(out, " (");
			add_rate(out, g->ci_low);
			text__add(out, " to ");
			add_rate(out, g->ci_high);
			text__add(out, ")");
		}
	} else {
		text__add(out, ", until it was killed");
	}
	if (!isnan(g->time_to_limit_s)) {
		text__add(out, ", limit reached in ");
		mem_findings__add_seconds(out, g->time_to_limit_s);
	}
	text__add(out, "\n");
}

static void add_near_limit(struct text *out, const struct memory_container *c)
{
	const struct memory_reading *r = &c->worst;
	double now = memory_reading__share(&c->last);

	text__add(out, "near limit: ");
	mem_findings__add_name(out, c);
	text__addf(out, ": working set at %.1f %% of ", 100 * c->worst_share);
	add_bytes(out, r->limit);
	add_part(out, " (", "anon", r->anon);
	add_part(out, ", ", "file", r->file);
	text__add(out, ")");
	if (!c->gone && now < MEMORY_NEAR_LIMIT)
		text__addf(out, ", now %.1f %%", 100 * now);
	text__add(out, "\n");
}

static void add_before(struct text *out, const struct oom_kill *k)
{
	const struct memory_reading *r = &k->before;

	text__addf(out, "  %.1f s before: ", (double)(k->time_ns - r->time_ns) / 1e9);
	add_part(out, "", "usage", r->current);
	add_part(out, " of ", "limit", r->limit);
	add_part(out, ", ", "working set", r->working_set);
	add_part(out, ", ", "anon", r->anon);
	add_part(out, ", ", "file", r->file);
	add_part(out, ", ", "swap", r->swap);
	add_part(out, ", ", "kernel", r->kernel);
	text__addf(out, "; growth: %s", growth_verdict__name(k->growth.verdict));
	if (k->growth.verdict == GROWTH_GROWING) {
		text__add(out, " by ");
		add_rate(out, k->growth.slope);
	}
	text__add(out, "\n");
}

static void add_kill(struct text *out, const struct memory_snapshot *s,
		     const struct memory_container *c, const struct oom_kill *k, bool final)
{
	text__add(out, "OOM kill: ");
	mem_findings__add_name(out, c);
	text__addf(out, ", %.1f s ago: ",
		   s->time_ns > k->time_ns ? (double)(s->time_ns - k->time_ns) / 1e9 : 0);
	if (k->pid) {
		text__add_printable(out, k->comm[0] ? k->comm : "?");
		text__addf(out, "[%u]", k->pid);
		add_part(out, " held ", "anon", k->anon_rss);
		add_part(out, ", ", "file", k->file_rss);
		add_part(out, ", ", "shmem", k->shmem_rss);
	} else {
		text__add(out, "a process, not seen which");
	}
	if (k->usage != MEMORY_NOT_KNOWN)
		add_part(out, "; ", "the cgroup's usage", k->usage);
	text__add(out, "\n");
	if (final && k->before.time_ns && k->before.time_ns <= k->time_ns)
		add_before(out, k);
}

static void add_kills(struct text *out, const struct memory_snapshot *s,
		      const struct memory_container *c, bool final)
{
	/* The last one is enough while it runs. */
	for (size_t i = final || !c->n_kills_kept ? 0 : c->n_kills_kept - 1; i < c->n_kills_kept;
	     i++)
		add_kill(out, s, c, &c->kills[i], final);
	if (c->n_kills > c->n_kills_kept)
		text__addf(out, "  and %zu more OOM kills there\n", c->n_kills - c->n_kills_kept);
}

/* Why it is not GROWING: "less than X", too short, held by reclaim. */
static void add_reason(struct text *out, const struct memory_container *c)
{
	if (c->growth.verdict == GROWTH_GROWING || !c->growth.reason[0])
		return;
	text__add(out, "  ");
	mem_findings__add_name(out, c);
	text__addf(out, ": %s: ", growth_verdict__name(c->growth.verdict));
	text__add_printable(out, c->growth.reason);
	text__add(out, "\n");
}

static void add_notes(struct text *out, const struct memory_snapshot *s)
{
	char buf[UNITS_LEN];

	if (s->kills_elsewhere)
		text__addf(out, "OOM kills in cgroups that are not listed: %s\n",
			   units__count(buf, sizeof(buf), s->kills_elsewhere));
	if (s->events_lost)
		text__addf(out, "events lost, the ring being full: %s\n",
			   units__count(buf, sizeof(buf), s->events_lost));
	if (s->forgotten)
		text__addf(out, "containers that went and are no longer listed: %s\n",
			   units__count(buf, sizeof(buf), s->forgotten));
}

/* Cuts each line to the width of a terminal: drawn over, a wrapped line would spoil the rest. */
static void add_cut(struct text *out, const struct text *lines, size_t width)
{
	char *line = lines->data, *end;

	for (; line && *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		if (width && text__width(line) > width)
			text__add_fit(out, line, width);
		else
			text__add(out, line);
		text__add(out, "\n");
	}
}

void mem_findings__add(struct text *out, const struct memory_snapshot *s,
		       const struct memory_container **sorted, size_t width, bool final)
{
	struct text lines = {0};

	for (size_t i = 0; i < s->n; i++) {
		const struct memory_container *c = sorted[i];

		if (c->findings & FINDING_OOM_KILL)
			add_kills(&lines, s, c, final);
		if (c->findings & FINDING_NEAR_LIMIT)
			add_near_limit(&lines, c);
		if (c->findings & FINDING_GROWING)
			add_growing(&lines, c);
	}
	if (final && !memory_snapshot__findings(s))
		text__add(&lines, "no findings\n");
	for (size_t i = 0; final && i < s->n; i++)
		add_reason(&lines, sorted[i]);
	add_notes(&lines, s);
	add_cut(out, &lines, width);
	out->failed = out->failed || lines.failed;
	text__free(&lines);
}
