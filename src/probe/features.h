/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the running kernel and this process's privileges allow: tried, never read off a version. */
#ifndef HOPSCOPE_PROBE_FEATURES_H
#define HOPSCOPE_PROBE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

enum feature_state {
	FEATURE_OK = 1,
	FEATURE_DEGRADED = 2, /* works, with less; the advice says what is lost */
	FEATURE_MISSING = 3,  /* nothing can be measured without it */
};

struct feature {
	const char *name;
	enum feature_state state;
	char found[160];
	char advice[256]; /* empty: nothing to do */
};

#define FEATURES_MAX 32

struct features {
	struct feature rows[FEATURES_MAX];
	size_t n;
};

/* Loads and attaches the wire programs for a moment among the rest; leaves nothing behind. */
void features__probe(struct features *f);

/* No row is FEATURE_MISSING. */
bool features__usable(const struct features *f);

#endif
