// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The wire programs on segments that are cut, lost, repeated, foreign or broken. */
#define _GNU_SOURCE
#include <sched.h>

#include "../support/nats_gen.h"
#include "../support/nats_host.h"
#include "../support/wire_run.h"

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

static int close_it(void **state)
{
	(void)state;
	wire_test__close(&t);
	return 0;
}

static uint64_t all_bytes(const struct flow *f)
{
	return f->seq[IN] - 1000 + f->seq[OUT] - 5000000;
}

/* ---- cut anywhere */

/* A request and its reply, each cut at every place, in two segments and in three. */
static void test_split_lines(void **state)
{
	static const char reply_fmt[] = "HMSG _INBOX.%04d 9 16 18\r\nNATS/1.0 503\r\n\r\nok\r\n";
	static const char request_fmt[] =
		"HPUB svc.x _INBOX.%04d 12 17\r\nNATS/1.0\r\n\r\nhello\r\n";
	struct flow f = new_client(&t, 0);
	char request[128], reply[128];
	size_t cut;
	int n = 0;

	(void)state;
	snprintf(request, sizeof(request), request_fmt, 0);
	for (size_t a = 1; a < strlen(request); a++) {
		for (size_t b = a + 1; b < strlen(request); b += a < 30 ? 1 : 7) {
			snprintf(request, sizeof(request), request_fmt, n);
			snprintf(reply, sizeof(reply), reply_fmt, n++);
			send_bytes(&f, OUT, request, a);
			send_bytes(&f, OUT, request + a, b - a);
			send_bytes(&f, OUT, request + b, strlen(request) - b);
			cut = a < strlen(reply) ? a : strlen(reply) - 1;
			send_bytes(&f, IN, reply, cut);
			send_bytes(&f, IN, reply + cut, strlen(reply) - cut);
		}
	}
	assert_int_equal(acct_of(&t).matched, n);
	assert_int_equal(acct_of(&t).messages, 4 + 2 * n);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	assert_int_equal(acct_of(&t).bytes_framed, all_bytes(&f));
	assert_int_equal(series_count(&t, ROLE_CLIENT, STATUS_NO_RESPONDERS, "svc.x"), n);
	assert_int_equal(map_entries(t.skel->maps.kept_units), 0);
}

/* Lines of up to 4096 bytes over two segments: what is kept of them is large. */
static void test_split_long_lines(void **state)
{
	struct flow f = new_client(&t, 0);
	static char text[4200];
	int n = 0;

	(void)state;
	for (size_t len = 1200; len <= 4060; len += 260, n++) {
		memset(text, 's', sizeof(text));
		memcpy(text, "PUB ", 4);
		sprintf(text + len, " _INBOX.%d 3\r\nabc\r\n", n);
		send_bytes(&f, OUT, text, len / 2 + 100);
		send_bytes(&f, OUT, text + len / 2 + 100, strlen(text) - len / 2 - 100);
		send_fmt(&f, IN, "MSG _INBOX.%d 9 1\r\nx\r\n", n);
	}
	assert_int_equal(acct_of(&t).matched, n);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
}

/* Payloads larger than any segment. */
static void test_large_payloads(void **state)
{
	struct flow f = new_client(&t, 0);
	static char text[3000];

	(void)state;
	memset(text, '\n', sizeof(text));
	for (int i = 0; i < 5; i++) {
		send_fmt(&f, OUT, "PUB svc _INBOX.%d 300000\r\n", i);
		for (int k = 0; k < 100; k++)
			send_bytes(&f, OUT, text, sizeof(text));
		send_text(&f, OUT, "\r\n");
		send_fmt(&f, IN, "MSG _INBOX.%d 9 1\r\nx\r\n", i);
	}
	assert_int_equal(acct_of(&t).matched, 5);
	assert_int_equal(acct_of(&t).bytes_framed, all_bytes(&f));
}

/* ---- repeated */

