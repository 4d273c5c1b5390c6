/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Scenario files: what is understood, and that an error says file, line and reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/scenario.h"
#include "bench/scenario_rules.h"
#include "bench/url.h"
#include "bench/yaml_index.h"

#define SCENARIO      struct scenario
#define SCENARIO_LOAD scenario__load
#define SCENARIO_FREE scenario__free
#include "scenario_fixture.h"

static void test_defaults(void **state)
{
	struct scenario *s = load("name: x\n");

	(void)state;
	assert_non_null(s);
	assert_string_equal(said, "");
	assert_string_equal(s->name, "x");
	assert_string_equal(s->title, "x");
	assert_int_equal(s->stack.nodes, 3);
	assert_true(s->stack.jetstream);
	assert_int_equal(s->stack.n_ports, 0);
	assert_int_equal(s->n_paths, 2);
	assert_int_equal(s->paths[0], PATH_DIRECT);
	assert_int_equal(s->paths[1], PATH_FORWARDED);
	assert_int_equal(s->rounds, 10);
	assert_int_equal(s->rpc.calls, 1000);
	assert_string_equal(s->rpc.service, "svc-1");
	assert_false(s->has_open);
	assert_false(s->has_events);
	assert_int_equal(s->services.count, 5);
	assert_true(s->error_bound == 0.01);
	assert_int_equal(s->n_targets, 0);
	scenario__free(s);
}

static void test_values(void **state)
{
	struct scenario *s =
		load("name: y\ntitle: 'A: title'\n"
		     "stack: {nodes: 2, jetstream: true, ports: [4222, 14222]}\n"
		     "paths: [forwarded]\nrounds: 3\n"
		     "rpc:\n  calls: 300\n  pool: 1000\n  concurrency: 8\n"
		     "rpc_open: {rate: 12.5, calls: 30}\n"
		     "events:\n  domains: [a, b-c]\n  types:\n    - x_y\n"
		     "  storage: memory\n  replicas: 2\n"
		     "error_bound: 0.5 %\n"
		     "targets:\n"
		     "  - {metric: rpc_p99, at_most: 1.5ms, mode: open, clock: kernel}\n"
		     "  - {metric: memory_per_service, at_most: 55 MB}\n"
		     "  - metric: events_per_s\n    at_least: 50000\n"
		     "    path: forwarded\n");

	(void)state;
	assert_non_null(s);
	assert_int_equal(s->stack.n_ports, 2);
	assert_int_equal(s->stack.ports[1], 14222);
	assert_int_equal(s->n_paths, 1);
	assert_int_equal(s->paths[0], PATH_FORWARDED);
	assert_int_equal(s->rpc.pool, 1000);
	assert_true(s->rpc_open.rate == 12.5);
	assert_int_equal(s->events.n_domains, 2);
	assert_string_equal(s->events.domains[1], "b-c");
	assert_int_equal(s->events.n_types, 1);
	assert_true(s->error_bound == 0.005);
	assert_int_equal(s->n_targets, 3);
	assert_int_equal(s->targets[0].metric, METRIC_RPC_P99);
	assert_int_equal(s->targets[0].op, TARGET_LE);
	assert_true(s->targets[0].limit == 1.5e6);
	assert_int_equal(s->targets[0].mode, MODE_OPEN);
	assert_int_equal(s->targets[0].clock, CLOCK_KERNEL);
	assert_int_equal(s->targets[0].path, -1);
	assert_true(s->targets[1].limit == 55e6);
	assert_int_equal(s->targets[2].op, TARGET_GE);
	assert_int_equal(s->targets[2].path, PATH_FORWARDED);
	scenario__free(s);
}

