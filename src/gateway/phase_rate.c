// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rates and the mean of a phase, from its single calls. */
#include <math.h>
#include <stdlib.h>

#include "gateway/run.h"

#define SLICES 10 /* of the schedule; the first, in which the load builds up, is left out */

struct slices {
	double begin_ns, width_ns;
	double n[SLICES];
};

static void count(struct slices *s, double t_ns)
{
	double i = floor((t_ns - s->begin_ns) / s->width_ns);

	if (i >= 0 && i < SLICES)
		s->n[(int)i]++;
}

static struct estimate rate_of(const struct slices *s)
{
	double v[SLICES - 1];
	struct estimate e;
	int i;

	for (i = 1; i < SLICES; i++)
		v[i - 1] = s->n[i] / (s->width_ns / 1e9);
	e = estimate__mean(v, SLICES - 1);
	/* Student's interval may reach below what a rate can be. */
	if (e.lo < 0)
		e.lo = 0;
	return e;
}

static double ns(const json_t *call, size_t i)
{
	return (double)json_integer_value(json_array_get(call, i));
}

static bool is_success(const json_t *call)
{
	json_int_t code = json_integer_value(json_array_get(call, 3));

	return code >= 200 && code < 300;
}

static struct estimate mean_of(const json_t *calls)
{
	size_t i, n = json_array_size(calls), k = 0;
	double *v = calloc(n ? n : 1, sizeof(*v));
	struct estimate e = estimate__none();

	for (i = 0; v && i < n; i++) {
		const json_t *call = json_array_get(calls, i);

		if (is_success(call))
			v[k++] = ns(call, 2) - ns(call, 1);
	}
	if (k)
		e = estimate__mean(v, k);
	free(v);
	/* No answer comes before its request. */
	if (e.lo < 0)
		e.lo = 0;
	return e;
}

void gw_phase__take_calls(struct gw_phase *p, const json_t *calls)
{
	size_t i, n = json_array_size(calls);
	struct slices ended = {.begin_ns = (double)p->start_ns}, sent;

	if (!n)
		return;
	if (!(p->offered > 0)) {
		p->mean = mean_of(calls);
		return;
	}
	ended.width_ns = (double)p->scheduled / p->offered * 1e9 / SLICES;
	sent = ended;
	for (i = 0; i < n; i++) {
		const json_t *call = json_array_get(calls, i);

		count(&sent, ns(call, 1));
		if (is_success(call))
			count(&ended, ns(call, 2));
	}
	p->sent = rate_of(&sent);
	p->carried = rate_of(&ended);
}
