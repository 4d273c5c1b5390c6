/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The terminal table of `hopscope trace`. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "model/hist.h"
#include "model/units.h"
#include "out/table.h"
#include "out/text.h"

#define DEFAULT_WIDTH 100 /* of a terminal that does not say */
#define NAME_MIN      12  /* a route or container is not made narrower than this */

enum column {
	COL_PROTO,
	COL_ROLE,
	COL_ROUTE,
	COL_CONTAINER,
	COL_STATUS,
	COL_COUNT,
	COL_RATE,
	COL_FIRST,
	COL_P50,
	COL_P90,
	COL_P99,
	COL_P999,
	COL_MAX,
	COLUMNS
};

static const struct {
	const char *title;
	bool right;
} columns[COLUMNS] = {
	[COL_PROTO] = {"proto", false},	  [COL_ROLE] = {"role", false},
	[COL_ROUTE] = {"route", false},	  [COL_CONTAINER] = {"container", false},
	[COL_STATUS] = {"status", false}, [COL_COUNT] = {"count", true},
	[COL_RATE] = {"rate/s", true},	  [COL_FIRST] = {"ttfb p50", true},
	[COL_P50] = {"p50", true},	  [COL_P90] = {"p90", true},
	[COL_P99] = {"p99", true},	  [COL_P999] = {"p99.9", true},
	[COL_MAX] = {"max", true},
};

struct row {
	struct text cell[COLUMNS];
};

struct table {
	struct row *rows;
	size_t n_rows, n_all;
	size_t width[COLUMNS];
	size_t gap; /* blanks between columns */
	bool shown[COLUMNS];
};

void table_opts__detect(struct table_opts *opts, FILE *out)
{
	const char *no_color = getenv("NO_COLOR");
	struct winsize size = {0};

	memset(opts, 0, sizeof(*opts));
	if (!isatty(fileno(out)))
		return;
	opts->width = DEFAULT_WIDTH;
	if (!ioctl(fileno(out), TIOCGWINSZ, &size) && size.ws_col) {
		opts->width = size.ws_col;
		opts->height = size.ws_row;
	}
	opts->color = !(no_color && no_color[0]);
}

/* "1.23ms": the table has no room for the blank. */
static void add_ns(struct text *cell, double ns)
{
	char buf[UNITS_LEN], *blank;

	units__ns(buf, sizeof(buf), ns);
	blank = strchr(buf, ' ');
	if (blank)
		memmove(blank, blank + 1, strlen(blank));
	text__add(cell, buf);
}

/* `first`: the same exchanges' time to the first byte, or NULL. */
static void fill_row(struct row *row, const struct snapshot_series *s,
		     const struct snapshot_series *first, uint64_t duration_ns)
{
	bool measured = hist__count(&s->hist) > 0;
	char buf[UNITS_LEN];

	text__add(&row->cell[COL_PROTO], wire_proto__name(s->key.proto));
	text__add(&row->cell[COL_ROLE], wire_role__name(s->key.role));
	text__add_printable(&row->cell[COL_ROUTE], s->route);
	text__add_printable(&row->cell[COL_CONTAINER], s->container);
	text__add(&row->cell[COL_STATUS], wire_status__name(s->key.status));
	text__add(&row->cell[COL_COUNT], units__count(buf, sizeof(buf), s->count));
	text__add(&row->cell[COL_RATE],
		  units__number(buf, sizeof(buf),
				duration_ns ? (double)s->count * 1e9 / (double)duration_ns : NAN));
	if (first)
		add_ns(&row->cell[COL_FIRST], hist__quantile_ns(&first->hist, 0.5));
	add_ns(&row->cell[COL_P50], hist__quantile_ns(&s->hist, 0.5));
	add_ns(&row->cell[COL_P90], hist__quantile_ns(&s->hist, 0.9));
	add_ns(&row->cell[COL_P99], hist__quantile_ns(&s->hist, 0.99));
	add_ns(&row->cell[COL_P999], hist__quantile_ns(&s->hist, 0.999));
	add_ns(&row->cell[COL_MAX], measured ? (double)hist__max_ns(&s->hist) : NAN);
}

