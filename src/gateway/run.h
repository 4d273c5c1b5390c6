/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One run of a gateway scenario: what it was asked for, what it started, what it measured.
 *
 *	gwrun__run()  preconditions (precheck.c) -> stack and load worker (setup.c) -> phases
 *		      (phase.c, faults.c) while the containers are read (sampler.c) -> verdicts
 *		      (judge.c) -> session (session.c, session_phase.c). Whatever happens,
 *		      teardown. The order is bench/course.c's.
 */
#ifndef HOPSCOPE_GATEWAY_RUN_H
#define HOPSCOPE_GATEWAY_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>

#include "bench/bench.h"
#include "bench/machine.h"
#include "bench/remote.h"
#include "gateway/scenario.h"
#include "model/growth.h"
#include "model/hist.h"
#include "model/memory.h"
#include "model/recovery.h"
#include "model/snapshot.h"
#include "model/verdict.h"
#include "model/waterfall.h"
#include "probe/wire.h"
#include "stack/gateway.h"

#define GW_MAX_TARGETS 256
/* Response, loads, faults, steady, hop by hop. */
#define GW_MAX_PHASES (GW_MAX_RATES + GW_MAX_FAULTS + 3)

enum gw_phase_kind { GW_RESPONSE = 1, GW_LOAD = 2, GW_FAULT = 3, GW_STEADY = 4, GW_HOPS = 5 };

/* A reading of a container. */
struct gw_reading {
	double t_s;	    /* since the run began */
	double held;	    /* anon + swap; NaN: not known */
	double working_set; /* likewise */
	double current;
	double limit;	     /* NaN: none */
	double cpu_us;	     /* used until then; NaN: not known */
	unsigned int starts; /* of the service: a restart begins a new stretch */
};

struct gw_container {
	enum gateway_id id;
	struct gw_reading *readings; /* owned */
	size_t n, size;
	struct gateway_health first, last; /* at the begin and the end of the run */
	bool has_first, has_last;
	unsigned int deaths;	      /* not asked for */
	struct memory_reading memory; /* the last one */
	bool has_memory;
};

/* What a fault was and did. Times are CLOCK_MONOTONIC; 0: did not happen. */
struct gw_fault_result {
	const struct gw_fault *fault;
	struct gateway_span done, undone;
	uint64_t healthy_ns; /* the service said so for the first time after the undo */
	unsigned int resets; /* connections */
	bool refused;	     /* it could not be done */
	struct recovery recovery;
	bool judged;
	uint64_t first_known_ns; /* when the client knew of the first failure */
	char first_what[24];	 /* "refused", "503" */
	json_t *codes, *errors;	 /* of calls that were due from the fault on. Owned */
	/* Of kong-gateway during the phase. */
	bool has_breaker;
	uint64_t breaker_opened, breaker_refused;
};

/* A bucket of the worker's timeline. */
struct gw_bucket {
	uint64_t t_ns, due, succeeded, failed;
	double p50_ns, p99_ns; /* NaN: no success */
};

struct gw_phase {
	enum gw_phase_kind kind;
	char name[80];
	double rate, offered; /* requests a second: of the scenario, and sent; 0: closed loop */
	bool ran;
	uint64_t scheduled, attempted, succeeded, failed;
	json_t *status, *codes, *errors; /* counts by name; owned */
	uint64_t bad_bodies;
	uint64_t start_ns, end_ns;
	double duration_s;
	/* Sent more than 1 ms late; of these, for want of a free connection; never sent. */
	uint64_t behind_schedule, waited, unsent;
	uint64_t late_ns_max, connections_opened, peak_in_flight;
	struct hist client, intended, kernel;
	bool has_kernel;
	uint64_t kernel_answered;
	json_t *critical_paths; /* and the calls that they are made of; NULL: none. Owned */
	json_t *calls;
	json_t *tls; /* connections read, and what was lost of them; NULL: no probe. Owned */
	uint64_t api_answered, api_waited_us; /* by claude-api itself, in this phase */
	struct estimate mean;		      /* response time, of the single requests */
	struct estimate carried;	      /* successes a second, by the time of their answers */
	struct estimate sent;		      /* requests a second, by the time they were sent */
	struct gw_bucket *buckets;	      /* owned */
	size_t n_buckets;
	double bucket_s;
	struct gw_fault_result fault;
	struct machine machine; /* in the phase, percent of one processor */
	struct waterfalls ways; /* hop by hop */
	char invalid[200];	/* why its numbers must not be judged */
};

