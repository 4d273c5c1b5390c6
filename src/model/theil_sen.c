/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The median slope. */
#include <math.h>

#include "model/theil_sen.h"

static void swap(double *a, double *b)
{
	double x = *a;

	*a = *b;
	*b = x;
}

/*
 * Puts the value of rank k in its place, nothing larger before it, nothing smaller behind (Hoare's
 * FIND, CACM 4 (1961) 321). It stops at equal values from both sides, so ties cost nothing.
 */
static double select_rank(double *v, size_t n, size_t rank)
{
	ptrdiff_t lo = 0, hi = (ptrdiff_t)n - 1, k = (ptrdiff_t)rank;

	while (lo < hi) {
		ptrdiff_t i = lo, j = hi, mid = lo + (hi - lo) / 2;
		double pivot;

		/* median of three, so that sorted input is the best case */
		if (v[mid] < v[lo])
			swap(&v[mid], &v[lo]);
		if (v[hi] < v[lo])
			swap(&v[hi], &v[lo]);
		if (v[hi] < v[mid])
			swap(&v[hi], &v[mid]);
		pivot = v[mid];
		while (i <= j) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i <= j)
				swap(&v[i++], &v[j--]);
		}
		/* v[lo..j] <= pivot <= v[i..hi], and what is between them is the pivot */
		if (k <= j)
			hi = j;
		else if (k >= i)
			lo = i;
		else
			break;
	}
	return v[k];
}

double theil_sen__median(double *v, size_t n)
{
	double upper, lower;

	if (!n)
		return NAN;
	upper = select_rank(v, n, n / 2);
	if (n % 2)
		return upper;
	lower = v[0];
	for (size_t i = 1; i < n / 2; i++)
		lower = v[i] > lower ? v[i] : lower;
	return lower / 2 + upper / 2;
}

double theil_sen__slope(const double *t, const double *y, size_t n, double *slopes)
{
	size_t at = 0;

	for (size_t i = 0; i + 1 < n; i++)
		for (size_t j = i + 1; j < n; j++)
			slopes[at++] = (y[j] - y[i]) / (t[j] - t[i]);
	return theil_sen__median(slopes, at);
}
