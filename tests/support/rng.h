/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random numbers for tests: the same ones in every run (splitmix64). */
#ifndef TESTS_RNG_H
#define TESTS_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng__next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* low .. high, both included. */
static inline uint32_t rng__in(struct rng *r, uint32_t low, uint32_t high)
{
	return low + (uint32_t)(rng__next(r) % (high - low + 1));
}

/* True n times in `of`. */
static inline int rng__chance(struct rng *r, uint32_t n, uint32_t of)
{
	return rng__next(r) % of < n;
}

#endif
