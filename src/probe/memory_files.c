// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE /* O_PATH */
#include "probe/memory_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int memory_files__open(struct memory_files *f, const char *dir, bool keep)
{
	memset(f, 0, sizeof(*f));
	f->keep = keep;
	for (int i = 0; i < KEPT_FILES; i++)
		f->fd[i] = -1;
	f->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return f->dir < 0 ? -errno : 0;
}

void memory_files__close(struct memory_files *f)
{
	for (int i = 0; i < KEPT_FILES; i++)
		if (f->fd[i] >= 0)
			close(f->fd[i]);
	if (f->dir >= 0)
		close(f->dir);
	f->dir = -1;
	for (int i = 0; i < KEPT_FILES; i++)
		f->fd[i] = -1;
}

/* pread() makes the kernel write the file anew. What does not fit is cut at the last whole line. */
static int read_fd(int fd, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	while (len + 1 < size) {
		ssize_t n = pread(fd, buf + len, size - len - 1, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		/* A file of the kernel's that fits comes in one piece. */
		if (!n || buf[len - 1] == '\n')
			break;
	}
	if (len + 1 == size)
		while (len && buf[len - 1] != '\n')
			len--;
	buf[len] = '\0';
	return (int)len;
}

static int open_file(struct memory_files *f, const char *name)
{
	int fd = openat(f->dir, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int memory_files__once(struct memory_files *f, const char *name, char *buf, size_t size)
{
	int fd = open_file(f, name), n;

	buf[0] = '\0';
	if (fd < 0)
		return fd;
	n = read_fd(fd, buf, size);
	close(fd);
	return n;
}

int memory_files__kept(struct memory_files *f, enum memory_kept which, const char *name, char *buf,
		       size_t size)
{
	buf[0] = '\0';
	if (f->absent & (1u << which))
		return -ENOENT;
	if (f->fd[which] < 0) {
		int fd = open_file(f, name);

		if (fd == -ENOENT)
			f->absent |= (uint8_t)(1u << which);
		if (fd < 0)
			return fd;
		f->fd[which] = fd;
	}
	if (f->keep)
		return read_fd(f->fd[which], buf, size);

	int n = read_fd(f->fd[which], buf, size);

	close(f->fd[which]);
	f->fd[which] = -1;
	return n;
}

uint64_t memory_text__number(const char *text)
{
	char *end;
	uint64_t v;

	if (*text < '0' || *text > '9')
		return MEMORY_NO_LIMIT; /* "max", "-1" */
	v = strtoull(text, &end, 10);
	return end == text ? MEMORY_NO_LIMIT : v;
}

int memory_files__number(struct memory_files *f, const char *name, uint64_t *value)
{
	char buf[64];
	int n = memory_files__once(f, name, buf, sizeof(buf));

	if (n < 0)
		return n;
	*value = memory_text__number(buf);
	return 0;
}

int memory_files__processes(struct memory_files *f, uint64_t *n)
{
	char buf[4096];
	uint64_t lines = 0;
	ssize_t got;
	int fd = open_file(f, "cgroup.procs"), err = 0;

	if (fd < 0)
		return fd;
	while ((got = read(fd, buf, sizeof(buf))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			err = -errno; /* -EOPNOTSUPP: a threaded cgroup */
			break;
		}
		for (ssize_t i = 0; i < got; i++)
			lines += buf[i] == '\n';
	}
	close(fd);
	if (!err)
		*n = lines;
	return err;
}

void memory_text__keys(char *text, const struct memory_key *keys, size_t n,
		       struct memory_reading *r)
{
	char *line = text, *next, *blank;

	for (size_t i = 0; i < n; i++)
		*(uint64_t *)((char *)r + keys[i].offset) = MEMORY_NOT_KNOWN;
	for (; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		blank = strchr(line, ' ');
		if (!blank)
			continue;
		*blank++ = '\0';
		for (size_t i = 0; i < n; i++) {
			uint64_t *field = (uint64_t *)((char *)r + keys[i].offset);

			if (line[0] != keys[i].name[0] || strcmp(line, keys[i].name) != 0)
				continue;
			if (keys[i].add && *field != MEMORY_NOT_KNOWN)
				*field += memory_text__number(blank);
			else
				*field = memory_text__number(blank);
			break;
		}
	}
}

void memory_reading__set_working_set(struct memory_reading *r)
{
	if (r->current == MEMORY_NOT_KNOWN || r->inactive_file == MEMORY_NOT_KNOWN)
		r->working_set = r->current;
	else
		r->working_set = r->current > r->inactive_file ? r->current - r->inactive_file : 0;
}
