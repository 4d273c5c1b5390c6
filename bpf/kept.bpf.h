/* SPDX-License-Identifier: GPL-2.0-only */
/* Lines split over segments, kept until the rest comes. */
#ifndef HOPSCOPE_KEPT_BPF_H
#define HOPSCOPE_KEPT_BPF_H

#include "conn.bpf.h"

struct kept_key {
	__u64 cookie;
	__u64 dir;
};

/* The largest part of a NATS line is a subject of 4 KB; of the others STREAM_KEEP_MAX is kept. */
struct kept_val {
	__u8 bytes[(NATS_UNIT_MAX + 7) / 8 * 8];
};

_Static_assert(STREAM_KEEP_MAX <= NATS_UNIT_MAX, "one map for all protocols");
/* What is kept is copied as a whole, from a window position the framers bound. */
_Static_assert(STREAM_WIN_MASK - STREAM_KEEP_MAX + sizeof(struct kept_val) <= STREAM_WIN_SIZE, "");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct kept_key);
	__type(value, struct kept_val);
} kept_units SEC(".maps");

/* `from`: sizeof(struct kept_val) readable bytes. 0 or < 0. */
static __always_inline int kept__put(const struct conn *c, __u32 dir, const __u8 *from)
{
	struct kept_key key = {.cookie = c->cookie, .dir = dir};

	return bpf_map_update_elem(&kept_units, &key, from, BPF_ANY);
}

struct kept_copy {
	__u8 *to;
	const __u8 *from;
};

static long kept__word(__u32 i, void *ctx)
{
	struct kept_copy *k = ctx;

	if (i >= sizeof(struct kept_val) / 8)
		return 1;
	*(__u64 *)(k->to + 8 * i) = *(const __u64 *)(k->from + 8 * i);
	return 0;
}

/* A function of its own: its stack is then not under that of the deepest calls. */
static __noinline int kept__copy(__u8 *to, const __u8 *from, __u32 n)
{
	struct kept_copy copy = {.to = to, .from = from};

	bpf_loop((n + 7) / 8, kept__word, &copy, 0);
	return 0;
}

static __noinline int kept__take(const struct conn *c, __u32 dir, __u8 *to, __u32 n)
{
	struct kept_key key = {.cookie = c->cookie, .dir = dir};
	struct kept_val *v = bpf_map_lookup_elem(&kept_units, &key);

	if (!v || n < 1 || n > NATS_UNIT_MAX)
		return -1;
	kept__copy(to, v->bytes, n);
	bpf_map_delete_elem(&kept_units, &key);
	return 0;
}

#endif
