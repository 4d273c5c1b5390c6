/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small files and paths: run state, configurations, cgroup files, log tails. */
#ifndef HOPSCOPE_STACK_FILE_H
#define HOPSCOPE_STACK_FILE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* snprintf() into a path buffer of PATH_MAX bytes. 0, or -ENAMETOOLONG. */
int path__format(char path[PATH_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The part after the last '/'. */
const char *path__name(const char *path);

/* Creates (O_EXCL) and writes a file of mode 0600. 0 or negative errno. */
int file__create(const char *path, const char *text);
/* Writes to a file that exists (a cgroup's). 0 or negative errno. */
int file__write(const char *path, const char *text);
/* Reads the head of a file as a string. Its length, or negative errno. */
int file__read(const char *path, char *buf, size_t size);

/* The last `lines` lines of a log file; "" when there is none. Returns buf. */
const char *file__tail(const char *path, int lines, char *buf, size_t size);

/* Removes a directory and all in it, follows no symbolic link, crosses no mount. 0 or -errno. */
int tree__remove(const char *path);

#endif
