/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Routes: a subject with the tokens that name one thing (an inbox, a nuid, a uuid, a number) put
 * as '*', so that the number of series stays small. One byte at a time, for BPF and for the host.
 *
 *   _INBOX.Yw3xUf9k0mMTsGbQ.1   ->  _INBOX.*
 *   EVENTS.orders.123           ->  EVENTS.orders.*
 *
 * A token is put as '*' when it is all digits; or 22 letters and digits with both (a nuid:
 * github.com/nats-io/nuid); or 16 and more hexadecimal digits and dashes with a decimal digit among
 * them (uuid, trace and object ids). All that follows an "_INBOX" token is one '*'.
 *
 * HTTP: the method and the path, of which segments that name one thing are put as {n} or {id}:
 *
 *   GET /users/123/orders/2024-11-21           ->  GET /users/{n}/orders/{n}
 *   GET /vpc/i-0a1b2c3d4e5f67890;v=1/a%20b.txt  ->  GET /vpc/{id}/{id}
 *
 * {n}: decimal digits, and dashes between or around them. {id}: 16 and more hexadecimal digits and
 * dashes with a decimal digit among them; 16 and more characters with 4 decimal digits, or with
 * decimal digits, small and capital letters; and every segment with a byte that is not a letter, a
 * digit or one of "-._~:!$'()*+,", so that %-escapes, addresses and what is not printable make no
 * routes. A segment ends at its ';'.
 */
#ifndef HOPSCOPE_ROUTE_H
#define HOPSCOPE_ROUTE_H

#include "wire.h"

#define ROUTE_NUID_LEN 22
#define ROUTE_HEX_MIN  16

struct route_norm {
	__u32 out;   /* bytes written */
	__u32 start; /* where the token began in the output */
	__u32 len;   /* the token's length in the input */
	__u32 digits;
	__u32 dashes;
	__u32 others; /* letters beyond f; bytes that are in no id count as ROUTE_NO_ID */
	__u32 inbox;  /* behind an inbox prefix: 1 + bytes written */
	__u32 cut;    /* did not fit */
	__u32 cases;  /* of a path: 1 small letters, 2 capital letters */
	__u32 past;   /* of a path: behind the segment's ';' */
	char name[ROUTE_LEN];
};

#define ROUTE_NO_ID 1000

static inline void route__put(struct route_norm *r, char c)
{
	__u32 at = r->out;

	if (at >= ROUTE_LEN - 1) {
		r->cut = 1;
		return;
	}
	r->name[at] = c;
	r->out = at + 1;
}

static inline int route__is_id(const struct route_norm *r)
{
	if (r->others >= ROUTE_NO_ID || !r->digits)
		return 0;
	if (r->digits == r->len)
		return 1;
	if (r->len == ROUTE_NUID_LEN && !r->dashes)
		return 1;
	return !r->others && r->len >= ROUTE_HEX_MIN;
}

/* The token at the end of the output is complete. */
static inline void route__end_token(struct route_norm *r)
{
	if (route__is_id(r)) {
		r->out = r->start;
		r->cut = 0;
		route__put(r, '*');
	}
	r->len = r->digits = r->dashes = r->others = 0;
}

/* Is the first token, now complete, an inbox prefix? */
static inline int route__is_inbox(const struct route_norm *r)
{
	return r->out == 6 && r->name[0] == '_' && r->name[1] == 'I' && r->name[2] == 'N' &&
	       r->name[3] == 'B' && r->name[4] == 'O' && r->name[5] == 'X';
}

static inline void route__byte(struct route_norm *r, unsigned char c)
{
	unsigned char low = c | 0x20;

	if (r->inbox)
		return;
	if (c == '.') {
		int inbox = r->start == 0 && route__is_inbox(r);

		route__end_token(r);
		route__put(r, '.');
		r->start = r->out;
		if (inbox) {
			route__put(r, '*');
			r->inbox = 1;
		}
		return;
	}
	r->len++;
	if (c >= '0' && c <= '9')
		r->digits++;
	else if (c == '-')
		r->dashes++;
	else if (low >= 'g' && low <= 'z')
		r->others++;
	else if (low < 'a' || low > 'f')
		r->others += ROUTE_NO_ID;
	route__put(r, (char)c);
}

#define ROUTE_PATH_ID 16

/* The path segment at the end of the output is complete. */
static inline void route__end_segment(struct route_norm *r)
{
	int number = r->digits && r->digits + r->dashes == r->len;
	int id = r->len >= ROUTE_PATH_ID && r->digits &&
		 (!r->others || r->digits >= 4 || r->cases == 3);

	if (r->others >= ROUTE_NO_ID)
		id = 1;
	if (number || id) {
		r->out = r->start;
		r->cut = 0;
		route__put(r, '{');
		if (!number)
			route__put(r, 'i');
		route__put(r, number ? 'n' : 'd');
		route__put(r, '}');
	}
	r->len = r->digits = r->dashes = r->others = r->cases = r->past = 0;
}

/* May stand in a route as it is, besides letters and digits. */
static inline int route__is_plain(unsigned char c)
{
	return c == '.' || c == '_' || c == '~' || c == ':' || c == '!' || c == '$' || c == '\'' ||
	       (c >= '(' && c <= ',');
}

/* A byte of an HTTP path, and of "METHOD " in front of it. */
static inline void route__path_byte(struct route_norm *r, unsigned char c)
{
	unsigned char low = c | 0x20;

	if (c == '/' || c == ' ') {
		route__end_segment(r);
		route__put(r, (char)c);
		r->start = r->out;
		return;
	}
	if (c == ';')
		r->past = 1;
	if (r->past)
		return;
	r->len++;
	if (c >= '0' && c <= '9')
		r->digits++;
	else if (c == '-')
		r->dashes++;
	else if (low >= 'a' && low <= 'z') {
		r->others += low >= 'g';
		r->cases |= c == low ? 1 : 2;
	} else
		r->others += route__is_plain(c) ? 1 : ROUTE_NO_ID;
	route__put(r, (char)c);
}

/* r->name becomes the route, filled with zeros: it is a key as a whole. */
static inline void route__close(struct route_norm *r)
{
	__u32 i;

	/* What is left of a token that became a '*'. Volatile: no memset, which BPF has not. */
	for (i = 0; i < ROUTE_LEN; i++) {
		if (i >= *(volatile __u32 *)&r->out)
			*(volatile char *)&r->name[i] = 0;
	}
	if (r->cut)
		r->name[ROUTE_LEN - 2] = '>';
}

/* After a subject's last byte. */
static inline void route__end(struct route_norm *r)
{
	if (!r->inbox)
		route__end_token(r);
	route__close(r);
}

/* After a path's. `more`: the path goes on, and is not looked at. */
static inline void route__path_end(struct route_norm *r, __u32 more)
{
	route__end_segment(r);
	if (more) {
		route__put(r, '>');
		r->cut = r->out == ROUTE_LEN - 1;
	}
	route__close(r);
}

#endif
