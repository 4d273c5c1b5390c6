/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the renderers of waterfalls say in the same words. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/units.h"
#include "out/hops.h"

static void add_name(struct text *out, const struct waterfall *w, size_t span, bool port)
{
	char name[WATERFALL_NAME_LEN];

	waterfall__name(w, span, port, name, sizeof(name));
	text__add_printable(out, name);
}

/* A process: with its port, or its role, where another one is called the same. */
static void add_process(struct text *out, const struct waterfall *w, size_t span)
{
	size_t first = w->span[span].process;
	enum waterfall_telling how = waterfall__telling(w, first);

	add_name(out, w, first, how == WATERFALL_BY_PORT);
	if (how == WATERFALL_BY_ROLE)
		text__addf(out, " (%s)", wire_role__name(w->span[first].role));
}

const char *hops__whole(const struct waterfall *w)
{
	return w->one_way ? "delivery" : "round trip";
}

const char *hops__none(const struct waterfalls *w)
{
	return w->count[HOP_COMPLETE] || w->count[HOP_DELIVERED]
		       ? "no exchange was seen of such a route"
		       : "no exchange was seen";
}

const char *hops__unit(const struct waterfall *w)
{
	if (w->one_way)
		return w->count == 1 ? "delivery" : "deliveries";
	return w->count == 1 ? "exchange" : "exchanges";
}

void hops__add_count(struct text *out, const struct waterfall *w)
{
	char buf[UNITS_LEN];

	text__addf(out, "%s %s", units__count(buf, sizeof(buf), w->count), hops__unit(w));
	if (w->variants > 1 && w->route_count)
		text__addf(out, ", way %u of %u (%.1f %%)", w->variant, w->variants,
			   100 * (double)w->count / (double)w->route_count);
}

void hops__add_way(struct text *out, const struct waterfall *w)
{
	const char *sep = "";

	for (size_t i = 0; i < w->n_spans; i++) {
		if (w->span[i].process != i)
			continue;
		text__add(out, sep);
		add_process(out, w, i);
		if (w->span[i].tgid)
			text__addf(out, "[%u]", w->span[i].tgid);
		sep = " > ";
	}
}

void hops__add_place(struct text *out, const struct waterfall *w, const struct waterfall_place *p)
{
	if (p->kind == WATERFALL_NETWORK)
		text__add(out, "network");
	else if (p->kind == WATERFALL_OPAQUE)
		text__add(out, "not visible");
	else if (p->kind == WATERFALL_BEYOND)
		text__add(out, "behind ");
	if (p->kind == WATERFALL_PROCESS || p->kind == WATERFALL_BEYOND)
		add_process(out, w, p->span);
}

void hops__add_places(struct text *out, const struct waterfall *w, size_t max)
{
	struct waterfall_place places[WATERFALL_PLACES];
	size_t n = waterfall__places(w, places);

	for (size_t i = 0; i < n && i < max; i++) {
		const struct waterfall_place *p = &places[i];

		text__add(out, i ? ", " : "");
		hops__add_place(out, w, p);
		text__addf(out, " %.1f %%", isnan(p->share) ? 0 : 100 * p->share);
	}
}

void hops__add_label(struct text *out, const struct waterfall *w, const struct waterfall_edge *e)
{
	switch (e->kind) {
	case WATERFALL_NETWORK: text__add(out, "network"); return;
	case WATERFALL_OPAQUE:
		text__add(out, "not visible (");
		add_process(out, w, e->within);
		text__add(out, " .. ");
		add_process(out, w, e->other);
		text__add(out, ")");
		return;
	case WATERFALL_BEYOND:
		text__add(out, "behind ");
		add_name(out, w, e->within, true);
		text__add(out, " (not visible)");
		return;
	default: add_name(out, w, e->within, true);
	}
}

void hops__add_losses(struct text *out, const uint64_t count[HOP_COUNTS])
{
	static const struct {
		const char *title;
		unsigned int counts[4];
	} groups[] = {
		{"exchanges not followed",
		 {HOP_TABLE_FULL, HOP_PATHS_FULL, HOP_ABANDONED, HOP_NEGATIVE}},
		{"spans left out (their time is in the hop around them)",
		 {HOP_SPANS_FULL, HOP_UNANSWERED, HOP_OVERLAPPING}},
		{"messages not followed, at each socket", {HOP_ALIKE, HOP_NO_ORIGIN, HOP_CUT}},
		{"look-ups that ended in (other)", {HOP_NODES_FULL}},
		{"not recorded", {HOP_EVENTS_LOST, HOP_QUEUE_FULL, HOP_TIMELINES_LOST}},
		{"not looked at, as asked", {HOP_SAMPLED_OUT}},
	};
	const char *next_group = "";
	char buf[UNITS_LEN];

	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		const char *sep = NULL;

		/* HOP_COMPLETE, which is 0, is no loss and ends a group */
		for (size_t i = 0; i < 4 && groups[g].counts[i]; i++) {
			uint64_t n = count[groups[g].counts[i]];

			if (!n)
				continue;
			if (!sep)
				text__addf(out, "%s%s: ", next_group, groups[g].title);
			text__addf(out, "%s%s %s", sep ? sep : "",
				   hop_count__name(groups[g].counts[i]),
				   units__count(buf, sizeof(buf), n));
			sep = ", ";
			next_group = "; ";
		}
	}
}

bool hops__has_run_queue(const struct waterfall *w)
{
	for (size_t i = 0; i < w->n_edges; i++)
		if (!isnan(w->edge[i].run_mean_ns))
			return true;
	return false;
}
