/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs that say one thing and end: versions. */
#ifndef HOPSCOPE_STACK_PROGRAM_H
#define HOPSCOPE_STACK_PROGRAM_H

#include <limits.h>
#include <stddef.h>

/*
 * Runs it and reads the head of what it prints on stdout. 0; -ENOENT: no such program; -ETIMEDOUT
 * (it is killed then); -ECHILD: it failed; or negative errno.
 */
int program__output(char *const *argv, char *buf, size_t size, unsigned int timeout_ms);
/* The same of what it prints on stdout and stderr, also when it failed (-ECHILD). */
int program__output_all(char *const *argv, char *buf, size_t size, unsigned int timeout_ms);
/*
 * Where a program is: in PATH, or where Debian has daemons and a plain user's PATH does not look.
 * 0 or -ENOENT.
 */
int program__find(const char *name, char path[PATH_MAX]);

#endif
