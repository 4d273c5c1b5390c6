/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Slopes and their errors under correlated noise. */
#include <math.h>

#include "model/theil_sen.h"
#include "model/trend.h"

#define MAX_BLOCKS   48
#define MIN_BLOCKS   10
#define INEFFICIENCY 1.05  /* of Theil-Sen against least squares under normal noise, measured */
#define WINSOR	     4	   /* residuals beyond so many robust sigma are spikes */
#define MAX_PHI	     0.985 /* as good as a random walk over 48 points */
#define SLOWS	     0.75
#define Z_ONE_SIDED  1.6448536269514722
#define Z_TWO_SIDED  1.959963984540054
#define Z_POWER	     1.2815515655446004 /* each half is found in 90 of 100, both in 80 */

struct points {
	double t[MAX_BLOCKS], y[MAX_BLOCKS];
	size_t n;
	size_t block;	       /* readings in one */
	double least_variance; /* a point is not better than this */
	bool minima;
};

/* Correlated noise: what follows what, and the variance of what is new in each point. */
struct noise {
	double phi, variance;
};

/* Relative to the first reading: large values must not cost digits. */
static void reduce(struct points *p, const struct growth_sample *s, size_t n)
{
	for (size_t b = 0; b < p->n; b++) {
		size_t from = b * n / p->n, to = (b + 1) * n / p->n, low = from;
		double t = 0, y = 0;

		for (size_t i = from; i < to; i++) {
			if (s[i].bytes < s[low].bytes)
				low = i;
			t += s[i].t_s - s[0].t_s;
			y += s[i].bytes - s[0].bytes;
		}
		p->t[b] = p->minima ? s[low].t_s - s[0].t_s : t / (double)(to - from);
		p->y[b] = p->minima ? s[low].bytes - s[0].bytes : y / (double)(to - from);
	}
}

/* How far one reading is from the next, typically; a few dozen pairs tell. */
static double typical_step(const struct growth_sample *s, size_t n)
{
	double steps[MAX_BLOCKS];
	size_t count = n - 1 < MAX_BLOCKS ? n - 1 : MAX_BLOCKS;

	for (size_t b = 0; b < count; b++) {
		size_t i = b * (n - 1) / count;

		steps[b] = fabs(s[i + 1].bytes - s[i].bytes);
	}
	return theil_sen__median(steps, count);
}

/* Variance of a block's mean if its readings scattered around the line independently. */
static double scatter_of_means(const struct points *p, const struct growth_sample *s, size_t n,
			       double slope)
{
	double v[MAX_BLOCKS];

	for (size_t b = 0; b < p->n; b++) {
		size_t from = b * n / p->n, to = (b + 1) * n / p->n;
		double sum = 0;

		for (size_t i = from; i < to; i++) {
			double d = s[i].bytes - s[0].bytes - p->y[b] -
				   slope * (s[i].t_s - s[0].t_s - p->t[b]);

			sum += d * d;
		}
		v[b] = to - from > 1 ? sum / (double)(to - from - 1) : 0;
	}
	return theil_sen__median(v, p->n) / (double)p->block;
}

/* What is left over the line, spikes cut; its mean is 0. */
static void residuals(const struct points *p, double slope, double *r)
{
	double scratch[MAX_BLOCKS], mid, cut, mean = 0;

	for (size_t i = 0; i < p->n; i++)
		scratch[i] = r[i] = p->y[i] - slope * p->t[i];
	mid = theil_sen__median(scratch, p->n);
	for (size_t i = 0; i < p->n; i++) {
		r[i] -= mid;
		scratch[i] = fabs(r[i]);
	}
	/* median absolute deviation to sigma; 0 when most points lie on the line */
	cut = WINSOR * 1.4826 * theil_sen__median(scratch, p->n);
	for (size_t i = 0; i < p->n; i++) {
		if (cut > 0)
			r[i] = fmax(fmin(r[i], cut), -cut);
		mean += r[i] / (double)p->n;
	}
	for (size_t i = 0; i < p->n; i++)
		r[i] -= mean;
}

/* Autoregression of order 1, on the careful side. */
static double autoregression(const double *r, size_t n)
{
	double k = (double)n, squares = 0, products = 0, phi;

	for (size_t i = 0; i < n; i++) {
		squares += r[i] * r[i];
		products += i ? r[i] * r[i - 1] : 0;
	}
	if (!(squares > 0))
		return 0;
	/* with a fitted line the estimate is low by (2 + 4 phi) / k */
	phi = (products / squares + 2 / k) / (1 - 4 / k);
	phi += sqrt(fmax(0, 1 - phi * phi) / k);
	return fmax(fmin(phi, MAX_PHI), 0);
}

static struct noise noise__estimate(const struct points *p, double slope)
{
	double r[MAX_BLOCKS], mean = 0, sum = 0, k = (double)p->n - 1;
	struct noise noise;

	residuals(p, slope, r);
	noise.phi = autoregression(r, p->n);
	for (size_t i = 1; i < p->n; i++)
		mean += (r[i] - noise.phi * r[i - 1]) / k;
	for (size_t i = 1; i < p->n; i++) {
		double d = r[i] - noise.phi * r[i - 1] - mean;

		sum += d * d;
	}
	noise.variance = sum / (k - 2);
	return noise;
}