static void test_retransmission(void **state)
{
	static const char one[] = "PUB svc _INBOX.a.1 1\r\nx\r\n";
	static const char two[] = "PUB svc _INBOX.a.2 1\r\nx\r\nPUB svc _INBOX.a.3 1\r\nx\r\n";
	struct flow f = new_client(&t, 0);
	uint32_t seq = f.seq[OUT];
	struct wire_acct a;
	char both[128];

	(void)state;
	send_text(&f, OUT, one);
	send_at(&f, OUT, seq, one, strlen(one));    /* the whole of it */
	send_at(&f, OUT, seq + 5, one + 5, 7);	    /* a part */
	send_at(&f, OUT, seq - 1, "P", 1);	    /* a keep-alive probe */
	send_at(&f, OUT, seq - 400000, "PUB x", 5); /* long ago */
	snprintf(both, sizeof(both), "%s%s", one, two);
	send_at(&f, OUT, seq + 4, both + 4, strlen(both) - 4); /* old and new */
	f.seq[OUT] = seq + (uint32_t)strlen(both);
	send_at(&f, OUT, f.seq[OUT] - 3, "x\r\nPUB svc _INBOX.a.4 1\r\nx\r\n", 28);
	f.seq[OUT] += 25;
	a = acct_of(&t);
	assert_int_equal(a.seen, 4);
	assert_int_equal(a.in_flight, 4);
	assert_int_equal(a.bytes_unparsed, 0);
	assert_int_equal(a.bytes_seen, all_bytes(&f));
	assert_int_equal(a.reason[REASON_RETRANS], strlen(one) + 7 + 1 + 5 + (strlen(one) - 4) + 3);
	send_text(&f, OUT, "PING\r\n");
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
}

/* Out of order: a gap where it was missing, and old bytes when it comes. */
static void test_reordering(void **state)
{
	struct flow f = new_client(&t, 0);
	uint32_t seq = f.seq[OUT];

	(void)state;
	send_at(&f, OUT, seq + 25, "PUB svc _INBOX.a.2 1\r\nx\r\n", 25);
	send_at(&f, OUT, seq, "PUB svc _INBOX.a.1 1\r\nx\r\n", 25);
	f.seq[OUT] += 50;
	send_text(&f, OUT, "PUB svc _INBOX.a.3 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_GAP], 25);
	assert_int_equal(acct_of(&t).reason[REASON_RETRANS], 25);
	assert_int_equal(acct_of(&t).bytes_unparsed, 25);
	assert_int_equal(acct_of(&t).in_flight, 2);
	assert_int_equal(acct_of(&t).bytes_seen, all_bytes(&f));
}

static void test_sequence_numbers_wrap(void **state)
{
	struct flow f = new_flow(&t, 40000, 4222, 0);

	(void)state;
	f.seq[OUT] = 0xffffff80;
	f.seq[IN] = 0xfffffff0;
	send_text(&f, OUT, CONNECT);
	send_text(&f, IN, INFO "PONG\r\n");
	for (int i = 0; i < 20; i++) {
		send_fmt(&f, OUT, "PUB svc _INBOX.a.%d 1\r\nx\r\n", i);
		send_at(&f, OUT, f.seq[OUT] - 9, "again", 5);
		send_fmt(&f, IN, "MSG _INBOX.a.%d 9 1\r\nx\r\n", i);
	}
	assert_int_equal(acct_of(&t).matched, 20);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
}

/* ---- missed */

/* Inside a payload the place is kept, to the payload's last byte. */
static void test_gap_in_a_payload(void **state)
{
	struct flow f = new_client(&t, 0);
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "PUB svc _INBOX.a.1 20\r\n01234");
	f.seq[OUT] += 10;
	send_text(&f, OUT, "56789\r\nPUB svc _INBOX.a.2 20\r\n01234");
	f.seq[OUT] += 15;
	send_text(&f, OUT, "\r\nPUB svc _INBOX.a.3 1\r\nx\r\n");
	a = acct_of(&t);
	assert_int_equal(a.in_flight, 3);
	assert_int_equal(a.reason[REASON_GAP], 25);
	assert_int_equal(a.bytes_unparsed, 25);
	assert_int_equal(a.bytes_seen, all_bytes(&f));
}

/* Across a control line the place is lost, and found again where a segment begins with a message.
 */
