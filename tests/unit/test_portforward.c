/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Port-forward scenarios: files, sweeps, the order of ways, and what the rounds say. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/scenario_file.h"
#include "portforward/analysis.h"
#include "portforward/scenario.h"

static char dir[] = "/tmp/hopscope-portforward-XXXXXX";
static char file[64], said_file[64];
static char said[4096]; /* what the last load printed on stderr */

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/s.yaml", dir);
	snprintf(said_file, sizeof(said_file), "%s/stderr", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file);
	unlink(said_file);
	return rmdir(dir);
}

static struct pf_scenario *load_file(const char *path)
{
	struct pf_scenario *s;
	int saved = dup(STDERR_FILENO);
	size_t n;
	FILE *f;

	fflush(stderr);
	assert_non_null(freopen(said_file, "w", stderr));
	s = pf_scenario__load(path);
	fflush(stderr);
	assert_int_not_equal(dup2(saved, STDERR_FILENO), -1);
	close(saved);
	f = fopen(said_file, "r");
	assert_non_null(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	fclose(f);
	return s;
}

static struct pf_scenario *load(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	return load_file(file);
}

/* The file must be refused with one line that says "s.yaml:LINE: " and `reason`. */
static void refuses(const char *text, unsigned int line, const char *reason)
{
	struct pf_scenario *s = load(text);
	char where[96];

	snprintf(where, sizeof(where), "hopscope: %s:%u: ", file, line);
	if (s || strncmp(said, where, strlen(where)) != 0 || !strstr(said, reason) ||
	    strchr(said, '\n') != said + strlen(said) - 1)
		fail_msg("for\n%s\nwanted line %u and \"%s\", got %s: %s\n", text, line, reason,
			 s ? "a scenario" : "an error", said);
}

static void defaults(void **state)
{
	struct pf_scenario *s = load("kind: port-forward\n");
	struct pf_opts o;

	(void)state;
	assert_string_equal(said, "");
	assert_non_null(s);
	assert_string_equal(s->name, "port-forward");
	assert_int_equal(s->n_used, PF_WAYS);
	assert_int_equal(s->ways[0], PF_DIRECT);
	assert_int_equal(s->n_points, 2); /* the base of each workload */
	assert_int_equal(s->points[0].payload, 256);
	assert_true(s->error_bound == 0.01);
	pf_scenario__stack(s, &o);
	assert_int_equal(o.ways, PF_ALL_WAYS);
	assert_int_equal(o.nodes, 1);
	pf_scenario__free(s);
	assert_int_equal(scenario_file__kind(file), SCENARIO_PORT_FORWARD);
}

static void values(void **state)
{
	struct pf_scenario *s =
		load("kind: port-forward\n"
		     "ways: [kubectl, socat]\nworkloads: [nats]\n"
		     "load: {rounds: 6, seconds: 0.5}\n"
		     "base: {payload: 64, concurrency: 2, pool: 3}\n"
		     "sweep: {payload: [16, 64], pool: [1, 3], tunnels: 3}\n"
		     "hops: {rounds: 2, seconds: 0.25}\n"
		     "targets:\n"
		     "  - {metric: added_p50, way: socat, payload: 16, at_most: 1 ms}\n"
		     "  - {metric: error_rate, at_most: 0 %}\n");
	struct pf_opts o;

	(void)state;
	assert_string_equal(said, "");
	assert_non_null(s);
	assert_int_equal(s->n_used, 3);
	assert_int_equal(s->ways[0], PF_DIRECT); /* also where it is not named */
	assert_int_equal(s->ways[1], PF_KUBECTL);
	assert_int_equal(s->ways[2], PF_SOCAT);
	/* base, 16 B; pools 1 and 3 at 10 at a time; 3 over 3 servers. */
	assert_int_equal(s->n_points, 5);
	assert_true(fabs(pf_scenario__seconds(s) - 5 * 3 * (6 * 0.5 + 2 * 0.25)) < 1e-9);
	pf_scenario__stack(s, &o);
	assert_int_equal(o.ways, 1u << PF_DIRECT | 1u << PF_SOCAT | 1u << PF_KUBECTL);
	assert_int_equal(o.nodes, 3);
	assert_int_equal(s->targets[0].way, PF_SOCAT);
	assert_int_equal(s->targets[0].point[PF_NATS].payload, 16);
	assert_int_equal(s->targets[0].point[PF_NATS].pool, 3);
	assert_true(s->targets[0].limit == 1e6);
	assert_int_equal(s->targets[1].way, PF_WAYS);
	pf_scenario__free(s);
}

static void refusals(void **state)
{
	(void)state;
	refuses("kind: port-forward\nload:\n  ronds: 3\n", 3,
		"unknown key 'load.ronds'; known here: rounds, seconds, timeout_ms");
	refuses("kind: port-forward\nways: [direct, telnet]\n", 2, "'telnet' is not one of direct");
	refuses("kind: port-forward\nways: [socat, socat]\n", 2, "socat is there twice");
	refuses("kind: port-forward\nworkloads: [mail]\n", 2, "'mail' is neither nats nor http");
	refuses("kind: port-forward\nsweep:\n  payload: [16, x]\n", 3, "'x' is not a whole number");
	refuses("kind: port-forward\nsweep:\n  payload: [64, 16]\n", 3, "the values have to rise");
	refuses("kind: port-forward\nsweep:\n  concurrency: [0]\n", 3, "out of range: 1 to 512");
	refuses("kind: port-forward\nsweep:\n  pool: [1, 65]\n", 3, "out of range: 1 to 64");
	refuses("kind: port-forward\nsweep:\n  payload: [1,2,3,4,5,6,7,8,9]\n", 3,
		"more than 8 values");
	refuses("kind: port-forward\nsweep:\n  tunnels: 9\n", 3, "out of range: 0 to 5");
	refuses("kind: port-forward\nsweep:\n  bulk: 64\n", 3, "another port to compare with");
	refuses("kind: port-forward\nload:\n  seconds: 0\n", 3, "out of range");
	refuses("kind: port-forward\nerror_bound: 1\n", 2, "a share is wanted");
	refuses("kind: port-forward\ntargets:\n  - {metric: speed, at_most: 1}\n", 3,
		"unknown metric 'speed'; known: added_p50");
	refuses("kind: port-forward\ntargets:\n  - {metric: added_p50, way: direct, at_most: 1 "
		"ms}\n",
		3, "compares with direct");
	refuses("kind: port-forward\nways: [socat]\ntargets:\n"
		"  - {metric: added_p50, way: ssh, at_most: 1 ms}\n",
		4, "way 'ssh' is not among the ways");
	refuses("kind: port-forward\ntargets:\n  - {metric: p50, payload: 17, at_most: 1 ms}\n", 3,
		"there is no such point");
}

static void the_scenario_that_is_shipped(void **state)
{
	struct pf_scenario *s = load_file("scenarios/port-forward.yaml");

	(void)state;
	if (!s && strstr(said, "cannot read"))
		skip(); /* run from elsewhere */
	assert_string_equal(said, "");
	assert_non_null(s);
	assert_int_equal(s->n_used, PF_WAYS);
	/*
	 * NATS: base, 3 payloads, 2 concurrencies, 2 pools, 3 tunnels, 2 neighbours; HTTP: base, 3,
	 * 2.
	 */
	assert_int_equal(s->n_points, 17);
	/* "about 4 minutes", of which some pass without load. */
	assert_in_range((unsigned long)pf_scenario__seconds(s), 120, 230);
	pf_scenario__free(s);
}

/* ---- sweeps */

static void each_point_is_there_once(void **state)
{
	struct pf_sweep w = {.workload = {true, true},
			     .payload = 256,
			     .concurrency = 1,
			     .pool = 1,
			     .payloads = {{16, 256, 65536}, 3},
			     .concurrencies = {{1, 10, 100}, 3},
			     .pools = {{1, 3, 10}, 3},
			     .pool_concurrency = 10,
			     .tunnels = 3,
			     .bulk = 65536};
	struct pf_point p[PF_MAX_POINTS];
	size_t n = pf_sweep__points(&w, p), i, k, http = 0;

	(void)state;
	for (i = 0; i < n; i++) {
		assert_int_equal(pf_point__find(p, n, &p[i]), i);
		http += p[i].workload == PF_HTTP;
		/* One dimension at a time. */
		k = (p[i].payload != 256) + (p[i].concurrency != 1 && p[i].concurrency != 10);
		assert_true(k <= 1);
		if (p[i].workload == PF_HTTP)
			assert_int_equal(p[i].pool, p[i].concurrency);
	}
	/*
	 * base, 2 payloads, 2 concurrencies; NATS: pools 3 and 10 beside 1, 3 tunnels, 2
	 * neighbours.
	 */
	assert_int_equal(http, 5);
	assert_int_equal(n, 15);
	assert_true(pf_point__is(&p[0], &(struct pf_point){PF_NATS, 256, 1, 1, 1, PF_ALONE}));
	assert_true(pf_point__find(p, n, &(struct pf_point){PF_NATS, 256, 10, 3, 3, PF_ALONE}) < n);
	assert_true(pf_point__find(p, n, &(struct pf_point){PF_NATS, 256, 10, 3, 1, PF_ALONE}) < n);
	assert_true(pf_point__find(p, n, &(struct pf_point){PF_NATS, 256, 1, 3, 1, PF_ALONE}) == n);
}

static void names(void **state)
{
	char buf[96];

	(void)state;
	assert_string_equal(pf_point__name(&(struct pf_point){PF_NATS, 256, 10, 3, 3, PF_ALONE},
					   buf, sizeof(buf)),
			    "NATS, 256 B, 10 at a time, pool of 3 in 3 tunnels");
	assert_string_equal(
		pf_point__name(&(struct pf_point){PF_HTTP, 0, 1, 1, 1, PF_ALONE}, buf, sizeof(buf)),
		"HTTP, 0 B, 1 at a time");
}

/* In 2 n rounds each way is twice at each place, whatever the point. */
static void the_order_is_balanced(void **state)
{
	size_t order[PF_WAYS], n, point, i;
	unsigned int at[PF_WAYS][PF_WAYS], round;

	(void)state;
	for (n = 1; n <= PF_WAYS; n++) {
		for (point = 0; point < 3; point++) {
			memset(at, 0, sizeof(at));
			for (round = 0; round < 2 * n; round++) {
				pf_sweep__order(round, point, n, order);
				for (i = 0; i < n; i++) {
					assert_true(order[i] < n);
					at[order[i]][i]++;
				}
			}
			for (i = 0; i < n * n; i++)
				assert_int_equal(at[i / n][i % n], 2);
		}
	}
}

/* ---- analysis */

#define ROUNDS 8

static void what_is_added_is_paired(void **state)
{
	double base[ROUNDS], with[ROUNDS];
	struct estimate e;
	size_t i;

	(void)state;
	/* A machine that gets slower and slower, and a way that adds 40 to it, by and large. */
	for (i = 0; i < ROUNDS; i++) {
		base[i] = 100 * (double)(i + 1);
		with[i] = base[i] + 40 + (double)(i % 3);
	}
	e = pf_added(base, with, ROUNDS);
	assert_int_equal(e.n, ROUNDS);
	assert_true(e.lo >= 40 && e.hi <= 42 && e.value > 40 && e.value < 42);
	/* One round that somebody else disturbed moves nothing. */
	with[3] += 1e6;
	e = pf_added(base, with, ROUNDS);
	assert_true(e.value > 40 && e.value < 43 && e.lo >= 40);
}

static void rounds_that_are_missing(void **state)
{
	double base[ROUNDS] = {1, 2, 3, NAN, 5, 6, 7, 8};
	double with[ROUNDS] = {2, 3, NAN, 5, 6, 7, 8, 9};
	double none[ROUNDS] = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
	struct estimate e = pf_added(base, with, ROUNDS);

	(void)state;
	assert_int_equal(e.n, 6);
	assert_true(e.value == 1 && e.lo == 1 && e.hi == 1);
	/* Below 6 pairs there is a value and no interval. */
	base[0] = NAN;
	e = pf_added(base, with, ROUNDS);
	assert_int_equal(e.n, 5);
	assert_true(e.value == 1 && isnan(e.lo) && isnan(e.hi));
	e = pf_added(base, none, ROUNDS);
	assert_true(isnan(e.value) && e.n == 0);
	e = pf_added(base, with, 0);
	assert_true(isnan(e.value));
}

static void rates_are_compared_as_ratios(void **state)
{
	double base[ROUNDS] = {100, 200, 400, 800, 100, 200, 400, 800};
	double with[ROUNDS] = {50, 100, 200, 400, 50, 100, 200, 0};
	struct estimate e = pf_percent(base, with, ROUNDS);

	(void)state;
	/* The last one has no ratio. */
	assert_int_equal(e.n, 7);
	assert_true(fabs(e.value + 50) < 1e-9 && fabs(e.lo + 50) < 1e-9);
}

/* What it adds at the one point and at the other; what the direct way does in between is none of
 * it. */
static void growth_is_of_what_is_added(void **state)
{
	double base[2][ROUNDS], with[2][ROUNDS];
	struct pf_pair from, to;
	struct estimate e;
	size_t i;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		base[0][i] = 100 + (double)i;
		base[1][i] = 5000 - 7 * (double)i;
		with[0][i] = base[0][i] + 30;
		with[1][i] = base[1][i] + 90;
	}
	from = (struct pf_pair){base[0], with[0]};
	to = (struct pf_pair){base[1], with[1]};
	e = pf_growth(&from, &to, ROUNDS);
	assert_true(fabs(e.value - 60) < 1e-9 && fabs(e.lo - 60) < 1e-9);
	e = pf_growth(&to, &from, ROUNDS);
	assert_true(fabs(e.value + 60) < 1e-9);
	with[0][2] = NAN;
	e = pf_growth(&from, &to, ROUNDS);
	assert_int_equal(e.n, ROUNDS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(refusals),
		cmocka_unit_test(the_scenario_that_is_shipped),
		cmocka_unit_test(each_point_is_there_once),
		cmocka_unit_test(names),
		cmocka_unit_test(the_order_is_balanced),
		cmocka_unit_test(what_is_added_is_paired),
		cmocka_unit_test(rounds_that_are_missing),
		cmocka_unit_test(rates_are_compared_as_ratios),
		cmocka_unit_test(growth_is_of_what_is_added),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
