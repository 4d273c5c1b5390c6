/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reliability in figures, and what the figures add up to: each sentence is derived from values. */
#include <math.h>
#include <string.h>

#include "model/memory.h"
#include "out/gw.h"
#include "out/md.h"
#include "out/session.h"

#define LATE_SHARE   0.01
#define IDLE_SHARE   0.05 /* of all processors: none left */
#define OTHERS_SHARE 0.25

static double total(const json_t *session, const char *key)
{
	const json_t *phases = session__get(session, "phases");
	double n = 0;

	for (size_t i = 0; i < json_array_size(phases); i++) {
		double v = session__get_number(json_array_get(phases, i), key);

		n += isnan(v) ? 0 : v;
	}
	return n;
}

static void add_indicator(struct text *out, const char *name)
{
	text__addf(out, "| %s | ", name);
}

static void add_deaths(struct text *out, const json_t *session)
{
	const json_t *list = session__get(session, "health");
	double n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += session__get_number(json_array_get(list, i), "deaths");
	add_indicator(out, "containers that ended unasked");
	md__count(out, json_array_size(list) ? n : NAN);
	text__add(out, " |\n");
}

static void add_recoveries(struct text *out, const json_t *session)
{
	const json_t *p;
	double longest = NAN;
	size_t n = 0, back = 0;

	for (; (p = gw__phase(session, "fault", n)); n++) {
		const json_t *f = session__get(p, "fault");

		if (!session__get_bool(f, "recovered", false))
			continue;
		back++;
		longest = fmax(longest, session__get_estimate(f, "recovery_s").value);
	}
	if (!n)
		return;
	add_indicator(out, "faults recovered from");
	md__share(out, (double)back, (double)n);
	text__add(out, " |\n");
	add_indicator(out, "longest recovery");
	gw__seconds(out, longest);
	text__add(out, " |\n");
}

void gw__reliability(struct text *out, const json_t *session)
{
	const json_t *a = session__get(session, "availability"),
		     *m = session__get(session, "masking");
	struct estimate e = session__get_estimate(a, "percent");
	double failed = session__get_number(a, "due") - session__get_number(a, "succeeded");

	text__add(out, "## Reliability\n\n| indicator | measured |\n|---|---|\n");
	add_indicator(out, "availability outside faults: successes among the requests that were "
			   "due while no fault was at work");
	md__estimate(out, &e, "%");
	text__add(out, " |\n");
	add_indicator(out, "failed outside faults");
	md__share(out, failed, session__get_number(a, "due"));
	text__add(out, ", in ");
	gw__seconds(out, session__get_number(a, "seconds"));
	text__add(out, " of load |\n");
	add_indicator(out, "failed in the whole run, faults included");
	md__share(out, total(session, "failed"), total(session, "attempted"));
	text__add(out, " |\n");
	add_recoveries(out, session);
	add_deaths(out, session);
	add_indicator(out, "requests that reached the API with an AWS identifier");
	if (isnan(session__get_number(m, "api_requests")))
		text__add(out, MD_NO_DATA);
	else
		md__share(out, session__get_number(m, "api_with_identifiers"),
			  session__get_number(m, "api_requests"));
	text__add(out, " |\n");
	add_indicator(out, "answers without the client's own identifiers");
	md__share(out, session__get_number(m, "bad_bodies"),
		  session__get_number(m, "answers_checked"));
	text__add(out, " |\n");
	add_indicator(out, "identifiers that the gateway masked, since its last start");
	md__count(out, session__get_number(m, "masked"));
	text__add(out, " |\n\n");
}

/* Targets that did not pass: what failed first, then what could not be decided. */
static bool add_verdicts(struct text *out, const json_t *session, bool failed)
{
	const json_t *list = session__get(session, "targets");
	bool any = false;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *t = json_array_get(list, i);
		const char *v = session__get_text(t, "verdict");

		if (!strcmp(v, "PASS") || !strcmp(v, "FAIL") != failed)
			continue;
		text__addf(out, "- **%s**: ", *v ? v : MD_NO_DATA);
		md__text(out, session__get_text(t, "name"));
		text__add(out, ": ");
		md__text(out, session__get_text(t, "reason"));
		text__add(out, ".\n");
		any = true;
	}
	return any;
}

