/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages to people: always stderr, always what failed, why, what to do. Data goes to stdout. */
#ifndef HOPSCOPE_LOG_H
#define HOPSCOPE_LOG_H

#include <stdbool.h>

/* Exit codes of every command. */
enum exit_code {
	EXIT_PASS = 0,
	EXIT_RUNTIME = 1,
	EXIT_USAGE = 2,
	EXIT_TARGET_FAILED = 3,
	EXIT_UNDECIDED = 4, /* INCONCLUSIVE, NO DATA or INVALID, and none failed */
};

extern bool log_quiet;	 /* -q: no progress */
extern bool log_verbose; /* -v: libbpf's messages and ours */

/* "hopscope: ..." on stderr. Returns `err` (a negative errno), so that a caller can return it. */
int log_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Progress of long work: silent with -q. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
