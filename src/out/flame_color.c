/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A colour for each module: mostly the same in every graph, and never that of another in this one.
 */
#include <stdlib.h>
#include <string.h>

#include "out/flame_tree.h"

#define MAX_MODULES 64 /* further ones share colours */
#define APART	    24 /* degrees that can be told apart, while there are few */
#define STEP	    47

struct hues {
	const char *module[MAX_MODULES];
	unsigned int hue[MAX_MODULES];
	size_t n;
};

static unsigned int hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return (h ^ h >> 15) % 360;
}

static bool is_free(const struct hues *h, unsigned int hue)
{
	for (size_t i = 0; i < h->n; i++) {
		unsigned int d = (hue + 360 - h->hue[i]) % 360;

		if (d < APART || d > 360 - APART)
			return false;
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t place(const struct hues *h, const char *module, size_t n)
{
	size_t i = 0;

	while (i < n && strcmp(h->module[i], module) != 0)
		i++;
	return i;
}

void flame_tree__color(struct flame_tree *t)
{
	struct hues h = {0};
	size_t n = 0, at;

	for (size_t i = 0; i < t->n && n < MAX_MODULES; i++)
		if (place(&h, t->nodes[i].module, n) == n)
			h.module[n++] = t->nodes[i].module;
	if (n)
		qsort(h.module, n, sizeof(h.module[0]), by_name);
	for (; h.n < n; h.n++) {
		unsigned int hue = hash_of(h.module[h.n]);

		for (int tries = 0; tries < 360 / APART && !is_free(&h, hue); tries++)
			hue = (hue + STEP) % 360;
		h.hue[h.n] = hue;
	}
	for (size_t i = 0; i < t->n; i++) {
		at = place(&h, t->nodes[i].module, n);
		t->nodes[i].hue = at < n ? h.hue[at] : hash_of(t->nodes[i].module);
	}
}
