/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The course of a run, of whatever kind its scenario is: what every run has, the order of things,
 * and what every session says.
 *
 *	course__init(&r->course, opts);
 *	  the scenario is read, preconditions are looked for (precheck.h)
 *	  course__run(&r->course, &steps, r);        setup, measure, leave, teardown
 *	  verdicts; session = course__session(&r->course, ...), and what the kind adds
 *	  course__report(&r->course, session, r->targets, r->n_targets);
 *	course__free(&r->course);
 */
#ifndef HOPSCOPE_BENCH_COURSE_H
#define HOPSCOPE_BENCH_COURSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>

#include "bench/outdir.h"
#include "model/snapshot.h"
#include "model/verdict.h"
#include "probe/wire.h"
#include "stack/cgroup.h"
#include "stack/rundir.h"
#include "stack/watch.h"

struct bench_opts;

struct course {
	const struct bench_opts *opts;
	struct outdir outdir;
	struct cgroup_mounts mounts;
	struct rundir run;
	struct watch watch;
	struct wire *wire;	 /* NULL: no probe */
	struct timespec started; /* CLOCK_REALTIME */
	uint64_t started_ns, ended_ns;
	int64_t clock_step_ns;
	char incomplete[256]; /* the first thing that went wrong; "" when nothing did */
	struct snapshot last; /* the whole run */
	bool has_last;
	struct snapshot cost; /* of the round with BPF statistics on */
	bool has_cost;
};

void course__init(struct course *c, const struct bench_opts *opts);
void course__free(struct course *c);

/* Keeps the first reason for which the run is not complete. */
void course__incomplete(struct course *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Seconds since it was started. */
double course__elapsed(const struct course *c);

/* What a kind of scenario does in it. */
struct course_steps {
	/* The folder and the cgroup of the run are there. 0, or -EINTR, or negative errno after
	 * log_fail(). */
	int (*setup)(void *run);
	/* -EINTR: a signal ended it. Else what went wrong is in `incomplete`. */
	int (*measure)(void *run);
	/* What is read before anything is stopped. NULL: nothing. */
	void (*leave)(void *run);
	/* Also after a setup that failed, wherever. grace_ms 0: at once. */
	void (*teardown)(void *run, unsigned int grace_ms);
	watch_death_fn on_death;
};

/* 0 when there is something to report, or negative errno after log_fail(). */
int course__run(struct course *c, const struct course_steps *steps, void *run);

/*
 * Loads the probe, unless it is not wanted, for the run's cgroup and nothing else; it waits longer
 * than the clients, so that a late answer is no mystery. 0 or negative errno after log_fail().
 */
int course__open_probe(struct course *c, struct wire_opts *opts, int64_t timeout_ms);
/*
 * The whole run as the probe saw it, when the load has stopped: at rest, unless it does not come to
 * rest. What cannot be read makes the run incomplete.
 */
void course__read_last(struct course *c);

/* A session from "schema" to "incomplete_reason". kind NULL: nats. NULL: out of memory. */
json_t *course__session(const struct course *c, const char *kind, const char *name,
			const char *title);
/* A row of its "configuration", a json_t; a scenario_setting_fn. */
int course__add_setting(void *list, const char *key, const char *value);
/* Its "series" (buckets: as session__series()), "accounting" and "overhead". */
void course__put_probe(json_t **session, const struct course *c, bool buckets);

/* Writes the reports and frees the session (NULL: out of memory); an enum exit_code. */
int course__report(struct course *c, json_t *session, const struct target *targets,
		   size_t n_targets);

#endif
