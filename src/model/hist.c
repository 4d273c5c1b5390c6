/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Host side of the latency histogram. */
#include <float.h>
#include <math.h>

#include "model/hist.h"

void hist__add(struct hist *h, uint64_t ns)
{
	h->bucket[hist__index(ns)]++;
	h->sum += ns;
	/* min is kept as ns + 1; the one value that has no successor stays below every other */
	if (!h->min || ns < h->min - 1)
		h->min = ns == UINT64_MAX ? ns : ns + 1;
	if (ns > h->max)
		h->max = ns;
}

void hist__merge(struct hist *into, const struct hist *from)
{
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
	into->sum += from->sum;
	if (from->min && (!into->min || from->min < into->min))
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

void hist__delta(struct hist *h, const struct hist *before)
{
	uint64_t min = hist__min_ns(h), max = h->max;
	int lowest = -1, highest = -1;

	h->sum = grown(h->sum, before->sum);
	for (int i = 0; i < (int)HIST_BUCKETS; i++) {
		h->bucket[i] = grown(h->bucket[i], before->bucket[i]);
		if (!h->bucket[i])
			continue;
		highest = i;
		if (lowest < 0)
			lowest = i;
	}
	h->min = 0;
	h->max = 0;
	if (lowest < 0)
		return;
	h->min = (hist__low((uint32_t)lowest) > min ? hist__low((uint32_t)lowest) : min) + 1;
	/* the last bucket has no upper end but the maximum */
	h->max = max;
	if (highest < (int)HIST_BUCKETS - 1 && hist__high((uint32_t)highest) < max)
		h->max = hist__high((uint32_t)highest);
}

uint64_t hist__count(const struct hist *h)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		n += h->bucket[i];
	return n;
}

uint64_t hist__min_ns(const struct hist *h)
{
	return h->min ? h->min - 1 : 0;
}

uint64_t hist__max_ns(const struct hist *h)
{
	return h->max;
}

double hist__mean_ns(const struct hist *h)
{
	uint64_t n = hist__count(h);

	return n ? (double)h->sum / (double)n : NAN;
}

int hist__rank_bucket(const struct hist *h, uint64_t rank)
{
	uint64_t seen = 0;

	if (!rank)
		return -1;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return (int)i;
	}
	return -1;
}

static uint64_t clip(const struct hist *h, uint64_t ns)
{
	if (ns < hist__min_ns(h))
		return hist__min_ns(h);
	return ns > h->max ? h->max : ns;
}

uint64_t hist__bucket_low_ns(const struct hist *h, uint32_t i)
{
	return clip(h, hist__low(i));
}

uint64_t hist__bucket_high_ns(const struct hist *h, uint32_t i)
{
	/* the last bucket takes everything above: its upper end is what was seen */
	return i == HIST_BUCKETS - 1 ? h->max : clip(h, hist__high(i));
}

uint64_t hist__rank(uint64_t n, double q)
{
	double r = q * (double)n;
	uint64_t rank;

	if (!n)
		return 0;
	/* 0.07 * 100 is 7.000000000000001 and means rank 7 */
	r = ceil(r - r * 4 * DBL_EPSILON);
	if (!(r >= 1))
		return 1;
	if (r >= (double)n)
		return n;
	rank = (uint64_t)r;
	return rank > n ? n : rank;
}

double hist__quantile_ns(const struct hist *h, double q)
{
	int i = hist__rank_bucket(h, hist__rank(hist__count(h), q));
	double mid;

	if (i < 0)
		return NAN;
	/* beyond the last bucket's nominal end its middle says nothing: the maximum bounds it */
	if (i == HIST_BUCKETS - 1 && h->max > hist__high(HIST_BUCKETS - 1))
		return (double)h->max;
	mid = ((double)hist__low((uint32_t)i) + (double)hist__high((uint32_t)i)) / 2;
	if (mid < (double)hist__min_ns(h))
		return (double)hist__min_ns(h);
	return mid > (double)h->max ? (double)h->max : mid;
}
