/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Seeded random numbers for tests: the same on every machine. */
#ifndef HOPSCOPE_TESTS_RANDOM_H
#define HOPSCOPE_TESTS_RANDOM_H

#include <math.h>
#include <stdint.h>

/* splitmix64 */
static inline uint64_t random__next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* (0, 1) */
static inline double random__uniform(uint64_t *state)
{
	return ((double)(random__next(state) >> 11) + 0.5) / 9007199254740992.0;
}

static inline double random__normal(uint64_t *state)
{
	double r = sqrt(-2 * log(random__uniform(state)));

	return r * cos(2 * M_PI * random__uniform(state));
}

/* Log-uniform over the powers of two from 2^0 to 2^bits. */
static inline uint64_t random__log(uint64_t *state, double bits)
{
	return (uint64_t)exp2(bits * random__uniform(state));
}

#endif
