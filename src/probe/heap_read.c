// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Readings of heap --allocs. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "probe/heap_internal.h"

#define FRAMES (STACK_FRAMES + 1) /* the allocator's function, which returned before the walk */

/* What the walk over all blocks gathers, by site. */
struct held {
	double bytes, blocks, variance;
	uint64_t oldest, youngest;
};

struct walk {
	const struct heap *h;
	struct held *held;
};

/*
 * Horvitz-Thompson: a block followed with probability p counts 1 / p times, and adds
 * (1 - p) / p^2 to the variance.
 */
static bool gather(void *ctx, const struct heap_block_key *key, const struct heap_block *b)
{
	const struct walk *w = ctx;
	struct held *held;

	(void)key;
	if (b->site >= w->h->max_sites)
		return false;
	held = &w->held[b->site];
	if (w->h->opts.sample_bytes && b->size) {
		double weight = heap_sample__weight(b->size, w->h->opts.sample_bytes);
		double size = (double)b->size;

		held->blocks += weight;
		held->bytes += size * weight;
		held->variance += size * size * weight * (weight - 1);
	}
	if (!held->oldest || b->born < held->oldest)
		held->oldest = b->born;
	if (b->born > held->youngest)
		held->youngest = b->born;
	return false;
}

static void fill_site(const struct heap *h, const struct heap_site_val *v, const struct held *held,
		      uint32_t tgid, struct heap_raw_site *out)
{
	out->tgid = tgid;
	out->stack = v->key.stack;
	/* A free may be between the two counters, or before what it frees is counted. */
	out->bytes = (int64_t)v->bytes > 0 ? (double)v->bytes : 0;
	out->blocks = (int64_t)v->blocks > 0 ? (double)v->blocks : 0;
	if (h->opts.sample_bytes) {
		out->bytes = held->bytes;
		out->blocks = held->blocks;
		out->bytes_error = sqrt(held->variance);
	}
	out->total_bytes = (double)v->total_bytes;
	out->total_blocks = (double)v->total_blocks / HEAP_BLOCK_UNIT;
	out->oldest_ns = held->oldest;
	out->youngest_ns = held->youngest;
}

static void fill_frames(struct heap *h, const struct heap_site_val *v, uint64_t *pcs,
			struct heap_raw_site *out)
{
	size_t n = 0;

	if (v->pc)
		pcs[n++] = v->pc;
	if (v->key.stack)
		n += unwinder__stack(h->unwinder, v->key.stack, pcs + n, &out->flags);
	out->pcs = pcs;
	out->n_pcs = n;
}

static const struct watched *life(const struct heap *h, uint32_t life)
{
	for (size_t i = 0; i < h->n_watched; i++) {
		if (h->watched[i].life == life)
			return &h->watched[i];
	}
	return NULL;
}

static int read_sites(struct heap *h, const struct held *held, struct heap_reading *r)
{
	size_t used = __atomic_load_n(&h->skel->data->sites_used, __ATOMIC_RELAXED);
	uint64_t *pcs;

	if (used > h->max_sites)
		used = h->max_sites;
	r->sites = calloc(used, sizeof(*r->sites));
	pcs = r->memory = calloc(used, FRAMES * sizeof(*pcs));
	if (!r->sites || !pcs)
		return -ENOMEM;
	for (size_t i = 0; i < used; i++) {
		const struct heap_site_val *v = &h->sites[i];
		const struct watched *w = life(h, v->key.life);

		/* Site 0 is what found no place: of all processes together. */
		if (i ? !v->used || !w : !v->total_blocks && !v->blocks)
			continue;
		fill_site(h, v, &held[i], w ? (uint32_t)w->pid : 0, &r->sites[r->n_sites]);
		fill_frames(h, v, pcs, &r->sites[r->n_sites]);
		pcs += FRAMES;
		r->n_sites++;
	}
	return 0;
}

static void read_counters(struct heap *h, struct heap_reading *r)
{
	struct heap_acct a;

	heap__acct(h, &a);
	r->counters.allocs = a.allocs;
	r->counters.frees = a.freed + a.frees_before;
	r->counters.frees_before = a.frees_before;
	r->counters.failed = a.failed;
	r->counters.missed_frees = a.missed_frees;
	r->counters.blocks_lost = a.blocks_lost;
	r->counters.sites_lost = a.sites_lost;
	r->counters.pending_lost = a.pending_lost;
	r->counters.processes_ended = a.processes_ended;
	r->counters.forks_lost = a.forks_lost;
	unwinder__counters(h->unwinder, &r->counters);
	for (int i = 0; i < HEAP_CLASSES; i++)
		r->probe_hits += a.hits[i];
	r->probe_ns = heap_cost__of(h, &a);
}

static double resident(const struct heap *h)
{
	double pages = 0;

	for (size_t i = 0; i < h->n_watched; i++) {
		char path[64];
		long rss = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/statm", h->watched[i].pid);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%*s %ld", &rss) == 1)
			pages += (double)rss;
		fclose(f);
	}
	return pages * (double)sysconf(_SC_PAGESIZE);
}

int heap__read(struct heap *h, struct heap_reading *r)
{
	struct walk walk = {.h = h};
	int err;

	memset(r, 0, sizeof(*r));
	r->unattributed_bytes = NAN; /* what was there before us is in nobody's books */
	walk.held = calloc(h->max_sites, sizeof(*walk.held));
	if (!walk.held)
		return log_fail(-ENOMEM, "out of memory");
	/* A walk over a million blocks takes long: not under the lock, which the budget waits for.
	 */
	err = heap__each_block(h, gather, &walk);
	pthread_mutex_lock(&h->lock);
	r->time_ns = heap__now();
	r->resident_bytes = resident(h);
	err = err ? err : read_sites(h, walk.held, r);
	if (!err)
		read_counters(h, r);
	pthread_mutex_unlock(&h->lock);
	free(walk.held);
	if (err) {
		heap_reading__free(r);
		return log_fail(err, "cannot read the blocks: %s", strerror(-err));
	}
	return 0;
}
