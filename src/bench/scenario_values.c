// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/scenario_values.h"
#include "log.h"

double scenario_number__get(const void *s, const struct scenario_number *n)
{
	const char *at = (const char *)s + n->offset;
	int64_t whole;
	double real;

	if (n->real) {
		memcpy(&real, at, sizeof(real));
		return real;
	}
	memcpy(&whole, at, sizeof(whole));
	return (double)whole;
}

static void number__set(void *s, const struct scenario_number *n, double v)
{
	char *at = (char *)s + n->offset;
	int64_t whole = (int64_t)v;

	if (n->real)
		memcpy(at, &v, sizeof(v));
	else
		memcpy(at, &whole, sizeof(whole));
}

int scenario_rules__fail(const struct yaml_index *y, const char *file, const char *path,
			 const char *fmt, ...)
{
	char up[YAML_PATH_LEN], text[512];
	const struct yaml_entry *e;
	va_list args;
	char *dot;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(up, sizeof(up), "%s", path);
	/* What is left out has no line: that of the section above it. */
	while (!(e = yaml_index__find(y, up)) && (dot = strrchr(up, '.')))
		*dot = '\0';
	return log_fail(-EINVAL, "%s:%u: %s: %s", file, e ? e->line : 1, path, text);
}

/* libcyaml stops at the first character that is no digit, and says nothing. */
static int check_spelling(const struct scenario_number *n, const char *text)
{
	char *end;

	if (!text[0])
		return -EINVAL;
	errno = 0;
	if (n->real)
		strtod(text, &end);
	else
		strtoll(text, &end, 0);
	return *end || errno ? -EINVAL : 0;
}

int scenario_numbers__apply(void *s, const struct scenario_number *numbers,
			    const struct yaml_index *y, const char *file)
{
	const struct scenario_number *n;

	for (n = numbers; n->path; n++) {
		const struct yaml_entry *e = yaml_index__find(y, n->path);
		double v;

		if (!e) {
			number__set(s, n, n->otherwise);
			continue;
		}
		if (check_spelling(n, e->text))
			return scenario_rules__fail(y, file, n->path, "'%s' is not a %snumber",
						    e->text, n->real ? "" : "whole ");
		v = scenario_number__get(s, n);
		if (!(v >= n->min && v <= n->max))
			return scenario_rules__fail(y, file, n->path,
						    "%s is out of range: %.10g to %.10g", e->text,
						    n->min, n->max);
	}
	return 0;
}

int scenario_text__apply(char **text, const char *otherwise)
{
	if (*text && (*text)[0])
		return 0;
	free(*text);
	/* Freed by libcyaml's allocator, which is free(). */
	*text = strdup(otherwise);
	return *text ? 0 : log_fail(-ENOMEM, "out of memory");
}

int scenario_bool__apply(const struct yaml_index *y, const char *file, const char *path, bool *v,
			 bool otherwise)
{
	const struct yaml_entry *e = yaml_index__find(y, path);

	if (!e) {
		*v = otherwise;
		return 0;
	}
	/* libcyaml takes every word it does not know for true. */
	if (strcmp(e->text, "true") != 0 && strcmp(e->text, "false") != 0)
		return scenario_rules__fail(y, file, path, "'%s' is neither true nor false",
					    e->text);
	*v = e->text[0] == 't';
	return 0;
}

/* The numbers whose path begins with `section` and a dot. */
int scenario_numbers__say(const void *s, const struct scenario_number *numbers, const char *section,
			  scenario_setting_fn fn, void *ctx)
{
	size_t len = strlen(section);
	const struct scenario_number *n;
	char text[32];
	int err = 0;

	for (n = numbers; n->path && !err; n++) {
		if (strncmp(n->path, section, len) != 0 || (n->path[len] && n->path[len] != '.'))
			continue;
		snprintf(text, sizeof(text), "%.10g", scenario_number__get(s, n));
		err = fn(ctx, n->path, text);
	}
	return err;
}

int scenario_name__check(const char *name, const struct yaml_index *y, const char *file)
{
	const char *c;

	for (c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			return scenario_rules__fail(
				y, file, "name", "'%s': letters, digits, - and _ are wanted", name);
	return 0;
}

int error_bound__apply(const char *text, double *bound, const struct yaml_index *y,
		       const char *file)
{
	const char *why;
	double percent;

	if (limit__parse(text, "%", &percent, &why))
		return scenario_rules__fail(y, file, "error_bound", "'%s': %s", text, why);
	if (percent < 0 || percent > 100)
		return scenario_rules__fail(y, file, "error_bound",
					    "%s is out of range: 0 %% to 100 %%", text);
	*bound = percent / 100;
	return 0;
}

int target_metric__apply(const char *given, const char *(*name)(unsigned int i), unsigned int n,
			 unsigned int *metric, const struct yaml_index *y, const char *file,
			 const char *at)
{
	char known[512] = "";
	size_t len = 0;
	unsigned int i;

	if (!given)
		return scenario_rules__fail(y, file, at, "the key 'metric' is missing");
	for (i = 0; i < n; i++) {
		if (!strcmp(name(i), given)) {
			*metric = i;
			return 0;
		}
		if (len < sizeof(known))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						i ? ", " : "", name(i));
	}
	return scenario_rules__fail(y, file, at, "unknown metric '%s'; known: %s", given, known);
}

int target_limit__apply(const char *at_most, const char *at_least, const char *metric,
			const char *unit, enum target_op *op, double *limit,
			const struct yaml_index *y, const char *file, const char *at)
{
	const char *text = at_most ? at_most : at_least;
	const char *why;

	if (!at_most == !at_least)
		return scenario_rules__fail(y, file, at,
					    "one of 'at_most' and 'at_least' is wanted");
	*op = at_most ? TARGET_LE : TARGET_GE;
	if (limit__parse(text, unit, limit, &why))
		return scenario_rules__fail(y, file, at, "'%s' is no limit of %s: %s", text, metric,
					    why);
	return 0;
}
