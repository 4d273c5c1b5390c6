// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A container's readings over time, and what is to be found in them. */
#include "model/memory.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reclaim can only hold what is near the limit; and it is of note where most is anonymous. */
#define RECLAIM_NEAR	 0.95
#define RECLAIM_ANON	 0.5
#define RECLAIM_PRESSURE 0.01

static const char *const finding_names[MEMORY_FINDINGS] = {"growing", "near-limit", "oom"};

const char *memory_finding__name(unsigned int finding)
{
	for (unsigned int i = 0; i < MEMORY_FINDINGS; i++)
		if (finding == 1u << i)
			return finding_names[i];
	return NULL;
}

unsigned int memory_finding__parse(const char *name)
{
	for (unsigned int i = 0; i < MEMORY_FINDINGS; i++)
		if (!strcmp(name, finding_names[i]))
			return 1u << i;
	return 0;
}

void memory_reading__init(struct memory_reading *r)
{
	memset(r, 0xff, sizeof(*r)); /* MEMORY_NOT_KNOWN, MEMORY_NO_LIMIT */
	r->time_ns = 0;
	r->pressure_some = r->pressure_full = NAN;
}

double memory_reading__share(const struct memory_reading *r)
{
	if (r->limit == MEMORY_NO_LIMIT || !r->limit || r->working_set == MEMORY_NOT_KNOWN)
		return NAN;
	return (double)r->working_set / (double)r->limit;
}

static uint64_t known(uint64_t v)
{
	return v == MEMORY_NOT_KNOWN ? 0 : v;
}

/* What grows when a program leaks: anonymous memory, wherever it is kept. */
static uint64_t held(const struct memory_reading *r)
{
	return r->anon == MEMORY_NOT_KNOWN ? MEMORY_NOT_KNOWN : r->anon + known(r->swap);
}

/* Keeps every other sample: they stay evenly spaced, and extremes are not favoured. */
static void history__thin(struct memory_container *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n_history; i += 2)
		c->history[kept++] = c->history[i];
	c->n_history = kept;
	c->history_every = c->history_every ? 2 * c->history_every : 2;
}

static int history__add(struct memory_container *c, double t_s, double bytes)
{
	if (c->n_history && t_s <= c->history[c->n_history - 1].t_s)
		return 0;
	if (c->n_history && ++c->history_turn < c->history_every)
		return 0;
	c->history_turn = 0;
	if (!c->history) {
		c->history = calloc(MEMORY_HISTORY, sizeof(*c->history));
		if (!c->history)
			return -ENOMEM;
	}
	if (c->n_history == MEMORY_HISTORY)
		history__thin(c);
	c->history[c->n_history++] = (struct growth_sample){.t_s = t_s, .bytes = bytes};
	return 0;
}

int memory_container__add(struct memory_container *c, const struct memory_reading *r, double t_s,
			  bool counted)
{
	double share = memory_reading__share(r);

	if (!c->first.time_ns) {
		c->first = *r;
		c->worst_share = NAN;
	}
	c->last = *r;
	if (!isnan(share) && !(share <= c->worst_share)) {
		c->worst_share = share;
		c->worst = *r;
	}
	if (share >= MEMORY_NEAR_LIMIT)
		c->findings |= FINDING_NEAR_LIMIT;
	if (!counted || held(r) == MEMORY_NOT_KNOWN)
		return 0;
	return history__add(c, t_s, (double)held(r));
}

static uint64_t rise(uint64_t now, uint64_t before)
{
	if (now == MEMORY_NOT_KNOWN || before == MEMORY_NOT_KNOWN || now < before)
		return 0;
	return now - before;
}

/* Does reclaim keep usage where it is? Then says by which signs. */
static bool reclaim__holds(const struct memory_container *c, char *why, size_t size)
{
	const struct memory_reading *r = &c->last;
	uint64_t limit = r->high < r->limit ? r->high : r->limit;
	uint64_t refaults = rise(r->refaults, c->first.refaults);
	uint64_t hits = rise(r->events_max, c->first.events_max) +
			rise(r->events_high, c->first.events_high);
	double waited = isnan(r->pressure_some) ? 0 : r->pressure_some;

	if (limit == MEMORY_NO_LIMIT || r->current == MEMORY_NOT_KNOWN ||
	    held(r) == MEMORY_NOT_KNOWN)
		return false;
	if ((double)r->current < RECLAIM_NEAR * (double)limit ||
	    (double)held(r) < RECLAIM_ANON * (double)r->current)
		return false;
	if (!refaults && !hits && waited < RECLAIM_PRESSURE)
		return false;
	snprintf(why, size,
		 "at %.0f %% of %s, reclaim holds the usage: %llu refaults, limit hit %llu "
		 "times, tasks waited %.0f %% of the time; what it asks for cannot be seen",
		 100 * (double)r->current / (double)limit,
		 r->high < r->limit ? "memory.high" : "the limit", (unsigned long long)refaults,
		 (unsigned long long)hits, 100 * waited);
	return true;
}