static bool add_containers(struct text *out, const json_t *session)
{
	const json_t *list = session__get(session, "containers");
	bool any = false;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		double share = session__get_number(c, "worst_limit_share");
		double kills = session__get_number(c, "oom_kills");

		if (share >= MEMORY_NEAR_LIMIT) {
			text__add(out, "- **Near its limit**: the working set of ");
			md__text(out, session__get_text(c, "name"));
			text__add(out, " reached ");
			md__value(out, 100 * share, "%");
			text__add(out, " of its limit.\n");
			any = true;
		}
		if (kills > 0) {
			text__add(out, "- **Out of memory**: in ");
			md__text(out, session__get_text(c, "name"));
			text__add(out, " the kernel killed ");
			md__plural(out, kills, "process", "processes");
			text__add(out, ".\n");
			any = true;
		}
	}
	return any;
}

static bool add_growing(struct text *out, const json_t *session)
{
	const json_t *list = session__get(gw__phase(session, "memory", 0), "growth");
	bool any = false;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *g = json_array_get(list, i);

		if (strcmp(session__get_text(g, "verdict"), "GROWING") != 0)
			continue;
		text__add(out, "- **Growing**: ");
		md__text(out, session__get_text(g, "name"));
		text__add(out, " ");
		md__text(out, session__get_text(g, "reason"));
		text__add(out, ".\n");
		any = true;
	}
	return any;
}

/* The breaker holds requests back after their reason has gone. */
static bool add_breaker(struct text *out, const json_t *session)
{
	const json_t *p;
	bool any = false;

	for (size_t i = 0; (p = gw__phase(session, "fault", i)); i++) {
		const json_t *f = session__get(p, "fault");
		double refused = session__get_number(f, "breaker_refused");
		double failed = session__get_number(f, "failed");
		double healthy = session__get_number(f, "healthy_s");
		double back = session__get_estimate(f, "recovery_s").value;

		if (!(refused > 0))
			continue;
		text__add(out, "- **Circuit breaker**: after `");
		md__text(out, session__get_text(p, "name"));
		text__add(out, session__get_number(f, "breaker_opened") > 0
				       ? "` it opened and refused "
				       : "` it was open and refused ");
		md__plural(out, refused, "request", "requests");
		text__add(out, " itself, of ");
		md__count(out, failed);
		text__add(out, " that failed.");
		if (healthy >= 0 && back > 2 * healthy &&
		    session__get_bool(f, "recovered", false)) {
			text__add(out, " The service was healthy ");
			gw__seconds(out, healthy);
			text__add(out, " after its start, the load recovered after ");
			gw__seconds(out, back);
			text__add(out, ".");
		}
		text__add(out, "\n");
		any = true;
	}
	return any;
}

static bool add_harmless(struct text *out, const json_t *session)
{
	const json_t *p;
	bool any = false;

	for (size_t i = 0; (p = gw__phase(session, "fault", i)); i++) {
		const json_t *f = session__get(p, "fault");

		if (!session__get(f, "recovered") || session__get_number(f, "failed") != 0)
			continue;
		text__add(out, "- **No failure**: `");
		md__text(out, session__get_text(p, "name"));
		text__add(out, session__get_bool(f, "affected", false)
				       ? "` failed no request; they waited.\n"
				       : "` failed no request and slowed none down.\n");
		any = true;
	}
	return any;
}

/* The container that used the most processor time of a phase. */
static void add_busiest(struct text *out, const json_t *p)
{
	const json_t *list = session__get(p, "resources"), *best = NULL;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *u = json_array_get(list, i);

		if (session__get_number(u, "cpu_percent") >
		    (best ? session__get_number(best, "cpu_percent") : 0))
			best = u;
	}
	if (!best)
		return;
	text__add(out, "; the busiest container was ");
	md__text(out, session__get_text(best, "name"));
	text__add(out, " with ");
	md__value(out, session__get_number(best, "cpu_percent"), "%");
	text__add(out, " of a processor");
}

static void add_backlog(struct text *out, const json_t *p)
{
	struct estimate carried = session__get_estimate(p, "rate_per_s");

	text__add(out, "- **Too much load**: of ");
	md__value(out, session__get_number(p, "offered_rate_per_s"), "requests/s");
	text__add(out, " that were offered ");
	md__estimate(out, &carried, "requests/s");
	text__add(out, " were carried");
	add_busiest(out, p);
	text__add(out, ".\n");
}

