/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/waterfall.h"
#include "paths.h"

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
	static const double want[] = {10, 20, 30, 40, 50, 60, 70, 260, 80, 70, 60, 50, 40, 30, 30};
	struct waterfall w = one_exchange(sockets, N_SOCKETS, request, reply);

	(void)state;
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
}

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
	near(w.residual_ns, edge(&w, 4, WATERFALL_IN)->mean_ns);
	near(w.residual_ns, 180);
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

/* Only edges there, with what the message waited; exchanges of the route are none of its ways. */
static void a_delivery(void **state)
{
	static const uint64_t at[] = {0, 1000, 5000, 8000};
	struct hops_path p[2] = {path_of(delivery, N_DELIVERY, "evt"),
				 path_of(delivery, N_DELIVERY, "evt")};
	struct hops h = {.on = true, .paths = p, .n_paths = 2};
	const struct waterfall *w;
	struct waterfalls all;
	uint64_t r = 3;

	(void)state;
	count_delivery(&p[0], at);
	hist__add(&p[0].span[1].hist[HOP_QUEUE_REQUEST], 3000);
	for (int k = 0; k < 3; k++)
		count_random(&p[1], delivery, &r);
	assert_int_equal(waterfalls__build(&all, &h, NULL, NULL), 0);
	assert_int_equal(all.n, 2);
	assert_false(all.v[0].one_way);
	w = &all.v[1];
	assert_true(w->one_way);
	assert_int_equal(w->n_edges, N_DELIVERY - 1);
	for (size_t i = 0; i < w->n_edges; i++)
		assert_int_equal(w->edge[i].direction, WATERFALL_THERE);
	near(w->edge[0].mean_ns, 1000);
	near(w->edge[1].mean_ns, 4000);
	near(w->edge[1].queue_mean_ns, 3000);
	near(w->edge[2].mean_ns, 3000);
	near(w->mean_ns, 8000);
	assert_true(w->unsettled_ns == 0);
	assert_int_equal(w->route_count, 1);
	assert_int_equal(w->variants, 1);
	waterfalls__free(&all);
	free(p[0].span);
	free(p[1].span);
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
		cmocka_unit_test(a_delivery),
		cmocka_unit_test(order),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
