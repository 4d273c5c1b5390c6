/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Redis framer, step 2: a direction of a TCP connection. Commands one way, replies and pushes the
 * other. Nested aggregates need no stack: a unit is over when as many elements have come as were
 * announced, so any depth is framed with one counter.
 *
 * Besides the hooks of stream.h the includer gives
 *
 *   void redis_io__event(struct stream_io *, struct stream_run *, struct redis_unit *)
 *
 *   REDIS_ON_BEGIN  a unit's first byte passed (while TRYING, too: that may come to nothing)
 *   REDIS_ON_END    its last byte passed; name, class, error, push, paired, seq, bytes are set
 *
 * Certainty. A direction is SYNCED when its place is known. After an attach in mid-stream, a gap or
 * bad input it is LOST, and only a segment's first byte is tried. What proves the place: of
 * commands, an array there whose first string is a command that every client knows (any printable
 * name where the direction carried commands before, or the connection begins; none where the other
 * direction carries them); of replies, an
 * element's header there, when a command has passed the other way since this direction's last
 * segment. What remains: a long reply that is under way while another command passes, of which a
 * segment begins exactly at an element. Inline commands are read while SYNCED only.
 *
 * Whose reply a reply is (`paired`) is known by order, as in http_stream.h: certain since a command
 * that began while no reply was under way, after an attach or a loss. What remains is a client that
 * pipelines over that moment; it shows as a reply too many.
 */
#ifndef HOPSCOPE_PROTO_REDIS_STREAM_H
#define HOPSCOPE_PROTO_REDIS_STREAM_H

#include "redis.h"

#define REDIS_LINE_MAX (1u << 20) /* longest simple string, error or inline command */

enum redis_what { REDIS_ON_BEGIN = 1, REDIS_ON_END = 2 };

enum redis_role { REDIS_ROLE_UNKNOWN = 0, REDIS_COMMANDS = 1, REDIS_REPLIES = 2 };

enum redis_state {
	REDIS_S_ELEMENT = 0, /* an element's header comes */
	REDIS_S_INSIDE = 1,  /* inside a line that nobody reads */
	REDIS_S_DATA = 2,    /* a string's bytes */
	REDIS_S_CR = 3,	     /* the CR LF behind them */
	REDIS_S_LF = 4,
};

/* A connection. Each direction writes its own members only, but see redis_pair__align(). */
struct redis_pair {
	__u32 asked;	/* commands that have ended */
	__u32 unseen;	/* times the command direction was lost */
	__u32 aligned;	/* 1 + unseen + missed, when last aligned; 0 never */
	__u32 answered; /* replies that have ended */
	__u32 missed;	/* times the reply direction was lost */
	__u8 pubsub;	/* a SUBSCRIBE passed: arrays may be pushes */
	__u8 silent;	/* CLIENT REPLY, MONITOR: nothing is paired any more */
	__u8 opaque;	/* SYNC, PSYNC: nothing is read any more */
	__u8 busy;	/* a reply is under way */
	__u8 resp3;
	__u8 known; /* which direction is that of the commands */
	__u8 fresh; /* set by the caller: the connection's first bytes come, so they are no reply */
	__u8 pad;
	__u32 passed; /* `asked`, and commands that pushes answer: replies may come */
};

_Static_assert(sizeof(struct redis_pair) == 32, "kept per socket");

/* What is remembered of a direction between segments. Zero is a direction never seen. */
struct redis_dir {
	struct stream_dir s;
	__u64 left; /* elements of the unit yet to come */
	struct redis_name name;
	struct redis_sub sub;
	__u32 args; /* elements of the unit that have come */
	__u32 seq;
	__u32 line;   /* bytes of a line passed over */
	__u32 passed; /* pair->passed when the last segment passed */
	__u8 state;   /* enum redis_state */
	__u8 role;    /* enum redis_role; stays when the place is lost */
	__u8 top;
	__u8 reads; /* enum redis_reads */
	__u8 class;
	__u8 error;
	__u8 push;
	__u8 queued;
	__u8 paired;
	__u8 named; /* the first string was read */
	__u8 pad[6];
};

