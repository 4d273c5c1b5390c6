/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What failed and why, in two strings: it ends up in an "error" event for the parent. */
#ifndef HOPSCOPE_LOAD_FAULT_H
#define HOPSCOPE_LOAD_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct fault {
	int err;
	char what[160];
	char why[320];
};

/* Sets the fault; `why` is a format. Returns err, so that a caller can return it. */
int fault__set(struct fault *f, int err, const char *what, const char *why, ...)
	__attribute__((format(printf, 4, 5)));

/* {"event":"error","what":..,"why":..}; NULL: out of memory. */
json_t *fault__event(const struct fault *f);

/*
 * Arguments of a configuration or a command, each checked. A missing key gives the default; a wrong
 * type or a value out of bounds is -EINVAL with the fault set. Strings belong to the object.
 */
int args__string(const json_t *args, const char *key, const char *def, const char **out,
		 struct fault *f);
int args__count(const json_t *args, const char *key, long long def, long long min, long long max,
		long long *out, struct fault *f);
int args__real(const json_t *args, const char *key, double def, double min, double max, double *out,
	       struct fault *f);
int args__flag(const json_t *args, const char *key, bool def, bool *out, struct fault *f);
/*
 * "<key>s": array of strings, or "<key>": one string. *out is an array on the heap of strings of
 * the object, to be freed by the caller; *n is 0 and *out NULL when neither is there.
 */
int args__strings(const json_t *args, const char *key, const char ***out, size_t *n,
		  struct fault *f);

#endif