static void table__free(struct table *t)
{
	for (size_t i = 0; i < t->n_rows; i++)
		for (int c = 0; c < COLUMNS; c++)
			text__free(&t->rows[i].cell[c]);
	free(t->rows);
}

/* Parts of exchanges have no rows of their own. How many are left. */
static size_t keep_wholes(const struct snapshot_series **list, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (list[i]->key.part == PART_WHOLE)
			list[kept++] = list[i];
	}
	return kept;
}

static int table__fill(struct table *t, const struct snapshot *s, const struct table_opts *opts)
{
	const struct snapshot_series **sorted = snapshot__sorted(s, opts->sort);
	size_t n = sorted ? keep_wholes(sorted, s->n_series) : 0, all = n;
	bool failed = false;

	if (opts->max_rows && n > opts->max_rows)
		n = opts->max_rows;
	t->rows = calloc(n + 1, sizeof(*t->rows));
	if (!sorted || !t->rows) {
		free(sorted);
		return -ENOMEM;
	}
	t->n_rows = n;
	t->n_all = all;
	t->gap = 2;
	for (int c = 0; c < COLUMNS; c++) {
		t->shown[c] = c != COL_CONTAINER && c != COL_FIRST;
		t->width[c] = strlen(columns[c].title);
	}
	for (size_t i = 0; i < n; i++) {
		const struct snapshot_series *first = snapshot__part(s, sorted[i], PART_FIRST_BYTE);

		fill_row(&t->rows[i], sorted[i], first, s->duration_ns);
		if (first)
			t->shown[COL_FIRST] = true;
		if (strcmp(sorted[i]->container, "/") != 0)
			t->shown[COL_CONTAINER] = true;
		for (int c = 0; c < COLUMNS; c++) {
			const struct text *cell = &t->rows[i].cell[c];
			size_t width = cell->data ? text__width(cell->data) : 0;

			failed = failed || cell->failed;
			if (width > t->width[c])
				t->width[c] = width;
		}
	}
	free(sorted);
	return failed ? -ENOMEM : 0;
}

static size_t total_width(const struct table *t)
{
	size_t total = 0;

	for (int c = 0; c < COLUMNS; c++)
		if (t->shown[c])
			total += t->width[c] + (c ? t->gap : 0);
	return total;
}

/* Shortens column c by what is too much, but not below NAME_MIN. */
static void shrink(struct table *t, enum column c, unsigned int width)
{
	size_t total = total_width(t), excess = total > width ? total - width : 0;

	if (!t->shown[c] || t->width[c] <= NAME_MIN)
		return;
	t->width[c] = t->width[c] > NAME_MIN + excess ? t->width[c] - excess : NAME_MIN;
}

/* Names give way first, then the gaps; numbers never do. */
static void table__fit(struct table *t, unsigned int width)
{
	size_t route = t->width[COL_ROUTE], container = t->width[COL_CONTAINER];

	for (t->gap = 2; t->gap > 0; t->gap--) {
		t->width[COL_ROUTE] = route;
		t->width[COL_CONTAINER] = container;
		shrink(t, COL_CONTAINER, width);
		shrink(t, COL_ROUTE, width);
		if (total_width(t) <= width || t->gap == 1)
			break;
	}
}

static void add_cell(struct text *line, const struct table *t, enum column c, const char *s)
{
	if (c)
		text__addf(line, "%*s", (int)t->gap, "");
	if (columns[c].right)
		text__addf(line, "%*s", (int)t->width[c], s);
	else
		text__add_fit(line, s, t->width[c]);
}

static void add_rows(struct text *out, const struct table *t, bool bold)
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
	if (t->n_all > t->n_rows)
		text__addf(out, "... and %zu more series\n", t->n_all - t->n_rows);
	if (!t->n_all)
		text__add(out, "(no exchanges)\n");
}

static void add_term(struct text *out, const char *sep, const char *name, uint64_t v)
{
	char buf[UNITS_LEN];

	text__addf(out, "%s%s %s", sep, name, units__count(buf, sizeof(buf), v));
}

