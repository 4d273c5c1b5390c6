/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The role "service": answers RPC requests and counts events, as a service of the SDK does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/envelope.h"
#include "load/schedule.h"
#include "load/worker.h"
#include "stack/clock.h"

struct service;

/* One subscription. nats.c calls its handler from one thread only, so nothing here is locked. */
struct endpoint {
	struct service *service;
	const char *method; /* NULL: events */
	struct envelope_reader reader;
	msgpack_sbuffer out;
	bool tight; /* timer slack of the thread is down */
};

struct service {
	struct worker *w;
	char *name;
	char **methods;
	size_t n_methods;
	struct endpoint *endpoints;
	size_t n_endpoints;
	struct envelope_ids ids;
	atomic_ullong seq;
	uint64_t delay_ns;
	bool no_reply;
	atomic_ullong requests;
	atomic_ullong replies;
	atomic_ullong malformed;
	atomic_ullong reply_errors; /* the answer could not be sent */
	atomic_ullong events;
	atomic_ullong events_malformed;
};

/* result.sum: what a method that looks at its argument does. */
static uint64_t service__sum(struct slice payload)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < payload.n; i++)
		sum += (uint8_t)payload.p[i];
	return sum;
}

/* Encodes the answer to `request` into ep->out; `why`: it was refused. */
static int service__answer(struct endpoint *ep, const struct envelope *request, const char *why)
{
	struct service *svc = ep->service;
	char id[UUID_LEN + 1], now[TIMESTAMP_LEN + 1];
	struct envelope answer = {
		.message_id = slice__of(id, UUID_LEN),
		.trace_id = request->trace_id,
		.correlation_id = request->message_id,
		.timestamp = slice__of(now, TIMESTAMP_LEN),
		.source = slice__str(svc->name),
		.success = !why,
		.error = slice__str(why),
	};

	envelope_ids__format(&svc->ids, atomic_fetch_add(&svc->seq, 1), id);
	envelope__timestamp(now);
	if (!why && strcmp(ep->method, "sum") == 0) {
		answer.has_sum = true;
		answer.sum = service__sum(request->payload);
	} else if (!why) {
		answer.payload = request->payload;
	}
	msgpack_sbuffer_clear(&ep->out);
	return envelope__encode(&ep->out, ENVELOPE_RESPONSE, &answer);
}

static void service__on_request(natsConnection *nc, natsSubscription *sub, natsMsg *msg,
				void *closure)
{
	struct endpoint *ep = closure;
	struct service *svc = ep->service;
	const char *reply = natsMsg_GetReply(msg);
	struct envelope request;
	const char *why;
	int err;

	(void)sub;
	atomic_fetch_add(&svc->requests, 1);
	err = envelope__decode(&ep->reader, ENVELOPE_REQUEST, natsMsg_GetData(msg),
			       (size_t)natsMsg_GetDataLength(msg), &request, &why);
	if (err)
		atomic_fetch_add(&svc->malformed, 1);
	else if (!slice__equal(request.method, slice__str(ep->method)))
		why = "the method is not the subject's";

	if (svc->delay_ns) {
		if (!ep->tight)
			schedule__tighten();
		ep->tight = true;
		schedule__sleep_until(clock__now() + svc->delay_ns);
	}
	if (!svc->no_reply && reply) {
		err = service__answer(ep, &request, why);
		if (!err && natsConnection_Publish(nc, reply, ep->out.data, (int)ep->out.size))
			err = -EIO;
		atomic_fetch_add(err ? &svc->reply_errors : &svc->replies, 1);
	}
	natsMsg_Destroy(msg);
}

static void service__on_event(natsConnection *nc, natsSubscription *sub, natsMsg *msg,
			      void *closure)
{
	struct endpoint *ep = closure;
	struct service *svc = ep->service;
	int len = natsMsg_GetDataLength(msg);
	struct envelope event;
	const char *why;

	(void)nc;
	(void)sub;
	/* Empty: a publisher's way to find out whether its stream can be reached. */
	if (len == 0)
		;
	else if (envelope__decode(&ep->reader, ENVELOPE_EVENT, natsMsg_GetData(msg), (size_t)len,
				  &event, &why))
		atomic_fetch_add(&svc->events_malformed, 1);
	else
		atomic_fetch_add(&svc->events, 1);
	natsMsg_Destroy(msg);
}

/* The next endpoint, subscribed on a connection of the pool. */
static int service__listen(struct service *svc, size_t link, const char *method,
			   const char *subject, const char *queue, struct fault *f)
{
	struct endpoint *ep = &svc->endpoints[svc->n_endpoints++];

	ep->service = svc;
	ep->method = method;
	msgpack_sbuffer_init(&ep->out);
	if (envelope_reader__init(&ep->reader))
		return fault__set(f, -ENOMEM, "cannot start the service", "out of memory");
	return pool__subscribe(&svc->w->pool, link, subject, queue,
			       method ? service__on_request : service__on_event, ep, NULL, f);
}

