// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Readings over time: history, findings, kills, order, and how they are written. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "model/memory.h"
#include "out/mem_json.h"
#include "out/mem_table.h"

#define MiB (1024.0 * 1024.0)

static struct memory_reading reading(double t_s, double anon, uint64_t limit)
{
	struct memory_reading r;

	memory_reading__init(&r);
	r.time_ns = 1000000000u + (uint64_t)(t_s * 1e9);
	r.anon = (uint64_t)anon;
	r.swap = 0;
	r.file = r.inactive_file = 0;
	r.current = r.working_set = r.anon;
	r.limit = limit;
	r.refaults = r.events_max = 0;
	return r;
}

static void add(struct memory_container *c, double t_s, double anon, uint64_t limit)
{
	struct memory_reading r = reading(t_s, anon, limit);

	assert_int_equal(memory_container__add(c, &r, t_s, true), 0);
}

static void fill_leak(struct memory_container *c, double rate, uint64_t limit)
{
	for (int i = 0; i < 60; i++)
		add(c, i, 10 * MiB + rate * i, limit);
}

static void test_not_known(void **state)
{
	struct memory_reading r;

	(void)state;
	memory_reading__init(&r);
	assert_true(r.current == MEMORY_NOT_KNOWN && r.limit == MEMORY_NO_LIMIT);
	assert_true(isnan(r.pressure_some));
	assert_true(isnan(memory_reading__share(&r)));
	r.working_set = 50;
	assert_true(isnan(memory_reading__share(&r)));
	r.limit = 100;
	assert_true(fabs(memory_reading__share(&r) - 0.5) < 1e-9);
	r.limit = 0;
	assert_true(isnan(memory_reading__share(&r)));
}

static void test_history_is_thinned_evenly(void **state)
{
	struct memory_container c = {0};
	double gap = 0;

	(void)state;
	for (int i = 0; i < 100000; i++)
		add(&c, i, 1000.0 * i, MEMORY_NO_LIMIT);
	assert_true(c.n_history >= MEMORY_HISTORY / 2 && c.n_history <= MEMORY_HISTORY);
	assert_true(c.history[0].t_s == 0);
	assert_true(c.history[c.n_history - 1].t_s > 99000);
	gap = c.history[1].t_s - c.history[0].t_s;
	for (size_t i = 1; i < c.n_history; i++) {
		assert_true(fabs(c.history[i].t_s - c.history[i - 1].t_s - gap) < 1e-6);
		assert_true(c.history[i].bytes == 1000.0 * c.history[i].t_s);
	}
	memory_container__judge(&c);
	assert_int_equal(c.growth.verdict, GROWTH_GROWING);
	assert_true(fabs(c.growth.slope - 1000) < 1);
	memory_container__free(&c);
}

static void test_history_takes_what_was_read(void **state)
{
	struct memory_container c = {0};
	struct memory_reading r = reading(1, 5, MEMORY_NO_LIMIT);

	(void)state;
	assert_int_equal(memory_container__add(&c, &r, 1, false), 0);
	assert_int_equal(c.n_history, 0); /* its anon is an old one */
	r.anon = MEMORY_NOT_KNOWN;
	assert_int_equal(memory_container__add(&c, &r, 2, true), 0);
	assert_int_equal(c.n_history, 0);
	r.anon = 5;
	r.swap = 7;
	assert_int_equal(memory_container__add(&c, &r, 3, true), 0);
	assert_true(c.n_history == 1 && c.history[0].bytes == 12);
	/* a clock that stands still */
	assert_int_equal(memory_container__add(&c, &r, 3, true), 0);
	assert_int_equal(c.n_history, 1);
	r.swap = MEMORY_NOT_KNOWN;
	assert_int_equal(memory_container__add(&c, &r, 4, true), 0);
	assert_true(c.history[1].bytes == 5);
	memory_container__free(&c);
}

