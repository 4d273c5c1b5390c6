/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waterfalls as a picture: time from left to right, a row an edge, the queues within. */
#include <math.h>
#include <string.h>

#include "model/units.h"
#include "out/hops.h"
#include "src/out/hops.css.inc" /* hops_css: made by the Makefile */

#define WIDTH	1180.0
#define PAD	16.0
#define CHAR	7.3 /* of the font, at most */
#define ROW	22
#define BAR_X	370.0 /* where bars begin and end */
#define BAR_END 756.0
#define TOP	84  /* of the first waterfall */
#define ABOVE	92  /* of a waterfall above its rows */
#define BELOW	44  /* and below */
#define TICKS	5.0 /* about so many */
#define THIN	1.5 /* of what is not nothing */
#define WRAP	((size_t)((WIDTH - 2 * PAD) / CHAR))
#define PLACES	5

/* Right ends of the columns of numbers. */
static const struct {
	const char *title;
	double x;
} columns[] = {{"mean", 826}, {"share", 894},	{"p50", 962},
	       {"p99", 1030}, {"queued", 1098}, {"run q.", 1166}};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void add_text(struct text *t, const char *class, double x, double y, const char *s)
{
	text__addf(t, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
	text__add_xml(t, s);
	text__add(t, "</text>\n");
}

/* s (printable), cut to what fits between x and `end`. */
static void add_cut(struct text *t, const char *class, double x, double end, double y,
		    const char *s)
{
	size_t width = (size_t)((end - x) / CHAR);
	struct text cut = {0};

	if (text__width(s) > width)
		text__add_fit(&cut, s, width);
	add_text(t, class, x, y, cut.data ? cut.data : s);
	t->failed |= cut.failed;
	text__free(&cut);
}

static void add_rect(struct text *t, const char *class, const char *fill, double x, double y,
		     double width, double height)
{
	text__addf(t,
		   "<rect class=\"%s\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" "
		   "fill=\"%s\"/>\n",
		   class, x, y, width, height, fill);
}

/* For viewers that know no style sheet. */
static const char *fill_of(unsigned int kind)
{
	switch (kind) {
	case WATERFALL_NETWORK: return "#4c8fd6";
	case WATERFALL_PROCESS: return "#e0a030";
	case WATERFALL_SERVICE: return "#45a35b";
	default: return "#a05cb8";
	}
}

static double at(const struct waterfall *w, double ns)
{
	return BAR_X + (w->mean_ns > 0 ? ns / w->mean_ns : 0) * (BAR_END - BAR_X);
}

static void add_axis(struct text *t, const struct waterfall *w, double y, double end)
{
	double step = w->mean_ns > 0 ? units__step(w->mean_ns / TICKS) : 0;

	for (unsigned int i = 0; i <= 2 * TICKS; i++) {
		double ns = i * step, x = at(w, ns);
		char buf[UNITS_LEN];

		if (ns > w->mean_ns || (i && !(step > 0)))
			break;
		text__addf(t,
			   "<line class=\"line\" x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" y2=\"%.1f\" "
			   "stroke=\"#d8d8d8\"/>\n",
			   x, y, x, end);
		add_text(t, "dim m", x, y - 6, units__ns(buf, sizeof(buf), ns));
	}
}

static void add_titled(struct text *t, const char *name, double ns)
{
	char buf[UNITS_LEN];

	if (!isnan(ns))
		text__addf(t, "\n%s %s", name, units__ns(buf, sizeof(buf), ns));
}

/* What a pointer over the row is told. */
static void add_tip(struct text *t, const struct waterfall_edge *e, const char *label)
{
	text__add(t, "<title>");
	text__add_xml(t, label);
	text__addf(t, "\n%s, %s", waterfall_kind__name(e->kind),
		   waterfall_direction__name(e->direction));
	add_titled(t, "mean", e->mean_ns);
	add_titled(t, "p50", e->p50_ns);
	add_titled(t, "p99", e->p99_ns);
	add_titled(t, "of the mean queued", e->queue_mean_ns);
	add_titled(t, "of that, waiting for a processor", e->run_mean_ns);
	text__add(t, "</title>\n");
}

/* The message waits first, and its reader for a processor at the end of that. */
static void add_bar(struct text *t, const struct waterfall *w, const struct waterfall_edge *e,
		    double y)
{
	double x = at(w, e->start_ns), width = at(w, e->start_ns + e->mean_ns) - x;
	double queue = isnan(e->queue_mean_ns) ? 0 : fmin(e->queue_mean_ns, e->mean_ns);
	double run = isnan(e->run_mean_ns) ? 0 : fmin(e->run_mean_ns, queue);
	double scale = w->mean_ns > 0 ? (BAR_END - BAR_X) / w->mean_ns : 0;

	if (!(e->mean_ns > 0))
		return;
	width = fmax(width, THIN);
	add_rect(t, waterfall_kind__name(e->kind), fill_of(e->kind), x, y + 4, width, ROW - 8);
	if (queue * scale >= 0.5)
		add_rect(t, "queue", "rgba(0,0,0,0.35)", x, y + 4, queue * scale, ROW - 8);
	if (run * scale >= 0.5)
		add_rect(t, "run", "rgba(0,0,0,0.45)", x + (queue - run) * scale, y + 4,
			 run * scale, (ROW - 8) / 2.0);
}

static bool has_column(const struct waterfall *w, size_t i)
{
	if (i == 2 || i == 3)
		return !w->timeline;
	return i != 5 || hops__has_run_queue(w);
}

static void add_numbers(struct text *t, const struct waterfall *w, const struct waterfall_edge *e,
			double y, bool most)
{
	const double ns[N_COLUMNS] = {e->mean_ns,	NAN,	       e->p50_ns, e->p99_ns,
				      e->queue_mean_ns, e->run_mean_ns};

	for (size_t i = 0; i < N_COLUMNS; i++) {
		char buf[UNITS_LEN] = "";

		if (i == 1)
			snprintf(buf, sizeof(buf), "%.1f %%", isnan(e->share) ? 0 : 100 * e->share);
		else if (!isnan(ns[i]))
			units__ns(buf, sizeof(buf), ns[i]);
		else if (e->queues && i == 4)
			snprintf(buf, sizeof(buf), "-");
		if (buf[0] && has_column(w, i))
			add_text(t, most && i < 2 ? "r most" : "r", columns[i].x, y + 15, buf);
	}
}

static void add_row(struct text *t, const struct waterfall *w, size_t i, double y, bool most)
{
	static const char *const marks[] = {
		[WATERFALL_THERE] = "→ ", [WATERFALL_BACK] = "← ", [WATERFALL_IN] = "● "};
	const struct waterfall_edge *e = &w->edge[i];
	double x = PAD + 10.0 * w->span[e->within].depth;
	struct text label = {0};

	text__add(&label, marks[e->direction]);
	hops__add_label(&label, w, e);
	text__add(t, "<g>");
	add_tip(t, e, label.data ? label.data : "");
	add_cut(t, most ? "most" : "label", x, BAR_X - 6, y + 15, label.data ? label.data : "");
	add_bar(t, w, e, y);
	add_numbers(t, w, e, y, most);
	text__add(t, "</g>\n");
	t->failed |= label.failed;
	text__free(&label);
}

static void add_head(struct text *t, const struct waterfall *w, double y)
{
	struct text route = {0}, way = {0}, places = {0};
	char n[UNITS_LEN];

	text__add_printable(&route, w->route);
	text__addf(&route, " (%s, %s)", wire_proto__name(w->proto), wire_status__name(w->status));
	add_cut(t, "route", PAD, WIDTH - PAD - 100, y + 14, route.data ? route.data : "");
	hops__add_way(&way, w);
	text__add(&way, ": ");
	if (w->timeline)
		text__addf(&way, "one exchange of %s, %s", units__ns(n, sizeof(n), w->mean_ns),
			   w->sampled ? "taken by chance" : "slow");
	else
		hops__add_count(&way, w);
	add_cut(t, "label", PAD, WIDTH - PAD, y + 33, way.data ? way.data : "");
	text__add(&places, "most of it: ");
	hops__add_places(&places, w, PLACES);
	add_cut(t, "dim", PAD, WIDTH - PAD, y + 51, places.data ? places.data : "");
	t->failed |= route.failed || way.failed || places.failed;
	text__free(&route);
	text__free(&way);
	text__free(&places);
}

static void add_sum(struct text *t, const struct waterfall *w, double y)
{
	struct waterfall_edge sum = {.mean_ns = w->mean_ns,
				     .p50_ns = w->p50_ns,
				     .p99_ns = w->p99_ns,
				     .queue_mean_ns = NAN,
				     .run_mean_ns = NAN,
				     .share = 1};
	char residual[UNITS_LEN], line[160];

	text__addf(t,
		   "<line class=\"line\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
		   "stroke=\"#d8d8d8\"/>\n",
		   PAD / 2, y, WIDTH - PAD / 2, y);
	add_text(t, "most", PAD, y + 15, hops__whole(w));
	snprintf(line, sizeof(line), "residual (not visible) %s, %.1f %%%s",
		 units__ns(residual, sizeof(residual), w->residual_ns),
		 w->mean_ns > 0 ? 100 * w->residual_ns / w->mean_ns : 0,
		 w->unsettled_ns != 0 ? "; read in motion: does not add up" : "");
	add_text(t, "dim", BAR_X, y + 15, line);
	add_numbers(t, w, &sum, y, true);
}

/* How high it is. */
static double add_waterfall(struct text *t, const struct waterfall *w, double y)
{
	double rows = y + ABOVE, end = rows + (double)w->n_edges * ROW;
	size_t most = 0;

	add_head(t, w, y);
	for (size_t i = 0; i < N_COLUMNS; i++)
		if (has_column(w, i))
			add_text(t, "dim r", columns[i].x, rows - 6,
				 w->timeline && !i ? "time" : columns[i].title);
	for (size_t i = 1; i < w->n_edges; i++)
		if (w->edge[i].mean_ns > w->edge[most].mean_ns)
			most = i;
	for (size_t i = 1; i < w->n_edges; i += 2)
		add_rect(t, "stripe", "none", PAD / 2, rows + (double)i * ROW, WIDTH - PAD, ROW);
	add_axis(t, w, rows, end);
	for (size_t i = 0; i < w->n_edges; i++)
		add_row(t, w, i, rows + (double)i * ROW, i == most);
	add_sum(t, w, end);
	return end + BELOW - y;
}

static void add_legend(struct text *t, double y)
{
	static const struct {
		const char *class, *name;
		unsigned int kind;
	} items[] = {{"network", "network", WATERFALL_NETWORK},
		     {"process", "in a process", WATERFALL_PROCESS},
		     {"service", "the service itself", WATERFALL_SERVICE},
		     {"opaque", "not visible", WATERFALL_OPAQUE}};
	double x = PAD;

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		add_rect(t, items[i].class, fill_of(items[i].kind), x, y - 10, 14, 12);
		add_text(t, "dim", x + 20, y, items[i].name);
		x += 20 + CHAR * (double)strlen(items[i].name) + 18;
	}
	add_rect(t, "process", fill_of(WATERFALL_PROCESS), x, y - 10, 28, 12);
	add_rect(t, "queue", "rgba(0,0,0,0.35)", x, y - 10, 14, 12);
	add_text(t, "dim", x + 34, y, "dark: of it, queued; upper half: for a processor");
}

