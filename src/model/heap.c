/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Readings of the heap probes as profiles. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/heap.h"
#include "model/heap_sites.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

void heap_reading__free(struct heap_reading *r)
{
	free(r->sites);
	free(r->memory);
	memset(r, 0, sizeof(*r));
}

void heap_profile__free(struct heap_profile *p)
{
	free(p->sites);
	arena__free(p->memory);
	p->sites = NULL;
	p->n_sites = 0;
	p->memory = NULL;
	memset(p->notes, 0, sizeof(p->notes));
	p->n_notes = p->notes_lost = 0;
}

void heap_profile__note(struct heap_profile *p, const char *fmt, ...)
{
	const char *kept;
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!p->memory)
		return;
	kept = arena__string(p->memory, text);
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i] == kept)
			return;
	if (kept && p->n_notes < HEAP_MAX_NOTES)
		p->notes[p->n_notes++] = kept;
	else
		p->notes_lost++;
}

/* ---- order */

static int by_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

#define BY(a, b) (((a) > (b)) - ((a) < (b)))

static int by_frames(const struct heap_site *a, const struct heap_site *b)
{
	int c = by_text(a->comm, b->comm);

	for (size_t i = 0; !c && i < a->n_frames && i < b->n_frames; i++) {
		const struct heap_frame *f = &a->frames[i], *g = &b->frames[i];

		c = by_text(f->function, g->function);
		c = c ? c : by_text(f->module, g->module);
		c = c ? c : by_text(f->source, g->source);
		c = c ? c : BY(f->line, g->line);
		c = c ? c : BY(f->offset, g->offset);
	}
	c = c ? c : BY(a->n_frames, b->n_frames);
	return c ? c : BY(a->tgid, b->tgid);
}

/* Numbers first, larger ones first, NaN after all others. */
static int larger(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return BY(b, a);
}

static int by_bytes(const void *pa, const void *pb)
{
	const struct heap_site *a = pa, *b = pb;
	int c = larger(a->bytes, b->bytes);

	c = c ? c : larger(a->grown_bytes, b->grown_bytes);
	return c ? c : by_frames(a, b);
}

static int by_grown(const void *pa, const void *pb)
{
	const struct heap_site *a = pa, *b = pb;
	int c = larger(a->grown_bytes, b->grown_bytes);

	return c ? c : by_bytes(a, b);
}

static int by_blocks(const void *pa, const void *pb)
{
	const struct heap_site *a = pa, *b = pb;
	int c = larger(a->blocks, b->blocks);

	return c ? c : by_bytes(a, b);
}

static int by_age(const void *pa, const void *pb)
{
	const struct heap_site *a = pa, *b = pb;
	int c = larger(a->age_s, b->age_s);

	return c ? c : by_bytes(a, b);
}

void heap_profile__sort(struct heap_profile *p, enum heap_sort by)
{
	if (p->n_sites)
		qsort(p->sites, p->n_sites, sizeof(*p->sites),
		      by == HEAP_SORT_GROWN    ? by_grown
		      : by == HEAP_SORT_BLOCKS ? by_blocks
		      : by == HEAP_SORT_AGE    ? by_age
					       : by_bytes);
}

/* ---- a reading becomes a profile */

struct by_stack {
	const struct heap_raw_site *site;
	bool used;
};

static int compare_raw(const struct heap_raw_site *a, const struct heap_raw_site *b)
{
	int c = BY(a->tgid, b->tgid);

	return c ? c : BY(a->stack, b->stack);
}

static int compare_by_stack(const void *a, const void *b)
{
	return compare_raw(((const struct by_stack *)a)->site, ((const struct by_stack *)b)->site);
}

static struct by_stack *sorted_raw(const struct heap_reading *r)
{
	struct by_stack *list = calloc(r->n_sites + 1, sizeof(*list));

	if (!list)
		return NULL;
	for (size_t i = 0; i < r->n_sites; i++)
		list[i].site = &r->sites[i];
	if (r->n_sites)
		qsort(list, r->n_sites, sizeof(*list), compare_by_stack);
	return list;
}

struct making {
	struct heap_sites sites;
	const struct heap_namer *namer;
	struct heap_frame *frames; /* room for the longest stack */
	uint64_t now_ns;
};

