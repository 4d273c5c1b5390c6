/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waterfalls in a report. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/units.h"
#include "out/hops.h"
#include "out/md.h"

#define PLACES 5

static void add_ns(struct text *out, double ns)
{
	text__add(out, " | ");
	if (isnan(ns))
		text__add(out, "-");
	else
		md__value(out, ns, "ns");
}

static void add_escaped(struct text *out, struct text *plain)
{
	md__text(out, plain->data ? plain->data : "");
	out->failed |= plain->failed;
	text__free(plain);
}

static void add_edge(struct text *out, const struct waterfall *w, const struct waterfall_edge *e,
		     bool run_queue)
{
	struct text label = {0};

	text__add(out, "| ");
	for (unsigned int d = 0; d < w->span[e->within].depth; d++)
		text__add(out, "· ");
	hops__add_label(&label, w, e);
	add_escaped(out, &label);
	text__addf(out, " | %s | %s",
		   waterfall_kind__is_residual(e->kind) ? "residual"
							: waterfall_kind__name(e->kind),
		   waterfall_direction__name(e->direction));
	add_ns(out, e->mean_ns);
	text__add(out, " | ");
	md__value(out, 100 * e->share, "%");
	add_ns(out, e->p50_ns);
	add_ns(out, e->p99_ns);
	add_ns(out, e->queue_mean_ns);
	if (run_queue)
		add_ns(out, e->run_mean_ns);
	text__add(out, " |\n");
}

static void add_sum(struct text *out, const char *name, double mean, double share)
{
	text__addf(out, "| %s | |", name);
	add_ns(out, mean);
	text__add(out, " | ");
	md__value(out, 100 * share, "%");
}

static void add_table(struct text *out, const struct waterfall *w)
{
	bool run_queue = hops__has_run_queue(w);
	double share = w->mean_ns > 0 ? w->residual_ns / w->mean_ns : NAN;
	char whole[32];

	text__addf(out,
		   "| hop | kind | direction | mean | share | p50 | p99 | of the mean queued |%s\n"
		   "|---|---|---|---|---|---|---|---|%s\n",
		   run_queue ? " of that run queue |" : "", run_queue ? "---|" : "");
	for (size_t i = 0; i < w->n_edges; i++)
		add_edge(out, w, &w->edge[i], run_queue);
	add_sum(out, "residual (not visible)", w->residual_ns, share);
	text__addf(out, " | - | - | - |%s\n", run_queue ? " - |" : "");
	if (w->unsettled_ns != 0) {
		add_sum(out, "read in motion: does not add up", w->unsettled_ns,
			w->mean_ns > 0 ? w->unsettled_ns / w->mean_ns : NAN);
		text__addf(out, " | - | - | - |%s\n", run_queue ? " - |" : "");
	}
	snprintf(whole, sizeof(whole), "**the %s**", hops__whole(w));
	add_sum(out, whole, w->mean_ns, 1);
	add_ns(out, w->p50_ns);
	add_ns(out, w->p99_ns);
	text__addf(out, " | - |%s\n\n", run_queue ? " - |" : "");
}

static void add_path(struct text *out, const struct waterfall *w)
{
	struct text way = {0}, places = {0};

	text__add(out, "**");
	md__text(out, w->route);
	text__addf(out, "** (%s, %s), ", wire_proto__name(w->proto), wire_status__name(w->status));
	md__count(out, (double)w->count);
	text__addf(out, " %s", hops__unit(w));
	if (w->variants > 1 && w->route_count) {
		text__addf(out, ", way %u of %u (", w->variant, w->variants);
		md__value(out, 100 * (double)w->count / (double)w->route_count, "%");
		text__add(out, ")");
	}
	text__add(out, ": ");
	hops__add_way(&way, w);
	add_escaped(out, &way);
	text__add(out, ". Most of it: ");
	hops__add_places(&places, w, PLACES);
	add_escaped(out, &places);
	text__add(out, ".\n\n");
	add_table(out, w);
}

static void add_end(struct text *out, const struct waterfalls *w)
{
	struct text losses = {0};

	if (w->n)
		text__add(out, "Means add up to the round trip; p50 and p99 are each hop's own and "
			       "do not. ");
	md__plural(out, (double)w->count[HOP_COMPLETE], "exchange", "exchanges");
	if (w->count[HOP_DELIVERED]) {
		text__add(out, " and ");
		md__plural(out, (double)w->count[HOP_DELIVERED], "delivery", "deliveries");
	}
	text__addf(out, " %s followed hop by hop",
		   w->count[HOP_COMPLETE] + w->count[HOP_DELIVERED] == 1 ? "was" : "were");
	hops__add_losses(&losses, w->count);
	text__add(out, losses.len ? "; " : "");
	add_escaped(out, &losses);
	text__add(out, ".\n\n");
}

void md__hops(struct text *out, const json_t *o, size_t max)
{
	struct waterfalls w;
	char err[160];
	size_t n;

	if (hops_json__load(&w, o, err, sizeof(err))) {
		text__add(out, MD_NO_DATA ": the hops cannot be read: ");
		md__text(out, err);
		text__add(out, ".\n\n");
		return;
	}
	if (!w.n)
		text__addf(out, MD_NO_DATA ": %s.\n\n", hops__none(&w));
	n = max && max < w.n ? max : w.n;
	for (size_t i = 0; i < n; i++)
		add_path(out, &w.v[i]);
	if (n < w.n)
		text__addf(out, "... and %zu more way%s.\n\n", w.n - n, w.n - n == 1 ? "" : "s");
	add_end(out, &w);
	waterfalls__free(&w);
}
