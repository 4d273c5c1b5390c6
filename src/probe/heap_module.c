// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/heap_module.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sym/elf_file.h"
#include "sym/elf_symbols.h"

#define CODE_MAX    4096 /* of a function, that is looked at */
#define PLT_MAX	    65536
#define SECTION_MAX (16u << 20)

/* Slots of the global offset table with functions of this file: what a PLT entry jumps to. */
struct slot {
	uint64_t vaddr;
	uint64_t function; /* 0: not in this file */
};

struct slots {
	struct slot *slot;
	size_t n;
};

/* Another file may come first at run time; then its functions are probed, and do as well. */
static int slots__add(struct slots *s, const struct elf_file *f, const struct elf_section *dynsym,
		      const Elf64_Rela *r)
{
	struct elf_sym sym;
	struct slot *more;

	if (ELF64_R_TYPE(r->r_info) != R_X86_64_JUMP_SLOT &&
	    ELF64_R_TYPE(r->r_info) != R_X86_64_GLOB_DAT)
		return 0;
	if (elf_file__syms(f, dynsym, ELF64_R_SYM(r->r_info), &sym, 1) || !sym.shndx)
		return 0;
	more = realloc(s->slot, (s->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->slot = more;
	s->slot[s->n++] = (struct slot){.vaddr = r->r_offset, .function = sym.value};
	return 0;
}

static int slots__read(struct slots *s, const struct elf_file *f)
{
	const struct elf_section *dynsym = elf_file__section_of_type(f, SHT_DYNSYM);
	int err = 0;

	for (size_t i = 0; dynsym && i < f->n_sec && !err; i++) {
		uint8_t *bytes = NULL;
		size_t size = 0;

		if (f->sec[i].type != SHT_RELA ||
		    elf_file__contents(f, &f->sec[i], SECTION_MAX, &bytes, &size))
			continue;
		for (size_t at = 0; at + sizeof(Elf64_Rela) <= size && !err;
		     at += sizeof(Elf64_Rela)) {
			Elf64_Rela r;

			memcpy(&r, bytes + at, sizeof(r));
			err = slots__add(s, f, dynsym, &r);
		}
		free(bytes);
	}
	return err;
}

/* Through a PLT entry: [endbr64] [bnd] jmp *slot(%rip). */
static uint64_t behind_plt(const struct elf_file *f, const struct slots *slots, uint64_t vaddr)
{
	uint8_t code[16];
	uint64_t offset, slot;
	int32_t distance;
	size_t at = 0;

	if (!elf_file__offset(f, vaddr, &offset) || elf_file__read(f, offset, code, sizeof(code)))
		return 0;
	if (!memcmp(code, "\xf3\x0f\x1e\xfa", 4))
		at += 4;
	if (code[at] == 0xf2)
		at++;
	if (code[at] != 0xff || code[at + 1] != 0x25)
		return 0;
	memcpy(&distance, code + at + 2, sizeof(distance));
	slot = vaddr + at + 6 + (uint64_t)(int64_t)distance;
	for (size_t i = 0; i < slots->n; i++) {
		if (slots->slot[i].vaddr == slot)
			return slots->slot[i].function;
	}
	return 0;
}

static const struct heap_function *function_at(const struct heap_module *m, uint64_t vaddr)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->functions[i].vaddr == vaddr)
			return &m->functions[i];
	}
	return NULL;
}

/*
 * Is it done by another function that is probed? A bare jump takes the arguments along and returns
 * to our caller. An operator of C++ that first of all calls malloc returns what that returned.
 */
static bool is_passed_on(const struct heap_module *m, const struct elf_file *f,
			 const struct slots *slots, const struct heap_function *fn,
			 const uint8_t *code, size_t size)
{
	bool jumps;
	uint64_t to = placement__passes_to(code, size, fn->vaddr, &jumps);
	const struct heap_function *other;

	if (!to || to == fn->vaddr || (!jumps && !fn->what->cxx))
		return false;
	other = function_at(m, to);
	if (!other)
		other = function_at(m, behind_plt(f, slots, to));
	return other && other != fn &&
	       (other->what->role == HEAP_FREE) == (fn->what->role == HEAP_FREE);
}

