/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Response time and load: what the client measured, and the kernel beside it. */
#include <math.h>
#include <string.h>

#include "out/gw.h"
#include "out/md.h"
#include "out/session.h"

#define HISTOGRAM_ROWS 16
#define MAX_LOADS      8

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *key, *title;
} quantiles[] = {{"p50", "p50"}, {"p90", "p90"}, {"p95", "p95"}, {"p99", "p99"}, {"p999", "p99.9"}};

static const struct {
	const char *key, *title;
} clocks[] = {{"intended", "from the time it was due"},
	      {"client", "from the send"},
	      {"kernel", "kernel, at the client's socket"}};

static void add_quantile_rows(struct text *out, const json_t *const *l, size_t n)
{
	for (size_t q = 0; q < ARRAY_LEN(quantiles); q++) {
		text__addf(out, "| %s |", quantiles[q].title);
		for (size_t c = 0; c < n; c++) {
			struct estimate e = md__quantile(l[c], quantiles[q].key);

			text__add(out, " ");
			md__estimate(out, &e, "ns");
			text__add(out, " |");
		}
		text__add(out, "\n");
	}
}

static void add_value_row(struct text *out, const char *title, const char *key,
			  const json_t *const *l, size_t n)
{
	text__addf(out, "| %s |", title);
	for (size_t c = 0; c < n; c++) {
		text__add(out, " ");
		md__value(out, session__get_number(l[c], key), strcmp(key, "count") ? "ns" : "");
		text__add(out, " |");
	}
	text__add(out, "\n");
}

