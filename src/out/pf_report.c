/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report of a port-forward run: the order of its sections, and what they share. */
#include <math.h>
#include <string.h>

#include "model/units.h"
#include "out/md.h"
#include "out/pf.h"
#include "out/session.h"

const char *const pf_workloads[2] = {"nats", "http"};

const char *pf__workload_title(const char *workload)
{
	return strcmp(workload, "http") ? "NATS" : "HTTP";
}

static bool same(double wanted, double v)
{
	return isnan(wanted) || wanted == v;
}

static bool is_at(const json_t *phase, const struct pf_at *at)
{
	return !strcmp(session__get_text(phase, "workload"), at->workload) &&
	       !*session__get_text(phase, "beside") &&
	       same(at->payload, session__get_number(phase, "payload_bytes")) &&
	       same(at->concurrency, session__get_number(phase, "concurrency")) &&
	       same(at->pool, session__get_number(phase, "pool")) &&
	       same(at->tunnels, session__get_number(phase, "tunnels"));
}

bool pf__base_at(const json_t *session, const char *workload, struct pf_at *at)
{
	const json_t *phases = session__get(session, "phases");

	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);

		if (strcmp(session__get_text(p, "workload"), workload) != 0 ||
		    !session__get_bool(p, "base", false))
			continue;
		*at = (struct pf_at){
			.workload = workload,
			.payload = session__get_number(p, "payload_bytes"),
			.concurrency = session__get_number(p, "concurrency"),
			.pool = session__get_number(p, "pool"),
			.tunnels = session__get_number(p, "tunnels"),
		};
		return true;
	}
	return false;
}

const json_t *pf__cell(const json_t *session, const char *way, const struct pf_at *at)
{
	const json_t *phases = session__get(session, "phases");

	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);

		if (!strcmp(session__get_text(p, "way"), way) && is_at(p, at))
			return p;
	}
	return NULL;
}

const char *pf__way(const json_t *session, size_t i)
{
	const json_t *way = json_array_get(session__get(session, "ways"), i);

	return way ? session__get_text(way, "name") : NULL;
}

const json_t *pf__way_object(const json_t *session, const char *name)
{
	const json_t *ways = session__get(session, "ways");

	for (size_t i = 0; i < json_array_size(ways); i++)
		if (!strcmp(session__get_text(json_array_get(ways, i), "name"), name))
			return json_array_get(ways, i);
	return NULL;
}

bool pf__is_broken(const json_t *session, const json_t *cell)
{
	double bound = session__get_number(session, "error_bound_percent");
	double attempted = session__get_number(cell, "attempted");
	double failed = session__get_number(cell, "failed");

	return *session__get_text(cell, "invalid") ||
	       (attempted > 0 && 100 * failed / attempted > bound);
}

/* What is compared is worth as much as the worse of the two. */
static bool direct_is_broken(const json_t *session, const json_t *cell)
{
	struct pf_at at = {
		.workload = session__get_text(cell, "workload"),
		.payload = session__get_number(cell, "payload_bytes"),
		.concurrency = session__get_number(cell, "concurrency"),
		.pool = session__get_number(cell, "pool"),
		.tunnels = session__get_number(cell, "tunnels"),
	};

	return pf__is_broken(session, pf__cell(session, "direct", &at));
}

void pf__move(struct pf_at *at, const json_t *session, const char *sweep, double v)
{
	if (!strcmp(sweep, "payload")) {
		at->payload = v;
	} else if (!strcmp(sweep, "concurrency")) {
		at->concurrency = v;
		if (!strcmp(at->workload, "http"))
			at->pool = v;
	} else {
		at->pool = v;
		at->concurrency =
			session__get_number(session__get(session, "sweeps"), "pool_concurrency");
	}
}

struct estimate pf__added(const json_t *session, const json_t *cell, const char *key)
{
	const json_t *added = session__get(cell, "added");

	if (!added || pf__is_broken(session, cell) || direct_is_broken(session, cell))
		return estimate__none();
	return session__get_estimate(added, key);
}

const json_t *pf__analysis(const json_t *session, const char *way, const char *workload,
			   const char *key)
{
	const json_t *list = session__get(session, "analysis");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *a = json_array_get(list, i);

		if (!strcmp(session__get_text(a, "way"), way) &&
		    !strcmp(session__get_text(a, "workload"), workload))
			return session__get(a, key);
	}
	return NULL;
}

bool pf__has_hops(const json_t *session)
{
	const json_t *phases = session__get(session, "phases");

	for (size_t i = 0; i < json_array_size(phases); i++)
		if (session__get(json_array_get(phases, i), "residence"))
			return true;
	return false;
}

static double or_nothing(double v)
{
	return isnan(v) ? 0 : v;
}

bool pf__relays_of(const json_t *cell, struct pf_residence *r)
{
	const json_t *o = session__get(cell, "residence"), *places = session__get(o, "places");

	memset(r, 0, sizeof(*r));
	if (!o)
		return false;
	r->opaque = session__get_number(o, "opaque_ns");
	r->network = session__get_number(o, "network_ns");
	r->beyond = session__get_number(o, "beyond_ns");
	r->mean = session__get_number(o, "mean_ns");
	for (size_t i = 0; i < json_array_size(places); i++) {
		const json_t *p = json_array_get(places, i);

		if (!session__get_bool(p, "relay", false))
			continue;
		r->relays++;
		r->there += or_nothing(session__get_number(p, "there_ns"));
		r->back += or_nothing(session__get_number(p, "back_ns"));
		r->queue += or_nothing(session__get_number(p, "queue_ns"));
		r->run_queue += or_nothing(session__get_number(p, "run_queue_ns"));
	}
	return true;
}

void pf__add_bytes(struct text *out, double bytes)
{
	char buf[UNITS_LEN];

	if (bytes >= 1024 && fmod(bytes, 1024) == 0)
		text__addf(out, "%.0f KiB", bytes / 1024);
	else
		text__add(out, units__bytes(buf, sizeof(buf), bytes));
}

void pf__report(struct text *out, const json_t *session)
{
	md__head(out, session);
	pf__summary(out, session);
	pf__ways(out, session);
	pf__base(out, session);
	pf__parts(out, session);
	pf__payload(out, session);
	pf__concurrency(out, session);
	pf__pool(out, session);
	pf__residence(out, session);
	pf__cpu(out, session);
	pf__tcp(out, session);
	pf__failures(out, session);
	pf__waterfalls(out, session);
	md__environment(out, session);
	md__configuration(out, session);
	pf__method(out, session);
}
