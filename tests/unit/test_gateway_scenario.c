/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Scenario files of the kind gateway: what is understood, and that an error says file and line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/scenario_file.h"
#include "gateway/scenario.h"

#define SCENARIO      struct gw_scenario
#define SCENARIO_LOAD gw_scenario__load
#define SCENARIO_FREE gw_scenario__free
#include "scenario_fixture.h"

static void defaults(void **state)
{
	struct gw_scenario *s = load("kind: gateway\n");
	struct gateway_opts o;

	(void)state;
	assert_string_equal(said, "");
	assert_non_null(s);
	assert_string_equal(s->name, "gateway");
	assert_int_equal(s->load.n_rates, 2);
	assert_true(s->load.rates[0] == 100 && s->load.rates[1] == 1000);
	assert_true(gw_scenario__offered(s, 1000) == 1020);
	assert_false(s->has_faults);
	assert_true(s->hops.seconds == 3);
	assert_true(s->error_bound == 0.01);
	gw_scenario__stack(s, &o);
	assert_int_equal(o.breaker_failures, 5);
	assert_int_equal(o.breaker_open_ms, 30000);
	assert_int_equal(o.port[GATEWAY_PROXY], 0);
	assert_int_equal(o.memory[GATEWAY_KONG], 0);
	gw_scenario__free(s);
}

static void values(void **state)
{
	struct gw_scenario *s =
		load("kind: gateway\nname: x\ntitle: A title\n"
		     "stack: {ports: fixed, workers: 2, upstream_latency: uniform 1 ms 3 ms}\n"
		     "breaker: {failures: 3, seconds: 0.5}\n"
		     "limits: {kong-gateway: 1024 MiB, redis-cache: none}\n"
		     "load: {rates: [50, 12.5], seconds: 2, headroom: 0}\n"
		     "faults:\n  before: 2\n  list:\n"
		     "    - {fault: kill, container: kong-gateway, down: 1.5}\n"
		     "    - {fault: reset, container: claude-client, after: 9}\n"
		     "hops: {seconds: 0}\n"
		     "error_bound: 0.5 %\n"
		     "targets:\n"
		     "  - {metric: load_rate, rate: 50, at_least: 50}\n"
		     "  - {metric: recovery_time, fault: kill kong-gateway, at_most: 30 s}\n"
		     "  - {metric: memory_growth, container: redis-cache, at_most: 1 MB/h}\n");
	struct gateway_opts o;

	(void)state;
	assert_string_equal(said, "");
	assert_non_null(s);
	gw_scenario__stack(s, &o);
	assert_true(s->hops.seconds == 0);
	assert_int_equal(o.port[GATEWAY_PROXY], 8082);
	assert_int_equal(o.port[GATEWAY_KONG], 8000);
	assert_int_equal(o.breaker_open_ms, 500);
	assert_int_equal(o.latency.kind, LATENCY_UNIFORM);
	assert_true(o.memory[GATEWAY_KONG] == 1024ull << 20 && !o.memory[GATEWAY_REDIS]);
	assert_true(s->load.rates[1] == 12.5);
	assert_true(gw_scenario__offered(s, 50) == 50);
	assert_int_equal(s->faults.n_list, 2);
	assert_int_equal(s->faults.list[0].kind, FAULT_KILL);
	assert_int_equal(s->faults.list[0].id, GATEWAY_KONG);
	assert_true(s->faults.list[0].down == 1.5 && s->faults.list[0].after == 6);
	assert_string_equal(s->faults.list[1].name, "reset claude-client");
	assert_true(s->faults.list[1].down == 0 && s->faults.list[1].after == 9);
	assert_int_equal(s->targets[0].op, TARGET_GE);
	assert_true(s->targets[0].rate == 50);
	assert_true(s->targets[1].limit == 30e9);
	gw_scenario__free(s);
}

static void unknown_keys(void **state)
{
	(void)state;
	refuses("kind: gateway\nstack:\n  nodes: 3\n", 3,
		"unknown key 'stack.nodes'; known here: ports, workers");
	refuses("kind: gateway\nrpc: {calls: 3}\n", 2, "unknown key 'rpc'; known here: kind");
	refuses("kind: gateway\nfaults:\n  list:\n    - {fault: kill, contaner: x}\n", 4,
		"unknown key 'faults.list[0].contaner'; known here: fault, container, down, after");
	refuses("kind: gateway\nlimits:\n  kong: 1 GB\n", 3, "unknown key 'limits.kong'");
}

static void impossible_values(void **state)
{
	(void)state;
	refuses("kind: gateway\nstack:\n  ports: some\n", 3, "neither auto nor fixed");
	refuses("kind: gateway\nstack:\n  workers: 3\n", 3, "out of range: 1 to 2");
	refuses("kind: gateway\nstack:\n  upstream_latency: soon\n", 3, "'soon': ");
	refuses("kind: gateway\nlimits:\n  redis-cache: 5 ms\n", 3, "a size is wanted");
	refuses("kind: gateway\nlimits:\n  redis-cache: 1 MiB\n", 3, "out of range");
	refuses("kind: gateway\nload:\n  rates: [100, fast]\n", 3, "'fast' is not a number");
	refuses("kind: gateway\nload:\n  rates: [100, 100]\n", 3, "100 is there twice");
	refuses("kind: gateway\nload:\n  rates: [-1]\n", 3, "out of range");
	refuses("kind: gateway\nload:\n  rates: [nan]\n", 3, "out of range");
	refuses("kind: gateway\nload:\n  seconds: 3600\n  rates: [1000]\n", 4,
		"makes 3672000 requests in a row");
	refuses("kind: gateway\nresponse:\n  concurrency: 20\nclient:\n  connections: 10\n", 3,
		"20 at a time is more than the 10 connections");
	refuses("kind: gateway\nresponse:\n  calls: 10\n  concurrency: 20\n", 4,
		"more than the 10 calls");
	refuses("kind: gateway\nerror_bound: 1\n", 2, "a share is wanted");
}

