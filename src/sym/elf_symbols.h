/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a file defines symbols of given names: for probes. */
#ifndef HOPSCOPE_SYM_ELF_SYMBOLS_H
#define HOPSCOPE_SYM_ELF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_symbol {
	const char *name; /* as asked for; NULL: the file does not define it */
	uint64_t vaddr;	  /* as linked */
	uint64_t offset;  /* in the file: what a uprobe takes */
	uint64_t size;	  /* 0: not told */
	uint8_t type;	  /* STT_FUNC, STT_GNU_IFUNC (the resolver's address!), STT_NOTYPE */
	uint8_t bind;	  /* STB_GLOBAL, STB_WEAK, STB_LOCAL (.symtab only) */
	bool dynamic;	  /* from .dynsym */
};

/*
 * out[i] is for names[i]. Only code: in an executable section, FUNC, IFUNC or NOTYPE. Of several by
 * one name: .dynsym before .symtab, the default version before others, global before local. Aliases
 * are entries with the same offset. Returns how many were found, or negative errno: -ENOEXEC is not
 * an ELF file, -EFBIG has tables beyond all bounds.
 */
int elf_symbols__find(int fd, const char *const *names, size_t n, struct elf_symbol *out);

/* "libc.so.6" from DT_SONAME; false: none. */
struct elf_file;
bool elf_symbols__soname(const struct elf_file *f, char *buf, size_t size);

#endif
