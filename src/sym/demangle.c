/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libiberty's demanglers, by their callbacks: a short mangled name can stand for gigabytes, since
 * substitutions nest, so what comes out is cut, and the demangler left, when it is enough.
 */
#include <setjmp.h>
#include <string.h>

#include <libiberty/demangle.h>

#include "sym/demangle.h"

/* Of the mangled name. The C++ demangler takes some 100 bytes of stack for each. */
#define NAME_MAX_LEN 8192

struct sink {
	char *out;
	size_t size, n;
	jmp_buf full;
};

/* Neither demangler holds memory of the heap while it prints, but for Rust's short punycode names.
 */
static void take(const char *s, size_t n, void *opaque)
{
	struct sink *to = opaque;

	if (n > to->size - 1 - to->n) {
		memcpy(to->out + to->n, s, to->size - 1 - to->n);
		memcpy(to->out + to->size - 4, "...", 4);
		longjmp(to->full, 1);
	}
	memcpy(to->out + to->n, s, n);
	to->n += n;
	to->out[to->n] = 0;
}

static bool is_mangled(const char *name)
{
	/* what the Itanium C++ ABI and Rust's two schemes begin with */
	return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2);
}

bool demangle__name(const char *name, char *out, size_t size)
{
	struct sink to = {.out = out, .size = size};
	int options = DMGL_PARAMS | DMGL_ANSI;
	bool ok;

	out[0] = 0;
	if (size < 8 || !is_mangled(name) || strlen(name) > NAME_MAX_LEN)
		return false;
	if (setjmp(to.full))
		return true;
	/* Rust's older scheme is C++'s with a hash at the end: it has to be asked for first */
	ok = rust_demangle_callback(name, options, take, &to);
	if (!ok) {
		to.n = 0;
		ok = cplus_demangle_v3_callback(name, options, take, &to);
	}
	if (!ok)
		out[0] = 0;
	return ok && out[0];
}
