/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names for addresses of a process: ELF symbols (.symtab, .dynsym, separate debug files,
 * MiniDebugInfo), Go's own table, DWARF for source lines. Files are opened through the process
 * (/proc/PID/root and map_files), so that containers, deleted and replaced binaries give their own
 * names or none.
 */
#ifndef HOPSCOPE_SYM_SYMBOLS_H
#define HOPSCOPE_SYM_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/heap.h"

struct symbols;

/*
 * Notes the process's mappings and keeps its files open, so that names can be had after it ended. 0
 * or negative errno, -ESRCH: there is no such process.
 */
int symbols__open(struct symbols **out, pid_t pid);
/*
 * Takes up what was mapped since (dlopen), and the perf map as it is now. Keeps what was unmapped,
 * unless something else has taken its place, and all when the process has gone (0, then, too).
 */
int symbols__refresh(struct symbols *s);
void symbols__close(struct symbols *s);

/*
 * Never fails: what no file tells is "[unknown]", with the module where that is known. Frames other
 * than the innermost hold return addresses: is_return looks up the call before it. Strings live as
 * long as *s, and hold whatever the files do: print them through out/text.h. Demangles C++ and
 * Rust. The offset of an [unknown] is the address as linked (what addr2line takes), or in the
 * mapping where there is no file.
 */
void symbols__frame(struct symbols *s, uint64_t pc, bool is_return, struct heap_frame *out);

/*
 * Why names were missing in symbols__frame() so far, one printable line a module ("/usr/bin/x: 3
 * addresses without a name: stripped ..."): for the report's notes.
 */
typedef void (*symbols_note_fn)(void *ctx, const char *note);
void symbols__notes(const struct symbols *s, symbols_note_fn fn, void *ctx);

#endif
