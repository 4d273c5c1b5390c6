/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Targets and their verdicts. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/quantile.h"
#include "model/units.h"
#include "model/verdict.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define CLOCK_STEP_NS	 1000000
#define CLOCK_DRIFT_PART 1000 /* of the duration; NTP slews by half of that at most */

static const char *const verdict_names[VERDICT_MAX] = {
	[VERDICT_PASS] = "PASS",
	[VERDICT_FAIL] = "FAIL",
	[VERDICT_INCONCLUSIVE] = "INCONCLUSIVE",
	[VERDICT_NO_DATA] = "NO DATA",
	[VERDICT_INVALID] = "INVALID",
};

const char *verdict__name(enum verdict v)
{
	return (unsigned int)v < VERDICT_MAX && verdict_names[v] ? verdict_names[v] : "NO DATA";
}

enum verdict verdict__from_name(const char *name)
{
	for (unsigned int v = 1; v < VERDICT_MAX; v++)
		if (!strcmp(verdict_names[v], name))
			return (enum verdict)v;
	return VERDICT_NONE;
}

const char *target_op__name(enum target_op op)
{
	return op == TARGET_GE ? ">=" : "<=";
}

static void __attribute__((format(printf, 3, 4)))
decide(struct target *t, enum verdict v, const char *fmt, ...)
{
	va_list args;

	t->verdict = v;
	va_start(args, fmt);
	vsnprintf(t->reason, sizeof(t->reason), fmt, args);
	va_end(args);
}

void target__init(struct target *t, const char *name, enum target_op op, double limit,
		  const char *unit)
{
	memset(t, 0, sizeof(*t));
	snprintf(t->name, sizeof(t->name), "%s", name);
	snprintf(t->unit, sizeof(t->unit), "%s", unit);
	t->op = op;
	t->limit = limit;
	t->estimate = estimate__none();
	decide(t, VERDICT_NO_DATA, "nothing was measured");
}

/* Formats v and the limit with as many digits as it takes to tell them apart. */
static void format_pair(const struct target *t, double v, char *value, char *limit)
{
	for (int digits = 3; digits <= 12; digits++) {
		units__format_digits(value, UNITS_LEN, v, t->unit, digits);
		units__format_digits(limit, UNITS_LEN, t->limit, t->unit, digits);
		if (v == t->limit || strcmp(value, limit) != 0)
			return;
	}
}

/* The end of the interval that decides about PASS, and the one that decides about FAIL. */
static double pass_end(const struct target *t)
{
	return t->op == TARGET_GE ? t->estimate.lo : t->estimate.hi;
}

static double fail_end(const struct target *t)
{
	return t->op == TARGET_GE ? t->estimate.hi : t->estimate.lo;
}

static bool is_good(const struct target *t, double v)
{
	return t->op == TARGET_GE ? v >= t->limit : v <= t->limit;
}

static void decide_by_end(struct target *t, enum verdict v, double end)
{
	bool upper = end == t->estimate.hi;
	char value[UNITS_LEN], limit[UNITS_LEN];

	format_pair(t, end, value, limit);
	if (t->estimate.lo == t->estimate.hi)
		decide(t, v, "%s; the target of %s is %s", value, limit,
		       v == VERDICT_PASS ? "met" : "missed");
	else
		decide(t, v, "%sthe interval's %s end, %s, %s the target of %s",
		       v == VERDICT_PASS ? "" : "even ", upper ? "upper" : "lower", value,
		       v == VERDICT_PASS ? "meets" : "misses", limit);
}

