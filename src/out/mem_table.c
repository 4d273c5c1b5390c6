// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "out/mem_table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "model/units.h"
#include "out/mem_findings.h"

#define DEFAULT_WIDTH  100
#define DEFAULT_HEIGHT 24
#define NAME_MIN       12
#define GAP	       2
#define SPARK_WIDTH    16
#define SPARK_MAX      64
/* Less than this share of the level is drawn flat: noise is not to look like growth. */
#define SPARK_FLAT 0.05

/* From left to right. `drop`: the order in which they give way on a narrow terminal; 0: never. */
enum column {
	COL_NAME,
	COL_USAGE,
	COL_WS,
	COL_LIMIT,
	COL_SHARE,
	COL_ANON,
	COL_FILE,
	COL_PEAK,
	COL_EVENTS,
	COL_PRESSURE,
	COL_TREND,
	COL_GROWTH,
	COL_SLOPE,
	COL_INTERVAL,
	COL_DETECT,
	COL_LEFT,
	COLUMNS
};

static const struct {
	const char *title;
	bool right;
	int drop;
} columns[COLUMNS] = {
	[COL_NAME] = {"container", false, 0},	[COL_USAGE] = {"usage", true, 7},
	[COL_WS] = {"wset", true, 0},		[COL_LIMIT] = {"limit", true, 8},
	[COL_SHARE] = {"%", true, 0},		[COL_ANON] = {"anon", true, 9},
	[COL_FILE] = {"file", true, 2},		[COL_PEAK] = {"peak", true, 1},
	[COL_EVENTS] = {"events", false, 6},	[COL_PRESSURE] = {"waits", true, 3},
	[COL_TREND] = {"trend", false, 10},	[COL_GROWTH] = {"growth", false, 0},
	[COL_SLOPE] = {"slope", true, 11},	[COL_INTERVAL] = {"95 % interval", true, 4},
	[COL_DETECT] = {"detectable", true, 5}, [COL_LEFT] = {"to limit", true, 12},
};

struct row {
	struct text cell[COLUMNS];
};

struct table {
	struct row *rows;
	size_t n_rows, n_live, n_gone;
	size_t width[COLUMNS];
	bool shown[COLUMNS];
};

void mem_table_opts__detect(struct mem_table_opts *opts, FILE *out)
{
	const char *no_color = getenv("NO_COLOR");
	struct winsize size = {0};

	memset(opts, 0, sizeof(*opts));
	if (!isatty(fileno(out)))
		return;
	opts->width = DEFAULT_WIDTH;
	opts->height = DEFAULT_HEIGHT;
	if (!ioctl(fileno(out), TIOCGWINSZ, &size)) {
		opts->width = size.ws_col ? size.ws_col : opts->width;
		opts->height = size.ws_row ? size.ws_row : opts->height;
	}
	opts->color = !(no_color && no_color[0]);
	opts->redraw = true;
}

/* Means over equal times; a time without a sample has that of the one before. Number of them. */
static size_t spark_means(const struct memory_container *c, double *mean, size_t width)
{
	double from = c->history[0].t_s, span = c->history[c->n_history - 1].t_s - from;
	size_t n = c->n_history < width ? c->n_history : width, counts[SPARK_MAX] = {0};

	memset(mean, 0, width * sizeof(*mean));
	for (size_t i = 0; i < c->n_history; i++) {
		double at = span > 0 ? (c->history[i].t_s - from) / span * (double)n : 0;
		size_t b = at < (double)n ? (size_t)at : n - 1;

		mean[b] += c->history[i].bytes;
		counts[b]++;
	}
	for (size_t b = 0; b < n; b++)
		mean[b] = counts[b] ? mean[b] / (double)counts[b] : mean[b ? b - 1 : 0];
	return n;
}

void mem_table__sparkline(struct text *t, const struct memory_container *c, size_t width)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	double mean[SPARK_MAX], low = INFINITY, high = -INFINITY, scale;
	size_t n;

	if (!c->n_history || !width)
		return;
	n = spark_means(c, mean, width < SPARK_MAX ? width : SPARK_MAX);
	for (size_t i = 0; i < n; i++) {
		low = fmin(low, mean[i]);
		high = fmax(high, mean[i]);
	}
	scale = fmax(high - low, SPARK_FLAT * high);
	for (size_t i = 0; i < n; i++) {
		int level = scale > 0 ? (int)lrint((mean[i] - low) / scale * 7) : 0;

		text__add(t, blocks[level < 0 ? 0 : level > 7 ? 7 : level]);
	}
}

/* "12.3M": the table has no room for " MiB". */
static void add_bytes(struct text *cell, double v)
{
	char buf[UNITS_LEN], *blank;

	units__bytes(buf, sizeof(buf), v);
	blank = strchr(buf, ' ');
	if (blank) {
		blank[0] = blank[1]; /* of " B", " KiB" */
		blank[1] = '\0';
	}
	text__add(cell, buf);
}

static void add_figure(struct text *cell, uint64_t v)
{
	add_bytes(cell, v == MEMORY_NOT_KNOWN ? NAN : (double)v);
}

