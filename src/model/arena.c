/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/arena.h"

#define CHUNK ((size_t)64 << 10)

struct chunk {
	struct chunk *next;
	size_t used, size;
	max_align_t data[];
};

struct interned {
	uint64_t hash;
	const char *s; /* NULL: free */
};

struct arena {
	struct chunk *chunks; /* the one being filled comes first */
	struct interned *table;
	size_t n, size; /* size: a power of two */
};

struct arena *arena__new(void)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->size = 256;
	a->table = calloc(a->size, sizeof(*a->table));
	if (!a->table) {
		free(a);
		return NULL;
	}
	return a;
}

void arena__free(struct arena *a)
{
	struct chunk *c, *next;

	if (!a)
		return;
	for (c = a->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a->table);
	free(a);
}

void *arena__alloc(struct arena *a, size_t size)
{
	struct chunk *c = a->chunks;
	size_t room;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	if (!c || c->size - c->used < size) {
		room = size > CHUNK ? size : CHUNK;
		c = calloc(1, sizeof(*c) + room);
		if (!c)
			return NULL;
		c->size = room;
		c->next = a->chunks;
		a->chunks = c;
	}
	p = (char *)c->data + c->used;
	c->used += size;
	return p;
}

static uint64_t hash_of(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h ^ h >> 32;
}

/* Where the string is, or the free place where it belongs. */
static struct interned *place(struct interned *table, size_t size, uint64_t hash, const char *s)
{
	for (size_t i = hash & (size - 1);; i = (i + 1) & (size - 1))
		if (!table[i].s || (table[i].hash == hash && !strcmp(table[i].s, s)))
			return &table[i];
}

static int grow(struct arena *a)
{
	size_t size = a->size * 2;
	struct interned *table = calloc(size, sizeof(*table));

	if (!table)
		return -1;
	for (size_t i = 0; i < a->size; i++)
		if (a->table[i].s)
			*place(table, size, a->table[i].hash, a->table[i].s) = a->table[i];
	free(a->table);
	a->table = table;
	a->size = size;
	return 0;
}

const char *arena__string(struct arena *a, const char *s)
{
	struct interned *e;
	size_t len;
	char *copy;

	if (!s)
		return NULL;
	if (a->n * 2 >= a->size && grow(a))
		return NULL;
	e = place(a->table, a->size, hash_of(s), s);
	if (e->s)
		return e->s;
	len = strlen(s) + 1;
	copy = arena__alloc(a, len);
	if (!copy)
		return NULL;
	memcpy(copy, s, len);
	*e = (struct interned){.hash = hash_of(s), .s = copy};
	a->n++;
	return copy;
}
