/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Results: one phase, and phases side by side. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "out/md.h"
#include "out/session.h"

#define HISTOGRAM_ROWS 20

static const struct {
	const char *key, *title;
} quantiles[] = {{"p50", "p50"}, {"p90", "p90"}, {"p95", "p95"}, {"p99", "p99"}, {"p999", "p99.9"}};

static const struct {
	const char *key, *title;
} clocks[] = {{"intended", "from the intended send time"},
	      {"client", "client clock, from the send"},
	      {"kernel", "kernel, at the client's socket"}};

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static bool is_kind(const json_t *phase, const char *kind)
{
	return !strcmp(session__get_text(phase, "kind"), kind);
}

/* "Direct path, closed loop, 5 rounds, 3.10 s." */
static void add_description(struct text *out, const json_t *phase)
{
	const char *path = session__get_text(phase, "path");
	const char *mode = session__get_text(phase, "mode");
	double rounds = session__get_number(phase, "rounds");
	double duration = session__get_number(phase, "duration_s");
	struct text line = {0};

	if (*path) {
		md__text(&line, path);
		text__add(&line, " path, ");
	}
	if (*mode) {
		md__text(&line, mode);
		text__add(&line, " loop, ");
	}
	if (!isnan(rounds)) {
		md__plural(&line, rounds, "round", "rounds");
		text__add(&line, ", ");
	}
	if (!isnan(duration)) {
		md__value(&line, duration * 1e9, "ns");
		text__add(&line, ", ");
	}
	if (line.len > 2) {
		line.data[0] = (char)toupper((unsigned char)line.data[0]);
		text__addn(out, line.data, line.len - 2);
		text__add(out, ".\n\n");
	}
	out->failed = out->failed || line.failed;
	text__free(&line);
}

static void add_errors(struct text *out, const json_t *phase)
{
	json_t *errors = (json_t *)session__get(phase, "errors");
	const char *sep = ": ";

	for (void *i = json_object_iter(errors); i; i = json_object_iter_next(errors, i)) {
		double n = json_number_value(json_object_iter_value(i));

		if (!(n > 0))
			continue;
		text__add(out, sep);
		md__text(out, json_object_iter_key(i));
		text__add(out, " ");
		md__count(out, n);
		sep = ", ";
	}
}

/* Attempts, failures and rates: what the latencies below are about. */
static void add_attempts(struct text *out, const json_t *phase)
{
	double attempted = session__get_number(phase, "attempted");
	double failed = session__get_number(phase, "failed");
	double late = session__get_number(phase, "behind_schedule");
	double wanted = session__get_number(phase, "target_rate_per_s");
	struct estimate rate = session__get_estimate(phase, "rate_per_s");
	const char *unit = is_kind(phase, "events") ? "events/s" : "calls/s";

	if (is_kind(phase, "services"))
		return;
	text__add(out, "| | |\n|---|---|\n");
	md__row_value(out, "attempted", attempted, "");
	md__row_value(out, "succeeded", session__get_number(phase, "succeeded"), "");
	text__add(out, "| failed | ");
	if (isnan(failed) || isnan(attempted))
		md__count(out, failed);
	else
		md__share(out, failed, attempted);
	add_errors(out, phase);
	text__add(out, " |\n");
	if (!is_kind(phase, "memory")) {
		text__add(out, "| rate | ");
		md__estimate(out, &rate, unit);
		text__add(out, " |\n");
	}
	if (!isnan(wanted))
		md__row_value(out, "rate asked for", wanted, unit);
	if (!isnan(late)) {
		text__add(out, "| sent more than 1 ms late | ");
		md__share(out, late, attempted);
		text__add(out, " |\n");
	}
	text__add(out, "\n");
}

