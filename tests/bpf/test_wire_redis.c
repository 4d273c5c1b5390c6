// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Redis on the wire programs: commands and replies, pushes, what waits, what is lost. */
#include "../support/redis_gen.h"
#include "../support/wire_run.h"

#define PORT 16379

static struct wire_test t;

static int open_default(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){0});
	return 0;
}

static int open_quick(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.timeout_ns = 20 * 1000000});
	return 0;
}

static int open_redis_only(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.protos = 1u << PROTO_REDIS});
	return 0;
}

static int close_it(void **state)
{
	(void)state;
	wire_test__close(&t);
	return 0;
}

static struct flow client(int slot)
{
	return new_flow(&t, 40000, PORT, slot);
}

static void assert_count(enum wire_role role, enum wire_status status, const char *route,
			 uint64_t want)
{
	const struct series_val *v = series_at(&t, PROTO_REDIS, role, status, PART_WHOLE, route);
	uint64_t got = v ? hist_count(v) + v->count : 0;

	if (got != want)
		fail_msg("role %d status %d '%s': %llu, not %llu", role, status, route,
			 (unsigned long long)got, (unsigned long long)want);
}

/* All series together, parts too: nothing went anywhere else. */
static void assert_total(uint64_t want)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t.n_series; i++)
		sum += hist_count(&t.series[i]) + t.series[i].count;
	assert_int_equal(sum, want);
}

/* "GET key" as a client sends it. */
static void command(struct flow *f, int dir, const char *words)
{
	char text[512], *copy = strdup(words), *save = NULL, *w;
	char body[400] = "";
	size_t n = 0, at = 0;

	assert_non_null(copy);
	for (w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save), n++)
		at += (size_t)snprintf(body + at, sizeof(body) - at, "$%zu\r\n%s\r\n", strlen(w),
				       w);
	snprintf(text, sizeof(text), "*%zu\r\n%s", n, body);
	free(copy);
	send_text(f, dir, text);
}

static void test_client_and_server(void **state)
{
	struct flow f = client(0), s = new_flow(&t, PORT, 41000, 1);
	const struct series_val *v;
	struct wire_acct a;

	(void)state;
	command(&f, OUT, "get secret");
	a = acct_of(&t);
	assert_int_equal(a.in_flight, 1);
	assert_int_equal(a.proto_conns[PROTO_REDIS], 1);
	usleep(2000);
	send_text(&f, IN, "$5\r\nhel");
	assert_int_equal(acct_of(&t).in_flight, 1);
	send_text(&f, IN, "lo\r\n");
	command(&s, IN, "CONFIG get x");
	send_text(&s, OUT, "*0\r\n");
	command(&s, IN, "LPUSH a b");
	send_text(&s, OUT, "-WRONGTYPE no\r\n");
	a = acct_of(&t);
	assert_int_equal(a.seen, 3);
	assert_int_equal(a.matched, 3);
	assert_int_equal(a.messages, 6);
	assert_int_equal(a.bytes_unparsed, 0);
	assert_count(ROLE_CLIENT, STATUS_OK, "GET", 1);
	assert_count(ROLE_SERVER, STATUS_OK, "CONFIG GET", 1);
	assert_count(ROLE_SERVER, STATUS_ERROR, "LPUSH", 1);
	assert_total(3);
	v = series_at(&t, PROTO_REDIS, ROLE_CLIENT, STATUS_OK, PART_WHOLE, "GET");
	assert_in_range(v->hist.max, 2000000, 10ull * 1000000000);
	assert_int_equal(v->bytes, f.seq[OUT] - 5000000 + f.seq[IN] - 1000);
}

