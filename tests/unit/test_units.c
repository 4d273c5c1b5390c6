/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/units.h"
#include "random.h"

struct row {
	double v;
	const char *want;
};

static void check(const struct row *rows, size_t n, const char *unit)
{
	char buf[UNITS_LEN];

	for (size_t i = 0; i < n; i++)
		assert_string_equal(units__format(buf, sizeof(buf), rows[i].v, unit), rows[i].want);
}

#define CHECK(unit, ...)                                           \
	do {                                                       \
		static const struct row rows[] = {__VA_ARGS__};    \
		check(rows, sizeof(rows) / sizeof(rows[0]), unit); \
	} while (0)

static void durations(void **state)
{
	(void)state;
	CHECK("ns", {0, "0 ns"}, {1, "1 ns"}, {640, "640 ns"}, {999, "999 ns"}, {999.5, "1.00 us"},
	      {1000, "1.00 us"}, {1234, "1.23 us"}, {9994, "9.99 us"}, {9996, "10.0 us"},
	      {45600000, "45.6 ms"}, {999400, "999 us"}, {999600, "1.00 ms"}, {1.2e9, "1.20 s"},
	      {61.2e9, "61.2 s"}, {3600e9, "3,600 s"}, {12345678e9, "12,345,678 s"},
	      {-1500, "-1.50 us"}, {0.25, "0.250 ns"}, {41.7, "41.7 ns"}, {NAN, "-"},
	      {INFINITY, "inf"});
}

static void sizes(void **state)
{
	(void)state;
	CHECK("bytes", {0, "0 B"}, {512, "512 B"}, {1023, "1,023 B"}, {1024, "1.00 KiB"},
	      {1536, "1.50 KiB"}, {1048576, "1.00 MiB"}, {60e6, "57.2 MiB"},
	      {25000000000, "23.3 GiB"}, {NAN, "-"});
}

static void numbers(void **state)
{
	char buf[UNITS_LEN];

	(void)state;
	CHECK("", {0, "0"}, {7, "7"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"},
	      {-1234, "-1,234"}, {-123, "-123"}, {0.5, "0.500"}, {12.345, "12.3"}, {123.45, "123"},
	      {1234.5, "1,234"}, {0.00123, "0.00123"}, {-0.0, "0"}, {1e16, "1e+16"});
	CHECK("events/s", {6666, "6,666 events/s"}, {6666.4, "6,666 events/s"}, {NAN, "-"});
	CHECK("%", {0.3, "0.300 %"}, {100, "100 %"}, {12.34, "12.3 %"}, {99, "99 %"},
	      {99.04, "99.04 %"}, {99.64, "99.64 %"}, {99.9638, "99.964 %"});
	assert_string_equal(units__count(buf, sizeof(buf), UINT64_MAX),
			    "18,446,744,073,709,551,615");
	assert_string_equal(units__format_digits(buf, sizeof(buf), 15000400, "ns", 6),
			    "15.0004 ms");
}

/* Read back, every result is the value within half of its last digit. */
static void three_digits_of_any_value(void **state)
{
	uint64_t s = 1;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		double v = (double)random__log(&s, 44), back, unit;
		char buf[UNITS_LEN], plain[UNITS_LEN], *end;
		size_t n = 0;

		units__ns(buf, sizeof(buf), v);
		for (const char *p = buf; *p; p++)
			if (*p != ',')
				plain[n++] = *p;
		plain[n] = 0;
		back = strtod(plain, &end);
		unit = !strcmp(end, " ns")   ? 1
		       : !strcmp(end, " us") ? 1e3
		       : !strcmp(end, " ms") ? 1e6
					     : 1e9;
		assert_true(fabs(back * unit - v) <= 0.00501 * v);
		assert_true(strlen(buf) <= 8 || unit == 1e9);
	}
}

/* A buffer that is too small is filled, not overrun. */
static void small_buffers(void **state)
{
	(void)state;
	for (size_t len = 1; len < 20; len++) {
		char buf[24];

		memset(buf, 'x', sizeof(buf));
		units__count(buf, len, 1234567890123ull);
		assert_true(strlen(buf) < len && buf[len] == 'x');
		memset(buf, 'x', sizeof(buf));
		units__format(buf, len, 123456, "a rather long unit");
		assert_true(strlen(buf) < len && buf[len] == 'x');
		memset(buf, 'x', sizeof(buf));
		units__ns(buf, len, 123456);
		assert_true(strlen(buf) < len && buf[len] == 'x');
	}
}

static void steps(void **state)
{
	static const double want[][2] = {{1, 1},   {1.01, 2},	 {3, 5},	  {5.5, 10},
					 {20, 20}, {0.03, 0.05}, {123456, 200000}};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_true(fabs(units__step(want[i][0]) - want[i][1]) < 1e-9 * want[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),	 cmocka_unit_test(sizes),
		cmocka_unit_test(numbers),	 cmocka_unit_test(three_digits_of_any_value),
		cmocka_unit_test(small_buffers), cmocka_unit_test(steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
