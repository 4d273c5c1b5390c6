/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define _GNU_SOURCE /* open_memstream */
#include <errno.h>
#include <math.h>
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
#include "out/hops.h"
#include "out/session.h"
#include "random.h"

/* Sockets of a request through a forwarder and two brokers. */
static const struct socket {
	const char *comm, *container;
	uint16_t port;
	uint8_t role, parent, kind;
	bool in;
} sockets[] = {
	{"load", "/t/load", 4301, ROLE_CLIENT, 0, HOP_NONE, false},
	{"socat", "/t/fwd", 4301, ROLE_RELAY, 0, HOP_NETWORK, true},
	{"socat", "/t/fwd", 4222, ROLE_RELAY_OUT, 1, HOP_PROCESS, false},
	{"nats-server", "/t/n2", 4222, ROLE_BROKER, 2, HOP_NETWORK, true},
	{"nats-server", "/t/n2", 6222, ROLE_ROUTE, 3, HOP_PROCESS, false},
	{"nats-server", "/t/n1", 6222, ROLE_ROUTE_IN, 4, HOP_OPAQUE, true},
	{"nats-server", "/t/n1", 4222, ROLE_BROKER_OUT, 5, HOP_PROCESS, false},
	{"svc", "/t/svc", 4222, ROLE_SERVICE, 6, HOP_NETWORK, true},
};

static uint64_t below(uint64_t *r, uint64_t n)
{
	return random__next(r) % n;
}

#define N_SOCKETS (sizeof(sockets) / sizeof(sockets[0]))

static struct hops_path path_of(const struct socket *s, size_t n, const char *route)
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
static void count_exchange(struct hops_path *p, const uint64_t *request, const uint64_t *reply)
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
static void nest(uint64_t *r, const struct socket *s, size_t n, uint64_t *request, uint64_t *reply,
		 uint64_t *now, size_t i)
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

static void count_random(struct hops_path *p, const struct socket *s, uint64_t *r)
{
	uint64_t request[HOP_SPANS] = {0}, reply[HOP_SPANS] = {0}, now = 1000;

	nest(r, s, p->key.n, request, reply, &now, 0);
	count_exchange(p, request, reply);
}

static double sum_of_edges(const struct waterfall *w)
{
	double sum = 0;

	for (size_t i = 0; i < w->n_edges; i++)
		sum += w->edge[i].mean_ns;
	return sum;
}

static const struct waterfall_edge *edge(const struct waterfall *w, size_t span, uint8_t direction)
{
	for (size_t i = 0; i < w->n_edges; i++)
		if (w->edge[i].span == span && w->edge[i].direction == direction)
			return &w->edge[i];
	fail_msg("no edge of span %zu", span);
	return NULL;
}

static void near(double a, double b)
{
	if (!(fabs(a - b) <= 1e-9 * fabs(b) + 1e-9))
		print_error("%f is not %f\n", a, b);
	assert_true(fabs(a - b) <= 1e-9 * fabs(b) + 1e-9);
}

static void edges_in_order(void **state)
{
	static const uint64_t request[] = {0, 10, 30, 60, 100, 150, 210, 280};
	static const uint64_t reply[] = {900, 870, 840, 800, 750, 690, 620, 540};
	struct hops_path p = path_of(sockets, N_SOCKETS, "rpc.echo");
	static const double want[] = {10, 20, 30, 40, 50, 60, 70, 260, 80, 70, 60, 50, 40, 30, 30};
	struct waterfall w;

	(void)state;
	count_exchange(&p, request, reply);
	assert_true(waterfall__of_path(&w, &p));
	assert_int_equal(w.n_edges, 2 * N_SOCKETS - 1);
	for (size_t i = 0; i < w.n_edges; i++)
		near(w.edge[i].mean_ns, want[i]);
	near(w.mean_ns, 900);
	near(w.residual_ns, 50 + 60); /* between the brokers, there and back */
	assert_int_equal(w.edge[7].kind, WATERFALL_SERVICE);
	assert_int_equal(w.edge[7].direction, WATERFALL_IN);
	near(w.edge[7].start_ns, 280);
	/* there from the parent, back from the child: of the same connection */
	assert_int_equal(edge(&w, 3, WATERFALL_THERE)->from, 2);
	assert_int_equal(edge(&w, 3, WATERFALL_THERE)->to, 3);
	assert_int_equal(edge(&w, 2, WATERFALL_BACK)->from, 3);
	assert_int_equal(edge(&w, 2, WATERFALL_BACK)->to, 2);
	assert_int_equal(edge(&w, 2, WATERFALL_BACK)->kind, WATERFALL_NETWORK);
	assert_int_equal(edge(&w, 3, WATERFALL_BACK)->kind, WATERFALL_PROCESS);
	assert_int_equal(edge(&w, 4, WATERFALL_BACK)->kind, WATERFALL_OPAQUE);
	assert_int_equal(w.span[7].depth, 7);
	free(p.span);
}

