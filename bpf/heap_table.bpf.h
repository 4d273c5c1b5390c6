/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables of heap.bpf.c: processes, blocks, sites, and what is done to them. */
#ifndef HOPSCOPE_HEAP_TABLE_BPF_H
#define HOPSCOPE_HEAP_TABLE_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "heap_record.h"

#define EEXIST 17
#define E2BIG  7

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_MAX_PROCESSES);
	__type(key, __u32); /* tgid */
	__type(value, struct heap_process);
} processes SEC(".maps");

/*
 * Allocated beforehand, and refuses when it is full: an LRU would throw out the oldest blocks,
 * which are the leaks.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20); /* set before load */
	__type(key, struct heap_block_key);
	__type(value, struct heap_block);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* as `sites` */
	__type(key, struct heap_site_key);
	__type(value, __u32);
} site_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16384); /* set before load */
	__type(key, __u32);
	__type(value, struct heap_site_val);
} sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs: set before load */
	__type(key, __u32);
	__type(value, struct heap_acct);
} accts SEC(".maps");

/* Wakes user space when processes came or went; the truth is in `processes`. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* Children that were forked and have not inherited yet, by their parent. User space takes out. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct heap_heir_key);
	__type(value, struct heap_heir);
} heirs SEC(".maps");

/*
 * The same children by their own life, and those that found no place above: what they free that is
 * not known is written down.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} inheriting SEC(".maps");

const volatile __u32 targ_max_sites = 16384;

/* 0: every probe passes. Set when all probes are in place, cleared before they go. */
__u32 recording;
/* Some process was forked: what is freed may be another's too. */
__u32 forked;
/* In `inheriting`, or about to be; heirs all are. While there are none, frees do not look there. */
__u32 n_heirs;
/* About now, kept up by user space: reading the clock would be a tenth of a call's cost. */
__u64 clock_ns;
__u32 lives = 1;      /* the next life's number */
__u32 sites_used = 1; /* 0 takes what found no place */

#define COUNT(acct, field) __sync_fetch_and_add(&(acct)->field, 1)

static __always_inline struct heap_acct *acct__get(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&accts, &cpu);
}

static __always_inline struct heap_site_val *site__at(__u32 id)
{
	return bpf_map_lookup_elem(&sites, &id);
}

/* The site's number; 0 when there is no room. */
static __always_inline __u32 site__id(const struct heap_site_key *key, __u64 pc)
{
	__u32 *known = bpf_map_lookup_elem(&site_ids, key), id;
	struct heap_site_val *s;

	if (known)
		return *known;
	if (*(volatile __u32 *)&sites_used >= targ_max_sites)
		return 0;
	id = __sync_fetch_and_add(&sites_used, 1);
	if (id >= targ_max_sites)
		return 0;
	s = site__at(id);
	if (!s)
		return 0;
	s->key = *key;
	s->pc = pc;
	if (!bpf_map_update_elem(&site_ids, key, &id, BPF_NOEXIST)) {
		s->used = 1;
		return id;
	}
	/* Another CPU was first: our number stays unused. */
	known = bpf_map_lookup_elem(&site_ids, key);
	return known ? *known : 0;
}

static __always_inline void site__hold(__u32 id, __u64 size)
{
	struct heap_site_val *s = site__at(id);

	if (s) {
		__sync_fetch_and_add(&s->bytes, size);
		__sync_fetch_and_add(&s->blocks, 1);
	}
}

static __always_inline void site__release(__u32 id, __u64 size)
{
	struct heap_site_val *s = site__at(id);

	if (s) {
		__sync_fetch_and_add(&s->bytes, -size);
		__sync_fetch_and_add(&s->blocks, -1ull);
	}
}

/* Holds a block; one at its address that was not freed before us gives way, counted. */
static __always_inline void block__insert(struct heap_acct *a, const struct heap_block_key *key,
					  const struct heap_block *b)
{
	long err = bpf_map_update_elem(&blocks, key, b, BPF_NOEXIST);

	if (err == -EEXIST) {
		struct heap_block *old = bpf_map_lookup_elem(&blocks, key);
		__u32 site = old ? old->site : HEAP_TOMBSTONE;
		__u64 size = old ? old->size : 0;

		if (site != HEAP_TOMBSTONE) {
			COUNT(a, missed_frees);
			site__release(site, size);
		}
		err = bpf_map_update_elem(&blocks, key, b, BPF_ANY);
	}
	if (err)
		COUNT(a, blocks_lost);
	else
		site__hold(b->site, b->size);
}

/* What a child was forked with. */
static __noinline void block__inherit(struct heap_acct *a, __u32 life, __u64 address,
				      const struct heap_block *b)
{
	struct heap_block_key key = {.address = address, .life = life};
	struct heap_site_val *s = b ? site__at(b->site) : NULL;
	struct heap_block copy;
	struct heap_site_key site;
	long err;

	if (!s || !a || !b)
		return;
	copy = *b;
	site = s->key;
	site.life = life;
	copy.forks = 0;
	copy.site = b->site ? site__id(&site, s->pc) : 0;
	err = bpf_map_update_elem(&blocks, &key, &copy, BPF_NOEXIST);
	if (!err) {
		site__hold(copy.site, copy.size);
		if (!copy.site)
			COUNT(a, sites_lost);
	} else if (err != -EEXIST) {
		COUNT(a, blocks_lost);
	}
}

/*
 * A child that was forked holds a copy of each of our blocks until user space has written them all
 * down for it: one that we free before that is written down here.
 */
static __always_inline void block__bequeath(struct heap_acct *a, __u32 life, __u64 address,
					    const struct heap_block *b)
{
	for (__u32 slot = 0; slot < HEAP_MAX_HEIRS; slot++) {
		struct heap_heir_key key = {.parent = life, .slot = slot};
		struct heap_heir *heir = bpf_map_lookup_elem(&heirs, &key);

		if (heir && b->forks <= heir->cut)
			block__inherit(a, heir->life, address, b);
	}
}

/* Takes a block out. False: it is not known. */
static __always_inline bool block__remove(struct heap_acct *a, __u32 life, __u64 address,
					  struct heap_block *out)
{
	struct heap_block_key key = {.address = address, .life = life};
	struct heap_block *b = bpf_map_lookup_elem(&blocks, &key);

	if (!b || b->site == HEAP_TOMBSTONE) {
		if (*(volatile __u32 *)&n_heirs && !b && bpf_map_lookup_elem(&inheriting, &life)) {
			struct heap_block tombstone = {.site = HEAP_TOMBSTONE};

			if (bpf_map_update_elem(&blocks, &key, &tombstone, BPF_NOEXIST) == -E2BIG)
				COUNT(a, blocks_lost);
		}
		return false;
	}
	*out = *b;
	if (bpf_map_delete_elem(&blocks, &key))
		return false;
	site__release(out->site, out->size);
	if (*(volatile __u32 *)&n_heirs)
		block__bequeath(a, life, address, out);
	return true;
}

#endif