_Static_assert(sizeof(struct redis_dir) == 104, "kept per socket");

struct redis_feed {
	struct stream_run *run;
	struct redis_dir *dir;
	struct redis_pair *pair;
	struct redis_unit *unit;
	struct stream_io *io;
};

STREAM_INLINE void redis_feed__event(struct redis_feed *f, __u8 what)
{
	struct redis_dir *d = f->dir;
	struct redis_unit *u = f->unit;

	u->what = what;
	if (what == REDIS_ON_BEGIN) { /* nothing is known of it */
		redis_io__event(f->io, f->run, u);
		return;
	}
	u->role = d->role;
	u->class = d->class;
	u->top = d->top;
	u->error = d->error;
	u->push = d->push;
	u->queued = d->queued;
	u->paired = d->paired;
	u->seq = d->seq;
	u->args = d->args;
	u->bytes = d->s.bytes;
	u->name = d->name;
	u->sub = d->sub;
	redis_io__event(f->io, f->run, u);
}

STREAM_INLINE int redis_pair__sure(const struct redis_pair *p)
{
	return STREAM_GET(p->aligned) == 1 + STREAM_GET(p->unseen) + STREAM_GET(p->missed);
}

/* A command begins, and nothing is certain: without a reply under way, all earlier are answered. */
STREAM_INLINE void redis_pair__align(struct redis_pair *p)
{
	if (redis_pair__sure(p) || STREAM_GET(p->busy))
		return;
	p->answered = p->asked;
	p->aligned = 1 + p->unseen + p->missed;
}

/* Bytes passed that nobody understood, see http_dir__lost(). */
STREAM_INLINE void redis_dir__lost(struct redis_dir *d, struct redis_pair *p)
{
	if (d->role == REDIS_COMMANDS) {
		p->unseen += d->s.sync == STREAM_SYNCED;
	} else {
		p->missed++;
		p->busy = 0;
	}
	p->fresh = 0;
	d->state = REDIS_S_ELEMENT;
	d->left = 0;
}

/* The place is lost, with n window bytes that are not the protocol. */
STREAM_INLINE void redis_feed__lose(struct redis_feed *f, __u32 n)
{
	redis_dir__lost(f->dir, f->pair);
	stream__lose(f->run, &f->dir->s, n);
}

STREAM_INLINE int redis_feed__more(struct redis_feed *f)
{
	int rc = stream__more(f->run, &f->dir->s, f->io);

	if (rc < 0)
		redis_feed__lose(f, f->run->end - f->run->pos);
	return rc > 0;
}

/* What a command that has ended means for the connection. */
STREAM_INLINE void redis_feed__asked(struct redis_feed *f)
{
	struct redis_dir *d = f->dir;
	struct redis_pair *p = f->pair;

	if (d->reads == REDIS_READS_SUB &&
	    d->sub.word[0] == REDIS_W('R', 'E', 'P', 'L', 'Y', 0, 0, 0))
		d->class = REDIS_NO_ANSWER;
	if (d->class == REDIS_PUBSUB)
		p->pubsub = 1;
	else if (d->class == REDIS_MONITORS || d->class == REDIS_NO_ANSWER)
		p->silent = 1;
	else if (d->class == REDIS_REPLICA)
		p->opaque = 1;
	if (d->class != REDIS_PUBSUB)
		STREAM_PUT(p->asked, d->seq + 1);
	STREAM_PUT(p->passed, p->passed + 1);
	if (p->silent)
		d->paired = 0;
}