static void test_growing(void **state)
{
	struct memory_container c = {0};

	(void)state;
	fill_leak(&c, MiB, (uint64_t)(200 * MiB));
	memory_container__judge(&c);
	assert_int_equal(c.growth.verdict, GROWTH_GROWING);
	assert_int_equal(c.findings, FINDING_GROWING);
	/* 69 of 200 MiB at 1 MiB/s */
	assert_true(fabs(c.growth.time_to_limit_s - 131) < 2);
	memory_container__free(&c);
}

static void test_near_limit_stays_found(void **state)
{
	struct memory_container c = {0};

	(void)state;
	add(&c, 0, 94, 100);
	assert_int_equal(c.findings, 0);
	add(&c, 1, 95, 100);
	assert_int_equal(c.findings, FINDING_NEAR_LIMIT);
	add(&c, 2, 10, 100);
	assert_int_equal(c.findings, FINDING_NEAR_LIMIT);
	assert_true(fabs(c.worst_share - 0.95) < 1e-9 && c.worst.anon == 95);
	memory_container__free(&c);
}

static void test_page_cache_is_neither(void **state)
{
	struct memory_container c = {0};

	(void)state;
	for (int i = 0; i < 60; i++) {
		struct memory_reading r = reading(i, 5 * MiB, (uint64_t)(64 * MiB));

		r.file = r.inactive_file = (uint64_t)(i * MiB);
		r.current = r.anon + r.file;
		r.working_set = r.current - r.inactive_file;
		assert_int_equal(memory_container__add(&c, &r, i, true), 0);
	}
	memory_container__judge(&c);
	assert_int_equal(c.growth.verdict, GROWTH_STABLE);
	assert_int_equal(c.findings, 0);
	memory_container__free(&c);
}

/* Usage that stands still because it is reclaimed is not stable. */
static void test_held_by_reclaim(void **state)
{
	for (int held = 0; held < 2; held++) {
		struct memory_container c = {0};

		(void)state;
		for (int i = 0; i < 60; i++) {
			struct memory_reading r = reading(i, 99 * MiB, (uint64_t)(100 * MiB));

			r.refaults = held ? 10u * (unsigned int)i : 10;
			r.events_max = held ? 3u * (unsigned int)i : 3;
			assert_int_equal(memory_container__add(&c, &r, i, true), 0);
		}
		memory_container__judge(&c);
		assert_int_equal(c.growth.verdict, held ? GROWTH_INCONCLUSIVE : GROWTH_STABLE);
		assert_true(!held || strstr(c.growth.reason, "590 refaults"));
		assert_true(!held || strstr(c.growth.reason, "hit 177 times"));
		memory_container__free(&c);
	}
}

static void test_kill_splits(void **state)
{
	struct memory_container c = {0};
	struct oom_kill k = {.time_ns = 61000000000u, .pid = 7, .comm = "victim"};

	(void)state;
	fill_leak(&c, MiB, (uint64_t)(70 * MiB));
	k.before = c.last;
	assert_int_equal(memory_container__kill(&c, &k), 0);
	assert_true(c.n_kills == 1 && c.n_history == 0);
	assert_int_equal(c.kills[0].growth.verdict, GROWTH_GROWING);
	for (int i = 60; i < 120; i++)
		add(&c, i, 5 * MiB, (uint64_t)(70 * MiB));
	memory_container__judge(&c);
	assert_int_equal(c.growth.verdict, GROWTH_STABLE);
	/* It was killed because it grew: that stays found. */
	assert_true(c.findings & FINDING_OOM_KILL && c.findings & FINDING_GROWING);
	for (int i = 0; i < 2 * MEMORY_MAX_KILLS; i++)
		assert_int_equal(memory_container__kill(&c, &k), 0);
	assert_true(c.n_kills_kept == MEMORY_MAX_KILLS && c.n_kills == 1 + 2 * MEMORY_MAX_KILLS);
	memory_container__free(&c);
}

static void test_findings_by_name(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < MEMORY_FINDINGS; i++)
		assert_int_equal(memory_finding__parse(memory_finding__name(1u << i)), 1u << i);
	assert_int_equal(memory_finding__parse("oom_kill"), 0);
	assert_null(memory_finding__name(3));
	assert_int_equal(memory_order__parse("nothing"), -1);
	assert_int_equal(memory_order__parse("growth"), MEMORY_BY_GROWTH);
}

