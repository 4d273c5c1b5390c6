/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes `hopscope heap` watches: one, or all of a container. */
#ifndef HOPSCOPE_HEAP_TARGET_H
#define HOPSCOPE_HEAP_TARGET_H

#include <stddef.h>
#include <sys/types.h>

#include "probe/heap.h"

struct heap_target {
	pid_t pids[HEAP_MAX_PIDS];
	size_t n_pids;
	char name[160]; /* "redis-server[1234]", "container web": as bytes, not yet printable */
};

/* 0, or negative errno after a message. */
int heap_target__pid(struct heap_target *t, pid_t pid);
/*
 * Every process in the cgroup of the container and below it, v1 or v2. `wanted`: its name, a part
 * of name or path that no other has, or the first 6 and more digits of its id.
 */
int heap_target__container(struct heap_target *t, const char *wanted, const char *host_root);

/* A process's name as the kernel keeps it; "?" when it has ended. */
void heap_target__comm(pid_t pid, char *out, size_t size);

#endif
