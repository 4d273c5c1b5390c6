// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/scenario.h"

static const struct {
	const char *name, *unit, *title;
	enum gw_scope scope;
} metrics[GW_METRIC_COUNT] = {
#define GW_METRIC_ROW(id, name, unit, title, scope) [id] = {name, unit, title, scope},
	GW_METRICS(GW_METRIC_ROW)
#undef GW_METRIC_ROW
};

const char *gw_metric__name(enum gw_metric m)
{
	return metrics[m].name;
}

const char *gw_metric__unit(enum gw_metric m)
{
	return metrics[m].unit;
}

const char *gw_metric__title(enum gw_metric m)
{
	return metrics[m].title;
}

enum gw_scope gw_metric__scope(enum gw_metric m)
{
	return metrics[m].scope;
}

static const char *name_of(unsigned int metric)
{
	return metrics[metric].name;
}

static int apply_metric(struct gw_target *t, const struct yaml_index *y, const char *file,
			const char *at)
{
	unsigned int metric;
	int err = target_metric__apply(t->metric_name, name_of, GW_METRIC_COUNT, &metric, y, file,
				       at);

	if (!err)
		t->metric = (enum gw_metric)metric;
	return err;
}

static int apply_limit(struct gw_target *t, const struct yaml_index *y, const char *file,
		       const char *at)
{
	return target_limit__apply(t->at_most, t->at_least, t->metric_name, metrics[t->metric].unit,
				   &t->op, &t->limit, y, file, at);
}

/* Keys that narrow a target belong to its scope, and name something that is there. */
static int check_narrowing(const struct gw_target *t, const struct yaml_index *y, const char *file,
			   const char *at)
{
	static const struct {
		enum gw_scope scope;
		const char *key;
	} keys[] = {{GW_SCOPE_CONTAINER, "container"},
		    {GW_SCOPE_FAULT, "fault"},
		    {GW_SCOPE_LOAD, "rate"}};
	const char *given[] = {t->container, t->fault_name, t->rate_text};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (given[i] && metrics[t->metric].scope != keys[i].scope)
			return scenario_rules__fail(y, file, at, "%s has no %s", t->metric_name,
						    keys[i].key);
	if (t->container && gateway__find(t->container) == GATEWAY_COUNT)
		return scenario_rules__fail(y, file, at, "container '%s' is not started",
					    t->container);
	return 0;
}

static int apply_rate(struct gw_target *t, const struct gw_scenario *s, const struct yaml_index *y,
		      const char *file, const char *at)
{
	unsigned int i;
	char *end;

	t->rate = 0;
	if (!t->rate_text)
		return 0;
	t->rate = strtod(t->rate_text, &end);
	if (end == t->rate_text || *end)
		return scenario_rules__fail(y, file, at, "rate '%s' is not a number", t->rate_text);
	for (i = 0; i < s->load.n_rates; i++)
		if (s->load.rates[i] == t->rate)
			return 0;
	return scenario_rules__fail(y, file, at, "rate %s is not among load.rates", t->rate_text);
}

static int check_fault(const struct gw_target *t, const struct gw_scenario *s,
		       const struct yaml_index *y, const char *file, const char *at)
{
	unsigned int i;

	if (metrics[t->metric].scope != GW_SCOPE_FAULT)
		return 0;
	if (!s->has_faults)
		return scenario_rules__fail(y, file, at, "%s without a section faults",
					    t->metric_name);
	for (i = 0; i < s->faults.n_list && t->fault_name; i++)
		if (!strcmp(s->faults.list[i].name, t->fault_name))
			return 0;
	if (t->fault_name)
		return scenario_rules__fail(y, file, at, "fault '%s' is not in faults.list",
					    t->fault_name);
	return 0;
}

int gw_targets__apply(struct gw_scenario *s, const struct yaml_index *y, const char *file)
{
	unsigned int i;
	char at[32];

	for (i = 0; i < s->n_targets; i++) {
		struct gw_target *t = &s->targets[i];

		snprintf(at, sizeof(at), "targets[%u]", i);
		if (apply_metric(t, y, file, at) || apply_limit(t, y, file, at) ||
		    check_narrowing(t, y, file, at) || apply_rate(t, s, y, file, at) ||
		    check_fault(t, s, y, file, at))
			return -EINVAL;
	}
	return 0;
}
