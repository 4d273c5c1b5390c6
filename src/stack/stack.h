/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a scenario runs against: brokers and forwarders, each in a cgroup of its own. */
#ifndef HOPSCOPE_STACK_STACK_H
#define HOPSCOPE_STACK_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/forward.h"
#include "stack/nats.h"
#include "stack/rundir.h"
#include "stack/watch.h"

struct stack {
	struct nats_node nodes[NATS_MAX_NODES];
	size_t n_nodes;
	struct forward forwards[NATS_MAX_NODES];
	size_t n_forwards;
};

struct stack_opts {
	size_t nodes;
	bool jetstream;
	const uint16_t *ports; /* of clients, one a node; NULL: free ones */
	const char *program;   /* nats-server */
};

/*
 * Starts the cluster and waits until it is ready. 0, -EINTR, or negative errno after a clear
 * message; then stack__stop() is still due.
 */
int stack__start(struct stack *s, const struct stack_opts *opts, const struct rundir *run,
		 struct watch *watch);
/* Puts a forwarder in front of host:port. Same results. */
int stack__forward(struct stack *s, const char *host, uint16_t port, const struct rundir *run,
		   struct watch *watch);
/* Ends what was started, as child__stop_all() does. grace_ms 0: at once. */
void stack__stop(struct stack *s, unsigned int grace_ms, int impatient_fd);

#endif
