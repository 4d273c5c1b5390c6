// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bench/samples.h"
#include "model/hist.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static json_int_t number(const json_t *call, size_t i)
{
	return json_integer_value(json_array_get(call, i));
}

/* `start`: the column of the start time, the end is in the next. `code`: that of the code; 0: none.
 */
static int read_calls(struct samples *s, const json_t *calls, size_t start, size_t code)
{
	size_t i, n = json_array_size(calls);

	s->n = 0;
	s->ns = n ? malloc(n * sizeof(*s->ns)) : NULL;
	if (n && !s->ns)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		const json_t *c = json_array_get(calls, i);

		if (!code || number(c, code) / 100 == 2)
			s->ns[s->n++] = (uint64_t)(number(c, start + 1) - number(c, start));
	}
	if (!s->n) {
		samples__free(s);
		return -ENODATA;
	}
	qsort(s->ns, s->n, sizeof(*s->ns), compare);
	return 0;
}

int samples__read(struct samples *s, const json_t *calls)
{
	return read_calls(s, calls, 0, 0);
}

int samples__read_http(struct samples *s, const json_t *calls)
{
	return read_calls(s, calls, 1, 3);
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

double samples__mean(const struct samples *s)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		sum += (double)s->ns[i];
	return s->n ? sum / (double)s->n : NAN;
}