static void decide_unbounded(struct target *t)
{
	const char *side = t->op == TARGET_GE ? "below" : "above";
	char n[UNITS_LEN], needs[UNITS_LEN];

	units__count(n, sizeof(n), t->estimate.n);
	if (t->quantile > 0) {
		units__count(needs, sizeof(needs),
			     t->op == TARGET_GE ? quantile__lower_needs(t->quantile)
						: quantile__upper_needs(t->quantile));
		decide(t, VERDICT_INCONCLUSIVE,
		       "too few samples: %s do not bound p%g from %s, which takes %s", n,
		       100 * t->quantile, side, needs);
		return;
	}
	decide(t, VERDICT_INCONCLUSIVE,
	       "the interval has no %s end: %s measurement%s cannot give one",
	       t->op == TARGET_GE ? "lower" : "upper", n, t->estimate.n == 1 ? "" : "s");
}

void target__judge(struct target *t, const struct estimate *e)
{
	char lo[UNITS_LEN], hi[UNITS_LEN], limit[UNITS_LEN];

	t->estimate = *e;
	if (!isfinite(e->value)) {
		decide(t, VERDICT_NO_DATA, "nothing was measured");
	} else if (!isfinite(t->limit)) {
		decide(t, VERDICT_NO_DATA, "there is no target to compare with");
	} else if (e->lo > e->hi) {
		decide(t, VERDICT_INVALID, "the interval's ends are in the wrong order");
	} else if (isfinite(pass_end(t)) && is_good(t, pass_end(t))) {
		decide_by_end(t, VERDICT_PASS, pass_end(t));
	} else if (isfinite(fail_end(t)) && !is_good(t, fail_end(t))) {
		decide_by_end(t, VERDICT_FAIL, fail_end(t));
	} else if (!isfinite(pass_end(t))) {
		decide_unbounded(t);
	} else {
		units__format(limit, sizeof(limit), t->limit, t->unit);
		format_pair(t, e->lo, lo, limit);
		if (isfinite(e->lo) && isfinite(e->hi)) {
			format_pair(t, e->hi, hi, limit);
			decide(t, VERDICT_INCONCLUSIVE,
			       "the target of %s lies within the interval, %s to %s", limit, lo,
			       hi);
			return;
		}
		format_pair(t, pass_end(t), hi, limit);
		decide(t, VERDICT_INCONCLUSIVE,
		       "the interval reaches %s, beyond the target of %s, and has no other end", hi,
		       limit);
	}
}

void target__judge_quantile(struct target *t, const struct hist *h, double q)
{
	struct estimate e = quantile__estimate(h, q);

	t->quantile = q;
	target__judge(t, &e);
}

void target__invalidate(struct target *t, const char *fmt, ...)
{
	va_list args;

	if (t->verdict == VERDICT_INVALID)
		return;
	t->verdict = VERDICT_INVALID;
	va_start(args, fmt);
	vsnprintf(t->reason, sizeof(t->reason), fmt, args);
	va_end(args);
}

#define HOUR_S 3600

static bool growth_is_undecided(const struct target *t, const struct growth *g)
{
	if (isnan(g->slope))
		return g->n > 0; /* read, but too little */
	return t->op == TARGET_LE &&
	       ((t->verdict == VERDICT_FAIL && g->verdict != GROWTH_GROWING) ||
		(t->verdict == VERDICT_PASS && g->verdict == GROWTH_INCONCLUSIVE));
}

void target__judge_growth(struct target *t, const struct growth *g)
{
	struct estimate e = {.value = g->slope, .lo = g->ci_low, .hi = g->ci_high, .n = g->n};
	char least[UNITS_LEN], limit[UNITS_LEN];

	e = estimate__scale(e, HOUR_S);
	target__judge(t, &e);
	if (growth_is_undecided(t, g)) {
		t->verdict = VERDICT_INCONCLUSIVE;
		snprintf(t->reason, sizeof(t->reason), "%s", g->reason);
	} else if (t->op == TARGET_LE && t->verdict == VERDICT_PASS &&
		   !(g->min_detectable * HOUR_S <= t->limit)) {
		t->verdict = VERDICT_INCONCLUSIVE;
		snprintf(t->reason, sizeof(t->reason),
			 "too short a watch: it would have shown no growth below %s, and the "
			 "target is %s",
			 units__format(least, sizeof(least), g->min_detectable * HOUR_S, t->unit),
			 units__format(limit, sizeof(limit), t->limit, t->unit));
	}
}

