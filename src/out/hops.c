/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waterfalls on a terminal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/units.h"
#include "out/hops.h"

#define WIDTH	  110 /* of what is no terminal */
#define WIDEST	  150
#define COL_TIME  8
#define COL_SHARE 9
#define LABEL_MIN 24
#define BAR_MIN	  10
#define BAR_MAX	  48
#define PLACES	  4
#define AROUND	  7    /* lines of a waterfall above and below its edges */
#define ACCOUNTS  8    /* and of all that follows */
#define KNOWN	  0.99 /* share of waits that are known, below which it is said */

/* What is the same for all rows of a waterfall. */
struct frame {
	struct text *t;
	const struct waterfall *w;
	bool color, run_queue;
	size_t label, bar; /* columns */
	size_t largest;	   /* edge */
};

/* "1.23ms": no room for the blank. NaN: `none`. */
static void add_time(struct text *t, double ns, const char *none)
{
	char buf[UNITS_LEN], *blank;

	units__ns(buf, sizeof(buf), ns);
	blank = strchr(buf, ' ');
	if (blank)
		memmove(blank, blank + 1, strlen(blank));
	text__addf(t, " %*s", COL_TIME - 1, isnan(ns) ? none : buf);
}

static void add_share(struct text *t, double share)
{
	if (isnan(share))
		text__addf(t, "%*s", COL_SHARE, "");
	else
		text__addf(t, "%*.1f %%", COL_SHARE - 2, 100 * share);
}

static const char *color_of(unsigned int kind)
{
	switch (kind) {
	case WATERFALL_NETWORK: return "\033[34m";
	case WATERFALL_PROCESS: return "\033[33m";
	case WATERFALL_SERVICE: return "\033[32m";
	default: return "\033[35m";
	}
}

/*
 * From `start` to start + share of `columns`, in eighths of one. The first column is filled from
 * the right, for which there are glyphs of one, four and eight eighths only.
 */