static void test_gap_across_a_line(void **state)
{
	struct flow f = new_client(&t, 0);
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "PUB svc _INBOX.a.1 20\r\n01234567890123456789\r\nPUB svc _IN");
	assert_int_equal(map_entries(t.skel->maps.kept_units), 1);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	f.seq[OUT] += 30;
	send_text(&f, OUT, "the rest\r\n");
	a = acct_of(&t);
	assert_int_equal(a.in_flight, 1);
	assert_int_equal(a.reason[REASON_GAP], 30 + 11); /* with what was kept of the line */
	assert_int_equal(a.reason[REASON_RESYNC], 10);
	send_text(&f, OUT, "PUB svc _INBOX.a.4 1\r\nx\r\n");
	send_text(&f, OUT, "PUB svc _INBOX.a.5 1\r\nx\r\n");
	send_text(&f, IN, "MSG _INBOX.a.5 1 1\r\nx\r\n");
	a = acct_of(&t);
	assert_int_equal(a.matched, 1);
	assert_int_equal(a.in_flight, 2);
	assert_int_equal(a.bytes_unparsed, 30 + 11 + 10);
	assert_int_equal(a.bytes_seen, all_bytes(&f));
}

/* A reply that may have been in the gap: dropped. One that cannot: unanswered. */
static void test_a_lost_reply_is_dropped(void **state)
{
	struct flow f = new_client(&t, 0), other = new_client(&t, 1);
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "PUB svc _INBOX.a.1 1\r\nx\r\n");
	send_text(&other, OUT, "PUB svc _INBOX.a.1 1\r\nx\r\n");
	f.seq[IN] += 40;
	send_text(&f, IN, "PING\r\n");
	send_text(&f, OUT, "PUB svc _INBOX.a.2 1\r\nx\r\n");
	usleep(30000);
	send_text(&f, OUT, "PUB svc _INBOX.a.3 1\r\nx\r\n");
	send_text(&other, OUT, "PUB svc _INBOX.a.3 1\r\nx\r\n");
	a = acct_of(&t);
	assert_int_equal(a.dropped, 1);
	assert_int_equal(a.reason[REASON_GAP_LOST], 1);
	assert_int_equal(a.unanswered, 2);
	assert_int_equal(a.reason[REASON_TIMEOUT], 2);
	assert_int_equal(series_count(&t, ROLE_CLIENT, STATUS_UNANSWERED, "svc"), 2);
}

static int open_timeout(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.timeout_ns = 1000000000});
	return 0;
}

/* Requests number `from` to `to` - 1. */
static void ask(struct flow *f, int from, int to)
{
	for (int i = from; i < to; i++)
		send_fmt(f, OUT, "PUB svc _INBOX.a.%d 1\r\nx\r\n", i);
}

/* The same of those in the overflow map, which are given up without their socket. */
static void test_a_lost_reply_in_the_overflow_map(void **state)
{
	struct flow f = new_client(&t, 0), other = new_client(&t, 1);
	uint64_t before, after, others;
	struct wire_acct a;

	(void)state;
	ask(&f, 0, 400);
	ask(&other, 0, 400);
	before = conn_field(&t, 0, "overflow");
	f.seq[IN] += 40;
	send_text(&f, IN, "PING\r\n");
	ask(&f, 400, 450);
	after = conn_field(&t, 0, "overflow");
	others = conn_field(&t, 1, "overflow");
	assert_true(before > 50 && after > before && others > 50);
	assert_int_equal(map_entries(t.skel->maps.flight_overflow), after + others);
	usleep(1010000);
	wire_test__sweep(&t);
	assert_int_equal(map_entries(t.skel->maps.flight_overflow), 0);
	a = acct_of(&t);
	assert_int_equal(a.dropped, before);
	assert_int_equal(a.reason[REASON_GAP_LOST], before);
	assert_int_equal(a.unanswered, after - before + others);
	assert_int_equal(a.reason[REASON_TIMEOUT], a.unanswered);
	assert_int_equal(series_count(&t, ROLE_CLIENT, STATUS_UNANSWERED, "svc"), a.unanswered);
}

