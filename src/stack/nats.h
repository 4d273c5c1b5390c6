/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One node of a nats-server cluster on the loopback address. */
#ifndef HOPSCOPE_STACK_NATS_H
#define HOPSCOPE_STACK_NATS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/cgroup.h"
#include "stack/child.h"
#include "stack/rundir.h"

#define NATS_MAX_NODES 7

struct nats_node {
	char name[24];
	uint16_t client, route, http; /* ports */
	const char *listen;	      /* the clients' address; NULL: 127.0.0.1 */
	const struct netns *netns;    /* where it runs; NULL: here */
	struct cgroup cgroup;
	struct child child;
};

/* Writes n1.conf ... into the run directory. `jetstream`: with a store each. 0 or negative errno.
 */
int nats__configure(const struct nats_node *nodes, size_t n, bool jetstream,
		    const struct rundir *run);
int nats__start(struct nats_node *node, const char *program, const struct rundir *run);

/*
 * Whether the node is ready: healthy, connected to all others, and the JetStream leader elected.
 * 0, or -EAGAIN with what is missing in `why`.
 */
int nats__ready(const struct nats_node *node, size_t n_nodes, bool jetstream, char *why,
		size_t size);

/* The program's version ("2.9.10") by running it. 0, -ENOENT when it is not there, or -errno. */
int nats__version(const char *program, char *buf, size_t size);

#endif
