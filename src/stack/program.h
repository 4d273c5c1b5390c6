/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs that say one thing and end: versions. */
#ifndef HOPSCOPE_STACK_PROGRAM_H
#define HOPSCOPE_STACK_PROGRAM_H

#include <stddef.h>

/*
 * Runs it and reads the head of what it prints on stdout. 0; -ENOENT: no such program; -ETIMEDOUT
 * (it is killed then); -ECHILD: it failed; or negative errno.
 */
int program__output(char *const *argv, char *buf, size_t size, unsigned int timeout_ms);

#endif