/* A server that asks two others one after the other, the second of which cannot be seen. */
static const struct socket gateway[] = {
	{"load", "/", 80, ROLE_CLIENT, 0, HOP_NONE, false},
	{"nginx", "/gw", 80, ROLE_SERVER, 0, HOP_NETWORK, true},
	{"nginx", "/gw", 6379, ROLE_CLIENT, 1, HOP_PROCESS, false},
	{"redis", "/r", 6379, ROLE_SERVER, 2, HOP_NETWORK, true},
	{"nginx", "/gw", 443, ROLE_CLIENT, 1, HOP_PROCESS, false},
};

static void one_after_the_other(void **state)
{
	static const uint64_t request[] = {0, 10, 30, 40, 90}, reply[] = {300, 290, 70, 60, 270};
	struct hops_path p = path_of(gateway, 5, "GET /");
	const struct waterfall_edge *between;
	struct waterfall w;

	(void)state;
	count_exchange(&p, request, reply);
	hist__add(&p.span[2].hist[HOP_QUEUE_REPLY], 7);
	assert_true(waterfall__of_path(&w, &p));
	between = edge(&w, 4, WATERFALL_THERE);
	near(between->mean_ns, 20);
	assert_int_equal(between->from, 2);
	assert_int_equal(between->within, 1);
	assert_int_equal(between->kind, WATERFALL_PROCESS);
	/* the reply that it waited for was in a queue first */
	near(between->queue_mean_ns, 7);
	assert_int_equal(edge(&w, 4, WATERFALL_IN)->kind, WATERFALL_BEYOND);
	near(edge(&w, 1, WATERFALL_BACK)->mean_ns, 20);
	near(w.residual_ns, 0);
	near(sum_of_edges(&w), 300);
	free(p.span);
}

/* Each queue is in the edge in which its message is read, and in no other. */
static void queues(void **state)
{
	struct hops_path p = path_of(sockets, N_SOCKETS, "rpc.echo");
	uint64_t r = 1;
	struct waterfall w;
	double sum = 0;

	(void)state;
	count_random(&p, sockets, &r);
	for (size_t i = 1; i < N_SOCKETS; i++) {
		hist__add(&p.span[i].hist[sockets[i].in ? HOP_QUEUE_REQUEST : HOP_QUEUE_REPLY],
			  100 + i);
		hist__add(&p.span[i].hist[HOP_RUN_QUEUE], 10 + i);
	}
	assert_true(waterfall__of_path(&w, &p));
	for (size_t i = 0; i < w.n_edges; i++) {
		const struct waterfall_edge *e = &w.edge[i];

		if (e->kind == WATERFALL_NETWORK) {
			assert_true(isnan(e->queue_mean_ns));
			assert_false(e->queues);
		}
		if (e->kind == WATERFALL_PROCESS || e->kind == WATERFALL_SERVICE)
			assert_true(e->queues);
		if (!isnan(e->queue_mean_ns)) {
			near(e->queue_mean_ns - e->run_mean_ns, 90);
			sum += e->queue_mean_ns;
		}
	}
	near(sum, 700 + 1 + 2 + 3 + 4 + 5 + 6 + 7);
	near(edge(&w, 2, WATERFALL_THERE)->queue_mean_ns, 101); /* the forwarder's request */
	near(edge(&w, 1, WATERFALL_BACK)->queue_mean_ns, 102);	/* and reply */
	near(edge(&w, 7, WATERFALL_IN)->queue_mean_ns, 107);
	free(p.span);
}

