/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waterfalls in words, as JSON and read again, as a table, in Markdown and as a picture. */
#define _GNU_SOURCE /* open_memstream */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "out/hops.h"
#include "out/session.h"
#include "paths.h"

static void assert_way(const struct waterfall *w, const char *want)
{
	struct text t = {0};

	hops__add_way(&t, w);
	assert_string_equal(t.data, want);
	text__free(&t);
}

static void assert_places(const struct waterfall *w, const char *want)
{
	struct text t = {0};

	hops__add_places(&t, w, 4);
	assert_string_equal(t.data, want);
	text__free(&t);
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
	struct waterfall w = one_exchange(s, 6, request, reply);

	(void)state;
	assert_way(&w, "load > nats-server :4222 > nats-server :6222 > svc");
	assert_places(&w, "nats-server :6222 41.0 %, svc 32.0 %, nats-server :4222 21.0 %, "
			  "network 6.0 %");
}

static void clients_of_the_same_name(void **state)
{
	static const struct socket s[] = {
		{"node", "/", 4222, ROLE_CLIENT, 0, HOP_NONE, false},
		{"nats-server", "/", 4222, ROLE_BROKER, 0, HOP_NETWORK, true},
		{"nats-server", "/", 4222, ROLE_BROKER_OUT, 1, HOP_PROCESS, false},
		{"node", "/", 4222, ROLE_SERVICE, 2, HOP_NETWORK, true},
	};
	static const uint64_t request[] = {0, 10, 20, 30}, reply[] = {70, 60, 50, 40};
	struct waterfall w = one_exchange(s, 4, request, reply);

	(void)state;
	assert_way(&w, "node (client) > nats-server > node (service)");
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
	struct waterfall w = one_exchange(s, 5, request, reply);

	(void)state;
	assert_way(&w, "nginx @gw > redis @r");
	assert_places(&w, "nginx @gw 54.0 %, redis @r 40.0 %, network 6.0 %");
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

/* As a line of `hops --json` has it. */
static json_t *line_of(const struct waterfalls *w)
{
	return json_pack("{soso}", "hops", session__hops(w), "hop_accounting",
			 session__hop_accounting(w->count));
}

/* Written and read again it is the same. */
static struct waterfalls again(const struct waterfalls *w)
{
	json_t *o = line_of(w), *second;
	struct waterfalls read;
	char err[200] = "";

	assert_int_equal(hops_json__load(&read, o, err, sizeof(err)), 0);
	second = line_of(&read);
	assert_true(json_equal(o, second));
	json_decref(second);
	json_decref(o);
	return read;
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
	struct hops_path p[3];
	struct waterfalls w = some(p), read = again(&w);
	char *text = dumped(&read);

	(void)state;
	assert_int_equal(read.n, w.n);
	assert_int_equal(read.count[HOP_TABLE_FULL], 1);
	assert_null(strchr(text, 0x1b));
	free(text);
	waterfalls__free(&read);
	free_some(&w, p);
}

/* The residual's median is known of one opaque edge, and of none. */
static void names_of_a_path(void **state)
{
	static const struct socket tunnel[] = {
		{"pub", "/", 4222, ROLE_CLIENT, 0, HOP_NONE, false},
		{"sub", "/", 4222, ROLE_SERVICE, 0, HOP_OPAQUE, true},
	};
	static const uint64_t at[HOP_SPANS] = {0, 700};
	struct hops_path p[3] = {path_of(sockets, N_SOCKETS, "b"), path_of(sockets, 4, "a"),
				 path_of(tunnel, 2, "c")};
	struct hops h = {.on = true, .paths = p, .n_paths = 3};
	struct waterfalls w;
	uint64_t r = 3;
	json_t *a;

	(void)state;
	for (int k = 0; k < 3; k++)
		count_random(&p[0], sockets, &r);
	for (int k = 0; k < 4; k++)
		count_random(&p[1], sockets, &r);
	count_delivery(&p[2], at);
	assert_int_equal(waterfalls__build(&w, &h, NULL, NULL), 0);
	a = session__hops(&w);
	for (size_t i = 0; i < 3; i++) {
		const json_t *o = json_array_get(a, i);

		assert_true(session__get_number(o, "rtt_mean_ns") == w.v[i].mean_ns);
		assert_true(session__get_number(o, "rtt_p50_ns") == w.v[i].p50_ns);
		assert_true(session__get_number(o, "rtt_p99_ns") == w.v[i].p99_ns);
		assert_true(session__get_number(o, "rtt_max_ns") == w.v[i].max_ns);
		assert_true(session__get_number(o, "residual_mean_ns") == w.v[i].residual_ns);
	}
	assert_true(session__get_number(json_array_get(a, 0), "residual_p50_ns") == 0);
	assert_true(json_is_null(json_object_get(json_array_get(a, 1), "residual_p50_ns")));
	assert_true(session__get_number(json_array_get(a, 2), "residual_p50_ns") ==
		    w.v[2].edge[0].p50_ns);
	assert_true(w.v[2].edge[0].p50_ns > 650);
	json_decref(a);
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
		"{\"hops\": [{\"count\": 1, \"rtt_mean_ns\": 1, \"route\": \"x\"}]}",
		"{\"hops\": [{\"count\": 1, \"rtt_mean_ns\": 1, \"route\": \"x\", "
		"\"spans\": []}]}",
		"{\"hops\": [{\"count\": 1, \"rtt_mean_ns\": 1, \"route\": \"x\", "
		"\"spans\": "
		"[{\"comm\": \"a\", \"container\": \"b\", \"port\": 1}], \"edges\": []}]}",
		"{\"hops\": [{\"count\": 1, \"rtt_mean_ns\": 1, \"route\": \"x\", "
		"\"spans\": "
		"[{\"comm\": \"a\", \"container\": \"b\", \"port\": 1}, {\"comm\": \"a\", "
		"\"container\": \"b\", \"port\": 1, \"parent\": 1}], \"edges\": []}]}",
		"{\"hops\": [{\"count\": 1, \"rtt_mean_ns\": 1e300, \"route\": \"x\"}]}",
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

static char *svg_of(const struct waterfalls *w, size_t max_rows)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(hops_svg__print(f, w, max_rows, NULL, 0, "a <title> & more"), 0);
	fclose(f);
	return text;
}

static void a_picture(void **state)
{
	struct hops_path p[3];
	struct waterfalls w = some(p), none = {0};
	char *a = svg_of(&w, 0), *b = svg_of(&w, 0), *one = svg_of(&w, 1);
	char *empty = svg_of(&none, 0);

	(void)state;
	assert_string_equal(a, b);
	assert_null(strstr(a, "<script"));
	assert_null(strstr(a, "<b>"));
	assert_null(strchr(a, 0x1b));
	assert_null(strchr(a, 0x07));
	assert_null(strstr(a, "\xe2\x80\xae"));
	assert_null(strstr(a, "nan"));
	assert_non_null(strstr(a, "a &lt;title&gt; &amp; more"));
	assert_non_null(strstr(a, "exchanges not followed: table_full 1"));
	assert_null(strstr(a, "more way"));
	assert_non_null(strstr(one, "... and 2 more ways"));
	assert_non_null(strstr(empty, "NO DATA"));
	free(a);
	free(b);
	free(one);
	free(empty);
	free_some(&w, p);
}

static char *table_of(const struct waterfalls *w, unsigned int width, unsigned int height)
{
	struct table_opts opts = {.width = width, .height = height};
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
		char *text = table_of(&w, width, 0), *save = NULL;

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
		char *text = table_of(&w, 0, want[i].height);

		assert_non_null(strstr(text, want[i].more));
		free(text);
	}
	free_some(&w, p);
}

