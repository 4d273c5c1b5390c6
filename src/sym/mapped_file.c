// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE
#include "sym/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool find(const struct map *m, pid_t pid, char path[PATH_MAX], struct stat *st)
{
	if (!m->inode)
		return false;
	snprintf(path, PATH_MAX, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, m->start,
		 m->end);
	if (!stat(path, st))
		return true;
	return m->path[0] == '/' &&
	       snprintf(path, PATH_MAX, "/proc/%d/root%s", (int)pid, m->path) < PATH_MAX &&
	       !stat(path, st) && st->st_ino == m->inode;
}

int mapped_file__stat(const struct map *m, pid_t pid, struct stat *st)
{
	char path[PATH_MAX];

	if (!find(m, pid, path, st))
		return -ENOENT;
	return S_ISREG(st->st_mode) ? 0 : -EINVAL;
}

int mapped_file__open(const struct map *m, pid_t pid, struct stat *st)
{
	char path[PATH_MAX];
	int fd;

	if (!find(m, pid, path, st))
		return -ENOENT;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) || !S_ISREG(st->st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

int mapped_file__open_vdso(void)
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
