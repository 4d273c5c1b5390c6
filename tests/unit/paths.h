/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths of exchanges, filled as the kernel fills them (include/hop.h). */
#ifndef HOPSCOPE_TESTS_PATHS_H
#define HOPSCOPE_TESTS_PATHS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/hist.h"
#include "model/waterfall.h"
#include "random.h"

struct socket {
	const char *comm, *container;
	uint16_t port;
	uint8_t role, parent, kind;
	bool in;
};

/* Sockets of a request through a forwarder and two brokers. */
static const struct socket sockets[] = {
	{"load", "/t/load", 4301, ROLE_CLIENT, 0, HOP_NONE, false},
	{"socat", "/t/fwd", 4301, ROLE_RELAY, 0, HOP_NETWORK, true},
	{"socat", "/t/fwd", 4222, ROLE_RELAY_OUT, 1, HOP_PROCESS, false},
	{"nats-server", "/t/n2", 4222, ROLE_BROKER, 2, HOP_NETWORK, true},
	{"nats-server", "/t/n2", 6222, ROLE_ROUTE, 3, HOP_PROCESS, false},
	{"nats-server", "/t/n1", 6222, ROLE_ROUTE_IN, 4, HOP_OPAQUE, true},
	{"nats-server", "/t/n1", 4222, ROLE_BROKER_OUT, 5, HOP_PROCESS, false},
	{"svc", "/t/svc", 4222, ROLE_SERVICE, 6, HOP_NETWORK, true},
};

#define N_SOCKETS (sizeof(sockets) / sizeof(sockets[0]))

/* A server that asks two others one after the other, the second of which cannot be seen. */
static const struct socket gateway[] = {
	{"load", "/", 80, ROLE_CLIENT, 0, HOP_NONE, false},
	{"nginx", "/gw", 80, ROLE_SERVER, 0, HOP_NETWORK, true},
	{"nginx", "/gw", 6379, ROLE_CLIENT, 1, HOP_PROCESS, false},
	{"redis", "/r", 6379, ROLE_SERVER, 2, HOP_NETWORK, true},
	{"nginx", "/gw", 443, ROLE_CLIENT, 1, HOP_PROCESS, false},
};

/* On its way to a subscriber: from the publisher through a broker. */
static const struct socket delivery[] = {
	{"pub", "/t/pub", 4222, ROLE_CLIENT, 0, HOP_NONE, false},
	{"nats-server", "/t/n1", 4222, ROLE_BROKER, 0, HOP_NETWORK, true},
	{"nats-server", "/t/n1", 4222, ROLE_BROKER_OUT, 1, HOP_PROCESS, false},
	{"sub", "/t/sub", 4222, ROLE_SERVICE, 2, HOP_NETWORK, true},
};

#define N_DELIVERY (sizeof(delivery) / sizeof(delivery[0]))

static inline uint64_t below(uint64_t *r, uint64_t n)
{
	return random__next(r) % n;
}

static inline struct hops_path path_of(const struct socket *s, size_t n, const char *route)
{
	struct hops_path p = {.key = {.n = (uint8_t)n, .proto = PROTO_NATS, .status = STATUS_OK}};

	snprintf(p.route, sizeof(p.route), "%s", route);
	p.span = calloc(n, sizeof(*p.span));
	for (size_t i = 0; i < n; i++) {
		struct hop_node_key *k = &p.span[i].node.key;

		memcpy(k->comm, s[i].comm, strlen(s[i].comm));
		k->port = s[i].port;
		k->role = s[i].role;
		k->proto = PROTO_NATS;
		k->request_in = s[i].in;
		snprintf(p.span[i].node.container, sizeof(p.span[i].node.container), "%s",
			 s[i].container);
		p.span[i].parent = s[i].parent;
		p.span[i].kind = s[i].kind;
	}
	return p;
}

/* An exchange as the kernel counts it: include/hop.h. */
static inline void count_exchange(struct hops_path *p, const uint64_t *request,
				  const uint64_t *reply)
{
	uint64_t cursor[HOP_SPANS];

	hist__add(&p->span[0].hist[HOP_BEFORE], reply[0] - request[0]);
	cursor[0] = request[0];
	for (size_t i = 1; i < p->key.n; i++) {
		uint8_t parent = p->span[i].parent;

		hist__add(&p->span[i].hist[HOP_BEFORE], request[i] - cursor[parent]);
		cursor[parent] = reply[i];
		cursor[i] = request[i];
	}
	for (size_t i = 0; i < p->key.n; i++)
		hist__add(&p->span[i].hist[HOP_AFTER], reply[i] - cursor[i]);
	p->count++;
}

/* Nested times: a gap of 1 to 9999 ns everywhere. */
static inline void nest(uint64_t *r, const struct socket *s, size_t n, uint64_t *request,
			uint64_t *reply, uint64_t *now, size_t i)
{
	request[i] = *now;
	*now += 1 + below(r, 9999);
	for (size_t c = i + 1; c < n; c++) {
		if (s[c].parent != i)
			continue;
		nest(r, s, n, request, reply, now, c);
		*now += 1 + below(r, 9999);
	}
	reply[i] = *now;
}

static inline void count_random(struct hops_path *p, const struct socket *s, uint64_t *r)
{
	uint64_t request[HOP_SPANS] = {0}, reply[HOP_SPANS] = {0}, now = 1000;

	nest(r, s, p->key.n, request, reply, &now, 0);
	count_exchange(p, request, reply);
}

/* A message without an answer, that passes the sockets of a path one after the other. */
static inline void count_delivery(struct hops_path *p, const uint64_t *at)
{
	p->key.one_way = 1;
	hist__add(&p->span[0].hist[HOP_BEFORE], at[p->key.n - 1] - at[0]);
	for (size_t i = 1; i < p->key.n; i++)
		hist__add(&p->span[i].hist[HOP_BEFORE], at[i] - at[i - 1]);
	p->count++;
}

/* The waterfall of a path that one exchange took. */
static inline struct waterfall one_exchange(const struct socket *s, size_t n,
					    const uint64_t *request, const uint64_t *reply)
{
	struct hops_path p = path_of(s, n, "x");
	struct waterfall w;

	count_exchange(&p, request, reply);
	assert_true(waterfall__of_path(&w, &p));
	free(p.span);
	return w;
}

static inline struct hops_timeline timeline_of(const struct socket *s, size_t n,
					       const uint64_t *request, const uint64_t *reply)
{
	struct hops_path p = path_of(s, n, "rpc.echo");
	struct hops_timeline t = {.t = {.n = (uint8_t)n, .proto = PROTO_NATS, .status = STATUS_OK}};

	snprintf(t.route, sizeof(t.route), "rpc.echo");
	for (size_t i = 0; i < n; i++) {
		t.node[i] = p.span[i].node;
		t.t.span[i] = (struct hop_span){
			.request_ns = request[i],
			.reply_ns = reply[i],
			.queue_request_ns = s[i].in ? 3 : HOP_UNKNOWN,
			.queue_reply_ns = HOP_UNKNOWN,
			.run_queue_ns = HOP_UNKNOWN,
			.tgid = (uint32_t)(100 + i),
			.link = (uint8_t)(s[i].parent << 4 | s[i].kind),
		};
	}
	free(p.span);
	return t;
}

#endif
