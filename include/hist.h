/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Log-linear latency histogram, one implementation for BPF and host.
 *
 * 32 sub-buckets for every power of two. Values 0..63 have a bucket each; from there a bucket spans
 * 1/32 of its power of two at most, so that its midpoint is off by at most 1/64 (1.6 %). The last
 * bucket takes everything from 2^42 ns (73 minutes) up; `max` stays exact.
 *
 * The same layout as HdrHistogram with 32 sub-buckets; merging two is adding the vectors.
 */
#ifndef HOPSCOPE_HIST_H
#define HOPSCOPE_HIST_H

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <linux/types.h>
#endif

#define HIST_SUB_BITS 5
#define HIST_SUB      (1u << HIST_SUB_BITS)
#define HIST_MAX_EXP  41 /* highest power of two with buckets of its own */
#define HIST_BUCKETS  ((HIST_MAX_EXP - HIST_SUB_BITS + 1) * HIST_SUB + HIST_SUB)

struct hist {
	__u64 sum; /* ns; may be read beside a running writer, then behind the buckets by a few */
	__u64 min; /* ns; valid only when some bucket is not 0. 0 stands for "not set": store min+1
		    */
	__u64 max; /* ns */
	__u64 bucket[HIST_BUCKETS];
};

_Static_assert(HIST_BUCKETS == 1216, "records and sessions hold bucket indices");
_Static_assert(sizeof(struct hist) == 8 * (3 + HIST_BUCKETS), "no padding");

/* Position of the highest set bit; v must not be 0. BPF before v4 has no clz instruction. */
static inline __attribute__((always_inline)) __u32 hist__msb(__u64 v)
{
#ifdef __bpf__
	__u32 r = 0;

	if (v >> 32) {
		v >>= 32;
		r = 32;
	}
	if (v >> 16) {
		v >>= 16;
		r += 16;
	}
	if (v >> 8) {
		v >>= 8;
		r += 8;
	}
	if (v >> 4) {
		v >>= 4;
		r += 4;
	}
	if (v >> 2) {
		v >>= 2;
		r += 2;
	}
	return r + (__u32)(v >> 1);
#else
	return 63u - (__u32)__builtin_clzll(v);
#endif
}

/* Bucket of a value in ns: 0 .. HIST_BUCKETS-1. */
static inline __attribute__((always_inline)) __u32 hist__index(__u64 ns)
{
	__u32 shift;

	if (ns < 2 * HIST_SUB)
		return (__u32)ns;
	if (ns >> (HIST_MAX_EXP + 1))
		return HIST_BUCKETS - 1;
	shift = hist__msb(ns) - HIST_SUB_BITS;
	return shift * HIST_SUB + (__u32)(ns >> shift);
}

/* Smallest value of bucket i, in ns. */
static inline __u64 hist__low(__u32 i)
{
	__u32 shift;

	if (i < 2 * HIST_SUB)
		return i;
	shift = i / HIST_SUB - 1;
	return (__u64)(i - shift * HIST_SUB) << shift;
}

/* Largest value of bucket i, in ns (the last bucket has no upper end: its nominal one). */
static inline __u64 hist__high(__u32 i)
{
	__u32 shift = i < 2 * HIST_SUB ? 0 : i / HIST_SUB - 1;

	return hist__low(i) + ((__u64)1 << shift) - 1;
}

#endif
