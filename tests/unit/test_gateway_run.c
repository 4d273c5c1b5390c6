/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a gateway run makes of its readings: rates, processor use, availability, verdicts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/run.h"

#define S 1000000000ll

static void near(double got, double want)
{
	if (!(fabs(got - want) < 1e-6 * fmax(1, fabs(want))))
		fail_msg("got %g, want %g", got, want);
}

/* n calls due at `rate`; each is sent when it is due and answered after `ns` and `more` per call.
 */
static json_t *calls(unsigned int n, double rate, long long ns, long long more, int code)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < n; i++) {
		long long due = 5 * S + (long long)(i / rate * 1e9);

		json_array_append_new(list, json_pack("[I,I,I,i]", (json_int_t)due, (json_int_t)due,
						      (json_int_t)(due + ns + more * i), code));
	}
	return list;
}

static struct gw_phase take(json_t *list, double offered)
{
	struct gw_phase p = {.offered = offered,
			     .start_ns = 5 * S,
			     .scheduled = json_array_size(list),
			     .mean = estimate__none(),
			     .carried = estimate__none(),
			     .sent = estimate__none()};

	gw_phase__take_calls(&p, list);
	json_decref(list);
	return p;
}

/* What is answered 30 ms later is carried all the same: only the first tenth is left out. */
static void a_load_that_is_carried(void **state)
{
	struct gw_phase p = take(calls(1000, 100, 30000000, 0, 200), 100);

	(void)state;
	near(p.sent.value, 100);
	near(p.carried.value, 100);
	near(p.carried.lo, 100);
	assert_int_equal(p.carried.n, 9);
}

/* Each answer takes 2.5 ms longer than the last: 80 a second leave, where 100 come. */
static void a_load_that_piles_up(void **state)
{
	struct gw_phase p = take(calls(1000, 100, 30000000, 2500000, 200), 100);

	(void)state;
	near(p.sent.value, 100);
	assert_true(fabs(p.carried.value - 80) < 1);
	assert_true(p.carried.hi < 90);
}

static void failures_are_not_carried(void **state)
{
	struct gw_phase p = take(calls(1000, 100, 30000000, 0, 503), 100);

	(void)state;
	near(p.carried.value, 0);
	p = take(calls(1000, 100, 30000000, 0, 0), 100);
	near(p.carried.value, 0);
	near(p.sent.value, 100);
	p = take(calls(0, 100, 0, 0, 0), 100);
	assert_true(isnan(p.carried.value));
}

static void a_mean_of_single_calls(void **state)
{
	struct gw_phase p = take(calls(101, 100, 20000000, 100000, 200), 0);

	(void)state;
	near(p.mean.value, 25e6);
	assert_true(p.mean.lo < 25e6 && p.mean.lo > 24e6);
	assert_true(isnan(p.carried.value));
}

/* A processor half used, but for one second in which it was wholly. */
static void processor_and_memory(void **state)
{
	struct gw_reading r[41];
	struct gw_container c = {.readings = r, .n = 41};
	struct gw_use u;
	double cpu = 0;

	(void)state;
	for (int i = 0; i < 41; i++) {
		r[i] = (struct gw_reading){.t_s = i * 0.25,
					   .cpu_us = cpu,
					   .working_set = 100 + i,
					   .current = 200 + i,
					   .limit = 1000};
		cpu += i >= 20 && i < 24 ? 250000 : 125000;
	}
	u = gw_container__use(&c, 0, 100);
	near(u.cpu_percent, 55);
	near(u.cpu_percent_max, 100);
	near(u.working_set, 140);
	near(u.current, 240);
	near(u.share, 0.14);
	u = gw_container__use(&c, 0, 4);
	near(u.cpu_percent, 50);
	near(u.cpu_percent_max, 50);
	near(u.working_set, 116);
	u = gw_container__use(&c, 50, 60);
	assert_true(isnan(u.cpu_percent) && isnan(u.share) && isnan(u.working_set));
	r[5].limit = r[6].limit = NAN;
	assert_false(isnan(gw_container__use(&c, 0, 100).share));
}

/* 10 s of 10 calls a second; the fault takes those from second 4 to 6. */
static struct gw_phase *faulty_phase(struct gw_bucket *b, bool recovered)
{
	static struct gw_phase p;

