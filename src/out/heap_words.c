/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>

#include "model/units.h"
#include "out/heap_words.h"

void heap_words__title(struct text *t, const struct heap_profile *p, bool grown)
{
	char buf[UNITS_LEN];

	text__add_printable(t, p->target);
	if (grown && p->grown_s > 0)
		text__addf(t, ": growth by stack over %s",
			   units__ns(buf, sizeof(buf), p->grown_s * 1e9));
	else if (grown)
		text__add(t, ": growth by stack");
	else
		text__addf(t, ": %s held by stack, watched for %s",
			   p->source == HEAP_PAGES ? "resident pages" : "allocations",
			   units__ns(buf, sizeof(buf), p->duration_s * 1e9));
}

static void add_allocs(struct text *t, const struct heap_profile *p)
{
	char buf[UNITS_LEN];

	if (p->label == HEAP_SAMPLED)
		text__addf(t,
			   "sampled: about one block for every %s allocated, scaled up: unbiased, "
			   "with its standard error (+-)",
			   units__bytes(buf, sizeof(buf), p->sample_bytes));
	else
		text__add(t, "exact: every allocation since the attach");
	if (p->allocator[0]) {
		text__add(t, " (");
		text__add_printable(t, p->allocator);
		text__add(t, ")");
	}
	text__add(t, ".");
}

static void add_pages(struct text *t, const struct heap_profile *p)
{
	char buf[UNITS_LEN];

	text__add(t, "biased: the size is right, the blame is whoever touched a page first. Blocks "
		     "smaller than a page share one, and reused memory keeps its first name: "
		     "--allocs names the site.");
	if (p->sample_bytes > 0)
		text__addf(t, " One page in every %s is followed, scaled up (+- standard error).",
			   units__bytes(buf, sizeof(buf), p->sample_bytes));
}

void heap_words__label(struct text *t, const struct heap_profile *p)
{
	if (p->source == HEAP_PAGES)
		add_pages(t, p);
	else
		add_allocs(t, p);
}
