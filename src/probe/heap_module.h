/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The allocator's functions in one file that processes have mapped, and where to probe them. */
#ifndef HOPSCOPE_PROBE_HEAP_MODULE_H
#define HOPSCOPE_PROBE_HEAP_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "probe/allocators.h"
#include "probe/placement.h"

struct heap_function {
	const struct allocator_function *what;
	uint64_t vaddr, offset, size;
	struct placement at;
	bool jumps_out; /* to another function, which may be one of these */
	uint16_t id;	/* among all functions, for cookies and sites */
};

struct heap_module {
	uint32_t major, minor; /* device of the file */
	uint64_t inode;
	off_t size; /* with the time: inode numbers come again, and files are written anew */
	struct timespec mtime;
	char *path; /* as the process sees it */
	struct heap_function *functions;
	size_t n;
	const char *allocator; /* "glibc"; NULL: nothing says so */
	bool is_go, is_static, has_symbols;
};

/*
 * Reads the file behind fd. Aliases at one address are one function; one that only jumps to
 * another is not there, and neither is an operator of C++ that calls malloc. 0 or negative errno;
 * a file without an allocator gives n = 0.
 */
int heap_module__read(struct heap_module *m, int fd);
void heap_module__free(struct heap_module *m);

#endif
