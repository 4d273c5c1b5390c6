// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/allocators.h"

#include <string.h>

#define ALLOC(name)                                  \
	{                                            \
		name, HEAP_ALLOC, 1, 1, false, false \
	}
#define ALLOC2(name)                                 \
	{                                            \
		name, HEAP_ALLOC, 2, 2, false, false \
	} /* the size comes second */
#define CALLOC(name)                                  \
	{                                             \
		name, HEAP_CALLOC, 0, 2, false, false \
	}
#define REALLOC(name)                                  \
	{                                              \
		name, HEAP_REALLOC, 0, 2, false, false \
	}
#define REALLOCARRAY(name)                                  \
	{                                                   \
		name, HEAP_REALLOCARRAY, 0, 3, false, false \
	}
#define POSIX_MEMALIGN(name)                         \
	{                                            \
		name, HEAP_POSIX, 0, 3, false, false \
	}
#define FREE(name)                                  \
	{                                           \
		name, HEAP_FREE, 0, 1, false, false \
	}
#define NEW(name)                                  \
	{                                          \
		name, HEAP_ALLOC, 1, 1, true, true \
	}
#define NEW_NOTHROW(name)                           \
	{                                           \
		name, HEAP_ALLOC, 1, 1, true, false \
	}
#define DELETE(name)                               \
	{                                          \
		name, HEAP_FREE, 0, 1, true, false \
	}

/* strdup, getline and the like call malloc, and need no row. */
static const struct allocator_function functions[] = {
	/* C */
	ALLOC("malloc"),
	CALLOC("calloc"),
	REALLOC("realloc"),
	REALLOCARRAY("reallocarray"),
	ALLOC2("aligned_alloc"),
	ALLOC2("memalign"),
	ALLOC("valloc"),
	ALLOC("pvalloc"),
	POSIX_MEMALIGN("posix_memalign"),
	FREE("free"),
	FREE("cfree"),
	FREE("free_sized"),
	FREE("free_aligned_sized"),
	/* glibc's own names for them, which others take over too */
	ALLOC("__libc_malloc"),
	CALLOC("__libc_calloc"),
	REALLOC("__libc_realloc"),
	ALLOC2("__libc_memalign"),
	ALLOC("__libc_valloc"),
	ALLOC("__libc_pvalloc"),
	POSIX_MEMALIGN("__posix_memalign"),
	FREE("__libc_free"),
	/* C++: new(size), new[], with nothrow, aligned; delete also with the size */
	NEW("_Znwm"),
	NEW("_Znam"),
	NEW("_ZnwmSt11align_val_t"),
	NEW("_ZnamSt11align_val_t"),
	NEW_NOTHROW("_ZnwmRKSt9nothrow_t"),
	NEW_NOTHROW("_ZnamRKSt9nothrow_t"),
	NEW_NOTHROW("_ZnwmSt11align_val_tRKSt9nothrow_t"),
	NEW_NOTHROW("_ZnamSt11align_val_tRKSt9nothrow_t"),
	DELETE("_ZdlPv"),
	DELETE("_ZdaPv"),
	DELETE("_ZdlPvm"),
	DELETE("_ZdaPvm"),
	DELETE("_ZdlPvRKSt9nothrow_t"),
	DELETE("_ZdaPvRKSt9nothrow_t"),
	DELETE("_ZdlPvSt11align_val_t"),
	DELETE("_ZdaPvSt11align_val_t"),
	DELETE("_ZdlPvmSt11align_val_t"),
	DELETE("_ZdaPvmSt11align_val_t"),
	DELETE("_ZdlPvSt11align_val_tRKSt9nothrow_t"),
	DELETE("_ZdaPvSt11align_val_tRKSt9nothrow_t"),
	/* jemalloc; a build may put je_ before its names */
	ALLOC("mallocx"),
	REALLOC("rallocx"),
	FREE("dallocx"),
	FREE("sdallocx"),
	ALLOC("je_malloc"),
	CALLOC("je_calloc"),
	REALLOC("je_realloc"),
	ALLOC2("je_aligned_alloc"),
	ALLOC2("je_memalign"),
	ALLOC("je_valloc"),
	POSIX_MEMALIGN("je_posix_memalign"),
	FREE("je_free"),
	ALLOC("je_mallocx"),
	REALLOC("je_rallocx"),
	FREE("je_dallocx"),
	FREE("je_sdallocx"),
	ALLOC("_rjem_malloc"),
	CALLOC("_rjem_calloc"),
	REALLOC("_rjem_realloc"),
	ALLOC2("_rjem_aligned_alloc"),
	POSIX_MEMALIGN("_rjem_posix_memalign"),
	FREE("_rjem_free"),
	ALLOC("_rjem_mallocx"),
	REALLOC("_rjem_rallocx"),
	FREE("_rjem_dallocx"),
	FREE("_rjem_sdallocx"),
	/* tcmalloc */
	ALLOC("tc_malloc"),
	ALLOC("tc_malloc_skip_new_handler"),
	CALLOC("tc_calloc"),
	REALLOC("tc_realloc"),
	ALLOC2("tc_memalign"),
	ALLOC("tc_valloc"),
	ALLOC("tc_pvalloc"),
	POSIX_MEMALIGN("tc_posix_memalign"),
	FREE("tc_free"),
	FREE("tc_cfree"),
	FREE("tc_free_sized"),
	NEW("tc_new"),
	NEW("tc_newarray"),
	NEW("tc_new_aligned"),
	NEW("tc_newarray_aligned"),
	NEW_NOTHROW("tc_new_nothrow"),
	NEW_NOTHROW("tc_newarray_nothrow"),
	NEW_NOTHROW("tc_new_aligned_nothrow"),
	NEW_NOTHROW("tc_newarray_aligned_nothrow"),
	DELETE("tc_delete"),
	DELETE("tc_delete_sized"),
	DELETE("tc_delete_nothrow"),
	DELETE("tc_delete_aligned"),
	DELETE("tc_delete_sized_aligned"),
	DELETE("tc_delete_aligned_nothrow"),
	DELETE("tc_deletearray"),
	DELETE("tc_deletearray_sized"),
	DELETE("tc_deletearray_nothrow"),
	DELETE("tc_deletearray_aligned"),
	DELETE("tc_deletearray_sized_aligned"),
	DELETE("tc_deletearray_aligned_nothrow"),
	/* mimalloc */
	ALLOC("mi_malloc"),
	ALLOC("mi_malloc_small"),
	ALLOC("mi_zalloc"),
	ALLOC("mi_zalloc_small"),
	CALLOC("mi_calloc"),
	CALLOC("mi_mallocn"),
	REALLOC("mi_realloc"),
	REALLOC("mi_rezalloc"),
	REALLOCARRAY("mi_reallocn"),
	REALLOCARRAY("mi_reallocarray"),
	REALLOCARRAY("mi_recalloc"),
	ALLOC("mi_malloc_aligned"),
	ALLOC("mi_malloc_aligned_at"),
	ALLOC("mi_zalloc_aligned"),
	CALLOC("mi_calloc_aligned"),
	REALLOC("mi_realloc_aligned"),
	ALLOC2("mi_aligned_alloc"),
	ALLOC2("mi_memalign"),
	ALLOC("mi_valloc"),
	ALLOC("mi_pvalloc"),
	POSIX_MEMALIGN("mi_posix_memalign"),
	ALLOC2("mi_heap_malloc"),
	ALLOC2("mi_heap_zalloc"),
	ALLOC2("mi_heap_malloc_small"),
	ALLOC2("mi_heap_malloc_aligned"),
	ALLOC2("mi_heap_zalloc_aligned"),
	FREE("mi_free"),
	FREE("mi_cfree"),
	FREE("mi_free_size"),
	FREE("mi_free_aligned"),
	FREE("mi_free_size_aligned"),
	NEW("mi_new"),
	NEW("mi_new_aligned"),
	NEW_NOTHROW("mi_new_nothrow"),
	NEW_NOTHROW("mi_new_aligned_nothrow"),
};