/* A password at the wrong prompt must not become a route, nor a key in a second word's place. */
static void test_words_that_are_no_commands(void **state)
{
	struct flow f = client(0);

	(void)state;
	command(&f, OUT, "PING");
	send_text(&f, IN, "+PONG\r\n");
	command(&f, OUT, "hunter2");
	send_text(&f, IN, "-ERR unknown command\r\n");
	command(&f, OUT, "CONFIG hunter3");
	send_text(&f, IN, "-ERR unknown subcommand\r\n");
	command(&f, OUT, "object encoding k");
	send_text(&f, IN, "$3\r\nraw\r\n");
	assert_count(ROLE_CLIENT, STATUS_OK, "PING", 1);
	assert_count(ROLE_CLIENT, STATUS_ERROR, "?", 1);
	assert_count(ROLE_CLIENT, STATUS_ERROR, "CONFIG ?", 1);
	assert_count(ROLE_CLIENT, STATUS_OK, "OBJECT ENCODING", 1);
	assert_total(4);
}

/* In one segment or in many, as deep as the ring. */
static void test_pipelines(void **state)
{
	static const int depths[] = {1, 8, 9, 16, 100, 1008, 1016};
	struct flow f = client(0);
	uint64_t done = 0;

	(void)state;
	for (size_t k = 0; k < sizeof(depths) / sizeof(depths[0]); k++) {
		int n = depths[k];

		for (int i = 0; i < n; i++)
			command(&f, OUT, i & 1 ? "GET a" : "INCR b");
		assert_int_equal(acct_of(&t).in_flight, n);
		for (int i = 0; i < n; i += 8)
			send_bytes(&f, IN,
				   "$1\r\n1\r\n:1\r\n$1\r\n1\r\n:1\r\n$1\r\n1\r\n:1\r\n$1\r\n1\r\n:"
				   "1\r\n",
				   n - i >= 8 ? 44 : (size_t)((n - i) / 2 * 11 + (n - i) % 2 * 7));
		done += (uint64_t)n;
		assert_int_equal(acct_of(&t).matched, done);
		assert_int_equal(acct_of(&t).in_flight, 0);
	}
	assert_int_equal(acct_of(&t).dropped, 0);
	for (int i = 0; i < 1100; i++)
		command(&f, OUT, "PING");
	assert_int_equal(acct_of(&t).reason[REASON_TABLE_FULL], 1100 - 1016);
	for (int i = 0; i < 1100; i++)
		send_text(&f, IN, "+PONG\r\n");
	assert_int_equal(acct_of(&t).matched, done + 1016);
	assert_int_equal(acct_of(&t).orphans, 1100 - 1016);
	assert_int_equal(acct_of(&t).in_flight, 0);
}

