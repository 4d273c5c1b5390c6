/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define _GNU_SOURCE /* open_memstream */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/critical_path.h"
#include "model/hist.h"
#include "out/text.h"
#include "out/tree.h"
#include "random.h"

enum { LOAD = 1, PROXY = 2, GATEWAY = 3, REDIS = 4, API = 5 };

static const char *const names[] = {"", "/t/load", "/t/proxy", "/t/gateway", "/t/redis", "/t/api"};

static struct snapshot_series *series(struct snapshot *s, uint64_t cgroup, uint32_t route,
				      uint8_t role, uint8_t part)
{
	struct snapshot_series *v;

	for (size_t i = 0; i < s->n_series; i++) {
		v = &s->series[i];
		if (v->key.cgroup == cgroup && v->key.route == route && v->key.role == role &&
		    v->key.part == part)
			return v;
	}
	s->series = realloc(s->series, (s->n_series + 1) * sizeof(*s->series));
	v = &s->series[s->n_series++];
	memset(v, 0, sizeof(*v));
	v->key = (struct series_key){.cgroup = cgroup,
				     .route = route,
				     .proto = PROTO_HTTP,
				     .role = role,
				     .status = STATUS_2XX,
				     .part = part};
	snprintf(v->route, sizeof(v->route), "GET /r%u", route);
	snprintf(v->container, sizeof(v->container), "%s", names[cgroup]);
	return v;
}

static void record(struct snapshot *s, uint64_t cgroup, uint32_t route, uint8_t role, uint8_t part,
		   uint64_t ns)
{
	struct snapshot_series *v = series(s, cgroup, route, role, part);

	hist__add(&v->hist, ns);
	v->count++;
}

/* A request of a server: its whole and its own parts. */
static void serve(struct snapshot *s, uint64_t cgroup, uint32_t route, uint64_t queue,
		  uint64_t self, uint64_t children)
{
	record(s, cgroup, route, ROLE_SERVER, PART_WHOLE, queue + self + children);
	record(s, cgroup, route, ROLE_SERVER, PART_QUEUE, queue);
	record(s, cgroup, route, ROLE_SERVER, PART_SELF, self);
}

static struct snapshot_edge *edge(struct snapshot *s, uint8_t kind, uint64_t parent,
				  uint32_t parent_route, uint64_t child, uint32_t route,
				  uint8_t proto, uint64_t callee)
{
	struct edge_key key = {.parent_cgroup = parent,
			       .child_cgroup = child,
			       .remote = {0x0100007f, 0, 0, 0},
			       .parent_route = parent_route,
			       .child_route = route,
			       .remote_port = (uint16_t)(callee ? 1000 + callee : 443),
			       .parent_proto = parent ? PROTO_HTTP : 0,
			       .child_proto = proto,
			       .kind = kind,
			       .family = 4};
	struct snapshot_edge *e;

	for (size_t i = 0; i < s->n_edges; i++)
		if (memcmp(&s->edges[i].key, &key, sizeof(key)) == 0)
			return &s->edges[i];
	s->edges = realloc(s->edges, (s->n_edges + 1) * sizeof(*s->edges));
	e = &s->edges[s->n_edges++];
	memset(e, 0, sizeof(*e));
	e->key = key;
	e->callee = callee;
	snprintf(e->child_route, sizeof(e->child_route), "GET /r%u", route);
	snprintf(e->container, sizeof(e->container), "%s", names[child]);
	snprintf(e->callee_container, sizeof(e->callee_container), "%s", names[callee]);
	return e;
}

/* A request had `calls` such calls, one of which was under way for ns in all. */
static void call(struct snapshot_edge *e, uint64_t calls, uint64_t ns)
{
	e->calls += calls;
	e->done += calls;
	e->sum_ns += ns;
	hist__add(&e->hist, ns);
}

static struct critical_paths build(const struct snapshot *s)
{
	struct critical_paths p;

	assert_int_equal(critical_paths__build(&p, s), 0);
	return p;
}

static const struct path_part *part(const struct critical_path *p, enum path_kind kind,
				    const char *name)
{
	for (size_t i = 0; i < p->n_parts; i++)
		if (p->parts[i].kind == kind && strcmp(p->parts[i].name, name) == 0)
			return &p->parts[i];
	print_error("no part %s\n", name);
	fail();
	return NULL;
}

static double sum_of_parts(const struct critical_path *p)
{
	double sum = 0;

	for (size_t i = 0; i < p->n_parts; i++) {
		assert_true(p->parts[i].mean_ns >= 0);
		if (!p->parts[i].heading)
			sum += p->parts[i].mean_ns;
	}
	return sum;
}