/* Three containers: one that leaks, one with a hostile name, one that went. */
static struct memory_snapshot snapshot(void)
{
	static const char *const paths[] = {"/leak", "/a\033[2J\xff\n\"b", "/gone"};
	struct memory_snapshot s = {.hierarchy = "v1", .n = 3, .duration_s = 60};

	s.time_ns = 65000000000u;
	s.containers = calloc(3, sizeof(*s.containers));
	assert_non_null(s.containers);
	for (int i = 0; i < 3; i++) {
		struct memory_container *c = &s.containers[i];

		snprintf(c->path, sizeof(c->path), "%s", paths[i]);
		c->worst_share = NAN;
		c->gone = i == 2;
		fill_leak(c, i ? 0 : MiB, i ? MEMORY_NO_LIMIT : (uint64_t)(71 * MiB));
		memory_container__judge(c);
	}
	return s;
}

static void test_order(void **state)
{
	struct memory_snapshot s = snapshot();
	const struct memory_container **sorted;

	(void)state;
	for (enum memory_order by = MEMORY_BY_WORKING_SET; by <= MEMORY_BY_NAME; by++) {
		sorted = memory_snapshot__sorted(&s, by);
		assert_non_null(sorted);
		assert_string_equal(sorted[0]->path,
				    by == MEMORY_BY_NAME ? s.containers[1].path : "/leak");
		assert_string_equal(sorted[2]->path, "/gone");
		free(sorted);
	}
	assert_int_equal(memory_snapshot__findings(&s), FINDING_GROWING | FINDING_NEAR_LIMIT);
	memory_snapshot__free(&s);
}

static char *print_table(const struct memory_snapshot *s, const struct mem_table_opts *o,
			 bool final)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(mem_table__print(f, s, o, final), 0);
	fclose(f);
	return text;
}

static void test_table(void **state)
{
	struct memory_snapshot s = snapshot();
	struct mem_table_opts o = {0};
	struct oom_kill k = {.time_ns = 64000000000u,
			     .pid = 7,
			     .comm = "bad\033[1m",
			     .anon_rss = (uint64_t)(3 * MiB),
			     .file_rss = MEMORY_NOT_KNOWN,
			     .shmem_rss = 0,
			     .usage = MEMORY_NOT_KNOWN};
	char *text;

	(void)state;
	k.before = s.containers[0].last;
	assert_int_equal(memory_container__kill(&s.containers[0], &k), 0);
	text = print_table(&s, &o, true);
	assert_null(strchr(text, '\033'));
	assert_non_null(strstr(text, "/a\\x1b[2J\\xff\\x0a\"b"));
	assert_non_null(strstr(text, "/gone (gone)"));
	assert_non_null(strstr(text,
			       "OOM kill: /leak, 1.0 s ago: bad\\x1b[1m[7] held anon 3.00 MiB, "
			       "shmem 0 B\n"));
	assert_non_null(strstr(text, "before: usage 69.0 MiB of limit 71.0 MiB"));
	assert_non_null(strstr(text, "near limit: /leak: working set at 97.2 % of 71.0 MiB"));
	assert_non_null(strstr(text, "growing: /leak, until it was killed"));
	free(text);
	text = print_table(&s, &o, false);
	assert_null(strstr(text, "/gone"));
	assert_non_null(strstr(text, "2 containers, 1 gone"));
	free(text);
	memory_snapshot__free(&s);
}

/* On a terminal no line is wider than it, whatever its width. */
static void test_table_fits(void **state)
{
	struct memory_snapshot s = snapshot();

	(void)state;
	for (unsigned int width = 50; width < 220; width += 7) {
		struct mem_table_opts o = {.width = width, .height = 24, .redraw = true};
		char *text = print_table(&s, &o, false), *line, *save = NULL;
		unsigned int lines = 0;

		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			char *end = strstr(line, "\033[K");

			line += !strncmp(line, "\033[H", 3) ? 3 : 0;
			if (end)
				*end = '\0';
			if (strncmp(line, "\033[J", 3) != 0)
				assert_true(text__width(line) <= width);
			lines++;
		}
		assert_true(lines <= 24);
		free(text);
	}
	memory_snapshot__free(&s);
}