/* Whatever the tree: means add up to the round trip's, edges are in the order of time. */
static void means_add_up(void **state)
{
	uint64_t r = 42;

	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t n = 1 + below(&r, HOP_SPANS);
		struct socket s[HOP_SPANS];
		struct waterfall_place places[WATERFALL_PLACES];
		struct waterfall w;
		struct hops_path p;
		double sum = 0;

		for (size_t i = 0; i < n; i++) {
			s[i] = sockets[below(&r, N_SOCKETS)];
			s[i].in = below(&r, 2);
			s[i].kind = i ? (uint8_t)(1 + below(&r, 3)) : HOP_NONE;
			s[i].parent = i ? (uint8_t)below(&r, i) : 0;
		}
		p = path_of(s, n, "x");
		for (int k = 0; k < 20; k++)
			count_random(&p, s, &r);
		assert_true(waterfall__of_path(&w, &p));
		assert_int_equal(w.n_edges, 2 * n - 1);
		near(sum_of_edges(&w), w.mean_ns);
		assert_true(w.unsettled_ns == 0);
		for (size_t i = 0; i < w.n_edges; i++) {
			near(w.edge[i].start_ns, sum);
			sum += w.edge[i].mean_ns;
		}
		sum = 0;
		for (size_t i = waterfall__places(&w, places); i-- > 0;)
			sum += places[i].share;
		near(sum, 1);
		free(p.span);
	}
}

static struct hops_timeline timeline_of(const struct socket *s, size_t n, const uint64_t *request,
					const uint64_t *reply)
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

/* One exchange gives the same edges as the path of that one. */
static void a_timeline(void **state)
{
	uint64_t r = 7;

	(void)state;
	for (int round = 0; round < 50; round++) {
		const struct socket *s = round % 2 ? gateway : sockets;
		size_t n = round % 2 ? 5 : N_SOCKETS;
		uint64_t request[HOP_SPANS] = {0}, reply[HOP_SPANS] = {0}, now = 0;
		struct hops_path p = path_of(s, n, "rpc.echo");
		struct hops_timeline t;
		struct waterfall a, b;

		nest(&r, s, n, request, reply, &now, 0);
		count_exchange(&p, request, reply);
		t = timeline_of(s, n, request, reply);
		assert_true(waterfall__of_path(&a, &p));
		assert_true(waterfall__of_timeline(&b, &t));
		assert_true(b.timeline);
		assert_int_equal(a.n_edges, b.n_edges);
		for (size_t i = 0; i < a.n_edges; i++)
			near(b.edge[i].mean_ns, a.edge[i].mean_ns);
		near(b.mean_ns, a.mean_ns);
		near(edge(&b, n == 5 ? 3 : 7, WATERFALL_IN)->queue_mean_ns, 3);
		assert_true(isnan(edge(&b, 1, WATERFALL_BACK)->queue_mean_ns));
		assert_int_equal(b.span[1].tgid, 101);
		free(p.span);
	}
}

/* A span that ends behind its parent, or begins before its elder sibling ended, is left out. */
static void what_is_not_nested(void **state)
{
	static const uint64_t request[] = {0, 10, 30, 40, 65};
	static const uint64_t overlaps[] = {300, 290, 70, 60, 270};
	static const uint64_t late[] = {300, 290, 295, 60, 270};
	struct hops_timeline t = timeline_of(gateway, 5, request, overlaps);
	struct waterfall w;

	(void)state;
	assert_true(waterfall__of_timeline(&w, &t));
	assert_int_equal(w.n_spans, 4); /* without the second call */
	near(sum_of_edges(&w), 300);
	t = timeline_of(gateway, 5, request, late);
	assert_true(waterfall__of_timeline(&w, &t));
	assert_int_equal(w.n_spans, 3); /* without the first, and what is in it */
	assert_int_equal(w.span[2].port, 443);
	near(sum_of_edges(&w), 300);
	t.t.n = 0;
	assert_false(waterfall__of_timeline(&w, &t));
	t = timeline_of(gateway, 5, request, overlaps);
	t.t.span[2].link = 9 << 4 | HOP_PROCESS; /* of a span that is not there */
	assert_true(waterfall__of_timeline(&w, &t));
	assert_int_equal(w.n_spans, 3);
}