static double height_of(const struct waterfall *v, size_t n)
{
	double height = 0;

	for (size_t i = 0; i < n; i++)
		height += ABOVE + BELOW + (double)v[i].n_edges * ROW;
	return height;
}

static void add_begin(struct text *t, double height, const char *title)
{
	text__addf(t,
		   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg "
		   "xmlns=\"http://www.w3.org/2000/svg\" class=\"hops\" width=\"%g\" height=\"%g\" "
		   "viewBox=\"0 0 %g %g\" role=\"img\" aria-labelledby=\"hops-title\" "
		   "font-family=\"monospace\" font-size=\"12\">\n<title id=\"hops-title\">",
		   WIDTH, height, WIDTH, height);
	text__add_xml_printable(t, title);
	text__addf(
		t,
		"</title>\n<style><![CDATA[\n%s]]></style>\n<rect class=\"page\" width=\"100%%\" "
		"height=\"100%%\" fill=\"#ffffff\"/>\n",
		hops_css);
	text__add(t, "<text class=\"head\" x=\"16\" y=\"30\">");
	text__add_xml_printable(t, title);
	text__add(t, "</text>\n");
	add_legend(t, 56);
}

/* Below all: how to read it, and why there is no more. */
static void add_end(struct text *t, const struct waterfalls *w, size_t more, double y)
{
	struct text line = {0};

	if (w->n)
		text__add(&line, "Means add up to the round trip. p50 and p99 are each hop's own "
				 "and do not.");
	else
		text__addf(&line, "NO DATA: %s", hops__none(w));
	add_text(t, "dim", PAD, y, line.data ? line.data : "");
	if (more)
		text__addf(t,
			   "<text class=\"dim r\" x=\"%.1f\" y=\"%.1f\">... and %zu more way%s"
			   "</text>\n",
			   WIDTH - PAD, y, more, more == 1 ? "" : "s");
	line.len = 0;
	hops__add_losses(&line, w->count);
	if (line.len)
		add_cut(t, "most", PAD, WIDTH - PAD, y + ROW, line.data);
	text__add(t, "</svg>\n");
	t->failed |= line.failed;
	text__free(&line);
}

int hops_svg__print(FILE *out, const struct waterfalls *w, size_t max_rows,
		    const struct waterfall *timelines, size_t n_timelines, const char *title)
{
	size_t n = max_rows && max_rows < w->n ? max_rows : w->n;
	double y = TOP;
	struct text t = {0};

	add_begin(&t, TOP + height_of(w->v, n) + height_of(timelines, n_timelines) + 40, title);
	for (size_t i = 0; i < n; i++)
		y += add_waterfall(&t, &w->v[i], y);
	for (size_t i = 0; i < n_timelines; i++)
		y += add_waterfall(&t, &timelines[i], y);
	add_end(&t, w, w->n - n, y + 14);
	return text__print(&t, out);
}
