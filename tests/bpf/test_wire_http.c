// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* HTTP on the wire programs: exchanges, parts, routes, what is lost, and what is not read. */
#include "../support/http_gen.h"
#include "../support/wire_run.h"
#include "out/text.h"

#define PORT 8090

static struct wire_test t;

static int open_default(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){0});
	return 0;
}

static int open_port(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.port = PORT});
	return 0;
}

static int open_quick(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.timeout_ns = 20 * 1000000});
	return 0;
}

static int open_few(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.routes = 4, .series = 4});
	return 0;
}

static int open_nats_only(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.protos = 1u << PROTO_NATS});
	return 0;
}

static int close_it(void **state)
{
	(void)state;
	wire_test__close(&t);
	return 0;
}

/* The socket of a client and, with IN and OUT changed, of a server. */
static struct flow client(int slot)
{
	return new_flow(&t, 40000, PORT, slot);
}

static uint64_t count_of(enum wire_role role, enum wire_status status, enum wire_part part,
			 const char *route)
{
	const struct series_val *v = series_at(&t, PROTO_HTTP, role, status, part, route);

	return v ? hist_count(v) + v->count : 0;
}

static void assert_count(enum wire_role role, enum wire_status status, const char *route,
			 uint64_t want)
{
	uint64_t whole = count_of(role, status, PART_WHOLE, route);
	uint64_t first = count_of(role, status, PART_FIRST_BYTE, route);

	if (whole != want || first != (status == STATUS_UNANSWERED ? 0 : want))
		fail_msg("role %d status %d '%s': %llu, first byte %llu, not %llu", role, status,
			 route, (unsigned long long)whole, (unsigned long long)first,
			 (unsigned long long)want);
}

#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: " #body "\r\n\r\n"

