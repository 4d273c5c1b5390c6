/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * NATS framer, step 2: a direction of a TCP connection. Keeps its place across segments: units
 * split anywhere, payloads passed over by their declared length, any number of units in a segment.
 *
 * The includer says how bytes come and where messages go, before including this file:
 *
 *   struct nats_io                 whatever the hooks need
 *   int nats_io__load(struct nats_io *, struct nats_run *, __u32 off, __u32 at, __u32 n)
 *                                  payload bytes [off, off+n) to window position `at`; 0 or < 0
 *   int nats_io__keep(io, run, __u32 at, __u32 n)     keeps n window bytes of a split unit; 0 or <
 * 0 int nats_io__kept(io, run, __u32 at, __u32 n)     gives them back to window position `at` void
 * nats_io__message(io, run)                    run->unit is a message that was certainly read
 *   NATS_LOOP(n, fn, ctx)          calls fn(i, ctx) up to n times, until it returns 1
 *
 * Certainty. A direction is SYNCED when its place is known. After an attach in mid-stream, a gap or
 * bad input it is LOST; a unit that parses makes it TRYING. What proves the place: INFO or CONNECT
 * with JSON at the start of a segment; a message there, once its frame has ended as it must;
 * NATS_CHAIN such frames in a row elsewhere; or lines alone, from the start of a segment to its
 * end.
 *
 * Messages are handed over in SYNCED only. A message that is itself the proof is handed over when
 * its whole frame is in the segment and its names cannot be the rest of another line's: a segment
 * may begin inside a control line whose rest is a good one, of the right size and with wrong names
 * ("HPUB a 12 20", "MSG x.pub 1 20"). There a size or a sid stands where a subject should, so such
 * names must not begin with a digit, and a sid must. What remains is a segment that begins exactly
 * at the "pub" that ends the subject of a request; such a message would be seen under its reply's
 * name, once. Bytes passed over till the place is certain are counted as unparsed.
 */
#ifndef HOPSCOPE_PROTO_NATS_STREAM_H
#define HOPSCOPE_PROTO_NATS_STREAM_H

#include "nats.h"

#define NATS_CHAIN     4   /* message frames that prove a place */
#define NATS_WIN_LOAD  512 /* bytes read at a time */
#define NATS_UNIT_MAX  (NATS_LINE_MAX + 2 + NATS_STATUS_LEN)
#define NATS_LINE_SKIP (1u << 20) /* longest INFO or CONNECT */
#define NATS_STEPS     65536	  /* units and reads in a segment */

enum nats_sync { NATS_LOST = 0, NATS_TRYING = 1, NATS_SYNCED = 2 };

/* What is remembered of a direction between segments. Zero is a direction never seen. */
struct nats_dir {
	__u32 skip;    /* payload bytes yet to pass */
	__u32 line;    /* != 0: inside a line that nobody reads, so many bytes allowed yet */
	__u16 kept;    /* bytes of a split unit, kept by nats_io__keep() */
	__u8 sync;     /* enum nats_sync */
	__u8 trailer;  /* bytes of the payload's CR LF yet to pass */
	__u8 chain;    /* frames in a row while TRYING that prove something */
	__u8 at_start; /* TRYING began at the start of a segment */
	__u8 kind;     /* enum nats_kind as far as this direction tells */
	__u8 pad;
};

_Static_assert(sizeof(struct nats_dir) == 16, "kept per socket");

/* One segment's work. Lives in memory the caller owns, too large for a BPF stack. */
struct nats_run {
	__u32 len;     /* payload bytes of the segment */
	__u32 next;    /* offset of the first byte behind the window */
	__u32 pos;     /* window position of the next unread byte */
	__u32 end;     /* window position behind the last valid byte */
	__u32 kept;    /* of them, bytes from earlier segments not yet accounted for again */
	__u32 strict;  /* != 0: connection not yet recognised, weak verbs prove nothing */
	__s64 framed;  /* result: bytes that belong to frames read */
	__s64 resync;  /* result: bytes passed over looking for a boundary */
	__s64 bad;     /* result: bytes that are not the protocol */
	__s64 refused; /* result: bytes that could not be read or kept */
	__u32 frames;  /* result: units read while SYNCED */
	__u32 desyncs; /* result: times the place was lost */
	__u64 now;     /* for the message hook */
	struct nats_unit unit;
	__u8 win[NATS_WIN_SIZE];
};