static int service__listen_all(struct service *svc, const char *queue, const char **events,
			       size_t n_events)
{
	struct fault *f = &svc->w->fault;
	size_t n_links = svc->w->pool.n, i, link;
	char subject[256];
	int err = 0;

	svc->endpoints = calloc(svc->n_methods * n_links + n_events + 1, sizeof(*svc->endpoints));
	if (!svc->endpoints)
		return fault__set(f, -ENOMEM, "cannot start the service", "out of memory");
	for (i = 0; !err && i < svc->n_methods; i++) {
		if (snprintf(subject, sizeof(subject), "rpc.%s.%s", svc->name, svc->methods[i]) >=
		    (int)sizeof(subject))
			return fault__set(f, -EINVAL, "cannot start the service",
					  "the subject for \"%.40s\" is too long", svc->methods[i]);
		for (link = 0; !err && link < n_links; link++)
			err = service__listen(svc, link, svc->methods[i], subject, queue, f);
	}
	/* Without a queue: on one connection only, or every event would come once for each. */
	for (i = 0; !err && i < n_events; i++)
		err = service__listen(svc, 0, NULL, events[i], NULL, f);
	return err;
}

static int service__configure(struct service *svc, const json_t *config, const char **queue)
{
	struct fault *f = &svc->w->fault;
	const char **methods = NULL;
	const char *name = NULL;
	long long delay_us;
	size_t i, n = 0;

	if (args__string(config, "service", svc->w->name, &name, f) ||
	    args__string(config, "queue", name, queue, f) ||
	    args__count(config, "delay_us", 0, 0, 60000000, &delay_us, f) ||
	    args__flag(config, "no_reply", false, &svc->no_reply, f) ||
	    args__strings(config, "method", &methods, &n, f))
		return f->err;
	svc->delay_ns = (uint64_t)delay_us * 1000;
	svc->name = strdup(name);
	svc->methods = calloc(n + 1, sizeof(*svc->methods));
	for (i = 0; svc->methods && i < n; i++) {
		svc->methods[i] = strdup(methods[i]);
		svc->n_methods += svc->methods[i] != NULL;
	}
	free(methods);
	if (!svc->name || svc->n_methods != n || !svc->methods || envelope_ids__init(&svc->ids))
		return fault__set(f, -ENOMEM, "cannot start the service", "out of memory");
	return 0;
}

static int service__start(struct worker *w, const json_t *config)
{
	struct service *svc = calloc(1, sizeof(*svc));
	const char **events = NULL;
	const char *queue = NULL;
	size_t n_events = 0;
	int err;

	if (!svc)
		return fault__set(&w->fault, -ENOMEM, "cannot start the service", "out of memory");
	svc->w = w;
	w->state = svc;
	err = service__configure(svc, config, &queue);
	if (!err)
		err = args__strings(config, "event_subject", &events, &n_events, &w->fault);
	if (!err && svc->n_methods + n_events == 0)
		err = fault__set(&w->fault, -EINVAL, "cannot start the service",
				 "neither \"methods\" nor \"event_subjects\"");
	if (!err)
		err = service__listen_all(svc, queue, events, n_events);
	free(events);
	return err;
}

static json_t *service__command(struct worker *w, const char *cmd, const json_t *args)
{
	(void)cmd;
	(void)args;
	w->fault.err = -ENOSYS;
	return NULL;
}

static void service__stats(struct worker *w, json_t *out)
{
	struct service *svc = w->state;

	json_object_set_new(out, "requests", json_integer((json_int_t)svc->requests));
	json_object_set_new(out, "replies", json_integer((json_int_t)svc->replies));
	json_object_set_new(out, "malformed", json_integer((json_int_t)svc->malformed));
	json_object_set_new(out, "reply_errors", json_integer((json_int_t)svc->reply_errors));
	json_object_set_new(out, "events", json_integer((json_int_t)svc->events));
	json_object_set_new(out, "events_malformed",
			    json_integer((json_int_t)svc->events_malformed));
}

static void service__free(struct worker *w)
{
	struct service *svc = w->state;
	size_t i;

	if (!svc)
		return;
	for (i = 0; i < svc->n_endpoints; i++) {
		envelope_reader__free(&svc->endpoints[i].reader);
		msgpack_sbuffer_destroy(&svc->endpoints[i].out);
	}
	for (i = 0; i < svc->n_methods; i++)
		free(svc->methods[i]);
	free(svc->methods);
	free(svc->endpoints);
	free(svc->name);
	free(svc);
	w->state = NULL;
}

const struct load_role load_role_service = {
	.name = "service",
	.send_asap = true,
	.default_pool = 1,
	.max_pool = 64,
	.start = service__start,
	.command = service__command,
	.stats = service__stats,
	.free = service__free,
};
