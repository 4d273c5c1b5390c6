// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a forked child holds: a copy of each block of its parent. The kernel side cannot copy a
 * table, so we do, when we come to know of the child; until then it writes down for the child what
 * the parent frees (block__bequeath), and as tombstones what the child frees.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "probe/heap_internal.h"

#define BATCH 8192

int heap__each_block(struct heap *h, heap_block_fn fn, void *ctx)
{
	int fd = bpf_map__fd(h->skel->maps.blocks), err = 0;
	struct heap_block_key *keys = calloc(BATCH, sizeof(*keys));
	struct heap_block *blocks = calloc(BATCH, sizeof(*blocks));
	uint32_t place = 0, next, n;
	bool first = true;

	while (keys && blocks && !err) {
		n = BATCH;
		err = bpf_map_lookup_batch(fd, first ? NULL : &place, &next, keys, blocks, &n, NULL)
			      ? -errno
			      : 0;
		if (err && err != -ENOENT)
			break;
		for (uint32_t i = 0; i < n; i++) {
			if (fn(ctx, &keys[i], &blocks[i]))
				bpf_map_delete_elem(fd, &keys[i]);
		}
		place = next;
		first = false;
	}
	if (!keys || !blocks)
		err = -ENOMEM;
	free(keys);
	free(blocks);
	return err == -ENOENT ? 0 : err; /* ENOENT: that was the last of it */
}

struct inheritance {
	struct heap *h;
	uint32_t parent, child, cut;
};

/* The child's site for one of the parent's; 0 when there is no room. */
static uint32_t own_site(struct heap *h, uint32_t site, uint32_t child)
{
	struct heap_site_key key;
	uint32_t id = 0;

	if (!site || site >= h->max_sites)
		return 0;
	key = h->sites[site].key;
	key.life = child;
	if (!bpf_map__lookup_elem(h->skel->maps.site_ids, &key, sizeof(key), &id, sizeof(id), 0))
		return id;
	if (__atomic_load_n(&h->skel->data->sites_used, __ATOMIC_RELAXED) >= h->max_sites)
		return 0;
	id = __atomic_fetch_add(&h->skel->data->sites_used, 1, __ATOMIC_RELAXED);
	if (id >= h->max_sites)
		return 0;
	h->sites[id].key = key;
	h->sites[id].pc = h->sites[site].pc;
	if (!bpf_map__update_elem(h->skel->maps.site_ids, &key, sizeof(key), &id, sizeof(id),
				  BPF_NOEXIST)) {
		h->sites[id].used = 1;
		return id;
	}
	if (bpf_map__lookup_elem(h->skel->maps.site_ids, &key, sizeof(key), &id, sizeof(id), 0))
		return 0;
	return id;
}

/* Held before it is in the table, so that a free in between finds what it takes away. */
static bool inherit_block(void *ctx, const struct heap_block_key *key,
			  const struct heap_block *block)
{
	const struct inheritance *in = ctx;
	struct heap_block_key own = {.address = key->address, .life = in->child};
	struct heap_block copy = *block;
	struct heap_site_val *s;
	int err;

	if (key->life != in->parent || block->site == HEAP_TOMBSTONE || block->forks > in->cut)
		return false;
	copy.site = own_site(in->h, block->site, in->child);
	copy.forks = 0;
	s = &in->h->sites[copy.site];
	__atomic_fetch_add(&s->bytes, copy.size, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->blocks, 1, __ATOMIC_RELAXED);
	err = bpf_map_update_elem(bpf_map__fd(in->h->skel->maps.blocks), &own, &copy, BPF_NOEXIST);
	if (err) {
		err = -errno;
		__atomic_fetch_sub(&s->bytes, copy.size, __ATOMIC_RELAXED);
		__atomic_fetch_sub(&s->blocks, 1, __ATOMIC_RELAXED);
	}
	if (err && err != -EEXIST)
		__atomic_fetch_add(&in->h->accts[0].blocks_lost, 1, __ATOMIC_RELAXED);
	if (!err && !copy.site)
		__atomic_fetch_add(&in->h->accts[0].sites_lost, 1, __ATOMIC_RELAXED);
	return false;
}

static bool is_tombstone(void *ctx, const struct heap_block_key *key,
			 const struct heap_block *block)
{
	const struct inheritance *in = ctx;

	return key->life == in->child && block->site == HEAP_TOMBSTONE;
}

