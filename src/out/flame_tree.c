/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "out/flame_tree.h"
#include "out/folded.h"

struct step {
	const char *name, *module; /* interned */
};

struct path {
	const struct heap_site *site;
	struct step *steps; /* outermost first */
	size_t n;
	double value;
};

static const char *printable(struct arena *a, const char *s)
{
	struct text t = {0};
	const char *kept;

	text__add_printable(&t, s);
	kept = t.failed ? NULL : arena__string(a, t.data ? t.data : "");
	text__free(&t);
	return kept;
}

static int add_step(struct flame_tree *t, struct path *path, const char *name, const char *module)
{
	struct step *s = &path->steps[path->n++];

	s->name = arena__string(t->arena, name);
	s->module = printable(t->arena, module);
	return s->name && s->module ? 0 : -ENOMEM;
}

static int make_path(struct flame_tree *t, struct path *path, bool processes)
{
	const struct heap_site *s = path->site;
	char names[2][64];
	const char *roots[3];
	struct text name = {0};
	int err = 0;

	folded__roots(s, processes, names, roots);
	path->steps = arena__alloc(t->arena, (s->n_frames + 2) * sizeof(*path->steps));
	if (!path->steps)
		return -ENOMEM;
	for (size_t i = 0; roots[i] && !err; i++)
		err = add_step(t, path, roots[i], "");
	for (size_t i = s->n_frames; i-- > 0 && !err;) {
		name.len = 0;
		folded__frame_name(&name, &s->frames[i]);
		err = name.failed ? -ENOMEM
				  : add_step(t, path, name.len ? name.data : HEAP_UNKNOWN,
					     heap_frame__module(&s->frames[i]));
	}
	text__free(&name);
	return err;
}

static int by_path(const void *pa, const void *pb)
{
	const struct path *a = pa, *b = pb;

	for (size_t i = 0; i < a->n && i < b->n; i++) {
		int c = a->steps[i].name == b->steps[i].name
				? 0
				: strcmp(a->steps[i].name, b->steps[i].name);

		c = c ? c : strcmp(a->steps[i].module, b->steps[i].module);
		if (c)
			return c;
	}
	return (a->n > b->n) - (a->n < b->n);
}

static struct flame_node *add_node(struct flame_tree *t, unsigned int depth,
				   const struct step *step, double x)
{
	struct flame_node *n;

	if (t->n == t->size) {
		size_t size = t->size ? t->size * 2 : 256;

		n = realloc(t->nodes, size * sizeof(*n));
		if (!n)
			return NULL;
		t->nodes = n;
		t->size = size;
	}
	n = &t->nodes[t->n++];
	*n = (struct flame_node){
		.name = step->name, .module = step->module, .depth = depth, .x = x};
	if (depth > t->depth)
		t->depth = depth;
	return n;
}

static void add_numbers(struct flame_node *n, const struct path *p)
{
	n->value += p->value;
	n->bytes += p->site->bytes;
	n->blocks += p->site->blocks;
	n->grown += p->site->grown_bytes;
}

/* The paths are sorted: a node is open as long as they go through it. */
static int grow_tree(struct flame_tree *t, const struct path *paths, size_t n, size_t longest)
{
	static const struct step whole = {"all", ""};
	size_t *open = calloc(longest + 1, sizeof(*open)), n_open = 0;
	double x = 0;
	int err = open && add_node(t, 0, &whole, 0) ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++) {
		const struct path *p = &paths[i];
		size_t common = 0;

		while (common < n_open && common < p->n &&
		       t->nodes[open[common]].name == p->steps[common].name &&
		       t->nodes[open[common]].module == p->steps[common].module)
			common++;
		for (n_open = common; n_open < p->n && !err; n_open++) {
			open[n_open] = t->n;
			if (!add_node(t, (unsigned int)n_open + 1, &p->steps[n_open], x))
				err = -ENOMEM;
		}
		for (size_t k = 0; k < n_open && !err; k++)
			add_numbers(&t->nodes[open[k]], p);
		if (!err)
			add_numbers(&t->nodes[0], p);
		x += p->value;
	}
	free(open);
	return err;
}

int flame_tree__make(struct flame_tree *t, const struct heap_profile *p, bool grown)
{
	struct path *paths = calloc(p->n_sites + 1, sizeof(*paths));
	struct heap_total total;
	size_t n = 0, longest = 0;
	int err;

	memset(t, 0, sizeof(*t));
	t->arena = arena__new();
	err = paths && t->arena ? 0 : -ENOMEM;
	heap_profile__total(p, &total);
	for (size_t i = 0; i < p->n_sites && !err; i++) {
		struct path *path = &paths[n];

		path->site = &p->sites[i];
		path->value = grown ? fabs(path->site->grown_bytes) : path->site->bytes;
		if (!(path->value > 0))
			continue;
		err = make_path(t, path, total.processes > 1);
		longest = path->n > longest ? path->n : longest;
		n++;
	}
	if (!err && n)
		qsort(paths, n, sizeof(*paths), by_path);
	err = err ? err : grow_tree(t, paths, n, longest);
	free(paths);
	if (err)
		flame_tree__free(t);
	return err;
}

void flame_tree__free(struct flame_tree *t)
{
	free(t->nodes);
	arena__free(t->arena);
	memset(t, 0, sizeof(*t));
}
