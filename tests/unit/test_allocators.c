// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of allocators, what is found in files by it, and the arithmetic of sampling. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap_sample.h"
#include "probe/heap_module.h"

static void test_table(void **state)
{
	size_t n;
	const struct allocator_function *f = allocator__table(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(allocator__function(f[i].symbol), &f[i]); /* no symbol twice */
		assert_in_range(f[i].role, HEAP_ALLOC, HEAP_FREE);
		assert_in_range(f[i].n_args, 1, 3);
		assert_true(f[i].role != HEAP_ALLOC || (f[i].arg && f[i].arg <= f[i].n_args));
		assert_true(!f[i].throws || (f[i].cxx && f[i].role == HEAP_ALLOC));
	}
	assert_null(allocator__function("strdup"));
	assert_null(allocator__function(""));
}

static void test_cookie(void **state)
{
	uint64_t c = HEAP_COOKIE(HEAP_POSIX, 3, 1, 0, 1, 0xfffe) |
		     HEAP_COOKIE_PLACE(0xfd, HEAP_MAX_PUSHED, 0xfffffe);

	(void)state;
	assert_int_equal(HEAP_COOKIE_ROLE(c), HEAP_POSIX);
	assert_int_equal(HEAP_COOKIE_ARG(c), 3);
	assert_int_equal(HEAP_COOKIE_STEPPED(c), 1);
	assert_int_equal(HEAP_COOKIE_THROWS(c), 0);
	assert_int_equal(HEAP_COOKIE_JUMPS(c), 1);
	assert_int_equal(HEAP_COOKIE_FUNC(c), 0xfffe);
	assert_int_equal(HEAP_COOKIE_OFF(c), 0xfd);
	assert_int_equal(HEAP_COOKIE_PUSHED(c), HEAP_MAX_PUSHED);
	assert_int_equal(HEAP_COOKIE_LIFE(c), 0xfffffe);
	c = HEAP_COOKIE(HEAP_ALLOC, 1, 0, 1, 0, 1) | HEAP_COOKIE_PLACE(0, 8, 1);
	assert_int_equal(HEAP_COOKIE_THROWS(c), 1);
	assert_int_equal(HEAP_COOKIE_PUSHED(c), 8);
	assert_int_equal(HEAP_COOKIE_STEPPED(c) | HEAP_COOKIE_JUMPS(c) | HEAP_COOKIE_OFF(c), 0);
}

/* ---- files */

static int read_file(const char *path, struct heap_module *m)
{
	int fd = open(path, O_RDONLY), err;

	if (fd < 0)
		return -errno;
	memset(m, 0, sizeof(*m));
	err = heap_module__read(m, fd);
	close(fd);
	return err;
}

static const struct heap_function *find(const struct heap_module *m, const char *symbol)
{
	for (size_t i = 0; i < m->n; i++) {
		if (!strcmp(m->functions[i].what->symbol, symbol))
			return &m->functions[i];
	}
	return NULL;
}

/* One function an address, all in the file. */
static void check_module(const struct heap_module *m)
{
	for (size_t i = 0; i < m->n; i++) {
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(m->functions[i].vaddr, m->functions[k].vaddr);
		assert_true(m->functions[i].offset);
		assert_true(m->functions[i].at.offset < 4096);
		assert_true(m->functions[i].what->role == HEAP_FREE || !m->functions[i].at.pushed);
	}
}

static void test_libc(void **state)
{
	struct heap_module m;
	Dl_info info;

	(void)state;
	assert_true(dladdr((void *)(uintptr_t)gnu_get_libc_version, &info));
	assert_int_equal(read_file(info.dli_fname, &m), 0);
	check_module(&m);
	assert_string_equal(m.allocator, "glibc");
	assert_non_null(find(&m, "malloc"));
	assert_non_null(find(&m, "realloc"));
	assert_non_null(find(&m, "posix_memalign"));
	assert_null(find(&m, "__libc_malloc")); /* an alias */
	assert_true(find(&m, "free")->at.emulated);
	assert_true(find(&m, "malloc")->at.emulated);
	heap_module__free(&m);
}

#define LIB "/usr/lib/x86_64-linux-gnu/"

