/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Open-loop calls: one thread sends at the times of the schedule and never waits for an answer;
 * the answers come to an inbox of each connection and find their call by the number at the end of
 * the reply subject. So a service that stalls delays no send, and the calls that queue up behind
 * the stall have the latency that their callers would have had.
 */
#include "load/rpc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/schedule.h"
#include "stack/clock.h"

/* From the command to the first send: the schedule's thread is set up by then. */
#define RPC_OPEN_LEAD_NS (2 * NS_PER_MS)

/* Ends a pending call. Under the lock. */
static void rpc_open__finish(struct rpc *rpc, struct call *call, enum call_status status,
			     uint64_t now)
{
	/* A caller has given up by then, even if the reply beat the end of the run. */
	if (status == CALL_OK && now - call->start_ns > rpc->timeout_ns)
		status = CALL_TIMEOUT;
	call->end_ns = now;
	call->status = status;
	if (++rpc->finished == rpc->expected)
		pthread_cond_signal(&rpc->all);
}

static void rpc_open__on_reply(natsConnection *nc, natsSubscription *sub, natsMsg *msg,
			       void *closure)
{
	uint64_t now = clock__now(); /* first: decoding is not latency */
	struct rpc_inbox *inbox = closure;
	struct rpc *rpc = inbox->rpc;
	uint64_t seq, at;
	size_t payload;
	enum call_status status;

	(void)nc;
	(void)sub;
	seq = strtoull(natsMsg_GetSubject(msg) + inbox->len + 1, NULL, 10);
	pthread_mutex_lock(&rpc->lock);
	payload = rpc->payload;
	pthread_mutex_unlock(&rpc->lock);
	status = natsMsg_IsNoResponders(msg) ? CALL_NO_RESPONDERS
					     : rpc__judge(rpc, &inbox->reader, msg, seq, payload);

	pthread_mutex_lock(&rpc->lock);
	at = seq - rpc->base;
	/* Else it is late, of a run that is over, or a second answer. */
	if (rpc->open && at < rpc->open->n && rpc->open->call[at].status == CALL_PENDING)
		rpc_open__finish(rpc, &rpc->open->call[at], status, now);
	pthread_mutex_unlock(&rpc->lock);
	natsMsg_Destroy(msg);
}

static int rpc_open__listen(struct rpc *rpc, size_t link)
{
	struct rpc_inbox *inbox = &rpc->inboxes[rpc->n_inboxes++];
	struct fault *f = &rpc->w->fault;
	natsInbox *name = NULL;
	char all[80];
	natsStatus s;

	inbox->rpc = rpc;
	s = natsInbox_Create(&name);
	if (s != NATS_OK)
		return pool__fault(f, s, "cannot make an inbox");
	inbox->len = (size_t)snprintf(inbox->subject, sizeof(inbox->subject), "%s", name);
	natsInbox_Destroy(name);
	if (inbox->len >= sizeof(inbox->subject) || envelope_reader__init(&inbox->reader))
		return fault__set(f, -ENOMEM, "cannot make an inbox", "out of memory");
	snprintf(all, sizeof(all), "%s.*", inbox->subject);
	return pool__subscribe(&rpc->w->pool, link, all, NULL, rpc_open__on_reply, inbox, NULL, f);
}

int rpc_open__start(struct rpc *rpc)
{
	size_t i;
	int err = 0;

	rpc->inboxes = calloc(rpc->w->pool.n, sizeof(*rpc->inboxes));
	if (!rpc->inboxes)
		return fault__set(&rpc->w->fault, -ENOMEM, "cannot make an inbox", "out of memory");
	for (i = 0; !err && i < rpc->w->pool.n; i++)
		err = rpc_open__listen(rpc, i);
	return err;
}

/* The inbox of the connection that call i goes out on, and the connection. */
static const struct rpc_inbox *rpc_open__pick(const struct rpc *rpc, size_t i, natsConnection **nc)
{
	const struct pool *p = &rpc->w->pool;
	size_t k;

	*nc = pool__pick(p, i);
	for (k = 0; p->links[k].nc != *nc; k++)
		;
	return &rpc->inboxes[k];
}

