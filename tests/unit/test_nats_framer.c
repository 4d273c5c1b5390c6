// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One unit of the NATS protocol: include/proto/nats.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/nats_gen.h"

static struct nats_window window;
static uint8_t *const win = window.bytes;
static struct nats_unit unit;

/* Reads `n` bytes of `text`, put at window position `at` among leftovers of others. */
static int read_at(uint32_t at, const void *text, size_t n, enum nats_kind kind)
{
	static const char rubbish[] = "9\r\n503 {";

	assert_true(at + n < NATS_WIN_SIZE);
	for (size_t i = 0; i < sizeof(window.bytes); i++)
		win[i] = (uint8_t)rubbish[i % (sizeof(rubbish) - 1)];
	memset(&unit, 0x5a, sizeof(unit));
	memcpy(win + at, text, n);
	unit.begin = at;
	unit.end = at + (uint32_t)n;
	return nats__unit(&window, &unit, (uint8_t)kind);
}

static int read_text(const char *text, enum nats_kind kind)
{
	return read_at(NATS_WIN_PAD, text, strlen(text), kind);
}

static void assert_name(uint32_t at, uint32_t len, const char *want, const char *line)
{
	if (len != strlen(want) || memcmp(win + at, want, len))
		fail_msg("%s: '%.*s', not '%s'", line, (int)len, (const char *)win + at, want);
}

struct want {
	const char *text; /* line and, with headers, 12 bytes or more of them */
	enum nats_verb verb;
	const char *subject;
	const char *reply;
	uint32_t payload;
	uint32_t header;
	uint16_t status;
	enum nats_kind kind; /* of the connection, before */
	enum nats_kind says; /* what the unit says of it */
};

static void assert_unit(const struct want *w)
{
	uint32_t line = (uint32_t)(strchr(w->text, '\n') + 1 - w->text);

	assert_int_equal(unit.verb, w->verb);
	assert_int_equal(unit.len, line);
	assert_int_equal(unit.payload, w->payload);
	assert_int_equal(unit.header, w->header);
	assert_int_equal(unit.status, w->status);
	assert_int_equal(unit.ambiguous, 0);
	assert_int_equal(unit.kind, w->says);
	if (!w->subject)
		return;
	assert_name(unit.subject, unit.subject_len, w->subject, w->text);
	assert_name(unit.reply, unit.reply_len, w->reply ? w->reply : "", w->text);
}

/* Whole at every alignment, and cut everywhere: a cut unit is never complete and never wrong. */
static void assert_reads(const struct want *w)
{
	size_t n = strlen(w->text);
	int rc;

	for (uint32_t at = NATS_WIN_PAD; at < NATS_WIN_PAD + 9; at++) {
		rc = read_at(at, w->text, n, w->kind);
		if (rc != NATS_OK)
			fail_msg("'%s': %d", w->text, rc);
		assert_unit(w);
	}
	for (size_t cut = 0; cut < n; cut++) {
		rc = read_at(NATS_WIN_PAD, w->text, cut, w->kind);
		if (rc == NATS_OK) { /* only what stands behind the line is cut */
			assert_true(cut >= unit.len);
			assert_unit(w);
		} else if (rc != NATS_MORE && !(rc == NATS_LINE && !NATS_IS_MESSAGE(w->verb))) {
			fail_msg("'%s', first %zu bytes: %d", w->text, cut, rc);
		}
	}
}

