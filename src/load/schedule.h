/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When the calls of an open loop are due, and sleeping until then. */
#ifndef HOPSCOPE_LOAD_SCHEDULE_H
#define HOPSCOPE_LOAD_SCHEDULE_H

#include <stdint.h>

/* A send later than this is "behind schedule". */
#define SCHEDULE_LATE_NS 1000000ull

struct schedule {
	uint64_t start_ns;
	double rate; /* per second, > 0 */
};

/*
 * Due time of call i: always computed from the start, so that neither rounding nor a late call
 * shifts the ones behind it.
 */
uint64_t schedule__at(const struct schedule *s, uint64_t i);

/*
 * Sleeps until the time in ns of CLOCK_MONOTONIC. No spinning: with the timer slack at 1 ns the
 * kernel wakes within some 10 us, and on two cores a spinning sender would take the service's.
 */
void schedule__sleep_until(uint64_t ns);

/* Timer slack of the calling thread down from 50 us. */
void schedule__tighten(void);

#endif
