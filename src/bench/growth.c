// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The memory phase: calls at a steady rate, and between them what each container holds. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/phase.h"
#include "log.h"
#include "stack/clock.h"

#define MARGIN_MS 20000

static size_t steps_of(const struct scenario *s)
{
	return (size_t)(s->memory.seconds / s->memory.interval + 0.5);
}

static bool is_wanted(const struct scenario *s, const struct member *m)
{
	unsigned int i;

	for (i = 0; i < s->memory.n_containers; i++)
		if (!strcmp(s->memory.containers[i], m->name))
			return true;
	return !s->memory.n_containers;
}

static int choose_members(struct bench *b, size_t readings)
{
	size_t i;

	for (i = 0; i < b->n_members; i++) {
		struct member *m = &b->members[i];

		m->watched = is_wanted(b->scenario, m);
		if (!m->watched)
			continue;
		m->samples = calloc(readings, sizeof(*m->samples));
		if (!m->samples)
			return log_fail(-ENOMEM, "out of memory");
	}
	return 0;
}

/* Page cache is not counted: it is given back when somebody needs the memory. */
static double held(const struct memory_reading *r)
{
	double anon = r->anon == MEMORY_NOT_KNOWN ? NAN : (double)r->anon;

	return r->swap == MEMORY_NOT_KNOWN ? anon : anon + (double)r->swap;
}

static void read_members(struct bench *b, uint64_t started)
{
	size_t i;

	for (i = 0; i < b->n_members; i++) {
		struct member *m = &b->members[i];
		struct memory_reading r;

		if (!m->watched || !member__read(m, &r) || isnan(held(&r)))
			continue;
		m->samples[m->n_samples++] = (struct growth_sample){
			.t_s = (double)(clock__now() - started) / 1e9, .bytes = held(&r)};
	}
}

/* The calls of one interval, then whatever is left of it. */
static int drive(struct bench *b, uint64_t started, uint64_t until)
{
	const struct scenario *s = b->scenario;
	double left_s = clock__left_ms(until) / 1e3;
	/* Of the whole watch so far: what an interval has no whole call for is not lost. */
	uint64_t due = (uint64_t)(s->memory.rate * (double)(until - started) / 1e9 + 0.5);
	uint64_t calls = due - b->memory_watch.due;
	char subject[160];
	json_t *answer;
	int err;

	b->memory_watch.due = due;
	if (calls) {
		snprintf(subject, sizeof(subject), "rpc.%s.%s", s->rpc.service, s->rpc.method);
		err = remote__call(&b->rpc[s->paths[0]],
				   json_pack("{s:s,s:s,s:I,s:s,s:f,s:I,s:I,s:f}", "cmd", "run",
					     "subject", subject, "calls", (json_int_t)calls, "mode",
					     "open", "rate", s->memory.rate, "payload",
					     (json_int_t)s->rpc.payload, "timeout_ms",
					     (json_int_t)s->rpc.timeout_ms, "limit_s", left_s + 5),
				   (unsigned int)(left_s * 1000) + (unsigned int)s->rpc.timeout_ms +
					   MARGIN_MS,
				   &answer);
		if (err)
			return err;
		b->memory_watch.attempted += answer__count(answer, "attempted");
		b->memory_watch.succeeded += answer__count(answer, "succeeded");
		b->memory_watch.failed += answer__count(answer, "failed");
		json_decref(answer);
	}
	err = watch__wait(&b->course.watch, -1, until, NULL);
	return err < 0 ? err : 0;
}

static void judge(struct bench *b)
{
	size_t i;

	for (i = 0; i < b->n_members; i++) {
		struct member *m = &b->members[i];

		if (!m->watched)
			continue;
		m->ended = m->child && m->child->dead;
		growth__judge(&m->growth, m->samples, m->n_samples, NAN);
	}
}

int bench__watch_memory(struct bench *b)
{
	const struct scenario *s = b->scenario;
	uint64_t step_ns = (uint64_t)(s->memory.interval * 1e9), started;
	size_t i, steps = steps_of(s);
	int err = choose_members(b, steps + 1);

	if (err)
		return err;
	log_info("[%5.1f s] memory under %g calls/s: %g s", course__elapsed(&b->course),
		 s->memory.rate, s->memory.seconds);
	b->memory_watch.ran = true;
	started = clock__now();
	for (i = 0; i <= steps && !err; i++) {
		read_members(b, started);
		if (i < steps)
			err = drive(b, started, started + (i + 1) * step_ns);
	}
	b->memory_watch.duration_s = (double)(clock__now() - started) / 1e9;
	judge(b);
	if (!err || err == -EINTR)
		return err;
	course__incomplete(&b->course, "the memory phase was cut short");
	return -ECANCELED;
}
