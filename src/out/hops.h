/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Waterfalls (model/waterfall.h) for a terminal, as JSON, in a report and as a picture. Names come
 * from traffic and programs that we do not know: every renderer makes them harmless.
 */
#ifndef HOPSCOPE_OUT_HOPS_H
#define HOPSCOPE_OUT_HOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "model/snapshot.h"
#include "model/waterfall.h"
#include "out/table.h"
#include "out/text.h"

/*
 * A waterfall a path, at most max_rows of them (0: all) and no more than the terminal's height has
 * room for (0: no matter), and what is missing. `s`: the reading they are of, for the accounting
 * below; NULL: there is none. Flushes. 0, -ENOMEM or -EIO.
 */
int hops_table__print(FILE *out, const struct waterfalls *w, const struct snapshot *s,
		      const struct table_opts *opts);
/* Exchanges one by one, in the order given. Flushes. 0, -ENOMEM or -EIO. */
int hops_table__timelines(FILE *out, const struct waterfall *v, size_t n,
			  const struct table_opts *opts);

/* "hops", "timelines" and "hop_accounting" of docs/session.md. NULL: out of memory. */
json_t *session__hops(const struct waterfalls *w);
json_t *session__timelines(const struct waterfall *v, size_t n);
json_t *session__hop_accounting(const uint64_t count[HOP_COUNTS]);
/* "hops" and "hop_accounting" into an object. */
void session__put_hops(json_t **o, const struct waterfalls *w);
/* The snapshot's line with all three. 0, -ENOMEM or -EIO. */
int hops_json__print(FILE *out, const struct waterfalls *w, const struct waterfall *timelines,
		     size_t n_timelines, const struct snapshot *s, bool final);

/*
 * The other way round: of an object that has "hops" and "hop_accounting" (a line of `hops --json`,
 * a session or its phase), and of its "timelines". Absent is empty. 0, -ENOMEM, or -EINVAL with err
 * filled in, and nothing to free then. The caller frees *timelines with free().
 */
int hops_json__load(struct waterfalls *w, const json_t *o, char *err, size_t err_len);
int hops_json__load_timelines(struct waterfall **timelines, size_t *n, const json_t *o, char *err,
			      size_t err_len);
/* The last line of a file of `hops --json`; "-": standard input. The caller's reference. NULL: err
 * says why. */
json_t *hops_json__last_line(const char *path, char *err, size_t err_len);

/*
 * Markdown: a paragraph and a table a path of the same kind of object, at most `max` of them (0:
 * all), and what is missing. No heading.
 */
void md__hops(struct text *out, const json_t *o, size_t max);

/*
 * At most max_rows paths (0: all), the timelines behind them and what was lost, as one SVG that
 * needs nothing else. Flushes. 0, -ENOMEM or -EIO.
 */
int hops_svg__print(FILE *out, const struct waterfalls *w, size_t max_rows,
		    const struct waterfall *timelines, size_t n_timelines, const char *title);

/* Parts that the renderers share. */

/* "round trip", or "delivery" of a message that is not answered. */
const char *hops__whole(const struct waterfall *w);
/* Why there is no waterfall: "no exchange was seen". */
const char *hops__none(const struct waterfalls *w);
/* What its count counts: "exchange", "deliveries". */
const char *hops__unit(const struct waterfall *w);
/* "3,000 exchanges, way 2 of 41 (13.2 %)". */
void hops__add_count(struct text *out, const struct waterfall *w);
/* In the request's order: "load > nats-server @n1 > svc-1", each process once. */
void hops__add_way(struct text *out, const struct waterfall *w);
/* "svc-1 61.2 %, nats-server @n1 20.1 %, network 12.0 %": at most `max` of them. */
void hops__add_places(struct text *out, const struct waterfall *w, size_t max);
/* One of them: "svc-1", "network", "not visible", "behind nginx". */
void hops__add_place(struct text *out, const struct waterfall *w, const struct waterfall_place *p);
/* What an edge is, without its direction: "network", "nats-server @n1 :4222". */
void hops__add_label(struct text *out, const struct waterfall *w, const struct waterfall_edge *e);
/* "exchanges not followed: table_full 2; ...", each part behind `sep` but the first. */
void hops__add_losses(struct text *out, const uint64_t count[HOP_COUNTS]);
/* Whether the wait of a reader for a processor is known of some edge. */
bool hops__has_run_queue(const struct waterfall *w);

#endif
