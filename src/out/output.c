/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "out/output.h"

#include <errno.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

bool output__is_stdout(const char *path)
{
	return path && (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"));
}

static int open_path(struct output *o)
{
	int fd = outfile__open(o->path);

	if (fd < 0)
		return log_fail(fd, "cannot write %s: %s", o->path, outfile__why(fd));
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

/* Empties it, the first time. */
static int begin(struct output *o)
{
	struct stat st;

	if (o->begun)
		return 0;
	o->begun = true;
	if (!fstat(fileno(o->file), &st) && S_ISREG(st.st_mode) && ftruncate(fileno(o->file), 0))
		return -errno;
	return 0;
}

/* Half a graph is none: what could not be written whole is taken back, what was before it stays. */
int output__write(struct output *o, outfile_fn fn, void *ctx)
{
	int err = begin(o);
	off_t before = ftello(o->file);

	err = err ? err : outfile__write(o->file, fn, ctx);
	if (!err)
		return 0;
	if (before >= 0 && o->file != stdout && !ftruncate(fileno(o->file), before)) {
		__fpurge(o->file);
		fseeko(o->file, before, SEEK_SET);
	}
	return log_fail(err, "cannot write %s: %s", o->path, strerror(-err));
}

int output__close(struct output *o)
{
	int err = 0;

	if (o->file && o->file != stdout && fclose(o->file))
		err = log_fail(-errno, "cannot write %s: %s", o->path, strerror(errno));
	o->file = NULL;
	return err;
}