static void add_gauge(struct text *out, const char *sep, const char *name, int64_t v)
{
	add_term(out, v < 0 ? " - " : sep, name, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void add_identities(struct text *out, const struct snapshot *s)
{
	const struct wire_acct *a = &s->acct;

	add_term(out, "", "seen", a->seen);
	if (s->in_flight_before)
		add_gauge(out, " + ", "in flight before", s->in_flight_before);
	add_term(out, " = ", "matched", a->matched);
	add_term(out, " + ", "one-way", a->one_way);
	add_gauge(out, " + ", "in flight", a->in_flight);
	add_term(out, " + ", "unanswered", a->unanswered);
	add_term(out, " + ", "dropped", a->dropped);
	add_term(out, "\n", "bytes seen", a->bytes_seen);
	add_term(out, " = ", "framed", a->bytes_framed);
	add_term(out, " + ", "unparsed", a->bytes_unparsed);
	if (!s->settled)
		text__add(out, "  (read in motion: need not add up)");
	else if (!snapshot__holds(s))
		text__add(out, "  DOES NOT ADD UP");
	text__add(out, "\n");
}

static bool is_anything_missing(const struct wire_acct *a)
{
	if (a->unanswered || a->dropped || a->orphans || a->bytes_unparsed || a->exemplars_lost ||
	    a->reason[REASON_SERIES_FULL] || a->reason[REASON_ROUTE_FULL])
		return true;
	for (unsigned int r = 1; r < REASON_MAX; r++)
		if (a->reason[r] && !strcmp(wire_reason__term(r), "segments_passed_over"))
			return true;
	return false;
}

/* What was not measured and why: "unanswered: timeout 2; bytes unparsed: resync 512". */
static void add_reasons(struct text *out, const struct snapshot *s)
{
	static const struct {
		const char *term, *title;
	} terms[] = {
		{"in_flight", "in flight"},
		{"unanswered", "unanswered"},
		{"dropped", "dropped"},
		{"orphans", "replies without request"},
		{"bytes_unparsed", "bytes unparsed"},
		{"bytes_passed_over", "bytes passed over"},
		{"segments_passed_over", "segments passed over"},
		{"lookups", "look-ups that ended in (other)"},
	};
	const struct wire_acct *a = &s->acct;
	bool any = false;

	if (!is_anything_missing(a))
		return;
	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
		const char *sep = any ? "; " : "", *title = terms[i].title;

		for (unsigned int r = 1; r < REASON_MAX; r++) {
			if (!a->reason[r] || strcmp(wire_reason__term(r), terms[i].term) != 0)
				continue;
			if (title)
				text__addf(out, "%s%s: ", sep, title);
			add_term(out, title ? "" : ", ", wire_reason__name(r), a->reason[r]);
			title = NULL;
			any = true;
		}
	}
	if (a->exemplars_lost)
		add_term(out, any ? "; " : "", "exemplars lost", a->exemplars_lost);
	text__add(out, any || a->exemplars_lost ? "\n" : "(no reason was recorded)\n");
}

#define OPAQUE_LINES 4

static int by_bytes(const void *a, const void *b)
{
	const struct snapshot_opaque *x = *(const struct snapshot_opaque *const *)a;
	const struct snapshot_opaque *y = *(const struct snapshot_opaque *const *)b;
	uint64_t m = x->live.bytes + x->closed.bytes, n = y->live.bytes + y->closed.bytes;

	return (m < n) - (m > n);
}

static void add_opaque_line(struct text *out, const struct snapshot_opaque *q)
{
	uint64_t n = q->live.rtt_n + q->closed.rtt_n, us = q->live.rtt_us + q->closed.rtt_us;
	char comm[OPAQUE_COMM + 1], buf[UNITS_LEN];

	snprintf(comm, sizeof(comm), "%.*s", OPAQUE_COMM, q->key.comm);
	text__addf(out, "not readable: %s %s ", wire_proto__name(q->key.proto),
		   q->key.server ? "server" : "client");
	text__add_printable(out, comm[0] ? comm : "?");
	text__addf(out, " :%u in ", q->key.port);
	text__add_printable(out, q->container);
	add_term(out, ": ", "connections", q->live.connections + q->closed.connections);
	text__addf(out, ", %s",
		   units__bytes(buf, sizeof(buf), (double)(q->live.bytes + q->closed.bytes)));
	if (n)
		text__addf(out, ", TCP round trip %s",
			   units__ns(buf, sizeof(buf), (double)us / (double)n * 1e3));
	text__add(out, "\n");
}

/* Connections that were recognised and not read: those with most bytes. */
static void add_opaque(struct text *out, const struct snapshot *s)
{
	const struct snapshot_opaque **list = calloc(s->n_opaque + 1, sizeof(*list));

	if (!list) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < s->n_opaque; i++)
		list[i] = &s->opaque[i];
	qsort(list, s->n_opaque, sizeof(*list), by_bytes);
	for (size_t i = 0; i < s->n_opaque && i < OPAQUE_LINES; i++)
		add_opaque_line(out, list[i]);
	if (s->n_opaque > OPAQUE_LINES)
		text__addf(out, "... and %zu more that are not readable\n",
			   s->n_opaque - OPAQUE_LINES);
	free(list);
}

