/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reference RESP parser: whole buffer, recursive, string functions, written from the protocol's
 * specification. A stream that begins at a boundary goes in; its units come out.
 */
#ifndef TESTS_REDIS_REF_H
#define TESTS_REDIS_REF_H

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct redis_ref_unit {
	uint64_t pos, end;
	char first[64]; /* first string or a line's first word, upper case */
	char top;
};

struct redis_ref {
	struct redis_ref_unit *unit;
	size_t n;
	int bad; /* what follows the last unit is bad, else it is incomplete */
};

/* Length of the element at s, 0: incomplete, -1: bad. */
static inline int64_t redis_ref__element(const uint8_t *s, size_t len, int depth, int command,
					 char *first)
{
	const uint8_t *cr = memchr(s, '\n', len);
	int64_t at, n, rc;
	char *e;

	if (!len || !cr)
		return 0;
	at = cr - s + 1;
	if (at < 3 || s[at - 2] != '\r' || depth > 2000)
		return -1;
	if (strchr("+-:_#,(", s[0]) && s[0]) {
		size_t i;

		for (i = 0;
		     first && !*first && s[0] == '-' && i < 63 && s[1 + i] > ' ' && s[1 + i] < 127;
		     i++)
			;
		for (size_t k = 0; first && k < i && i <= 24; k++)
			first[k] = (char)toupper(s[1 + k]);
		return command ? -1 : at;
	}
	if (!s[0] || !strchr("$=!*%~>|", s[0]) || at - 3 > 10)
		return -1;
	if (s[1] == '-') {
		if (at != 5 || s[2] != '1' || command || !strchr("$*", s[0]))
			return -1;
		return at;
	}
	if (!isdigit(s[1]))
		return -1;
	n = strtoll((const char *)s + 1, &e, 10);
	if (e != (const char *)s + at - 2 || n > 0x7fffffff)
		return -1;
	if (strchr("$=!", s[0])) {
		if (command && (depth != 1 || s[0] != '$'))
			return -1;
		if ((int64_t)len < at + n + 2)
			return 0;
		if (s[at + n] != '\r' || s[at + n + 1] != '\n')
			return -1;
		if (first && !*first && n <= 24) {
			for (int64_t i = 0; i < n; i++)
				first[i] = (char)toupper(s[at + i]);
		}
		if (first && !*first)
			*first = ' '; /* only the first string counts */
		return at + n + 2;
	}
	if (command && (depth || s[0] != '*' || !n || n > 1 << 20))
		return -1;
	if (s[0] == '>' && depth)
		return -1;
	if (strchr("%|", s[0]))
		n *= 2;
	n += s[0] == '|';
	while (n--) {
		rc = redis_ref__element(s + at, len - (size_t)at, depth + 1, command, first);
		if (rc <= 0)
			return rc;
		at += rc;
	}
	return at;
}

static inline void redis_ref__read(struct redis_ref *ref, const uint8_t *s, size_t len,
				   int commands)
{
	size_t at = 0, room = 0;

	memset(ref, 0, sizeof(*ref));
	while (at < len) {
		struct redis_ref_unit u = {.pos = at, .top = (char)s[at]};
		int64_t n;

		if (commands && ref->n && (s[at] == '\r' || s[at] == '\n')) {
			at++;
			continue;
		}
		if (commands && ref->n && isalpha(s[at])) { /* inline */
			const uint8_t *lf = memchr(s + at, '\n', len - at);
			size_t i;

			n = lf ? lf - (s + at) + 1 : 0;
			u.top = 0;
			for (i = 0; lf && s[at + i] > ' ' && s[at + i] < 127; i++)
				;
			for (size_t k = 0; i <= 24 && k < i; k++)
				u.first[k] = (char)toupper(s[at + k]);
		} else {
			n = redis_ref__element(s + at, len - at, 0, commands, u.first);
		}
		ref->bad = n < 0;
		if (n <= 0)
			return;
		if (*u.first == ' ')
			*u.first = 0;
		if (ref->n == room) {
			room = room ? 2 * room : 64;
			ref->unit = realloc(ref->unit, room * sizeof(u));
			if (!ref->unit)
				abort();
		}
		u.end = at + (uint64_t)n;
		ref->unit[ref->n++] = u;
		at = u.end;
	}
}

static inline void redis_ref__free(struct redis_ref *ref)
{
	free(ref->unit);
	memset(ref, 0, sizeof(*ref));
}

#endif