struct nats_feed {
	struct nats_run *run;
	struct nats_dir *dir;
	struct nats_io *io;
};

/* Books n bytes that were passed over in the direction's present state. */
NATS_INLINE void nats_feed__book(struct nats_run *r, const struct nats_dir *d, __u32 n)
{
	if (d->sync == NATS_SYNCED)
		r->framed += n;
	else
		r->resync += n;
}

/* Books n window bytes at pos and moves behind them; kept ones were booked when they were kept. */
NATS_INLINE void nats_feed__take(struct nats_run *r, const struct nats_dir *d, __u32 n)
{
	__u32 old = r->kept < n ? r->kept : n;

	r->pos += n;
	r->kept -= old;
	nats_feed__book(r, d, n - old);
}

/*
 * The place is lost. What was kept of a split unit is given up with it: it was booked as framed
 * and turns into bad bytes.
 */
NATS_INLINE void nats_feed__lose(struct nats_run *r, struct nats_dir *d)
{
	if (d->sync == NATS_SYNCED) {
		r->framed -= r->kept;
		r->bad += r->kept;
		r->desyncs++;
	}
	r->pos += r->kept;
	r->kept = 0;
	d->sync = NATS_LOST;
	d->skip = d->line = 0;
	d->trailer = d->chain = d->at_start = 0;
}

/* Fills the window: behind what it holds when that must stay, else from its start. 0: nothing. */
NATS_INLINE int nats_feed__fill(struct nats_feed *f)
{
	struct nats_run *r = f->run;
	__u32 n, at;

	if (r->pos != NATS_WIN_PAD) {
		r->next -= r->end - r->pos;
		r->pos = r->end = NATS_WIN_PAD;
	}
	at = NATS_GET(r->end);
	n = r->len - NATS_GET(r->next);
	if (n > NATS_WIN_LOAD)
		n = NATS_WIN_LOAD;
	if (n < 1 || n > NATS_WIN_LOAD || at > NATS_WIN_MASK - NATS_WIN_LOAD)
		return 0;
	if (nats_io__load(f->io, r, r->next, at, n)) {
		r->refused += r->len - r->next;
		r->len = r->next;
		nats_feed__lose(r, f->dir);
		return 0;
	}
	r->end = at + n;
	r->next += n;
	return 1;
}

/* Passes payload bytes over, in the window and beyond it. */
NATS_INLINE void nats_feed__skip(struct nats_run *r, struct nats_dir *d)
{
	__u32 n = r->end - r->pos, skip = d->skip;

	if (n > skip)
		n = skip;
	nats_feed__take(r, d, n);
	skip -= n;
	if (skip) {
		n = r->len - r->next;
		if (n > skip)
			n = skip;
		nats_feed__book(r, d, n);
		r->next += n;
		r->pos = r->end = NATS_WIN_PAD;
		skip -= n;
	}
	d->skip = skip;
}

/* A frame or line ended without a fault. `proof`: hardly any other text looks like it. */
NATS_INLINE void nats_feed__good(struct nats_run *r, struct nats_dir *d, int proof)
{
	if (d->sync != NATS_TRYING)
		return;
	if (proof)
		d->chain++;
	if (d->chain >= (d->at_start ? 1 : NATS_CHAIN) ||
	    (d->at_start && !r->strict && r->pos == r->end && r->next == r->len))
		d->sync = NATS_SYNCED;
}

/* The CR LF behind a payload. 1: the window is used up. */
NATS_INLINE int nats_feed__trailer(struct nats_run *r, struct nats_dir *d)
{
	if (d->trailer == 2) {
		if (nats__byte(r->win, r->pos) != '\r')
			goto bad;
		d->trailer = 1;
		nats_feed__take(r, d, 1);
		if (r->pos == r->end)
			return 1;
	}
	if (nats__byte(r->win, r->pos) != '\n')
		goto bad;
	d->trailer = 0;
	nats_feed__take(r, d, 1);
	nats_feed__good(r, d, 1);
	return r->pos == r->end;
bad:
	nats_feed__lose(r, d);
	return 0;
}

