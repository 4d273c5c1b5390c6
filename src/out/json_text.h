/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * JSON written as text at once, for lines that are long and frequent: json_t values first cost
 * several times as much (docs/measured.md). The caller opens and closes in turn; out of memory
 * shows in text.failed, once, at the end.
 */
#ifndef HOPSCOPE_OUT_JSON_TEXT_H
#define HOPSCOPE_OUT_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "out/text.h"

struct json_text {
	struct text text; /* owned: text__free() */
	bool more;	  /* a comma is due before the next key or value */
};

/* `c` is '{' or '['. The key is a literal; NULL: an element of an array, or the whole. */
void json_text__open(struct json_text *j, const char *key, char c);
void json_text__close(struct json_text *j, char c);
/* Values, the same as session__text(), session__number() and json_integer() give. */
void json_text__text(struct json_text *j, const char *key, const char *s);
void json_text__number(struct json_text *j, const char *key, double v);
void json_text__integer(struct json_text *j, const char *key, int64_t v);
void json_text__bool(struct json_text *j, const char *key, bool v);
void json_text__null(struct json_text *j, const char *key);

#endif
