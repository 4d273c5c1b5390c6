/* SPDX-License-Identifier: GPL-2.0-only */
/* What cause.bpf.h keeps in connections and lanes. */
#ifndef HOPSCOPE_CAUSE_CONN_BPF_H
#define HOPSCOPE_CAUSE_CONN_BPF_H

#include "vmlinux.h"

/*
 * What framers tell cause.bpf.h. They are deep in a chain of calls, which is limited: so they write
 * it down, and it is dealt with when they have returned.
 */
enum cause_what {
	CAUSE_OPENED = 1,   /* at: when it began */
	CAUSE_ANSWERED = 2, /* began, at: when it ended */
	CAUSE_GIVEN_UP = 3,
	CAUSE_NAMED = 4, /* hash: of the identifier */
};

struct cause_event {
	__u64 id; /* number, or hash of the reply subject */
	__u64 at;
	__u64 began;
	__u64 hash;
	__u16 route;
	__u8 what;
	__u8 server; /* the request came in */
	__u32 status;
};

#define CAUSE_EVENTS 128 /* of a segment */

/* When requests up to a number were read from the socket. */
struct cause_read {
	__u64 ns;
	__u32 upto;
	__u32 pad;
};

#define CAUSE_READS 4
#define CAUSE_NEAR  8

/* A call and its request. */
struct cause_link {
	__u64 parent;
	__u64 t0;
	__u32 edge;
	__u32 slot;
};

struct cause_near {
	__u64 used; /* 1 + number of the call; 0: free */
	struct cause_link link;
};

/* What cause.bpf.h remembers of a connection. Numbers of requests: 15 bits. */
struct cause_conn {
	/* of a client; requests by reference */
	__u64 opener;  /* the connection was opened for it, and carried no call yet */
	__u64 asking;  /* whose the calls under way are */
	__u64 replied; /* whose the answers are that were not read yet */
	__u32 calls;   /* under way */
	__u32 pad0;
	__u32 reply_edge; /* of the last answer */
	__u32 edge;	  /* last looked up: */
	__u64 edge_tag;
	__u64 edge_cgroup;
	__u64 batch;	 /* whose the calls of this segment are; 0: not known yet */
	__u32 batch_why; /* enum cause_count */
	__u32 far;	 /* calls with a request that are in cause_links */
	__u64 socket;	 /* cookie of the socket, where the connection's is another (TLS) */
	__u64 peer;	 /* cgroup of the other end; 0: not known */
	__u32 remote[4];
	/* of a server */
	__u32 asked;	/* number of the next request */
	__u32 answered; /* of the oldest that is open */
	__u32 taken;	/* of the one in a task's hand, | CAUSE_TAKEN */
	__u32 reader;	/* whose */
	__u32 reader_tgid;
	__u32 id_seq; /* `id` is of this request */
	__u64 id;     /* hash of its traceparent or the like */
	__u32 n_reads;
	__u32 read_upto;
	struct cause_read reads[CAUSE_READS];
	struct cause_near near[CAUSE_NEAR];
	__u8 role;
	__u8 family;
	__u8 met;
	__u8 peer_tries;
	__u32 pad;
};

#endif
