/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* "Hop by hop" in a report: its sums, its sentences, and what it says where nothing was followed.
 */
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

#include "out/figures.h"
#include "out/hops.h"
#include "out/hops_section.h"
#include "paths.h"

/* 1,000 ns, of these 300 in the service. */
static const struct socket near_way[] = {
	{"load", "/t/load", 4222, ROLE_CLIENT, 0, HOP_NONE, false},
	{"svc", "/t/svc", 4222, ROLE_SERVICE, 0, HOP_NETWORK, true},
};
static const uint64_t near_request[HOP_SPANS] = {0, 100}, near_reply[HOP_SPANS] = {1000, 400};

/* 3,000 ns: 1,800 in the broker, 800 in the service. */
static const struct socket far_way[] = {
	{"load", "/t/load", 4222, ROLE_CLIENT, 0, HOP_NONE, false},
	{"nats-server", "/t/n1", 4222, ROLE_BROKER, 0, HOP_NETWORK, true},
	{"nats-server", "/t/n1", 4222, ROLE_BROKER_OUT, 1, HOP_PROCESS, false},
	{"svc", "/t/svc", 4222, ROLE_SERVICE, 2, HOP_NETWORK, true},
};
static const uint64_t far_request[HOP_SPANS] = {0, 100, 1000, 1100},
		      far_reply[HOP_SPANS] = {3000, 2900, 2000, 1900};

/* A phase in which the near way was taken three times and the far one once. */
static json_t *a_phase(const char *path, double succeeded)
{
	struct hops_path p[2] = {path_of(near_way, 2, "rpc.echo"), path_of(far_way, 4, "rpc.echo")};
	struct hops h = {.on = true, .paths = p, .n_paths = 2, .count = {[HOP_COMPLETE] = 4}};
	struct waterfalls w;
	json_t *o;

	for (int i = 0; i < 3; i++) {
		count_exchange(&p[0], near_request, near_reply);
		hist__add(&p[0].span[1].hist[HOP_QUEUE_REQUEST], 100);
		hist__add(&p[0].span[1].hist[HOP_RUN_QUEUE], 50);
	}
	count_exchange(&p[1], far_request, far_reply);
	assert_int_equal(waterfalls__build(&w, &h, NULL, NULL), 0);
	o = json_pack("{s:s,s:s,s:s*,s:f,s:i}", "name", "hops x", "kind", "hops", "path", path,
		      "succeeded", succeeded, "failed", 0);
	session__put_hops(&o, &w);
	assert_non_null(o);
	waterfalls__free(&w);
	free(p[0].span);
	free(p[1].span);
	return o;
}

/* A session of one phase, whose reference is taken. */
static json_t *session_of(json_t *phase)
{
	return json_pack("{s:[o]}", "phases", phase);
}

static char *section_of(const json_t *session)
{
	struct text t = {0};

	md__hop_by_hop(&t, session);
	assert_false(t.failed);
	return t.data;
}

static void assert_has(const char *text, const char *what)
{
	if (!strstr(text, what))
		print_error("no '%s' in:\n%s", what, text);
	assert_non_null(strstr(text, what));
}

static void assert_most(const json_t *phase, const char *want)
{
	struct text t = {0};

	md__hops_most(&t, phase);
	assert_string_equal(t.data, want);
	text__free(&t);
}

/* Over both ways: network 2,500 of 6,000 ns, the broker 1,800, the service 1,700. */
static void shares_over_all_ways(void **state)
{
	json_t *s = session_of(a_phase("direct", 4));
	char *text = section_of(s);

	(void)state;
	assert_has(text,
		   "Of the round trip, all ways taken together: **network 41.7 %**, "
		   "nats-server @n1 30 %, svc 28.3 %. In sockets' queues, to be read: at least 5 % "
		   "of it, 2.50 % while the reader waited for a processor. ");
	assert_has(text, "4 calls succeeded; 4 exchanges were followed.\n\n");
	assert_has(text, "3 exchanges, way 1 of 2 (75 %)");
	assert_has(text, "| residual (not visible) | | | 0 ns | 0 % |");
	assert_has(text, "![The round trip hop by hop](hops_direct.svg)");
	assert_null(strstr(text, "NO DATA"));
	assert_most(json_array_get(json_object_get(s, "phases"), 0),
		    "the largest part of a round trip, of 1.50 us on average, is network with "
		    "41.7 %; 4 exchanges followed, in a phase of its own");
	free(text);
	json_decref(s);
}

