// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The wire programs on made packets: exchanges, roles, tables. See test_wire_loss.c for the rest.
 */
#include "../support/wire_run.h"

static struct wire_test t;

static int open_default(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){0});
	return 0;
}

static int close_it(void **state)
{
	(void)state;
	wire_test__close(&t);
	return 0;
}

static void assert_series(enum wire_role role, enum wire_status status, const char *route,
			  uint64_t count)
{
	uint64_t got = series_count(&t, role, status, route);

	if (got != count)
		fail_msg("role %d status %d '%s': %llu, not %llu", role, status, route,
			 (unsigned long long)got, (unsigned long long)count);
}

/* All series together: nothing went anywhere else. */
static void assert_series_total(uint64_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t.n_series; i++)
		sum += hist_count(&t.series[i]) + t.series[i].count;
	assert_int_equal(sum, count);
}

static void test_programs(void **state)
{
	struct bpf_program *p;

	(void)state;
	bpf_object__for_each_program(p, t.skel->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
		printf("# %s: the verifier went through %u instructions, %u are left, %u bytes "
		       "of machine code\n",
		       bpf_program__name(p), info.verified_insns, info.xlated_prog_len / 8,
		       info.jited_prog_len);
	}
}

/* ---- requests and replies, from every side */

static void test_client(void **state)
{
	struct flow f = new_client(&t, 0);
	const struct series_val *v;
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "PUB svc.echo _INBOX.a.1 5\r\nhello\r\n");
	a = acct_of(&t);
	assert_int_equal(a.in_flight, 1);
	assert_int_equal(a.reason[REASON_DELIVERIES], 0);
	usleep(2000);
	send_text(&f, IN, "MSG _INBOX.a.1 9 3\r\nyes\r\n");
	a = acct_of(&t);
	assert_int_equal(a.seen, 1);
	assert_int_equal(a.matched, 1);
	assert_int_equal(a.in_flight, 0);
	assert_int_equal(a.orphans, 0);
	assert_int_equal(a.conns, 1);
	assert_int_equal(a.messages, 6); /* INFO CONNECT PING PONG PUB MSG */
	assert_int_equal(a.packets, 5);
	assert_int_equal(a.bytes_unparsed, 0);
	assert_int_equal(a.bytes_framed, f.seq[IN] - 1000 + f.seq[OUT] - 5000000);
	v = series_of(&t, ROLE_CLIENT, STATUS_OK, "svc.echo");
	assert_non_null(v);
	assert_int_equal(hist_count(v), 1);
	assert_int_equal(v->count, 0);
	assert_int_equal(v->bytes, 8);
	assert_int_equal(v->key.proto, PROTO_NATS);
	assert_int_equal(v->key.cgroup, conn_field(&t, 0, "cgroup"));
	assert_in_range(v->hist.max, 2000000, 10ull * 1000000000);
	assert_int_equal(v->hist.min, v->hist.max + 1);
	assert_int_equal(v->hist.sum, v->hist.max);
	assert_int_equal(v->hist.bucket[hist__index(v->hist.max)], 1);
	assert_series_total(1);
}

