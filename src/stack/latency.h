/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long a stand-in takes to answer: a distribution as a scenario writes it.
 *
 *	fixed 20 ms
 *	uniform 10 ms 30 ms
 *	lognormal 20 ms sigma 0.35          the median, and the standard deviation of the logarithm
 *	... slow 1 % 400 ms                 and this share of all takes that long instead
 *	... at most 2 s                     what is drawn above is cut
 */
#ifndef HOPSCOPE_STACK_LATENCY_H
#define HOPSCOPE_STACK_LATENCY_H

#include <stddef.h>
#include <stdint.h>

enum latency_kind { LATENCY_FIXED = 1, LATENCY_UNIFORM = 2, LATENCY_LOGNORMAL = 3 };

#define LATENCY_MAX_US	 60000000ull /* nothing takes longer: the gateway gives up before */
#define LATENCY_TEXT_LEN 160

struct latency {
	enum latency_kind kind;
	uint64_t low_us;   /* fixed: the value; uniform: from; lognormal: the median */
	uint64_t high_us;  /* uniform: to */
	double sigma;	   /* lognormal */
	double slow_share; /* 0 to 1 */
	uint64_t slow_us;
	uint64_t at_most_us;
};

/* 0, or -EINVAL with *why set to what is wrong (a constant). */
int latency__parse(const char *text, struct latency *l, const char **why);
/* The same in words again, complete: "lognormal 20.0 ms sigma 0.35 ...". Returns buf. */
char *latency__format(const struct latency *l, char *buf, size_t size);
/* The mean in microseconds that it should have, cut at at_most: for checks and reports. */
double latency__mean_us(const struct latency *l);

#endif
