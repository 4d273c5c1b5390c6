// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The event phases: batches to JetStream, every ack awaited, every event looked for at the end. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/kernel.h"
#include "bench/phase.h"
#include "log.h"

#define LIMIT_S		 30
#define LIMIT_EVENTS_S	 500 /* slowest pace that is waited for */
#define ANSWER_MARGIN_MS 10000
#define ARRIVAL_MS	 3000 /* an event acknowledged and not received by then is missing */
#define MAX_MISSING_IDS	 20

static json_t *subjects(const struct scenario *s)
{
	json_t *list = json_array();
	unsigned int d, t;
	char subject[160];

	for (t = 0; t < s->events.n_types; t++) {
		for (d = 0; d < s->events.n_domains; d++) {
			snprintf(subject, sizeof(subject), "events.%s.%s", s->events.domains[d],
				 s->events.types[t]);
			json_array_append_new(list, json_string(subject));
		}
	}
	return list;
}

static int publish(struct bench *b, struct phase *p, const char *run_id, uint64_t first_id,
		   uint64_t events, json_t **answer)
{
	const struct scenario *s = b->scenario;
	double limit_s = LIMIT_S + (double)events / LIMIT_EVENTS_S;
	unsigned int wait_ms = (unsigned int)(limit_s * 1000) + (unsigned int)s->events.timeout_ms +
			       ANSWER_MARGIN_MS;
	json_t *command = json_pack(
		"{s:s,s:o,s:I,s:I,s:I,s:I,s:s,s:I,s:f}", "cmd", "run", "subjects", subjects(s),
		"events", (json_int_t)events, "batch", (json_int_t)s->events.batch, "payload",
		(json_int_t)s->events.payload, "timeout_ms", (json_int_t)s->events.timeout_ms,
		"run_id", run_id, "first_id", (json_int_t)first_id, "limit_s", limit_s);
	struct kernel_round k;
	uint64_t least, most;
	const json_t *errors;
	int err;

	kernel__begin(b, p, &k);
	err = remote__call(&b->publisher[p->path], command, wait_ms, answer);
	if (err) {
		kernel__drop(&k);
		return err;
	}
	errors = json_object_get(*answer, "errors");
	/* A refusal is an answer, too. */
	least = answer__count(*answer, "acked") + answer__count(errors, "rejected");
	most = least + answer__count(errors, "timeout") + answer__count(errors, "disconnected") +
	       answer__count(errors, "other");
	kernel__end(b, p, &k, "events.", least, most);
	return 0;
}

static void note_missing(struct phase *p, const json_t *ids)
{
	size_t i;

	for (i = 0; i < json_array_size(ids) && json_array_size(p->missing_ids) < MAX_MISSING_IDS;
	     i++)
		json_array_append(p->missing_ids, json_array_get(ids, i));
}

static int take_answers(struct phase *p, const json_t *published, const json_t *received)
{
	double duration = answer__number(published, "duration_s");
	uint64_t acked = answer__count(published, "acked");
	uint64_t failed = answer__count(published, "failed");

	if (answer__merge_hist(json_object_get(published, "ack"), &p->client))
		return log_fail(-EPROTO, "%s: the answer of the load worker cannot be read",
				p->name);
	p->attempted += acked + failed;
	p->succeeded += acked;
	p->failed += failed;
	p->duration_s += duration;
	p->rate[p->rounds] = duration > 0 ? (double)acked / duration : NAN;
	p->p50[p->rounds] = p->p99[p->rounds] = NAN;
	answer__add_counts(p->errors, json_object_get(published, "errors"));
	p->published += answer__count(published, "published");
	p->acked += acked;
	p->received += answer__count(received, "received");
	p->missing += answer__count(received, "missing");
	p->duplicates += answer__count(received, "duplicates");
	note_missing(p, json_object_get(received, "missing_ids"));
	return 0;
}

/* Arms the subscriber, publishes, and asks what arrived. */
static int events_round(struct bench *b, struct phase *p, uint64_t events)
{
	uint64_t first_id = p->attempted;
	json_t *armed = NULL, *published = NULL, *received = NULL;
	char run_id[64];
	int err;

	snprintf(run_id, sizeof(run_id), "%s-%d-%s-%u", b->scenario->name, (int)getpid(),
		 path__label(p->path), p->rounds);
	err = remote__call(&b->subscriber,
			   json_pack("{s:s,s:s,s:I,s:I}", "cmd", "arm", "run_id", run_id, "events",
				     (json_int_t)events, "first_id", (json_int_t)first_id),
			   ANSWER_MARGIN_MS, &armed);
	if (!err)
		err = publish(b, p, run_id, first_id, events, &published);
	if (!err)
		err = remote__call(&b->subscriber,
				   json_pack("{s:s,s:s,s:I,s:I,s:O?}", "cmd", "expect", "run_id",
					     run_id, "events", (json_int_t)events, "timeout_ms",
					     (json_int_t)ARRIVAL_MS, "not_acked",
					     json_object_get(published, "not_acked")),
				   ARRIVAL_MS + ANSWER_MARGIN_MS, &received);
	if (!err)
		err = take_answers(p, published, received);
	if (!err && json_is_true(json_object_get(published, "aborted")))
		err = log_fail(-ETIMEDOUT, "%s: a round of %llu events did not end in time: %s",
			       p->name, (unsigned long long)events,
			       json_string_value(json_object_get(published, "last_error")));
	json_decref(armed);
	json_decref(published);
	json_decref(received);
	return err;
}

int bench__run_events(struct bench *b)
{
	struct phase *phases[PATH_COUNT];
	unsigned int i;

	for (i = 0; i < b->scenario->n_paths; i++) {
		phases[i] = phase__add(b, PHASE_EVENTS, b->scenario->paths[i], MODE_ANY);
		if (!phases[i])
			return log_fail(-ENOMEM, "out of memory");
	}
	return rounds__run(b, "events", phases, b->scenario->n_paths,
			   (uint64_t)b->scenario->events.count, events_round);
}
