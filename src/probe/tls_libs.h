/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which functions encrypt and decrypt, by their symbols. A TLS library is rows here. */
#ifndef HOPSCOPE_PROBE_TLS_LIBS_H
#define HOPSCOPE_PROBE_TLS_LIBS_H

#include <stdbool.h>
#include <stddef.h>

#include "tls_record.h"

struct tls_function {
	const char *symbol;
	const char *library; /* "OpenSSL" */
	enum tls_role role;
	enum tls_result result;
	bool wide; /* sizes are size_t, else int */
	/*
	 * Its siblings do their work in one function without a symbol, (connection, buffer, size_t
	 * size, size_t *done), which is cheaper to probe: those whose `inner` is the same. NULL:
	 * there is none.
	 */
	const char *inner;
};

/* All rows; what reads or writes in one library stands together. */
const struct tls_function *tls_libs__functions(size_t *n);

/* May a shared library of this name be one of them? Programs are looked into whatever their name.
 */
bool tls_libs__is_named(const char *path);

#endif
