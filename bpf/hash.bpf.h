/* SPDX-License-Identifier: GPL-2.0-only */
/* Hashes of what peers send, seeded: nobody outside can aim at one slot or route. */
#ifndef HOPSCOPE_HASH_BPF_H
#define HOPSCOPE_HASH_BPF_H

#include "proto/nats.h"
#include "proto/stream.h"

#define HASH_MAX 256 /* bytes */

const volatile __u64 targ_seed; /* random */

_Static_assert(sizeof(struct nats_window) == sizeof(struct stream_window), "one hash for both");

/* Hash of window bytes, 8 at a time; len at most HASH_MAX. Never 0. */
__noinline __u64 window__hash(const struct nats_window *window, __u32 at, __u32 len)
{
	__u64 h = targ_seed ^ len, w;
	const __u8 *win;
	__u32 i;

	if (!window)
		return 1;
	win = window->bytes;

	for (i = 0; i < HASH_MAX / 8; i++) {
		if (len < 8)
			break;
		h = (h ^ nats__load64(win, at)) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 32;
		at += 8;
		len -= 8;
	}
	if (len & 7) {
		w = nats__load64(win, at) & (((__u64)1 << (8 * (len & 7))) - 1);
		h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 32;
	}
	h *= 0xd6e8feb86659fd93ULL;
	return (h ^ (h >> 32)) | 1;
}

#endif
