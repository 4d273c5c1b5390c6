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

/* After the last byte. r->name is the route, filled with zeros: it is a key as a whole. */
static inline void route__end(struct route_norm *r)
{
	__u32 i;

	if (!r->inbox)
		route__end_token(r);
	/* What is left of a token that became a '*'. Volatile: no memset, which BPF has not. */
	for (i = 0; i < ROUTE_LEN; i++) {
		if (i >= *(volatile __u32 *)&r->out)
			*(volatile char *)&r->name[i] = 0;
	}
	if (r->cut)
		r->name[ROUTE_LEN - 2] = '>';
}

#endif