static void nothing_and_nonsense(void **state)
{
	struct hops_path p = path_of(sockets, 3, "x");
	struct hops h = {.on = true, .paths = &p, .n_paths = 1};
	struct waterfalls all;
	struct waterfall w;

	(void)state;
	assert_false(waterfall__of_path(&w, &p)); /* nothing took it */
	assert_int_equal(waterfalls__build(&all, &h, NULL, NULL), 0);
	assert_int_equal(all.n, 0);
	waterfalls__free(&all);
	hist__add(&p.span[0].hist[HOP_BEFORE], 5);
	p.span[1].parent = 2; /* no tree */
	assert_false(waterfall__of_path(&w, &p));
	p.key.n = HOP_SPANS + 1;
	assert_false(waterfall__of_path(&w, &p));
	free(p.span);
	memset(&h, 0, sizeof(h));
	assert_int_equal(waterfalls__build(&all, &h, NULL, NULL), 0);
	assert_int_equal(all.n, 0);
	waterfalls__free(&all);
}

/* Read while an exchange was being counted: what does not add up is told, not hidden. */
static void read_in_motion(void **state)
{
	static const uint64_t request[] = {0, 10}, reply[] = {100, 90};
	struct hops_path p = path_of(sockets, 2, "x");
	struct waterfall w;

	(void)state;
	count_exchange(&p, request, reply);
	p.span[0].hist[HOP_AFTER].sum -= 4;
	assert_true(waterfall__of_path(&w, &p));
	near(w.unsettled_ns, 4);
	free(p.span);
}

static bool not_b(const void *ctx, const char *route)
{
	(void)ctx;
	return strcmp(route, "b") != 0;
}

static void order(void **state)
{
	struct hops_path p[4] = {path_of(sockets, 8, "a"), path_of(sockets, 4, "a"),
				 path_of(sockets, 3, "b"), path_of(sockets, 2, "c")};
	static const int times[] = {3, 4, 9, 6};
	struct hops h = {.on = true, .paths = p, .n_paths = 4};
	struct waterfalls w;
	uint64_t r = 3;

	(void)state;
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < times[i]; k++)
			count_random(&p[i], sockets, &r);
	assert_int_equal(waterfalls__build(&w, &h, NULL, NULL), 0);
	assert_int_equal(w.n, 4);
	assert_string_equal(w.v[0].route, "b");
	/* the route's ways one after the other, the more frequent one first */
	assert_string_equal(w.v[1].route, "a");
	assert_int_equal(w.v[1].count, 4);
	assert_int_equal(w.v[1].route_count, 7);
	assert_int_equal(w.v[2].count, 3);
	assert_int_equal(w.v[2].variant, 2);
	assert_int_equal(w.v[2].variants, 2);
	assert_string_equal(w.v[3].route, "c");
	waterfalls__free(&w);
	assert_int_equal(waterfalls__build(&w, &h, not_b, NULL), 0);
	assert_int_equal(w.n, 3);
	waterfalls__free(&w);
	for (int i = 0; i < 4; i++)
		free(p[i].span);
}

static const char *name_of(const struct waterfall *w, size_t span)
{
	static char name[WATERFALL_NAME_LEN];

	waterfall__name(w, span, true, name, sizeof(name));
	return name;
}

static void names(void **state)
{
	static const struct socket s[] = {
		{"a", "/", 1, ROLE_CLIENT, 0, HOP_NONE, false},
		{"b", "east/pod/main", 2, ROLE_BROKER, 0, HOP_NETWORK, true},
		{"c", "west/pod/main", 3, ROLE_BROKER, 1, HOP_NETWORK, true},
		{"svc", "/t/svc", 4, ROLE_BROKER, 2, HOP_NETWORK, true},
		{"", "?", 0, ROLE_BROKER, 3, HOP_NETWORK, true},
		{"e", "main", 5, ROLE_BROKER, 4, HOP_NETWORK, true},
	};
	struct hops_path p = path_of(s, 6, "x");
	uint64_t r = 3;
	struct waterfall w;

	(void)state;
	count_random(&p, s, &r);
	assert_true(waterfall__of_path(&w, &p));
	assert_string_equal(name_of(&w, 0), "a :1");
	assert_string_equal(name_of(&w, 1), "b @east/pod/main :2");
	assert_string_equal(name_of(&w, 2), "c @west/pod/main :3");
	assert_string_equal(name_of(&w, 3), "svc :4");
	assert_string_equal(name_of(&w, 4), "? @?");
	assert_string_equal(name_of(&w, 5), "e @main :5");
	free(p.span);
}

