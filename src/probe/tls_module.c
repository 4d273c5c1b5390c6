// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/tls_module.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "sym/elf_file.h"
#include "sym/elf_symbols.h"

#define CODE_MAX   1024 /* of a function, that is looked at */
#define CODE_SHORT 64	/* of one whose size nothing tells */
#define ARGUMENTS  3	/* that the programs read; the fourth is never touched that early */

/* The function's code; its size, 0: it cannot be read. */
static size_t read_code(const struct elf_file *f, const struct tls_site *s, uint8_t *code)
{
	size_t size = s->size && s->size < CODE_MAX ? s->size : CODE_MAX;

	if (!s->size)
		size = CODE_SHORT;
	return elf_file__read(f, s->offset, code, size) ? 0 : size;
}

/*
 * The probe's place. Of reads and writes the return is wanted as well; where a connection ends
 * only its address is.
 */
static void place(const struct elf_file *f, struct tls_site *s)
{
	uint8_t code[CODE_MAX];
	size_t size = read_code(f, s, code);
	bool end = s->what->role == TLS_END;

	placement__find(code, size, s->vaddr, end ? 1 : ARGUMENTS, !end, &s->at);
}

/* Where the function calls another one first of all; 0: nowhere. */
static uint64_t inner_of(const struct elf_file *f, const struct tls_site *s)
{
	uint8_t code[CODE_MAX];
	size_t size = read_code(f, s, code);
	bool jumps;

	return size ? placement__passes_to(code, size, s->vaddr, &jumps) : 0;
}

/*
 * SSL_read and SSL_read_ex check their arguments and call ssl_read_internal, which has no symbol in
 * a stripped library. They begin with `sub $24,%rsp`, which the kernel has to single-step, and a
 * return probe can stand nowhere else; the inner one mostly begins with a push. It is the one that
 * both call, and neither a peek (which is another function) nor anything of another name does.
 */
static bool find_inner(const struct elf_file *f, struct tls_module *m, size_t i,
		       struct tls_site *inner)
{
	struct tls_site *s = &m->sites[i];
	uint64_t to = inner_of(f, s), offset;
	size_t callers = 0;

	if (!s->what->inner || !to || !elf_file__offset(f, to, &offset))
		return false;
	for (size_t k = 0; k < m->n; k++) {
		if (inner_of(f, &m->sites[k]) != to)
			continue;
		if (!m->sites[k].what->inner || strcmp(m->sites[k].what->inner, s->what->inner))
			return false;
		callers++;
	}
	*inner = (struct tls_site){.what = s->what,
				   .result = TLS_STORES,
				   .wide = true,
				   .inner = true,
				   .vaddr = to,
				   .offset = offset};
	place(f, inner);
	return callers > 1 && inner->at.emulated;
}

/* Puts inner functions in the place of those that call them. */
static void use_inner(const struct elf_file *f, struct tls_module *m)
{
	struct tls_module out = *m;

	out.n = 0;
	for (size_t i = 0; i < m->n; i++) {
		struct tls_site inner;
		bool have = false, found = find_inner(f, m, i, &inner);

		for (size_t k = 0; k < out.n && found; k++)
			have |= out.sites[k].vaddr == inner.vaddr;
		if (!have)
			out.sites[out.n++] = found ? inner : m->sites[i];
	}
	*m = out;
}

static int find_functions(struct tls_module *m, int fd)
{
	struct elf_symbol found[TLS_MODULE_SITES];
	const char *names[TLS_MODULE_SITES];
	bool reads = false, writes = false;
	size_t n;
	const struct tls_function *table = tls_libs__functions(&n);
	int err;

	if (n > TLS_MODULE_SITES)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		names[i] = table[i].symbol;
	err = elf_symbols__find(fd, names, n, found);
	if (err < 0)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (!found[i].name || found[i].type == STT_GNU_IFUNC)
			continue;
		reads |= table[i].role == TLS_READ;
		writes |= table[i].role == TLS_WRITE;
		m->library = table[i].library;
		m->sites[m->n++] = (struct tls_site){.what = &table[i],
						     .result = table[i].result,
						     .wide = table[i].wide,
						     .vaddr = found[i].vaddr,
						     .offset = found[i].offset,
						     .size = found[i].size};
	}
	if (!reads || !writes) /* of one direction nothing can be said */
		m->n = 0;
	return 0;
}

int tls_module__read(struct tls_module *m, int fd)
{
	struct elf_file f;
	int err = elf_file__open(&f, fd);

	memset(m, 0, sizeof(*m));
	if (err)
		return err;
	/* Return probes crash Go. */
	m->is_go = elf_file__is_go(&f);
	if (!m->is_go && elf_file__is_probed(&f))
		err = find_functions(m, fd);
	for (size_t i = 0; i < m->n && !err; i++)
		place(&f, &m->sites[i]);
	if (!err)
		use_inner(&f, m);
	elf_file__close(&f);
	return err;
}
