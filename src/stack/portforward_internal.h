/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the port-forward stack share: portforward*.c and nobody else. */
#ifndef HOPSCOPE_STACK_PORTFORWARD_INTERNAL_H
#define HOPSCOPE_STACK_PORTFORWARD_INTERNAL_H

#include "stack/portforward.h"

/* Addresses set aside for documentation (RFC 5737): no host is behind them. */
#define PF_CLIENT_ADDR	"192.0.2.2"
#define PF_FRONT_ADDR	"192.0.2.1"    /* the forwarder's, to the client */
#define PF_BACK_ADDR	"198.51.100.1" /* the forwarder's, to the cluster */
#define PF_SERVER_ADDR	"198.51.100.2"
#define PF_DNAT_ADDR	"198.51.100.3" /* the servers', too: what dnat leads to */
#define PF_VIRTUAL_ADDR "203.0.113.1"  /* nobody's: dnat's */

/* The namespaces are new, so that every port is free. */
#define PF_SSH_PORT    2222
#define PF_API_PORT    8001
#define PF_API_WS_PORT 8002
#define PF_READY_MS    15000
#define PF_POLL_MS     50
#define PF_CHECK_MS    1000
#define PF_TAIL_LINES  3

/* Servers: the nodes, then web. */
size_t pf_stack__servers(const struct pf_stack *s);
uint16_t pf_stack__server_port(const struct pf_stack *s, size_t server);
/* "n1", "web". */
const char *pf_stack__server_name(const struct pf_stack *s, size_t server);

/* portforward_cluster.c. */

/* The namespaces, joined. 0 or negative errno after log_fail(). */
int pf_stack__join(struct pf_stack *s);
/* The servers, ready. The same; -EINTR. */
int pf_stack__start_servers(struct pf_stack *s);

/* portforward_ways.c. */

/*
 * Puts down what the way needs and starts its processes; does not wait until they work. 0, or
 * negative errno with route->why set; -EINTR: Ctrl-C.
 */
int pf_way__start(struct pf_stack *s, enum pf_way way);
/* Not available: sets `why`, unless there is one already. Returns err. */
int pf_route__lacks(struct pf_route *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A relay in a cgroup of its own, running. `server` -1: all. 0 or negative errno, `why` set. */
int pf_relay__start(struct pf_stack *s, struct pf_route *r, const char *program, int server,
		    enum pf_place place, char *const *argv);
/* Until the relay started last accepts connections, in the cluster. The same; -EINTR. */
int pf_relay__await(struct pf_stack *s, struct pf_route *r, unsigned int port);

/* portforward_kubectl.c; as pf_way__start(). */
int pf_kubectl__start(struct pf_stack *s, struct pf_route *r);
int pf_kubectl__start_ws(struct pf_stack *s, struct pf_route *r);

#endif
