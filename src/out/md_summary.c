/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sentences that are derived from values, or not written. */
#include <math.h>
#include <string.h>

#include "model/quantile.h"
#include "out/hops_section.h"
#include "out/md.h"
#include "out/session.h"

#define MS 1e6

/* Share of the rate asked for from which on a schedule counts as kept. */
#define SCHEDULE_KEPT 0.99

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void add_name(struct text *out, const json_t *phase)
{
	const char *name = session__get_text(phase, "name");

	text__add(out, "- **");
	md__text(out, *name ? name : "(unnamed phase)");
	text__add(out, "**: ");
}

/* "Sub-millisecond" is said when the whole interval says it, and of the quantile that it holds for.
 */
static void add_below_ms(struct text *out, const json_t *latency)
{
	struct estimate p50 = md__quantile(latency, "p50"), p99 = md__quantile(latency, "p99");

	if (p99.hi < MS)
		text__add(out, " Sub-millisecond: p99 is below 1 ms with its whole interval.");
	else if (p50.hi < MS && p99.lo >= MS)
		text__add(out, " The median is sub-millisecond, p99 is not.");
	else if (p50.hi < MS)
		text__add(out,
			  " The median is sub-millisecond; for p99 this run does not show it.");
	else if (p50.lo >= MS)
		text__add(out,
			  " Not sub-millisecond: at least half of the calls took 1 ms or more.");
}

static void add_rpc(struct text *out, const json_t *phase)
{
	const char *clock = md__clock(phase);
	const json_t *l = md__latency(phase, clock);
	struct estimate p50 = md__quantile(l, "p50"), p99 = md__quantile(l, "p99");
	double attempted = session__get_number(phase, "attempted");
	double failed = session__get_number(phase, "failed");

	add_name(out, phase);
	if (!(attempted > 0)) {
		text__add(out, "no call was attempted.\n");
		return;
	}
	if (isnan(failed)) {
		md__plural(out, attempted, "call was", "calls were");
		text__add(out, " attempted; how many failed is not known.");
	} else if (failed > 0) {
		text__add(out, "**");
		md__share(out, failed, attempted);
		text__add(out, " calls failed**.");
	} else {
		text__add(out, "none of ");
		md__plural(out, attempted, "call", "calls");
		text__add(out, " failed.");
	}
	if (!l) {
		text__add(out,
			  " There is no latency to report: nothing was answered or nothing was "
			  "recorded.\n");
		return;
	}
	text__add(out,
		  !strcmp(clock, "intended") ? " From the intended send time p50 is " : " p50 is ");
	md__estimate(out, &p50, "ns");
	text__add(out, " and p99 ");
	md__estimate(out, &p99, "ns");
	text__add(out, ".");
	add_below_ms(out, l);
	text__add(out, "\n");
}

static void add_schedule(struct text *out, const json_t *phase)
{
	struct estimate rate = session__get_estimate(phase, "rate_per_s");
	double wanted = session__get_number(phase, "target_rate_per_s");
	double late = session__get_number(phase, "behind_schedule");

	if (isnan(wanted) || isnan(rate.value))
		return;
	text__add(out, "  - ");
	if (rate.hi < SCHEDULE_KEPT * wanted)
		text__add(out, "The schedule was not kept: ");
	else if (rate.lo >= SCHEDULE_KEPT * wanted)
		text__add(out, "The schedule was kept to 1 %: ");
	else
		text__add(out, "Whether the schedule was kept is not certain: ");
	md__value(out, wanted, "calls/s");
	text__add(out, " asked for, ");
	md__estimate(out, &rate, "calls/s");
	text__add(out, " measured");
	if (late > 0) {
		text__add(out, "; ");
		md__count(out, late);
		text__add(out, " sent more than 1 ms late");
	}
	text__add(out, ".\n");
}

