/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report: its head, its verdicts, and the order of its sections. */
#include <math.h>
#include <string.h>

#include "model/verdict.h"
#include "out/gw.h"
#include "out/hops_section.h"
#include "out/markdown.h"
#include "out/md.h"
#include "out/pf.h"
#include "out/session.h"

void md__head(struct text *out, const json_t *session)
{
	const json_t *scenario = session__get(session, "scenario");
	const json_t *tool = session__get(session, "tool");
	const char *title = session__get_text(scenario, "title");
	const char *name = session__get_text(scenario, "name");

	text__add(out, "# ");
	md__text(out, *title ? title : *name ? name : "hopscope session");
	text__add(out, "\n\n");
	if (!session__get_bool(session, "complete", false)) {
		const char *why = session__get_text(session, "incomplete_reason");

		text__add(out, "> **Partial run.** It ended before its scenario did: ");
		md__text(out, *why ? why : "the reason is not known");
		text__add(
			out,
			". What was measured until then is below; what is missing says " MD_NO_DATA
			".\n\n");
	}
	text__add(out, "Scenario ");
	md__code(out, *name ? name : "(unnamed)");
	if (*session__get_text(scenario, "file")) {
		text__add(out, " from ");
		md__code(out, session__get_text(scenario, "file"));
	}
	text__add(out, ", started ");
	md__text(out, *session__get_text(session, "started") ? session__get_text(session, "started")
							     : "at an unknown time");
	text__add(out, ", ran for ");
	md__value(out, session__get_number(session, "duration_s") * 1e9, "ns");
	text__add(out, "; measured by ");
	md__text(out, *session__get_text(tool, "name") ? session__get_text(tool, "name")
						       : "an unnamed tool");
	if (*session__get_text(tool, "version")) {
		text__add(out, " ");
		md__text(out, session__get_text(tool, "version"));
	}
	text__add(out, ".\n\n");
}

static void add_target(struct text *out, const json_t *t)
{
	const char *unit = session__get_text(t, "unit");
	const char *verdict = session__get_text(t, "verdict");
	struct estimate e = {
		.value = session__get_number(t, "value"),
		.lo = session__get_number(t, "ci_low"),
		.hi = session__get_number(t, "ci_high"),
	};

	text__add(out, "| ");
	md__text(out, session__get_text(t, "name"));
	text__addf(out, " | %s ", !strcmp(session__get_text(t, "op"), ">=") ? "≥" : "≤");
	md__value(out, session__get_number(t, "limit"), unit);
	text__add(out, " | ");
	md__estimate(out, &e, unit);
	text__addf(out, " | **%s** | ", *verdict ? verdict : MD_NO_DATA);
	md__text(out, session__get_text(t, "reason"));
	text__add(out, " |\n");
}

/* "3 targets: 1 PASS, 1 FAIL, 1 NO DATA", and what that makes of the run. */
static void add_verdict_sentence(struct text *out, const json_t *targets)
{
	size_t n = json_array_size(targets), by[VERDICT_MAX] = {0};
	const char *sep = ": ";

	for (size_t i = 0; i < n; i++) {
		enum verdict v = verdict__from_name(
			session__get_text(json_array_get(targets, i), "verdict"));

		by[v == VERDICT_NONE ? VERDICT_NO_DATA : v]++;
	}
	if (by[VERDICT_PASS] == n)
		text__add(out, "**Every target passed.** ");
	else if (by[VERDICT_FAIL])
		text__addf(out, "**%zu of %zu targets failed.** ", by[VERDICT_FAIL], n);
	else
		text__addf(out, "**No target failed, but %zu of %zu could not be decided.** ",
			   n - by[VERDICT_PASS], n);
	md__plural(out, (double)n, "target", "targets");
	for (int v = 1; v < VERDICT_MAX; v++) {
		if (!by[v])
			continue;
		text__addf(out, "%s%zu %s", sep, by[v], verdict__name((enum verdict)v));
		sep = ", ";
	}
	text__add(out, ".\n\n");
}

void md__targets(struct text *out, const json_t *session)
{
	const json_t *targets = session__get(session, "targets");

	if (!json_array_size(targets)) {
		text__add(out, "The scenario names no target, so nothing was judged.\n\n");
		return;
	}
	add_verdict_sentence(out, targets);
	text__add(out, "| target | limit | measured (interval) | verdict | reason |\n"
		       "|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(targets); i++)
		add_target(out, json_array_get(targets, i));
	text__add(out,
		  "\nPASS: the whole interval is on the good side of the limit. FAIL: the whole "
		  "interval "
		  "is on the bad side. INCONCLUSIVE: the interval contains the limit, or an end of "
		  "it is "
		  "not known. NO DATA: nothing was measured. INVALID: the measurement itself is "
		  "broken. "
		  "Intervals of quantiles are order statistics, one-sided 95 % at each end, "
		  "widened by "
		  "the width of a histogram bucket; ");
}

static void add_verdicts(struct text *out, const json_t *session)
{
	text__add(out, "## Verdict\n\n");
	md__targets(out, session);
	if (json_array_size(session__get(session, "targets")))
		text__add(out, "intervals of rates, sizes and differences are two-sided 95 % over "
			       "rounds.\n\n");
}

static void add_phases(struct text *out, const json_t *session)
{
	const json_t *phases = session__get(session, "phases");

	text__add(out, "## Results by phase\n\n");
	if (!json_array_size(phases))
		text__add(out, MD_NO_DATA ": no phase was run.\n\n");
	for (size_t i = 0; i < json_array_size(phases); i++)
		if (!md__is_hops(json_array_get(phases, i)))
			md__phase_section(out, json_array_get(phases, i));
}

/* The sections of a run of a NATS scenario. */
static void add_nats(struct text *out, const json_t *session)
{
	md__head(out, session);
	add_verdicts(out, session);
	md__summary(out, session);
	md__environment(out, session);
	md__configuration(out, session);
	add_phases(out, session);
	md__loops(out, session);
	md__differences(out, session);
	md__hop_by_hop(out, session);
	md__series(out, session);
	md__accounting(out, session);
	md__overhead(out, session);
	md__limits(out, session);
}

int markdown__report(FILE *out, const json_t *session)
{
	struct text text = {0};

	if (!strcmp(session__get_text(session, "kind"), "gateway"))
		gw__report(&text, session);
	else if (!strcmp(session__get_text(session, "kind"), "port-forward"))
		pf__report(&text, session);
	else
		add_nats(&text, session);
	while (text.len > 1 && !strcmp(text.data + text.len - 2, "\n\n"))
		text.data[--text.len] = 0;
	return text__print(&text, out);
}
