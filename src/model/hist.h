/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Host side of include/hist.h: recording, merging and reading latency histograms. A zeroed struct
 * hist is an empty one. `hist.min` holds ns + 1 (0: not set); read it through hist__min_ns().
 */
#ifndef HOPSCOPE_MODEL_HIST_H
#define HOPSCOPE_MODEL_HIST_H

#include <stdbool.h>
#include <stdint.h>

#include <hist.h> /* include/hist.h, not this file */

/* Records one value in ns. */
void hist__add(struct hist *h, uint64_t ns);

/* into += from. Exact, associative and commutative. */
void hist__merge(struct hist *into, const struct hist *from);

/* h -= before, an earlier reading; min and max become the bounds that the buckets allow. */
void hist__delta(struct hist *h, const struct hist *before);

/* Number of values recorded. */
uint64_t hist__count(const struct hist *h);

/* Exact bounds in ns; 0 when empty (ask hist__count() first). */
uint64_t hist__min_ns(const struct hist *h);
uint64_t hist__max_ns(const struct hist *h);

/* Exact mean in ns; NaN when empty. */
double hist__mean_ns(const struct hist *h);

/* Bucket that holds the value of rank 1..count in rising order; -1 when there is no such rank. */
int hist__rank_bucket(const struct hist *h, uint64_t rank);

/* Bounds in ns of bucket i clipped to the recorded min and max. */
uint64_t hist__bucket_low_ns(const struct hist *h, uint32_t i);
uint64_t hist__bucket_high_ns(const struct hist *h, uint32_t i);

/*
 * Quantile q (0 < q <= 1) by nearest rank, in ns: the midpoint of the bucket of rank ceil(q * n),
 * clipped to min and max; off by 1.6 % at most. NaN when empty.
 */
double hist__quantile_ns(const struct hist *h, double q);

/* The nearest rank itself, 1..n; 0 when n is 0. */
uint64_t hist__rank(uint64_t n, double q);

#endif