static void add_rate(struct text *cell, double per_s)
{
	if (isnan(per_s)) {
		text__add(cell, "-");
		return;
	}
	add_bytes(cell, mem_findings__per_hour(per_s) ? per_s * 3600 : per_s);
	text__add(cell, mem_findings__per_hour(per_s) ? "/h" : "/s");
}

static void add_event(struct text *cell, const char *name, uint64_t v)
{
	if (v && v != MEMORY_NOT_KNOWN)
		text__addf(cell, "%s%s:%llu", cell->len ? " " : "", name, (unsigned long long)v);
}

static void add_growth(struct row *row, const struct growth *g)
{
	bool bounded = !isnan(g->ci_low) && !isnan(g->ci_high);

	text__add(&row->cell[COL_GROWTH], growth_verdict__name(g->verdict));
	add_rate(&row->cell[COL_SLOPE], g->slope);
	if (bounded) {
		add_rate(&row->cell[COL_INTERVAL], g->ci_low);
		text__add(&row->cell[COL_INTERVAL], " .. ");
		add_rate(&row->cell[COL_INTERVAL], g->ci_high);
	} else {
		text__add(&row->cell[COL_INTERVAL], "-");
	}
	add_rate(&row->cell[COL_DETECT], g->min_detectable);
	mem_findings__add_seconds(&row->cell[COL_LEFT], g->time_to_limit_s);
}

static void fill_row(struct row *row, const struct memory_container *c)
{
	const struct memory_reading *r = &c->last;
	double share = memory_reading__share(r);
	struct text *name = &row->cell[COL_NAME], *events = &row->cell[COL_EVENTS];

	mem_findings__add_name(name, c);
	if (c->restarts)
		text__addf(name, " (restart %u)", c->restarts);
	if (c->gone)
		text__add(name, " (gone)");
	add_figure(&row->cell[COL_USAGE], r->current);
	add_figure(&row->cell[COL_WS], r->working_set);
	add_figure(&row->cell[COL_ANON], r->anon);
	add_figure(&row->cell[COL_FILE], r->file);
	add_figure(&row->cell[COL_PEAK], r->peak);
	add_figure(&row->cell[COL_LIMIT], r->limit);
	if (isnan(share))
		text__add(&row->cell[COL_SHARE], "-");
	else
		text__addf(&row->cell[COL_SHARE], "%.1f", 100 * share);
	add_event(events, "high", r->events_high);
	add_event(events, "max", r->events_max);
	add_event(events, "oom", r->events_oom);
	add_event(events, "kill",
		  c->n_kills > r->events_oom_kill || r->events_oom_kill == MEMORY_NOT_KNOWN
			  ? c->n_kills
			  : r->events_oom_kill);
	if (!events->len)
		text__add(events, "-");
	if (isnan(r->pressure_some))
		text__add(&row->cell[COL_PRESSURE], "-");
	else
		text__addf(&row->cell[COL_PRESSURE], "%.1f%%", 100 * r->pressure_some);
	mem_table__sparkline(&row->cell[COL_TREND], c, SPARK_WIDTH);
	add_growth(row, &c->growth);
}

static void table__free(struct table *t)
{
	for (size_t i = 0; t->rows && i < t->n_rows; i++)
		for (int c = 0; c < COLUMNS; c++)
			text__free(&t->rows[i].cell[c]);
	free(t->rows);
}

/* Those that went are of interest at the end; until then it is enough to know how many. */
static int table__fill(struct table *t, const struct memory_snapshot *s,
		       const struct memory_container **sorted, size_t max_rows, bool final)
{
	bool failed = false;

	for (size_t i = 0; i < s->n; i++)
		t->n_gone += s->containers[i].gone;
	t->n_live = s->n - t->n_gone;
	t->n_rows = final ? s->n : t->n_live;
	if (max_rows && t->n_rows > max_rows)
		t->n_rows = max_rows;
	t->rows = calloc(t->n_rows + 1, sizeof(*t->rows));
	if (!t->rows)
		return -ENOMEM;
	for (int c = 0; c < COLUMNS; c++) {
		t->shown[c] = c != COL_PRESSURE && c != COL_EVENTS;
		t->width[c] = strlen(columns[c].title);
	}
	for (size_t i = 0; i < t->n_rows; i++) {
		fill_row(&t->rows[i], sorted[i]);
		for (int c = 0; c < COLUMNS; c++) {
			const struct text *cell = &t->rows[i].cell[c];
			size_t width = cell->data ? text__width(cell->data) : 0;

			failed = failed || cell->failed;
			/* v1 has no pressure, and a quiet host no events. */
			t->shown[c] = t->shown[c] || (cell->data && strcmp(cell->data, "-") != 0);
			t->width[c] = width > t->width[c] ? width : t->width[c];
		}
	}
	return failed ? -ENOMEM : 0;
}

static size_t total_width(const struct table *t)
{
	size_t total = 0;

	for (int c = 0; c < COLUMNS; c++)
		total += t->shown[c] ? t->width[c] + (c ? GAP : 0) : 0;
	return total;
}

