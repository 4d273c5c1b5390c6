/* SPDX-License-Identifier: GPL-2.0-only */
/* The hooks that the HTTP and Redis framers share: how bytes come. */
#ifndef HOPSCOPE_STREAM_BPF_H
#define HOPSCOPE_STREAM_BPF_H

#include "fifo.bpf.h"
#include "kept.bpf.h"

struct stream_io {
	wire_ctx *ctx;
	struct conn *conn;
	struct wire_acct *acct;
	struct lane_scratch *scratch;
	__u32 off; /* of the direction's next byte */
	__u32 dir;
};

static __always_inline int stream_io__load(struct stream_io *io, struct stream_run *r, __u32 off,
					   __u32 at, __u32 n)
{
	OPAQUE(at);
	if (at > STREAM_WIN_SIZE - STREAM_WIN_LOAD)
		return -1;
	return wire_ctx__load(io->ctx, io->off + off, r->win + at, n, STREAM_WIN_LOAD);
}

static __noinline int stream__keep(const struct conn *c, const struct lane_scratch *scratch,
				   __u32 dir, __u32 at)
{
	struct lane_scratch *s = scratch__again(scratch);

	OPAQUE(at);
	if (!s || at > STREAM_WIN_MASK - STREAM_KEEP_MAX)
		return -1;
	return kept__put(c, dir, s->stream.win + at);
}

static __always_inline int stream_io__keep(struct stream_io *io, struct stream_run *r, __u32 at,
					   __u32 n)
{
	(void)n, (void)r;
	return stream__keep(io->conn, io->scratch, io->dir, at);
}

static __always_inline int stream_io__kept(struct stream_io *io, struct stream_run *r, __u32 at,
					   __u32 n)
{
	(void)at; /* always STREAM_WIN_PAD */
	return kept__take(io->conn, io->dir, r->win + STREAM_WIN_PAD, n);
}

static __always_inline __u64 stream_run__now(struct stream_run *r)
{
	if (!r->now)
		r->now = bpf_ktime_get_ns();
	return r->now;
}

/*
 * The TCP sequence number of the byte at r->pos. Both ends of a connection find the same for a
 * byte, however its segments were cut.
 */
static __always_inline __u32 stream__seq(const struct lane_scratch *s)
{
	const struct stream_run *r = &s->stream;

	return s->seq + r->next - (r->end - r->pos);
}

/* A unit's first byte has passed. */
static __always_inline void stream__begins(struct conn *c, struct lane_scratch *s, __u32 dir)
{
	c->stream.begin_ns[dir & 1] = stream_run__now(&s->stream);
	c->stream.begin_seq[dir & 1] = stream__seq(s);
}

static __always_inline void acct__one_way(struct wire_acct *a, __u32 reason)
{
	a->seen++;
	a->one_way++;
	a->reason[reason & (REASON_MAX - 1)]++;
}

static __always_inline void acct__orphan(struct wire_acct *a)
{
	a->orphans++;
	a->reason[REASON_ORPHAN]++;
}

/* A request that cannot be told from others: its answer will not be known as its own. */
static __always_inline void acct__unsure(struct wire_acct *a)
{
	a->seen++;
	a->dropped++;
	a->reason[REASON_GAP_LOST]++;
}

#endif
