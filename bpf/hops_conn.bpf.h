/* SPDX-License-Identifier: GPL-2.0-only */
/* What hops.bpf.h keeps in connections and lanes. */
#ifndef HOPSCOPE_HOPS_CONN_BPF_H
#define HOPSCOPE_HOPS_CONN_BPF_H

#include "vmlinux.h"
#include "hop.h"

/*
 * What framers tell hops.bpf.h, as they tell cause.bpf.h: written down deep in a chain of calls,
 * and dealt with when they have returned.
 */
enum hop_what {
	HOP_OPENED = 1, /* a request passed */
	HOP_CLOSED = 2, /* its answer passed, the other way */
	HOP_PASSED = 3, /* a message passed that wants no answer */
};

struct hop_event {
	__u64 id; /* of the exchange: the same on every socket that it passes. Never 0 */
	__u64 at;
	__u32 seq;   /* its first byte's: first in the segment, then of TCP; HOP_NO_SEQ */
	__u16 route; /* HOP_OPENED, HOP_PASSED */
	__u8 what;
	__u8 role;   /* enum wire_role of the socket, relay__role() not yet asked */
	__u8 status; /* HOP_CLOSED: enum wire_status */
	__u8 out;    /* which way the message passed */
	__u8 pad[2];
	__u32 number; /* HOP_OPENED, HTTP and Redis: of the request on its connection */
};

/* Of a segment: more than HTTP and Redis have in flight, and a quarter of what 64 KB of NATS hold.
 */
#define HOP_EVENTS 1088
#define HOP_HEAD   32 /* bytes of a payload that tell a message from others */
#define HOP_NO_SEQ 0  /* the bytes are not those on the wire */

/* A message that came in and was not read yet. */
struct hop_wait {
	__u64 at;
	__u32 seq;
	__u32 where; /* record << 8 | span */
};

#define HOP_NEAR 4

/* What was looked up last, by the direction of the request: a connection mostly repeats itself. */
struct hop_conn {
	__u64 tag[2]; /* owner and role that node[] is of */
	__u16 node[2];
	__u16 path[2];	/* of exchanges whose first span is here */
	__u32 head;	/* of `wait`: written when segments pass, */
	__u32 tail;	/* and this when they are read */
	__u32 far_head; /* the same of the socket's own ring: it had more of them */
	__u32 far_tail;
	__u8 span[2]; /* index of the last one that a request began here */
	__u8 pad[6];
	struct hop_wait wait[HOP_NEAR];
};

/* An exchange being finished: see hops_finish.bpf.h. By the spans' index in the record ... */
struct hop_work {
	__u64 cursor[HOP_SPANS]; /* up to where the span's time has been accounted for */
	__u64 before[HOP_SPANS];
	__u8 kept[HOP_SPANS]; /* 1 + its number in the path; 0: left out */
	__u32 n;
	__u32 first; /* histogram of the path */
	__u32 negative;
	__u32 unanswered;
	__u32 overlapping;
	__u16 gen;
	__u8 slow;
	__u8 pad;
	struct hop_path_key key; /* ... and by their number in the path */
};

/* A lane's memory for hops: struct lane_scratch is for everybody. */
struct hop_lane {
	struct hop_work work;
	struct hop_event event[HOP_EVENTS];
};

#endif
