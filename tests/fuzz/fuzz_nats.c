// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The NATS framer on any bytes, in any segments. The input is a head, which says how to cut, and a
 * stream:
 *
 *   byte 0      flags, see below
 *   byte 1      seed of faults and gaps
 *   byte 2..7   three cuts, little-endian, modulo the stream's length
 *
 * Up to the stream's first fault the framer must find what the reference finds, fed whole, cut and
 * byte by byte. Whatever comes, its accounts add up (HOST_MUST in tests/support/nats_host.h).
 */
#include "../support/nats_host.h"
#include "../support/rng.h"

#define HEAD 8

enum {
	FLAG_BYTEWISE = 1,
	FLAG_FAULTS = 2, /* hooks fail, bytes are missed */
	FLAG_LOST = 4,	 /* attached in mid-stream */
	FLAG_STRICT = 8,
};

static int same(const struct ref_unit *a, const struct ref_unit *b)
{
	if (a->pos != b->pos || a->verb != b->verb)
		return 0;
	if (!NATS_IS_MESSAGE(a->verb))
		return 1;
	if (a->line != b->line || a->payload != b->payload || a->header != b->header ||
	    a->status != b->status || a->ambiguous != b->ambiguous)
		return 0;
	return a->ambiguous ||
	       (a->subject == b->subject && a->subject_len == b->subject_len &&
		a->reply_len == b->reply_len && (!a->reply_len || a->reply == b->reply));
}

/* Where the reference stopped being sure, and how many units it is sure of. */
static uint64_t sure_until(const struct nats_ref *ref, size_t len, size_t *units)
{
	const struct ref_unit *last = ref->list.n ? &ref->list.unit[ref->list.n - 1] : NULL;

	*units = ref->list.n;
	if (ref->state == REF_FAILED)
		return ref->fault;
	if (ref->state == REF_IN_LINE)
		return ref->line;
	/* The status of the last one has not all come. */
	if (last && last->header >= 12 && last->pos + last->line + 12 > len) {
		(*units)--;
		return last->pos;
	}
	return len;
}

static void check(const struct host *h, const struct nats_ref *ref, size_t len)
{
	size_t units, i;
	uint64_t until = sure_until(ref, len, &units);

	for (i = 0; i < h->io.list.n && h->io.list.unit[i].pos < until; i++)
		HOST_MUST(i < units && same(&h->io.list.unit[i], &ref->list.unit[i]));
	HOST_MUST(i == units);
	for (i = 1; i < h->io.list.n; i++)
		HOST_MUST(h->io.list.unit[i - 1].pos < h->io.list.unit[i].pos);
	if (ref->state == REF_FAILED) {
		HOST_MUST(h->desyncs > 0);
		return;
	}
	if (ref->state != REF_IN_LINE || ref->line == len) {
		HOST_MUST(h->desyncs == 0);
		HOST_MUST(h->framed == (int64_t)len);
	}
}

static void feed_known(const struct nats_ref *ref, const uint8_t *s, size_t len,
		       const uint32_t *cut, uint32_t step)
{
	struct host h;

	host__open_synced(&h, s);
	h.poison = !step;
	for (int i = 0; i < 4; i++) {
		if (cut[i + 1] > cut[i])
			host__feed_by(&h, cut[i], cut[i + 1], step ? step : (uint32_t)len);
	}
	check(&h, ref, len);
	host__close(&h);
}

/* Nothing is known of what comes out here, only that it adds up. */
static void feed_wild(const uint8_t *s, const uint32_t *cut, uint8_t flags, uint64_t seed)
{
	struct rng r = {.state = seed};
	struct host h;

	host__open(&h, s);
	h.poison = 1;
	if (!(flags & FLAG_LOST))
		h.dir.sync = NATS_SYNCED;
	for (int i = 0; i < 4; i++) {
		uint32_t from = cut[i];

		h.run->strict = flags & FLAG_STRICT;
		if (flags & FLAG_FAULTS) {
			uint32_t missed = rng__in(&r, 0, 20);

			h.io.fail_load = rng__in(&r, 0, 8);
			h.io.fail_keep = rng__in(&r, 0, 2);
			h.io.fail_kept = rng__in(&r, 0, 2);
			if (missed && rng__chance(&r, 1, 2)) {
				host__miss(&h, missed);
				from += missed;
			}
		}
		if (cut[i + 1] > from)
			host__feed(&h, from, cut[i + 1] - from);
	}
	host__close(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t cut[5] = {0}, t;
	struct nats_ref ref;
	const uint8_t *s;
	size_t len;

	if (size <= HEAD)
		return 0;
	s = data + HEAD;
	len = size - HEAD;
	for (int i = 0; i < 3; i++)
		cut[i + 1] = (uint32_t)((data[2 + 2 * i] | data[3 + 2 * i] << 8) % (len + 1));
	cut[4] = (uint32_t)len;
	for (int i = 1; i < 4; i++) {
		for (int k = 1; k < 3; k++) {
			t = cut[k];
			if (t > cut[k + 1]) {
				cut[k] = cut[k + 1];
				cut[k + 1] = t;
			}
		}
	}
	if (data[0] & (FLAG_FAULTS | FLAG_LOST)) {
		feed_wild(s, cut, data[0], data[1]);
		return 0;
	}
	nats_ref__read(&ref, s, len);
	feed_known(&ref, s, len, (const uint32_t[]){0, 0, 0, 0, (uint32_t)len}, 0);
	feed_known(&ref, s, len, cut, 0);
	if (data[0] & FLAG_BYTEWISE)
		feed_known(&ref, s, len, cut, 1);
	nats_ref__free(&ref);
	return 0;
}
