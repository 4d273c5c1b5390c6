/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reference for include/route.h: whole strings, written from the rules in its comment alone. */
#ifndef TESTS_ROUTE_REF_H
#define TESTS_ROUTE_REF_H

#include <stdlib.h>
#include <string.h>

#include "route.h"

/* include/route.h over a whole subject. */
static inline void route__normalise(struct route_norm *r, const void *subject, size_t len)
{
	const unsigned char *s = subject;

	memset(r, 0, sizeof(*r));
	for (size_t i = 0; i < len; i++)
		route__byte(r, s[i]);
	route__end(r);
}

static inline int route_ref__in(unsigned char c, const char *set)
{
	return c && strchr(set, c) != NULL;
}

/* Does the token name one thing? */
static inline int route_ref__is_id(const unsigned char *s, size_t n)
{
	size_t digits = 0, letters = 0, hex = 0, dashes = 0;

	for (size_t i = 0; i < n; i++) {
		digits += route_ref__in(s[i], "0123456789") != 0;
		letters += (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z');
		hex += route_ref__in(s[i], "0123456789abcdefABCDEF") != 0;
		dashes += s[i] == '-';
	}
	if (!digits)
		return 0;
	if (digits == n)
		return 1;
	if (n == 22 && digits + letters == n)
		return 1;
	return n >= 16 && hex + dashes == n;
}

/* The route of a subject; out has ROUTE_LEN bytes. */
static inline void route_ref(const void *subject, size_t len, char *out)
{
	const unsigned char *s = subject;
	char *all = malloc(len + 2);
	size_t n = 0, from = 0;

	if (!all)
		abort();
	for (size_t i = 0; i <= len; i++) {
		if (i < len && s[i] != '.')
			continue;
		if (route_ref__is_id(s + from, i - from)) {
			all[n++] = '*';
		} else if (i > from) {
			memcpy(all + n, s + from, i - from);
			n += i - from;
		}
		if (i < len)
			all[n++] = '.';
		from = i + 1;
	}
	if (len >= 7 && !memcmp(s, "_INBOX.", 7)) {
		memcpy(all, "_INBOX.*", 8);
		n = 8;
	}
	memset(out, 0, ROUTE_LEN);
	memcpy(out, all, n < ROUTE_LEN - 1 ? n : ROUTE_LEN - 1);
	if (n > ROUTE_LEN - 1)
		out[ROUTE_LEN - 2] = '>';
	free(all);
}

#endif