static char *md_of(const struct waterfalls *w)
{
	json_t *o = line_of(w);
	struct text md = {0};

	md__hops(&md, o, 0);
	json_decref(o);
	return md.data;
}

static void assert_has(const char *text, const char *what)
{
	if (!strstr(text, what))
		print_error("no '%s' in:\n%s", what, text);
	assert_non_null(strstr(text, what));
}

/* One subject, that is asked for an answer, too: to each subscriber its own way. */
static struct waterfalls deliveries(struct hops_path p[3])
{
	static const uint64_t at[HOP_SPANS] = {0, 1000, 5000, 8000};
	struct hops h = {.on = true, .paths = p, .n_paths = 3};
	struct waterfalls w;
	uint64_t r = 1;

	p[0] = path_of(delivery, N_DELIVERY, "evt");
	p[1] = path_of(delivery, N_DELIVERY, "evt");
	p[2] = path_of(delivery, N_DELIVERY, "evt");
	strcpy(p[1].span[3].node.container, "/t/other");
	for (int k = 0; k < 3; k++)
		count_delivery(&p[0], at);
	count_delivery(&p[1], at);
	count_random(&p[2], delivery, &r);
	h.count[HOP_COMPLETE] = 1;
	h.count[HOP_DELIVERED] = 4;
	h.count[HOP_ALIKE] = 2;
	assert_int_equal(waterfalls__build(&w, &h, NULL, NULL), 0);
	return w;
}