static natsStatus rpc_open__publish(const struct rpc_run *run, natsConnection *nc, size_t i,
				    const char *reply, const msgpack_sbuffer *out)
{
	const char *subject = run->targets[i % run->n_targets].subject;
	char trace[TRACEPARENT_LEN + 1];
	natsMsg *msg = NULL;
	natsStatus s;

	if (!run->headers)
		return natsConnection_PublishRequest(nc, subject, reply, out->data, (int)out->size);
	s = natsMsg_Create(&msg, subject, reply, out->data, (int)out->size);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, "traceparent",
				      rpc__traceparent(run->rpc, run->base + i, trace));
	if (s == NATS_OK)
		s = natsConnection_PublishMsg(nc, msg);
	natsMsg_Destroy(msg);
	return s;
}

static void rpc_open__send(struct rpc_run *run, size_t i, const msgpack_sbuffer *out)
{
	struct rpc *rpc = run->rpc;
	struct call *call = &run->calls.call[i];
	const struct rpc_inbox *inbox;
	enum call_status status = CALL_DISCONNECTED;
	natsConnection *nc;
	char reply[96];

	inbox = rpc_open__pick(rpc, i, &nc);
	snprintf(reply, sizeof(reply), "%s.%" PRIu64, inbox->subject, run->base + i);
	pthread_mutex_lock(&rpc->lock);
	call->status = CALL_PENDING;
	call->start_ns = clock__now();
	pthread_mutex_unlock(&rpc->lock);
	/*
	 * With every connection down the call fails at once: nats.c would hold it back until it has
	 * reconnected, or block in the attempt, and the schedule with it.
	 */
	if (pool__any_up(&rpc->w->pool))
		status = rpc__status(rpc_open__publish(run, nc, i, reply, out));
	if (status == CALL_OK)
		return;
	pthread_mutex_lock(&rpc->lock);
	if (call->status == CALL_PENDING)
		rpc_open__finish(rpc, call, status, clock__now());
	pthread_mutex_unlock(&rpc->lock);
}

/* Waits for the answers to `sent` calls, and gives up those that are not answered in time. */
static void rpc_open__settle(struct rpc_run *run, size_t sent)
{
	struct rpc *rpc = run->rpc;
	uint64_t deadline, slice;
	struct timespec until;
	size_t i;

	pthread_mutex_lock(&rpc->lock);
	rpc->expected = sent;
	deadline = sent ? run->calls.call[sent - 1].start_ns + run->timeout_ns : 0;
	while (rpc->finished < sent && clock__now() < deadline && !worker__should_stop(rpc->w, 0)) {
		/* In slices, to see SIGTERM. */
		slice = clock__now() + 100 * NS_PER_MS;
		slice = slice < deadline ? slice : deadline;
		until.tv_sec = (time_t)(slice / NS_PER_S);
		until.tv_nsec = (long)(slice % NS_PER_S);
		pthread_cond_timedwait(&rpc->all, &rpc->lock, &until);
	}
	for (i = 0; i < sent; i++) {
		struct call *call = &run->calls.call[i];

		/* After SIGTERM a call may have had less than its time: that is no timeout. */
		if (call->status == CALL_PENDING)
			rpc_open__finish(rpc, call,
					 clock__now() - call->start_ns >= run->timeout_ns
						 ? CALL_TIMEOUT
						 : CALL_OTHER,
					 clock__now());
	}
	rpc->open = NULL;
	pthread_mutex_unlock(&rpc->lock);
}

int rpc_open__run(struct rpc_run *run)
{
	struct schedule schedule = {.rate = run->rate};
	struct rpc *rpc = run->rpc;
	msgpack_sbuffer out;
	size_t i;
	int err = 0;

	pthread_mutex_lock(&rpc->lock);
	rpc->open = &run->calls;
	rpc->base = run->base;
	rpc->timeout_ns = run->timeout_ns;
	rpc->payload = run->payload_len;
	rpc->finished = 0;
	rpc->expected = SIZE_MAX;
	pthread_mutex_unlock(&rpc->lock);

	msgpack_sbuffer_init(&out);
	schedule__tighten();
	schedule.start_ns = clock__now() + RPC_OPEN_LEAD_NS;
	run->start_ns = schedule.start_ns;
	for (i = 0; i < run->calls.n; i++) {
		err = rpc__encode(run, i, &out); /* before it is due */
		if (err || worker__should_stop(rpc->w, run->limit_ns))
			break;
		run->calls.call[i].intended_ns = schedule__at(&schedule, i);
		schedule__sleep_until(run->calls.call[i].intended_ns);
		rpc_open__send(run, i, &out);
	}
	rpc_open__settle(run, i);
	run->end_ns = clock__now();
	msgpack_sbuffer_destroy(&out);
	return err ? fault__set(&rpc->w->fault, err, "cannot encode a call", "out of memory") : 0;
}
