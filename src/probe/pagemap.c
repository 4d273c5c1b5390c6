// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* include/uapi/linux/fs.h since 6.7; Debian bookworm's headers are older. */
struct scan_region {
	__u64 start, end, categories;
};

struct scan_arg {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL	 _IOWR('f', 16, struct scan_arg)
#define SCAN_IS_FILE	 (1 << 2)
#define SCAN_IS_PRESENT	 (1 << 3)
#define SCAN_IS_SWAPPED	 (1 << 4)
#define SCAN_IS_PFNZERO	 (1 << 5)
#define SCAN_IS_HUGE	 (1 << 6)
#define SCAN_REGIONS	 2048
#define SCAN_RESTART_MAX (1 << 20) /* 2^31 runs: more than a process can hold */

/* /proc/PID/pagemap: Documentation/admin-guide/mm/pagemap.rst. /proc/kpageflags: the same. */
#define ENTRY_PRESENT (1ull << 63)
#define ENTRY_SWAPPED (1ull << 62)
#define ENTRY_FILE    (1ull << 61)
#define ENTRY_PFN     ((1ull << 55) - 1)
#define FLAG_THP      (1ull << 22)
#define FLAG_ZERO     (1ull << 24)
#define READ_PAGES    65536
#define READ_MAX      (1ull << 26) /* 256 GiB of mappings, half a gigabyte of entries */

unsigned int pagemap__page_shift(void)
{
	return (unsigned int)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
}

uint64_t pagemap__huge_pages(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
	unsigned int shift = pagemap__page_shift();
	uint64_t bytes = 0, page = 1ull << shift;

	if (f) {
		if (fscanf(f, "%" SCNu64, &bytes) != 1)
			bytes = 0;
		fclose(f);
	}
	/* A table of eight-byte entries fills a page: what one entry of the level above maps. */
	if (bytes < page || bytes > 1ull << 40 || (bytes & (bytes - 1)))
		bytes = page / 8 * page;
	return bytes >> shift;
}

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

/* Where the user's mappings end: the ioctl refuses addresses beyond what the kernel allows. */
static int mappings_end(pid_t pid, uint64_t *end)
{
	FILE *f = open_proc(pid, "maps");
	uint64_t from, to;
	char line[512];
	bool begins = true;

	*end = 0;
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (fgets(line, sizeof(line), f)) {
		/* Paths may be longer than the line; vsyscall is the kernel's. */
		if (begins && sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2 &&
		    !(to >> 63) && to > *end)
			*end = to;
		begins = strchr(line, '\n');
	}
	fclose(f);
	return *end ? 0 : -ESRCH; /* a process that is ending has no mappings */
}

/* -ENOTTY: this kernel has no such ioctl. */
static int scan_ioctl(pid_t pid, int fd, pagemap_fn fn, void *ctx)
{
	unsigned int shift = pagemap__page_shift();
	struct scan_region *regions;
	struct scan_arg arg = {
		.size = sizeof(arg),
		.category_inverted = SCAN_IS_FILE | SCAN_IS_PFNZERO,
		.category_mask = SCAN_IS_FILE | SCAN_IS_PFNZERO,
		.category_anyof_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
		.return_mask = SCAN_IS_SWAPPED | SCAN_IS_HUGE,
	};
	uint64_t end;
	int err = mappings_end(pid, &end), n;

	if (err)
		return err;
	arg.end = end;
	regions = malloc(SCAN_REGIONS * sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	arg.vec = (uintptr_t)regions;
	arg.vec_len = SCAN_REGIONS;
	for (uint32_t i = 0; arg.start < arg.end && i < SCAN_RESTART_MAX; i++) {
		n = ioctl(fd, SCAN_IOCTL, &arg);
		if (n < 0) {
			err = -errno;
			break;
		}
		for (int k = 0; k < n; k++) {
			const struct scan_region *r = &regions[k];
			struct pagemap_run run = {.first = r->start >> shift,
						  .n = (r->end - r->start) >> shift};

			run.flags |= r->categories & SCAN_IS_SWAPPED ? PAGEMAP_SWAPPED : 0;
			run.flags |= r->categories & SCAN_IS_HUGE ? PAGEMAP_HUGE : 0;
			fn(ctx, &run);
		}
		if (arg.walk_end <= arg.start)
			break;
		arg.start = arg.walk_end;
	}
	free(regions);
	return err;
}

/* ---- without the ioctl */

struct entries {
	int fd, flags_fd; /* /proc/kpageflags, -1: not readable */
	uint64_t zero_pfn, huge_pages;
	uint64_t left; /* of READ_MAX */
	uint64_t *buf; /* READ_PAGES of them */
	pagemap_fn fn;
	void *ctx;
	struct pagemap_run run; /* not passed on yet */
};

/* The frame that fresh memory reads as. 0: frames are not shown to us, or it is not known. */
static uint64_t zero_frame(unsigned int shift)
{
	uint64_t entry = 0, size = 1ull << shift;
	volatile char *page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	if (page == MAP_FAILED)
		return 0;
	madvise((void *)page, size, MADV_NOHUGEPAGE);
	(void)*page;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (pread(fd, &entry, 8, (off_t)((uintptr_t)page >> shift) * 8) != 8)
			entry = 0;
		close(fd);
	}
	munmap((void *)page, size);
	return entry & ENTRY_PRESENT ? entry & ENTRY_PFN : 0;
}

static void entries__emit(struct entries *e, uint64_t first, uint64_t n, uint32_t flags)
{
	if (e->run.n && e->run.first + e->run.n == first && e->run.flags == flags) {
		e->run.n += n;
		return;
	}
	if (e->run.n)
		e->fn(e->ctx, &e->run);
	e->run = (struct pagemap_run){.first = first, .n = n, .flags = flags};
}

/* Aligned frames in a row behind aligned pages: the frame's flags say what they are, or 0. */
static uint64_t huge_flags(const struct entries *e, const uint64_t *buf)
{
	uint64_t pfn = buf[0] & ENTRY_PFN, flags = 0;

	if (e->flags_fd < 0 || !pfn || pfn % e->huge_pages)
		return 0;
	for (uint64_t i = 1; i < e->huge_pages; i++) {
		if ((buf[i] & (ENTRY_PRESENT | ENTRY_FILE | ENTRY_PFN)) !=
		    (ENTRY_PRESENT | (pfn + i)))
			return 0;
	}
	if (pread(e->flags_fd, &flags, 8, (off_t)pfn * 8) != 8)
		return 0;
	return flags;
}

static void entries__take(struct entries *e, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t v = e->buf[i], flags;

		if (!(v & (ENTRY_PRESENT | ENTRY_SWAPPED)) || v & ENTRY_FILE)
			continue;
		if (!((first + i) % e->huge_pages) && n - i >= e->huge_pages && v & ENTRY_PRESENT) {
			flags = huge_flags(e, e->buf + i);
			if (flags & (FLAG_THP | FLAG_ZERO)) {
				if (!(flags & FLAG_ZERO))
					entries__emit(e, first + i, e->huge_pages, PAGEMAP_HUGE);
				i += e->huge_pages - 1;
				continue;
			}
		}
		if (v & ENTRY_PRESENT && e->zero_pfn && (v & ENTRY_PFN) == e->zero_pfn)
			continue;
		entries__emit(e, first + i, 1, v & ENTRY_SWAPPED ? PAGEMAP_SWAPPED : 0);
	}
}

