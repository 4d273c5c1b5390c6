/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Strings kept once, at places that do not move. */
#ifndef HOPSCOPE_SYM_STRINGS_H
#define HOPSCOPE_SYM_STRINGS_H

#include <stddef.h>

struct strings {
	char **slot; /* hash table, at most half full */
	size_t n, slots;
};

/* The kept copy. Out of memory: a text that says so. */
const char *strings__add(struct strings *s, const char *string);
void strings__free(struct strings *s);

#endif