/* A reply or a push has ended. */
STREAM_INLINE void redis_feed__answered(struct redis_feed *f)
{
	struct redis_dir *d = f->dir;
	struct redis_pair *p = f->pair;

	if (redis__is_resp3(d->top))
		p->resp3 = 1;
	if (d->top == '>' ||
	    (d->top == '*' && STREAM_GET(p->pubsub) && !p->resp3 && redis__is_pushed(&d->name)))
		d->push = 1;
	d->seq = p->answered;
	d->paired = !d->push && !STREAM_GET(p->silent) && redis_pair__sure(p);
	if (!d->paired)
		return;
	if (STREAM_GET(p->asked) == d->seq) { /* one too many */
		d->paired = 0;
		p->missed++;
		return;
	}
	p->answered = d->seq + 1;
}

/* An element has ended: the unit too? */
STREAM_INLINE void redis_feed__done(struct redis_feed *f)
{
	struct redis_dir *d = f->dir;

	d->state = REDIS_S_ELEMENT;
	d->args++;
	if (--d->left)
		return;
	d->s.begun = 0;
	f->run->units++;
	if (d->role == REDIS_COMMANDS)
		redis_feed__asked(f);
	else
		redis_feed__answered(f);
	redis_feed__event(f, REDIS_ON_END);
	if (d->role == REDIS_REPLIES)
		STREAM_PUT(f->pair->busy, 0);
}

/* The first string of a unit. 0: this proves that it is no command. */
STREAM_INLINE int redis_feed__name(struct redis_feed *f, __u32 at, __u32 len)
{
	struct redis_dir *d = f->dir;
	const __u8 *win = f->run->win;

	d->named = 1;
	if (len && len <= REDIS_NAME_MAX) {
		d->name.word[0] = redis__word(win, at, len, 0);
		d->name.word[1] = redis__word(win, at, len, 1);
		d->name.word[2] = redis__word(win, at, len, 2);
	}
	if (d->role != REDIS_COMMANDS && d->s.sync == STREAM_SYNCED)
		return 1;
	d->class = redis__class(&d->name);
	d->reads = redis__reads(&d->name);
	if (d->s.sync == STREAM_SYNCED)
		return 1;
	if (!d->name.word[0] || (d->role != REDIS_COMMANDS && !STREAM_GET(f->pair->fresh) &&
				 !redis__is_common(&d->name)))
		return 0;
	d->s.sync = STREAM_SYNCED;
	d->role = REDIS_COMMANDS;
	STREAM_PUT(f->pair->known, 1);
	stream__proved(f->run, &d->s);
	redis_pair__align(f->pair);
	d->seq = f->pair->asked;
	d->paired = 1;
	return 1;
}

/* Must the string at hand be read? */
STREAM_INLINE int redis_feed__wanted(const struct redis_feed *f)
{
	const struct redis_dir *d = f->dir;
	__u32 n = f->unit->number;

	/* Of replies, errors' codes and the kinds of pushes. */
	if (!d->named && !f->unit->null && d->top != '$')
		return n <= REDIS_NAME_MAX;
	if (d->role != REDIS_COMMANDS)
		return 0;
	if (d->reads == REDIS_READS_SUB)
		return d->args == 2 && n <= REDIS_SUB_MAX;
	return d->reads == REDIS_READS_BLOCK && (n == 5 || n == 7);
}

/* The string at hand is in the window, and wanted. 0: it proves that this is no command. */
STREAM_INLINE int redis_feed__string(struct redis_feed *f, __u32 at, __u32 len)
{
	struct redis_dir *d = f->dir;
	__u64 w;

	if (!d->named)
		return redis_feed__name(f, at, len);
	if (d->reads == REDIS_READS_SUB) {
		d->sub.word[0] = redis__word(f->run->win, at, len, 0);
		d->sub.word[1] = redis__word(f->run->win, at, len, 1);
		return 1;
	}
	w = redis__word(f->run->win, at, len, 0);
	if (w == REDIS_W('B', 'L', 'O', 'C', 'K', 0, 0, 0))
		d->class = REDIS_BLOCKING;
	else if (w == REDIS_W('S', 'T', 'R', 'E', 'A', 'M', 'S', 0))
		d->reads = 0; /* keys follow */
	return 1;
}

