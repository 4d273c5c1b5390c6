// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Hops where there is no room, nobody answers, or something is used again. */
#include <bpf/libbpf.h>

#include "../support/hop_run.h"

/* The beginning of bpf/hops_table.bpf.h's struct hop_socket, and its size. */
struct span_times {
	uint64_t request;
	uint64_t reply;
	uint64_t rest[6];
};

static void test_too_many_spans(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		s[i] = client_at(2 + 2 * i, SERVICE, BROKER);
	there(&c, ASK);
	for (int i = 0; i < 6; i++) {
		back(&s[i], DELIVER);
		there(&s[i], ANSWER);
	}
	back(&c, ARRIVE);
	COUNTS(HOP_SPANS_FULL, 2);
	assert_int_equal(path_at(0)->key.n, HOP_SPANS);
	check_sums();
}

static int open_small(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 4, .timeout_ns = 200000000});
	return 0;
}

static void test_table_full(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	for (int i = 0; i < 6; i++)
		send_fmt(&c.a, OUT, "PUB svc _INBOX.a.%d 0\r\n\r\n", i);
	COUNTS(HOP_TABLE_FULL, 2);
	send_fmt(&c.a, IN, "MSG _INBOX.a.1 9 0\r\n\r\n");
	send_fmt(&c.a, IN, "MSG _INBOX.a.5 9 0\r\n\r\n");
	assert_int_equal(complete(), 1);
	send_fmt(&c.a, OUT, "PUB svc _INBOX.b 0\r\n\r\n"); /* where the first one was */
	COUNTS(HOP_TABLE_FULL, 2);
	usleep(250000);
	for (int i = 0; i < 4; i++)
		send_fmt(&c.a, OUT, "PUB svc _INBOX.c.%d 0\r\n\r\n", i);
	COUNTS(HOP_TABLE_FULL, 2, HOP_ABANDONED, 4);
	for (int i = 0; i < 4; i++)
		send_fmt(&c.a, IN, "MSG _INBOX.c.%d 9 0\r\n\r\n", i);
	assert_int_equal(complete(), 5);
	check_sums();
}

static void test_sweep(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	there(&c, "PUB svc _INBOX.a.1 0\r\n\r\n");
	there(&c, "PUB svc _INBOX.a.2 0\r\n\r\n");
	back(&c, "MSG _INBOX.a.2 9 0\r\n\r\n");
	wire_test__sweep(&t);
	NO_COUNTS();
	usleep(250000);
	wire_test__sweep(&t);
	COUNTS(HOP_ABANDONED, 1);
	wire_test__sweep(&t);
	COUNTS(HOP_ABANDONED, 1);
	assert_int_equal(complete(), 1);
}

/* The same reply subject again, and before the answer: another exchange. */
static void test_superseded(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	there(&c, ASK);
	there(&c, ASK);
	back(&c, ARRIVE);
	COUNTS(HOP_ABANDONED, 1);
	assert_int_equal(complete(), 1);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK});
	there(&c, ASK); /* and after it */
	back(&c, ARRIVE);
	COUNTS(HOP_ABANDONED, 1);
	assert_int_equal(complete(), 2);
	check_sums();
}

static int open_large(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 32768});
	return 0;
}

static void test_many_in_flight(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER);
	char text[64];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "PUB svc _INBOX.a.%d 0\r\n\r\n", i);
		there(&c, text);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "MSG svc 1 _INBOX.a.%d 0\r\n\r\n", i);
		back(&s, text);
	}
	for (int i = 999; i >= 0; i--) { /* answered in another order */
		snprintf(text, sizeof(text), "PUB _INBOX.a.%d 0\r\n\r\n", i);
		there(&s, text);
		snprintf(text, sizeof(text), "MSG _INBOX.a.%d 9 0\r\n\r\n", i);
		back(&c, text);
	}
	NO_COUNTS();
	assert_int_equal(complete(), 1000);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
}

/* Many in a segment. */
static void test_many_in_a_segment(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	char ask[SEGMENT_MAX] = "", arrive[SEGMENT_MAX] = "";

	(void)state;
	for (int i = 0; i < 130; i++) {
		sprintf(ask + strlen(ask), "PUB s _I.%d 0\r\n\r\n", i);
		sprintf(arrive + strlen(arrive), "MSG _I.%d 9 0\r\n\r\n", i);
	}
	there(&c, ask);
	back(&c, arrive);
	NO_COUNTS();
	assert_int_equal(complete(), 130);
	check_sums();
}

static int few_events(struct wire_bpf *s)
{
	s->rodata->targ_hop_events = 64;
	return 0;
}

static int open_few_events(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 4096, .more = few_events});
	return 0;
}

/* `format` for exchanges `from` to `to`, in a segment. */
static void send_many(struct flow *f, int dir, const char *format, int from, int to)
{
	char text[SEGMENT_MAX];
	size_t n = 0;

	for (int i = from; i < to; i++)
		n += (size_t)sprintf(text + n, format, i);
	send_bytes(f, dir, text, n);
}

#define ASK_I	 "PUB s _I.%d 0\r\n\r\n"
#define ARRIVE_I "MSG _I.%d 9 0\r\n\r\n"

/*
 * More in a segment than there is room for, at one of two sockets: what is missing of an exchange
 * is not known at the other, so it is in no path, neither without its beginning nor without its
 * end.
 */
