/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text that is safe to show. */
#define _GNU_SOURCE /* vasprintf */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out/text.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

struct range {
	int32_t from, to;
};

/* Controls, invisible characters, and those that reorder what surrounds them. */
static const struct range unprintable[] = {
	{0x0000, 0x001f}, {0x007f, 0x009f},   {0x00ad, 0x00ad},	  {0x034f, 0x034f},
	{0x061c, 0x061c}, {0x115f, 0x1160},   {0x17b4, 0x17b5},	  {0x180b, 0x180f},
	{0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},	  {0x3164, 0x3164},
	{0xfe00, 0xfe0f}, {0xfeff, 0xfeff},   {0xffa0, 0xffa0},	  {0xfff0, 0xfffb},
	{0xfffe, 0xffff}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff},
};

static const struct range zero_width[] = {
	{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f},
	{0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe20, 0xfe2f},
};

static const struct range double_width[] = {
	{0x1100, 0x115f},   {0x2e80, 0x303e},	{0x3041, 0x33ff},   {0x3400, 0x4dbf},
	{0x4e00, 0x9fff},   {0xa000, 0xa4cf},	{0xa960, 0xa97f},   {0xac00, 0xd7a3},
	{0xf900, 0xfaff},   {0xfe30, 0xfe6f},	{0xff00, 0xff60},   {0xffe0, 0xffe6},
	{0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

static bool within(int32_t cp, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cp >= r[i].from && cp <= r[i].to)
			return true;
	return false;
}

void text__free(struct text *t)
{
	free(t->data);
	memset(t, 0, sizeof(*t));
}

int text__print(struct text *t, FILE *out)
{
	int err = 0;

	if (t->failed)
		err = -ENOMEM;
	else if ((t->len && fwrite(t->data, 1, t->len, out) != t->len) || fflush(out))
		err = -EIO;
	text__free(t);
	return err;
}

void text__addn(struct text *t, const char *s, size_t n)
{
	size_t size = t->size ? t->size : 64;
	char *data;

	if (t->failed)
		return;
	while (size - t->len <= n)
		size *= 2;
	if (size != t->size) {
		data = realloc(t->data, size);
		if (!data) {
			t->failed = true;
			return;
		}
		t->data = data;
		t->size = size;
	}
	memcpy(t->data + t->len, s, n);
	t->len += n;
	t->data[t->len] = 0;
}

void text__add(struct text *t, const char *s)
{
	text__addn(t, s, strlen(s));
}

void text__addf(struct text *t, const char *fmt, ...)
{
	char buf[256], *big = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	if (n < 0) {
		t->failed = true;
		return;
	}
	if ((size_t)n < sizeof(buf)) {
		text__addn(t, buf, (size_t)n);
		return;
	}
	va_start(args, fmt);
	n = vasprintf(&big, fmt, args);
	va_end(args);
	if (n < 0) {
		t->failed = true;
		return;
	}
	text__addn(t, big, (size_t)n);
	free(big);
}

int32_t text__decode(const char *s, size_t *len)
{
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = (unsigned char)s[0];
	size_t n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 4;
	int32_t cp;

	*len = 1;
	if (n == 1)
		return c;
	if (n == 4 && (c & 0xf8) != 0xf0)
		return -1;
	cp = c & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		/* the terminating 0 is no continuation byte, so this stays within the string */
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return -1;
		cp = cp << 6 | (s[i] & 0x3f);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return -1;
	*len = n;
	return cp;
}

bool text__is_printable(int32_t cp)
{
	return cp >= 0 && !within(cp, unprintable, ARRAY_LEN(unprintable));
}

void text__add_printable(struct text *t, const char *s)
{
	size_t len;

	for (; *s; s += len) {
		int32_t cp = text__decode(s, &len);

		if (text__is_printable(cp))
			text__addn(t, s, len);
		else if (cp < 0x80)
			text__addf(t, "\\x%02x", (unsigned char)*s);
		else
			text__addf(t, "\\u{%04x}", (unsigned int)cp);
	}
}

void text__add_xml(struct text *t, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&': text__add(t, "&amp;"); break;
		case '<': text__add(t, "&lt;"); break;
		case '>': text__add(t, "&gt;"); break;
		case '"': text__add(t, "&quot;"); break;
		case '\'': text__add(t, "&#39;"); break;
		default: text__addn(t, s, 1);
		}
	}
}

void text__add_xml_printable(struct text *t, const char *s)
{
	struct text safe = {0};

	text__add_printable(&safe, s);
	text__add_xml(t, safe.data ? safe.data : "");
	t->failed = t->failed || safe.failed;
	text__free(&safe);
}

static size_t width_of(int32_t cp)
{
	if (within(cp, zero_width, ARRAY_LEN(zero_width)))
		return 0;
	return within(cp, double_width, ARRAY_LEN(double_width)) ? 2 : 1;
}

size_t text__width(const char *s)
{
	size_t width = 0, len;

	for (; *s; s += len)
		width += width_of(text__decode(s, &len));
	return width;
}

void text__add_fit(struct text *t, const char *s, size_t width)
{
	size_t all = text__width(s), used = 0, len;

	if (all <= width) {
		text__addf(t, "%s%*s", s, (int)(width - all), "");
		return;
	}
	for (; *s && width; s += len) {
		size_t w = width_of(text__decode(s, &len));

		if (used + w > width - 1)
			break;
		text__addn(t, s, len);
		used += w;
	}
	if (width)
		text__addf(t, "…%*s", (int)(width - 1 - used), "");
}