/* It waits no longer. */
static bool leave_heirs(struct heap *h, uint32_t life)
{
	if (bpf_map__delete_elem(h->skel->maps.inheriting, &life, sizeof(life), 0))
		return false;
	__atomic_fetch_sub(&h->skel->bss->n_heirs, 1, __ATOMIC_RELAXED);
	return true;
}

static void count_fork_lost(struct heap *h)
{
	__atomic_fetch_add(&h->accts[0].forks_lost, 1, __ATOMIC_RELAXED);
}

void heap__inherit(struct heap *h, uint32_t parent, uint32_t child)
{
	struct inheritance in = {.h = h, .parent = parent, .child = child};
	struct heap_heir_key key = {.parent = parent};
	struct heap_heir heir;
	uint32_t cut;
	int err;

	if (bpf_map__lookup_elem(h->skel->maps.inheriting, &child, sizeof(child), &in.cut,
				 sizeof(in.cut), 0))
		return; /* there was no place for it: counted then */
	/* Older lives come first: a parent that waits still has ended, and never inherited. */
	if (!bpf_map__lookup_elem(h->skel->maps.inheriting, &parent, sizeof(parent), &cut,
				  sizeof(cut), 0))
		count_fork_lost(h);
	err = heap__each_block(h, inherit_block, &in);
	if (err) {
		count_fork_lost(h);
		log_warn("what a forked child was forked with was not all read: %s",
			 strerror(-err));
	}
	for (; key.slot < HEAP_MAX_HEIRS; key.slot++) {
		if (!bpf_map__lookup_elem(h->skel->maps.heirs, &key, sizeof(key), &heir,
					  sizeof(heir), 0) &&
		    heir.life == child)
			bpf_map__delete_elem(h->skel->maps.heirs, &key, sizeof(key), 0);
	}
	leave_heirs(h, child);
	err = heap__each_block(h, is_tombstone, &in);
	if (err)
		log_warn("not all marks of freed blocks were taken out of the table: %s",
			 strerror(-err));
}

/* ---- lives that ended */

static bool is_alive(const struct heap *h, uint32_t life)
{
	for (size_t i = 0; i < h->n_watched; i++) {
		if (h->watched[i].life == life)
			return true;
	}
	return false;
}

struct reaping {
	struct heap *h;
	uint32_t newest; /* lives that began since we looked are not known yet, but alive */
};

static bool is_dead(const struct reaping *r, uint32_t life)
{
	return life <= r->newest && !is_alive(r->h, life);
}

/* Site 0 is of all processes together: what it holds of this one is to go. */
static bool is_orphan(void *ctx, const struct heap_block_key *key, const struct heap_block *block)
{
	const struct reaping *r = ctx;
	struct heap_site_val *s = &r->h->sites[0];

	if (!is_dead(r, key->life))
		return false;
	if (!block->site) {
		__atomic_fetch_sub(&s->bytes, block->size, __ATOMIC_RELAXED);
		__atomic_fetch_sub(&s->blocks, 1, __ATOMIC_RELAXED);
	}
	return true;
}

/* Children that ended before they inherited. The next key is asked for before this one goes. */
static bool reap_heirs(const struct reaping *r)
{
	int heirs = bpf_map__fd(r->h->skel->maps.heirs);
	int inheriting = bpf_map__fd(r->h->skel->maps.inheriting);
	struct heap_heir_key key, next;
	struct heap_heir heir;
	uint32_t life, next_life;
	bool reaped = false, more;

	more = !bpf_map_get_next_key(heirs, NULL, &next);
	while (more) {
		key = next;
		more = !bpf_map_get_next_key(heirs, &key, &next);
		if (!bpf_map_lookup_elem(heirs, &key, &heir) && is_dead(r, heir.life))
			bpf_map_delete_elem(heirs, &key);
	}
	more = !bpf_map_get_next_key(inheriting, NULL, &next_life);
	while (more) {
		life = next_life;
		more = !bpf_map_get_next_key(inheriting, &life, &next_life);
		if (is_dead(r, life))
			reaped |= leave_heirs(r->h, life);
	}
	return reaped;
}

void heap__reap(struct heap *h, uint32_t newest, bool ended)
{
	struct reaping r = {.h = h, .newest = newest};
	int err;

	/* Nobody writes blocks down for children that are no longer there. */
	if (!reap_heirs(&r) && !ended)
		return;
	err = heap__each_block(h, is_orphan, &r);
	if (err)
		log_warn("not all blocks of processes that ended were taken out of the table: %s",
			 strerror(-err));
}