/* Standard error of the least-squares slope at these times under that noise. */
static double slope_error(const double *t, size_t n, const struct noise *noise)
{
	double mean = 0, sxx = 0, same = 0, cross = 0, past = 0, before = 0;

	for (size_t i = 0; i < n; i++)
		mean += t[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		sxx += (t[i] - mean) * (t[i] - mean);
	/* the slope is a weighted sum: sum over i, j of w_i w_j phi^|i - j| */
	for (size_t i = 0; i < n; i++) {
		double w = (t[i] - mean) / sxx;

		past = noise->phi * (past + before);
		cross += w * past;
		same += w * w;
		before = w;
	}
	return INEFFICIENCY *
	       sqrt(noise->variance * (same + 2 * cross) / (1 - noise->phi * noise->phi));
}

/*
 * Student's t at 97.5 %, Cornish-Fisher (Abramowitz and Stegun 26.7.5), within 1e-3 from 7 degrees
 * of freedom on. student_t__quantile() is exact and takes longer than all the rest of this file.
 */
static double t_975(double df)
{
	double z = Z_TWO_SIDED, z2 = z * z, z3 = z2 * z;

	return z + (z3 + z) / (4 * df) + (5 * z3 * z2 + 16 * z3 + 3 * z) / (96 * df * df) +
	       (3 * z3 * z3 * z + 19 * z3 * z2 + 17 * z3 - 15 * z) / (384 * df * df * df);
}

static double least_squares(const struct points *p)
{
	double t = 0, y = 0, tt = 0, ty = 0, k = (double)p->n;

	for (size_t i = 0; i < p->n; i++) {
		t += p->t[i] / k;
		y += p->y[i] / k;
	}
	for (size_t i = 0; i < p->n; i++) {
		tt += (p->t[i] - t) * (p->t[i] - t);
		ty += (p->t[i] - t) * (p->y[i] - y);
	}
	return ty / tt;
}

/* Errors, critical values and the smallest slope, with the noise around that slope. */
static void judge_noise(struct trend *tr, const struct points *p, double slope)
{
	struct noise noise = noise__estimate(p, slope);
	size_t half = p->n / 2, at = p->n - half;

	noise.variance = fmax(noise.variance, p->least_variance);
	tr->blocks = p->n;
	tr->minima = p->minima;
	tr->phi = noise.phi;
	tr->whole.se = slope_error(p->t, p->n, &noise);
	tr->first.se = slope_error(p->t, half, &noise);
	tr->last.se = slope_error(p->t + at, half, &noise);
	tr->critical = t_975((double)p->n - 3);
	tr->critical_half = tr->critical * Z_ONE_SIDED / Z_TWO_SIDED;
	tr->min_detectable = fmax((tr->critical + Z_POWER) * tr->whole.se,
				  (tr->critical_half + Z_POWER) * fmax(tr->first.se, tr->last.se));
}

/* The reduction that would show the smallest slope, by least squares: the medians cost more. */
static double choose(struct points *best, const struct growth_sample *s, size_t n,
		     double resolution)
{
	double step = typical_step(s, n), least = INFINITY;
	size_t before = 0;

	for (size_t most = MAX_BLOCKS; most >= MAX_BLOCKS / 4; most /= 2) {
		struct points p = {.block = (n + most - 1) / most};

		p.n = n / p.block;
		if (p.block == before || p.n < MIN_BLOCKS)
			continue;
		before = p.block;
		/* a block of one reading is its own minimum */
		for (int minima = 0; minima < (p.block > 1 ? 2 : 1); minima++) {
			struct trend tr;
			double slope;

			p.minima = minima;
			reduce(&p, s, n);
			slope = least_squares(&p);
			p.least_variance = resolution * resolution / 12;
			if (p.minima)
				p.least_variance = fmax(p.least_variance, step * step / 12);
			else if (p.block > 1)
				p.least_variance =
					fmax(p.least_variance, scatter_of_means(&p, s, n, slope));
			judge_noise(&tr, &p, slope);
			if (tr.min_detectable < least) {
				*best = p;
				least = tr.min_detectable;
			}
		}
	}
	return least;
}

bool trend__fit(struct trend *tr, const struct growth_sample *s, size_t n, double resolution,
		double below)
{
	double pairs[THEIL_SEN_PAIRS(MAX_BLOCKS)];
	struct points p = {0};
	size_t half, at;

	if (n < TREND_MIN_READINGS || !(choose(&p, s, n, resolution) < below))
		return false;
	half = p.n / 2;
	at = p.n - half;
	tr->whole.value = theil_sen__slope(p.t, p.y, p.n, pairs);
	tr->first.value = theil_sen__slope(p.t, p.y, half, pairs);
	tr->last.value = theil_sen__slope(p.t + at, p.y + at, half, pairs);
	judge_noise(tr, &p, tr->whole.value);
	return isfinite(tr->whole.value) && isfinite(tr->first.value) && isfinite(tr->last.value) &&
	       isfinite(tr->min_detectable);
}

bool trend__half_grows(const struct trend *tr, const struct trend_slope *half)
{
	return half->value > tr->critical_half * half->se;
}

bool trend__slows(const struct trend *tr)
{
	double less = tr->last.value - SLOWS * tr->first.value;

	return less < -hypot(tr->last.se, SLOWS * tr->first.se);
}
