/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The role "subscriber": says which events of a run arrived, which did not, and which came twice.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "load/envelope.h"
#include "load/worker.h"
#include "stack/clock.h"

#define SUBSCRIBER_MISSING_MAX 20
#define SUBSCRIBER_EVENTS_MAX  100000000

struct subscriber {
	struct worker *w;
	natsSubscription *sub; /* the pool's */
	struct envelope_reader reader;
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t all;
	char run_id[128]; /* empty: not armed */
	uint64_t first_id;
	uint64_t n;
	uint64_t *seen;	   /* a bit for each id */
	uint64_t *excused; /* the same: not acknowledged, so that it may or may not arrive */
	uint64_t waiting;  /* ids that are neither */
	uint64_t received;
	uint64_t distinct;
	uint64_t foreign;
	uint64_t malformed;
	uint64_t first_ns;
	uint64_t last_ns;
	uint64_t total; /* messages since the start */
};

/* One event of the armed run. Under the lock. */
static void subscriber__count(struct subscriber *s, uint64_t id, uint64_t now)
{
	uint64_t at = id - s->first_id;
	uint64_t bit = 1ull << (at & 63);

	if (!s->received++)
		s->first_ns = now;
	s->last_ns = now;
	if (s->seen[at / 64] & bit)
		return;
	s->seen[at / 64] |= bit;
	s->distinct++;
	if (!(s->excused[at / 64] & bit) && !--s->waiting)
		pthread_cond_signal(&s->all);
}

/* Ids that are not waited for, and not missing. Under the lock. */
static void subscriber__excuse(struct subscriber *s, uint64_t first, uint64_t n)
{
	for (uint64_t at = first - s->first_id; n && at < s->n; at++, n--) {
		uint64_t bit = 1ull << (at & 63);

		if (!(s->excused[at / 64] & bit) && !(s->seen[at / 64] & bit))
			s->waiting--;
		s->excused[at / 64] |= bit;
	}
}

static int subscriber__excuse_all(struct subscriber *s, const json_t *ranges)
{
	size_t i;

	for (i = 0; i < json_array_size(ranges); i++) {
		const json_t *r = json_array_get(ranges, i);
		json_int_t first = json_integer_value(json_array_get(r, 0)),
			   n = json_integer_value(json_array_get(r, 1));

		if (first < 0 || n < 1)
			return fault__set(&s->w->fault, -EINVAL, "cannot expect",
					  "\"not_acked\" is a list of [first id, how many]");
		pthread_mutex_lock(&s->lock);
		subscriber__excuse(s, (uint64_t)first, (uint64_t)n);
		pthread_mutex_unlock(&s->lock);
	}
	return 0;
}

static void subscriber__on_event(natsConnection *nc, natsSubscription *sub, natsMsg *msg,
				 void *closure)
{
	struct subscriber *s = closure;
	int len = natsMsg_GetDataLength(msg);
	uint64_t now = clock__now();
	struct envelope e;
	const char *why;
	int err;

	(void)nc;
	(void)sub;
	/* Empty: a publisher's way to find out whether its stream can be reached. */
	if (len == 0) {
		natsMsg_Destroy(msg);
		return;
	}
	err = envelope__decode(&s->reader, ENVELOPE_EVENT, natsMsg_GetData(msg), (size_t)len, &e,
			       &why);
	pthread_mutex_lock(&s->lock);
	s->total++;
	if (err)
		s->malformed++;
	else if (!s->run_id[0] || !slice__equal(e.run_id, slice__str(s->run_id)) ||
		 e.id - s->first_id >= s->n)
		s->foreign++;
	else
		subscriber__count(s, e.id, now);
	pthread_mutex_unlock(&s->lock);
	natsMsg_Destroy(msg);
}

static int subscriber__start(struct worker *w, const json_t *config)
{
	struct subscriber *s = calloc(1, sizeof(*s));
	const char *subject, *queue;
	pthread_condattr_t attr;

	if (!s)
		return fault__set(&w->fault, -ENOMEM, "cannot start the subscriber",
				  "out of memory");
	s->w = w;
	w->state = s;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->all, &attr);
	pthread_condattr_destroy(&attr);
	if (envelope_reader__init(&s->reader))
		return fault__set(&w->fault, -ENOMEM, "cannot start the subscriber",
				  "out of memory");
	if (args__string(config, "subject", "events.>", &subject, &w->fault) ||
	    args__string(config, "queue", NULL, &queue, &w->fault))
		return w->fault.err;
	return pool__subscribe(&w->pool, 0, subject, queue, subscriber__on_event, s, &s->sub,
			       &w->fault);
}