/* Window position behind the next LF within 64 bytes, or of the last byte looked at; *found. */
NATS_INLINE __u32 nats_feed__to_lf(const struct nats_run *r, int *found)
{
	__u32 i, at = r->pos;
	__u64 x;

	*found = 0;
	for (i = 0; i < 8; i++) {
		x = nats__load64(r->win, at) ^ NATS_ONES * '\n';
		/* 0x80 where a byte is 0: exact, see nats__blanks() */
		x = ~(((x & ~NATS_HIGHS) + ~NATS_HIGHS) | x) & NATS_HIGHS;
		if (x) {
			at += nats__first(x) + 1;
			*found = at <= r->end;
			break;
		}
		at += 8;
	}
	return at < r->end ? at : r->end;
}

/* Inside INFO, CONNECT or a long SUB: on to its LF. */
NATS_INLINE void nats_feed__line(struct nats_run *r, struct nats_dir *d)
{
	int found;
	__u32 n = nats_feed__to_lf(r, &found) - r->pos;

	nats_feed__take(r, d, n);
	if (found) {
		d->line = 0;
		nats_feed__good(r, d, 0);
	} else if (n >= d->line) {
		nats_feed__lose(r, d);
	} else {
		d->line -= n;
	}
}

/* LOST and no unit here: on to behind the next LF. */
NATS_INLINE void nats_feed__hunt(struct nats_run *r, const struct nats_dir *d)
{
	__u32 n = r->end - r->pos;
	int found;

	/* Not again through what the scanner has seen: every "PUB " in a long text would cost 4 KB.
	 */
	if (r->unit.verb == NATS_NONE || r->unit.stop)
		n = nats_feed__to_lf(r, &found) - r->pos;
	else if (n > NATS_LINE_MAX)
		n = NATS_LINE_MAX;
	nats_feed__take(r, d, n);
}

/* Verbs that do not prove NATS: other protocols say "PING", "+OK" and "-ERR" too. */
NATS_INLINE int nats_feed__weak(const struct nats_run *r)
{
	const struct nats_unit *u = &r->unit;

	__u32 json = u->begin + (u->verb == NATS_INFO ? 5 : 8);

	if (u->verb == NATS_INFO || u->verb == NATS_CONNECT)
		return json >= u->end || nats__byte(r->win, json) != '{';
	return !NATS_IS_MESSAGE(u->verb);
}

NATS_INLINE int nats_feed__digit(const struct nats_run *r, __u32 at)
{
	return (__u8)(nats__byte(r->win, at) - '0') <= 9;
}

/* A message at the start of a segment: are its names its own? See "Certainty". */
NATS_INLINE int nats_feed__own_names(const struct nats_run *r)
{
	const struct nats_unit *u = &r->unit;
	__u32 payload = u->begin + u->len;

	if (u->ambiguous || nats_feed__digit(r, u->subject) ||
	    (u->reply_len && nats_feed__digit(r, u->reply)))
		return 0;
	/* A header block behind a verb without headers: the line's first letter is missing. */
	if (!u->header && u->payload >= 8 &&
	    (payload + 8 > u->end || nats__load64(r->win, payload) == NATS_HEADER_BLOCK))
		return 0;
	return u->verb != NATS_MSG || nats__number(r->win, u, 2) >= 0;
}

/* Does its frame end in the segment, at the segment's end or in front of another verb? */
NATS_INLINE int nats_feed__ends_well(struct nats_feed *f)
{
	struct nats_run *r = f->run;
	__u32 begin = r->next - (r->end - r->pos);
	__u32 end = begin + r->unit.len + r->unit.payload + 2, n;
	__u32 at = NATS_WIN_MASK - 63; /* the window's far end is free: a line is shorter */

	if (begin > r->len || end > r->len)
		return 0;
	n = r->len - (end - 2);
	if (n > 10)
		n = 10;
	if (n < 2 || n > 10 || nats_io__load(f->io, r, end - 2, at, n))
		return 0;
	if (nats__byte(r->win, at) != '\r' || nats__byte(r->win, at + 1) != '\n')
		return 0;
	return n == 2 || nats__verb_at(nats__load64(r->win, at + 2), n - 2) != NATS_NONE;
}

/*
 * A unit that parsed while the place is not certain: from here on it is tried, and certain at once
 * where this unit proves it. Lines that other protocols have, too, may stand in front of a message
 * that does ("SUB _INBOX.x.* 1", "PING"); alone they prove nothing of a connection not recognised.
 */
