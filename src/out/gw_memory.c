/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the containers of a gateway run used under load, and whether their memory grew. */
#include <math.h>
#include <string.h>

#include "model/memory.h"
#include "out/gw.h"
#include "out/md.h"
#include "out/session.h"

static void add_use(struct text *out, const json_t *u)
{
	double share = session__get_number(u, "share_of_limit");

	text__add(out, "| ");
	md__text(out, session__get_text(u, "name"));
	text__add(out, " | ");
	md__value(out, session__get_number(u, "cpu_percent"), "%");
	text__add(out, " | ");
	md__value(out, session__get_number(u, "cpu_percent_max"), "%");
	text__add(out, " | ");
	md__value(out, session__get_number(u, "working_set_bytes"), "bytes");
	text__add(out, " | ");
	md__value(out, session__get_number(u, "current_bytes"), "bytes");
	text__add(out, " | ");
	if (isnan(session__get_number(u, "limit_bytes"))) {
		text__add(out, "none | - | |\n");
		return;
	}
	md__value(out, session__get_number(u, "limit_bytes"), "bytes");
	text__add(out, " | ");
	md__value(out, 100 * share, "%");
	text__addf(out, " | %s |\n",
		   share >= MEMORY_NEAR_LIMIT ? "**at 95 % of its limit or above**" : "");
}

/* What the containers lacked, others had. */
static void add_machine(struct text *out, const json_t *session, const json_t *p)
{
	const json_t *m = session__get(p, "machine"), *list = session__get(p, "resources");
	double cpus = session__get_number(session__get(session, "environment"), "cpus");
	double busy = session__get_number(m, "busy_percent"), own = 0;
	double stolen = session__get_number(m, "stolen_percent");

	for (size_t k = 0; k < json_array_size(list); k++)
		own += session__get_number(json_array_get(list, k), "cpu_percent");
	if (isnan(busy) || isnan(own))
		return;
	text__add(out, "Together ");
	md__value(out, own, "%");
	text__add(out,
		  "; all else on the machine, the probe and the kernel's work for them included, ");
	/* One is counted in ticks, the other exactly: the difference of the two may be below 0. */
	if (busy > own)
		md__value(out, busy - own, "%");
	else
		text__add(out, "less than the kernel's ticks can tell");
	if (stolen > 0) {
		text__add(out, "; taken by the hypervisor ");
		md__value(out, stolen, "%");
	}
	text__add(out, "; idle ");
	md__value(out, session__get_number(m, "idle_percent"), "%");
	if (!isnan(cpus)) {
		text__add(out, ", of ");
		md__value(out, 100 * cpus, "%");
	}
	text__add(out, ".\n\n");
}

void gw__resources(struct text *out, const json_t *session)
{
	const json_t *p;

	text__add(out, "## Resource usage\n\n");
	if (!gw__phase(session, "load", 0)) {
		text__add(out, MD_NO_DATA ": the load phase was not run.\n\n");
		return;
	}
	text__add(out,
		  "Over each phase of the load, by the kernel's accounting of each container's "
		  "cgroup. Processor time is of one processor (200 % are two); the most is that of "
		  "one second. Memory is the most that was read; the working set, usage without "
		  "page cache that can be given back, is what is compared with the limit.\n\n");
	for (size_t i = 0; (p = gw__phase(session, "load", i)); i++) {
		const json_t *list = session__get(p, "resources");

		text__add(out, "At ");
		md__value(out, session__get_number(p, "target_rate_per_s"), "requests/s");
		text__add(out, ":\n\n| container | processor, average | most | working set | usage "
			       "| limit | of the limit | |\n|---|---|---|---|---|---|---|---|\n");
		for (size_t k = 0; k < json_array_size(list); k++)
			add_use(out, json_array_get(list, k));
		text__add(out, "\n");
		add_machine(out, session, p);
	}
}

static double reading(const json_t *readings, size_t i, size_t field)
{
	return json_array_size(readings)
		       ? json_number_value(json_array_get(json_array_get(readings, i), field))
		       : NAN;
}

static void add_growth(struct text *out, const json_t *g)
{
	const json_t *r = session__get(g, "readings");
	struct estimate slope = session__get_estimate(g, "bytes_per_hour");
	size_t n = json_array_size(r);

	text__add(out, "| ");
	md__text(out, session__get_text(g, "name"));
	if (session__get_number(g, "stretches") > 1)
		text__addf(out, ", %.0f of %.0f", session__get_number(g, "stretch"),
			   session__get_number(g, "stretches"));
	text__add(out, " | ");
	gw__seconds(out, n ? reading(r, n - 1, 0) - reading(r, 0, 0) : NAN);
	text__add(out, " | ");
	md__value(out, reading(r, 0, 1), "bytes");
	text__add(out, " | ");
	md__value(out, reading(r, n ? n - 1 : 0, 1), "bytes");
	text__add(out, " | ");
	md__readings(out, r);
	text__add(out, " | ");
	md__estimate(out, &slope, "bytes/h");
	text__add(out, " | ");
	md__value(out, session__get_number(g, "min_detectable_bytes_per_hour"), "bytes/h");
	text__add(out, " | ");
	md__text(out, session__get_text(g, "verdict"));
	text__add(out, " | ");
	md__text(out, session__get_text(g, "reason"));
	text__add(out, " |\n");
}

void gw__growth(struct text *out, const json_t *session)
{
	const json_t *p = gw__phase(session, "memory", 0), *list = session__get(p, "growth");
	const json_t *steady = gw__phase(session, "steady", 0);

	text__add(out, "## Memory growth\n\n");
	if (!json_array_size(list)) {
		text__add(out, MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out, "Anonymous memory and swap of each container, read every ");
	gw__seconds(out, session__get_number(p, "interval_s"));
	text__add(out,
		  " over the whole run, faults included. Page cache is left out: it is given back "
		  "when it is needed. A restart begins a new stretch, and the longest one of a "
		  "container is the one that is judged as a target. The load changed during the "
		  "run, and where memory followed it the later, steady part is what the slope "
		  "speaks of; the reason says so.");
	if (steady) {
		text__add(out, " The last ");
		gw__seconds(out, session__get_number(steady, "duration_s"));
		text__add(out, " were a steady load of ");
		md__value(out, session__get_number(steady, "target_rate_per_s"), "requests/s");
		text__add(out, ", of which failed ");
		md__share(out, session__get_number(steady, "failed"),
			  session__get_number(steady, "attempted"));
		text__add(out, ".");
	}
	text__add(out, "\n\n| container | watched | first | last | | slope (interval) | smallest "
		       "slope to be "
		       "seen | verdict | reason |\n|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(list); i++)
		add_growth(out, json_array_get(list, i));
	text__add(out, "\n");
}
