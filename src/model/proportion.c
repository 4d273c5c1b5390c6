// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/proportion.h"
#include "model/quantile.h"

#define TAIL  0.025
#define STEPS 60 /* halvings: far below what a double of a share can hold */

/* The p at which P(X <= k) of n is `tail`; the function falls with p. */
static double solve(uint64_t k, uint64_t n, double tail)
{
	double lo = 0, hi = 1;
	int i;

	for (i = 0; i < STEPS; i++) {
		double mid = (lo + hi) / 2;

		if (binomial__cdf(k, n, mid) > tail)
			lo = mid;
		else
			hi = mid;
	}
	return (lo + hi) / 2;
}

struct estimate proportion__estimate(uint64_t k, uint64_t n)
{
	struct estimate e = {.n = n};

	if (!n || k > n)
		return estimate__none();
	e.value = (double)k / (double)n;
	/* P(X >= k) = tail is P(X <= k - 1) = 1 - tail. */
	e.lo = k ? solve(k - 1, n, 1 - TAIL) : 0;
	e.hi = k < n ? solve(k, n, TAIL) : 1;
	return e;
}
