/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "out/tree.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/units.h"
#include "out/json.h"
#include "out/text.h"

#define WIDTH	    100
#define NUMBERS	    47 /* columns behind the name, of which: */
#define COL_TIME    9
#define COL_SHARE   8
#define COL_CALLS   9
#define NAME_LEAST  24
#define WHOLE_PATHS 10 /* printed, as long as nobody asked for more rows */

/* "1.23ms": the table has no room for the blank. */
static void add_time(struct text *t, double ns)
{
	char buf[UNITS_LEN], *blank;

	units__ns(buf, sizeof(buf), ns);
	blank = strchr(buf, ' ');
	if (blank)
		memmove(blank, blank + 1, strlen(blank));
	text__addf(t, "  %*s", COL_TIME - 2, buf);
}

static void add_row(struct text *t, size_t width, unsigned int depth, const char *name,
		    const struct path_part *p)
{
	struct text cell = {0};
	char calls[UNITS_LEN];

	for (unsigned int i = 0; i < depth; i++)
		text__add(&cell, "  ");
	text__add_printable(&cell, name);
	text__add(t, "  ");
	text__add_fit(t, cell.data ? cell.data : "", width - 2);
	t->failed |= cell.failed;
	text__free(&cell);
	add_time(t, p->mean_ns);
	if (isnan(p->p50_ns)) {
		text__addf(t, "%*s%*s", COL_TIME, "", COL_TIME, "");
	} else {
		add_time(t, p->p50_ns);
		add_time(t, p->p99_ns);
	}
	if (p->heading && p->calls != 1)
		text__addf(t, "%*s", COL_SHARE, "");
	else if (!p->heading)
		text__addf(t, "%*.1f %%", COL_SHARE - 2, 100 * p->share);
	if (p->calls != 1) {
		units__number(calls, sizeof(calls), p->calls);
		text__addf(t, " %*s", COL_CALLS - 1, calls);
	}
	text__add(t, "\n");
}

static const char *short_name(const char *container)
{
	const char *slash = strrchr(container, '/');

	return slash && slash[1] ? slash + 1 : container;
}

static void name_part(struct text *t, const struct path_part *p)
{
	switch (p->kind) {
	case PATH_NETWORK: text__addf(t, "network %s", p->name); return;
	case PATH_QUEUE: text__addf(t, "%s", p->name); return;
	case PATH_SELF: text__addf(t, "%s itself", p->name); return;
	case PATH_OPAQUE: text__addf(t, "%s (not looked into)", p->name); return;
	case PATH_CHILD:
		if (p->heading)
			text__addf(t, "> %s at %s", p->name, short_name(p->container));
		else
			text__addf(t, "%s (%s)", p->name, wire_proto__name(p->proto));
		return;
	}
}

static void add_title(struct text *t, const struct critical_path *p)
{
	char buf[UNITS_LEN];

	text__add_printable(t, p->route);
	text__add(t, "  ");
	text__add_printable(t, p->client[0] ? short_name(p->client) : "(elsewhere)");
	text__add(t, " > ");
	text__add_printable(t, p->container[0] ? short_name(p->container) : "(elsewhere)");
	text__addf(t, ": %s requests", units__count(buf, sizeof(buf), p->count));
	if (p->failed)
		text__addf(t, ", %s of them failed", units__count(buf, sizeof(buf), p->failed));
	text__add(t, "\n");
}

static void add_path(struct text *t, const struct critical_path *p, size_t width, bool bold)
{
	struct path_part whole = {.mean_ns = p->mean_ns,
				  .p50_ns = p->p50_ns,
				  .p99_ns = p->p99_ns,
				  .share = 1,
				  .calls = 1};
	struct path_part rest = {
		.mean_ns = p->residual_ns, .p50_ns = NAN, .share = p->residual_share, .calls = 1};
	char linked[UNITS_LEN], unlinked[UNITS_LEN];

	text__add(t, bold ? "\n\033[1m" : "\n");
	add_title(t, p);
	text__add(t, bold ? "\033[0m" : "");
	text__addf(t, "  %-*s%*s%*s%*s%*s%*s\n", (int)width - 2, "part", COL_TIME, "mean", COL_TIME,
		   "p50", COL_TIME, "p99", COL_SHARE, "share", COL_CALLS, "calls");
	for (size_t i = 0; i < p->n_parts; i++) {
		struct text name = {0};

		name_part(&name, &p->parts[i]);
		add_row(t, width, p->parts[i].depth - 1, name.data ? name.data : "", &p->parts[i]);
		t->failed |= name.failed;
		text__free(&name);
	}
	add_row(t, width, 0, "residual", &rest);
	add_row(t, width, 0, "whole", &whole);
	text__addf(t, "  calls: %s linked, %s unlinked",
		   units__count(linked, sizeof(linked), p->linked),
		   units__count(unlinked, sizeof(unlinked), p->unlinked));
	if (p->several)
		text__add(t, "; servers also asked by others: their parts are the mean of all");
	if (p->crossed)
		text__add(t, "; a server took longer than its caller waited: see residual");
	text__add(t, "\n");
}

/* "unlinked: stale 12, no_task 3" */
static void add_reasons(struct text *t, const struct snapshot *s)
{
	const char *sep = "not linked or not counted: ";
	char buf[UNITS_LEN];
	bool any = false;

	for (unsigned int i = CAUSE_NO_TASK; i < CAUSE_COUNTS; i++) {
		if (!s->cause[i] || i == CAUSE_NO_TASK)
			continue;
		text__addf(t, "%s%s %s", sep, cause_count__name(i),
			   units__count(buf, sizeof(buf), s->cause[i]));
		sep = ", ";
		any = true;
	}
	text__add(t, any ? "\n" : "");
}