static void assert_all(const struct want *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_reads(&w[i]);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define C	 NATS_KIND_CLIENT
#define R	 NATS_KIND_ROUTE
#define L	 NATS_KIND_LEAF
#define U	 NATS_KIND_UNKNOWN

static void test_client_verbs(void **state)
{
	static const struct want want[] = {
		{"PUB a 5\r\n", NATS_PUB, "a", NULL, 5, 0, 0, U, C},
		{"PUB svc _INBOX.x.1 0\r\n", NATS_PUB, "svc", "_INBOX.x.1", 0, 0, 0, U, C},
		{"pub svc r 12\n", NATS_PUB, "svc", "r", 12, 0, 0, U, C},
		{"MSG foo.bar 9 11\r\n", NATS_MSG, "foo.bar", NULL, 11, 0, 0, U, C},
		{"MSG foo.bar 9 r.e 11\r\n", NATS_MSG, "foo.bar", "r.e", 11, 0, 0, U, C},
		{"mSg foo.bar abc r.e 11\r\n", NATS_MSG, "foo.bar", "r.e", 11, 0, 0, U, C},
		{"HPUB a 12 12\r\nNATS/1.0\r\n\r\n", NATS_HPUB, "a", NULL, 12, 12, 0, U, C},
		{"HPUB a r.1 22 33\r\nNATS/1.0\r\nBar", NATS_HPUB, "a", "r.1", 33, 22, 0, U, C},
		{"HMSG a 7 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", NULL, 12, 12, 0, U, U},
		{"HMSG a 7 r 12 20\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", "r", 20, 12, 0, U, U},
		{"hmsg a x r 12 20\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", "r", 20, 12, 0, C, U},
	};

	(void)state;
	assert_all(want, COUNT(want));
}

static void test_routed_verbs(void **state)
{
	static const struct want want[] = {
		{"RMSG $G a 5\r\n", NATS_RMSG, "a", NULL, 5, 0, 0, U, R},
		{"RMSG $G a.b _INBOX.1 5\r\n", NATS_RMSG, "a.b", "_INBOX.1", 5, 0, 0, U, R},
		{"RMSG $G a + r q 5\r\n", NATS_RMSG, "a", "r", 5, 0, 0, U, R},
		{"RMSG $G a | q 5\r\n", NATS_RMSG, "a", NULL, 5, 0, 0, U, R},
		{"RMSG $G a | q1 q2 q3 5\r\n", NATS_RMSG, "a", NULL, 5, 0, 0, U, R},
		{"LMSG a 5\r\n", NATS_LMSG, "a", NULL, 5, 0, 0, U, L},
		{"LMSG a r 5\r\n", NATS_LMSG, "a", "r", 5, 0, 0, U, L},
		{"LMSG a + r q1 q2 5\r\n", NATS_LMSG, "a", "r", 5, 0, 0, U, L},
		{"LMSG a | q1 5\r\n", NATS_LMSG, "a", NULL, 5, 0, 0, U, L},
		{"HMSG $G a 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", NULL, 12, 12, 0, R, U},
		{"HMSG $G a r 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", "r", 12, 12, 0, R, U},
		{"HMSG $G a + r q 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", "r", 12, 12, 0, R, U},
		{"HMSG $G a | q 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", NULL, 12, 12, 0, R, U},
		{"HMSG a 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", NULL, 12, 12, 0, L, U},
		{"HMSG a r 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", "r", 12, 12, 0, L, U},
		{"HMSG a + r q 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", "r", 12, 12, 0, L, U},
		{"HMSG a | q r 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a", NULL, 12, 12, 0, L, U},
	};

	(void)state;
	assert_all(want, COUNT(want));
}

/*
 * Routes of one account (nats-server 2.10 has one for $SYS unless told otherwise; route.go,
 * processRoutedMsgArgs) and messages from a leaf node's cluster (msgHeaderForRouteOrLeaf).
 */
static void test_route_forms_of_2_10(void **state)
{
	static const struct want want[] = {
		{"RMSG $SYS.x.y 5\r\n", NATS_RMSG, "$SYS.x.y", NULL, 5, 0, 0, R, R},
		{"RMSG $NRG.AE.x $NRG.R.y 5\r\n", NATS_RMSG, "$NRG.AE.x", "$NRG.R.y", 5, 0, 0, R,
		 R},
		{"RMSG a.b | q 5\r\n", NATS_RMSG, "a.b", NULL, 5, 0, 0, R, R},
		{"RMSG a.b + r q 5\r\n", NATS_RMSG, "a.b", "r", 5, 0, 0, R, R},
		{"HMSG a.b 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a.b", NULL, 12, 12, 0, R, U},
		{"HMSG a.b r.c 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a.b", "r.c", 12, 12, 0, R,
		 U},
		{"HMSG a.b + r q 12 12\r\nNATS/1.0\r\n\r\n", NATS_HMSG, "a.b", "r", 12, 12, 0, R,
		 U},
		{"LMSG org $G a 0 5\r\n", NATS_LMSG, "a", NULL, 5, 0, 0, R, R},
		{"LMSG org $G a r 0 5\r\n", NATS_LMSG, "a", "r", 5, 0, 0, R, R},
		{"LMSG org $G a + r q 0 5\r\n", NATS_LMSG, "a", "r", 5, 0, 0, R, R},
		{"LMSG org $G a | q q2 0 5\r\n", NATS_LMSG, "a", NULL, 5, 0, 0, U, R},
		{"LMSG org $G a 12 15\r\nNATS/1.0 503", NATS_LMSG, "a", NULL, 15, 12, 503, U, R},
		{"LMSG org $SYS.a 0 5\r\n", NATS_LMSG, "$SYS.a", NULL, 5, 0, 0, U, R},
		{"LMSG org $SYS.a r 0 5\r\n", NATS_LMSG, "$SYS.a", "r", 5, 0, 0, U, R},
	};

	(void)state;
	assert_all(want, COUNT(want));
}

static void test_other_verbs(void **state)
{
	static const struct want want[] = {
		{"INFO {\"a\":1}\r\n", NATS_INFO, NULL, NULL, 0, 0, 0, U, U},
		{"CONNECT {}\r\n", NATS_CONNECT, NULL, NULL, 0, 0, 0, U, U},
		{"connect {}\n", NATS_CONNECT, NULL, NULL, 0, 0, 0, U, U},
		{"SUB a 1\r\n", NATS_SUB, NULL, NULL, 0, 0, 0, U, U},
		{"SUB a q 1\r\n", NATS_SUB, NULL, NULL, 0, 0, 0, U, U},
		{"UNSUB 1\r\n", NATS_UNSUB, NULL, NULL, 0, 0, 0, U, U},
		{"uNsUb 1 5\r\n", NATS_UNSUB, NULL, NULL, 0, 0, 0, U, U},
		{"PING\r\n", NATS_PING, NULL, NULL, 0, 0, 0, U, U},
		{"ping\n", NATS_PING, NULL, NULL, 0, 0, 0, U, U},
		{"PONG\r\n", NATS_PONG, NULL, NULL, 0, 0, 0, U, U},
		{"+OK\r\n", NATS_PLUS_OK, NULL, NULL, 0, 0, 0, U, U},
		{"+ok\r\n", NATS_PLUS_OK, NULL, NULL, 0, 0, 0, U, U},
		{"-ERR 'Stale Connection'\r\n", NATS_MINUS_ERR, NULL, NULL, 0, 0, 0, U, U},
		{"RS+ $G a\r\n", NATS_RSUB, NULL, NULL, 0, 0, 0, U, R},
		{"rs- $G a\r\n", NATS_RSUB, NULL, NULL, 0, 0, 0, U, R},
		{"LS+ a q 5\r\n", NATS_LSUB, NULL, NULL, 0, 0, 0, U, L},
		{"LS- a\r\n", NATS_LSUB, NULL, NULL, 0, 0, 0, U, L},
		{"A+ ACC\r\n", NATS_ACCOUNT, NULL, NULL, 0, 0, 0, U, U},
		{"a- ACC\r\n", NATS_ACCOUNT, NULL, NULL, 0, 0, 0, U, U},
	};

	(void)state;
	assert_all(want, COUNT(want));
}

static void test_blanks_and_line_ends(void **state)
{
	static const struct want want[] = {
		{"PUB  a  5\r\n", NATS_PUB, "a", NULL, 5, 0, 0, U, C},
		{"PUB\ta\tr\t5\r\n", NATS_PUB, "a", "r", 5, 0, 0, U, C},
		{"PUB \t \t a \t\t r \t 5\r\n", NATS_PUB, "a", "r", 5, 0, 0, U, C},
		{"PUB a 5   \r\n", NATS_PUB, "a", NULL, 5, 0, 0, U, C},
		{"PUB a 5\t\t\n", NATS_PUB, "a", NULL, 5, 0, 0, U, C},
		{"PUB a 5 \r \n", NATS_PUB, "a", NULL, 5, 0, 0, U, C},
		{"MSG a 1 r 5\n", NATS_MSG, "a", "r", 5, 0, 0, U, C},
		{"PUB a                                                                         "
		 "                                                                       b      "
		 "                                        5\r\n",
		 NATS_PUB, "a", "b", 5, 0, 0, U, C},
		{"PING   \r\n", NATS_PING, NULL, NULL, 0, 0, 0, U, U},
		{"HMSG   a  1   12\t20\nNATS/1.0 100", NATS_HMSG, "a", NULL, 20, 12, 100, C, U},
	};

	(void)state;
	assert_all(want, COUNT(want));
}

static void test_sizes(void **state)
{
	static const struct want want[] = {
		{"PUB a 000000005\r\n", NATS_PUB, "a", NULL, 5, 0, 0, U, C},
		{"PUB a 00000005\r\n", NATS_PUB, "a", NULL, 5, 0, 0, U, C},
		{"PUB a 0000005\r\n", NATS_PUB, "a", NULL, 5, 0, 0, U, C},
		{"PUB a 0\r\n", NATS_PUB, "a", NULL, 0, 0, 0, U, C},
		{"PUB a 000000000\r\n", NATS_PUB, "a", NULL, 0, 0, 0, U, C},
		{"PUB a 1048576\r\n", NATS_PUB, "a", NULL, 1048576, 0, 0, U, C},
		{"PUB a 12345678\r\n", NATS_PUB, "a", NULL, 12345678, 0, 0, U, C},
		{"PUB a 67108864\r\n", NATS_PUB, "a", NULL, 67108864, 0, 0, U, C},
		{"PUB a 067108864\r\n", NATS_PUB, "a", NULL, 67108864, 0, 0, U, C},
		{"HPUB a 0 0\r\n", NATS_HPUB, "a", NULL, 0, 0, 0, U, C},
		{"HPUB a 000000003 000000003\r\n", NATS_HPUB, "a", NULL, 3, 3, 0, U, C},
	};
	char text[64];

	(void)state;
	assert_all(want, COUNT(want));
	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t v = i < 20000 ? i : (uint32_t)(i * 2654435761u) % (NATS_PAYLOAD_MAX + 1);

		snprintf(text, sizeof(text), "PUB a %u\r\n", v);
		assert_int_equal(read_text(text, U), NATS_OK);
		assert_int_equal(unit.payload, v);
	}
}

