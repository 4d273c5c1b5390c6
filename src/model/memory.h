/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `hopscope mem` knows of a container: its names, its readings over time, its verdicts. */
#ifndef HOPSCOPE_MODEL_MEMORY_H
#define HOPSCOPE_MODEL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/container.h"
#include "model/growth.h"

#define MEMORY_NO_LIMIT	 UINT64_MAX
#define MEMORY_NOT_KNOWN UINT64_MAX /* of any other figure: this kernel or hierarchy has it not */

#define MEMORY_PATH_LEN	  512  /* of a cgroup, below the mount */
#define MEMORY_NEAR_LIMIT 0.95 /* of the limit is a finding */
#define MEMORY_HISTORY	  600  /* samples kept; every other one goes when it is full */
#define MEMORY_MAX_KILLS  64   /* kept of one container; the rest is counted */

/* One reading of one memory cgroup, bytes and counts; v1 and v2 give the same meaning. */
struct memory_reading {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t current;
	uint64_t working_set; /* current - inactive_file, as the kubelet computes it */
	uint64_t anon, shmem, file, kernel, slab, sock, swap;
	uint64_t inactive_file;
	uint64_t peak;
	uint64_t limit;	   /* the lowest of its own and its ancestors' */
	uint64_t high;	   /* v2: where tasks are throttled, the lowest likewise; or NO_LIMIT */
	uint64_t refaults; /* workingset_refault_*: count since the cgroup was made */
	uint64_t events_high, events_max, events_oom, events_oom_kill;
	double pressure_some; /* share of the time since the last reading in which some task
				 waited for memory, 0..1; NaN: not known */
	double pressure_full;
	uint64_t processes; /* of the cgroup itself, not of those below it */
};

/* All figures not known. */
void memory_reading__init(struct memory_reading *r);
/* Working set as a share of the limit; NaN where one of them is not known. */
double memory_reading__share(const struct memory_reading *r);

enum memory_finding {
	FINDING_GROWING = 1 << 0,    /* by the latest verdict */
	FINDING_NEAR_LIMIT = 1 << 1, /* the working set reached 95 % of the limit in the watch */
	FINDING_OOM_KILL = 1 << 2,   /* a process was killed during the watch */
};

#define MEMORY_FINDINGS 3

/* "growing", "near-limit", "oom"; NULL for none of them. */
const char *memory_finding__name(unsigned int finding);
/* The bit of such a name; 0: there is none. */
unsigned int memory_finding__parse(const char *name);

struct oom_kill {
	uint64_t time_ns;
	uint32_t pid;				/* 0: counted by the cgroup, but not seen */
	char comm[16];				/* hostile bytes; "" when not told */
	uint64_t anon_rss, file_rss, shmem_rss; /* the victim's; MEMORY_NOT_KNOWN: not told */
	uint64_t usage;				/* of the cgroup at that moment, likewise */
	struct memory_reading before;		/* the last accounting before it */
	struct growth growth;			/* and the verdict on what was read until then */
};

/* One container over the watch. A restart (same name, other id) begins a new history. */
struct memory_container {
	uint64_t cgroup;	    /* inode of its directory in the memory hierarchy */
	char path[MEMORY_PATH_LEN]; /* below the mount of the memory hierarchy */
	struct container name;
	struct memory_reading last, first;
	double worst_share; /* highest share of the limit; NaN: there was no limit */
	struct memory_reading worst;
	struct growth_sample *history; /* anon + swap; thinned evenly when long. Owned */
	size_t n_history;
	unsigned int history_every; /* one in so many readings is kept; 0: each */
	unsigned int history_turn;
	struct growth growth;
	bool gone;	/* removed or restarted during the watch */
	double gone_s;	/* when, since the watch began */
	bool succeeded; /* gone, and its restart is in the list */
	unsigned int restarts;
	struct oom_kill *kills; /* owned */
	size_t n_kills, n_kills_kept;
	uint32_t findings; /* enum memory_finding */
};

struct memory_snapshot {
	uint64_t time_ns;
	double duration_s;		     /* of the watch so far */
	struct memory_container *containers; /* owned */
	size_t n;
	const char *hierarchy;	  /* "v1", "v2" */
	bool followed;		  /* by tracepoints; else by looking, once an interval */
	bool kills_told;	  /* OOM kills by a tracepoint; else by counters of what still is */
	uint64_t events_lost;	  /* cgroup or OOM events that the ring had no room for */
	uint64_t kills_elsewhere; /* OOM kills in cgroups that are not in the list */
	uint64_t forgotten;	  /* containers that went and were dropped from the list */
	uint32_t forgotten_findings;	 /* of those: enum memory_finding */
	double user_cpu_s, system_cpu_s; /* of this process */
	uint64_t rss_bytes;
};

/* Takes a reading at t_s since the watch began. `counted`: its anon and swap were read anew. */
int memory_container__add(struct memory_container *c, const struct memory_reading *r, double t_s,
			  bool counted);
/*
 * Judges the history. Usage that reclaim holds at the limit is never called stable: what says so
 * are refaults, pressure and limit events. 0 or -ENOMEM.
 */
int memory_container__judge(struct memory_container *c);
/* Notes a kill: *k without its verdict. What was killed is a step down, so the history begins anew.
 */
int memory_container__kill(struct memory_container *c, const struct oom_kill *k);
void memory_container__free(struct memory_container *c);

enum memory_order {
	MEMORY_BY_WORKING_SET = 0,
	MEMORY_BY_USAGE = 1,
	MEMORY_BY_ANON = 2,
	MEMORY_BY_LIMIT = 3, /* share of the limit */
	MEMORY_BY_GROWTH = 4,
	MEMORY_BY_NAME = 5,
};

/* "ws", "usage", "anon", "limit", "growth", "name". -1: none of them. */
int memory_order__parse(const char *name);

/*
 * Pointers to the containers: those that are there before those that went, largest first, then by
 * path. The caller frees the array. NULL: out of memory.
 */
const struct memory_container **memory_snapshot__sorted(const struct memory_snapshot *s,
							enum memory_order by);
/* All findings together. */
uint32_t memory_snapshot__findings(const struct memory_snapshot *s);
void memory_snapshot__free(struct memory_snapshot *s);

#endif