/* `raw` as it stood in `base` (NULL: not there). */
static int make_site(struct making *m, const struct heap_raw_site *raw,
		     const struct heap_raw_site *base)
{
	struct heap_site s = {
		.tgid = raw->tgid,
		.comm = m->namer->comm(m->namer->ctx, raw->tgid),
		.flags = raw->flags,
		.frames = m->frames,
		.n_frames = raw->n_pcs,
		.bytes = raw->bytes,
		.blocks = raw->blocks,
		.bytes_error = raw->bytes_error,
		.grown_bytes = raw->bytes - (base ? base->bytes : 0),
		.grown_blocks = raw->blocks - (base ? base->blocks : 0),
		.total_bytes = raw->total_bytes,
		.total_blocks = raw->total_blocks,
		.age_s = NAN,
	};

	/* nothing is held, nothing was: no site of this profile */
	if (raw->bytes == 0 && raw->blocks == 0 && s.grown_bytes == 0 && s.grown_blocks == 0)
		return 0;
	if (raw->oldest_ns && raw->blocks > 0)
		s.age_s =
			m->now_ns > raw->oldest_ns ? (double)(m->now_ns - raw->oldest_ns) / 1e9 : 0;
	for (size_t i = 0; i < raw->n_pcs; i++) {
		m->frames[i] = (struct heap_frame){.function = HEAP_UNKNOWN, .module = ""};
		m->namer->frame(m->namer->ctx, raw->tgid, raw->pcs[i], i > 0, &m->frames[i]);
	}
	return heap_sites__add(&m->sites, &s);
}

static int make_sites(struct making *m, const struct heap_reading *now,
		      const struct heap_reading *base)
{
	struct by_stack *was = sorted_raw(base);
	int err = was ? 0 : -ENOMEM;

	for (size_t i = 0; i < now->n_sites && !err; i++) {
		struct by_stack key = {.site = &now->sites[i]}, *found;

		found = bsearch(&key, was, base->n_sites, sizeof(*was), compare_by_stack);
		if (found)
			found->used = true;
		err = make_site(m, &now->sites[i], found ? found->site : NULL);
	}
	for (size_t i = 0; i < base->n_sites && !err; i++) {
		struct heap_raw_site gone;

		if (was[i].used)
			continue;
		gone = *was[i].site;
		gone.bytes = gone.blocks = gone.bytes_error = 0;
		err = make_site(m, &gone, was[i].site);
	}
	free(was);
	return err;
}

static size_t longest(const struct heap_reading *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_sites; i++)
		n = r->sites[i].n_pcs > n ? r->sites[i].n_pcs : n;
	return n;
}

int heap_profile__make(struct heap_profile *p, const struct heap_reading *now,
		       const struct heap_reading *base, uint64_t started_ns,
		       const struct heap_namer *namer)
{
	static const struct heap_reading nothing;
	struct making m = {.namer = namer, .now_ns = now->time_ns};
	uint64_t since = base ? base->time_ns : started_ns;
	size_t n;
	int err;

	base = base ? base : &nothing;
	n = longest(now) > longest(base) ? longest(now) : longest(base);
	m.frames = calloc(n + 1, sizeof(*m.frames));
	err = m.frames ? heap_sites__init(&m.sites, HEAP_BY_LINE) : -ENOMEM;
	if (!err)
		err = make_sites(&m, now, base);
	if (!err) {
		heap_sites__take(&m.sites, p);
		p->counters = now->counters;
		p->unattributed_bytes = now->unattributed_bytes;
		p->resident_bytes = now->resident_bytes;
		p->probe_hits = (double)now->probe_hits;
		p->probe_ns = now->probe_ns;
		p->duration_s =
			now->time_ns > started_ns ? (double)(now->time_ns - started_ns) / 1e9 : 0;
		p->grown_s = now->time_ns > since ? (double)(now->time_ns - since) / 1e9 : 0;
	}
	heap_sites__free(&m.sites);
	free(m.frames);
	return err;
}

/* ---- diff */

static int add_side(struct heap_sites *sites, const struct heap_profile *p, bool is_base)
{
	for (size_t i = 0; i < p->n_sites; i++) {
		struct heap_site s = p->sites[i];
		int err;

		s.grown_bytes = is_base ? -s.bytes : s.bytes;
		s.grown_blocks = is_base ? -s.blocks : s.blocks;
		if (is_base) {
			s.bytes = s.blocks = s.bytes_error = 0;
			s.total_bytes = s.total_blocks = 0;
			s.age_s = NAN;
		}
		err = heap_sites__add(sites, &s);
		if (err)
			return err;
	}
	return 0;
}

static void note_loss(void *ctx, uint64_t n, const char *what)
{
	heap_profile__note(ctx, "first profile: %" PRIu64 " %s", n, what);
}

/* What the header, which is b's, does not say of a. */
static void note_first(struct heap_profile *p, const struct heap_profile *a,
		       const struct heap_profile *b)
{
	if (strcmp(a->target, b->target) != 0)
		heap_profile__note(p, "the first profile is of %s", a->target);
	if (a->unread)
		heap_profile__note(p, "first profile: what was held is not known");
	/* of one watch: b's counters are a's, and later */
	if (a->started_unix == b->started_unix)
		return;
	heap_profile__note(p, "two watches: what was taken before each attach is in neither");
	if (a->stopped[0])
		heap_profile__note(p, "first profile: %s", a->stopped);
	heap_counters__losses(&a->counters, note_loss, p);
}

