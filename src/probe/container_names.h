/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where runtimes write the names of their containers, and how. Nothing is kept: see container.h. */
#ifndef HOPSCOPE_PROBE_CONTAINER_NAMES_H
#define HOPSCOPE_PROBE_CONTAINER_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "model/container.h"

/* Names for the container whose id `c` has. True: its name is known now. */
bool container_names__of_id(int root, struct container *c);

/* Names for a cgroup of containerd's that its path does not give away: /namespace/id. */
bool container_names__of_path(int root, const char *path, struct container *c);

/* The pod's name and namespace, from its uid. */
bool container_names__of_pod(int root, struct container *c);

/*
 * runc's containers by cgroup: their paths are anyone's choice. Read again when its directory
 * changed. A zeroed one is empty.
 */
struct runc_index {
	struct runc_entry *entries;
	size_t n;
	uint64_t stamp; /* of the directories, when they were read */
	uint64_t scanned_ns;
	bool complete; /* every state could be read; one that just starts has none yet */
};

/* The container that is at `path` or above it. */
bool runc_index__find(struct runc_index *r, int root, const char *path, struct container *c);
void runc_index__free(struct runc_index *r);

#endif
