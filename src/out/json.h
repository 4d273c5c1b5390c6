/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * JSON as docs/session.md defines it: the snapshot line of `trace --json`, and the parts from which
 * bench builds its session. Every json_t * returned is a new reference that the caller owns (use
 * json_object_set_new()); NULL means out of memory, and nothing else. NaN becomes null. Names that
 * come from traffic are made printable (text.h), so strings never fail and never hold control
 * bytes.
 */
#ifndef HOPSCOPE_OUT_JSON_H
#define HOPSCOPE_OUT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "model/estimate.h"
#include "model/hist.h"
#include "model/snapshot.h"
#include "model/verdict.h"

#define SESSION_SCHEMA 1

/*
 * For building: both take `value` over, also on failure. When memory runs out *to becomes NULL, and
 * stays it.
 */
void session__put(json_t **to, const char *key, json_t *value);
void session__append(json_t **to, json_t *value);

/* A number: null when not finite, an integer when it is one, else a real. */
json_t *session__number(double v);
/* A string; unprintable or invalid bytes become \xNN. NULL becomes null. */
json_t *session__text(const char *s);
/* ESTIMATE {"value", "ci_low", "ci_high", "n"}. */
json_t *session__estimate(const struct estimate *e);
/* LATENCY: count, min_ns, mean_ns, max_ns, quantiles p50 p90 p95 p99 p999 with intervals, buckets.
 */
json_t *session__latency(const struct hist *h);
/* [[index, count], ...] of the buckets that are not 0, rising. */
json_t *session__buckets(const struct hist *h);
/* {"name", "value", "ci_low", "ci_high", "limit", "op", "unit", "verdict", "reason"}. */
json_t *session__target(const struct target *t);
json_t *session__targets(const struct target *t, size_t n);
/* The series of a snapshot, largest count first; with `buckets` each has its histogram. */
json_t *session__series(const struct snapshot *s, bool buckets);
/* The accounting with its identities ("settled", "holds") and every reason. */
json_t *session__accounting(const struct snapshot *s);
/* Connections that were recognised and not read. */
json_t *session__opaque(const struct snapshot *s);
/* Connections whose text was read, and what went wrong with that; null: it was not asked for. */
json_t *session__tls(const struct snapshot *s);
/* Programs, ns_per_exchange (their run time over matched exchanges, null without), CPU and RSS. */
json_t *session__overhead(const struct snapshot *s);

/* The whole snapshot, as one line of `trace --json`. `final`: it covers the whole run. */
json_t *json__snapshot(const struct snapshot *s, bool final, const struct target *targets,
		       size_t n_targets);
/* Builds it, writes it as one line and flushes. 0, -ENOMEM or -EIO. */
/* Any object as a line. 0 or -EIO. */
int json__print_line(FILE *out, json_t *o);
int json__print_snapshot(FILE *out, const struct snapshot *s, bool final);

/*
 * The one way in which a session is written: keys as inserted, indented by one blank, arrays of
 * numbers (and of pairs) on one line, newline at the end. Writing a session that was read again
 * gives the same bytes. 0 or -EIO.
 */
int session__dump(const json_t *session, FILE *out);

#endif