int heap_profile__diff(struct heap_profile *p, const struct heap_profile *a,
		       const struct heap_profile *b)
{
	struct heap_sites sites;
	int err;

	memset(p, 0, sizeof(*p));
	if (a->source != b->source)
		return -EINVAL;
	err = heap_sites__init(&sites, HEAP_BY_FUNCTION);
	if (err)
		return err;
	/* b first: where both have a site, process and lines are those of b */
	err = add_side(&sites, b, false);
	err = err ? err : add_side(&sites, a, true);
	if (err) {
		heap_sites__free(&sites);
		return err;
	}
	/* scaled figures that cancel out leave a rest in the last digits */
	for (size_t i = 0; i < sites.n; i++) {
		sites.sites[i].grown_bytes = rint(sites.sites[i].grown_bytes * 1000) / 1000;
		sites.sites[i].grown_blocks = rint(sites.sites[i].grown_blocks * 1000) / 1000;
	}
	*p = *b;
	p->sites = NULL;
	p->memory = NULL;
	heap_sites__take(&sites, p);
	p->label = a->label > b->label ? a->label : b->label;
	p->grown_s = b->started_unix + b->duration_s - a->started_unix - a->duration_s;
	/* one of them may be exact */
	p->sample_bytes = fmax(a->sample_bytes, b->sample_bytes);
	p->unread = a->unread || b->unread;
	note_first(p, a, b);
	for (size_t i = 0; i < b->n_notes; i++)
		heap_profile__note(p, "%s", b->notes[i]);
	p->notes_lost += b->notes_lost;
	heap_profile__sort(p, HEAP_SORT_GROWN);
	return 0;
}

int heap_profile__condense(struct heap_profile *out, const struct heap_profile *p)
{
	struct heap_sites sites;
	int err = heap_sites__init(&sites, HEAP_BY_LINE);

	*out = *p;
	out->sites = NULL;
	out->memory = NULL;
	out->n_sites = out->n_notes = 0;
	for (size_t i = 0; i < p->n_sites && !err; i++) {
		struct heap_site s = p->sites[i];
		size_t first = heap_site__interesting(&s);

		s.frames += first;
		s.n_frames -= first;
		err = heap_sites__add(&sites, &s);
	}
	if (err) {
		heap_sites__free(&sites);
		return err;
	}
	heap_sites__take(&sites, out);
	for (size_t i = 0; i < p->n_notes; i++)
		heap_profile__note(out, "%s", p->notes[i]);
	out->notes_lost = p->notes_lost;
	return 0;
}

void heap_profile__total(const struct heap_profile *p, struct heap_total *t)
{
	uint32_t seen[64] = {0};

	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < p->n_sites; i++) {
		const struct heap_site *s = &p->sites[i];
		size_t k = 0;

		t->bytes += s->bytes;
		t->blocks += s->blocks;
		t->bytes_error = hypot(t->bytes_error, s->bytes_error);
		t->grown_bytes += s->grown_bytes;
		t->changed_bytes += fabs(s->grown_bytes);
		t->grown_blocks += s->grown_blocks;
		while (k < t->processes && seen[k] != s->tgid)
			k++;
		if (k == t->processes && k < ARRAY_LEN(seen))
			seen[t->processes++] = s->tgid;
	}
	if (p->unread)
		t->bytes = t->blocks = t->bytes_error = t->grown_bytes = t->grown_blocks =
			t->changed_bytes = NAN;
}

void heap_counters__losses(const struct heap_counters *c, heap_loss_fn fn, void *ctx)
{
	/* these tell what happened, not what is missing */
	const uint64_t *const plain[] = {&c->allocs, &c->frees, &c->frees_before, &c->failed,
					 &c->faults};
	size_t i;

#define LOSS(name, what)                                               \
	for (i = 0; i < ARRAY_LEN(plain) && plain[i] != &c->name; i++) \
		;                                                      \
	if (c->name && i == ARRAY_LEN(plain))                          \
		fn(ctx, c->name, what);
	HEAP_COUNTERS(LOSS)
#undef LOSS
}

/* ---- names */

const char *heap_source__name(enum heap_source s)
{
	return s == HEAP_ALLOCS ? "allocs" : s == HEAP_PAGES ? "pages" : "?";
}

const char *heap_label__name(enum heap_label l)
{
	switch (l) {
	case HEAP_EXACT: return "exact";
	case HEAP_SAMPLED: return "sampled";
	case HEAP_BIASED: return "biased";
	}
	return "?";
}

enum heap_source heap_source__from_name(const char *name)
{
	for (enum heap_source s = HEAP_ALLOCS; s <= HEAP_PAGES; s++)
		if (!strcmp(name, heap_source__name(s)))
			return s;
	return 0;
}

enum heap_label heap_label__from_name(const char *name)
{
	for (enum heap_label l = HEAP_EXACT; l <= HEAP_BIASED; l++)
		if (!strcmp(name, heap_label__name(l)))
			return l;
	return 0;
}