static void test_sparkline(void **state)
{
	struct memory_container c = {0};
	struct text t = {0};

	(void)state;
	mem_table__sparkline(&t, &c, 8);
	assert_int_equal(t.len, 0);
	for (int i = 0; i < 64; i++)
		add(&c, i, i * MiB, MEMORY_NO_LIMIT);
	mem_table__sparkline(&t, &c, 8);
	assert_string_equal(t.data, "▁▂▃▄▅▆▇█");
	text__free(&t);
	memory_container__free(&c);
	/* A swing of 1 % is drawn as what it is. */
	for (int i = 0; i < 64; i++)
		add(&c, i, 100 * MiB + (i / 8 % 2) * MiB, MEMORY_NO_LIMIT);
	mem_table__sparkline(&t, &c, 8);
	assert_string_equal(t.data, "▁▂▁▂▁▂▁▂");
	text__free(&t);
	memory_container__free(&c);
}

/* What went from the list, or never was in it, is still a finding. */
static void test_findings(void **state)
{
	struct memory_container c = {.findings = FINDING_GROWING};
	struct memory_snapshot s = {.containers = &c, .n = 1};

	(void)state;
	assert_int_equal(memory_snapshot__findings(&s), FINDING_GROWING);
	s.forgotten_findings = FINDING_NEAR_LIMIT;
	assert_int_equal(memory_snapshot__findings(&s), FINDING_GROWING | FINDING_NEAR_LIMIT);
	s.n = 0;
	s.kills_elsewhere = 1;
	assert_int_equal(memory_snapshot__findings(&s), FINDING_NEAR_LIMIT | FINDING_OOM_KILL);
}

static json_t *printed(const struct memory_snapshot *s)
{
	char *line = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&line, &len);
	json_t *o;

	assert_non_null(f);
	assert_int_equal(mem_json__print(f, s, true), 0);
	fclose(f);
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
	o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	free(line);
	assert_non_null(o);
	return o;
}

static void test_json(void **state)
{
	struct memory_snapshot s = snapshot();
	json_t *o = printed(&s), *c;

	(void)state;
	assert_int_equal(json_array_size(json_object_get(o, "containers")), 3);
	c = json_array_get(json_object_get(o, "containers"), 0);
	assert_string_equal(json_string_value(json_object_get(c, "path")), "/leak");
	assert_int_equal(json_integer_value(json_object_get(c, "limit")), (json_int_t)(71 * MiB));
	assert_true(json_is_null(json_object_get(c, "peak")));
	assert_true(json_is_null(json_object_get(c, "pressure")));
	assert_true(json_is_null(json_object_get(c, "id")));
	assert_int_equal(json_array_size(json_object_get(c, "findings")), 2);
	c = json_array_get(json_object_get(o, "containers"), 1);
	assert_true(json_is_null(json_object_get(c, "limit")));
	assert_string_equal(json_string_value(json_object_get(c, "path")),
			    "/a\\x1b[2J\\xff\\x0a\"b");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(c, "growth"), "verdict")),
		"STABLE");
	json_decref(o);
	memory_snapshot__free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_known),
		cmocka_unit_test(test_history_is_thinned_evenly),
		cmocka_unit_test(test_history_takes_what_was_read),
		cmocka_unit_test(test_growing),
		cmocka_unit_test(test_near_limit_stays_found),
		cmocka_unit_test(test_page_cache_is_neither),
		cmocka_unit_test(test_held_by_reclaim),
		cmocka_unit_test(test_kill_splits),
		cmocka_unit_test(test_findings_by_name),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_fits),
		cmocka_unit_test(test_sparkline),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_findings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
