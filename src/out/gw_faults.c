/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What befell the stack, what clients saw of it, and when it was over. */
#include <math.h>
#include <string.h>

#include "out/gw.h"
#include "out/md.h"
#include "out/session.h"
#include "model/units.h"

#define CHART_ROWS 30
#define MARGIN_S   2.0
#define BAR_WIDTH  20

static void add_seen(struct text *out, const json_t *f)
{
	const char *sep = "";

	gw__counts(out, session__get(f, "codes"), "200", &sep);
	gw__counts(out, session__get(f, "errors"), NULL, &sep);
	if (!*sep)
		text__add(out, "no failure");
}

static void add_row(struct text *out, const json_t *p)
{
	const json_t *f = session__get(p, "fault");
	struct estimate e = session__get_estimate(f, "recovery_s");
	double first = session__get_number(f, "first_failure_known_s");
	struct estimate ns = estimate__scale(e, 1e9);

	text__add(out, "| ");
	md__text(out, session__get_text(p, "name"));
	text__add(out, " | ");
	if (session__get_number(f, "failed") == 0)
		text__add(out, "none failed | - | 0");
	else {
		gw__seconds(out, first);
		text__add(out, " | ");
		if (isnan(session__get_number(f, "downtime_s")) && e.n)
			text__add(out, "to the end");
		else
			gw__seconds(out, session__get_number(f, "downtime_s"));
		text__add(out, " | ");
		md__count(out, session__get_number(f, "failed"));
	}
	text__add(out, " | ");
	add_seen(out, f);
	text__add(out, " | ");
	if (session__get_bool(f, "recovered", false) || isnan(e.value)) {
		md__estimate(out, &ns, "ns");
		text__add(out, " | ");
		gw__seconds(out, session__get_number(f, "from_fault_s"));
	} else {
		text__add(out, "**not in ");
		gw__seconds(out, e.value);
		text__add(out, "** | -");
	}
	text__add(out, " |\n");
}

/* What was done to it, and what is counted from it. */
static void add_story(struct text *out, const json_t *p)
{
	const json_t *f = session__get(p, "fault"), *b = session__get(f, "baseline");
	const char *kind = session__get_text(f, "kind");
	double undone = session__get_number(f, "undone_s"), done = session__get_number(f, "done_s");
	double resets = session__get_number(f, "connections_reset");

	if (isnan(done)) {
		text__add(out, "It was not done.\n\n");
		return;
	}
	gw__seconds(out, done);
	text__add(out, " into a steady load of ");
	md__value(out, session__get_number(p, "target_rate_per_s"), "requests/s");
	text__add(out, ", ");
	md__code(out, session__get_text(f, "container"));
	if (!strcmp(kind, "pause"))
		text__add(out, " was frozen");
	else if (!strcmp(kind, "kill"))
		text__add(out, " was killed (SIGKILL)");
	else if (!strcmp(kind, "stop"))
		text__add(out, " was told to end (SIGTERM)");
	else
		text__add(out, " had its connections reset");
	if (!isnan(resets)) {
		text__add(out, ", ");
		md__count(out, resets);
		text__add(out, " of them");
	}
	if (!isnan(undone)) {
		text__add(out, ", and ");
		gw__seconds(out, undone - done);
		text__add(out, !strcmp(kind, "pause") ? " later resumed" : " later started again");
		if (!isnan(session__get_number(f, "healthy_s"))) {
			text__add(out, "; it called itself healthy after ");
			gw__seconds(out, session__get_number(f, "healthy_s"));
		}
	}
	text__add(out, ".");
	if (*session__get_text(f, "first_failure")) {
		text__add(out, " The first failure, ");
		md__code(out, session__get_text(f, "first_failure"));
		text__add(out, ", was at the client ");
		gw__seconds(out, session__get_number(f, "first_failure_known_s"));
		text__add(out, " after the fault.");
	}
	if (b && !isnan(session__get_number(b, "p50_ns"))) {
		text__add(out, " Before it the median latency of a bucket of ");
		gw__seconds(out, session__get_number(f, "resolution_s"));
		text__add(out, " was ");
		md__value(out, session__get_number(b, "p50_ns"), "ns");
		text__add(out, "; up to ");
		md__value(out, session__get_number(b, "normal_p50_ns"), "ns");
		text__add(out, " with a success of ");
		md__value(out, 100 * session__get_number(b, "lowest_share"), "%");
		text__add(out, session__get_number(b, "lowest_share") < 1
				       ? " or more counts as normal."
				       : " counts as normal.");
	}
	if (session__get_number(f, "breaker_opened") > 0) {
		text__add(out, " The gateway's circuit breaker opened ");
		md__plural(out, session__get_number(f, "breaker_opened"), "time", "times");
		text__add(out, " and refused ");
		md__plural(out, session__get_number(f, "breaker_refused"), "request", "requests");
		text__add(out, " by itself.");
	}
	text__add(out, "\n\n");
}

