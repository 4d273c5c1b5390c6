/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hooks of include/proto/stream.h on the host, with every rule of the BPF ones checked, for the
 * HTTP and the Redis framer.
 */
#ifndef TESTS_STREAM_HOST_H
#define TESTS_STREAM_HOST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

struct stream_run;
struct stream_io;
static int stream_io__load(struct stream_io *io, struct stream_run *r, __u32 off, __u32 at,
			   __u32 n);
static int stream_io__keep(struct stream_io *io, struct stream_run *r, __u32 at, __u32 n);
static int stream_io__kept(struct stream_io *io, struct stream_run *r, __u32 at, __u32 n);

#define STREAM_LOOP(n, fn, ctx)                            \
	do {                                               \
		for (__u32 turn = 0; turn < (n); turn++) { \
			if (fn(turn, ctx))                 \
				break;                     \
		}                                          \
	} while (0)

#include "proto/stream.h"

/* A broken promise between framer and hooks: no test can go on. */
#define HOST_MUST(cond)                                                                    \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

/* One direction of a connection. */
struct stream_io {
	const uint8_t *stream; /* from its beginning, for positions and comparison */
	uint64_t base;	       /* where the present segment begins in it */
	uint32_t len;	       /* of the present segment */
	uint8_t keep[STREAM_KEEP_MAX];
	uint32_t n_keep;
	uint64_t loaded; /* bytes */
	/* Faults to make: the n-th call from now fails; 0 never. */
	uint32_t fail_load;
	uint32_t fail_keep;
	uint32_t fail_kept;
	void *owner; /* whom the events go to */
	uint64_t fed;
	int64_t framed, resync, bad, refused;
	uint64_t units, desyncs, oversized;
};

static int stream_io__fault(uint32_t *n)
{
	return *n && --*n == 0;
}

static int stream_io__load(struct stream_io *io, struct stream_run *r, __u32 off, __u32 at, __u32 n)
{
	HOST_MUST(n >= 1 && n <= STREAM_WIN_LOAD);
	HOST_MUST(at >= STREAM_WIN_PAD && at + n <= STREAM_WIN_SIZE);
	HOST_MUST(off < io->len && n <= io->len - off);
	io->loaded += n;
	if (stream_io__fault(&io->fail_load))
		return -1;
	memcpy(r->win + at, io->stream + io->base + off, n);
	return 0;
}

static int stream_io__keep(struct stream_io *io, struct stream_run *r, __u32 at, __u32 n)
{
	HOST_MUST(n >= 1 && n <= STREAM_KEEP_MAX);
	/* The kernel copies a whole map value from here. */
	HOST_MUST(at >= STREAM_WIN_PAD && at <= STREAM_WIN_MASK - STREAM_KEEP_MAX);
	if (stream_io__fault(&io->fail_keep))
		return -1;
	memcpy(io->keep, r->win + at, n);
	io->n_keep = n;
	return 0;
}

static int stream_io__kept(struct stream_io *io, struct stream_run *r, __u32 at, __u32 n)
{
	HOST_MUST(at == STREAM_WIN_PAD);
	HOST_MUST(n >= 1 && n == io->n_keep);
	io->n_keep = 0;
	if (stream_io__fault(&io->fail_kept))
		return -1;
	memcpy(r->win + at, io->keep, n);
	return 0;
}

/* What another connection may have left in the scratch memory. */
static inline void stream_host__rubbish(struct stream_run *r)
{
	static const char text[] = "\r\nContent-Length: 7\r\n\r\n$3\r\n*1\r\nGET / HTTP/1.1\r\n";

	for (size_t i = 0; i + sizeof(text) < 1000; i += sizeof(text) - 1)
		memcpy(r->win + i, text, sizeof(text) - 1);
}

/* Before and after a segment: [at, at + len) of the direction's stream. */
static inline void stream_host__before(struct stream_io *io, struct stream_run *r, uint64_t at,
				       uint32_t len)
{
	io->base = at;
	io->len = len;
	stream_host__rubbish(r);
}

static inline void stream_host__after(struct stream_io *io, const struct stream_run *r,
				      const struct stream_dir *d)
{
	HOST_MUST(r->framed + r->resync + r->bad + r->refused == (int64_t)io->len);
	HOST_MUST(r->refused >= 0 && r->resync >= 0 && r->bad >= 0);
	HOST_MUST(d->sync <= STREAM_SYNCED);
	HOST_MUST(d->sync != STREAM_LOST || (!d->skip && !d->kept && !d->begun));
	HOST_MUST(!d->kept || !d->skip);
	HOST_MUST(d->kept == io->n_keep || !d->kept);
	io->fed += io->len;
	io->framed += r->framed;
	io->resync += r->resync;
	io->bad += r->bad;
	io->refused += r->refused;
	io->units += r->units;
	io->desyncs += r->desyncs;
	io->oversized += r->oversized;
	HOST_MUST(io->framed >= 0);
}

/* A gap: what was kept is given up. */
static inline void stream_host__missed(struct stream_io *io, uint16_t kept, int synced)
{
	io->n_keep = 0;
	if (synced) { /* as bpf/wire.bpf.c books it */
		io->framed -= kept;
		io->bad += kept;
	}
}

/* The stream's position that window position `at` holds. */
static inline uint64_t stream_host__pos(const struct stream_io *io, const struct stream_run *r,
					uint32_t at)
{
	return io->base + r->next - r->end + at;
}

#endif
