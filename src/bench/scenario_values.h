/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values of scenarios of any kind: numbers by tables, texts, what is wrong with them and where. */
#ifndef HOPSCOPE_BENCH_SCENARIO_VALUES_H
#define HOPSCOPE_BENCH_SCENARIO_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/yaml_index.h"
#include "model/verdict.h"

/* A number of a scenario: where it lives, what it may be, what it is when left out. */
struct scenario_number {
	const char *path; /* NULL ends a table */
	size_t offset;	  /* of a double or an int64_t in the scenario */
	bool real;
	double min, max, otherwise;
};

/* A row of such a table; `path` is the key in the file and the member of `type` alike. */
#define SCENARIO_WHOLE(type, path, min, max, otherwise)                 \
	{                                                               \
#path, offsetof(type, path), false, min, max, otherwise \
	}
#define SCENARIO_REAL(type, path, min, max, otherwise)                 \
	{                                                              \
#path, offsetof(type, path), true, min, max, otherwise \
	}

double scenario_number__get(const void *s, const struct scenario_number *n);
/* Fills in what was left out, checks spelling and range of the rest. 0 or -EINVAL after
 * log_fail(). */
int scenario_numbers__apply(void *s, const struct scenario_number *numbers,
			    const struct yaml_index *y, const char *file);
int scenario_text__apply(char **text, const char *otherwise);
int scenario_bool__apply(const struct yaml_index *y, const char *file, const char *path, bool *v,
			 bool otherwise);

/* log_fail() with the file and the line of the entry at `path` (or of what is above it). -EINVAL.
 */
int scenario_rules__fail(const struct yaml_index *y, const char *file, const char *path,
			 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Every setting as understood, in order, defaults filled in: fn(ctx, "rpc.calls", "1000"). */
typedef int (*scenario_setting_fn)(void *ctx, const char *key, const char *value);
/* The numbers whose path begins with `section` and a dot. */
int scenario_numbers__say(const void *s, const struct scenario_number *numbers, const char *section,
			  scenario_setting_fn fn, void *ctx);

/* "15 ms", "55 MB", "1 %", "50000" in the unit of the metric. 0, or -EINVAL with *why set. */
int limit__parse(const char *text, const char *unit, double *value, const char **why);

/* A scenario's name: letters, digits, - and _. 0 or -EINVAL after log_fail(). */
int scenario_name__check(const char *name, const struct yaml_index *y, const char *file);

/* The share of failures, a ratio, from which on a latency is INVALID. 0 or -EINVAL after
 * log_fail().
 */
int error_bound__apply(const char *text, double *bound, const struct yaml_index *y,
		       const char *file);

/* The place of a target's metric among n names. 0 or -EINVAL after log_fail(). */
int target_metric__apply(const char *given, const char *(*name)(unsigned int i), unsigned int n,
			 unsigned int *metric, const struct yaml_index *y, const char *file,
			 const char *at);
/* A target's limit, in `unit`: one of `at_most` and `at_least`. 0 or -EINVAL after log_fail(). */
int target_limit__apply(const char *at_most, const char *at_least, const char *metric,
			const char *unit, enum target_op *op, double *limit,
			const struct yaml_index *y, const char *file, const char *at);

#endif
