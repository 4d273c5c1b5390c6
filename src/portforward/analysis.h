/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the rounds say of a way, as estimates: pure arithmetic on values by round, NaN where a round
 * has none. Everything is paired by round, and the estimate is the Hodges-Lehmann median of the
 * pairs with its signed-rank interval (model/estimate.h): a round that somebody else on the machine
 * disturbed does not move it. From 6 rounds on it has an interval.
 */
#ifndef HOPSCOPE_PORTFORWARD_ANALYSIS_H
#define HOPSCOPE_PORTFORWARD_ANALYSIS_H

#include <stddef.h>

#include "model/estimate.h"

/* Of one cell: its middle over the rounds. */
struct estimate pf_middle(const double *v, size_t rounds);
/* with - base. */
struct estimate pf_added(const double *base, const double *with, size_t rounds);
/* By how many percent `with` differs from `base`; rounds in which one is not > 0 are left out. */
struct estimate pf_percent(const double *base, const double *with, size_t rounds);

/* One way at one point, and the way it is compared with at the same point. */
struct pf_pair {
	const double *base, *with;
};

/*
 * How much more is added at `to` than at `from`: (with - base) at the one less (with - base) at the
 * other, round by round.
 */
struct estimate pf_growth(const struct pf_pair *from, const struct pf_pair *to, size_t rounds);

#endif
