/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The verdict on growth, and the sentence that goes with it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/growth.h"
#include "model/trend.h"
#include "model/units.h"

#define PAGE	  4096.0
#define NIL_STEPS 4    /* a rise of fewer steps of the resolution over all of the run is nil */
#define MIN_STEP  1e-6 /* seconds; closer readings are one */
#define LARGEST	  1e18 /* bytes, seconds: nothing overflows below */

/* What is said of a stretch of readings: all of them or, when they did not keep on, the later. */
enum shape {
	SHAPE_FLAT,
	SHAPE_SHRINKS,
	SHAPE_NOISY,
	SHAPE_STEADY,
	SHAPE_SLOWS,
	SHAPE_UNSTEADY,
	SHAPE_UNBOUNDED, /* nothing finite */
};

struct stretch {
	struct trend trend;
	enum shape shape;
	double nil; /* slopes below are none */
	double duration_s;
};

const char *growth_verdict__name(enum growth_verdict v)
{
	switch (v) {
	case GROWTH_GROWING: return "GROWING";
	case GROWTH_STABLE: return "STABLE";
	case GROWTH_INCONCLUSIVE: return "INCONCLUSIVE";
	case GROWTH_NO_DATA: break;
	}
	return "NO DATA";
}

static bool usable(const struct growth_sample *s, const struct growth_sample *before)
{
	return fabs(s->bytes) < LARGEST && fabs(s->t_s) < LARGEST &&
	       (!before || s->t_s - before->t_s >= MIN_STEP);
}

/* Readings that are numbers and rise in time; `copy` gets them when that is not all of them. */
static int clean(const struct growth_sample **s, size_t *n, struct growth_sample **copy)
{
	const struct growth_sample *in = *s;
	size_t ok = 0;

	while (ok < *n && usable(&in[ok], ok ? &in[ok - 1] : NULL))
		ok++;
	if (ok == *n)
		return 0;
	*copy = malloc(*n * sizeof(**copy));
	if (!*copy)
		return -ENOMEM;
	memcpy(*copy, in, ok * sizeof(*in));
	for (size_t i = ok; i < *n; i++)
		if (usable(&in[i], ok ? &(*copy)[ok - 1] : NULL))
			(*copy)[ok++] = in[i];
	*s = *copy;
	*n = ok;
	return 0;
}

/* The kernel counts pages; other sources may count bytes. */
static double resolution(const struct growth_sample *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((double)(int64_t)(s[i].bytes / PAGE) * PAGE != s[i].bytes)
			return 1;
	return PAGE;
}

static double mean_bytes(const struct growth_sample *s, size_t n)
{
	double mean = 0;

	for (size_t i = 0; i < n; i++)
		mean += s[i].bytes / (double)n;
	return mean;
}

/*
 * A leak grows in either half, and in the second not clearly slower. A step is in one half only, a
 * warm-up in the second is slower.
 */
static enum shape growing_shape(const struct trend *tr)
{
	if (trend__slows(tr))
		return SHAPE_SLOWS;
	if (trend__half_grows(tr, &tr->first) && trend__half_grows(tr, &tr->last))
		return SHAPE_STEADY;
	return SHAPE_UNSTEADY;
}

/* `below`: do not look when the smallest slope is not; SHAPE_UNBOUNDED then. */
static void look(struct stretch *st, const struct growth_sample *s, size_t n, double below)
{
	struct trend *tr = &st->trend;
	double half, unit = resolution(s, n);

	st->duration_s = s[n - 1].t_s - s[0].t_s;
	st->nil = NIL_STEPS * unit / st->duration_s;
	if (!trend__fit(tr, s, n, unit, below)) {
		st->shape = SHAPE_UNBOUNDED;
		return;
	}
	tr->min_detectable = fmax(tr->min_detectable, st->nil);
	half = tr->critical * tr->whole.se;
	if (tr->whole.value - half > 0 && tr->whole.value >= st->nil)
		st->shape = growing_shape(tr);
	else if (tr->whole.value + half < 0 && tr->whole.value <= -st->nil)
		st->shape = SHAPE_SHRINKS;
	else if (tr->min_detectable * st->duration_s > fmax(mean_bytes(s, n), NIL_STEPS * PAGE))
		st->shape = SHAPE_NOISY; /* it could have doubled unnoticed */
	else
		st->shape = SHAPE_FLAT;
}

