/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds .gopclntab, also where a C linker has merged it into other data. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sym/go_file.h"

#define RELOCATIONS_MAX (64u << 20)
#define SCAN_MAX	(256u << 20)
/* Things that look like a table and are none. */
#define TRIES_MAX 16
/* Go aligns the table to 32 bytes. */
#define ALIGN 32

/* The value that the dynamic linker writes to an address. */
static bool relocated(const struct elf_file *f, uint64_t vaddr, uint64_t *value)
{
	Elf64_Rela r[128];

	for (size_t i = 0; f->is64 && i < f->n_sec; i++) {
		const struct elf_section *s = &f->sec[i];

		for (uint64_t at = 0; s->type == SHT_RELA && at < s->size && at < RELOCATIONS_MAX;
		     at += sizeof(r)) {
			size_t n = s->size - at < sizeof(r) ? s->size - at : sizeof(r);

			if (elf_file__read(f, s->offset + at, r, n))
				break;
			for (size_t k = 0; k < n / sizeof(r[0]); k++) {
				if (r[k].r_offset == vaddr && !ELF64_R_SYM(r[k].r_info)) {
					*value = (uint64_t)r[k].r_addend;
					return true;
				}
			}
		}
	}
	return false;
}

/* Does a function begin at the address, and, if asked for, one so named? */
static bool begins(const struct gopclntab *t, uint64_t vaddr, const char *prefix)
{
	struct gopclntab_func *func = malloc(sizeof(*func));
	bool ok = func && gopclntab__find(t, vaddr, func) && func->entry == vaddr &&
		  !strncmp(func->name, prefix, strlen(prefix));

	free(func);
	return ok;
}

/*
 * In a PIE the dynamic linker writes the start of the text into the header: the relocation has it.
 * Since Go 1.26 nobody does. The start of .text is right if the program's entry is then Go's own
 * (_rt0_amd64_linux), that is, no C linker put anything before it.
 */
static bool place(const struct elf_file *f, struct gopclntab *t, uint64_t vaddr)
{
	const struct elf_section *text;

	if (!t->text_at || t->text)
		return true;
	if (relocated(f, vaddr + t->text_at, &t->text))
		return begins(t, t->text, "");
	text = elf_file__section(f, ".text");
	t->text = text ? text->addr : 0;
	return text && begins(t, f->entry, "_rt0_");
}

/* Is it at this offset in the section? */
static bool at(const struct elf_file *f, const struct elf_section *s, uint64_t offset,
	       struct gopclntab *t)
{
	struct gopclntab_source src = {
		.fd = f->fd,
		.offset = s->offset + offset,
		.size = s->size - offset,
	};

	return !gopclntab__open(t, &src) && place(f, t, s->addr + offset);
}

/* Looks for the table's first eight bytes. */
static bool scan(const struct elf_file *f, const struct elf_section *s, struct gopclntab *t)
{
	static const size_t part = 64 << 10;
	uint8_t *buf = malloc(part);
	bool found = false;
	int tries = 0;

	for (uint64_t from = 0; buf && !found && from < s->size && from < SCAN_MAX; from += part) {
		size_t n = s->size - from < part ? (size_t)(s->size - from) : part;

		if (elf_file__read(f, s->offset + from, buf, n))
			break;
		for (size_t i = 0; !found && i + 8 <= n && tries < TRIES_MAX; i += ALIGN) {
			uint32_t magic;

			memcpy(&magic, buf + i, sizeof(magic));
			if (magic < 0xfffffff0 || buf[i + 4] || buf[i + 5])
				continue;
			found = at(f, s, from + i, t);
			tries++;
		}
	}
	free(buf);
	return found;
}

static bool usable(const struct elf_section *s)
{
	return s && s->type == SHT_PROGBITS && !(s->flags & SHF_COMPRESSED);
}

int go_file__table(const struct elf_file *f, struct gopclntab *t)
{
	static const char *const own[] = {".gopclntab", ".data.rel.ro.gopclntab"};
	static const char *const merged[] = {".data.rel.ro", ".rodata"};

	for (size_t i = 0; i < 2; i++) {
		const struct elf_section *s = elf_file__section(f, own[i]);

		if (usable(s) && at(f, s, 0, t))
			return 0;
	}
	if (!elf_file__is_go(f))
		return -ENOENT;
	for (size_t i = 0; i < 2; i++) {
		const struct elf_section *s = elf_file__section(f, merged[i]);

		if (usable(s) && scan(f, s, t))
			return 0;
	}
	return -ENOENT;
}