/* By the latest verdict, or by the one before a kill: what follows that is another process. */
static void set_growing(struct memory_container *c)
{
	bool grows = c->growth.verdict == GROWTH_GROWING;

	for (size_t i = 0; i < c->n_kills_kept; i++)
		grows = grows || c->kills[i].growth.verdict == GROWTH_GROWING;
	c->findings &= ~(uint32_t)FINDING_GROWING;
	c->findings |= grows ? FINDING_GROWING : 0;
}

int memory_container__judge(struct memory_container *c)
{
	const struct memory_reading *r = &c->last;
	double room = NAN;
	char why[sizeof(c->growth.reason)];
	int err;

	if (r->limit != MEMORY_NO_LIMIT && r->working_set != MEMORY_NOT_KNOWN)
		room = r->limit > r->working_set ? (double)(r->limit - r->working_set) : 0;
	err = growth__judge(&c->growth, c->history, c->n_history, room);
	set_growing(c);
	if ((c->growth.verdict == GROWTH_STABLE || c->growth.verdict == GROWTH_INCONCLUSIVE) &&
	    !c->gone && reclaim__holds(c, why, sizeof(why))) {
		c->growth.verdict = GROWTH_INCONCLUSIVE;
		snprintf(c->growth.reason, sizeof(c->growth.reason), "%s", why);
	}
	return err;
}

int memory_container__kill(struct memory_container *c, const struct oom_kill *k)
{
	struct oom_kill *kills;
	int err = memory_container__judge(c);

	c->findings |= FINDING_OOM_KILL;
	c->n_kills++;
	if (c->n_kills_kept < MEMORY_MAX_KILLS) {
		kills = realloc(c->kills, (c->n_kills_kept + 1) * sizeof(*kills));
		if (!kills)
			return -ENOMEM;
		c->kills = kills;
		kills[c->n_kills_kept] = *k;
		kills[c->n_kills_kept++].growth = c->growth;
	}
	c->n_history = 0;
	c->history_every = c->history_turn = 0;
	return err ? err : memory_container__judge(c);
}

void memory_container__free(struct memory_container *c)
{
	free(c->history);
	free(c->kills);
	memset(c, 0, sizeof(*c));
}

static const char *const order_names[] = {
	[MEMORY_BY_WORKING_SET] = "ws", [MEMORY_BY_USAGE] = "usage",   [MEMORY_BY_ANON] = "anon",
	[MEMORY_BY_LIMIT] = "limit",	[MEMORY_BY_GROWTH] = "growth", [MEMORY_BY_NAME] = "name",
};

int memory_order__parse(const char *name)
{
	for (int i = 0; i < (int)(sizeof(order_names) / sizeof(order_names[0])); i++)
		if (!strcmp(name, order_names[i]))
			return i;
	return -1;
}

struct ranked {
	const struct memory_container *c;
	double key;
};

static double rank(const struct memory_container *c, enum memory_order by)
{
	double v = 0;

	switch (by) {
	case MEMORY_BY_USAGE: v = (double)known(c->last.current); break;
	case MEMORY_BY_ANON: v = (double)known(c->last.anon); break;
	case MEMORY_BY_LIMIT: v = memory_reading__share(&c->last); break;
	/* Slopes of noise are no growth: those that grow come first. */
	case MEMORY_BY_GROWTH:
		v = c->growth.slope + (c->growth.verdict == GROWTH_GROWING ? 1e12 : 0);
		break;
	case MEMORY_BY_NAME: v = 0; break;
	case MEMORY_BY_WORKING_SET: v = (double)known(c->last.working_set); break;
	}
	return isnan(v) ? -INFINITY : v;
}

static int compare(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	int order;

	if (x->c->gone != y->c->gone)
		return x->c->gone ? 1 : -1;
	if (x->key < y->key || x->key > y->key)
		return x->key < y->key ? 1 : -1;
	order = strcmp(x->c->path, y->c->path);
	if (order)
		return order;
	return x->c->cgroup < y->c->cgroup ? -1 : x->c->cgroup > y->c->cgroup;
}

const struct memory_container **memory_snapshot__sorted(const struct memory_snapshot *s,
							enum memory_order by)
{
	const struct memory_container **list = calloc(s->n + 1, sizeof(*list));
	struct ranked *ranks = calloc(s->n + 1, sizeof(*ranks));

	if (!list || !ranks) {
		free(list);
		free(ranks);
		return NULL;
	}
	for (size_t i = 0; i < s->n; i++) {
		ranks[i].c = &s->containers[i];
		ranks[i].key = rank(&s->containers[i], by);
	}
	qsort(ranks, s->n, sizeof(*ranks), compare);
	for (size_t i = 0; i < s->n; i++)
		list[i] = ranks[i].c;
	free(ranks);
	return list;
}

uint32_t memory_snapshot__findings(const struct memory_snapshot *s)
{
	uint32_t all = s->forgotten_findings;

	for (size_t i = 0; i < s->n; i++)
		all |= s->containers[i].findings;
	if (s->kills_elsewhere)
		all |= FINDING_OOM_KILL;
	return all;
}

void memory_snapshot__free(struct memory_snapshot *s)
{
	for (size_t i = 0; i < s->n; i++)
		memory_container__free(&s->containers[i]);
	free(s->containers);
	memset(s, 0, sizeof(*s));
}
