/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reference NATS parser: one byte at a time, plain, slow, and written from the protocol's
 * documentation (docs.nats.io, reference-protocols) and nats-server's argument rules alone. It
 * shares the numbering of verbs with include/proto/nats.h, and nothing else.
 *
 * A stream that begins at a frame boundary goes in; the list of its units comes out.
 */
#ifndef TESTS_NATS_REF_H
#define TESTS_NATS_REF_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nats.h"

#define REF_LINE_MAX 4096
#define REF_INFO_MAX (1u << 20)
#define REF_SIZE_MAX (64u << 20)
#define REF_TOKENS   128

/* A unit. Positions are offsets in the stream. */
struct ref_unit {
	uint64_t pos;
	uint64_t end; /* behind the frame, its CR LF included */
	uint64_t subject;
	uint64_t reply;
	uint32_t subject_len;
	uint32_t reply_len;
	uint32_t line; /* length of the control line, its end included */
	uint32_t payload;
	uint32_t header;
	uint16_t status;
	uint8_t verb;
	uint8_t ambiguous;
};

struct ref_list {
	struct ref_unit *unit;
	size_t n;
	size_t room;
};

struct ref_token {
	uint32_t at;
	uint32_t len;
};

enum ref_state { REF_IN_LINE, REF_IN_PAYLOAD, REF_WANT_CR, REF_WANT_LF, REF_FAILED };

struct nats_ref {
	struct ref_list list;
	const uint8_t *stream;
	uint64_t line;	/* where the present line began */
	uint64_t left;	/* of the payload */
	uint64_t fault; /* where the first fault is, once REF_FAILED */
	uint8_t head[12];
	enum ref_state state;
	enum nats_kind kind;
	struct ref_token token[REF_TOKENS];
	uint32_t n_tokens;
};

static inline void ref_list__add(struct ref_list *l, const struct ref_unit *u)
{
	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->unit = realloc(l->unit, l->room * sizeof(*l->unit));
		if (!l->unit)
			abort();
	}
	l->unit[l->n++] = *u;
}

static inline int ref__is_blank(uint8_t c)
{
	return c <= ' ';
}

static inline uint8_t ref__lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static inline int ref__token_is(const struct nats_ref *p, uint32_t t, const char *word)
{
	const uint8_t *s = p->stream + p->line + p->token[t].at;
	size_t n = strlen(word);

	if (p->token[t].len != n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (ref__lower(s[i]) != (uint8_t)word[i])
			return 0;
	}
	return 1;
}

static inline enum nats_verb ref__verb(const struct nats_ref *p)
{
	static const struct {
		const char *word;
		enum nats_verb verb;
	} words[] = {
		{"pub", NATS_PUB},     {"hpub", NATS_HPUB},  {"msg", NATS_MSG},
		{"hmsg", NATS_HMSG},   {"rmsg", NATS_RMSG},  {"lmsg", NATS_LMSG},
		{"info", NATS_INFO},   {"sub", NATS_SUB},    {"connect", NATS_CONNECT},
		{"unsub", NATS_UNSUB}, {"ping", NATS_PING},  {"pong", NATS_PONG},
		{"+ok", NATS_PLUS_OK}, {"rs+", NATS_RSUB},   {"-err", NATS_MINUS_ERR},
		{"rs-", NATS_RSUB},    {"ls+", NATS_LSUB},   {"ls-", NATS_LSUB},
		{"a+", NATS_ACCOUNT},  {"a-", NATS_ACCOUNT},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (ref__token_is(p, 0, words[i].word))
			return words[i].verb;
	}
	return NATS_NONE;
}

/* Splits the line that ends at `end`. 0: it begins with a blank, or has too many tokens. */
static inline int ref__split(struct nats_ref *p, uint64_t end)
{
	const uint8_t *s = p->stream + p->line;
	uint32_t n = (uint32_t)(end - p->line), i = 0, from;

	p->n_tokens = 0;
	if (ref__is_blank(s[0]))
		return 0;
	while (i < n) {
		for (; i < n && ref__is_blank(s[i]); i++)
			;
		from = i;
		for (; i < n && !ref__is_blank(s[i]); i++)
			;
		if (i == from)
			break;
		/* Beyond what is kept only the last two count: they stay at the end of the array.
		 */
		if (p->n_tokens == REF_TOKENS) {
			p->token[REF_TOKENS - 2] = p->token[REF_TOKENS - 1];
			p->n_tokens--;
		}
		p->token[p->n_tokens++] = (struct ref_token){from, i - from};
	}
	return p->n_tokens > 0;
}

/* A size: one to nine digits, at most 64 MB; else -1. */
static inline int64_t ref__size(const struct nats_ref *p, uint32_t t)
{
	const uint8_t *s = p->stream + p->line + p->token[t].at;
	int64_t v = 0;

	if (p->token[t].len < 1 || p->token[t].len > 9)
		return -1;
	for (uint32_t i = 0; i < p->token[t].len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = 10 * v + (s[i] - '0');
	}
	return v > REF_SIZE_MAX ? -1 : v;
}

