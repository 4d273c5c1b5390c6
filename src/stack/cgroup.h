/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroups of a run: one below the root of v2 (its id names the sockets inside), and its twin in
 * v1's memory hierarchy where the memory controller is there. What they hold: probe/memory.h.
 */
#ifndef HOPSCOPE_STACK_CGROUP_H
#define HOPSCOPE_STACK_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct cgroup {
	char v2[PATH_MAX]; /* "" until planned */
	char v1[PATH_MAX]; /* memory controller; "" when it is on v2 */
	uint64_t id;	   /* v2; what bpf_skb_cgroup_id() says */
};

struct cgroup_mounts {
	char v2[PATH_MAX];	  /* "" when there is none */
	char v1_memory[PATH_MAX]; /* below our own cgroup, so that its limits go on to hold */
};

/* Where this process can have cgroups. 0 or negative errno. */
int cgroup__mounts(struct cgroup_mounts *m);

/* Names the cgroup that cgroup__create() would make; creates nothing. */
int cgroup__plan(struct cgroup *c, const struct cgroup_mounts *m, const char *name);
int cgroup__plan_child(struct cgroup *c, const struct cgroup *parent, const char *name);
/* 0 or negative errno after log_fail(). `group`: it will hold cgroups, not processes. */
int cgroup__create(struct cgroup *c, bool group);

/* File descriptors of cgroup.procs: written by a child between fork and exec. -1 where none. */
int cgroup__open_procs(const struct cgroup *c, int *v2_fd, int *v1_fd);

/* Its memory limit, 0 or negative errno (-ENOENT: the kernel does not count memory here). */
int cgroup__limit(const struct cgroup *c, uint64_t bytes);
/* Processor time of all that ran in it, now or before. 0 or negative errno. */
int cgroup__cpu_ns(const struct cgroup *c, uint64_t *ns);
/* Whether a process lives in it. */
bool cgroup__populated(const struct cgroup *c);
/* SIGKILL to all in it, frozen ones too. Does not wait. */
void cgroup__kill(const struct cgroup *c);
/* Stops all in it, or lets them go on; waits until that is so. 0, -ETIMEDOUT, negative errno. */
int cgroup__freeze(const struct cgroup *c, bool frozen, unsigned int timeout_ms);

/*
 * Kills what is in the cgroup and below it, waits for that at most `timeout_ms`, and removes it
 * with its twin. 0, or -EBUSY with something left.
 */
int cgroup__destroy(const struct cgroup *c, unsigned int timeout_ms);
/* Removes it only when nothing lives in it. 0 or negative errno. */
int cgroup__remove_empty(const char *path);

#endif
