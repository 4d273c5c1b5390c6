/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A file that a command writes, named on its command line: opened (out/outfile.h) before privileges
 * are given up, after which nothing can be opened or renamed, and written when there is something.
 */
#ifndef HOPSCOPE_OUT_OUTPUT_H
#define HOPSCOPE_OUT_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "out/outfile.h"

struct output {
	const char *path; /* NULL: not wanted; "-": standard output */
	FILE *file;	  /* NULL: not open */
	bool begun;	  /* it was emptied, and has what is new */
};

/*
 * Opens it, before it takes long to get there; what it holds stays until output__write(). A
 * symbolic link to a file is refused: it may be another user's, and we are root. So is what
 * standard output goes to. 0 (also where it is not wanted) or negative errno after a message.
 */
int output__open(struct output *o);
/*
 * Puts what fn writes in the place of what was there, and behind it what is written later. What
 * cannot be written whole is taken back. 0 or negative errno after a message.
 */
int output__write(struct output *o, outfile_fn fn, void *ctx);
/* 0 or negative errno after a message. */
int output__close(struct output *o);
/* "-" or /dev/stdout. NULL: no. */
bool output__is_stdout(const char *path);
/* They would overwrite each other. */
bool output__same_file(FILE *a, FILE *b);

#endif
