/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where reports are put: a file is whole and new, or as it was before. */
#ifndef HOPSCOPE_BENCH_OUTDIR_H
#define HOPSCOPE_BENCH_OUTDIR_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct outdir {
	char path[PATH_MAX];
	int fd; /* -1: not open */
};

/* Creates the directory where it is not there. 0 or negative errno after log_fail(). */
int outdir__open(struct outdir *o, const char *path);
void outdir__close(struct outdir *o);

/* Lets `render` write the file, and puts it in place. 0 or negative errno after log_fail(). */
typedef int (*outdir_render_fn)(FILE *f, const json_t *session);
int outdir__write(struct outdir *o, const char *name, outdir_render_fn render,
		  const json_t *session);
/*
 * Writes session.json, report.md and its figures, and one of the first two (`json`) to standard
 * output. 0 or negative errno after log_fail().
 */
int outdir__report(struct outdir *o, const json_t *session, bool json);

#endif
