/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the memory probe share: memory.c reads, memory_scan.c looks for cgroups,
 * memory_events.c listens to the kernel. */
#ifndef HOPSCOPE_PROBE_MEMORY_WATCH_H
#define HOPSCOPE_PROBE_MEMORY_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/container.h"
#include "probe/memory.h"
#include "probe/memory_files.h"

struct cgroup_event;

/* A container that is watched: snapshot.containers[i] belongs to watches[i]. */
struct memory_watch {
	size_t index; /* in both arrays */
	struct memory_files files;
	struct memory_reading before_last; /* for a kill that was told late */
	bool read;			   /* at least once */
	uint64_t stat_usage;		   /* when memory.stat was last read */
	bool linked;			   /* its predecessor was looked for */
	unsigned int scan;		   /* the last scan that saw it */
	uint64_t named_ns;		   /* when its names were last looked up */
	uint64_t judged_ns;
	uint64_t kills_base;	/* oom_kill of its first reading */
	uint64_t kills_told;	/* by events */
	uint64_t kills_pending; /* counted by the cgroup, but not told when last looked at */
};

/* A directory of the hierarchy, shown or not. */
struct memory_dir {
	uint64_t id;
	struct memory_watch *watch; /* NULL: not shown */
	struct memory_watch *owner; /* itself, or the nearest above it that is shown */
};

struct memory_events;

struct memory {
	struct memory_opts opts;
	const struct memory_version *version;
	char mount[MEMORY_PATH_LEN];
	char root[MEMORY_PATH_LEN]; /* which cgroup is mounted there: "" for the root */
	int hierarchy;		    /* number in /proc/self/cgroup */
	/* Filters as paths. */
	char pid_paths[MEMORY_MAX_FILTER][MEMORY_PATH_LEN];
	char cgroup_paths[MEMORY_MAX_FILTER][MEMORY_PATH_LEN];
	bool filtered;
	struct containers *names;
	struct memory_snapshot snapshot;
	struct memory_watch **watches; /* owned, snapshot.n of them */
	size_t room;		       /* in both arrays */
	struct memory_dir *dirs;       /* by id */
	size_t n_dirs;
	unsigned int scans;
	size_t n_empty;	 /* cgroups that would be shown, if they held processes */
	uint64_t forced; /* cgroup to show though it is empty: the OOM killer was there */
	uint64_t opened_ns, read_ns, scanned_ns, young_until_ns;
	bool dirty; /* a cgroup was made: look again soon */
	bool keep_open;
	bool warned_paths;
	bool finishing;
	unsigned int rounds;
	double full_ns; /* processor time of a full reading of one container */
	size_t judge_at;
	struct memory_events *events; /* NULL: by scanning only */
};

/* memory_scan.c */
int memory__find_hierarchy(struct memory *m);
int memory__resolve_filters(struct memory *m);
int memory__scan(struct memory *m);
/* Whose is the cgroup with this id? NULL: not known, or not shown. */
struct memory_watch *memory__owner(const struct memory *m, uint64_t id);
/* Path of a process in the memory hierarchy, below the mount. 0 or negative errno. */
int memory__path_of(const struct memory *m, uint32_t pid, char *path, size_t size);

/* memory.c */
struct memory_watch *memory__add(struct memory *m, uint64_t id, const char *path,
				 const struct container *name);
void memory__gone(struct memory *m, struct memory_watch *w, uint64_t time_ns);
/* Finds, for containers that are new, those that they are restarts of. */
void memory__link_restarts(struct memory *m);
/* Drops containers that went, oldest first, when there are too many of them. */
void memory__forget(struct memory *m);

/* memory_kills.c */
void memory__on_event(void *ctx, const struct cgroup_event *e);
/* Kills that the cgroups counted and no event told of. */
void memory__count_kills(struct memory *m);

/* memory_events.c: NULL with a warning where the kernel or the privileges do not allow it. */
typedef void (*memory_event_fn)(void *ctx, const struct cgroup_event *e);
struct memory_events *memory_events__open(int hierarchy, memory_event_fn fn, void *ctx);
void memory_events__close(struct memory_events *e);
void memory_events__take(struct memory_events *e);
int memory_events__fd(const struct memory_events *e);
uint64_t memory_events__lost(const struct memory_events *e);
/* Both of cgroup_mkdir and cgroup_rmdir are attached; mark_victim is. */
bool memory_events__cgroups(const struct memory_events *e);
bool memory_events__kills(const struct memory_events *e);

#endif
