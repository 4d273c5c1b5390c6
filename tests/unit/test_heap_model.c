/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap_fixture.h"
#include "out/heap_json.h"
#include "out/heap_table.h"
#include "stack_walk.h"

static const struct heap_site *find(const struct heap_profile *p, const char *innermost)
{
	for (size_t i = 0; i < p->n_sites; i++)
		if (p->sites[i].n_frames && !strcmp(p->sites[i].frames[0].function, innermost))
			return &p->sites[i];
	return NULL;
}

static void largest_first(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {.time_ns = 5000000000,
				 .unattributed_bytes = 3,
				 .resident_bytes = NAN,
				 .counters = {.allocs = 9}};
	struct heap_profile p;

	(void)state;
	fixture__add(&f, &r, 7, "small<main", 10, 1);
	fixture__add(&f, &r, 7, "large<main", 1000, 2)->oldest_ns = 3000000000;
	fixture__add(&f, &r, 7, "freed<main", 0, 0)->total_bytes = 77;
	fixture__profile(&f, &r, &p);
	assert_int_equal(p.n_sites, 2);
	assert_string_equal(p.sites[0].frames[0].function, "large");
	assert_string_equal(p.sites[0].frames[1].function, "main");
	assert_string_equal(p.sites[0].frames[1].module, "/usr/bin/app");
	assert_string_equal(p.sites[1].frames[0].function, "small");
	assert_string_equal(p.sites[0].comm, "app7");
	assert_true(p.sites[0].bytes == 1000 && p.sites[0].blocks == 2);
	assert_true(p.sites[0].age_s == 2);
	assert_true(isnan(p.sites[1].age_s));
	assert_true(p.duration_s == 5 && p.unattributed_bytes == 3 && isnan(p.resident_bytes));
	assert_int_equal(p.counters.allocs, 9);
	/* only the innermost frame is no return address */
	assert_int_equal(f.leaves, 2);
	assert_int_equal(f.returns, 2);
	heap_profile__free(&p);
}

/* Two call sites of one function differ when their lines are known, and not by addresses alone. */
static void same_names_are_one_site(void **state)
{
	(void)state;
	for (int lines = 0; lines < 2; lines++) {
		struct fixture f = {.lines = lines};
		struct heap_reading r = {};
		struct heap_profile p;

		fixture__add(&f, &r, 7, "malloc<main", 100, 1)->bytes_error = 3;
		/* another name for the same function: another address */
		fixture__add(&f, &r, 7, "malloc<main2", 20, 2)->bytes_error = 4;
		snprintf(f.names[2], sizeof(f.names[2]), "main");
		r.sites[1].flags = STACK_BROKEN;
		r.sites[1].oldest_ns = 1;
		fixture__profile(&f, &r, &p);
		assert_int_equal(p.n_sites, lines ? 2 : 1);
		if (!lines) {
			assert_true(p.sites[0].bytes == 120 && p.sites[0].blocks == 3);
			assert_true(p.sites[0].total_bytes == 120);
			assert_true(p.sites[0].bytes_error == 5);
			assert_int_equal(p.sites[0].flags, STACK_BROKEN);
			assert_true(fabs(p.sites[0].age_s - 10) < 1e-6);
		}
		heap_profile__free(&p);
	}
}

static void processes_stay_apart(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p;
	struct heap_total t;

	(void)state;
	fixture__add(&f, &r, 7, "f<main", 100, 1);
	fixture__add(&f, &r, 8, "f<main", 20, 2);
	fixture__add(&f, &r, 8, "?<main", 5, 1);
	fixture__add(&f, &r, 8, "libx.so:?<main", 4, 1);
	fixture__profile(&f, &r, &p);
	assert_int_equal(p.n_sites, 4);
	heap_profile__total(&p, &t);
	assert_true(t.bytes == 129 && t.blocks == 5 && t.grown_bytes == 129);
	assert_int_equal(t.processes, 2);
	heap_profile__free(&p);
}