/* Pages first to last-1, in pieces that do not cut a huge page. */
static int entries__read(struct entries *e, uint64_t first, uint64_t last)
{
	while (first < last) {
		uint64_t want = READ_PAGES - first % e->huge_pages;
		ssize_t got;

		if (want > last - first)
			want = last - first;
		if (want > e->left)
			return -EFBIG;
		got = pread(e->fd, e->buf, want * 8, (off_t)first * 8);
		if (got < 0)
			return -errno;
		if (got < 8)
			return 0; /* beyond what the kernel maps */
		e->left -= (uint64_t)got / 8;
		entries__take(e, first, (uint64_t)got / 8);
		first += (uint64_t)got / 8;
	}
	return 0;
}

/* Mappings that hold anonymous memory, as smaps counts it: the others can be terabytes. */
static int entries__walk(struct entries *e, pid_t pid, unsigned int shift)
{
	FILE *f = open_proc(pid, "smaps");
	uint64_t from = 0, to = 0, a, b, kb;
	char line[512];
	int err = 0;

	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!err && fgets(line, sizeof(line), f)) {
		/* "Anonymous:", or "Swap:" when that is 0; a path's tail cannot follow a blank. */
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*4c %*x %*x:", &a, &b) == 2) {
			from = a;
			to = b;
		} else if (to > from && !(to >> 63) &&
			   (sscanf(line, "Anonymous: %" SCNu64 " kB", &kb) == 1 ||
			    sscanf(line, "Swap: %" SCNu64 " kB", &kb) == 1) &&
			   kb) {
			err = entries__read(e, from >> shift, to >> shift);
			to = from = 0;
		}
	}
	fclose(f);
	return err;
}

static int scan_entries(pid_t pid, int fd, pagemap_fn fn, void *ctx)
{
	unsigned int shift = pagemap__page_shift();
	struct entries e = {
		.fd = fd,
		.flags_fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC),
		.zero_pfn = zero_frame(shift),
		.huge_pages = pagemap__huge_pages(),
		.left = READ_MAX,
		.fn = fn,
		.ctx = ctx,
	};
	int err;

	e.buf = malloc(READ_PAGES * sizeof(*e.buf));
	err = !e.buf ? -ENOMEM : 0;
	if (!e.huge_pages || e.huge_pages > READ_PAGES)
		err = -EOPNOTSUPP;
	if (!err)
		err = entries__walk(&e, pid, shift);
	if (e.run.n)
		fn(ctx, &e.run);
	free(e.buf);
	if (e.flags_fd >= 0)
		close(e.flags_fd);
	return err;
}

int pagemap__scan(pid_t pid, bool no_ioctl, pagemap_fn fn, void *ctx)
{
	char path[64];
	int fd, err = -ENOTTY;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (!no_ioctl)
		err = scan_ioctl(pid, fd, fn, ctx);
	if (err == -ENOTTY)
		err = scan_entries(pid, fd, fn, ctx);
	close(fd);
	return err;
}