/* Rows p50 ... max, a column a clock. */
static void add_latency_table(struct text *out, const json_t *phase)
{
	const json_t *l[ARRAY_LEN(clocks)];
	static const char *const plain[][2] = {
		{"min_ns", "min"}, {"mean_ns", "mean"}, {"max_ns", "max"}, {"count", "samples"}};

	text__add(out, "| latency |");
	for (size_t c = 0; c < ARRAY_LEN(clocks); c++) {
		l[c] = md__latency(phase, clocks[c].key);
		if (l[c])
			text__addf(out, " %s |", clocks[c].title);
	}
	text__add(out, "\n|---|");
	for (size_t c = 0; c < ARRAY_LEN(clocks); c++)
		text__add(out, l[c] ? "---|" : "");
	text__add(out, "\n");
	for (size_t q = 0; q < ARRAY_LEN(quantiles); q++) {
		text__addf(out, "| %s |", quantiles[q].title);
		for (size_t c = 0; c < ARRAY_LEN(clocks); c++) {
			struct estimate e = md__quantile(l[c], quantiles[q].key);

			if (!l[c])
				continue;
			text__add(out, " ");
			md__estimate(out, &e, "ns");
			text__add(out, " |");
		}
		text__add(out, "\n");
	}
	for (size_t p = 0; p < ARRAY_LEN(plain); p++) {
		text__addf(out, "| %s |", plain[p][1]);
		for (size_t c = 0; c < ARRAY_LEN(clocks); c++) {
			if (!l[c])
				continue;
			text__add(out, " ");
			md__value(out, session__get_number(l[c], plain[p][0]),
				  strcmp(plain[p][0], "count") ? "ns" : "");
			text__add(out, " |");
		}
		text__add(out, "\n");
	}
	text__add(out, "\n");
}

static bool overlap(const struct estimate *a, const struct estimate *b)
{
	/* an end that is not known may be anywhere */
	return !(a->lo > b->hi || b->lo > a->hi);
}

/* Why the client's figure and the kernel's differ, and by how much. */
static void add_client_share(struct text *out, const json_t *phase)
{
	const json_t *client = md__latency(phase, "client"), *kernel = md__latency(phase, "kernel");
	struct estimate c = md__quantile(client, "p50"), k = md__quantile(kernel, "p50");
	double nc = session__get_number(client, "count"), nk = session__get_number(kernel, "count");

	if (isnan(c.value) || isnan(k.value))
		return;
	text__add(out, "At the median the client's clock reads ");
	md__value(out, c.value, "ns");
	text__add(out, " and the kernel ");
	md__value(out, k.value, "ns");
	if (overlap(&c, &k)) {
		text__add(out, "; their intervals overlap, so this run does not tell them apart.");
	} else if (c.value > k.value) {
		text__add(out, ". The difference, ");
		md__value(out, c.value - k.value, "ns");
		text__add(out, " or ");
		md__value(out, 100 * (c.value - k.value) / c.value, "%");
		text__add(out,
			  " of what the caller waits, is client-side time: from the call to the "
			  "request's packet and from the reply's packet to the caller (encoding, "
			  "system calls, wake-ups, decoding).");
	} else {
		text__add(out, ". The kernel's is the larger one, so the two do not cover the same "
			       "exchanges.");
	}
	if (nc != nk) {
		text__add(out, " They rest on different numbers of exchanges: ");
		md__count(out, nc);
		text__add(out, " by the client, ");
		md__count(out, nk);
		text__add(out, " in the kernel.");
	}
	text__add(out, "\n\n");
}