static void test_client_and_server(void **state)
{
	struct flow f = client(0), s = new_flow(&t, PORT, 41000, 1);
	const struct series_val *v;
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "GET /users/17?secret=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	a = acct_of(&t);
	assert_int_equal(a.in_flight, 1);
	assert_int_equal(a.proto_conns[PROTO_HTTP], 1);
	usleep(2000);
	send_text(&f, IN, OK(5));
	assert_int_equal(acct_of(&t).in_flight, 1);
	usleep(2000);
	send_text(&f, IN, "hello");
	send_text(&s, IN, "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
	send_text(&s, OUT, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
	a = acct_of(&t);
	assert_int_equal(a.seen, 2);
	assert_int_equal(a.matched, 2);
	assert_int_equal(a.in_flight, 0);
	assert_int_equal(a.orphans, 0);
	assert_int_equal(a.messages, 4);
	assert_int_equal(a.bytes_unparsed, 0);
	assert_count(ROLE_CLIENT, STATUS_2XX, "GET /users/{n}", 1);
	assert_count(ROLE_SERVER, STATUS_5XX, "POST /a", 1);
	v = series_at(&t, PROTO_HTTP, ROLE_CLIENT, STATUS_2XX, PART_WHOLE, "GET /users/{n}");
	assert_in_range(v->hist.max, 4000000, 10ull * 1000000000);
	assert_int_equal(v->bytes, f.seq[OUT] - 5000000 + f.seq[IN] - 1000);
	v = series_at(&t, PROTO_HTTP, ROLE_CLIENT, STATUS_2XX, PART_FIRST_BYTE, "GET /users/{n}");
	assert_in_range(v->hist.max, 2000000, 10ull * 1000000000);
	assert_true(v->hist.max + 2000000 <=
		    series_at(&t, PROTO_HTTP, ROLE_CLIENT, STATUS_2XX, PART_WHOLE, "GET /users/{n}")
			    ->hist.max);
}

/* Interim responses end nothing, a switch of protocols does. */
static void test_interim_responses(void **state)
{
	struct flow f = client(0);

	(void)state;
	send_text(&f, OUT, "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	send_text(&f, IN, "HTTP/1.1 100 Continue\r\n\r\n");
	send_text(&f, IN, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
	assert_int_equal(acct_of(&t).matched, 0);
	send_text(&f, OUT, "hi");
	send_text(&f, IN, OK(0));
	assert_int_equal(acct_of(&t).matched, 1);
	send_text(&f, OUT, "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	send_text(&f, IN, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x05");
	send_text(&f, OUT, "GET /no HTTP/1.1\r\n\r\n");
	assert_int_equal(acct_of(&t).matched, 2);
	assert_int_equal(acct_of(&t).seen, 2);
	assert_int_equal(acct_of(&t).orphans, 0);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	assert_count(ROLE_CLIENT, STATUS_2XX, "POST /a", 1);
	assert_count(ROLE_CLIENT, STATUS_1XX, "GET /ws", 1);
}

/* An answer before the request has ended, and what the request then adds. */
static void test_early_response(void **state)
{
	struct flow f = client(0);

	(void)state;
	send_text(&f, OUT, "POST /big HTTP/1.1\r\nContent-Length: 10\r\n\r\n01234");
	send_text(&f, IN, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_count(ROLE_CLIENT, STATUS_4XX, "POST /big", 1);
	send_text(&f, OUT, "56789");
	send_text(&f, OUT, "GET /b HTTP/1.1\r\n\r\n");
	send_text(&f, IN, OK(0));
	assert_int_equal(acct_of(&t).matched, 2);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	assert_count(ROLE_CLIENT, STATUS_2XX, "GET /b", 1);
}

static void test_bodies(void **state)
{
	struct flow f = client(0);

	(void)state;
	send_text(&f, OUT,
		  "HEAD /h HTTP/1.1\r\n\r\nGET /n HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
	send_text(&f, IN, OK(100) "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
	assert_int_equal(acct_of(&t).matched, 2);
	send_text(&f, IN, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHTTP/\r\n");
	send_text(&f, IN, "0\r\nX-Sum: 1\r\n");
	assert_int_equal(acct_of(&t).matched, 2);
	send_text(&f, IN, "\r\n");
	assert_int_equal(acct_of(&t).matched, 3);
	assert_count(ROLE_CLIENT, STATUS_2XX, "HEAD /h", 1);
	assert_count(ROLE_CLIENT, STATUS_3XX, "GET /n", 1);
	assert_count(ROLE_CLIENT, STATUS_2XX, "GET /c", 1);
	/* until the connection ends: then, and not before */
	send_text(&f, OUT, "GET /old HTTP/1.0\r\n\r\n");
	send_text(&f, IN, "HTTP/1.0 200 OK\r\n\r\nbytes\r\nHTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(acct_of(&t).in_flight, 1);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
}

/* Pipelines as deep as the ring; what is beyond it is dropped, and the rest still right. */
static void test_pipelines(void **state)
{
	static const int depths[] = {2, 8, 9, 64, 65, 1000, 1008, 1016};
	struct flow f = client(0);
	uint64_t done = 0;

	(void)state;
	for (size_t k = 0; k < sizeof(depths) / sizeof(depths[0]); k++) {
		for (int i = 0; i < depths[k]; i++)
			send_fmt(&f, OUT, "GET /p%d HTTP/1.1\r\n\r\n",
				 (int)(done + (uint64_t)i) % 5);
		assert_int_equal(acct_of(&t).in_flight, depths[k]);
		for (int i = 0; i < depths[k]; i++)
			send_fmt(&f, IN, "HTTP/1.1 %d00 X\r\nContent-Length: 2\r\n\r\nhi",
				 2 + ((int)(done + (uint64_t)i) % 5) % 4);
		done += (uint64_t)depths[k];
		assert_int_equal(acct_of(&t).matched, done);
		assert_int_equal(acct_of(&t).in_flight, 0);
	}
	assert_int_equal(acct_of(&t).dropped, 0);
	for (int i = 0; i < 2000; i++)
		send_text(&f, OUT, "GET /deep HTTP/1.1\r\n\r\n");
	assert_int_equal(acct_of(&t).dropped, 2000 - 1016);
	assert_int_equal(acct_of(&t).reason[REASON_TABLE_FULL], 2000 - 1016);
	for (int i = 0; i < 2000; i++)
		send_text(&f, IN, OK(0));
	assert_int_equal(acct_of(&t).matched, done + 1016);
	assert_int_equal(acct_of(&t).orphans, 2000 - 1016);
	assert_int_equal(acct_of(&t).in_flight, 0);
	/* every path had one status: none was paired with another's answer */
	for (int i = 0; i < 5; i++) {
		char route[16];

		snprintf(route, sizeof(route), "GET /p%d", i);
		for (int st = STATUS_2XX; st <= STATUS_5XX; st++)
			assert_int_equal(
				count_of(ROLE_CLIENT, (enum wire_status)st, PART_WHOLE, route) != 0,
				st == STATUS_2XX + i % 4);
	}
}

/* More at once than a slot can tell apart: the first ones keep their slots, and their answers. */
static void test_a_very_deep_pipeline(void **state)
{
	static const char late[] = "GET /late HTTP/1.1\r\n\r\n", ok[] = OK(0);
	static const char no[] = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
	enum { FIRST = 1016, LATE = 40000, AT_ONCE = 40 };
	struct flow f = client(0);
	struct text lates = {}, nos = {};

	(void)state;
	for (int i = 0; i < AT_ONCE; i++) {
		text__add(&lates, late);
		text__add(&nos, no);
	}
	for (int i = 0; i < FIRST; i++)
		send_text(&f, OUT, "GET /first HTTP/1.1\r\n\r\n");
	for (int i = 0; i < LATE; i += AT_ONCE)
		send_text(&f, OUT, lates.data);
	for (int i = 0; i < FIRST; i++)
		send_text(&f, IN, ok);
	for (int i = 0; i < LATE; i += AT_ONCE)
		send_text(&f, IN, nos.data);
	assert_count(ROLE_CLIENT, STATUS_2XX, "GET /first", FIRST);
	assert_int_equal(acct_of(&t).matched, FIRST);
	assert_int_equal(acct_of(&t).reason[REASON_TABLE_FULL], LATE);
	assert_int_equal(acct_of(&t).dropped, LATE);
	assert_int_equal(acct_of(&t).orphans, LATE);
	/* the next one is alone again */
	send_text(&f, OUT, late);
	send_text(&f, IN, ok);
	assert_count(ROLE_CLIENT, STATUS_2XX, "GET /late", 1);
	text__free(&lates);
	text__free(&nos);
}

/* HEAD among more requests than have their methods remembered: nothing is guessed. */
static void test_deep_head(void **state)
{
	struct flow f = client(0);

	(void)state;
	send_text(&f, OUT, "HEAD /h HTTP/1.1\r\n\r\n");
	for (int i = 0; i < 64; i++)
		send_text(&f, OUT, "GET /g HTTP/1.1\r\n\r\n");
	send_text(&f, IN, OK(5));
	assert_int_equal(acct_of(&t).matched, 0);
	send_text(&f, OUT, "GET /g HTTP/1.1\r\n\r\n"); /* aligns: all before are given up */
	send_text(&f, IN, OK(0));
	assert_int_equal(acct_of(&t).matched, 1);
	assert_count(ROLE_CLIENT, STATUS_2XX, "GET /g", 1);
}

static void test_attach_in_mid_stream(void **state)
{
	struct flow f = client(0), g = client(1), h = client(2);

	(void)state;
	send_text(&f, IN, OK(3));
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_HTTP);
	assert_int_equal(acct_of(&t).matched, 0);
	send_text(&f, IN, "Get");
	send_text(&f, OUT, "GET /a HTTP/1.1\r\n\r\n");
	send_text(&f, IN, OK(0));
	assert_int_equal(acct_of(&t).matched, 1);
	/* in the middle of a large body: found behind it */
	for (int i = 0; i < 100; i++)
		send_text(&g, IN, "some bytes of a body of megabytes");
	send_text(&g, OUT, "GET /g HTTP/1.1\r\n\r\n");
	assert_int_equal(conn_field(&t, 1, "proto"), PROTO_HTTP);
	send_text(&g, IN, OK(0));
	assert_int_equal(acct_of(&t).matched, 2);
	/* a start line in two segments */
	send_text(&h, OUT, "GET /split?q HTT");
	assert_int_equal(conn_field(&t, 2, "proto"), PROTO_NEW);
	send_text(&h, OUT, "P/1.1\r\n\r\n");
	send_text(&h, IN, OK(0));
	assert_int_equal(acct_of(&t).matched, 3);
	assert_count(ROLE_CLIENT, STATUS_2XX, "GET /split", 1);
}

/* Requests, answers and what they were for, after the probes were away. */
static void test_attach_again(void **state)
{
	struct flow f = client(0);

	(void)state;
	send_text(&f, OUT, "GET /a HTTP/1.1\r\n\r\n");
	send_text(&f, IN, OK(5));
	t.skel->data_shared->attach_epoch++;
	f.seq[OUT] += 1000;
	f.seq[IN] += 100000;
	send_text(&f, OUT, "GET /b HTTP/1.1\r\n\r\n");
	send_text(&f, IN, OK(0));
	assert_int_equal(acct_of(&t).reason[REASON_GAP], 0);
	assert_int_equal(acct_of(&t).matched, 1);
	assert_count(ROLE_CLIENT, STATUS_2XX, "GET /b", 1);
}

/* A gap in a body is none of the place's business; one in a head is. */
static void test_gaps(void **state)
{
	struct flow f = client(0);

	(void)state;
	send_text(&f, OUT, "GET /a HTTP/1.1\r\n\r\n");
	send_text(&f, IN, OK(1000) "some");
	f.seq[IN] += 900;
	for (int i = 0; i < 96; i++)
		send_text(&f, IN, "x");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).reason[REASON_GAP], 900);
	send_text(&f, OUT, "GET /b HTTP/1.1\r\n\r\n");
	f.seq[IN] += 10;
	send_text(&f, IN, OK(0));
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).orphans, 1);
	/* its slot's next use, when it is too old: lost, not unanswered */
	usleep(30000);
	for (int i = 0; i < 8; i++) {
		send_text(&f, OUT, "GET /c HTTP/1.1\r\n\r\n");
		send_text(&f, IN, OK(0));
	}
	assert_int_equal(acct_of(&t).matched, 9);
	assert_int_equal(acct_of(&t).in_flight, 0);
	assert_int_equal(acct_of(&t).reason[REASON_GAP_LOST], 1);
	assert_int_equal(acct_of(&t).unanswered, 0);
}

/* Without a gap, an answer that never came is a timeout. */
static void test_timeout(void **state)
{
	struct flow f = client(0);

	(void)state;
	for (int i = 0; i < 8; i++)
		send_text(&f, OUT, "GET /slow HTTP/1.1\r\n\r\n");
	usleep(30000);
	send_text(&f, OUT, "GET /late HTTP/1.1\r\n\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_TIMEOUT], 1);
	assert_count(ROLE_CLIENT, STATUS_UNANSWERED, "GET /slow", 1);
	for (int i = 0; i < 9; i++)
		send_text(&f, IN, OK(0));
	assert_int_equal(acct_of(&t).orphans, 1);
	assert_int_equal(acct_of(&t).matched, 8);
	assert_int_equal(acct_of(&t).in_flight, 0);
}

static void test_other_protocols(void **state)
{
	struct flow h2 = client(0), tls = client(1), odd = client(2), nats = new_client(&t, 3);

	(void)state;
	send_text(&h2, OUT, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_HTTP2);
	send_text(&h2, IN, "whatever frames these are");
	assert_int_equal(conn_field(&t, 0, "bytes_opaque"), 25);
	send_bytes(&tls, OUT, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
	assert_int_equal(conn_field(&t, 1, "proto"), PROTO_TLS);
	send_bytes(&tls, IN, "\x16\x03\x03\x00\x7a\x02", 6);
	assert_int_equal(conn_field(&t, 1, "bytes_opaque"), 17);
	/* shorter than any record that holds data, and then one of a connection older than the
	 * probe */
	send_bytes(&odd, OUT, "\x17\x03\x03\x00\x0f\x02", 6);
	assert_int_equal(conn_field(&t, 2, "proto"), PROTO_NEW);
	send_bytes(&odd, OUT, "\x17\x03\x03\x00\x7a\x02", 6);
	assert_int_equal(conn_field(&t, 2, "proto"), PROTO_TLS);
	send_text(&nats, OUT, "PUB svc _INBOX.a.1 5\r\nhello\r\n");
	send_text(&nats, IN, "MSG _INBOX.a.1 9 3\r\nyes\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).conns, 4);
	assert_int_equal(acct_of(&t).proto_conns[PROTO_NATS], 1);
	assert_int_equal(acct_of(&t).proto_conns[PROTO_HTTP], 0);
	assert_int_equal(acct_of(&t).proto_conns[PROTO_HTTP2], 1);
	assert_int_equal(acct_of(&t).proto_conns[PROTO_TLS], 2);
}

static void test_claimed_port(void **state)
{
	struct flow f = client(0), g = new_flow(&t, 40000, PORT + 1, 1);

	(void)state;
	send_text(&f, OUT, "GET / HTCPCP/1.0\r\n\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_UNKNOWN], 20);
	send_text(&f, OUT, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(acct_of(&t).bytes_framed, 18);
	send_text(&f, OUT, "not HTTP at all\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_BAD], 17);
	send_text(&g, OUT, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(acct_of(&t).seen, 1);
}

static void test_not_wanted(void **state)
{
	struct flow f = client(0), n = new_client(&t, 1);

	(void)state;
	for (int i = 0; i < 300; i++)
		send_text(&f, OUT, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_OTHER);
	send_text(&n, OUT, "PUB svc _INBOX.a.1 5\r\nhello\r\n");
	assert_int_equal(acct_of(&t).seen, 1);
	assert_int_equal(acct_of(&t).conns, 1);
}

/* Full tables: views are not pooled even there. */
static void test_tables_full(void **state)
{
	struct flow f = client(0), s = new_flow(&t, PORT, 41000, 1), n = new_client(&t, 2);
	uint64_t sum[8][ROLE_MAX] = {{0}};

	(void)state;
	for (int i = 0; i < 20; i++) {
		send_fmt(&f, OUT, "GET /%c HTTP/1.1\r\n\r\n", 'a' + i);
		send_text(&f, IN, OK(0));
		send_fmt(&s, IN, "GET /%c HTTP/1.1\r\n\r\n", 'a' + i);
		send_text(&s, OUT, OK(0));
		send_fmt(&n, OUT, "PUB svc.%c _INBOX.a.%d 1\r\nx\r\n", 'a' + i, i);
		send_fmt(&n, IN, "MSG _INBOX.a.%d 9 1\r\ny\r\n", i);
	}
	assert_int_equal(acct_of(&t).matched, 60);
	assert_int_not_equal(acct_of(&t).reason[REASON_SERIES_FULL], 0);
	for (size_t i = 0; i < t.n_series; i++) {
		const struct series_val *v = &t.series[i];

		if (v->used && v->key.part == PART_WHOLE)
			sum[v->key.proto & 7][v->key.role] += hist_count(v);
		else if (!v->used)
			assert_int_equal(hist_count(v), 0);
	}
	assert_int_equal(sum[PROTO_HTTP][ROLE_CLIENT], 20);
	assert_int_equal(sum[PROTO_HTTP][ROLE_SERVER], 20);
	assert_int_equal(sum[PROTO_NATS][ROLE_CLIENT], 20);
}

/* One place for each of what may stand in "(other)". */
static void test_fixed_series(void **state)
{
	static const uint8_t roles[] = {ROLE_CLIENT, ROLE_SERVER};
	static const uint8_t statuses[] = {STATUS_UNANSWERED, STATUS_ERROR, STATUS_1XX, STATUS_2XX,
					   STATUS_3XX,	      STATUS_4XX,   STATUS_5XX};
	static const uint8_t redis[] = {STATUS_UNANSWERED, STATUS_ERROR, STATUS_OK,
					STATUS_BLOCKING};
	uint8_t taken[SERIES_FIXED] = {0};

	(void)state;
	for (unsigned int r = 1; r < ROLE_SERVER; r++) {
		for (unsigned int st = 1; st < STATUS_1XX; st++) {
			struct series_key k = {.proto = PROTO_NATS, .role = r, .status = st};

			assert_true(series__other(&k) < SERIES_FIXED);
			assert_int_equal(taken[series__other(&k)]++, 0);
		}
	}
	for (size_t i = 0; i < 2 * PART_MAX * (sizeof(statuses) + sizeof(redis)); i++) {
		size_t k = i / 2 / PART_MAX;
		struct series_key key = {.role = roles[i & 1], .part = (uint8_t)(i / 2 % PART_MAX)};

		key.proto = k < sizeof(statuses) ? PROTO_HTTP : PROTO_REDIS;
		key.status = k < sizeof(statuses) ? statuses[k] : redis[k - sizeof(statuses)];
		assert_true(series__other(&key) < SERIES_FIXED);
		assert_int_equal(taken[series__other(&key)]++, 0);
	}
}

static void test_routes(void **state)
{
	static const char *const pairs[][2] = {
		{"GET http://host:80/abs?x", "GET /abs"},
		{"GET http://host", "GET /"},
		{"OPTIONS *", "OPTIONS *"},
		{"PROPFIND /dav", "PROPFIND /dav"},
		{"PROPPATCH /dav", "PROPPATCH /dav"},
		{"DELETE /o/8c5d2e9a-1b2c-4d3e-8f90-a1b2c3d4e5f6", "DELETE /o/{id}"},
		{"GET /a%20b/c", "GET /{id}/c"},
	};
	struct flow f = client(0);
	char path[1000];

	(void)state;
	send_text(&f, OUT, "GET /first HTTP/1.1\r\n\r\n");
	send_text(&f, IN, OK(0));
	for (int twice = 0; twice < 2; twice++) {
		for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
			send_fmt(&f, OUT, "%s HTTP/1.1\r\n\r\n", pairs[i][0]);
			send_text(&f, IN, OK(0));
			assert_count(ROLE_CLIENT, STATUS_2XX, pairs[i][1], (uint64_t)twice + 1);
		}
	}
	/* beyond 256 bytes nothing is looked at: one route, whatever follows */
	memset(path, 0, sizeof(path));
	for (int i = 0; i < 40; i++)
		strcat(path, "/1234567");
	for (int i = 0; i < 3; i++) {
		send_fmt(&f, OUT, "GET %s/%d HTTP/1.1\r\n\r\n", path, i);
		send_text(&f, IN, OK(0));
	}
	assert_int_equal(map_entries(t.skel->maps.routes), 9);
}

/* Random connections, cut anywhere: every exchange is found. With damage the books still close. */
static void test_random(void **state)
{
	struct rng r = {.state = 7};

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		uint32_t most = seed % 4 ? SEGMENT_MAX : 40;
		int damaged = seed % 2 == 0;
		uint64_t at[2] = {0};
		struct wire_acct a;
		struct flow f;
		struct http_gen g;

		wire_test__close(&t);
		wire_test__open(&t, &(struct wire_setup){.port = PORT});
		f = client(0);
		http_gen__open(&g, seed);
		g.hostile = 1;
		for (int i = 0; i < 40; i++)
			http_gen__exchange(&g);
		while (at[0] < g.side[0].len || at[1] < g.side[1].len) {
			int dir = rng__chance(&r, 1, 2);
			uint64_t end = dir ? http_gen__may_come(&g, at[0]) : g.side[0].len;
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
			assert_int_equal(a.seen, g.n);
			assert_int_equal(a.orphans, 0);
			assert_int_equal(a.bytes_seen, g.side[0].len + g.side[1].len);
			/* the first lines of both directions, where they were cut */
			assert_true(a.bytes_unparsed < 2000);
			assert_int_equal(a.bytes_unparsed,
					 a.reason[REASON_UNKNOWN] + a.reason[REASON_RESYNC]);
		}
		http_gen__close(&g);
	}
}

#define with(test, open) cmocka_unit_test_setup_teardown(test, open, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(test_client_and_server, open_default),
		with(test_interim_responses, open_default),
		with(test_early_response, open_default),
		with(test_bodies, open_default),
		with(test_pipelines, open_default),
		with(test_a_very_deep_pipeline, open_default),
		with(test_deep_head, open_default),
		with(test_attach_in_mid_stream, open_default),
		with(test_attach_again, open_default),
		with(test_gaps, open_quick),
		with(test_timeout, open_quick),
		with(test_other_protocols, open_default),
		with(test_claimed_port, open_port),
		with(test_not_wanted, open_nats_only),
		with(test_tables_full, open_few),
		cmocka_unit_test(test_fixed_series),
		with(test_routes, open_default),
		with(test_random, open_port),
	};

	return cmocka_run_group_tests_name("wire_http", tests, NULL, NULL);
}
