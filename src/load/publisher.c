/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The role "publisher": JetStream events in batches, every ack awaited. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/calls.h"
#include "load/envelope.h"
#include "load/worker.h"
#include "stack/clock.h"

#define PUBLISHER_RETRY_MS   50
#define PUBLISHER_BATCH_MAX  65536
#define PUBLISHER_EVENTS_MAX 100000000
#define PUBLISHER_GAPS_MAX \
	4096 /* beyond them what was not acknowledged counts as missing where it did not arrive */
#define PUBLISHER_LOST_MAX 3 /* batches in a row without one ack: the stream is gone */

/* X(constant, name in "errors"): what became of an event that was not acknowledged. */
#define PUBLISH_ERRORS(X)                       \
	X(PUBLISH_TIMEOUT, timeout)             \
	X(PUBLISH_NO_RESPONDERS, no_responders) \
	X(PUBLISH_REJECTED, rejected)           \
	X(PUBLISH_DISCONNECTED, disconnected)   \
	X(PUBLISH_OTHER, other)

enum publish_status {
	PUBLISH_NONE = 0,
	PUBLISH_PENDING = 1,
	PUBLISH_ACKED = 2,
#define PUBLISH_ENUM(id, name) id,
	PUBLISH_ERRORS(PUBLISH_ENUM)
#undef PUBLISH_ENUM
		PUBLISH_STATUS_MAX
};

/* An event of the batch under way. */
struct slot {
	uint64_t sent_ns;
	enum publish_status status;
};

struct publisher_run {
	const char **subjects;
	size_t n_subjects;
	uint64_t events;
	size_t batch;
	char *payload;
	size_t payload_len;
	uint64_t timeout_ns;
	uint64_t limit_ns;
	const char *run_id;
	uint64_t first_id;
	uint64_t attempted;
	uint64_t published;
	uint64_t count[PUBLISH_STATUS_MAX];
	json_t *not_acked;   /* [first id, how many], at most PUBLISHER_GAPS_MAX of them */
	uint64_t gap, gap_n; /* the last one, still growing */
	uint64_t start_ns;
	uint64_t end_ns;
};

struct publisher {
	struct worker *w;
	jsCtx **js; /* one for each connection */
	char stream[128];
	bool created; /* the stream is ours, to delete */
	struct envelope_ids ids;
	uint64_t seq;	      /* main thread only, as the run's counters */
	uint64_t total[3];    /* published, acked, failed, of all runs */
	pthread_mutex_t lock; /* everything below: shared with nats.c's ack handlers */
	uint64_t generation;  /* of the batch: acks that come later find another */
	struct slot *slots;
	size_t n_slots;
	struct hist ack;
	char last_error[160];
};

static enum publish_status publisher__status(natsStatus s)
{
	switch (s) {
	case NATS_OK: return PUBLISH_PENDING;
	case NATS_TIMEOUT: return PUBLISH_TIMEOUT;
	case NATS_NO_RESPONDERS: return PUBLISH_NO_RESPONDERS;
	case NATS_ERR: return PUBLISH_REJECTED;
	case NATS_CONNECTION_CLOSED:
	case NATS_CONNECTION_DISCONNECTED:
	case NATS_STALE_CONNECTION:
	case NATS_INSUFFICIENT_BUFFER:
	case NATS_IO_ERROR: return PUBLISH_DISCONNECTED;
	default: return PUBLISH_OTHER;
	}
}

/*
 * The event's slot is in the reply field of our own copy of the message, "generation.index": the
 * library sends its own reply subject and does not look at this one, and hands the copy back here.
 */
static void publisher__on_ack(jsCtx *js, natsMsg *msg, jsPubAck *ack, jsPubAckErr *refused,
			      void *closure)
{
	uint64_t now = clock__now(), generation = 0, index = 0;
	struct publisher *pub = closure;
	struct slot *slot;

	(void)js;
	if (sscanf(natsMsg_GetReply(msg), "%" SCNu64 ".%" SCNu64, &generation, &index) != 2)
		generation = 0;
	pthread_mutex_lock(&pub->lock);
	slot = generation == pub->generation && index < pub->n_slots ? &pub->slots[index] : NULL;
	if (slot && slot->status == PUBLISH_PENDING) {
		slot->status = ack ? PUBLISH_ACKED : publisher__status(refused->Err);
		if (ack)
			hist__add(&pub->ack, now - slot->sent_ns);
	}
	if (refused)
		snprintf(pub->last_error, sizeof(pub->last_error), "%s",
			 refused->ErrText ? refused->ErrText : natsStatus_GetText(refused->Err));
	pthread_mutex_unlock(&pub->lock);
	natsMsg_Destroy(msg);
}

