// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The RPC phases: closed loop, then open loop; at the end of the run hop by hop. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/hops.h"
#include "bench/kernel.h"
#include "bench/phase.h"
#include "bench/samples.h"
#include "log.h"

/* A round that takes longer is ended by the worker itself: nothing waits for ever. */
#define LIMIT_S		 20
#define LIMIT_CALLS_S	 100 /* slowest pace that is waited for */
#define ANSWER_MARGIN_MS 10000
/* Up to here single calls are reported, and quantiles of a round are exact. */
#define MAX_RECORDED 50000

static json_t *run_command(const struct scenario *s, const struct phase *p, uint64_t calls,
			   double limit_s)
{
	char subject[160];
	json_t *c;

	snprintf(subject, sizeof(subject), "rpc.%s.%s", s->rpc.service, s->rpc.method);
	c = json_pack("{s:s,s:s,s:I,s:s,s:I,s:I,s:I,s:f,s:b}", "cmd", "run", "subject", subject,
		      "calls", (json_int_t)calls, "mode", p->mode == MODE_OPEN ? "open" : "closed",
		      "concurrency", (json_int_t)s->rpc.concurrency, "payload",
		      (json_int_t)s->rpc.payload, "timeout_ms", (json_int_t)s->rpc.timeout_ms,
		      "limit_s", limit_s, "record", calls <= MAX_RECORDED);
	if (c && p->mode == MODE_OPEN)
		json_object_set_new(c, "rate", json_real(s->rpc_open.rate));
	return c;
}

/* p50 and p99 of a round: of the single calls where there are, else of the histogram's buckets. */
static void note_round(struct phase *p, const json_t *answer, const struct hist *round)
{
	struct samples s;
	double duration = answer__number(answer, "duration_s");
	double succeeded = (double)answer__count(answer, "succeeded");

	p->rate[p->rounds] = duration > 0 ? succeeded / duration : NAN;
	/* The open loop's latency counts from the intended time, which no single call carries. */
	if (p->mode == MODE_CLOSED && !samples__read(&s, json_object_get(answer, "calls"))) {
		p->p50[p->rounds] = samples__quantile(&s, 0.5);
		p->p99[p->rounds] = samples__quantile(&s, 0.99);
		samples__free(&s);
		return;
	}
	p->p50[p->rounds] = hist__quantile_ns(round, 0.5);
	p->p99[p->rounds] = hist__quantile_ns(round, 0.99);
}

static int take_answer(struct phase *p, const json_t *answer)
{
	struct hist *round = calloc(1, sizeof(*round));
	bool open = p->mode == MODE_OPEN;
	int err = round ? 0 : -ENOMEM;

	if (!err)
		err = answer__merge_hist(json_object_get(answer, "client"), &p->client);
	if (!err)
		err = answer__merge_hist(json_object_get(answer, open ? "intended" : "client"),
					 round);
	if (!err && open)
		hist__merge(&p->intended, round);
	if (err) {
		free(round);
		return log_fail(err, "%s: the answer of the load worker cannot be read", p->name);
	}
	p->attempted += answer__count(answer, "attempted");
	p->succeeded += answer__count(answer, "succeeded");
	p->failed += answer__count(answer, "failed");
	p->behind_schedule += answer__count(answer, "behind_schedule");
	p->duration_s += answer__number(answer, "duration_s");
	answer__add_counts(p->errors, json_object_get(answer, "errors"));
	note_round(p, answer, round);
	free(round);
	return 0;
}

/* Answers that arrived at the client, and at most so many more to calls it had given up. */
static void answered(const json_t *answer, uint64_t *least, uint64_t *most)
{
	const json_t *e = json_object_get(answer, "errors");

	*least = answer__count(answer, "succeeded") + answer__count(e, "bad_envelope") +
		 answer__count(e, "remote_error");
	*most = *least + answer__count(e, "timeout") + answer__count(e, "disconnected") +
		answer__count(e, "other");
}

