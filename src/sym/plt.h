/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stubs of the procedure linkage table: "malloc@plt". x86-64. */
#ifndef HOPSCOPE_SYM_PLT_H
#define HOPSCOPE_SYM_PLT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sym/elf_file.h"

/* The stub with this address, as linked. */
bool plt__find(const struct elf_file *f, uint64_t vaddr, uint64_t *start, char *name, size_t size);

#endif
