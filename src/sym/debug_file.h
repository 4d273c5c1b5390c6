/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of a foreign root, and the debug symbols that belong to a stripped file. */
#ifndef HOPSCOPE_SYM_DEBUG_FILE_H
#define HOPSCOPE_SYM_DEBUG_FILE_H

#include <stdbool.h>

#include "sym/elf_file.h"

/*
 * Opens a regular file for reading, below root_fd as if that were "/": links do not lead out of it,
 * and a pipe or device in the file's place is not opened. An fd, or negative errno.
 */
int root__open(int root_fd, const char *path);

/* The regular file behind a link of /proc (map_files). */
int link__open(int dir_fd, const char *name);

/*
 * The separate debug file: by build id below /usr/lib/debug/.build-id, by .gnu_debuglink beside the
 * file and below /usr/lib/debug, where its CRC has to agree. `path` is the file's own. An fd, or
 * -ENOENT.
 */
int debug_file__find(const struct elf_file *f, int root_fd, const char *path);

/*
 * MiniDebugInfo (.gnu_debugdata), unpacked into memory: an fd, -ENOENT: has none. *budget: bytes it
 * may take, counted down; -EFBIG when that was not enough.
 */
int debug_file__mini(const struct elf_file *f, size_t *budget);

#endif