/* What a higher rate did to p99, where the intervals tell the two apart. */
static bool add_rate_effect(struct text *out, const json_t *session)
{
	const json_t *a = gw__phase(session, "load", 0), *p;
	bool any = false;

	for (size_t i = 1; a && (p = gw__phase(session, "load", i)); i++) {
		struct estimate low = md__quantile(md__latency(a, "intended"), "p99");
		struct estimate high = md__quantile(md__latency(p, "intended"), "p99");

		if (gw__too_many_failed(session, a) || gw__too_many_failed(session, p))
			continue;
		if (gw__has_backlog(p)) {
			add_backlog(out, p);
			any = true;
			continue;
		}
		if (gw__has_backlog(a) || !(high.lo > low.hi))
			continue;
		text__add(out, "- **Under load**: p99 is ");
		md__value(out, high.value, "ns");
		text__add(out, " at ");
		md__value(out, session__get_number(p, "target_rate_per_s"), "requests/s");
		text__add(out, " and ");
		md__value(out, low.value, "ns");
		text__add(out, " at ");
		md__value(out, session__get_number(a, "target_rate_per_s"), "requests/s");
		text__addf(out, ", %.1f times as much.\n", high.value / low.value);
		any = true;
	}
	return any;
}

/* A generator that is late is part of what it measures. */
static bool add_late(struct text *out, const json_t *session)
{
	const json_t *p;
	bool any = false;

	for (size_t i = 0; (p = gw__phase(session, "load", i)); i++) {
		double late = session__get_number(p, "behind_schedule");
		double waited = session__get_number(p, "waited");
		double n = session__get_number(p, "attempted");

		if (!(late > LATE_SHARE * n))
			continue;
		text__add(out, "- **Schedule**: at ");
		md__value(out, session__get_number(p, "target_rate_per_s"), "requests/s");
		text__add(out, ", ");
		md__share(out, late, n);
		text__add(out, " requests were sent more than 1 ms late, the latest by ");
		md__value(out, session__get_number(p, "late_ns_max"), "ns");
		text__add(out, waited > late / 2 ? "; most of them waited for a free connection, "
						   "that is, for the gateway's answers.\n"
						 : "; the load generator shares the processors "
						   "with what it measures.\n");
		any = true;
	}
	return any;
}

/* Where nothing was idle, what others used was missing. */
static bool add_shared(struct text *out, const json_t *session)
{
	double cpus = session__get_number(session__get(session, "environment"), "cpus");
	const json_t *p;
	bool any = false;

	for (size_t i = 0; (p = gw__phase(session, "load", i)); i++) {
		const json_t *m = session__get(p, "machine"), *list = session__get(p, "resources");
		double others = session__get_number(m, "busy_percent");
		double idle = session__get_number(m, "idle_percent");

		for (size_t k = 0; k < json_array_size(list); k++)
			others -= session__get_number(json_array_get(list, k), "cpu_percent");
		if (!(idle < IDLE_SHARE * 100 * cpus && others > OTHERS_SHARE * 100 * cpus))
			continue;
		text__add(out, "- **Busy machine**: at ");
		md__value(out, session__get_number(p, "target_rate_per_s"), "requests/s");
		text__add(out, " no processor was idle, and ");
		md__value(out, others, "%");
		text__add(out,
			  " of one went to something that is no container of this run: a machine "
			  "of its own may carry more and answer sooner.\n");
		any = true;
	}
	return any;
}

static bool add_accounting(struct text *out, const json_t *session)
{
	const json_t *a = session__get(session, "accounting");
	bool any = false;

	if (a && !session__get_bool(a, "holds", true)) {
		text__add(out, "- **The probe's accounting does not close**: see below.\n");
		any = true;
	}
	if (md__tls_incomplete(session__get(session, "tls"))) {
		text__add(out, "- **The probe lost calls over TLS**: see below.\n");
		any = true;
	}
	return any;
}

void gw__found(struct text *out, const json_t *session)
{
	bool any;

	text__add(out, "## What was found\n\n");
	any = add_verdicts(out, session, true);
	any |= add_containers(out, session);
	any |= add_growing(out, session);
	any |= add_breaker(out, session);
	any |= add_harmless(out, session);
	any |= add_rate_effect(out, session);
	any |= add_late(out, session);
	any |= add_shared(out, session);
	any |= add_accounting(out, session);
	any |= add_verdicts(out, session, false);
	text__add(out, any ? "\n" : "- Nothing beyond the figures above.\n\n");
}
