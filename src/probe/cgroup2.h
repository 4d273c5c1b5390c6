/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef HOPSCOPE_PROBE_CGROUP2_H
#define HOPSCOPE_PROBE_CGROUP2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Path of the cgroup v2 mount, or NULL where there is none. */
const char *cgroup2__mount(void);

/*
 * Path below the mount of the cgroup with this id ("/" for the root). -ESTALE when it is gone,
 * -EPERM without CAP_DAC_READ_SEARCH; `out` is "?" then.
 */
int cgroup2__path(uint64_t id, char *out, size_t size);

/*
 * Id and depth (0: root) of a cgroup given by its path, below the mount or in full. The id is the
 * directory's inode number (cgroup_id() in the kernel, 64-bit hosts). Negative errno.
 */
int cgroup2__find(const char *path, uint64_t *id, uint32_t *level);

#endif
