/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A measured value and what is known about it. NaN stands for "not known": value when nothing was
 * measured, lo or hi when the samples do not bound that end. In JSON a NaN is null.
 */
#ifndef HOPSCOPE_ESTIMATE_H
#define HOPSCOPE_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct estimate {
	double value;
	double lo, hi; /* confidence interval */
	uint64_t n;    /* samples, rounds or pairs it rests on */
};

/* Nothing measured: all NaN, n 0. */
struct estimate estimate__none(void);

/* A value that was counted, not sampled: the interval is the value. */
struct estimate estimate__exact(double value, uint64_t n);

/*
 * Mean of n round values with its two-sided 95 % Student-t interval. One value has no interval (lo,
 * hi NaN). A value that is not finite makes it estimate__none(): a round is missing.
 */
struct estimate estimate__mean(const double *v, size_t n);

/* Mean of with[i] - base[i] over n pairs (rounds, slices) with its 95 % Student-t interval. */
struct estimate estimate__paired(const double *base, const double *with, size_t n);

/*
 * By how many percent `with` differs from `base`: mean of log(with[i] / base[i]) over n pairs with
 * its 95 % Student-t interval, as 100 * (e^x - 1). estimate__none() unless all values are > 0.
 * Use it for few pairs (from 2) that are not disturbed.
 */
struct estimate estimate__percent(const double *base, const double *with, size_t n);

/*
 * The same over the Hodges-Lehmann median of the log ratios with the Wilcoxon signed-rank interval
 * (two-sided 95 %, exact for n <= 64): a few slices that somebody else disturbed neither move nor
 * blow it up. It needs 6 pairs; below that lo and hi are NaN. This is the one for bench --ab.
 */
struct estimate estimate__percent_robust(const double *base, const double *with, size_t n);

/* Hodges-Lehmann median of d[0..n-1] with the Wilcoxon signed-rank interval, as above. */
struct estimate estimate__hodges_lehmann(const double *d, size_t n);

/* e with value and interval multiplied by k (k < 0 swaps the ends): unit changes. */
struct estimate estimate__scale(struct estimate e, double k);

/* Whether the interval is known at both ends and does not contain x. */
bool estimate__excludes(const struct estimate *e, double x);

/* Quantile p (0 < p < 1) of Student's t with df > 0 degrees of freedom. */
double student_t__quantile(double p, double df);

#endif