static void add_bar(struct text *t, double start, double share, size_t columns)
{
	static const char *const left[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
	size_t whole = columns * 8, from, to;

	if (!(share > 0 && start >= 0 && start <= 1))
		return;
	from = (size_t)(start * (double)whole);
	from = from < whole ? from : whole - 1;
	to = (size_t)((start + share) * (double)whole + 0.5);
	to = to > whole ? whole : to;
	to = to > from ? to : from + 1;
	text__addf(t, "%*s", (int)(from / 8), "");
	if (to <= from / 8 * 8 + 8) {
		text__add(t, left[to - from]);
		return;
	}
	text__add(t, from % 8 == 0 ? "█" : from % 8 < 6 ? "▐" : "▕");
	for (from = from / 8 * 8 + 8; from + 8 <= to; from += 8)
		text__add(t, "█");
	text__add(t, left[to - from]);
}

static void trim(struct text *t)
{
	while (t->len && t->data[t->len - 1] == ' ')
		t->data[--t->len] = 0;
}

static void add_row_label(struct text *t, const struct waterfall *w, const struct waterfall_edge *e)
{
	static const char *const marks[] = {
		[WATERFALL_THERE] = "→", [WATERFALL_BACK] = "←", [WATERFALL_IN] = "●"};

	text__addf(t, "%*s%s ", w->span[e->within].depth, "", marks[e->direction]);
	hops__add_label(t, w, e);
	if (e->kind == WATERFALL_SERVICE)
		text__add(t, " itself");
}

static void add_label(struct frame *f, const char *label)
{
	text__add(f->t, "  ");
	text__add_fit(f->t, label, f->label - 2);
}

static void add_edge(struct frame *f, size_t i)
{
	const struct waterfall_edge *e = &f->w->edge[i];
	struct text label = {0};

	add_row_label(&label, f->w, e);
	text__add(f->t, f->color && i == f->largest ? "\033[1m" : "");
	add_label(f, label.data ? label.data : "");
	f->t->failed |= label.failed;
	text__free(&label);
	if (f->w->timeline) {
		add_time(f->t, e->start_ns, "");
	} else {
		add_time(f->t, e->p50_ns, "-");
		add_time(f->t, e->p99_ns, "-");
	}
	add_time(f->t, e->mean_ns, "-");
	add_share(f->t, e->share);
	add_time(f->t, e->queue_mean_ns, e->queues ? "-" : "");
	if (f->run_queue)
		add_time(f->t, e->run_mean_ns, e->queues ? "-" : "");
	text__add(f->t, f->color && i == f->largest ? "\033[0m  " : "  ");
	text__add(f->t, f->color ? color_of(e->kind) : "");
	add_bar(f->t, f->w->mean_ns > 0 ? e->start_ns / f->w->mean_ns : 0, e->share, f->bar);
	text__add(f->t, f->color ? "\033[0m" : "");
	trim(f->t);
	text__add(f->t, "\n");
}

/* "residual" and the like: only a mean and its share. */
static void add_sum(struct frame *f, const char *label, double mean_ns)
{
	add_label(f, label);
	text__addf(f->t, "%*s", f->w->timeline ? COL_TIME : 2 * COL_TIME, "");
	add_time(f->t, mean_ns, "-");
	add_share(f->t, f->w->mean_ns > 0 ? mean_ns / f->w->mean_ns : NAN);
	text__add(f->t, "\n");
}

static void add_sums(struct frame *f)
{
	const struct waterfall *w = f->w;

	add_sum(f, "residual (not visible)", w->residual_ns);
	if (w->unsettled_ns != 0)
		add_sum(f, "read in motion: does not add up", w->unsettled_ns);
	if (w->timeline) {
		add_sum(f, hops__whole(w), w->mean_ns);
		return;
	}
	add_label(f, hops__whole(w));
	add_time(f->t, w->p50_ns, "-");
	add_time(f->t, w->p99_ns, "-");
	add_time(f->t, w->mean_ns, "-");
	add_share(f->t, 1);
	text__add(f->t, "\n");
}

static void add_header(struct frame *f)
{
	char whole[UNITS_LEN];

	add_label(f, "hop");
	if (f->w->timeline)
		text__addf(f->t, "%*s%*s", COL_TIME, "at", COL_TIME, "time");
	else
		text__addf(f->t, "%*s%*s%*s", COL_TIME, "p50", COL_TIME, "p99", COL_TIME, "mean");
	text__addf(f->t, "%*s%*s", COL_SHARE, "share", COL_TIME, "queued");
	if (f->run_queue)
		text__addf(f->t, "%*s", COL_TIME, "run q.");
	units__ns(whole, sizeof(whole), f->w->mean_ns);
	text__addf(f->t, "  0%*s\n", (int)f->bar - 1, whole);
}

static void add_times_of(struct text *t, const struct waterfall *w)
{
	char mean[UNITS_LEN], p50[UNITS_LEN], p99[UNITS_LEN], max[UNITS_LEN];

	text__addf(t, "mean %s, p50 %s, p99 %s, max %s", units__ns(mean, sizeof(mean), w->mean_ns),
		   units__ns(p50, sizeof(p50), w->p50_ns), units__ns(p99, sizeof(p99), w->p99_ns),
		   units__ns(max, sizeof(max), w->max_ns));
}

/* "rpc.echo (nats, ok): 1,234 exchanges, the first of 2 ways: 80.0 % of them". */
static void add_title(struct text *t, const struct waterfall *w)
{
	char buf[UNITS_LEN];

	text__add_printable(t, w->route);
	text__addf(t, "  %s %s: ", wire_proto__name(w->proto), wire_status__name(w->status));
	if (w->timeline) {
		text__addf(t, "%s, %s", units__ns(buf, sizeof(buf), w->mean_ns),
			   w->sampled ? "taken by chance" : "slow");
		return;
	}
	hops__add_count(t, w);
	text__add(t, ", ");
	add_times_of(t, w);
}

static void add_known(struct text *t, const struct waterfall *w)
{
	double least = 1;

	for (size_t i = 0; i < w->n_edges; i++) {
		const struct waterfall_edge *e = &w->edge[i];

		if (e->queues && e->queue_count && w->count)
			least = fmin(least, (double)e->queue_count / (double)w->count);
	}
	if (least < KNOWN)
		text__addf(t, "  queued: known of %.1f %% of them where least is\n", 100 * least);
}

/* As wide as the labels need, and the rest for the bars. */
static void lay_out(struct frame *f, size_t width)
{
	size_t numbers = (f->w->timeline ? 3 : 4) * COL_TIME + COL_SHARE + 2, label = LABEL_MIN;

	numbers += f->run_queue ? COL_TIME : 0;
	for (size_t i = 0; i < f->w->n_edges; i++) {
		struct text t = {0};
		size_t n;

		add_row_label(&t, f->w, &f->w->edge[i]);
		n = (t.data ? text__width(t.data) : 0) + 3;
		label = n > label ? n : label;
		text__free(&t);
	}
	if (label + numbers + BAR_MIN > width)
		label = width > numbers + BAR_MIN + LABEL_MIN ? width - numbers - BAR_MIN
							      : LABEL_MIN;
	f->label = label;
	f->bar = width > label + numbers + BAR_MIN ? width - label - numbers : BAR_MIN;
	f->bar = f->bar < BAR_MAX ? f->bar : BAR_MAX;
}

static void add_waterfall(struct text *t, const struct waterfall *w, const struct table_opts *opts)
{
	struct frame f = {.t = t, .w = w, .color = opts->color};
	size_t width = opts->width ? opts->width : WIDTH;

	f.run_queue = hops__has_run_queue(w);
	for (size_t i = 1; i < w->n_edges; i++)
		if (w->edge[i].mean_ns > w->edge[f.largest].mean_ns)
			f.largest = i;
	lay_out(&f, width < WIDEST ? width : WIDEST);
	text__add(t, opts->color ? "\n\033[1m" : "\n");
	add_title(t, w);
	text__add(t, opts->color ? "\033[0m\n  " : "\n  ");
	hops__add_way(t, w);
	text__add(t, "\n  most of it: ");
	hops__add_places(t, w, PLACES);
	text__add(t, "\n");
	add_header(&f);
	for (size_t i = 0; i < w->n_edges; i++)
		add_edge(&f, i);
	add_sums(&f);
	if (!w->timeline)
		add_known(t, w);
}

static void add_accounting(struct text *t, const struct waterfalls *w, const struct snapshot *s)
{
	char buf[UNITS_LEN];
	size_t mark;

	text__addf(t, "followed hop by hop: %s exchange%s",
		   units__count(buf, sizeof(buf), w->count[HOP_COMPLETE]),
		   w->count[HOP_COMPLETE] == 1 ? "" : "s");
	if (w->count[HOP_DELIVERED])
		text__addf(t, ", %s deliver%s",
			   units__count(buf, sizeof(buf), w->count[HOP_DELIVERED]),
			   w->count[HOP_DELIVERED] == 1 ? "y" : "ies");
	text__add(t, "; ");
	mark = t->len;
	hops__add_losses(t, w->count);
	if (t->len == mark && !t->failed)
		t->data[t->len -= 2] = 0;
	text__add(t, "\n");
	if (s)
		table__add_accounting(t, s);
}

/* How many to print: one, however small the terminal is. */
static size_t number_of(const struct waterfalls *w, const struct table_opts *opts)
{
	size_t n = opts->max_rows && opts->max_rows < w->n ? opts->max_rows : w->n;
	size_t lines = ACCOUNTS;

	for (size_t i = 0; opts->height && i < n; i++) {
		lines += w->v[i].n_edges + AROUND;
		if (i && lines > opts->height)
			return i;
	}
	return n;
}

int hops_table__print(FILE *out, const struct waterfalls *w, const struct snapshot *s,
		      const struct table_opts *opts)
{
	size_t n = number_of(w, opts);
	struct text t = {0};

	for (size_t i = 0; i < n; i++)
		add_waterfall(&t, &w->v[i], opts);
	if (n < w->n)
		text__addf(&t, "\n... and %zu more way%s (--rows 0 prints all)\n", w->n - n,
			   w->n - n == 1 ? "" : "s");
	if (!w->n)
		text__addf(&t, "NO DATA: %s\n", hops__none(w));
	else
		text__add(&t, "\nMeans add up to the round trip. p50 and p99 are each hop's own "
			      "and do not. queued: of the mean, in a\nsocket's queue, to be read"
			      "; run q.: of that, the reader waited for a processor.\n");
	add_accounting(&t, w, s);
	return text__print(&t, out);
}

int hops_table__timelines(FILE *out, const struct waterfall *v, size_t n,
			  const struct table_opts *opts)
{
	struct text t = {0};

	for (size_t i = 0; i < n; i++)
		add_waterfall(&t, &v[i], opts);
	return text__print(&t, out);
}
