/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The slope of a series, of its halves, and how far off they may be when the noise is correlated in
 * time, as memory readings always are.
 *
 * 1. Blocks. At most 48, 24 and 12 blocks of readings are reduced to their mean and to their
 *    minimum, which takes a GC sawtooth to its floor. The reduction that would see the smallest
 *    slope is taken. Block lengths vary by the golden ratio: equal blocks under a sawtooth of
 * nearly the same period show a slow beat, which is a perfect line. For the same reason the points
 * are not believed to be better than the scatter inside the blocks (means) or one step from reading
 *    to reading (minima).
 * 2. Slope. Theil-Sen over the points (theil_sen.h), of the whole and of each half.
 * 3. Standard error. What is left over the line is taken as AR(1): its coefficient is corrected for
 *    the bias that fitting a line brings (Kendall, Biometrika 41 (1954) 403; Marriott and Pope,
 * same volume, 390) and raised by one standard error of its own, because underestimating it is what
 *    makes false alarms. The error is that of the least-squares slope under such noise for these
 * very times and so few points, not the asymptotic one, times 1.05 for the efficiency of Theil-Sen.
 * 4. Interval: Student's t, two-sided 95 %.
 */
#ifndef HOPSCOPE_MODEL_TREND_H
#define HOPSCOPE_MODEL_TREND_H

#include <stdbool.h>
#include <stddef.h>

#include "model/growth.h"

#define TREND_MIN_READINGS 20 /* below that the noise cannot be told from the slope */

struct trend_slope {
	double value, se; /* bytes/s */
};

struct trend {
	struct trend_slope whole, first, last; /* all of it, and its halves */
	double critical;		       /* standard errors to either side: two-sided 95 % */
	double critical_half;		       /* for a half to grow: one-sided 95 % */
	double min_detectable;		       /* found in 4 of 5 runs, whole and halves */
	double phi;			       /* correlation from block to block */
	size_t blocks;
	bool minima; /* of the blocks; else their means */
};

/*
 * Times rise. `resolution`: what the bytes are multiples of. False when there are fewer than
 * TREND_MIN_READINGS, when the smallest slope would not be under `below` (INFINITY: any will do;
 * this is known at a third of the cost), or when the numbers are so large that nothing finite comes
 * out.
 */
bool trend__fit(struct trend *tr, const struct growth_sample *s, size_t n, double resolution,
		double below);

/* Whether the half grows. */
bool trend__half_grows(const struct trend *tr, const struct trend_slope *half);

/* Whether the second half is clearly slower than three quarters of the first. */
bool trend__slows(const struct trend *tr);

#endif
