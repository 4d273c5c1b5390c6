/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/heap_sites.h"

int heap_sites__init(struct heap_sites *s, enum heap_key key)
{
	memset(s, 0, sizeof(*s));
	s->key = key;
	s->arena = arena__new();
	s->index_size = 256;
	s->index = calloc(s->index_size, sizeof(*s->index));
	if (s->arena && s->index)
		return 0;
	heap_sites__free(s);
	return -ENOMEM;
}

void heap_sites__free(struct heap_sites *s)
{
	arena__free(s->arena);
	free(s->sites);
	free(s->index);
	memset(s, 0, sizeof(*s));
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15;
	return h ^ h >> 29;
}

/* Strings are interned: equal ones have one address. */
static uint64_t hash_of(const struct heap_sites *s, const struct heap_site *site)
{
	uint64_t h = mix(site->n_frames, (uintptr_t)site->comm);

	if (s->key == HEAP_BY_LINE)
		h = mix(h, site->tgid);
	for (size_t i = 0; i < site->n_frames; i++) {
		const struct heap_frame *f = &site->frames[i];

		h = mix(mix(h, (uintptr_t)f->function), (uintptr_t)f->module);
		if (s->key == HEAP_BY_LINE)
			h = mix(h, f->line);
		if (heap_frame__unknown(f))
			h = mix(h, f->offset);
	}
	return h;
}

static bool same_frame(enum heap_key key, const struct heap_frame *a, const struct heap_frame *b)
{
	if (a->function != b->function || a->module != b->module)
		return false;
	if (heap_frame__unknown(a) && a->offset != b->offset)
		return false;
	return key != HEAP_BY_LINE || (a->source == b->source && a->line == b->line);
}

static bool same(enum heap_key key, const struct heap_site *a, const struct heap_site *b)
{
	if (a->comm != b->comm || a->n_frames != b->n_frames)
		return false;
	if (key == HEAP_BY_LINE && a->tgid != b->tgid)
		return false;
	for (size_t i = 0; i < a->n_frames; i++)
		if (!same_frame(key, &a->frames[i], &b->frames[i]))
			return false;
	return true;
}

static size_t *place(struct heap_sites *s, const struct heap_site *site)
{
	size_t mask = s->index_size - 1;

	for (size_t i = hash_of(s, site) & mask;; i = (i + 1) & mask)
		if (!s->index[i] || same(s->key, &s->sites[s->index[i] - 1], site))
			return &s->index[i];
}

static int grow(struct heap_sites *s)
{
	size_t size = s->size ? s->size * 2 : 64;
	struct heap_site *sites = realloc(s->sites, size * sizeof(*sites));
	size_t *index;

	if (!sites)
		return -ENOMEM;
	s->sites = sites;
	s->size = size;
	if (size * 2 <= s->index_size)
		return 0;
	index = calloc(size * 4, sizeof(*index));
	if (!index)
		return -ENOMEM;
	free(s->index);
	s->index = index;
	s->index_size = size * 4;
	for (size_t i = 0; i < s->n; i++)
		*place(s, &s->sites[i]) = i + 1;
	return 0;
}

static void add_numbers(struct heap_site *to, const struct heap_site *from)
{
	to->flags |= from->flags;
	to->bytes += from->bytes;
	to->blocks += from->blocks;
	to->bytes_error = hypot(to->bytes_error, from->bytes_error);
	to->grown_bytes += from->grown_bytes;
	to->grown_blocks += from->grown_blocks;
	to->total_bytes += from->total_bytes;
	to->total_blocks += from->total_blocks;
	to->age_s = fmax(to->age_s, from->age_s); /* the other one when one is NaN */
}

static int copy_frames(struct heap_sites *s, struct heap_site *site)
{
	struct heap_frame *frames = arena__alloc(s->arena, site->n_frames * sizeof(*frames) + 1);

	if (!frames)
		return -ENOMEM;
	for (size_t i = 0; i < site->n_frames; i++) {
		const struct heap_frame *f = &site->frames[i];

		frames[i] = *f;
		frames[i].function =
			arena__string(s->arena, f->function ? f->function : HEAP_UNKNOWN);
		frames[i].module = arena__string(s->arena, f->module ? f->module : "");
		frames[i].source = arena__string(s->arena, f->source);
		if (!frames[i].function || !frames[i].module || (f->source && !frames[i].source))
			return -ENOMEM;
	}
	site->frames = frames;
	return 0;
}

int heap_sites__add(struct heap_sites *s, const struct heap_site *site)
{
	struct heap_site copy = *site;
	size_t *at;
	int err;

	if (s->n == s->size) {
		err = grow(s);
		if (err)
			return err;
	}
	copy.comm = arena__string(s->arena, site->comm ? site->comm : "");
	err = copy.comm ? copy_frames(s, &copy) : -ENOMEM;
	if (err)
		return err;
	at = place(s, &copy);
	if (*at) {
		add_numbers(&s->sites[*at - 1], &copy);
		return 0;
	}
	s->sites[s->n] = copy;
	*at = ++s->n;
	return 0;
}

void heap_sites__take(struct heap_sites *s, struct heap_profile *p)
{
	heap_profile__free(p);
	p->sites = s->sites;
	p->n_sites = s->n;
	p->memory = s->arena;
	s->sites = NULL;
	s->arena = NULL;
	heap_sites__free(s);
	heap_profile__sort(p, HEAP_SORT_BYTES);
}
