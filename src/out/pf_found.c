/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sentences that are derived from values, or not written: what a way adds, and what that is. */
#include <math.h>
#include <string.h>

#include "out/md.h"
#include "out/pf.h"
#include "out/session.h"

/* What an interval says of the sign. */
enum sign { UNKNOWN = 0, MORE = 1, LESS = 2, NEITHER = 3 };

static enum sign sign_of(const struct estimate *e)
{
	if (isnan(e->lo) || isnan(e->hi))
		return UNKNOWN;
	if (e->lo > 0)
		return MORE;
	return e->hi < 0 ? LESS : NEITHER;
}

static void add_way(struct text *out, const char *way)
{
	text__add(out, "- **");
	md__text(out, way);
	text__add(out, "**: ");
}

/* "adds 41.2 us (40.1 us to 43.0 us) to". */
static void add_added(struct text *out, const struct estimate *e)
{
	struct estimate turned = estimate__scale(*e, -1);

	switch (sign_of(e)) {
	case MORE:
		text__add(out, "adds ");
		md__estimate(out, e, "ns");
		text__add(out, " to");
		break;
	case LESS:
		text__add(out, "takes ");
		md__estimate(out, &turned, "ns");
		text__add(out, " less than direct for");
		break;
	case NEITHER:
		text__add(out, "adds nothing that this run could show (");
		md__interval(out, e->lo, e->hi, "ns");
		text__add(out, ") to");
		break;
	default:
		text__add(out, "adds ");
		md__value(out, e->value, "ns");
		text__add(out, " (too few rounds for an interval) to");
	}
}

static void add_base_sentence(struct text *out, const json_t *session, const char *way)
{
	const char *sep = "";

	for (size_t w = 0; w < 2; w++) {
		const json_t *cell, *direct;
		struct estimate e, base;
		struct pf_at at;

		if (!pf__base_at(session, pf_workloads[w], &at))
			continue;
		cell = pf__cell(session, way, &at);
		direct = pf__cell(session, "direct", &at);
		e = pf__added(session, cell, "p50_ns");
		base = md__quantile(md__latency(direct, "client"), "p50");
		text__add(out, sep);
		sep = ", and ";
		if (pf__is_broken(session, cell) || pf__is_broken(session, direct)) {
			text__addf(out, "INVALID for %s: too many requests failed",
				   pf__workload_title(at.workload));
			continue;
		}
		if (isnan(e.value)) {
			text__addf(out, "%s: " MD_NO_DATA, pf__workload_title(at.workload));
			continue;
		}
		add_added(out, &e);
		text__addf(out, " the median %s round trip of ", pf__workload_title(at.workload));
		md__value(out, base.value, "ns");
	}
	text__add(out, ".");
}

/* The one whose interval lies above all others'. NULL: none does. */
static const char *dearest(const json_t *session, const struct pf_at *at, struct estimate *most)
{
	const char *way, *name = NULL;

	for (size_t i = 1; (way = pf__way(session, i)); i++) {
		struct estimate e = pf__added(session, pf__cell(session, way, at), "p50_ns");

		if (!isnan(e.lo) && (!name || e.lo > most->lo)) {
			name = way;
			*most = e;
		}
	}
	for (size_t i = 1; name && (way = pf__way(session, i)); i++) {
		struct estimate e = pf__added(session, pf__cell(session, way, at), "p50_ns");

		if (strcmp(way, name) != 0 && e.hi >= most->lo)
			return NULL;
	}
	return name;
}

static void add_dearest(struct text *out, const json_t *session)
{
	for (size_t w = 0; w < 2; w++) {
		struct estimate most = estimate__none(), direct;
		const char *name;
		struct pf_at at;

		if (!pf__base_at(session, pf_workloads[w], &at))
			continue;
		name = dearest(session, &at, &most);
		if (!name || !(most.lo > 0))
			continue;
		direct = md__quantile(md__latency(pf__cell(session, "direct", &at), "client"),
				      "p50");
		text__addf(out, "%s's dearest way is **", pf__workload_title(at.workload));
		md__text(out, name);
		text__add(out, "**: its interval lies above that of every other");
		if (direct.value > 0) {
			text__add(out, ", and its median round trip is ");
			md__value(out, (direct.value + most.value) / direct.value, "");
			text__add(out, " times direct's");
		}
		text__add(out, ".\n\n");
	}
}

void pf__summary(struct text *out, const json_t *session)
{
	const char *way;

	text__add(out, "## Summary\n\n");
	for (size_t i = 1; (way = pf__way(session, i)); i++) {
		const json_t *o = pf__way_object(session, way);

		add_way(out, way);
		if (session__get_bool(o, "available", false)) {
			add_base_sentence(out, session, way);
		} else {
			text__add(out, "not measured: ");
			md__text(out, *session__get_text(o, "why") ? session__get_text(o, "why")
								   : "the reason is not known");
			text__add(out, ".");
		}
		text__add(out, "\n");
	}
	text__add(out, "\n");
	add_dearest(out, session);
	text__add(out, "## Verdict\n\n");
	md__targets(out, session);
	if (json_array_size(session__get(session, "targets")))
		text__add(out, "what is compared is paired by rounds: the median of the pairs "
			       "(Hodges and Lehmann) with the signed-rank interval, two-sided 95 "
			       "%.\n\n");
}