/* Whether no growth is seen there, and it is clearly not the pace of before. */
static bool settled(const struct stretch *now, double pace)
{
	const struct trend *tr = &now->trend;

	return now->shape == SHAPE_SHRINKS ||
	       (now->shape == SHAPE_FLAT && tr->whole.value + tr->critical * tr->whole.se < pace);
}

/*
 * Rose, but not all along: the later half may be flat by now, or the growth may have begun there.
 * What slowed down is never called growing for its later half alone: each part of a curve that
 * flattens is nearly straight.
 */
static bool later(struct stretch *st, const struct growth_sample *s, size_t n)
{
	double pace = st->trend.whole.value;
	struct stretch next = *st;
	bool slowed = false;

	while ((next.shape == SHAPE_SLOWS || next.shape == SHAPE_UNSTEADY) &&
	       n / 2 >= TREND_MIN_READINGS) {
		slowed |= next.shape == SHAPE_SLOWS;
		s += n - n / 2;
		n /= 2;
		look(&next, s, n, INFINITY);
		if (settled(&next, pace) || (next.shape == SHAPE_STEADY && !slowed)) {
			*st = next;
			return true;
		}
	}
	return false;
}

/*
 * No growth is seen, but the later half is so much quieter that it tells more in half the time: a
 * step or a warm-up before it was taken for noise. Under the same noise it would tell 2.8 times
 * less. Only how much is known changes, never whether it grows.
 */
static bool quieter(struct stretch *st, const struct growth_sample *s, size_t n)
{
	struct stretch next;
	bool any = false;

	if (st->shape != SHAPE_FLAT && st->shape != SHAPE_NOISY)
		return false;
	while (n / 2 >= TREND_MIN_READINGS) {
		s += n - n / 2;
		n /= 2;
		look(&next, s, n, st->trend.min_detectable);
		if (next.shape != SHAPE_FLAT ||
		    next.trend.min_detectable >= st->trend.min_detectable)
			break;
		*st = next;
		any = true;
	}
	return any;
}

static char *duration(char *buf, size_t len, double s)
{
	if (s < 100)
		snprintf(buf, len, "%.*f s", s < 9.95 && s != rint(s) ? 1 : 0, s);
	else if (s < 100 * 60)
		snprintf(buf, len, "%.0f min", s / 60);
	else if (s < 48 * 3600)
		snprintf(buf, len, "%.1f h", s / 3600);
	else if (s < 3e10)
		snprintf(buf, len, "%.0f days", s / 86400);
	else
		snprintf(buf, len, "over 900 years");
	return buf;
}

static char *per_hour(char *buf, size_t len, double bytes_per_s)
{
	units__bytes(buf, len, rint(bytes_per_s * 3600));
	snprintf(buf + strlen(buf), len - strlen(buf), "/h");
	return buf;
}

static void say_growing(struct growth *g, const struct stretch *st, bool is_later)
{
	char slope[UNITS_LEN + 8], low[UNITS_LEN + 8], high[UNITS_LEN + 8], over[32], left[32];
	int at;

	at = snprintf(g->reason, sizeof(g->reason), "grows by %s (%s to %s) over %s%s",
		      per_hour(slope, sizeof(slope), g->slope),
		      per_hour(low, sizeof(low), g->ci_low),
		      per_hour(high, sizeof(high), g->ci_high), is_later ? "the last " : "",
		      duration(over, sizeof(over), st->duration_s));
	if (isfinite(g->time_to_limit_s) && at > 0 && (size_t)at < sizeof(g->reason))
		snprintf(g->reason + at, sizeof(g->reason) - (size_t)at, "; %s to the limit",
			 duration(left, sizeof(left), g->time_to_limit_s));
}

