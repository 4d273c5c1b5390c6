/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that a user names, written by a process with privileges: no link that others planted is
 * followed, and what is there already is not lost to a half.
 */
#ifndef HOPSCOPE_OUT_OUTFILE_H
#define HOPSCOPE_OUT_OUTFILE_H

#include <stdio.h>

/*
 * For writing in place, now or later (when nothing more may be opened): made if it is not there,
 * not emptied if it is. A link is followed to what is no file (/dev/stderr, /dev/fd/N). A
 * descriptor of the caller's, or negative errno. -ELOOP: a link to a file; in a directory that all
 * may write to: -EMLINK: it has other names, -EPERM: it is someone else's.
 */
int outfile__open(const char *path);

/* Why it was refused. Static memory. */
const char *outfile__why(int err);

/* Writes a file's content. 0 or negative errno. */
typedef int (*outfile_fn)(FILE *out, void *ctx);
/* Calls fn and flushes. 0 or negative errno, what the write said rather than -EIO. */
int outfile__write(FILE *out, outfile_fn fn, void *ctx);

/*
 * Whole, or not at all: written beside it and renamed, when `fn` is done. What is no file is
 * written to as it is. 0, or negative errno (as above; or what fn returned), and what was there
 * before is still there.
 */
int outfile__replace(const char *path, outfile_fn fn, void *ctx);
/* The same in a directory that is open, whatever is there under that name. */
int outfile__replace_at(int dir, const char *name, outfile_fn fn, void *ctx);

#endif
