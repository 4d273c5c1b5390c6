/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls and the requests that caused them: what bpf/cause.bpf.h counts and src/probe/cause.c reads.
 * Fixed-width types, explicit padding, append-only enumerations, 0 invalid.
 */
#ifndef HOPSCOPE_CAUSE_H
#define HOPSCOPE_CAUSE_H

#include "wire.h"

enum edge_kind {
	EDGE_NONE = 0,
	EDGE_LINKED = 1,   /* a request that its process was working on made the call */
	EDGE_UNLINKED = 2, /* made by a process that serves requests, for which is not known */
	EDGE_ROOT = 3,	   /* made by a process that serves none: where a tree begins */
};

/* Who calls whom. Route numbers as in series_key; parent_* are 0 where there is no parent. */
struct edge_key {
	__u64 parent_cgroup;
	__u64 child_cgroup; /* of the calling socket */
	__u32 remote[4];    /* network byte order; IPv4: the first word, the others 0 */
	__u32 parent_route;
	__u32 child_route;
	__u16 remote_port;
	__u8 parent_proto;
	__u8 child_proto;
	__u8 kind;   /* enum edge_kind */
	__u8 family; /* 4, 6 */
	__u8 pad[2];
};

_Static_assert(sizeof(struct edge_key) == 48, "hash key without padding");

struct edge_val {
	struct edge_key key;
	__u64 used;   /* 1 once the key is set */
	__u64 calls;  /* that began */
	__u64 done;   /* of them, those that were answered while their request was open */
	__u64 sum_ns; /* of these, from first byte to last: overlapping calls count each */
	__u64 late;   /* were still under way when the request was answered */
	__u64 callee; /* cgroup of the socket at the other end; 0: not on this host, or not known */
	__u64 callees;	  /* times it was another than before */
	__u32 turns[2];	  /* answers read; and how often their reader did nothing then */
	struct hist hist; /* of a request, the time in which one of these calls was under way */
};

#define EDGES_FIRST 1 /* number 0 is "none" */

/* Why there are fewer links than calls. */
enum cause_count {
	CAUSE_BY_ID = 0,	/* linked by traceparent or x-request-id */
	CAUSE_BY_CONNECT = 1,	/* by the request for which the connection was opened */
	CAUSE_BY_TASK = 2,	/* by the request that the task had read last */
	CAUSE_NO_TASK = 3,	/* unlinked: not sent by a task that reads requests */
	CAUSE_NO_REQUEST = 4,	/* unlinked: the task had no request in hand */
	CAUSE_STALE = 5,	/* unlinked: the task slept since, with several requests open */
	CAUSE_DEFERRED = 6,	/* unlinked: where this process mostly puts work off */
	CAUSE_MOVED = 7,	/* unlinked: its requests move between threads */
	CAUSE_PARENTS_FULL = 8, /* unlinked: no room for one more request */
	CAUSE_LINKS_FULL = 9,	/* unlinked: no room for one more call */
	CAUSE_EDGES_FULL = 10,	/* calls that are in no edge */
	CAUSE_SLOTS_FULL = 11,	/* calls of a request that had made too many different ones */
	CAUSE_NEGATIVE = 12,	/* requests whose parts were longer than they: clock of two CPUs */
	CAUSE_ACTORS_FULL = 13, /* no room for one more task that reads requests */
	CAUSE_EVENTS_LOST = 14, /* segments with more messages than were looked at */
	CAUSE_FORGOTTEN = 15,	/* requests under way for so long that their calls were forgotten */
	CAUSE_COUNTS = 16
};

struct cause_stats {
	__u32 edges_used;
	__u32 pad;
	__u64 count[CAUSE_COUNTS];
};

#endif