/* The command at pos has `len` bytes, see redis__command(). 0: its arguments must be looked at. */
STREAM_INLINE int redis_feed__command(struct redis_feed *f, __u32 len)
{
	struct redis_dir *d = f->dir;
	struct redis_unit *u = f->unit;

	redis_feed__name(f, u->name_at, u->name_len);
	if (d->reads) {
		d->named = 0;
		return 0;
	}
	d->args = u->number;
	stream__take(f->run, &d->s, len);
	redis_feed__done(f);
	return 1;
}

/* A counted string: header at pos, u->number bytes, CR LF. 1: the segment is used up. */
STREAM_INLINE int redis_feed__counted(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	struct redis_unit *u = f->unit;
	__u32 at = r->pos + u->len, wanted = (__u32)redis_feed__wanted(f);
	__u64 whole = (__u64)u->len + u->number + 2;

	if (u->null) {
		stream__take(r, &d->s, u->len);
		redis_feed__done(f);
		return 0;
	}
	if (!wanted && d->s.sync != STREAM_SYNCED) { /* a name that long proves nothing */
		redis_feed__lose(f, u->len);
		return 0;
	}
	if (whole <= r->end - r->pos) {
		if (stream__byte(r->win, at + u->number) != '\r' ||
		    stream__byte(r->win, at + u->number + 1) != '\n' ||
		    (wanted && !redis_feed__string(f, at, u->number))) {
			redis_feed__lose(f, (__u32)whole);
			return 0;
		}
		stream__take(r, &d->s, (__u32)whole);
		d->named = 1;
		redis_feed__done(f);
		return 0;
	}
	if (wanted)
		return redis_feed__more(f);
	d->named = 1;
	stream__take(r, &d->s, u->len);
	d->s.skip = u->number;
	d->state = u->number ? REDIS_S_DATA : REDIS_S_CR;
	return 0;
}

/* An aggregate's header at pos. */
STREAM_INLINE void redis_feed__aggregate(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	struct redis_unit *u = f->unit;
	__u64 n = u->number;

	stream__take(r, &d->s, u->len);
	if (u->type == '%' || u->type == '|')
		n *= 2;
	if (u->type == '|') /* stands in front of the element that it describes */
		n++;
	d->left += n;
	redis_feed__done(f);
}

/* A line that is an element: its bytes [pos, stop), or (stop 0) the beginning of a long one. */
STREAM_INLINE void redis_feed__text(struct redis_feed *f, __u32 stop)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	__u32 end = stop ? stop : r->end, at = r->pos + (d->top ? 1 : 0), len;

	if (stop && d->top && (stop - r->pos < 3 || stream__byte(r->win, stop - 2) != '\r')) {
		redis_feed__lose(f, stop - r->pos);
		return;
	}
	if (d->args == 0 && (d->top == '-' || d->top == '+' || !d->top)) {
		len = redis__token_len(r->win, at, end);
		if (d->top == '+') {
			d->queued = len == 6 && redis__word(r->win, at, len, 0) ==
							REDIS_W('Q', 'U', 'E', 'U', 'E', 'D', 0, 0);
		} else {
			redis_feed__name(f, at, len);
		}
	}
	stream__take(r, &d->s, end - r->pos);
	d->line = 0;
	if (stop)
		redis_feed__done(f);
	else
		d->state = REDIS_S_INSIDE;
}

/* 1: the segment is used up. */
STREAM_INLINE int redis_feed__line(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	__u32 stop = stream__line(r);

	if (!stop && r->scan < r->end)
		return 0;
	/* Enough of it for its first word. */
	if (!stop && r->end - r->pos < 2 * REDIS_NAME_MAX)
		return redis_feed__more(f);
	redis_feed__text(f, stop);
	return 0;
}

/* On to the line's end. */
STREAM_INLINE void redis_feed__inside(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	__u32 stop = stream__line(r), n;

	n = (stop ? stop : r->scan) - r->pos;
	d->line += n;
	if (d->line > REDIS_LINE_MAX) {
		r->oversized++;
		redis_feed__lose(f, n);
		return;
	}
	stream__take(r, &d->s, n);
	if (stop)
		redis_feed__done(f);
}

