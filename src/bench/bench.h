/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One run of `hopscope bench`: what it was asked for, what it started, what it measured.
 *
 *	bench__run()  preconditions -> stack and workers (setup.c) -> phases (phase.c, rpc.c,
 *		      events.c, memory.c, growth.c, cost.c, hops.c) -> verdicts (judge.c) -> session
 *		      (session.c) -> files (outdir.c). Whatever happens, teardown (setup.c).
 *		      The order is course.c's.
 */
#ifndef HOPSCOPE_BENCH_BENCH_H
#define HOPSCOPE_BENCH_BENCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>

#include "bench/course.h"
#include "bench/remote.h"
#include "bench/scenario.h"
#include "bench/url.h"
#include "model/estimate.h"
#include "model/growth.h"
#include "model/hist.h"
#include "model/memory.h"
#include "model/snapshot.h"
#include "model/waterfall.h"
#include "model/verdict.h"
#include "probe/wire.h"
#include "stack/stack.h"

#define MAX_SERVICES	50
#define MAX_MEMBERS	(MAX_SERVICES + 2 * NATS_MAX_NODES + 1)
#define MAX_TARGETS	512
#define MAX_DIFFERENCES 16

struct bench_opts {
	const char *scenario;
	const char *out;	 /* directory */
	const char *nats_server; /* program */
	struct url urls[NATS_MAX_NODES];
	size_t n_urls; /* 0: a cluster of our own */
	bool json;     /* the session on stdout, not the report */
	bool ab, ab_only;
	bool no_probe;
};

enum phase_kind { PHASE_RPC = 1, PHASE_EVENTS = 2, PHASE_HOPS = 3 };

/* What one phase has measured so far. Values of rounds stand side by side for both paths. */
struct phase {
	enum phase_kind kind;
	enum path path;
	enum rpc_mode mode; /* of RPC, hop by hop too */
	char name[48];
	unsigned int rounds; /* done; the arrays have room for scenario->rounds */
	uint64_t attempted, succeeded, failed;
	json_t *errors; /* counts by name */
	double duration_s;
	uint64_t behind_schedule;
	double *rate, *p50, *p99; /* by round; NaN where there is none */
	struct hist client, intended, kernel;
	uint64_t kernel_count; /* answered exchanges that the kernel saw */
	bool has_kernel;
	char invalid[200]; /* why its numbers must not be judged */
	uint64_t published, acked, received, missing, duplicates;
	json_t *missing_ids;
	struct waterfalls ways; /* hop by hop */
};

struct service {
	char name[32];
	struct remote remote;
	struct cgroup cgroup;
};

/* A cgroup of the run, what it held when the load had ended, and how it grew under the load. */
struct member {
	const char *name;
	const struct cgroup *cgroup;
	const struct child *child; /* whose end ends the readings; NULL: several */
	struct memory_reading memory;
	bool measured;
	bool watched;		       /* by the memory phase */
	bool ended;		       /* before that was over */
	struct growth_sample *samples; /* anon + swap; room for all readings. Owned */
	size_t n_samples;
	struct growth growth;
};

/* The memory phase: steady load while the containers are read. */
struct memory_watch {
	bool ran;
	uint64_t due; /* calls that should have been made by now */
	uint64_t attempted, succeeded, failed;
	double duration_s;
};

struct difference {
	char name[64];
	const char *unit;
	struct estimate estimate;
	double base_ns; /* NaN: not a time */
};

struct bench {
	struct course course;
	struct scenario *scenario;
	struct stack stack;
	struct cgroup load; /* of the load workers */
	struct remote rpc[PATH_COUNT];
	struct remote publisher[PATH_COUNT];
	struct remote subscriber;
	struct service services[MAX_SERVICES];
	size_t n_services;

	unsigned int deaths; /* children that ended without being asked */
	char nats_version[32], forwarder_version[64];

	struct phase *phases[8];
	size_t n_phases;
	struct member members[MAX_MEMBERS]; /* the services first, in order */
	size_t n_members;
	struct memory_watch memory_watch;
	bool services_measured;
	/* Of the run's cgroup before and with services; NaN: not counted by the kernel. */
	double baseline_bytes, total_bytes;
	struct difference differences[MAX_DIFFERENCES];
	size_t n_differences;
	struct target targets[MAX_TARGETS];
	size_t n_targets;
};

/* The whole command. Returns an enum exit_code. */
int bench__run(const struct bench_opts *opts);

/* Whether the first path of the scenario... the path is among those of the scenario. */
bool bench__has_path(const struct bench *b, enum path p);

/* setup.c: steps of its course. */
int bench__setup(void *run);
/* Every service answers on every connection of the path. 0 or negative errno after log_fail(). */
int bench__warm_up(struct bench *b, enum path path);
void bench__teardown(void *run, unsigned int grace_ms);

/* precheck.c: what must be there before anything is started. 0 or negative errno. */
int bench__precheck(struct bench *b);

/*
 * Phases. 0: done, or done as far as possible (course__incomplete() was called); -EINTR;
 * -ECANCELED: the run cannot go on, its results so far stand.
 */
int bench__run_rpc(struct bench *b);
int bench__run_events(struct bench *b);
int bench__run_hops(struct bench *b);
int bench__measure_cost(struct bench *b);
int bench__run_ab(struct bench *b);

/* Memory: of the run before and with its services, and of each of its cgroups. */
void bench__measure_baseline(struct bench *b);
void bench__measure_total(struct bench *b);
/* Who is in the run, once all of it has started. */
void bench__list_members(struct bench *b);
void bench__measure_members(struct bench *b);
/* What it holds now; false: not counted, or its process has ended. */
bool member__read(const struct member *m, struct memory_reading *r);
/* The memory phase: 0, -EINTR, or -ECANCELED as the phases above. */
int bench__watch_memory(struct bench *b);
struct estimate bench__memory_per_service(const struct bench *b);

/* Fills in differences and targets from the phases. */
void bench__compare(struct bench *b);
void bench__judge(struct bench *b);

/* The session document (docs/session.md); NULL: out of memory. */
json_t *bench__session(const struct bench *b);
json_t *bench__environment(const struct bench *b);
/* A cgroup's path below the mount of v2: short, and the same wherever the run was started from. */
const char *bench__cgroup_name(const struct bench *b, const struct cgroup *c);

#endif
