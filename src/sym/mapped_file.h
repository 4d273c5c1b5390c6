/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The files behind a process's mappings. */
#ifndef HOPSCOPE_SYM_MAPPED_FILE_H
#define HOPSCOPE_SYM_MAPPED_FILE_H

#include <sys/stat.h>
#include <sys/types.h>

#include "sym/maps.h"

/*
 * Opens the file behind a mapping, also when it was deleted or replaced since, in whatever mount
 * namespace: through /proc/PID/map_files; where that is not allowed, through /proc/PID/root when
 * the inode is the same. Only regular files: opening a device can do things. An fd and its stat, or
 * negative errno.
 */
int mapped_file__open(const struct map *m, pid_t pid, struct stat *st);
/* The same without opening. 0 or negative errno. */
int mapped_file__stat(const struct map *m, pid_t pid, struct stat *st);
/* The vdso as a file in memory: of this process, so of this kernel. An fd or negative errno. */
int mapped_file__open_vdso(void);

#endif