/* At a unit's first byte. 0: not one. */
STREAM_INLINE int redis_feed__begin(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	__u8 c = stream__byte(r->win, r->pos);

	if (d->role == REDIS_COMMANDS && d->s.sync == STREAM_SYNCED && (c == '\r' || c == '\n')) {
		stream__take(r, &d->s, 1); /* an empty inline command */
		return 0;
	}
	d->s.bytes = 0;
	d->s.begun = 1;
	d->left = 1;
	d->args = d->line = 0;
	d->top = c;
	d->class = d->error = d->push = d->queued = d->paired = d->named = d->reads = 0;
	d->name.word[0] = d->name.word[1] = d->name.word[2] = 0;
	d->sub.word[0] = d->sub.word[1] = 0;
	if (d->role == REDIS_COMMANDS && d->s.sync == STREAM_SYNCED) {
		redis_pair__align(f->pair);
		d->seq = f->pair->asked;
		d->paired = 1;
	} else if (d->role == REDIS_REPLIES) {
		STREAM_PUT(f->pair->busy, 1);
		d->seq = f->pair->answered;
		d->error = c == '-' || c == '!';
	}
	redis_feed__event(f, REDIS_ON_BEGIN);
	return 1;
}

/* A segment begins, and nothing is known: see "Certainty". */
STREAM_INLINE void redis_feed__try(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	__u8 c = stream__byte(r->win, r->pos);

	if (stream__at_start(r)) {
		if (d->role != REDIS_COMMANDS && STREAM_GET(f->pair->passed) != d->passed) {
			d->role = REDIS_REPLIES;
			d->s.sync = STREAM_SYNCED;
			return;
		}
		if (c == '*' &&
		    (d->role == REDIS_COMMANDS || (!d->role && !STREAM_GET(f->pair->known)))) {
			d->s.sync = STREAM_TRYING;
			return;
		}
	}
	redis_dir__lost(d, f->pair);
	stream__pass(r, &d->s, STREAM_ALL); /* all that is left of the segment */
}

/* May this element stand here? A command is an array of strings. */
STREAM_INLINE int redis_feed__allowed(const struct redis_feed *f)
{
	const struct redis_dir *d = f->dir;
	const struct redis_unit *u = f->unit;

	if (d->s.sync == STREAM_SYNCED && d->role == REDIS_REPLIES)
		return u->type != '>' || d->args == 0;
	if (d->args == 0)
		return u->type == '*' && !u->null && u->number && u->number <= REDIS_ARGS_MAX;
	return u->type == '$' && !u->null;
}

/* An element at pos. 1: the segment is used up. */
STREAM_INLINE int redis_feed__element(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	struct redis_unit *u = f->unit;
	__u32 len, n = 0;
	__u8 c;
	int rc;

	u->begin = r->pos;
	u->end = r->end;
	c = stream__byte(r->win, r->pos) | 0x20;
	if (d->args == 0 && d->role == REDIS_COMMANDS && d->s.sync == STREAM_SYNCED && c >= 'a' &&
	    c <= 'z') {
		d->top = 0;
		return redis_feed__line(f);
	}
	if (redis__is_line(stream__byte(r->win, r->pos)) && d->role == REDIS_REPLIES &&
	    d->s.sync == STREAM_SYNCED)
		return redis_feed__line(f);
	len = redis__short(stream__load64(r->win, r->pos), &n);
	if (len && len <= r->end - r->pos) {
		u->type = '$';
		u->null = 0;
		u->number = n;
		u->len = len;
		rc = REDIS_OK;
	} else {
		rc = redis__header((const struct stream_window *)r->win, u);
	}
	if (rc == REDIS_MORE)
		return redis_feed__more(f);
	if (rc != REDIS_OK || !redis_feed__allowed(f)) {
		/* "subscribe", a channel and a number: an answer that was taken for a command */
		if (d->role == REDIS_COMMANDS && d->class == REDIS_PUBSUB && d->args) {
			d->role = REDIS_ROLE_UNKNOWN;
			f->pair->known = 0;
		}
		redis_feed__lose(f, 1);
		return 0;
	}
	if (redis__is_counted(u->type))
		return redis_feed__counted(f);
	redis_feed__aggregate(f);
	return 0;
}