	memset(&p, 0, sizeof(p));
	for (int i = 0; i < 10; i++) {
		uint64_t failed = i >= 4 && i < 6 ? 10 : i == 1 || i == 8 ? 1 : 0;

		b[i] = (struct gw_bucket){.t_ns = (uint64_t)(i + 1) * S,
					  .due = 10,
					  .failed = failed,
					  .succeeded = 10 - failed};
	}
	p = (struct gw_phase){
		.kind = GW_FAULT, .ran = true, .buckets = b, .n_buckets = 10, .bucket_s = 1};
	p.fault.done.begin_ns = 5 * S;
	p.fault.judged = true;
	p.fault.recovery.recovered = recovered;
	p.fault.recovery.from_fault_s = recovered ? 2 : NAN;
	return &p;
}

static void availability_is_outside_faults(void **state)
{
	struct gw_phase response = {.kind = GW_RESPONSE,
				    .ran = true,
				    .attempted = 50,
				    .succeeded = 49,
				    .duration_s = 3};
	struct gw_phase hops = {.kind = GW_HOPS, .ran = true, .attempted = 70, .duration_s = 5};
	struct gwrun *r = calloc(1, sizeof(*r));
	struct gw_bucket b[10];
	uint64_t succeeded, due;
	double seconds;

	(void)state;
	assert_non_null(r);
	r->phases[0] = &response;
	r->phases[1] = faulty_phase(b, true);
	r->phases[2] = &hops;
	r->n_phases = 3;
	gwrun__available(r, &succeeded, &due, &seconds);
	assert_int_equal(due, 50 + 80);
	assert_int_equal(succeeded, 49 + 78);
	near(seconds, 3 + 8);
	/* without a recovery nothing after the fault is outside it */
	r->phases[1] = faulty_phase(b, false);
	gwrun__available(r, &succeeded, &due, &seconds);
	assert_int_equal(due, 50 + 40);
	assert_int_equal(succeeded, 49 + 39);
	free(r);
}

/* One target on one load phase. */
static struct target judge(enum gw_metric metric, enum target_op op, double limit,
			   const struct gw_phase *phase)
{
	struct gw_phase p = *phase;
	struct gw_scenario s = {.error_bound = 0.01};
	struct gw_target t = {.metric = metric, .op = op, .limit = limit};
	struct gwrun *r = calloc(1, sizeof(*r));
	struct target result;

	assert_non_null(r);
	s.load.n_rates = 1;
	s.load.rates[0] = p.rate;
	s.targets = &t;
	s.n_targets = 1;
	r->scenario = &s;
	r->phases[0] = &p;
	r->n_phases = 1;
	r->course.ended_ns = 60 * S;
	gwrun__judge(r);
	assert_int_equal(r->n_targets, 1);
	result = r->targets[0];
	free(r);
	return result;
}

static void verdict_is(struct target t, enum verdict v, const char *reason)
{
	if (t.verdict != v || !strstr(t.reason, reason))
		fail_msg("%s: %s", verdict__name(t.verdict), t.reason);
}

static struct gw_phase good_load(void)
{
	struct gw_phase p = {.kind = GW_LOAD,
			     .rate = 1000,
			     .offered = 1020,
			     .ran = true,
			     .scheduled = 10200,
			     .attempted = 10200,
			     .succeeded = 10200};

	p.carried = p.sent = (struct estimate){.value = 1020, .lo = 1015, .hi = 1025, .n = 9};
	for (int i = 0; i < 10200; i++)
		hist__add(&p.intended, 30000000);
	return p;
}

