/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the time of a round trip went: a path that exchanges took (model/hops.h) as edges in the
 * order of time, there and back. The means of the edges add up to the mean of the round trip, as
 * the gaps of which they are made do (include/hop.h). An edge's p50 and p99 are its own and add up
 * to nothing. One exchange is a waterfall, too: all of an edge's figures are then the same.
 */
#ifndef HOPSCOPE_WATERFALL_H
#define HOPSCOPE_WATERFALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/hops.h"

#define WATERFALL_EDGES	   (2 * HOP_SPANS)
#define WATERFALL_PLACES   (WATERFALL_EDGES + 3)
#define WATERFALL_NAME_LEN (COMM_LEN + HOPS_CONTAINER_LEN + 16)

enum waterfall_kind {
	WATERFALL_NETWORK = 1, /* between the two ends of a connection */
	WATERFALL_PROCESS = 2, /* in a process, between two of its sockets */
	WATERFALL_OPAQUE = 3,  /* not visible: a tunnel, TLS, another host. Residual */
	WATERFALL_SERVICE = 4, /* in the process that answers */
	WATERFALL_BEYOND = 5,  /* behind the last socket that could be seen. Residual */
};

enum waterfall_direction { WATERFALL_THERE = 1, WATERFALL_BACK = 2, WATERFALL_IN = 3 };

struct waterfall_span {
	uint8_t parent;	 /* index, below its own; 0 for the first */
	uint8_t depth;	 /* 0 for the first */
	uint8_t process; /* index of the first span of its process */
	uint8_t kind;	 /* enum hop_kind: what lies between it and its parent */
	uint8_t proto, role;
	bool request_in;
	uint16_t port;
	uint32_t tgid; /* of a timeline; 0: not known */
	char comm[COMM_LEN + 1];
	char container[HOPS_CONTAINER_LEN];
	/* Of a timeline, relative to the first one's request, ns. NaN: not known. */
	double request_ns, reply_ns, queue_request_ns, queue_reply_ns, run_queue_ns;
};

/* Figures in ns; NaN: not known, or nothing to know. Others are indices of spans. */
struct waterfall_edge {
	uint8_t span; /* whose gap it is: there before it, back and in behind it */
	uint8_t from, to;
	uint8_t within; /* there and back: the parent; in: the span itself */
	uint8_t other;	/* there and back: the child to which it leads, or from which it comes */
	uint8_t kind, direction;
	bool queues; /* a message is read from a socket's queue in it: that of span `queue` */
	uint8_t queue;
	double mean_ns, p50_ns, p99_ns;
	double start_ns; /* sum of the means before it */
	double share;	 /* of the round trip's mean, 0 to 1 */
	/* Of it, the message waited in a socket's queue to be read ... */
	double queue_mean_ns, queue_p50_ns, queue_p99_ns;
	/* ... and of that, its reader was awake and waited for a processor. */
	double run_mean_ns, run_p99_ns;
	uint64_t queue_count; /* exchanges of which the wait is known */
};

struct waterfall {
	char route[ROUTE_LEN + 1];
	uint8_t proto, status;
	bool timeline; /* one exchange */
	bool one_way;  /* a message to a subscriber, that is not answered: only edges there */
	bool sampled;  /* of a timeline: taken by chance, not for being slow */
	uint64_t count;
	uint64_t route_count;	    /* of all paths of the route; exchanges and deliveries apart */
	uint32_t variant, variants; /* this one is number 1 .. of so many of the route */
	double mean_ns, p50_ns, p99_ns, max_ns; /* of the round trip */
	double residual_ns;			/* mean of the residual edges' sum */
	double unsettled_ns; /* mean less the edges' sum: not 0 only where read in motion */
	struct waterfall_span span[HOP_SPANS];
	uint8_t n_spans;
	struct waterfall_edge edge[WATERFALL_EDGES]; /* in the order of time */
	size_t n_edges;
};

/* Where the time of a waterfall was spent, there and back and all sockets taken together. */
struct waterfall_place {
	uint8_t kind; /* PROCESS stands for SERVICE, too */
	uint8_t span; /* of a process, and of what is beyond: one of its spans */
	double mean_ns, share;
};

struct waterfalls {
	struct waterfall *v; /* owned. Routes by count, the paths of a route by count */
	size_t n;
	uint64_t count[HOP_COUNTS]; /* enum hop_count */
};

/*
 * The paths whose route `wanted` accepts (NULL: all), without those that nothing took. 0 or
 * -ENOMEM, and nothing to free then.
 */
typedef bool (*waterfall_route_fn)(const void *ctx, const char *route);
int waterfalls__build(struct waterfalls *out, const struct hops *h, waterfall_route_fn wanted,
		      const void *ctx);
void waterfalls__free(struct waterfalls *w);
/* Sorts as `v` says, and counts routes and variants. */
void waterfalls__sort(struct waterfalls *w);

/* One path. false: it has no spans, or nothing took it. */
bool waterfall__of_path(struct waterfall *out, const struct hops_path *p);
/* One exchange, by waterfall__measure(). */
bool waterfall__of_timeline(struct waterfall *out, const struct hops_timeline *t);

/*
 * For those who have spans from elsewhere, a timeline's with their times: everything else. Spans
 * that are not nested in their parent (there should be none) are left out with what is in them.
 * false: there is none, or they are not in order.
 */
bool waterfall__measure(struct waterfall *w);
/* The same without times: depths, and edges without figures. */
bool waterfall__plan(struct waterfall *w);
/* Is an edge of the kind a part of the residual, which cannot be seen? */
bool waterfall_kind__is_residual(uint8_t kind);

/* With the means of the round trip and of the edges: starts, shares, residual, unsettled. */
void waterfall__sum(struct waterfall *w);

/*
 * Largest first; their number. Their means add up to the edges'. A process is what spans share that
 * are linked by HOP_PROCESS, or on which requests come in at the same port of the same program.
 */
size_t waterfall__places(const struct waterfall *w, struct waterfall_place *places);

/*
 * "nats-server @n1 :4222". The container is as short as its difference from others of the waterfall
 * allows, and left out where it is the root or has the program's name. `port`: with it. Not
 * printable as it is: names come from others.
 */
void waterfall__name(const struct waterfall *w, size_t span, bool port, char *buf, size_t size);
const char *waterfall__container(const struct waterfall *w, size_t span); /* that part */
/*
 * What its name needs to tell a process, given by its first span, from others of the waterfall: the
 * port, or (two clients of one server) the role.
 */
enum waterfall_telling { WATERFALL_NAME, WATERFALL_BY_PORT, WATERFALL_BY_ROLE };
enum waterfall_telling waterfall__telling(const struct waterfall *w, size_t span);

const char *waterfall_kind__name(unsigned int kind);
const char *waterfall_direction__name(unsigned int direction);

#endif
