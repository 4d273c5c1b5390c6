/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Port-forward scenarios: files, sweeps, the order of ways, and what the rounds say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/scenario_file.h"
#include "portforward/analysis.h"
#include "portforward/run.h"
#include "portforward/scenario.h"

#define SCENARIO      struct pf_scenario
#define SCENARIO_LOAD pf_scenario__load
#define SCENARIO_FREE pf_scenario__free
#include "scenario_fixture.h"

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
	assert_true(s->load.rounds == 6 && s->load.seconds == 0.5);
	assert_true(s->hops.rounds == 2 && s->hops.seconds == 0.25);
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
	double seconds; /* of a point on a way */

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
	seconds =
		(double)s->load.rounds * s->load.seconds + (double)s->hops.rounds * s->hops.seconds;
	assert_in_range((unsigned long)((double)(s->n_points * s->n_used) * seconds), 120, 230);
	pf_scenario__free(s);
}

static void damaged(void **state)
{
	(void)state;
	damage("scenarios/port-forward.yaml", 13);
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

/* ---- verdicts */

/* A run of two ways, each round of which took what is added to 100 us and made so many calls. */
static struct pfrun *make_run(const char *text, unsigned int rounds)
{
	struct pfrun *r = calloc(1, sizeof(*r));
	size_t way, i;

	assert_non_null(r);
	r->scenario = load(text);
	assert_string_equal(said, "");
	assert_int_equal(pfrun__make_cells(r), 0);
	r->course.ended_ns = 1000000000;
	for (way = 0; way < 2; way++) {
		struct pf_cell *c = pfrun__cell(r, way, 0);

		r->used[way].way = r->scenario->ways[way];
		r->stack.routes[r->used[way].way].available = true;
		c->rounds = rounds;
		c->attempted = c->succeeded = 1000;
		for (i = 0; i < rounds; i++) {
			c->p50[i] = 100e3 + 10e3 * (double)way + (double)i;
			c->p99[i] = 5 * c->p50[i];
		}
	}
	return r;
}

static struct target judge(struct pfrun *r)
{
	r->n_targets = 0;
	pfrun__judge(r);
	assert_int_equal(r->n_targets, 1);
	return r->targets[0];
}

static void free_run(struct pfrun *r)
{
	pfrun__free_cells(r);
	pf_scenario__free(r->scenario);
	free(r);
}

#define TWO_WAYS "kind: port-forward\nways: [socat]\nworkloads: [nats]\nload: {rounds: 8}\n"

static void few_rounds_decide_nothing(void **state)
{
	struct pfrun *r = make_run(TWO_WAYS "targets: [{metric: added_p50, at_most: 1 ms}]\n", 5);
	struct target t = judge(r);

	(void)state;
	assert_int_equal(t.verdict, VERDICT_INCONCLUSIVE);
	free_run(r);
	r = make_run(TWO_WAYS "targets: [{metric: added_p50, at_most: 1 ms}]\n", 6);
	assert_int_equal(judge(r).verdict, VERDICT_PASS);
	/* Nothing was sent over the way: why is said. */
	pfrun__cell(r, 1, 0)->attempted = 0;
	pfrun__lose(r, &r->used[1], "its clients could not connect");
	t = judge(r);
	assert_int_equal(t.verdict, VERDICT_NO_DATA);
	assert_string_equal(t.reason, "its clients could not connect");
	free_run(r);
}

/* Rounds of a slow way have too few calls for a p99: what is left of them is no NO DATA. */
static void a_p99_wants_calls(void **state)
{
	struct pfrun *r = make_run(TWO_WAYS "targets: [{metric: added_p99, at_most: 1 ms}]\n", 8);
	struct target t = judge(r);
	size_t i;

	(void)state;
	assert_int_equal(t.verdict, VERDICT_PASS);
	pfrun__cell(r, 1, 0)->p99[7] = NAN;
	t = judge(r);
	assert_int_equal(t.verdict, VERDICT_INCONCLUSIVE);
	assert_non_null(strstr(t.reason, "in 7 of 8 rounds"));
	r->scenario->targets[0].limit = 1;
	assert_int_equal(judge(r).verdict, VERDICT_FAIL);
	for (i = 0; i < 8; i++)
		pfrun__cell(r, 1, 0)->p99[i] = NAN;
	t = judge(r);
	assert_int_equal(t.verdict, VERDICT_INCONCLUSIVE);
	assert_non_null(strstr(t.reason, "in 0 of 8 rounds"));
	free_run(r);
}

/* A way that ended before its rounds did is not judged by those before; afterwards it is. */
static void a_way_that_was_lost_is_invalid(void **state)
{
	static const char *const targets[] = {
		TWO_WAYS "targets: [{metric: added_p50, at_most: 1 ms}]\n",
		TWO_WAYS "targets: [{metric: error_rate, way: socat, at_most: 1 %}]\n"};
	size_t i, way;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct pfrun *r = make_run(targets[i], 8);

		r->measured = true;
		pfrun__lose(r, &r->used[1], "socat ended");
		assert_int_equal(judge(r).verdict, VERDICT_PASS);
		free_run(r);
	}
	/* What is compared needs both. */
	for (way = 0; way < 2; way++) {
		struct pfrun *r = make_run(targets[0], 8);

		pfrun__lose(r, &r->used[way], "socat ended");
		pfrun__lose(r, &r->used[way], "and something else");
		assert_int_equal(judge(r).verdict, VERDICT_INVALID);
		assert_string_equal(r->targets[0].reason, "socat ended");
		free_run(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(refusals),
		cmocka_unit_test(the_scenario_that_is_shipped),
		cmocka_unit_test(damaged),
		cmocka_unit_test(each_point_is_there_once),
		cmocka_unit_test(names),
		cmocka_unit_test(the_order_is_balanced),
		cmocka_unit_test(what_is_added_is_paired),
		cmocka_unit_test(rounds_that_are_missing),
		cmocka_unit_test(rates_are_compared_as_ratios),
		cmocka_unit_test(growth_is_of_what_is_added),
		cmocka_unit_test(few_rounds_decide_nothing),
		cmocka_unit_test(a_p99_wants_calls),
		cmocka_unit_test(a_way_that_was_lost_is_invalid),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
