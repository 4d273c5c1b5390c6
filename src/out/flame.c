/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/units.h"
#include "out/flame.h"
#include "out/flame_tree.h"
#include "out/heap_words.h"
#include "out/text.h"
#include "src/out/flame.css.inc" /* flame_css, flame_js: made by the Makefile */
#include "src/out/flame.js.inc"

#define WIDTH	  1200.0 /* until the script fits it to the window */
#define PAD	  10.0
#define TOP	  106
#define WRAP	  158 /* characters of a line of text: WIDTH of them */
#define ROW	  18
#define CHAR	  7.3
#define NARROWEST 1e-4 /* share of the whole below which a frame is left out */

/* How clearly a frame grew or shrank: 0 (as much one as the other) to 5. */
static int grade(const struct flame_node *n)
{
	double share = n->value > 0 ? fabs(n->grown) / n->value : 0;

	return share > 1 ? 5 : (int)ceil(share * 5 - 1e-9);
}

static void add_color(struct text *t, const struct flame_node *n, bool grown)
{
	if (grown)
		text__addf(t, " class=\"f %s r%d\"", n->grown < 0 ? "dn" : "up", grade(n));
	else if (!n->module[0])
		text__add(t, " class=\"f r0\"");
	else
		text__addf(t, " class=\"f\" style=\"--h:%u\"", n->hue);
}

/* For viewers that know no variables. */
static void add_fallback(struct text *t, const struct flame_node *n, bool grown)
{
	static const int saturation[] = {0, 25, 45, 60, 75, 90};
	unsigned int hue = grown ? (n->grown < 0 ? 215 : 4) : n->hue;
	int s = grown ? saturation[grade(n)] : n->module[0] ? 62 : 0;

	text__addf(t, " fill=\"hsl(%u,%d%%,78%%)\"", hue, s);
}

static void add_title(struct text *t, const struct flame_node *n, const struct flame_node *whole,
		      const struct flame_opts *opts, const char *units)
{
	char a[UNITS_LEN], b[UNITS_LEN];

	text__add(t, "<title>");
	text__add_xml(t, n->name);
	text__add(t, "\n");
	text__add_xml(t, n->module);
	if (!opts->grown)
		text__addf(t, "\n%s (%.1f %%), %s %s", units__bytes(a, sizeof(a), n->bytes),
			   100 * n->value / whole->value,
			   units__number(b, sizeof(b), rint(n->blocks)), units);
	if (opts->grown || n->grown != 0)
		text__addf(t, "\n%s %s", n->grown < 0 ? "shrank by" : "grew by",
			   units__bytes(a, sizeof(a), fabs(n->grown)));
	if (opts->grown)
		text__addf(t, ", holds %s", units__bytes(a, sizeof(a), n->bytes));
	text__add(t, "</title>");
}

/* As much of the name as fits; the script does the same. */
static void add_label(struct text *t, const struct flame_node *n, double width)
{
	size_t columns = width > 6 ? (size_t)((width - 6) / CHAR) : 0;
	struct text cut = {0};

	if (columns >= text__width(n->name)) {
		text__add_xml(t, n->name);
	} else if (columns >= 3) {
		text__add_fit(&cut, n->name, columns);
		text__add_xml(t, cut.data ? cut.data : "");
		t->failed = t->failed || cut.failed;
	}
	text__free(&cut);
}

static void add_frame(struct text *t, const struct flame_node *n, const struct flame_node *whole,
		      const struct flame_opts *opts, const char *units)
{
	double scale = (WIDTH - 2 * PAD) / whole->value;
	double x = PAD + n->x * scale, width = n->value * scale;
	unsigned int y = TOP + n->depth * ROW;

	text__add(t, "<g");
	add_color(t, n, opts->grown);
	text__addf(t, " data-d=\"%u\" data-x=\"%.15g\" data-w=\"%.15g\">", n->depth, n->x,
		   n->value);
	add_title(t, n, whole, opts, units);
	text__addf(t, "<rect x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"%d\" rx=\"1\"", x, y,
		   width, ROW - 1);
	add_fallback(t, n, opts->grown);
	text__addf(t, "/><text x=\"%.2f\" y=\"%u\">", x + 3, y + 13);
	add_label(t, n, width);
	text__add(t, "</text></g>\n");
}

static void add_line(struct text *t, const char *class, int y, const char *s)
{
	text__addf(t, "<text class=\"%s\" x=\"%g\" y=\"%d\">", class, PAD, y);
	text__add_xml_printable(t, s);
	text__add(t, "</text>\n");
}

/* In as many lines as it takes, cut at blanks. */
static void add_lines(struct text *t, const char *class, int y, const char *s)
{
	char line[WRAP + 1];

	while (*s) {
		size_t len = strlen(s), n = len;

		if (len > WRAP) {
			n = WRAP;
			while (n > WRAP / 2 && s[n] != ' ')
				n--;
		}
		memcpy(line, s, n);
		line[n] = 0;
		add_line(t, class, y, line);
		s += n + (s[n] == ' ');
		y += 15;
	}
}

