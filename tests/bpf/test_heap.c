// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* heap --allocs on programs that know what they hold: every function, allocator and way to link. */
#include "../support/heap_run.h"

#define LIB "/usr/lib/x86_64-linux-gnu/"

static void all_kinds(const char *program, const char *preload, const char *allocator)
{
	target__start(&t, program, preload);
	t.no_frames = !strcmp(allocator, "musl");
	watch();
	if (!strstr(heap__allocator(h), allocator))
		fail_msg("'%s', not '%s'", heap__allocator(h), allocator);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		target__do(&t, kinds[i]);
		assert_exact(h, &t);
	}
}

#define VARIANT(name, program, preload, allocator)                    \
	static void test_##name(void **state)                         \
	{                                                             \
		(void)state;                                          \
		all_kinds("alloc_kinds" program, preload, allocator); \
	}

VARIANT(glibc, "", NULL, "glibc")
VARIANT(static, "-static", NULL, "glibc")
VARIANT(nopie, "-nopie", NULL, "glibc")
VARIANT(frame_pointers, "-fp", NULL, "glibc")
VARIANT(musl, "-musl", NULL, "musl")
VARIANT(musl_static, "-muslstatic", NULL, "musl")
VARIANT(jemalloc, "", LIB "libjemalloc.so.2", "jemalloc")
VARIANT(tcmalloc, "", LIB "libtcmalloc_minimal.so.4", "tcmalloc")
VARIANT(mimalloc, "", LIB "libmimalloc.so.2.0", "mimalloc")

/* ---- without what newer kernels have */

static void all_kinds_with(struct heap_opts opts)
{
	target__start(&t, "alloc_kinds", NULL);
	watch_with(opts);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		target__do(&t, kinds[i]);
		assert_exact(h, &t);
	}
}

static void test_no_session(void **state)
{
	(void)state;
	all_kinds_with((struct heap_opts){.no_session = true});
}

static void test_no_multi(void **state)
{
	(void)state;
	all_kinds_with((struct heap_opts){.no_multi = true});
}

static void test_at_entry(void **state)
{
	(void)state;
	all_kinds_with((struct heap_opts){.at_entry = true});
}

/* ---- C++ */

static const char *const cxx[] = {"new", "aligned", "throw", "new"};

static void cxx_kinds(const char *preload)
{
	target__start(&t, "alloc_cxx", preload);
	watch();
	for (size_t i = 0; i < sizeof(cxx) / sizeof(cxx[0]); i++) {
		/* Debian's mimalloc is built as C: it cannot throw, and aborts. */
		if (preload && strstr(preload, "mimalloc") && !strcmp(cxx[i], "throw"))
			continue;
		target__do(&t, cxx[i]);
		assert_exact(h, &t);
	}
}

#define CXX(name, preload)                        \
	static void test_cxx_##name(void **state) \
	{                                         \
		(void)state;                      \
		cxx_kinds(preload);               \
	}

CXX(glibc, NULL)
CXX(jemalloc, LIB "libjemalloc.so.2")
CXX(tcmalloc, LIB "libtcmalloc_minimal.so.4")
CXX(mimalloc, LIB "libmimalloc.so.2.0")

/* ---- functions of the allocator that call one another, and ones that are left */

static void nested(struct heap_opts opts)
{
	target__start(&t, "alloc_jump", NULL);
	opts.binary = "alloc_jump";
	watch_with(opts);
	for (int i = 0; i < 3; i++) {
		target__do(&t, "nested");
		assert_exact(h, &t);
	}
}

static void test_nested(void **state)
{
	(void)state;
	nested((struct heap_opts){0});
}

static void test_nested_no_session(void **state)
{
	(void)state;
	nested((struct heap_opts){.no_session = true});
}

/* Without a return probe on the outer call, the inner one tells by who calls it. */
static void test_nested_sampled(void **state)
{
	double told_bytes = 0;
	struct heap_reading r;
	struct read_site sum;

	(void)state;
	target__start(&t, "alloc_jump", NULL);
	watch_with((struct heap_opts){.binary = "alloc_jump", .sample_bytes = 1000});
	for (int i = 0; i < 100; i++)
		target__do(&t, "nested");
	read_it(&r);
	for (size_t i = 0; i < t.n; i++)
		told_bytes += (double)t.site[i].bytes;
	sum = reading__sum(&r, t.pid, NULL);
	printf("# sampled %.0f of %.0f bytes, error %.0f\n", sum.bytes, told_bytes,
	       sqrt(sum.variance));
	assert_true(fabs(sum.bytes - told_bytes) < 5 * sqrt(sum.variance));
	assert_int_equal(r.counters.allocs,
			 100 * 20 * 9); /* of the program, not of the allocator */
	heap_reading__free(&r);
}

/* longjmp out of malloc: its return is never seen, and nothing that comes after is lost by that. */
static void left(struct heap_opts opts)
{
	struct heap_reading r;

	target__start(&t, "alloc_jump", NULL);
	opts.binary = "alloc_jump";
	watch_with(opts);
	target__do(&t, "nested"); /* so that it is known what a return probe leaves on a stack */
	target__do(&t, "left");
	target__do(&t, "nested");
	read_it(&r);
	for (size_t i = 0; i < t.n; i++) {
		struct read_site sum = reading__sum(&r, t.pid, &t.site[i]);

		if (sum.bytes != (double)t.site[i].bytes) {
			reading__print(&r);
			fail_msg("%s: %.0f bytes, not %llu", t.site[i].name, sum.bytes,
				 t.site[i].bytes);
		}
	}
	assert_int_equal(r.counters.pending_lost, 50);
	heap_reading__free(&r);
}

static void test_left(void **state)
{
	(void)state;
	left((struct heap_opts){0});
}

static void test_left_no_session(void **state)
{
	(void)state;
	left((struct heap_opts){.no_session = true});
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_glibc, stop),
		cmocka_unit_test_teardown(test_static, stop),
		cmocka_unit_test_teardown(test_nopie, stop),
		cmocka_unit_test_teardown(test_frame_pointers, stop),
		cmocka_unit_test_teardown(test_musl, stop),
		cmocka_unit_test_teardown(test_musl_static, stop),
		cmocka_unit_test_teardown(test_jemalloc, stop),
		cmocka_unit_test_teardown(test_tcmalloc, stop),
		cmocka_unit_test_teardown(test_mimalloc, stop),
		cmocka_unit_test_teardown(test_no_session, stop),
		cmocka_unit_test_teardown(test_no_multi, stop),
		cmocka_unit_test_teardown(test_at_entry, stop),
		cmocka_unit_test_teardown(test_cxx_glibc, stop),
		cmocka_unit_test_teardown(test_cxx_jemalloc, stop),
		cmocka_unit_test_teardown(test_cxx_tcmalloc, stop),
		cmocka_unit_test_teardown(test_cxx_mimalloc, stop),
		cmocka_unit_test_teardown(test_nested, stop),
		cmocka_unit_test_teardown(test_nested_no_session, stop),
		cmocka_unit_test_teardown(test_left, stop),
		cmocka_unit_test_teardown(test_nested_sampled, stop),
		cmocka_unit_test_teardown(test_left_no_session, stop),
	};

	log_verbose = getenv("V") != NULL;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
