/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Configuration files with @NAME@ in them. */
#ifndef HOPSCOPE_STACK_TEMPLATE_H
#define HOPSCOPE_STACK_TEMPLATE_H

#include <stddef.h>

#define TEMPLATE_MAX_VARS  48
#define TEMPLATE_VALUE_LEN 4608 /* a path, and a word or two */

struct template_var {
	const char *name; /* without the @: capitals, digits, _ */
	char value[TEMPLATE_VALUE_LEN];
};

struct template_vars {
	struct template_var list[TEMPLATE_MAX_VARS];
	size_t n;
};

/* A name given twice has its last value. 0, -E2BIG: too many names, or a value too long. */
int template__set(struct template_vars *vars, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The text with its names replaced, malloc()ed, in *out. 0; -ENOMEM; or -EINVAL with *line: a name
 * there that has no value, copied to `unknown`. A @ that begins no name stays.
 */
int template__expand(const char *text, const struct template_vars *vars, char **out,
		     unsigned int *line, char *unknown, size_t size);

/* Reads one file and writes the other, new or anew. 0 or negative errno after log_fail(). */
int template__render(const char *from, const char *to, const struct template_vars *vars);

#endif
