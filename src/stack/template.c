// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "stack/file.h"
#include "stack/template.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
#define MAX_FILE   (256 * 1024)

int template__set(struct template_vars *vars, const char *name, const char *fmt, ...)
{
	struct template_var *v = NULL;
	va_list args;
	size_t i;
	int n;

	for (i = 0; i < vars->n && !v; i++)
		if (!strcmp(vars->list[i].name, name))
			v = &vars->list[i];
	if (!v) {
		if (vars->n == TEMPLATE_MAX_VARS)
			return -E2BIG;
		v = &vars->list[vars->n++];
		v->name = name;
	}
	va_start(args, fmt);
	n = vsnprintf(v->value, sizeof(v->value), fmt, args);
	va_end(args);
	return n < 0 || (size_t)n >= sizeof(v->value) ? -E2BIG : 0;
}

static const char *value_of(const struct template_vars *vars, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < vars->n; i++)
		if (!strncmp(vars->list[i].name, name, len) && !vars->list[i].name[len])
			return vars->list[i].value;
	return NULL;
}

/* The length of the name that stands at a '@', 0 when there is none. */
static size_t name_at(const char *at)
{
	size_t len = strspn(at + 1, NAME_CHARS);

	return at[len + 1] == '@' ? len : 0;
}

int template__expand(const char *text, const struct template_vars *vars, char **out,
		     unsigned int *line, char *unknown, size_t size)
{
	size_t len = 0;
	FILE *f = open_memstream(out, &len);
	const char *p = text;
	int err = 0;

	*line = 1;
	if (!f)
		return -ENOMEM;
	while (*p && !err) {
		size_t n = *p == '@' ? name_at(p) : 0;
		const char *value = n ? value_of(vars, p + 1, n) : NULL;

		if (n && !value) {
			snprintf(unknown, size, "%.*s", (int)n, p + 1);
			err = -EINVAL;
		} else if (n) {
			fputs(value, f);
			p += n + 2;
		} else {
			*line += *p == '\n';
			fputc(*p++, f);
		}
	}
	if (ferror(f))
		err = -ENOMEM;
	if (fclose(f) && !err)
		err = -ENOMEM;
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err;
}

int template__render(const char *from, const char *to, const struct template_vars *vars)
{
	char *text = malloc(MAX_FILE), *out = NULL, unknown[64];
	unsigned int line = 0;
	int err = -ENOMEM;

	if (!text)
		goto out;
	err = file__read(from, text, MAX_FILE);
	if (err >= MAX_FILE - 1)
		err = -EFBIG;
	if (err < 0) {
		log_fail(err, "cannot read %s: %s", from, strerror(-err));
		goto out;
	}
	err = template__expand(text, vars, &out, &line, unknown, sizeof(unknown));
	if (err == -EINVAL) {
		log_fail(err, "%s:%u: @%s@ is no name that has a value here", from, line, unknown);
		goto out;
	}
	if (!err) {
		if (unlink(to) && errno != ENOENT)
			err = -errno;
		else
			err = file__create(to, out);
	}
	if (err)
		log_fail(err, "cannot write %s: %s", to, strerror(-err));
out:
	free(text);
	free(out);
	return err;
}