void target__check_errors(struct target *t, uint64_t attempted, uint64_t failed, double bound)
{
	double rate = attempted ? (double)failed / (double)attempted : 0;
	char f[UNITS_LEN], a[UNITS_LEN], r[UNITS_LEN], b[UNITS_LEN];

	if (!attempted) {
		target__invalidate(t, "nothing was attempted");
		return;
	}
	if (rate <= bound)
		return;
	target__invalidate(t, "%s of %s attempts failed: %s, and the bound is %s",
			   units__count(f, sizeof(f), failed),
			   units__count(a, sizeof(a), attempted),
			   units__format(r, sizeof(r), 100 * rate, "%"),
			   units__format(b, sizeof(b), 100 * bound, "%"));
}

void target__check_accounting(struct target *t, const struct snapshot *s)
{
	const struct wire_acct *a = &s->acct;
	uint64_t in, out;
	bool bytes;

	if (!s->settled) {
		target__invalidate(t,
				   "the counters could not be read at rest, so that the accounting "
				   "cannot be checked");
		return;
	}
	if (snapshot__holds(s))
		return;
	in = a->bytes_seen;
	out = a->bytes_framed + a->bytes_unparsed;
	bytes = in != out;
	if (!bytes) {
		in = a->seen + (uint64_t)s->in_flight_before;
		out = a->matched + a->one_way + (uint64_t)a->in_flight + a->unanswered + a->dropped;
	}
	target__invalidate(
		t, "the accounting does not close: %" PRIu64 " %s seen, %" PRIu64 " accounted for",
		in, bytes ? "bytes" : "messages", out);
}

void target__check_lost(struct target *t, const struct hist *h, double q, uint64_t lost)
{
	bool upwards = (t->op == TARGET_LE) == (t->verdict == VERDICT_PASS);
	char n[UNITS_LEN], limit[UNITS_LEN];
	double v;

	if (!lost || (t->verdict != VERDICT_PASS && t->verdict != VERDICT_FAIL))
		return;
	v = upwards ? quantile__highest_if_lost(h, q, lost) : quantile__lowest_if_lost(h, q, lost);
	if (!isnan(v) && is_good(t, v) == (t->verdict == VERDICT_PASS))
		return;
	target__invalidate(
		t,
		"%s exchange%s not measured; had they been %s, p%g could be on the other "
		"side of the target of %s",
		units__count(n, sizeof(n), lost), lost == 1 ? " was" : "s were",
		upwards ? "slow" : "fast", 100 * q,
		units__format(limit, sizeof(limit), t->limit, t->unit));
}

void target__check_clock(struct target *t, int64_t step_ns, uint64_t duration_ns)
{
	uint64_t off = step_ns < 0 ? 0 - (uint64_t)step_ns : (uint64_t)step_ns;
	char s[UNITS_LEN];

	if (off <= CLOCK_STEP_NS + duration_ns / CLOCK_DRIFT_PART)
		return;
	target__invalidate(t, "the system clock was set %s by %s during the run",
			   step_ns < 0 ? "back" : "forward", units__ns(s, sizeof(s), (double)off));
}

uint64_t accounting__lost_exchanges(const struct wire_acct *a)
{
	double mean;

	if (!a->bytes_unparsed)
		return a->dropped;
	/* nothing framed: any byte may have been a message */
	mean = a->messages ? (double)a->bytes_framed / (double)a->messages : 1;
	if (mean < 1)
		mean = 1;
	return a->dropped + (uint64_t)ceil((double)a->bytes_unparsed / mean);
}

int targets__exit_code(const struct target *t, size_t n)
{
	int code = 0;

	for (size_t i = 0; i < n; i++) {
		if (t[i].verdict == VERDICT_FAIL)
			return 3;
		if (t[i].verdict != VERDICT_PASS)
			code = 4;
	}
	return code;
}