static void test_unknown_keys(void **state)
{
	(void)state;
	refuses("name: a\nrpc:\n  calls: 100\n  cals: 3\n", 4,
		"unknown key 'rpc.cals'; known here: calls");
	refuses("nam: a\n", 1, "unknown key 'nam'; known here: name");
	refuses("targets:\n  - metric: rpc_p99\n    at_most: 1 ms\n    at_last: 3\n", 4,
		"unknown key 'targets[0].at_last'");
	refuses("rpc: {calls: 10,\n  clals: 3}\n", 2, "unknown key 'rpc.clals'");
	refuses("rpc:\n  calls: 30\n  calls: 40\n", 3, "'rpc.calls' is there a second time");
}

static void test_impossible_values(void **state)
{
	(void)state;
	refuses("rpc:\n  calls: -5\n", 2, "rpc.calls: -5 is out of range: 1 to 10000000");
	refuses("rpc:\n  calls: 0\n", 2, "out of range");
	refuses("rpc:\n  pool: 1001\n", 2, "rpc.pool: 1001 is out of range: 1 to 1000");
	refuses("rpc:\n  calls: 10x\n", 2, "'10x' is not a whole number");
	refuses("rpc:\n  calls: 1.5\n", 2, "'1.5' is not a whole number");
	refuses("rpc:\n  calls: 99999999999999999999\n", 2, "99999999999999999999");
	refuses("rpc_open:\n  rate: 1e9\n", 2, "rpc_open.rate: 1e9 is out of range");
	refuses("rpc_open:\n  rate: nan\n", 2, "rpc_open.rate");
	refuses("rpc_open:\n  rate: 0.5\n  calls: 10000\n", 2, "take 20000 s a path");
	refuses("stack:\n  nodes: 3\n  ports: [4222, 4223, 70000]\n", 3, "'70000' is not a port");
	refuses("stack:\n  ports: [4222, 4222, 4223]\n", 2, "port 4222 is there twice");
	refuses("stack:\n  ports: [4222]\n", 2, "1 ports for 3 nodes");
	refuses("stack:\n  ports: some\n", 2, "neither auto nor a list");
	refuses("stack:\n  jetstream: maybe\n", 2, "neither true nor false");
	refuses("paths: [direct, sideways]\n", 1, "'sideways' is not a path");
	refuses("paths: [direct, direct]\n", 1, "there twice");
	refuses("events:\n  domains: [a.b]\n", 2, "cannot be part of a subject");
	refuses("events:\n  storage: tape\n", 2, "neither file nor memory");
	refuses("error_bound: 200 %\n", 1, "out of range");
	refuses("error_bound: 1\n", 1, "a share is wanted, such as 1 %");
}

static void test_contradictions(void **state)
{
	(void)state;
	refuses("stack: {nodes: 1}\nevents:\n  replicas: 3\n", 3, "3 replicas on 1 nodes");
	refuses("stack:\n  jetstream: false\nevents: {count: 100}\n", 2,
		"acknowledged by JetStream");
	refuses("rounds: 20\nrpc:\n  calls: 10\n", 3, "10 calls cannot be spread over 20 rounds");
	refuses("rpc:\n  service: svc-9\n", 2, "services are svc-1 to svc-5");
	refuses("rpc:\n  calls: 100\n  concurrency: 50\n", 3, "more than the 10 calls of a round");
}

static void test_targets(void **state)
{
	(void)state;
	refuses("targets:\n  - at_most: 1 ms\n", 2, "'metric' is missing");
	refuses("targets:\n  - {metric: rpc_p98, at_most: 1 ms}\n", 2,
		"unknown metric 'rpc_p98'; known:");
	refuses("targets:\n  - metric: rpc_p99\n", 2, "one of 'at_most' and 'at_least'");
	refuses("targets:\n  - {metric: rpc_p99, at_most: 1 ms, at_least: 0 ms}\n", 2, "one of");
	refuses("targets:\n\n  - {metric: rpc_p99, at_most: 15}\n", 3,
		"a time is wanted, such as 15 ms");
	refuses("targets:\n  - {metric: rpc_p99, at_most: -1 ms}\n", 2, "it is negative");
	refuses("targets:\n  - {metric: rpc_p99, at_most: 15 MB}\n", 2, "a time is wanted");
	refuses("targets:\n  - {metric: events_per_s, at_least: 1}\n", 2,
		"without a section events");
	refuses("targets:\n  - {metric: rpc_p99, at_most: 1 s, mode: open}\n", 2,
		"without a section rpc_open");
	refuses("targets:\n  - {metric: rpc_p99, at_most: 1 s, clock: intended}\n", 2,
		"clock intended without a section rpc_open");
	refuses("paths: [direct]\ntargets:\n  - {metric: rpc_p99, at_most: 1 s, path: forwarded}\n",
		3, "is not among the paths");
}

