/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of hops that nobody vouches for: read, drawn in every form, and written again. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out/hops.h"
#include "out/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static FILE *nowhere;

static void draw(const json_t *o, const struct waterfalls *w, const struct waterfall *v, size_t n)
{
	struct table_opts narrow = {.width = 40, .color = true, .height = 10}, wide = {0};
	struct text md = {0};

	if (hops_table__print(nowhere, w, NULL, &narrow) ||
	    hops_table__print(nowhere, w, NULL, &wide) ||
	    hops_table__timelines(nowhere, v, n, &narrow) ||
	    hops_svg__print(nowhere, w, 0, v, n, "x") ||
	    hops_svg__print(nowhere, w, 1, NULL, 0, "y"))
		abort();
	md__hops(&md, o, 0);
	text__free(&md);
}

static json_t *written(const struct waterfalls *w, const struct waterfall *v, size_t n)
{
	json_t *o = json_object();

	session__put(&o, "hops", session__hops(w));
	session__put(&o, "hop_accounting", session__hop_accounting(w->count));
	session__put(&o, "timelines", session__timelines(v, n));
	return o;
}

/* What was written reads back as the same. */
static void again(const struct waterfalls *w, const struct waterfall *v, size_t n)
{
	json_t *one = written(w, v, n), *two;
	struct waterfall *timelines;
	struct waterfalls back;
	char err[256];
	size_t n_back;

	if (hops_json__load(&back, one, err, sizeof(err)) ||
	    hops_json__load_timelines(&timelines, &n_back, one, err, sizeof(err)) ||
	    back.n != w->n || n_back != n)
		abort();
	two = written(&back, timelines, n_back);
	if (!json_equal(json_object_get(one, "timelines"), json_object_get(two, "timelines")))
		abort();
	json_decref(one);
	json_decref(two);
	waterfalls__free(&back);
	free(timelines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	json_t *o = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL);
	struct waterfall *v = NULL;
	struct waterfalls w = {0};
	char err[256];
	size_t n = 0;

	nowhere = nowhere ? nowhere : fopen("/dev/null", "we");
	if (o && nowhere && !hops_json__load(&w, o, err, sizeof(err))) {
		if (!hops_json__load_timelines(&v, &n, o, err, sizeof(err))) {
			draw(o, &w, v, n);
			again(&w, v, n);
		}
		free(v);
		waterfalls__free(&w);
	}
	json_decref(o);
	return 0;
}
