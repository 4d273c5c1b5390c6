/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Quantiles with distribution-free confidence intervals: the ends are order statistics chosen by
 * the exact binomial distribution (Hahn & Meeker, Statistical Intervals, ch. 5), one-sided 95 %
 * each, widened to the bounds of their buckets. They assume independent samples and nothing else.
 */
#ifndef HOPSCOPE_QUANTILE_H
#define HOPSCOPE_QUANTILE_H

#include <stdint.h>

#include "model/estimate.h"
#include "model/hist.h"

/* One-sided confidence of each end. */
#define QUANTILE_CONFIDENCE 0.95

/*
 * Quantile q (0 < q < 1) of h in ns. lo or hi is NaN when no order statistic bounds that end (the
 * upper end of p99 needs 299 samples); an empty histogram gives estimate__none().
 */
struct estimate quantile__estimate(const struct hist *h, double q);

/*
 * Ranks (1..n) of the order statistics that bound quantile q of n samples from below and from
 * above, 95 % each; 0 when no rank does.
 */
uint64_t quantile__lower_rank(uint64_t n, double q);
uint64_t quantile__upper_rank(uint64_t n, double q);

/* Samples from which on the upper (lower) end exists: p99 299 (1), p50 5 (5), p99.9 2995 (1). */
uint64_t quantile__upper_needs(double q);
uint64_t quantile__lower_needs(double q);

/*
 * Bounds of quantile q in ns if `lost` further exchanges had been measured too: all of them slower
 * than everything seen (highest: upper end of the interval, INFINITY when it would be a lost one),
 * or all of them faster (lowest: lower end, 0 when it would be a lost one). NaN when h is empty or
 * the end is not bounded.
 */
double quantile__highest_if_lost(const struct hist *h, double q, uint64_t lost);
double quantile__lowest_if_lost(const struct hist *h, double q, uint64_t lost);

/* P(X <= k) of a binomial(n, p), 0 < p < 1: exact sum, error below 1e-10. */
double binomial__cdf(uint64_t k, uint64_t n, double p);

#endif
