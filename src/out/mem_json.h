/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The snapshot line of `mem --json`, as docs/session.md defines it. */
#ifndef HOPSCOPE_OUT_MEM_JSON_H
#define HOPSCOPE_OUT_MEM_JSON_H

#include <stdbool.h>
#include <stdio.h>

#include "model/memory.h"

/* Writes it as one line and flushes. 0, -ENOMEM or -EIO. */
int mem_json__print(FILE *out, const struct memory_snapshot *s, bool final);

#endif
