/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A stub jumps through a slot; the slot's relocation has the name. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "sym/plt.h"

#define CHUNK		256
#define RELOCATIONS_MAX (1u << 20)
#define NO_INDEX	UINT64_MAX

/* .plt, .plt.sec, .plt.got */
static bool is_plt(const struct elf_file *f, const struct elf_section *s)
{
	char name[16];

	return s && f->shstrndx < f->n_sec &&
	       elf_file__string(f, &f->sec[f->shstrndx], s->name, name, sizeof(name)) &&
	       (!strcmp(name, ".plt") || !strncmp(name, ".plt.", 5));
}

/*
 * What the stub's instructions tell: the address of its slot (jmp *disp32(%rip)), or, for lazy
 * stubs that only push it, the number of its relocation.
 */
static bool decode(const uint8_t *code, size_t n, uint64_t start, uint64_t *slot, uint64_t *index)
{
	int32_t disp;
	uint32_t pushed;

	for (size_t i = 0; i + 6 <= n; i++) {
		if (code[i] != 0xff || code[i + 1] != 0x25)
			continue;
		memcpy(&disp, code + i + 2, sizeof(disp));
		*slot = start + i + 6 + (uint64_t)(int64_t)disp;
		return true;
	}
	/* endbr64; push imm32; (bnd) jmp */
	if (n >= 9 && !memcmp(code, "\xf3\x0f\x1e\xfa\x68", 5)) {
		memcpy(&pushed, code + 5, sizeof(pushed));
		*index = pushed;
		return true;
	}
	return false;
}

static bool name_of(const struct elf_file *f, const struct elf_section *relocations,
		    const Elf64_Rela *r, char *name, size_t size)
{
	uint64_t i = ELF64_R_SYM(r->r_info);
	const struct elf_section *syms;
	struct elf_sym sym;

	if (!i || relocations->link >= f->n_sec)
		return false;
	syms = &f->sec[relocations->link];
	if (i >= elf_file__sym_count(f, syms) || syms->link >= f->n_sec ||
	    elf_file__syms(f, syms, i, &sym, 1))
		return false;
	if (!elf_file__string(f, &f->sec[syms->link], sym.name, name, size - 4))
		return false;
	strcat(name, "@plt");
	return true;
}

/* By slot, or by index into the relocations of the .plt. */
static bool search(const struct elf_file *f, const struct elf_section *s, uint64_t slot,
		   uint64_t index, char *name, size_t size)
{
	uint64_t count = s->size / sizeof(Elf64_Rela);
	Elf64_Rela r[CHUNK];

	for (uint64_t i = 0; i < count && i < RELOCATIONS_MAX; i += CHUNK) {
		size_t part = count - i < CHUNK ? (size_t)(count - i) : CHUNK;

		if (elf_file__read(f, s->offset + i * sizeof(r[0]), r, part * sizeof(r[0])))
			return false;
		for (size_t k = 0; k < part; k++)
			if (index == NO_INDEX ? r[k].r_offset == slot : i + k == index)
				return name_of(f, s, &r[k], name, size);
	}
	return false;
}

bool plt__find(const struct elf_file *f, uint64_t vaddr, uint64_t *start, char *name, size_t size)
{
	const struct elf_section *s = elf_file__section_at(f, vaddr), *lazy;
	uint64_t slot = 0, index = NO_INDEX, offset, entry;
	uint8_t code[16];

	if (!f->is64 || f->machine != EM_X86_64 || !is_plt(f, s))
		return false;
	entry = s->entsize == 8 ? 8 : 16;
	*start = vaddr - (vaddr - s->addr) % entry;
	if (!elf_file__offset(f, *start, &offset) || elf_file__read(f, offset, code, entry) ||
	    !decode(code, entry, *start, &slot, &index))
		return false;
	lazy = elf_file__section(f, ".rela.plt");
	if (lazy && lazy->type == SHT_RELA && search(f, lazy, slot, index, name, size))
		return true;
	for (size_t i = 0; i < f->n_sec && index == NO_INDEX; i++)
		if (f->sec[i].type == SHT_RELA && search(f, &f->sec[i], slot, index, name, size))
			return true;
	return false;
}
