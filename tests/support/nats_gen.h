/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random valid NATS streams, and what is truly in them. */
#ifndef TESTS_NATS_GEN_H
#define TESTS_NATS_GEN_H

#include <stdarg.h>
#include <stdio.h>

#include "nats_ref.h"
#include "rng.h"

/* What speaks: the same verbs have other arguments on each. */
enum gen_flow {
	GEN_TO_BROKER = 0,
	GEN_FROM_BROKER = 1,
	GEN_ROUTE = 2,
	GEN_PINNED = 3, /* a route of one account: lines do not name it */
	GEN_LEAF = 4,
	GEN_FLOWS = 5,
};

struct gen {
	struct rng rng;
	uint8_t *data;
	size_t len;
	size_t room;
	struct ref_list truth;
	enum gen_flow flow;
	int hostile;	      /* payloads may hold whole frames and pieces of them */
	int plain;	      /* no odd case, blanks, line ends and leading zeros */
	uint32_t payload_max; /* most are far smaller */
	uint32_t subject_max;
};

static inline void gen__open(struct gen *g, uint64_t seed, enum gen_flow flow)
{
	memset(g, 0, sizeof(*g));
	g->rng.state = seed;
	g->flow = flow;
	g->payload_max = 2000;
	g->subject_max = 60;
}

static inline void gen__close(struct gen *g)
{
	free(g->data);
	free(g->truth.unit);
	memset(g, 0, sizeof(*g));
}

static inline void gen__bytes(struct gen *g, const void *bytes, size_t n)
{
	if (g->len + n > g->room) {
		g->room = 2 * (g->len + n) + 256;
		g->data = realloc(g->data, g->room);
		if (!g->data)
			abort();
	}
	if (n)
		memcpy(g->data + g->len, bytes, n);
	g->len += n;
}

static inline void gen__text(struct gen *g, const char *s)
{
	gen__bytes(g, s, strlen(s));
}

