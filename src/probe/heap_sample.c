// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "heap_sample.h"

#include <math.h>

void heap_sample__tables(struct heap_sample_tables *t)
{
	for (int i = 0; i <= SAMPLE_LOG_STEPS; i++)
		t->log2[i] = (uint32_t)lround(log2(1 + i / (double)SAMPLE_LOG_STEPS) * 65536);
	t->weight[0] = 65536;
	for (int i = 1; i < SAMPLE_WEIGHT_STEPS * SAMPLE_WEIGHT_MAX + 2; i++) {
		double x = i / (double)SAMPLE_WEIGHT_STEPS;

		t->weight[i] = (uint32_t)lround(x / -expm1(-x) * 65536);
	}
}

double heap_sample__weight(uint64_t size, uint64_t rate)
{
	return size ? 1 / -expm1(-(double)size / (double)rate) : 0;
}
