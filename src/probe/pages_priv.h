/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between pages.c (attaches, follows processes) and pages_read.c (readings). */
#ifndef HOPSCOPE_PROBE_PAGES_PRIV_H
#define HOPSCOPE_PROBE_PAGES_PRIV_H

#include "page_fault.h"
#include "pages.skel.h"
#include "probe/pages.h"
#include "probe/pages_sum.h"
#include "probe/unwind.h"

/* A process as the kernel's map has it. */
struct pages_process {
	uint32_t tgid;
	struct page_process state;
};

/* When a process's mappings were last looked at. */
struct pages_look {
	uint32_t tgid;
	uint64_t since_ns, at_ns;
};

#define PAGES_LOOKS 1024 /* by tgid; two that share a place are looked at more often */

struct pages {
	struct pages_bpf *skel;
	struct unwinder *unwinder;
	struct pages_look looks[PAGES_LOOKS];
	struct page_sampling sampling;
	uint32_t sample, max_pages, max_processes;
	unsigned int page_shift;
	bool no_ioctl;
	struct pages_process *processes; /* max_processes of them */
	size_t n_processes;
	bool warned_full;

	struct heap_reading kept; /* the last reading that found a process */
	bool has_kept;
	uint64_t read_ns, read_cost_ns; /* when, how long it took */

	/* The programs' cost: statistics are switched on for short times only. */
	int stats_fd;
	uint32_t tended;
	double ns_a_hit; /* NaN: not known yet */
};

uint64_t pages__now_ns(void);
/* Brings p->processes up to date with the kernel's map: those that live. */
int pages__list(struct pages *p);
/* A new reading of those that live. -ESRCH: none. */
int pages__take(struct pages *p, struct heap_reading *r);
#endif