static void add_events(struct text *out, const json_t *phase)
{
	const json_t *e = session__get(phase, "events");
	struct estimate rate = session__get_estimate(phase, "rate_per_s");
	double published = session__get_number(e, "published");
	double acked = session__get_number(e, "acked");
	double received = session__get_number(e, "received");
	double missing = session__get_number(e, "missing");
	double duplicates = session__get_number(e, "duplicates");

	add_name(out, phase);
	if (!(published > 0)) {
		text__add(out, "no event was published.\n");
		return;
	}
	md__plural(out, published, "event", "events");
	text__add(out, " published at ");
	md__estimate(out, &rate, "events/s");
	text__add(out, "; ");
	if (acked == published && received == published && missing == 0 && duplicates == 0) {
		text__add(out, "every one was acknowledged and received once.\n");
		return;
	}
	md__count(out, acked);
	text__add(out, " acknowledged, ");
	md__count(out, received);
	text__add(out, missing > 0 ? " received, **" : " received, ");
	md__count(out, missing);
	text__add(out, missing > 0 ? " missing**, " : " missing, ");
	md__plural(out, duplicates, "duplicate", "duplicates");
	text__add(out, ".\n");
}

static void add_services(struct text *out, const json_t *phase)
{
	const json_t *m = session__get(phase, "memory");
	struct estimate each = session__get_estimate(m, "per_service_bytes");
	size_t n = json_array_size(session__get(m, "services"));

	add_name(out, phase);
	if (isnan(each.value)) {
		text__add(out, "memory per service: " MD_NO_DATA ".\n");
		return;
	}
	text__add(out, "a service takes ");
	md__estimate(out, &each, "bytes");
	if (n) {
		text__add(out, ", over ");
		md__plural(out, (double)n, "service", "services");
	}
	text__add(out, ".\n");
}

static void add_growth(struct text *out, const json_t *phase)
{
	const json_t *list = session__get(phase, "growth");
	size_t n = json_array_size(list), growing = 0, stable = 0;

	add_name(out, phase);
	if (!n) {
		text__add(out, "growth: " MD_NO_DATA ".\n");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *c = json_array_get(list, i);

		stable += !strcmp(session__get_text(c, "verdict"), "STABLE");
		if (strcmp(session__get_text(c, "verdict"), "GROWING") != 0)
			continue;
		text__add(out, growing++ ? ", " : "growing: ");
		md__text(out, session__get_text(c, "name"));
	}
	if (growing)
		text__addf(out, "; no growth in %zu of ", stable);
	else if (stable)
		text__addf(out,
			   stable < n ? "no growth was found in %zu of "
				      : "no growth was found in ",
			   stable);
	else
		text__add(out, "growth was not decided in any of ");
	md__plural(out, (double)n, "container", "containers");
	if (growing + stable < n && growing + stable)
		text__addf(out, ", %zu undecided", n - growing - stable);
	text__add(out,
		  stable ? "; the smallest that could have been seen is in the table.\n" : ".\n");
}

static void add_differences(struct text *out, const json_t *session)
{
	const json_t *list = session__get(session, "differences");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);
		struct estimate e = session__get_estimate(d, "estimate");
		const char *unit = session__get_text(d, "unit");

		if (isnan(e.value))
			continue;
		text__add(out, "- **");
		md__text(out, session__get_text(d, "name"));
		text__add(out, "**: ");
		if (isnan(e.lo) || isnan(e.hi)) {
			md__estimate(out, &e, unit);
			text__add(out, "; without an interval this decides nothing.\n");
		} else if (!estimate__excludes(&e, 0)) {
			text__add(out, "no difference can be told from 0: ");
			md__interval(out, e.lo, e.hi, unit);
			text__add(out, ".\n");
		} else {
			struct estimate size = estimate__scale(e, e.value < 0 ? -1 : 1);

			md__estimate(out, &size, unit);
			text__add(out, e.value < 0 ? " less.\n" : " more.\n");
		}
	}
}

void md__summary(struct text *out, const json_t *session)
{
	const json_t *phases = session__get(session, "phases");

	text__add(out, "## Summary\n\n");
	if (!json_array_size(phases))
		text__add(out, "- No phase was run.\n");
	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);
		const char *kind = session__get_text(p, "kind");

		if (!strcmp(kind, "rpc")) {
			add_rpc(out, p);
			add_schedule(out, p);
		} else if (!strcmp(kind, "events")) {
			add_events(out, p);
		} else if (!strcmp(kind, "services")) {
			add_services(out, p);
		} else if (!strcmp(kind, "memory")) {
			add_growth(out, p);
		} else if (md__is_hops(p)) {
			add_name(out, p);
			md__hops_most(out, p);
			text__add(out, ".\n");
		}
	}
	add_differences(out, session);
	text__add(out, "\n");
}