static void assert_adds_up(const struct critical_path *p)
{
	assert_true(fabs(sum_of_parts(p) + p->residual_ns - p->mean_ns) <= 1e-9 * p->mean_ns);
}

static void near(double a, double b)
{
	if (!(fabs(a - b) <= 1e-6 * fabs(b) + 1e-6))
		print_error("%f is not %f\n", a, b);
	assert_true(fabs(a - b) <= 1e-6 * fabs(b) + 1e-6);
}

/* load -> proxy -> gateway -> 3 redis calls, one api call; every part has a size of its own. */
static void gateway(struct snapshot *s, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		serve(s, API, 2, 10, 20000, 0);
		call(edge(s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 2, PROTO_HTTP, API), 1, 20010 + 300);
		call(edge(s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 10, PROTO_REDIS, REDIS), 2, 700);
		call(edge(s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 11, PROTO_REDIS, REDIS), 1, 650);
		/* the three are a pipeline: overlapping, 750 in all */
		record(s, GATEWAY, 1, ROLE_SERVER, PART_REDIS, 750);
		record(s, GATEWAY, 1, ROLE_SERVER, PART_HTTP, 20310);
		serve(s, GATEWAY, 1, 40, 5000, 750 + 20310);
		call(edge(s, EDGE_LINKED, PROXY, 1, PROXY, 1, PROTO_HTTP, GATEWAY), 1, 26100 + 200);
		record(s, PROXY, 1, ROLE_SERVER, PART_HTTP, 26300);
		serve(s, PROXY, 1, 30, 100, 26300);
		record(s, LOAD, 1, ROLE_CLIENT, PART_WHOLE, 26430 + 70);
		edge(s, EDGE_ROOT, 0, 0, LOAD, 1, PROTO_HTTP, PROXY)->calls++;
	}
}

static void free_all(struct snapshot *s, struct critical_paths *p)
{
	critical_paths__free(p);
	snapshot__free(s);
}

static void every_part_is_found(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;
	const struct critical_path *p;

	(void)state;
	gateway(&s, 100);
	all = build(&s);
	assert_int_equal(all.n, 1);
	p = &all.paths[0];
	assert_string_equal(p->route, "GET /r1");
	assert_string_equal(p->client, "/t/load");
	assert_string_equal(p->container, "/t/proxy");
	assert_int_equal(p->count, 100);
	near(p->mean_ns, 26500);
	near(part(p, PATH_NETWORK, "load - proxy")->mean_ns, 70);
	near(part(p, PATH_QUEUE, "proxy queue")->mean_ns, 30);
	near(part(p, PATH_SELF, "proxy")->mean_ns, 100);
	near(part(p, PATH_NETWORK, "proxy - gateway")->mean_ns, 200);
	near(part(p, PATH_QUEUE, "gateway queue")->mean_ns, 40);
	near(part(p, PATH_SELF, "gateway")->mean_ns, 5000);
	near(part(p, PATH_CHILD, "redis")->mean_ns, 750);
	near(part(p, PATH_CHILD, "redis")->calls, 3);
	near(part(p, PATH_NETWORK, "gateway - api")->mean_ns, 300);
	near(part(p, PATH_SELF, "api")->mean_ns, 20000);
	near(part(p, PATH_SELF, "api")->share, 20000. / 26500);
	assert_true(fabs(part(p, PATH_SELF, "api")->p50_ns - 20000) < 20000 * 0.016);
	assert_true(isnan(part(p, PATH_NETWORK, "gateway - api")->p50_ns));
	assert_int_equal(p->linked, 100 * 5);
	assert_int_equal(p->unlinked, 0);
	near(p->residual_ns, 0);
	assert_false(p->several);
	assert_false(p->crossed);
	assert_adds_up(p);
	free_all(&s, &all);
}

/* A callee on another host, or one that cannot be read, is a part with its address. */
static void what_is_not_seen_is_opaque(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;

	(void)state;
	for (int i = 0; i < 10; i++) {
		call(edge(&s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 2, PROTO_HTTP, 0), 1, 900);
		record(&s, GATEWAY, 1, ROLE_SERVER, PART_HTTP, 900);
		serve(&s, GATEWAY, 1, 0, 100, 900);
	}
	all = build(&s);
	assert_int_equal(all.n, 1);
	assert_string_equal(all.paths[0].client, "");
	near(part(&all.paths[0], PATH_OPAQUE, "127.0.0.1:443")->mean_ns, 900);
	assert_adds_up(&all.paths[0]);
	near(all.paths[0].residual_ns, 0);
	free_all(&s, &all);
}

