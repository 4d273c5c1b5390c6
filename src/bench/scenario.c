// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/scenario.h"
#include "bench/scenario_file.h"
#include "bench/scenario_rules.h"
#include "bench/scenario_schema.h"

/* libcyaml wants the types of the sections by name. */
typedef __typeof__(((struct scenario *)NULL)->stack) stack_section;
typedef __typeof__(((struct scenario *)NULL)->rpc) rpc_section;
typedef __typeof__(((struct scenario *)NULL)->rpc_open) rpc_open_section;
typedef __typeof__(((struct scenario *)NULL)->events) events_section;
typedef __typeof__(((struct scenario *)NULL)->services) services_section;
typedef __typeof__(((struct scenario *)NULL)->memory) memory_section;
typedef __typeof__(((struct scenario *)NULL)->hops) hops_section;
typedef __typeof__(((struct scenario *)NULL)->ab) ab_section;

static const cyaml_schema_value_t word = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, MAX_STRING)};

static const cyaml_schema_field_t stack_fields[] = {
	NUMBER("nodes", stack_section, nodes),
	CYAML_FIELD_BOOL("jetstream", CYAML_FLAG_OPTIONAL, stack_section, jetstream),
	/* "auto" or a list: no type of libcyaml's; read from the index. */
	CYAML_FIELD_IGNORE("ports", CYAML_FLAG_OPTIONAL), CYAML_FIELD_END};

static const cyaml_schema_field_t rpc_fields[] = {NUMBER("calls", rpc_section, calls),
						  NUMBER("pool", rpc_section, pool),
						  NUMBER("payload", rpc_section, payload),
						  NUMBER("concurrency", rpc_section, concurrency),
						  NUMBER("timeout_ms", rpc_section, timeout_ms),
						  TEXT("service", rpc_section, service),
						  TEXT("method", rpc_section, method),
						  CYAML_FIELD_END};

static const cyaml_schema_field_t rpc_open_fields[] = {REAL("rate", rpc_open_section, rate),
						       NUMBER("calls", rpc_open_section, calls),
						       CYAML_FIELD_END};

static const cyaml_schema_field_t events_fields[] = {
	NUMBER("count", events_section, count),
	NUMBER("batch", events_section, batch),
	NUMBER("payload", events_section, payload),
	NUMBER("replicas", events_section, replicas),
	NUMBER("timeout_ms", events_section, timeout_ms),
	LIST("domains", events_section, domains, n_domains, &word),
	LIST("types", events_section, types, n_types, &word),
	TEXT("storage", events_section, storage),
	CYAML_FIELD_END};

static const cyaml_schema_field_t services_fields[] = {NUMBER("count", services_section, count),
						       NUMBER("pool", services_section, pool),
						       CYAML_FIELD_END};

static const cyaml_schema_field_t memory_fields[] = {
	REAL("seconds", memory_section, seconds), REAL("interval", memory_section, interval),
	REAL("rate", memory_section, rate),
	LIST("containers", memory_section, containers, n_containers, &word), CYAML_FIELD_END};

static const cyaml_schema_field_t hops_fields[] = {REAL("seconds", hops_section, seconds),
						   CYAML_FIELD_END};

static const cyaml_schema_field_t ab_fields[] = {NUMBER("slices", ab_section, slices),
						 REAL("seconds", ab_section, seconds),
						 CYAML_FIELD_END};

static const cyaml_schema_field_t target_fields[] = {
	TEXT("metric", struct scenario_target, metric_name),
	TEXT("path", struct scenario_target, path_name),
	TEXT("container", struct scenario_target, container),
	TEXT("mode", struct scenario_target, mode_name),
	TEXT("clock", struct scenario_target, clock_name),
	TEXT("at_most", struct scenario_target, at_most),
	TEXT("at_least", struct scenario_target, at_least),
	CYAML_FIELD_END};

static const cyaml_schema_value_t target_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct scenario_target, target_fields)};

static const cyaml_schema_field_t scenario_fields[] = {
	TEXT("name", struct scenario, name),
	CYAML_FIELD_STRING_PTR("title", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct scenario,
			       title, 0, 200),
	CYAML_FIELD_IGNORE("kind", CYAML_FLAG_OPTIONAL), /* scenario_file__kind() */
	SECTION("stack", struct scenario, stack, stack_fields),
	LIST("paths", struct scenario, path_names, n_paths, &word),
	NUMBER("rounds", struct scenario, rounds),
	SECTION("rpc", struct scenario, rpc, rpc_fields),
	SECTION("rpc_open", struct scenario, rpc_open, rpc_open_fields),
	SECTION("events", struct scenario, events, events_fields),
	SECTION("services", struct scenario, services, services_fields),
	SECTION("memory", struct scenario, memory, memory_fields),
	SECTION("hops", struct scenario, hops, hops_fields),
	SECTION("ab", struct scenario, ab, ab_fields),
	TEXT("error_bound", struct scenario, error_bound_text),
	LIST("targets", struct scenario, targets, n_targets, &target_value),
	CYAML_FIELD_END};

static const cyaml_schema_value_t scenario_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct scenario, scenario_fields)};

struct scenario *scenario__load(const char *file)
{
	struct scenario_file f;
	struct scenario *s;

	if (scenario_file__open(&f, file))
		return NULL;
	s = scenario_file__load(&f, &scenario_value);
	if (s && scenario_rules__apply(s, &f.index, file)) {
		scenario__free(s);
		s = NULL;
	}
	scenario_file__close(&f);
	return s;
}

void scenario__free(struct scenario *s)
{
	if (s)
		cyaml_free(&scenario_file_config, &scenario_value, s, 0);
}
