/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading a recorded session. Nothing in the file is trusted: see session__check(). */
#ifndef HOPSCOPE_OUT_SESSION_H
#define HOPSCOPE_OUT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "model/estimate.h"
#include "model/hist.h"

/*
 * Reads PATH: a file, a directory that holds session.json, or "-" for stdin; and checks it. The
 * caller owns *out. On failure *out is NULL, err says what is wrong and what to do, and the result
 * is a negative errno: that of the system, -EINVAL not a session, -EPROTONOSUPPORT unknown schema.
 */
int session__load(const char *path, json_t **out, char *err, size_t err_len);

/*
 * Whether the document has a session's shape: every field that docs/session.md names is there or
 * absent or null, but never of another type, and buckets are in range. Renderers rely on it. 0,
 * -EINVAL or -EPROTONOSUPPORT with err filled in.
 */
int session__check(const json_t *session, char *err, size_t err_len);

/* Fields by name; NULL, NaN or "" when absent or of another type, o may be NULL. */
const json_t *session__get(const json_t *o, const char *key);
double session__get_number(const json_t *o, const char *key);
const char *session__get_text(const json_t *o, const char *key);
/* Absent and null alike give `otherwise`. */
bool session__get_bool(const json_t *o, const char *key, bool otherwise);
/* An ESTIMATE; estimate__none() when absent. */
struct estimate session__get_estimate(const json_t *o, const char *key);
/* The histogram of a LATENCY. false when there is none or it is empty. */
bool session__get_hist(const json_t *latency, struct hist *h);

#endif
