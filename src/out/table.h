/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The terminal table of `hopscope trace`. */
#ifndef HOPSCOPE_OUT_TABLE_H
#define HOPSCOPE_OUT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "model/snapshot.h"
#include "out/text.h"

struct table_opts {
	unsigned int width;  /* columns to fit into; 0: names are never shortened */
	unsigned int height; /* lines of the terminal; 0: it is none. For hops only */
	bool color;	     /* bold header */
	enum snapshot_order sort;
	unsigned int max_rows; /* 0: all. What is left out is said in a line of its own */
};

/* Size and colour of what `out` is: a terminal's, bold unless NO_COLOR; a file: 0, plain. */
void table_opts__detect(struct table_opts *opts, FILE *out);

/*
 * The two accounting identities, a line of reasons where anything was lost, not parsed or passed
 * over, and what is known of connections that were encrypted or not read.
 */
void table__add_accounting(struct text *out, const struct snapshot *s);

/* Header, a row a series, and the accounting. Flushes. 0, -ENOMEM or -EIO. */
int table__print(FILE *out, const struct snapshot *s, const struct table_opts *opts);

#endif
