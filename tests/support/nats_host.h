/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The framer on the host: its hooks, with every rule of the BPF ones (bpf/nats.bpf.h) checked, and
 * a direction that is fed segments of one contiguous stream and keeps what came out.
 */
#ifndef TESTS_NATS_HOST_H
#define TESTS_NATS_HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nats_ref.h"

struct nats_run;
struct nats_io;
static int nats_io__load(struct nats_io *io, struct nats_run *r, __u32 off, __u32 at, __u32 n);
static int nats_io__keep(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n);
static int nats_io__kept(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n);
static void nats_io__message(struct nats_io *io, struct nats_run *r);

#define NATS_LOOP(n, fn, ctx)                              \
	do {                                               \
		for (__u32 turn = 0; turn < (n); turn++) { \
			if (fn(turn, ctx))                 \
				break;                     \
		}                                          \
	} while (0)

#include "proto/nats_stream.h"

/* A broken promise between framer and hooks: no test can go on. */
#define HOST_MUST(cond)                                                                    \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

struct nats_io {
	const uint8_t *stream; /* from its beginning, for positions and comparison */
	uint64_t base;	       /* where the present segment begins in it */
	uint32_t len;	       /* of the present segment */
	uint8_t keep[NATS_UNIT_MAX];
	uint32_t n_keep;
	struct ref_list list; /* units as they came out */
	uint64_t loads;
	uint64_t loaded; /* bytes */
	/* Faults to make: the n-th call from now fails; 0 never. */
	uint32_t fail_load;
	uint32_t fail_keep;
	uint32_t fail_kept;
};

/* One direction, and sums over all it was fed. */
struct host {
	struct nats_dir dir;
	struct nats_run *run;
	struct nats_io io;
	uint64_t fed;
	int64_t framed, resync, bad, refused;
	uint64_t frames, desyncs;
	int poison; /* fill the window with leftovers before every segment */
};

static int host__fault(uint32_t *n)
{
	return *n && --*n == 0;
}

static int nats_io__load(struct nats_io *io, struct nats_run *r, __u32 off, __u32 at, __u32 n)
{
	HOST_MUST(n >= 1 && n <= NATS_WIN_LOAD);
	HOST_MUST(at >= NATS_WIN_PAD && at + n <= NATS_WIN_SIZE);
	io->loads++;
	io->loaded += n;
	HOST_MUST(off < io->len && n <= io->len - off);
	if (host__fault(&io->fail_load))
		return -1;
	memcpy(r->win + at, io->stream + io->base + off, n);
	return 0;
}

static int nats_io__keep(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n)
{
	HOST_MUST(n >= 1 && n <= NATS_UNIT_MAX);
	HOST_MUST(at >= NATS_WIN_PAD && at + n <= NATS_WIN_SIZE);
	/* The kernel copies a whole map value from here. */
	if (at > NATS_WIN_MASK - NATS_UNIT_MAX || host__fault(&io->fail_keep))
		return -1;
	memcpy(io->keep, r->win + at, n);
	io->n_keep = n;
	return 0;
}

static int nats_io__kept(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n)
{
	HOST_MUST(at == NATS_WIN_PAD);
	HOST_MUST(n >= 1 && n == io->n_keep);
	io->n_keep = 0;
	if (host__fault(&io->fail_kept))
		return -1;
	memcpy(r->win + at, io->keep, n);
	return 0;
}

static void nats_io__message(struct nats_io *io, struct nats_run *r)
{
	const struct nats_unit *u = &r->unit;
	uint64_t zero = io->base + r->next - r->end; /* stream position of window position 0 */
	struct ref_unit out = {
		.pos = zero + u->begin,
		.line = u->len,
		.subject_len = u->subject_len,
		.reply_len = u->reply_len,
		.payload = u->payload,
		.header = u->header,
		.status = u->status,
		.verb = u->verb,
		.ambiguous = u->ambiguous,
	};

	HOST_MUST(u->verb > NATS_NONE && u->verb < NATS_VERB_MAX);
	if (NATS_IS_MESSAGE(u->verb)) {
		HOST_MUST(u->begin + u->len <= r->end);
		HOST_MUST(u->subject_len >= 1 && u->subject > u->begin);
		HOST_MUST(u->subject + u->subject_len < u->begin + u->len);
		HOST_MUST(!u->reply_len || u->reply > u->begin);
		HOST_MUST(u->reply + u->reply_len < u->begin + u->len);
		HOST_MUST(u->header <= u->payload && u->payload <= NATS_PAYLOAD_MAX);
		/* What the window holds is what the stream holds there. */
		HOST_MUST(!memcmp(r->win + u->begin, io->stream + out.pos, u->len));
		out.subject = zero + u->subject;
		out.reply = u->reply_len ? zero + u->reply : 0;
		out.end = out.pos + u->len + u->payload + 2;
	}
	ref_list__add(&io->list, &out);
}

