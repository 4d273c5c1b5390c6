/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "out/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

bool output__is_stdout(const char *path)
{
	return path && (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"));
}

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

static int open_path(struct output *o)
{
	int fd = open(o->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0666);

	fd = fd >= 0 ? fd : errno == ELOOP ? open_link(o->path) : -errno;
	if (fd == -ELOOP)
		return log_fail(fd, "cannot write %s: it is a symbolic link to a file", o->path);
	if (fd < 0)
		return log_fail(fd, "cannot write %s: %s", o->path, strerror(-fd));
	o->file = fdopen(fd, "w");
	if (o->file)
		return 0;
	close(fd);
	return log_fail(-ENOMEM, "out of memory");
}

bool output__same_file(FILE *a, FILE *b)
{
	struct stat x, y;

	return !fstat(fileno(a), &x) && !fstat(fileno(b), &y) && S_ISREG(x.st_mode) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int output__open(struct output *o)
{
	int err;

	if (!o->path)
		return 0;
	if (output__is_stdout(o->path)) {
		o->file = stdout;
		o->begun = true;
		return 0;
	}
	err = open_path(o);
	if (!err && output__same_file(stdout, o->file))
		err = log_fail(-EINVAL, "%s is what standard output goes to", o->path);
	return err;
}

int output__begin(struct output *o)
{
	struct stat st;

	if (o->begun)
		return 0;
	o->begun = true;
	if (!fstat(fileno(o->file), &st) && S_ISREG(st.st_mode) && ftruncate(fileno(o->file), 0))
		return -errno;
	return 0;
}

int output__close(struct output *o)
{
	int err = 0;

	if (o->file && o->file != stdout && fclose(o->file))
		err = log_fail(-errno, "cannot write %s: %s", o->path, strerror(errno));
	o->file = NULL;
	return err;
}
