/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "random.h"
#include "sym/elf_file.h"
#include "sym/elf_symbols.h"

static int open_libc(void **handle_out, struct link_map **map)
{
	void *handle = dlopen("libc.so.6", RTLD_NOW);
	int fd;

	assert_non_null(handle);
	*handle_out = handle;
	assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, map), 0);
	fd = open((*map)->l_name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* What the dynamic linker resolves is what is found. */
static void as_the_linker(void **state)
{
	static const char *const names[] = {"malloc",	    "free",	     "realloc", "calloc",
					    "no_such_name", "aligned_alloc", "mmap",	"memcpy",
					    "malloc",	    "environ"};
	struct elf_symbol found[10];
	struct link_map *map;
	struct elf_file f;
	char soname[64];
	void *libc;
	int fd = open_libc(&libc, &map);

	(void)state;
	assert_int_equal(elf_symbols__find(fd, names, 10, found), 8);
	for (size_t i = 0; i < 10; i++) {
		void *want;

		if (i == 4 || i == 9) { /* unknown; data */
			assert_null(found[i].name);
			continue;
		}
		assert_string_equal(found[i].name, names[i]);
		assert_true(found[i].dynamic && found[i].size && found[i].bind != STB_LOCAL);
		if (!strcmp(names[i], "memcpy")) { /* memcpy@@GLIBC_2.14, not memcpy@GLIBC_2.2.5 */
			assert_int_equal(found[i].type, STT_GNU_IFUNC);
			continue;
		}
		assert_int_equal(found[i].type, STT_FUNC);
		/* from libc itself: a sanitizer puts its own in front */
		want = dlsym(libc, names[i]);
		assert_int_equal(found[i].vaddr, (uintptr_t)want - map->l_addr);
	}
	assert_int_equal(elf_file__open(&f, fd), 0);
	assert_true(elf_symbols__soname(&f, soname, sizeof(soname)));
	assert_string_equal(soname, "libc.so.6");
	assert_false(elf_file__is_go(&f));
	assert_false(elf_file__is_static(&f));
	elf_file__close(&f);
	close(fd);
}

__attribute__((noinline)) static int only_here(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

static void local_names(void **state)
{
	static const char *const names[] = {"only_here", "main"};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct elf_symbol found[2];
	uint8_t in_file[16];

	(void)state;
	assert_int_equal(only_here(1), 2);
	assert_int_equal(elf_symbols__find(fd, names, 2, found), 2);
	assert_int_equal(found[0].bind, STB_LOCAL);
	assert_int_equal(found[1].bind, STB_GLOBAL);
	assert_false(found[0].dynamic);
	/* the offset is where the file holds the very bytes that run */
	assert_int_equal(pread(fd, in_file, 16, (off_t)found[0].offset), 16);
	assert_memory_equal(in_file, (const void *)(uintptr_t)only_here, 16);
	close(fd);
}

static int memfd(const void *p, size_t n)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	return fd;
}

static void not_elf(void **state)
{
	static const char *const names[] = {"malloc"};
	struct elf_symbol found[1];
	int fd;

	(void)state;
	fd = memfd("#!/bin/sh\n", 10);
	assert_int_equal(elf_symbols__find(fd, names, 1, found), -ENOEXEC);
	close(fd);
	fd = memfd("", 0);
	assert_int_equal(elf_symbols__find(fd, names, 1, found), -ENOEXEC);
	close(fd);
	fd = memfd("\177ELF\2\1\1", 7);
	assert_int_equal(elf_symbols__find(fd, names, 1, found), -ENOEXEC);
	close(fd);
}

/* A real file, cut short and with bytes changed: any answer will do, a crash will not. */
static void damaged(void **state)
{
	static const char *const names[] = {"malloc", "main", "only_here"};
	struct elf_symbol found[3];
	uint8_t *whole, *copy, id[ELF_BUILD_ID_MAX];
	uint64_t seed = 7;
	struct stat st;
	size_t n;
	int fd = open("/usr/bin/true", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	n = (size_t)st.st_size;
	whole = malloc(n);
	copy = malloc(n);
	assert_int_equal(read(fd, whole, n), n);
	close(fd);
	for (int round = 0; round < 3000; round++) {
		size_t cut = round % 3 ? n : random__next(&seed) % n;
		struct elf_file f;

		memcpy(copy, whole, n);
		for (int k = 0; k < 8; k++) {
			/* the headers at both ends and the tables after the first page */
			size_t at = random__next(&seed) % 3 == 0 ? random__next(&seed) % 1024
				    : random__next(&seed) % 2 ? n - 1 - random__next(&seed) % 2048
							      : random__next(&seed) % n;

			copy[at] = (uint8_t)random__next(&seed);
		}
		fd = memfd(copy, cut);
		elf_symbols__find(fd, names, 3, found);
		if (!elf_file__open(&f, fd)) {
			elf_file__build_id(&f, id);
			elf_file__is_go(&f);
			elf_file__is_static(&f);
			elf_file__close(&f);
		}
		close(fd);
	}
	free(whole);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_linker),
		cmocka_unit_test(local_names),
		cmocka_unit_test(not_elf),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
