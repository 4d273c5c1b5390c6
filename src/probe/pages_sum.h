/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From what was recorded of a process's pages (a sample) and what it holds now (all of it) to what
 * each stack holds. No I/O.
 */
#ifndef HOPSCOPE_PROBE_PAGES_SUM_H
#define HOPSCOPE_PROBE_PAGES_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/pagemap.h"

/* As in the kernel's map: see page_fault.h. */
struct page_record {
	uint64_t page, stack, time_ns;
	uint32_t tgid;
	bool gone; /* found by page_sum__run: it is not held any more */
};

struct page_sampling {
	uint64_t seed, below; /* of page__selected() */
	double every;	      /* one page in so many */
	uint64_t huge_pages;  /* pages of a huge page */
};

/* Figures in pages. */
struct page_sum_site {
	uint64_t stack;
	uint64_t sampled;      /* held, of the sample of ordinary pages */
	double huge, huge_var; /* of huge pages */
	uint64_t oldest_ns, youngest_ns;
	double pages, error; /* the estimate and its standard error: set by page_sum__finish */
};

struct page_sum {
	const struct page_sampling *sampling;
	struct page_record *records; /* of this process, by page, rising */
	size_t n_records, at;
	uint32_t tgid;
	uint64_t held, held_huge; /* pages: ordinary (all of them), in huge pages */
	uint64_t sample;	  /* ordinary pages that are in the sample, recorded or not */
	struct page_sum_site *sites;
	size_t n_sites, max_sites; /* a power of two, half of it used at most */
	bool no_memory;
};

/* Zeroed, with sampling, records, n_records and tgid set; then: */
void page_sum__run(void *page_sum, const struct pagemap_run *run); /* a pagemap_fn */
void page_sum__finish(struct page_sum *s); /* sites[0..n_sites) then are close together */
void page_sum__free(struct page_sum *s);

#endif