/* Quantiles whose upper end the samples do not bound. */
static void add_unbounded(struct text *out, const json_t *phase)
{
	static const struct {
		const char *key, *title;
		double q;
	} list[] = {{"p99", "p99", 0.99}, {"p999", "p99.9", 0.999}};
	const json_t *l = md__latency(phase, md__clock(phase));

	for (size_t i = 0; l && i < ARRAY_LEN(list); i++) {
		struct estimate e = md__quantile(l, list[i].key);

		if (isnan(e.value) || !isnan(e.hi))
			continue;
		text__addf(out, "- How high %s of ", list[i].title);
		md__text(out, session__get_text(phase, "name"));
		text__add(out, " may be: ");
		md__plural(out, (double)e.n, "sample does", "samples do");
		text__add(out, " not bound it from above; it takes ");
		md__count(out, (double)quantile__upper_needs(list[i].q));
		text__add(out, ".\n");
	}
	if (session__get_number(phase, "rounds") == 1) {
		text__add(out, "- How much ");
		md__text(out, session__get_text(phase, "name"));
		text__add(out, " varies from round to round: there was one round.\n");
	}
}

static bool is_loopback(const char *address)
{
	return !strncmp(address, "127.", 4) || !strncmp(address, "[::1]", 5) ||
	       !strncmp(address, "localhost", 9);
}

/* All addresses on this machine: what that leaves out. */
static void add_one_host(struct text *out, const json_t *session)
{
	const json_t *e = session__get(session, "environment"), *list = session__get(e, "topology");
	double cpus = session__get_number(e, "cpus");
	size_t known = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *address = session__get_text(json_array_get(list, i), "address");

		if (*address && !is_loopback(address))
			return;
		known += *address != 0;
	}
	if (!known)
		return;
	text__add(out,
		  "- What a network adds: every address is a loopback address of this machine.\n");
	if (isnan(cpus))
		return;
	text__add(out, "- What each process would take alone: load, brokers and services shared ");
	md__plural(out, cpus, "processor", "processors");
	text__add(out, ".\n");
}

static void add_not_run(struct text *out, const json_t *session)
{
	bool rpc = md__phase(session, "rpc", NULL, NULL) != NULL;

	if (!rpc)
		text__add(out, "- Request latency: no rpc phase was run.\n");
	else if (!md__phase(session, NULL, "forwarded", NULL))
		text__add(out, "- What forwarding costs: no phase took the forwarded path.\n");
	else if (!md__phase(session, NULL, "direct", NULL))
		text__add(out, "- What forwarding costs: no phase took the direct path.\n");
	if (rpc && !md__phase(session, "rpc", NULL, "open"))
		text__add(out, "- What calls wait under a given rate: no open loop was run.\n");
	if (!md__phase(session, "events", NULL, NULL))
		text__add(out, "- Event throughput and loss: no events phase was run.\n");
	if (!md__phase(session, "services", NULL, NULL))
		text__add(out, "- Memory per service: no services phase was run.\n");
}

void md__limits(struct text *out, const json_t *session)
{
	const json_t *phases = session__get(session, "phases");
	double duration = session__get_number(session, "duration_s");
	double each = session__get_number(session__get(session, "overhead"), "ns_per_exchange");

	text__add(out, "## What this run cannot tell\n\n");
	if (!session__get_bool(session, "complete", false))
		text__add(
			out,
			"- Anything about what was to come after it ended: the run is partial.\n");
	add_not_run(out, session);
	for (size_t i = 0; i < json_array_size(phases); i++)
		if (!md__is_hops(json_array_get(phases, i)))
			add_unbounded(out, json_array_get(phases, i));
	add_one_host(out, session);
	if (isnan(each))
		text__add(
			out,
			"- What the probes cost per exchange: the kernel's BPF statistics were not "
			"recorded.\n");
	if (!isnan(duration)) {
		text__add(out,
			  "- Growth of memory or drift of latency over times much longer than ");
		md__value(out, duration * 1e9, "ns");
		text__add(out, ".\n");
	}
	text__add(
		out,
		"- More than its intervals: they take the samples for independent, and calls that "
		"follow each other on one machine are so only in part. Another run on another day "
		"is the better check.\n");
}
