/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Median of the slopes between all pairs of points: a line that up to 29 % of arbitrary points do
 * not bend. Theil, Proc. Kon. Ned. Akad. Wetensch. 53 (1950); Sen, JASA 63 (1968) 1379.
 */
#ifndef HOPSCOPE_MODEL_THEIL_SEN_H
#define HOPSCOPE_MODEL_THEIL_SEN_H

#include <stddef.h>

#define THEIL_SEN_PAIRS(n) ((n) * ((n)-1) / 2)

/*
 * t rises strictly; `slopes` has room for THEIL_SEN_PAIRS(n). O(n^2) in time: give it a few dozen
 * points. NaN for fewer than 2.
 */
double theil_sen__slope(const double *t, const double *y, size_t n, double *slopes);

/* Median of v[0..n-1], which it reorders, in O(n); NaN when n is 0. No value is NaN. */
double theil_sen__median(double *v, size_t n);

#endif