static const char *text_of(struct text *t)
{
	return t->data ? t->data : "";
}

/* Two brokers without containers of their own are two places, told apart by their ports. */
static void processes_of_the_same_name(void **state)
{
	static const struct socket s[] = {
		{"load", "/", 4222, ROLE_CLIENT, 0, HOP_NONE, false},
		{"nats-server", "/", 4222, ROLE_BROKER, 0, HOP_NETWORK, true},
		{"nats-server", "/", 6222, ROLE_ROUTE, 1, HOP_PROCESS, false},
		{"nats-server", "/", 6222, ROLE_ROUTE_IN, 2, HOP_NETWORK, true},
		{"nats-server", "/", 4223, ROLE_BROKER_OUT, 3, HOP_PROCESS, false},
		{"svc", "/", 4223, ROLE_SERVICE, 4, HOP_NETWORK, true},
	};
	static const uint64_t request[] = {0, 10, 110, 120, 320, 330};
	static const uint64_t reply[] = {1000, 990, 880, 870, 660, 650};
	struct hops_path p = path_of(s, 6, "x");
	struct text way = {0}, places = {0};
	struct waterfall w;

	(void)state;
	count_exchange(&p, request, reply);
	assert_true(waterfall__of_path(&w, &p));
	hops__add_way(&way, &w);
	assert_string_equal(text_of(&way), "load > nats-server :4222 > nats-server :6222 > svc");
	hops__add_places(&places, &w, 4);
	assert_string_equal(text_of(&places),
			    "nats-server :6222 41.0 %, svc 32.0 %, nats-server :4222 21.0 %, "
			    "network 6.0 %");
	text__free(&way);
	text__free(&places);
	free(p.span);
}

static void clients_of_the_same_name(void **state)
{
	static const struct socket s[] = {
		{"node", "/", 4222, ROLE_CLIENT, 0, HOP_NONE, false},
		{"nats-server", "/", 4222, ROLE_BROKER, 0, HOP_NETWORK, true},
		{"nats-server", "/", 4222, ROLE_BROKER_OUT, 1, HOP_PROCESS, false},
		{"node", "/", 4222, ROLE_SERVICE, 2, HOP_NETWORK, true},
	};
	struct hops_path p = path_of(s, 4, "x");
	struct text way = {0};
	uint64_t r = 1;
	struct waterfall w;

	(void)state;
	count_random(&p, s, &r);
	assert_true(waterfall__of_path(&w, &p));
	hops__add_way(&way, &w);
	assert_string_equal(text_of(&way), "node (client) > nats-server > node (service)");
	text__free(&way);
	free(p.span);
}

/* A server that is called twice is one place. */
static void a_server_called_twice(void **state)
{
	static const struct socket s[] = {
		{"nginx", "/gw", 80, ROLE_SERVER, 0, HOP_NONE, true},
		{"nginx", "/gw", 6379, ROLE_CLIENT, 0, HOP_PROCESS, false},
		{"redis", "/r", 6379, ROLE_SERVER, 1, HOP_NETWORK, true},
		{"nginx", "/gw", 6379, ROLE_CLIENT, 0, HOP_PROCESS, false},
		{"redis", "/r", 6379, ROLE_SERVER, 3, HOP_NETWORK, true},
	};
	static const uint64_t request[] = {0, 100, 110, 500, 520},
			      reply[] = {1000, 320, 310, 740, 720};
	struct hops_path p = path_of(s, 5, "x");
	struct text way = {0}, places = {0};
	struct waterfall w;

	(void)state;
	count_exchange(&p, request, reply);
	assert_true(waterfall__of_path(&w, &p));
	hops__add_way(&way, &w);
	assert_string_equal(text_of(&way), "nginx @gw > redis @r");
	hops__add_places(&places, &w, 4);
	assert_string_equal(text_of(&places), "nginx @gw 54.0 %, redis @r 40.0 %, network 6.0 %");
	text__free(&way);
	text__free(&places);
	free(p.span);
}

