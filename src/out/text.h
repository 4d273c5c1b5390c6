/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Text for terminals and documents. Names come from network traffic and are hostile: whatever is
 * not a printable character (control bytes, invalid UTF-8, bidirectional overrides, invisible
 * characters) is written as \xNN or \u{NNNN}.
 */
#ifndef HOPSCOPE_OUT_TEXT_H
#define HOPSCOPE_OUT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A growing string. A zeroed one is empty; `failed` is sticky, so that callers check once. */
struct text {
	char *data; /* NUL-terminated once something was added; owned */
	size_t len;
	size_t size;
	bool failed; /* out of memory: what was added since is missing */
};

void text__free(struct text *t);
void text__add(struct text *t, const char *s);
void text__addn(struct text *t, const char *s, size_t n);
void text__addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* s with everything unprintable escaped. Escaping twice is escaping once. */
void text__add_printable(struct text *t, const char *s);
/* s (printable) within XML text or an attribute; and the same of any s, made printable. */
void text__add_xml(struct text *t, const char *s);
void text__add_xml_printable(struct text *t, const char *s);
/* Writes all of it, flushes and frees it. 0, -ENOMEM (it failed, and nothing is written) or -EIO.
 */
int text__print(struct text *t, FILE *out);
/* A printable string, the columns it takes on a terminal. */
size_t text__width(const char *s);
/* Adds s (printable), cut to `width` columns with an ellipsis, or padded on the right. */
void text__add_fit(struct text *t, const char *s, size_t width);
/* Decodes one code point and its length in bytes; invalid: -1 and a length of 1. */
int32_t text__decode(const char *s, size_t *len);
/* Whether a code point may be written as it is. */
bool text__is_printable(int32_t cp);

#endif