static void test_messages_lost(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	send_many(&c.a, OUT, ASK_I, 0, 100); /* 36 have no room */
	send_many(&c.b, IN, ASK_I, 0, 50);
	send_many(&c.b, IN, ASK_I, 50, 100);
	send_many(&c.b, OUT, ARRIVE_I, 0, 50);
	send_many(&c.b, OUT, ARRIVE_I, 50, 100);
	send_many(&c.a, IN, ARRIVE_I, 0, 50);
	send_many(&c.a, IN, ARRIVE_I, 50, 100);
	COUNTS(HOP_EVENTS_LOST, 36);
	assert_int_equal(complete(), 64);

	send_many(&c.a, OUT, ASK_I, 100, 150);
	send_many(&c.a, OUT, ASK_I, 150, 200);
	send_many(&c.b, IN, ASK_I, 100, 150);
	send_many(&c.b, IN, ASK_I, 150, 200);
	send_many(&c.b, OUT, ARRIVE_I, 100, 200); /* and here */
	send_many(&c.a, IN, ARRIVE_I, 100, 150);
	send_many(&c.a, IN, ARRIVE_I, 150, 200);
	COUNTS(HOP_EVENTS_LOST, 72);
	assert_int_equal(complete(), 128);

	/* The same ids again: which socket is the first is not known of them. */
	for (int i = 90; i < 100; i++) {
		send_many(&c.a, OUT, ASK_I, i, i + 1);
		send_many(&c.b, IN, ASK_I, i, i + 1);
		send_many(&c.b, OUT, ARRIVE_I, i, i + 1);
		send_many(&c.a, IN, ARRIVE_I, i, i + 1);
	}
	assert_int_equal(complete(), 128);
	assert_int_equal(path_at(0)->count, 128);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK});
	check_sums();
}

/*
 * A record is used again: what its last user left in it is nobody's. Its fourth socket was the
 * broker's; now it is one that does not answer, in front of the one that does.
 */
static void test_record_used_again(void **state)
{
	struct link c = client_at(0, CLIENT, RELAY), f = client_at(2, RELAY, BROKER),
		    d = client_at(4, CLIENT, BROKER), s = client_at(6, SERVICE, BROKER),
		    o = client_at(8, OTHER, BROKER);

	(void)state;
	there(&c, ASK);
	there(&f, ASK);
	back(&f, ARRIVE);
	back(&c, ARRIVE);
	assert_int_equal(node_of(path_at(0), 3).role, ROLE_BROKER);
	there(&d, "PUB svc _INBOX.b 0\r\n\r\n");
	back(&s, "MSG svc 1 _INBOX.b 0\r\n\r\n");
	back(&o, "MSG svc 1 _INBOX.b 0\r\n\r\n");
	there(&o, "PUB _INBOX.b 0\r\n\r\n");
	back(&d, "MSG _INBOX.b 9 0\r\n\r\n");
	assert_int_equal(complete(), 2);
	COUNTS(HOP_UNANSWERED, 2);
	PATH(path_at(1), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
}

static int open_few_paths(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 64, .hop_paths = 2});
	return 0;
}

static void test_paths_full(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	char text[64];

	(void)state;
	for (int i = 0; i < 9; i++) {
		snprintf(text, sizeof(text), "PUB svc%c _INBOX.a.%d 0\r\n\r\n", 'a' + i % 3, i);
		there(&c, text);
		snprintf(text, sizeof(text), "MSG _INBOX.a.%d 9 0\r\n\r\n", i);
		back(&c, text);
	}
	COUNTS(HOP_PATHS_FULL, 3);
	assert_int_equal(complete(), 6);
	check_sums();
}

static int open_sampled(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 64, .hop_sample = 4});
	return 0;
}

/* An exchange is recorded on all of its sockets or on none. */
static void test_sampling(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	char text[64];

	(void)state;
	for (int i = 0; i < 400; i++) {
		snprintf(text, sizeof(text), "PUB svc _INBOX.a.%d 0\r\n\r\n", i);
		there(&c, text);
		snprintf(text, sizeof(text), "MSG _INBOX.a.%d 9 0\r\n\r\n", i);
		back(&c, text);
	}
	assert_in_range(complete(), 60, 140);
	COUNTS(HOP_SAMPLED_OUT, (int)(800 - 2 * complete()));
	assert_int_equal(path_at(0)->count, complete());
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK});
	check_sums();
}

/* Clocks that differ: a request that came in before it left. The exchange is left out, and said so.
 */
static void test_negative(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	int fd = bpf_map__fd(t.skel->maps.hop_records);
	struct span_times r[HOP_SPANS];

	(void)state;
	there(&c, ASK);
	for (uint32_t i = 0; i < 4096; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &i, r), 0);
		if (!r[0].request)
			continue;
		assert_true(r[1].request >= r[0].request);
		r[1].request = r[0].request - 1;
		assert_int_equal(bpf_map_update_elem(fd, &i, r, 0), 0);
	}
	back(&c, ARRIVE);
	COUNTS(HOP_NEGATIVE, 1, HOP_OVERLAPPING, 1);
	assert_int_equal(complete(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_too_many_spans),
		WITH(test_table_full, open_small),
		WITH(test_sweep, open_small),
		TEST(test_superseded),
		WITH(test_many_in_flight, open_large),
		TEST(test_many_in_a_segment),
		WITH(test_messages_lost, open_few_events),
		TEST(test_record_used_again),
		WITH(test_paths_full, open_few_paths),
		WITH(test_sampling, open_sampled),
		TEST(test_negative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