int tree__print(FILE *out, const struct critical_paths *paths, const struct snapshot *s,
		const struct table_opts *opts)
{
	size_t width = opts->width && opts->width < WIDTH ? opts->width : WIDTH;
	size_t n = opts->max_rows && opts->max_rows < paths->n ? opts->max_rows : paths->n;
	struct text t = {0};

	if (n > WHOLE_PATHS && opts->max_rows)
		n = WHOLE_PATHS;
	width = width > NUMBERS + NAME_LEAST ? width - NUMBERS : NAME_LEAST;
	for (size_t i = 0; i < n; i++)
		add_path(&t, &paths->paths[i], width, opts->color);
	if (n < paths->n)
		text__addf(&t, "... and %zu more routes (--rows 0 prints all)\n", paths->n - n);
	if (!paths->n)
		text__add(&t, "(no HTTP requests)\n");
	else
		text__add(&t, "\nMeans add up to the whole. p50 and p99 are each part's own and do "
			      "not add up.\n");
	add_reasons(&t, s);
	table__add_accounting(&t, s);
	return text__print(&t, out);
}

static json_t *part_json(const struct path_part *p)
{
	json_t *o = json_object();

	session__put(&o, "name", session__text(p->name));
	session__put(&o, "kind", session__text(path_kind__name(p->kind)));
	session__put(&o, "proto", session__text(wire_proto__name(p->proto)));
	session__put(&o, "container", session__text(p->container));
	session__put(&o, "depth", json_integer(p->depth));
	session__put(&o, "mean_ns", session__number(p->mean_ns));
	session__put(&o, "p50_ns", session__number(p->p50_ns));
	session__put(&o, "p99_ns", session__number(p->p99_ns));
	session__put(&o, "share", session__number(p->share));
	session__put(&o, "calls", session__number(p->calls));
	return o;
}

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *path_json(const struct critical_path *p)
{
	json_t *o = json_object(), *parts = json_array(), *calls = json_array();

	session__put(&o, "route", session__text(p->route));
	session__put(&o, "container", session__text(p->container));
	session__put(&o, "client", p->client[0] ? session__text(p->client) : json_null());
	session__put(&o, "proto", session__text(wire_proto__name(p->proto)));
	session__put(&o, "count", count(p->count));
	session__put(&o, "failed", count(p->failed));
	session__put(&o, "mean_ns", session__number(p->mean_ns));
	session__put(&o, "p50_ns", session__number(p->p50_ns));
	session__put(&o, "p99_ns", session__number(p->p99_ns));
	session__put(&o, "linked", count(p->linked));
	session__put(&o, "unlinked", count(p->unlinked));
	for (size_t i = 0; i < p->n_parts; i++)
		session__append(p->parts[i].heading ? &calls : &parts, part_json(&p->parts[i]));
	session__put(&o, "parts", parts);
	session__put(&o, "calls", calls);
	session__put(&o, "residual_ns", session__number(p->residual_ns));
	session__put(&o, "residual_share", session__number(p->residual_share));
	session__put(&o, "shared", json_boolean(p->several));
	session__put(&o, "crossed", json_boolean(p->crossed));
	return o;
}

json_t *session__critical_paths(const struct critical_paths *paths)
{
	json_t *a = json_array();

	for (size_t i = 0; i < paths->n; i++)
		session__append(&a, path_json(&paths->paths[i]));
	return a;
}

static json_t *edge_json(const struct snapshot_edge *e)
{
	static const char *const kinds[] = {
		[EDGE_LINKED] = "linked", [EDGE_UNLINKED] = "unlinked", [EDGE_ROOT] = "root"};
	json_t *o = json_object();

	session__put(&o, "kind",
		     session__text(e->key.kind <= EDGE_ROOT ? kinds[e->key.kind] : "?"));
	session__put(&o, "parent",
		     e->parent_route[0] ? session__text(e->parent_route) : json_null());
	session__put(&o, "container", session__text(e->container));
	session__put(&o, "proto", session__text(wire_proto__name(e->key.child_proto)));
	session__put(&o, "route", session__text(e->child_route));
	session__put(&o, "port", json_integer(e->key.remote_port));
	session__put(&o, "callee",
		     e->callee_container[0] ? session__text(e->callee_container) : json_null());
	session__put(&o, "calls", count(e->calls));
	session__put(&o, "answered", count(e->done));
	session__put(&o, "late", count(e->late));
	session__put(&o, "sum_ns", count(e->sum_ns));
	return o;
}

json_t *session__calls(const struct critical_paths *paths, const struct snapshot *s)
{
	json_t *o = json_object(), *reasons = json_object(), *edges = json_array();

	session__put(&o, "linked", count(paths->linked));
	session__put(&o, "unlinked", count(paths->unlinked));
	for (unsigned int i = 0; i < CAUSE_COUNTS; i++)
		if (strcmp(cause_count__name(i), "?") != 0)
			session__put(&reasons, cause_count__name(i), count(s->cause[i]));
	session__put(&o, "reasons", reasons);
	for (size_t i = 0; i < s->n_edges; i++)
		session__append(&edges, edge_json(&s->edges[i]));
	session__put(&o, "edges", edges);
	return o;
}

int tree__print_json(FILE *out, const struct critical_paths *paths, const struct snapshot *s,
		     bool final)
{
	json_t *o = json__snapshot(s, final, NULL, 0);
	int err;

	session__put(&o, "critical_paths", session__critical_paths(paths));
	session__put(&o, "calls", session__calls(paths, s));
	err = o ? json__print_line(out, o) : -ENOMEM;
	json_decref(o);
	return err;
}
