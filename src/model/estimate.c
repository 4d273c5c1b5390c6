/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Means, paired differences and ratios with their intervals. */
#include <math.h>
#include <stdlib.h>

#include "model/estimate.h"

#define CONFIDENCE	  0.95 /* two-sided */
#define SIGNED_RANK_EXACT 64   /* pairs up to which the signed-rank distribution is enumerated */
#define SIGNED_RANK_SUMS  (SIGNED_RANK_EXACT * (SIGNED_RANK_EXACT + 1) / 2)
#define Z_975		  1.959963984540054

struct estimate estimate__none(void)
{
	return (struct estimate){.value = NAN, .lo = NAN, .hi = NAN, .n = 0};
}

struct estimate estimate__exact(double value, uint64_t n)
{
	return (struct estimate){.value = value, .lo = value, .hi = value, .n = n};
}

struct estimate estimate__scale(struct estimate e, double k)
{
	double lo = e.lo * k, hi = e.hi * k;

	e.value *= k;
	e.lo = k < 0 ? hi : lo;
	e.hi = k < 0 ? lo : hi;
	return e;
}

bool estimate__excludes(const struct estimate *e, double x)
{
	return isfinite(e->lo) && isfinite(e->hi) && (x < e->lo || x > e->hi);
}

/*
 * Continued fraction of the incomplete beta function, modified Lentz (Numerical Recipes 6.4). It
 * converges in O(sqrt(max(a, b))) steps for x < (a + 1) / (a + b + 2).
 */
static double beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), h;

	d = 1 / (fabs(d) < tiny ? tiny : d);
	h = d;
	for (int m = 1; m < 1000000; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		double step;

		d = 1 + even * d;
		c = 1 + even / c;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		h *= d * c;
		d = 1 + odd * d;
		c = 1 + odd / c;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		step = d * c;
		h *= step;
		if (fabs(step - 1) < 1e-15)
			break;
	}
	return h;
}

/* Regularised incomplete beta function I_x(a, b); y = 1 - x, given for precision near 1. */
static double beta_regularised(double a, double b, double x, double y)
{
	double front;

	if (x <= 0)
		return 0;
	if (y <= 0)
		return 1;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, y) / b;
}

/* P(T > t) for t >= 0. */
static double student_t__tail(double t, double df)
{
	double t2 = t * t;

	return 0.5 * beta_regularised(df / 2, 0.5, df / (df + t2), t2 / (df + t2));
}

double student_t__quantile(double p, double df)
{
	double tail = p < 0.5 ? p : 1 - p, lo = 0, hi = 1;

	if (!(p > 0 && p < 1 && df > 0))
		return NAN;
	while (student_t__tail(hi, df) > tail && hi < 1e150)
		hi *= 2;
	for (int i = 0; i < 200; i++) {
		double mid = (lo + hi) / 2;

		if (mid <= lo || mid >= hi)
			break;
		if (student_t__tail(mid, df) > tail)
			lo = mid;
		else
			hi = mid;
	}
	return p < 0.5 ? -(lo + hi) / 2 : (lo + hi) / 2;
}

static bool all_finite(const double *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isfinite(v[i]))
			return false;
	return true;
}

struct estimate estimate__mean(const double *v, size_t n)
{
	struct estimate e = estimate__none();
	double mean = 0, squares = 0, half;

	if (!n || !all_finite(v, n))
		return e;
	/* Welford: sums of squares of large equal values would cancel */
	for (size_t i = 0; i < n; i++) {
		double delta = v[i] - mean;

		mean += delta / (double)(i + 1);
		squares += delta * (v[i] - mean);
	}
	e.value = mean;
	e.n = n;
	if (n < 2)
		return e;
	half = student_t__quantile(0.5 + CONFIDENCE / 2, (double)(n - 1)) *
	       sqrt(squares / (double)(n - 1) / (double)n);
	e.lo = mean - half;
	e.hi = mean + half;
	return e;
}

/* with - base, or log(with / base); NULL when out of memory or a value does not allow it. */
static double *pairs(const double *base, const double *with, size_t n, bool ratio)
{
	double *d = n ? calloc(n, sizeof(*d)) : NULL;

	if (!d)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (ratio && !(base[i] > 0 && with[i] > 0)) {
			free(d);
			return NULL;
		}
		d[i] = ratio ? log(with[i] / base[i]) : with[i] - base[i];
	}
	return d;
}

struct estimate estimate__paired(const double *base, const double *with, size_t n)
{
	double *d = pairs(base, with, n, false);
	struct estimate e = d ? estimate__mean(d, n) : estimate__none();

	free(d);
	return e;
}

static struct estimate to_percent(struct estimate e)
{
	e.value = 100 * expm1(e.value);
	e.lo = 100 * expm1(e.lo);
	e.hi = 100 * expm1(e.hi);
	return e;
}

struct estimate estimate__percent(const double *base, const double *with, size_t n)
{
	double *d = pairs(base, with, n, true);
	struct estimate e = d ? to_percent(estimate__mean(d, n)) : estimate__none();

	free(d);
	return e;
}

struct estimate estimate__percent_robust(const double *base, const double *with, size_t n)
{
	double *d = pairs(base, with, n, true);
	struct estimate e = d ? to_percent(estimate__hodges_lehmann(d, n)) : estimate__none();

	free(d);
	return e;
}

/*
 * Largest k with P(W <= k) <= (1 - CONFIDENCE) / 2, W the signed-rank statistic of n pairs; -1 when
 * there is none. The number of subsets of {1..n} with a given sum is counted; exact in a double up
 * to 2^53 and to 15 digits beyond. Above SIGNED_RANK_EXACT pairs the normal approximation is good
 * to a rank.
 */
static long signed_rank__cut(size_t n)
{
	double subsets[SIGNED_RANK_SUMS + 1], sum = 0, total = ldexp(1, (int)(n < 1000 ? n : 1000));
	double m = (double)n, half = m * (m + 1) / 4;
	size_t top = 0;
	long k = -1;

	if (n > SIGNED_RANK_EXACT)
		return (long)floor(half - 0.5 - Z_975 * sqrt(m * (m + 1) * (2 * m + 1) / 24));
	for (size_t s = 0; s <= SIGNED_RANK_SUMS; s++)
		subsets[s] = s == 0;
	for (size_t i = 1; i <= n; i++) {
		top += i;
		for (size_t s = top; s >= i; s--)
			subsets[s] += subsets[s - i];
	}
	while ((size_t)(k + 1) <= top) {
		sum += subsets[k + 1];
		if (sum / total > (1 - CONFIDENCE) / 2)
			break;
		k++;
	}
	return k;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct estimate estimate__hodges_lehmann(const double *d, size_t n)
{
	struct estimate e = estimate__none();
	size_t count = n * (n + 1) / 2, at = 0;
	double *walsh;
	long k;

	if (!n || !all_finite(d, n))
		return e;
	walsh = calloc(count, sizeof(*walsh));
	if (!walsh)
		return e;
	for (size_t i = 0; i < n; i++)
		for (size_t j = i; j < n; j++)
			walsh[at++] = (d[i] + d[j]) / 2;
	qsort(walsh, count, sizeof(*walsh), compare);
	e.n = n;
	e.value = (walsh[(count - 1) / 2] + walsh[count / 2]) / 2;
	k = signed_rank__cut(n);
	if (k >= 0) {
		e.lo = walsh[k];
		e.hi = walsh[count - 1 - (size_t)k];
	}
	free(walsh);
	return e;
}