struct gw_growth {
	enum gateway_id id;
	unsigned int stretch, stretches; /* from 1: between two starts of the service */
	size_t from, n;			 /* readings of the container */
	struct growth growth;
};

#define GW_MAX_GROWTHS (GATEWAY_COUNT * (GW_MAX_FAULTS + 1))

struct gwrun {
	struct course course;
	struct gw_scenario *scenario;
	char templates[PATH_MAX];
	struct gateway_opts stack_opts;
	struct gateway gateway;
	struct gateway_versions versions;
	struct remote client;

	struct gw_phase *phases[GW_MAX_PHASES];
	size_t n_phases;
	struct gw_container containers[GATEWAY_COUNT];
	uint64_t next_sample_ns;
	/* The fault of the phase that runs: what is next, and when. NULL: none. */
	struct gw_phase *faulty;
	uint64_t fault_ns, undo_ns; /* 0: nothing to be done any more */
	bool await_health;

	struct gw_growth growths[GW_MAX_GROWTHS];
	size_t n_growths;
	struct gateway_counters counters;
	struct gateway_status status;
	bool has_counters, has_status;
	struct target targets[GW_MAX_TARGETS];
	size_t n_targets;
};

/* The whole command, for a scenario of this kind. Returns an enum exit_code. */
int gwrun__run(const struct bench_opts *opts);

/* precheck.c, setup.c: as bench's. */
int gwrun__precheck(struct gwrun *r);
int gwrun__setup(void *run);
void gwrun__teardown(void *run, unsigned int grace_ms);
/* The first requests open connections and fill caches; nothing is measured by them. */
int gwrun__warm_up(struct gwrun *r);
/* Asks every container how it is. */
void gwrun__health(struct gwrun *r, bool first);

/*
 * All phases. 0: done, or done as far as possible (course__incomplete() was called); -EINTR;
 * -ECANCELED: the run cannot go on, its results so far stand.
 */
int gwrun__phases(struct gwrun *r);
/* After all other phases, and when nothing more is to be read of the run's probe. */
int gwrun__run_hops(struct gwrun *r);
struct gw_phase *gw_phase__add(struct gwrun *r, enum gw_phase_kind kind, const char *name,
			       double rate, double offered);
void gw_phase__free(struct gw_phase *p);
void gw_phase__invalidate(struct gw_phase *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Sends the load of a phase and takes what came of it. */
int gw_phase__drive(struct gwrun *r, struct gw_phase *p, uint64_t calls, unsigned int bucket_ms);
/* phase_rate.c: what was carried and sent, of "calls" [[due, start, end, code], ..]. */
void gw_phase__take_calls(struct gw_phase *p, const json_t *calls);

/* sampler.c. Starts it; then it is called by the watch, until it is ended. */
void gwrun__on_time(void *run);
void gwrun__start_sampler(struct gwrun *r);
/* Reads all containers once more. */
void gwrun__end_sampler(struct gwrun *r);
/* What a container used between two moments of the run. */
struct gw_use {
	double cpu_percent, cpu_percent_max; /* of one processor; NaN: not known */
	double working_set, current;	     /* the most, bytes */
	double limit, share;		     /* of the limit, the most; NaN: no limit */
};
struct gw_use gw_container__use(const struct gw_container *c, double from_s, double to_s);
/* Judges each container between its restarts. */
void gwrun__judge_growth(struct gwrun *r);

/* faults.c. What is due by now is done; when the next is due (UINT64_MAX: nothing). */
uint64_t gwrun__do_faults(struct gwrun *r);
int gwrun__run_faults(struct gwrun *r);
/* What the load worker's answer says about the fault of a phase. */
void gw_fault__take(struct gw_phase *p, const json_t *answer, double error_bound);

void gwrun__judge(struct gwrun *r);
/* Successes among the requests that were due while no fault was at work. */
void gwrun__available(const struct gwrun *r, uint64_t *succeeded, uint64_t *due, double *seconds);

/* The session document (docs/session.md); NULL: out of memory. */
json_t *gwrun__session(const struct gwrun *r);
json_t *gw_phase__json(const struct gwrun *r, const struct gw_phase *p);

#endif
