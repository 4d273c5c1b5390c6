/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "out/json_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define REAL_DIGITS 15	 /* as in out/json.c */
#define WHOLE_LIMIT 9e15 /* integers beyond this are not exact in a double */

static void begin(struct json_text *j, const char *key)
{
	if (j->more)
		text__addn(&j->text, ", ", 2);
	j->more = true;
	if (!key)
		return;
	text__addn(&j->text, "\"", 1);
	text__add(&j->text, key);
	text__addn(&j->text, "\": ", 3);
}

void json_text__open(struct json_text *j, const char *key, char c)
{
	begin(j, key);
	text__addn(&j->text, &c, 1);
	j->more = false;
}

void json_text__close(struct json_text *j, char c)
{
	text__addn(&j->text, &c, 1);
	j->more = true;
}

/* Printable, so quotes and backslashes are all there is to escape. */
static void add_escaped(struct json_text *j, const char *s)
{
	size_t n;

	for (; *s; s++) {
		n = strcspn(s, "\"\\");
		text__addn(&j->text, s, n);
		s += n;
		if (!*s)
			return;
		text__addn(&j->text, "\\", 1);
		text__addn(&j->text, s, 1);
	}
}

void json_text__text(struct json_text *j, const char *key, const char *s)
{
	/* Most names are made of these alone. */
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789 ./:_-(),%+";
	struct text printable = {0};
	size_t n;

	if (!s) {
		json_text__null(j, key);
		return;
	}
	begin(j, key);
	text__addn(&j->text, "\"", 1);
	n = strspn(s, plain);
	text__addn(&j->text, s, n);
	if (s[n]) {
		text__add_printable(&printable, s + n);
		j->text.failed = j->text.failed || printable.failed;
		if (printable.data)
			add_escaped(j, printable.data);
		text__free(&printable);
	}
	text__addn(&j->text, "\"", 1);
}

void json_text__integer(struct json_text *j, const char *key, int64_t v)
{
	uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char digits[24], *p = digits + sizeof(digits);

	begin(j, key);
	do {
		*--p = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (v < 0)
		*--p = '-';
	text__addn(&j->text, p, (size_t)(digits + sizeof(digits) - p));
}

void json_text__number(struct json_text *j, const char *key, double v)
{
	char digits[40];

	if (!isfinite(v)) {
		json_text__null(j, key);
	} else if (v == rint(v) && fabs(v) < WHOLE_LIMIT) {
		json_text__integer(j, key, (int64_t)v);
	} else {
		begin(j, key);
		snprintf(digits, sizeof(digits), "%.*g", REAL_DIGITS, v);
		text__add(&j->text, digits);
		if (!strpbrk(digits, ".e")) /* rounded to a whole number, and still a real */
			text__addn(&j->text, ".0", 2);
	}
}

void json_text__bool(struct json_text *j, const char *key, bool v)
{
	begin(j, key);
	text__add(&j->text, v ? "true" : "false");
}

void json_text__null(struct json_text *j, const char *key)
{
	begin(j, key);
	text__addn(&j->text, "null", 4);
}
