// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The HTTP and Redis framers in the kernel say what they say on the host, for the same segments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "../support/http_gen.h"
#include "../support/http_host.h"
#include "../support/redis_gen.h"
#include "../support/redis_host.h"
#include "framers.h"
#include "tests/bpf/framers.skel.h"

#define SEGMENT_MAX 3000 /* a test run's packet is one page */

static struct framers_bpf *skel;
static struct http_host http;
static struct redis_host redis;

static int open_it(void **state)
{
	(void)state;
	skel = framers_bpf__open_and_load();
	if (!skel)
		fail_msg("the kernel refuses the framers");
	return 0;
}

static int close_it(void **state)
{
	(void)state;
	framers_bpf__destroy(skel);
	return 0;
}

/* ns of one run, on average of `repeat`. */
static uint32_t run(struct bpf_program *prog, int dir, int quiet, const uint8_t *data, uint32_t n,
		    int repeat)
{
	uint8_t packet[SEGMENT_AT + SEGMENT_MAX] = {(uint8_t)dir, (uint8_t)quiet};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = SEGMENT_AT + n,
		    .repeat = repeat);

	assert_in_range(n, 1, SEGMENT_MAX);
	memcpy(packet + SEGMENT_AT, data, n);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), 0);
	assert_int_equal(opts.retval, 0);
	return opts.duration;
}

/* A connection never seen, and no events. */
static void forget(void)
{
	size_t size = bpf_map__value_size(skel->maps.conns);
	void *zero = calloc(1, size);
	uint32_t key = 0;

	assert_non_null(zero);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.conns), &key, zero, 0), 0);
	free(zero);
	for (key = 0; key < 2; key++)
		bpf_map_delete_elem(bpf_map__fd(skel->maps.keeps), &key);
	memset(skel->bss, 0, sizeof(*skel->bss));
}

/* The next event of the kernel's with this direction and kind; NULL: no more. */
static const struct framer_event *next_event(uint32_t *at, int dir, int what)
{
	static struct framer_event e;

	for (; *at < skel->bss->n_events; (*at)++) {
		assert_true(*at < EVENTS_MAX);
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.events), at, &e), 0);
		if (e.dir == dir && e.what == what) {
			(*at)++;
			return &e;
		}
	}
	return NULL;
}

static void check_accounts(const struct stream_io *io)
{
	assert_int_equal(skel->bss->framed, io[0].framed + io[1].framed);
	assert_int_equal(skel->bss->resync, io[0].resync + io[1].resync);
	assert_int_equal(skel->bss->bad, io[0].bad + io[1].bad);
	assert_int_equal(skel->bss->refused, 0);
}

static void test_http(void **state)
{
	struct rng r = {.state = 3};
	size_t total = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint32_t most = seed % 4 ? SEGMENT_MAX : 40;
		uint64_t at[2] = {0};
		struct http_gen g;

		forget();
		http_gen__open(&g, seed);
		g.hostile = 1;
		g.body_max = 4000;
		for (int i = 0; i < 25; i++)
			http_gen__exchange(&g);
		/* every third one with damage */
		for (int i = seed % 3 ? 0 : 5; i; i--)
			g.side[i & 1].data[rng__next(&r) % g.side[i & 1].len] ^= 0x20;
		http_host__open(&http, g.side[0].data, g.side[1].data);
		while (at[0] < g.side[0].len || at[1] < g.side[1].len) {
			int dir = rng__chance(&r, 1, 2);
			uint64_t end = dir ? http_gen__may_come(&g, at[0]) : g.side[0].len;
			uint32_t n = rng__in(&r, 1, most);

			if (at[dir] >= end)
				continue;
			n = n < end - at[dir] ? n : (uint32_t)(end - at[dir]);
			http_host__feed(&http, dir, at[dir], n);
			run(skel->progs.feed_http, dir, 0, g.side[dir].data + at[dir], n, 1);
			at[dir] += n;
		}
		check_accounts(http.io);
		for (int dir = 0; dir < 2; dir++) {
			const struct framer_event *e;
			uint32_t k = 0;

			for (size_t i = 0; i < http.n[dir]; i++) {
				const struct http_msg *m = &http.msg[dir][i];

				if (!m->end)
					continue;
				e = next_event(&k, dir, HTTP_ON_END);
				assert_non_null(e);
				assert_int_equal(e->bytes, m->end - m->pos);
				assert_int_equal(e->seq, m->seq);
				assert_int_equal(e->status, m->status);
				assert_int_equal(e->method, m->method);
				assert_int_equal(e->paired, m->paired);
				assert_int_equal(e->role, m->role);
				total++;
			}
			assert_null(next_event(&k, dir, HTTP_ON_END));
		}
		http_host__close(&http);
		http_gen__close(&g);
	}
	assert_true(total > 2000);
}

