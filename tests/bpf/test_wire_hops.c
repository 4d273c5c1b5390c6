// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Hops: which sockets an exchange passed, in what order, and that their times sum to the round
 * trip's. */
#include <bpf/libbpf.h>

#include "../support/hop_run.h"

/* What it costs the verifier: docs/measured.md. */
static void test_programs(void **state)
{
	struct bpf_program *p;

	(void)state;
	bpf_object__for_each_program(p, t.skel->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
		printf("# %s: the verifier went through %u instructions, %u bytes of machine "
		       "code\n",
		       bpf_program__name(p), info.verified_insns, info.jited_prog_len);
	}
}

/* ---- the onion */

static void test_four_spans(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER);
	const struct hop_path *p;

	(void)state;
	for (int i = 0; i < 3; i++) {
		there(&c, ASK);
		usleep(1000);
		back(&s, DELIVER);
		usleep(4000);
		there(&s, ANSWER);
		usleep(2000);
		back(&c, ARRIVE);
	}
	NO_COUNTS();
	assert_int_equal(complete(), 3);
	p = path_at(0);
	assert_int_equal(p->count, 3);
	assert_int_equal(p->key.route, route_id(&t, "svc"));
	assert_int_equal(p->key.proto, PROTO_NATS);
	assert_int_equal(p->key.status, STATUS_OK);
	PATH(p, {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	assert_int_equal(node_of(p, 0).port, 4222);
	assert_int_equal(node_of(p, 3).port, 4222);
	check_sums();
	/* The times are where they were spent: resident on the way, serving, resident again. */
	assert_true(hist_of(p, 2, 0)->sum >= 3000000);
	assert_true(hist_of(p, 3, 1)->sum >= 12000000);
	assert_true(hist_of(p, 1, 1)->sum >= 6000000);
	assert_true(hist_of(p, 1, 0)->sum < 3000000);
	assert_true(hist_of(p, 0, 1)->sum < 3000000);
}

static void test_six_spans(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), r = route_at(2, BROKER, BROKER2),
		    s = client_at(4, SERVICE, BROKER2);

	(void)state;
	there(&c, ASK);
	there(&r, "RMSG $G svc _INBOX.a.1 5\r\nhello\r\n");
	back(&s, DELIVER);
	there(&s, ANSWER);
	back(&r, "RMSG $G _INBOX.a.1 3\r\nyes\r\n");
	back(&c, ARRIVE);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_ROUTE, 0, 1, HOP_PROCESS}, {ROLE_ROUTE_IN, 1, 2, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 3, HOP_PROCESS}, {ROLE_SERVICE, 1, 4, HOP_NETWORK});
	assert_int_equal(complete(), 1);
	check_sums();
}

/* HPUB and HMSG, and an exchange that fails: a path of its own. */
static void test_status(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	there(&c, "HPUB svc _INBOX.a.1 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nhello\r\n");
	back(&c, "HMSG _INBOX.a.1 9 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n");
	there(&c, "PUB svc _INBOX.a.2 0\r\n\r\n");
	back(&c, "HMSG _INBOX.a.2 9 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
	NO_COUNTS();
	assert_int_equal(path_at(0)->key.status, STATUS_OK);
	assert_int_equal(path_at(1)->key.status, STATUS_NO_RESPONDERS);
	assert_int_equal(path_at(1)->count, 1);
	PATH(path_at(1), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK});
	check_sums();
}

/* A forwarder in front of the broker: its sockets are known as its own when the answer passes. */
static void test_relay(void **state)
{
	struct link c = client_at(0, CLIENT, RELAY), f = client_at(2, RELAY, BROKER);

	(void)state;
	there(&c, ASK);
	there(&f, ASK);
	back(&f, ARRIVE);
	back(&c, ARRIVE);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_RELAY, 1, 0, HOP_NETWORK},
	     {ROLE_RELAY_OUT, 0, 1, HOP_PROCESS}, {ROLE_BROKER, 1, 2, HOP_NETWORK});
	check_sums();
}