/* The CR LF behind a string, split from it. */
STREAM_INLINE void redis_feed__trailer(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	__u8 c = stream__byte(r->win, r->pos);

	if (c != (d->state == REDIS_S_CR ? '\r' : '\n')) {
		redis_feed__lose(f, 1);
		return;
	}
	stream__take(r, &d->s, 1);
	if (d->state == REDIS_S_CR)
		d->state = REDIS_S_LF;
	else
		redis_feed__done(f);
}

/* One turn. 1: the segment is used up. */
STREAM_INLINE int redis_feed__step(struct redis_feed *f)
{
	struct stream_run *r = f->run;
	struct redis_dir *d = f->dir;
	__u32 len = 0;
	int rc;

	if (STREAM_GET(f->pair->opaque)) {
		d->s.sync = STREAM_SYNCED; /* nothing of it is read */
		stream__pass(r, &d->s, STREAM_ALL);
		return 1;
	}
	if (d->s.skip) {
		d->s.skip = stream__pass(r, &d->s, d->s.skip);
		if (d->s.skip)
			return 1;
		d->state = REDIS_S_CR;
	}
	if (r->pos == r->end) {
		rc = stream__fill(r, f->io);
		if (rc < 0)
			redis_feed__lose(f, 0);
		if (rc <= 0)
			return 1;
	}
	if (d->s.sync == STREAM_LOST) {
		redis_feed__try(f);
		if (d->s.sync == STREAM_LOST)
			return 1;
	}
	if (d->state >= REDIS_S_CR) {
		redis_feed__trailer(f);
		return 0;
	}
	if (d->state == REDIS_S_INSIDE) {
		redis_feed__inside(f);
		return 0;
	}
	if (!d->s.begun) {
		if (d->role == REDIS_COMMANDS && d->s.sync == STREAM_SYNCED) {
			f->unit->begin = r->pos;
			f->unit->end = r->end;
			len = redis__command((const struct stream_window *)r->win, f->unit);
		}
		if (!redis_feed__begin(f) || (len && redis_feed__command(f, len)))
			return 0;
	}
	return redis_feed__element(f);
}

static long redis_feed__turn(__u32 i, void *ctx)
{
	struct redis_feed *f = ctx;

	(void)i;
	return redis_feed__step(f) || stream__used_up(f->run);
}

/* Reads `len` (> 0) bytes that follow the direction's last ones. */
STREAM_INLINE void redis_feed(struct redis_feed *f, __u32 len)
{
	struct stream_run *r = f->run;

	if (stream__open(r, &f->dir->s, f->io, len) < 0)
		redis_feed__lose(f, r->end - r->pos);
	STREAM_LOOP(STREAM_STEPS, redis_feed__turn, f);
	if (stream__close(r))
		redis_feed__lose(f, 0);
	f->dir->passed = STREAM_GET(f->pair->passed);
}

/* Bytes of this direction were missed: the place is lost unless all were of one string. 1: it is.
 */
STREAM_INLINE int redis_dir__gap(struct redis_dir *d, struct redis_pair *p, __u32 missed)
{
	d->passed = STREAM_GET(p->passed);
	if (p->opaque || d->s.skip > missed) {
		d->s.bytes += missed;
		if (d->s.skip)
			d->s.skip -= missed;
		return 0;
	}
	redis_dir__lost(d, p);
	d->s.sync = STREAM_LOST;
	d->s.skip = 0;
	d->s.kept = 0;
	d->s.begun = 0;
	return 1;
}

#endif
