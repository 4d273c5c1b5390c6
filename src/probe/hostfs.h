/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files of the host, wherever that is seen: "/" or a directory such as /host. Absolute symbolic
 * links in it lead to what they name on the host (openat2, Linux 5.6; without it they do not
 * resolve below another root than "/").
 */
#ifndef HOPSCOPE_PROBE_HOSTFS_H
#define HOPSCOPE_PROBE_HOSTFS_H

#include <stdbool.h>

#include <jansson.h>

#define HOSTFS_MAX_FILE	   (1 << 20) /* a larger one is not read */
#define HOSTFS_MAX_ENTRIES 20000     /* of a directory; further ones are not looked at */

/* A descriptor of the root ("" or NULL: "/"), or negative errno. */
int hostfs__open_root(const char *root);

/* Opens `path` (absolute, as on the host) for reading, without waiting. Negative errno. */
int hostfs__open(int root, const char *path, int flags);

/* A regular file that holds one JSON value; the caller owns it. NULL: none, or not that. */
json_t *hostfs__json(int root, const char *path);

/* Names in a directory, "." and ".." left out, until `fn` says true. What it said last. */
typedef bool (*hostfs_fn)(void *ctx, const char *name);
bool hostfs__each(int root, const char *dir, hostfs_fn fn, void *ctx);

#endif
