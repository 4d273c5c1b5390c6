/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Figures of a port-forward run, as SVG that needs nothing else: readable in light and in dark. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/units.h"
#include "out/figures.h"
#include "out/pf.h"
#include "out/session.h"
#include "src/out/pf.css.inc" /* pf_css: made by the Makefile */

#define WIDTH  860.0
#define PAD    16.0
#define LEFT   120.0 /* of the names, where there are */
#define COLORS 7u

static void add_text(struct text *t, const char *class, double x, double y, const char *s)
{
	text__addf(t, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
	text__add_xml_printable(t, s);
	text__add(t, "</text>\n");
}

static void add_line(struct text *t, const char *class, double x1, double y1, double x2, double y2)
{
	text__addf(t, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
		   class, x1, y1, x2, y2);
}

static void begin(struct text *t, double height, const char *title, const char *what)
{
	text__addf(t,
		   "<svg class=\"pf\" xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" "
		   "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n<title>%s</title>\n"
		   "<style>\n%s</style>\n"
		   "<rect class=\"page\" width=\"%.0f\" height=\"%.0f\"/>\n",
		   WIDTH, height, WIDTH, height, title, pf_css, WIDTH, height);
	add_text(t, "head", PAD, 28, title);
	add_text(t, "dim", PAD, 48, what);
}

static void end(struct text *t)
{
	text__add(t, "</svg>\n");
}

static const char *tick_text(double v, char *buf, size_t size)
{
	return v == 0 ? "0" : units__format_digits(buf, size, v, "ns", 1);
}

/* ---- added, at the base point: a row a way */

#define ROW	44.0
#define CUT	0.5 /* of the range of the values, beyond which intervals are cut */
#define TOP	84.0
#define BAR_END 586.0
#define VALUE_X 608.0

static struct estimate base_added(const json_t *session, const char *way, const char *workload)
{
	struct pf_at at;

	if (!pf__base_at(session, workload, &at))
		return estimate__none();
	return pf__added(session, pf__cell(session, way, &at), "p50_ns");
}

static double high_end(const struct estimate *e)
{
	return isnan(e->hi) ? e->value : e->hi;
}

static double low_end(const struct estimate *e)
{
	return isnan(e->lo) ? e->value : e->lo;
}

struct axis {
	double min, max;     /* of the values */
	double from, length; /* where they are drawn; length < 0: upwards */
	bool logarithmic;
};

static double place(const struct axis *a, double v)
{
	double share = a->logarithmic ? log(v / a->min) / log(a->max / a->min)
				      : (v - a->min) / (a->max - a->min);

	return a->from + a->length * fmin(fmax(share, 0), 1);
}

/* A wild interval must not squeeze all others: what goes far beyond the values is cut. */
static bool base_axis(const json_t *session, struct axis *a)
{
	double most = 0, least = 0;
	const char *way;

	*a = (struct axis){.from = LEFT, .length = BAR_END - LEFT};
	for (size_t i = 1; (way = pf__way(session, i)); i++) {
		for (size_t w = 0; w < 2; w++) {
			struct estimate e = base_added(session, way, pf_workloads[w]);

			a->max = fmax(a->max, high_end(&e));
			a->min = fmin(a->min, low_end(&e));
			most = fmax(most, e.value);
			least = fmin(least, e.value);
		}
	}
	a->max = fmin(a->max, most + CUT * (most - least));
	a->min = fmax(a->min, least - CUT * (most - least));
	return a->max > a->min;
}

static void draw_row(struct text *t, const struct axis *a, size_t color, bool ring,
		     const struct estimate *e, const char *workload, double y)
{
	char value[UNITS_LEN], lo[UNITS_LEN], hi[UNITS_LEN], label[4 * UNITS_LEN];

	if (isnan(e->value)) {
		snprintf(label, sizeof(label), "%s NO DATA", workload);
		add_text(t, "dim small", VALUE_X, y + 4, label);
		return;
	}
	text__addf(t, "<g class=\"w%zu\">\n", color % COLORS);
	add_line(t, "ci", place(a, low_end(e)), y, place(a, high_end(e)), y);
	text__addf(t, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n</g>\n",
		   ring ? "ring" : "dot", place(a, e->value), y);
	units__ns(value, sizeof(value), e->value);
	if (isnan(e->lo) || isnan(e->hi))
		snprintf(label, sizeof(label), "%s %s", workload, value);
	else
		snprintf(label, sizeof(label), "%s %s (%s to %s)", workload, value,
			 units__ns(lo, sizeof(lo), e->lo), units__ns(hi, sizeof(hi), e->hi));
	add_text(t, "small", VALUE_X, y + 4, label);
}

static bool has_base(const json_t *session)
{
	struct axis a;

	return base_axis(session, &a);
}

static size_t count_ways(const json_t *session)
{
	return json_array_size(session__get(session, "ways"));
}

static void draw_base(struct text *t, const json_t *session)
{
	double bottom = TOP + ROW * (double)(count_ways(session) - 1), step, v;
	char buf[UNITS_LEN];
	const char *way;
	struct axis a;

	base_axis(session, &a);
	begin(t, bottom + 44, "Added to direct, median round trip",
	      "base point; dots: NATS, rings: HTTP; lines: 95 % intervals over the rounds, cut at "
	      "the edge");
	step = units__step((a.max - a.min) / 5);
	for (v = ceil(a.min / step) * step; v <= a.max; v += step) {
		double x = place(&a, v);

		add_line(t, fabs(v) < step / 2 ? "zero" : "grid", x, TOP - 14, x, bottom - 8);
		add_text(t, "dim m", x, bottom + 10,
			 tick_text(fabs(v) < step / 2 ? 0 : v, buf, sizeof(buf)));
	}
	for (size_t i = 1; (way = pf__way(session, i)); i++) {
		double y = TOP + ROW * (double)(i - 1);

		add_text(t, "r", LEFT - 12, y + 13, way);
		for (size_t w = 0; w < 2; w++) {
			struct estimate e = base_added(session, way, pf_workloads[w]);

			draw_row(t, &a, i, w, &e, pf__workload_title(pf_workloads[w]),
				 y + 18 * (double)w);
		}
	}
	end(t);
}

/* ---- against a dimension: a panel a workload, a line a way */

#define PANEL_TOP    112.0
#define PANEL_HEIGHT 300.0
#define PANEL_GAP    84.0
#define INSET	     20.0 /* of the outermost values */
#define SHIFT	     3.5
#define FLOOR_NS     1000.0 /* nothing smaller is drawn on a logarithmic axis */

struct sweep {
	const char *key;
	bool bytes;
	bool http; /* has a panel of HTTP */
};

static double sweep_value(const json_t *session, const struct sweep *s, size_t i)
{
	return json_number_value(
		json_array_get(session__get(session__get(session, "sweeps"), s->key), i));
}

static size_t sweep_size(const json_t *session, const struct sweep *s)
{
	return json_array_size(session__get(session__get(session, "sweeps"), s->key));
}

static struct estimate sweep_added(const json_t *session, const struct sweep *s, const char *way,
				   const char *workload, size_t i)
{
	struct pf_at at;

	if (!pf__base_at(session, workload, &at))
		return estimate__none();
	pf__move(&at, session, s->key, sweep_value(session, s, i));
	return pf__added(session, pf__cell(session, way, &at), "p50_ns");
}

/* One axis for both panels, so that they can be compared: whole decades. */
static bool sweep_axis(const json_t *session, const struct sweep *s, struct axis *a)
{
	double least = INFINITY, most = 0;
	const char *way;

	for (size_t i = 1; (way = pf__way(session, i)); i++) {
		for (size_t w = 0; w < (s->http ? 2 : 1); w++) {
			for (size_t k = 0; k < sweep_size(session, s); k++) {
				struct estimate e =
					sweep_added(session, s, way, pf_workloads[w], k);

				if (e.value >= FLOOR_NS)
					least = fmin(least, fmax(low_end(&e), FLOOR_NS));
				most = fmax(most, high_end(&e));
			}
		}
	}
	if (!isfinite(least) || !(most > least) || sweep_size(session, s) < 2)
		return false;
	*a = (struct axis){.min = pow(10, floor(log10(least))),
			   .max = pow(10, ceil(log10(most))),
			   .from = PANEL_TOP + PANEL_HEIGHT,
			   .length = -PANEL_HEIGHT,
			   .logarithmic = true};
	return true;
}

static void draw_grid(struct text *t, const json_t *session, const struct sweep *s,
		      const struct axis *y, const struct axis *x)
{
	char buf[UNITS_LEN];
	struct text label = {0};

	for (double v = y->min; v <= y->max * 1.01; v *= 10) {
		add_line(t, "grid", x->from - INSET, place(y, v), x->from + x->length + INSET,
			 place(y, v));
		add_text(t, "dim r", x->from - INSET - 8, place(y, v) + 4,
			 tick_text(v, buf, sizeof(buf)));
	}
	for (size_t k = 0; k < sweep_size(session, s); k++) {
		label.len = 0;
		if (s->bytes)
			pf__add_bytes(&label, sweep_value(session, s, k));
		else
			text__add(&label,
				  units__number(buf, sizeof(buf), sweep_value(session, s, k)));
		add_text(t, "dim m", place(x, (double)k), y->from + 20,
			 label.data ? label.data : "");
	}
	t->failed = t->failed || label.failed;
	text__free(&label);
}

static void draw_series(struct text *t, const json_t *session, const struct sweep *s,
			const char *way, size_t color, const char *workload, const struct axis *y,
			const struct axis *x)
{
	bool drawn = false;
	/* Side by side, so that no interval hides another. */
	double shift = SHIFT * ((double)color - (double)count_ways(session) / 2);

	text__addf(t, "<g class=\"w%zu\">\n<path class=\"line\" d=\"", color % COLORS);
	for (size_t k = 0; k < sweep_size(session, s); k++) {
		struct estimate e = sweep_added(session, s, way, workload, k);

		if (!(e.value >= FLOOR_NS)) {
			drawn = false;
			continue;
		}
		text__addf(t, "%s%.1f %.1f", drawn ? "L" : "M", place(x, (double)k) + shift,
			   place(y, e.value));
		drawn = true;
	}
	text__add(t, "\"/>\n");
	for (size_t k = 0; k < sweep_size(session, s); k++) {
		struct estimate e = sweep_added(session, s, way, workload, k);
		double at = place(x, (double)k) + shift;

		if (!(e.value >= FLOOR_NS))
			continue;
		add_line(t, "ci", at, place(y, fmax(low_end(&e), y->min)), at,
			 place(y, high_end(&e)));
		text__addf(t, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\"/>\n", at,
			   place(y, e.value));
	}
	text__add(t, "</g>\n");
}

static void draw_legend(struct text *t, const json_t *session)
{
	double x = PAD;
	const char *way;

	for (size_t i = 1; (way = pf__way(session, i)); i++) {
		text__addf(t,
			   "<g class=\"w%zu\"><circle class=\"dot\" cx=\"%.1f\" cy=\"68\" "
			   "r=\"4\"/></g>\n",
			   i % COLORS, x + 5);
		add_text(t, "", x + 15, 72, way);
		x += 15 + 7.4 * (double)text__width(way) + 22;
	}
}

static void draw_sweep(struct text *t, const json_t *session, const struct sweep *s,
		       const char *title, const char *what)
{
	size_t panels = s->http ? 2 : 1;
	double width = s->http ? (WIDTH - 2 * PAD - 60 - PANEL_GAP) / 2 : WIDTH - 2 * PAD - 60;
	const char *way;
	struct axis y;

	if (!sweep_axis(session, s, &y))
		return;
	begin(t, PANEL_TOP + PANEL_HEIGHT + 44, title, what);
	draw_legend(t, session);
	for (size_t w = 0; w < panels; w++) {
		struct axis x = {.max = (double)(sweep_size(session, s) - 1)};
		double left = PAD + 60 + (double)w * (width + PANEL_GAP);

		add_text(t, "panel", left, PANEL_TOP - 12, pf__workload_title(pf_workloads[w]));
		x.from = left + INSET;
		x.length = width - 2 * INSET;
		draw_grid(t, session, s, &y, &x);
		for (size_t i = 1; (way = pf__way(session, i)); i++)
			draw_series(t, session, s, way, i, pf_workloads[w], &y, &x);
	}
	end(t);
}

static const struct sweep payload = {"payload", true, true};
static const struct sweep concurrency = {"concurrency", false, true};
static const struct sweep pool = {"pool", false, false};

#define BELOW "; what is below 1 us is not drawn"

static void draw_payload(struct text *t, const json_t *session)
{
	draw_sweep(t, session, &payload, "Added to direct against payload",
		   "median round trip; lines: 95 % intervals over the rounds" BELOW);
}

static void draw_concurrency(struct text *t, const json_t *session)
{
	draw_sweep(t, session, &concurrency, "Added to direct against requests under way",
		   "median round trip; lines: 95 % intervals over the rounds" BELOW);
}

static void draw_pool(struct text *t, const json_t *session)
{
	draw_sweep(t, session, &pool, "Added to direct against connections to one server",
		   "median round trip; lines: 95 % intervals over the rounds" BELOW);
}

static bool has_payload(const json_t *session)
{
	struct axis a;

	return sweep_axis(session, &payload, &a);
}

static bool has_concurrency(const json_t *session)
{
	struct axis a;

	return sweep_axis(session, &concurrency, &a);
}

static bool has_pool(const json_t *session)
{
	struct axis a;

	return sweep_axis(session, &pool, &a);
}

static int render(FILE *f, const json_t *session, void (*draw)(struct text *, const json_t *),
		  bool (*has)(const json_t *))
{
	struct text t = {0};

	if (!has(session))
		return -ENODATA;
	draw(&t, session);
	return text__print(&t, f);
}

#define RENDER(name)                                                \
	static int render_##name(FILE *f, const json_t *session)    \
	{                                                           \
		return render(f, session, draw_##name, has_##name); \
	}
RENDER(base)
RENDER(payload)
RENDER(concurrency)
RENDER(pool)
#undef RENDER

const struct figure pf_figures[] = {
	{"added.svg", has_base, render_base},
	{"payload.svg", has_payload, render_payload},
	{"concurrency.svg", has_concurrency, render_concurrency},
	{"pool.svg", has_pool, render_pool},
	{NULL, NULL, NULL},
};
