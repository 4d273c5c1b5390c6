/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds debug symbols on disk, and unpacks those that come with the file. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include "sym/debug_file.h"

#define CRC_FILE_MAX	(1ull << 30)
#define MINI_PACKED_MAX (64u << 20)
#define MINI_MAX	(256u << 20)
#define LZMA_MEMORY_MAX (128u << 20)

/* An O_PATH descriptor has not opened anything yet: what is not a regular file stays closed. */
static int reopen_regular(int path_fd)
{
	char name[64];
	struct stat st;
	int fd;

	if (fstat(path_fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int link__open(int dir_fd, const char *name)
{
	int path_fd = openat(dir_fd, name, O_PATH | O_CLOEXEC), fd;

	if (path_fd < 0)
		return -errno;
	fd = reopen_regular(path_fd);
	close(path_fd);
	return fd;
}

int root__open(int root_fd, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	int path_fd, fd;

	path_fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	/* before Linux 5.6: without following the last link at least */
	if (path_fd < 0 && errno == ENOSYS)
		path_fd =
			openat(root_fd, path + strspn(path, "/"), O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (path_fd < 0)
		return -errno;
	fd = reopen_regular(path_fd);
	close(path_fd);
	return fd;
}

/* ---- separate debug files */

/* Has symbols or lines, and the build id that is wanted, if both have one. */
static bool is_debug_of(int fd, const struct elf_file *f, bool id_needed)
{
	uint8_t want[ELF_BUILD_ID_MAX], have[ELF_BUILD_ID_MAX];
	size_t n_want = elf_file__build_id(f, want), n_have;
	struct elf_file d;
	bool ok;

	if (elf_file__open(&d, fd))
		return false;
	n_have = elf_file__build_id(&d, have);
	ok = d.is64 == f->is64 && d.machine == f->machine &&
	     (elf_file__section_of_type(&d, SHT_SYMTAB) || elf_file__section(&d, ".debug_line"));
	if (id_needed || (n_want && n_have))
		ok = ok && n_want && n_want == n_have && !memcmp(want, have, n_want);
	elf_file__close(&d);
	return ok;
}

static int by_build_id(const struct elf_file *f, const int *roots, size_t n_roots)
{
	static const char hex[] = "0123456789abcdef";
	char path[64 + 2 * ELF_BUILD_ID_MAX] = "/usr/lib/debug/.build-id/", *p;
	uint8_t id[ELF_BUILD_ID_MAX];
	size_t n = elf_file__build_id(f, id);

	if (n < 2)
		return -ENOENT;
	p = path + strlen(path);
	for (size_t i = 0; i < n; i++) {
		*p++ = hex[id[i] >> 4];
		*p++ = hex[id[i] & 15];
		if (!i)
			*p++ = '/';
	}
	strcpy(p, ".debug");
	for (size_t i = 0; i < n_roots; i++) {
		int fd = root__open(roots[i], path);

		if (fd < 0)
			continue;
		if (is_debug_of(fd, f, true))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static bool crc_is(int fd, uint32_t want)
{
	static const size_t part = 256 << 10;
	uint8_t *buf = malloc(part);
	uint64_t total = 0;
	uLong crc = crc32(0, NULL, 0);
	ssize_t got = -1;

	while (buf && total < CRC_FILE_MAX && (got = pread(fd, buf, part, (off_t)total)) > 0) {
		crc = crc32(crc, buf, (uInt)got);
		total += (uint64_t)got;
	}
	free(buf);
	return !got && crc == want;
}

/* A name, zeros up to a multiple of four, and a CRC. */
static bool read_link(const struct elf_file *f, char name[NAME_MAX + 1], uint32_t *crc)
{
	const struct elf_section *s = elf_file__section(f, ".gnu_debuglink");
	uint8_t buf[NAME_MAX + 8] = {0};
	size_t n;

	if (!s || s->size > sizeof(buf) || s->size < 8 ||
	    elf_file__read(f, s->offset, buf, s->size))
		return false;
	n = strnlen((char *)buf, NAME_MAX);
	if (!n || memchr(buf, '/', n) || ((n + 4) & ~3ull) + 4 > s->size)
		return false;
	memcpy(name, buf, n + 1);
	memcpy(crc, buf + ((n + 4) & ~3ull), 4);
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int by_link(const struct elf_file *f, const int *roots, size_t n_roots, const char *path)
{
	static const char *const places[] = {"%.*s/%s", "%.*s/.debug/%s", "/usr/lib/debug%.*s/%s"};
	char name[NAME_MAX + 1], try[PATH_MAX];
	const char *slash = strrchr(path, '/');
	uint32_t crc;

	if (!slash || slash - path > PATH_MAX || !read_link(f, name, &crc))
		return -ENOENT;
	for (size_t i = 0; i < n_roots; i++) {
		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			int fd, n = snprintf(try, sizeof(try), places[k], (int)(slash - path), path,
					     name);

			if (n < 0 || (size_t)n >= sizeof(try))
				continue;
			fd = root__open(roots[i], try);
			if (fd < 0)
				continue;
			if (is_debug_of(fd, f, false) && crc_is(fd, crc))
				return fd;
			close(fd);
		}
	}
	return -ENOENT;
}

int debug_file__find(const struct elf_file *f, int root_fd, const char *path)
{
	int roots[2], fd, host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat a, b;
	size_t n = 0;

	if (root_fd >= 0)
		roots[n++] = root_fd;
	/* a container's files may have their debug symbols on the host */
	if (host >= 0 && (!n || fstat(host, &a) || fstat(root_fd, &b) || a.st_dev != b.st_dev ||
			  a.st_ino != b.st_ino))
		roots[n++] = host;
	fd = by_build_id(f, roots, n);
	if (fd < 0)
		fd = by_link(f, roots, n, path);
	if (host >= 0)
		close(host);
	return fd;
}

/* ---- MiniDebugInfo */

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put ? -errno : -EIO;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

static int unpack_to(int fd, const uint8_t *in, size_t n, size_t *budget)
{
	lzma_stream xz = LZMA_STREAM_INIT;
	uint8_t out[64 << 10];
	lzma_ret ret = LZMA_OK;
	int err = 0;

	if (lzma_stream_decoder(&xz, LZMA_MEMORY_MAX, 0) != LZMA_OK)
		return -ENOMEM;
	xz.next_in = in;
	xz.avail_in = n;
	while (!err && ret == LZMA_OK) {
		xz.next_out = out;
		xz.avail_out = sizeof(out);
		ret = lzma_code(&xz, LZMA_FINISH);
		if (ret != LZMA_OK && ret != LZMA_STREAM_END)
			err = -EBADMSG;
		else if (xz.total_out > *budget)
			err = -EFBIG;
		else
			err = write_all(fd, out, sizeof(out) - xz.avail_out);
	}
	*budget -= xz.total_out < *budget ? xz.total_out : *budget;
	lzma_end(&xz);
	return err;
}

int debug_file__mini(const struct elf_file *f, size_t *budget)
{
	const struct elf_section *s = elf_file__section(f, ".gnu_debugdata");
	uint8_t *packed;
	size_t n;
	int fd, err;

	if (!s)
		return -ENOENT;
	err = elf_file__contents(f, s, MINI_PACKED_MAX, &packed, &n);
	if (err)
		return err;
	fd = memfd_create("hopscope-symbols", MFD_CLOEXEC);
	err = fd < 0 ? -errno : unpack_to(fd, packed, n, budget);
	free(packed);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}