static inline void ref__subject(const struct nats_ref *p, struct ref_unit *u, uint32_t t)
{
	u->subject = p->line + p->token[t].at;
	u->subject_len = p->token[t].len;
}

static inline void ref__reply(const struct nats_ref *p, struct ref_unit *u, uint32_t t)
{
	u->reply = p->line + p->token[t].at;
	u->reply_len = p->token[t].len;
}

/* "subject", "subject reply", "subject + reply queue..", "subject | queue..": tokens t .. end-1. */
static inline int ref__routed(const struct nats_ref *p, struct ref_unit *u, uint32_t t,
			      uint32_t end)
{
	if (t >= end)
		return 0;
	ref__subject(p, u, t);
	if (end - t == 1)
		return 1;
	if (end - t == 2) {
		ref__reply(p, u, t + 1);
		return 1;
	}
	if (ref__token_is(p, t + 1, "+")) {
		ref__reply(p, u, t + 2);
		return 1;
	}
	return ref__token_is(p, t + 1, "|");
}

/* "subject sid", "subject sid reply". */
static inline int ref__delivered(const struct nats_ref *p, struct ref_unit *u, uint32_t end)
{
	if (end != 3 && end != 4)
		return 0;
	ref__subject(p, u, 1);
	if (end == 4)
		ref__reply(p, u, 3);
	return 1;
}

static inline int ref__published(const struct nats_ref *p, struct ref_unit *u, uint32_t end)
{
	if (end != 2 && end != 3)
		return 0;
	ref__subject(p, u, 1);
	if (end == 3)
		ref__reply(p, u, 2);
	return 1;
}

static inline int ref__has_dot(const struct nats_ref *p, uint32_t t)
{
	uint32_t n = p->token[t].len < 16 ? p->token[t].len : 16;

	return memchr(p->stream + p->line + p->token[t].at, '.', n) != NULL;
}

static inline int ref__is_indicator(const struct nats_ref *p, uint32_t t, uint32_t end)
{
	return t < end && (ref__token_is(p, t, "+") || ref__token_is(p, t, "|"));
}

/*
 * What a route sends: "account subject ..", or "subject .." where the route is one account's own
 * (nats-server 2.10: by default there is one for the system account). Nothing in the line says
 * which; an account's name has no dot among its first 16 bytes, a subject usually has.
 */
static inline int ref__from_route(const struct nats_ref *p, struct ref_unit *u, uint32_t t,
				  uint32_t end)
{
	int pinned;

	if (t >= end)
		return 0;
	if (end - t == 2)
		pinned = ref__has_dot(p, t);
	else
		pinned = end - t == 1 || ref__is_indicator(p, t + 1, end);
	return ref__routed(p, u, pinned ? t : t + 1, end);
}

/* HMSG: three orders of arguments, by what speaks on the connection. */
static inline int ref__hmsg(struct nats_ref *p, struct ref_unit *u, uint32_t end)
{
	enum nats_kind kind = p->kind;

	if (kind == NATS_KIND_UNKNOWN && end >= 3) {
		if (end <= 4 && ref__size(p, 2) >= 0)
			kind = NATS_KIND_CLIENT;
		else
			u->ambiguous = 1;
	}
	if (kind == NATS_KIND_CLIENT)
		return ref__delivered(p, u, end);
	if (kind == NATS_KIND_LEAF)
		return ref__routed(p, u, 1, end);
	return ref__from_route(p, u, 1, end);
}

/*
 * LMSG: from a leaf node "subject .. size"; on a route, of a message that came from a leaf node's
 * cluster, "origin [account] subject .. header total". *sizes: how many of them there are.
 */
static inline int ref__lmsg(struct nats_ref *p, struct ref_unit *u, uint32_t end, uint32_t *sizes)
{
	if (end - 1 <= 2 || ref__is_indicator(p, 2, end)) {
		p->kind = NATS_KIND_LEAF;
		return ref__routed(p, u, 1, end);
	}
	p->kind = NATS_KIND_ROUTE;
	*sizes = 2;
	return ref__from_route(p, u, 2, end - 1);
}

/* The arguments of a message verb. 0: nats-server would refuse them. */
static inline int ref__arguments(struct nats_ref *p, struct ref_unit *u)
{
	uint32_t n = p->n_tokens, sizes = u->verb == NATS_HPUB || u->verb == NATS_HMSG ? 2 : 1, end;
	int64_t header = 0, total;
	int ok = 0;

	if (n < 2 + sizes)
		return 0;
	end = n - sizes; /* tokens 1 .. end-1 are names */
	switch (u->verb) {
	case NATS_PUB:
	case NATS_HPUB: ok = ref__published(p, u, end); break;
	case NATS_MSG: ok = ref__delivered(p, u, end); break;
	case NATS_HMSG: ok = ref__hmsg(p, u, end); break;
	case NATS_RMSG: ok = ref__from_route(p, u, 1, end); break;
	case NATS_LMSG: ok = ref__lmsg(p, u, end, &sizes); break;
	}
	total = ref__size(p, n - 1);
	if (sizes == 2)
		header = ref__size(p, n - 2);
	if (!ok || total < 0 || header < 0 || header > total)
		return 0;
	u->payload = (uint32_t)total;
	u->header = (uint32_t)header;
	return 1;
}

