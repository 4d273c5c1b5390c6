/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers as people read them. Every renderer and every reason uses these, so they agree. */
#ifndef HOPSCOPE_UNITS_H
#define HOPSCOPE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNITS_LEN 48 /* enough for any of the results */

/* 3 significant digits: "640 ns", "1.23 us", "45.6 ms", "1.20 s"; NaN: "-". Returns buf. */
char *units__ns(char *buf, size_t len, double ns);
/* "512 B", "1.50 MiB". */
char *units__bytes(char *buf, size_t len, double bytes);
/* Whole numbers with thousands separated: "12,345"; others with 3 significant digits. */
char *units__number(char *buf, size_t len, double v);
char *units__count(char *buf, size_t len, uint64_t v);
/*
 * v with its unit: "ns" and "bytes" as above, "bytes/h" as "1.50 MiB/h", "%" as "1.23 %" (and
 * "99.964 %"), "" bare, any other as "v unit"
 * ("6,666 events/s").
 */
char *units__format(char *buf, size_t len, double v, const char *unit);
/* The same with another number of significant digits. */
char *units__format_digits(char *buf, size_t len, double v, const char *unit, int digits);
/* Whether what is written for the unit depends on the value (ns or ms, KiB or GiB). */
bool units__scales(const char *unit);

/* Of an axis: the next of 1, 2, 5, 10, 20, ... (also 0.5, 0.2, ...) that is no less. */
double units__step(double least);

#endif
