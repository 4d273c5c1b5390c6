/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/clock.h"

#define POOL_CONNECT_MS	 2000 /* one attempt at one server */
#define POOL_WRITE_MS	 2000 /* a write that blocks longer ends the connection */
#define POOL_PING_MS	 10000
#define POOL_RETRY_MS	 100
#define POOL_PROBE_MS	 20 /* wait for a probe before it is sent again */
#define POOL_PROBE_NODES 16

/* nats.c's own words without "(conn.c:2088): ". */
static const char *pool__words(const char *text)
{
	const char *end = text && text[0] == '(' ? strstr(text, "): ") : NULL;

	if (!text)
		return "";
	return end ? end + 3 : text;
}

int pool__fault(struct fault *f, natsStatus s, const char *what)
{
	const char *status = natsStatus_GetText(s);
	const char *more = pool__words(nats_GetLastError(NULL));
	int err = -EIO;

	if (s == NATS_TIMEOUT)
		err = -ETIMEDOUT;
	else if (s == NATS_NO_MEMORY)
		err = -ENOMEM;
	else if (s == NATS_NO_SERVER)
		err = -ECONNREFUSED;
	if (!more[0] || strcmp(more, status) == 0)
		return fault__set(f, err, what, "%s", status);
	if (s == NATS_ERR) /* "Error" */
		return fault__set(f, err, what, "%s", more);
	return fault__set(f, err, what, "%s: %s", status, more);
}

/* These three run in nats.c's callback thread. */
static void pool__on_down(natsConnection *nc, void *closure)
{
	struct pool_link *link = closure;

	(void)nc;
	atomic_store(&link->up, false);
	if (!atomic_load(&link->pool->closing))
		atomic_fetch_add(&link->pool->disconnects, 1);
}

static void pool__on_up(natsConnection *nc, void *closure)
{
	struct pool_link *link = closure;

	(void)nc;
	atomic_store(&link->up, true);
	atomic_fetch_add(&link->pool->reconnects, 1);
}

static void pool__on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *closure)
{
	struct pool *p = ((struct pool_link *)closure)->pool;
	const char *text = NULL;

	(void)sub;
	atomic_fetch_add(s == NATS_SLOW_CONSUMER ? &p->slow_consumers : &p->async_errors, 1);
	natsConnection_GetLastError(nc, &text);
	pthread_mutex_lock(&p->lock);
	snprintf(p->last_error, sizeof(p->last_error), "%s%s%s", natsStatus_GetText(s),
		 text && text[0] ? ": " : "", text ? text : "");
	pthread_mutex_unlock(&p->lock);
}

static natsStatus pool__options(natsOptions **out, const struct pool_config *c, const char **urls,
				size_t n_urls)
{
	natsOptions *o = NULL;
	natsStatus s = natsOptions_Create(&o);

	if (s == NATS_OK)
		s = natsOptions_SetServers(o, urls, (int)n_urls);
	/* Which node a connection belongs to is part of the measurement. */
	if (s == NATS_OK)
		s = natsOptions_SetNoRandomize(o, true);
	if (s == NATS_OK)
		s = natsOptions_SetIgnoreDiscoveredServers(o, true);
	if (s == NATS_OK)
		s = natsOptions_SetName(o, c->name);
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(o, POOL_CONNECT_MS);
	/* Without it a stopped peer blocks the writer, who holds the connection's lock, forever. */
	if (s == NATS_OK)
		s = natsOptions_SetWriteDeadline(o, POOL_WRITE_MS);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(o, POOL_PING_MS);
	if (s == NATS_OK)
		s = natsOptions_SetSendAsap(o, c->send_asap);
	if (s != NATS_OK) {
		natsOptions_Destroy(o);
		return s;
	}
	*out = o;
	return NATS_OK;
}

static natsStatus pool__link_options(natsOptions *o, struct pool_link *link)
{
	natsStatus s = natsOptions_SetMaxReconnect(o, -1);

	if (s == NATS_OK)
		s = natsOptions_SetReconnectWait(o, POOL_RETRY_MS);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectJitter(o, POOL_RETRY_MS / 2, POOL_RETRY_MS / 2);
	/* A request under way when its connection dies is an error now, not at its timeout. */
	if (s == NATS_OK)
		s = natsOptions_SetFailRequestsOnDisconnect(o, true);
	if (s == NATS_OK)
		s = natsOptions_SetDisconnectedCB(o, pool__on_down, link);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(o, pool__on_up, link);
	if (s == NATS_OK)
		s = natsOptions_SetErrorHandler(o, pool__on_error, link);
	return s;
}

static bool pool__not_yet(natsStatus s)
{
	return s == NATS_NO_SERVER || s == NATS_TIMEOUT || s == NATS_IO_ERROR ||
	       s == NATS_CONNECTION_CLOSED || s == NATS_CONNECTION_DISCONNECTED;
}

