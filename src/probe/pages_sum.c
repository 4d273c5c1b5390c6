// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ordinary pages. The sample is fixed by the pages' numbers, so what is held now says exactly which
 * pages of it are held, whoever wrote to them. A stack's share of those is its share of all: a
 * stack that holds everything gets everything, without an error, and the sum of all stacks and of
 * what is not attributed is what the process holds.
 *
 * Huge pages come with one fault for all of them (one record), or were collapsed from ordinary ones
 * by khugepaged (many records). The records of one share it. A record of its first page was certain
 * to be made, another one was one in N: it stands for N.
 */
#include "probe/pages_sum.h"

#include <math.h>
#include <stdlib.h>

#include "page_fault.h"

#define SITES_FIRST 64

static bool selected(const struct page_sum *s, uint64_t page)
{
	return page__selected(page, s->tgid, s->sampling->seed, s->sampling->below);
}

static struct page_sum_site *find(struct page_sum_site *sites, size_t max, uint64_t stack)
{
	size_t i = (stack * 0x9e3779b97f4a7c15ull >> 32) & (max - 1);

	while (sites[i].oldest_ns && sites[i].stack != stack)
		i = (i + 1) & (max - 1);
	return &sites[i];
}

static bool grow(struct page_sum *s)
{
	size_t max = s->max_sites ? s->max_sites * 2 : SITES_FIRST;
	struct page_sum_site *sites = calloc(max, sizeof(*sites));

	if (!sites)
		return false;
	for (size_t i = 0; i < s->max_sites; i++) {
		if (s->sites[i].oldest_ns)
			*find(sites, max, s->sites[i].stack) = s->sites[i];
	}
	free(s->sites);
	s->sites = sites;
	s->max_sites = max;
	return true;
}

/* The site of a record that is held, its ages brought up to date. NULL: no memory. */
static struct page_sum_site *site_of(struct page_sum *s, const struct page_record *r)
{
	struct page_sum_site *site;

	if (s->n_sites * 2 >= s->max_sites && !grow(s)) {
		s->no_memory = true;
		return NULL;
	}
	site = find(s->sites, s->max_sites, r->stack);
	if (!site->oldest_ns) {
		s->n_sites++;
		site->stack = r->stack;
		site->oldest_ns = r->time_ns;
	}
	if (r->time_ns < site->oldest_ns)
		site->oldest_ns = r->time_ns;
	if (r->time_ns > site->youngest_ns)
		site->youngest_ns = r->time_ns;
	return site;
}

static void take_ordinary(struct page_sum *s, uint64_t first, uint64_t n)
{
	struct page_sum_site *site;

	s->held += n;
	for (uint64_t i = 0; i < n; i++)
		s->sample += selected(s, first + i);
	for (; s->at < s->n_records && s->records[s->at].page < first + n; s->at++) {
		/* First pages of what could have been huge are recorded beside the sample. */
		if (!selected(s, s->records[s->at].page))
			continue;
		site = site_of(s, &s->records[s->at]);
		if (site)
			site->sampled++;
	}
}

/* One huge page, or a part of one. */
static void take_huge(struct page_sum *s, uint64_t first, uint64_t n)
{
	uint64_t size = s->sampling->huge_pages;
	struct page_sum_site *site;
	size_t from = s->at, k;
	double weight = 1;

	s->held_huge += n;
	while (s->at < s->n_records && s->records[s->at].page < first + n)
		s->at++;
	k = s->at - from;
	if (k == 1 && s->records[from].page % size)
		weight = s->sampling->every;
	for (size_t i = from; i < s->at; i++) {
		site = site_of(s, &s->records[i]);
		if (!site)
			continue;
		site->huge += (double)n * weight / (double)k;
		site->huge_var += weight * (weight - 1) * (double)n * (double)n;
	}
}

void page_sum__run(void *page_sum, const struct pagemap_run *run)
{
	struct page_sum *s = page_sum;
	uint64_t size = s->sampling->huge_pages, first = run->first, end = run->first + run->n, to;

	for (; s->at < s->n_records && s->records[s->at].page < first; s->at++)
		s->records[s->at].gone = true;
	if (!(run->flags & PAGEMAP_HUGE)) {
		take_ordinary(s, first, run->n);
		return;
	}
	for (; first < end; first = to) {
		to = (first / size + 1) * size;
		to = to < end ? to : end;
		take_huge(s, first, to - first);
	}
}

/* Standard error of a share k of m drawn from n: binomial, without replacement. In n's unit. */
static double share_error(double k, double m, double n)
{
	double p = (k + 0.5) / (m + 1); /* or 0 of 10 would be certain */

	return m < n ? n * sqrt(p * (1 - p) / m * (1 - m / n)) : 0;
}

void page_sum__finish(struct page_sum *s)
{
	double huge = 0, scale, e;
	size_t n = 0;

	for (; s->at < s->n_records; s->at++)
		s->records[s->at].gone = true;
	for (size_t i = 0; i < s->max_sites; i++)
		huge += s->sites[i].huge;
	/* Weights can by chance add up to more than there is. */
	scale = huge > (double)s->held_huge ? (double)s->held_huge / huge : 1;
	for (size_t i = 0; i < s->max_sites; i++) {
		struct page_sum_site *site = &s->sites[i];

		if (!site->oldest_ns)
			continue;
		site->huge *= scale;
		site->pages = site->huge;
		e = 0;
		if (s->sample) {
			site->pages += (double)s->held * (double)site->sampled / (double)s->sample;
			e = share_error((double)site->sampled, (double)s->sample, (double)s->held);
		}
		site->error = sqrt(e * e + site->huge_var * scale * scale);
		s->sites[n++] = *site;
	}
}

void page_sum__free(struct page_sum *s)
{
	free(s->sites);
	s->sites = NULL;
}
