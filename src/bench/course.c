// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/course.h"
#include "log.h"
#include "out/json.h"
#include "stack/clock.h"
#include "stack/file.h"

#define GRACE_MS	3000
#define SLACK_S		2
#define SETTLE_ATTEMPTS 20
#define SETTLE_PAUSE_MS 50

void course__init(struct course *c, const struct bench_opts *opts)
{
	c->opts = opts;
	c->outdir.fd = -1;
	c->watch.signals = -1;
}

void course__free(struct course *c)
{
	if (c->has_last)
		snapshot__free(&c->last);
	if (c->has_cost)
		snapshot__free(&c->cost);
	watch__close(&c->watch);
	outdir__close(&c->outdir);
}

void course__incomplete(struct course *c, const char *fmt, ...)
{
	va_list args;

	if (c->incomplete[0])
		return;
	va_start(args, fmt);
	vsnprintf(c->incomplete, sizeof(c->incomplete), fmt, args);
	va_end(args);
}

double course__elapsed(const struct course *c)
{
	return (double)(clock__now() - c->started_ns) / 1e9;
}

static int set_up(struct course *c, const struct course_steps *steps, void *run)
{
	int err = rundir__create(&c->run, &c->mounts);

	if (!err)
		err = cgroup__create(&c->run.cgroup, true);
	return err ? err : steps->setup(run);
}

static void tear_down(struct course *c, const struct course_steps *steps, void *run,
		      unsigned int grace_ms)
{
	steps->teardown(run, grace_ms);
	wire__close(c->wire);
	c->wire = NULL;
	rundir__remove(&c->run);
}

int course__run(struct course *c, const struct course_steps *steps, void *run)
{
	struct timespec end;
	int64_t offset;
	int err = watch__init(&c->watch, run);

	if (err)
		return log_fail(err, "cannot receive signals: %s", strerror(-err));
	offset = clock__offset(&c->started);
	c->started_ns = clock__now();
	c->watch.when = "while the run was being set up";
	err = set_up(c, steps, run);
	c->watch.when = "in the middle of the run";
	if (err) {
		if (err == -EINTR)
			log_fail(err, "ended by a signal before anything was measured: no report");
		/* With time to take back what is not on this machine: a stream in a cluster of
		 * others. */
		tear_down(c, steps, run, c->watch.interrupts > 1 ? 0 : GRACE_MS);
		return err;
	}
	watch__tell(&c->watch, steps->on_death);
	if (steps->measure(run) == -EINTR)
		course__incomplete(c, "a signal (%s) ended it", strsignal(c->watch.signal));
	if (steps->leave)
		steps->leave(run);
	c->ended_ns = clock__now();
	c->clock_step_ns = clock__offset(&end) - offset;
	log_info("[%5.1f s] stopping", course__elapsed(c));
	tear_down(c, steps, run, GRACE_MS);
	watch__poll(&c->watch);
	if (c->watch.interrupts > 1)
		return log_fail(-EINTR, "ended by a second signal: no report");
	return 0;
}

int course__open_probe(struct course *c, struct wire_opts *opts, int64_t timeout_ms)
{
	int err;

	if (c->opts->no_probe)
		return 0;
	opts->n_cgroups = 1;
	opts->timeout_ns = (uint64_t)timeout_ms * NS_PER_MS + SLACK_S * NS_PER_S;
	err = cgroup2__find(c->run.cgroup.v2, &opts->cgroups[0], &opts->cgroup_levels[0]);
	if (err)
		return log_fail(err, "cannot find the cgroup %s: %s", c->run.cgroup.v2,
				strerror(-err));
	return wire__open(&c->wire, opts);
}

void course__read_last(struct course *c)
{
	int i;

	if (!c->wire)
		return;
	for (i = 0; i < SETTLE_ATTEMPTS; i++) {
		if (wire__read(c->wire, &c->last)) {
			course__incomplete(c, "the probe could not be read");
			return;
		}
		if (c->last.settled || i + 1 == SETTLE_ATTEMPTS)
			break;
		snapshot__free(&c->last);
		clock__sleep_ms(SETTLE_PAUSE_MS);
	}
	c->has_last = true;
}

static json_t *started(const struct course *c)
{
	char text[32];
	struct tm tm;

	gmtime_r(&c->started.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

json_t *course__session(const struct course *c, const char *kind, const char *name,
			const char *title)
{
	json_t *o = json_object(), *scenario = json_object();

	session__put(&scenario, "name", session__text(name));
	session__put(&scenario, "file", session__text(path__name(c->opts->scenario)));
	session__put(&scenario, "title", session__text(title));
	session__put(&o, "schema", json_integer(SESSION_SCHEMA));
	if (kind)
		session__put(&o, "kind", json_string(kind));
	session__put(&o, "tool",
		     json_pack("{s:s,s:s}", "name", "hopscope", "version", HOPSCOPE_VERSION));
	session__put(&o, "scenario", scenario);
	session__put(&o, "started", started(c));
	session__put(&o, "duration_s",
		     session__number((double)(c->ended_ns - c->started_ns) / 1e9));
	session__put(&o, "complete", json_boolean(!c->incomplete[0]));
	session__put(&o, "incomplete_reason",
		     session__text(c->incomplete[0] ? c->incomplete : NULL));
	return o;
}

int course__add_setting(void *list, const char *key, const char *value)
{
	return json_array_append_new(list,
				     json_pack("[o,o]", session__text(key), session__text(value)));
}

/* Run times of programs are those of the round with statistics, CPU and RSS of the whole run. */
static json_t *overhead(const struct course *c)
{
	struct snapshot s;

	if (!c->has_last)
		return json_null();
	s = c->last;
	s.n_programs = 0;
	if (c->has_cost) {
		s.acct = c->cost.acct;
		s.n_programs = c->cost.n_programs;
		memcpy(s.programs, c->cost.programs, sizeof(s.programs));
	}
	return session__overhead(&s);
}

void course__put_probe(json_t **session, const struct course *c, bool buckets)
{
	session__put(session, "series",
		     c->has_last ? session__series(&c->last, buckets) : json_array());
	session__put(session, "accounting",
		     c->has_last ? session__accounting(&c->last) : json_null());
	session__put(session, "overhead", overhead(c));
}

int course__report(struct course *c, json_t *session, const struct target *targets,
		   size_t n_targets)
{
	int err;

	if (!session) {
		log_fail(-ENOMEM, "out of memory: no report");
		return EXIT_RUNTIME;
	}
	err = outdir__report(&c->outdir, session, c->opts->json);
	json_decref(session);
	if (err)
		return EXIT_RUNTIME;
	/* Part of a run is a run-time error, whatever the part says: a caller must not go by it. */
	if (c->incomplete[0]) {
		log_warn("partial run: %s", c->incomplete);
		return EXIT_RUNTIME;
	}
	return targets__exit_code(targets, n_targets);
}