static void growth_since_the_base(void **state)
{
	struct fixture f = {};
	struct heap_reading base = {.time_ns = 6000000000}, now = {.time_ns = 16000000000};
	struct heap_namer namer = fixture__namer(&f);
	struct heap_profile p = {.label = HEAP_EXACT};

	(void)state;
	fixture__add(&f, &base, 7, "steady<main", 500, 5);
	fixture__add(&f, &base, 7, "leak<main", 100, 1);
	fixture__add(&f, &base, 7, "gone<main", 50, 1);
	fixture__add(&f, &base, 7, "empty<main", 0, 0);
	fixture__add(&f, &now, 7, "leak<main", 300, 3);
	fixture__add(&f, &now, 7, "new<main", 40, 1);
	fixture__add(&f, &now, 7, "steady<main", 500, 5);
	assert_int_equal(heap_profile__make(&p, &now, &base, 1000000000, &namer), 0);
	assert_int_equal(p.n_sites, 4);
	assert_true(find(&p, "steady")->grown_bytes == 0);
	assert_true(find(&p, "leak")->grown_bytes == 200 && find(&p, "leak")->grown_blocks == 2);
	assert_true(find(&p, "new")->grown_bytes == 40);
	assert_true(find(&p, "gone")->grown_bytes == -50 && find(&p, "gone")->bytes == 0);
	assert_true(p.duration_s == 15 && p.grown_s == 10);
	heap_profile__sort(&p, HEAP_SORT_GROWN);
	assert_string_equal(p.sites[0].frames[0].function, "leak");
	assert_string_equal(p.sites[3].frames[0].function, "gone");
	heap_profile__sort(&p, HEAP_SORT_BLOCKS);
	assert_string_equal(p.sites[0].frames[0].function, "steady");
	heap_profile__free(&p);
	heap_reading__free(&base);
	heap_reading__free(&now);
}

static bool has_note(const struct heap_profile *p, const char *note)
{
	for (size_t i = 0; i < p->n_notes; i++)
		if (!strcmp(p->notes[i], note))
			return true;
	return false;
}

/* Another run of the program: other pid, other addresses, other lines. */
static void diff_by_function(void **state)
{
	struct fixture fa = {.lines = true}, fb = {.lines = true};
	struct heap_reading a = {}, b = {};
	struct heap_profile pa, pb, d;

	(void)state;
	fixture__add(&fa, &a, 7, "leak<main", 100, 1);
	fixture__add(&fa, &a, 7, "same<main", 1000, 1);
	fixture__add(&fa, &a, 7, "gone<main", 30, 1);
	fixture__add(&fb, &b, 7, "x<leak<same", 1, 1); /* shifts the addresses */
	fixture__add(&fb, &b, 7, "same<main", 1000, 1);
	fixture__add(&fb, &b, 7, "leak<main", 150, 3);
	fixture__profile(&fa, &a, &pa);
	fixture__profile(&fb, &b, &pb);
	pb.started_unix += 60;
	pb.label = HEAP_SAMPLED;
	assert_int_equal(heap_profile__diff(&d, &pa, &pb), 0);
	assert_int_equal(d.n_sites, 4);
	assert_string_equal(d.sites[0].frames[0].function, "leak");
	assert_true(d.sites[0].grown_bytes == 50 && d.sites[0].bytes == 150 &&
		    d.sites[0].grown_blocks == 2);
	assert_string_equal(d.sites[3].frames[0].function, "gone");
	assert_true(d.sites[3].grown_bytes == -30 && d.sites[3].bytes == 0);
	assert_true(find(&d, "same")->grown_bytes == 0);
	assert_true(d.grown_s == 60);
	assert_int_equal(d.label, HEAP_SAMPLED);
	heap_profile__free(&d);
	pb.source = HEAP_PAGES;
	assert_int_equal(heap_profile__diff(&d, &pa, &pb), -EINVAL);
	heap_profile__free(&pa);
	heap_profile__free(&pb);
}