/* Names give way first, then the columns one after the other. */
static void table__fit(struct table *t, size_t width)
{
	size_t name = t->width[COL_NAME], least = name < NAME_MIN ? name : NAME_MIN;

	for (int drop = 1; drop <= COLUMNS; drop++) {
		size_t rest = total_width(t) - t->width[COL_NAME];

		/* Half of the name is worth a column. */
		t->width[COL_NAME] = name;
		if (rest + name <= width)
			return;
		if (width > rest && width - rest >= least && width - rest >= name / 2) {
			t->width[COL_NAME] = width - rest;
			return;
		}
		for (int c = 0; c < COLUMNS; c++)
			if (columns[c].drop == drop)
				t->shown[c] = false;
	}
	t->width[COL_NAME] = least;
}

static void add_cell(struct text *line, const struct table *t, enum column c, const char *s)
{
	size_t width = text__width(s), pad = t->width[c] > width ? t->width[c] - width : 0;

	if (c)
		text__addf(line, "%*s", GAP, "");
	if (columns[c].right)
		text__addf(line, "%*s%s", (int)pad, "", s);
	else
		text__add_fit(line, s, t->width[c]);
}

static void add_table(struct text *out, const struct table *t, bool bold)
{
	text__add(out, bold ? "\033[1m" : "");
	for (int c = 0; c < COLUMNS; c++)
		if (t->shown[c])
			add_cell(out, t, (enum column)c, columns[c].title);
	text__add(out, bold ? "\033[0m\n" : "\n");
	for (size_t i = 0; i < t->n_rows; i++) {
		for (int c = 0; c < COLUMNS; c++) {
			const char *s = t->rows[i].cell[c].data;

			if (t->shown[c])
				add_cell(out, t, (enum column)c, s ? s : "");
		}
		text__add(out, "\n");
	}
}

static void add_title(struct text *out, const struct memory_snapshot *s, const struct table *t,
		      size_t width, bool final)
{
	struct text line = {0};
	char clock[16];
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	text__addf(&line, "%s  %s %.1f s, cgroup %s: %zu container%s", clock,
		   final ? "total of" : "watching for", s->duration_s, s->hierarchy, t->n_live,
		   t->n_live == 1 ? "" : "s");
	if (t->n_gone)
		text__addf(&line, ", %zu gone", t->n_gone);
	out->failed = out->failed || line.failed;
	if (line.data)
		text__add_fit(out, line.data, width ? width : text__width(line.data));
	text__add(out, "\n");
	text__free(&line);
}

static void add_rest(struct text *out, const struct memory_snapshot *s, const struct table *t,
		     bool final)
{
	size_t all = final ? s->n : t->n_live;

	if (all > t->n_rows)
		text__addf(out, "... and %zu more\n", all - t->n_rows);
	if (!all)
		text__add(out, "(no containers)\n");
}

/* On a screen that is drawn over, each line clears what was behind it, and none is too long. */
static void redrawn(struct text *screen, const struct text *all, const struct mem_table_opts *o)
{
	const char *line = all->data, *end;
	unsigned int lines = 0;

	text__add(screen, "\033[H");
	for (; line && *line && lines + 1 < o->height; line = end + 1, lines++) {
		end = strchr(line, '\n');
		if (!end)
			break;
		text__addn(screen, line, (size_t)(end - line));
		text__add(screen, "\033[K\n");
	}
	text__add(screen, "\033[J");
}

/* Rows that leave room for the title, the header, the rest and some findings. */
static size_t rows_for(const struct mem_table_opts *o, bool final)
{
	size_t max = o->max_rows;

	if (o->redraw && !final && o->height) {
		size_t fits = o->height > 10 ? o->height - 8 : 2;

		max = max && max < fits ? max : fits;
	}
	return max;
}

int mem_table__print(FILE *out, const struct memory_snapshot *s, const struct mem_table_opts *opts,
		     bool final)
{
	const struct memory_container **sorted = memory_snapshot__sorted(s, opts->sort);
	struct text text = {0}, screen = {0};
	struct table t = {0};
	const struct text *what = &text;
	int err = sorted ? table__fill(&t, s, sorted, rows_for(opts, final), final) : -ENOMEM;

	if (err)
		goto out;
	if (opts->width)
		table__fit(&t, opts->width);
	add_title(&text, s, &t, opts->redraw && !final ? opts->width : 0, final);
	add_table(&text, &t, opts->color);
	add_rest(&text, s, &t, final);
	mem_findings__add(&text, s, sorted, opts->redraw && !final ? opts->width : 0, final);
	if (opts->redraw) {
		redrawn(&screen, &text, opts);
		/* The end stays on the screen: from the top, and as long as it is. */
		if (final) {
			text__free(&screen);
			text__add(&screen, "\033[H\033[J");
			text__addn(&screen, text.data ? text.data : "", text.len);
		}
		what = &screen;
	} else if (!final) {
		text__add(&text, "\n");
	}
	if (text.failed || screen.failed)
		err = -ENOMEM;
	else if (fwrite(what->data, 1, what->len, out) != what->len || fflush(out))
		err = -EIO;
out:
	free(sorted);
	text__free(&text);
	text__free(&screen);
	table__free(&t);
	return err;
}
