// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Readings of hops and their differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/hist.h"
#include "model/hops.h"

/* A path of n spans through which one exchange took `ns` for every part. */
static void add_path(struct hops *h, uint32_t route, uint8_t n, uint64_t count, uint64_t ns)
{
	struct hops_path *p = realloc(h->paths, (h->n_paths + 1) * sizeof(*p));

	assert_non_null(p);
	h->paths = p;
	p += h->n_paths++;
	memset(p, 0, sizeof(*p));
	p->key.route = route;
	p->key.n = n;
	p->count = count;
	p->span = calloc(n, sizeof(*p->span));
	assert_non_null(p->span);
	for (uint8_t i = 0; i < n; i++) {
		p->span[i].kind = i ? HOP_NETWORK : HOP_NONE;
		for (uint64_t k = 0; k < count; k++) {
			hist__add(&p->span[i].hist[HOP_BEFORE], ns);
			hist__add(&p->span[i].hist[HOP_AFTER], ns * 2);
		}
	}
}

static void test_delta(void **state)
{
	struct hops before = {.on = true}, now = {.on = true}, d;

	(void)state;
	add_path(&before, 1, 2, 3, 1000);
	add_path(&before, 2, 1, 1, 1000);
	before.count[HOP_COMPLETE] = 4;
	add_path(&now, 1, 2, 5, 1000);
	add_path(&now, 2, 1, 1, 1000); /* as it was: left out */
	add_path(&now, 3, 4, 2, 7);
	now.count[HOP_COMPLETE] = 8;
	now.count[HOP_ABANDONED] = 1;
	assert_int_equal(hops__delta(&d, &now, &before), 0);
	assert_true(d.on);
	assert_int_equal(d.n_paths, 2);
	assert_int_equal(d.count[HOP_COMPLETE], 4);
	assert_int_equal(d.count[HOP_ABANDONED], 1);
	assert_int_equal(d.paths[0].key.route, 1);
	assert_int_equal(d.paths[0].count, 2);
	assert_int_equal(d.paths[0].span[1].kind, HOP_NETWORK);
	assert_int_equal(hist__count(&d.paths[0].span[1].hist[HOP_AFTER]), 2);
	assert_int_equal(d.paths[0].span[1].hist[HOP_AFTER].sum, 4000);
	assert_int_equal(d.paths[1].key.route, 3);
	assert_int_equal(d.paths[1].count, 2);
	assert_int_equal(hist__count(&d.paths[1].span[3].hist[HOP_BEFORE]), 2);
	/* What it was made of goes first: the difference stands on its own. */
	hops__free(&now);
	hops__free(&before);
	assert_int_equal(d.paths[1].span[3].hist[HOP_BEFORE].sum, 14);
	hops__free(&d);
	assert_int_equal(d.n_paths, 0);
	hops__free(&d);
	hops__free(NULL);
}

/* A table that was full yesterday has its paths in another order. */
static void test_delta_by_key(void **state)
{
	struct hops before = {0}, now = {0}, d;

	(void)state;
	add_path(&before, 1, 2, 3, 10);
	add_path(&before, 1, 3, 3, 10);
	add_path(&now, 1, 3, 4, 10);
	add_path(&now, 1, 2, 3, 10);
	assert_int_equal(hops__delta(&d, &now, &before), 0);
	assert_false(d.on);
	assert_int_equal(d.n_paths, 1);
	assert_int_equal(d.paths[0].key.n, 3);
	assert_int_equal(d.paths[0].count, 1);
	hops__free(&d);
	hops__free(&now);
	hops__free(&before);
}

static void test_nothing(void **state)
{
	struct hops before = {0}, now = {.on = true}, d;

	(void)state;
	assert_int_equal(hops__delta(&d, &now, &before), 0);
	assert_true(d.on);
	assert_int_equal(d.n_paths, 0);
	hops__free(&d);
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned int i = 0; i <= HOP_SAMPLED_OUT; i++)
		assert_string_not_equal(hop_count__name(i), "?");
	assert_string_equal(hop_count__name(HOP_COUNTS), "?");
	assert_string_equal(hop_count__name(1000), "?");
	assert_string_equal(hop_kind__name(HOP_NETWORK), "network");
	assert_string_equal(hop_kind__name(HOP_PROCESS), "process");
	assert_string_equal(hop_kind__name(HOP_OPAQUE), "opaque");
	assert_string_equal(hop_kind__name(HOP_NONE), "?");
	assert_string_equal(hop_kind__name(77), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_delta_by_key),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