static void add_latency(struct text *out, const json_t *phase)
{
	const char *clock = md__clock(phase);
	struct hist h;

	if (!md__latency(phase, "client") && !md__latency(phase, "intended") &&
	    !md__latency(phase, "kernel")) {
		if (is_kind(phase, "rpc"))
			text__add(out, "Latency: " MD_NO_DATA ".\n\n");
		return;
	}
	if (session__get_number(phase, "failed") > 0)
		text__add(out, "Latencies are of successful attempts only.\n\n");
	add_latency_table(out, phase);
	add_client_share(out, phase);
	if (!md__latency(phase, clock))
		clock = md__latency(phase, "client") ? "client" : "kernel";
	if (!session__get_hist(md__latency(phase, clock), &h))
		return;
	text__add(out, !strcmp(clock, "intended") ? "Latency from the intended send time"
		       : !strcmp(clock, "client") ? "Latency by the client's clock"
						  : "Latency in the kernel");
	text__add(out, ", logarithmic axis:\n\n");
	md__histogram(out, &h, HISTOGRAM_ROWS);
}

static void add_events(struct text *out, const json_t *phase)
{
	const json_t *e = session__get(phase, "events"), *ids = session__get(e, "missing_ids");
	static const char *const keys[] = {"published", "acked", "received", "missing",
					   "duplicates"};

	if (!e)
		return;
	text__add(out, "| published | acknowledged | received | missing | duplicates |\n"
		       "|---|---|---|---|---|\n|");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		text__add(out, " ");
		md__count(out, session__get_number(e, keys[i]));
		text__add(out, " |");
	}
	text__add(out, "\n\n");
	if (!json_array_size(ids))
		return;
	text__add(out, "Missing, by id:");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const json_t *id = json_array_get(ids, i);

		text__add(out, i ? ", " : " ");
		if (json_is_string(id))
			md__code(out, json_string_value(id));
		else
			text__addf(out, "%lld", (long long)json_integer_value(id));
	}
	if (session__get_number(e, "missing") > (double)json_array_size(ids))
		text__add(out, " and more");
	text__add(out, ".\n\n");
}

void md__phase_section(struct text *out, const json_t *phase)
{
	const char *name = session__get_text(phase, "name");

	text__add(out, "### ");
	md__text(out, *name ? name : "(unnamed phase)");
	text__add(out, "\n\n");
	add_description(out, phase);
	add_attempts(out, phase);
	add_events(out, phase);
	md__memory(out, phase);
	add_latency(out, phase);
}

static void add_loop_row(struct text *out, const json_t *phase, const char *clock,
			 const char *title)
{
	const json_t *l = md__latency(phase, clock);

	text__add(out, "| ");
	md__text(out, session__get_text(phase, "name"));
	text__addf(out, " | %s |", title);
	for (size_t q = 0; q < ARRAY_LEN(quantiles); q++) {
		struct estimate e = md__quantile(l, quantiles[q].key);

		if (!strcmp(quantiles[q].key, "p95"))
			continue;
		text__add(out, " ");
		md__estimate(out, &e, "ns");
		text__add(out, " |");
	}
	text__add(out, "\n");
}

void md__loops(struct text *out, const json_t *session)
{
	const json_t *phases = session__get(session, "phases");

	if (!md__phase(session, "rpc", NULL, "open"))
		return;
	text__add(
		out,
		"## Open loop beside closed loop\n\n"
		"A closed loop sends the next call when the last one was answered, so a slow "
		"answer "
		"delays the calls behind it and hides what they would have waited. The open loop "
		"sends "
		"on a schedule and counts from the intended time; what it shows above its own time "
		"from the send is waiting in the client.\n\n"
		"| phase | latency | p50 | p90 | p99 | p99.9 |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);

		if (!is_kind(p, "rpc"))
			continue;
		add_loop_row(out, p, "client", "from the send");
		if (!strcmp(session__get_text(p, "mode"), "open"))
			add_loop_row(out, p, "intended", "from the intended time");
	}
	text__add(out, "\n");
}