/* A direction never seen, of `stream`. */
static inline void host__open(struct host *h, const uint8_t *stream)
{
	memset(h, 0, sizeof(*h));
	h->run = calloc(1, sizeof(*h->run));
	if (!h->run)
		abort();
	h->io.stream = stream;
}

/* The same, with its place known: the stream is fed from a frame boundary. */
static inline void host__open_synced(struct host *h, const uint8_t *stream)
{
	host__open(h, stream);
	h->dir.sync = NATS_SYNCED;
}

static inline void host__close(struct host *h)
{
	free(h->run);
	free(h->io.list.unit);
	memset(h, 0, sizeof(*h));
}

/* What another connection may have left in the scratch memory. */
static inline void host__leave_rubbish(struct nats_run *r)
{
	static const char rubbish[] = "{\r\nPUB x 1\r\n{\r\nNATS/1.0 503\n";

	for (size_t i = 0; i < sizeof(r->win); i += sizeof(rubbish) - 1) {
		size_t n = sizeof(r->win) - i;

		memcpy(r->win + i, rubbish, n < sizeof(rubbish) - 1 ? n : sizeof(rubbish) - 1);
	}
	memset(&r->unit, 0x5a, sizeof(r->unit));
}

/* Feeds len (> 0) bytes of the stream at `at`, as one segment. */
static inline void host__feed(struct host *h, uint64_t at, uint32_t len)
{
	struct nats_feed f = {.run = h->run, .dir = &h->dir, .io = &h->io};
	struct nats_run *r = h->run;

	h->io.base = at;
	h->io.len = len;
	if (h->poison)
		host__leave_rubbish(r);
	nats_feed(&f, len);
	HOST_MUST(r->framed + r->resync + r->bad + r->refused == (int64_t)len);
	HOST_MUST(r->refused >= 0 && r->resync >= 0 && r->bad >= 0);
	HOST_MUST(h->dir.sync <= NATS_SYNCED && h->dir.trailer <= 2);
	HOST_MUST(h->dir.sync != NATS_LOST ||
		  (!h->dir.skip && !h->dir.line && !h->dir.kept && !h->dir.trailer));
	HOST_MUST(!h->dir.kept || (!h->dir.skip && !h->dir.line && !h->dir.trailer));
	h->fed += len;
	h->framed += r->framed;
	h->resync += r->resync;
	h->bad += r->bad;
	h->refused += r->refused;
	h->frames += r->frames;
	h->desyncs += r->desyncs;
	HOST_MUST(h->framed >= 0);
	HOST_MUST(h->framed + h->resync + h->bad + h->refused == (int64_t)h->fed);
}

/* Feeds [at, end) in segments of `step` bytes. */
static inline void host__feed_by(struct host *h, uint64_t at, uint64_t end, uint32_t step)
{
	while (at < end) {
		uint32_t n = end - at < step ? (uint32_t)(end - at) : step;

		host__feed(h, at, n);
		at += n;
	}
}

/* Bytes of this direction were missed (a gap). True: the place was lost with them. */
static inline int host__miss(struct host *h, uint32_t n)
{
	int kept = h->dir.kept, synced = h->dir.sync == NATS_SYNCED;

	if (!nats_dir__gap(&h->dir, n))
		return 0;
	h->io.n_keep = 0;
	if (synced) { /* as bpf/wire.bpf.c books it */
		h->framed -= kept;
		h->bad += kept;
	}
	return 1;
}

#endif