static void test_hops(void **state)
{
	struct scenario *s = load("name: x\n");

	(void)state;
	assert_non_null(s);
	assert_true(s->hops.seconds == 3);
	scenario__free(s);
	s = load("hops: {seconds: 0}\n");
	assert_non_null(s);
	assert_true(s->hops.seconds == 0);
	scenario__free(s);
	refuses("hops:\n  seconds: -1\n", 2, "hops.seconds: -1 is out of range: 0 to 60");
	refuses("hops:\n  rounds: 1\n", 2, "unknown key 'hops.rounds'; known here: seconds");
}

static void test_memory(void **state)
{
	struct scenario *s;

	(void)state;
	s = load("memory:\n  seconds: 30\n  containers: [svc-1, n2, fwd-3, load]\n"
		 "targets:\n  - {metric: memory_growth, at_most: 10 MB/h, container: svc-1}\n");
	assert_string_equal(said, "");
	assert_non_null(s);
	assert_true(s->has_memory);
	assert_true(s->memory.seconds == 30);
	assert_true(s->memory.interval == 0.5);
	assert_int_equal(s->memory.n_containers, 4);
	assert_true(s->targets[0].limit == 10e6);
	scenario__free(s);
	refuses("memory:\n  seconds: 1\n", 2, "out of range");
	refuses("memory:\n  interval: 3\n", 2, "20 readings are wanted");
	refuses("memory:\n  containers: [svc-1, svc-6]\n", 2, "'svc-6' is not started");
	refuses("memory:\n  containers: [n4]\n", 2, "'n4' is not started");
	refuses("paths: [direct]\nmemory:\n  containers: [fwd-1]\n", 3, "'fwd-1' is not started");
	refuses("memory:\n  containers: [n1, n1]\n", 2, "is there twice");
	refuses("targets:\n  - {metric: memory_growth, at_most: 1 MB/h}\n", 2,
		"without a section memory");
	refuses("memory: {seconds: 20}\ntargets:\n  - {metric: memory_growth, at_most: 1 MB}\n", 3,
		"a rate is wanted, such as 10 MB/h");
	refuses("memory: {seconds: 20}\ntargets:\n"
		"  - {metric: memory_growth, at_most: 1 MB/h, container: db}\n",
		3, "container 'db' is not started");
	refuses("targets:\n  - {metric: rpc_p99, at_most: 1 s, container: n1}\n", 2,
		"has no container");
}

static void test_not_a_scenario(void **state)
{
	(void)state;
	refuses("hello", 1, "this is not a scenario");
	refuses("[1, 2]\n", 1, "keys with values");
	refuses("# nothing\n", 1, "holds nothing");
	refuses("a: b: c\n", 1, "mapping values are not allowed");
	refuses("rpc:\n\tcalls: 1\n", 2, "cannot start any token");
	refuses("name: a\n---\nname: b\n", 2, "a second document");
	refuses("name: &n a\ntitle: *n\n", 2, "aliases");
	refuses("rpc:\n  calls: [1]\n", 2, "a whole number; found: a list");
	assert_null(load(""));
	assert_non_null(strstr(said, "it is empty"));
	assert_null(load_file("/nonexistent/s.yaml"));
	assert_non_null(strstr(said, "/nonexistent/s.yaml: No such file or directory"));
	assert_null(load_file("/tmp"));
}

static int count_setting(void *ctx, const char *key, const char *value)
{
	assert_true(key[0] && value[0]);
	++*(int *)ctx;
	return 0;
}

