/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The role "rpc": request/reply calls, in a closed or an open loop. */
#include "load/rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/clock.h"

#define RPC_TIMEOUT_MS	2000
#define RPC_WARM_MS	5000
#define RPC_WARM_TRY_MS 200 /* one attempt of a warm-up call */
#define RPC_WARM_NAP_MS 5   /* between attempts that nobody answered */

enum call_status rpc__status(natsStatus s)
{
	switch (s) {
	case NATS_OK: return CALL_OK;
	case NATS_TIMEOUT: return CALL_TIMEOUT;
	case NATS_NO_RESPONDERS: return CALL_NO_RESPONDERS;
	case NATS_CONNECTION_CLOSED:
	case NATS_CONNECTION_DISCONNECTED:
	case NATS_STALE_CONNECTION:
	case NATS_INSUFFICIENT_BUFFER: /* full while it reconnects */
	case NATS_IO_ERROR: return CALL_DISCONNECTED;
	default: return CALL_OTHER;
	}
}

int rpc__encode(const struct rpc_run *run, size_t i, msgpack_sbuffer *out)
{
	const struct rpc_target *t = &run->targets[i % run->n_targets];
	char id[UUID_LEN + 1], trace[UUID_LEN + 1], now[TIMESTAMP_LEN + 1];
	struct envelope e = {
		.message_id = slice__of(id, UUID_LEN),
		.trace_id = slice__of(trace, UUID_LEN),
		.timestamp = slice__of(now, TIMESTAMP_LEN),
		.source = slice__str(run->rpc->w->name),
		.target = t->target,
		.method = t->method,
		.payload = slice__of(run->payload, run->payload_len),
	};

	envelope_ids__format(&run->rpc->ids, run->base + i, id);
	envelope_ids__format(&run->rpc->traces, run->base + i, trace);
	envelope__timestamp(now);
	msgpack_sbuffer_clear(out);
	return envelope__encode(out, ENVELOPE_REQUEST, &e);
}

char *rpc__traceparent(const struct rpc *rpc, uint64_t seq, char buf[TRACEPARENT_LEN + 1])
{
	snprintf(buf, TRACEPARENT_LEN + 1, "00-%016llx%016llx-%016llx-01",
		 (unsigned long long)rpc->traces.high,
		 (unsigned long long)(rpc->traces.low | (seq & 0xffffffffffffull)),
		 (unsigned long long)(seq + 1));
	return buf;
}

enum call_status rpc__judge(const struct rpc *rpc, struct envelope_reader *reader, natsMsg *reply,
			    uint64_t seq, size_t payload_len)
{
	char id[UUID_LEN + 1];
	struct envelope e;
	const char *why;

	if (envelope__decode(reader, ENVELOPE_RESPONSE, natsMsg_GetData(reply),
			     (size_t)natsMsg_GetDataLength(reply), &e, &why))
		return CALL_BAD_ENVELOPE;
	if (!e.success)
		return CALL_REMOTE_ERROR;
	envelope_ids__format(&rpc->ids, seq, id);
	if (!slice__equal(e.correlation_id, slice__of(id, UUID_LEN)))
		return CALL_BAD_ENVELOPE;
	if (e.payload.p && e.payload.n != payload_len)
		return CALL_BAD_ENVELOPE;
	return CALL_OK;
}

/* One call, waited for. */
static void rpc__call(struct rpc_run *run, size_t i, natsConnection *nc, uint64_t timeout_ns,
		      msgpack_sbuffer *out, struct envelope_reader *reader)
{
	const char *subject = run->targets[i % run->n_targets].subject;
	int64_t timeout_ms = (int64_t)((timeout_ns + NS_PER_MS - 1) / NS_PER_MS);
	struct call *call = &run->calls.call[i];
	char trace[TRACEPARENT_LEN + 1];
	natsMsg *reply = NULL, *msg = NULL;
	natsStatus s = NATS_OK;

	if (rpc__encode(run, i, out)) {
		call->status = CALL_OTHER;
		return;
	}
	if (run->headers) {
		s = natsMsg_Create(&msg, subject, NULL, out->data, (int)out->size);
		if (s == NATS_OK)
			s = natsMsgHeader_Set(msg, "traceparent",
					      rpc__traceparent(run->rpc, run->base + i, trace));
	}
	call->start_ns = clock__now();
	if (s == NATS_OK && msg)
		s = natsConnection_RequestMsg(&reply, nc, msg, timeout_ms);
	else if (s == NATS_OK)
		s = natsConnection_Request(&reply, nc, subject, out->data, (int)out->size,
					   timeout_ms);
	call->end_ns = clock__now();
	call->status = rpc__status(s);
	if (s == NATS_OK)
		call->status = rpc__judge(run->rpc, reader, reply, run->base + i, run->payload_len);
	natsMsg_Destroy(reply);
	natsMsg_Destroy(msg);
}

