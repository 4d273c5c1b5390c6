/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which symbol covers an address. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sym/symtab.h"

#define CHUNK 256
/* How many symbols a look-up goes through at most, before it gives up. */
#define STEPS_MAX 1024
/* Of those at one address, how many are compared by name. */
#define ALIASES_MAX 32

struct symtab_entry {
	uint64_t start;
	uint64_t reach; /* the furthest end of this and all before */
	uint32_t size;	/* UINT32_MAX: or more */
	uint32_t name;
	uint8_t table;
	uint8_t rank;
};

static bool is_function(const struct elf_file *f, const struct elf_sym *s)
{
	if (s->type != STT_FUNC && s->type != STT_GNU_IFUNC && s->type != STT_NOTYPE)
		return false;
	/* the value of an undefined symbol in .dynsym is its PLT entry */
	return s->name && s->shndx != SHN_UNDEF && s->shndx < f->n_sec &&
	       (f->sec[s->shndx].flags & SHF_EXECINSTR);
}

static uint8_t rank_of(const struct elf_sym *s)
{
	/* weak ones are often the public names: getpid is, __getpid is global */
	return (uint8_t)((s->bind != STB_LOCAL) + (s->type == STT_NOTYPE ? 0 : 2));
}

static int add_one(struct symtab *t, const struct elf_sym *s)
{
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 1024;
		struct symtab_entry *more = realloc(t->entry, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->entry = more;
		t->room = room;
	}
	t->entry[t->n++] = (struct symtab_entry){
		.start = s->value,
		.size = s->size < UINT32_MAX ? (uint32_t)s->size : UINT32_MAX,
		.name = s->name,
		.table = (uint8_t)t->n_tables,
		.rank = rank_of(s),
	};
	return 0;
}

int symtab__add(struct symtab *t, const struct elf_file *f, const struct elf_section *table,
		size_t *budget)
{
	uint64_t count = elf_file__sym_count(f, table);
	struct elf_sym syms[CHUNK];
	int err = 0;

	if (t->n_tables == SYMTAB_TABLES || table->link >= f->n_sec)
		return -EINVAL;
	for (uint64_t i = 0; i < count && !err; i += CHUNK) {
		size_t part = count - i < CHUNK ? (size_t)(count - i) : CHUNK;

		/* also of those that are no functions: reading them is work, too */
		if (part > *budget) {
			err = -EFBIG;
			break;
		}
		*budget -= part;
		err = elf_file__syms(f, table, i, syms, part);
		for (size_t k = 0; k < part && !err; k++)
			if (is_function(f, &syms[k]))
				err = add_one(t, &syms[k]);
	}
	t->table[t->n_tables].file = f;
	t->table[t->n_tables].strings = &f->sec[table->link];
	t->complete |= table->type == SHT_SYMTAB;
	t->n_tables++;
	return err;
}

static int by_start(const void *a, const void *b)
{
	const struct symtab_entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (y->rank > x->rank) - (y->rank < x->rank);
}

static uint64_t end_of(const struct symtab_entry *e)
{
	uint64_t end = e->start + e->size;

	return end < e->start ? UINT64_MAX : end;
}

void symtab__sort(struct symtab *t)
{
	uint64_t reach = 0;

	if (t->n)
		qsort(t->entry, t->n, sizeof(*t->entry), by_start);
	for (size_t i = 0; i < t->n; i++) {
		if (end_of(&t->entry[i]) > reach)
			reach = end_of(&t->entry[i]);
		t->entry[i].reach = reach;
	}
}

void symtab__free(struct symtab *t)
{
	free(t->entry);
	memset(t, 0, sizeof(*t));
}

/* "foo@@VERSION" is foo. "$x" and "$d.1" mark code and data on ARM and RISC-V: no names. */
static bool name_of(const struct symtab *t, const struct symtab_entry *e, char *buf, size_t size)
{
	char *at;

	if (!elf_file__string(t->table[e->table].file, t->table[e->table].strings, e->name, buf,
			      size))
		return false;
	at = strchr(buf, '@');
	if (at && at > buf)
		*at = 0;
	return buf[0] != '$';
}

/* malloc rather than __libc_malloc. */
static bool is_plainer(const char *a, const char *b)
{
	size_t x = strspn(a, "_"), y = strspn(b, "_");

	if (x != y)
		return x < y;
	x = strlen(a);
	y = strlen(b);
	return x != y ? x < y : strcmp(a, b) < 0;
}

static bool covers(const struct symtab_entry *e, uint64_t vaddr, bool sized)
{
	return sized ? e->size && vaddr < end_of(e) : !e->size;
}

/*
 * The best name among the entries that share entry i's start, which is the last of them. *left is
 * set to the first of them.
 */
static bool best_of(const struct symtab *t, size_t i, uint64_t vaddr, bool sized,
		    struct symtab_hit *hit, size_t *left)
{
	const struct symtab_entry *e = t->entry;
	size_t first = i, compared = 0;
	char name[SYMTAB_NAME_MAX];
	int rank = -1;

	while (first && e[first - 1].start == e[i].start && i - first < STEPS_MAX)
		first--;
	*left = first;
	/* best rank first */
	for (size_t k = first; k <= i && compared < ALIASES_MAX; k++) {
		if (rank >= 0 && e[k].rank < rank)
			break;
		if (!covers(&e[k], vaddr, sized) || !name_of(t, &e[k], name, sizeof(name)))
			continue;
		compared++;
		if (rank < 0 || is_plainer(name, hit->name))
			strcpy(hit->name, name);
		rank = e[k].rank;
	}
	hit->start = e[i].start;
	return rank >= 0;
}

/* How many entries start at or before the address. */
static size_t upper_bound(const struct symtab *t, uint64_t vaddr)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->entry[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The innermost that has a size and covers it. */
static bool find_sized(const struct symtab *t, size_t n, uint64_t vaddr, struct symtab_hit *hit)
{
	for (size_t i = n, left; i && n - i < STEPS_MAX && t->entry[i - 1].reach > vaddr; i = left)
		if (best_of(t, i - 1, vaddr, true, hit, &left))
			return true;
	return false;
}

/* The nearest one, if it has no size and lies in the same section. */
static bool find_unsized(const struct symtab *t, size_t n, uint64_t vaddr, struct symtab_hit *hit)
{
	for (size_t i = n, left; i && n - i < STEPS_MAX; i = left) {
		const struct symtab_entry *e = &t->entry[i - 1];
		const struct elf_file *f = t->table[e->table].file;
		const struct elf_section *s = elf_file__section_at(f, vaddr);

		if (!s || e->start < s->addr)
			return false;
		if (best_of(t, i - 1, vaddr, false, hit, &left))
			return true;
		/* one with a size that does not cover it is in between */
		for (size_t k = left; k < i; k++)
			if (t->entry[k].size)
				return false;
	}
	return false;
}

bool symtab__find(const struct symtab *t, uint64_t vaddr, struct symtab_hit *hit)
{
	size_t n = upper_bound(t, vaddr);

	/* .dynsym alone does not tell where the next symbol was */
	return find_sized(t, n, vaddr, hit) || (t->complete && find_unsized(t, n, vaddr, hit));
}