struct chart {
	const json_t *buckets;
	size_t n, first, end, step;
	double width, done, undone, back;
};

static double cell(const struct chart *c, size_t i, size_t field)
{
	const json_t *v = json_array_get(json_array_get(c->buckets, i), field);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

static void add_bar(struct text *out, double share)
{
	int n = (int)(BAR_WIDTH * share + 0.5);

	/* What is not all shows, and what is not nothing, too. */
	n = n == BAR_WIDTH && share < 1 ? BAR_WIDTH - 1 : n == 0 && share > 0 ? 1 : n;
	for (int i = 0; i < BAR_WIDTH; i++)
		text__add(out, i < n ? "█" : "·");
}

static void add_mark(struct text *out, const struct chart *c, double from, double t,
		     const char *what)
{
	/* What begins with a bucket may have lost its last digits. */
	t += c->width / 1000;
	if (t >= from && t < from + c->width * (double)c->step)
		text__addf(out, "  <- %s", what);
}

static void add_chart_row(struct text *out, const struct chart *c, size_t from, const char *undo)
{
	double due = 0, good = 0, slowest = NAN, t = cell(c, from, 0);
	char p50[UNITS_LEN];

	for (size_t i = from; i < from + c->step && i < c->end; i++) {
		due += cell(c, i, 1);
		good += cell(c, i, 2);
		slowest = fmax(slowest, cell(c, i, 3));
	}
	text__addf(out, "%+7.1f s  ", t - c->done);
	add_bar(out, due > 0 ? good / due : 0);
	text__addf(out, " %3.0f %%  %8s", due > 0 ? floor(100 * good / due) : 0,
		   units__ns(p50, sizeof(p50), slowest));
	add_mark(out, c, t, c->done, "fault");
	add_mark(out, c, t, c->undone, undo);
	add_mark(out, c, t, c->back, "recovered");
	text__add(out, "\n");
}

/* What is around the fault, to some time after the recovery; one row begins with the fault. */
static void choose_rows(struct chart *c)
{
	double to = isnan(c->back) ? INFINITY : c->back + MARGIN_S - c->width / 1000;
	size_t at = 0;

	while (at + 1 < c->n && cell(c, at + 1, 0) <= c->done)
		at++;
	for (c->end = at; c->end < c->n && cell(c, c->end, 0) < to; c->end++)
		;
	c->step = (c->end - at) / CHART_ROWS + 1;
	c->first = at % c->step;
	while (c->first + c->step <= at && cell(c, c->first, 0) < c->done - MARGIN_S)
		c->first += c->step;
}

static void add_chart(struct text *out, const json_t *p)
{
	const json_t *f = session__get(p, "fault"), *t = session__get(p, "timeline");
	struct chart c = {.buckets = session__get(t, "buckets"),
			  .width = session__get_number(t, "width_s"),
			  .done = session__get_number(f, "done_s"),
			  .undone = session__get_number(f, "undone_s")};

	c.n = json_array_size(c.buckets);
	if (!c.n || !(c.width > 0) || isnan(c.done))
		return;
	c.back = c.done + session__get_number(f, "from_fault_s");
	choose_rows(&c);
	text__add(out, "Share of successes among the requests due in each ");
	gw__seconds(out, c.width * (double)c.step);
	text__add(out, ", and the highest median of any ");
	gw__seconds(out, c.width);
	text__add(out, " in it; time counts from the fault:\n\n```\n");
	for (size_t i = c.first; i < c.end; i += c.step)
		add_chart_row(out, &c, i,
			      !strcmp(session__get_text(f, "kind"), "pause") ? "resumed"
									     : "started again");
	text__add(out, "```\n\n");
}

void gw__faults(struct text *out, const json_t *session)
{
	const json_t *p;

	text__add(out, "## Failure recovery\n\n");
	if (!gw__phase(session, "fault", 0)) {
		text__add(out, MD_NO_DATA ": nothing befell the stack.\n\n");
		return;
	}
	text__add(out, "Each fault befell the stack under a load of its own. First failure: from "
		       "the fault "
		       "to when the client knew of it. Downtime: from the first request due that "
		       "failed to "
		       "where success is again what it was before. Recovery is when success and "
		       "latency are "
		       "both back, for five buckets of time in a row; it counts from the moment at "
		       "which the "
		       "service was started again or resumed, or else from the fault. All of them "
		       "but the first failure are known to the width of a bucket.\n\n"
		       "| fault | first failure | downtime | failed | what clients saw | recovery "
		       "(interval) | since the fault |\n|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; (p = gw__phase(session, "fault", i)); i++)
		add_row(out, p);
	text__add(out, "\n");
	for (size_t i = 0; (p = gw__phase(session, "fault", i)); i++) {
		text__add(out, "### ");
		md__text(out, session__get_text(p, "name"));
		text__add(out, "\n\n");
		gw__invalid(out, p);
		add_story(out, p);
		add_chart(out, p);
	}
}
