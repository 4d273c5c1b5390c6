// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/latency.h"

#define MAX_SIGMA 3.0

static const struct {
	const char *name;
	double us;
} units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}};

static const char *const names[] = {[LATENCY_FIXED] = "fixed",
				    [LATENCY_UNIFORM] = "uniform",
				    [LATENCY_LOGNORMAL] = "lognormal"};

/* A place in the text; `why` is the first thing that was wrong. */
struct cursor {
	const char *p;
	const char *why;
};

static void skip_blanks(struct cursor *c)
{
	c->p += strspn(c->p, " \t,");
}

/* Takes the word when it stands here. */
static bool word(struct cursor *c, const char *w)
{
	size_t len = strlen(w);

	skip_blanks(c);
	if (strncmp(c->p, w, len) != 0 || isalpha((unsigned char)c->p[len]))
		return false;
	c->p += len;
	return true;
}

static double number(struct cursor *c)
{
	char *end = NULL;
	double v = NAN;

	skip_blanks(c);
	/* strtod() would take "inf", "nan" and hexadecimals. */
	if (isdigit((unsigned char)*c->p) && strncmp(c->p, "0x", 2) != 0)
		v = strtod(c->p, &end);
	if (!end || !isfinite(v)) {
		if (!c->why)
			c->why = "a number is missing";
		return 0;
	}
	c->p = end;
	return v;
}

static uint64_t duration(struct cursor *c)
{
	double v = number(c);
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!word(c, units[i].name))
			continue;
		v *= units[i].us;
		if (v <= (double)LATENCY_MAX_US)
			return (uint64_t)llround(v);
		if (!c->why)
			c->why = "more than 60 s";
		return 0;
	}
	if (!c->why)
		c->why = "a time is a number with us, ms or s";
	return 0;
}

static void parse_kind(struct cursor *c, struct latency *l)
{
	if (word(c, "fixed")) {
		l->kind = LATENCY_FIXED;
		l->low_us = duration(c);
	} else if (word(c, "uniform")) {
		l->kind = LATENCY_UNIFORM;
		l->low_us = duration(c);
		l->high_us = duration(c);
		if (!c->why && l->high_us < l->low_us)
			c->why = "uniform wants the smaller time first";
	} else if (word(c, "lognormal")) {
		l->kind = LATENCY_LOGNORMAL;
		l->low_us = duration(c);
		if (!word(c, "sigma") && !c->why)
			c->why = "lognormal wants its median and then sigma";
		l->sigma = number(c);
		if (!c->why && l->sigma > MAX_SIGMA)
			c->why = "sigma is at most 3";
		if (!c->why && !l->low_us)
			c->why = "the median of a lognormal is more than 0";
	} else {
		c->why = "it begins with fixed, uniform or lognormal";
	}
}

static void parse_rest(struct cursor *c, struct latency *l)
{
	while (!c->why) {
		if (word(c, "slow")) {
			l->slow_share = number(c) / 100;
			if (!word(c, "%") && !c->why)
				c->why = "slow wants a share in % and a time";
			l->slow_us = duration(c);
			if (!c->why && l->slow_share > 1)
				c->why = "more than 100 %";
		} else if (word(c, "at most")) {
			l->at_most_us = duration(c);
		} else {
			break;
		}
	}
	skip_blanks(c);
	if (!c->why && *c->p)
		c->why = "something is left over at its end";
}

int latency__parse(const char *text, struct latency *l, const char **why)
{
	struct cursor c = {.p = text};

	memset(l, 0, sizeof(*l));
	l->at_most_us = LATENCY_MAX_US;
	if (strlen(text) >= LATENCY_TEXT_LEN)
		c.why = "it is too long";
	if (!c.why)
		parse_kind(&c, l);
	if (!c.why)
		parse_rest(&c, l);
	*why = c.why;
	return c.why ? -EINVAL : 0;
}

static char *format_us(uint64_t us, char buf[32])
{
	size_t i = us && us % 1000000 == 0 ? 2 : us && us % 1000 == 0 ? 1 : 0;

	snprintf(buf, 32, "%" PRIu64 " %s", us / (uint64_t)units[i].us, units[i].name);
	return buf;
}

char *latency__format(const struct latency *l, char *buf, size_t size)
{
	char low[32], rest[64] = "", slow[80] = "", most[48] = "", t[32];

	if (l->kind == LATENCY_UNIFORM)
		snprintf(rest, sizeof(rest), " %s", format_us(l->high_us, t));
	else if (l->kind == LATENCY_LOGNORMAL)
		snprintf(rest, sizeof(rest), " sigma %.10g", l->sigma);
	if (l->slow_share > 0)
		snprintf(slow, sizeof(slow), " slow %.10g %% %s", l->slow_share * 100,
			 format_us(l->slow_us, t));
	if (l->at_most_us < LATENCY_MAX_US)
		snprintf(most, sizeof(most), " at most %s", format_us(l->at_most_us, t));
	snprintf(buf, size, "%s %s%s%s%s", names[l->kind], format_us(l->low_us, low), rest, slow,
		 most);
	return buf;
}

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

static double normal_below(double z)
{
	return 0.5 * erfc(-z / sqrt(2));
}

/* E[min(X, cut)] of a lognormal: its mean up to the cut, and the cut for what is above. */
static double lognormal_mean(double median, double sigma, double cut)
{
	double z;

	if (sigma == 0)
		return smaller(median, cut);
	z = log(cut / median) / sigma;
	return median * exp(sigma * sigma / 2) * normal_below(z - sigma) + cut * normal_below(-z);
}

/* E[min(X, cut)] of a uniform one. */
static double uniform_mean(double low, double high, double cut)
{
	if (cut >= high)
		return (low + high) / 2;
	if (cut <= low)
		return cut;
	return ((cut * cut - low * low) / 2 + cut * (high - cut)) / (high - low);
}

double latency__mean_us(const struct latency *l)
{
	double cut = (double)l->at_most_us, mean;

	if (l->kind == LATENCY_FIXED)
		mean = smaller((double)l->low_us, cut);
	else if (l->kind == LATENCY_UNIFORM)
		mean = uniform_mean((double)l->low_us, (double)l->high_us, cut);
	else
		mean = cut > 0 ? lognormal_mean((double)l->low_us, l->sigma, cut) : 0;
	return (1 - l->slow_share) * mean + l->slow_share * smaller((double)l->slow_us, cut);
}