/* A gap in the request's own direction says nothing of its reply. */
static void test_a_gap_the_other_way(void **state)
{
	struct flow f = new_client(&t, 0);

	(void)state;
	send_text(&f, OUT, "PUB svc _INBOX.a.1 1\r\nx\r\n");
	f.seq[OUT] += 40;
	send_text(&f, OUT, "PING\r\n");
	send_text(&f, OUT, "PUB svc _INBOX.a.2 1\r\nx\r\n");
	usleep(30000);
	send_text(&f, OUT, "PUB svc _INBOX.a.3 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).dropped, 0);
	assert_int_equal(acct_of(&t).unanswered, 2);
}

/* Bytes that begin like a TLS record, after a request: nothing stays in flight for ever. */
static void test_no_tls_after_a_message(void **state)
{
	struct flow f = new_client(&t, 0), g = new_client(&t, 1);

	(void)state;
	send_text(&f, IN, INFO);
	send_text(&f, OUT, "PUB svc _INBOX.a.1 1\r\nx\r\n");
	send_text(&f, OUT, "\x16\x03\x01 not a line\n");
	send_bytes(&f, OUT, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_NATS);
	send_text(&f, OUT, "PUB svc _INBOX.a.2 1\r\nx\r\n");
	send_text(&f, IN, "MSG _INBOX.a.1 1 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	send_text(&g, IN, INFO);
	send_text(&g, OUT, "\x16\x03\x01 not a line\n");
	send_bytes(&g, OUT, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
	assert_int_equal(conn_field(&t, 1, "proto"), PROTO_TLS);
}

/* Attached while a payload passes: nothing of it is a message, the rest is. */
static void test_attach_in_mid_stream(void **state)
{
	struct flow f = new_flow(&t, 40000, 4222, 0);
	struct wire_acct a;

	(void)state;
	send_text(&f, OUT, "of a payload\nPUB is a word\nMSG\n");
	send_text(&f, OUT, "its end\r\nPUB svc _INBOX.a.1 1\r\nx\r\n");
	send_text(&f, OUT, "PUB svc _INBOX.a.2 1\r\nx\r\n");
	for (int i = 3; i < 9; i++) {
		send_fmt(&f, OUT, "PUB svc _INBOX.a.%d 1\r\nx\r\n", i);
		send_fmt(&f, IN, "MSG _INBOX.a.%d 9 1\r\nx\r\n", i);
	}
	a = acct_of(&t);
	/* PUB: four prove the place. MSG: the first one, at the start of a segment. */
	assert_int_equal(a.seen, 4);
	assert_int_equal(a.matched, 4);
	assert_int_equal(a.bytes_seen, all_bytes(&f));
	assert_int_equal(a.conns, 1);
}

/* The rest of a control line that is a good one too: "HPUB svc 12 13" without its H. */
static void test_attach_invents_nothing(void **state)
{
	struct flow f = new_flow(&t, 40000, 4222, 0);

	(void)state;
	send_text(&f, OUT, "PUB svc 12 13\r\nNATS/1.0\r\n\r\nx\r\n");
	assert_int_equal(acct_of(&t).seen, 0);
	send_text(&f, OUT, "PUB svc _INBOX.a.1 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).in_flight, 1);
}

/* Lanes in whose memory the text is. */
static size_t lanes_with(const char *text)
{
	size_t size = bpf_map__value_size(t.skel->maps.scratches), n = 0;
	char *lane = malloc(size);

	assert_non_null(lane);
	for (uint32_t i = 0; i < t.n_lanes; i++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t.skel->maps.scratches), &i, lane),
				 0);
		n += memmem(lane, size, text, strlen(text)) != NULL;
	}
	free(lane);
	return n;
}

/* A sweep leaves nothing, in its own lane neither: on one processor it is the one of all segments.
 */
static void test_lanes_are_wiped(void **state)
{
	struct flow f = new_client(&t, 0);
	cpu_set_t before, one;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	send_text(&f, OUT, "PUB svc _INBOX.a.1 6\r\nsecret\r\n");
	assert_true(lanes_with("secret") > 0);
	wire_test__sweep(&t);
	assert_int_equal(lanes_with("secret"), 0);
	send_text(&f, IN, "MSG _INBOX.a.1 9 6\r\nsecret\r\n");
	assert_int_equal(acct_of(&t).matched, 1);
	assert_true(lanes_with("secret") > 0);
	wire_test__sweep(&t);
	assert_int_equal(lanes_with("secret"), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

/* Detached and attached again: start over, and what was not seen is no gap. */
static void test_attach_again(void **state)
{
	struct flow f = new_client(&t, 0);
	uint64_t seen = acct_of(&t).bytes_seen;

	(void)state;
	send_text(&f, OUT, "PUB svc _INBOX.a.1 10\r\n012");
	t.skel->data_shared->attach_epoch++;
	f.seq[OUT] += 1000000;
	send_text(&f, OUT, "PUB svc _INBOX.a.2 1\r\nx\r\n");
	send_text(&f, OUT, "PUB svc _INBOX.a.3 1\r\nx\r\n");
	send_text(&f, IN, "PING\r\n");
	send_text(&f, IN, "MSG _INBOX.a.3 9 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).reason[REASON_GAP], 0);
	assert_int_equal(acct_of(&t).matched, 1);
	assert_int_equal(acct_of(&t).bytes_seen - seen, 26 + 25 + 25 + 6 + 23);
}

/* ---- foreign */

static void test_foreign_protocols(void **state)
{
	static const char *const texts[] = {
		"+OK\r\n",
		"PING\r\n",
		"GET / HTCPCP/1.0\r\nHost: x\r\n\r\n",
		"*2\r\n$3\r\nFOO\r\n$1\r\na\r\n",
	};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct flow f = new_flow(&t, 50000, 7777, i);

		for (int k = 0; k < 254; k++)
			send_text(&f, k & 1 ? OUT : IN, texts[i]);
		assert_int_equal(conn_field(&t, i, "proto"), PROTO_NEW);
		send_text(&f, OUT, texts[i]);
		assert_int_equal(conn_field(&t, i, "proto"), PROTO_OTHER);
	}
	assert_int_equal(acct_of(&t).bytes_seen, 0);
	assert_int_equal(acct_of(&t).messages, 0);
	assert_int_equal(acct_of(&t).conns, 0);
}

/* Where NATS is to be, what is not understood is counted, and never given up. */
static void test_foreign_on_a_claimed_port(void **state)
{
	struct flow f = new_flow(&t, 40000, 4222, 0);

	(void)state;
	for (int i = 0; i < 50; i++)
		send_text(&f, OUT, "\x16\x03\x01 a TLS record or what\n");
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_NEW);
	assert_int_equal(acct_of(&t).reason[REASON_UNKNOWN], all_bytes(&f));
	assert_int_equal(acct_of(&t).bytes_unparsed, all_bytes(&f));
	send_text(&f, IN, INFO);
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_NATS);
	assert_int_equal(acct_of(&t).bytes_framed, strlen(INFO));
}

/* NATS on any port is recognised by its bytes. */
static void test_recognised_on_any_port(void **state)
{
	struct flow f = new_flow(&t, 40000, 14222, 0), late = new_flow(&t, 41000, 14222, 1);

	(void)state;
	send_text(&f, IN, INFO);
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_NATS);
	assert_int_equal(acct_of(&t).bytes_framed, strlen(INFO));
	send_text(&late, OUT, "PUB svc _INBOX.a.1 1\r\nx\r\n");
	assert_int_equal(conn_field(&t, 1, "proto"), PROTO_NATS);
	send_text(&late, OUT, "PUB svc _INBOX.a.2 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).in_flight, 2);
	assert_int_equal(acct_of(&t).conns, 2);
}

/* Only the first 1024 bytes of a segment are looked at until then: what is beyond is unparsed. */
static void test_recognised_in_a_large_segment(void **state)
{
	struct flow f = new_flow(&t, 40000, 14222, 0);
	static char text[2500];
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(text); n += 25)
		memcpy(text + n, "PUB svc _INBOX.a.1 1\r\nx\r\n", 25);
	send_bytes(&f, OUT, text, sizeof(text));
	assert_int_equal(conn_field(&t, 0, "proto"), PROTO_NATS);
	assert_int_equal(acct_of(&t).bytes_seen, sizeof(text));
	send_bytes(&f, OUT, text, sizeof(text));
	assert_int_equal(acct_of(&t).bytes_seen, 2 * sizeof(text));
	assert_true(acct_of(&t).bytes_framed > sizeof(text));
}

