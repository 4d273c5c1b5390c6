/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Markdown parts that the sections share. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "model/hist.h"
#include "model/units.h"
#include "out/figures.h"
#include "out/md.h"
#include "out/session.h"

#define BAR_WIDTH 40

void md__text(struct text *out, const char *s)
{
	struct text plain = {0};

	text__add_printable(&plain, s);
	for (const char *p = plain.data ? plain.data : ""; *p; p++) {
		bool inner = p != plain.data && isalnum((unsigned char)p[-1]) &&
			     isalnum((unsigned char)p[1]);

		/* '_' within a word is no emphasis */
		if (strchr("\\`*[]<>|&~$", *p) || (*p == '_' && !inner))
			text__add(out, "\\");
		text__addn(out, p, 1);
	}
	out->failed = out->failed || plain.failed;
	text__free(&plain);
}

void md__code(struct text *out, const char *s)
{
	struct text plain = {0};

	if (!*s) {
		text__add(out, "-");
		return;
	}
	text__add_printable(&plain, s);
	text__add(out, "`");
	for (const char *p = plain.data ? plain.data : ""; *p; p++) {
		/* '`' ends it, '|' ends the cell, and not every renderer leaves '<' alone in it */
		if (strchr("`|<", *p))
			text__addf(out, "\\x%02x", (unsigned int)*p);
		else
			text__addn(out, p, 1);
	}
	text__add(out, "`");
	out->failed = out->failed || plain.failed;
	text__free(&plain);
}

void md__value(struct text *out, double v, const char *unit)
{
	char buf[UNITS_LEN];

	if (isnan(v))
		text__add(out, MD_NO_DATA);
	else
		md__text(out, units__format(buf, sizeof(buf), v, unit));
}

void md__count(struct text *out, double v)
{
	md__value(out, v, "");
}

void md__interval(struct text *out, double lo, double hi, const char *unit)
{
	char low[UNITS_LEN];

	if (isnan(lo) && isnan(hi)) {
		text__add(out, "no interval");
	} else if (isnan(hi)) {
		text__add(out, "from ");
		md__value(out, lo, unit);
		text__add(out, ", no upper bound");
	} else if (isnan(lo)) {
		text__add(out, "up to ");
		md__value(out, hi, unit);
		text__add(out, ", no lower bound");
	} else {
		/* a unit that does not change with the value is said once */
		units__format(low, sizeof(low), lo, unit);
		if (*unit && !units__scales(unit) && strlen(low) > strlen(unit))
			low[strlen(low) - strlen(unit) - 1] = '\0';
		md__text(out, low);
		text__add(out, " to ");
		md__value(out, hi, unit);
	}
}

void md__estimate(struct text *out, const struct estimate *e, const char *unit)
{
	md__value(out, e->value, unit);
	if (isnan(e->value) || (e->lo == e->value && e->hi == e->value))
		return;
	text__add(out, " (");
	md__interval(out, e->lo, e->hi, unit);
	text__add(out, ")");
}

void md__row_text(struct text *out, const char *name, const char *value)
{
	text__addf(out, "| %s | ", name);
	if (*value)
		md__text(out, value);
	else
		text__add(out, MD_NO_DATA);
	text__add(out, " |\n");
}

void md__row_value(struct text *out, const char *name, double v, const char *unit)
{
	text__addf(out, "| %s | ", name);
	md__value(out, v, unit);
	text__add(out, " |\n");
}

void md__share(struct text *out, double part, double whole)
{
	md__count(out, part);
	text__add(out, " of ");
	md__count(out, whole);
	if (whole > 0 && part > 0) {
		text__add(out, " (");
		md__value(out, 100 * part / whole, "%");
		text__add(out, ")");
	}
}

void md__plural(struct text *out, double n, const char *one, const char *many)
{
	md__count(out, n);
	text__addf(out, " %s", n == 1 ? one : many);
}

