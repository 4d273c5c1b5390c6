/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap/outputs.h"
#include "log.h"
#include "out/flame.h"
#include "out/folded.h"
#include "out/heap_json.h"
#include "out/pprof.h"

bool heap_output__is_stdout(const char *path)
{
	return path && (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"));
}

bool heap_outputs__to_stdout(const struct heap_outputs *o)
{
	for (int i = 0; i < HEAP_OUTPUTS; i++)
		if (heap_output__is_stdout(o->path[i]))
			return true;
	return false;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
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

static int open_one(struct heap_outputs *o, int i)
{
	const char *path = o->path[i];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0666);

	fd = fd >= 0 ? fd : errno == ELOOP ? open_link(path) : -errno;
	if (fd == -ELOOP)
		return log_fail(fd, "cannot write %s: it is a symbolic link to a file", path);
	if (fd < 0)
		return log_fail(fd, "cannot write %s: %s", path, strerror(-fd));
	o->file[i] = fdopen(fd, "w");
	if (o->file[i])
		return 0;
	close(fd);
	return log_fail(-ENOMEM, "out of memory");
}

static bool same_file(FILE *a, FILE *b)
{
	struct stat x, y;

	return !fstat(fileno(a), &x) && !fstat(fileno(b), &y) && S_ISREG(x.st_mode) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* They would overwrite each other. Something always goes to standard output, too. */
static int check_distinct(const struct heap_outputs *o, int i)
{
	for (int k = 0; k < i; k++)
		if (o->file[k] && same_file(o->file[k], o->file[i]))
			return log_fail(-EINVAL, "%s and %s are the same file", o->path[k],
					o->path[i]);
	if (same_file(stdout, o->file[i]))
		return log_fail(-EINVAL, "%s is what standard output goes to", o->path[i]);
	return 0;
}

int heap_outputs__open(struct heap_outputs *o)
{
	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		int err;

		if (!o->path[i])
			continue;
		if (heap_output__is_stdout(o->path[i])) {
			o->file[i] = stdout;
			o->begun[i] = true;
			continue;
		}
		err = open_one(o, i);
		err = err ? err : check_distinct(o, i);
		if (err)
			return err;
	}
	return 0;
}

/* Now that there is something to put in its place. */
static int begin(struct heap_outputs *o, int i)
{
	struct stat st;

	if (o->begun[i])
		return 0;
	o->begun[i] = true;
	if (!fstat(fileno(o->file[i]), &st) && S_ISREG(st.st_mode) &&
	    ftruncate(fileno(o->file[i]), 0))
		return -errno;
	return 0;
}

static int write_one(struct heap_outputs *o, int i, const struct heap_profile *p, bool final)
{
	struct flame_opts flame = {.grown = o->grown};

	switch ((enum heap_output)i) {
	case HEAP_FOLDED: return folded__print(o->file[i], p, o->grown);
	case HEAP_FLAME:
		flame.html = ends_with(o->path[i], ".html") || ends_with(o->path[i], ".htm");
		return flame__print(o->file[i], p, &flame);
	case HEAP_PPROF: return pprof__print(o->file[i], p, o->grown);
	case HEAP_RECORD: return heap_json__print(o->file[i], p, final);
	case HEAP_OUTPUTS: break;
	}
	return 0;
}

int heap_outputs__write(struct heap_outputs *o, const struct heap_profile *p, bool final)
{
	int first = 0;

	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		int err;

		if (!o->file[i] || (!final && i != HEAP_RECORD))
			continue;
		err = begin(o, i);
		errno = 0;
		err = err ? err : write_one(o, i, p, final);
		if (err == -EIO && errno)
			err = -errno;
		if (err)
			log_fail(err, "cannot write %s: %s", o->path[i], strerror(-err));
		first = first ? first : err;
	}
	return first;
}

int heap_outputs__close(struct heap_outputs *o)
{
	int err = 0;

	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		if (o->file[i] && o->file[i] != stdout && fclose(o->file[i]))
			err = log_fail(-errno, "cannot write %s: %s", o->path[i], strerror(errno));
		o->file[i] = NULL;
	}
	return err;
}