/* Symbols of our table that the file defines: one function for each address. */
static int find_functions(struct heap_module *m, int fd)
{
	size_t n;
	const struct allocator_function *table = allocator__table(&n);
	struct elf_symbol *found = calloc(n, sizeof(*found));
	const char **names = calloc(n, sizeof(*names));
	bool has_c = false;
	int err = -ENOMEM;

	m->functions = calloc(n, sizeof(*m->functions));
	if (!found || !names || !m->functions)
		goto out;
	for (size_t i = 0; i < n; i++)
		names[i] = table[i].symbol;
	err = elf_symbols__find(fd, names, n, found);
	if (err < 0)
		goto out;
	err = 0;
	for (size_t i = 0; i < n; i++)
		has_c |= found[i].name && found[i].type != STT_GNU_IFUNC && !table[i].cxx &&
			 table[i].role == HEAP_ALLOC;
	for (size_t i = 0; i < n && has_c; i++) {
		if (!found[i].name || found[i].type == STT_GNU_IFUNC ||
		    function_at(m, found[i].vaddr))
			continue;
		m->functions[m->n++] = (struct heap_function){.what = &table[i],
							      .vaddr = found[i].vaddr,
							      .offset = found[i].offset,
							      .size = found[i].size};
	}
out:
	free(found);
	free(names);
	return err;
}

/* The function's code; its size, 0: it cannot be read. */
static size_t read_code(const struct elf_file *f, const struct heap_function *fn, uint8_t *code)
{
	size_t size = fn->size && fn->size < CODE_MAX ? fn->size : CODE_MAX;

	if (!fn->size)
		size = 64; /* not told: only what is at the entry is certain */
	return elf_file__read(f, fn->offset, code, size) ? 0 : size;
}

static int place(struct heap_module *m, const struct elf_file *f)
{
	struct slots slots = {0};
	uint8_t code[CODE_MAX];
	bool *drop = calloc(m->n + 1, sizeof(*drop));
	size_t kept = 0;
	int err;

	if (!drop)
		return -ENOMEM;
	err = slots__read(&slots, f);
	for (size_t i = 0; i < m->n && !err; i++) {
		struct heap_function *fn = &m->functions[i];
		size_t size = read_code(f, fn, code);

		if (!fn->what) /* they all have; clang-tidy cannot know */
			continue;
		drop[i] = is_passed_on(m, f, &slots, fn, code, size);
		placement__find(code, size, fn->vaddr, fn->what->n_args,
				fn->what->role != HEAP_FREE, &fn->at);
		fn->jumps_out = fn->size != size || placement__jumps_out(code, size, fn->vaddr);
	}
	for (size_t i = 0; i < m->n && !err; i++) {
		if (!drop[i])
			m->functions[kept++] = m->functions[i];
	}
	m->n = kept;
	free(drop);
	free(slots.slot);
	return err;
}

static void name_allocator(struct heap_module *m, int fd)
{
	size_t n;
	const char *const *symbols = allocator__markers(&n);
	struct elf_symbol *found = calloc(n, sizeof(*found));

	if (found && elf_symbols__find(fd, symbols, n, found) > 0) {
		for (size_t i = 0; i < n && !m->allocator; i++) {
			if (found[i].name)
				m->allocator = allocator__named_by(symbols[i]);
		}
	}
	free(found);
}

int heap_module__read(struct heap_module *m, int fd)
{
	struct elf_file f;
	int err = elf_file__open(&f, fd);

	if (err)
		return err;
	m->is_go = elf_file__is_go(&f);
	m->is_static = elf_file__is_static(&f);
	m->has_symbols = elf_file__section_of_type(&f, SHT_SYMTAB) ||
			 elf_file__section_of_type(&f, SHT_DYNSYM);
	if (elf_file__is_probed(&f))
		err = find_functions(m, fd);
	if (!err && m->n) {
		err = place(m, &f);
		name_allocator(m, fd);
	}
	elf_file__close(&f);
	return err;
}

void heap_module__free(struct heap_module *m)
{
	free(m->path);
	free(m->functions);
	memset(m, 0, sizeof(*m));
}