/* The stream. */

static int publisher__contexts(struct publisher *pub)
{
	struct pool *p = &pub->w->pool;
	jsOptions o;
	natsStatus s;
	size_t i;

	pub->js = calloc(p->n, sizeof(jsCtx *));
	if (!pub->js)
		return fault__set(&pub->w->fault, -ENOMEM, "cannot start the publisher",
				  "out of memory");
	jsOptions_Init(&o);
	o.Wait = 2000;
	o.PublishAsync.AckHandler = publisher__on_ack;
	o.PublishAsync.AckHandlerClosure = pub;
	for (i = 0; i < p->n; i++) {
		s = natsConnection_JetStream(&pub->js[i], p->links[i].nc, &o);
		if (s != NATS_OK)
			return pool__fault(&pub->w->fault, s, "cannot use JetStream");
	}
	return 0;
}

/* A cluster that has just been started says no, in one of these ways, until it has a leader. */
static bool publisher__not_yet(natsStatus s, jsErrCode code)
{
	return s == NATS_TIMEOUT || s == NATS_NO_RESPONDERS || code == JSClusterIncompleteErr ||
	       code == JSClusterNoPeersErr || code == JSClusterNotAvailErr ||
	       code == JSClusterNotLeaderErr || code == JSInsufficientResourcesErr;
}

/* The stream exists: is it the one that was asked for? Then it is purged and used. */
static int publisher__adopt(struct publisher *pub, const jsStreamConfig *want)
{
	struct fault *f = &pub->w->fault;
	jsStreamInfo *info = NULL;
	natsStatus s;
	int err = 0;

	s = js_GetStreamInfo(&info, pub->js[0], pub->stream, NULL, NULL);
	if (s == NATS_OK &&
	    (info->Config->Replicas != want->Replicas || info->Config->Storage != want->Storage))
		err = fault__set(f, -EEXIST, "cannot create the stream",
				 "\"%s\" exists with %" PRId64
				 " replicas in %s; delete it, or give "
				 "another name as \"stream\"",
				 pub->stream, info->Config->Replicas,
				 info->Config->Storage == js_FileStorage ? "files" : "memory");
	if (s == NATS_OK && !err)
		s = js_PurgeStream(pub->js[0], pub->stream, NULL, NULL);
	jsStreamInfo_Destroy(info);
	return s == NATS_OK ? err : pool__fault(f, s, "cannot use the stream that exists");
}

static int publisher__create(struct publisher *pub, const jsStreamConfig *c, uint64_t deadline)
{
	jsErrCode code;
	natsStatus s;

	do {
		code = 0;
		s = js_AddStream(NULL, pub->js[0], (jsStreamConfig *)c, NULL, &code);
		if (s == NATS_OK) {
			pub->created = true;
			return 0;
		}
		if (code == JSStreamNameExistErr)
			return publisher__adopt(pub, c);
		clock__sleep_ms(PUBLISHER_RETRY_MS);
	} while (publisher__not_yet(s, code) && clock__now() < deadline &&
		 !worker__should_stop(pub->w, 0));
	return pool__fault(&pub->w->fault, s, "cannot create the stream");
}

/* A subject that the wildcard subject matches. */
static void publisher__instance(char *out, size_t len, const char *wildcard)
{
	size_t n = 0;
	const char *p;

	for (p = wildcard; *p && n + 8 < len; p++) {
		if (*p == '*' || *p == '>')
			n += (size_t)snprintf(out + n, len - n, "probe");
		else
			out[n++] = *p;
	}
	out[n] = '\0';
}