/* A bar in eighths of a cell; whatever is not nothing shows. */
static void add_bar(struct text *out, uint64_t n, uint64_t most)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	unsigned int length = (unsigned int)(8.0 * BAR_WIDTH * (double)n / (double)most + 0.5);

	if (!n)
		return;
	if (!length)
		length = 1;
	for (unsigned int i = 0; i < length / 8; i++)
		text__add(out, "█");
	text__add(out, eighths[length % 8]);
}

void md__sparkline(struct text *out, const double *v, size_t n, double least, double most)
{
	static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

	for (size_t i = 0; i < n; i++)
		text__add(
			out,
			bars[most > least ? (int)(7 * (v[i] - least) / (most - least) + 0.5) : 0]);
}

struct rows {
	uint32_t first, last; /* buckets */
	uint32_t step;	      /* buckets a row */
	uint64_t total, most;
};

static uint64_t row_count(const struct hist *h, const struct rows *r, uint32_t from)
{
	uint64_t n = 0;

	for (uint32_t i = from; i < from + r->step && i <= r->last; i++)
		n += h->bucket[i];
	return n;
}

void md__histogram(struct text *out, const struct hist *h, unsigned int rows)
{
	struct rows r = {.total = hist__count(h)};
	char from[UNITS_LEN], to[UNITS_LEN], n[UNITS_LEN];

	if (!r.total)
		return;
	r.first = (uint32_t)hist__rank_bucket(h, 1);
	r.last = (uint32_t)hist__rank_bucket(h, r.total);
	/* buckets grow with their values: the same number of them a row is a logarithmic axis */
	r.step = (r.last - r.first) / rows + 1;
	for (uint32_t i = r.first; i <= r.last; i += r.step)
		if (row_count(h, &r, i) > r.most)
			r.most = row_count(h, &r, i);
	text__add(out, "```\n");
	for (uint32_t i = r.first; i <= r.last; i += r.step) {
		uint32_t end = i + r.step - 1 < r.last ? i + r.step - 1 : r.last;
		uint64_t count = row_count(h, &r, i);

		text__addf(out, "%8s .. %-8s %10s %7.3f %%  ",
			   units__ns(from, sizeof(from), (double)hist__bucket_low_ns(h, i)),
			   units__ns(to, sizeof(to), (double)hist__bucket_high_ns(h, end)),
			   units__count(n, sizeof(n), count),
			   100 * (double)count / (double)r.total);
		add_bar(out, count, r.most);
		while (out->len && out->data[out->len - 1] == ' ')
			out->data[--out->len] = 0;
		text__add(out, "\n");
	}
	text__add(out, "```\n\n");
}

const json_t *md__phase(const json_t *session, const char *kind, const char *path, const char *mode)
{
	const json_t *phases = session__get(session, "phases");

	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);

		/* one that a partial run did not come to is not there */
		if (session__get_number(p, "attempted") == 0)
			continue;
		if ((!kind || !strcmp(session__get_text(p, "kind"), kind)) &&
		    (!path || !strcmp(session__get_text(p, "path"), path)) &&
		    (!mode || !strcmp(session__get_text(p, "mode"), mode)))
			return p;
	}
	return NULL;
}

const json_t *md__latency(const json_t *phase, const char *clock)
{
	const json_t *l = session__get(session__get(phase, "latency"), clock);

	return session__get_number(l, "count") > 0 ? l : NULL;
}

struct estimate md__quantile(const json_t *latency, const char *name)
{
	return session__get_estimate(session__get(latency, "quantiles"), name);
}

const char *md__clock(const json_t *phase)
{
	return !strcmp(session__get_text(phase, "mode"), "open") ? "intended" : "client";
}

void md__figure(struct text *out, const json_t *session, const char *file, const char *title)
{
	const struct figure *f = figure__find(file);

	if (f && f->has(session))
		text__addf(out, "![%s](%s)\n\n", title, file);
}

void md__deeper(struct text *out, const json_t *session,
		void (*section)(struct text *out, const json_t *session))
{
	struct text part = {0};

	section(&part, session);
	text__add(out, "#");
	text__add(out, part.data ? part.data : "");
	out->failed = out->failed || part.failed;
	text__free(&part);
}
