/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the time of a request went: trees of HTTP requests and the calls that they caused, from the
 * series and edges of a reading. Parts are those of the mean request: they add up to the mean of
 * the whole, with a residual. A part's p50 and p99 are its own and add up to nothing.
 */
#ifndef HOPSCOPE_CRITICAL_PATH_H
#define HOPSCOPE_CRITICAL_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/snapshot.h"

enum path_kind {
	PATH_NETWORK = 1, /* of a call or the request: what its server did not take, both ways */
	PATH_QUEUE = 2,	  /* in the socket's queue, until the server read it */
	PATH_SELF = 3,	  /* in the server, without any call */
	PATH_CHILD = 4,	  /* waiting for calls, of which no more is known (Redis, NATS) */
	PATH_OPAQUE = 5,  /* waiting for a server that is not on this host or cannot be read */
};

#define PATH_NAME_LEN 160

struct path_part {
	enum path_kind kind;
	bool heading; /* a call with its parts below: no part of its own */
	unsigned int depth;
	uint8_t proto;
	char name[PATH_NAME_LEN];
	const char *container; /* "" where not known; the snapshot's */
	double mean_ns;	       /* of one request of the tree's root */
	double p50_ns, p99_ns; /* NaN: has no distribution of its own */
	double share;
	double calls; /* per request of the root; 1 for what is not a call */
};

struct critical_path {
	const char *route;     /* the snapshot's */
	const char *container; /* of the server */
	const char *client;    /* of the caller; "" when it is not on this host */
	uint8_t proto;
	uint64_t count;	 /* answered requests */
	uint64_t failed; /* of them with a status of 500 and above */
	double mean_ns, p50_ns, p99_ns;
	uint64_t linked;   /* calls in this tree */
	uint64_t unlinked; /* calls of its containers of which the request is not known */
	struct path_part *parts;
	size_t n_parts;
	double residual_ns, residual_share;
	bool several; /* servers here also serve requests of other trees: their means are of all */
	bool crossed; /* a server took longer than its caller waited: in the residual */
};

struct critical_paths {
	struct critical_path *paths; /* most time first */
	size_t n;
	uint64_t linked, unlinked;
};

/* 0 or -ENOMEM. What it points to in the snapshot must stay. */
int critical_paths__build(struct critical_paths *out, const struct snapshot *s);
void critical_paths__free(struct critical_paths *p);

const char *path_kind__name(enum path_kind kind);

#endif