/* ---- renderers */

static struct waterfalls some(struct hops_path p[3])
{
	struct hops h = {.on = true, .paths = p, .n_paths = 3, .count = {12, 1}};
	struct waterfalls w;
	uint64_t r = 11;

	p[0] = path_of(sockets, N_SOCKETS, "rpc.echo");
	p[1] = path_of(sockets, 4, "rpc.echo");
	p[2] = path_of(gateway, 5, "GET /<b>&\"'\x1b[2J|`*");
	strcpy(p[2].span[3].node.container, "/x/<script>alert(1)</script>\x07\xe2\x80\xae");
	for (int k = 0; k < 6; k++) {
		count_random(&p[0], sockets, &r);
		hist__add(&p[0].span[1].hist[HOP_QUEUE_REQUEST], 500);
		if (k < 3)
			count_random(&p[1], sockets, &r);
		if (k < 3)
			count_random(&p[2], gateway, &r);
	}
	assert_int_equal(waterfalls__build(&w, &h, NULL, NULL), 0);
	return w;
}

static void free_some(struct waterfalls *w, struct hops_path p[3])
{
	waterfalls__free(w);
	for (int i = 0; i < 3; i++)
		free(p[i].span);
}

static char *dumped(const struct waterfalls *w)
{
	json_t *o = session__hops(w);
	char *s = json_dumps(o, 0);

	json_decref(o);
	return s;
}

static void json_and_back(void **state)
{
	char err[200] = "", *a, *b;
	struct hops_path p[3];
	struct waterfalls w = some(p), again;
	json_t *o = json_pack("{soso}", "hops", session__hops(&w), "hop_accounting",
			      session__hop_accounting(w.count));

	(void)state;
	assert_int_equal(hops_json__load(&again, o, err, sizeof(err)), 0);
	assert_int_equal(again.n, w.n);
	assert_int_equal(again.count[HOP_TABLE_FULL], 1);
	a = dumped(&w);
	b = dumped(&again);
	assert_string_equal(a, b);
	assert_null(strchr(a, 0x1b));
	free(a);
	free(b);
	json_decref(o);
	waterfalls__free(&again);
	free_some(&w, p);
}

static void timelines_and_back(void **state)
{
	static const uint64_t request[] = {0, 10, 30, 40, 90}, reply[] = {300, 290, 70, 60, 270};
	struct hops_timeline t = timeline_of(gateway, 5, request, reply);
	struct waterfall w, *again;
	char err[200] = "";
	size_t n;
	json_t *o;

	(void)state;
	assert_true(waterfall__of_timeline(&w, &t));
	o = json_pack("{so}", "timelines", session__timelines(&w, 1));
	assert_int_equal(hops_json__load_timelines(&again, &n, o, err, sizeof(err)), 0);
	assert_int_equal(n, 1);
	assert_memory_equal(again[0].edge, w.edge, sizeof(w.edge));
	assert_int_equal(again[0].span[2].tgid, 102);
	free(again);
	json_decref(o);
}

/* Each change of a good document is refused, or taken without harm. */
static void broken_documents(void **state)
{
	static const char *const bad[] = {
		"{\"hops\": 1}",
		"{\"hops\": [1]}",
		"{\"hops\": [{}]}",
		"{\"hops\": [{\"count\": -1}]}",
		"{\"hops\": [{\"count\": 1, \"rtt\": {\"mean_ns\": 1}, \"route\": \"x\"}]}",
		"{\"hops\": [{\"count\": 1, \"rtt\": {\"mean_ns\": 1}, \"route\": \"x\", "
		"\"spans\": []}]}",
		"{\"hops\": [{\"count\": 1, \"rtt\": {\"mean_ns\": 1}, \"route\": \"x\", "
		"\"spans\": "
		"[{\"comm\": \"a\", \"container\": \"b\", \"port\": 1}], \"edges\": []}]}",
		"{\"hops\": [{\"count\": 1, \"rtt\": {\"mean_ns\": 1}, \"route\": \"x\", "
		"\"spans\": "
		"[{\"comm\": \"a\", \"container\": \"b\", \"port\": 1}, {\"comm\": \"a\", "
		"\"container\": \"b\", \"port\": 1, \"parent\": 1}], \"edges\": []}]}",
		"{\"hops\": [{\"count\": 1, \"rtt\": {\"mean_ns\": 1e300}, \"route\": \"x\"}]}",
	};
	struct waterfalls w;
	char err[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *o = json_loads(bad[i], 0, NULL);

		assert_non_null(o);
		err[0] = 0;
		assert_int_equal(hops_json__load(&w, o, err, sizeof(err)), -EINVAL);
		assert_true(err[0]);
		assert_null(w.v);
		json_decref(o);
	}
}

