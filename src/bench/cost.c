// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the probe itself costs: its run time per exchange, and the load with and without it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/phase.h"
#include "bench/samples.h"
#include "log.h"
#include "stack/clock.h"

#define COST_CALLS	1000
#define WAIT_MS		60000
#define MAX_SLICE_CALLS 100000 /* a slice is recorded call by call */
#define MIN_SLICE_CALLS 50

static struct remote *load_worker(struct bench *b)
{
	return &b->rpc[b->scenario->paths[0]];
}

/* Closed loop on the first path. The answer is the caller's. */
static int drive(struct bench *b, uint64_t calls, double limit_s, bool record, json_t **answer)
{
	const struct scenario *s = b->scenario;
	char subject[160];

	snprintf(subject, sizeof(subject), "rpc.%s.%s", s->rpc.service, s->rpc.method);
	return remote__call(load_worker(b),
			    json_pack("{s:s,s:s,s:I,s:s,s:I,s:I,s:I,s:f,s:b}", "cmd", "run",
				      "subject", subject, "calls", (json_int_t)calls, "mode",
				      "closed", "concurrency", (json_int_t)s->rpc.concurrency,
				      "payload", (json_int_t)s->rpc.payload, "timeout_ms",
				      (json_int_t)s->rpc.timeout_ms, "limit_s", limit_s, "record",
				      record),
			    WAIT_MS + (unsigned int)(limit_s * 1000), answer);
}

/*
 * A round of its own: the kernel's BPF statistics cost two clock reads a program run, so no latency
 * is taken from it.
 */
int bench__measure_cost(struct bench *b)
{
	struct snapshot before = {0}, now = {0};
	json_t *answer = NULL;
	int err;

	if (!b->course.wire)
		return 0;
	log_info("[%5.1f s] the probe's own cost", course__elapsed(&b->course));
	err = wire__statistics(b->course.wire, true);
	if (err) {
		log_warn("the kernel does not give BPF statistics: %s; no figure of the probe's "
			 "cost",
			 strerror(-err));
		return 0;
	}
	err = wire__read(b->course.wire, &before);
	if (!err)
		err = drive(b, COST_CALLS, 20, false, &answer);
	if (!err && !wire__read(b->course.wire, &now))
		b->course.has_cost = !snapshot__delta(&b->course.cost, &now, &before);
	wire__statistics(b->course.wire, false);
	snapshot__free(&before);
	snapshot__free(&now);
	json_decref(answer);
	return err == -EINTR ? err : 0;
}

struct slice {
	double p50, rate;
};

static int run_slice(struct bench *b, bool attached, uint64_t calls, struct slice *out)
{
	struct samples samples;
	json_t *answer;
	double duration;
	int err = 0;

	if (attached)
		err = wire__attach(b->course.wire);
	if (!err)
		err = drive(b, calls, 10 * b->scenario->ab.seconds + 5, true, &answer);
	if (attached)
		wire__detach(b->course.wire);
	if (err)
		return err;
	duration = answer__number(answer, "duration_s");
	err = samples__read(&samples, json_object_get(answer, "calls"));
	if (!err) {
		out->p50 = samples__quantile(&samples, 0.5);
		out->rate = (double)samples.n / duration;
		samples__free(&samples);
	}
	json_decref(answer);
	return err;
}

/* How many calls fill a slice, at the pace of a first one. */
static int calibrate(struct bench *b, uint64_t *calls)
{
	struct slice s;
	double n;
	int err = run_slice(b, false, 500, &s);

	if (err)
		return err;
	n = s.rate * b->scenario->ab.seconds;
	n = n < MIN_SLICE_CALLS ? MIN_SLICE_CALLS : n > MAX_SLICE_CALLS ? MAX_SLICE_CALLS : n;
	*calls = (uint64_t)n;
	return 0;
}

static void add_difference(struct bench *b, const char *name, const double *off, const double *on,
			   size_t pairs, double base_ns)
{
	struct difference *d = &b->differences[b->n_differences++];

	snprintf(d->name, sizeof(d->name), "%s", name);
	d->unit = "%";
	d->estimate = estimate__percent_robust(off, on, pairs);
	d->base_ns = base_ns;
}

static int run_pairs(struct bench *b, uint64_t calls, double *v[4], size_t pairs, size_t *done)
{
	size_t i;
	int err = 0;

	for (i = 0; i < pairs && !err; i++) {
		/* Which comes first is drawn by lot, so that nothing periodic can side with one. */
		bool on_first = random() & 1;
		struct slice first, second;

		err = run_slice(b, on_first, calls, &first);
		if (!err)
			err = run_slice(b, !on_first, calls, &second);
		if (err)
			break;
		v[0][i] = on_first ? second.p50 : first.p50;
		v[1][i] = on_first ? first.p50 : second.p50;
		v[2][i] = on_first ? second.rate : first.rate;
		v[3][i] = on_first ? first.rate : second.rate;
		*done = i + 1;
	}
	return err;
}

static double median(const double *v, size_t n)
{
	return n ? estimate__hodges_lehmann(v, n).value : NAN;
}

int bench__run_ab(struct bench *b)
{
	size_t pairs = (size_t)b->scenario->ab.slices / 2, done = 0;
	double *v[4]; /* p50 without and with the probe, rate without and with */
	double *all = calloc(4 * pairs, sizeof(double));
	uint64_t calls;
	size_t i;
	int err;

	if (!b->course.wire || !all) {
		free(all);
		return log_fail(-EINVAL, "--ab compares with the probe, which is not there");
	}
	for (i = 0; i < 4; i++)
		v[i] = all + i * pairs;
	srandom((unsigned int)b->course.started.tv_nsec);
	wire__detach(b->course.wire);
	err = calibrate(b, &calls);
	if (!err) {
		log_info("[%5.1f s] with and without the probe: %zu pairs of slices of %llu calls",
			 course__elapsed(&b->course), pairs, (unsigned long long)calls);
		err = run_pairs(b, calls, v, pairs, &done);
	}
	if (done) {
		add_difference(b, "probe attached, RPC p50", v[0], v[1], done, median(v[0], done));
		add_difference(b, "probe attached, RPC rate", v[2], v[3], done, NAN);
	}
	if (err && err != -EINTR) {
		course__incomplete(&b->course,
				   "the comparison with and without the probe was cut short");
		err = -ECANCELED;
	}
	free(all);
	return err;
}
