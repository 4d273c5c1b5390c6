// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/scenario_rules.h"

static const struct {
	const char *name, *unit, *title;
} metrics[METRIC_COUNT] = {
#define METRIC_ROW(id, name, unit, title) [id] = {name, unit, title},
	METRICS(METRIC_ROW)
#undef METRIC_ROW
};

/* Words after a number, by the unit of the metric they belong to. */
static const struct {
	const char *unit, *word;
	double factor;
} words[] = {
	{"ns", "ns", 1},
	{"ns", "us", 1e3},
	{"ns", "ms", 1e6},
	{"ns", "s", 1e9},
	{"bytes", "B", 1},
	{"bytes", "kB", 1e3},
	{"bytes", "MB", 1e6},
	{"bytes", "GB", 1e9},
	{"bytes", "KiB", 1024},
	{"bytes", "MiB", 1024 * 1024},
	{"bytes", "GiB", 1 << 30},
	{"%", "%", 1},
	{"bytes/h", "B/h", 1},
	{"bytes/h", "kB/h", 1e3},
	{"bytes/h", "MB/h", 1e6},
	{"bytes/h", "GB/h", 1e9},
	{"bytes/h", "KiB/h", 1024},
	{"bytes/h", "MiB/h", 1024 * 1024},
	{"bytes/h", "GiB/h", 1 << 30},
	{"events/s", "/s", 1},
	{"events/s", "events/s", 1},
	{"calls/s", "/s", 1},
	{"calls/s", "calls/s", 1},
	{"requests/s", "/s", 1},
	{"requests/s", "requests/s", 1},
	{"requests", "requests", 1},
	{"events", "events", 1},
};

/* Units without which a number would be a guess. */
static bool unit_is_needed(const char *unit)
{
	return !strcmp(unit, "ns") || !strcmp(unit, "bytes") || !strcmp(unit, "bytes/h") ||
	       !strcmp(unit, "%");
}

static const char *unit_hint(const char *unit)
{
	if (!strcmp(unit, "ns"))
		return "a time is wanted, such as 15 ms";
	if (!strcmp(unit, "bytes"))
		return "a size is wanted, such as 55 MB";
	if (!strcmp(unit, "bytes/h"))
		return "a rate is wanted, such as 10 MB/h";
	if (!strcmp(unit, "%"))
		return "a share is wanted, such as 1 %";
	return "a number is wanted, such as 50000";
}

int limit__parse(const char *text, const char *unit, double *value, const char **why)
{
	char *end;
	double v = strtod(text, &end);
	size_t i;

	*why = unit_hint(unit);
	if (end == text || !isfinite(v))
		return -EINVAL;
	if (v < 0) {
		*why = "it is negative";
		return -EINVAL;
	}
	end += strspn(end, " ");
	if (!*end && !unit_is_needed(unit)) {
		*value = v;
		return 0;
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].unit, unit) != 0 || strcmp(words[i].word, end) != 0)
			continue;
		*value = v * words[i].factor;
		return 0;
	}
	return -EINVAL;
}

/* The place of `name` among n names; -1: not there. 0 without a name. */
static int choose(const char *name, const char *const *names, int n)
{
	int i;

	if (!name)
		return 0;
	for (i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

static bool is_rpc(enum metric m)
{
	return m <= METRIC_RPC_RATE;
}

static const char *name_of(unsigned int metric)
{
	return metrics[metric].name;
}

static int apply_metric(struct scenario_target *t, const struct yaml_index *y, const char *file,
			const char *at)
{
	unsigned int metric;
	int err = target_metric__apply(t->metric_name, name_of, METRIC_COUNT, &metric, y, file, at);

	if (!err)
		t->metric = (enum metric)metric;
	return err;
}

static int apply_limit(struct scenario_target *t, const struct yaml_index *y, const char *file,
		       const char *at)
{
	return target_limit__apply(t->at_most, t->at_least, t->metric_name, metrics[t->metric].unit,
				   &t->op, &t->limit, y, file, at);
}

static int apply_options(struct scenario_target *t, const struct scenario *s,
			 const struct yaml_index *y, const char *file, const char *at)
{
	static const char *const modes[] = {"", "closed", "open"};
	static const char *const clocks[] = {"", "client", "intended", "kernel"};
	unsigned int i;
	int v;

	if ((t->mode_name || t->clock_name) && !is_rpc(t->metric))
		return scenario_rules__fail(y, file, at, "%s has neither mode nor clock",
					    t->metric_name);
	if (t->container && t->metric != METRIC_GROWTH)
		return scenario_rules__fail(y, file, at, "%s has no container", t->metric_name);
	if (t->container && !scenario__has_container(s, t->container))
		return scenario_rules__fail(y, file, at, "container '%s' is not started",
					    t->container);
	if (t->path_name && (t->metric == METRIC_MEMORY || t->metric == METRIC_GROWTH))
		return scenario_rules__fail(y, file, at, "%s has no path", t->metric_name);
	v = choose(t->mode_name, modes, 3);
	if (v < 0)
		return scenario_rules__fail(y, file, at, "mode '%s' is neither closed nor open",
					    t->mode_name);
	t->mode = (enum rpc_mode)v;
	v = choose(t->clock_name, clocks, 4);
	if (v < 0)
		return scenario_rules__fail(y, file, at,
					    "clock '%s' is not one of client, intended, kernel",
					    t->clock_name);
	t->clock = (enum rpc_clock)v;
	if (t->mode == MODE_OPEN && !s->has_open)
		return scenario_rules__fail(y, file, at, "mode open without a section rpc_open");
	if (t->clock == CLOCK_INTENDED && t->mode == MODE_CLOSED)
		return scenario_rules__fail(y, file, at,
					    "a closed loop has no intended time: clock client");
	if (t->clock == CLOCK_INTENDED && !s->has_open)
		return scenario_rules__fail(y, file, at,
					    "clock intended without a section rpc_open");
	t->path = -1;
	for (i = 0; i < s->n_paths && t->path_name; i++)
		if (!strcmp(t->path_name, path__label(s->paths[i])))
			t->path = (int)s->paths[i];
	if (t->path_name && t->path < 0)
		return scenario_rules__fail(y, file, at, "path '%s' is not among the paths",
					    t->path_name);
	return 0;
}

int scenario_targets__apply(struct scenario *s, const struct yaml_index *y, const char *file)
{
	unsigned int i;
	char at[32];

	for (i = 0; i < s->n_targets; i++) {
		struct scenario_target *t = &s->targets[i];
		bool events;

		snprintf(at, sizeof(at), "targets[%u]", i);
		if (apply_metric(t, y, file, at) || apply_limit(t, y, file, at) ||
		    apply_options(t, s, y, file, at))
			return -EINVAL;
		events = t->metric == METRIC_EVENTS_RATE || t->metric == METRIC_EVENTS_MISSING;
		if (events && !s->has_events)
			return scenario_rules__fail(y, file, at, "%s without a section events",
						    t->metric_name);
		if (t->metric == METRIC_GROWTH && !s->has_memory)
			return scenario_rules__fail(y, file, at, "%s without a section memory",
						    t->metric_name);
	}
	return 0;
}

const char *metric__title(enum metric m)
{
	return metrics[m].title;
}

const char *metric__unit(enum metric m)
{
	return metrics[m].unit;
}