NATS_INLINE void nats_feed__try(struct nats_feed *f)
{
	struct nats_run *r = f->run;
	struct nats_dir *d = f->dir;

	if (d->sync == NATS_LOST) {
		d->at_start = r->next - (r->end - r->pos) == 0;
		d->chain = 0;
		d->sync = NATS_TRYING;
	}
	if (!d->at_start || d->chain)
		return;
	if (NATS_IS_MESSAGE(r->unit.verb) ? nats_feed__own_names(r) && nats_feed__ends_well(f)
					  : !nats_feed__weak(r))
		d->sync = NATS_SYNCED;
}

/* A whole unit, or the beginning of INFO or the like (unit.len 0). */
NATS_INLINE void nats_feed__accept(struct nats_feed *f)
{
	struct nats_run *r = f->run;
	struct nats_dir *d = f->dir;

	if (d->sync != NATS_SYNCED)
		nats_feed__try(f);
	if (d->sync == NATS_SYNCED) {
		if (r->unit.kind)
			d->kind = r->unit.kind;
		r->frames++;
		nats_io__message(f->io, r);
	}
	if (!r->unit.len) { /* on to the LF, nothing of it is needed */
		d->line = NATS_LINE_SKIP;
		nats_feed__line(r, d);
		return;
	}
	nats_feed__take(r, d, r->unit.len);
	if (NATS_IS_MESSAGE(r->unit.verb)) {
		d->skip = r->unit.payload;
		d->trailer = 2;
	} else {
		nats_feed__good(r, d, !nats_feed__weak(r));
	}
}

/* The window ends inside the unit. 1: stop, the segment is used up. */
NATS_INLINE int nats_feed__more(struct nats_feed *f)
{
	struct nats_run *r = f->run;
	struct nats_dir *d = f->dir;
	__u32 n = r->end - r->pos;

	if (n > NATS_UNIT_MAX || d->sync == NATS_LOST) {
		if (r->next < r->len && n <= NATS_UNIT_MAX)
			return !nats_feed__fill(f);
		nats_feed__lose(r, d);
		nats_feed__hunt(r, d);
		return 0;
	}
	/* Behind a line of the full length: to the window's start, so that all of it can be kept.
	 */
	if (r->next < r->len || r->pos > NATS_WIN_MASK - NATS_UNIT_MAX)
		return !nats_feed__fill(f);
	if (nats_io__keep(f->io, r, r->pos, n)) {
		r->refused += n - r->kept;
		nats_feed__lose(r, d);
		r->pos = r->end;
		return 1;
	}
	nats_feed__take(r, d, n);
	d->kept = (__u16)n;
	return 1;
}

/*
 * The common unit: a message whose place is certain and whose whole frame is in the window. The
 * same as accepting it and passing over payload and trailer, in one go. 0: not that.
 */
NATS_INLINE int nats_feed__frame(struct nats_feed *f)
{
	struct nats_run *r = f->run;
	struct nats_dir *d = f->dir;
	__u32 frame, at;

	if (d->sync != NATS_SYNCED || r->kept || !NATS_IS_MESSAGE(r->unit.verb))
		return 0;
	frame = r->unit.len + r->unit.payload + 2;
	at = r->unit.begin + frame;
	if (at > r->unit.end || nats__byte(r->win, at - 2) != '\r' ||
	    nats__byte(r->win, at - 1) != '\n')
		return 0;
	if (r->unit.kind)
		d->kind = r->unit.kind;
	r->frames++;
	r->framed += frame;
	nats_io__message(f->io, r);
	r->pos = at;
	return 1;
}

