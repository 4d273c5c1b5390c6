/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "random.h"
#include "sym/elf_file.h"
#include "sym/go_file.h"
#include "sym/gopclntab.h"

/*
 * A table of three functions as the Go linker writes it: at 0x1000, 0x1040 and 0x10c0 up to 0x1100,
 * with quantum 1 and two lines in the second.
 */
struct table {
	uint8_t bytes[1024];
	size_t n;
	size_t text_at;
};

static void put(struct table *t, uint64_t v, size_t size)
{
	assert_true(t->n + size <= sizeof(t->bytes));
	memcpy(t->bytes + t->n, &v, size);
	t->n += size;
}

static void put_at(struct table *t, size_t at, uint64_t v, size_t size)
{
	memcpy(t->bytes + at, &v, size);
}

static const char *const names[] = {"main.main", "net.(*conn).Read", "last"};
static const uint32_t entries[] = {0x1000, 0x1040, 0x10c0, 0x1100};

static size_t put_strings(struct table *t, uint32_t at[3])
{
	size_t start = t->n;

	for (int i = 0; i < 3; i++) {
		at[i] = (uint32_t)(t->n - start);
		memcpy(t->bytes + t->n, names[i], strlen(names[i]) + 1);
		t->n += strlen(names[i]) + 1;
	}
	return start;
}

/* Go 1.16 and later. */
static void make(struct table *t, int version, size_t ptr)
{
	static const uint32_t magic[] = {[16] = 0xfffffffa, [18] = 0xfffffff0, [20] = 0xfffffff1};
	/* zigzag(+1), pc +0x80, end; then line 10 for 0x20 bytes, 7 for the rest */
	static const uint8_t pcfile[] = {2, 0x80, 1, 0}, pcln[] = {22, 0x20, 5, 0x60, 0};
	size_t entry = version >= 18 ? 8 : 2 * ptr, word = 8 + 2 * ptr, at;
	uint32_t name[3];

	memset(t, 0, sizeof(*t));
	put(t, magic[version], 4);
	put(t, 0, 2);
	put(t, 1, 1);
	put(t, ptr, 1);
	put(t, 3, ptr);
	put(t, 1, ptr);
	if (version >= 18) {
		t->text_at = t->n;
		put(t, 0x1000, ptr);
		word += ptr;
	}
	t->n += 5 * ptr;
	put_at(t, word, put_strings(t, name), ptr);
	t->n = (t->n + 7) & ~7ull;
	put_at(t, word + ptr, t->n, ptr); /* compilation unit: file 0 is the second, 1 the first */
	put(t, 5, 4);
	put(t, 0, 4);
	put_at(t, word + 2 * ptr, t->n, ptr);
	memcpy(t->bytes + t->n, "a.go\0b.go", 10);
	t->n += 10;
	put_at(t, word + 3 * ptr, t->n, ptr);
	put(t, 0, 1); /* program 0 is none */
	memcpy(t->bytes + t->n, pcfile, sizeof(pcfile));
	memcpy(t->bytes + t->n + sizeof(pcfile), pcln, sizeof(pcln));
	t->n = (t->n + sizeof(pcfile) + sizeof(pcln) + 7) & ~7ull;
	put_at(t, word + 4 * ptr, t->n, ptr);

	at = t->n; /* index: 3 functions and the end */
	t->n += 4 * entry;
	for (size_t i = 0; i < 4; i++) {
		size_t half = entry / 2, func = t->n - at;

		put_at(t, at + i * entry, entries[i] - (version >= 18 ? 0x1000 : 0), half);
		if (i == 3)
			break;
		put_at(t, at + i * entry + half, func, half);
		put(t, entries[i] - (version >= 18 ? 0x1000 : 0), version >= 18 ? 4 : ptr);
		put(t, name[i], 4);
		put(t, 0, 4);
		put(t, 0, 4);
		put(t, 0, 4);
		put(t, i == 1 ? 1 : 0, 4);		    /* pcfile */
		put(t, i == 1 ? 1 + sizeof(pcfile) : 0, 4); /* pcln */
		put(t, 0, 4);
		put(t, 0, 4); /* cuOffset */
	}
}

