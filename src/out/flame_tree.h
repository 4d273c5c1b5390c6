/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stacks with a common beginning, put together. */
#ifndef HOPSCOPE_OUT_FLAME_TREE_H
#define HOPSCOPE_OUT_FLAME_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/arena.h"
#include "model/heap.h"

struct flame_node {
	const char *name;   /* printable */
	const char *module; /* printable; "" when not known */
	unsigned int depth; /* 0: the whole */
	double x;	    /* where it begins, bytes */
	double value;	    /* its width, bytes */
	double bytes, blocks, grown;
	unsigned int hue; /* of its module: flame_tree__color() */
};

struct flame_tree {
	struct flame_node *nodes; /* parents before children, from left to right */
	size_t n, size;
	unsigned int depth; /* of the deepest */
	struct arena *arena;
};

/* `grown`: width is |growth|, else bytes held. 0 or -ENOMEM. */
int flame_tree__make(struct flame_tree *t, const struct heap_profile *p, bool grown);
/* Gives modules their colours. */
void flame_tree__color(struct flame_tree *t);
void flame_tree__free(struct flame_tree *t);

#endif