/* Latency is of what succeeded: an error is not mixed with it, and not lost. */
static void errors_are_apart(void **state)
{
	json_t *phase = a_phase("direct", 3), *s = session_of(phase), *ways;
	char *text;

	(void)state;
	ways = json_object_get(phase, "hops");
	json_object_set_new(json_array_get(ways, 1), "status", json_string("error"));
	text = section_of(s);
	assert_has(text, "taken together: **network 70 %**, svc 30 %. In");
	assert_has(text, "3 exchanges were followed; 1 more, answered with an error, are not in "
			 "these shares.");
	free(text);
	assert_most(phase, "the largest part of a round trip, of 1.00 us on average, is network "
			   "with 70 %; 3 exchanges followed, in a phase of its own");
	json_object_set_new(json_array_get(ways, 0), "status", json_string("5xx"));
	assert_most(phase, "NO DATA: no exchange that succeeded was followed hop by hop");
	json_decref(s);
}

static void what_is_missing(void **state)
{
	json_t *phase = a_phase("forwarded", 6), *s = session_of(phase);
	char *text;

	(void)state;
	json_object_set_new(phase, "failed", json_integer(2));
	json_object_set_new(json_object_get(phase, "hop_accounting"), "table_full",
			    json_integer(2));
	text = section_of(s);
	assert_has(text, "6 calls succeeded, **2 failed**; 4 exchanges were followed, **2 "
			 "fewer**.");
	assert_has(text, "exchanges not followed: table_full 2");
	free(text);
	json_object_set_new(phase, "invalid", json_string("the kernel saw 3 | the client 4"));
	text = section_of(s);
	assert_has(text, "**INVALID**: the kernel saw 3 \\| the client 4.");
	assert_most(phase, "INVALID: the kernel saw 3 \\| the client 4");
	free(text);
	json_decref(s);
}

/* Not run, nothing seen, and not to be read: no number in any of them, and no picture. */
static void no_data(void **state)
{
	static const char *const sessions[] = {
		"{}",
		"{\"phases\": [{\"kind\": \"rpc\", \"hops\": []}]}",
		"{\"phases\": [{\"kind\": \"hops\", \"path\": \"direct\", \"succeeded\": 5}]}",
		"{\"phases\": [{\"kind\": \"hops\", \"path\": \"direct\", \"hops\": [{}]}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		json_t *s = json_loads(sessions[i], 0, NULL);
		char *text = section_of(s);

		assert_has(text, "NO DATA");
		assert_null(strstr(text, " %"));
		assert_null(strstr(text, ".svg"));
		for (size_t k = 0; hop_figures[k].file; k++) {
			assert_false(hop_figures[k].has(s));
			assert_int_equal(hop_figures[k].render(stdout, s), -ENODATA);
		}
		assert_most(json_array_get(json_object_get(s, "phases"), 0),
			    "NO DATA: no exchange that succeeded was followed hop by hop");
		free(text);
		json_decref(s);
	}
}

/* Each phase has its own, and only one that it knows a name for. */
static void pictures(void **state)
{
	static const struct {
		const char *path;
		int has[3];
	} want[] = {{NULL, {1, 0, 0}}, {"direct", {0, 1, 0}}, {"forwarded", {0, 0, 1}}, {"x", {0}}};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		json_t *s = session_of(a_phase(want[i].path, 4));
		char *text = section_of(s);

		assert_int_equal(strstr(text, ".svg)") != NULL, i < 3);
		for (size_t k = 0; k < 3; k++) {
			char *svg = NULL;
			size_t len = 0;
			FILE *f = open_memstream(&svg, &len);

			assert_int_equal(hop_figures[k].has(s), want[i].has[k]);
			assert_int_equal(hop_figures[k].render(f, s),
					 want[i].has[k] ? 0 : -ENODATA);
			fclose(f);
			if (want[i].has[k])
				assert_has(svg, "way 2 of 2 (25.0 %)");
			free(svg);
		}
		free(text);
		json_decref(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_over_all_ways),
		cmocka_unit_test(errors_are_apart),
		cmocka_unit_test(what_is_missing),
		cmocka_unit_test(no_data),
		cmocka_unit_test(pictures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
