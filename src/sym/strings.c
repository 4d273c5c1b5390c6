/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A set of strings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sym/strings.h"

/* FNV-1a */
static size_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ull;
	return (size_t)(h ^ h >> 32);
}

static char **slot_of(char **table, size_t slots, const char *string)
{
	size_t i = hash(string) & (slots - 1);

	while (table[i] && strcmp(table[i], string) != 0)
		i = (i + 1) & (slots - 1);
	return &table[i];
}

static int make_room(struct strings *s)
{
	size_t slots = s->slots ? s->slots * 2 : 1024;
	char **table;

	if (s->n * 2 < s->slots)
		return 0;
	table = calloc(slots, sizeof(*table));
	if (!table)
		return -1;
	for (size_t i = 0; i < s->slots; i++)
		if (s->slot[i])
			*slot_of(table, slots, s->slot[i]) = s->slot[i];
	free(s->slot);
	s->slot = table;
	s->slots = slots;
	return 0;
}

const char *strings__add(struct strings *s, const char *string)
{
	char **slot;

	if (make_room(s))
		return "[out of memory]";
	slot = slot_of(s->slot, s->slots, string);
	if (!*slot) {
		*slot = strdup(string);
		if (!*slot)
			return "[out of memory]";
		s->n++;
	}
	return *slot;
}

void strings__free(struct strings *s)
{
	for (size_t i = 0; i < s->slots; i++)
		free(s->slot[i]);
	free(s->slot);
	memset(s, 0, sizeof(*s));
}