/* What users run is understood; tests/run starts us in the root of the repository. */
static void test_shipped(void **state)
{
	struct scenario *s;
	int n = 0;

	(void)state;
	if (access("scenarios/aegis.yaml", R_OK))
		skip();
	s = load_file("scenarios/aegis.yaml");
	assert_string_equal(said, "");
	assert_non_null(s);
	assert_int_equal(s->rpc.calls, 1000);
	assert_int_equal(s->rpc.pool, 3);
	assert_int_equal(s->events.count, 10000);
	assert_int_equal(s->events.batch, 100);
	assert_int_equal(s->services.count, 5);
	assert_int_equal(s->n_targets, 6);
	assert_int_equal(scenario__settings(s, count_setting, &n), 0);
	assert_true(n > 20);
	scenario__free(s);
}

static void test_damaged(void **state)
{
	(void)state;
	damage("scenarios/aegis.yaml", 7);
}

static void test_limits(void **state)
{
	const char *why;
	double v;

	(void)state;
	assert_int_equal(limit__parse("15 ms", "ns", &v, &why), 0);
	assert_true(v == 15e6);
	assert_int_equal(limit__parse("0.5us", "ns", &v, &why), 0);
	assert_true(v == 500);
	assert_int_equal(limit__parse("2 KiB", "bytes", &v, &why), 0);
	assert_true(v == 2048);
	assert_int_equal(limit__parse("50000", "events/s", &v, &why), 0);
	assert_int_equal(limit__parse("50000 /s", "events/s", &v, &why), 0);
	assert_int_not_equal(limit__parse("", "ns", &v, &why), 0);
	assert_int_not_equal(limit__parse("inf ms", "ns", &v, &why), 0);
	assert_int_not_equal(limit__parse("5 parsecs", "ns", &v, &why), 0);
	assert_int_not_equal(limit__parse("5", "bytes", &v, &why), 0);
}

static void test_urls(void **state)
{
	char text[URL_LEN + URL_HOST_LEN + 32];
	const char *why;
	struct url u;

	(void)state;
	assert_int_equal(url__parse(&u, "nats://127.0.0.1:4223", &why), 0);
	assert_string_equal(u.host, "127.0.0.1");
	assert_int_equal(u.port, 4223);
	assert_int_equal(url__parse(&u, "broker.example", &why), 0);
	assert_int_equal(u.port, 4222);
	assert_int_equal(url__parse(&u, "nats://me:p@ss@[::1]:1/", &why), 0);
	assert_string_equal(u.host, "::1");
	assert_string_equal(url__format(&u, text), "nats://me:p@ss@[::1]:1");
	/* the password is nothing for reports */
	assert_string_equal(url__address(&u, text, sizeof(text)), "[::1]:1");
	assert_int_not_equal(url__parse(&u, "tls://x", &why), 0);
	assert_int_not_equal(url__parse(&u, "http://x", &why), 0);
	assert_int_not_equal(url__parse(&u, "nats://", &why), 0);
	assert_int_not_equal(url__parse(&u, "a:0", &why), 0);
	assert_int_not_equal(url__parse(&u, "a:65536", &why), 0);
	assert_int_not_equal(url__parse(&u, "a:12x", &why), 0);
	assert_int_not_equal(url__parse(&u, "[::1", &why), 0);
	assert_int_not_equal(url__parse(&u, "a,fork!b", &why), 0);
	assert_int_not_equal(url__parse(&u, "a/path", &why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),       cmocka_unit_test(test_values),
		cmocka_unit_test(test_unknown_keys),   cmocka_unit_test(test_impossible_values),
		cmocka_unit_test(test_contradictions), cmocka_unit_test(test_targets),
		cmocka_unit_test(test_hops),	       cmocka_unit_test(test_memory),
		cmocka_unit_test(test_not_a_scenario), cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_damaged),	       cmocka_unit_test(test_limits),
		cmocka_unit_test(test_urls),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
