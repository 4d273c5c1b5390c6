// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>

#include "bench/samples.h"
#include "model/hist.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int samples__read(struct samples *s, const json_t *calls)
{
	size_t i;

	s->n = json_array_size(calls);
	s->ns = NULL;
	if (!s->n)
		return -ENODATA;
	s->ns = malloc(s->n * sizeof(*s->ns));
	if (!s->ns)
		return -ENOMEM;
	for (i = 0; i < s->n; i++) {
		const json_t *c = json_array_get(calls, i);

		s->ns[i] = (uint64_t)(json_integer_value(json_array_get(c, 1)) -
				      json_integer_value(json_array_get(c, 0)));
	}
	qsort(s->ns, s->n, sizeof(*s->ns), compare);
	return 0;
}

void samples__free(struct samples *s)
{
	free(s->ns);
	s->ns = NULL;
	s->n = 0;
}

double samples__quantile(const struct samples *s, double q)
{
	return (double)s->ns[hist__rank(s->n, q) - 1];
}
