/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long what came in waited in the socket's queue: from the packet to the read that takes its
 * first byte. With targ_sched also how long of that the reader was awake and had no processor.
 */
#ifndef HOPSCOPE_HOPS_WAIT_BPF_H
#define HOPSCOPE_HOPS_WAIT_BPF_H

#include "hops_table.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct hop_waits);
} hop_queues SEC(".maps");

const volatile bool targ_sched;

/* When a task that reads from sockets was awake without a processor, the last few times. */
#define HOP_DELAYS 4

struct hop_delay {
	__u64 from;
	__u64 to;
};

struct hop_reader {
	__u64 woken; /* it waits since; 0: it runs, or sleeps */
	__u32 n;
	__u32 pad;
	struct hop_delay delay[HOP_DELAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct hop_reader);
} hop_readers SEC(".maps");

static __always_inline void hop_reader__woken(struct task_struct *t)
{
	struct hop_reader *r = bpf_task_storage_get(&hop_readers, t, 0, 0);

	if (r && !r->woken)
		r->woken = bpf_ktime_get_ns();
}

static __always_inline void hop_reader__runs(struct task_struct *t)
{
	struct hop_reader *r = bpf_task_storage_get(&hop_readers, t, 0, 0);
	struct hop_delay *d;

	if (!r || !r->woken)
		return;
	d = &r->delay[r->n & (HOP_DELAYS - 1)];
	d->from = r->woken;
	d->to = bpf_ktime_get_ns();
	r->n++;
	r->woken = 0;
}

/* Its processor is taken away: it waits again. */
static __always_inline void hop_reader__preempted(struct task_struct *t)
{
	struct task_struct___signed_state *old = (void *)t;
	bool runnable = bpf_core_field_exists(t->__state) ? !t->__state : !old->state;

	if (runnable)
		hop_reader__woken(t);
}

/* Of the time from `since` to now. */
static __always_inline __u64 hop_reader__waited(const struct hop_reader *r, __u64 since)
{
	__u64 sum = 0, from;
	__u32 i;

	for (i = 0; i < HOP_DELAYS; i++) {
		from = r->delay[i].from > since ? r->delay[i].from : since;
		if (r->delay[i].to > from)
			sum += r->delay[i].to - from;
	}
	return sum;
}

struct hop_reading {
	struct conn *conn;
	struct hop_waits *far;
	struct hop_reader *reader; /* with targ_sched */
	__u64 now;
	__u32 upto;
	__u32 pad;
};

static __always_inline void hops__was_read(const struct hop_reading *h, const struct hop_wait *q)
{
	__u32 at = q->where >> 8, i = q->where & 0xff;
	struct hop_record *r = bpf_map_lookup_elem(&hop_records, &at);
	struct hop_socket *sp;

	if (!r || i >= HOP_SPANS)
		return;
	sp = &r->span[i];
	/* Its moment tells whether it is still the same. */
	if (q->at != (HOP_LIFE_IN(sp->life) ? sp->request : sp->reply))
		return;
	sp->queue = h->now > q->at ? h->now - q->at : 0;
	if (targ_sched && h->reader)
		sp->run = hop_reader__waited(h->reader, q->at);
}

static long hops__next_near(__u32 i, void *ctx)
{
	struct hop_reading *h = ctx;
	struct hop_conn *w = &h->conn->hops;
	__u32 tail = w->tail;
	const struct hop_wait *q = &w->wait[tail & (HOP_NEAR - 1)];

	if (tail == *(volatile __u32 *)&w->head || (__s32)(h->upto - q->seq) <= 0)
		return 1;
	hops__was_read(h, q);
	STORE_RELEASE(&w->tail, tail + 1);
	return 0;
}

static long hops__next_far(__u32 i, void *ctx)
{
	struct hop_reading *h = ctx;
	struct hop_conn *w = &h->conn->hops;
	__u32 tail = w->far_tail;
	const struct hop_wait *q = &h->far->wait[tail & (HOP_WAITS - 1)];

	if (tail == *(volatile __u32 *)&w->far_head || (__s32)(h->upto - q->seq) <= 0)
		return 1;
	hops__was_read(h, q);
	STORE_RELEASE(&w->far_tail, tail + 1);
	return 0;
}

/* The current task, which holds the socket's lock, has read from it. */
static __always_inline void hops__read(struct sock *sk, struct conn *c)
{
	struct hop_waits *far = NULL;
	struct hop_reading h;
	struct tcp_sock *tp;
	bool near = c->hops.tail != *(volatile __u32 *)&c->hops.head;

	if (*(volatile __u32 *)&c->hops.far_head != c->hops.far_tail)
		far = bpf_sk_storage_get(&hop_queues, sk, 0, 0);
	if (!near && !far)
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	h.conn = c;
	h.far = far;
	h.reader = NULL;
	h.upto = tp->copied_seq;
	h.now = bpf_ktime_get_ns();
	if (targ_sched)
		h.reader = bpf_task_storage_get(&hop_readers, bpf_get_current_task_btf(), 0,
						BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (near && !hops__next_near(0, &h))
		bpf_loop(HOP_NEAR - 1, hops__next_near, &h, 0);
	if (far)
		bpf_loop(HOP_WAITS, hops__next_far, &h, 0);
}

#endif
