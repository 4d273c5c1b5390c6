/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the bytes of connections come from. Framers and exchanges (nats, http, redis, fifo, feed)
 * know packets as little as they know system calls: the object that includes them names the context
 * of its programs and gives these functions.
 */
#ifndef HOPSCOPE_SOURCE_BPF_H
#define HOPSCOPE_SOURCE_BPF_H

#include "conn.bpf.h"

#ifndef WIRE_CTX
#define WIRE_CTX \
	struct __sk_buff /* a type that the verifier takes as a global function's context */
#endif
typedef WIRE_CTX wire_ctx;

struct flights;
struct fifo_ring;

/* n bytes from offset `off` to `to`. 0 or < 0. */
static __always_inline int wire_ctx__read(wire_ctx *ctx, __u32 off, void *to, __u32 n);
/* Tables of a connection's exchanges; NULL: there is none, or it could not be made. */
static __always_inline struct flights *wire_ctx__flights(wire_ctx *ctx, const struct conn *c,
							 bool create);
static __always_inline struct fifo_ring *wire_ctx__ring(wire_ctx *ctx, const struct conn *c,
							__u32 which, bool create);

/* wire_ctx__read() of 1 to `max` bytes, a constant. */
static __always_inline int wire_ctx__load(wire_ctx *ctx, __u32 off, void *to, __u32 n, __u32 max)
{
	OPAQUE(n);
	if (n > max)
		return -1;
	OPAQUE(n); /* or the compiler makes one of the two checks */
	if ((__s32)n < 1)
		return -1;
	return wire_ctx__read(ctx, off, to, n);
}

#endif