/* Between the two there is something that is not seen: a tunnel. */
static void test_opaque(void **state)
{
	struct link c = client_at(0, CLIENT, OTHER), f = client_at(2, RELAY, BROKER);

	(void)state;
	send_text(&c.a, OUT, ASK); /* the other end is elsewhere */
	there(&f, ASK);
	back(&f, ARRIVE);
	send_text(&c.a, IN, ARRIVE);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_CLIENT, 0, 0, HOP_OPAQUE},
	     {ROLE_BROKER, 1, 1, HOP_NETWORK});
	check_sums();
}

/* Only the responder is here: its span is the first one. */
static void test_service_alone(void **state)
{
	struct link s = client_at(0, SERVICE, BROKER);

	(void)state;
	send_text(&s.a, IN, DELIVER);
	send_text(&s.a, OUT, ANSWER);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_SERVICE, 1, 0, HOP_NONE});
	check_sums();
}

/* ---- deliveries */

static void test_one_of_three_answers(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER),
		    s[3] = {client_at(2, SERVICE, BROKER), client_at(4, OTHER, BROKER),
			    client_at(6, RELAY, BROKER)};

	(void)state;
	there(&c, ASK);
	for (int i = 0; i < 3; i++)
		back(&s[i], DELIVER);
	there(&s[1], ANSWER);
	back(&c, ARRIVE);
	COUNTS(HOP_UNANSWERED, 4);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
	/* Another answer, which nobody waits for, closes nothing; nor does a delivery open one. */
	there(&s[2], ANSWER);
	back(&s[0], DELIVER);
	assert_int_equal(complete(), 1);
	COUNTS(HOP_UNANSWERED, 6);
}

/* Two answer, one after the other, and the first answer goes on: the second one is too late. */
static void test_children_that_overlap(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER),
		    o = client_at(4, OTHER, BROKER);

	(void)state;
	there(&c, ASK);
	back(&s, DELIVER);
	back(&o, DELIVER);
	there(&s, ANSWER);
	there(&o, ANSWER);
	back(&c, ARRIVE);
	COUNTS(HOP_OVERLAPPING, 2);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
}

/* The shorter one is inside the other one in time, and is no part of it. */
static void test_children_inside_each_other(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER),
		    o = client_at(4, OTHER, BROKER);

	(void)state;
	there(&c, ASK);
	back(&s, DELIVER);
	back(&o, DELIVER);
	there(&o, ANSWER);
	there(&s, ANSWER);
	back(&c, ARRIVE);
	COUNTS(HOP_OVERLAPPING, 2);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
}

/* One after the other, both count. */
static void test_children_in_turn(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER),
		    o = client_at(4, OTHER, BROKER);

	(void)state;
	there(&c, ASK);
	back(&s, DELIVER);
	there(&s, ANSWER);
	usleep(2000);
	back(&o, DELIVER);
	there(&o, ANSWER);
	back(&c, ARRIVE);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 4, HOP_NETWORK});
	assert_true(hist_of(path_at(0), 4, 0)->sum >= 2000000);
	check_sums();
}

/* ---- one by one */

static int on_line(void *ctx, void *data, size_t size)
{
	assert_int_equal(size, sizeof(struct hop_timeline));
	memcpy(ctx, data, size);
	return 0;
}

