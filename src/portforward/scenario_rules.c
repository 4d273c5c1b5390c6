// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "portforward/scenario.h"

/* What the load workers take; and a message with its envelope is one for a broker. */
#define MAX_PAYLOAD	(512 << 10)
#define MAX_CONCURRENCY 512
#define MAX_POOL	64

static const struct scenario_number numbers[] = {
#define N(path, min, max, otherwise) SCENARIO_WHOLE(struct pf_scenario, path, min, max, otherwise)
#define R(path, min, max, otherwise) SCENARIO_REAL(struct pf_scenario, path, min, max, otherwise)
	N(load.rounds, 1, PF_MAX_ROUNDS, 8),
	R(load.seconds, 0.05, 60, 0.2),
	N(load.timeout_ms, 10, 60000, 2000),
	N(base.payload, 0, MAX_PAYLOAD, 256),
	N(base.concurrency, 1, MAX_CONCURRENCY, 1),
	N(base.pool, 1, MAX_POOL, 1),
	N(sweep.pool_concurrency, 1, MAX_CONCURRENCY, 10),
	N(sweep.tunnels, 0, PF_MAX_NODES, 0),
	N(sweep.bulk, 0, MAX_PAYLOAD, 0),
	N(sweep.bulk_concurrency, 1, MAX_CONCURRENCY, 2),
	N(hops.rounds, 0, 100, 1),
	R(hops.seconds, 0.05, 60, 0.2),
	{0},
#undef N
#undef R
};

static int apply_texts(struct pf_scenario *s)
{
	if (scenario_text__apply(&s->kind, "port-forward") ||
	    scenario_text__apply(&s->name, "port-forward") ||
	    scenario_text__apply(&s->title, s->name) ||
	    scenario_text__apply(&s->error_bound_text, "1 %"))
		return -EINVAL;
	return 0;
}

static int check_names(const struct pf_scenario *s, const struct yaml_index *y, const char *file)
{
	if (strcmp(s->kind, "port-forward") != 0)
		return scenario_rules__fail(y, file, "kind", "'%s' is not port-forward", s->kind);
	return scenario_name__check(s->name, y, file);
}

/* Direct is what the others are compared with: it is there, and first. */
static int apply_ways(struct pf_scenario *s, const struct yaml_index *y, const char *file)
{
	bool wanted[PF_WAYS] = {false};
	char path[32];
	unsigned int i;
	int w;

	s->n_used = 0;
	for (i = 0; i < s->n_ways; i++) {
		enum pf_way way = pf_way__find(s->way_texts[i]);

		snprintf(path, sizeof(path), "ways[%u]", i);
		if (way == PF_WAYS)
			return scenario_rules__fail(y, file, path,
						    "'%s' is not one of direct, dnat, socat, "
						    "haproxy, ssh, kubectl, kubectl-ws",
						    s->way_texts[i]);
		if (wanted[way])
			return scenario_rules__fail(y, file, path, "%s is there twice",
						    s->way_texts[i]);
		wanted[way] = true;
		if (way != PF_DIRECT)
			s->ways[++s->n_used] = way;
	}
	/* Until here without direct. */
	for (w = PF_DIRECT + 1; w < PF_WAYS && !s->n_ways; w++)
		s->ways[++s->n_used] = (enum pf_way)w;
	s->ways[0] = PF_DIRECT;
	s->n_used++;
	return 0;
}

static int apply_workloads(struct pf_scenario *s, const struct yaml_index *y, const char *file)
{
	char path[32];
	unsigned int i;

	s->what.workload[PF_NATS] = s->what.workload[PF_HTTP] = !s->n_workloads;
	for (i = 0; i < s->n_workloads; i++) {
		bool http = !strcmp(s->workload_texts[i], "http");

		snprintf(path, sizeof(path), "workloads[%u]", i);
		if (!http && strcmp(s->workload_texts[i], "nats") != 0)
			return scenario_rules__fail(y, file, path, "'%s' is neither nats nor http",
						    s->workload_texts[i]);
		s->what.workload[http ? PF_HTTP : PF_NATS] = true;
	}
	return 0;
}

int pf_rules__number(const char *text, unsigned int min, unsigned int max, unsigned int *v,
		     const struct yaml_index *y, const char *file, const char *path)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (end == text || *end || errno)
		return scenario_rules__fail(y, file, path, "'%s' is not a whole number", text);
	if (n < (long)min || n > (long)max)
		return scenario_rules__fail(y, file, path, "%s is out of range: %u to %u", text,
					    min, max);
	*v = (unsigned int)n;
	return 0;
}

