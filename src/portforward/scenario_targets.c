// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "portforward/scenario.h"

static const struct {
	const char *name, *unit, *title;
} metrics[PF_METRIC_COUNT] = {
#define PF_METRIC_ROW(id, name, unit, title) [id] = {name, unit, title},
	PF_METRICS(PF_METRIC_ROW)
#undef PF_METRIC_ROW
};

const char *pf_metric__unit(enum pf_metric m)
{
	return metrics[m].unit;
}

const char *pf_metric__title(enum pf_metric m)
{
	return metrics[m].title;
}

bool pf_metric__compares(enum pf_metric m)
{
	return m == PF_ADDED_P50 || m == PF_ADDED_P99 || m == PF_RATE_LOSS;
}

static const char *name_of(unsigned int metric)
{
	return metrics[metric].name;
}

static int apply_way(struct pf_target *t, const struct pf_scenario *s, const struct yaml_index *y,
		     const char *file, const char *at)
{
	size_t i;

	t->way = PF_WAYS;
	if (!t->way_name)
		return 0;
	for (i = 0; i < s->n_used && t->way == PF_WAYS; i++)
		if (!strcmp(t->way_name, pf_way__name(s->ways[i])))
			t->way = s->ways[i];
	if (t->way == PF_WAYS)
		return scenario_rules__fail(y, file, at, "way '%s' is not among the ways",
					    t->way_name);
	if (t->way == PF_DIRECT && pf_metric__compares(t->metric))
		return scenario_rules__fail(y, file, at,
					    "%s compares with direct, and has no way direct",
					    t->metric_name);
	return 0;
}

static int apply_workload(struct pf_target *t, const struct pf_scenario *s,
			  const struct yaml_index *y, const char *file, const char *at)
{
	int w;

	for (w = 0; w < PF_WORKLOADS; w++)
		t->workload[w] =
			s->what.workload[w] &&
			(!t->workload_name ||
			 !strcmp(t->workload_name, pf_workload__name((enum pf_workload)w)));
	if (!t->workload[PF_NATS] && !t->workload[PF_HTTP])
		return scenario_rules__fail(y, file, at, "workload '%s' is not among the workloads",
					    t->workload_name);
	return 0;
}

static int number(const char *text, unsigned int *v, const struct yaml_index *y, const char *file,
		  const char *at)
{
	return text ? pf_rules__number(text, 0, INT_MAX, v, y, file, at) : 0;
}

/* A target of both workloads speaks of those that have the point, which is one at least. */
static int apply_point(struct pf_target *t, const struct pf_scenario *s, const struct yaml_index *y,
		       const char *file, const char *at)
{
	char name[96] = "";
	bool any = false;
	int w;

	for (w = 0; w < PF_WORKLOADS; w++) {
		struct pf_point *p = &t->point[w];

		if (!t->workload[w])
			continue;
		*p = pf_sweep__base(&s->what, (enum pf_workload)w);
		if (number(t->payload_text, &p->payload, y, file, at) ||
		    number(t->concurrency_text, &p->concurrency, y, file, at) ||
		    number(t->pool_text, &p->pool, y, file, at))
			return -EINVAL;
		if (w == PF_HTTP && !t->pool_text)
			p->pool = p->concurrency;
		pf_point__name(p, name, sizeof(name));
		t->workload[w] = pf_point__find(s->points, s->n_points, p) < s->n_points;
		any = any || t->workload[w];
	}
	if (!any)
		return scenario_rules__fail(y, file, at, "there is no such point: %s", name);
	return 0;
}

int pf_targets__apply(struct pf_scenario *s, const struct yaml_index *y, const char *file)
{
	unsigned int i, metric;
	char at[32];

	for (i = 0; i < s->n_targets; i++) {
		struct pf_target *t = &s->targets[i];

		snprintf(at, sizeof(at), "targets[%u]", i);
		if (target_metric__apply(t->metric_name, name_of, PF_METRIC_COUNT, &metric, y, file,
					 at))
			return -EINVAL;
		t->metric = (enum pf_metric)metric;
		if (target_limit__apply(t->at_most, t->at_least, t->metric_name,
					metrics[metric].unit, &t->op, &t->limit, y, file, at) ||
		    apply_way(t, s, y, file, at) || apply_workload(t, s, y, file, at) ||
		    apply_point(t, s, y, file, at))
			return -EINVAL;
	}
	return 0;
}
