/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where an ELF file made by Go has its function table, and at what address its text begins. */
#ifndef HOPSCOPE_SYM_GO_FILE_H
#define HOPSCOPE_SYM_GO_FILE_H

#include "sym/elf_file.h"
#include "sym/gopclntab.h"

/* -ENOENT: none, or none that can be placed. The file has to outlive *t. */
int go_file__table(const struct elf_file *f, struct gopclntab *t);

#endif
