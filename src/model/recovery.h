/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a fault did to a steady load, and when that was over: from the load's own timeline, buckets
 * of equal width in which calls are counted by the time at which they were DUE. So a time here
 * means: a call that was due then.
 *
 *	      |<- baseline ->|<- fault ->|
 *	------+--------------X===========U-------------+---------------- time
 *	                     fault       undo          recovered
 *
 * The baseline is every whole bucket before the fault. It is none when it is short of
 * RECOVERY_MIN_BASELINE buckets, when more of it failed than the error bound, or when all of a
 * bucket did: any success would be normal then. A bucket is normal when its share of
 * successes is not below the lowest of the baseline's buckets, and its median latency neither above
 * the highest of theirs nor, where those are close together, above RECOVERY_SLACK times their
 * median: the noise of a machine drifts over minutes, and a baseline takes seconds. The load has
 * recovered in the first bucket from the undo on (without an undo: from the fault on) that begins
 * RECOVERY_RUN normal ones in a row.
 *
 * The resolution is the width of a bucket: what changed in the middle of one shows in the next.
 */
#ifndef HOPSCOPE_MODEL_RECOVERY_H
#define HOPSCOPE_MODEL_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/estimate.h"

#define RECOVERY_RUN	      5	 /* normal buckets in a row */
#define RECOVERY_MIN_BASELINE 10 /* buckets */
#define RECOVERY_SLACK	      1.5

struct recovery_bucket {
	double t_s; /* its begin */
	uint64_t due, failed;
	double p50_ns; /* of the successes; NaN: none */
};

struct recovery {
	size_t baseline; /* buckets */
	uint64_t baseline_due, baseline_failed;
	double baseline_share;	/* the lowest share of successes of its buckets; NaN: no baseline */
	double baseline_p50_ns; /* the median of their medians; NaN: none */
	double normal_p50_ns;	/* the highest that counts as normal */
	double width_s;		/* of a bucket: the resolution */
	uint64_t failed;	/* from the fault on */
	/* Since the fault; NaN: no call failed. */
	double first_failure_s, last_failure_s;
	/*
	 * From the first failure to the first of RECOVERY_RUN buckets in a row whose success is the
	 * baseline's. 0 when nothing failed; NaN when that did not come.
	 */
	double downtime_s;
	bool affected; /* a bucket from the fault on was not normal */
	bool recovered;
	/*
	 * From the undo to recovery, success and latency; the lower end is one bucket less. Not
	 * recovered: the value and the lower end are what was watched, and there is no upper one.
	 * estimate__none() without a baseline or a bucket after the undo.
	 */
	struct estimate time_s;
	double from_fault_s; /* the same from the fault on; NaN: not recovered */
};

/*
 * Buckets of width_s rise in time, gaps are allowed; `undo_s` NaN: the fault ends by itself, at
 * once; error_bound: a ratio, 0.01 is 1 %. Pure; allocates nothing.
 */
void recovery__judge(struct recovery *r, const struct recovery_bucket *b, size_t n, double width_s,
		     double fault_s, double undo_s, double error_bound);

#endif
