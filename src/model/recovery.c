// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <string.h>

#include "model/hist.h"
#include "model/recovery.h"

static double share(const struct recovery_bucket *b)
{
	return 1 - (double)b->failed / (double)b->due;
}

/* Times are sums of widths: two that mean the same may differ in their last digits. */
static bool is_before(double a, double b, double width)
{
	return a < b - width / 1000;
}

/* The first bucket that is not wholly before t. */
static size_t bucket_at(const struct recovery *r, const struct recovery_bucket *b, size_t n,
			double t)
{
	size_t i = 0;

	while (i < n && !is_before(t, b[i].t_s + r->width_s, r->width_s))
		i++;
	return i;
}

static void take_baseline(struct recovery *r, const struct recovery_bucket *b, size_t n)
{
	struct hist medians = {0};
	size_t i;

	for (i = 0; i < n; i++) {
		if (!b[i].due)
			continue;
		r->baseline++;
		r->baseline_due += b[i].due;
		r->baseline_failed += b[i].failed;
		r->baseline_share = fmin(r->baseline_share, share(&b[i]));
		r->normal_p50_ns = fmax(r->normal_p50_ns, b[i].p50_ns);
		if (b[i].p50_ns > 0)
			hist__add(&medians, (uint64_t)b[i].p50_ns);
	}
	r->baseline_p50_ns = hist__quantile_ns(&medians, 0.5);
	r->normal_p50_ns = fmax(r->normal_p50_ns, RECOVERY_SLACK * r->baseline_p50_ns);
}

/* What failed by itself before the fault is nothing that a recovery could come back to. */
static bool is_baseline(const struct recovery *r, double error_bound)
{
	return r->baseline >= RECOVERY_MIN_BASELINE && !isnan(r->baseline_p50_ns) &&
	       r->baseline_share > 0 &&
	       (double)r->baseline_failed <= error_bound * (double)r->baseline_due;
}

static bool succeeds(const struct recovery *r, const struct recovery_bucket *b)
{
	return b->due && share(b) >= r->baseline_share;
}

static bool is_normal(const struct recovery *r, const struct recovery_bucket *b)
{
	return succeeds(r, b) && b->p50_ns <= r->normal_p50_ns;
}

/* The first of RECOVERY_RUN buckets in a row, from `from` on, that `ok` says yes to; n: none. */
static size_t find_run(const struct recovery *r, const struct recovery_bucket *b, size_t from,
		       size_t n,
		       bool (*ok)(const struct recovery *r, const struct recovery_bucket *b))
{
	size_t i, run = 0;

	for (i = from; i < n; i++) {
		run = ok(r, &b[i]) ? run + 1 : 0;
		if (run == RECOVERY_RUN)
			return i + 1 - run;
	}
	return n;
}

static void take_failures(struct recovery *r, const struct recovery_bucket *b, size_t from,
			  size_t n, double fault_s)
{
	size_t i, first = n, back;

	for (i = from; i < n; i++) {
		r->affected |= b[i].due && !is_normal(r, &b[i]);
		if (!b[i].failed)
			continue;
		r->failed += b[i].failed;
		if (first == n) {
			first = i;
			r->first_failure_s = fmax(b[i].t_s - fault_s, 0);
		}
		r->last_failure_s = b[i].t_s + r->width_s - fault_s;
	}
	if (first == n) {
		r->downtime_s = 0;
		return;
	}
	back = find_run(r, b, first, n, succeeds);
	if (back < n)
		r->downtime_s = fmax(b[back].t_s - fault_s, 0) - r->first_failure_s;
}

static void take_recovery(struct recovery *r, const struct recovery_bucket *b, size_t n,
			  double fault_s, double undo_s)
{
	size_t from = bucket_at(r, b, n, undo_s), at;
	double watched;

	if (from == n)
		return;
	at = find_run(r, b, from, n, is_normal);
	r->recovered = at < n;
	watched = b[n - 1].t_s + r->width_s - undo_s;
	r->time_s.n = n - from;
	if (!r->recovered) {
		r->time_s.value = r->time_s.lo = watched;
		r->time_s.hi = NAN;
		return;
	}
	r->time_s.value = r->time_s.hi = fmax(b[at].t_s - undo_s, 0);
	r->time_s.lo = fmax(r->time_s.value - r->width_s, 0);
	r->from_fault_s = fmax(b[at].t_s - fault_s, 0);
}

void recovery__judge(struct recovery *r, const struct recovery_bucket *b, size_t n, double width_s,
		     double fault_s, double undo_s, double error_bound)
{
	size_t before;

	memset(r, 0, sizeof(*r));
	r->baseline_share = INFINITY;
	r->baseline_p50_ns = r->normal_p50_ns = NAN;
	r->width_s = width_s;
	r->first_failure_s = r->last_failure_s = r->downtime_s = r->from_fault_s = NAN;
	r->time_s = estimate__none();
	if (!n || !(width_s > 0) || isnan(fault_s)) {
		r->baseline_share = NAN;
		return;
	}
	before = bucket_at(r, b, n, fault_s);
	take_baseline(r, b, before);
	if (!is_baseline(r, error_bound)) {
		r->baseline_share = r->baseline_p50_ns = r->normal_p50_ns = NAN;
		return;
	}
	take_failures(r, b, before, n, fault_s);
	take_recovery(r, b, n, fault_s, isnan(undo_s) ? fault_s : undo_s);
}
