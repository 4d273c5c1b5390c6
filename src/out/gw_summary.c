/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The first page of a gateway's report: what came of it, and the verdicts. */
#include <math.h>
#include <string.h>

#include "out/gw.h"
#include "out/hops_section.h"
#include "out/md.h"
#include "out/session.h"

static void add_response(struct text *out, const json_t *session)
{
	const json_t *p = gw__phase(session, "response", 0), *l = md__latency(p, "client");
	struct estimate mean = session__get_estimate(p, "mean_ns"), p99 = md__quantile(l, "p99");

	text__add(out, "- **Response time**: ");
	if (!l) {
		text__add(out, MD_NO_DATA ".\n");
		return;
	}
	if (gw__too_many_failed(session, p)) {
		text__add(out, "INVALID: ");
		md__share(out, session__get_number(p, "failed"),
			  session__get_number(p, "attempted"));
		text__add(out, " requests failed.\n");
		return;
	}
	if (*session__get_text(p, "invalid")) {
		text__add(out, "INVALID: ");
		md__text(out, session__get_text(p, "invalid"));
		text__add(out, ".\n");
		return;
	}
	md__estimate(out, &mean, "ns");
	text__add(out, " on average, p99 ");
	md__estimate(out, &p99, "ns");
	text__add(out, ", over ");
	md__plural(out, session__get_number(l, "count"), "request", "requests");
	if (gw__concurrency(session) > 1) {
		text__add(out, ", ");
		md__count(out, gw__concurrency(session));
		text__add(out, " at a time.\n");
	} else {
		text__add(out, " one after the other.\n");
	}
}

static void add_load(struct text *out, const json_t *session, const json_t *p)
{
	struct estimate carried = session__get_estimate(p, "rate_per_s");
	struct estimate success = session__get_estimate(p, "success_percent");
	struct estimate p99 = md__quantile(md__latency(p, "intended"), "p99");
	struct estimate sent = session__get_estimate(p, "sent_per_s");
	double offered = session__get_number(p, "offered_rate_per_s");

	text__add(out, "- **Load of ");
	md__value(out, session__get_number(p, "target_rate_per_s"), "requests/s");
	text__add(out, "** (");
	md__count(out, offered);
	text__add(out, " offered): ");
	md__estimate(out, &carried, "requests/s");
	text__add(out, " carried, success ");
	md__estimate(out, &success, "%");
	if (*session__get_text(p, "invalid")) {
		text__add(out, "; INVALID: ");
		md__text(out, session__get_text(p, "invalid"));
	} else if (gw__too_many_failed(session, p)) {
		text__add(out, "; so many failed that latencies mean nothing");
	} else if (gw__has_backlog(p)) {
		text__add(out,
			  ". **More was offered than was carried**, and latency grew for as long "
			  "as the load lasted");
	} else {
		text__add(out, ", p99 ");
		md__estimate(out, &p99, "ns");
		text__add(out, " from the time at which a request was due");
	}
	if (sent.hi < 0.99 * offered) {
		text__add(out, "; only ");
		md__value(out, sent.value, "requests/s");
		text__add(out, " could be sent");
	}
	text__add(out, ".\n");
}

/* The fault from which recovery took longest; one that did not end has no length. */
static const json_t *longest_recovery(const json_t *session)
{
	const json_t *p, *worst = NULL;
	double longest = -1;

	for (size_t i = 0; (p = gw__phase(session, "fault", i)); i++) {
		const json_t *f = session__get(p, "fault");
		double t = session__get_estimate(f, "recovery_s").value;

		if (!session__get_bool(f, "recovered", false) || !(t > longest))
			continue;
		longest = t;
		worst = p;
	}
	return worst;
}

static void add_longest(struct text *out, const json_t *session, bool all)
{
	const json_t *p = longest_recovery(session), *f = session__get(p, "fault");

	if (!p)
		return;
	text__add(out, all ? "; the longest recovery took " : "; the longest of these took ");
	gw__seconds(out, session__get_estimate(f, "recovery_s").value);
	if (!isnan(session__get_number(f, "undone_s"))) {
		text__add(out, !strcmp(session__get_text(f, "kind"), "pause")
				       ? " from when the service was resumed, "
				       : " from when the service was started again, ");
		gw__seconds(out, session__get_number(f, "from_fault_s"));
		text__add(out, " from the fault");
	}
	text__add(out, " (");
	md__text(out, session__get_text(p, "name"));
	text__add(out, ")");
}