static void add_head(struct text *t, const struct heap_profile *p, const struct flame_opts *opts,
		     unsigned int height)
{
	struct text title = {0}, sub = {0};

	heap_words__title(&title, p, opts->grown);
	heap_words__label(&sub, p);
	if (opts->grown)
		text__add(&sub, " Red grew, blue shrank; the width is by how much.");
	text__addf(t,
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"hopscope\" width=\"%g\" "
		   "height=\"%u\" viewBox=\"0 0 %g %u\" aria-labelledby=\"flame-title flame-desc\">"
		   "\n<title id=\"flame-title\">",
		   WIDTH, height, WIDTH, height);
	text__add_xml_printable(t, title.data ? title.data : "");
	text__add(t, "</title>\n<desc id=\"flame-desc\">");
	text__add_xml_printable(t, sub.data ? sub.data : "");
	text__add(t, " Outermost frame on top. Click or Enter zooms, arrow keys move, Ctrl-F "
		     "searches, Escape goes back.</desc>\n<style><![CDATA[\n");
	text__add(t, flame_css);
	text__add(t, "]]></style>\n<rect class=\"page\" width=\"100%\" height=\"100%\" "
		     "fill=\"#ffffff\"/>\n");
	add_line(t, "head", 24, title.data ? title.data : "");
	add_lines(t, "dim", 44, sub.data ? sub.data : "");
	text__addf(
		t,
		"<text class=\"details\" x=\"%g\" y=\"80\" aria-live=\"polite\"></text>\n"
		"<text class=\"matched\" x=\"%g\" y=\"98\" aria-live=\"polite\"></text>\n"
		"<g class=\"tools\"><text class=\"reset button\" data-right=\"330\" x=\"%g\" "
		"y=\"98\" role=\"button\" tabindex=\"0\">reset zoom</text>\n"
		"<foreignObject data-right=\"240\" x=\"%g\" y=\"82\" width=\"230\" height=\"24\">"
		"<input xmlns=\"http://www.w3.org/1999/xhtml\" type=\"search\" "
		"placeholder=\"search (Ctrl-F)\" aria-label=\"search frames\"/>"
		"</foreignObject></g>\n",
		PAD, PAD, WIDTH - 330, WIDTH - 240);
	t->failed = t->failed || title.failed || sub.failed;
	text__free(&title);
	text__free(&sub);
}

static void add_svg(struct text *t, const struct flame_tree *tree, const struct heap_profile *p,
		    const struct flame_opts *opts)
{
	const struct flame_node *whole = &tree->nodes[0];
	unsigned int height = TOP + (tree->depth + 1) * ROW + 40;
	const char *units = p->source == HEAP_PAGES ? "pages" : "blocks";
	size_t left_out = 0;

	add_head(t, p, opts, height);
	if (!(whole->value > 0))
		add_line(t, "dim", TOP + 14,
			 opts->grown ? "(nothing grew or shrank)" : "(nothing is held)");
	for (size_t i = 0; i < tree->n && whole->value > 0; i++) {
		if (tree->nodes[i].value < NARROWEST * whole->value)
			left_out++;
		else
			add_frame(t, &tree->nodes[i], whole, opts, units);
	}
	if (left_out) {
		char note[96];

		snprintf(note, sizeof(note), "%zu frames narrower than %g %% are left out",
			 left_out, NARROWEST * 100);
		add_line(t, "dim", (int)height - 14, note);
	}
	text__add(t, "<script><![CDATA[\n");
	text__add(t, flame_js);
	text__add(t, "]]></script>\n</svg>\n");
}

static void add_page(struct text *t, const struct heap_profile *p, bool grown)
{
	struct text title = {0};

	heap_words__title(&title, p, grown);
	text__add(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		     "<title>");
	text__add_xml_printable(t, title.data ? title.data : "");
	text__add(t, "</title>\n<style>body { margin: 0; background: #ffffff } @media "
		     "(prefers-color-scheme: dark) { body { background: #16181c } } svg { display: "
		     "block }</style>\n</head>\n<body>\n");
	t->failed = t->failed || title.failed;
	text__free(&title);
}

int flame__print(FILE *out, const struct heap_profile *p, const struct flame_opts *opts)
{
	struct flame_tree tree;
	struct text t = {0};
	int err = flame_tree__make(&tree, p, opts->grown);

	if (err)
		return err;
	flame_tree__color(&tree);
	if (opts->html)
		add_page(&t, p, opts->grown);
	else
		text__add(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	add_svg(&t, &tree, p, opts);
	if (opts->html)
		text__add(&t, "</body>\n</html>\n");
	err = text__print(&t, out);
	flame_tree__free(&tree);
	return err;
}
