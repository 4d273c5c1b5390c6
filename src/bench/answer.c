// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bench/answer.h"

uint64_t answer__count(const json_t *answer, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(answer, key));

	return v > 0 ? (uint64_t)v : 0;
}

double answer__number(const json_t *answer, const char *key)
{
	const json_t *v = json_object_get(answer, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

int answer__merge_hist(const json_t *hist, struct hist *into)
{
	const json_t *buckets = json_object_get(hist, "buckets");
	struct hist *h = calloc(1, sizeof(*h));
	size_t i;
	int err = 0;

	if (!h)
		return -ENOMEM;
	h->sum = answer__count(hist, "sum");
	h->min = answer__count(hist, "min_ns") + 1;
	h->max = answer__count(hist, "max_ns");
	if (!json_is_array(buckets))
		err = -EPROTO;
	for (i = 0; i < json_array_size(buckets) && !err; i++) {
		const json_t *pair = json_array_get(buckets, i);
		json_int_t index = json_integer_value(json_array_get(pair, 0));
		json_int_t n = json_integer_value(json_array_get(pair, 1));

		if (index < 0 || index >= (json_int_t)HIST_BUCKETS || n < 0)
			err = -EPROTO;
		else
			h->bucket[index] += (uint64_t)n;
	}
	if (!err && json_array_size(buckets))
		hist__merge(into, h);
	free(h);
	return err;
}

void answer__add_counts(json_t *to, const json_t *counts)
{
	json_t *from = (json_t *)counts;
	void *i;

	for (i = json_object_iter(from); i; i = json_object_iter_next(from, i)) {
		const char *key = json_object_iter_key(i);
		json_int_t n = json_integer_value(json_object_iter_value(i));

		n += json_integer_value(json_object_get(to, key));
		json_object_set_new(to, key, json_integer(n));
	}
}