static const struct {
	const char *text;
	enum nats_kind kind;
} bad[] = {
	/* counts of arguments */
	{"PUB\r\n", U},
	{"PUB 5\r\n", U},
	{"PUB a b c 5\r\n", U},
	{"MSG a 5\r\n", U},
	{"MSG a 1 r x 5\r\n", U},
	{"HPUB a 5\r\n", U},
	{"HPUB 5 5\r\n", U},
	{"HPUB a r x 5 5\r\n", U},
	{"HMSG a 5\r\n", U},
	{"HMSG 5 5\r\n", U},
	{"HMSG a 12 12\r\nNATS/1.0\r\n\r\n", C},
	{"HMSG a 1 r x 12 12\r\nNATS/1.0\r\n\r\n", C},
	{"RMSG 5\r\n", U},
	{"RMSG $G a r q 5\r\n", R},
	{"RMSG $G a ++ r q 5\r\n", R},
	{"RMSG $G a +r q q 5\r\n", R},
	{"RMSG $G a * r q 5\r\n", R},
	{"LMSG 5\r\n", U},
	{"LMSG a r q 5\r\n", L},
	{"LMSG a ++ r q 5\r\n", L},
	{"HMSG $G a x r q 12 12\r\nNATS/1.0\r\n\r\n", R},
	{"HMSG a x r q 12 12\r\nNATS/1.0\r\n\r\n", L},
	/* sizes */
	{"PUB a 67108865\r\n", U},
	{"PUB a 99999999\r\n", U},
	{"PUB a 100000000\r\n", U},
	{"PUB a 999999999\r\n", U},
	{"PUB a 0000000005\r\n", U},
	{"PUB a 18446744073709551616\r\n", U},
	{"PUB a 18446744073709551621\r\n", U},
	{"PUB a -5\r\n", U},
	{"PUB a +5\r\n", U},
	{"PUB a 5x\r\n", U},
	{"PUB a x5\r\n", U},
	{"PUB a 0x5\r\n", U},
	{"PUB a 5.\r\n", U},
	{"PUB a 5/\r\n", U},
	{"PUB a 5:\r\n", U},
	{"PUB a 1234567:\r\n", U},
	{"PUB a \xb5\r\n", U},
	{"PUB a 5\xb5\r\n", U},
	{"PUB a \xff\xff\xff\xff\r\n", U},
	{"HPUB a 6 5\r\n", U},
	{"HPUB a 67108864 5\r\n", U},
	{"HPUB a x 5\r\n", U},
	{"HPUB a -1 5\r\n", U},
	{"HMSG a 1 13 12\r\nNATS/1.0\r\n\r\n", U},
	{"LMSG org $G a 6 5\r\n", R},
	{"LMSG org $G a x 5\r\n", R},
	/* verbs */
	{"\r\n", U},
	{"\n", U},
	{" PUB a 5\r\n", U},
	{"PUBS a 5\r\n", U},
	{"PU a 5\r\n", U},
	{"XMSG a 1 5\r\n", U},
	{"CONNECTS {}\r\n", U},
	{"CONNEC {}\r\n", U},
	{"PINGS\r\n", U},
	{"+OKAY\r\n", U},
	{"OK+ \r\n", U},
	{"RS* a\r\n", U},
	{"A+A b\r\n", U},
	{"GET / HTTP/1.1\r\n", U},
	{"*1\r\n$4\r\nPING\r\n", U},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", U},
	{"pu\xc2 a 5\r\n", U},
	{"\xf0\x95\x82 a 5\r\n", U},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int rc = read_text(bad[i].text, bad[i].kind);

		if (rc != NATS_BAD)
			fail_msg("'%s' was taken: %d", bad[i].text, rc);
	}
	/* A NUL is a blank, as every byte up to 0x20. */
	assert_int_equal(read_at(NATS_WIN_PAD, "\0\0\0\0\0\0\0\0\0", 9, U), NATS_BAD);
}

