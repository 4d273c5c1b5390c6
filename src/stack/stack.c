// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "stack/clock.h"
#include "stack/file.h"
#include "stack/port.h"
#include "stack/stack.h"

#define READY_TIMEOUT_S	  20
#define FORWARD_TIMEOUT_S 5
#define POLL_MS		  50
#define PORT_ATTEMPTS	  3 /* a free port may be taken before the server binds it */
#define TAIL_LINES	  5

static int choose_ports(struct stack *s, const struct stack_opts *opts)
{
	uint16_t ports[3 * NATS_MAX_NODES];
	size_t i;
	int err = port__free(ports, 3 * s->n_nodes);

	if (err)
		return log_fail(err, "cannot find free ports: %s", strerror(-err));
	for (i = 0; i < s->n_nodes; i++) {
		s->nodes[i].client = opts->ports ? opts->ports[i] : ports[3 * i];
		s->nodes[i].route = ports[3 * i + 1];
		s->nodes[i].http = ports[3 * i + 2];
	}
	return 0;
}

static int make_cgroups(struct stack *s, const struct rundir *run)
{
	size_t i;
	int err = 0;

	for (i = 0; i < s->n_nodes && !err; i++) {
		struct nats_node *node = &s->nodes[i];

		snprintf(node->name, sizeof(node->name), "n%zu", i + 1);
		err = cgroup__plan_child(&node->cgroup, &run->cgroup, node->name);
		if (!err)
			err = cgroup__create(&node->cgroup, false);
	}
	return err;
}

static int start_nodes(struct stack *s, const struct stack_opts *opts, const struct rundir *run,
		       struct watch *watch)
{
	size_t i;
	int err = nats__configure(s->nodes, s->n_nodes, opts->jetstream, run);

	for (i = 0; i < s->n_nodes && !err; i++) {
		err = nats__start(&s->nodes[i], opts->program, run);
		if (!err)
			err = watch__add(watch, &s->nodes[i].child);
	}
	return err;
}

static struct nats_node *find_dead(struct stack *s)
{
	size_t i;

	for (i = 0; i < s->n_nodes; i++)
		if (s->nodes[i].child.dead)
			return &s->nodes[i];
	return NULL;
}

/* -EADDRINUSE when a node ended because its port was taken. */
static int why_dead(const struct nats_node *node)
{
	char tail[2048];

	file__tail(node->child.log, TAIL_LINES, tail, sizeof(tail));
	if (strstr(tail, "address already in use"))
		return -EADDRINUSE;
	return log_fail(-ECHILD, "the cluster did not start: %s ended (see above)",
			node->child.name);
}

static int await_ready(struct stack *s, const struct stack_opts *opts, struct watch *watch)
{
	uint64_t deadline = clock__now() + READY_TIMEOUT_S * NS_PER_S;
	char why[160], tail[2048];
	size_t ready = 0; /* nodes 0..ready-1 are */

	for (;;) {
		struct nats_node *dead;
		int err;

		while (ready < s->n_nodes && !nats__ready(&s->nodes[ready], s->n_nodes,
							  opts->jetstream, why, sizeof(why)))
			ready++;
		if (ready == s->n_nodes)
			return 0;
		err = watch__wait(watch, -1, clock__now() + POLL_MS * NS_PER_MS, NULL);
		if (err < 0)
			return err;
		dead = find_dead(s);
		if (dead)
			return why_dead(dead);
		if (clock__now() < deadline)
			continue;
		file__tail(s->nodes[ready].child.log, TAIL_LINES, tail, sizeof(tail));
		return log_fail(-ETIMEDOUT,
				"the cluster was not ready within %d s: %s; the last lines of its "
				"log:\n%s",
				READY_TIMEOUT_S, why, tail);
	}
}

static void stop_nodes(struct stack *s, unsigned int grace_ms, int impatient_fd)
{
	struct child *list[NATS_MAX_NODES];
	size_t i;

	for (i = 0; i < s->n_nodes; i++)
		list[i] = &s->nodes[i].child;
	child__stop_all(list, s->n_nodes, grace_ms, impatient_fd);
}

int stack__start(struct stack *s, const struct stack_opts *opts, const struct rundir *run,
		 struct watch *watch)
{
	size_t i;
	int attempt, err;

	s->n_nodes = opts->nodes;
	err = make_cgroups(s, run);
	for (attempt = 1; !err; attempt++) {
		err = choose_ports(s, opts);
		if (!err)
			err = start_nodes(s, opts, run, watch);
		if (!err)
			err = await_ready(s, opts, watch);
		if (err != -EADDRINUSE)
			break;
		if (attempt == PORT_ATTEMPTS)
			return log_fail(err, "the cluster did not start: its ports are taken by "
					     "another program again and again");
		log_info("a port was taken in between: trying other ports");
		for (i = 0; i < s->n_nodes; i++)
			watch__forget(watch, &s->nodes[i].child);
		stop_nodes(s, 0, -1);
		err = 0;
	}
	return err;
}

static int await_forward(struct forward *f, struct watch *watch)
{
	uint64_t deadline = clock__now() + FORWARD_TIMEOUT_S * NS_PER_S;
	char tail[1024];
	int err;

	while (port__connects("127.0.0.1", f->port, 500)) {
		err = watch__wait(watch, -1, clock__now() + POLL_MS * NS_PER_MS, NULL);
		if (err < 0)
			return err;
		if (f->child.dead || clock__now() >= deadline)
			return log_fail(-ETIMEDOUT,
					"the forwarder to %s:%u does not accept connections; the "
					"last lines of its log:\n%s",
					f->host, f->to,
					file__tail(f->child.log, TAIL_LINES, tail, sizeof(tail)));
	}
	return 0;
}

int stack__forward(struct stack *s, const char *host, uint16_t port, const struct rundir *run,
		   struct watch *watch)
{
	struct forward *f = &s->forwards[s->n_forwards];
	int err;

	if (s->n_forwards == NATS_MAX_NODES)
		return log_fail(-E2BIG, "more than %d brokers to forward to", NATS_MAX_NODES);
	snprintf(f->name, sizeof(f->name), "fwd-%zu", s->n_forwards + 1);
	snprintf(f->host, sizeof(f->host), "%s", host);
	f->to = port;
	s->n_forwards++;
	err = port__free(&f->port, 1);
	if (err)
		return log_fail(err, "cannot find a free port: %s", strerror(-err));
	err = cgroup__plan_child(&f->cgroup, &run->cgroup, f->name);
	if (!err)
		err = cgroup__create(&f->cgroup, false);
	if (!err)
		err = forward__start(f, run);
	if (!err)
		err = watch__add(watch, &f->child);
	return err ? err : await_forward(f, watch);
}

void stack__stop(struct stack *s, unsigned int grace_ms, int impatient_fd)
{
	struct child *list[NATS_MAX_NODES];
	size_t i;

	for (i = 0; i < s->n_forwards; i++)
		list[i] = &s->forwards[i].child;
	child__stop_all(list, s->n_forwards, grace_ms, impatient_fd);
	stop_nodes(s, grace_ms, impatient_fd);
}