/* One turn: the payload before, then one unit. 1: the segment is used up. */
NATS_INLINE int nats_feed__step(struct nats_feed *f)
{
	struct nats_run *r = f->run;
	struct nats_dir *d = f->dir;

	if (d->skip) {
		nats_feed__skip(r, d);
		if (d->skip)
			return 1;
	}
	if (r->pos == r->end && !nats_feed__fill(f))
		return 1;
	if (d->trailer && nats_feed__trailer(r, d))
		return r->next == r->len;
	if (d->line) {
		nats_feed__line(r, d);
		return 0;
	}
	r->unit.begin = r->pos;
	r->unit.end = r->end;
	/* A kind learned before the place was lost may have been learned from what was no unit. */
	switch (nats__unit((const struct nats_window *)r->win, &r->unit,
			   d->sync == NATS_SYNCED ? d->kind : NATS_KIND_UNKNOWN)) {
	case NATS_OK:
		if (!nats_feed__frame(f))
			nats_feed__accept(f);
		return r->pos == r->end && r->next == r->len;
	case NATS_LINE: nats_feed__accept(f); return 0;
	case NATS_MORE: return nats_feed__more(f);
	}
	if (d->sync == NATS_LOST) {
		nats_feed__hunt(r, d);
	} else {
		nats_feed__lose(r, d);
	}
	return 0;
}

static long nats_feed__turn(__u32 i, void *ctx)
{
	(void)i;
	return nats_feed__step(ctx);
}

/*
 * The common segment: one whole message, in a direction whose place is known. The same as the turns
 * below would do, without moving their state through memory. 0: not that, the window is filled and
 * the turns go on from there.
 */
NATS_INLINE int nats_feed__whole(struct nats_feed *f)
{
	struct nats_run *r = f->run;
	struct nats_dir *d = f->dir;
	__u32 len = r->len, end, at = NATS_WIN_PAD;

	if (d->sync != NATS_SYNCED || d->skip || d->trailer || d->line || !nats_feed__fill(f))
		return 0;
	r->unit.begin = NATS_WIN_PAD;
	r->unit.end = r->end;
	if (nats__unit((const struct nats_window *)r->win, &r->unit, d->kind) != NATS_OK ||
	    !NATS_IS_MESSAGE(r->unit.verb))
		return 0;
	end = r->unit.len + r->unit.payload + 2;
	if (end != len)
		return 0;
	if (len <= NATS_WIN_LOAD) {
		at += len - 2;
	} else {
		at = NATS_WIN_MASK - 63; /* the window's far end is free: a line is shorter */
		if (nats_io__load(f->io, r, len - 2, at, 2))
			return 0;
	}
	if (nats__byte(r->win, at) != '\r' || nats__byte(r->win, at + 1) != '\n')
		return 0;
	if (r->unit.kind)
		d->kind = r->unit.kind;
	r->frames = 1;
	r->framed = len;
	nats_io__message(f->io, r);
	r->next = len;
	r->pos = r->end = NATS_WIN_PAD;
	return 1;
}

/*
 * Reads `len` bytes that follow the direction's last ones. Afterwards framed + resync + bad +
 * refused is `len`, with bytes of split units moved between them as their fate becomes known.
 */
NATS_INLINE void nats_feed(struct nats_feed *f, __u32 len)
{
	struct nats_run *r = f->run;
	struct nats_dir *d = f->dir;
	__u32 kept = d->kept, left;

	r->len = len;
	r->next = r->kept = r->frames = r->desyncs = 0;
	r->framed = r->resync = r->bad = r->refused = 0;
	r->now = 0;
	r->pos = r->end = NATS_WIN_PAD;
	if (kept) {
		d->kept = 0;
		if (kept > NATS_UNIT_MAX || nats_io__kept(f->io, r, NATS_WIN_PAD, kept)) {
			if (d->sync == NATS_SYNCED) { /* booked as framed, and not read */
				r->framed -= kept;
				r->refused += kept;
			}
			nats_feed__lose(r, d);
		} else {
			r->end += kept;
			r->kept = kept;
			nats_feed__fill(f);
		}
	} else if (nats_feed__whole(f)) {
		return;
	}
	NATS_LOOP(NATS_STEPS, nats_feed__turn, f);
	left = r->len - r->next + (r->end - r->pos) - r->kept;
	if (left) { /* out of turns */
		r->refused += left;
		nats_feed__lose(r, d);
	}
}

/* Bytes of this direction were missed: the place is lost unless all of them were payload. */
NATS_INLINE int nats_dir__gap(struct nats_dir *d, __u32 missed)
{
	if (d->skip >= missed) {
		d->skip -= missed;
		return 0;
	}
	d->sync = NATS_LOST;
	d->skip = d->line = 0;
	d->kept = 0;
	d->trailer = d->chain = d->at_start = 0;
	return 1;
}

#endif