static void test_timeline(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER);
	struct hop_timeline l = {0};
	struct ring_buffer *ring =
		ring_buffer__new(bpf_map__fd(t.skel->maps.hop_timelines), on_line, &l, NULL);

	(void)state;
	assert_non_null(ring);
	there(&c, "PUB svc _INBOX.b 0\r\n\r\n");
	back(&c, "MSG _INBOX.b 9 0\r\n\r\n");
	assert_int_equal(ring_buffer__consume(ring), 0);
	t.skel->data_shared->hop_slow_ns = 3000000;
	there(&c, "PUB svc _INBOX.c 0\r\n\r\n");
	back(&c, "MSG _INBOX.c 9 0\r\n\r\n");
	there(&c, ASK);
	usleep(4000);
	back(&s, DELIVER);
	there(&s, ANSWER);
	back(&c, ARRIVE);
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(l.type, RECORD_TIMELINE);
	assert_int_equal(l.size, sizeof(l));
	assert_int_equal(l.n, 4);
	assert_int_equal(l.status, STATUS_OK);
	assert_int_equal(l.proto, PROTO_NATS);
	assert_int_equal(l.route, route_id(&t, "svc"));
	assert_int_equal(l.sampled, 0);
	assert_true(l.duration_ns >= 4000000);
	assert_int_equal(l.span[0].request_ns, 0);
	assert_int_equal(l.span[0].reply_ns, l.duration_ns);
	assert_true(l.span[2].request_ns >= 4000000);
	assert_int_equal(l.span[1].tgid, BROKER);
	assert_int_equal(l.span[3].tgid, SERVICE);
	assert_int_equal(l.span[3].link, 2 << 4 | HOP_NETWORK);
	for (int i = 0; i < 4; i++) {
		assert_true(l.span[i].queue_request_ns == HOP_UNKNOWN);
		assert_true(l.span[i].queue_reply_ns == HOP_UNKNOWN);
		assert_true(l.span[i].run_queue_ns == HOP_UNKNOWN);
		if (i)
			assert_true(l.span[i].reply_ns <= l.span[i - 1].reply_ns);
	}
	/* None is slow, every one is taken. */
	t.skel->data_shared->hop_slow_ns = 0;
	t.skel->data_shared->hop_one_in = 1;
	there(&c, "PUB svc _INBOX.d 0\r\n\r\n");
	back(&c, "MSG _INBOX.d 9 0\r\n\r\n");
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(l.sampled, 1);
	/* The ring has room for a hundred. */
	for (int i = 0; i < 200; i++) {
		there(&c, "PUB svc _INBOX.d 0\r\n\r\n");
		back(&c, "MSG _INBOX.d 9 0\r\n\r\n");
	}
	assert_in_range(counted(HOP_TIMELINES_LOST), 50, 150);
	assert_int_equal(complete(), 204);
	ring_buffer__free(ring);
}

/* ---- off */

static int open_off(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.conns = 16});
	return 0;
}

static int close_off(void **state)
{
	(void)state;
	wire_test__close(&t);
	return 0;
}

static void test_off(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	struct counts n;
	uint32_t zero = 0;

	(void)state;
	there(&c, ASK);
	back(&c, ARRIVE);
	assert_int_equal(acct_of(&t).matched, 2);
	assert_int_equal(bpf_map__max_entries(t.skel->maps.hop_records), 1);
	assert_int_equal(bpf_map__max_entries(t.skel->maps.hop_hists), 1);
	assert_int_equal(bpf_map__max_entries(t.skel->maps.hop_lanes), 1);
	assert_int_equal(bpf_map__max_entries(t.skel->maps.hop_lost), 1);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t.skel->maps.hop_counters), &zero, &n), 0);
	for (int i = 0; i < HOP_COUNTS; i++)
		assert_int_equal(n.count[i], 0);
	assert_int_equal(t.skel->data_shared->hop_nodes_used, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_programs),
		TEST(test_four_spans),
		TEST(test_six_spans),
		TEST(test_status),
		TEST(test_relay),
		TEST(test_opaque),
		TEST(test_service_alone),
		TEST(test_one_of_three_answers),
		TEST(test_children_that_overlap),
		TEST(test_children_inside_each_other),
		TEST(test_children_in_turn),
		TEST(test_timeline),
		cmocka_unit_test_setup_teardown(test_off, open_off, close_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