/* ---- what it is made of */

static bool cell_relays(const json_t *session, const char *way, const struct pf_at *at,
			struct pf_residence *r)
{
	return pf__relays_of(pf__cell(session, way, at), r);
}

/*
 * What the way's processes hold longer at the large end, split into queues and the rest. Means of
 * the rounds with the probe: of the same exchanges, and of no others.
 */
static void add_copying_seen(struct text *out, const json_t *session, const char *way,
			     const char *workload, double from, double to)
{
	struct pf_residence small, large;
	double all, queued;
	struct pf_at at;

	if (!pf__base_at(session, workload, &at))
		return;
	at.payload = from;
	if (!cell_relays(session, way, &at, &small))
		return;
	at.payload = to;
	if (!cell_relays(session, way, &at, &large))
		return;
	all = large.there + large.back - small.there - small.back;
	queued = large.queue - small.queue;
	if (small.relays && large.relays && all > 0 && queued < all) {
		text__add(out, " Followed hop by hop, its processes hold an exchange ");
		md__value(out, all, "ns");
		text__add(out, " longer at ");
		pf__add_bytes(out, to);
		text__add(out, ": ");
		md__value(out, all - fmax(queued, 0), "ns");
		text__add(out, " of that at work, which is copying");
		if (queued > 0) {
			text__add(out, ", ");
			md__value(out, queued, "ns");
			text__add(out, " in their sockets' queues");
		}
		text__add(out, ".");
	}
	if (large.opaque > small.opaque && small.opaque > 0) {
		text__add(out, " Inside the tunnel, which cannot be looked into, ");
		md__value(out, small.opaque, "ns");
		text__add(out, " become ");
		md__value(out, large.opaque, "ns");
		text__add(out, ".");
	}
}

static void add_payload(struct text *out, const json_t *session, const char *way,
			const char *workload)
{
	const json_t *a = pf__analysis(session, way, workload, "payload");
	struct estimate from = session__get_estimate(a, "added_from_ns");
	struct estimate to = session__get_estimate(a, "added_to_ns");
	struct estimate growth = session__get_estimate(a, "growth_ns"), kib;
	double small = session__get_number(a, "from"), large = session__get_number(a, "to");

	if (isnan(growth.value))
		return;
	text__addf(out, "  - %s, copying: ", pf__workload_title(workload));
	if (sign_of(&growth) == MORE) {
		kib = estimate__scale(growth, 1024 / (large - small));
		text__add(out, "what it adds grows with the payload, by ");
		md__estimate(out, &kib, "ns");
		text__add(out, " for each KiB: ");
		md__value(out, from.value, "ns");
		text__add(out, " at ");
		pf__add_bytes(out, small);
		text__add(out, " become ");
		md__value(out, to.value, "ns");
		text__add(out, " at ");
		pf__add_bytes(out, large);
		text__add(out, ".");
		add_copying_seen(out, session, way, workload, small, large);
	} else if (sign_of(&growth) == UNKNOWN) {
		text__add(out, "too few rounds to say.");
	} else {
		text__add(out, "that what it adds grows with the payload was not shown: from ");
		pf__add_bytes(out, small);
		text__add(out, " to ");
		pf__add_bytes(out, large);
		text__add(out, " it changes by ");
		md__estimate(out, &growth, "ns");
		text__add(out, ".");
	}
	text__add(out, "\n");
}

static void add_waits(struct text *out, const struct pf_residence *r)
{
	double all = r->there + r->back;

	text__add(out, "an exchange is in the relay's processes for ");
	md__value(out, all, "ns");
	text__add(out, ", and waits ");
	md__value(out, r->queue, "ns");
	text__add(out, " of that");
	if (all > 0) {
		text__add(out, " (");
		md__value(out, 100 * r->queue / all, "%");
		text__add(out, ")");
	}
	text__add(out, " in their sockets' queues, ");
	md__value(out, r->run_queue, "ns");
	text__add(out, " with its reader awake and without a processor");
}

