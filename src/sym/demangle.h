/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* C++ and Rust names as people write them. */
#ifndef HOPSCOPE_SYM_DEMANGLE_H
#define HOPSCOPE_SYM_DEMANGLE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * False: not a mangled name, or one beyond the bounds; out is "" then. A result that does not fit
 * ends in "...".
 */
bool demangle__name(const char *name, char *out, size_t size);

#endif