/* Too little to tell, and not one byte more. */
static void test_short_windows(void **state)
{
	(void)state;
	assert_int_equal(read_text("", U), NATS_MORE);
	assert_int_equal(read_text("P", U), NATS_MORE);
	assert_int_equal(read_text("PUB", U), NATS_MORE);
	assert_int_equal(read_text("CONNECT", U), NATS_MORE);
	assert_int_equal(read_text("garbage", U), NATS_MORE);
	assert_int_equal(read_text("garbage!", U), NATS_BAD);
	assert_int_equal(read_text("garb ", U), NATS_BAD);
	assert_int_equal(read_text("PUB a 5\r", U), NATS_MORE);
	assert_int_equal(read_text("PING\r", U), NATS_LINE);
	assert_int_equal(read_text("INFO ", U), NATS_LINE);
	assert_int_equal(unit.verb, NATS_INFO);
	assert_int_equal(read_text("SUB a", U), NATS_LINE);
	assert_int_equal(unit.len, 0);
	assert_int_equal(read_text("LS+ a", U), NATS_LINE);
	assert_int_equal(unit.kind, NATS_KIND_LEAF);
}

static void test_queue_groups(void **state)
{
	static const struct {
		const char *front; /* up to the queue groups */
		const char *sizes;
		const char *reply;
		enum nats_kind kind;
	} forms[] = {
		{"RMSG $G s.x + _INBOX.1", "7\r\n", "_INBOX.1", R},
		{"RMSG $G s.x |", "7\r\n", "", R},
		{"RMSG s.x + _INBOX.1", "7\r\n", "_INBOX.1", R},
		{"RMSG s.x |", "7\r\n", "", R},
		{"LMSG s.x + _INBOX.1", "7\r\n", "_INBOX.1", L},
		{"LMSG s.x |", "7\r\n", "", L},
		{"LMSG org $G s.x + _INBOX.1", "0 7\r\n", "_INBOX.1", R},
		{"LMSG org $G s.x |", "3 7\r\n", "", R},
		{"HMSG $G s.x + _INBOX.1", "3 7\r\n", "_INBOX.1", R},
		{"HMSG $G s.x |", "3 7\r\n", "", R},
		{"HMSG s.x + _INBOX.1", "3 7\r\n", "_INBOX.1", L},
		{"HMSG s.x |", "3 7\r\n", "", L},
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++) {
		size_t n = (size_t)snprintf(text, sizeof(text), "%s", forms[i].front);

		for (int queue = 1; queue <= 40; queue++) {
			n += (size_t)snprintf(text + n, sizeof(text) - n, " queue_%d", queue);
			snprintf(text + n, sizeof(text) - n, " %s", forms[i].sizes);
			assert_int_equal(read_text(text, forms[i].kind), NATS_OK);
			assert_int_equal(unit.payload, 7);
			assert_int_equal(unit.header, forms[i].sizes[0] == '3' ? 3 : 0);
			assert_name(unit.subject, unit.subject_len, "s.x", text);
			assert_name(unit.reply, unit.reply_len, forms[i].reply, text);
		}
	}
}