static void add_faults(struct text *out, const json_t *session)
{
	const json_t *p;
	size_t n = 0, back = 0;

	for (; (p = gw__phase(session, "fault", n)); n++)
		back += session__get_bool(session__get(p, "fault"), "recovered", false);
	if (!n)
		return;
	text__add(out, "- **Failure recovery**: ");
	if (back == n)
		text__add(out, n == 1 ? "the load recovered from the fault"
				      : "the load recovered from each of ");
	else
		text__addf(out, "the load recovered from %zu of ", back);
	if (n > 1 || back < n)
		md__plural(out, (double)n, "fault", "faults");
	add_longest(out, session, back == n);
	text__add(out, ".\n");
}

/* Names of the stretches with a verdict, each once; false: there are none. */
static bool add_names(struct text *out, const json_t *growth, const char *verdict,
		      const char *before)
{
	const char *last = "";
	bool any = false;

	for (size_t i = 0; i < json_array_size(growth); i++) {
		const json_t *g = json_array_get(growth, i);
		const char *name = session__get_text(g, "name");

		if (strcmp(session__get_text(g, "verdict"), verdict) != 0 || !strcmp(name, last))
			continue;
		text__add(out, any ? ", " : before);
		md__text(out, name);
		last = name;
		any = true;
	}
	return any;
}

static void add_memory(struct text *out, const json_t *session)
{
	const json_t *list = session__get(session, "containers"), *fullest = NULL;
	const json_t *growth = session__get(gw__phase(session, "memory", 0), "growth");
	double worst = -1;

	for (size_t i = 0; i < json_array_size(list); i++) {
		double s = session__get_number(json_array_get(list, i), "worst_limit_share");

		if (s > worst) {
			worst = s;
			fullest = json_array_get(list, i);
		}
	}
	text__add(out, "- **Memory**: ");
	if (fullest) {
		md__text(out, session__get_text(fullest, "name"));
		text__add(out, " came closest to its limit, with ");
		md__value(out, 100 * worst, "%");
		text__add(out, " of it; ");
	}
	if (!json_array_size(growth))
		text__add(out, "growth: " MD_NO_DATA);
	else if (!add_names(out, growth, "GROWING", "growing: "))
		text__add(out, "no container was found to grow");
	add_names(out, growth, "INCONCLUSIVE", "; undecided, at least in part: ");
	text__add(out, ".\n");
}

static void add_masking(struct text *out, const json_t *session)
{
	const json_t *m = session__get(session, "masking");
	double n = session__get_number(m, "api_requests");
	double leaks = session__get_number(m, "api_with_identifiers");
	double answers = session__get_number(m, "answers_checked");
	double bad = session__get_number(m, "bad_bodies");

	text__add(out, "- **Masking**: ");
	if (!(n > 0) || !(answers > 0)) {
		text__add(out, MD_NO_DATA ".\n");
		return;
	}
	if (leaks > 0) {
		text__add(out, "**");
		md__share(out, leaks, n);
		text__add(out, " requests reached the API with an AWS identifier in them**");
	} else {
		text__add(out, "none of ");
		md__plural(out, n, "request", "requests");
		text__add(out, " that reached the API held an AWS identifier");
	}
	if (bad > 0) {
		text__add(out, "; **");
		md__share(out, bad, answers);
		text__add(out, " answers came without the client's own**.\n");
	} else {
		text__add(out, "; each of ");
		md__plural(out, answers, "answer", "answers");
		text__add(out, " gave the client its own back.\n");
	}
}

static void add_hops(struct text *out, const json_t *session)
{
	const json_t *p = gw__phase(session, "hops", 0);

	if (!p)
		return;
	text__add(out, "- **Hop by hop**: ");
	md__hops_most(out, p);
	text__add(out, ".\n");
}

void gw__summary(struct text *out, const json_t *session)
{
	const json_t *p;

	text__add(out, "## Executive summary\n\n");
	add_response(out, session);
	for (size_t i = 0; (p = gw__phase(session, "load", i)); i++)
		add_load(out, session, p);
	add_faults(out, session);
	add_memory(out, session);
	add_masking(out, session);
	add_hops(out, session);
	text__add(out, "\n");
	md__targets(out, session);
	if (json_array_size(session__get(session, "targets")))
		text__add(
			out,
			"intervals of averages and rates are two-sided 95 % (Student), of shares "
			"two-sided 95 % (Clopper and Pearson), of slopes two-sided 95 % (Theil and "
			"Sen); a recovery time counts from when the service was started again or "
			"resumed (of a reset: from the reset), and is known to the width of a "
			"bucket.\n\n");
}