static void test_libraries(void **state)
{
	static const struct {
		const char *path, *allocator;
		const char *has[4], *has_not[4];
	} files[] = {
		/* Jumps to free; delete with a size is a function of its own. */
		{LIB "libjemalloc.so.2",
		 "jemalloc",
		 {"malloc", "_Znwm", "rallocx", "_ZdlPvm"},
		 {"_ZdlPv", "_ZdaPv", "_Znam", "strdup"}},
		{LIB "libtcmalloc_minimal.so.4",
		 "tcmalloc",
		 {"malloc", "_Znwm", "free", "memalign"},
		 {"tc_malloc", "tc_free", "tc_new", "tc_delete"}},
		{LIB "libmimalloc.so.2.0",
		 "mimalloc",
		 {"malloc", "_Znwm", "free", "mi_heap_malloc"},
		 {"mi_malloc", "mi_free", "_ZdlPvm", "posix_memalign"}},
		{"/lib/ld-musl-x86_64.so.1",
		 "musl",
		 {"malloc", "calloc", "free", "aligned_alloc"},
		 {"_Znwm", "_ZdlPv", "memalign", "cfree"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct heap_module m;
		int err = read_file(files[i].path, &m);

		if (err == -ENOENT) {
			print_message("%s is not here\n", files[i].path);
			continue;
		}
		assert_int_equal(err, 0);
		check_module(&m);
		assert_string_equal(m.allocator, files[i].allocator);
		for (int k = 0; k < 4; k++) {
			if (!strcmp(files[i].has[k], "memalign")) /* or by its other name */
				assert_true(find(&m, "memalign") || find(&m, "aligned_alloc"));
			else if (!find(&m, files[i].has[k]))
				fail_msg("%s lacks %s", files[i].path, files[i].has[k]);
			if (find(&m, files[i].has_not[k]))
				fail_msg("%s has %s", files[i].path, files[i].has_not[k]);
		}
		heap_module__free(&m);
	}
}

/* Files without an allocator, and what is no file of this kind. */
static void test_others(void **state)
{
	struct heap_module m;
	Dl_info info;

	(void)state;
	/* operator new of libstdc++ calls malloc of another file. */
	if (!read_file(LIB "libstdc++.so.6", &m)) {
		assert_int_equal(m.n, 0);
		heap_module__free(&m);
	}
	assert_true(dladdr((void *)(uintptr_t)exp, &info));
	assert_int_equal(read_file(info.dli_fname, &m), 0);
	assert_int_equal(m.n, 0);
	assert_null(m.allocator);
	heap_module__free(&m);
	assert_int_equal(read_file("/dev/null", &m), -ENOEXEC);
	heap_module__free(&m);
	assert_int_equal(read_file("/etc/passwd", &m), -ENOEXEC);
	heap_module__free(&m);
}

/* ---- sampling */

static uint64_t seed = 88172645463325252ull;

static uint32_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

static void test_gaps(void **state)
{
	static const uint64_t rates[] = {16, 1000, 524288, 1ull << 40};
	static struct heap_sample_tables t;
	const int n = 1000000;

	(void)state;
	heap_sample__tables(&t);
	for (size_t r = 0; r < 4; r++) {
		double sum = 0, below = 0, twice = 0, rate = (double)rates[r];

		for (int i = 0; i < n; i++) {
			double gap = (double)sample__gap(&t, next(), rates[r]);

			sum += gap;
			below += gap < rate / 10;
			twice += gap >= rate * 3;
		}
		/* Five standard errors; whole bytes are cut off. */
		assert_true(fabs(sum / n + 0.5 - rate) < rate * 5e-3 + 0.5);
		if (rate > 100) {
			assert_true(fabs(below / n + expm1(-0.1)) < 2e-3);
			assert_true(fabs(twice / n - exp(-3)) < 2e-3);
		}
	}
	assert_true(sample__gap(&t, 0xffffffff, 1 << 20) < 2);
	assert_in_range(sample__gap(&t, 0, 1 << 20), 22ull << 20, 23ull << 20); /* 32 ln 2 */
}

static void test_weights(void **state)
{
	static struct heap_sample_tables t;
	const uint64_t rate = 65536;

	(void)state;
	heap_sample__tables(&t);
	for (uint64_t size = 1; size < 64 * rate; size += 1 + size / 50) {
		double exact = (double)size * heap_sample__weight(size, rate);

		if (fabs((double)sample__weighted(&t, size, rate) - exact) > exact * 2e-5 + 2)
			fail_msg("%llu bytes: %llu, not %f", (unsigned long long)size,
				 (unsigned long long)sample__weighted(&t, size, rate), exact);
	}
	assert_true(heap_sample__weight(0, rate) == 0);
	assert_int_equal(sample__weighted(&t, 1ull << 46, 1ull << 40), 1ull << 46);
}

/* Blocks of one size, followed as the programs do: the estimate is right, and its error too. */
static void test_unbiased(void **state)
{
	static struct heap_sample_tables t;
	const uint64_t rate = 4096;

	(void)state;
	heap_sample__tables(&t);
	for (uint64_t size = 16; size <= 16384; size *= 4) {
		double p = -expm1(-(double)size / (double)rate), got = 0;
		uint64_t gap = 0;
		const int n = 400000;

		for (int i = 0; i < n; i++) {
			if (!gap)
				gap = 1 + sample__gap(&t, next(), rate);
			if (gap > size) {
				gap -= size;
				continue;
			}
			gap = 0;
			got += heap_sample__weight(size, rate);
		}
		assert_true(fabs(got - n) < 5 * sqrt(n * (1 - p) / p));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_libc),	cmocka_unit_test(test_libraries),
		cmocka_unit_test(test_others),	cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_weights), cmocka_unit_test(test_unbiased),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