static char *svg_of(const struct waterfalls *w)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(hops_svg__print(f, w->v, w->n, 2, "a <title> & more"), 0);
	fclose(f);
	return text;
}

static void a_picture(void **state)
{
	struct hops_path p[3];
	struct waterfalls w = some(p), none = {0};
	char *a = svg_of(&w), *b = svg_of(&w), *empty = svg_of(&none);

	(void)state;
	assert_string_equal(a, b);
	assert_null(strstr(a, "<script"));
	assert_null(strstr(a, "<b>"));
	assert_null(strchr(a, 0x1b));
	assert_null(strchr(a, 0x07));
	assert_null(strstr(a, "\xe2\x80\xae"));
	assert_null(strstr(a, "nan"));
	assert_non_null(strstr(a, "a &lt;title&gt; &amp; more"));
	assert_non_null(strstr(a, "... and 2 more ways"));
	assert_non_null(strstr(empty, "NO DATA"));
	free(a);
	free(b);
	free(empty);
	free_some(&w, p);
}

static char *table_of(const struct waterfalls *w, unsigned int width)
{
	struct table_opts opts = {.width = width};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(hops_table__print(f, w, NULL, &opts), 0);
	fclose(f);
	return text;
}

/* Rows of hops stay within the terminal, whatever its width is (from where they can). */
static void widths(void **state)
{
	struct hops_path p[3];
	struct waterfalls w = some(p);

	(void)state;
	for (unsigned int width = 80; width < 180; width += 7) {
		char *text = table_of(&w, width), *save = NULL;

		for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
			if (strstr(l, "us ") && (strstr(l, "→") || strstr(l, "←")))
				assert_true(text__width(l) <= width);
		free(text);
	}
	free_some(&w, p);
}

/* No more than fit on the screen, but one. */
static void heights(void **state)
{
	static const struct {
		unsigned int height;
		const char *more;
	} want[] = {{1, "... and 2 more ways"},
		    {40, "... and 2 more ways"},
		    {45, "... and 1 more way "}};
	struct hops_path p[3];
	struct waterfalls w = some(p);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct table_opts opts = {.height = want[i].height};
		char *text = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&text, &len);

		assert_int_equal(hops_table__print(f, &w, NULL, &opts), 0);
		fclose(f);
		assert_non_null(strstr(text, want[i].more));
		free(text);
	}
	free_some(&w, p);
}

static void no_data(void **state)
{
	struct waterfalls none = {0};
	char *text = table_of(&none, 0);
	struct text md = {0};

	(void)state;
	assert_non_null(strstr(text, "NO DATA: no exchange was seen\n"));
	md__hops(&md, NULL, 0);
	assert_non_null(strstr(md.data, "NO DATA"));
	free(text);
	text__free(&md);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_in_order),
		cmocka_unit_test(one_after_the_other),
		cmocka_unit_test(queues),
		cmocka_unit_test(means_add_up),
		cmocka_unit_test(a_timeline),
		cmocka_unit_test(what_is_not_nested),
		cmocka_unit_test(nothing_and_nonsense),
		cmocka_unit_test(read_in_motion),
		cmocka_unit_test(order),
		cmocka_unit_test(names),
		cmocka_unit_test(processes_of_the_same_name),
		cmocka_unit_test(clients_of_the_same_name),
		cmocka_unit_test(a_server_called_twice),
		cmocka_unit_test(json_and_back),
		cmocka_unit_test(timelines_and_back),
		cmocka_unit_test(broken_documents),
		cmocka_unit_test(a_picture),
		cmocka_unit_test(widths),
		cmocka_unit_test(heights),
		cmocka_unit_test(no_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
