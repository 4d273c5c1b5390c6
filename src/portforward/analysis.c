// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>

#include "portforward/analysis.h"

/* The value of a round, NaN: it has none. */
typedef double (*round_fn)(const void *ctx, size_t round);

static struct estimate middle_of(round_fn fn, const void *ctx, size_t rounds)
{
	struct estimate e = estimate__none();
	double *v = rounds ? calloc(rounds, sizeof(*v)) : NULL;
	size_t i, n = 0;

	if (!v)
		return e;
	for (i = 0; i < rounds; i++) {
		double d = fn(ctx, i);

		if (isfinite(d))
			v[n++] = d;
	}
	e = estimate__hodges_lehmann(v, n);
	free(v);
	return e;
}

static double value(const void *ctx, size_t i)
{
	return ((const double *)ctx)[i];
}

static double added(const void *ctx, size_t i)
{
	const struct pf_pair *p = ctx;

	return p->with[i] - p->base[i];
}

static double log_ratio(const void *ctx, size_t i)
{
	const struct pf_pair *p = ctx;

	return p->base[i] > 0 && p->with[i] > 0 ? log(p->with[i] / p->base[i]) : NAN;
}

struct two_pairs {
	const struct pf_pair *from, *to;
};

static double grown(const void *ctx, size_t i)
{
	const struct two_pairs *t = ctx;

	return added(t->to, i) - added(t->from, i);
}

struct estimate pf_middle(const double *v, size_t rounds)
{
	return middle_of(value, v, rounds);
}

struct estimate pf_added(const double *base, const double *with, size_t rounds)
{
	struct pf_pair p = {base, with};

	return middle_of(added, &p, rounds);
}

struct estimate pf_percent(const double *base, const double *with, size_t rounds)
{
	struct pf_pair p = {base, with};
	struct estimate e = middle_of(log_ratio, &p, rounds);

	e.value = 100 * expm1(e.value);
	e.lo = 100 * expm1(e.lo);
	e.hi = 100 * expm1(e.hi);
	return e;
}

struct estimate pf_growth(const struct pf_pair *from, const struct pf_pair *to, size_t rounds)
{
	struct two_pairs t = {from, to};

	return middle_of(grown, &t, rounds);
}
