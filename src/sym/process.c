/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opens what a process has mapped: by /proc/PID/map_files, else by path, if it is the same file. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sym/debug_file.h"
#include "sym/process.h"

#define VDSO_MAX (256u << 10)
#define PAGE	 4096

/* d_path() gives a path from here, or, where none leads there, from its mount namespace's root. */
static char *root_name(int proc)
{
	char name[PATH_MAX];
	ssize_t n = readlinkat(proc, "root", name, sizeof(name));

	if (n < 0 || n == sizeof(name) || name[0] != '/')
		n = 0;
	name[n] = 0;
	return strdup(strcmp(name, "/") != 0 ? name : "");
}

int process__open(struct process *p, pid_t pid)
{
	char path[64];

	*p = (struct process){.pid = pid, .proc = -1, .root = -1};
	snprintf(path, sizeof(path), "/proc/%d", pid);
	p->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->proc < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	p->root = openat(p->proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	p->prefix = root_name(p->proc);
	return p->prefix ? 0 : -ENOMEM;
}

void process__close(struct process *p)
{
	if (p->proc >= 0)
		close(p->proc);
	if (p->root >= 0)
		close(p->root);
	free(p->prefix);
	p->prefix = NULL;
	p->proc = p->root = -1;
}

int process__maps(const struct process *p, struct maps *m)
{
	int fd = openat(p->proc, "maps", O_RDONLY | O_CLOEXEC), err;

	memset(m, 0, sizeof(*m));
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	err = maps__read_fd(m, fd, false);
	close(fd);
	for (size_t i = 0, n = strlen(p->prefix); !err && n && i < m->n; i++)
		if (!strncmp(m->map[i].path, p->prefix, n) && m->map[i].path[n] == '/')
			m->map[i].path += n;
	return err;
}

/* n bytes of the process's memory. */
static int read_memory(const struct process *p, uint64_t address, void *buf, size_t n)
{
	int fd = openat(p->proc, "mem", O_RDONLY | O_CLOEXEC), err = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = pread(fd, buf, n, (off_t)address);
	if (got < 0)
		err = -errno;
	else if ((size_t)got != n)
		err = -ENODATA;
	close(fd);
	return err;
}

static bool same_file(const struct map *a, const struct map *b)
{
	return a->inode == b->inode && a->major == b->major && a->minor == b->minor;
}

/* Is the first page in memory what the file holds? It has the headers, and mostly the build id. */
static bool same_headers(const struct process *p, const struct map *map, const struct maps *all,
			 int fd)
{
	uint8_t mapped[PAGE], file[PAGE];

	for (size_t i = 0; i < all->n; i++) {
		const struct map *m = &all->map[i];

		if (same_file(m, map) && !m->offset && !m->write)
			return !read_memory(p, m->start, mapped, PAGE) &&
			       pread(fd, file, PAGE, 0) == PAGE && !memcmp(mapped, file, PAGE);
	}
	return false;
}

/*
 * The inode number decides. The device in /proc/PID/maps is not stat()'s for overlayfs (before
 * Linux 6.8) and btrfs: the headers have to agree there.
 */
static int open_below(const struct process *p, int root, const struct map *map,
		      const struct maps *all)
{
	struct stat st;
	int fd;

	if (root < 0)
		return -EACCES;
	fd = root__open(root, map->path);
	if (fd < 0)
		return fd;
	if (!fstat(fd, &st) && st.st_ino == map->inode &&
	    ((major(st.st_dev) == map->major && minor(st.st_dev) == map->minor) ||
	     same_headers(p, map, all, fd)))
		return fd;
	close(fd);
	return -ESTALE;
}

/* What it opened before it called chroot() is found from here, if at all. */
static int open_by_path(const struct process *p, const struct map *map, const struct maps *all)
{
	int fd = open_below(p, p->root, map, all), here, again;

	if (fd >= 0)
		return fd;
	here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	again = open_below(p, here, map, all);
	if (here >= 0)
		close(here);
	return again >= 0 ? again : fd;
}

int process__open_map(const struct process *p, const struct map *map, const struct maps *all)
{
	char name[96];
	int fd, by_path;

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, map->start, map->end);
	/* needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (proc_map_files_get_link()) */
	fd = link__open(p->proc, name);
	if (fd >= 0 || fd == -EINVAL || fd == -EMFILE || fd == -ENFILE)
		return fd;
	if (map->deleted)
		return fd;
	by_path = open_by_path(p, map, all);
	return by_path >= 0 || by_path == -ESTALE || by_path == -ENOENT ? by_path : fd;
}

int process__copy_map(const struct process *p, const struct map *map)
{
	uint64_t size = map->end - map->start;
	uint8_t *copy;
	int fd = -1, err;

	if (size > VDSO_MAX)
		return -EFBIG;
	copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	err = read_memory(p, map->start, copy, size);
	if (!err) {
		fd = memfd_create("hopscope-vdso", MFD_CLOEXEC);
		if (fd < 0)
			err = -errno;
		else if (write(fd, copy, size) != (ssize_t)size)
			err = -EIO;
	}
	free(copy);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

/* "NSpid: 4711 12 1": the last is the process's own. Before Linux 4.1, or without: the pid. */
static pid_t own_pid(const struct process *p)
{
	int fd = openat(p->proc, "status", O_RDONLY | O_CLOEXEC);
	char text[4096], *line, *word;
	pid_t pid = p->pid;
	ssize_t n;

	if (fd < 0)
		return pid;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return pid;
	text[n] = 0;
	line = strstr(text, "\nNSpid:");
	if (!line)
		return pid;
	line += strlen("\nNSpid:");
	line[strcspn(line, "\n")] = 0;
	while ((word = strsep(&line, "\t ")))
		if (atoi(word) > 0)
			pid = atoi(word);
	return pid;
}

int process__open_perf_map(const struct process *p)
{
	char path[64];

	if (p->root < 0)
		return -EACCES;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", own_pid(p));
	return root__open(p->root, path);
}
