/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lanes: scratch memory and counters that one run of a program has for itself.
 *
 * A CPU's number alone does not name memory that is ours: in process context we can be preempted,
 * and a softirq can interrupt us. So every CPU has a few lanes, and a run claims one by making its
 * generation odd. Inside, counters need no atomics; a reader copies a lane between two equal even
 * generations and finds both accounting identities true (include/wire.h).
 */
#ifndef HOPSCOPE_LANE_BPF_H
#define HOPSCOPE_LANE_BPF_H

#include "wire.h"
#include "route.h"
#include "cause_conn.bpf.h"
#include "exchange.bpf.h"
#include "hops_conn.bpf.h"

/* Variables that all objects on these maps have in common: see src/probe/shared.h. */
#define SHARED SEC(".data.shared")

/* Payload bytes pass through here: not mmapable, and wiped from time to time. */
struct lane_scratch {
	__u64 wiped;	      /* the lane's generation when nothing had passed since */
	__u32 off;	      /* the segment: of its payload in the packet, and */
	__u32 len;	      /* its bytes */
	__u32 seq;	      /* of the first one on its connection; TLS: counted here */
	__u32 lane;	      /* its number: scratch__of() */
	struct flight flight; /* being opened */
	struct flight closed;
	struct overflow_val overflow;
	union { /* one protocol a segment */
		struct nats_run run;
		struct {
			struct stream_run stream;
			struct http_unit http;
			struct redis_unit redis;
		};
	};
	struct route_norm norm;
	struct opening opening;
	struct exchange x;
	struct answer answer;
	__u32 n_events; /* with targ_tree only */
	__u32 events_lost;
	__u32 n_hops; /* with targ_hops only, as the rest of hops: struct hop_lane */
	__u32 hops_lost;
	__u32 hops_out;
	__u32 hops_cut;
	__u64 hop_subject;	      /* hash */
	__u64 hop_head[HOP_HEAD / 8]; /* the first bytes of a payload */
	struct cause_event event[CAUSE_EVENTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LANES_PER_CPU); /* times the possible CPUs, set before loading */
	__type(key, __u32);
	__type(value, struct wire_acct);
} lanes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LANES_PER_CPU);
	__type(key, __u32);
	__type(value, struct lane_scratch);
} scratches SEC(".maps");

/* The scratch memory of a lane that was claimed. */
static __always_inline struct lane_scratch *scratch__of(__u32 lane)
{
	struct lane_scratch *s = bpf_map_lookup_elem(&scratches, &lane);

	if (s)
		s->lane = lane;
	return s;
}

/*
 * The same memory, as the map's. In a global function it is an argument, and as such no key or
 * value for maps to the verifier of Linux 6.1.
 */
static __always_inline struct lane_scratch *scratch__again(const struct lane_scratch *s)
{
	__u32 lane = s->lane;

	return bpf_map_lookup_elem(&scratches, &lane);
}

/*
 * The compiler knows no longer what `v` may be, so that a check that follows stays. Linux 6.1's
 * verifier needs the mask of an index behind OR and XOR of two registers, of whose result it knows
 * nothing, and does not learn from `n != 0` that n is 1 at least.
 */
#define OPAQUE(v) asm volatile("" : "+r"(v))

/* Runs that found no free lane. Atomic: there is no lane to count in. */
__u64 lanes_busy SHARED = 0;

/* Claims a lane of this CPU; its index in *at. NULL: none is free, counted. */
static __always_inline struct wire_acct *lane__claim(__u32 *at)
{
	__u32 first = bpf_get_smp_processor_id() * LANES_PER_CPU, i, k;
	struct wire_acct *a;
	__u64 gen;

	for (i = 0; i < LANES_PER_CPU; i++) {
		k = first + i;
		a = bpf_map_lookup_elem(&lanes, &k);
		if (!a)
			break;
		gen = *(volatile __u64 *)&a->gen;
		if (!(gen & 1) && __sync_val_compare_and_swap(&a->gen, gen, gen + 1) == gen) {
			*at = k;
			return a;
		}
	}
	__sync_fetch_and_add(&lanes_busy, 1);
	return NULL;
}

/*
 * What was written before is visible to others before *p is. x86 keeps stores in their order;
 * elsewhere only an atomic exchange does (BPF had no store-release before Linux 6.15).
 */
#if defined(__TARGET_ARCH_x86)
#define STORE_RELEASE(p, v)                          \
	do {                                         \
		asm volatile("" ::: "memory");       \
		*(volatile typeof(*(p)) *)(p) = (v); \
	} while (0)
#else
#define STORE_RELEASE(p, v) ((void)__sync_lock_test_and_set(p, v))
#endif

static __always_inline void lane__release(struct wire_acct *a)
{
	STORE_RELEASE(&a->gen, a->gen + 1);
}

#endif
