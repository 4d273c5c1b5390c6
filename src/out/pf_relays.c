/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What relays use and where exchanges are: processors, hops, TCP; and what failed. */
#include <math.h>
#include <string.h>

#include "out/hops.h"
#include "out/md.h"
#include "out/pf.h"
#include "out/session.h"

static void add_programs(struct text *out, const json_t *cpu)
{
	for (size_t i = 0; i < json_array_size(cpu); i++) {
		const json_t *p = json_array_get(cpu, i);
		struct estimate e = session__get_estimate(p, "ns_per_request");

		text__add(out, i ? "; " : "");
		md__text(out, session__get_text(p, "program"));
		text__add(out, " ");
		md__estimate(out, &e, "ns");
	}
	if (!json_array_size(cpu))
		text__add(out, "-");
}

void pf__cpu(struct text *out, const json_t *session)
{
	struct pf_at at;
	const char *way;
	bool any = false;

	text__add(out, "## Processor time\n\n");
	for (size_t w = 0; w < 2; w++) {
		if (!pf__base_at(session, pf_workloads[w], &at))
			continue;
		any = true;
		text__addf(out,
			   "%s, the base point, a request:\n\n"
			   "| way | its programs | all of them | the whole machine | the machine, "
			   "more than direct |\n|---|---|---|---|---|\n",
			   pf__workload_title(at.workload));
		for (size_t i = 0; (way = pf__way(session, i)); i++) {
			const json_t *cell = pf__cell(session, way, &at);
			struct estimate all = session__get_estimate(cell, "relays_ns_per_request");
			struct estimate machine =
				session__get_estimate(cell, "machine_ns_per_request");
			struct estimate more = pf__added(session, cell, "machine_ns");

			text__add(out, "| ");
			md__text(out, way);
			text__add(out, " | ");
			add_programs(out, session__get(cell, "cpu"));
			text__add(out, " | ");
			if (cell && !json_array_size(session__get(cell, "cpu")))
				text__add(out, "-");
			else
				md__value(out, all.value, "ns");
			text__add(out, " | ");
			md__estimate(out, &machine, "ns");
			text__add(out, " | ");
			if (i)
				md__estimate(out, &more, "ns");
			else
				text__add(out, "-");
			text__add(out, " |\n");
		}
		text__add(out, "\n");
	}
	if (!any)
		text__add(out, MD_NO_DATA ".\n\n");
	else
		text__add(out,
			  "Of programs it is what their cgroup used, exact to the microsecond. "
			  "What the kernel does for a packet on behalf of nobody (routing, address "
			  "translation, delivery) is counted to whoever ran at that moment, and "
			  "only the machine's column has all of it: that one counts in ticks, and "
			  "everything else on the machine is in it.\n\n");
}

static void add_place(struct text *out, const char *way, const json_t *p)
{
	static const char *const keys[] = {"there_ns", "back_ns", "queue_ns", "run_queue_ns"};

	text__add(out, "| ");
	md__text(out, way);
	text__add(out, " | ");
	md__text(out, session__get_text(p, "name"));
	text__add(out, " |");
	for (size_t k = 0; k < 4; k++) {
		text__add(out, " ");
		md__value(out, session__get_number(p, keys[k]), "ns");
		text__add(out, " |");
	}
	text__add(out, "\n");
}

static void add_whole(struct text *out, const char *way, const json_t *residence, const char *name,
		      const char *key)
{
	double v = session__get_number(residence, key);

	if (!(v > 0))
		return;
	text__add(out, "| ");
	md__text(out, way);
	text__addf(out, " | %s | ", name);
	md__value(out, v, "ns");
	text__add(out, " | | | |\n");
}

static void add_residence_table(struct text *out, const json_t *session, const struct pf_at *at)
{
	const char *way;

	text__addf(
		out,
		"%s, the base point, means of an exchange:\n\n"
		"| way | where | there | back | of these in socket queues | of these waiting for a "
		"processor |\n|---|---|---|---|---|---|\n",
		pf__workload_title(at->workload));
	for (size_t i = 0; (way = pf__way(session, i)); i++) {
		const json_t *r = session__get(pf__cell(session, way, at), "residence");
		const json_t *places = session__get(r, "places");

		for (size_t k = 0; k < json_array_size(places); k++)
			add_place(out, way, json_array_get(places, k));
		add_whole(out, way, r, "*on the network, there and back*", "network_ns");
		add_whole(out, way, r, "*inside the tunnel: not visible*", "opaque_ns");
		add_whole(out, way, r, "*behind the last socket seen*", "beyond_ns");
		add_whole(out, way, r, "**the round trip**", "mean_ns");
	}
	text__add(out, "\n");
}

void pf__residence(struct text *out, const json_t *session)
{
	struct pf_at at;

	text__add(out, "## Where the time is\n\n");
	if (!pf__has_hops(session)) {
		text__add(out, MD_NO_DATA ": the exchanges were not followed hop by hop.\n\n");
		return;
	}
	text__add(out, "From rounds of their own, with the probe attached: its cost is in these "
		       "figures and in no other. A tunnel's inside is one figure: what is "
		       "encrypted or multiplexed there cannot be told apart.\n\n");
	for (size_t w = 0; w < 2; w++)
		if (pf__base_at(session, pf_workloads[w], &at))
			add_residence_table(out, session, &at);
}

