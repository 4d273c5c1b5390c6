// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * As alloc_kinds.c, with an allocator of its own by jemalloc's names, whose functions call, jump to
 * and leave one another in every way there is. Build with -O2: the jumps are the compiler's.
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITE(name)                                                     \
	extern const char __start_site_##name[], __stop_site_##name[]; \
	static uint64_t name##_bytes, name##_blocks;                   \
	static __attribute__((noinline, noclone, section("site_" #name))) void name(void)

#define HOLD(site, size) (site##_bytes += (size), site##_blocks++)

void *je_malloc(size_t size);
void *je_calloc(size_t n, size_t size);
void *je_aligned_alloc(size_t alignment, size_t size);
void *je_memalign(size_t alignment, size_t size);
int je_posix_memalign(void **p, size_t alignment, size_t size);
void *je_realloc(void *p, size_t size);
void je_free(void *p);
void je_dallocx(void *p, int flags);

static char arena[16 << 20] __attribute__((aligned(4096)));
static size_t used;
static jmp_buf out;
static volatile int leave;
static void *volatile keep;

static __attribute__((noinline)) void *take(size_t alignment, size_t size)
{
	void *p;

	if (leave)
		longjmp(out, 1);
	used = (used + alignment - 1) / alignment * alignment;
	p = arena + used;
	used += size ? size : 1;
	if (used > sizeof(arena))
		abort();
	return p;
}

__attribute__((noinline)) void *je_malloc(size_t size)
{
	void *p = take(16, size);

	keep = p; /* a call, not a jump */
	return p;
}

/* Calls: nested, and another pointer comes out. */
__attribute__((noinline)) void *je_calloc(size_t n, size_t size)
{
	char *p = je_malloc(n * size + 64);

	memset(p, 0, n * size + 64);
	return p + 64;
}

/* Jumps, with other arguments. */
__attribute__((noinline)) void *je_memalign(size_t alignment, size_t size)
{
	return je_malloc(size + alignment * 0);
}

__attribute__((noinline)) void *je_aligned_alloc(size_t alignment, size_t size)
{
	char *p = je_malloc(size + 2 * alignment);

	return p + alignment - (uintptr_t)p % alignment;
}

__attribute__((noinline)) int je_posix_memalign(void **p, size_t alignment, size_t size)
{
	*p = je_aligned_alloc(alignment, size); /* two deep */
	return 0;
}

__attribute__((noinline)) void je_free(void *p)
{
	keep = p;
}

__attribute__((noinline)) void je_dallocx(void *p, int flags)
{
	keep = (char *)p + flags;
	je_free(p);
	keep = p;
}

__attribute__((noinline)) void *je_realloc(void *p, size_t size)
{
	void *q;

	if (!p)
		return je_malloc(size);
	q = je_malloc(size);
	je_free(p);
	return q;
}

SITE(by_nested)
{
	void *p;

	for (int i = 0; i < 20; i++) {
		keep = je_malloc(10);
		HOLD(by_nested, 10);
		keep = je_calloc(3, 7); /* from the same frame, in turns */
		HOLD(by_nested, 21);
		keep = je_memalign(64, 100);
		HOLD(by_nested, 100);
		keep = je_aligned_alloc(64, 200);
		HOLD(by_nested, 200);
		if (je_posix_memalign(&p, 128, 300))
			abort();
		HOLD(by_nested, 300);
		p = je_realloc(NULL, 50);
		p = je_realloc(p, 60);
		keep = p;
		HOLD(by_nested, 60);
		je_dallocx(je_malloc(1), 0);
		je_free(je_calloc(2, 2));
	}
}

/* A frame that is larger than the one that was left, and does not write over what is there. */
static __attribute__((noinline, section("site_by_left"))) void *deeper(size_t size)
{
	volatile char space[4096];

	space[0] = 1;
	keep = je_malloc(size);
	return space[0] ? keep : NULL;
}

SITE(by_left)
{
	for (volatile int i = 0; i < 50; i++) {
		leave = 1;
		if (!setjmp(out)) {
			switch (i % 3) {
			case 0: keep = je_malloc(5); break;
			case 1: keep = je_calloc(5, 5); break;
			default: keep = je_realloc(NULL, 5); break;
			}
			abort();
		}
		leave = 0;
		keep = deeper(1000);
		HOLD(by_left, 1000);
		keep = je_calloc(1, 10);
		HOLD(by_left, 10);
	}
}

#define PRINT(name)                                                                \
	do {                                                                       \
		if (name##_blocks)                                                 \
			printf("site %s %llx %llx %llu %llu\n", #name,             \
			       (unsigned long long)(uintptr_t)__start_site_##name, \
			       (unsigned long long)(uintptr_t)__stop_site_##name,  \
			       (unsigned long long)name##_bytes,                   \
			       (unsigned long long)name##_blocks);                 \
	} while (0)

static void report(void)
{
	PRINT(by_nested);
	PRINT(by_left);
	printf("done\n");
	fflush(stdout);
}

int main(void)
{
	static char to[4096], from[4096], line[512];

	setvbuf(stdout, to, _IOFBF, sizeof(to));
	setvbuf(stdin, from, _IOLBF, sizeof(from));
	report();
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "nested\n"))
			by_nested();
		else if (!strcmp(line, "left\n"))
			by_left();
		report();
	}
	return 0;
}
