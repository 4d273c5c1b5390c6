/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What was measured, as tables: the ways, the base point, and the sweeps around it. */
#include <math.h>
#include <string.h>

#include "out/md.h"
#include "out/pf.h"
#include "out/session.h"

static void add_relays(struct text *out, const json_t *way)
{
	const json_t *relays = session__get(way, "relays");
	const char *last = "";
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(relays); i++) {
		const char *program = session__get_text(json_array_get(relays, i), "program");

		/* One for each server: once is enough. */
		if (!strcmp(program, last))
			continue;
		last = program;
		text__add(out, n++ ? ", " : "");
		md__text(out, program);
		text__add(out, " (");
		md__text(out, session__get_text(json_array_get(relays, i), "place"));
		text__add(out, ")");
	}
	if (!n)
		text__add(out, "none: the kernel's own");
}

void pf__ways(struct text *out, const json_t *session)
{
	const json_t *ways = session__get(session, "ways");

	text__add(out, "## The ways\n\n");
	if (!json_array_size(ways)) {
		text__add(out, MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out,
		  "Client, forwarder and cluster are network namespaces of their own, joined by "
		  "veth. Every way crosses both links, `direct` too: the namespace between routes "
		  "it, so that the ways differ by the relay and by nothing else.\n\n"
		  "| way | what relays (where) | version | as a user would type it |\n"
		  "|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(ways); i++) {
		const json_t *way = json_array_get(ways, i);

		text__add(out, "| ");
		md__text(out, session__get_text(way, "name"));
		text__add(out, " | ");
		if (session__get_bool(way, "available", false)) {
			add_relays(out, way);
		} else {
			text__add(out, "**not measured**: ");
			md__text(out, *session__get_text(way, "why") ? session__get_text(way, "why")
								     : "the reason is not known");
		}
		text__add(out, " | ");
		md__text(out, *session__get_text(way, "version") ? session__get_text(way, "version")
								 : "-");
		text__add(out, " | ");
		md__code(out, session__get_text(way, "command"));
		text__add(out, " |\n");
	}
	text__add(out, "\n");
}

static void add_failed(struct text *out, const json_t *cell)
{
	double failed = session__get_number(cell, "failed");

	if (failed == 0)
		text__add(out, "none of ");
	else
		text__add(out, "**");
	if (failed > 0)
		md__share(out, failed, session__get_number(cell, "attempted"));
	else
		md__count(out, session__get_number(cell, "attempted"));
	text__add(out, failed == 0 ? "" : "**");
}

static void add_quantile(struct text *out, const json_t *session, const json_t *cell, const char *q)
{
	struct estimate e = md__quantile(md__latency(cell, "client"), q);

	text__add(out, " ");
	if (pf__is_broken(session, cell))
		text__add(out, "**INVALID**");
	else
		md__estimate(out, &e, "ns");
	text__add(out, " |");
}

static void add_added(struct text *out, const json_t *session, const json_t *cell, const char *key,
		      const char *unit)
{
	struct estimate e = pf__added(session, cell, key);

	text__add(out, " ");
	if (!session__get(cell, "added"))
		text__add(out, "-");
	else
		md__estimate(out, &e, unit);
	text__add(out, " |");
}

static void add_base_row(struct text *out, const json_t *session, const char *way,
			 const struct pf_at *at)
{
	const json_t *cell = pf__cell(session, way, at);
	struct estimate rate = session__get_estimate(cell, "rate_per_s");

	text__add(out, "| ");
	md__text(out, way);
	text__add(out, " |");
	if (!cell) {
		text__add(out, " " MD_NO_DATA " | | | | | | |\n");
		return;
	}
	add_quantile(out, session, cell, "p50");
	add_quantile(out, session, cell, "p99");
	add_added(out, session, cell, "p50_ns", "ns");
	add_added(out, session, cell, "p99_ns", "ns");
	text__add(out, " ");
	md__value(out, rate.value, "");
	text__add(out, " |");
	add_added(out, session, cell, "rate_percent", "%");
	text__add(out, " ");
	add_failed(out, cell);
	text__add(out, " |\n");
}

static void add_point(struct text *out, const struct pf_at *at)
{
	pf__add_bytes(out, at->payload);
	text__add(out, " there and back, ");
	md__count(out, at->concurrency);
	text__add(out, " at a time");
	if (!strcmp(at->workload, "nats")) {
		text__add(out, ", a pool of ");
		md__plural(out, at->pool, "connection", "connections");
	}
}

void pf__base(struct text *out, const json_t *session)
{
	struct pf_at at;
	const char *way;
	bool any = false;

	text__add(out, "## What each way adds\n\n");
	for (size_t w = 0; w < 2; w++) {
		if (!pf__base_at(session, pf_workloads[w], &at))
			continue;
		any = true;
		text__addf(out, "### %s, the base point\n\n", pf__workload_title(at.workload));
		add_point(out, &at);
		text__add(out,
			  ".\n\n| way | round trip p50 | p99 | added p50 | added p99 | requests/s "
			  "| rate against direct | failed |\n|---|---|---|---|---|---|---|---|\n");
		for (size_t i = 0; (way = pf__way(session, i)); i++)
			add_base_row(out, session, way, &at);
		text__add(out, "\n");
	}
	if (!any)
		text__add(out, MD_NO_DATA ": no point was measured.\n\n");
	md__figure(out, session, "added.svg", "What each way adds to the median round trip");
}

/* A dimension of the sweeps, and what its values are. */
struct dimension {
	const char *key; /* of "sweeps" */
	void (*add)(struct text *out, double v);
};

static void add_sweep_table(struct text *out, const json_t *session, const struct pf_at *base,
			    const struct dimension *d)
{
	const json_t *values = session__get(session__get(session, "sweeps"), d->key);
	const char *way;
	size_t n = json_array_size(values);

	text__add(out, "| way |");
	for (size_t k = 0; k < n; k++) {
		text__add(out, " ");
		d->add(out, json_number_value(json_array_get(values, k)));
		text__add(out, " |");
	}
	text__add(out, "\n|---|");
	for (size_t k = 0; k < n; k++)
		text__add(out, "---|");
	text__add(out, "\n");
	for (size_t i = 0; (way = pf__way(session, i)); i++) {
		text__add(out, "| ");
		md__text(out, way);
		text__add(out, i ? " |" : ", round trip p50 |");
		for (size_t k = 0; k < n; k++) {
			struct pf_at at = *base;
			const json_t *cell;

			pf__move(&at, session, d->key,
				 json_number_value(json_array_get(values, k)));
			cell = pf__cell(session, way, &at);
			if (!cell)
				text__add(out, " " MD_NO_DATA " |");
			else if (i)
				add_added(out, session, cell, "p50_ns", "ns");
			else
				add_quantile(out, session, cell, "p50");
		}
		text__add(out, "\n");
	}
	text__add(out, "\n");
}

static void add_sweep(struct text *out, const json_t *session, const char *title,
		      const struct dimension *d, bool http)
{
	const json_t *values = session__get(session__get(session, "sweeps"), d->key);
	struct pf_at base;

	text__addf(out, "## %s\n\n", title);
	if (json_array_size(values) < 2) {
		text__add(out, MD_NO_DATA ": the scenario does not vary it.\n\n");
		return;
	}
	for (size_t w = 0; w < (http ? 2 : 1); w++) {
		if (!pf__base_at(session, pf_workloads[w], &base))
			continue;
		text__addf(out, "%s: added to direct, p50", pf__workload_title(base.workload));
		text__add(out, " (the first row: the round trip itself).\n\n");
		add_sweep_table(out, session, &base, d);
	}
}

void pf__payload(struct text *out, const json_t *session)
{
	static const struct dimension d = {"payload", pf__add_bytes};

	add_sweep(out, session, "Against payload", &d, true);
	md__figure(out, session, "payload.svg", "What each way adds, against payload");
}

void pf__concurrency(struct text *out, const json_t *session)
{
	static const struct dimension d = {"concurrency", md__count};

	add_sweep(out, session, "Against requests under way", &d, true);
	if (json_array_size(session__get(session__get(session, "sweeps"), "concurrency")) > 1)
		text__add(out, "At most so many: the client begins the next request when one was "
			       "answered. NATS has a thread for each; HTTP's are all begun by one "
			       "thread, which has fewer under way where answers are faster than it "
			       "is.\n\n");
	md__figure(out, session, "concurrency.svg",
		   "What each way adds, against requests under way");
}

/* A row a way of an analysis: added at its one end and at the other, and the difference. */
static void add_rows(struct text *out, const json_t *session, const char *key)
{
	static const char *const columns[] = {"added_from_ns", "added_to_ns", "growth_ns",
					      "growth_p99_ns"};
	const char *way;

	text__add(out, "|---|---|---|---|---|\n");
	for (size_t i = 1; (way = pf__way(session, i)); i++) {
		const json_t *a = pf__analysis(session, way, "nats", key);

		text__add(out, "| ");
		md__text(out, way);
		text__add(out, " |");
		for (size_t k = 0; k < 4; k++) {
			struct estimate e = session__get_estimate(a, columns[k]);

			text__add(out, " ");
			md__estimate(out, &e, "ns");
			text__add(out, " |");
		}
		text__add(out, "\n");
	}
	text__add(out, "\n");
}

static void add_neighbours(struct text *out, const json_t *session)
{
	const json_t *sweeps = session__get(session, "sweeps");
	double bulk = session__get_number(sweeps, "bulk");

	if (!(bulk > 0))
		return;
	text__add(out,
		  "### Beside a bulk transfer\n\nThe base point, while another connection has ");
	md__plural(out, session__get_number(sweeps, "bulk_concurrency"), "message", "messages");
	text__add(out, " of ");
	pf__add_bytes(out, bulk);
	text__add(out,
		  " under way at all times: over another forwarded port, to another server; and "
		  "over the same port, to the same server. What that makes of `direct` is taken "
		  "off.\n\n"
		  "| way | added p50, neighbour on another port | on the same port | the same "
		  "port adds, p50 | the same port adds, p99 |\n");
	add_rows(out, session, "neighbour");
}

void pf__pool(struct text *out, const json_t *session)
{
	static const struct dimension d = {"pool", md__count};
	const json_t *sweeps = session__get(session, "sweeps");
	double tunnels = session__get_number(sweeps, "tunnels");

	add_sweep(out, session, "Against the pool", &d, false);
	if (json_array_size(session__get(sweeps, "pool")) > 1) {
		text__add(out, "The connections of a pool are used in turn, with ");
		md__count(out, session__get_number(sweeps, "pool_concurrency"));
		text__add(out, " requests under way; all of them go to one server, and so through "
			       "one tunnel where the way has one.\n\n");
	}
	md__figure(out, session, "pool.svg", "What each way adds, against the pool");
	if (!(tunnels > 1))
		return;
	text__add(out, "### One tunnel, or one for each connection\n\nA pool of ");
	md__count(out, tunnels);
	text__add(out, " to as many servers, and the same pool to one of them. What `direct` gains "
		       "or loses by that is taken off.\n\n");
	text__add(out,
		  "| way | added p50, a tunnel each | added p50, one tunnel | sharing adds, p50 | "
		  "sharing adds, p99 |\n");
	add_rows(out, session, "tunnels");
	add_neighbours(out, session);
}
