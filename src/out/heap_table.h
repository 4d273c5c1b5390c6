/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A heap profile for a terminal. */
#ifndef HOPSCOPE_OUT_HEAP_TABLE_H
#define HOPSCOPE_OUT_HEAP_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "model/heap.h"

struct heap_table_opts {
	unsigned int width;    /* columns to fit into; 0: names are never shortened */
	bool color;	       /* bold header */
	enum heap_sort sort;   /* 0: by bytes */
	unsigned int max_rows; /* sites; 0: all. What is left out is said in a line of its own */
	unsigned int frames;   /* callers shown below each site; 0: all */
	bool grown;	       /* the share is of what grew */
};

/* Sites without the allocator's own frames (heap_profile__condense()). Flushes. 0, -ENOMEM or -EIO.
 */
int heap_table__print(FILE *out, const struct heap_profile *p, const struct heap_table_opts *opts);

#endif