/* What may be missing of TLS connections. */
static void add_tls(struct text *out, const struct snapshot *s)
{
	const struct tls_stats *t = &s->tls;
	uint64_t lost = t->conns_lost + t->ends_lost + t->calls_lost + t->sockets_lost;

	if (!s->has_tls || !(t->conns || lost))
		return;
	add_term(out, "", "TLS connections read:", t->conns);
	if (t->guessed)
		add_term(out, ", their socket guessed for", "", t->guessed);
	if (lost)
		add_term(out, ", lost for want of room or of a return", "", lost);
	text__add(out, "\n");
}

/* Where they are not told one by one: "not read: 3 new HTTP/2 connections, 1 new TLS connection,
 * 12,345 bytes". */
static void add_not_read(struct text *out, const struct snapshot *s)
{
	uint64_t http2 = s->acct.proto_conns[PROTO_HTTP2];
	uint64_t tls = s->has_tls ? 0 : s->acct.proto_conns[PROTO_TLS];
	char a[UNITS_LEN], b[UNITS_LEN];

	if (!http2 && !tls && !s->acct.bytes_opaque)
		return;
	text__add(out, "not read:");
	if (http2)
		text__addf(out, " %s new HTTP/2 connection%s,", units__count(a, sizeof(a), http2),
			   http2 == 1 ? "" : "s");
	if (tls)
		text__addf(out, " %s new TLS connection%s,", units__count(a, sizeof(a), tls),
			   tls == 1 ? "" : "s");
	text__addf(out, " %s bytes\n", units__count(b, sizeof(b), s->acct.bytes_opaque));
}

/* Runs of our programs that the kernel left out. */
static void add_missed(struct text *out, const struct snapshot *s)
{
	bool any = false;

	for (size_t i = 0; i < s->n_programs; i++) {
		const struct snapshot_program *p = &s->programs[i];

		if (!p->missed)
			continue;
		add_term(out, any ? ", " : "program runs left out by the kernel: ", p->name,
			 p->missed);
		any = true;
	}
	text__add(out, any ? "\n" : "");
}

void table__add_accounting(struct text *out, const struct snapshot *s)
{
	add_identities(out, s);
	add_reasons(out, s);
	add_missed(out, s);
	add_tls(out, s);
	if (s->n_opaque)
		add_opaque(out, s);
	else
		add_not_read(out, s);
}

int table__print(FILE *out, const struct snapshot *s, const struct table_opts *opts)
{
	struct text text = {0};
	struct table t = {0};
	int err = table__fill(&t, s, opts);

	if (err)
		goto out;
	if (opts->width)
		table__fit(&t, opts->width);
	add_rows(&text, &t, opts->color);
	table__add_accounting(&text, s);
	err = text__print(&text, out);
out:
	text__free(&text);
	table__free(&t);
	return err;
}
