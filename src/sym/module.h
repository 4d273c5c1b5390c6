/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One file that a process has mapped, and all that names addresses in it. */
#ifndef HOPSCOPE_SYM_MODULE_H
#define HOPSCOPE_SYM_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "out/text.h"
#include "sym/elf_file.h"
#include "sym/gopclntab.h"
#include "sym/lines.h"
#include "sym/symtab.h"

/* What all modules together may still take: hostile files cannot ask for more. */
struct module_budget {
	size_t modules;
	size_t symbols;
	size_t bytes; /* line tables, MiniDebugInfo */
};

enum module_state {
	MODULE_NO_FILE = 1, /* anonymous memory, [heap], [vsyscall] */
	MODULE_CLOSED,	    /* `err` says why */
	MODULE_NOT_ELF,
	MODULE_OPEN,
};

struct module {
	uint32_t index;
	char *path; /* in the process's view; owned */
	const char *shown;
	uint32_t major, minor;
	uint64_t inode;
	bool deleted;

	enum module_state state;
	int err;
	int fd;
	struct elf_file elf;

	/* from here on when first asked */
	bool loaded, lines_tried, has_go, has_debug, too_large;
	int debug_fd, mini_fd;
	struct elf_file debug, mini;
	struct symtab symtab;
	struct gopclntab go;
	struct lines *lines;

	uint64_t unknown; /* different addresses that got no name */
};

struct module_name {
	uint64_t start;
	char function[SYMTAB_NAME_MAX];
	char source[LINES_FILE_MAX]; /* "": not known */
	unsigned int line;
};

/* Takes the fd over; negative errno: why there is none. NULL: out of memory. */
struct module *module__new(const char *path, enum module_state state, int fd);
void module__free(struct module *m);

/* root_fd: where to look for debug files. Demangled. */
bool module__find(struct module *m, int root_fd, struct module_budget *budget, uint64_t vaddr,
		  struct module_name *out);

/* Why names are missing; adds nothing if none are. Printable. */
void module__note(const struct module *m, struct text *out);

#endif
