/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Single latencies of a short run: exact quantiles, where a bucket's 1.6 % would be too coarse. */
#ifndef HOPSCOPE_BENCH_SAMPLES_H
#define HOPSCOPE_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct samples {
	uint64_t *ns; /* rising; owned */
	size_t n;
};

/* Of a worker's "calls": [[start_ns, end_ns], ..]. 0; -ENODATA: none there; -ENOMEM. */
int samples__read(struct samples *s, const json_t *calls);
/* The same of the HTTP worker's: [[due_ns, start_ns, end_ns, code], ..], those with a code of 2xx.
 */
int samples__read_http(struct samples *s, const json_t *calls);
void samples__free(struct samples *s);
/* By nearest rank, in ns. */
double samples__quantile(const struct samples *s, double q);
double samples__mean(const struct samples *s);

#endif
