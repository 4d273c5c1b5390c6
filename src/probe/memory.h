/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory accounting of all cgroups, v1 or v2, and what happens to them between two readings. */
#ifndef HOPSCOPE_PROBE_MEMORY_H
#define HOPSCOPE_PROBE_MEMORY_H

#include <stdbool.h>

#include "model/memory.h"

#define MEMORY_MAX_FILTER 16

struct memory_opts {
	const char *host_root;
	/* Filters; empty passes everything that holds processes and is a leaf or a container. */
	const char *containers[MEMORY_MAX_FILTER];
	size_t n_containers;
	const char *pods[MEMORY_MAX_FILTER];
	size_t n_pods;
	/* Paths below the memory hierarchy's mount (or in full), descendants included. */
	const char *cgroups[MEMORY_MAX_FILTER];
	size_t n_cgroups;
	uint32_t pids[MEMORY_MAX_FILTER]; /* cgroups of these processes */
	size_t n_pids;
	bool all; /* inner cgroups and empty ones too */
	/* A hierarchy to take instead of the one that is mounted; no tracepoints then. For tests.
	 */
	const char *mount;
};

struct memory;

/*
 * Finds the hierarchy, opens the tracepoints (cgroup_mkdir, cgroup_rmdir, mark_victim: bpf/cgroup.
 * bpf.c). Without the privileges for those it warns and goes on by scanning. 0, or negative errno
 * after a message.
 */
int memory__open(struct memory **out, const struct memory_opts *opts);
void memory__close(struct memory *m);

/*
 * Reads all containers and appends to their histories. Judges as many as a small share of the time
 * since the last call allows, those first whose verdict is oldest. With many containers, figures
 * that hardly move (peak, limits, processes) and idle containers are read every few calls only.
 * *s stays m's until the next call. 0 or negative errno.
 */
int memory__read(struct memory *m, const struct memory_snapshot **s);
/* The next memory__read() is the last: it reads everything of all containers, and judges all. */
void memory__finish(struct memory *m);

/* Takes events that wait (OOM kills, cgroups that came and went). Never blocks. */
void memory__notice(struct memory *m);
/* Sleeps until `until_ns` (CLOCK_MONOTONIC) or a signal, taking events as they come. */
void memory__wait(struct memory *m, uint64_t until_ns);

/* One cgroup directory (full path), v1 or v2 by what is in it. Negative errno. For bench too. */
int memory__read_cgroup(const char *dir, struct memory_reading *r);

#endif
