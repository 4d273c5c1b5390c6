/* SPDX-License-Identifier: GPL-2.0-only */
/* Before feed.bpf.h, in every object that includes it: the framers' hooks, which are defined there.
 */
#ifndef HOPSCOPE_FEED_HOOKS_BPF_H
#define HOPSCOPE_FEED_HOOKS_BPF_H

/* What the framers need of their includer. */
struct nats_io;
struct nats_run;
struct stream_io;
struct stream_run;
struct http_unit;
struct redis_unit;
static __always_inline int nats_io__load(struct nats_io *io, struct nats_run *r, __u32 off,
					 __u32 at, __u32 n);
static __always_inline int nats_io__keep(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n);
static __always_inline int nats_io__kept(struct nats_io *io, struct nats_run *r, __u32 at, __u32 n);
static __always_inline void nats_io__message(struct nats_io *io, struct nats_run *r);
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
#define NATS_LOOP(n, fn, ctx)	bpf_loop(n, fn, ctx, 0)
#define STREAM_LOOP(n, fn, ctx) bpf_loop(n, fn, ctx, 0)

#endif
