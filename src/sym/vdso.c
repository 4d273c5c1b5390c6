// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE
#include "sym/vdso.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sym/maps.h"

int vdso__open(void)
{
	struct maps own;
	int err = maps__read(&own, getpid(), true), fd = -ENOENT;

	if (err)
		return err;
	for (size_t i = 0; i < own.n; i++) {
		const struct map *m = &own.map[i];
		size_t len = (size_t)(m->end - m->start);

		if (strcmp(m->path, "[vdso]") != 0)
			continue;
		fd = memfd_create("vdso", MFD_CLOEXEC);
		if (fd < 0) {
			fd = -errno;
		} else if (write(fd, (const void *)(uintptr_t)m->start, len) != (ssize_t)len) {
			close(fd);
			fd = -EIO;
		}
		break;
	}
	maps__free(&own);
	return fd;
}