static int open_one_port(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.port = 14222});
	return 0;
}

static void test_port_filter(void **state)
{
	struct flow other = new_client(&t, 0), f = new_flow(&t, 40000, 14222, 1);

	(void)state;
	send_text(&other, OUT, "PUB svc _INBOX.a.1 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).bytes_seen, 0);
	send_text(&f, IN, INFO);
	send_text(&f, OUT, "CONNECT {\"x\":1}\r\nPUB svc _INBOX.a.1 1\r\nx\r\n");
	assert_int_equal(acct_of(&t).in_flight, 1);
	assert_int_equal(acct_of(&t).bytes_seen, all_bytes(&f));
}

/* ---- headers */

static void exchange(struct flow *f, int id)
{
	send_fmt(f, OUT, "PUB svc _INBOX.%d 1\r\nx\r\n", id);
	send_fmt(f, IN, "MSG _INBOX.%d 9 1\r\nx\r\n", id);
}

static void test_ip_headers(void **state)
{
	static const uint8_t extensions[] = {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS};
	struct flow f = new_client(&t, 0);
	int n = 0;

	(void)state;
	for (f.options = 0; f.options <= 10; f.options++)
		exchange(&f, n++);
	f.options = 0;
	f.v6 = 1;
	exchange(&f, n++);
	for (int i = 0; i < 2; i++) {
		f.extension = extensions[i];
		for (f.extension_words = 0; f.extension_words < 5; f.extension_words++)
			exchange(&f, n++);
	}
	assert_int_equal(acct_of(&t).matched, n);
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
	assert_int_equal(acct_of(&t).bytes_framed, all_bytes(&f));
}

/* Other extension headers are rare enough to be passed over, with all that is in them. */
static void test_ip_headers_passed_over(void **state)
{
	struct flow f = new_client(&t, 0);
	uint64_t packets = acct_of(&t).packets;
	uint8_t packet[PACKET_MAX];
	size_t n;

	(void)state;
	f.v6 = 1;
	f.extension = IPPROTO_FRAGMENT;
	send_text(&f, OUT, "PUB svc _INBOX.1 1\r\nx\r\n");
	f.extension = 0;
	n = make_packet(&f, packet, OUT, f.seq[OUT], "PUB x 1\r\nx\r\n", 12);
	packet[14 + 6] = IPPROTO_UDP;
	run_packet(&f, OUT, packet, n);
	f.v6 = 0;
	n = make_packet(&f, packet, OUT, f.seq[OUT], "PUB x 1\r\nx\r\n", 12);
	packet[14 + 9] = IPPROTO_UDP;
	run_packet(&f, OUT, packet, n);
	assert_int_equal(acct_of(&t).packets, packets);
}

/* Every length: what is too short for its headers is left alone. */
static void test_truncated_packets(void **state)
{
	struct flow f = new_client(&t, 0);
	uint8_t packet[PACKET_MAX];
	struct wire_acct before;
	size_t n;

	(void)state;
	for (f.v6 = 0; f.v6 < 2; f.v6++) {
		n = make_packet(&f, packet, OUT, f.seq[OUT], "PUB x 1\r\nx\r\n", 12);
		before = acct_of(&t);
		for (size_t len = 14 + (f.v6 ? 40 : 20); len <= n - 12; len++)
			run_packet(&f, OUT, packet, len);
		assert_int_equal(acct_of(&t).bytes_seen, before.bytes_seen);
		for (size_t len = n - 11; len <= n;
		     len++) /* each one byte more, as TCP may send it */
			run_packet(&f, OUT, packet, len);
		f.seq[OUT] += 12;
		assert_int_equal(acct_of(&t).bytes_seen, before.bytes_seen + 12);
		assert_int_equal(acct_of(&t).one_way, before.one_way + 1);
	}
	assert_int_equal(acct_of(&t).bytes_unparsed, 0);
}

/* Header lengths that cannot be, which the kernel would not let pass: nothing breaks. */
static void test_broken_headers(void **state)
{
	uint8_t packet[PACKET_MAX];
	struct rng r = {.state = 9};

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct flow f = new_client(&t, v6);
		size_t n;

		f.v6 = v6;
		for (f.doff = 15; f.doff > 0; f.doff--)
			send_text(&f, OUT, "PUB x 1\r\nx\r\n");
		for (int i = 0; i < 3000; i++) {
			n = make_packet(&f, packet, OUT, f.seq[OUT], "PUB x 1\r\nx\r\n", 12);
			for (uint32_t k = rng__in(&r, 1, 4); k; k--)
				packet[rng__in(&r, 14, (uint32_t)n - 1)] = (uint8_t)rng__next(&r);
			run_packet(&f, i & 1, packet, n - rng__in(&r, 0, 12));
			acct_of(&t);
		}
	}
}

