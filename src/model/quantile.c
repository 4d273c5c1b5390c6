/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Order-statistic intervals of quantiles. */
#include <math.h>

#include "model/quantile.h"

#define ALPHA (1 - QUANTILE_CONFIDENCE)
#define Z_95  1.6448536269514722

/* Trials up to which the binomial is summed: O(sqrt(n)) terms, 10 ms at the end. */
#define SUM_LIMIT 1000000000000ull

/* log(n!) minus Stirling's approximation (Loader 2000, "Fast and accurate ... binomial"). */
static double stirling_error(double n)
{
	double nn = n * n;

	if (n <= 15)
		return lgamma(n + 1) - (n + 0.5) * log(n) + n - 0.5 * log(2 * M_PI);
	return (1.0 / 12 -
		(1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / nn) / nn) / nn) / nn) /
	       n;
}

/* x log(x / m) + m - x without cancellation where x is near m (the same paper). */
static double deviance(double x, double m)
{
	double v, s, ej;

	if (fabs(x - m) >= 0.1 * (x + m))
		return x * log(x / m) + m - x;
	v = (x - m) / (x + m);
	s = (x - m) * v;
	ej = 2 * x * v;
	for (int j = 1; j < 1000; j++) {
		double next;

		ej *= v * v;
		next = s + ej / (2 * j + 1);
		if (next == s)
			break;
		s = next;
	}
	return s;
}

static double binomial__pmf(uint64_t k, uint64_t n, double p)
{
	double x = (double)k, m = (double)n, rest = (double)(n - k);
	double lc;

	if (k == 0)
		return exp(m * log1p(-p));
	if (k == n)
		return exp(m * log(p));
	lc = stirling_error(m) - stirling_error(x) - stirling_error(rest) - deviance(x, m * p) -
	     deviance(rest, m * (1 - p));
	return exp(lc) * sqrt(m / (2 * M_PI * x * rest));
}

/* Edgeworth's first correction of the normal approximation: error O(1/n), 1e-12 above SUM_LIMIT. */
static double binomial__cdf_large(double k, double n, double p)
{
	double sd = sqrt(n * p * (1 - p));
	double z = (k + 0.5 - n * p) / sd;

	return 0.5 * erfc(-z / M_SQRT2) +
	       (1 - 2 * p) / (6 * sd) * (1 - z * z) * exp(-z * z / 2) / sqrt(2 * M_PI);
}

double binomial__cdf(uint64_t k, uint64_t n, double p)
{
	double term, sum, odds = p / (1 - p);

	if (k >= n)
		return 1;
	if (n > SUM_LIMIT)
		return binomial__cdf_large((double)k, (double)n, p);
	/* from the end of the tail that is nearer, towards nothing */
	if ((double)k < (double)n * p) {
		term = sum = binomial__pmf(k, n, p);
		for (uint64_t j = k; j > 0 && term > sum * 1e-17; j--) {
			term *= (double)j / (double)(n - j + 1) / odds;
			sum += term;
		}
		return sum < 1 ? sum : 1;
	}
	term = sum = binomial__pmf(k + 1, n, p);
	for (uint64_t j = k + 1; j < n && term > sum * 1e-17; j++) {
		term *= (double)(n - j) / (double)(j + 1) * odds;
		sum += term;
	}
	return sum < 1 ? 1 - sum : 0;
}

/* Where the search starts: the normal approximation is off by a rank or two. */
static uint64_t start(uint64_t n, double q, double z)
{
	double k = (double)n * q + z * sqrt((double)n * q * (1 - q));

	if (!(k > 0))
		return 0;
	return k >= (double)(n - 1) ? n - 1 : (uint64_t)k;
}

uint64_t quantile__lower_rank(uint64_t n, double q)
{
	uint64_t l;

	/*
	 * The value of rank l is not above the quantile when l samples are at or below it, which
	 * fails with P(X <= l - 1): the largest l for which that is ALPHA at most.
	 */
	if (!n || !(q > 0 && q < 1))
		return 0;
	l = start(n, q, -Z_95) + 1;
	while (l < n && binomial__cdf(l, n, q) <= ALPHA)
		l++;
	while (l > 0 && binomial__cdf(l - 1, n, q) > ALPHA)
		l--;
	return l;
}

uint64_t quantile__upper_rank(uint64_t n, double q)
{
	uint64_t u;

	/* Likewise: the smallest u for which u - 1 or fewer samples below it are as probable. */
	if (!n || !(q > 0 && q < 1))
		return 0;
	u = start(n, q, Z_95) + 1;
	while (u > 1 && binomial__cdf(u - 2, n, q) >= QUANTILE_CONFIDENCE)
		u--;
	/* rank n bounds only with 1 - q^n; binomial__cdf(n - 1) says so */
	while (u <= n && binomial__cdf(u - 1, n, q) < QUANTILE_CONFIDENCE)
		u++;
	return u <= n ? u : 0;
}

uint64_t quantile__upper_needs(double q)
{
	return (uint64_t)ceil(log(ALPHA) / log(q));
}

uint64_t quantile__lower_needs(double q)
{
	return (uint64_t)ceil(log(ALPHA) / log1p(-q));
}

struct estimate quantile__estimate(const struct hist *h, double q)
{
	struct estimate e = estimate__none();
	int i;

	e.n = hist__count(h);
	if (!e.n)
		return e;
	e.value = hist__quantile_ns(h, q);
	i = hist__rank_bucket(h, quantile__lower_rank(e.n, q));
	if (i >= 0)
		e.lo = (double)hist__bucket_low_ns(h, (uint32_t)i);
	i = hist__rank_bucket(h, quantile__upper_rank(e.n, q));
	if (i >= 0)
		e.hi = (double)hist__bucket_high_ns(h, (uint32_t)i);
	return e;
}

double quantile__highest_if_lost(const struct hist *h, double q, uint64_t lost)
{
	uint64_t n = hist__count(h), rank;

	if (!n)
		return NAN;
	rank = quantile__upper_rank(n + lost, q);
	if (!rank)
		return NAN;
	if (rank > n)
		return INFINITY;
	return (double)hist__bucket_high_ns(h, (uint32_t)hist__rank_bucket(h, rank));
}

double quantile__lowest_if_lost(const struct hist *h, double q, uint64_t lost)
{
	uint64_t n = hist__count(h), rank;

	if (!n)
		return NAN;
	rank = quantile__lower_rank(n + lost, q);
	if (!rank)
		return NAN;
	if (rank <= lost)
		return 0;
	return (double)hist__bucket_low_ns(h, (uint32_t)hist__rank_bucket(h, rank - lost));
}
