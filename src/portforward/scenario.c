// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>

#include "bench/scenario_file.h"
#include "bench/scenario_schema.h"
#include "portforward/scenario.h"

/* libcyaml wants the types of the sections by name. */
typedef __typeof__(((struct pf_scenario *)NULL)->stack) stack_section;
typedef __typeof__(((struct pf_scenario *)NULL)->load) load_section;
typedef __typeof__(((struct pf_scenario *)NULL)->base) base_section;
typedef __typeof__(((struct pf_scenario *)NULL)->sweep) sweep_section;
typedef __typeof__(((struct pf_scenario *)NULL)->hops) hops_section;

#define PATH_TEXT(key, type, member)                                                           \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, \
			       PATH_MAX)

static const cyaml_schema_value_t word = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, MAX_STRING)};

static const cyaml_schema_field_t stack_fields[] = {
	PATH_TEXT("kubectl", stack_section, kubectl),
	PATH_TEXT("kubectl_ws", stack_section, kubectl_ws), CYAML_FIELD_END};

static const cyaml_schema_field_t load_fields[] = {
	NUMBER("rounds", load_section, rounds), REAL("seconds", load_section, seconds),
	NUMBER("timeout_ms", load_section, timeout_ms), CYAML_FIELD_END};

static const cyaml_schema_field_t base_fields[] = {
	NUMBER("payload", base_section, payload), NUMBER("concurrency", base_section, concurrency),
	NUMBER("pool", base_section, pool), CYAML_FIELD_END};

static const cyaml_schema_field_t sweep_fields[] = {
	LIST("payload", sweep_section, payload_texts, n_payload, &word),
	LIST("concurrency", sweep_section, concurrency_texts, n_concurrency, &word),
	LIST("pool", sweep_section, pool_texts, n_pool, &word),
	NUMBER("pool_concurrency", sweep_section, pool_concurrency),
	NUMBER("tunnels", sweep_section, tunnels),
	NUMBER("bulk", sweep_section, bulk),
	NUMBER("bulk_concurrency", sweep_section, bulk_concurrency),
	CYAML_FIELD_END};

static const cyaml_schema_field_t hops_fields[] = {NUMBER("rounds", hops_section, rounds),
						   REAL("seconds", hops_section, seconds),
						   CYAML_FIELD_END};

static const cyaml_schema_field_t target_fields[] = {
	TEXT("metric", struct pf_target, metric_name),
	TEXT("way", struct pf_target, way_name),
	TEXT("workload", struct pf_target, workload_name),
	TEXT("payload", struct pf_target, payload_text),
	TEXT("concurrency", struct pf_target, concurrency_text),
	TEXT("pool", struct pf_target, pool_text),
	TEXT("at_most", struct pf_target, at_most),
	TEXT("at_least", struct pf_target, at_least),
	CYAML_FIELD_END};

static const cyaml_schema_value_t target_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct pf_target, target_fields)};

static const cyaml_schema_field_t scenario_fields[] = {
	TEXT("kind", struct pf_scenario, kind),
	TEXT("name", struct pf_scenario, name),
	CYAML_FIELD_STRING_PTR("title", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			       struct pf_scenario, title, 0, 200),
	LIST("ways", struct pf_scenario, way_texts, n_ways, &word),
	LIST("workloads", struct pf_scenario, workload_texts, n_workloads, &word),
	SECTION("stack", struct pf_scenario, stack, stack_fields),
	SECTION("load", struct pf_scenario, load, load_fields),
	SECTION("base", struct pf_scenario, base, base_fields),
	SECTION("sweep", struct pf_scenario, sweep, sweep_fields),
	SECTION("hops", struct pf_scenario, hops, hops_fields),
	TEXT("error_bound", struct pf_scenario, error_bound_text),
	LIST("targets", struct pf_scenario, targets, n_targets, &target_value),
	CYAML_FIELD_END};

static const cyaml_schema_value_t scenario_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct pf_scenario, scenario_fields)};

struct pf_scenario *pf_scenario__load(const char *file)
{
	struct scenario_file f;
	struct pf_scenario *s;

	if (scenario_file__open(&f, file))
		return NULL;
	s = scenario_file__load(&f, &scenario_value);
	if (s && pf_rules__apply(s, &f.index, file)) {
		pf_scenario__free(s);
		s = NULL;
	}
	scenario_file__close(&f);
	return s;
}

void pf_scenario__free(struct pf_scenario *s)
{
	if (s)
		cyaml_free(&scenario_file_config, &scenario_value, s, 0);
}

void pf_scenario__stack(const struct pf_scenario *s, struct pf_opts *o)
{
	size_t i;

	pf_stack__defaults(o);
	o->ways = 0;
	for (i = 0; i < s->n_used; i++)
		o->ways |= 1u << s->ways[i];
	o->nodes = s->sweep.tunnels > 1 ? (size_t)s->sweep.tunnels : 1;
	o->kubectl = s->stack.kubectl;
	o->kubectl_ws = s->stack.kubectl_ws;
}
