/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Redis commands to exchanges: from the command's first byte to its reply's last. A command is
 * known once it has ended, and nothing answers it before.
 */
#ifndef HOPSCOPE_REDIS_BPF_H
#define HOPSCOPE_REDIS_BPF_H

#include "hash.bpf.h"
#include "stream.bpf.h"

struct name_feed {
	struct route_norm *norm;
	const __u8 *from;
	__u32 len;
};

static long redis__name_byte(__u32 i, void *ctx)
{
	struct name_feed *f = ctx;
	__u8 c;

	if (i >= f->len || i >= REDIS_NAME_MAX)
		return 1;
	c = f->from[i];
	if (!c)
		return 1;
	route__put(f->norm, (char)c);
	return 0;
}

/* Commands that are told by name, filled by userspace: src/probe/redis_names.h. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct route_key);
	__type(value, __u8);
} redis_names SEC(".maps");

static __always_inline void redis__spell(struct lane_scratch *s, const __u64 *word, __u32 len)
{
	struct name_feed f = {&s->norm, (const __u8 *)word, len};

	bpf_loop(REDIS_NAME_MAX, redis__name_byte, &f, 0);
}

static __always_inline bool redis__is_name(struct lane_scratch *s)
{
	return bpf_map_lookup_elem(&redis_names, s->norm.name);
}

/*
 * Gives "GET" or "CONFIG GET" a number. A word that is no command may be a password sent to the
 * wrong prompt, or a key in the wrong place: its name is "?".
 */
static __noinline __u32 redis__learn(struct lane_scratch *s, struct wire_acct *a)
{
	__u32 end;

	s = scratch__again(s);
	if (!s)
		return 0;
	__builtin_memset(&s->norm, 0, sizeof(s->norm));
	redis__spell(s, s->redis.name.word, REDIS_NAME_MAX);
	if (!redis__is_name(s)) {
		__builtin_memset(&s->norm, 0, sizeof(s->norm));
		route__put(&s->norm, '?');
	} else if (s->redis.sub.word[0]) {
		end = s->norm.out;
		route__put(&s->norm, ' ');
		redis__spell(s, s->redis.sub.word, REDIS_SUB_MAX);
		if (!redis__is_name(s)) {
			s->norm.out = end + 1;
			route__put(&s->norm, '?');
		}
	}
	route__close(&s->norm);
	return route__number(s, a);
}

static __always_inline __u64 redis__mix(__u64 h, __u64 w)
{
	h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

static __always_inline __u32 redis__route(struct conn *c, struct wire_acct *a,
					  struct lane_scratch *s)
{
	struct redis_unit *u = &s->redis;
	__u64 hash = redis__mix(targ_seed ^ PROTO_REDIS, u->name.word[0]), *e;
	__u32 id;

	if (u->name.word[1]) {
		hash = redis__mix(hash, u->name.word[1]);
		hash = redis__mix(hash, u->name.word[2]);
	}
	if (u->sub.word[0]) {
		hash = redis__mix(~hash, u->sub.word[0]);
		hash = redis__mix(hash, u->sub.word[1]);
	}
	hash *= 0xd6e8feb86659fd93ULL;
	hash ^= hash >> 32;
	id = route__cached(c, hash, &e);
	if (id || !e)
		return id;
	id = redis__learn(s, a);
	route__remember(c, hash, e, id);
	return id;
}

/* A command's last byte has passed. */
static __always_inline void redis__asked(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
					 struct lane_scratch *s, __u32 dir)
{
	struct redis_pair *p = &c->stream.redis.pair;

	if (s->redis.class > REDIS_BLOCKING || STREAM_GET(p->silent)) {
		acct__one_way(a, REASON_NO_ANSWER);
		return;
	}
	if (!s->redis.paired || !redis_pair__sure(p)) {
		acct__unsure(a);
		return;
	}
	s->opening.seq = s->redis.seq;
	s->opening.waiting = s->redis.seq - STREAM_GET(p->answered);
	s->opening.t0 = c->stream.begin_ns[dir & 1];
	s->opening.at = c->stream.begin_seq[dir & 1];
	s->opening.word = s->redis.bytes << 32 | (__u64)redis__route(c, a, s) << 16 | FIFO_ASKED;
	if (s->redis.class == REDIS_BLOCKING)
		s->opening.word |= FIFO_BLOCKING;
	if (dir == IN)
		s->opening.word |= FIFO_SERVER;
	fifo__open(ctx, c, a, s);
}

/* A reply's or a push's last byte has passed. */
static __always_inline void redis__answered(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
					    struct lane_scratch *s)
{
	if (s->redis.push || STREAM_GET(c->stream.redis.pair.silent)) {
		acct__one_way(a, REASON_PUSH);
		return;
	}
	if (!s->redis.paired || !fifo__find(ctx, c, s->redis.seq, &s->x)) {
		acct__orphan(a);
		return;
	}
	s->answer.begin = 0;
	s->answer.end = stream_run__now(&s->stream);
	s->answer.at = stream__seq(s);
	s->answer.bytes = s->redis.bytes;
	s->answer.status = s->redis.error	       ? STATUS_ERROR
			   : s->x.word & FIFO_BLOCKING ? STATUS_BLOCKING
						       : STATUS_OK;
	exchange__end(a, c, s);
}

/* One of the framer's events; see http__on_event(). */
__noinline int redis__on_event(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
			       struct lane_scratch *s, __u32 dir)
{
	if (!c || !a || !s)
		return 0;
	if (s->redis.role == REDIS_COMMANDS)
		redis__asked(ctx, c, a, s, dir);
	else
		redis__answered(ctx, c, a, s);
	return 0;
}

static __always_inline void redis_io__event(struct stream_io *io, struct stream_run *r,
					    struct redis_unit *u)
{
	(void)r;
	if (u->what == REDIS_ON_BEGIN)
		stream__begins(io->conn, io->scratch, io->dir);
	else
		redis__on_event(io->ctx, io->conn, io->acct, io->scratch, io->dir);
}

/* The segment in scratch follows the direction's last bytes. How sure the protocol is. */
__noinline int redis__segment(wire_ctx *ctx, struct conn *c, struct wire_acct *a,
			      struct lane_scratch *s, __u32 dir)
{
	struct stream_io io = {.ctx = ctx, .conn = c, .acct = a, .scratch = s, .dir = dir & 1};
	struct redis_feed f = {.io = &io};

	if (!c || !a || !s)
		return 0;
	io.off = s->off;
	f.run = &s->stream;
	f.unit = &s->redis;
	f.pair = &c->stream.redis.pair;
	f.dir = &c->stream.redis.dir[dir & 1];
	redis_feed(&f, s->len);
	return f.dir->role ? STREAM_SYNCED : f.dir->s.sync;
}

#endif