/* Calls of a kind in some requests only: of the mean request, a part of a call. */
static void rare_calls_are_weighed(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;

	(void)state;
	for (int i = 0; i < 10; i++) {
		uint64_t redis = i == 0 ? 5000 : 0;

		if (redis) {
			call(edge(&s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 10, PROTO_REDIS, REDIS), 1,
			     redis);
			record(&s, GATEWAY, 1, ROLE_SERVER, PART_REDIS, redis);
		}
		serve(&s, GATEWAY, 1, 10, 100, redis);
	}
	all = build(&s);
	near(part(&all.paths[0], PATH_CHILD, "redis")->mean_ns, 500);
	near(part(&all.paths[0], PATH_CHILD, "redis")->calls, 0.1);
	near(all.paths[0].residual_ns, 0);
	free_all(&s, &all);
}

/* A server that took longer than its caller waited: said, and in the residual, never below 0. */
static void times_that_do_not_nest_are_residual(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;

	(void)state;
	serve(&s, API, 2, 0, 5000, 0);
	call(edge(&s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 2, PROTO_HTTP, API), 1, 4000);
	record(&s, GATEWAY, 1, ROLE_SERVER, PART_HTTP, 4000);
	serve(&s, GATEWAY, 1, 0, 100, 4000);
	all = build(&s);
	assert_int_equal(all.n, 1);
	assert_true(all.paths[0].crossed);
	near(all.paths[0].residual_ns, -1000);
	near(part(&all.paths[0], PATH_NETWORK, "gateway - api")->mean_ns, 0);
	assert_adds_up(&all.paths[0]);
	free_all(&s, &all);
}

/* Two addresses asked at the same time: their times overlap, by which the residual is below 0. */
static void overlaps_are_residual(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;

	(void)state;
	call(edge(&s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 10, PROTO_REDIS, REDIS), 1, 1000);
	call(edge(&s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 10, PROTO_REDIS, API), 1, 800);
	record(&s, GATEWAY, 1, ROLE_SERVER, PART_REDIS, 1000);
	serve(&s, GATEWAY, 1, 0, 100, 1000);
	all = build(&s);
	near(part(&all.paths[0], PATH_CHILD, "redis")->mean_ns, 1000);
	near(part(&all.paths[0], PATH_CHILD, "api")->mean_ns, 800);
	near(all.paths[0].residual_ns, -800);
	assert_adds_up(&all.paths[0]);
	free_all(&s, &all);
}

/* A server that seems to call itself (all in one cgroup): the tree ends. */
static void loops_end(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;

	(void)state;
	serve(&s, GATEWAY, 1, 0, 100, 500);
	record(&s, GATEWAY, 1, ROLE_SERVER, PART_HTTP, 500);
	call(edge(&s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 1, PROTO_HTTP, GATEWAY), 1, 500);
	edge(&s, EDGE_ROOT, 0, 0, LOAD, 1, PROTO_HTTP, GATEWAY)->calls++;
	record(&s, LOAD, 1, ROLE_CLIENT, PART_WHOLE, 700);
	all = build(&s);
	assert_int_equal(all.n, 1);
	near(part(&all.paths[0], PATH_OPAQUE, "gateway")->mean_ns, 500);
	assert_int_equal(all.paths[0].linked, 1);
	assert_adds_up(&all.paths[0]);
	free_all(&s, &all);
}

/* Unlinked calls belong to no tree's parts, and to the count of those of their container. */
static void unlinked_calls_are_counted(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;

	(void)state;
	gateway(&s, 10);
	edge(&s, EDGE_UNLINKED, 0, 0, GATEWAY, 12, PROTO_REDIS, REDIS)->calls = 7;
	edge(&s, EDGE_UNLINKED, 0, 0, LOAD, 12, PROTO_REDIS, REDIS)->calls = 5;
	all = build(&s);
	assert_int_equal(all.n, 1);
	assert_int_equal(all.paths[0].unlinked, 7);
	assert_int_equal(all.unlinked, 12);
	assert_int_equal(all.linked, 50);
	free_all(&s, &all);
}

/* A server that others ask, too: its means are those of all, which is said. */
static void shared_servers_are_marked(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;

	(void)state;
	gateway(&s, 100);
	for (int i = 0; i < 50; i++)
		serve(&s, API, 2, 10, 20000, 0);
	all = build(&s);
	assert_int_equal(all.n, 1);
	assert_true(all.paths[0].several);
	free_all(&s, &all);
}

/* Requests that fail: they are answers, and counted apart. */
static void failures_are_counted(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;
	struct snapshot_series *v;

	(void)state;
	gateway(&s, 10);
	v = series(&s, LOAD, 99, ROLE_CLIENT, PART_WHOLE);
	v->key.route = 1;
	v->key.status = STATUS_5XX;
	hist__add(&v->hist, 26500);
	v->count = 1;
	all = build(&s);
	assert_int_equal(all.paths[0].count, 11);
	assert_int_equal(all.paths[0].failed, 1);
	free_all(&s, &all);
}

