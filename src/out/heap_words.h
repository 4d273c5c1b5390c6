/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all outputs of a heap profile say in words. */
#ifndef HOPSCOPE_OUT_HEAP_WORDS_H
#define HOPSCOPE_OUT_HEAP_WORDS_H

#include <stdbool.h>

#include "model/heap.h"
#include "out/text.h"

/* "redis-server[12]: memory held by stack, 10.0 s": printable. */
void heap_words__title(struct text *t, const struct heap_profile *p, bool grown);
/* What the numbers are and are not: "exact: every allocation since the attach (glibc)." */
void heap_words__label(struct text *t, const struct heap_profile *p);

#endif
