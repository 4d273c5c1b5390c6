/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Targets. One object holds a target, its measured value and the verdict with its reason; the same
 * object prints (session__target(), the report) and decides (targets__exit_code()).
 *
 *	struct target t;
 *
 *	target__init(&t, "RPC p99", TARGET_LE, 15e6, "ns");
 *	target__judge_quantile(&t, &hist, 0.99);
 *	target__check_errors(&t, attempted, failed, 0.01);
 *	target__check_accounting(&t, &snapshot);
 *	target__check_lost(&t, &hist, 0.99, accounting__lost_exchanges(&snapshot.acct));
 *	target__check_clock(&t, step_ns, duration_ns);
 *
 * The checks come after the judgement, in any order. Each turns the verdict into INVALID, with the
 * reason, when its condition is broken; the first one to do so keeps its reason.
 */
#ifndef HOPSCOPE_VERDICT_H
#define HOPSCOPE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/estimate.h"
#include "model/growth.h"
#include "model/hist.h"
#include "model/snapshot.h"

enum verdict {
	VERDICT_NONE = 0, /* not judged: counts as NO DATA */
	VERDICT_PASS = 1,
	VERDICT_FAIL = 2,
	VERDICT_INCONCLUSIVE = 3,
	VERDICT_NO_DATA = 4,
	VERDICT_INVALID = 5,
	VERDICT_MAX
};

enum target_op {
	TARGET_LE = 1, /* good: value <= limit */
	TARGET_GE = 2, /* good: value >= limit */
};

struct target {
	char name[96];
	enum target_op op;
	double limit;	 /* in `unit`, as is the estimate */
	char unit[24];	 /* see units.h: "ns", "bytes", "events/s", "%", "" ... */
	double quantile; /* of the estimate, 0 when it is not a quantile */
	struct estimate estimate;
	enum verdict verdict;
	char reason[256]; /* one sentence, never empty once judged */
};

/* Verdict NO DATA until judged. */
void target__init(struct target *t, const char *name, enum target_op op, double limit,
		  const char *unit);

/*
 * PASS: the whole interval on the good side (the limit itself is good); FAIL: the whole interval on
 * the bad side; an end that is NaN is unbounded; INCONCLUSIVE otherwise; NO DATA: value is NaN.
 */
void target__judge(struct target *t, const struct estimate *e);

/* The same for quantile q of h (ns), with a reason that names the samples missing. */
void target__judge_quantile(struct target *t, const struct hist *h, double q);

/*
 * The slope of memory, against a limit in bytes an hour. The interval decides, but for what the
 * slope of a straight line cannot tell, which is INCONCLUSIVE: a warm-up that flattens is above any
 * limit at first; what began to grow in the middle is below it on the whole; and a watch that would
 * have shown nothing below the limit shows no growth below it, either.
 */
void target__judge_growth(struct target *t, const struct growth *g);

/* INVALID when failed / attempted > bound (a ratio: 0.01 is 1 %), or nothing was attempted. */
void target__check_errors(struct target *t, uint64_t attempted, uint64_t failed, double bound);

/* INVALID when an identity does not hold, or the counters could not be read at rest. */
void target__check_accounting(struct target *t, const struct snapshot *s);

/*
 * INVALID when `lost` exchanges, had they been measured, could move quantile q of h across the
 * limit: a PASS with all of them slow, a FAIL with all of them fast (a >= target the other way
 * round).
 */
void target__check_lost(struct target *t, const struct hist *h, double q, uint64_t lost);

/*
 * INVALID when the clocks moved against each other by more than 1 ms + 0.1 % of the duration:
 * step_ns is elapsed CLOCK_REALTIME minus elapsed CLOCK_MONOTONIC.
 */
void target__check_clock(struct target *t, int64_t step_ns, uint64_t duration_ns);

/* INVALID for a reason of the caller's own (printf; one sentence). */
void target__invalidate(struct target *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Exchanges that were not measured because of the profiler: dropped, plus as many as the bytes it
 * could not parse would hold at the mean size of the messages that it could (at least one).
 */
uint64_t accounting__lost_exchanges(const struct wire_acct *a);

/* "PASS", "FAIL", "INCONCLUSIVE", "NO DATA", "INVALID"; and back: VERDICT_NONE if unknown. */
const char *verdict__name(enum verdict v);
enum verdict verdict__from_name(const char *name);

/* "<=" or ">=". */
const char *target_op__name(enum target_op op);

/*
 * Exit code of a process that judged these: 3 if one FAILED, else 4 if one is not PASS, else 0
 * (enum exit_code in log.h). No targets: 0.
 */
int targets__exit_code(const struct target *t, size_t n);

#endif
