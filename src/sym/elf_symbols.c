/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks names up in .dynsym and .symtab: one pass over each, names by binary search. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sym/elf_file.h"
#include "sym/elf_symbols.h"

#define STRINGS_MAX (512u << 20)
#define SYMS_MAX    (16u << 20)
#define CHUNK	    512

#define VERSION_HIDDEN 0x8000 /* foo@V, where the default is foo@@V */

struct search {
	const struct elf_file *f;
	const char *const *names;
	size_t *order; /* of names, rising */
	size_t n;
	struct elf_symbol *out;
	int *rank; /* of what out holds; 0: nothing yet */
};

struct sort {
	const char *name;
	size_t i;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct sort *)a)->name, ((const struct sort *)b)->name);
}

static int order_names(struct search *s)
{
	struct sort *sort = calloc(s->n + 1, sizeof(*sort));

	if (!sort)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		sort[i] = (struct sort){s->names[i], i};
	qsort(sort, s->n, sizeof(*sort), by_name);
	for (size_t i = 0; i < s->n; i++)
		s->order[i] = sort[i].i;
	free(sort);
	return 0;
}

/* The first of the names, in order, that is not less. */
static size_t lower_bound(const struct search *s, const char *name)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(s->names[s->order[mid]], name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_code(const struct elf_file *f, const struct elf_sym *sym)
{
	if (sym->type != STT_FUNC && sym->type != STT_GNU_IFUNC && sym->type != STT_NOTYPE)
		return false;
	return sym->shndx != SHN_UNDEF && sym->shndx < f->n_sec &&
	       (f->sec[sym->shndx].flags & SHF_EXECINSTR);
}

static void offer(struct search *s, const struct elf_sym *sym, const char *name, bool dynamic,
		  bool hidden)
{
	int rank = 1 + (sym->type != STT_NOTYPE) + 2 * (sym->bind != STB_LOCAL) + 4 * !hidden +
		   8 * dynamic;
	uint64_t offset;

	if (!elf_file__offset(s->f, sym->value, &offset))
		return;
	for (size_t k = lower_bound(s, name); k < s->n; k++) {
		size_t i = s->order[k];

		if (strcmp(s->names[i], name) != 0)
			break;
		if (rank <= s->rank[i])
			continue;
		s->rank[i] = rank;
		s->out[i] = (struct elf_symbol){
			.name = s->names[i],
			.vaddr = sym->value,
			.offset = offset,
			.size = sym->size,
			.type = sym->type,
			.bind = sym->bind,
			.dynamic = dynamic,
		};
	}
}

/* .symtab of libraries writes the version into the name: foo@@V is the default, foo@V is not. */
static void offer_named(struct search *s, const struct elf_sym *sym, const char *name, bool dynamic,
			bool hidden)
{
	const char *at = dynamic ? NULL : strchr(name, '@');
	char bare[256];

	if (at && at > name && (size_t)(at - name) < sizeof(bare)) {
		memcpy(bare, name, (size_t)(at - name));
		bare[at - name] = 0;
		offer(s, sym, bare, dynamic, at[1] != '@');
	} else {
		offer(s, sym, name, dynamic, hidden);
	}
}

static bool is_hidden(const struct elf_file *f, const struct elf_section *versions, uint64_t i)
{
	uint16_t version;

	if (!versions || i >= versions->size / sizeof(version) ||
	    elf_file__read(f, versions->offset + i * sizeof(version), &version, sizeof(version)))
		return false;
	return version & VERSION_HIDDEN;
}

static int search_table(struct search *s, const struct elf_section *table)
{
	const struct elf_file *f = s->f;
	bool dynamic = table->type == SHT_DYNSYM;
	const struct elf_section *versions =
		dynamic ? elf_file__section_of_type(f, SHT_GNU_versym) : NULL;
	uint64_t count = elf_file__sym_count(f, table);
	struct elf_sym syms[CHUNK];
	uint8_t *strings = NULL;
	size_t n_strings = 0;
	int err;

	if (count > SYMS_MAX)
		return -EFBIG;
	if (table->link >= f->n_sec || f->sec[table->link].type != SHT_STRTAB)
		return -ENOEXEC;
	err = elf_file__contents(f, &f->sec[table->link], STRINGS_MAX, &strings, &n_strings);
	/* a name that runs to the end of the table has no 0 behind it */
	if (err || !n_strings || strings[n_strings - 1])
		goto out;
	for (uint64_t i = 0; i < count && !err; i += CHUNK) {
		size_t part = count - i < CHUNK ? (size_t)(count - i) : CHUNK;

		err = elf_file__syms(f, table, i, syms, part);
		for (size_t k = 0; !err && k < part; k++) {
			const char *name;
			size_t at;

			if (!is_code(f, &syms[k]) || syms[k].name >= n_strings)
				continue;
			name = (const char *)strings + syms[k].name;
			at = lower_bound(s, name);
			/* most names are nobody's: asked for are names or, with a version, more */
			if ((at == s->n || strcmp(s->names[s->order[at]], name) != 0) &&
			    (dynamic || !strchr(name, '@')))
				continue;
			offer_named(s, &syms[k], name, dynamic, is_hidden(f, versions, i + k));
		}
	}
out:
	free(strings);
	return err;
}

static int search_file(struct search *s)
{
	int err = 0, found = 0;

	s->order = calloc(s->n + 1, sizeof(*s->order));
	s->rank = calloc(s->n + 1, sizeof(*s->rank));
	err = s->order && s->rank ? order_names(s) : -ENOMEM;
	for (size_t i = 0; i < s->f->n_sec && !err; i++)
		if (s->f->sec[i].type == SHT_DYNSYM || s->f->sec[i].type == SHT_SYMTAB)
			err = search_table(s, &s->f->sec[i]);
	for (size_t i = 0; s->rank && i < s->n; i++)
		found += s->rank[i] > 0;
	free(s->order);
	free(s->rank);
	return err ? err : found;
}

int elf_symbols__find(int fd, const char *const *names, size_t n, struct elf_symbol *out)
{
	struct elf_file f;
	struct search s = {.f = &f, .names = names, .n = n, .out = out};
	int err;

	memset(out, 0, n * sizeof(*out));
	err = elf_file__open(&f, fd);
	if (err)
		return err;
	err = search_file(&s);
	elf_file__close(&f);
	return err;
}

/* DT_SONAME is an offset into .dynstr. */
bool elf_symbols__soname(const struct elf_file *f, char *buf, size_t size)
{
	const struct elf_section *d = elf_file__section_of_type(f, SHT_DYNAMIC);
	size_t entry = f->is64 ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
	uint64_t value;
	int64_t tag;

	buf[0] = 0;
	if (!d || d->link >= f->n_sec)
		return false;
	for (uint64_t at = 0; at < d->size && at < (1u << 20); at += entry) {
		if (!elf_file__dynamic(f, d->offset + at, &tag, &value))
			break;
		if (tag == DT_SONAME)
			return elf_file__string(f, &f->sec[d->link], value, buf, size);
	}
	return false;
}
