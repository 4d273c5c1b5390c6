/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "model/units.h"
#include "out/heap_table.h"
#include "out/heap_words.h"
#include "out/text.h"
#include "stack_walk.h"

/* "-" when not known, or a sign that says which way. */
static const char *signed_bytes(char buf[UNITS_LEN], double v)
{
	char plain[UNITS_LEN - 2];

	if (isnan(v))
		return "-";
	units__bytes(plain, sizeof(plain), fabs(v));
	snprintf(buf, UNITS_LEN, "%s%s", v > 0 ? "+" : v < 0 ? "-" : "", plain);
	return buf;
}

static const char *share(char buf[UNITS_LEN], double part, double whole)
{
	if (!(whole > 0))
		return "-";
	snprintf(buf, UNITS_LEN, "%.1f %%", 100 * part / whole);
	return buf;
}

/* What a page is called: they have no blocks. */
static const char *blocks_title(const struct heap_profile *p)
{
	return p->source == HEAP_PAGES ? "pages" : "blocks";
}

static void add_header(struct text *t, const struct heap_profile *p,
		       const struct heap_table_opts *o, const struct heap_total *total)
{
	text__addf(t, "%s%10s", o->color ? "\033[1m" : "", "bytes");
	if (total->bytes_error > 0)
		text__addf(t, "  %10s", "+-");
	text__addf(t, "  %7s  %10s  %8s  %11s", "share", blocks_title(p), "age", "grown");
	if (total->processes > 1)
		text__addf(t, "  %-22s", "process");
	text__addf(t, "  site%s\n", o->color ? "\033[0m" : "");
}

static void add_frame(struct text *t, const struct heap_frame *f)
{
	const char *file;

	text__add_printable(t, f->function);
	if (heap_frame__unknown(f) && f->module[0])
		text__addf(t, "+0x%llx", (unsigned long long)f->offset);
	if (f->source) {
		file = strrchr(f->source, '/');
		text__add(t, " ");
		text__add_printable(t, file ? file + 1 : f->source);
		text__addf(t, ":%u", f->line);
	}
	if (f->module[0]) {
		text__add(t, " (");
		text__add_printable(t, heap_frame__module(f));
		text__add(t, ")");
	}
}

/* Ends the line that began at `from`, cut to the width. */
static void end_line(struct text *t, size_t from, unsigned int width)
{
	struct text line = {0};

	if (width && !t->failed && text__width(t->data + from) > width) {
		text__add_fit(&line, t->data + from, width);
		t->len = from;
		t->failed = line.failed;
		text__add(t, line.data ? line.data : "");
		text__free(&line);
	}
	text__add(t, "\n");
}

static void add_callers(struct text *t, const struct heap_site *s, const struct heap_table_opts *o)
{
	size_t end = o->frames && 1 + o->frames < s->n_frames ? 1 + o->frames : s->n_frames;

	for (size_t i = 1; i < end; i++) {
		size_t from = t->len;

		text__addf(t, "%14s< ", "");
		add_frame(t, &s->frames[i]);
		end_line(t, from, o->width);
	}
	if (end < s->n_frames)
		text__addf(t, "%14s  (%zu more)\n", "", s->n_frames - end);
	else if (s->flags & STACK_TRUNCATED)
		text__addf(t, "%14s  (cut off: more frames than are kept)\n", "");
	else if (s->flags & STACK_BROKEN)
		text__addf(t, "%14s  (broken off: the stack could not be walked further)\n", "");
}

static void add_process(struct text *t, const struct heap_site *s)
{
	struct text name = {0};

	text__add_printable(&name, s->comm);
	text__addf(&name, "[%u]", s->tgid);
	text__add(t, "  ");
	text__add_fit(t, name.data ? name.data : "", 22);
	t->failed = t->failed || name.failed;
	text__free(&name);
}

static void add_site(struct text *t, const struct heap_site *s, const struct heap_table_opts *o,
		     const struct heap_total *total)
{
	char bytes[UNITS_LEN], pct[UNITS_LEN], blocks[UNITS_LEN], age[UNITS_LEN], grown[UNITS_LEN],
		error[UNITS_LEN];
	size_t from = t->len;

	text__addf(t, "%10s", units__bytes(bytes, sizeof(bytes), s->bytes));
	if (total->bytes_error > 0)
		text__addf(t, "  %10s", units__bytes(error, sizeof(error), s->bytes_error));
	text__addf(t, "  %7s  %10s  %8s  %11s",
		   o->grown ? share(pct, fabs(s->grown_bytes), total->changed_bytes)
			    : share(pct, s->bytes, total->bytes),
		   units__number(blocks, sizeof(blocks), rint(s->blocks)),
		   units__ns(age, sizeof(age), s->age_s * 1e9),
		   signed_bytes(grown, s->grown_bytes));
	if (total->processes > 1)
		add_process(t, s);
	text__add(t, "  ");
	if (s->n_frames)
		add_frame(t, &s->frames[0]);
	else
		text__add(t, "[stack not kept]");
	end_line(t, from, o->width);
	add_callers(t, s, o);
}