/* What the first of two watches lost, and what it was, is said; of one watch it is b's anyway. */
static void diff_says_what_the_first_lost(void **state)
{
	(void)state;
	for (int watches = 1; watches <= 2; watches++) {
		struct fixture fa = {}, fb = {};
		struct heap_reading a = {}, b = {};
		struct heap_profile pa, pb, d;

		fixture__add(&fa, &a, 7, "leak<main", 100, 1);
		fixture__add(&fb, &b, 7, "leak<main", 150, 3);
		a.counters.blocks_lost = 3;
		a.counters.allocs = 99;
		fixture__profile(&fa, &a, &pa);
		fixture__profile(&fb, &b, &pb);
		pa.label = HEAP_SAMPLED;
		pa.sample_bytes = 65536;
		snprintf(pa.stopped, sizeof(pa.stopped), "stopped after 3 s");
		pb.started_unix += 60 * (watches - 1);
		assert_int_equal(heap_profile__diff(&d, &pa, &pb), 0);
		assert_int_equal(d.label, HEAP_SAMPLED);
		assert_true(d.sample_bytes == 65536);
		assert_int_equal(d.n_notes, watches == 2 ? 3 : 0);
		if (watches == 2) {
			assert_true(has_note(&d, "first profile: stopped after 3 s"));
			assert_true(has_note(&d, "first profile: 3 blocks not followed: the table "
						 "was full"));
			assert_true(has_note(&d, "two watches: what was taken before each attach "
						 "is in neither"));
		}
		heap_profile__free(&d);
		pa.unread = true;
		assert_int_equal(heap_profile__diff(&d, &pa, &pb), 0);
		assert_true(d.unread && has_note(&d, "first profile: what was held is not known"));
		heap_profile__free(&d);
		heap_profile__free(&pa);
		heap_profile__free(&pb);
	}
}