/* Symbols that only one allocator has, and its name: the more particular first. */
static const char *const markers[][2] = {
	{"mallctl", "jemalloc"},
	{"je_mallctl", "jemalloc"},
	{"_rjem_mallctl", "jemalloc"},
	{"tc_malloc", "tcmalloc"},
	{"TCMallocInternalMalloc", "tcmalloc"},
	{"mi_malloc", "mimalloc"},
	{"gnu_get_libc_version", "glibc"},
	{"_dl_relocate_static_pie", "glibc"}, /* in static binaries */
	{"__libc_mallopt", "glibc"},
	{"__malloc_donate", "musl"},
	{"__libc_malloc_impl", "musl"},
	{"__init_tp", "musl"},
	{"_dlstart_c", "musl"},
	{"__dls3", "musl"},
};

#define N_MARKERS (sizeof(markers) / sizeof(markers[0]))

const struct allocator_function *allocator__table(size_t *n)
{
	*n = sizeof(functions) / sizeof(functions[0]);
	return functions;
}

const struct allocator_function *allocator__function(const char *symbol)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (!strcmp(symbol, functions[i].symbol))
			return &functions[i];
	}
	return NULL;
}

const char *const *allocator__markers(size_t *n)
{
	static const char *symbols[N_MARKERS];

	for (size_t i = 0; i < N_MARKERS; i++)
		symbols[i] = markers[i][0];
	*n = N_MARKERS;
	return symbols;
}

const char *allocator__named_by(const char *symbol)
{
	for (size_t i = 0; i < N_MARKERS; i++) {
		if (!strcmp(symbol, markers[i][0]))
			return markers[i][1];
	}
	return NULL;
}
