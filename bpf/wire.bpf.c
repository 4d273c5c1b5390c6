// SPDX-License-Identifier: GPL-2.0-only
/*
 * The wire probe. packet -> socket state -> framer -> exchanges -> histograms, all in the kernel.
 *
 * cgroup_skb on the root of cgroup v2 sees every TCP payload of every container and network
 * namespace, in both directions, whichever system call moved it. It always lets packets pass.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "feed_hooks.bpf.h"
#include "feed.bpf.h"
#include "expire.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define AF_INET	 2
#define AF_INET6 10

/* include/net/tcp_states.h */
#define TCP_SYN_SENT 2
#define TCP_CLOSE    7

/* A TCP segment's place. */
struct segment {
	__u32 off; /* payload's offset in the packet */
	__u32 len; /* payload bytes */
	__u32 seq;
	__u16 sport;
	__u16 dport;
};

/*
 * Reads the headers. 0: no payload, or not TCP. IPv6 extension headers in front of TCP are rare
 * and passed over by two; the headers of TCP segments are linear in both directions.
 */
static __always_inline int segment__read(struct __sk_buff *skb, struct segment *s)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data;
	struct tcphdr *tcp;
	__u32 off;

	if ((void *)(ip + 1) > end)
		return 0;
	if (ip->version == 4) {
		if (ip->protocol != IPPROTO_TCP)
			return 0;
		off = ip->ihl * 4;
	} else {
		struct ipv6hdr *ip6 = data;
		struct ipv6_opt_hdr *ext;
		__u8 next;

		if ((void *)(ip6 + 1) > end)
			return 0;
		off = sizeof(*ip6);
		next = ip6->nexthdr;
		if (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS) {
			ext = data + sizeof(*ip6);
			if ((void *)(ext + 1) > end)
				return 0;
			off += (ext->hdrlen + 1) * 8;
			next = ext->nexthdr;
		}
		if (next != IPPROTO_TCP)
			return 0;
	}
	tcp = data + (off & 0xfff);
	if ((void *)(tcp + 1) > end)
		return 0;
	off += tcp->doff * 4;
	if (skb->len <= off)
		return 0;
	s->off = off;
	s->len = skb->len - off;
	s->seq = bpf_ntohl(tcp->seq);
	s->sport = bpf_ntohs(tcp->source);
	s->dport = bpf_ntohs(tcp->dest);
	return 1;
}

static __always_inline int wire_ctx__read(struct __sk_buff *skb, __u32 off, void *to, __u32 n)
{
	return bpf_skb_load_bytes(skb, off, to, n);
}

