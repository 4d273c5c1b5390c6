/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The terminal table of `hopscope mem`, and what it found. */
#ifndef HOPSCOPE_OUT_MEM_TABLE_H
#define HOPSCOPE_OUT_MEM_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "model/memory.h"
#include "out/text.h"

struct mem_table_opts {
	unsigned int width;  /* columns to fit into; 0: all columns, names in full */
	unsigned int height; /* lines of the terminal; 0: as many as it takes */
	bool color;	     /* bold header and findings */
	bool redraw;	     /* in place: begins at the top of the screen */
	enum memory_order sort;
	unsigned int max_rows; /* 0: all. What is left out is said in a line of its own */
};

/* What `out` is: a terminal's size, bold unless NO_COLOR; a file: 0, plain. */
void mem_table_opts__detect(struct mem_table_opts *opts, FILE *out);

/* Header, a row a container, a line a finding. `final`: also why each verdict is what it is. */
int mem_table__print(FILE *out, const struct memory_snapshot *s, const struct mem_table_opts *opts,
		     bool final);

/* The history as `width` blocks: means over equal times, between its least and its most. */
void mem_table__sparkline(struct text *t, const struct memory_container *c, size_t width);

#endif
