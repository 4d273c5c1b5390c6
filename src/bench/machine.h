/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the whole machine did: others on it take what a run then lacks. */
#ifndef HOPSCOPE_BENCH_MACHINE_H
#define HOPSCOPE_BENCH_MACHINE_H

/*
 * Processor time of the whole machine, in clock ticks since it started; or the difference of two.
 */
struct machine {
	double busy, stolen, idle; /* NaN: not known */
};

struct machine machine__read(void);
/* Of one processor, between two readings that lie `seconds` apart. */
struct machine machine__percent(const struct machine *from, const struct machine *to,
				double seconds);

#endif
