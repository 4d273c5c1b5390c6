/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pool of NATS connections that survives the death of a node and counts what that cost. */
#ifndef HOPSCOPE_LOAD_POOL_H
#define HOPSCOPE_LOAD_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <nats/nats.h>

#include "load/fault.h"

struct pool_link {
	struct pool *pool;
	natsConnection *nc;
	atomic_bool up;
};

struct pool {
	struct pool_link *links;
	size_t n;
	atomic_ullong disconnects;
	atomic_ullong reconnects;
	atomic_ullong slow_consumers; /* times a subscription began to drop */
	atomic_ullong async_errors;   /* anything else nats.c reported from its threads */
	atomic_bool closing;	      /* from here on a lost connection is no news */
	natsSubscription **subs;
	size_t n_subs;
	pthread_mutex_t lock;
	char last_error[160]; /* under lock */
};

struct pool_config {
	const char *name;
	const char **urls;
	size_t n_urls;
	const char **probe_urls;
	size_t n_probe_urls;
	size_t n; /* connections */
	bool send_asap;
	unsigned int connect_timeout_ms;
};

/* Connects. 0, or a negative errno with the fault set; close and free it in either case. */
int pool__open(struct pool *p, const struct pool_config *c, struct fault *f);

/*
 * Subscribes on connection `link`, in a queue group or (NULL) without, with no limit on what waits
 * for the handler: a limit drops messages that the report would then miss. The pool owns the
 * subscription; *out (may be NULL) borrows it.
 */
int pool__subscribe(struct pool *p, size_t link, const char *subject, const char *queue,
		    natsMsgHandler handler, void *closure, natsSubscription **out, struct fault *f);

/*
 * Returns when all subscriptions made so far are known to every node of probe_urls, so that a
 * message published there from now on arrives. Nodes that do not answer are left out.
 */
int pool__await_interest(struct pool *p, const struct pool_config *c, unsigned int timeout_ms,
			 struct fault *f);

/* The connection for the i-th use: round-robin over those that are up; over all if none is. */
natsConnection *pool__pick(const struct pool *p, uint64_t i);
bool pool__any_up(const struct pool *p);

/* Adds the connections' counters to a stats event. */
void pool__stats(struct pool *p, json_t *out);

/*
 * Handles what has arrived, sends what is buffered, closes. Bounded by timeout_ms. The counters can
 * be read until pool__free(), which also ends the library: no handler runs after it.
 */
void pool__close(struct pool *p, unsigned int timeout_ms);
void pool__free(struct pool *p);

/* fault__set with a NATS status as the reason. Returns a negative errno that fits it. */
int pool__fault(struct fault *f, natsStatus s, const char *what);

#endif
