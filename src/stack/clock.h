/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CLOCK_MONOTONIC, the clock of the probe and of every deadline. */
#ifndef HOPSCOPE_STACK_CLOCK_H
#define HOPSCOPE_STACK_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

static inline uint64_t clock__now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* CLOCK_REALTIME minus CLOCK_MONOTONIC: moves only when somebody sets the clock. */
static inline int64_t clock__offset(struct timespec *realtime)
{
	clock_gettime(CLOCK_REALTIME, realtime);
	return (int64_t)realtime->tv_sec * (int64_t)NS_PER_S + realtime->tv_nsec -
	       (int64_t)clock__now();
}

/* Milliseconds to a deadline for poll(): 0 when it has passed, rounded up. */
static inline int clock__left_ms(uint64_t deadline_ns)
{
	uint64_t now = clock__now();
	uint64_t ms;

	if (now >= deadline_ns)
		return 0;
	ms = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > 3600 * 1000 ? 3600 * 1000 : (int)ms;
}

static inline void clock__sleep_ms(unsigned int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

#endif
