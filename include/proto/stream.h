/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the framers of protocols made of lines and counted bytes (HTTP/1, RESP) have in common: a
 * window that moves along one direction of a TCP connection, bytes passed over unread, a split line
 * kept for the next segment, and the accounts.
 *
 * Compiled twice, for BPF and for the host: no I/O, no allocation, all state in memory that the
 * caller owns. The includer says how bytes come, before including this file:
 *
 *   struct stream_io          whatever the hooks need
 *   int stream_io__load(struct stream_io *, struct stream_run *, __u32 off, __u32 at, __u32 n)
 *                             the segment's bytes [off, off+n) to window position `at`; 0 or < 0
 *   int stream_io__keep(io, run, __u32 at, __u32 n)
 *                             keeps n window bytes, at most STREAM_KEEP_MAX; 0 or < 0
 *   int stream_io__kept(io, run, __u32 at, __u32 n)
 *                             gives them back to window position `at`
 *   STREAM_LOOP(n, fn, ctx)   calls fn(i, ctx) up to n times, until it returns 1
 *
 * What is kept never reaches beyond one line (RESP: one short string), so a direction leaves the
 * kept bytes behind in one move. Accounts: framed + resync + bad + refused is what was fed.
 */
#ifndef HOPSCOPE_PROTO_STREAM_H
#define HOPSCOPE_PROTO_STREAM_H

#ifdef __bpf__
#include "vmlinux.h"
/* Global: the verifier looks at it once, not at every call. */
#define STREAM_GLOBAL __attribute__((noinline))
#else
#include <linux/types.h>
#define STREAM_GLOBAL static __attribute__((unused))
#endif
#define STREAM_INLINE static inline __attribute__((always_inline, unused))

#define STREAM_KEEP_MAX                                                                         \
	4096		   /* longest line that is read; longer ones are passed over or refused \
			    */
#define STREAM_WIN_PAD	32 /* readable bytes in front of the first one */
#define STREAM_WIN_MASK 8191u
#define STREAM_WIN_SIZE (STREAM_WIN_MASK + 1 + 64)
#define STREAM_WIN_LOAD 512   /* bytes read at a time */
#define STREAM_SCAN	128   /* bytes looked through at a time */
#define STREAM_STEPS	65536 /* lines and reads in a segment */

#define STREAM_ALL (~(__u64)0) /* of the segment, and what was kept before it */

enum stream_sync { STREAM_LOST = 0, STREAM_TRYING = 1, STREAM_SYNCED = 2 };

/* A global function's argument must point to something whose size its type tells. */
struct stream_window {
	__u8 bytes[STREAM_WIN_SIZE];
};

/* What every direction remembers between segments. Zero is a direction never seen. */
struct stream_dir {
	__u64 skip;  /* bytes yet to pass over */
	__u64 bytes; /* of the present unit */
	__u16 kept;  /* bytes of a split line, kept by stream_io__keep() */
	__u8 sync;   /* enum stream_sync */
	__u8 begun;  /* a unit's first byte has passed */
	__u32 pad;
};

/* One segment's work. Lives in memory the caller owns, too large for a BPF stack. */
struct stream_run {
	__u32 len;	 /* payload bytes of the segment */
	__u32 next;	 /* offset of the first byte behind the window */
	__u32 pos;	 /* window position of the next unread byte */
	__u32 end;	 /* window position behind the last valid byte */
	__u32 scan;	 /* up to here there is no LF behind pos */
	__u32 kept;	 /* of [pos, end), bytes of earlier segments, already accounted for */
	__s64 framed;	 /* result: bytes that belong to units read */
	__s64 resync;	 /* result: bytes passed over looking for a boundary */
	__s64 bad;	 /* result: bytes that are not the protocol */
	__s64 refused;	 /* result: bytes that could not be read or kept */
	__u32 units;	 /* result: units whose last byte passed while SYNCED */
	__u32 desyncs;	 /* result: times the place was lost */
	__u32 oversized; /* result: of them, because of heads too long */
	__u32 pad;
	__u64 now; /* for the hooks */
	__u8 win[STREAM_WIN_SIZE];
};

/* Memory that the verifier must take as unknown, and the compiler must not keep in registers. */
#define STREAM_GET(x)	 (*(volatile __typeof__(x) *)&(x))
#define STREAM_PUT(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define STREAM_ONES  0x0101010101010101ULL
#define STREAM_HIGHS 0x8080808080808080ULL

/* A window position. See nats__at(). */
STREAM_INLINE __u32 stream__at(__u32 at)
{
#ifdef __bpf__
	asm volatile("" : "+r"(at));
#endif
	return at & STREAM_WIN_MASK;
}