/*
 * The stream's leader has subscribed when the creation is answered, but the node of another
 * connection may not know yet. One empty message each, acknowledged, then purged.
 */
static int publisher__reach(struct publisher *pub, const char *wildcard, uint64_t deadline)
{
	char subject[256];
	natsStatus s = NATS_OK;
	size_t i;

	publisher__instance(subject, sizeof(subject), wildcard);
	for (i = 0; s == NATS_OK && i < pub->w->pool.n; i++) {
		do {
			s = js_Publish(NULL, pub->js[i], subject, NULL, 0, NULL, NULL);
			if (s != NATS_OK)
				clock__sleep_ms(PUBLISHER_RETRY_MS);
		} while (publisher__not_yet(s, 0) && clock__now() < deadline);
	}
	if (s == NATS_OK)
		s = js_PurgeStream(pub->js[0], pub->stream, NULL, NULL);
	return s == NATS_OK ? 0 : pool__fault(&pub->w->fault, s, "the stream does not answer");
}

static int publisher__stream(struct publisher *pub, const json_t *config)
{
	struct fault *f = &pub->w->fault;
	const char *storage, **subjects = NULL;
	long long replicas, setup_ms;
	uint64_t deadline;
	jsStreamConfig c;
	size_t n = 0;
	bool create;
	int err;

	if (args__string(config, "storage", "memory", &storage, f) ||
	    args__count(config, "replicas", 1, 1, 5, &replicas, f) ||
	    args__count(config, "setup_timeout_ms", 15000, 0, 600000, &setup_ms, f) ||
	    args__flag(config, "create_stream", true, &create, f) ||
	    args__strings(config, "subject", &subjects, &n, f))
		return f->err;
	deadline = clock__now() + (uint64_t)setup_ms * NS_PER_MS;
	jsStreamConfig_Init(&c);
	c.Name = pub->stream;
	c.Subjects = subjects;
	c.SubjectsLen = (int)n;
	c.Replicas = replicas;
	c.Storage = strcmp(storage, "file") == 0 ? js_FileStorage : js_MemoryStorage;
	if (strcmp(storage, "file") != 0 && strcmp(storage, "memory") != 0)
		err = fault__set(f, -EINVAL, "cannot create the stream",
				 "\"storage\" is \"memory\" or \"file\", not \"%.40s\"", storage);
	else if (!n)
		err = fault__set(f, -EINVAL, "cannot create the stream", "no \"subjects\"");
	else
		err = create ? publisher__create(pub, &c, deadline) : 0;
	if (!err)
		err = publisher__reach(pub, subjects[0], deadline);
	free(subjects);
	return err;
}

static int publisher__start(struct worker *w, const json_t *config)
{
	struct publisher *pub = calloc(1, sizeof(*pub));
	const char *stream;
	int err;

	if (!pub)
		return fault__set(&w->fault, -ENOMEM, "cannot start the publisher",
				  "out of memory");
	pub->w = w;
	w->state = pub;
	pthread_mutex_init(&pub->lock, NULL);
	if (args__string(config, "stream", "EVENTS_BENCH", &stream, &w->fault))
		return w->fault.err;
	if (strlen(stream) >= sizeof(pub->stream))
		return fault__set(&w->fault, -EINVAL, "cannot start the publisher",
				  "the name of the stream is too long");
	memcpy(pub->stream, stream, strlen(stream) + 1);
	if (envelope_ids__init(&pub->ids))
		return fault__set(&w->fault, -EIO, "cannot start the publisher",
				  "no random numbers");
	err = publisher__contexts(pub);
	return err ? err : publisher__stream(pub, config);
}

/* Publishing. */

