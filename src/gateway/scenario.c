// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>

#include "bench/scenario_file.h"
#include "bench/scenario_schema.h"
#include "gateway/scenario.h"

/* libcyaml wants the types of the sections by name. */
typedef __typeof__(((struct gw_scenario *)NULL)->stack) stack_section;
typedef __typeof__(((struct gw_scenario *)NULL)->breaker) breaker_section;
typedef __typeof__(((struct gw_scenario *)NULL)->limits) limits_section;
typedef __typeof__(((struct gw_scenario *)NULL)->client) client_section;
typedef __typeof__(((struct gw_scenario *)NULL)->response) response_section;
typedef __typeof__(((struct gw_scenario *)NULL)->load) load_section;
typedef __typeof__(((struct gw_scenario *)NULL)->faults) faults_section;
typedef __typeof__(((struct gw_scenario *)NULL)->memory) memory_section;
typedef __typeof__(((struct gw_scenario *)NULL)->hops) hops_section;

#define LONG_TEXT(key, type, member)                                                           \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, \
			       LATENCY_TEXT_LEN)

static const cyaml_schema_value_t word = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, MAX_STRING)};

static const cyaml_schema_field_t stack_fields[] = {
	TEXT("ports", stack_section, ports_text),
	NUMBER("workers", stack_section, workers),
	NUMBER("map_ttl_s", stack_section, map_ttl_s),
	LONG_TEXT("upstream_latency", stack_section, latency_text),
	NUMBER("upstream_timeout_ms", stack_section, upstream_timeout_ms),
	NUMBER("redis_timeout_ms", stack_section, redis_timeout_ms),
	CYAML_FIELD_END};

static const cyaml_schema_field_t breaker_fields[] = {NUMBER("failures", breaker_section, failures),
						      REAL("seconds", breaker_section, seconds),
						      CYAML_FIELD_END};

static const cyaml_schema_field_t limits_fields[] = {
	TEXT("redis-cache", limits_section, text[GATEWAY_REDIS]),
	TEXT("claude-api", limits_section, text[GATEWAY_API]),
	TEXT("kong-gateway", limits_section, text[GATEWAY_KONG]),
	TEXT("nginx-claude-proxy", limits_section, text[GATEWAY_PROXY]),
	TEXT("claude-client", limits_section, text[GATEWAY_CLIENT]),
	CYAML_FIELD_END};

static const cyaml_schema_field_t client_fields[] = {
	NUMBER("connections", client_section, connections),
	NUMBER("payload", client_section, payload),
	NUMBER("timeout_ms", client_section, timeout_ms), CYAML_FIELD_END};

static const cyaml_schema_field_t response_fields[] = {
	NUMBER("calls", response_section, calls),
	NUMBER("concurrency", response_section, concurrency), CYAML_FIELD_END};

static const cyaml_schema_field_t load_fields[] = {
	LIST("rates", load_section, rate_texts, n_rates, &word),
	REAL("seconds", load_section, seconds), REAL("headroom", load_section, headroom),
	CYAML_FIELD_END};

static const cyaml_schema_field_t fault_fields[] = {
	TEXT("fault", struct gw_fault, fault), TEXT("container", struct gw_fault, container),
	TEXT("down", struct gw_fault, down_text), TEXT("after", struct gw_fault, after_text),
	CYAML_FIELD_END};

static const cyaml_schema_value_t fault_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gw_fault, fault_fields)};

static const cyaml_schema_field_t faults_fields[] = {
	REAL("rate", faults_section, rate),
	REAL("before", faults_section, before),
	REAL("down", faults_section, down),
	REAL("after", faults_section, after),
	NUMBER("bucket_ms", faults_section, bucket_ms),
	LIST("list", faults_section, list, n_list, &fault_value),
	CYAML_FIELD_END};

static const cyaml_schema_field_t memory_fields[] = {
	REAL("interval", memory_section, interval), REAL("seconds", memory_section, seconds),
	REAL("rate", memory_section, rate), CYAML_FIELD_END};

static const cyaml_schema_field_t hops_fields[] = {REAL("seconds", hops_section, seconds),
						   CYAML_FIELD_END};

static const cyaml_schema_field_t target_fields[] = {TEXT("metric", struct gw_target, metric_name),
						     TEXT("container", struct gw_target, container),
						     TEXT("fault", struct gw_target, fault_name),
						     TEXT("rate", struct gw_target, rate_text),
						     TEXT("at_most", struct gw_target, at_most),
						     TEXT("at_least", struct gw_target, at_least),
						     CYAML_FIELD_END};

static const cyaml_schema_value_t target_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gw_target, target_fields)};

static const cyaml_schema_field_t scenario_fields[] = {
	TEXT("kind", struct gw_scenario, kind),
	TEXT("name", struct gw_scenario, name),
	CYAML_FIELD_STRING_PTR("title", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			       struct gw_scenario, title, 0, 200),
	SECTION("stack", struct gw_scenario, stack, stack_fields),
	SECTION("breaker", struct gw_scenario, breaker, breaker_fields),
	SECTION("limits", struct gw_scenario, limits, limits_fields),
	SECTION("client", struct gw_scenario, client, client_fields),
	SECTION("response", struct gw_scenario, response, response_fields),
	SECTION("load", struct gw_scenario, load, load_fields),
	SECTION("faults", struct gw_scenario, faults, faults_fields),
	SECTION("memory", struct gw_scenario, memory, memory_fields),
	SECTION("hops", struct gw_scenario, hops, hops_fields),
	TEXT("error_bound", struct gw_scenario, error_bound_text),
	LIST("targets", struct gw_scenario, targets, n_targets, &target_value),
	CYAML_FIELD_END};

static const cyaml_schema_value_t scenario_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gw_scenario, scenario_fields)};

struct gw_scenario *gw_scenario__load(const char *file)
{
	struct scenario_file f;
	struct gw_scenario *s;

	if (scenario_file__open(&f, file))
		return NULL;
	s = scenario_file__load(&f, &scenario_value);
	if (s && gw_rules__apply(s, &f.index, file)) {
		gw_scenario__free(s);
		s = NULL;
	}
	scenario_file__close(&f);
	return s;
}

void gw_scenario__free(struct gw_scenario *s)
{
	if (s)
		cyaml_free(&scenario_file_config, &scenario_value, s, 0);
}

double gw_scenario__offered(const struct gw_scenario *s, double rate)
{
	return rate * (1 + s->load.headroom / 100);
}

void gw_scenario__stack(const struct gw_scenario *s, struct gateway_opts *o)
{
	int id;

	gateway__defaults(o);
	for (id = 0; id < GATEWAY_COUNT; id++) {
		o->memory[id] = s->limits.bytes[id];
		o->workers[id] = (unsigned int)s->stack.workers;
	}
	if (s->stack.fixed) {
		o->port[GATEWAY_PROXY] = 8082;
		o->port[GATEWAY_KONG] = 8000;
	}
	o->latency = s->stack.latency;
	o->map_ttl_s = (unsigned int)s->stack.map_ttl_s;
	o->breaker_failures = (unsigned int)s->breaker.failures;
	o->breaker_open_ms = (unsigned int)(s->breaker.seconds * 1000);
	o->redis_timeout_ms = (unsigned int)s->stack.redis_timeout_ms;
	o->upstream_timeout_ms = (unsigned int)s->stack.upstream_timeout_ms;
	o->access_log = true;
}