static void verdicts_on_a_load(void **state)
{
	struct gw_phase p = good_load();

	(void)state;
	verdict_is(judge(GW_LOAD_RATE, TARGET_GE, 1000, &p), VERDICT_PASS, "1,015");
	verdict_is(judge(GW_SUCCESS, TARGET_GE, 99, &p), VERDICT_PASS, "99.96");
	verdict_is(judge(GW_LOAD_P99, TARGET_LE, 5e9, &p), VERDICT_PASS, "");
	/* the gateway was too slow: that is a FAIL, and its latency means nothing */
	p.carried = p.sent = (struct estimate){.value = 700, .lo = 650, .hi = 750, .n = 9};
	p.behind_schedule = p.waited = 8000;
	verdict_is(judge(GW_LOAD_RATE, TARGET_GE, 1000, &p), VERDICT_FAIL, "750");
	verdict_is(judge(GW_LOAD_P99, TARGET_LE, 5e9, &p), VERDICT_INVALID, "backlog");
	/* the generator was too slow: that says nothing of the gateway */
	p.waited = 10;
	verdict_is(judge(GW_LOAD_RATE, TARGET_GE, 1000, &p), VERDICT_INVALID,
		   "the load generator itself sent only 700 requests/s");
	/* sent a little late, but sent: nothing to a rate, much to a latency that is missed */
	p = good_load();
	p.carried = (struct estimate){.value = 1035, .lo = 989, .hi = 1082, .n = 9};
	p.behind_schedule = 1057;
	verdict_is(judge(GW_LOAD_RATE, TARGET_GE, 1000, &p), VERDICT_INCONCLUSIVE, "989");
	verdict_is(judge(GW_LOAD_P99, TARGET_LE, 1e6, &p), VERDICT_INVALID, "1,057 of 10,200");
	/* the hand-made report's 480 of 480 */
	p = good_load();
	p.failed = p.attempted;
	p.succeeded = 0;
	verdict_is(judge(GW_SUCCESS, TARGET_GE, 99, &p), VERDICT_FAIL, "");
	verdict_is(judge(GW_LOAD_P99, TARGET_LE, 5e9, &p), VERDICT_INVALID, "10,200 of 10,200");
	/* what was never sent did not succeed */
	p = good_load();
	p.attempted = p.succeeded = 9000;
	verdict_is(judge(GW_SUCCESS, TARGET_GE, 99, &p), VERDICT_INVALID,
		   "1,200 of 10,200 requests were never sent");
	verdict_is(judge(GW_AVAILABILITY, TARGET_GE, 99, &p), VERDICT_INVALID,
		   "1,200 of 10,200 requests were never sent");
	snprintf(p.invalid, sizeof(p.invalid), "broken");
	verdict_is(judge(GW_LOAD_RATE, TARGET_GE, 1000, &p), VERDICT_INVALID, "broken");
	p.ran = false;
	verdict_is(judge(GW_LOAD_RATE, TARGET_GE, 1000, &p), VERDICT_NO_DATA, "");
}

/* A judged run with one container (redis-cache), or one fault, or both. */
static struct target judge_run(struct gwrun *r, enum gw_metric metric, double limit)
{
	static const struct gw_fault fault = {.kind = FAULT_STOP, .name = "stop redis-cache"};
	struct gw_scenario s = {.error_bound = 0.01};
	struct gw_target t = {.metric = metric,
			      .op = TARGET_LE,
			      .limit = limit,
			      .container = (char *)gateway__name(GATEWAY_REDIS)};
	struct target result;

	for (int i = 0; i < GATEWAY_COUNT; i++)
		r->containers[i].id = (enum gateway_id)i;
	s.targets = &t;
	s.n_targets = 1;
	s.faults.list = (struct gw_fault *)&fault;
	s.faults.n_list = 1;
	if (r->n_phases)
		r->phases[0]->fault.fault = &s.faults.list[0];
	r->scenario = &s;
	r->course.ended_ns = 60 * S;
	r->n_targets = 0;
	gwrun__judge(r);
	assert_int_equal(r->n_targets, 1);
	result = r->targets[0];
	r->scenario = NULL;
	return result;
}

