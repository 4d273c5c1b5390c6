/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a run leaves on the machine while it lives, and who owns it: /run/hopscope/PID (root) or
 * $TMPDIR/hopscope-UID/PID with configurations and logs, a store below $TMPDIR, a cgroup
 * hopscope-PID. The record is written before anything is made, so that a later run can clean up
 * after a `kill -9`.
 */
#ifndef HOPSCOPE_STACK_RUNDIR_H
#define HOPSCOPE_STACK_RUNDIR_H

#include <limits.h>

#include "stack/cgroup.h"

struct rundir {
	char path[PATH_MAX];  /* configurations, logs, the record */
	char store[PATH_MAX]; /* JetStream's files: may grow, so not on a RAM-backed /run */
	struct cgroup cgroup; /* of the run, planned by rundir__create(), made by the caller */
};

/* Removes what runs left whose process has gone. Live ones are not touched. Warns, never fails. */
void rundir__sweep(const struct cgroup_mounts *m);
/* 0 or negative errno after log_fail(). */
int rundir__create(struct rundir *r, const struct cgroup_mounts *m);
/* Kills what is left in the run's cgroups, removes them, the store and the record, in this order.
 */
void rundir__remove(struct rundir *r);

#endif
