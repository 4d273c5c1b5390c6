/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which frame of a stack says who wanted the memory. */
#include <string.h>

#include "model/heap.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Functions that allocate for others, or touch memory for others. A `*` stands for any ending. */
static const char *const helpers[] = {
	"malloc",
	"calloc",
	"realloc",
	"reallocarray",
	"memalign",
	"aligned_alloc",
	"posix_memalign",
	"valloc",
	"pvalloc",
	"operator new*",
	"__libc_*alloc*",
	"_int_malloc",
	"_int_realloc",
	"_int_memalign",
	"_int_free*",
	"_mid_memalign*",
	"sysmalloc*",
	"tcache_*",
	"ptmalloc_init*",
	"malloc_consolidate",
	"unlink_chunk*",
	"arena_get*",
	"grow_heap",
	"new_heap",
	"checked_request2size",
	"je_*",
	"mi_*",
	"_mi_*",
	"tc_*",
	"tcmalloc::*",
	"__memset_*",
	"__memcpy_*",
	"__memmove_*",
	"__mempcpy_*",
	"memset",
	"memcpy",
	"memmove",
	"bzero",
	"__GI___*alloc*",
	"mmap*",
	"__mmap*",
	"brk",
	"sbrk",
	"__sbrk",
	"__libc_memalign",
	"runtime.*",
	"internal/runtime/*",
};

/* What these files hold is an allocator and nothing else. */
static const char *const allocators[] = {"libjemalloc.so*", "libtcmalloc*", "libmimalloc*"};

/* `*` matches anything; the last one the rest. */
static bool matches(const char *pattern, const char *s)
{
	const char *star = NULL, *again = NULL;

	while (*s) {
		if (*pattern == '*') {
			star = ++pattern;
			again = s;
		} else if (*pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star;
			s = ++again;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool any(const char *const *patterns, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (matches(patterns[i], s))
			return true;
	return false;
}

bool heap_frame__unknown(const struct heap_frame *f)
{
	return !strcmp(f->function, HEAP_UNKNOWN);
}

const char *heap_frame__module(const struct heap_frame *f)
{
	const char *slash = strrchr(f->module, '/');

	return slash && slash[1] ? slash + 1 : f->module;
}

static bool is_helper(const struct heap_frame *f)
{
	const char *module = heap_frame__module(f);

	if (any(helpers, ARRAY_LEN(helpers), f->function))
		return true;
	if (any(allocators, ARRAY_LEN(allocators), module))
		return true;
	/* libc's own static functions have no names in a stripped libc */
	return heap_frame__unknown(f) &&
	       (!strncmp(module, "libc.so", 7) || !strncmp(module, "ld-musl", 7));
}

size_t heap_site__interesting(const struct heap_site *s)
{
	for (size_t i = 0; i < s->n_frames; i++)
		if (!is_helper(&s->frames[i]))
			return i;
	return 0;
}
