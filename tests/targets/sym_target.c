/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Functions of several kinds for tests/unit/test_symbols.c, which builds this in several ways.
 * Prints "NAME ADDRESS" of each and then "ready"; "PATH SYMBOL" on stdin is dlopen()ed and printed;
 * ends with its stdin.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

__attribute__((noinline)) int sym_global(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}
enum { SYM_LINE = __LINE__ - 5 }; /* where sym_global begins */

__attribute__((noinline)) static int sym_static(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 2;
}

__attribute__((noinline, weak)) int sym_weak(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 3;
}

/* Aliases: the plainest name is shown. */
extern int __sym_global(int x) __attribute__((alias("sym_global")));

/* Assembler without .type and .size, and behind it a gap that belongs to a function with a size. */
__asm__(".pushsection .text\n"
	".balign 16\n"
	"sym_asm: nop; nop; nop; ret\n"
	".balign 16\n"
	".type sym_sized, @function\n"
	"sym_sized: nop; ret\n"
	".size sym_sized, 2\n"
	".balign 64\n" /* nobody's */
	".popsection\n");
extern char sym_asm[], sym_sized[];

static void print(const char *name, const void *address)
{
	printf("%s %lx\n", name, (unsigned long)(uintptr_t)address);
}

static void open_library(char *line)
{
#ifndef SYM_STATIC
	char *symbol = strchr(line, ' ');
	void *library;

	line[strcspn(line, "\n")] = 0;
	*symbol++ = 0;
	library = dlopen(line, RTLD_NOW);
	print(symbol, library ? dlsym(library, symbol) : NULL);
	fflush(stdout);
#else
	(void)line;
#endif
}

enum { MAIN_LINE = __LINE__ + 1 };
int main(void)
{
	char *jit = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char line[4096];

	print("sym_global", sym_global);
	print("sym_static", sym_static);
	print("sym_weak", sym_weak);
	print("sym_asm", sym_asm);
	print("sym_sized", sym_sized);
	print("main", main);
	print("getpid", getpid);
	print("vdso", (void *)getauxval(AT_SYSINFO_EHDR));
	print("jit", jit);
	printf("line %x\n", (unsigned int)SYM_LINE);
	printf("main_line %x\n", (unsigned int)MAIN_LINE);
	printf("sum %x\n",
	       (unsigned int)(sym_global(1) + sym_static(2) + sym_weak(3) + __sym_global(4)));
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		open_library(line);
	return 0;
}