static void interesting_frames(void **state)
{
	static const struct {
		const char *stack;
		size_t want;
	} table[] = {
		{"f<main", 0},
		{"malloc<f<main", 1},
		{"libc.so.6:_int_malloc<libc.so.6:malloc<f", 2},
		{"libc.so.6:?<libc.so.6:calloc<f", 2},
		{"libjemalloc.so.2:anything<libjemalloc.so.2:?<f", 2},
		{"libc.so.6:__memset_avx2_unaligned_erms<f<main", 1},
		{"operator new(unsigned long)<std_string<f", 1},
		{"runtime.mallocgc<runtime.growslice<main.fill<runtime.main", 2},
		{"malloc_stats_of_app<main", 0},
		{"?<main", 0},
		{"malloc<calloc", 0}, /* nothing else there: the innermost */
		{"zmalloc<createObject", 0},
		{"__libc_memalign<f", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct fixture f = {};
		struct heap_reading r = {};
		struct heap_profile p;

		fixture__add(&f, &r, 7, table[i].stack, 1, 1);
		fixture__profile(&f, &r, &p);
		if (heap_site__interesting(&p.sites[0]) != table[i].want)
			fail_msg("%s: frame %zu", table[i].stack,
				 heap_site__interesting(&p.sites[0]));
		heap_profile__free(&p);
	}
}

static char *json_of(const struct heap_profile *p)
{
	char *text = NULL;

	PRINTED(text, heap_json__print(out, p, true));
	return text;
}

static int read_back(const char *text, unsigned long line, struct heap_profile *p, char err[200])
{
	FILE *in = fmemopen((void *)text, strlen(text), "r");
	int rc = heap_json__read(in, line, p, err, 200);

	fclose(in);
	return rc;
}

/* What was written, read and written again is the same; names that attack a terminal are text. */
static void json_round_trip(void **state)
{
	struct fixture f = {.lines = true};
	struct heap_reading r = {.resident_bytes = 4096,
				 .unattributed_bytes = NAN,
				 .probe_ns = NAN,
				 .probe_hits = 12};
	struct heap_profile p, back;
	char *one, *two, err[200];

	(void)state;
	fixture__add(&f, &r, 7, "evil\033[2J\"\\;\n\xff<main", 100.5, 1)->flags = STACK_TRUNCATED;
	fixture__add(&f, &r, 8, "libx.so:?<main", 1e12, 3)->oldest_ns = 4000000000;
	fixture__add(&f, &r, 9, "", 7, 1);
	fixture__profile(&f, &r, &p);
	heap_profile__note(&p, "process %d ended", 8);
	heap_profile__note(&p, "process %d ended", 8);
	snprintf(p.stopped, sizeof(p.stopped), "the budget");
	p.budget = 0.01;
	one = json_of(&p);
	assert_null(strchr(one, 033));
	assert_int_equal(strlen(one), strcspn(one, "\n") + 1);
	assert_int_equal(read_back(one, 0, &back, err), 0);
	two = json_of(&back);
	assert_string_equal(one, two);
	assert_int_equal(back.n_sites, 3);
	assert_int_equal(back.n_notes, 1);
	assert_true(back.sites[0].frames[0].address == p.sites[0].frames[0].address);
	heap_profile__free(&back);
	heap_profile__free(&p);
	free(one);
	free(two);
}

static void notes_beyond_the_room_are_counted(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p, back;
	char *text, err[200];

	(void)state;
	fixture__add(&f, &r, 7, "f<main", 100, 1);
	fixture__profile(&f, &r, &p);
	for (int i = 0; i < HEAP_MAX_NOTES + 2; i++)
		heap_profile__note(&p, "note %d", i);
	heap_profile__note(&p, "note 0"); /* is there */
	assert_int_equal(p.notes_lost, 2);
	PRINTED(text, heap_table__print(out, &p, &(struct heap_table_opts){}));
	assert_non_null(strstr(text, "note: note 15\nnote: 2 more notes left out\n"));
	free(text);
	text = json_of(&p);
	assert_non_null(strstr(text, "\"notes_lost\":2,"));
	assert_int_equal(read_back(text, 0, &back, err), 0);
	assert_int_equal(back.n_notes, HEAP_MAX_NOTES);
	assert_int_equal(back.notes_lost, 2);
	heap_profile__free(&back);
	heap_profile__free(&p);
	free(text);
}

/* Nothing was read: no figure is shown as a measured 0. */
static void unread_is_not_zero(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {.resident_bytes = NAN, .unattributed_bytes = NAN, .probe_ns = NAN};
	struct heap_profile p, back;
	char *text, err[200];

	(void)state;
	fixture__profile(&f, &r, &p);
	p.unread = true;
	p.probe_hits = NAN;
	PRINTED(text, heap_table__print(out, &p, &(struct heap_table_opts){}));
	assert_non_null(strstr(text, "(what was held is not known)"));
	assert_non_null(strstr(text, "attributed    not known\n"));
	assert_non_null(strstr(text, "probes        hits not known"));
	assert_null(strstr(text, "0 B"));
	assert_null(strstr(text, "resident  "));
	free(text);
	text = json_of(&p);
	assert_non_null(strstr(text, "\"totals\":{\"bytes\":null,\"blocks\":null,"));
	assert_non_null(strstr(text, "\"hits\":null"));
	assert_int_equal(read_back(text, 0, &back, err), 0);
	assert_true(back.unread && isnan(back.probe_hits));
	heap_profile__free(&back);
	heap_profile__free(&p);
	free(text);
}

static void json_lines(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p, back;
	char *one, *two, both[16384], err[200];

	(void)state;
	fixture__add(&f, &r, 7, "f<main", 100, 1);
	fixture__profile(&f, &r, &p);
	one = json_of(&p);
	p.sites[0].bytes = 200;
	two = json_of(&p);
	snprintf(both, sizeof(both), "%s%s\n", one, two);
	assert_int_equal(read_back(both, 0, &back, err), 0);
	assert_true(back.sites[0].bytes == 200);
	heap_profile__free(&back);
	assert_int_equal(read_back(both, 1, &back, err), 0);
	assert_true(back.sites[0].bytes == 100);
	heap_profile__free(&back);
	assert_int_equal(read_back(both, 3, &back, err), -EINVAL);
	assert_non_null(strstr(err, "2 profiles"));
	heap_profile__free(&p);
	free(one);
	free(two);
}

/* Each value of a good profile replaced by each of these: refused with a reason, or read. */
static void json_is_not_trusted(void **state)
{
	static const char *const junk[] = {"null",  "-1",   "\"x\"", "[]",  "{}",
					   "1e300", "true", "[[]]",  "[{}]"};
	struct fixture f = {.lines = true};
	struct heap_reading r = {};
	struct heap_profile p, back;
	char *good, bad[16384], err[200];
	size_t refused = 0;

	(void)state;
	fixture__add(&f, &r, 7, "f<main", 100, 1);
	fixture__profile(&f, &r, &p);
	good = json_of(&p);
	for (char *at = strstr(good, "\":"); at; at = strstr(at + 1, "\":")) {
		char *end = at + 2;

		if (*end == '"')
			end = strchr(end + 1, '"') + 1;
		else if (*end == '[' || *end == '{')
			continue;
		else
			end += strcspn(end, ",}]");
		for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
			snprintf(bad, sizeof(bad), "%.*s%s%s", (int)(at + 2 - good), good, junk[i],
				 end);
			if (read_back(bad, 0, &back, err)) {
				assert_true(strlen(err) > 5);
				refused++;
			}
			heap_profile__free(&back);
		}
	}
	assert_true(refused > 200);
	for (size_t n = 0; n + 2 < strlen(good); n += 7) {
		snprintf(bad, sizeof(bad), "%.*s", (int)n, good);
		assert_int_equal(read_back(n ? bad : " ", 0, &back, err), -EINVAL);
	}
	assert_int_equal(heap_json__load("/nonexistent/x", &back, err, sizeof(err)), -ENOENT);
	assert_string_equal(err, "No such file or directory");
	heap_profile__free(&p);
	free(good);
}

