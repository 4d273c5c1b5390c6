/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sampling by bytes: points fall on the stream of allocated bytes as a Poisson process, one in
 * `rate` bytes on average, and a block is followed when a point falls on it. So a block of s bytes
 * is followed with probability p = 1 - exp(-s / rate), and counting 1 / p for it is unbiased.
 *
 * BPF has no floating point: the two functions it needs are tables, made by heap_sample.c.
 */
#ifndef HOPSCOPE_HEAP_SAMPLE_H
#define HOPSCOPE_HEAP_SAMPLE_H

#ifndef __bpf__
#include <stdint.h>
#include <linux/types.h>
#endif

#define SAMPLE_MAX_RATE	    (1ull << 40)
#define SAMPLE_LOG_STEPS    256
#define SAMPLE_WEIGHT_STEPS 64 /* in 1 */
#define SAMPLE_WEIGHT_MAX   16 /* beyond that 1 - p < 2e-7 */

struct heap_sample_tables {
	__u32 log2[SAMPLE_LOG_STEPS + 1];			   /* log2(1 + i / steps) << 16 */
	__u32 weight[SAMPLE_WEIGHT_STEPS * SAMPLE_WEIGHT_MAX + 2]; /* x / (1 - exp(-x)) << 16 */
};

/* Between a[i] and a[i + 1], `frac` / 2^bits of the way. */
static inline __u64 sample__between(const volatile __u32 *a, __u32 i, __u32 frac, __u32 bits)
{
	__u64 low = a[i], high = a[i + 1];

	return low + ((high - low) * frac >> bits);
}

/* Bytes to the next point: exponential with mean `rate`, from 32 random bits. */
static inline __u64 sample__gap(const volatile struct heap_sample_tables *t, __u32 random,
				__u64 rate)
{
	__u64 v = (__u64)random + 1, e;
	__u32 top = 32;

	/* v becomes 2^32 times [1, 2): `top` is its logarithm's whole part. */
	if (!(v >> 32)) {
		for (__u32 bits = 16; bits; bits >>= 1) {
			if (!(v >> (33 - bits))) {
				v <<= bits;
				top -= bits;
			}
		}
		if (!(v >> 32)) {
			v <<= 1;
			top--;
		}
	}
	e = (32ull << 16) -
	    (((__u64)top << 16) + sample__between(t->log2, v >> 24 & 255, v >> 8 & 0xffff, 16));
	e = e * 45426 >> 16;   /* ln 2 */
	return e * rate >> 16; /* e < 23 << 16 */
}

/* size / p: what a followed block of that size stands for. */
static inline __u64 sample__weighted(const volatile struct heap_sample_tables *t, __u64 size,
				     __u64 rate)
{
	__u64 x;

	if (size >= rate * SAMPLE_WEIGHT_MAX)
		return size;
	x = (size << 16) / rate; /* < 16 << 16 */
	return rate * sample__between(t->weight, x >> 10 & 1023, x & 1023, 10) >> 16;
}

#ifndef __bpf__
void heap_sample__tables(struct heap_sample_tables *t);
/* The same as sample__weighted() over size, in full precision; 0 for size 0. */
double heap_sample__weight(uint64_t size, uint64_t rate);
#endif

#endif