static void add_waiting(struct text *out, const json_t *session, const char *way,
			const char *workload)
{
	const json_t *values = session__get(session__get(session, "sweeps"), "concurrency");
	size_t n = json_array_size(values);
	struct pf_residence r;
	struct pf_at at;

	if (!pf__base_at(session, workload, &at) || !cell_relays(session, way, &at, &r))
		return;
	text__addf(out, "  - %s, waiting: ", pf__workload_title(workload));
	if (!r.relays) {
		if (r.opaque > 0) {
			text__add(out, "not visible: ");
			md__value(out, r.opaque, "ns");
			text__add(out, " of the round trip are inside the tunnel.\n");
		} else if (r.beyond > 0) {
			text__add(out, "not visible: ");
			md__value(out, r.beyond, "ns");
			text__add(out, " of the round trip are in the tunnel and behind it.\n");
		} else {
			text__add(out, "no process of the way took part.\n");
		}
		return;
	}
	add_waits(out, &r);
	if (n > 1)
		pf__move(&at, session, "concurrency",
			 json_number_value(json_array_get(values, n - 1)));
	if (n > 1 && cell_relays(session, way, &at, &r) && r.relays) {
		text__add(out, ". With ");
		md__count(out, at.concurrency);
		text__add(out, " under way ");
		add_waits(out, &r);
	}
	text__add(out, ".\n");
}

/* "waits 70.0 us (...) longer at the median", "not shown: ..., a difference of ...". */
static void add_blocking(struct text *out, const json_t *a, const char *what, const char *against)
{
	struct estimate p50 = session__get_estimate(a, "growth_ns");
	struct estimate p99 = session__get_estimate(a, "growth_p99_ns");
	struct estimate turned = estimate__scale(p50, -1);

	switch (sign_of(&p50)) {
	case MORE:
		text__addf(out, "%s waits ", what);
		md__estimate(out, &p50, "ns");
		text__addf(out, " longer at the median than %s", against);
		break;
	case LESS:
		text__addf(out, "none: %s is ", what);
		md__estimate(out, &turned, "ns");
		text__addf(out, " faster at the median than %s", against);
		break;
	case NEITHER:
		text__addf(out, "not shown: %s and %s differ by ", what, against);
		md__estimate(out, &p50, "ns");
		text__add(out, " at the median");
		break;
	default: text__add(out, "too few rounds to say");
	}
	if (sign_of(&p99) == MORE) {
		text__add(out, "; at p99 it waits ");
		md__estimate(out, &p99, "ns");
		text__add(out, " longer");
	}
}

static void add_sharing(struct text *out, const json_t *session, const char *way)
{
	const json_t *a = pf__analysis(session, way, "nats", "neighbour");
	struct estimate p50 = session__get_estimate(a, "growth_ns");

	if (!isnan(p50.value)) {
		text__add(out, "  - NATS, head-of-line blocking: ");
		add_blocking(out, a, "a request beside a bulk transfer through the same port",
			     "one beside a bulk transfer through another");
		text__add(out, ".\n");
	}
	a = pf__analysis(session, way, "nats", "tunnels");
	p50 = session__get_estimate(a, "growth_ns");
	if (isnan(p50.value))
		return;
	text__add(out, "  - NATS, a pool through one port: ");
	add_blocking(out, a, "it", "a pool with a port for each connection");
	text__add(out, ", with ");
	md__count(out, session__get_number(a, "concurrency"));
	text__add(out, " requests under way.\n");
}

static void add_throughput(struct text *out, const json_t *session, const char *way,
			   const char *workload)
{
	const json_t *values = session__get(session__get(session, "sweeps"), "concurrency"), *cell;
	size_t n = json_array_size(values);
	struct estimate e, rate;
	struct pf_at at;

	if (n < 2 || !pf__base_at(session, workload, &at))
		return;
	pf__move(&at, session, "concurrency", json_number_value(json_array_get(values, n - 1)));
	cell = pf__cell(session, way, &at);
	e = pf__added(session, cell, "rate_percent");
	rate = session__get_estimate(cell, "rate_per_s");
	if (isnan(e.value))
		return;
	text__addf(out, "  - %s, throughput: with ", pf__workload_title(workload));
	md__count(out, at.concurrency);
	text__add(out, " under way it carries ");
	md__value(out, rate.value, "requests/s");
	text__add(out, ", against direct ");
	md__estimate(out, &e, "%");
	if (sign_of(&e) == NEITHER)
		text__add(out, ": no difference that this run could show");
	text__add(out, ".\n");
}

void pf__parts(struct text *out, const json_t *session)
{
	const char *way;
	bool hops = pf__has_hops(session);

	text__add(out, "## What the overhead is made of\n\n");
	if (!hops)
		text__add(out, "Waiting, apart from the rest: " MD_NO_DATA
			       ": the exchanges were not followed hop by hop.\n\n");
	for (size_t i = 1; (way = pf__way(session, i)); i++) {
		if (!session__get_bool(pf__way_object(session, way), "available", false))
			continue;
		text__add(out, "- **");
		md__text(out, way);
		text__add(out, "**\n");
		for (size_t w = 0; w < 2; w++) {
			add_payload(out, session, way, pf_workloads[w]);
			add_waiting(out, session, way, pf_workloads[w]);
			if (!w)
				add_sharing(out, session, way);
			add_throughput(out, session, way, pf_workloads[w]);
		}
	}
	text__add(out, "\n");
}