static void say_other(struct growth *g, const struct stretch *st, bool is_later)
{
	char a[UNITS_LEN + 8], b[UNITS_LEN + 8], over[32];

	duration(over, sizeof(over), st->duration_s);
	per_hour(a, sizeof(a), g->min_detectable);
	switch (st->shape) {
	case SHAPE_SHRINKS:
		snprintf(g->reason, sizeof(g->reason), "%s by %s over %s%s",
			 is_later ? "rose before, shrinks" : "shrinks",
			 per_hour(b, sizeof(b), -g->slope), is_later ? "the last " : "", over);
		break;
	case SHAPE_NOISY:
		snprintf(g->reason, sizeof(g->reason),
			 "too noisy: in %s a growth of less than %s would not show", over, a);
		break;
	case SHAPE_SLOWS:
		snprintf(
			g->reason, sizeof(g->reason),
			"still flattening: grew by %s in the first half of %s, by %s in the second",
			per_hour(a, sizeof(a), st->trend.first.value), over,
			per_hour(b, sizeof(b), st->trend.last.value));
		break;
	case SHAPE_UNSTEADY:
		snprintf(g->reason, sizeof(g->reason),
			 "rose, but not all along in %s: by %s in the first half, by %s in the "
			 "second",
			 over, per_hour(a, sizeof(a), st->trend.first.value),
			 per_hour(b, sizeof(b), st->trend.last.value));
		break;
	case SHAPE_UNBOUNDED:
		snprintf(g->reason, sizeof(g->reason),
			 "no slope can be computed from these readings");
		break;
	case SHAPE_FLAT:
	case SHAPE_STEADY:
		snprintf(g->reason, sizeof(g->reason), "%s over %s%s: less than %s",
			 is_later ? "settled; no growth" : "no growth", is_later ? "the last " : "",
			 over, a);
	}
}

static void conclude(struct growth *g, const struct stretch *st, bool is_later, double room)
{
	const struct trend *tr = &st->trend;

	g->verdict = GROWTH_INCONCLUSIVE;
	g->judged_s = st->duration_s;
	if (st->shape != SHAPE_UNBOUNDED) {
		g->slope = tr->whole.value;
		g->ci_low = g->slope - tr->critical * tr->whole.se;
		g->ci_high = g->slope + tr->critical * tr->whole.se;
		g->min_detectable = tr->min_detectable;
	}
	if (st->shape == SHAPE_STEADY) {
		g->verdict = GROWTH_GROWING;
		if (!isnan(room))
			g->time_to_limit_s = fmax(room, 0) / g->slope;
		say_growing(g, st, is_later);
		return;
	}
	if (st->shape == SHAPE_FLAT || st->shape == SHAPE_SHRINKS)
		g->verdict = GROWTH_STABLE;
	say_other(g, st, is_later);
}

int growth__judge(struct growth *g, const struct growth_sample *s, size_t n, double room)
{
	struct growth_sample *copy = NULL;
	struct stretch st = {.shape = SHAPE_UNBOUNDED};
	char over[32];
	bool is_later;
	int err;

	*g = (struct growth){.slope = NAN,
			     .ci_low = NAN,
			     .ci_high = NAN,
			     .min_detectable = NAN,
			     .time_to_limit_s = NAN,
			     .judged_s = NAN,
			     .reason = "no readings"};
	err = clean(&s, &n, &copy);
	if (err) {
		snprintf(g->reason, sizeof(g->reason), "out of memory");
		return err;
	}
	if (!n)
		goto out;
	g->n = n;
	g->duration_s = s[n - 1].t_s - s[0].t_s;
	if (n < TREND_MIN_READINGS) {
		g->verdict = GROWTH_INCONCLUSIVE;
		snprintf(g->reason, sizeof(g->reason), "%zu reading%s over %s: too few to tell", n,
			 n == 1 ? "" : "s", duration(over, sizeof(over), g->duration_s));
		goto out;
	}
	look(&st, s, n, INFINITY);
	is_later = later(&st, s, n) || quieter(&st, s, n);
	conclude(g, &st, is_later, room);
out:
	free(copy);
	return 0;
}