static void make_1_2(struct table *t, size_t ptr)
{
	size_t at;

	memset(t, 0, sizeof(*t));
	put(t, 0xfffffffb, 4);
	put(t, 0, 2);
	put(t, 1, 1);
	put(t, ptr, 1);
	put(t, 3, ptr);
	at = t->n;
	t->n += 4 * 2 * ptr;
	for (size_t i = 0; i < 4; i++) {
		size_t name = t->n;

		put_at(t, at + i * 2 * ptr, entries[i], ptr);
		if (i == 3)
			break;
		memcpy(t->bytes + t->n, names[i], strlen(names[i]) + 1);
		t->n += strlen(names[i]) + 1;
		put_at(t, at + i * 2 * ptr + ptr, t->n, ptr);
		put(t, entries[i], ptr);
		put(t, name, 4);
		t->n += 32;
	}
}

static int open_table(struct gopclntab *g, const struct table *t)
{
	struct gopclntab_source src = {.mem = t->bytes, .size = t->n};

	return gopclntab__open(g, &src);
}

static void finds(const struct gopclntab *g, uint64_t pc, int func, const char *file,
		  unsigned int line)
{
	struct gopclntab_func f;

	if (func < 0) {
		assert_false(gopclntab__find(g, pc, &f));
		return;
	}
	assert_true(gopclntab__find(g, pc, &f));
	assert_string_equal(f.name, names[func]);
	assert_int_equal(f.entry, entries[func]);
	assert_int_equal(f.end, entries[func + 1]);
	assert_string_equal(f.file, file);
	assert_int_equal(f.line, line);
}

static void layouts(void **state)
{
	static const int versions[] = {2, 16, 18, 20};

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		size_t ptr = i & 1 ? 8 : 4;
		bool lines = versions[i / 2] > 2;
		struct gopclntab g;
		struct table t;

		if (lines)
			make(&t, versions[i / 2], ptr);
		else
			make_1_2(&t, ptr);
		assert_int_equal(open_table(&g, &t), 0);
		assert_int_equal(g.version, versions[i / 2]);
		finds(&g, 0, -1, "", 0);
		finds(&g, 0xfff, -1, "", 0);
		finds(&g, 0x1000, 0, "", 0);
		finds(&g, 0x103f, 0, "", 0);
		finds(&g, 0x1040, 1, lines ? "b.go" : "", lines ? 10 : 0);
		finds(&g, 0x105f, 1, lines ? "b.go" : "", lines ? 10 : 0);
		finds(&g, 0x1060, 1, lines ? "b.go" : "", lines ? 7 : 0);
		finds(&g, 0x10bf, 1, lines ? "b.go" : "", lines ? 7 : 0);
		finds(&g, 0x10c0, 2, "", 0);
		finds(&g, 0x10ff, 2, "", 0);
		finds(&g, 0x1100, -1, "", 0);
		finds(&g, UINT64_MAX, -1, "", 0);
	}
}

/* In a PIE the header's word is filled in when the program starts: the caller finds it. */
static void text_start(void **state)
{
	struct gopclntab g;
	struct table t;

	(void)state;
	make(&t, 20, 8);
	put_at(&t, t.text_at, 0, 8);
	assert_int_equal(open_table(&g, &t), 0);
	assert_int_equal(g.text, 0);
	assert_int_equal(g.text_at, t.text_at);
	g.text = 0x1000;
	finds(&g, 0x1041, 1, "b.go", 10);
}

static void not_tables(void **state)
{
	struct gopclntab g;
	struct table t;

	(void)state;
	for (size_t n = 0; n < 8 * 8 + 8; n++) {
		make(&t, 20, 8);
		t.n = n;
		assert_int_equal(open_table(&g, &t), -ENOEXEC);
	}
	for (size_t i = 0; i < 16;
	     i++) { /* each byte of the magic, the padding, the sizes, nfunc */
		make(&t, 20, 8);
		t.bytes[i] ^= 0x40;
		if (i != 6 || t.bytes[6] == 1)
			assert_int_equal(open_table(&g, &t), -ENOEXEC);
	}
}