/* ---- the same framer, compiled for the kernel and for us, on the same segments */

static void compare(const struct host *h, uint64_t missed, uint64_t seed)
{
	struct wire_acct a = acct_of(&t);
	uint64_t messages = 0;

	for (size_t i = 0; i < h->io.list.n; i++)
		messages += NATS_IS_MESSAGE(h->io.list.unit[i].verb);
	if (a.messages != h->frames || (int64_t)a.bytes_framed != h->framed ||
	    a.bytes_seen != h->fed + missed)
		fail_msg("seed %llu: kernel %llu frames, %llu of %llu bytes framed; host %llu "
			 "frames, %lld of %llu",
			 (unsigned long long)seed, (unsigned long long)a.messages,
			 (unsigned long long)a.bytes_framed, (unsigned long long)a.bytes_seen,
			 (unsigned long long)h->frames, (long long)h->framed,
			 (unsigned long long)(h->fed + missed));
	assert_int_equal(a.seen + a.orphans, messages);
}

/* One direction of random traffic, with gaps and repetitions, in random segments. */
static void test_kernel_and_host_agree(void **state)
{
	struct rng r = {.state = 5};

	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct flow f;
		struct host h;
		struct gen g;
		uint64_t missed = 0;
		int known = 0;
		uint32_t n;

		wire_test__open(&t, &(struct wire_setup){0});
		f = new_flow(&t, 40000, 4222, 0);
		gen__open(&g, seed, (enum gen_flow)(seed % GEN_FLOWS));
		g.subject_max = 200;
		g.hostile = 1;
		gen__hello(&g, 100);
		gen__frames(&g, 300);
		host__open(&h, g.data);
		for (size_t at = 0; at < g.len; at += n) {
			n = rng__in(&r, 1, rng__chance(&r, 1, 2) ? 60 : SEGMENT_MAX);
			n = n < g.len - at ? n : (uint32_t)(g.len - at);
			if (known && rng__chance(&r, 1, 40)) {
				n = n < 50 ? n : 50;
				host__miss(&h, n);
				f.seq[OUT] += n;
				missed += n;
				continue;
			}
			send_bytes(&f, OUT, g.data + at, n);
			h.run->strict = !known;
			host__feed(&h, at, n);
			known |= h.dir.sync == NATS_SYNCED;
			if (rng__chance(&r, 1, 20))
				send_at(&f, OUT, f.seq[OUT] - n, g.data + at, n);
		}
		/* A gap at the end is not seen until something follows it. */
		send_text(&f, OUT, "\r\n");
		compare(&h, missed + 2, seed);
		host__close(&h);
		gen__close(&g);
		if (seed < 12)
			wire_test__close(&t);
	}
}

