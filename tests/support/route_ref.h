/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reference for include/route.h: whole strings, written from the rules in its comment alone. */
#ifndef TESTS_ROUTE_REF_H
#define TESTS_ROUTE_REF_H

#include <stdio.h>
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

/* include/route.h over "METHOD " and a path of which no more than `most` bytes are looked at. */
static inline void route__path(struct route_norm *r, const char *method, const void *path,
			       size_t len, size_t most)
{
	const unsigned char *p = path;

	memset(r, 0, sizeof(*r));
	for (; *method; method++)
		route__path_byte(r, (unsigned char)*method);
	route__path_byte(r, ' ');
	for (size_t i = 0; i < len && i < most; i++)
		route__path_byte(r, p[i]);
	route__path_end(r, len > most);
}

/* What stands for a path segment: itself, "{n}" or "{id}". */
static inline const char *route_ref__segment(const unsigned char *s, size_t n)
{
	size_t digits = 0, dashes = 0, hex = 0, small = 0, capital = 0;

	for (size_t i = 0; i < n; i++) {
		digits += route_ref__in(s[i], "0123456789") != 0;
		hex += route_ref__in(s[i], "0123456789abcdefABCDEF") != 0;
		small += s[i] >= 'a' && s[i] <= 'z';
		capital += s[i] >= 'A' && s[i] <= 'Z';
		dashes += s[i] == '-';
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
		      route_ref__in(s[i], "0123456789-._~:!$'()*+,")))
			return "{id}";
	}
	if (digits && digits + dashes == n)
		return "{n}";
	if (n >= 16 && digits && (hex + dashes == n || digits >= 4 || (small && capital)))
		return "{id}";
	return NULL;
}

static inline void route_ref__path(const char *method, const void *path, size_t len, char *out)
{
	const unsigned char *s = path;
	char *all = malloc(strlen(method) + 5 * len + 8);
	size_t n = (size_t)sprintf(all, "%s ", method), from = 0;

	for (size_t i = 0; i <= len; i++) {
		const unsigned char *end;
		const char *put;
		size_t m;

		if (i < len && s[i] != '/' && s[i] != ' ')
			continue;
		end = memchr(s + from, ';', i - from);
		m = end ? (size_t)(end - (s + from)) : i - from;
		put = route_ref__segment(s + from, m);
		memcpy(all + n, put ? put : (const char *)s + from, put ? strlen(put) : m);
		n += put ? strlen(put) : m;
		if (i < len)
			all[n++] = (char)s[i];
		from = i + 1;
	}
	memset(out, 0, ROUTE_LEN);
	memcpy(out, all, n < ROUTE_LEN - 1 ? n : ROUTE_LEN - 1);
	if (n > ROUTE_LEN - 1)
		out[ROUTE_LEN - 2] = '>';
	free(all);
}

#endif
