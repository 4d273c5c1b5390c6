// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The cgroup v2 hierarchy: where it is mounted, and the path of a cgroup whose id we have. */
#define _GNU_SOURCE
#include "probe/cgroup2.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KERNFS_HANDLE 0xfe /* FILEID_KERNFS, include/linux/exportfs.h: the handle is the id */

/* One line of /proc/self/mountinfo; fields in proc(5). True for a cgroup2 mount, its point put. */
static bool mountinfo__cgroup2(char *line, char *point, size_t size)
{
	char *sep = strstr(line, " - "), *at = line;

	if (!sep || strncmp(sep + 3, "cgroup2 ", 8) != 0)
		return false;
	for (int i = 0; i < 4 && at; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return false;
	snprintf(point, size, "%.*s", (int)strcspn(at, " "), at);
	return true;
}

const char *cgroup2__mount(void)
{
	static char point[256];
	char line[4096];
	FILE *f;

	if (point[0])
		return point;
	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return NULL;
	while (!point[0] && fgets(line, sizeof(line), f)) {
		if (!mountinfo__cgroup2(line, point, sizeof(point)))
			point[0] = '\0';
	}
	fclose(f);
	return point[0] ? point : NULL;
}

int cgroup2__path(uint64_t id, char *out, size_t size)
{
	struct {
		struct file_handle h;
		uint64_t id;
	} handle = {.h = {.handle_bytes = sizeof(uint64_t), .handle_type = KERNFS_HANDLE}};
	const char *mount = cgroup2__mount();
	char self[64], path[4096];
	int mount_fd, fd;
	ssize_t n;

	snprintf(out, size, "?");
	if (!mount)
		return -ENOENT;
	mount_fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount_fd < 0)
		return -errno;
	/* f_handle is a flexible array: the id stands behind the struct. */
	memcpy(handle.h.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(mount_fd, &handle.h, O_PATH | O_CLOEXEC);
	close(mount_fd);
	if (fd < 0)
		return -errno;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, path, sizeof(path) - 1);
	close(fd);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	if (strncmp(path, mount, strlen(mount)) != 0)
		return -ENOENT;
	snprintf(out, size, "%s", path[strlen(mount)] ? path + strlen(mount) : "/");
	return 0;
}

int cgroup2__find(const char *path, uint64_t *id, uint32_t *level)
{
	const char *mount = cgroup2__mount(), *rest;
	char full[4096];
	struct stat st;

	if (!mount)
		return -ENOENT;
	if (strncmp(path, mount, strlen(mount)) == 0)
		snprintf(full, sizeof(full), "%s", path);
	else
		snprintf(full, sizeof(full), "%s/%s", mount, path[0] == '/' ? path + 1 : path);
	if (stat(full, &st))
		return -errno;
	*id = st.st_ino;
	*level = 0;
	for (rest = full + strlen(mount); *rest; rest++) {
		if (rest[0] == '/' && rest[1] && rest[1] != '/')
			(*level)++;
	}
	return 0;
}