/* The closed loop: `concurrency` callers take the next call each. */
struct rpc_callers {
	struct rpc_run *run;
	atomic_size_t next;
};

static void *rpc__caller(void *arg)
{
	struct rpc_callers *callers = arg;
	struct rpc_run *run = callers->run;
	struct worker *w = run->rpc->w;
	struct envelope_reader reader;
	msgpack_sbuffer out;
	size_t i;

	if (envelope_reader__init(&reader))
		return NULL; /* the others make the calls; none left over: attempted says so */
	msgpack_sbuffer_init(&out);
	while (!worker__should_stop(w, run->limit_ns)) {
		i = atomic_fetch_add(&callers->next, 1);
		if (i >= run->calls.n)
			break;
		rpc__call(run, i, pool__pick(&w->pool, i), run->timeout_ns, &out, &reader);
	}
	msgpack_sbuffer_destroy(&out);
	envelope_reader__free(&reader);
	return NULL;
}

static int rpc__closed(struct rpc_run *run)
{
	struct rpc_callers callers = {.run = run};
	pthread_t *threads;
	unsigned int i, started = 0;

	threads = calloc(run->concurrency, sizeof(*threads));
	if (!threads)
		return fault__set(&run->rpc->w->fault, -ENOMEM, "cannot run", "out of memory");
	run->start_ns = clock__now();
	/* This thread is the first caller. */
	for (i = 1; i < run->concurrency; i++) {
		if (pthread_create(&threads[started], NULL, rpc__caller, &callers))
			break;
		started++;
	}
	rpc__caller(&callers);
	while (started)
		pthread_join(threads[--started], NULL);
	run->end_ns = clock__now();
	free(threads);
	return i == run->concurrency ? 0
				     : fault__set(&run->rpc->w->fault, -EAGAIN, "cannot run",
						  "no thread for caller %u", i);
}

/* "rpc.<target>.<method>"; anything else is called whole, its last token the method. */
static void rpc_target__parse(struct rpc_target *t, const char *subject)
{
	const char *from = strncmp(subject, "rpc.", 4) == 0 ? subject + 4 : subject;
	const char *dot = strrchr(from, '.');

	t->subject = subject;
	t->target = dot ? slice__of(from, (size_t)(dot - from)) : slice__str(from);
	t->method = slice__str(dot ? dot + 1 : from);
}

static int rpc_run__targets(struct rpc_run *run, const json_t *args)
{
	struct fault *f = &run->rpc->w->fault;
	const char **subjects;
	size_t i;

	if (args__strings(args, "subject", &subjects, &run->n_targets, f))
		return f->err;
	if (!run->n_targets)
		return fault__set(f, -EINVAL, "cannot run", "no \"subject\" and no \"subjects\"");
	run->targets = calloc(run->n_targets, sizeof(*run->targets));
	for (i = 0; run->targets && i < run->n_targets; i++)
		rpc_target__parse(&run->targets[i], subjects[i]);
	free(subjects);
	return run->targets ? 0 : fault__set(f, -ENOMEM, "cannot run", "out of memory");
}

static char *rpc_run__payload(size_t n)
{
	char *payload = malloc(n ? n : 1);
	uint32_t x = 2463534242u; /* xorshift */
	size_t i;

	for (i = 0; payload && i < n; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		payload[i] = (char)x;
	}
	return payload;
}

static void rpc_run__free(struct rpc_run *run)
{
	calls__free(&run->calls);
	free(run->targets);
	free((char *)run->payload);
}

