/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A heap profile as JSON, one object a line:
 *
 * {schema, kind: "heap", final, source, label, sample_bytes, target, allocator, started,
 * duration_s, grown_s, totals: {bytes, blocks, bytes_error, grown_bytes, unattributed_bytes,
 * resident_bytes}, counters: {...}, overhead: {hits, ns, budget, stopped}, notes: [text],
 * [notes_lost,] sites:
 * [{bytes, blocks, label, bytes_error, grown_bytes, grown_blocks, total_bytes, total_blocks, age_s,
 * pid, comm, truncated, broken, stack: [{function, module, offset, address, source, line}]}]}
 *
 * Addresses are text ("0x7f..."): JSON's readers keep 53 bits of a number. Not known: null;
 * so are totals.bytes and its like when the process ended before anything could be read.
 */
#ifndef HOPSCOPE_OUT_HEAP_JSON_H
#define HOPSCOPE_OUT_HEAP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "model/heap.h"

#define HEAP_SCHEMA 1

/* One line, flushed. `final`: it covers the whole watch. 0, -ENOMEM or -EIO. */
int heap_json__print(FILE *out, const struct heap_profile *p, bool final);

/*
 * Reads a profile from a file of such lines: the last one, or line N where path ends in "@N" and
 * is not itself a file. Nothing in the file is trusted. 0, or negative errno with err filled in;
 * the caller frees with heap_profile__free().
 */
int heap_json__load(const char *path, struct heap_profile *p, char *err, size_t err_len);
/* The same from an open file; line 0: the last. */
int heap_json__read(FILE *in, unsigned long line, struct heap_profile *p, char *err,
		    size_t err_len);

#endif
