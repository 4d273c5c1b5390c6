/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One run of a port-forward scenario: what it was asked for, what it started, what it measured.
 *
 *	pfrun__run()  preconditions -> namespaces, ways, workers (setup.c) -> rounds of load over
 *		      every way in turn (measure.c, slice.c), without the probe; then rounds with
 *		      it for the hops (hops.c) -> verdicts (judge.c) -> session (session.c,
 *		      session_cell.c). Whatever happens, teardown. The order is bench/course.c's.
 */
#ifndef HOPSCOPE_PORTFORWARD_RUN_H
#define HOPSCOPE_PORTFORWARD_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>

#include "bench/bench.h"
#include "bench/machine.h"
#include "bench/remote.h"
#include "model/hist.h"
#include "model/snapshot.h"
#include "model/verdict.h"
#include "portforward/scenario.h"
#include "probe/wire.h"
#include "stack/portforward.h"

#define PFRUN_MAX_TARGETS 256
#define PFRUN_MAX_PLACES  12  /* processes that exchanges reside in, of a way */
#define PFRUN_P99_CALLS	  100 /* of a round, from which on it has a p99 */

/* Load workers of a way that differ in what they connect to. */
#define PFRUN_MAX_WORKERS (PF_MAX_VALUES + 3)

struct pf_worker {
	bool used;
	unsigned int pool, tunnels; /* of NATS; HTTP: connections, 1 */
	struct remote remote;
};

/* Where exchanges were, of the rounds with the probe: sums over exchanges, ns. */
struct pf_place_sum {
	char name[24]; /* the relay's program, "client", "nats-server", "nginx", "responder" */
	bool relay;
	double there, back; /* resided: between two of its sockets, or (server) within it */
	double queue;	    /* of that, waited in a socket's queue to be read */
	double run_queue;   /* of that, the reader waited for a processor */
	uint64_t queued;    /* exchanges of which the wait is known */
};

struct pf_hops {
	uint64_t exchanges; /* that were answered and are in a path */
	double total;	    /* round trips, sum */
	double network;	    /* between two ends of connections */
	double opaque;	    /* inside tunnels: not visible */
	double beyond;	    /* behind the last socket that could be seen */
	struct pf_place_sum place[PFRUN_MAX_PLACES];
	size_t n_places;
	struct hist client; /* with the probe: what that costs is in it */
	struct hops paths;  /* of a base point's first round. Owned */
	bool has_paths;
};

/* One way at one point. Arrays have a value for each round, NaN: none. */
struct pf_cell {
	unsigned int rounds; /* that ended */
	uint64_t attempted, succeeded, failed;
	json_t *errors; /* counts by name; owned */
	double duration_s;
	struct hist client;
	double *mean, *p50, *p99, *rate; /* ns, ns, ns, requests a second; owned, as those below */
	double *cpu[PF_MAX_RELAYS];	 /* ns of processor time a request, by relay */
	double *relays;			 /* all relays of the way together */
	double *machine;		 /* busy time of all processors a request */
	/* By leg, front and back: smoothed round trip after the slice. */
	double *srtt[PF_MAX_LEGS][2];	/* the smallest of its connections */
	uint64_t segments, retransmits; /* of all legs, both ends */
	struct pf_hops hops;
};

/* A way as far as it is not a cell. */
struct pf_used {
	enum pf_way way;
	struct pf_worker nats[PFRUN_MAX_WORKERS];
	struct pf_worker http;
	struct pf_worker bulk[2]; /* neighbours: on the same port, on another */
	bool gone;   /* it failed in the middle: why, and it is left out from then on */
	bool broken; /* before it was measured as the scenario has it: not to be judged */
	char why[256];
	struct pf_leg legs[PF_MAX_LEGS]; /* the last reading */
	size_t n_legs;
	struct pf_leg first[PF_MAX_LEGS]; /* when the load began */
};

struct pfrun {
	struct course course;
	struct pf_scenario *scenario;
	char files[PATH_MAX];
	struct pf_opts stack_opts;
	struct pf_stack stack;
	bool stack_started;
	struct cgroup load, responder_cgroup;
	struct remote responders[PF_MAX_NODES]; /* one on each node: rpc.svc-1.echo ... */
	struct pf_used used[PF_WAYS];		/* scenario->ways */
	struct pf_cell *cells;			/* [way][point]; owned */

	unsigned int rounds; /* that were done */
	bool measured;	     /* none is to come but those for the hops */
	unsigned int hop_rounds;
	struct pf_tcp tcp[PF_PLACES][2]; /* before and after the load */
	bool has_tcp;
	struct target targets[PFRUN_MAX_TARGETS];
	size_t n_targets;
};

/* Of a counter; connections that closed in between take theirs with them. */
static inline uint64_t pf_risen(uint64_t before, uint64_t after)
{
	return after > before ? after - before : 0;
}

/* The whole command, for a scenario of this kind. Returns an enum exit_code. */
int pfrun__run(const struct bench_opts *opts);

/* Whether a way can be measured now. */
bool pfrun__available(const struct pfrun *r, size_t way);
struct pf_cell *pfrun__cell(const struct pfrun *r, size_t way, size_t point);
/* Leaves a way out from now on; the first reason stays. */
void pfrun__lose(struct pfrun *r, struct pf_used *u, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int pfrun__make_cells(struct pfrun *r);
void pfrun__free_cells(struct pfrun *r);

/* setup.c: 0, -EINTR, or negative errno after log_fail(). */
int pfrun__precheck(struct pfrun *r);
int pfrun__setup(void *run);
/* The load workers and the responder, warm; and their end. */
int pfrun__start_load(struct pfrun *r);
void pfrun__stop_load(struct pfrun *r, unsigned int grace_ms);
void pfrun__teardown(void *run, unsigned int grace_ms);
/*
 * Whom a pool over the first n nodes asks: connection i of the pool, which is to node i, makes
 * calls i, i + n ... and their subject is that of the responder there. No call crosses to another
 * node.
 */
json_t *pfrun__subjects(unsigned int n);
/* The neighbour of a point. NULL: it has none. */
struct remote *pfrun__neighbour(struct pfrun *r, size_t way, const struct pf_point *p);
/* The worker that loads a way at a point. NULL: there is none. */
struct remote *pfrun__worker(struct pfrun *r, size_t way, const struct pf_point *p);

/*
 * slice.c: load over one way at one point for so many seconds, nothing recorded when `warm`. 0;
 * -EINTR; -ECHILD and the like when the way's worker is lost: the way is gone then.
 */
int pfrun__slice(struct pfrun *r, size_t way, size_t point, double seconds, unsigned int round);
int pfrun__drive(struct pfrun *r, size_t way, const struct pf_point *p, double seconds,
		 json_t **answer);

/* Opens and closes what connections a point has to itself. 0, -EINTR, or as pfrun__drive(). */
int pfrun__open(struct pfrun *r, size_t way, const struct pf_point *p);
int pfrun__close(struct pfrun *r, size_t way, const struct pf_point *p);

/* measure.c, hops.c: 0, or -EINTR; anything else is in r->course.incomplete. */
int pfrun__measure(struct pfrun *r);
int pfrun__measure_hops(struct pfrun *r);

void pfrun__judge(struct pfrun *r);

/* The session document (docs/session.md); NULL: out of memory. */
json_t *pfrun__session(const struct pfrun *r);
/* "phases" and "analysis" of it. */
json_t *pfrun__phases(const struct pfrun *r);
json_t *pfrun__analysis(const struct pfrun *r);

#endif