/* Of a connection of unknown kind the sizes are sure and the names are not: it says so. */
static void test_hmsg_of_unknown_kind(void **state)
{
	static const struct {
		const char *text;
		int ambiguous;
	} lines[] = {
		{"HMSG s.x 1 12 15\r\nNATS/1.0\r\n\r\n", 0},
		{"HMSG s.x 1 r 12 15\r\nNATS/1.0\r\n\r\n", 0},
		{"HMSG s.x 12 15\r\nNATS/1.0\r\n\r\n", 0},
		{"HMSG $G s.x 12 15\r\nNATS/1.0\r\n\r\n", 1},
		{"HMSG s.x r.y 12 15\r\nNATS/1.0\r\n\r\n", 1},
		{"HMSG $G s.x r.y 12 15\r\nNATS/1.0\r\n\r\n", 1},
		{"HMSG $G s.x | q 12 15\r\nNATS/1.0\r\n\r\n", 1},
		{"HMSG $G s.x + r q q2 12 15\r\nNATS/1.0\r\n\r\n", 1},
		{"HMSG s.x | q 12 15\r\nNATS/1.0\r\n\r\n", 1},
		{"HMSG s.x + r q 12 15\r\nNATS/1.0\r\n\r\n", 1},
		{"HMSG s.x + r q q2 q3 12 15\r\nNATS/1.0\r\n\r\n", 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		int rc = read_text(lines[i].text, U);

		if (rc != NATS_OK)
			fail_msg("'%s': %d", lines[i].text, rc);
		assert_int_equal(unit.ambiguous, lines[i].ambiguous);
		assert_int_equal(unit.payload, 15);
		assert_int_equal(unit.header, 12);
	}
}

static void test_status(void **state)
{
	static const struct want want[] = {
		{"HMSG a 1 16 16\r\nNATS/1.0 503\r\n", NATS_HMSG, "a", NULL, 16, 16, 503, C, U},
		{"HMSG a 1 16 16\r\nNATS/1.0 100", NATS_HMSG, "a", NULL, 16, 16, 100, C, U},
		{"HMSG a 1 r 30 30\r\nNATS/1.0 408 Tim", NATS_HMSG, "a", "r", 30, 30, 408, C, U},
		{"HPUB a 16 16\r\nNATS/1.0 999", NATS_HPUB, "a", NULL, 16, 16, 999, U, C},
		{"HPUB a 16 16\r\nNATS/1.0 000", NATS_HPUB, "a", NULL, 16, 16, 0, U, C},
		{"HPUB a 16 16\r\nNATS/1.0\r\n12", NATS_HPUB, "a", NULL, 16, 16, 0, U, C},
		{"HPUB a 16 16\r\nNATS/1.0 5 3", NATS_HPUB, "a", NULL, 16, 16, 0, U, C},
		{"HPUB a 16 16\r\nNATS/1.0 50:", NATS_HPUB, "a", NULL, 16, 16, 0, U, C},
		{"HPUB a 16 16\r\nNATS/1.0  50", NATS_HPUB, "a", NULL, 16, 16, 0, U, C},
		{"HPUB a 16 16\r\nNATS/1.1 503", NATS_HPUB, "a", NULL, 16, 16, 0, U, C},
		{"HPUB a 16 16\r\nnats/1.0 503", NATS_HPUB, "a", NULL, 16, 16, 0, U, C},
		{"HPUB a 12 12\r\nNATS/1.0 503", NATS_HPUB, "a", NULL, 12, 12, 503, U, C},
		{"HPUB a 11 12\r\nNATS/1.0 503", NATS_HPUB, "a", NULL, 12, 11, 0, U, C},
		{"PUB a 12\r\nNATS/1.0 503", NATS_PUB, "a", NULL, 12, 0, 0, U, C},
	};

	(void)state;
	assert_all(want, COUNT(want));
	assert_int_equal(read_text("HMSG a 1 16 16\r\nNATS/1.0 50", C), NATS_MORE);
	assert_int_equal(read_text("HMSG a 1 16 16\r\n", C), NATS_MORE);
}

/* A line of `n` bytes without its end, at every length near the limit. */
static void line_of(char *text, size_t n, const char *end)
{
	memset(text, 's', n);
	memcpy(text, "PUB ", 4);
	memcpy(text + n - 3, " 77", 3);
	strcpy(text + n, end);
}

static void test_long_lines(void **state)
{
	static char text[NATS_LINE_MAX + 64];

	(void)state;
	for (size_t n = 20; n <= NATS_LINE_MAX; n += n < 4000 ? 37 : 1) {
		line_of(text, n, "\r\n");
		assert_int_equal(read_text(text, U), NATS_OK);
		assert_int_equal(unit.payload, 77);
		assert_int_equal(unit.len, n + 2);
		assert_int_equal(unit.subject_len, n - 7);
		line_of(text, n, "\n");
		assert_int_equal(read_text(text, U), NATS_OK);
		line_of(text, n, "\r");
		if (read_text(text, U) != NATS_MORE)
			fail_msg("a line of %zu bytes, cut between CR and LF, is refused", n);
		line_of(text, n, "");
		assert_int_equal(read_text(text, U), NATS_MORE);
	}
	for (size_t n = NATS_LINE_MAX + 1; n < NATS_LINE_MAX + 40; n++) {
		line_of(text, n, "\r\n");
		assert_int_equal(read_text(text, U), NATS_BAD);
		if (n == NATS_LINE_MAX + 1) /* an LF may still make it a good one */
			continue;
		line_of(text, n, "");
		assert_int_equal(read_text(text, U), NATS_BAD);
	}
	/* Nobody reads the arguments of other verbs. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "INFO {", 6);
	assert_int_equal(read_at(NATS_WIN_PAD, text, sizeof(text), U), NATS_LINE);
}

static void test_long_subject_keeps_the_framing(void **state)
{
	static char text[4096];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "MSG ", 4);
	strcpy(text + 4 + 4000, " 1 _INBOX.1 12345\r\n");
	assert_int_equal(read_text(text, U), NATS_OK);
	assert_int_equal(unit.subject_len, 4000);
	assert_int_equal(unit.payload, 12345);
	assert_name(unit.reply, unit.reply_len, "_INBOX.1", "a long subject");
}

/* ---- against the reference */

/* A changed line: now and then still a good one. */
static void mutate(struct rng *r, uint8_t *s, size_t n)
{
	static const char bytes[] = " \t\r\n0123456789+|-.PUBMSGHRLpubmsg\0\x7f\x80\xff$x";

	for (uint32_t i = rng__in(r, 1, 3); i; i--)
		s[rng__next(r) % n] = (uint8_t)bytes[rng__next(r) % (sizeof(bytes) - 1)];
}

static void assert_same(const uint8_t *s, size_t n, const struct ref_unit *u)
{
	static const uint8_t zero;

	assert_int_equal(unit.verb, u->verb);
	assert_int_equal(unit.len, u->line);
	if (u->verb > NATS_LMSG)
		return;
	assert_int_equal(unit.payload, u->payload);
	assert_int_equal(unit.header, u->header);
	assert_int_equal(unit.status, u->status);
	assert_int_equal(unit.ambiguous, u->ambiguous);
	if (u->ambiguous)
		return;
	assert_int_equal(unit.subject_len, u->subject_len);
	assert_int_equal(unit.reply_len, u->reply_len);
	assert_true(u->subject + u->subject_len < n);
	assert_memory_equal(win + unit.subject, s + u->subject, u->subject_len);
	assert_memory_equal(u->reply_len ? win + unit.reply : &zero,
			    u->reply_len ? s + u->reply : &zero, u->reply_len);
}

/* Reads the line both ways. Returns 1 when both take it, 0 when both refuse. */
static int compare(struct nats_ref *ref, const uint8_t *s, size_t n, enum nats_kind kind)
{
	size_t line = (size_t)((const uint8_t *)memchr(s, '\n', n) + 1 - s);
	int rc = read_at(NATS_WIN_PAD, s, n, kind);

	memset(ref, 0, sizeof(*ref));
	ref->stream = s;
	ref->kind = kind;
	for (size_t i = 0; i < n && (i < line || ref->state == REF_IN_PAYLOAD); i++)
		nats_ref__byte(ref, i);
	if (rc == NATS_OK && ref->list.n) {
		assert_same(s, n, &ref->list.unit[0]);
		return 1;
	}
	if (rc != NATS_BAD || ref->list.n)
		fail_msg("'%.*s': framer %d, reference %s", (int)line, (const char *)s, rc,
			 ref->list.n ? "takes it" : "refuses");
	return 0;
}

static void test_random_lines_against_the_reference(void **state)
{
	static uint8_t text[6000];
	struct rng r = {.state = 7};
	struct nats_ref ref;
	int taken = 0, n = 0;
	struct gen g;

	(void)state;
	for (int round = 0; round < 60000; round++) {
		gen__open(&g, rng__next(&r), (enum gen_flow)rng__in(&r, 0, GEN_FLOWS - 1));
		g.payload_max = 0;
		g.subject_max = 400;
		gen__message(&g);
		memcpy(text, g.data, g.len);
		memset(text + g.len, '\n', 16);
		if (round & 3)
			mutate(&r, text, g.truth.unit[0].line);
		taken += compare(&ref, text, g.len + 16, (enum nats_kind)rng__in(&r, 0, 3));
		n++;
		nats_ref__free(&ref);
		gen__close(&g);
	}
	/* Both outcomes are well covered. */
	assert_true(taken > n / 4 && taken < n * 3 / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_verbs),
		cmocka_unit_test(test_routed_verbs),
		cmocka_unit_test(test_route_forms_of_2_10),
		cmocka_unit_test(test_other_verbs),
		cmocka_unit_test(test_blanks_and_line_ends),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_short_windows),
		cmocka_unit_test(test_queue_groups),
		cmocka_unit_test(test_hmsg_of_unknown_kind),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_subject_keeps_the_framing),
		cmocka_unit_test(test_random_lines_against_the_reference),
	};

	return cmocka_run_group_tests_name("nats_framer", tests, NULL, NULL);
}