static void damaged(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct gopclntab_func f;
		struct gopclntab g;
		struct table t;

		if (round % 4)
			make(&t, round % 4 == 1 ? 16 : round % 4 == 2 ? 18 : 20, 8);
		else
			make_1_2(&t, 4);
		for (int k = 0; k < 4; k++)
			t.bytes[8 + random__next(&seed) % (t.n - 8)] = (uint8_t)random__next(&seed);
		if (random__next(&seed) % 2)
			t.n -= random__next(&seed) % (t.n / 2);
		if (open_table(&g, &t))
			continue;
		for (uint64_t pc = 0xff0; pc < 0x1110; pc += 7)
			gopclntab__find(&g, pc, &f);
	}
}

/* A stripped program of Go: every function, at its first and last byte. */
static void nats_server(void **state)
{
	int fd = open("/usr/sbin/nats-server", O_RDONLY | O_CLOEXEC);
	struct gopclntab_source src = {.fd = fd};
	struct gopclntab_func f, last;
	const struct elf_section *s;
	bool main_seen = false;
	size_t n = 0, lines = 0;
	struct gopclntab g;
	struct elf_file elf;

	(void)state;
	if (fd < 0) {
		print_message("nats-server is not installed\n");
		skip();
	}
	assert_int_equal(elf_file__open(&elf, fd), 0);
	assert_true(elf_file__is_go(&elf));
	assert_null(elf_file__section(&elf, ".symtab"));
	s = elf_file__section(&elf, ".gopclntab");
	assert_non_null(s);
	src.offset = s->offset;
	src.size = s->size;
	assert_int_equal(gopclntab__open(&g, &src), 0);
	assert_true(g.version >= 18 && g.text);
	for (uint64_t pc = g.text; gopclntab__find(&g, pc, &f); pc = f.end, n++) {
		assert_int_equal(f.entry, pc);
		assert_true(f.end > f.entry);
		lines += f.line != 0;
		assert_true(gopclntab__find(&g, f.end - 1, &last));
		assert_string_equal(last.name, f.name);
		main_seen |= !strcmp(f.name, "main.main") && strstr(f.file, "main.go") != NULL;
	}
	assert_int_equal(n, g.n);
	assert_true(main_seen);
	assert_true(lines > n * 9 / 10);
	elf_file__close(&elf);
	close(fd);
}

/* What a C linker makes of a PIE: the table has no section of its own. */
static void merged(void **state)
{
	char copy[] = "/tmp/hopscope-go.XXXXXX", cmd[256];
	struct gopclntab own, found;
	struct elf_file a, b;
	int fd = open("/usr/sbin/nats-server", O_RDONLY | O_CLOEXEC), fd2;

	(void)state;
	if (fd < 0) {
		print_message("nats-server is not installed\n");
		skip();
	}
	fd2 = mkstemp(copy);
	assert_true(fd2 >= 0);
	close(fd2);
	snprintf(cmd, sizeof(cmd),
		 "objcopy --rename-section .gopclntab=.data.rel.ro /usr/sbin/nats-server %s", copy);
	assert_int_equal(system(cmd), 0);
	fd2 = open(copy, O_RDONLY | O_CLOEXEC);
	unlink(copy);
	assert_int_equal(elf_file__open(&a, fd), 0);
	assert_int_equal(elf_file__open(&b, fd2), 0);
	assert_null(elf_file__section(&b, ".gopclntab"));
	assert_int_equal(go_file__table(&a, &own), 0);
	assert_int_equal(go_file__table(&b, &found), 0);
	assert_int_equal(own.text, found.text);
	assert_int_equal(own.n, found.n);
	elf_file__close(&a);
	elf_file__close(&b);
	close(fd);
	close(fd2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts),     cmocka_unit_test(text_start),
		cmocka_unit_test(not_tables),  cmocka_unit_test(damaged),
		cmocka_unit_test(nats_server), cmocka_unit_test(merged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