static void assert_words_of_deliveries(const struct waterfalls *w)
{
	char *text = table_of(w, 0, 0), *md = md_of(w), *svg = svg_of(w, 0);

	assert_has(text, "evt  nats ok: 3 deliveries, way 1 of 2 (75.0 %), mean 8.00 us");
	assert_has(text, "evt  nats ok: 1 delivery, way 2 of 2 (25.0 %)");
	assert_has(text, "evt  nats ok: 1 exchange, mean");
	assert_has(text, "\n  delivery  ");
	assert_has(text, "followed hop by hop: 1 exchange, 4 deliveries; messages not "
			 "followed, at each socket: alike 2\n");
	assert_has(md, "**evt** (nats, ok), 3 deliveries, way 1 of 2 (75 %): ");
	assert_has(md, "| **the delivery** | | | 8.00 us | 100 % |");
	assert_has(md, "| **the round trip** | | |");
	assert_has(md, "1 exchange and 4 deliveries were followed hop by hop; messages not "
		       "followed, at each socket: alike 2.");
	assert_has(svg, ": 3 deliveries, way 1 of 2 (75.0 %)<");
	assert_has(svg, ">delivery<");
	free(text);
	free(md);
	free(svg);
}

/* What was recorded is told in the same words as what is seen. */
static void deliveries_in_words_and_back(void **state)
{
	struct hops_path p[3];
	struct waterfalls w = deliveries(p), read = again(&w);

	(void)state;
	assert_true(read.v[0].one_way);
	assert_int_equal(read.v[0].n_edges, N_DELIVERY - 1);
	assert_words_of_deliveries(&w);
	assert_words_of_deliveries(&read);
	waterfalls__free(&read);
	free_some(&w, p);
}

/* Nothing to show, and why: that nothing was there, or not of what was asked for, or was lost. */
static void no_data(void **state)
{
	struct waterfalls none = {0};
	char *text = table_of(&none, 0, 0), *md = md_of(&none);

	(void)state;
	assert_has(text, "NO DATA: no exchange was seen\n");
	assert_has(md, "NO DATA: no exchange was seen.\n");
	free(text);
	free(md);
	none.count[HOP_DELIVERED] = 1;
	none.count[HOP_PATHS_FULL] = 7;
	text = table_of(&none, 0, 0);
	md = md_of(&none);
	assert_has(text, "NO DATA: no exchange was seen of such a route\n");
	assert_has(text, "exchanges not followed: paths_full 7");
	assert_has(md, "NO DATA: no exchange was seen of such a route.\n");
	assert_has(md, "exchanges not followed: paths_full 7.");
	free(text);
	free(md);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_of_the_same_name),
		cmocka_unit_test(clients_of_the_same_name),
		cmocka_unit_test(a_server_called_twice),
		cmocka_unit_test(json_and_back),
		cmocka_unit_test(names_of_a_path),
		cmocka_unit_test(timelines_and_back),
		cmocka_unit_test(broken_documents),
		cmocka_unit_test(a_picture),
		cmocka_unit_test(widths),
		cmocka_unit_test(heights),
		cmocka_unit_test(deliveries_in_words_and_back),
		cmocka_unit_test(no_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