static void table_of(const struct heap_profile *p, struct heap_table_opts o, char **text)
{
	PRINTED(*text, heap_table__print(out, p, &o));
}

static void tables(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {.unattributed_bytes = 2048,
				 .resident_bytes = NAN,
				 .probe_hits = 1000,
				 .probe_ns = 1e7,
				 .counters = {.blocks_lost = 3}};
	struct heap_profile p;
	char *text;

	(void)state;
	fixture__add(&f, &r, 7, "libc.so.6:malloc<evil\033[2J<a<b<c<d<main", 3 << 20, 1234);
	fixture__add(&f, &r, 7, "small<main", 1 << 19, 0);
	/* the same without the allocator's frames: one row */
	fixture__add(&f, &r, 7, "libc.so.6:sysmalloc<libc.so.6:malloc<small<main", 1 << 19, 1);
	fixture__profile(&f, &r, &p);
	table_of(&p, (struct heap_table_opts){.frames = 2, .max_rows = 1}, &text);
	assert_null(strchr(text, 033));
	assert_non_null(strstr(text, "evil\\x1b[2J (app)\n"));
	assert_null(strstr(text, "malloc"));
	assert_non_null(strstr(text, "75.0 %"));
	assert_non_null(strstr(text, "1,234"));
	assert_non_null(strstr(text, "< b (app)\n"));
	assert_null(strstr(text, "< c (app)\n"));
	assert_non_null(strstr(text, "(3 more)"));
	assert_non_null(strstr(text, "(1 more sites)"));
	assert_non_null(strstr(text, "attributed    4.00 MiB in 1,235 blocks at 2 sites"));
	assert_non_null(strstr(text, "unattributed  2.00 KiB"));
	assert_null(strstr(text, "resident "));
	assert_non_null(strstr(text, "3  blocks not followed: the table was full"));
	assert_null(strstr(text, "frees seen"));
	assert_non_null(strstr(text, "1,000 hits, 10.0 ms: 0.10 % of a core\n"));
	assert_non_null(strstr(text, "exact: every allocation"));
	assert_null(strstr(text, "process"));
	free(text);
	p.label = HEAP_SAMPLED;
	p.sites[0].bytes_error = 4096;
	p.sites[0].tgid = 8;
	p.budget = 0.01;
	table_of(&p, (struct heap_table_opts){.width = 60}, &text);
	assert_non_null(strstr(text, "4.00 KiB"));
	assert_non_null(strstr(text, "(budget 1 %)"));
	assert_non_null(strstr(text, "  process "));
	free(text);
	heap_profile__free(&p);
	table_of(&p, (struct heap_table_opts){}, &text);
	assert_non_null(strstr(text, "(nothing"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(largest_first),
		cmocka_unit_test(same_names_are_one_site),
		cmocka_unit_test(processes_stay_apart),
		cmocka_unit_test(growth_since_the_base),
		cmocka_unit_test(diff_by_function),
		cmocka_unit_test(interesting_frames),
		cmocka_unit_test(json_round_trip),
		cmocka_unit_test(json_lines),
		cmocka_unit_test(diff_says_what_the_first_lost),
		cmocka_unit_test(notes_beyond_the_room_are_counted),
		cmocka_unit_test(unread_is_not_zero),
		cmocka_unit_test(json_is_not_trusted),
		cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests_name("heap model", tests, NULL, NULL);
}