static int rpc_round(struct bench *b, struct phase *p, uint64_t calls)
{
	const struct scenario *s = b->scenario;
	double pace = p->mode == MODE_OPEN ? s->rpc_open.rate : LIMIT_CALLS_S;
	double limit_s = LIMIT_S + (double)calls / pace;
	unsigned int wait_ms =
		(unsigned int)(limit_s * 1000) + (unsigned int)s->rpc.timeout_ms + ANSWER_MARGIN_MS;
	struct kernel_round k;
	uint64_t least, most;
	json_t *answer;
	int err;

	kernel__begin(b, p, &k);
	err = remote__call(&b->rpc[p->path], run_command(s, p, calls, limit_s), wait_ms, &answer);
	if (err) {
		kernel__drop(&k);
		return err;
	}
	answered(answer, &least, &most);
	kernel__end(b, p, &k, "rpc.", least, most);
	err = take_answer(p, answer);
	if (!err)
		log_debug("%s: round %u: %.0f calls/s, p50 %.0f us, p99 %.0f us", p->name,
			  p->rounds + 1, p->rate[p->rounds], p->p50[p->rounds] / 1e3,
			  p->p99[p->rounds] / 1e3);
	if (!err && json_is_true(json_object_get(answer, "aborted")))
		err = log_fail(-ETIMEDOUT, "%s: a round of %llu calls did not end within %.0f s",
			       p->name, (unsigned long long)calls, limit_s);
	json_decref(answer);
	return err;
}

static int run_mode(struct bench *b, enum rpc_mode mode, uint64_t calls, const char *what)
{
	struct phase *phases[PATH_COUNT];
	unsigned int i;

	for (i = 0; i < b->scenario->n_paths; i++) {
		phases[i] = phase__add(b, PHASE_RPC, b->scenario->paths[i], mode);
		if (!phases[i])
			return log_fail(-ENOMEM, "out of memory");
	}
	return rounds__run(b, what, phases, b->scenario->n_paths, calls, rpc_round);
}

/* In one go: the paths are not compared by it. */
static int follow(struct bench *b, enum path path)
{
	const struct phase *closed = phase__find(b, PHASE_RPC, path, MODE_CLOSED);
	struct phase *p = phase__add(b, PHASE_HOPS, path, MODE_CLOSED);
	double rate = closed ? phase__rate(closed).value : NAN;
	int err;

	if (!p)
		return log_fail(-ENOMEM, "out of memory");
	err = bench__warm_up(b, path);
	if (!err)
		err = rpc_round(b, p, hop_phase__calls(rate, b->scenario->hops.seconds));
	p->rounds += !err;
	return err;
}

int bench__run_hops(struct bench *b)
{
	struct wire_opts opts = {.protos = 1u << PROTO_NATS};
	unsigned int i;
	int err = 0;

	if (!hop_phase__is_wanted(&b->course, b->scenario->hops.seconds))
		return 0;
	log_info("[%5.1f s] RPC, hop by hop: %g s on each path", course__elapsed(&b->course),
		 b->scenario->hops.seconds);
	if (!hop_phase__attach(&b->course, &opts, b->scenario->rpc.timeout_ms))
		return 0;
	for (i = 0; i < b->scenario->n_paths && !err; i++)
		err = follow(b, b->scenario->paths[i]);
	if (err && err != -EINTR) {
		course__incomplete(&b->course, "RPC, hop by hop, could not be finished");
		err = -ECANCELED;
	}
	return err;
}

int bench__run_rpc(struct bench *b)
{
	const struct scenario *s = b->scenario;
	int err = run_mode(b, MODE_CLOSED, (uint64_t)s->rpc.calls, "RPC, closed loop");

	if (!err && s->has_open)
		err = run_mode(b, MODE_OPEN, (uint64_t)s->rpc_open.calls, "RPC, open loop");
	return err;
}
