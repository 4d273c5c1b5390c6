/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory that is freed all at once, and strings that are kept once. */
#ifndef HOPSCOPE_MODEL_ARENA_H
#define HOPSCOPE_MODEL_ARENA_H

#include <stddef.h>

struct arena;

/* NULL: out of memory. So too the others. */
struct arena *arena__new(void);
void arena__free(struct arena *a); /* accepts NULL */

/* Zeroed, aligned for anything. */
void *arena__alloc(struct arena *a, size_t size);
/* The arena's own copy of s: equal strings give the same pointer. NULL gives NULL. */
const char *arena__string(struct arena *a, const char *s);

#endif