STREAM_INLINE __u64 stream__load64(const __u8 *win, __u32 at)
{
#ifdef __bpf__
	return *(const __u64 *)(win + stream__at(at));
#else
	__u64 v;

	__builtin_memcpy(&v, win + stream__at(at), sizeof(v));
	return v;
#endif
}

STREAM_INLINE __u8 stream__byte(const __u8 *win, __u32 at)
{
	return win[stream__at(at)];
}

/* 0x80 in every byte of x that is c; exact for each byte (no borrow between bytes). */
STREAM_INLINE __u64 stream__find(__u64 x, __u8 c)
{
	x ^= STREAM_ONES * c;
	return ~(((x & ~STREAM_HIGHS) + ~STREAM_HIGHS) | x) & STREAM_HIGHS;
}

/* Byte number of the lowest bit of a mask of 0x80s. BPF before v4 has no ctz instruction. */
STREAM_INLINE __u32 stream__first(__u64 mask)
{
#ifdef __bpf__
	return (__u32)(((((mask & -mask) - 1) & STREAM_ONES) * STREAM_ONES) >> 56) - 1;
#else
	return (__u32)__builtin_ctzll(mask) >> 3;
#endif
}

/* The low n bytes of a word, n at most 8. */
STREAM_INLINE __u64 stream__low(__u64 w, __u32 n)
{
	return n < 8 ? w & (((__u64)1 << (8 * n)) - 1) : w;
}

/* The last n (1..8) characters of x as a decimal number, see nats.h. < 0: not all are digits. */
STREAM_INLINE __s64 stream__digits(__u64 x, __u32 n)
{
	__u64 keep = ~(__u64)0 << (8 * (8 - n));

	x = (x & keep) | (STREAM_ONES * '0' & ~keep);
	if ((x & STREAM_ONES * 0xf0) != STREAM_ONES * 0x30 ||
	    ((x + STREAM_ONES * 6) & STREAM_ONES * 0xf0) != STREAM_ONES * 0x30)
		return -1;
	x = ((x & STREAM_ONES * 0x0f) * 2561) >> 8;
	x = ((x & 0x00ff00ff00ff00ffULL) * 6553601) >> 16;
	return (__s64)(((x & 0x0000ffff0000ffffULL) * 42949672960001ULL) >> 32);
}

/* Up to 8 characters as the number that they are in memory (little-endian machines). */
#define STREAM_W4(a, b, c, d)		  ((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24)
#define STREAM_W8(a, b, c, d, e, f, g, h) (STREAM_W4(a, b, c, d) | STREAM_W4(e, f, g, h) << 32)

/* Books n bytes that pass in the direction's present state. */
STREAM_INLINE void stream__book(struct stream_run *r, struct stream_dir *d, __u64 n)
{
	d->bytes += n;
	if (d->sync == STREAM_SYNCED)
		r->framed += n;
	else
		r->resync += n;
}

/* Books n window bytes at pos and moves behind them; kept ones were booked when they were kept. */
STREAM_INLINE void stream__take(struct stream_run *r, struct stream_dir *d, __u32 n)
{
	__u32 old = r->kept < n ? r->kept : n;

	r->pos += n;
	r->kept -= old;
	stream__book(r, d, n - old);
}

/* The unit under way proves the place: its bytes of this segment are no longer passed over. */
STREAM_INLINE void stream__proved(struct stream_run *r, const struct stream_dir *d)
{
	__s64 n = (__s64)d->bytes < r->resync ? (__s64)d->bytes : r->resync;

	r->resync -= n;
	r->framed += n;
}

/*
 * The place is lost, with the n window bytes at pos, which are not the protocol. What was kept of
 * them was booked as framed and turns into bad bytes.
 */
STREAM_INLINE void stream__lose(struct stream_run *r, struct stream_dir *d, __u32 n)
{
	__u32 old = r->kept;

	if (n < old)
		n = old;
	if (d->sync == STREAM_SYNCED) {
		r->framed -= old;
		r->bad += n;
		r->desyncs++;
	} else {
		r->resync += n - old;
	}
	r->pos += n;
	r->kept = 0;
	d->sync = STREAM_LOST;
	d->skip = 0;
	d->begun = 0;
}

/* Is pos the segment's first byte? */
STREAM_INLINE int stream__at_start(const struct stream_run *r)
{
	return !r->kept && r->next == r->end - r->pos;
}

/* All of the segment's bytes are behind. */
STREAM_INLINE int stream__used_up(const struct stream_run *r)
{
	return r->pos == r->end && r->next == r->len;
}

