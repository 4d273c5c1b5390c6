// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE
#include "probe/hostfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int hostfs__open_root(const char *root)
{
	int fd = open(root && *root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int hostfs__open(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned int)(flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	/* Older kernels, and filters of system calls that do not know it. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
		while (*path == '/')
			path++;
		fd = openat(root, *path ? path : ".", (int)how.flags);
	}
	return fd < 0 ? -errno : fd;
}

static char *read_all(int fd, size_t *len)
{
	struct stat st;
	char *buf;
	ssize_t n;

	*len = 0;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > HOSTFS_MAX_FILE)
		return NULL;
	buf = malloc(HOSTFS_MAX_FILE);
	while (buf && *len < HOSTFS_MAX_FILE) {
		n = read(fd, buf + *len, HOSTFS_MAX_FILE - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	return buf;
}

json_t *hostfs__json(int root, const char *path)
{
	int fd = hostfs__open(root, path, 0);
	json_t *v = NULL;
	size_t len;
	char *buf;

	if (fd < 0)
		return NULL;
	buf = read_all(fd, &len);
	close(fd);
	if (buf)
		v = json_loadb(buf, len, 0, NULL);
	free(buf);
	return v;
}

bool hostfs__each(int root, const char *dir, hostfs_fn fn, void *ctx)
{
	int fd = hostfs__open(root, dir, O_DIRECTORY), n = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool done = false;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!done && n < HOSTFS_MAX_ENTRIES && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		done = fn(ctx, e->d_name);
		n++;
	}
	closedir(d);
	return done;
}