/* Connection i, its servers turned so that urls[i % n] is tried first. */
static natsStatus pool__connect(struct pool *p, const struct pool_config *c, size_t i,
				uint64_t deadline)
{
	const char **turned = calloc(c->n_urls, sizeof(*turned));
	struct pool_link *link = &p->links[i];
	natsOptions *o = NULL;
	natsStatus s = NATS_NO_MEMORY;
	size_t k;

	if (!turned)
		return s;
	for (k = 0; k < c->n_urls; k++)
		turned[k] = c->urls[(i + k) % c->n_urls];
	link->pool = p;
	s = pool__options(&o, c, turned, c->n_urls);
	if (s == NATS_OK)
		s = pool__link_options(o, link);
	while (s == NATS_OK) {
		s = natsConnection_Connect(&link->nc, o);
		if (s == NATS_OK || !pool__not_yet(s) || clock__now() >= deadline)
			break;
		clock__sleep_ms(POOL_RETRY_MS / 2);
		s = NATS_OK;
	}
	if (s == NATS_OK)
		atomic_store(&link->up, true);
	natsOptions_Destroy(o);
	free(turned);
	return s;
}

int pool__open(struct pool *p, const struct pool_config *c, struct fault *f)
{
	uint64_t deadline = clock__now() + c->connect_timeout_ms * NS_PER_MS;
	char what[160];
	natsStatus s;
	size_t i;

	memset(p, 0, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	p->links = calloc(c->n, sizeof(*p->links));
	if (!p->links)
		return fault__set(f, -ENOMEM, "cannot connect", "out of memory");
	for (i = 0; i < c->n; i++) {
		p->n = i + 1;
		s = pool__connect(p, c, i, deadline);
		if (s != NATS_OK) {
			snprintf(what, sizeof(what), "cannot connect to %s",
				 c->urls[i % c->n_urls]);
			return pool__fault(f, s, what);
		}
	}
	return 0;
}

int pool__subscribe(struct pool *p, size_t link, const char *subject, const char *queue,
		    natsMsgHandler handler, void *closure, natsSubscription **out, struct fault *f)
{
	natsConnection *nc = p->links[link].nc;
	natsSubscription **subs, *sub = NULL;
	char what[160];
	natsStatus s;

	subs = realloc(p->subs, (p->n_subs + 1) * sizeof(natsSubscription *));
	if (!subs)
		return fault__set(f, -ENOMEM, "cannot subscribe", "out of memory");
	p->subs = subs;
	s = queue ? natsConnection_QueueSubscribe(&sub, nc, subject, queue, handler, closure)
		  : natsConnection_Subscribe(&sub, nc, subject, handler, closure);
	if (s == NATS_OK) {
		subs[p->n_subs++] = sub;
		s = natsSubscription_SetPendingLimits(sub, -1, -1);
	}
	if (s != NATS_OK) {
		snprintf(what, sizeof(what), "cannot subscribe to %s", subject);
		return pool__fault(f, s, what);
	}
	if (out)
		*out = sub;
	return 0;
}

/* Publishes to the inbox from one node until the message comes out of `sub`. */
static natsStatus pool__probe(natsConnection *node, natsSubscription *sub, const char *inbox,
			      uint64_t deadline)
{
	natsMsg *msg = NULL;
	natsStatus s;

	do {
		s = natsConnection_Publish(node, inbox, NULL, 0);
		if (s == NATS_OK)
			s = natsSubscription_NextMsg(&msg, sub, POOL_PROBE_MS);
		natsMsg_Destroy(msg);
		msg = NULL;
	} while (s == NATS_TIMEOUT && clock__now() < deadline);
	return s;
}

/*
 * A node passes subscriptions on in the order in which it got them. So a subscription made last,
 * to an inbox nobody else knows, is known to a node only after all the others are; and no message
 * of the workload is needed to find out, which a stream would store and a subscriber count.
 */
static natsStatus pool__probe_link(natsConnection *nc, natsConnection **nodes, size_t n,
				   uint64_t deadline)
{
	natsSubscription *sub = NULL;
	natsStatus s = NATS_OK;
	natsInbox *inbox;
	size_t i;

	for (i = 0; s == NATS_OK && i < n; i++) {
		inbox = NULL;
		s = natsInbox_Create(&inbox);
		if (s == NATS_OK)
			s = natsConnection_SubscribeSync(&sub, nc, inbox);
		if (s == NATS_OK)
			s = natsConnection_FlushTimeout(nc, POOL_CONNECT_MS);
		if (s == NATS_OK)
			s = pool__probe(nodes[i], sub, inbox, deadline);
		natsSubscription_Destroy(sub);
		natsInbox_Destroy(inbox);
		sub = NULL;
	}
	return s;
}

int pool__await_interest(struct pool *p, const struct pool_config *c, unsigned int timeout_ms,
			 struct fault *f)
{
	uint64_t deadline = clock__now() + timeout_ms * NS_PER_MS;
	struct pool_config probe = *c;
	natsConnection *nodes[POOL_PROBE_NODES];
	natsStatus s = NATS_OK;
	natsOptions *o;
	size_t i, n = 0;

	probe.send_asap = true;
	for (i = 0; s == NATS_OK && i < c->n_probe_urls && n < POOL_PROBE_NODES; i++) {
		o = NULL;
		s = pool__options(&o, &probe, &c->probe_urls[i], 1);
		if (s == NATS_OK)
			s = natsOptions_SetAllowReconnect(o, false);
		if (s == NATS_OK)
			s = natsConnection_Connect(&nodes[n], o);
		if (s == NATS_OK)
			n++;
		else if (pool__not_yet(s))
			s = NATS_OK; /* nobody can publish at a node that is down */
		natsOptions_Destroy(o);
	}
	for (i = 0; s == NATS_OK && i < p->n; i++)
		s = pool__probe_link(p->links[i].nc, nodes, n, deadline);
	while (n)
		natsConnection_Destroy(nodes[--n]);
	if (s == NATS_OK)
		return 0;
	return pool__fault(f, s, "the subscriptions did not reach every node of probe_urls");
}

natsConnection *pool__pick(const struct pool *p, uint64_t i)
{
	size_t first = (size_t)(i % p->n), k, at;

	for (k = 0; k < p->n; k++) {
		at = (first + k) % p->n;
		if (atomic_load_explicit(&p->links[at].up, memory_order_relaxed))
			return p->links[at].nc;
	}
	return p->links[first].nc;
}

bool pool__any_up(const struct pool *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (atomic_load_explicit(&p->links[i].up, memory_order_relaxed))
			return true;
	}
	return false;
}

