/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sites put together: those that a reader could not tell apart become one. */
#ifndef HOPSCOPE_MODEL_HEAP_SITES_H
#define HOPSCOPE_MODEL_HEAP_SITES_H

#include "model/arena.h"
#include "model/heap.h"

enum heap_key {
	HEAP_BY_LINE,	  /* process, functions, lines */
	HEAP_BY_FUNCTION, /* process name, functions: holds across restarts and small changes */
};

struct heap_sites {
	struct arena *arena; /* what sites point into */
	enum heap_key key;
	struct heap_site *sites; /* owned until taken */
	size_t n, size;
	size_t *index; /* hash table of positions + 1 */
	size_t index_size;
};

/* 0 or -ENOMEM. */
int heap_sites__init(struct heap_sites *s, enum heap_key key);
void heap_sites__free(struct heap_sites *s);
/* Adds to the site of the same key, or makes one. Strings and frames are copied. 0 or -ENOMEM. */
int heap_sites__add(struct heap_sites *s, const struct heap_site *site);
/* Gives sites and arena to the profile, in place of what it had, sorted. */
void heap_sites__take(struct heap_sites *s, struct heap_profile *p);

#endif