/*
 * Fills the window: behind what it holds when that must stay, else from its start. 0: there is
 * nothing, < 0: it could not be read, what is left of the segment is refused.
 */
STREAM_INLINE int stream__fill(struct stream_run *r, struct stream_io *io)
{
	__u32 n, at;

	if (r->pos != STREAM_WIN_PAD) {
		r->next -= r->end - r->pos;
		r->pos = r->end = r->scan = STREAM_WIN_PAD;
	}
	at = STREAM_GET(r->end);
	n = r->len - STREAM_GET(r->next);
	if (n > STREAM_WIN_LOAD)
		n = STREAM_WIN_LOAD;
	if (n < 1 || n > STREAM_WIN_LOAD || at > STREAM_WIN_MASK - STREAM_WIN_LOAD)
		return 0;
	if (stream_io__load(io, r, r->next, at, n)) {
		r->refused += r->len - r->next;
		r->len = r->next;
		return -1;
	}
	r->end = at + n;
	r->next += n;
	return 1;
}

/* Passes up to `skip` bytes over, in the window and beyond it. Returns how many are still to come.
 */
STREAM_INLINE __u64 stream__pass(struct stream_run *r, struct stream_dir *d, __u64 skip)
{
	__u32 n = r->end - r->pos;

	if (n > skip)
		n = (__u32)skip;
	stream__take(r, d, n);
	skip -= n;
	if (skip) {
		n = r->len - r->next;
		if (n > skip)
			n = (__u32)skip;
		stream__book(r, d, n);
		r->next += n;
		r->pos = r->end = r->scan = STREAM_WIN_PAD;
		skip -= n;
	}
	return skip;
}

/*
 * Looks for the line's end behind pos. Returns the window position behind the LF, else 0; then
 * `scan` tells how far it looked (r->end: the window ends inside the line).
 */
STREAM_INLINE __u32 stream__line(struct stream_run *r)
{
	__u32 at = r->scan > r->pos ? r->scan : r->pos, i;
	__u64 m;

	for (i = 0; i < STREAM_SCAN / 8; i++) {
		m = stream__find(stream__load64(r->win, at), '\n');
		if (m) {
			at += stream__first(m);
			if (at >= r->end)
				break;
			r->scan = at;
			return at + 1;
		}
		at += 8;
		if (at >= r->end)
			break;
	}
	r->scan = at < r->end ? at : r->end;
	return 0;
}

/*
 * The window ends inside a line that must be whole: more of the segment, or kept for the next one.
 * 0: go on, 1: the segment is used up, -1: it is too long, or could not be kept.
 */
STREAM_INLINE int stream__more(struct stream_run *r, struct stream_dir *d, struct stream_io *io)
{
	__u32 n = r->end - r->pos;
	int rc;

	if (n > STREAM_KEEP_MAX)
		return -1;
	/* Near the window's end: to its start, so that all of it can be kept. */
	if (r->next < r->len || r->pos > STREAM_WIN_MASK - STREAM_KEEP_MAX) {
		rc = stream__fill(r, io);
		return rc < 0 ? -1 : !rc;
	}
	if (stream_io__keep(io, r, r->pos, n)) {
		r->refused += n - r->kept;
		r->end = r->pos + r->kept;
		return -1;
	}
	stream__take(r, d, n);
	d->kept = (__u16)n;
	return 1;
}

/* Begins a segment of len bytes. < 0: what was kept of a split line cannot be had again. */
STREAM_INLINE int stream__open(struct stream_run *r, struct stream_dir *d, struct stream_io *io,
			       __u32 len)
{
	__u32 kept = d->kept;

	r->len = len;
	r->next = r->kept = r->units = r->desyncs = r->oversized = 0;
	r->framed = r->resync = r->bad = r->refused = 0;
	r->now = 0;
	r->pos = r->end = r->scan = STREAM_WIN_PAD;
	d->kept = 0;
	if (!kept)
		return 0;
	if (kept > STREAM_KEEP_MAX || stream_io__kept(io, r, STREAM_WIN_PAD, kept)) {
		if (d->sync == STREAM_SYNCED) { /* booked as framed, and not read */
			r->framed -= kept;
			r->refused += kept;
		}
		return -1;
	}
	r->end += kept;
	r->kept = kept;
	return stream__fill(r, io) < 0 ? -1 : 0;
}

/* Ends a segment: bytes that nobody came to, out of turns. They are refused. 1: there are some. */
STREAM_INLINE int stream__close(struct stream_run *r)
{
	__u32 left = r->len - r->next + (r->end - r->pos) - r->kept;

	r->refused += left;
	return left != 0;
}

#endif
