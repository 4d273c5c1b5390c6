// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The Redis framer on any bytes, in any segments. The input is a head and both directions:
 *
 *   byte 0      flags, see below
 *   byte 1      seed of segments, faults and gaps
 *   byte 2..3   length of the command direction, little-endian, modulo what there is
 *
 * A direction whose place is known must say what the reference says, up to its first fault.
 * Whatever comes, the accounts add up (HOST_MUST in tests/support).
 */
#include "../support/redis_host.h"
#include "../support/redis_ref.h"
#include "../support/rng.h"

#define HEAD 4

enum { FLAG_WILD = 1, FLAG_BYTEWISE = 2, FLAG_REPLIES = 4 };

static void feed_known(const uint8_t *s, uint32_t len, struct rng *r, uint32_t most, int dir)
{
	struct redis_host h;
	struct redis_ref ref;

	redis_ref__read(&ref, s, len, !dir);
	redis_host__open(&h, s, s);
	h.dir[dir].s.sync = STREAM_SYNCED;
	h.dir[dir].role = dir ? REDIS_REPLIES : REDIS_COMMANDS;
	for (uint32_t at = 0, n; at < len && !h.pair.opaque; at += n) {
		n = rng__in(r, 1, most);
		n = n < len - at ? n : len - at;
		redis_host__feed(&h, dir, at, n);
	}
	for (size_t i = 0; i < ref.n && !h.pair.opaque; i++) {
		const struct redis_msg *m = &h.msg[dir][i];

		HOST_MUST(i < h.n[dir]);
		HOST_MUST(m->pos == ref.unit[i].pos && m->end == ref.unit[i].end);
		HOST_MUST(m->top == (uint8_t)ref.unit[i].top);
	}
	HOST_MUST(h.pair.opaque || ref.bad || h.n[dir] <= ref.n + 1);
	redis_ref__free(&ref);
	redis_host__close(&h);
}

static void feed_wild(const uint8_t *s, const uint32_t *len, struct rng *r, uint32_t most)
{
	uint32_t at[2] = {0};
	struct redis_host h;

	redis_host__open(&h, s, s + len[0]);
	while (at[0] < len[0] || at[1] < len[1]) {
		int dir = rng__chance(r, 1, 2);
		uint32_t n = rng__in(r, 1, most);

		if (at[dir] >= len[dir])
			dir = !dir;
		n = n < len[dir] - at[dir] ? n : len[dir] - at[dir];
		h.io[dir].fail_load = rng__chance(r, 1, 20);
		h.io[dir].fail_keep = rng__chance(r, 1, 20);
		h.io[dir].fail_kept = rng__chance(r, 1, 20);
		if (rng__chance(r, 1, 16))
			redis_host__miss(&h, dir, n);
		else
			redis_host__feed(&h, dir, at[dir], n);
		at[dir] += n;
	}
	redis_host__close(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *s = data + HEAD;
	struct rng r = {0};
	uint32_t len[2], most;
	int dir;

	if (size <= HEAD)
		return 0;
	r.state = data[1];
	most = data[0] & FLAG_BYTEWISE ? 2 : 700;
	dir = !!(data[0] & FLAG_REPLIES);
	len[1] = (uint32_t)(size - HEAD);
	len[0] = (uint32_t)(data[2] | data[3] << 8) % (len[1] + 1);
	len[1] -= len[0];
	if (data[0] & FLAG_WILD) {
		feed_wild(s, len, &r, most);
		return 0;
	}
	len[0] += len[1];
	if (!dir && *s != '*')
		return 0;
	feed_known(s, len[0], &r, len[0], dir);
	feed_known(s, len[0], &r, most, dir);
	return 0;
}
