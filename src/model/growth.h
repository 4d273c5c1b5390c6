/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does it grow? A verdict on a series of memory readings, with the slope, its interval and the
 * smallest slope that these readings could have shown. Judge anon + swap, never page cache; split
 * the series at a restart.
 *
 * trend.h says how slope and error are computed. The verdict adds what a significant slope does not
 * tell: a leak goes on. It must grow in the first half and in the second (one-sided 95 % each), and
 * in the second not clearly slower than at 3/4 of the first half's pace. A step, a cache that
 * filled and a warm-up that flattens do neither; when they are followed by a flat or steady
 * stretch, that stretch (the last half, quarter, ...) is judged, and `judged_s` and the reason say
 * so.
 *
 * This costs power, and min_detectable says how much: it is the slope that is found in about 4 of 5
 * runs under all of these conditions (2 of 3 when the noise is strongly correlated), and twice that
 * nearly always. Under white noise of sigma it is about 10.4 sigma sqrt(12 / n^3) a reading, where
 * a bare test for any trend, with all its false alarms, has 3.17. tests/unit/test_growth_sim.c
 * measures false alarms, power and how often the interval holds the true slope: 95 % or more, but
 * 87 % for some dozens of readings whose noise is correlated over ten, and 75 % for a random
 * walk.
 *
 * What no method can tell from n readings: a sawtooth whose tooth is as long as the watch (fewer
 * than about 2 teeth) from a leak; the first part of a warm-up from a leak.
 */
#ifndef HOPSCOPE_MODEL_GROWTH_H
#define HOPSCOPE_MODEL_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum growth_verdict {
	GROWTH_NO_DATA = 0, /* nothing was read, or too little to say anything at all */
	GROWTH_GROWING = 1,
	GROWTH_STABLE = 2,	 /* if it grows, then by less than min_detectable; or it shrinks */
	GROWTH_INCONCLUSIVE = 3, /* too short, too noisy, or still flattening */
};

/* Rising in time; gaps and uneven steps are allowed. */
struct growth_sample {
	double t_s;
	double bytes;
};

struct growth {
	enum growth_verdict verdict;
	double slope;		/* bytes/s, Theil-Sen; NaN: not known */
	double ci_low, ci_high; /* two-sided 95 %; NaN: not bounded */
	double min_detectable;	/* bytes/s; NaN: not known */
	double time_to_limit_s; /* at this slope, when GROWING and there is a limit; else NaN */
	size_t n;		/* readings that could be used */
	double duration_s;	/* of all of them */
	double judged_s;	/* the last so many are what slope to min_detectable speak of */
	char reason[200];	/* one sentence */
};

/*
 * `room`: bytes left until the limit, NaN without one. Readings that are not finite, or not later
 * than the one before, are passed over. Allocates only for that, O(n); takes O(n) time and about
 * 25 us for 300 readings. 0 or -ENOMEM, the verdict is GROWTH_NO_DATA then.
 */
int growth__judge(struct growth *g, const struct growth_sample *s, size_t n, double room);

/* "GROWING", "STABLE", "INCONCLUSIVE", "NO DATA". */
const char *growth_verdict__name(enum growth_verdict v);

#endif
