/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fault__set(struct fault *f, int err, const char *what, const char *why, ...)
{
	va_list ap;

	f->err = err;
	snprintf(f->what, sizeof(f->what), "%s", what);
	va_start(ap, why);
	vsnprintf(f->why, sizeof(f->why), why, ap);
	va_end(ap);
	return err;
}

json_t *fault__event(const struct fault *f)
{
	/* Server texts may hold anything; a string that is not UTF-8 would cost the whole event. */
	json_t *what = json_string(f->what);
	json_t *why = json_string(f->why);

	if (!what)
		what = json_string("?");
	if (!why)
		why = json_string("a text that is not UTF-8");
	return json_pack("{s:s,s:o,s:o}", "event", "error", "what", what, "why", why);
}

static int args__bad(struct fault *f, const char *key, const char *want)
{
	return fault__set(f, -EINVAL, "cannot read the arguments", "\"%s\" must be %s", key, want);
}

int args__string(const json_t *args, const char *key, const char *def, const char **out,
		 struct fault *f)
{
	const json_t *v = json_object_get(args, key);

	*out = def;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v) || json_string_length(v) == 0)
		return args__bad(f, key, "a string that is not empty");
	*out = json_string_value(v);
	return 0;
}

int args__count(const json_t *args, const char *key, long long def, long long min, long long max,
		long long *out, struct fault *f)
{
	const json_t *v = json_object_get(args, key);
	char want[96];

	*out = def;
	if (!v)
		return 0;
	*out = json_integer_value(v);
	if (json_is_integer(v) && *out >= min && *out <= max)
		return 0;
	snprintf(want, sizeof(want), "a whole number from %lld to %lld", min, max);
	return args__bad(f, key, want);
}

int args__real(const json_t *args, const char *key, double def, double min, double max, double *out,
	       struct fault *f)
{
	const json_t *v = json_object_get(args, key);
	char want[96];

	*out = def;
	if (!v)
		return 0;
	*out = json_number_value(v);
	if (json_is_number(v) && *out >= min && *out <= max)
		return 0;
	snprintf(want, sizeof(want), "a number from %g to %g", min, max);
	return args__bad(f, key, want);
}

int args__flag(const json_t *args, const char *key, bool def, bool *out, struct fault *f)
{
	const json_t *v = json_object_get(args, key);

	*out = def;
	if (!v)
		return 0;
	if (!json_is_boolean(v))
		return args__bad(f, key, "true or false");
	*out = json_is_true(v);
	return 0;
}

int args__strings(const json_t *args, const char *key, const char ***out, size_t *n,
		  struct fault *f)
{
	const json_t *v, *item;
	const char **list;
	char plural[48];
	size_t i;

	*out = NULL;
	*n = 0;
	snprintf(plural, sizeof(plural), "%ss", key);
	v = json_object_get(args, plural);
	if (!v)
		v = json_object_get(args, key);
	if (!v || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0))
		return 0;

	if (!json_is_array(v) && !json_is_string(v))
		return args__bad(f, plural, "an array of strings");
	list = calloc(json_is_array(v) ? json_array_size(v) : 1, sizeof(*list));
	if (!list)
		return fault__set(f, -ENOMEM, "cannot read the arguments", "out of memory");
	for (i = 0; i < (json_is_array(v) ? json_array_size(v) : 1); i++) {
		item = json_is_array(v) ? json_array_get(v, i) : v;
		if (!json_is_string(item) || json_string_length(item) == 0) {
			free(list);
			return args__bad(f, plural, "an array of strings that are not empty");
		}
		list[i] = json_string_value(item);
	}
	*out = list;
	*n = i;
	return 0;
}