static __always_inline struct flights *wire_ctx__flights(struct __sk_buff *skb,
							 const struct conn *c, bool create)
{
	__u32 at = (c->port_local + c->port_remote) & (targ_test_conns - 1);
	struct bpf_sock *sk;

	if (targ_test)
		return bpf_map_lookup_elem(&test_flights, &at);
	sk = skb->sk;
	if (!sk)
		return NULL;
	return bpf_sk_storage_get(&flight_tables, sk, 0, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

static __always_inline struct fifo_ring *wire_ctx__ring(struct __sk_buff *skb, const struct conn *c,
							__u32 which, bool create)
{
	__u32 at = ((c->port_local + c->port_remote) & (targ_test_conns - 1)) * FIFO_RINGS + which;
	__u64 flags = create ? BPF_SK_STORAGE_GET_F_CREATE : 0;
	struct bpf_sock *sk;

	if (targ_test)
		return bpf_map_lookup_elem(&test_rings, &at);
	sk = skb->sk;
	if (!sk)
		return NULL;
	return which ? bpf_sk_storage_get(&fifo_rings_odd, sk, 0, flags)
		     : bpf_sk_storage_get(&fifo_rings, sk, 0, flags);
}

/*
 * Puts the segment in order: its bytes that are new and follow the last ones. 0: none are. A
 * segment ahead of its turn leaves a gap; when the missing one comes later it counts as old.
 */
static __always_inline int conn__in_order(struct conn *c, struct wire_acct *a, __u32 dir,
					  struct segment *s)
{
	__s32 ahead = (__s32)(s->seq - c->next_seq[dir]);
	__u32 old;

	if (c->has_seq[dir] && ahead < 0) {
		old = (__u32)-ahead;
		if (old >= s->len) {
			a->reason[REASON_RETRANS] += s->len;
			return 0;
		}
		a->reason[REASON_RETRANS] += old;
		s->off += old;
		s->len -= old;
		s->seq += old;
	} else if (c->has_seq[dir] && ahead > 0) {
		conn__missed(c, a, dir, (__u32)ahead, REASON_GAP);
	}
	c->has_seq[dir] = 1;
	c->next_seq[dir] = s->seq + s->len;
	return 1;
}

/*
 * Does the current task send this? A socket is locked by who works on it: a process, or (then it is
 * not `owned`) a softirq, which borrows the context of whatever process it interrupted.
 */
static __always_inline bool wire_ctx__in_task(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct tcp_sock *tp;

	if (!sk)
		return false;
	tp = bpf_skc_to_tcp_sock(sk);
	return tp && tp->inet_conn.icsk_inet.sk.sk_lock.owned;
}

/* Sockets whose owner or container decides: known now, or asked for. False: not it, or not yet. */
static __always_inline bool conn__wanted(struct conn *c, struct wire_acct *a, __u32 dir)
{
	if (!c->tgid) {
		if (dir == OUT)
			conn__guess_owner(c);
		if (!c->tgid)
			owners_wanted++;
	}
	if (targ_named && c->filter == FILTER_UNDECIDED)
		filter__decide(c);
	if (c->filter == FILTER_UNDECIDED) {
		a->reason[REASON_OWNER]++;
		c->fresh = 0; /* what is read later is not its first bytes */
	}
	return c->filter == FILTER_PASS;
}

/*
 * The sockets that exchanges pass. What came in waits to be read, mostly not much at a time: then
 * there is room for it in the connection's state.
 */
static __noinline int segment__hop(struct __sk_buff *skb, struct conn *c,
				   struct lane_scratch *scratch, __u32 dir, __u32 seq)
{
	__u32 waiting = c->hops.head - c->hops.tail + scratch->n_hops;
	struct bpf_sock *sk = skb->sk;
	struct hop_waits *far = NULL;

	if (dir == IN && (waiting > HOP_NEAR || !hop_conn__is_near(&c->hops)) && !targ_test && sk)
		far = bpf_sk_storage_get(&hop_queues, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return hops__hear(scratch, c, far, seq);
}

static __always_inline void segment__pass(struct __sk_buff *skb, struct conn *c, struct segment *s,
					  __u32 dir)
{
	struct lane_scratch *scratch;
	__u32 lane, epoch = *(volatile __u32 *)&attach_epoch;
	struct wire_acct *a;

	a = lane__claim(&lane);
	if (!a) {
		c->fresh = 0;
		return;
	}
	if (c->attach_epoch != epoch)
		conn__start_over(c, epoch);
	scratch = scratch__of(lane);
	if (scratch && conn__wanted(c, a, dir)) {
		if (conn__lock(c, dir, s->seq)) {
			if (conn__in_order(c, a, dir, s)) {
				scratch->off = s->off;
				scratch->len = s->len;
				scratch->seq = s->seq;
				feed__segment(skb, c, a, scratch, dir);
				if (targ_tree && scratch->n_events)
					cause__hear(a, c, scratch,
						    dir == OUT && wire_ctx__in_task(skb));
				if (targ_hops && hops__told(scratch))
					segment__hop(skb, c, scratch, dir, s->seq);
			}
			conn__unlock(c, dir);
		} else {
			a->reason[REASON_BUSY]++;
			c->fresh = 0;
		}
	}
	lane__release(a);
}

/* The first payload that passes a socket. */
static __always_inline void conn__meet(struct conn *c, struct bpf_sock *sk, __u32 dir, __u32 seq)
{
	c->cause.family = sk->family == AF_INET ? 4 : 6;
	if (sk->family == AF_INET) {
		c->cause.remote[0] = sk->dst_ip4;
	} else {
		c->cause.remote[0] = sk->dst_ip6[0];
		c->cause.remote[1] = sk->dst_ip6[1];
		c->cause.remote[2] = sk->dst_ip6[2];
		c->cause.remote[3] = sk->dst_ip6[3];
	}
	cause__meet(c, dir, seq);
}

/* Data of a connection that is still being made. What the new socket is to read is not seen again.
 */
static __noinline int segment__too_early(__u32 local, __u32 remote)
{
	struct wire_acct *a;
	__u32 lane;

	if (targ_n_ports && !filter__ports((__u16)local, (__u16)remote))
		return 0;
	a = lane__claim(&lane);
	if (!a)
		return 0;
	a->reason[REASON_ACCEPTING]++;
	lane__release(a);
	return 0;
}

static __always_inline int on_packet(struct __sk_buff *skb, __u32 dir)
{
	struct bpf_sock *sk = skb->sk;
	struct segment s;
	struct conn *c;

	/* Headers first: they are cheaper to read than the storage, and a bare ACK ends there. */
	if (!sk || !segment__read(skb, &s))
		return 1;
	c = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (c && (c->proto == PROTO_OTHER || c->filter == FILTER_STOP))
		return 1;
	if (!c || !c->cookie) {
		if (dir == IN && sk->state == BPF_TCP_LISTEN) {
			segment__too_early(s.dport, s.sport);
			return 1;
		}
		c = dir == OUT ? conn__create(skb, sk, s.sport, s.dport)
			       : conn__create(skb, sk, s.dport, s.sport);
		if (!c)
			return 1;
	}
	if (targ_parts && !c->cause.met)
		conn__meet(c, sk, dir, s.seq);
	if (c->proto >= PROTO_HTTP2) { /* opaque, see expire__told() */
		__sync_fetch_and_add(&c->bytes_opaque, s.len);
		return 1;
	}
	segment__pass(skb, c, &s, dir);
	return 1;
}

SEC("cgroup_skb/egress")
int wire_egress(struct __sk_buff *skb)
{
	return on_packet(skb, OUT);
}

SEC("cgroup_skb/ingress")
int wire_ingress(struct __sk_buff *skb)
{
	return on_packet(skb, IN);
}

/* The tables of a socket's connection, where it has any. */
static __always_inline void expire__tables(struct expire_ctx *e, struct sock *sk)
{
	if (!e->conn->flights)
		return;
	if (proto__is_stream(e->conn->proto)) {
		e->ring = bpf_sk_storage_get(&fifo_rings, sk, 0, 0);
		e->odd = bpf_sk_storage_get(&fifo_rings_odd, sk, 0, 0);
	} else {
		e->flights = bpf_sk_storage_get(&flight_tables, sk, 0, 0);
	}
}

/* A connection ends: what is in flight will not be answered. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(wire_destroy, struct sock *sk)
{
	struct expire_ctx e = {.before = ~0ULL, .reason = REASON_CLOSED};
	__u32 lane;

	e.conn = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (!e.conn || e.conn->proto < PROTO_NATS)
		return 0;
	e.acct = lane__claim(&lane);
	if (!e.acct)
		return 0;
	e.scratch = scratch__of(lane);
	expire__tables(&e, sk);
	expire__conn(&e);
	expire__overflowed(&e);
	if (targ_tree && e.scratch && e.scratch->n_events)
		cause__hear(e.acct, e.conn, e.scratch, 0);
	if (targ_hops && e.scratch && hops__told(e.scratch))
		hops__hear(e.scratch, e.conn, NULL, HOP_NO_SEQ);
	lane__release(e.acct);
	return 0;
}

/*
 * What the last segment of a lane left is nobody's to read. Not after each one: a window has 8 KiB.
 * A lane that is claimed is left alone, for this once.
 */
static long lane__wipe(struct bpf_map *map, const void *key, void *value, void *ctx)
{
	struct wire_acct *a = bpf_map_lookup_elem(&lanes, key);
	struct lane_scratch *s = value;
	__u64 *word = value, gen;
	__u32 i;

	if (!a)
		return 0;
	gen = *(volatile __u64 *)&a->gen;
	if (gen & 1 || gen == s->wiped || __sync_val_compare_and_swap(&a->gen, gen, gen + 1) != gen)
		return 0;
	for (i = 0; i < sizeof(*s) / 8; i++)
		*(volatile __u64 *)&word[i] = 0;
	s->wiped = gen + 2;
	lane__release(a);
	return 0;
}

/* Read by userspace from time to time: gives up what is older than the timeout. */
SEC("iter/bpf_sk_storage_map")
int wire_sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct expire_ctx e = {.reason = REASON_TIMEOUT};
	struct sock *sk = ctx->sk;
	__u32 lane;

	e.before = expire__ago(targ_timeout_ns);
	e.acct = lane__claim(&lane);
	if (!e.acct)
		return 0;
	if (!sk) { /* the last call */
		if (targ_tree)
			cause__sweep();
		if (targ_hops)
			hops__sweep();
		bpf_for_each_map_elem(&flight_overflow, expire__overflow, &e, 0);
	} else {
		/* Not ctx->value: the verifier takes a map value with a variable offset only. */
		e.conn = bpf_sk_storage_get(&conns, sk, 0, 0);
		if (e.conn && e.conn->proto >= PROTO_NATS) {
			expire__tables(&e, sk);
			expire__conn(&e);
		}
	}
	lane__release(e.acct);
	if (!sk) /* this one's lane, too */
		bpf_for_each_map_elem(&scratches, lane__wipe, NULL, 0);
	return 0;
}

/* Read by userspace: owners of all sockets, from every process's open files. */
SEC("iter/task_file")
int wire_owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *sock;
	struct conn *c;

	if (!task || !file)
		return 0;
	sock = bpf_sock_from_file(file);
	if (!sock || !sock->sk)
		return 0;
	if (sock->sk->sk_protocol != IPPROTO_TCP)
		return 0;
	/* Also for sockets that no segment passed yet: their first message shows a forwarder. */
	c = bpf_sk_storage_get(&conns, sock->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c || c->tgid == task->tgid)
		return 0;
	conn__set_owner(c, task);
	return 0;
}

/* Only attached with filters by name: most containers are decided on before they send. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(wire_cgroup, struct cgroup___named *cgrp)
{
	/* The v2 hierarchy is number 0; ids of v1 hierarchies are numbers of their own. */
	if (!cgrp->root->hierarchy_id)
		named__verdict(cgrp->kn->id);
	return 0;
}

/* With --tree or hops only: a task has read from a TCP socket. */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(wire_read, struct sock *sk)
{
	struct conn *c = bpf_sk_storage_get(&conns, sk, 0, 0);

	if (targ_hops && c)
		hops__read(sk, c);
	/* NATS is of interest as the call of somebody's request. */
	if (!targ_tree || (c && c->proto == PROTO_NATS && !*(volatile __u32 *)&cause_working))
		return 0;
	if (c && c->cookie)
		cause__read(c);
	else
		cause__read_other();
	return 0;
}

/* With --tree only, as the next one: it opens a connection, for the request that it has in hand. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(wire_connect, struct sock *sk, int old, int new)
{
	struct conn *c;

	if (old != TCP_CLOSE || new != TCP_SYN_SENT || sk->sk_protocol != IPPROTO_TCP ||
	    !cause__works())
		return 0;
	c = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (c)
		cause__connect(c);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(wire_exit, struct task_struct *task)
{
	cause__exits(task);
	return 0;
}

/* With hops and targ_sched only: how long readers wait for a processor. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(wire_wakeup, struct task_struct *task)
{
	hop_reader__woken(task);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(wire_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	hop_reader__preempted(prev);
	hop_reader__runs(next);
	return 0;
}