static int subscriber__arm(struct subscriber *s, const json_t *args)
{
	struct fault *f = &s->w->fault;
	const char *run_id = NULL;
	long long events, first_id;
	uint64_t *seen, *excused;

	if (args__string(args, "run_id", NULL, &run_id, f) ||
	    args__count(args, "events", 0, 1, SUBSCRIBER_EVENTS_MAX, &events, f) ||
	    args__count(args, "first_id", 0, 0, INT64_MAX, &first_id, f))
		return f->err;
	if (!run_id || strlen(run_id) >= sizeof(s->run_id) || events < 1)
		return fault__set(f, -EINVAL, "cannot arm",
				  "\"run_id\" (shorter than %zu) and \"events\" are needed",
				  sizeof(s->run_id));
	seen = calloc((size_t)events / 64 + 1, sizeof(*seen));
	excused = calloc((size_t)events / 64 + 1, sizeof(*excused));
	if (!seen || !excused) {
		free(seen);
		free(excused);
		return fault__set(f, -ENOMEM, "cannot arm", "out of memory");
	}

	pthread_mutex_lock(&s->lock);
	free(s->seen);
	free(s->excused);
	s->seen = seen;
	s->excused = excused;
	memcpy(s->run_id, run_id, strlen(run_id) + 1);
	s->n = s->waiting = (uint64_t)events;
	s->first_id = (uint64_t)first_id;
	s->received = s->distinct = s->foreign = s->malformed = 0;
	s->first_ns = s->last_ns = 0;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* The first ids that did not arrive. Under the lock. */
static json_t *subscriber__missing_ids(const struct subscriber *s)
{
	json_t *list = json_array();
	uint64_t i, id;

	for (i = 0; i < s->n && json_array_size(list) < SUBSCRIBER_MISSING_MAX; i++) {
		id = s->first_id + i;
		if ((s->seen[i / 64] | s->excused[i / 64]) & (1ull << (i & 63)))
			continue;
		if (json_array_append_new(list, json_integer((json_int_t)id))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *subscriber__result(struct subscriber *s, bool aborted)
{
	int64_t dropped = 0;
	json_t *o;

	natsSubscription_GetDropped(s->sub, &dropped);
	pthread_mutex_lock(&s->lock);
	o = json_pack("{s:s,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:I,s:I,s:I,s:b}", "event", "done",
		      "received", (json_int_t)s->received, "distinct", (json_int_t)s->distinct,
		      "duplicates", (json_int_t)(s->received - s->distinct), "missing",
		      (json_int_t)s->waiting, "missing_ids", subscriber__missing_ids(s), "first_ns",
		      s->received ? json_integer((json_int_t)s->first_ns) : json_null(), "last_ns",
		      s->received ? json_integer((json_int_t)s->last_ns) : json_null(), "foreign",
		      (json_int_t)s->foreign, "malformed", (json_int_t)s->malformed, "dropped",
		      (json_int_t)dropped, "aborted", aborted);
	pthread_mutex_unlock(&s->lock);
	return o;
}

static json_t *subscriber__expect(struct subscriber *s, const json_t *args)
{
	struct fault *f = &s->w->fault;
	const char *run_id = NULL;
	long long timeout_ms;
	struct timespec until;
	uint64_t deadline, slice;

	if (args__string(args, "run_id", NULL, &run_id, f) ||
	    args__count(args, "timeout_ms", 10000, 0, 3600000, &timeout_ms, f))
		return NULL;
	/* run_id is written by this thread only. */
	if ((!s->run_id[0] || (run_id && strcmp(run_id, s->run_id) != 0)) &&
	    subscriber__arm(s, args))
		return NULL;

	if (subscriber__excuse_all(s, json_object_get(args, "not_acked")))
		return NULL;
	deadline = clock__now() + (uint64_t)timeout_ms * NS_PER_MS;
	pthread_mutex_lock(&s->lock);
	while (s->waiting && !worker__should_stop(s->w, deadline)) {
		/* In slices, to see SIGTERM. */
		slice = clock__now() + 100 * NS_PER_MS;
		slice = slice < deadline ? slice : deadline;
		until.tv_sec = (time_t)(slice / NS_PER_S);
		until.tv_nsec = (long)(slice % NS_PER_S);
		pthread_cond_timedwait(&s->all, &s->lock, &until);
	}
	pthread_mutex_unlock(&s->lock);
	return subscriber__result(s, atomic_load(&s->w->stop));
}

static json_t *subscriber__command(struct worker *w, const char *cmd, const json_t *args)
{
	struct subscriber *s = w->state;

	if (strcmp(cmd, "arm") == 0)
		return subscriber__arm(s, args) ? NULL : json_pack("{s:s}", "event", "armed");
	if (strcmp(cmd, "expect") == 0)
		return subscriber__expect(s, args);
	w->fault.err = -ENOSYS;
	return NULL;
}

static void subscriber__stats(struct worker *w, json_t *out)
{
	struct subscriber *s = w->state;
	int64_t dropped = 0;

	natsSubscription_GetDropped(s->sub, &dropped);
	pthread_mutex_lock(&s->lock);
	json_object_set_new(out, "messages", json_integer((json_int_t)s->total));
	json_object_set_new(out, "received", json_integer((json_int_t)s->received));
	json_object_set_new(out, "distinct", json_integer((json_int_t)s->distinct));
	json_object_set_new(out, "foreign", json_integer((json_int_t)s->foreign));
	json_object_set_new(out, "malformed", json_integer((json_int_t)s->malformed));
	json_object_set_new(out, "dropped", json_integer((json_int_t)dropped));
	pthread_mutex_unlock(&s->lock);
}

static void subscriber__free(struct worker *w)
{
	struct subscriber *s = w->state;

	if (!s)
		return;
	envelope_reader__free(&s->reader);
	pthread_cond_destroy(&s->all);
	pthread_mutex_destroy(&s->lock);
	free(s->seen);
	free(s->excused);
	free(s);
	w->state = NULL;
}

const struct load_role load_role_subscriber = {
	.name = "subscriber",
	.send_asap = true,
	.default_pool = 1,
	.max_pool = 1,
	.start = subscriber__start,
	.command = subscriber__command,
	.stats = subscriber__stats,
	.free = subscriber__free,
};
