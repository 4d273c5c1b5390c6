/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which anonymous pages a process holds: by the PAGEMAP_SCAN ioctl, else from /proc/PID/pagemap. */
#ifndef HOPSCOPE_PROBE_PAGEMAP_H
#define HOPSCOPE_PROBE_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum pagemap_flag {
	PAGEMAP_SWAPPED = 1 << 0,
	PAGEMAP_HUGE = 1 << 1, /* in a huge page: brought in by one fault, or collapsed later */
};

/* Neighbours of one kind. Page numbers: address / page size. */
struct pagemap_run {
	uint64_t first, n;
	uint32_t flags;
};

typedef void (*pagemap_fn)(void *ctx, const struct pagemap_run *run);

/*
 * Calls fn for every run, rising. Resident or swapped anonymous memory only: not files, shared
 * memory, the zero page. 0; -ESRCH: the process ended; -EFBIG: it maps more than can be looked
 * through without the ioctl; other negative errno. May fail after some runs were passed.
 * no_ioctl: as on kernels before 6.7, for tests.
 */
int pagemap__scan(pid_t pid, bool no_ioctl, pagemap_fn fn, void *ctx);

/* A page's size, as a power of two, and the pages of a huge page. */
unsigned int pagemap__page_shift(void);
uint64_t pagemap__huge_pages(void);

#endif
