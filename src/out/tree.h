/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Critical paths, as `hopscope trace --tree` shows them. */
#ifndef HOPSCOPE_OUT_TREE_H
#define HOPSCOPE_OUT_TREE_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "model/critical_path.h"
#include "model/snapshot.h"
#include "out/table.h"

/* A tree a route, what could not be linked and why, and the accounting. Flushes. 0, -ENOMEM or
 * -EIO. */
int tree__print(FILE *out, const struct critical_paths *paths, const struct snapshot *s,
		const struct table_opts *opts);

/* "critical_paths" of a session and of `trace --tree --json`; NULL: out of memory. */
json_t *session__critical_paths(const struct critical_paths *paths);
/* "calls": how they were linked, or why not. */
json_t *session__calls(const struct critical_paths *paths, const struct snapshot *s);
/* The snapshot's line with both. 0, -ENOMEM or -EIO. */
int tree__print_json(FILE *out, const struct critical_paths *paths, const struct snapshot *s,
		     bool final);

#endif
