/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report of a gateway run: the order of its sections, and what they share. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "out/gw.h"
#include "out/hops_section.h"
#include "out/md.h"
#include "out/session.h"

#define BACKLOG_SHARE 0.95 /* of what is offered, as for verdicts */

const json_t *gw__phase(const json_t *session, const char *kind, size_t i)
{
	const json_t *phases = session__get(session, "phases");

	for (size_t k = 0; k < json_array_size(phases); k++) {
		const json_t *p = json_array_get(phases, k);

		if (!strcmp(session__get_text(p, "kind"), kind) && !i--)
			return p;
	}
	return NULL;
}

bool gw__too_many_failed(const json_t *session, const json_t *phase)
{
	double bound = session__get_number(session, "error_bound_percent");
	double attempted = session__get_number(phase, "attempted");
	double failed = session__get_number(phase, "failed");

	return attempted > 0 && 100 * failed / attempted > bound;
}

bool gw__has_backlog(const json_t *phase)
{
	double offered = session__get_number(phase, "offered_rate_per_s");

	return session__get_estimate(phase, "rate_per_s").hi < BACKLOG_SHARE * offered;
}

void gw__invalid(struct text *out, const json_t *phase)
{
	const char *why = session__get_text(phase, "invalid");

	if (!*why)
		return;
	text__add(out, "**INVALID**: ");
	md__text(out, why);
	text__add(out, ".\n\n");
}

double gw__concurrency(const json_t *session)
{
	const json_t *list = session__get(session, "configuration");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *pair = json_array_get(list, i);
		const char *key = json_string_value(json_array_get(pair, 0));
		const char *value = json_string_value(json_array_get(pair, 1));

		if (key && value && !strcmp(key, "response.concurrency"))
			return fmax(strtod(value, NULL), 1);
	}
	return 1;
}

void gw__counts(struct text *out, const json_t *counts, const char *skip, const char **sep)
{
	json_t *o = (json_t *)counts;

	for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
		double n = json_number_value(json_object_iter_value(i));

		if (!(n > 0) || (skip && !strcmp(skip, json_object_iter_key(i))))
			continue;
		text__add(out, *sep);
		md__text(out, json_object_iter_key(i));
		text__add(out, " (");
		md__count(out, n);
		text__add(out, ")");
		*sep = ", ";
	}
}

void gw__seconds(struct text *out, double s)
{
	md__value(out, s * 1e9, "ns");
}

static void add_state(struct text *out, const json_t *h)
{
	const char *why = session__get_text(h, "why");
	double took = session__get_number(h, "took_ns");

	if (!h) {
		text__add(out, MD_NO_DATA);
		return;
	}
	text__add(out, session__get_bool(h, "healthy", false) ? "healthy" : "**unhealthy**");
	if (took > 0) {
		text__add(out, ", answered in ");
		md__value(out, took, "ns");
	}
	if (*why) {
		text__add(out, ": ");
		md__text(out, why);
	}
}

static const json_t *container(const json_t *session, const char *name)
{
	const json_t *list = session__get(session, "containers");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(session__get_text(json_array_get(list, i), "name"), name))
			return json_array_get(list, i);
	return NULL;
}

void gw__health(struct text *out, const json_t *session)
{
	const json_t *list = session__get(session, "health");

	text__add(out, "## Container health\n\n");
	if (!json_array_size(list)) {
		text__add(out, MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out,
		  "Each service was asked itself, before the first phase and after the last one; "
		  "the load worker, which has no port, is healthy as long as it takes commands.\n\n"
		  "| container | at the begin | at the end | memory limit | starts | ended unasked "
		  "|\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *h = json_array_get(list, i);
		const char *name = session__get_text(h, "name");
		double limit = session__get_number(container(session, name), "limit");

		text__add(out, "| ");
		md__text(out, name);
		text__add(out, " | ");
		add_state(out, session__get(h, "begin"));
		text__add(out, " | ");
		add_state(out, session__get(h, "end"));
		text__add(out, " | ");
		if (isnan(limit))
			text__add(out, "none");
		else
			md__value(out, limit, "bytes");
		text__add(out, " | ");
		md__count(out, session__get_number(h, "starts"));
		text__add(out, " | ");
		md__count(out, session__get_number(h, "deaths"));
		text__add(out, " |\n");
	}
	text__add(out, "\n");
}

static void add_hops(struct text *out, const json_t *session)
{
	md__hop_by_hop(out, session);
	if (gw__phase(session, "hops", 0))
		text__add(out,
			  "The calls to redis-cache are not followed: a request makes more of "
			  "them than a way has room for. What they take is in kong-gateway, "
			  "and told apart under Critical path. Over TLS the ends of a "
			  "connection are not joined: the call to claude-api is what is behind "
			  "kong-gateway.\n\n");
}

void gw__report(struct text *out, const json_t *session)
{
	md__head(out, session);
	gw__summary(out, session);
	gw__health(out, session);
	gw__response(out, session);
	gw__resources(out, session);
	gw__load(out, session);
	gw__faults(out, session);
	gw__growth(out, session);
	gw__critical_path(out, session);
	add_hops(out, session);
	gw__reliability(out, session);
	gw__found(out, session);
	md__environment(out, session);
	md__configuration(out, session);
	gw__method(out, session);
}
