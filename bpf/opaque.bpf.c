// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections that the wire probe recognised and nobody can read: TLS of a library without symbols
 * (Go's, Rust's, Java's), HTTP/2. Their bytes are counted by the wire probe, in the socket's
 * storage; the round trip is the kernel's own, read when the socket ends and when userspace asks:
 * nothing is done for a packet.
 */
#include "vmlinux.h"

#include <linux/in.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* Of the framers only their states' sizes are needed here, not what they ask of their includer. */
#pragma clang diagnostic ignored "-Wundefined-internal"
#pragma clang diagnostic ignored "-Wunused-function"
#include "feed_hooks.bpf.h"

#include "conn.bpf.h"
#include "opaque.h"

char LICENSE[] SEC("license") = "GPL";

/* Sums over connections that ended. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct opaque_key);
	__type(value, struct opaque_sum);
} opaque_closed SEC(".maps");

__u64 opaque_lost = 0; /* connections that had no room there */

static __always_inline bool opaque__describe(struct sock *sk, struct opaque_record *r)
{
	struct conn *c = bpf_sk_storage_get(&conns, sk, 0, 0);
	struct tcp_sock *tp;
	__u64 *to = (__u64 *)r->key.comm;
	const __u64 *from;
	__u32 us;

	if (!c || c->proto < PROTO_HTTP2 || c->plain || c->filter != FILTER_PASS)
		return false;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return false;
	from = (const __u64 *)c->comm;
	r->key.cgroup = c->cgroup;
	to[0] = from[0];
	to[1] = from[1];
	r->key.server = c->port_local <= c->port_remote;
	r->key.port = r->key.server ? c->port_local : c->port_remote;
	r->key.proto = c->proto;
	us = tp->srtt_us >> 3; /* the kernel keeps eighths */
	r->sum.connections = 1;
	r->sum.bytes = *(volatile __u64 *)&c->bytes_opaque;
	r->sum.rtt_us = r->sum.rtt_max = us;
	r->sum.rtt_n = us != 0;
	return true;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(opaque_destroy, struct sock *sk)
{
	struct opaque_record r = {};
	struct opaque_sum *s;

	if (!opaque__describe(sk, &r))
		return 0;
	s = bpf_map_lookup_elem(&opaque_closed, &r.key);
	if (!s) {
		if (!bpf_map_update_elem(&opaque_closed, &r.key, &r.sum, BPF_NOEXIST))
			return 0;
		s = bpf_map_lookup_elem(&opaque_closed, &r.key);
		if (!s) {
			__sync_fetch_and_add(&opaque_lost, 1);
			return 0;
		}
	}
	__sync_fetch_and_add(&s->connections, 1);
	__sync_fetch_and_add(&s->bytes, r.sum.bytes);
	__sync_fetch_and_add(&s->rtt_us, r.sum.rtt_us);
	__sync_fetch_and_add(&s->rtt_n, r.sum.rtt_n);
	if (s->rtt_max < r.sum.rtt_max)
		s->rtt_max = r.sum.rtt_max;
	return 0;
}

/* Read by userspace: a record for each connection that is there. */
SEC("iter/bpf_sk_storage_map")
int opaque_list(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct opaque_record r = {};
	struct sock *sk = ctx->sk;

	if (sk && opaque__describe(sk, &r))
		bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