/* Reads what "run" and "warmup" share and makes `calls` calls ready. */
static int rpc_run__init(struct rpc_run *run, struct rpc *rpc, const json_t *args, size_t calls,
			 bool open, unsigned int default_timeout_ms)
{
	struct fault *f = &rpc->w->fault;
	long long payload, timeout_ms;
	double limit_s;

	run->rpc = rpc;
	if (rpc_run__targets(run, args) ||
	    args__count(args, "payload", 64, 0, RPC_PAYLOAD_MAX, &payload, f) ||
	    args__count(args, "timeout_ms", default_timeout_ms, 1, 3600000, &timeout_ms, f) ||
	    args__real(args, "limit_s", 0, 0, 86400, &limit_s, f) ||
	    args__flag(args, "headers", false, &run->headers, f))
		return f->err;
	run->payload_len = (size_t)payload;
	run->timeout_ns = (uint64_t)timeout_ms * NS_PER_MS;
	run->payload = rpc_run__payload(run->payload_len);
	if (!run->payload || calls__init(&run->calls, calls, open))
		return fault__set(f, -ENOMEM, "cannot run", "no memory for %zu calls", calls);
	if (limit_s > 0)
		run->limit_ns = clock__now() + (uint64_t)(limit_s * 1e9);
	run->base = rpc->seq;
	rpc->seq += calls;
	return 0;
}

static json_t *rpc_run__done(struct rpc_run *run, const char *mode, const uint64_t before[2],
			     bool record)
{
	struct rpc *rpc = run->rpc;
	struct pool *p = &rpc->w->pool;
	json_t *o = calls__to_json(&run->calls, record);
	json_t *extra;
	bool aborted;

	aborted = json_integer_value(json_object_get(o, "attempted")) < (json_int_t)run->calls.n ||
		  atomic_load(&rpc->w->stop);
	extra = json_pack("{s:s,s:s,s:f,s:I,s:I,s:I,s:I,s:b}", "event", "done", "mode", mode,
			  "duration_s", (double)(run->end_ns - run->start_ns) / 1e9, "start_ns",
			  (json_int_t)run->start_ns, "end_ns", (json_int_t)run->end_ns,
			  "disconnects", (json_int_t)(p->disconnects - before[0]), "reconnects",
			  (json_int_t)(p->reconnects - before[1]), "aborted", aborted);
	if (!o || !extra || json_object_update(o, extra)) {
		json_decref(o);
		o = NULL;
	}
	json_decref(extra);
	if (o) {
		rpc->total[0] += (uint64_t)json_integer_value(json_object_get(o, "attempted"));
		rpc->total[1] += (uint64_t)json_integer_value(json_object_get(o, "succeeded"));
		rpc->total[2] += (uint64_t)json_integer_value(json_object_get(o, "failed"));
	}
	return o;
}

static json_t *rpc__run(struct rpc *rpc, const json_t *args)
{
	struct pool *p = &rpc->w->pool;
	uint64_t before[2] = {p->disconnects, p->reconnects};
	struct fault *f = &rpc->w->fault;
	struct rpc_run run = {0};
	long long calls, concurrency;
	json_t *answer = NULL;
	const char *mode;
	bool record, open;
	int err;

	if (args__string(args, "mode", "closed", &mode, f) ||
	    args__count(args, "calls", 200, 1, RPC_CALLS_MAX, &calls, f) ||
	    args__count(args, "concurrency", 1, 1, RPC_CONCURRENCY_MAX, &concurrency, f) ||
	    args__real(args, "rate", 0, 0.001, 1e6, &run.rate, f) ||
	    args__flag(args, "record", false, &record, f))
		return NULL;
	open = strcmp(mode, "open") == 0;
	run.concurrency = (unsigned int)concurrency;
	if (!open && strcmp(mode, "closed") != 0)
		err = fault__set(f, -EINVAL, "cannot run", "\"mode\" is \"closed\" or \"open\"");
	else if (open && run.rate <= 0)
		err = fault__set(f, -EINVAL, "cannot run", "an open loop needs a \"rate\"");
	else
		err = rpc_run__init(&run, rpc, args, (size_t)calls, open, RPC_TIMEOUT_MS);
	if (!err)
		err = open ? rpc_open__run(&run) : rpc__closed(&run);
	if (!err)
		answer = rpc_run__done(&run, open ? "open" : "closed", before, record);
	rpc_run__free(&run);
	return answer;
}

/*
 * Warm-up: every subject through every connection until it answers, so that interest, the
 * connections' first packets and nats.c's own inbox are behind us when the first call is timed.
 */
