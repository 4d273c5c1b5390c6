/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Source lines from .debug_line, DWARF 2 to 5, without .debug_info: the line programs tell all that
 * is wanted, and unlike libdw nothing here opens files that the file names (.dwo, .dwz,
 * debuginfod).
 */
#ifndef HOPSCOPE_SYM_LINES_H
#define HOPSCOPE_SYM_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sym/elf_file.h"

#define LINES_FILE_MAX 4096

struct lines;

/*
 * Reads the tables and notes which addresses each part of them tells of. -ENOENT: there are none.
 * *budget: bytes it may take, counted down; -EFBIG when that was not enough.
 */
int lines__open(struct lines **out, const struct elf_file *f, size_t *budget);
void lines__close(struct lines *l);

/* The line with this address, as linked; file is cut at LINES_FILE_MAX - 1. */
bool lines__find(const struct lines *l, uint64_t vaddr, char file[LINES_FILE_MAX],
		 unsigned int *line);

#endif
