/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the running kernel and this process's privileges allow: tried, never read off a version. */
#ifndef HOPSCOPE_PROBE_FEATURES_H
#define HOPSCOPE_PROBE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

enum feature_state {
	FEATURE_OK = 1,
	FEATURE_DEGRADED = 2, /* works, with less; the advice says what is lost */
	FEATURE_MISSING = 3,  /* nothing can be measured without it, or a command does not work */
};

struct feature {
	const char *name;
	enum feature_state state;
	char found[160];
	char advice[256]; /* empty: nothing to do */
};

#define FEATURES_MAX 40

/* What the rows mean for a command. */
struct feature_command {
	const char *name;
	enum feature_state state; /* FEATURE_MISSING: it does not work here */
	char why[256];		  /* empty: it works, with everything */
};

enum {
	FEATURE_TRACE = 0,
	FEATURE_MEM,
	FEATURE_PAGES,
	FEATURE_ALLOCS,
	FEATURE_GATEWAY,
	FEATURE_COMMANDS
};

struct features {
	struct feature rows[FEATURES_MAX];
	size_t n;
	struct feature_command commands[FEATURE_COMMANDS];
};

/* Loads every command's programs, attaches the wire probe for a moment; leaves nothing behind. */
void features__probe(struct features *f);

/* trace and bench work. */
bool features__usable(const struct features *f);

#endif
