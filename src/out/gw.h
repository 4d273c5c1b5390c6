/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report of a gateway run, section by section. Internal to src/out. */
#ifndef HOPSCOPE_OUT_GW_H
#define HOPSCOPE_OUT_GW_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "out/text.h"

void gw__report(struct text *out, const json_t *session);

/* Sections. */
void gw__summary(struct text *out, const json_t *session);
void gw__health(struct text *out, const json_t *session);
void gw__response(struct text *out, const json_t *session);
void gw__resources(struct text *out, const json_t *session);
void gw__load(struct text *out, const json_t *session);
void gw__faults(struct text *out, const json_t *session);
void gw__growth(struct text *out, const json_t *session);
void gw__critical_path(struct text *out, const json_t *session);
void gw__reliability(struct text *out, const json_t *session);
void gw__found(struct text *out, const json_t *session);
void gw__method(struct text *out, const json_t *session);

/* Phase number `i` (from 0) of a kind; NULL: there are not so many. */
const json_t *gw__phase(const json_t *session, const char *kind, size_t i);
/* Whether more of a phase failed than the scenario takes: its latencies mean nothing then. */
bool gw__too_many_failed(const json_t *session, const json_t *phase);
/* Whether clearly less was carried than was offered: latency grew for as long as the load lasted.
 */
bool gw__has_backlog(const json_t *phase);
/* Why the numbers of a phase must not be judged, as a paragraph; nothing when they may be. */
void gw__invalid(struct text *out, const json_t *phase);
/* How many requests of the response time phase were under way at once; 1 where it is not known. */
double gw__concurrency(const json_t *session);
/* "502 (104), timeout (4)" of counts by name, those that are not 0; `skip`: but for this one. */
void gw__counts(struct text *out, const json_t *counts, const char *skip, const char **sep);
/* Seconds as a time, NO DATA when not known. */
void gw__seconds(struct text *out, double s);

#endif