__attribute__((format(printf, 2, 3))) static inline void gen__printf(struct gen *g, const char *fmt,
								     ...)
{
	char buf[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	gen__text(g, buf);
}

static inline const char *gen__word(struct gen *g)
{
	static const char *const words[] = {
		"orders",  "created",	"svc",	   "info", "payments", "a",	   "request",
		"v1",	   "EVENTS",	"msg",	   "user", "42",       "sensor_7", "pub",
		"metrics", "eu-west-1", "connect", "$JS",  "API",      "STREAM",   "0123456789",
	};

	return words[rng__next(&g->rng) % (sizeof(words) / sizeof(words[0]))];
}

/*
 * One to six tokens with dots between. The last one is no verb, unless the stream is hostile: a
 * segment that begins at the "pub" of "x.pub reply 5" looks like one that begins with a message.
 */
static inline void gen__subject(struct gen *g)
{
	uint32_t n = rng__in(&g->rng, 1, 6), long_one = rng__chance(&g->rng, 1, 100);
	size_t from = g->len;

	gen__text(g, g->flow == GEN_PINNED ? "$SYS.x" : "s.x");
	for (uint32_t i = 1; i < n || (long_one && g->len - from + 20 < g->subject_max); i++)
		gen__printf(g, ".%s", gen__word(g));
	if (!g->hostile && (g->data[g->len - 1] == 'b' || g->data[g->len - 1] == 'g'))
		gen__text(g, ".z"); /* pub, msg */
}

static inline void gen__reply(struct gen *g)
{
	gen__printf(g, "_INBOX.%016llx.%u", (unsigned long long)rng__next(&g->rng),
		    rng__in(&g->rng, 1, 9999));
}

static inline void gen__gap(struct gen *g)
{
	uint32_t n = 1;

	if (g->plain || !rng__chance(&g->rng, 1, 12)) {
		gen__text(g, " ");
		return;
	}
	for (n = rng__in(&g->rng, 1, 5); n; n--)
		gen__text(g, rng__chance(&g->rng, 1, 2) ? "\t" : " ");
}

static inline void gen__verb(struct gen *g, const char *verb)
{
	int odd = !g->plain && rng__chance(&g->rng, 1, 8);
	char c;

	for (; *verb; verb++) {
		c = *verb;
		if (odd && c >= 'A' && c <= 'Z' && rng__chance(&g->rng, 1, 2))
			c = (char)(c + 'a' - 'A');
		gen__bytes(g, &c, 1);
	}
}

static inline void gen__size(struct gen *g, uint32_t size)
{
	gen__gap(g);
	if (!g->plain && rng__chance(&g->rng, 1, 20))
		gen__printf(g, "%0*u", (int)rng__in(&g->rng, 1, 9), size);
	else
		gen__printf(g, "%u", size);
}

static inline void gen__line_end(struct gen *g)
{
	if (!g->plain && rng__chance(&g->rng, 1, 20))
		gen__text(g, "  \t");
	gen__text(g, !g->plain && rng__chance(&g->rng, 1, 20) ? "\n" : "\r\n");
}

static inline uint32_t gen__payload_size(struct gen *g)
{
	switch (rng__next(&g->rng) % 16) {
	case 0: return 0;
	case 1: return rng__in(&g->rng, 0, 16);
	case 2: return rng__in(&g->rng, 0, g->payload_max);
	case 3: return rng__in(&g->rng, 0, g->payload_max < 4000 ? g->payload_max : 4000);
	}
	return rng__in(&g->rng, 0, g->payload_max < 300 ? g->payload_max : 300);
}

/* Lines as they stand in logs: many begin with a word that is also a verb; none ends in a number.
 */
static inline void gen__log_lines(struct gen *g, size_t end)
{
	size_t from = g->len;

	static const char *const first[] = {"INFO", "info", "PUB", "MSG", "sub", "DEBUG", "-ERR"};

	while (g->len < end) {
		gen__text(g, first[rng__next(&g->rng) % 7]);
		for (uint32_t i = rng__in(&g->rng, 0, 6); i; i--)
			gen__printf(g, " %s", gen__word(g));
		gen__text(g, rng__chance(&g->rng, 1, 2) ? " ok\n" : " done\r\n");
	}
	g->len = end;
	if (end > from)
		g->data[end - 1] = '.';
}

/* Frames and pieces of frames, which a parser that loses its place will take for real ones. */
static inline void gen__fakes(struct gen *g, size_t end)
{
	static const char *const fakes[] = {
		"PUB fake _INBOX.fake.1 2\r\nhi\r\n",
		"MSG fake 1 0\r\n\r\n",
		"\r\nMSG fake 1 _INBOX.fake.2 3\r\nabc\r\n",
		"HMSG fake 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
		"RMSG $G fake 1\r\nx\r\n",
		"\r\nPUB fake 100\r\n",
		"PING\r\n",
		"PUB ",
		"\r\n",
		"MSG fake 1 5\r",
	};

	while (g->len < end)
		gen__text(g, fakes[rng__next(&g->rng) % 10]);
	g->len = end;
}

static inline void gen__payload(struct gen *g, uint32_t n)
{
	uint32_t what = (uint32_t)(rng__next(&g->rng) % (g->hostile ? 8 : 6));
	size_t end = g->len + n;

	if (what == 0)
		gen__log_lines(g, end);
	else if (what > 5)
		gen__fakes(g, end);
	while (g->len < end) {
		uint64_t x = rng__next(&g->rng);
		char c = (char)x;

		if (what == 1)
			c = (char)('a' + x % 26);
		else if (what == 2)
			c = "\r\n"[x & 1];
		else if (what == 3)
			c = 0;
		else if (what == 4)
			c = "{}\":, \n0123abc"[x % 14];
		gen__bytes(g, &c, 1);
	}
}

/* A header block of at least 12 bytes; its length. */
static inline uint32_t gen__headers(struct gen *g, char *buf, size_t room, uint16_t *status)
{
	static const uint16_t codes[] = {503, 100, 408, 404, 409};
	int n;

	*status = 0;
	if (rng__chance(&g->rng, 1, 2)) {
		*status = codes[rng__next(&g->rng) % 5];
		n = snprintf(buf, room, "NATS/1.0 %u%s\r\n", *status,
			     rng__chance(&g->rng, 1, 2) ? " Because" : "");
	} else {
		n = snprintf(buf, room, "NATS/1.0\r\nX-%s: %s\r\n", gen__word(g), gen__word(g));
	}
	n += snprintf(buf + n, room - (size_t)n, "\r\n");
	return (uint32_t)n;
}

/* Names between verb and sizes, in the order of the flow. */
static inline void gen__names(struct gen *g, struct ref_unit *u)
{
	int reply = rng__chance(&g->rng, 1, 2);
	uint32_t queues =
		g->flow < GEN_ROUTE || rng__chance(&g->rng, 3, 4) ? 0 : rng__in(&g->rng, 1, 40);

	gen__gap(g);
	if (g->flow == GEN_ROUTE) {
		if (u->verb == NATS_LMSG) {
			gen__text(g, "leafcluster");
			gen__gap(g);
		}
		gen__text(g, rng__chance(&g->rng, 1, 2) ? "$G" : "ACCOUNT");
		gen__gap(g);
	} else if (g->flow == GEN_PINNED && u->verb == NATS_LMSG) {
		gen__text(g, "leafcluster");
		gen__gap(g);
	}
	u->subject = g->len;
	gen__subject(g);
	u->subject_len = (uint32_t)(g->len - u->subject);
	if (g->flow == GEN_FROM_BROKER) {
		gen__gap(g);
		gen__printf(g, "%u", rng__in(&g->rng, 1, 100000));
	}
	if (queues) {
		gen__gap(g);
		gen__text(g, reply ? "+" : "|");
	}
	if (reply) {
		gen__gap(g);
		u->reply = g->len;
		gen__reply(g);
		u->reply_len = (uint32_t)(g->len - u->reply);
	}
	for (; queues; queues--) {
		gen__gap(g);
		gen__printf(g, "queue%u", queues);
	}
}

static inline enum nats_verb gen__message_verb(struct gen *g, const char **name)
{
	static const struct {
		const char *name;
		enum nats_verb verb;
	} verbs[GEN_FLOWS][2] = {
		{{"PUB", NATS_PUB}, {"HPUB", NATS_HPUB}},
		{{"MSG", NATS_MSG}, {"HMSG", NATS_HMSG}},
		{{"RMSG", NATS_RMSG}, {"HMSG", NATS_HMSG}},
		{{"RMSG", NATS_RMSG}, {"HMSG", NATS_HMSG}},
		{{"LMSG", NATS_LMSG}, {"HMSG", NATS_HMSG}},
	};
	int second = rng__chance(&g->rng, 1, 3);

	if ((g->flow == GEN_ROUTE || g->flow == GEN_PINNED) && rng__chance(&g->rng, 1, 6)) {
		*name = "LMSG";
		return NATS_LMSG;
	}
	*name = verbs[g->flow][second].name;
	return verbs[g->flow][second].verb;
}

static inline void gen__message_sized(struct gen *g, uint32_t body)
{
	struct ref_unit u = {.pos = g->len};
	const char *name = NULL;
	char headers[256];
	int with;

	u.verb = (uint8_t)gen__message_verb(g, &name);
	with = u.verb == NATS_HPUB || u.verb == NATS_HMSG ||
	       (u.verb == NATS_LMSG && g->flow != GEN_LEAF);
	gen__verb(g, name);
	gen__names(g, &u);
	if (with) {
		u.header = gen__headers(g, headers, sizeof(headers), &u.status);
		if (u.verb == NATS_LMSG && rng__chance(&g->rng, 1, 2))
			u.header = u.status = 0;
		gen__size(g, u.header);
	}
	u.payload = u.header + body;
	gen__size(g, u.payload);
	gen__line_end(g);
	u.line = (uint32_t)(g->len - u.pos);
	gen__bytes(g, headers, u.header);
	gen__payload(g, body);
	gen__text(g, "\r\n");
	u.end = g->len;
	ref_list__add(&g->truth, &u);
}

static inline void gen__message(struct gen *g)
{
	gen__message_sized(g, gen__payload_size(g));
}

/* A line that nobody answers. */
static inline void gen__line(struct gen *g)
{
	static const struct {
		const char *text;
		enum nats_verb verb;
	} lines[GEN_FLOWS][4] = {
		{{"SUB", NATS_SUB},
		 {"UNSUB", NATS_UNSUB},
		 {"PING", NATS_PING},
		 {"PONG", NATS_PONG}},
		{{"+OK", NATS_PLUS_OK},
		 {"-ERR", NATS_MINUS_ERR},
		 {"PING", NATS_PING},
		 {"PONG", NATS_PONG}},
		{{"RS+", NATS_RSUB},
		 {"RS-", NATS_RSUB},
		 {"A+", NATS_ACCOUNT},
		 {"A-", NATS_ACCOUNT}},
		{{"RS+", NATS_RSUB}, {"RS-", NATS_RSUB}, {"PING", NATS_PING}, {"PONG", NATS_PONG}},
		{{"LS+", NATS_LSUB}, {"LS-", NATS_LSUB}, {"PING", NATS_PING}, {"PONG", NATS_PONG}},
	};
	uint32_t i = rng__in(&g->rng, 0, 3);
	struct ref_unit u = {.pos = g->len, .verb = (uint8_t)lines[g->flow][i].verb};

	gen__verb(g, lines[g->flow][i].text);
	if (u.verb == NATS_MINUS_ERR) {
		gen__text(g, " 'Unknown Protocol Operation'");
	} else if (u.verb != NATS_PING && u.verb != NATS_PONG && u.verb != NATS_PLUS_OK) {
		gen__gap(g);
		gen__subject(g);
		gen__printf(g, " %u", rng__in(&g->rng, 1, 50));
	}
	gen__line_end(g);
	u.end = g->len;
	ref_list__add(&g->truth, &u);
}

/* INFO or CONNECT with `n` bytes of JSON. */
static inline void gen__hello(struct gen *g, uint32_t n)
{
	int connect = g->flow == GEN_TO_BROKER || rng__chance(&g->rng, 1, 3);
	struct ref_unit u = {.pos = g->len, .verb = connect ? NATS_CONNECT : NATS_INFO};
	size_t end;

	gen__verb(g, connect ? "CONNECT" : "INFO");
	gen__gap(g);
	end = g->len + n;
	gen__text(g, "{\"verbose\":false");
	while (g->len + 40 < end)
		gen__printf(g, ",\"%s\":\"%s\"", gen__word(g), gen__word(g));
	gen__text(g, "}");
	gen__line_end(g);
	u.end = g->len;
	ref_list__add(&g->truth, &u);
}

static inline void gen__frame(struct gen *g)
{
	switch (rng__next(&g->rng) % 16) {
	case 0:
	case 1:
	case 2:
	case 3: gen__line(g); break;
	case 4: gen__hello(g, rng__in(&g->rng, 20, rng__chance(&g->rng, 1, 8) ? 6000 : 300)); break;
	default: gen__message(g);
	}
}

static inline void gen__frames(struct gen *g, uint32_t n)
{
	while (n--)
		gen__frame(g);
}

#endif
