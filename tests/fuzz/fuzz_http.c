// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The HTTP framer on any bytes, in any segments. The input is a head and both directions:
 *
 *   byte 0      flags, see below
 *   byte 1      seed of segments, faults and gaps
 *   byte 2..3   length of the request direction, little-endian, modulo what there is
 *
 * A request direction whose place is known must say what the reference says, up to its first fault.
 * Whatever comes, the accounts add up (HOST_MUST in tests/support).
 */
#include "../support/http_host.h"
#include "../support/http_ref.h"
#include "../support/rng.h"

#define HEAD 4

enum { FLAG_WILD = 1, FLAG_BYTEWISE = 2 };

static void feed_known(const uint8_t *s, uint32_t len, struct rng *r, uint32_t most)
{
	struct http_host h;
	struct http_ref ref;

	http_ref__read(&ref, s, len, NULL);
	http_host__open(&h, s, s);
	h.dir[0].s.sync = STREAM_SYNCED;
	h.dir[0].role = HTTP_REQUEST;
	for (uint32_t at = 0, n; at < len; at += n) {
		n = rng__in(r, 1, most);
		n = n < len - at ? n : len - at;
		http_host__feed(&h, 0, at, n);
	}
	HOST_MUST(h.n[0] >= ref.n);
	for (size_t i = 0; i < ref.n; i++) {
		const struct http_msg *m = &h.msg[0][i];
		const struct ref_msg *q = &ref.msg[i];

		HOST_MUST(m->pos == q->pos && m->head_end == q->head_end && m->end == q->end);
		HOST_MUST(m->method == q->method && m->version == q->version);
		HOST_MUST(m->path == q->path && m->path_len == q->path_len);
	}
	HOST_MUST(ref.how != REF_ALL || (h.io[0].desyncs == 0 && h.io[0].framed == (int64_t)len));
	http_ref__free(&ref);
	http_host__close(&h);
}

static void feed_wild(const uint8_t *s, const uint32_t *len, struct rng *r, uint32_t most)
{
	uint32_t at[2] = {0};
	struct http_host h;

	http_host__open(&h, s, s + len[0]);
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
			http_host__miss(&h, dir, n);
		else
			http_host__feed(&h, dir, at[dir], n);
		at[dir] += n;
	}
	http_host__close(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *s = data + HEAD;
	struct rng r = {0};
	uint32_t len[2], most;

	if (size <= HEAD)
		return 0;
	r.state = data[1];
	most = data[0] & FLAG_BYTEWISE ? 2 : 700;
	len[1] = (uint32_t)(size - HEAD);
	len[0] = (uint32_t)(data[2] | data[3] << 8) % (len[1] + 1);
	len[1] -= len[0];
	if (data[0] & FLAG_WILD) {
		feed_wild(s, len, &r, most);
		return 0;
	}
	len[0] += len[1];
	if (*s == '\r' || *s == '\n')
		return 0;
	feed_known(s, len[0], &r, len[0]);
	feed_known(s, len[0], &r, most);
	return 0;
}