void pool__stats(struct pool *p, json_t *out)
{
	uint64_t in_msgs, in_bytes, out_msgs, out_bytes, reconnects;
	uint64_t sum[4] = {0};
	natsStatistics *st = NULL;
	size_t i, up = 0;

	if (natsStatistics_Create(&st) == NATS_OK) {
		for (i = 0; i < p->n; i++) {
			up += atomic_load(&p->links[i].up);
			if (!p->links[i].nc || natsConnection_GetStats(p->links[i].nc, st) ||
			    natsStatistics_GetCounts(st, &in_msgs, &in_bytes, &out_msgs, &out_bytes,
						     &reconnects))
				continue;
			sum[0] += in_msgs;
			sum[1] += in_bytes;
			sum[2] += out_msgs;
			sum[3] += out_bytes;
		}
		natsStatistics_Destroy(st);
	}
	json_object_set_new(out, "connections", json_integer((json_int_t)p->n));
	json_object_set_new(out, "connections_up", json_integer((json_int_t)up));
	json_object_set_new(out, "disconnects", json_integer((json_int_t)p->disconnects));
	json_object_set_new(out, "reconnects", json_integer((json_int_t)p->reconnects));
	json_object_set_new(out, "slow_consumers", json_integer((json_int_t)p->slow_consumers));
	json_object_set_new(out, "async_errors", json_integer((json_int_t)p->async_errors));
	json_object_set_new(out, "in_msgs", json_integer((json_int_t)sum[0]));
	json_object_set_new(out, "in_bytes", json_integer((json_int_t)sum[1]));
	json_object_set_new(out, "out_msgs", json_integer((json_int_t)sum[2]));
	json_object_set_new(out, "out_bytes", json_integer((json_int_t)sum[3]));
	pthread_mutex_lock(&p->lock);
	json_object_set_new(out, "last_error",
			    p->last_error[0] ? json_string(p->last_error) : json_null());
	pthread_mutex_unlock(&p->lock);
}

void pool__close(struct pool *p, unsigned int timeout_ms)
{
	uint64_t deadline = clock__now() + timeout_ms * NS_PER_MS;
	natsConnection *nc;
	size_t i;

	/*
	 * Closing alone would throw away what is buffered: nats.c sets SO_LINGER to 0, so the peer
	 * gets a reset. Draining flushes first, and waits for the handlers.
	 */
	atomic_store(&p->closing, true);
	for (i = 0; i < p->n; i++) {
		if (p->links[i].nc)
			natsConnection_DrainTimeout(p->links[i].nc, timeout_ms);
	}
	for (i = 0; i < p->n; i++) {
		nc = p->links[i].nc;
		while (nc && natsConnection_IsDraining(nc) && !natsConnection_IsClosed(nc) &&
		       clock__now() < deadline)
			clock__sleep_ms(1);
	}
}

void pool__free(struct pool *p)
{
	size_t i;

	for (i = 0; i < p->n_subs; i++)
		natsSubscription_Destroy(p->subs[i]);
	for (i = 0; i < p->n; i++)
		natsConnection_Destroy(p->links[i].nc);
	/* The callback thread may still hold a link. */
	nats_CloseAndWait(POOL_CONNECT_MS);
	free(p->subs);
	free(p->links);
	pthread_mutex_destroy(&p->lock);
}