static void faults(void **state)
{
	(void)state;
	refuses("kind: gateway\nfaults:\n  list:\n    - {container: redis-cache}\n", 4,
		"the key 'fault' is missing");
	refuses("kind: gateway\nfaults:\n  list:\n    - {fault: stop}\n", 4,
		"the key 'container' is missing");
	refuses("kind: gateway\nfaults:\n  list:\n    - {fault: burn, container: redis-cache}\n", 4,
		"not one of stop, kill, pause, reset");
	refuses("kind: gateway\nfaults:\n  list:\n    - {fault: stop, container: db}\n", 4,
		"'db' is not started");
	refuses("kind: gateway\nfaults:\n  list:\n    - {fault: kill, container: claude-client}\n",
		4, "nobody asks");
	refuses("kind: gateway\nfaults:\n  list:\n"
		"    - {fault: reset, container: redis-cache, down: 1}\n",
		4, "it has no 'down'");
	refuses("kind: gateway\nfaults:\n  list:\n    - fault: stop\n      container: redis-cache\n"
		"      down: 1x\n",
		6, "'1x' is not a number");
	refuses("kind: gateway\nfaults:\n  list:\n    - {fault: stop, container: redis-cache}\n"
		"    - {fault: stop, container: redis-cache}\n",
		5, "'stop redis-cache' is there twice");
	refuses("kind: gateway\nfaults:\n  bucket_ms: 500\n  before: 2\n  list:\n"
		"    - {fault: stop, container: redis-cache}\n",
		4, "no baseline: 10 buckets of 500 ms");
	refuses("kind: gateway\nfaults:\n  rate: 20\n  bucket_ms: 100\n  list:\n"
		"    - {fault: stop, container: redis-cache}\n",
		4, "3 are wanted");
}

static void targets(void **state)
{
	(void)state;
	refuses("kind: gateway\ntargets:\n  - at_most: 1 s\n", 3, "'metric' is missing");
	refuses("kind: gateway\ntargets:\n  - {metric: rpc_p99, at_most: 1 s}\n", 3,
		"unknown metric 'rpc_p99'; known: response_avg");
	refuses("kind: gateway\ntargets:\n  - {metric: success_rate, at_least: 99}\n", 3,
		"a share is wanted");
	refuses("kind: gateway\ntargets:\n  - {metric: recovery_time, at_most: 30 s}\n", 3,
		"without a section faults");
	refuses("kind: gateway\ntargets:\n  - {metric: load_rate, rate: 7, at_least: 7}\n", 3,
		"rate 7 is not among load.rates");
	refuses("kind: gateway\ntargets:\n  - {metric: load_rate, container: redis-cache, "
		"at_least: "
		"7}\n",
		3, "load_rate has no container");
	refuses("kind: gateway\ntargets:\n"
		"  - {metric: memory_growth, container: db, at_most: 1 MB/h}\n",
		3, "container 'db' is not started");
	refuses("kind: gateway\ntargets:\n  - {metric: load_rate}\n", 3,
		"one of 'at_most' and 'at_least'");
}

static int kind_of(const char *text)
{
	int kind;

	write_file(text, strlen(text));
	begin_listening();
	kind = scenario_file__kind(file);
	end_listening();
	return kind;
}

static void kinds(void **state)
{
	(void)state;
	assert_int_equal(kind_of("name: x\n"), SCENARIO_NATS);
	assert_int_equal(kind_of("kind: nats\n"), SCENARIO_NATS);
	assert_int_equal(kind_of("name: x\nkind: gateway\n"), SCENARIO_GATEWAY);
	assert_true(kind_of("name: x\nkind: mail\n") < 0);
	assert_non_null(strstr(said, ":2: kind: 'mail' is not one of nats, gateway, port-forward"));
	assert_true(kind_of("just words\n") < 0);
	assert_non_null(strstr(said, "this is not a scenario"));
}

static int count_setting(void *ctx, const char *key, const char *value)
{
	assert_true(key[0] && value[0]);
	++*(int *)ctx;
	return 0;
}

/* What users run is understood; tests/run starts us in the root of the repository. */
static void shipped(void **state)
{
	struct gw_scenario *s;
	int n = 0;

	(void)state;
	if (access("scenarios/gateway.yaml", R_OK))
		skip();
	s = load_file("scenarios/gateway.yaml");
	assert_string_equal(said, "");
	assert_non_null(s);
	assert_int_equal(scenario_file__kind("scenarios/gateway.yaml"), SCENARIO_GATEWAY);
	assert_int_equal(s->faults.n_list, 4);
	assert_int_equal(s->n_targets, 11);
	assert_int_equal(gw_scenario__settings(s, count_setting, &n), 0);
	assert_true(n > 30);
	gw_scenario__free(s);
}

static void damaged(void **state)
{
	(void)state;
	damage("scenarios/gateway.yaml", 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(unknown_keys),
		cmocka_unit_test(faults),
		cmocka_unit_test(impossible_values),
		cmocka_unit_test(targets),
		cmocka_unit_test(kinds),
		cmocka_unit_test(shipped),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