/* Random trees whose parts nest: whatever they are, the parts add up and nothing is left. */
static void random_trees_add_up(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct snapshot s = {.tree = true};
		struct critical_paths all;
		uint64_t r = seed;

		for (int i = 0; i < 200; i++) {
			uint64_t api = 0, redis = 0, net = random__next(&r) % 1000;

			if (random__next(&r) % 3) {
				uint64_t own = random__next(&r) % 100000;

				serve(&s, API, 2, own % 77, own, 0);
				api = own + own % 77 + net;
				call(edge(&s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 2, PROTO_HTTP, API),
				     1, api);
				record(&s, GATEWAY, 1, ROLE_SERVER, PART_HTTP, api);
			}
			if (random__next(&r) % 2) {
				redis = random__next(&r) % 5000;
				call(edge(&s, EDGE_LINKED, GATEWAY, 1, GATEWAY, 10, PROTO_REDIS,
					  REDIS),
				     1 + r % 4, redis);
				record(&s, GATEWAY, 1, ROLE_SERVER, PART_REDIS, redis);
			}
			serve(&s, GATEWAY, 1, random__next(&r) % 50, random__next(&r) % 9000,
			      api + redis);
		}
		all = build(&s);
		assert_int_equal(all.n, 1);
		assert_adds_up(&all.paths[0]);
		assert_true(fabs(all.paths[0].residual_ns) < 1e-6 * all.paths[0].mean_ns);
		free_all(&s, &all);
	}
}

static void nothing_is_no_tree(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all = build(&s);

	(void)state;
	assert_int_equal(all.n, 0);
	critical_paths__free(&all);
}

/* What is printed: within 100 columns, every part, nothing that was not measured. */
static void printed_trees_fit(void **state)
{
	struct table_opts opts = {0};
	struct snapshot s = {.tree = true};
	struct critical_paths all;
	char *text = NULL, *line, *rest;
	size_t len;
	FILE *f;

	(void)state;
	gateway(&s, 100);
	s.cause[CAUSE_STALE] = 3;
	all = build(&s);
	f = open_memstream(&text, &len);
	assert_int_equal(tree__print(f, &all, &s, &opts), 0);
	fclose(f);
	assert_non_null(strstr(text, "> GET /r1 at gateway"));
	assert_non_null(strstr(text, "redis (redis)"));
	assert_non_null(strstr(text, "residual"));
	assert_non_null(strstr(text, "500 linked, 0 unlinked"));
	assert_non_null(strstr(text, "stale 3"));
	/* a value follows a blank; "unanswered" is a word of the accounting */
	assert_null(strstr(text, " nan"));
	assert_non_null(strstr(text, "\nseen 0 = matched 0"));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		assert_true(text__width(line) <= 100);
	free(text);
	free_all(&s, &all);
}

/* As JSON: leaves in "parts", whose means and the residual are the whole's mean. */
static void json_parts_add_up(void **state)
{
	struct snapshot s = {.tree = true};
	struct critical_paths all;
	json_t *a, *p, *part;
	double sum = 0;
	size_t i;

	(void)state;
	gateway(&s, 100);
	all = build(&s);
	a = session__critical_paths(&all);
	p = json_array_get(a, 0);
	assert_int_equal(json_array_size(json_object_get(p, "calls")), 2);
	json_array_foreach(json_object_get(p, "parts"), i, part) sum +=
		json_number_value(json_object_get(part, "mean_ns"));
	sum += json_number_value(json_object_get(p, "residual_ns"));
	near(sum, json_number_value(json_object_get(p, "mean_ns")));
	assert_true(json_is_null(
		json_object_get(json_array_get(json_object_get(p, "parts"), 0), "p50_ns")));
	json_decref(a);
	free_all(&s, &all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_is_found),
		cmocka_unit_test(what_is_not_seen_is_opaque),
		cmocka_unit_test(rare_calls_are_weighed),
		cmocka_unit_test(times_that_do_not_nest_are_residual),
		cmocka_unit_test(overlaps_are_residual),
		cmocka_unit_test(loops_end),
		cmocka_unit_test(unlinked_calls_are_counted),
		cmocka_unit_test(shared_servers_are_marked),
		cmocka_unit_test(failures_are_counted),
		cmocka_unit_test(random_trees_add_up),
		cmocka_unit_test(nothing_is_no_tree),
		cmocka_unit_test(printed_trees_fit),
		cmocka_unit_test(json_parts_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