static void add_attributed(struct text *t, const struct heap_profile *p,
			   const struct heap_total *total)
{
	char a[UNITS_LEN], b[UNITS_LEN], c[UNITS_LEN];

	text__addf(t, "\nattributed    %s", units__bytes(a, sizeof(a), total->bytes));
	if (total->bytes_error > 0)
		text__addf(t, " +- %s", units__bytes(a, sizeof(a), total->bytes_error));
	text__addf(t, " in %s %s at %zu sites, %s",
		   units__number(b, sizeof(b), rint(total->blocks)), blocks_title(p), p->n_sites,
		   signed_bytes(c, total->grown_bytes));
	if (p->grown_s > 0)
		text__addf(t, " over %s", units__ns(c, sizeof(c), p->grown_s * 1e9));
	text__add(t, "\n");
}

static void add_totals(struct text *t, const struct heap_profile *p, const struct heap_total *total)
{
	char a[UNITS_LEN];

	if (p->unread)
		text__add(t, "\nattributed    not known\n");
	else
		add_attributed(t, p, total);
	if (!isnan(p->unattributed_bytes))
		text__addf(t, "unattributed  %s, from before the attach\n",
			   units__bytes(a, sizeof(a), p->unattributed_bytes));
	if (!isnan(p->resident_bytes))
		text__addf(t, "resident      %s\n", units__bytes(a, sizeof(a), p->resident_bytes));
}

static void add_counters(struct text *t, const struct heap_profile *p)
{
	char buf[UNITS_LEN];

#define ADD(name, what)       \
	if (p->counters.name) \
		text__addf(t, "%12s  %s\n", units__count(buf, sizeof(buf), p->counters.name), what);
	HEAP_COUNTERS(ADD)
#undef ADD
}

/* The probe's own cost, against what it was allowed. */
static void add_cost(struct text *t, const struct heap_profile *p)
{
	char hits[UNITS_LEN], ns[UNITS_LEN];

	if (isnan(p->probe_hits))
		text__add(t, "probes        hits not known");
	else
		text__addf(t, "probes        %s hits",
			   units__number(hits, sizeof(hits), p->probe_hits));
	if (!isnan(p->probe_ns) && p->duration_s > 0)
		text__addf(t, ", %s: %.2f %% of a core", units__ns(ns, sizeof(ns), p->probe_ns),
			   100 * p->probe_ns / 1e9 / p->duration_s);
	else
		text__add(t, ", cost not measured");
	if (p->budget > 0)
		text__addf(t, " (budget %g %%)", 100 * p->budget);
	text__add(t, "\n");
	if (p->stopped[0]) {
		text__add(t, "              ");
		text__add_printable(t, p->stopped);
		text__add(t, "\n");
	}
}

static void add_notes(struct text *t, const struct heap_profile *p)
{
	for (size_t i = 0; i < p->n_notes; i++) {
		text__add(t, "note: ");
		text__add_printable(t, p->notes[i]);
		text__add(t, "\n");
	}
	if (p->notes_lost)
		text__addf(t, "note: %zu more note%s left out\n", p->notes_lost,
			   p->notes_lost == 1 ? "" : "s");
}

int heap_table__print(FILE *out, const struct heap_profile *full,
		      const struct heap_table_opts *opts)
{
	struct heap_profile p;
	struct heap_total total;
	struct text t = {0};
	size_t n;
	int err = heap_profile__condense(&p, full);

	if (err)
		return err;
	heap_profile__sort(&p, opts->sort);
	n = opts->max_rows && opts->max_rows < p.n_sites ? opts->max_rows : p.n_sites;
	heap_profile__total(&p, &total);
	heap_words__title(&t, &p, opts->grown);
	text__add(&t, "\n");
	heap_words__label(&t, &p);
	text__add(&t, "\n\n");
	if (p.n_sites)
		add_header(&t, &p, opts, &total);
	else
		text__add(&t, p.unread ? "(what was held is not known)\n"
				       : "(nothing that was taken since the attach is held)\n");
	for (size_t i = 0; i < n; i++)
		add_site(&t, &p.sites[i], opts, &total);
	if (n < p.n_sites)
		text__addf(&t, "(%zu more sites)\n", p.n_sites - n);
	add_totals(&t, &p, &total);
	add_counters(&t, &p);
	add_cost(&t, &p);
	add_notes(&t, &p);
	err = text__print(&t, out);
	heap_profile__free(&p);
	return err;
}
