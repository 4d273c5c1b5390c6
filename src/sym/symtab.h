/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The functions that the symbol tables of one module name, from up to four tables (.symtab and
 * .dynsym of the file, of its debug file, of its MiniDebugInfo). Names stay in the files.
 */
#ifndef HOPSCOPE_SYM_SYMTAB_H
#define HOPSCOPE_SYM_SYMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sym/elf_file.h"

#define SYMTAB_TABLES	4
#define SYMTAB_NAME_MAX 8192

struct symtab_entry;

struct symtab {
	struct symtab_entry *entry; /* by address */
	size_t n, room;
	struct {
		const struct elf_file *file;
		const struct elf_section *strings;
	} table[SYMTAB_TABLES];
	size_t n_tables;
	bool complete; /* there is a .symtab among them */
};

struct symtab_hit {
	uint64_t start;
	char name[SYMTAB_NAME_MAX]; /* without "@version" */
};

/*
 * Adds the functions of one table; the file has to outlive *t. At most *budget symbols, which is
 * counted down: -EFBIG when it was not enough. symtab__sort() comes before the first look-up.
 */
int symtab__add(struct symtab *t, const struct elf_file *f, const struct elf_section *table,
		size_t *budget);
void symtab__sort(struct symtab *t);
void symtab__free(struct symtab *t);

/*
 * The function that covers the address. A symbol without size (assembler) reaches to the next
 * symbol or its section's end; one with size never beyond it. Of several at one address: functions
 * before labels, global before weak before local, then the plainest name.
 */
bool symtab__find(const struct symtab *t, uint64_t vaddr, struct symtab_hit *hit);

#endif