/* The load before the fault failed, so that nothing is known of the fault's effect. */
static void no_recovery_without_a_baseline(void **state)
{
	struct gw_fault fault = {.kind = FAULT_STOP};
	struct gw_bucket b[40];
	struct gw_phase p = {.kind = GW_FAULT,
			     .ran = true,
			     .buckets = b,
			     .n_buckets = 40,
			     .bucket_s = 0.1,
			     .start_ns = S};
	struct gwrun *r = calloc(1, sizeof(*r));
	json_t *answer = json_object();

	(void)state;
	assert_non_null(r);
	for (int good = 0; good < 2; good++) {
		for (uint64_t i = 0; i < 40; i++)
			b[i] = (struct gw_bucket){.t_ns = S + i * S / 10,
						  .due = 10,
						  .succeeded = good ? 10 : 0,
						  .failed = good ? 0 : 10,
						  .p50_ns = good ? 20e6 : NAN};
		p.fault.fault = &fault;
		p.fault.done.begin_ns = 3 * S;
		p.fault.undone.begin_ns = 3 * S + S / 2;
		p.fault.judged = false;
		gw_fault__take(&p, answer, 0.01);
		assert_int_equal(p.fault.judged, good);
		r->phases[0] = &p;
		r->n_phases = 1;
		verdict_is(judge_run(r, GW_RECOVERY, 30e9), good ? VERDICT_PASS : VERDICT_NO_DATA,
			   good ? "nothing to recover from"
				: "nothing to compare with: 200 of 200 requests failed");
	}
	json_decref(answer);
	free(r);
}

static void memory_that_was_short(void **state)
{
	struct gw_reading reading = {.working_set = 90e6, .limit = 100e6};
	struct gwrun *r = calloc(1, sizeof(*r));
	struct gw_container *c = &r->containers[GATEWAY_REDIS];

	(void)state;
	*c = (struct gw_container){.id = GATEWAY_REDIS, .readings = &reading, .n = 1};
	c->has_memory = true;
	c->memory.events_oom_kill = 0;
	verdict_is(judge_run(r, GW_MEMORY_SHARE, 95), VERDICT_PASS, "90 %");
	c->memory.events_oom_kill = 2;
	verdict_is(judge_run(r, GW_MEMORY_SHARE, 95), VERDICT_INVALID, "killed 2 of its processes");
	c->memory.events_oom_kill = MEMORY_NOT_KNOWN;
	verdict_is(judge_run(r, GW_MEMORY_SHARE, 95), VERDICT_PASS, "90 %");
	free(r);
}

/* A target that speaks of no container is no target passed. */
static void no_limit_anywhere(void **state)
{
	struct gw_scenario s = {.error_bound = 0.01};
	struct gw_target t = {.metric = GW_MEMORY_SHARE, .op = TARGET_LE, .limit = 95};
	struct gwrun *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	for (int i = 0; i < GATEWAY_COUNT; i++)
		r->containers[i] = (struct gw_container){
			.id = (enum gateway_id)i, .n = 1, .memory.limit = MEMORY_NO_LIMIT};
	s.targets = &t;
	s.n_targets = 1;
	r->scenario = &s;
	gwrun__judge(r);
	assert_int_equal(r->n_targets, 1);
	verdict_is(r->targets[0], VERDICT_NO_DATA, "no container has a limit");
	free(r);
}

/* The longest stretch is judged, and what grew in another is not passed over for it. */
static void growth_between_other_starts(void **state)
{
	struct gwrun *r = calloc(1, sizeof(*r));

	(void)state;
	for (unsigned int i = 0; i < 2; i++)
		r->growths[i] = (struct gw_growth){
			.id = GATEWAY_REDIS,
			.n = i ? 100 : 300,
			.growth = {.verdict = GROWTH_STABLE,
				   .ci_low = -10,
				   .ci_high = 10,
				   .n = 100,
				   .reason = "settled; no growth over the last 53 s"}};
	r->n_growths = 2;
	verdict_is(judge_run(r, GW_GROWTH, 1e6), VERDICT_PASS,
		   "; settled; no growth over the last 53 s");
	r->growths[1].growth.verdict = GROWTH_GROWING;
	verdict_is(judge_run(r, GW_GROWTH, 1e6), VERDICT_INCONCLUSIVE, "between two other starts");
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_load_that_is_carried),
		cmocka_unit_test(a_load_that_piles_up),
		cmocka_unit_test(failures_are_not_carried),
		cmocka_unit_test(a_mean_of_single_calls),
		cmocka_unit_test(processor_and_memory),
		cmocka_unit_test(availability_is_outside_faults),
		cmocka_unit_test(verdicts_on_a_load),
		cmocka_unit_test(no_recovery_without_a_baseline),
		cmocka_unit_test(memory_that_was_short),
		cmocka_unit_test(no_limit_anywhere),
		cmocka_unit_test(growth_between_other_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