static void test_broker(void **state)
{
	struct flow f = new_broker(&t, 0);

	(void)state;
	send_text(&f, IN, "PUB svc _INBOX.a.1 5\r\nhello\r\n");
	send_text(&f, OUT, "MSG _INBOX.a.1 9 3\r\nyes\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_series(ROLE_BROKER, STATUS_OK, "svc", 1);
	assert_series_total(1);
}

static void test_service(void **state)
{
	struct flow f = new_client(&t, 0);

	(void)state;
	send_text(&f, OUT, "SUB svc 1\r\n");
	send_text(&f, IN, "MSG svc 1 _INBOX.a.1 5\r\nhello\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_DELIVERIES], 1);
	send_text(&f, OUT, "PUB _INBOX.a.1 3\r\nyes\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).reason[REASON_DELIVERIES], 0);
	assert_series(ROLE_SERVICE, STATUS_OK, "svc", 1);
	assert_series_total(1);
}

static void test_broker_out(void **state)
{
	struct flow f = new_broker(&t, 0);

	(void)state;
	send_text(&f, OUT, "MSG svc 1 _INBOX.a.1 5\r\nhello\r\n");
	send_text(&f, IN, "PUB _INBOX.a.1 3\r\nyes\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_series(ROLE_BROKER_OUT, STATUS_OK, "svc", 1);
	assert_series_total(1);
}

static struct flow new_route(int slot)
{
	struct flow f = new_flow(&t, 40000, 6222, slot);

	send_text(&f, OUT, INFO "CONNECT {\"x\":1}\r\nPING\r\n");
	send_text(&f, IN, INFO "PONG\r\nRS+ $G svc\r\n");
	send_text(&f, OUT, "RS+ $G _INBOX.*.*\r\n");
	return f;
}

static void test_routes_and_leaf_nodes(void **state)
{
	struct flow f = new_route(0), l = new_flow(&t, 40000, 7422, 1);

	(void)state;
	send_text(&f, OUT, "RMSG $G svc _INBOX.a.1 5\r\nhello\r\n");
	send_text(&f, IN, "RMSG $G _INBOX.a.1 3\r\nyes\r\n");
	send_text(&f, IN, "RMSG $G back + _INBOX.a.2 q1 q2 5\r\nhello\r\n");
	send_text(&f, OUT, "RMSG $G _INBOX.a.2 3\r\nyes\r\n");
	send_text(&f, OUT, "HMSG $G head _INBOX.a.3 12 13\r\nNATS/1.0\r\n\r\nx\r\n");
	send_text(&f, IN, "HMSG $G _INBOX.a.3 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
	send_text(&f, OUT, "RMSG $SYS.REQ.x _INBOX.a.4 0\r\n\r\n");
	send_text(&f, IN, "RMSG _INBOX.a.4 3\r\nyes\r\n");
	assert_int_equal(acct_of(&t).matched, 4);
	assert_series(ROLE_ROUTE, STATUS_OK, "svc", 1);
	assert_series(ROLE_ROUTE_IN, STATUS_OK, "back", 1);
	assert_series(ROLE_ROUTE, STATUS_NO_RESPONDERS, "head", 1);
	assert_series(ROLE_ROUTE, STATUS_OK, "$SYS.REQ.x", 1);

	send_text(&l, OUT, "LS+ svc\r\n");
	send_text(&l, IN, INFO "LS+ _INBOX.>\r\n");
	send_text(&l, OUT, "CONNECT {\"x\":1}\r\n");
	send_text(&l, OUT, "LMSG svc _INBOX.b.1 5\r\nhello\r\n");
	send_text(&l, IN, "LMSG _INBOX.b.1 3\r\nyes\r\n");
	assert_int_equal(acct_of(&t).matched, 5);
	assert_series(ROLE_ROUTE, STATUS_OK, "svc", 2);
	assert_series_total(5);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
}

/* PUB in and PUB out of one process: the sockets of a forwarder, on series of their own. */
static void test_relay(void **state)
{
	struct flow in = new_broker(&t, 0), out = new_client(&t, 1);

	(void)state;
	for (int i = 0; i < 3; i++) {
		send_fmt(&in, IN, "PUB svc _INBOX.a.%d 5\r\nhello\r\n", i);
		send_fmt(&out, OUT, "PUB svc _INBOX.a.%d 5\r\nhello\r\n", i);
		send_fmt(&out, IN, "MSG _INBOX.a.%d 9 3\r\nyes\r\n", i);
		send_fmt(&in, OUT, "MSG _INBOX.a.%d 9 3\r\nyes\r\n", i);
	}
	assert_int_equal(acct_of(&t).matched, 6);
	assert_series(ROLE_RELAY, STATUS_OK, "svc", 3);
	assert_series(ROLE_RELAY_OUT, STATUS_OK, "svc", 3);
	assert_series_total(6);
}

static void test_headers_and_status(void **state)
{
	struct flow f = new_client(&t, 0);

	(void)state;
	send_text(&f, OUT, "HPUB svc _INBOX.a.1 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nhello\r\n");
	send_text(&f, IN, "HMSG _INBOX.a.1 9 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n");
	send_text(&f, OUT, "PUB svc _INBOX.a.2 0\r\n\r\n");
	send_text(&f, IN, "HMSG _INBOX.a.2 9 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
	send_text(&f, OUT, "PUB svc _INBOX.a.3 0\r\n\r\n");
	send_text(&f, IN, "HMSG _INBOX.a.3 9 29 29\r\nNATS/1.0 408 Request Time\r\n\r\n\r\n");
	send_text(&f, OUT, "PUB svc _INBOX.a.4 0\r\n\r\n");
	send_text(&f, IN, "HMSG _INBOX.a.4 9 16 16\r\nNATS/1.0 100\r\n\r\n\r\n");
	assert_int_equal(acct_of(&t).matched, 4);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	assert_series(ROLE_CLIENT, STATUS_OK, "svc", 2);
	assert_series(ROLE_CLIENT, STATUS_NO_RESPONDERS, "svc", 1);
	assert_series(ROLE_CLIENT, STATUS_ERROR, "svc", 1);
	assert_series_total(4);
}

static void test_lower_case(void **state)
{
	struct flow f = new_client(&t, 0);

	(void)state;
	send_text(&f, OUT, "pub\tsvc  _INBOX.a.1\t5\nhello\r\n");
	send_text(&f, IN, "mSg _INBOX.a.1 9 3  \r\nyes\r\n");
	send_text(&f, OUT, "ping\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	assert_series(ROLE_CLIENT, STATUS_OK, "svc", 1);
}

static void test_errors(void **state)
{
	struct flow f = new_client(&t, 0);
	uint64_t n = 0;

	(void)state;
	send_text(&f, IN, "-ERR 'Permissions Violation'\r\n");
	send_text(&f, IN, "-ERR 'Stale");
	send_text(&f, IN, " Connection'\r\n");
	for (size_t i = 0; i < t.n_series; i++) {
		if (t.series[i].key.status == STATUS_PROTO_ERR)
			n += t.series[i].count;
	}
	assert_int_equal(n, 2);
	assert_int_equal(acct_of(&t).seen, 0);
}

/* Requests and replies, some hundred of them, as many in a segment as fit. */
static void test_many_in_a_segment(void **state)
{
	struct flow f = new_client(&t, 0);
	static char text[SEGMENT_MAX];
	const int per = 80;
	size_t n;

	(void)state;
	for (int round = 0; round < 5; round++) {
		n = 0;
		for (int i = 0; i < per; i++)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
					      "PUB svc.a _INBOX.%d.%d 1\r\nx\r\n", round, i);
		send_bytes(&f, OUT, text, n);
		assert_int_equal(acct_of(&t).in_flight, per);
		n = 0;
		for (int i = per - 1; i >= 0; i--)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
					      "MSG _INBOX.%d.%d 9 1\r\ny\r\n", round, i);
		send_bytes(&f, IN, text, n);
		assert_int_equal(acct_of(&t).in_flight, 0);
	}
	/* 240 of the shortest messages in one segment. */
	for (n = 0; n < 240 * 13; n += 13)
		memcpy(text + n, "MSG a 1 0\r\n\r\n", 13);
	send_bytes(&f, IN, text, n);
	assert_int_equal(acct_of(&t).matched, 5 * per);
	assert_int_equal(acct_of(&t).one_way, 240);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	assert_int_equal(acct_of(&t).messages, 4 + 2 * 5 * per + 240);
	assert_series(ROLE_CLIENT, STATUS_OK, "svc.a", 5 * per);
}

static void test_routes_are_normalised(void **state)
{
	struct flow f = new_client(&t, 0);

	(void)state;
	for (int i = 0; i < 300; i++) {
		send_fmt(&f, OUT, "PUB users.%d.get _INBOX.a.%d 1\r\nx\r\n", i * 37, i);
		send_fmt(&f, IN, "MSG _INBOX.a.%d 9 1\r\ny\r\n", i);
	}
	assert_series(ROLE_CLIENT, STATUS_OK, "users.*.get", 300);
	assert_int_equal(map_entries(t.skel->maps.routes), 1);
	assert_int_equal(acct_of(&t).reason[REASON_ROUTE_FULL], 0);
}

/* ---- what is no exchange */

static void test_one_way_and_orphans(void **state)
{
	struct flow f = new_client(&t, 0);
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "PUB events.x 2\r\nhi\r\n");
	send_text(&f, IN, "MSG events.y 3 2\r\nhi\r\n");
	send_text(&f, IN, "MSG _INBOX.zz.1 3 2\r\nhi\r\n");
	send_text(&f, OUT, "PUB $JS.ACK.S.C.1.2.3.4.5 4\r\n+ACK\r\n");
	send_text(&f, OUT, "PUB $NRG.AE.x $NRG.R.y 2\r\nhi\r\n");
	send_text(&f, OUT, "PUB $JS.API.CONSUMER.MSG.NEXT.S.C _INBOX.a.1 2\r\nhi\r\n");
	a = acct_of(&t);
	assert_int_equal(a.seen, 4);
	assert_int_equal(a.one_way, 4);
	assert_int_equal(a.reason[REASON_NO_REPLY], 2);
	assert_int_equal(a.reason[REASON_INTERNAL], 1);
	assert_int_equal(a.reason[REASON_PULL], 1);
	assert_int_equal(a.orphans, 2);
	assert_int_equal(a.matched, 0);
	assert_series_total(0);
}

/* A reply closes its exchange once, on its own connection, in the other direction only. */
static void test_a_reply_is_used_once(void **state)
{
	struct flow f = new_client(&t, 0), other = new_client(&t, 1);
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "PUB svc _INBOX.a.1 5\r\nhello\r\n");
	send_text(&other, IN, "MSG _INBOX.a.1 9 3\r\nyes\r\n");
	send_text(&f, OUT, "PUB _INBOX.a.1 3\r\nyes\r\n");
	send_text(&f, IN, "MSG _INBOX.a.11 9 3\r\nyes\r\n");
	send_text(&f, IN, "MSG _INBOX.a. 9 3\r\nyes\r\n");
	a = acct_of(&t);
	assert_int_equal(a.matched, 0);
	assert_int_equal(a.orphans, 4);
	assert_int_equal(a.in_flight, 1);
	send_text(&f, IN, "MSG _INBOX.a.1 9 3\r\nyes\r\n");
	send_text(&f, IN, "MSG _INBOX.a.1 9 3\r\nyes\r\n");
	a = acct_of(&t);
	assert_int_equal(a.matched, 1);
	assert_int_equal(a.orphans, 5);
	assert_series_total(1);
}

/* HMSG before anything told what speaks here: framed, counted, but of no name. */
static void test_ambiguous(void **state)
{
	struct flow f = new_flow(&t, 40000, 7422, 0);

	(void)state;
	send_text(&f, IN, INFO);
	send_text(&f, IN, "HMSG svc _INBOX.a.1 12 12\r\nNATS/1.0\r\n\r\n\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_AMBIGUOUS], 1);
	send_text(&f, IN, "LMSG x 0\r\n\r\n");
	send_text(&f, IN, "HMSG svc _INBOX.a.1 12 12\r\nNATS/1.0\r\n\r\n\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_AMBIGUOUS], 1);
	assert_int_equal(acct_of(&t).in_flight, 1);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
}

/* ---- tables and their ends */

/* The same reply subject again: the first exchange will not be answered. */
static void test_superseded(void **state)
{
	struct flow f = new_client(&t, 0);
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "PUB svc.one _INBOX.a 1\r\nx\r\n");
	send_text(&f, OUT, "PUB svc.two _INBOX.a 1\r\nx\r\n");
	a = acct_of(&t);
	assert_int_equal(a.unanswered, 1);
	assert_int_equal(a.reason[REASON_SUPERSEDED], 1);
	assert_int_equal(a.in_flight, 1);
	send_text(&f, IN, "MSG _INBOX.a 9 1\r\ny\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_series(ROLE_CLIENT, STATUS_UNANSWERED, "svc.one", 1);
	assert_series(ROLE_CLIENT, STATUS_OK, "svc.two", 1);
	assert_series_total(2);
}

/* More than the sets hold: the rest goes to the overflow map and is matched all the same. */
static void test_overflow(void **state)
{
	struct flow f = new_client(&t, 0);
	const int n = 1000;

	(void)state;
	for (int i = 0; i < n; i++)
		send_fmt(&f, OUT, "PUB svc _INBOX.a.%d 1\r\nx\r\n", i);
	assert_int_equal(acct_of(&t).in_flight, n);
	assert_true(map_entries(t.skel->maps.flight_overflow) > 100);
	for (int i = 0; i < n; i++)
		send_fmt(&f, IN, "MSG _INBOX.a.%d 9 1\r\ny\r\n", i);
	assert_int_equal(acct_of(&t).matched, n);
	assert_int_equal(acct_of(&t).in_flight, 0);
	assert_int_equal(acct_of(&t).orphans, 0);
	assert_int_equal(map_entries(t.skel->maps.flight_overflow), 0);
	assert_series(ROLE_CLIENT, STATUS_OK, "svc", n);
}

static int open_small(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.overflow = 8, .routes = 4, .series = 6});
	return 0;
}

static void test_overflow_full(void **state)
{
	struct flow f = new_client(&t, 0);
	struct wire_acct a;
	const int n = 600;

	(void)state;
	for (int i = 0; i < n; i++)
		send_fmt(&f, OUT, "PUB svc _INBOX.a.%d 1\r\nx\r\n", i);
	a = acct_of(&t);
	assert_int_equal(a.seen, n);
	assert_true(a.dropped > 100);
	assert_int_equal(a.reason[REASON_TABLE_FULL], a.dropped);
	assert_int_equal(map_entries(t.skel->maps.flight_overflow), 8);
	for (int i = 0; i < n; i++)
		send_fmt(&f, IN, "MSG _INBOX.a.%d 9 1\r\ny\r\n", i);
	assert_int_equal(acct_of(&t).matched, n - a.dropped);
	assert_int_equal(acct_of(&t).orphans, a.dropped);
	assert_int_equal(acct_of(&t).in_flight, 0);
}

/* Too many routes: numbers 1 to 3 are given, the rest is (other). */
static void test_routes_full(void **state)
{
	struct flow f = new_client(&t, 0);

	(void)state;
	for (int i = 0; i < 26; i++) {
		send_fmt(&f, OUT, "PUB svc.%c _INBOX.a.%d 1\r\nx\r\n", 'a' + i, i);
		send_fmt(&f, IN, "MSG _INBOX.a.%d 9 1\r\ny\r\n", i);
	}
	assert_int_equal(acct_of(&t).matched, 26);
	assert_int_equal(map_entries(t.skel->maps.routes), 3);
	assert_int_equal(acct_of(&t).reason[REASON_ROUTE_FULL], 23);
	assert_series(ROLE_CLIENT, STATUS_OK, "svc.a", 1);
	assert_series(ROLE_CLIENT, STATUS_OK, "svc.c", 1);
	assert_series_total(26);
	for (size_t i = SERIES_FIXED; i < t.n_series; i++) {
		if (t.series[i].used && !t.series[i].key.route)
			assert_int_equal(hist_count(&t.series[i]), 23);
	}
}

/* Too many series: the fixed one of role and status takes the rest. */
static void test_series_full(void **state)
{
	static const char *const status[] = {"503", "408", "100"};
	static const struct series_key error = {
		.proto = PROTO_NATS, .role = ROLE_CLIENT, .status = STATUS_ERROR};
	static const struct series_key ok = {
		.proto = PROTO_NATS, .role = ROLE_CLIENT, .status = STATUS_OK};
	struct flow f = new_client(&t, 0);
	uint64_t fixed = 0;

	(void)state;
	for (int i = 0; i < 36; i++) {
		send_fmt(&f, OUT, "PUB svc.%c _INBOX.a.%d 1\r\nx\r\n", 'a' + i % 4, i);
		send_fmt(&f, IN, "HMSG _INBOX.a.%d 9 16 16\r\nNATS/1.0 %s\r\n\r\n\r\n", i,
			 status[i / 12]);
	}
	assert_int_equal(acct_of(&t).matched, 36);
	assert_int_not_equal(acct_of(&t).reason[REASON_SERIES_FULL], 0);
	assert_series_total(36);
	for (size_t i = 0; i < SERIES_FIXED; i++) {
		if (i != series__other(&error) && i != series__other(&ok))
			assert_int_equal(hist_count(&t.series[i]), 0);
		fixed += hist_count(&t.series[i]);
	}
	assert_int_equal(fixed, 18);
}

/* Reply subjects of every length, and one longer than an id may be. */
static void test_long_ids(void **state)
{
	struct flow f = new_client(&t, 0);
	char id[301];

	(void)state;
	memset(id, 'i', sizeof(id));
	id[300] = 0;
	send_fmt(&f, OUT, "PUB svc %s 1\r\nx\r\n", id);
	assert_int_equal(acct_of(&t).reason[REASON_ID_LONG], 1);
	for (int n = 1; n <= 256; n += 5) {
		send_fmt(&f, OUT, "PUB svc %.*s 1\r\nx\r\n", n, id);
		assert_int_equal(acct_of(&t).in_flight, 1);
		send_fmt(&f, IN, "MSG %.*s 9 1\r\nx\r\n", n, id);
		assert_int_equal(acct_of(&t).in_flight, 0);
	}
	assert_int_equal(acct_of(&t).matched, 52);
}

/* A subject that only begins with the id of an open exchange does not answer it. */
static void test_a_longer_subject_is_no_reply(void **state)
{
	struct flow f = new_client(&t, 0);
	char id[301];

	(void)state;
	memset(id, 'i', sizeof(id));
	send_fmt(&f, OUT, "PUB svc %.256s 1\r\nx\r\n", id);
	send_fmt(&f, IN, "MSG %.257s 9 1\r\nx\r\n", id);
	assert_int_equal(acct_of(&t).matched, 0);
	send_fmt(&f, IN, "MSG %.256s 9 1\r\nx\r\n", id);
	assert_int_equal(acct_of(&t).matched, 1);
}

/* ---- time */

static int open_quick(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.timeout_ns = 20 * 1000000, .slow_ns = 1});
	return 0;
}

/* The first set's four slots: one more request after the timeout makes room. */
static void test_timeout(void **state)
{
	struct flow f = new_client(&t, 0);
	struct wire_acct a;

	(void)state;
	for (int i = 0; i < 4; i++)
		send_fmt(&f, OUT, "PUB svc _INBOX.a.%d 1\r\nx\r\n", i);
	usleep(30000);
	send_text(&f, OUT, "PUB svc _INBOX.b 1\r\nx\r\n");
	a = acct_of(&t);
	assert_int_equal(a.unanswered, 4);
	assert_int_equal(a.reason[REASON_TIMEOUT], 4);
	assert_int_equal(a.in_flight, 1);
	assert_series(ROLE_CLIENT, STATUS_UNANSWERED, "svc", 4);
	/* Late replies have nothing to close. */
	send_text(&f, IN, "MSG _INBOX.a.1 9 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).orphans, 1);
	assert_int_equal(acct_of(&t).matched, 0);
}

/* A delivery that its receiver does not answer is no failed request. */
static void test_timeout_of_a_delivery(void **state)
{
	struct flow f = new_client(&t, 0);

	(void)state;
	for (int i = 0; i < 4; i++)
		send_fmt(&f, IN, "MSG svc 1 _INBOX.a.%d 1\r\nx\r\n", i);
	usleep(30000);
	send_text(&f, IN, "MSG svc 1 _INBOX.b 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).unanswered, 4);
	assert_int_equal(acct_of(&t).reason[REASON_NOT_ANSWERED], 4);
	assert_int_equal(acct_of(&t).reason[REASON_DELIVERIES], 1);
}

/* A subscriber that never answers: its deliveries stop to open exchanges, but for a few. */
static void test_a_socket_that_only_listens(void **state)
{
	struct flow f = new_client(&t, 0);
	struct wire_acct a;

	(void)state;
	for (int i = 0; i < 10; i++) {
		for (int k = 0; k < 4; k++)
			send_fmt(&f, IN, "MSG svc 1 _INBOX.%d.%d 1\r\nx\r\n", i, k);
		usleep(25000);
	}
	for (int i = 0; i < 1000; i++)
		send_fmt(&f, IN, "MSG svc 1 _INBOX.a.%d 1\r\nx\r\n", i);
	a = acct_of(&t);
	assert_int_equal(a.seen, 1040);
	assert_in_range(a.reason[REASON_LISTENER], 900, 1000);
	/* Another route of the same socket is not affected, nor are requests. */
	send_text(&f, IN, "MSG other 1 _INBOX.b.1 1\r\nx\r\n");
	send_text(&f, OUT, "PUB _INBOX.b.1 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_series(ROLE_SERVICE, STATUS_OK, "other", 1);
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct wire_exemplar *out = ctx;

	assert_int_equal(size, sizeof(*out));
	memcpy(out, data, size);
	return 0;
}

static void test_exemplars(void **state)
{
	struct flow f = new_client(&t, 0);
	struct wire_exemplar e = {0};
	struct ring_buffer *ring =
		ring_buffer__new(bpf_map__fd(t.skel->maps.exemplars), on_record, &e, NULL);

	(void)state;
	assert_non_null(ring);
	send_text(&f, OUT, "PUB svc _INBOX.a.1 5\r\nhello\r\n");
	send_text(&f, IN, "MSG _INBOX.a.1 9 3\r\nyes\r\n");
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(acct_of(&t).exemplars, 1);
	assert_int_equal(e.type, RECORD_EXEMPLAR);
	assert_int_equal(e.size, sizeof(e));
	assert_int_equal(e.key.role, ROLE_CLIENT);
	assert_int_equal(e.key.route, route_id(&t, "svc"));
	assert_int_equal(e.port_local, f.local);
	assert_int_equal(e.port_remote, f.remote);
	assert_int_equal(e.tgid, getpid());
	assert_int_equal(e.bytes, 8);
	assert_true(e.duration_ns > 0 && e.start_ns > 0);
	ring_buffer__free(ring);
}

#define with(test, open) cmocka_unit_test_setup_teardown(test, open, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(test_programs, open_default),
		with(test_client, open_default),
		with(test_broker, open_default),
		with(test_service, open_default),
		with(test_broker_out, open_default),
		with(test_routes_and_leaf_nodes, open_default),
		with(test_relay, open_default),
		with(test_headers_and_status, open_default),
		with(test_lower_case, open_default),
		with(test_errors, open_default),
		with(test_many_in_a_segment, open_default),
		with(test_routes_are_normalised, open_default),
		with(test_one_way_and_orphans, open_default),
		with(test_a_reply_is_used_once, open_default),
		with(test_ambiguous, open_default),
		with(test_superseded, open_default),
		with(test_overflow, open_default),
		with(test_overflow_full, open_small),
		with(test_routes_full, open_small),
		with(test_series_full, open_small),
		with(test_long_ids, open_default),
		with(test_a_longer_subject_is_no_reply, open_default),
		with(test_timeout, open_quick),
		with(test_timeout_of_a_delivery, open_quick),
		with(test_a_socket_that_only_listens, open_quick),
		with(test_exemplars, open_quick),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
