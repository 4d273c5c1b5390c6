/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a load worker answered: its numbers, and its histograms. */
#ifndef HOPSCOPE_BENCH_ANSWER_H
#define HOPSCOPE_BENCH_ANSWER_H

#include <stdint.h>

#include <jansson.h>

#include "model/hist.h"

/* A non-negative integer of a worker's answer; 0 when it is absent. */
uint64_t answer__count(const json_t *answer, const char *key);
/* A number; NaN when it is absent. */
double answer__number(const json_t *answer, const char *key);
/* into += the HIST of a worker's answer. 0 or -EPROTO. */
int answer__merge_hist(const json_t *hist, struct hist *into);

/* to += the counts by name of a worker's answer ("errors"). */
void answer__add_counts(json_t *to, const json_t *counts);

#endif
