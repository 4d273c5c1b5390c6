/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers as people read them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/units.h"

#define DIGITS	   3
#define MAX_DIGITS 12

/* Inserts commas into the leading digits of a decimal number. */
static char *group(char *buf, size_t len, const char *plain)
{
	size_t sign = plain[0] == '-', digits = strspn(plain + sign, "0123456789"), at = 0;

	for (size_t i = 0; plain[i] && at + 2 < len; i++) {
		if (i > sign && i < sign + digits && (sign + digits - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = plain[i];
	}
	buf[at] = 0;
	return buf;
}

/* Decimals that leave `digits` significant digits, once rounded (9.996 has one before the point).
 */
static int decimals(double v, int digits)
{
	double a = fabs(v);
	int whole;

	if (a < 1e-12)
		return 0;
	whole = (int)floor(log10(a)) + 1;
	if (a >= pow(10, whole) - 0.5 * pow(10, whole - digits))
		whole++;
	if (whole >= digits)
		return 0;
	return digits - whole > 12 ? 12 : digits - whole;
}

static char *number(char *buf, size_t len, double v, int digits)
{
	char plain[UNITS_LEN];

	if (isnan(v)) {
		snprintf(buf, len, "-");
		return buf;
	}
	if (isinf(v) || fabs(v) >= 1e15) {
		snprintf(buf, len, "%.*g", digits, v);
		return buf;
	}
	snprintf(plain, sizeof(plain), "%.*f", v == rint(v) ? 0 : decimals(v, digits), v);
	if (!strcmp(plain, "-0"))
		snprintf(plain, sizeof(plain), "0");
	return group(buf, len, plain);
}

struct scale {
	double unit;
	const char *name;
};

/* The largest unit of which there is at least one after rounding: 999.7 us is 1.00 ms. */
static char *scaled(char *buf, size_t len, double v, int digits, const struct scale *s, size_t n)
{
	double a = fabs(v), round = 1 - 0.5 * pow(10, -digits);
	char num[UNITS_LEN];
	size_t i = n - 1;
	int places;

	if (!isfinite(v))
		return number(buf, len, v, digits);
	while (i > 0 && a < s[i].unit * round)
		i--;
	v /= s[i].unit;
	places = decimals(v, digits);
	if (i == 0 && v == rint(v))
		places = 0; /* no fractions of a byte or a nanosecond that were not measured */
	snprintf(num, sizeof(num), "%.*f", places, v);
	if (!strcmp(num, "-0"))
		snprintf(num, sizeof(num), "0");
	group(buf, len, num);
	snprintf(buf + strlen(buf), len - strlen(buf), " %s", s[i].name);
	return buf;
}

static char *format_ns(char *buf, size_t len, double ns, int digits)
{
	static const struct scale scales[] = {{1, "ns"}, {1e3, "us"}, {1e6, "ms"}, {1e9, "s"}};

	return scaled(buf, len, ns, digits, scales, 4);
}

static char *format_bytes(char *buf, size_t len, double bytes, int digits)
{
	static const struct scale scales[] = {{1, "B"},
					      {1024, "KiB"},
					      {1024.0 * 1024, "MiB"},
					      {1024.0 * 1024 * 1024, "GiB"},
					      {1024.0 * 1024 * 1024 * 1024, "TiB"}};

	return scaled(buf, len, bytes, digits, scales, 5);
}

char *units__ns(char *buf, size_t len, double ns)
{
	return format_ns(buf, len, ns, DIGITS);
}

char *units__bytes(char *buf, size_t len, double bytes)
{
	return format_bytes(buf, len, bytes, DIGITS);
}

char *units__number(char *buf, size_t len, double v)
{
	return number(buf, len, v, DIGITS);
}

char *units__count(char *buf, size_t len, uint64_t v)
{
	char plain[UNITS_LEN];

	snprintf(plain, sizeof(plain), "%" PRIu64, v);
	return group(buf, len, plain);
}

bool units__scales(const char *unit)
{
	return !strcmp(unit, "ns") || !strcmp(unit, "bytes") || !strcmp(unit, "bytes/h");
}

/* 99.964 % is not 100 %: two digits of what is missing. */
static int percent_digits(double v, int digits)
{
	double missing = 100 - v;
	int wanted =
		missing > 0 && missing < 1 ? (int)ceil(-log10(missing) - 1e-9) + DIGITS : digits;

	return wanted > MAX_DIGITS ? MAX_DIGITS : wanted > digits ? wanted : digits;
}

char *units__format_digits(char *buf, size_t len, double v, const char *unit, int digits)
{
	if (!strcmp(unit, "ns"))
		return format_ns(buf, len, v, digits);
	if (!strcmp(unit, "bytes"))
		return format_bytes(buf, len, v, digits);
	if (!strcmp(unit, "bytes/h")) {
		format_bytes(buf, len, v, digits);
		if (!isnan(v) && strlen(buf) < len)
			snprintf(buf + strlen(buf), len - strlen(buf), "/h");
		return buf;
	}
	number(buf, len, v, strcmp(unit, "%") ? digits : percent_digits(v, digits));
	if (unit[0] && !isnan(v) && strlen(buf) < len)
		snprintf(buf + strlen(buf), len - strlen(buf), " %s", unit);
	return buf;
}

char *units__format(char *buf, size_t len, double v, const char *unit)
{
	return units__format_digits(buf, len, v, unit, DIGITS);
}

double units__step(double least)
{
	double power = pow(10, floor(log10(least)));
	double digit = least / power;

	return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}
