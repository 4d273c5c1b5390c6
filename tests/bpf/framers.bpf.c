// SPDX-License-Identifier: GPL-2.0-only
/*
 * The HTTP and Redis framers as BPF programs of their own, for test_framers.c: one packet is one
 * segment, and what the framers say goes to an array.
 *
 * data[0]: direction, data[1] != 0: the events are counted only. The segment begins at SEGMENT_AT.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct stream_io;
struct stream_run;
struct http_unit;
struct redis_unit;
static __always_inline int stream_io__load(struct stream_io *io, struct stream_run *r, __u32 off,
					   __u32 at, __u32 n);
static __always_inline int stream_io__keep(struct stream_io *io, struct stream_run *r, __u32 at,
					   __u32 n);
static __always_inline int stream_io__kept(struct stream_io *io, struct stream_run *r, __u32 at,
					   __u32 n);
static __always_inline void http_io__event(struct stream_io *io, struct stream_run *r,
					   struct http_unit *u);
static __always_inline void redis_io__event(struct stream_io *io, struct stream_run *r,
					    struct redis_unit *u);
#define STREAM_LOOP(n, fn, ctx) bpf_loop(n, fn, ctx, 0)

#include "proto/http_stream.h"
#include "proto/redis_stream.h"
#include "framers.h"

char LICENSE[] SEC("license") = "GPL";

struct conn {
	struct http_pair http_pair;
	struct http_dir http[2];
	struct redis_pair redis_pair;
	struct redis_dir redis[2];
};

struct scratch {
	struct stream_run run;
	struct http_unit http;
	struct redis_unit redis;
};

struct keep {
	__u8 bytes[STREAM_KEEP_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct keep);
} keeps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EVENTS_MAX);
	__type(key, __u32);
	__type(value, struct framer_event);
} events SEC(".maps");

__u32 n_events;
__s64 framed, resync, bad, refused;

struct stream_io {
	struct __sk_buff *skb;
	__u32 dir;
	__u32 quiet;
};

static __always_inline int stream_io__load(struct stream_io *io, struct stream_run *r, __u32 off,
					   __u32 at, __u32 n)
{
	return bpf_skb_load_bytes(io->skb, SEGMENT_AT + off, r->win + at, n);
}

static __always_inline int stream_io__keep(struct stream_io *io, struct stream_run *r, __u32 at,
					   __u32 n)
{
	__u32 key = io->dir;

	if (at > STREAM_WIN_MASK - STREAM_KEEP_MAX)
		return -1;
	return bpf_map_update_elem(&keeps, &key, r->win + at, BPF_ANY);
}

struct copy {
	__u8 *to;
	const __u8 *from;
};

static long copy__word(__u32 i, void *ctx)
{
	struct copy *c = ctx;

	if (i >= sizeof(struct keep) / 8)
		return 1;
	*(__u64 *)(c->to + 8 * i) = *(const __u64 *)(c->from + 8 * i);
	return 0;
}

static __noinline int copy__bytes(__u8 *to, const __u8 *from, __u32 n)
{
	struct copy c = {.to = to, .from = from};

	bpf_loop((n + 7) / 8, copy__word, &c, 0);
	return 0;
}

static __always_inline int stream_io__kept(struct stream_io *io, struct stream_run *r, __u32 at,
					   __u32 n)
{
	__u32 key = io->dir;
	struct keep *k = bpf_map_lookup_elem(&keeps, &key);

	(void)at; /* always STREAM_WIN_PAD */
	if (!k || n < 1 || n > STREAM_KEEP_MAX)
		return -1;
	copy__bytes(r->win + STREAM_WIN_PAD, k->bytes, n);
	bpf_map_delete_elem(&keeps, &key);
	return 0;
}

/* The next free event; NULL: only counted. */
static __always_inline struct framer_event *event__new(__u32 quiet, __u32 dir)
{
	__u32 at = n_events++;
	struct framer_event *e;

	if (quiet)
		return NULL;
	e = bpf_map_lookup_elem(&events, &at);
	if (e)
		e->dir = (__u8)dir;
	return e;
}

/* Global: the verifier looks at it once, not at every place that has an event. */
__noinline int on_http(struct http_unit *u, __u32 dir, __u32 quiet)
{
	struct framer_event *e = event__new(quiet, dir);

	if (!e || !u)
		return 0;
	e->what = u->what;
	e->role = u->m_role;
	e->method = u->m_method;
	e->status = u->m_status;
	e->seq = u->seq;
	e->paired = u->paired;
	e->bytes = u->bytes;
	e->name[0] = u->path_len;
	return 0;
}

__noinline int on_redis(struct redis_unit *u, __u32 dir, __u32 quiet)
{
	struct framer_event *e = event__new(quiet, dir);

	if (!e || !u)
		return 0;
	e->what = u->what;
	e->role = u->role;
	e->method = u->top;
	e->status = u->class;
	e->seq = u->seq;
	e->paired = u->paired;
	e->bytes = u->bytes;
	e->name[0] = u->name.word[0];
	e->name[1] = u->name.word[1];
	return 0;
}

static __always_inline void http_io__event(struct stream_io *io, struct stream_run *r,
					   struct http_unit *u)
{
	on_http(u, io->dir, io->quiet);
}

static __always_inline void redis_io__event(struct stream_io *io, struct stream_run *r,
					    struct redis_unit *u)
{
	on_redis(u, io->dir, io->quiet);
}

static __always_inline void account(const struct stream_run *r)
{
	framed += r->framed;
	resync += r->resync;
	bad += r->bad;
	refused += r->refused;
}

static __always_inline int segment(struct __sk_buff *skb, struct stream_io *io, __u32 *len)
{
	__u8 head[2];

	if (skb->len <= SEGMENT_AT || bpf_skb_load_bytes(skb, 0, head, 2))
		return 0;
	io->skb = skb;
	io->dir = head[0] & 1;
	io->quiet = head[1];
	*len = skb->len - SEGMENT_AT;
	return 1;
}

SEC("tc")
int feed_http(struct __sk_buff *skb)
{
	struct stream_io io = {};
	__u32 zero = 0, len;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct conn *c = bpf_map_lookup_elem(&conns, &zero);
	struct http_feed f = {.io = &io};

	if (!s || !c || !segment(skb, &io, &len))
		return 1;
	f.run = &s->run;
	f.unit = &s->http;
	f.pair = &c->http_pair;
	f.dir = &c->http[io.dir & 1];
	http_feed(&f, len);
	account(&s->run);
	return 0;
}

SEC("tc")
int feed_redis(struct __sk_buff *skb)
{
	struct stream_io io = {};
	__u32 zero = 0, len;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct conn *c = bpf_map_lookup_elem(&conns, &zero);
	struct redis_feed f = {.io = &io};

	if (!s || !c || !segment(skb, &io, &len))
		return 1;
	f.run = &s->run;
	f.unit = &s->redis;
	f.pair = &c->redis_pair;
	f.dir = &c->redis[io.dir & 1];
	redis_feed(&f, len);
	account(&s->run);
	return 0;
}

/* What the helper calls cost alone. */
SEC("tc")
int feed_nothing(struct __sk_buff *skb)
{
	struct stream_io io = {};
	__u32 zero = 0, len;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct conn *c = bpf_map_lookup_elem(&conns, &zero);

	if (!s || !c || !segment(skb, &io, &len))
		return 1;
	if (len > STREAM_WIN_LOAD)
		len = STREAM_WIN_LOAD;
	if (len < 1)
		return 1;
	return bpf_skb_load_bytes(skb, SEGMENT_AT, s->run.win, len) != 0;
}
