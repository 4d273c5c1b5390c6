/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Go's own table of functions, .gopclntab, which stays when a binary is stripped: the runtime needs
 * it. Layouts of Go 1.2, 1.16, 1.18 and 1.20 on (runtime/symtab.go, debug/gosym/pclntab.go), in
 * this machine's byte order.
 */
#ifndef HOPSCOPE_SYM_GOPCLNTAB_H
#define HOPSCOPE_SYM_GOPCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the table is: in memory, or in a file from `offset` on. */
struct gopclntab_source {
	const uint8_t *mem; /* NULL: in fd */
	int fd;
	uint64_t offset, size;
};

struct gopclntab {
	struct gopclntab_source src;
	int version; /* 2, 16, 18, 20: the Go 1.x that brought the layout */
	uint8_t quantum, ptr;
	uint64_t n; /* functions */
	/*
	 * What entries are relative to (18, 20). The header's is filled in by the dynamic linker
	 * in a PIE, and unused since Go 1.26: 0 means that the caller has to find it.
	 */
	uint64_t text;
	uint64_t text_at; /* where the header holds it, in the table; 0: nowhere */
	uint64_t names, cus, files, pcs, funcs;
};

struct gopclntab_func {
	uint64_t entry, end;
	char name[1024];
	char file[1024]; /* "": not told */
	unsigned int line;
};

/* -ENOEXEC: no such table, or of a layout that is not known. */
int gopclntab__open(struct gopclntab *t, const struct gopclntab_source *src);

/* The function with this address, as linked, and the source line. */
bool gopclntab__find(const struct gopclntab *t, uint64_t pc, struct gopclntab_func *out);

#endif