/* Makes the message of event number i of the run. */
static natsStatus publisher__message(struct publisher *pub, const struct publisher_run *run,
				     uint64_t i, const char *slot, msgpack_sbuffer *out,
				     natsMsg **msg)
{
	const char *subject = run->subjects[i % run->n_subjects];
	const char *domain = strchr(subject, '.');
	const char *type = domain ? strchr(domain + 1, '.') : NULL;
	char id[UUID_LEN + 1], now[TIMESTAMP_LEN + 1];
	struct envelope e = {
		.message_id = slice__of(id, UUID_LEN),
		.trace_id = slice__of(id, UUID_LEN),
		.timestamp = slice__of(now, TIMESTAMP_LEN),
		.source = slice__str(pub->w->name),
		.event_type = slice__str(type ? type + 1 : subject),
		.run_id = slice__str(run->run_id),
		.id = run->first_id + i,
		.payload = slice__of(run->payload, run->payload_len),
	};

	/* events.<domain>.<type> */
	if (type)
		e.domain = slice__of(domain + 1, (size_t)(type - domain - 1));
	envelope_ids__format(&pub->ids, pub->seq++, id);
	envelope__timestamp(now);
	msgpack_sbuffer_clear(out);
	if (envelope__encode(out, ENVELOPE_EVENT, &e))
		return NATS_NO_MEMORY;
	return natsMsg_Create(msg, subject, slot, out->data, (int)out->size);
}

static void publisher__publish(struct publisher *pub, struct publisher_run *run, uint64_t i,
			       size_t index, msgpack_sbuffer *out)
{
	struct pool *p = &pub->w->pool;
	natsConnection *nc = pool__pick(p, i);
	natsMsg *msg = NULL;
	char slot[48];
	natsStatus s;
	size_t link;

	for (link = 0; p->links[link].nc != nc; link++)
		;
	snprintf(slot, sizeof(slot), "%" PRIu64 ".%zu", pub->generation, index);
	s = publisher__message(pub, run, i, slot, out, &msg);
	pthread_mutex_lock(&pub->lock);
	pub->slots[index].status = PUBLISH_PENDING;
	pub->slots[index].sent_ns = clock__now();
	pthread_mutex_unlock(&pub->lock);
	if (s == NATS_OK)
		s = js_PublishMsgAsync(pub->js[link], &msg, NULL);
	run->attempted++;
	if (s == NATS_OK) {
		run->published++;
		return;
	}
	pthread_mutex_lock(&pub->lock);
	pub->slots[index].status = publisher__status(s);
	snprintf(pub->last_error, sizeof(pub->last_error), "%s", natsStatus_GetText(s));
	pthread_mutex_unlock(&pub->lock);
	natsMsg_Destroy(msg);
}

/*
 * Waits for the batch's acks.
 *
 * js_PublishAsync() has two traps. Without SendAsap it leaves the end of a batch to a flusher
 * thread that first sleeps 1 ms to gather more; with it, every event is a write and a packet of its
 * own. So the connection buffers and the flush at the end of the batch is ours:
 * natsConnection_Flush() writes at once, and the PONG it waits for comes before the acks. Measured,
 * one server, batches of 10 and of 100: flusher 9,900 and 83,000 events/s, SendAsap 29,700 and
 * 69,000, this 33,000 and 96,000.
 */
static void publisher__await(struct publisher *pub, uint64_t deadline)
{
	struct pool *p = &pub->w->pool;
	natsMsgList late;
	jsPubOptions o;
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (atomic_load(&p->links[i].up))
			natsConnection_FlushTimeout(p->links[i].nc, clock__left_ms(deadline) + 1);
	}
	for (i = 0; i < p->n; i++) {
		jsPubOptions_Init(&o);
		o.MaxWait = clock__left_ms(deadline) + 1;
		if (js_PublishAsyncComplete(pub->js[i], &o) == NATS_OK)
			continue;
		/* What is not acknowledged by now never will be: take it out of the library. */
		if (js_PublishAsyncGetPendingList(&late, pub->js[i]) == NATS_OK)
			natsMsgList_Destroy(&late);
	}
}

static void publisher_run__end_gap(struct publisher_run *run)
{
	if (run->gap_n && json_array_size(run->not_acked) < PUBLISHER_GAPS_MAX)
		json_array_append_new(run->not_acked, json_pack("[I,I]", (json_int_t)run->gap,
								(json_int_t)run->gap_n));
	run->gap_n = 0;
}

/* What nobody promised to keep is not missing when it does not arrive. */
static void publisher_run__not_acked(struct publisher_run *run, uint64_t id, uint64_t n)
{
	if (!run->gap_n || run->gap + run->gap_n != id) {
		publisher_run__end_gap(run);
		run->gap = id;
	}
	run->gap_n += n;
}