static int apply_values(struct pf_values *to, char **texts, unsigned int n, unsigned int min,
			unsigned int max, const struct yaml_index *y, const char *file,
			const char *key)
{
	char path[64];
	unsigned int i;

	if (n > PF_MAX_VALUES)
		return scenario_rules__fail(y, file, key, "more than %d values", PF_MAX_VALUES);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s[%u]", key, i);
		if (pf_rules__number(texts[i], min, max, &to->v[i], y, file, path))
			return -EINVAL;
		if (i && to->v[i] <= to->v[i - 1])
			return scenario_rules__fail(y, file, path, "the values have to rise");
	}
	to->n = n;
	return 0;
}

static int apply_sweep(struct pf_scenario *s, const struct yaml_index *y, const char *file)
{
	struct pf_sweep *w = &s->what;

	w->payload = (unsigned int)s->base.payload;
	w->concurrency = (unsigned int)s->base.concurrency;
	w->pool = (unsigned int)s->base.pool;
	w->pool_concurrency = (unsigned int)s->sweep.pool_concurrency;
	w->tunnels = (unsigned int)s->sweep.tunnels;
	w->bulk = (unsigned int)s->sweep.bulk;
	w->bulk_concurrency = (unsigned int)s->sweep.bulk_concurrency;
	if (w->bulk && w->tunnels < 2)
		return scenario_rules__fail(y, file, "sweep.bulk",
					    "another port to compare with is wanted: sweep.tunnels "
					    "of 2 or more");
	if (apply_values(&w->payloads, s->sweep.payload_texts, s->sweep.n_payload, 0, MAX_PAYLOAD,
			 y, file, "sweep.payload") ||
	    apply_values(&w->concurrencies, s->sweep.concurrency_texts, s->sweep.n_concurrency, 1,
			 MAX_CONCURRENCY, y, file, "sweep.concurrency") ||
	    apply_values(&w->pools, s->sweep.pool_texts, s->sweep.n_pool, 1, MAX_POOL, y, file,
			 "sweep.pool"))
		return -EINVAL;
	s->n_points = pf_sweep__points(w, s->points);
	return 0;
}

int pf_rules__apply(struct pf_scenario *s, const struct yaml_index *y, const char *file)
{
	if (scenario_numbers__apply(s, numbers, y, file) || apply_texts(s) ||
	    check_names(s, y, file) || apply_ways(s, y, file) || apply_workloads(s, y, file) ||
	    apply_sweep(s, y, file))
		return -EINVAL;
	if (error_bound__apply(s->error_bound_text, &s->error_bound, y, file))
		return -EINVAL;
	return pf_targets__apply(s, y, file);
}

static int say_values(const char *key, const struct pf_values *v, scenario_setting_fn fn, void *ctx)
{
	char text[PF_MAX_VALUES * 12] = "none";
	size_t len = 0, i;

	for (i = 0; i < v->n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", i ? ", " : "",
					v->v[i]);
	return fn(ctx, key, text);
}

static int say_ways(const struct pf_scenario *s, scenario_setting_fn fn, void *ctx)
{
	char text[128];
	size_t len = 0, i;

	for (i = 0; i < s->n_used; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? ", " : "",
					pf_way__name(s->ways[i]));
	return fn(ctx, "ways", text);
}

int pf_scenario__settings(const struct pf_scenario *s, scenario_setting_fn fn, void *ctx)
{
	const bool *w = s->what.workload;
	int err = say_ways(s, fn, ctx);

	if (!err)
		err = fn(ctx, "workloads",
			 w[PF_NATS] && w[PF_HTTP] ? "nats, http"
			 : w[PF_HTTP]		  ? "http"
						  : "nats");
	if (!err)
		err = scenario_numbers__say(s, numbers, "load", fn, ctx);
	if (!err)
		err = scenario_numbers__say(s, numbers, "base", fn, ctx);
	if (!err)
		err = say_values("sweep.payload", &s->what.payloads, fn, ctx);
	if (!err)
		err = say_values("sweep.concurrency", &s->what.concurrencies, fn, ctx);
	if (!err)
		err = say_values("sweep.pool", &s->what.pools, fn, ctx);
	if (!err)
		err = scenario_numbers__say(s, numbers, "sweep", fn, ctx);
	if (!err)
		err = scenario_numbers__say(s, numbers, "hops", fn, ctx);
	return err ? err : fn(ctx, "error_bound", s->error_bound_text);
}