static inline void ref__learn_kind(struct nats_ref *p, uint8_t verb)
{
	switch (verb) {
	case NATS_PUB:
	case NATS_HPUB:
	case NATS_MSG: p->kind = NATS_KIND_CLIENT; break;
	case NATS_RMSG:
	case NATS_RSUB: p->kind = NATS_KIND_ROUTE; break;
	case NATS_LSUB: p->kind = NATS_KIND_LEAF; break;
	}
}

/* The LF at `at` ends the line. */
static inline enum ref_state ref__line_ended(struct nats_ref *p, uint64_t at)
{
	struct ref_unit u = {.pos = p->line, .end = at + 1};

	u.line = (uint32_t)(at + 1 - p->line);
	if (!ref__split(p, at))
		return REF_FAILED;
	u.verb = (uint8_t)ref__verb(p);
	if (u.verb == NATS_NONE)
		return REF_FAILED;
	p->line = at + 1;
	if (u.verb > NATS_LMSG) {
		ref__learn_kind(p, u.verb);
		ref_list__add(&p->list, &u);
		return REF_IN_LINE;
	}
	p->line = u.pos;
	if (u.line > REF_LINE_MAX + 2 || !ref__arguments(p, &u))
		return REF_FAILED;
	ref__learn_kind(p, u.verb);
	u.end = at + 1 + u.payload + 2;
	ref_list__add(&p->list, &u);
	p->left = u.payload;
	return u.payload ? REF_IN_PAYLOAD : REF_WANT_CR;
}

/* "NATS/1.0 NNN" at the start of a header block. */
static inline void ref__header_byte(struct nats_ref *p, uint8_t c)
{
	struct ref_unit *u = &p->list.unit[p->list.n - 1];
	uint64_t i = u->payload - p->left;
	const uint8_t *d = p->head + 9;

	if (u->header < 12 || i >= 12)
		return;
	p->head[i] = c;
	if (i < 11 || memcmp(p->head, "NATS/1.0 ", 9))
		return;
	for (i = 0; i < 3; i++) {
		if (d[i] < '0' || d[i] > '9')
			return;
	}
	u->status = (uint16_t)((d[0] - '0') * 100 + (d[1] - '0') * 10 + (d[2] - '0'));
}

/* The byte at position `at` of the stream. */
static inline void nats_ref__byte(struct nats_ref *p, uint64_t at)
{
	enum ref_state was = p->state;
	uint8_t c = p->stream[at];

	switch (p->state) {
	case REF_IN_LINE:
		if (c == '\n')
			p->state = ref__line_ended(p, at);
		else if (at - p->line > REF_INFO_MAX)
			p->state = REF_FAILED;
		break;
	case REF_IN_PAYLOAD:
		ref__header_byte(p, c);
		if (--p->left == 0)
			p->state = REF_WANT_CR;
		break;
	case REF_WANT_CR: p->state = c == '\r' ? REF_WANT_LF : REF_FAILED; break;
	case REF_WANT_LF:
		p->state = c == '\n' ? REF_IN_LINE : REF_FAILED;
		p->line = at + 1;
		break;
	case REF_FAILED: return;
	}
	if (p->state == REF_FAILED)
		p->fault = was == REF_IN_LINE ? p->line : at;
}

/* Reads a stream that begins at a boundary. True when no fault was found. */
static inline int nats_ref__read(struct nats_ref *p, const uint8_t *stream, size_t len)
{
	memset(p, 0, sizeof(*p));
	p->stream = stream;
	for (size_t i = 0; i < len && p->state != REF_FAILED; i++)
		nats_ref__byte(p, i);
	return p->state != REF_FAILED;
}

/* At a boundary: no unit is begun and not ended. */
static inline int nats_ref__at_rest(const struct nats_ref *p, size_t len)
{
	return p->state == REF_IN_LINE && p->line == len;
}

/* The unit that begins at `pos`, or NULL. */
static inline const struct ref_unit *nats_ref__at(const struct nats_ref *p, uint64_t pos)
{
	size_t low = 0, high = p->list.n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (p->list.unit[mid].pos < pos)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->list.n && p->list.unit[low].pos == pos ? &p->list.unit[low] : NULL;
}

static inline void nats_ref__free(struct nats_ref *p)
{
	free(p->list.unit);
	memset(p, 0, sizeof(*p));
}

#endif
