/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hops: the sockets that one exchange passes, and the time between them. What bpf/hops.bpf.h counts
 * and src/probe/wire_hops.c reads. Fixed-width types, explicit padding, append-only enumerations, 0
 * invalid.
 *
 * A span is one socket's view of an exchange: from the request passing it to the reply passing it.
 * Spans nest, in the order in which the request passed: the first one is the round trip, as far out
 * as it could be seen. Every span's time is its children's and two gaps (and gaps between children,
 * which count as the later child's `before`):
 *
 *	before[i] = request[i] - cursor(parent)
 *	after[i]  = reply[i] - cursor(i)
 *
 * (cursor: where a span has been accounted up to, its own request at first, then each child's
 * reply), so that the sum of all of them is the first span's time, exactly. `after` of a span
 * without children is what happened behind it: the service's own time, or what cannot be seen from
 * here. A child that overlaps an earlier one of the same parent, or is not answered inside its
 * parent, is left out (and counted).
 *
 * A message without a reply (with wire_opts.deliveries) has one way for each of its subscribers.
 * Its spans are each other's children in a row, the last one is the subscriber's socket. `before`
 * of the first is the whole time from the first socket to that one, and there is no `after`.
 */
#ifndef HOPSCOPE_HOP_H
#define HOPSCOPE_HOP_H

#include "wire.h"

#define HOP_SPANS 12 /* sockets of an exchange */
#define HOP_NODES 512

/* What lies between a span and the one around it. */
enum hop_kind {
	HOP_NONE = 0,	 /* the first span */
	HOP_NETWORK = 1, /* two ends of a connection (translated addresses, too) */
	HOP_PROCESS = 2, /* two sockets of one process: it resides there */
	HOP_OPAQUE = 3,	 /* neither: a tunnel, TLS, another host. What is inside is not known */
};

/* Whose socket a span is of: sockets of a program in a container, at the same port, are one. */
struct hop_node_key {
	__u64 cgroup; /* v2 id of the socket's */
	char comm[COMM_LEN];
	__u16 port; /* of the listening side; of a route between brokers the lower of the two */
	__u8 proto;
	__u8 role;	 /* enum wire_role, as in its series */
	__u8 request_in; /* 1: the request comes in on it, 0: it leaves on it */
	__u8 pad[3];
};

_Static_assert(sizeof(struct hop_node_key) == 32, "hash key without padding");

/* The way of an exchange. Number 0 of nodes: "(other)", the table was full. */
struct hop_path_key {
	__u32 route; /* of the first span */
	__u8 n;	     /* spans */
	__u8 status;
	__u8 proto;   /* of the first span */
	__u8 one_way; /* 1: a message that is not answered, see below */
	__u16 node[HOP_SPANS];
	__u8 link[HOP_SPANS]; /* parent's index << 4 | enum hop_kind */
	__u32 pad2;
};

_Static_assert(sizeof(struct hop_path_key) == 48, "hash key without padding");

/* Histograms of a span of a path. */
enum hop_slot {
	HOP_BEFORE = 0, /* of the first span: the whole */
	HOP_AFTER = 1,
	HOP_QUEUE_REQUEST = 2, /* request_in: the request waited in the socket's queue; of `after`,
				  or of its first child's `before` */
	HOP_QUEUE_REPLY = 3,   /* else: the reply did; of the gap that follows it */
	HOP_RUN_QUEUE = 4,     /* of HOP_QUEUE_*: the reader was awake and waited for a processor */
	HOP_SLOTS = 5
};

/* The histogram of slot k of span i of a path is number `first + i * HOP_SLOTS + k` of the pool. */
struct hop_path {
	struct hop_path_key key;
	__u64 used; /* 1 once the key is set */
	__u64 count;
	__u32 first;
	__u32 pad;
};

/* Why there are fewer onions than exchanges. */
enum hop_count {
	HOP_COMPLETE = 0,   /* exchanges in some path */
	HOP_TABLE_FULL = 1, /* no room for one more exchange in flight */
	HOP_SPANS_FULL = 2, /* passed more than HOP_SPANS sockets: the last ones are missing */
	HOP_NODES_FULL = 3, /* look-ups that ended in node 0 */
	HOP_PATHS_FULL = 4, /* exchanges in no path: too many different ones */
	HOP_ABANDONED = 5,  /* the first span never closed, or its id was used again */
	/* spans that did not close before the first one did: deliveries to others, late answers */
	HOP_UNANSWERED = 6,
	HOP_OVERLAPPING = 7, /* spans left out: see above */
	HOP_NEGATIVE = 8,    /* exchanges left out: clocks of two processors */
	HOP_QUEUE_FULL = 9,  /* messages whose time in a socket's queue is not known: too many */
	HOP_TIMELINES_LOST = 10, /* ring full */
	HOP_EVENTS_LOST = 11,	 /* messages beyond those that are looked at of a segment; their
				    exchanges are in no path */
	HOP_SAMPLED_OUT = 12, /* no loss: requests passed over by --sample-hops, on every socket */
	HOP_DELIVERED = 13,   /* of messages without an answer, one a subscriber: in some path */
	/* Such messages that were not followed, on each socket that they passed: */
	HOP_ALIKE = 14,	    /* another one like it was under way */
	HOP_NO_ORIGIN = 15, /* it was not seen where it came from */
	HOP_CUT = 16,	    /* the payload began in another segment than the head */
	HOP_COUNTS = 32
};

/* One span of a timeline, times relative to the first one's request. */
struct hop_span {
	__u64 request_ns;
	__u64 reply_ns;
	__u64 queue_request_ns; /* HOP_UNKNOWN: not known, or nothing to know */
	__u64 queue_reply_ns;
	__u64 run_queue_ns;
	__u32 tgid; /* 0: not known */
	__u16 node;
	__u8 link;
	__u8 pad;
};

#define HOP_UNKNOWN (~0ULL)

_Static_assert(sizeof(struct hop_span) == 48, "ring record");

/* A slow or sampled exchange, whole. */
struct hop_timeline {
	__u32 type; /* RECORD_TIMELINE */
	__u32 size;
	__u64 start_ns; /* CLOCK_MONOTONIC of the first span's request */
	__u64 duration_ns;
	__u32 route;
	__u8 n;
	__u8 status;
	__u8 proto;
	__u8 sampled; /* taken by chance, not for being slow */
	struct hop_span span[HOP_SPANS];
};

#endif