#define with(test, open) cmocka_unit_test_setup_teardown(test, open, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(test_split_lines, open_default),
		with(test_split_long_lines, open_default),
		with(test_large_payloads, open_default),
		with(test_retransmission, open_default),
		with(test_reordering, open_default),
		with(test_sequence_numbers_wrap, open_default),
		with(test_gap_in_a_payload, open_default),
		with(test_gap_across_a_line, open_default),
		with(test_a_lost_reply_is_dropped, open_quick),
		with(test_a_lost_reply_in_the_overflow_map, open_timeout),
		with(test_a_gap_the_other_way, open_quick),
		with(test_no_tls_after_a_message, open_default),
		with(test_attach_in_mid_stream, open_default),
		with(test_attach_invents_nothing, open_default),
		with(test_lanes_are_wiped, open_default),
		with(test_attach_again, open_default),
		with(test_foreign_protocols, open_default),
		with(test_foreign_on_a_claimed_port, open_default),
		with(test_recognised_on_any_port, open_default),
		with(test_recognised_in_a_large_segment, open_default),
		with(test_port_filter, open_one_port),
		with(test_ip_headers, open_default),
		with(test_ip_headers_passed_over, open_default),
		with(test_truncated_packets, open_default),
		with(test_broken_headers, open_default),
		cmocka_unit_test_teardown(test_kernel_and_host_agree, close_it),
	};

	return cmocka_run_group_tests_name("wire_loss", tests, NULL, NULL);
}
