/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process's files as it sees them, also when its /proc entry has gone or its pid has been reused.
 */
#ifndef HOPSCOPE_SYM_PROCESS_H
#define HOPSCOPE_SYM_PROCESS_H

#include <sys/types.h>

#include "sym/maps.h"

struct process {
	pid_t pid;
	int proc;     /* /proc/PID */
	int root;     /* its root directory; -1: may not be looked at */
	char *prefix; /* how its root is called from here: "" unless it called chroot() */
};

/* -ESRCH: there is no such process. */
int process__open(struct process *p, pid_t pid);
void process__close(struct process *p);

/* Paths are as the process sees them, where its root holds them. */
int process__maps(const struct process *p, struct maps *m);

/*
 * The very file that is mapped, never one that has come under its path since. `all` is what the map
 * is one of. An fd, or negative errno: -ESTALE: another file is there now; -EPERM, -EACCES: not
 * allowed; -EINVAL: not a regular file.
 */
int process__open_map(const struct process *p, const struct map *map, const struct maps *all);

/* A copy of what is mapped there (vdso). An fd, or negative errno. */
int process__copy_map(const struct process *p, const struct map *map);

/* /tmp/perf-PID.map, by the pid that the process has in its own namespace. */
int process__open_perf_map(const struct process *p);

#endif