/* The forwarded phase that did the same as a direct one. */
static const json_t *find_forwarded(const json_t *phases, const json_t *direct)
{
	double wanted = session__get_number(direct, "target_rate_per_s");

	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);
		double rate = session__get_number(p, "target_rate_per_s");

		if (!strcmp(session__get_text(p, "path"), "forwarded") &&
		    !strcmp(session__get_text(p, "kind"), session__get_text(direct, "kind")) &&
		    !strcmp(session__get_text(p, "mode"), session__get_text(direct, "mode")) &&
		    (rate == wanted || (isnan(rate) && isnan(wanted))))
			return p;
	}
	return NULL;
}

static void add_path_rows(struct text *out, const json_t *direct, const json_t *forwarded)
{
	static const char *const keys[] = {"p50", "p90", "p99"};

	for (size_t q = 0; q < ARRAY_LEN(keys); q++) {
		struct estimate d = md__quantile(md__latency(direct, md__clock(direct)), keys[q]);
		struct estimate f =
			md__quantile(md__latency(forwarded, md__clock(forwarded)), keys[q]);

		text__add(out, "| ");
		md__text(out, session__get_text(direct, "name"));
		text__add(out, " | ");
		md__text(out, session__get_text(forwarded, "name"));
		text__addf(out, " | %s | ", keys[q]);
		md__estimate(out, &d, "ns");
		text__add(out, " | ");
		md__estimate(out, &f, "ns");
		text__add(out, " |\n");
	}
}

static void add_paths(struct text *out, const json_t *session)
{
	const json_t *phases = session__get(session, "phases");
	bool any = false;

	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *direct = json_array_get(phases, i), *forwarded;

		if (strcmp(session__get_text(direct, "path"), "direct") != 0 ||
		    !is_kind(direct, "rpc"))
			continue;
		forwarded = find_forwarded(phases, direct);
		if (!forwarded)
			continue;
		if (!any)
			text__add(out, "| direct | forwarded | | direct path | forwarded path |\n"
				       "|---|---|---|---|---|\n");
		any = true;
		add_path_rows(out, direct, forwarded);
	}
	text__add(out, any ? "\n" : "");
}

static void add_difference(struct text *out, const json_t *d)
{
	const char *unit = session__get_text(d, "unit");
	struct estimate e = session__get_estimate(d, "estimate");
	double base = session__get_number(d, "base_ns");
	bool relative = !strcmp(unit, "%");

	text__add(out, "| ");
	md__text(out, session__get_text(d, "name"));
	text__add(out, " | ");
	/* a difference in percent is of what it says, be that a rate */
	if (isnan(base) && relative)
		text__add(out, "-");
	else
		md__value(out, base, "ns");
	text__add(out, " | ");
	md__estimate(out, &e, unit);
	text__add(out, " | ");
	if (relative)
		text__add(out, "-");
	else
		md__value(out, base > 0 ? 100 * e.value / base : NAN, "%");
	text__add(out, " | ");
	md__count(out, e.n ? (double)e.n : NAN);
	text__add(out, " | ");
	if (isnan(e.value))
		text__add(out, "nothing was measured");
	else if (isnan(e.lo) || isnan(e.hi))
		text__add(out, "one number without an interval: it may be chance");
	else if (estimate__excludes(&e, 0))
		text__add(out, e.lo > 0 ? "more: the whole interval is above 0"
					: "less: the whole interval is below 0");
	else
		text__add(out, "not distinguishable from 0 in this run");
	text__add(out, " |\n");
}

void md__differences(struct text *out, const json_t *session)
{
	const json_t *list = session__get(session, "differences");

	text__add(out, "## Direct against forwarded, and other differences\n\n");
	add_paths(out, session);
	if (!json_array_size(list)) {
		text__add(out, "Paired differences: " MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out,
		  "Paired differences, round by round. They decide, not the figures of two phases "
		  "side by side: calls that follow each other are alike, so the intervals of a "
		  "phase may be narrower than the spread from round to round.\n\n"
		  "| what | base | difference (interval) | of the base | pairs | reading |\n"
		  "|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(list); i++)
		add_difference(out, json_array_get(list, i));
	text__add(out, "\n");
}