static void test_redis(void **state)
{
	struct rng r = {.state = 4};
	size_t total = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint32_t most = seed % 4 ? SEGMENT_MAX : 30;
		uint64_t at[2] = {0};
		struct redis_gen g;

		forget();
		redis_gen__open(&g, seed);
		g.hostile = 1;
		for (int i = 0; i < 60; i++)
			redis_gen__exchange(&g);
		for (int i = seed % 3 ? 0 : 5; i; i--)
			g.side[i & 1].data[rng__next(&r) % g.side[i & 1].len] ^= 0x10;
		redis_host__open(&redis, g.side[0].data, g.side[1].data);
		while (at[0] < g.side[0].len || at[1] < g.side[1].len) {
			int dir = rng__chance(&r, 1, 2);
			uint64_t end = dir ? redis_gen__may_come(&g, at[0]) : g.side[0].len;
			uint32_t n = rng__in(&r, 1, most);

			if (at[dir] >= end)
				continue;
			n = n < end - at[dir] ? n : (uint32_t)(end - at[dir]);
			redis_host__feed(&redis, dir, at[dir], n);
			run(skel->progs.feed_redis, dir, 0, g.side[dir].data + at[dir], n, 1);
			at[dir] += n;
		}
		check_accounts(redis.io);
		for (int dir = 0; dir < 2; dir++) {
			const struct framer_event *e;
			uint32_t k = 0;

			for (size_t i = 0; i < redis.n[dir]; i++) {
				const struct redis_msg *m = &redis.msg[dir][i];

				if (!m->end)
					continue;
				e = next_event(&k, dir, REDIS_ON_END);
				assert_non_null(e);
				assert_int_equal(e->bytes, m->end - m->pos);
				assert_int_equal(e->seq, m->seq);
				assert_int_equal(e->status, m->class);
				assert_int_equal(e->method, m->top);
				assert_int_equal(e->paired, m->paired);
				assert_memory_equal(e->name, m->name, 16);
				total++;
			}
			assert_null(next_event(&k, dir, REDIS_ON_END));
		}
		redis_host__close(&redis);
		redis_gen__close(&g);
	}
	assert_true(total > 2000);
}

static uint32_t best(uint32_t a, uint32_t b)
{
	return a && a < b ? a : b;
}

/* Printed, not judged: times on a shared machine. */
static void measure(struct bpf_program *prog, const char *name, const char *ask, const char *answer,
		    uint32_t messages)
{
	uint32_t ns[3] = {~0u, ~0u, ~0u};
	const uint8_t *q = (const uint8_t *)ask, *a = (const uint8_t *)answer;
	uint32_t nq = (uint32_t)strlen(ask), na = (uint32_t)strlen(answer);

	forget();
	for (int i = 0; i < 300; i++) {
		ns[0] = best(run(prog, 0, 1, q, nq, 32), ns[0]);
		ns[1] = best(run(prog, 1, 1, a, na, 32), ns[1]);
		ns[2] = best(run(skel->progs.feed_nothing, 0, 1, q, nq, 32), ns[2]);
	}
	/* The first command proves itself by its name: what stood before it was not certain. */
	assert_in_range(skel->bss->bad + skel->bss->resync + skel->bss->refused, 0, 4);
	printf("# %s: %u messages in a segment of %u bytes: %u ns; answers, %u bytes: %u ns; a "
	       "program that only reads them: %u ns\n",
	       name, messages, nq, ns[0], na, ns[1], ns[2]);
}

static void test_cost(void **state)
{
#define GET   "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n"
#define X4(x) x x x x
	struct bpf_program *p;

	(void)state;
	bpf_object__for_each_program(p, skel->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
		printf("# %s: the verifier went through %u instructions, %u bytes of machine "
		       "code\n",
		       bpf_program__name(p), info.verified_insns, info.jited_prog_len);
	}
	measure(skel->progs.feed_http, "HTTP as wrk and nginx",
		"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
		"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 02:00:00 "
		"GMT\r\nContent-Type: text/html\r\nContent-Length: 12\r\nLast-Modified: Sun, 22 "
		"Nov 2026 01:00:00 GMT\r\nConnection: keep-alive\r\nETag: "
		"\"637c2a5e-267\"\r\nAccept-Ranges: bytes\r\n\r\nhello world\n",
		1);
	measure(skel->progs.feed_redis, "Redis", GET, "$3\r\nxxx\r\n", 1);
	measure(skel->progs.feed_redis, "Redis -P 16", X4(X4(GET)), X4(X4("$3\r\nxxx\r\n")), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http),
		cmocka_unit_test(test_redis),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests_name("framers", tests, open_it, close_it);
}