static void test_multi(void **state)
{
	struct flow f = client(0);

	(void)state;
	command(&f, OUT, "MULTI");
	command(&f, OUT, "SET a 1");
	command(&f, OUT, "INCR a");
	command(&f, OUT, "EXEC");
	send_text(&f, IN, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n");
	assert_int_equal(acct_of(&t).matched, 4);
	assert_count(ROLE_CLIENT, STATUS_OK, "SET", 1);
	assert_count(ROLE_CLIENT, STATUS_OK, "EXEC", 1);
	assert_total(4);
}

/* They wait for others: in a series of their own, and never a timeout. */
static void test_blocking(void **state)
{
	struct flow f = client(0);

	(void)state;
	command(&f, OUT, "BLPOP list 0");
	usleep(30000);
	for (int i = 0; i < 8; i++) /* its slot is asked for again */
		command(&f, OUT, "GET a");
	assert_int_equal(acct_of(&t).unanswered, 0);
	send_text(&f, IN, "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
	for (int i = 0; i < 8; i++)
		send_text(&f, IN, "$-1\r\n");
	command(&f, OUT, "XREAD BLOCK 0 STREAMS a 0");
	send_text(&f, IN, "*-1\r\n");
	command(&f, OUT, "XREAD STREAMS a 0");
	send_text(&f, IN, "*-1\r\n");
	assert_int_equal(acct_of(&t).matched, 11);
	assert_count(ROLE_CLIENT, STATUS_BLOCKING, "BLPOP", 1);
	assert_count(ROLE_CLIENT, STATUS_BLOCKING, "XREAD", 1);
	assert_count(ROLE_CLIENT, STATUS_OK, "XREAD", 1);
	assert_count(ROLE_CLIENT, STATUS_OK, "GET", 8);
	assert_total(11);
}

static void test_pubsub(void **state)
{
	struct flow f = client(0), three = client(1);

	(void)state;
	command(&f, OUT, "PING");
	send_text(&f, IN, "+PONG\r\n");
	command(&f, OUT, "SUBSCRIBE ch");
	send_text(&f, IN, "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n");
	send_text(&f, IN, "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nx\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).reason[REASON_NO_ANSWER], 1);
	assert_int_equal(acct_of(&t).reason[REASON_PUSH], 2);
	/* RESP3: a push between a command and its reply */
	command(&three, OUT, "HELLO 3");
	send_text(&three, IN, "%1\r\n$5\r\nproto\r\n:3\r\n");
	command(&three, OUT, "GET a");
	send_text(&three, IN, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n$1\r\nx\r\n");
	assert_int_equal(acct_of(&t).matched, 3);
	assert_int_equal(acct_of(&t).reason[REASON_PUSH], 3);
	assert_int_equal(acct_of(&t).one_way, 4);
	assert_int_equal(acct_of(&t).orphans, 0);
	assert_total(3);
}

/* From here on nothing is told apart; it is counted as what came without being asked for. */
static void test_silent(void **state)
{
	struct flow f = client(0), r = client(1), o = client(2);

	(void)state;
	command(&f, OUT, "PING");
	send_text(&f, IN, "+PONG\r\n");
	command(&f, OUT, "MONITOR");
	send_text(&f, IN, "+OK\r\n+1339518083.107412 [0 127.0.0.1:1] \"get\" \"a\"\r\n");
	command(&r, OUT, "PING");
	send_text(&r, IN, "+PONG\r\n");
	command(&r, OUT, "PSYNC ? -1");
	send_text(&r, IN, "+FULLRESYNC abc 0\r\n$100000\r\nREDIS0009");
	command(&o, OUT, "PING");
	send_text(&o, IN, "+PONG\r\n");
	command(&o, OUT, "CLIENT REPLY OFF");
	command(&o, OUT, "SET a b");
	assert_int_equal(acct_of(&t).matched, 3);
	assert_int_equal(acct_of(&t).reason[REASON_NO_ANSWER], 4);
	assert_int_equal(acct_of(&t).reason[REASON_PUSH], 2);
	assert_int_equal(acct_of(&t).in_flight, 0);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	assert_total(3);
}

static void test_attach_in_mid_stream(void **state)
{
	struct flow f = client(0), g = client(1), h = client(2);

	(void)state;
	/* a reply to a command never seen, then a talk */
	send_text(&f, IN, "$5\r\nhello\r\n");
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_NEW);
	command(&f, OUT, "GET a");
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_REDIS);
	send_text(&f, IN, "$5\r\nhello\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	/* behind the middle of a long value */
	for (int i = 0; i < 100; i++)
		send_text(&g, OUT, "some bytes of a value of megabytes");
	command(&g, OUT, "SET a b");
	assert_int_equal(conn_field(&t, 1, "proto"), PROTO_REDIS);
	send_text(&g, IN, "+OK\r\n");
	assert_int_equal(acct_of(&t).matched, 2);
	/* a subscriber's messages are no commands */
	send_text(&h, IN, "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nx\r\n");
	assert_int_equal(conn_field(&t, 2, "proto"), PROTO_NEW);
	command(&h, OUT, "SUBSCRIBE b");
	send_text(&h, IN, "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n");
	send_text(&h, IN, "*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_PUSH], 2);
	assert_int_equal(acct_of(&t).reason[REASON_NO_ANSWER], 1);
	assert_int_equal(acct_of(&t).in_flight, 0);
}

static void test_attach_again(void **state)
{
	struct flow f = client(0);

	(void)state;
	command(&f, OUT, "GET a");
	send_text(&f, IN, "$500\r\nhello");
	t.skel->data_shared->attach_epoch++;
	f.seq[OUT] += 1000;
	f.seq[IN] += 100000;
	command(&f, OUT, "GET b");
	send_text(&f, IN, "$1\r\nx\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_GAP], 0);
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).seen, 2);
}

static void test_gaps(void **state)
{
	struct flow f = client(0);

	(void)state;
	command(&f, OUT, "GET a");
	send_text(&f, IN, "$1000\r\nsome");
	f.seq[IN] += 900;
	for (int i = 0; i < 96; i++)
		send_text(&f, IN, "x");
	send_text(&f, IN, "\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).reason[REASON_GAP], 900);
	command(&f, OUT, "GET b");
	f.seq[IN] += 10;
	send_text(&f, IN, "$1\r\nx\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	usleep(30000);
	for (int i = 0; i < 8; i++) {
		command(&f, OUT, "GET c");
		send_text(&f, IN, "$1\r\nx\r\n");
	}
	assert_int_equal(acct_of(&t).matched, 9);
	assert_int_equal(acct_of(&t).in_flight, 0);
	assert_int_equal(acct_of(&t).reason[REASON_GAP_LOST], 1);
	assert_int_equal(acct_of(&t).unanswered, 0);
}

static void test_only_redis(void **state)
{
	struct flow f = client(0), h = new_flow(&t, 40000, 8090, 1);

	(void)state;
	send_text(&h, OUT, "GET / HTTP/1.1\r\n\r\n");
	command(&f, OUT, "PING");
	send_text(&f, IN, "+PONG\r\n");
	assert_int_equal(acct_of(&t).conns, 1);
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).seen, 1);
}

/* Random talks, cut anywhere: every command gets its reply. With damage the books still close. */
static void test_random(void **state)
{
	struct rng r = {.state = 9};

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		uint32_t most = seed % 4 ? SEGMENT_MAX : 30;
		int damaged = seed % 3 == 0;
		uint64_t at[2] = {0};
		struct redis_gen g;
		struct wire_acct a;
		struct flow f;

		wire_test__close(&t);
		wire_test__open(&t, &(struct wire_setup){.port = PORT});
		f = client(0);
		redis_gen__open(&g, seed);
		g.hostile = 1;
		for (int i = 0; i < 60; i++)
			redis_gen__exchange(&g);
		while (at[0] < g.side[0].len || at[1] < g.side[1].len) {
			int dir = rng__chance(&r, 1, 2);
			uint64_t end = dir ? redis_gen__may_come(&g, at[0]) : g.side[0].len;
			uint32_t n = rng__in(&r, 1, most);

			if (at[dir] >= end)
				continue;
			n = n < end - at[dir] ? n : (uint32_t)(end - at[dir]);
			if (damaged && rng__chance(&r, 1, 15))
				f.seq[!dir] += n;
			else
				send_bytes(&f, !dir, g.side[dir].data + at[dir], n);
			at[dir] += n;
		}
		a = acct_of(&t);
		if (!damaged) {
			assert_int_equal(a.matched, g.n);
			assert_int_equal(a.seen - a.reason[REASON_PUSH], g.n);
			assert_int_equal(a.orphans, 0);
			assert_int_equal(a.bytes_seen, g.side[0].len + g.side[1].len);
			assert_true(a.bytes_unparsed < 200);
		}
		redis_gen__close(&g);
	}
}

#define with(test, open) cmocka_unit_test_setup_teardown(test, open, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(test_client_and_server, open_default),
		with(test_words_that_are_no_commands, open_default),
		with(test_pipelines, open_default),
		with(test_multi, open_default),
		with(test_blocking, open_quick),
		with(test_pubsub, open_default),
		with(test_silent, open_default),
		with(test_attach_in_mid_stream, open_default),
		with(test_attach_again, open_default),
		with(test_gaps, open_quick),
		with(test_only_redis, open_redis_only),
		with(test_random, open_default),
	};

	return cmocka_run_group_tests_name("wire_redis", tests, NULL, NULL);
}