/* Adds the batch up, which begins with event `first`, and closes it to late acks. Returns how many
 * were acknowledged. */
static size_t publisher__settle(struct publisher *pub, struct publisher_run *run, uint64_t first,
				size_t n)
{
	size_t i, acked = 0;

	pthread_mutex_lock(&pub->lock);
	pub->generation++;
	for (i = 0; i < n; i++) {
		if (pub->slots[i].status == PUBLISH_PENDING) {
			pub->slots[i].status = PUBLISH_TIMEOUT;
			snprintf(pub->last_error, sizeof(pub->last_error), "no ack in time");
		}
		if (pub->slots[i].status == PUBLISH_ACKED)
			acked++;
		else
			publisher_run__not_acked(run, run->first_id + first + i, 1);
		run->count[pub->slots[i].status]++;
	}
	pthread_mutex_unlock(&pub->lock);
	return acked;
}

static void publisher__batches(struct publisher *pub, struct publisher_run *run)
{
	unsigned int lost = 0;
	msgpack_sbuffer out;
	uint64_t i = 0;
	size_t k, n;

	msgpack_sbuffer_init(&out);
	run->start_ns = clock__now();
	while (i < run->events && lost < PUBLISHER_LOST_MAX &&
	       !worker__should_stop(pub->w, run->limit_ns)) {
		n = run->events - i < run->batch ? (size_t)(run->events - i) : run->batch;
		for (k = 0; k < n; k++)
			publisher__publish(pub, run, i + k, k, &out);
		publisher__await(pub, clock__now() + run->timeout_ns);
		lost = publisher__settle(pub, run, i, n) ? 0 : lost + 1;
		i += n;
	}
	run->end_ns = clock__now();
	if (i < run->events)
		publisher_run__not_acked(run, run->first_id + i, run->events - i);
	publisher_run__end_gap(run);
	msgpack_sbuffer_destroy(&out);
}

static int publisher_run__init(struct publisher_run *run, struct publisher *pub, const json_t *args)
{
	struct fault *f = &pub->w->fault;
	long long events, batch, payload, timeout_ms, first_id;
	struct slot *slots;
	double limit_s;

	if (args__count(args, "events", 10000, 1, PUBLISHER_EVENTS_MAX, &events, f) ||
	    args__count(args, "batch", 100, 1, PUBLISHER_BATCH_MAX, &batch, f) ||
	    args__count(args, "payload", 128, 0, 1 << 20, &payload, f) ||
	    args__count(args, "timeout_ms", 10000, 1, 3600000, &timeout_ms, f) ||
	    args__count(args, "first_id", 0, 0, INT64_MAX / 2, &first_id, f) ||
	    args__real(args, "limit_s", 0, 0, 86400, &limit_s, f) ||
	    args__string(args, "run_id", "run", &run->run_id, f) ||
	    args__strings(args, "subject", &run->subjects, &run->n_subjects, f))
		return f->err;
	if (!run->n_subjects)
		return fault__set(f, -EINVAL, "cannot publish", "no \"subjects\"");
	run->events = (uint64_t)events;
	run->batch = (size_t)batch;
	run->payload_len = (size_t)payload;
	run->timeout_ns = (uint64_t)timeout_ms * NS_PER_MS;
	run->first_id = (uint64_t)first_id;
	if (limit_s > 0)
		run->limit_ns = clock__now() + (uint64_t)(limit_s * 1e9);
	run->payload = calloc(1, run->payload_len + 1);
	run->not_acked = json_array();
	slots = calloc(run->batch, sizeof(*slots));
	if (!run->payload || !run->not_acked || !slots) {
		free(slots);
		return fault__set(f, -ENOMEM, "cannot publish", "out of memory");
	}
	memset(run->payload, 'x', run->payload_len);
	pthread_mutex_lock(&pub->lock);
	free(pub->slots);
	pub->slots = slots;
	pub->n_slots = run->batch;
	pub->generation++;
	memset(&pub->ack, 0, sizeof(pub->ack));
	pub->last_error[0] = '\0';
	pthread_mutex_unlock(&pub->lock);
	return 0;
}

