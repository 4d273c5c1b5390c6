/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Unwind tables of ELF files, from .eh_frame (or .debug_frame). */
#ifndef HOPSCOPE_SYM_TABLE_H
#define HOPSCOPE_SYM_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "stack_walk.h"

#define UNWIND_SEGMENTS 8 /* executable segments of a file; linkers make one */

/* Where the loader puts a part of the file. */
struct unwind_segment {
	uint64_t offset, vaddr, size;
};

struct unwind_table {
	uint64_t base;		 /* file's virtual address of pc 0 */
	struct unwind_row *rows; /* rising, adjacent equal rules merged; owned */
	size_t n;
	struct unwind_segment segments[UNWIND_SEGMENTS];
	size_t n_segments;
};

/*
 * Reads the file behind fd. A file without unwind information (Go), or of a machine whose rules
 * rows cannot say, gives n = 0: frame pointers. Gaps between functions become UNWIND_FP, what a row
 * cannot say UNWIND_NONE. 0, or negative errno: -ENOEXEC not ELF, -ENOMEM, -EFBIG.
 */
int unwind_table__read(int fd, struct unwind_table *t);
void unwind_table__free(struct unwind_table *t);

/*
 * For a mapping of `len` bytes of the file from `offset` at `start`: what to take from an address
 * to get a row's pc. -ENOENT: no executable segment is there.
 */
int unwind_table__bias(const struct unwind_table *t, uint64_t start, uint64_t offset, uint64_t len,
		       uint64_t *bias);

/* The row for a pc of the table; NULL: before the first. The host's twin of the BPF search. */
const struct unwind_row *unwind_table__row(const struct unwind_table *t, uint32_t pc);

#endif