/* The kernel's figure lies within the client's; what is between them is time in the client. */
static void add_kernel_sentence(struct text *out, const json_t *phase)
{
	const json_t *client = md__latency(phase, "client"), *kernel = md__latency(phase, "kernel");
	struct estimate c = md__quantile(client, "p50"), k = md__quantile(kernel, "p50");
	double answers = session__get_number(phase, "kernel_answers");

	if (!client)
		return;
	if (!kernel) {
		text__add(out,
			  "The kernel's own measurement beside the client's: " MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out, "At the median the client's clock reads ");
	md__value(out, c.value, "ns");
	text__add(out, " and the kernel, between the packets at the client's socket, ");
	md__value(out, k.value, "ns");
	if (c.lo > k.hi) {
		text__add(out, "; ");
		md__value(out, c.value - k.value, "ns");
		text__add(out, " of what the client waits is time within the client");
	} else {
		text__add(out, "; their intervals overlap, so this run does not tell them apart");
	}
	text__add(out, ". The kernel saw ");
	md__plural(out, answers, "answer", "answers");
	text__add(out, ".\n\n");
}

static void add_phase_histogram(struct text *out, const json_t *phase, const char *clock)
{
	struct hist h;

	if (session__get_hist(md__latency(phase, clock), &h))
		md__histogram(out, &h, HISTOGRAM_ROWS);
}

static void add_response_table(struct text *out, const json_t *p)
{
	struct estimate mean = session__get_estimate(p, "mean_ns");
	const json_t *l[2];
	static const char *const titles[] = {"client's clock", "kernel, at the client's socket"};
	size_t n = 0;

	l[n++] = md__latency(p, "client");
	if (md__latency(p, "kernel"))
		l[n++] = md__latency(p, "kernel");
	text__add(out, "| response time |");
	for (size_t i = 0; i < n; i++)
		text__addf(out, " %s |", titles[i]);
	text__add(out, n == 2 ? "\n|---|---|---|\n| average | " : "\n|---|---|\n| average | ");
	md__estimate(out, &mean, "ns");
	if (n == 2) {
		text__add(out, " | ");
		md__value(out, session__get_number(l[1], "mean_ns"), "ns");
	}
	text__add(out, " |\n");
	add_value_row(out, "shortest", "min_ns", l, n);
	add_quantile_rows(out, l, n);
	add_value_row(out, "longest", "max_ns", l, n);
	add_value_row(out, "samples", "count", l, n);
	text__add(out, "\n");
}

void gw__response(struct text *out, const json_t *session)
{
	const json_t *p = gw__phase(session, "response", 0);
	const char *sep = " of ";

	text__add(out, "## Response time\n\n");
	if (!p) {
		text__add(out, MD_NO_DATA ": the phase was not run.\n\n");
		return;
	}
	md__plural(out, session__get_number(p, "attempted"), "request", "requests");
	if (gw__concurrency(session) > 1) {
		text__add(out, ", ");
		md__count(out, gw__concurrency(session));
		text__add(out, " at a time, the next one when one was answered. ");
	} else {
		text__add(out, ", the next one when the last was answered. ");
	}
	if (session__get_number(p, "failed") > 0) {
		md__share(out, session__get_number(p, "failed"),
			  session__get_number(p, "attempted"));
		text__add(out, " failed:");
		sep = " ";
		gw__counts(out, session__get(p, "codes"), "200", &sep);
		gw__counts(out, session__get(p, "errors"), NULL, &sep);
		text__add(out, ". ");
	} else {
		text__add(out, "None failed. ");
	}
	if (gw__too_many_failed(session, p))
		text__add(out, "**INVALID: more failed than the scenario's bound, so the latencies "
			       "of the rest mean nothing.** ");
	if (!md__latency(p, "client")) {
		text__add(out, "\n\n" MD_NO_DATA ": no request succeeded.\n\n");
		return;
	}
	text__add(out, "Average, extremes and percentiles are of the same samples, all of them "
		       "successes.\n\n");
	gw__invalid(out, p);
	add_response_table(out, p);
	add_kernel_sentence(out, p);
	text__add(out, "Distribution by the client's clock, logarithmic axis:\n\n");
	add_phase_histogram(out, p, "client");
}

typedef void (*cell_fn)(struct text *out, const json_t *phase);

static void cell_offered(struct text *out, const json_t *p)
{
	md__value(out, session__get_number(p, "offered_rate_per_s"), "requests/s");
}

static void cell_sent(struct text *out, const json_t *p)
{
	struct estimate e = session__get_estimate(p, "sent_per_s");

	md__estimate(out, &e, "requests/s");
}

static void cell_carried(struct text *out, const json_t *p)
{
	struct estimate e = session__get_estimate(p, "rate_per_s");

	md__estimate(out, &e, "requests/s");
}

static void cell_attempted(struct text *out, const json_t *p)
{
	double scheduled = session__get_number(p, "scheduled");

	md__count(out, session__get_number(p, "attempted"));
	if (scheduled > session__get_number(p, "attempted")) {
		text__add(out, " of ");
		md__count(out, scheduled);
		text__add(out, ": **the rest could not be sent in good time**");
	}
}

static void cell_success(struct text *out, const json_t *p)
{
	struct estimate e = session__get_estimate(p, "success_percent");

	md__estimate(out, &e, "%");
}

static void cell_status(struct text *out, const json_t *p)
{
	const char *sep = "";

	gw__counts(out, session__get(p, "status"), NULL, &sep);
	if (!*sep)
		text__add(out, "none");
}

static void cell_errors(struct text *out, const json_t *p)
{
	const char *sep = "";

	gw__counts(out, session__get(p, "errors"), NULL, &sep);
	if (!*sep)
		text__add(out, "none");
}

static void cell_late(struct text *out, const json_t *p)
{
	md__share(out, session__get_number(p, "behind_schedule"),
		  session__get_number(p, "attempted"));
}

static void cell_waited(struct text *out, const json_t *p)
{
	md__count(out, session__get_number(p, "waited"));
}

static void cell_latest(struct text *out, const json_t *p)
{
	md__value(out, session__get_number(p, "late_ns_max"), "ns");
}

static void cell_peak(struct text *out, const json_t *p)
{
	md__count(out, session__get_number(p, "peak_in_flight"));
}

static void cell_opened(struct text *out, const json_t *p)
{
	md__count(out, session__get_number(p, "connections_opened"));
}

static const struct {
	const char *title;
	cell_fn cell;
} load_rows[] = {{"offered", cell_offered},
		 {"sent at", cell_sent},
		 {"carried (successful answers)", cell_carried},
		 {"requests sent", cell_attempted},
		 {"success", cell_success},
		 {"answers by status class", cell_status},
		 {"no answer, or a bad body", cell_errors},
		 {"sent more than 1 ms late", cell_late},
		 {"of these for want of a free connection", cell_waited},
		 {"latest", cell_latest},
		 {"most in flight", cell_peak},
		 {"connections opened", cell_opened}};

static size_t find_loads(const json_t *session, const json_t *list[MAX_LOADS])
{
	size_t n = 0;

	while (n < MAX_LOADS && (list[n] = gw__phase(session, "load", n)))
		n++;
	return n;
}

static void add_load_head(struct text *out, const json_t *const *list, size_t n)
{
	text__add(out, "| |");
	for (size_t i = 0; i < n; i++) {
		text__add(out, " ");
		md__value(out, session__get_number(list[i], "target_rate_per_s"), "requests/s");
		text__add(out, " |");
	}
	text__add(out, "\n|---|");
	for (size_t i = 0; i < n; i++)
		text__add(out, "---|");
	text__add(out, "\n");
}

static void add_load_latency(struct text *out, const json_t *session, const json_t *p)
{
	const json_t *l[ARRAY_LEN(clocks)];
	size_t n = 0;

	text__add(out, "### Latency at ");
	md__value(out, session__get_number(p, "target_rate_per_s"), "requests/s");
	text__add(out, "\n\n");
	gw__invalid(out, p);
	if (gw__too_many_failed(session, p)) {
		text__add(out, "**INVALID**: ");
		md__share(out, session__get_number(p, "failed"),
			  session__get_number(p, "attempted"));
		text__add(out, " requests failed, and the scenario's bound is ");
		md__value(out, session__get_number(session, "error_bound_percent"), "%");
		text__add(out, ": how fast the rest was answered says nothing about the "
			       "gateway.\n\n");
		return;
	}
	if (gw__has_backlog(p))
		text__add(
			out,
			"**More was offered than was carried**: requests queued up, and these "
			"latencies say how long the load lasted, not what the gateway takes.\n\n");
	text__add(out, "| latency |");
	for (size_t c = 0; c < ARRAY_LEN(clocks); c++) {
		if (!md__latency(p, clocks[c].key))
			continue;
		l[n++] = md__latency(p, clocks[c].key);
		text__addf(out, " %s |", clocks[c].title);
	}
	if (!n) {
		text__add(out, "\n|---|\n| " MD_NO_DATA " |\n\n");
		return;
	}
	text__add(out, "\n|---|");
	for (size_t c = 0; c < n; c++)
		text__add(out, "---|");
	text__add(out, "\n");
	add_quantile_rows(out, l, n);
	add_value_row(out, "longest", "max_ns", l, n);
	add_value_row(out, "average", "mean_ns", l, n);
	add_value_row(out, "samples", "count", l, n);
	text__add(out, "\n");
	add_kernel_sentence(out, p);
	add_phase_histogram(out, p, "intended");
}

void gw__load(struct text *out, const json_t *session)
{
	const json_t *list[MAX_LOADS];
	size_t n = find_loads(session, list);

	text__add(out, "## Load\n\n");
	if (!n) {
		text__add(out, MD_NO_DATA ": the phase was not run.\n\n");
		return;
	}
	text__add(out,
		  "Requests were sent on a schedule, whatever the answers did. Latency counts from "
		  "the time at which a request was due, so that what one slow answer does to the "
		  "requests behind it is in there.\n\n");
	add_load_head(out, list, n);
	for (size_t r = 0; r < ARRAY_LEN(load_rows); r++) {
		text__addf(out, "| %s |", load_rows[r].title);
		for (size_t i = 0; i < n; i++) {
			text__add(out, " ");
			load_rows[r].cell(out, list[i]);
			text__add(out, " |");
		}
		text__add(out, "\n");
	}
	text__add(out, "\n");
	for (size_t i = 0; i < n; i++)
		add_load_latency(out, session, list[i]);
}