static json_t *publisher__done(struct publisher *pub, const struct publisher_run *run,
			       const uint64_t before[2])
{
	double seconds = (double)(run->end_ns - run->start_ns) / 1e9;
	uint64_t acked = run->count[PUBLISH_ACKED], failed = run->attempted - acked;
	struct pool *p = &pub->w->pool;
	json_t *errors = json_object(), *o;

#define PUBLISH_PUT(id, name) \
	json_object_set_new(errors, #name, json_integer((json_int_t)run->count[id]));
	PUBLISH_ERRORS(PUBLISH_PUT)
#undef PUBLISH_PUT
	pub->total[0] += run->published;
	pub->total[1] += acked;
	pub->total[2] += failed;
	pthread_mutex_lock(&pub->lock);
	o = json_pack("{s:s,s:I,s:I,s:I,s:O,s:o,s:s,s:f,s:I,s:I,s:o,s:o,s:I,s:I,s:b}", "event",
		      "done", "published", (json_int_t)run->published, "acked", (json_int_t)acked,
		      "failed", (json_int_t)failed, "not_acked", run->not_acked, "errors", errors,
		      "last_error", pub->last_error, "duration_s", seconds, "start_ns",
		      (json_int_t)run->start_ns, "end_ns", (json_int_t)run->end_ns, "rate_per_s",
		      seconds > 0 ? json_real((double)acked / seconds) : json_null(), "ack",
		      load_hist__to_json(&pub->ack), "disconnects",
		      (json_int_t)(p->disconnects - before[0]), "reconnects",
		      (json_int_t)(p->reconnects - before[1]), "aborted",
		      run->attempted < run->events || atomic_load(&pub->w->stop));
	pthread_mutex_unlock(&pub->lock);
	return o;
}

static json_t *publisher__command(struct worker *w, const char *cmd, const json_t *args)
{
	uint64_t before[2] = {w->pool.disconnects, w->pool.reconnects};
	struct publisher *pub = w->state;
	struct publisher_run run = {0};
	json_t *answer = NULL;
	bool purge;

	if (strcmp(cmd, "run") != 0) {
		w->fault.err = -ENOSYS;
		return NULL;
	}
	if (args__flag(args, "purge", false, &purge, &w->fault))
		return NULL;
	if (publisher_run__init(&run, pub, args) == 0) {
		natsStatus s =
			purge ? js_PurgeStream(pub->js[0], pub->stream, NULL, NULL) : NATS_OK;

		if (s != NATS_OK) {
			pool__fault(&w->fault, s, "cannot purge the stream");
		} else {
			publisher__batches(pub, &run);
			answer = publisher__done(pub, &run, before);
		}
	}
	free(run.subjects);
	free(run.payload);
	json_decref(run.not_acked);
	return answer;
}

static void publisher__stats(struct worker *w, json_t *out)
{
	const struct publisher *pub = w->state;

	json_object_set_new(out, "published", json_integer((json_int_t)pub->total[0]));
	json_object_set_new(out, "acked", json_integer((json_int_t)pub->total[1]));
	json_object_set_new(out, "failed", json_integer((json_int_t)pub->total[2]));
}

static void publisher__stop(struct worker *w)
{
	struct publisher *pub = w->state;
	size_t i;

	if (!pub || !pub->js)
		return;
	if (pub->created)
		js_DeleteStream(pub->js[0], pub->stream, NULL, NULL);
	for (i = 0; i < w->pool.n; i++)
		jsCtx_Destroy(pub->js[i]);
	free(pub->js);
	pub->js = NULL;
}

static void publisher__free(struct worker *w)
{
	struct publisher *pub = w->state;

	if (!pub)
		return;
	pthread_mutex_destroy(&pub->lock);
	free(pub->slots);
	free(pub);
	w->state = NULL;
}

const struct load_role load_role_publisher = {
	.name = "publisher",
	.send_asap = false,
	.default_pool = 1,
	.max_pool = 64,
	.start = publisher__start,
	.command = publisher__command,
	.stats = publisher__stats,
	.stop = publisher__stop,
	.free = publisher__free,
};
