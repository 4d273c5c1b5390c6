// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "out/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A link may lead anywhere, but what /dev/fd/N and /dev/stderr lead to is a pipe or a terminal as a
 * rule: what is no file has nothing to lose.
 */
static int open_link(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && !S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -ELOOP;
}

/* The directory of a path, and the name in it. Its length, or negative errno. */
static int split(const char *path, char dir[PATH_MAX], const char **name)
{
	const char *slash = strrchr(path, '/');
	int n;

	*name = slash ? slash + 1 : path;
	if (!slash)
		n = snprintf(dir, PATH_MAX, ".");
	else
		n = snprintf(dir, PATH_MAX, "%.*s", (int)(slash - path + 1), path);
	return n < PATH_MAX ? n : -ENAMETOOLONG;
}

/* Where all may put files: one that someone else has put there, or given another name to. */
static int check_file(const char *path, const struct stat *st)
{
	char dir[PATH_MAX];
	const char *name;
	struct stat d;

	if (!S_ISREG(st->st_mode) || split(path, dir, &name) < 0 || stat(dir, &d) ||
	    !(d.st_mode & S_IWOTH))
		return 0;
	if (st->st_nlink > 1)
		return -EMLINK;
	return st->st_uid == geteuid() ? 0 : -EPERM;
}

int outfile__open(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0666);
	struct stat st;
	int err;

	if (fd < 0)
		return errno == ELOOP ? open_link(path) : -errno;
	err = fstat(fd, &st) ? -errno : check_file(path, &st);
	if (!err)
		return fd;
	close(fd);
	return err;
}

const char *outfile__why(int err)
{
	switch (err) {
	case -ELOOP: return "it is a symbolic link to a file";
	case -EMLINK:
		return "it has other names (hard links), in a directory that all may write to";
	case -EPERM: return "it belongs to another user, in a directory that all may write to";
	}
	return strerror(-err);
}

int outfile__write(FILE *out, outfile_fn fn, void *ctx)
{
	int err;

	errno = 0;
	err = fn(out, ctx);
	if (err == -EIO && errno)
		err = -errno;
	if (!err && fflush(out))
		err = -errno;
	return err;
}

static int write_to(int fd, bool sync, outfile_fn fn, void *ctx)
{
	FILE *f = fdopen(fd, "w");
	int err;

	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	err = outfile__write(f, fn, ctx);
	if (!err && sync && fsync(fd))
		err = -errno;
	if (fclose(f) && !err)
		err = -errno;
	return err;
}

static int in_place(const char *path, outfile_fn fn, void *ctx)
{
	int fd = outfile__open(path);

	return fd < 0 ? fd : write_to(fd, false, fn, ctx);
}

/* Beside `name`, under a name that nobody else has made. */
int outfile__replace_at(int dir, const char *name, outfile_fn fn, void *ctx)
{
	char temp[NAME_MAX + 1];
	int fd, err;

	snprintf(temp, sizeof(temp), ".%.200s.%d", name, (int)getpid());
	unlinkat(dir, temp, 0); /* of a run that was killed and had our pid */
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	err = write_to(fd, true, fn, ctx);
	if (!err && renameat(dir, temp, dir, name))
		err = -errno;
	if (err)
		unlinkat(dir, temp, 0);
	return err;
}

int outfile__replace(const char *path, outfile_fn fn, void *ctx)
{
	char dir[PATH_MAX];
	const char *name;
	struct stat st;
	int fd, err;

	err = split(path, dir, &name);
	if (err < 0)
		return err;
	if (!*name)
		return -EISDIR;
	if (!lstat(path, &st)) {
		if (!S_ISREG(st.st_mode))
			return in_place(path, fn, ctx);
		err = check_file(path, &st);
		if (err < 0)
			return err;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = outfile__replace_at(fd, name, fn, ctx);
	close(fd);
	return err;
}
