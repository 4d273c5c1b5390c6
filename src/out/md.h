/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Markdown parts that the sections of the report share. Internal to src/out. */
#ifndef HOPSCOPE_OUT_MD_H
#define HOPSCOPE_OUT_MD_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "model/estimate.h"
#include "model/hist.h"
#include "out/text.h"

/* Shown where a session holds null. */
#define MD_NO_DATA "NO DATA"

/* Prose: printable, and nothing in it is Markdown or HTML. */
void md__text(struct text *out, const char *s);
/* A name as a code span, safe in a table. */
void md__code(struct text *out, const char *s);

/* v with its unit, or NO DATA. */
void md__value(struct text *out, double v, const char *unit);
void md__count(struct text *out, double v);
/* "6.81 ms (6.12 ms to 7.95 ms)"; says which end is not bounded, or that there is no interval. */
void md__estimate(struct text *out, const struct estimate *e, const char *unit);
/* Only the bounds: "6.12 ms to 7.95 ms". */
void md__interval(struct text *out, double lo, double hi, const char *unit);
/* "| name | value |" with a value that was not measured as NO DATA. */
void md__row_text(struct text *out, const char *name, const char *value);
void md__row_value(struct text *out, const char *name, double v, const char *unit);
/* "3 of 1,000 (0.3 %)". */
void md__share(struct text *out, double part, double whole);
/* "1 call", "2 calls". */
void md__plural(struct text *out, double n, const char *one, const char *many);

/* The histogram as rows of bars, at most `rows` of them, in a code block. */
void md__histogram(struct text *out, const struct hist *h, unsigned int rows);

/* The first phase that ran of a kind, path and mode; NULL matches all. NULL: there is none. */
const json_t *md__phase(const json_t *session, const char *kind, const char *path,
			const char *mode);
/* "client", "intended" or "kernel" LATENCY of a phase; NULL when absent or without samples. */
const json_t *md__latency(const json_t *phase, const char *clock);
/* Quantile "p50" ... of a LATENCY (may be NULL). */
struct estimate md__quantile(const json_t *latency, const char *name);
/* What the user of a phase feels: "intended" for an open loop, else "client". */
const char *md__clock(const json_t *phase);

/* Heights of `n` values between `least` and `most`. */
void md__sparkline(struct text *out, const double *v, size_t n, double least, double most);
/* [[seconds, bytes], ...] as such, evenly over all of them. */
void md__readings(struct text *out, const json_t *readings);

/* "![title](file)" of a figure (out/figures.h); nothing when there is nothing to draw. */
void md__figure(struct text *out, const json_t *session, const char *file, const char *title);

/* A section of another report, one level deeper. */
void md__deeper(struct text *out, const json_t *session,
		void (*section)(struct text *out, const json_t *session));

/* Sections. */
void md__head(struct text *out, const json_t *session);
/*
 * What the targets came to, and the table of them; its legend ends with "...; ", to be gone on
 * with.
 */
void md__targets(struct text *out, const json_t *session);
void md__summary(struct text *out, const json_t *session);
void md__environment(struct text *out, const json_t *session);
void md__configuration(struct text *out, const json_t *session);
/* Of a services or a memory phase; nothing for others. */
void md__memory(struct text *out, const json_t *phase);
void md__phase_section(struct text *out, const json_t *phase);
void md__differences(struct text *out, const json_t *session);
void md__loops(struct text *out, const json_t *session);
void md__series(struct text *out, const json_t *session);
/* Only its table, with or without series that are of a part of an exchange. */
void md__series_table(struct text *out, const json_t *session, bool parts);
/*
 * Whether so much of TLS connections was lost (a connection, or more than 1 % of the reads
 * and writes) that figures of what they carried cannot be taken as they are.
 */
bool md__tls_incomplete(const json_t *tls);
/* "12 of 3,456 (0.3 %) reads and writes and 1 connection", as far as they were; false: nothing was.
 */
bool md__tls_lost(struct text *out, const json_t *tls);
void md__accounting(struct text *out, const json_t *session);
void md__overhead(struct text *out, const json_t *session);
void md__limits(struct text *out, const json_t *session);

#endif