static bool rpc__warm(struct rpc_run *run, uint64_t deadline, size_t tries[CALL_STATUS_MAX])
{
	struct pool *p = &run->rpc->w->pool;
	struct envelope_reader reader;
	msgpack_sbuffer out;
	uint64_t now;
	size_t i = 0;

	if (envelope_reader__init(&reader))
		return false;
	msgpack_sbuffer_init(&out);
	while (i < run->calls.n && !worker__should_stop(run->rpc->w, 0)) {
		now = clock__now();
		if (now >= deadline)
			break;
		now = deadline - now;
		if (now > RPC_WARM_TRY_MS * NS_PER_MS)
			now = RPC_WARM_TRY_MS * NS_PER_MS;
		/* Subject by subject for a connection, then the next connection. */
		rpc__call(run, i, p->links[i / run->n_targets % p->n].nc, now, &out, &reader);
		tries[run->calls.call[i].status]++;
		if (run->calls.call[i].status == CALL_OK)
			i++;
		else if (run->calls.call[i].status != CALL_TIMEOUT)
			clock__sleep_ms(RPC_WARM_NAP_MS);
	}
	msgpack_sbuffer_destroy(&out);
	envelope_reader__free(&reader);
	return i == run->calls.n;
}

static json_t *rpc__warmup(struct rpc *rpc, const json_t *args)
{
	size_t tries[CALL_STATUS_MAX] = {0};
	struct rpc_run run = {0};
	json_t *answer = NULL;
	long long calls;
	size_t n, i, failed = 0, attempted;
	bool warm;

	if (args__count(args, "calls", 1, 1, RPC_CALLS_MAX, &calls, &rpc->w->fault))
		return NULL;
	run.rpc = rpc;
	if (rpc_run__targets(&run, args))
		return NULL;
	n = run.n_targets * rpc->w->pool.n;
	n = (size_t)calls > n ? (size_t)calls : n;
	free(run.targets);
	if (rpc_run__init(&run, rpc, args, n, false, RPC_WARM_MS) == 0) {
		warm = rpc__warm(&run, clock__now() + run.timeout_ns, tries);
		for (i = CALL_OK + 1; i < CALL_STATUS_MAX; i++)
			failed += tries[i];
		attempted = tries[CALL_OK] + failed;
		answer = json_pack("{s:s,s:b,s:I,s:I,s:I,s:o}", "event", "done", "warm", warm,
				   "attempted", (json_int_t)attempted, "succeeded",
				   (json_int_t)tries[CALL_OK], "failed", (json_int_t)failed,
				   "errors", calls__errors_to_json(tries));
	}
	rpc_run__free(&run);
	return answer;
}

static int rpc__start(struct worker *w, const json_t *config)
{
	struct rpc *rpc = calloc(1, sizeof(*rpc));
	pthread_condattr_t attr;

	(void)config;
	if (!rpc)
		return fault__set(&w->fault, -ENOMEM, "cannot start the caller", "out of memory");
	rpc->w = w;
	w->state = rpc;
	pthread_mutex_init(&rpc->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&rpc->all, &attr);
	pthread_condattr_destroy(&attr);
	if (envelope_ids__init(&rpc->ids) || envelope_ids__init(&rpc->traces))
		return fault__set(&w->fault, -EIO, "cannot start the caller", "no random numbers");
	return rpc_open__start(rpc);
}

static json_t *rpc__command(struct worker *w, const char *cmd, const json_t *args)
{
	if (strcmp(cmd, "run") == 0)
		return rpc__run(w->state, args);
	if (strcmp(cmd, "warmup") == 0)
		return rpc__warmup(w->state, args);
	w->fault.err = -ENOSYS;
	return NULL;
}

static void rpc__stats(struct worker *w, json_t *out)
{
	const struct rpc *rpc = w->state;

	json_object_set_new(out, "attempted", json_integer((json_int_t)rpc->total[0]));
	json_object_set_new(out, "succeeded", json_integer((json_int_t)rpc->total[1]));
	json_object_set_new(out, "failed", json_integer((json_int_t)rpc->total[2]));
}

static void rpc__free(struct worker *w)
{
	struct rpc *rpc = w->state;
	size_t i;

	if (!rpc)
		return;
	for (i = 0; i < rpc->n_inboxes; i++)
		envelope_reader__free(&rpc->inboxes[i].reader);
	pthread_cond_destroy(&rpc->all);
	pthread_mutex_destroy(&rpc->lock);
	free(rpc->inboxes);
	free(rpc);
	w->state = NULL;
}

const struct load_role load_role_rpc = {
	.name = "rpc",
	.send_asap = true,
	.default_pool = 3,
	.max_pool = 64,
	.start = rpc__start,
	.command = rpc__command,
	.stats = rpc__stats,
	.free = rpc__free,
};
