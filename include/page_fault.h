/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by bpf/pages.bpf.c, which notes who first wrote to a page, and src/probe/pages.c, which
 * looks what became of it. Pages are followed by a hash of their number, so that a page is followed
 * always or never, and both sides know which.
 */
#ifndef HOPSCOPE_PAGE_FAULT_H
#define HOPSCOPE_PAGE_FAULT_H

#ifndef __bpf__
#include <stdbool.h>
#include <linux/types.h>
#endif

struct page_key {
	__u64 page; /* address / page size */
	__u32 tgid;
	__u32 pad;
};

_Static_assert(sizeof(struct page_key) == 16, "page key");

enum page_flag {
	/* Read while it was not there: the next write makes a new page, or it came from swap. */
	PAGE_READ_SINCE = 1 << 0,
};

struct page_val {
	__u64 stack;
	__u64 time_ns; /* bpf_ktime_get_ns */
	__u32 flags;   /* enum page_flag */
	__u32 pad;
};

_Static_assert(sizeof(struct page_val) == 24, "page value");

struct page_site_key {
	__u64 stack;
	__u32 tgid;
	__u32 since; /* the end of the process's since_ns: which address space of this tgid's */
};

_Static_assert(sizeof(struct page_site_key) == 16, "page site");

/*
 * Of a watched process, as long as it lives; the key is its tgid. Changed by the programs only once
 * they run.
 */
struct page_process {
	__u64 since_ns; /* fork or exec: what was recorded before belongs to another address space
			 */
	__u32 tables;	/* whose unwind tables hold: its own tgid, or until an exec its parent's */
	__u32 pad;
};

_Static_assert(sizeof(struct page_process) == 16, "page process");

/* Per-CPU counters. */
struct page_acct {
	__u64 hits;	  /* page faults of the whole machine that ran a program */
	__u64 faults;	  /* writes of watched processes to followed pages */
	__u64 pages_lost; /* `pages` was full */
	__u64 sites_lost; /* `page_sites` was full: the page counts, the total of its site does not
			   */
	__u64 forks_lost; /* children not followed: `page_processes` was full */
	__u64 ended;	  /* watched processes that ended or ran another program */
};

/*
 * Is the page in the sample? below = 2^32 / N. The seed makes runs independent of each other; the
 * tgid keeps forked workers, whose layout is the same, from all having the same pages chosen. The
 * mixing is splitmix64's: no stride of addresses comes through it.
 */
static inline bool page__selected(__u64 page, __u32 tgid, __u64 seed, __u64 below)
{
	__u64 x = page + seed + ((__u64)tgid << 40);

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (x >> 32 ^ (x & 0xffffffff)) < below;
}

#endif
