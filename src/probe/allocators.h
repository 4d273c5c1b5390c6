/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which functions give out and take back memory, by their symbols. An allocator is rows here. */
#ifndef HOPSCOPE_PROBE_ALLOCATORS_H
#define HOPSCOPE_PROBE_ALLOCATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap_record.h"

struct allocator_function {
	const char *symbol;
	enum heap_role role;
	uint8_t arg;	/* HEAP_ALLOC: which argument is the size, from 1 */
	uint8_t n_args; /* the first n arguments are read */
	bool cxx;	/* an operator of C++: most call malloc, and only that counts */
	bool throws;	/* when it fails */
};

/* NULL: it is no function of an allocator. */
const struct allocator_function *allocator__function(const char *symbol);

/* All rows, for tests. */
const struct allocator_function *allocator__table(size_t *n);

/* Symbols that allocators are named by. */
const char *const *allocator__markers(size_t *n);
/* "jemalloc" for a symbol that only jemalloc has ...; NULL: the symbol says nothing. */
const char *allocator__named_by(const char *symbol);

#endif
