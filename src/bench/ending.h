/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a run ends, of whatever kind it is: the last reading, the report, the exit code. */
#ifndef HOPSCOPE_BENCH_ENDING_H
#define HOPSCOPE_BENCH_ENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <jansson.h>

#include "bench/outdir.h"
#include "model/snapshot.h"
#include "model/verdict.h"
#include "probe/wire.h"

/*
 * The whole run as the probe saw it, when the load has stopped: at rest, unless it does not come to
 * rest. False: it could not be read, and nothing is to be freed.
 */
bool ending__read(struct wire *wire, struct snapshot *last);
/*
 * "overhead" of a session: run times of programs are those of the round with statistics (`cost`,
 * NULL: there was none), CPU and RSS those of the whole run (NULL: no probe).
 */
json_t *ending__overhead(const struct snapshot *last, const struct snapshot *cost);
/* "started" of a session, UTC. */
json_t *ending__started(const struct timespec *realtime);
/*
 * Writes the reports and frees the session (NULL: out of memory); an enum exit_code. `incomplete`:
 * why the run is partial, "" when it is not.
 */
int ending__report(struct outdir *o, json_t *session, bool json, const char *incomplete,
		   const struct target *targets, size_t n_targets);

#endif
