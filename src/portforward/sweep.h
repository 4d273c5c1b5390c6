/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is measured on every way: a base point for each workload, and around it one dimension at a
 * time. And the order in which a round does it.
 */
#ifndef HOPSCOPE_PORTFORWARD_SWEEP_H
#define HOPSCOPE_PORTFORWARD_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

#define PF_MAX_VALUES 8	 /* of a dimension */
#define PF_MAX_POINTS 64 /* of both workloads */

enum pf_workload { PF_NATS = 0, PF_HTTP = 1, PF_WORKLOADS = 2 };

/* "nats", "http". */
const char *pf_workload__name(enum pf_workload w);

struct pf_values {
	unsigned int v[PF_MAX_VALUES]; /* rising */
	size_t n;
};

/* What to sweep. A dimension without values is not swept. */
struct pf_sweep {
	bool workload[PF_WORKLOADS];
	unsigned int payload, concurrency, pool; /* the base */
	struct pf_values payloads, concurrencies, pools;
	unsigned int pool_concurrency; /* calls under way in the sweep of pools */
	/*
	 * A pool as large as there are servers, all of it to one server (one tunnel), and spread
	 * over all of them (a tunnel each). Below 2: not measured.
	 */
	unsigned int tunnels;
	/*
	 * Bytes of the messages of a neighbour: another connection, through the same forwarded port
	 * and through another, that is busy while the base is measured. 0: not measured.
	 */
	unsigned int bulk, bulk_concurrency;
};

enum pf_beside { PF_ALONE = 0, PF_SAME_PORT = 1, PF_OTHER_PORT = 2 };

struct pf_point {
	enum pf_workload workload;
	unsigned int payload;	  /* bytes */
	unsigned int concurrency; /* calls under way */
	unsigned int pool;	  /* connections; of HTTP as many as calls under way */
	unsigned int tunnels;	  /* servers, and so tunnels, over which they are spread */
	enum pf_beside beside;	  /* where the neighbour is */
};

/*
 * The points, each once, the base of a workload before its others. Returns their number, at most
 * PF_MAX_POINTS: there are no more with valid values.
 */
size_t pf_sweep__points(const struct pf_sweep *s, struct pf_point p[PF_MAX_POINTS]);
/* Place of the point in the list; n: it is not there. */
size_t pf_point__find(const struct pf_point *p, size_t n, const struct pf_point *wanted);
bool pf_point__is(const struct pf_point *a, const struct pf_point *b);
/* The base of a workload. */
struct pf_point pf_sweep__base(const struct pf_sweep *s, enum pf_workload w);
/* "NATS, 256 B, 10 at a time, pool of 3 in 3 tunnels". Returns buf. */
char *pf_point__name(const struct pf_point *p, char *buf, size_t size);

/*
 * The order of n ways in a round of a point: each is at each place twice in 2 n rounds, and the
 * direction alternates, so that what drifts hits all alike and none always follows the same one.
 */
void pf_sweep__order(unsigned int round, size_t point, size_t n, size_t *order);

#endif