/* The hops of one way, as `hopscope hops` shows them. */
void pf__waterfalls(struct text *out, const json_t *session)
{
	const char *way;
	struct pf_at at;

	if (!pf__has_hops(session))
		return;
	text__add(out, "## Hop by hop\n\n");

	for (size_t w = 0; w < 2; w++) {
		if (!pf__base_at(session, pf_workloads[w], &at))
			continue;
		for (size_t i = 0; (way = pf__way(session, i)); i++) {
			const json_t *cell = pf__cell(session, way, &at);

			if (!json_array_size(session__get(cell, "hops")))
				continue;
			text__addf(out, "### %s over ", pf__workload_title(at.workload));
			md__text(out, way);
			text__add(out, ", hop by hop\n\n");
			md__hops(out, cell, 1);
		}
	}
}

static void add_end(struct text *out, const char *way, const char *from, const char *to,
		    const json_t *end, const struct estimate *nats, const struct estimate *http)
{
	text__add(out, "| ");
	md__text(out, way);
	text__add(out, " | ");
	md__text(out, from);
	text__add(out, " to ");
	md__text(out, to);
	text__add(out, " | ");
	md__value(out, nats->value, "ns");
	text__add(out, " | ");
	md__value(out, http->value, "ns");
	text__add(out, " | ");
	md__count(out, session__get_number(end, "connections"));
	text__add(out, " | ");
	md__count(out, session__get_number(end, "segments"));
	text__add(out, " | ");
	md__count(out, session__get_number(end, "retransmits"));
	text__add(out, " |\n");
}

/* Smoothed round trip of leg i at the base of a workload. */
static struct estimate srtt(const json_t *session, const char *way, const char *workload, size_t i,
			    const char *end)
{
	struct pf_at at;

	if (!pf__base_at(session, workload, &at))
		return estimate__none();
	return session__get_estimate(
		json_array_get(session__get(pf__cell(session, way, &at), "srtt"), i), end);
}

static void add_legs(struct text *out, const json_t *session, const char *way)
{
	const json_t *legs = session__get(pf__way_object(session, way), "legs");

	for (size_t i = 0; i < json_array_size(legs); i++) {
		const json_t *leg = json_array_get(legs, i);
		const char *from = session__get_text(leg, "from");
		const char *to = session__get_text(leg, "to");
		struct estimate nats = srtt(session, way, "nats", i, "front_ns");
		struct estimate http = srtt(session, way, "http", i, "front_ns");

		add_end(out, way, from, to, session__get(leg, "front"), &nats, &http);
		nats = srtt(session, way, "nats", i, "back_ns");
		http = srtt(session, way, "http", i, "back_ns");
		add_end(out, way, to, from, session__get(leg, "back"), &nats, &http);
	}
}

void pf__tcp(struct text *out, const json_t *session)
{
	const json_t *list = session__get(session, "tcp");
	const char *way;

	text__add(out,
		  "## TCP\n\n"
		  "The ends of each leg, by TCP\\_INFO of the connections that were open; segments "
		  "and retransmissions over all points. A round trip is the "
		  "smallest smoothed one of the leg's connections after a slice of the base "
		  "point, the median of the rounds.\n\n"
		  "| way | sender | round trip (NATS) | round trip (HTTP) | connections | segments "
		  "sent | retransmitted |\n|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; (way = pf__way(session, i)); i++)
		add_legs(out, session, way);
	text__add(out, "\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);

		text__add(out, i ? "; "
				 : "Counted by the kernel over the whole load, closed "
				   "connections included: ");
		md__text(out, session__get_text(p, "place"));
		text__add(out, " ");
		md__count(out, session__get_number(p, "retransmits"));
		text__add(out, " retransmitted of ");
		md__count(out, session__get_number(p, "out_segments"));
		text__add(out, " segments");
	}
	text__add(out, json_array_size(list) ? ".\n\n" : "");
}

static void add_errors(struct text *out, const json_t *cell)
{
	json_t *errors = (json_t *)session__get(cell, "errors");
	const char *sep = "";

	for (void *i = json_object_iter(errors); i; i = json_object_iter_next(errors, i)) {
		double n = json_number_value(json_object_iter_value(i));

		if (!(n > 0))
			continue;
		text__add(out, sep);
		md__text(out, json_object_iter_key(i));
		text__add(out, " (");
		md__count(out, n);
		text__add(out, ")");
		sep = ", ";
	}
}

void pf__failures(struct text *out, const json_t *session)
{
	const json_t *phases = session__get(session, "phases");
	double attempted = 0, failed = 0;

	text__add(out, "## Failures\n\n");
	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);

		attempted += fmax(session__get_number(p, "attempted"), 0);
		failed += fmax(session__get_number(p, "failed"), 0);
	}
	if (!(attempted > 0)) {
		text__add(out, MD_NO_DATA ".\n\n");
		return;
	}
	if (!(failed > 0)) {
		text__add(out, "None of ");
		md__plural(out, attempted, "request", "requests");
		text__add(out, " failed.\n\n");
		return;
	}
	md__share(out, failed, attempted);
	text__add(out, " requests failed. Latencies are of those that succeeded; where more failed "
		       "than the scenario takes, there is none.\n\n"
		       "| point | way | failed | how |\n|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);

		if (!(session__get_number(p, "failed") > 0))
			continue;
		text__add(out, "| ");
		md__text(out, session__get_text(p, "name"));
		text__add(out, " | ");
		md__text(out, session__get_text(p, "way"));
		text__add(out, " | ");
		md__share(out, session__get_number(p, "failed"),
			  session__get_number(p, "attempted"));
		text__add(out, " | ");
		add_errors(out, p);
		text__add(out, " |\n");
	}
	text__add(out, "\n");
}
