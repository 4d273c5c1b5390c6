/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the wire probe (bpf/wire.bpf.c) and its reader (src/probe/wire.c) share: enumerations, keys,
 * counters, ring records. Fixed-width types, explicit padding, append-only enumerations, 0 invalid.
 */
#ifndef HOPSCOPE_WIRE_H
#define HOPSCOPE_WIRE_H

#include "hist.h"

#define ROUTE_LEN 96 /* bytes of a normalised route, zero-filled; a longer one ends in '>' */
#define COMM_LEN  16

enum wire_proto {
	PROTO_NEW = 0,	 /* not yet recognised */
	PROTO_OTHER = 1, /* nothing we know: passed over */
	PROTO_NATS = 2,
	PROTO_HTTP = 3,	 /* HTTP/1 */
	PROTO_REDIS = 4, /* RESP2, RESP3 */
	PROTO_HTTP2 = 5, /* recognised by its preface and counted; its frames are not read */
	PROTO_TLS = 6,	 /* opaque: bytes are counted; see bpf/tls.bpf.c for their plaintext */
	PROTO_MAX
};

/* Where a socket stands in an exchange: part of the series key, so that views are never pooled. */
enum wire_role {
	ROLE_NONE = 0,
	ROLE_CLIENT = 1,     /* PUB out: the full round trip */
	ROLE_BROKER = 2,     /* PUB in: the broker's answer time, service included */
	ROLE_BROKER_OUT = 3, /* MSG out: the broker's view of the responder */
	ROLE_SERVICE = 4,    /* MSG in: the responder's own time */
	ROLE_ROUTE = 5,	     /* RMSG/LMSG out: broker to broker, asking side */
	ROLE_ROUTE_IN = 6,   /* RMSG/LMSG in: broker to broker, answering side */
	/* Sockets of a process through which the same verb comes in and goes out (a forwarder): */
	ROLE_RELAY = 7,		     /* PUB in: the forwarder's accepted side */
	ROLE_RELAY_OUT = 8,	     /* PUB out: its connected side */
	ROLE_RELAY_SERVICE = 9,	     /* MSG in: its connected side, asked by the broker */
	ROLE_RELAY_SERVICE_OUT = 10, /* MSG out: its accepted side, asking the responder */
	ROLE_SERVER = 11,	     /* HTTP, Redis: request in. Request out is ROLE_CLIENT */
	ROLE_MAX
};

enum wire_status {
	STATUS_NONE = 0,
	STATUS_OK = 1,
	STATUS_NO_RESPONDERS = 2, /* NATS/1.0 503 */
	STATUS_ERROR = 3,	  /* another status header of 400 and above */
	STATUS_UNANSWERED = 4,	  /* timeout or connection closed: counted, no latency */
	STATUS_PROTO_ERR = 5,	  /* -ERR: counted per connection view, no latency */
	/* HTTP's classes; all but the last two are successes. */
	STATUS_1XX = 6, /* 101 only: other interim responses end nothing */
	STATUS_2XX = 7,
	STATUS_3XX = 8,
	STATUS_4XX = 9,
	STATUS_5XX = 10,
	STATUS_BLOCKING = 11, /* Redis: commands that wait for others. Not the server's latency */
	STATUS_MAX
};

/*
 * What a series' histogram holds: of the exchange all of it, or a part. A part has the key of its
 * exchanges otherwise, so that count and share can be told.
 */
enum wire_part {
	PART_WHOLE = 0,	     /* request's first byte to the answer's last */
	PART_FIRST_BYTE = 1, /* to the answer's first byte */
	/* Of ROLE_SERVER exchanges, by the tasks that handled them (bpf/cause.bpf.h): */
	PART_QUEUE = 2, /* the request waited in the socket's queue */
	PART_SELF = 3,	/* whole, without the time in which any child was under way */
	PART_HTTP = 4,	/* at least one child of this protocol was under way */
	PART_REDIS = 5,
	PART_NATS = 6,
	PART_MAX
};

/* Why something is in one_way, unanswered, dropped, orphans or bytes_unparsed. */
enum wire_reason {
	REASON_NONE = 0,
	/* one_way */
	REASON_NO_REPLY = 1,  /* a message without a reply subject */
	REASON_PULL = 2,      /* JetStream pull request: answered by messages on other subjects */
	REASON_INTERNAL = 3,  /* cluster-internal subjects, whose reply subjects are not unique */
	REASON_AMBIGUOUS = 4, /* HMSG on a connection of unknown kind: framed, names not certain */
	/* unanswered */
	REASON_TIMEOUT = 5,
	REASON_CLOSED = 6,     /* the connection ended first */
	REASON_SUPERSEDED = 7, /* the same reply subject was used again */
	/* dropped */
	REASON_TABLE_FULL = 8, /* the socket's table and the overflow map are full */
	REASON_GAP_LOST = 9,   /* the reply may have been in bytes passed over */
	REASON_NO_MEMORY = 10,
	REASON_ID_LONG = 11, /* reply subject too long to be kept as an id */
	/* orphans */
	REASON_ORPHAN = 12, /* reply whose request was not seen, or already answered or given up */
	/* bytes_unparsed */
	REASON_GAP = 13,     /* bytes that did not pass in order */
	REASON_RESYNC = 14,  /* looking for a frame boundary after an attach, a gap or bad input */
	REASON_BAD = 15,     /* bytes that are not the protocol */
	REASON_UNKNOWN = 16, /* unknown protocol on a claimed port */
	REASON_REFUSED = 17, /* not readable, no room for a split line, or too many units */
	/* In no identity: */
	REASON_RETRANS = 18, /* retransmitted bytes, passed over */
	REASON_OWNER = 19,   /* segments of sockets whose owner is not known yet, under --pid and
				--comm, or whose container is not, under --container and --pod */
	REASON_BUSY = 20,    /* segments passed over: no free lane, or parsed on another CPU; their
				bytes then count as a gap */
	REASON_SERIES_FULL = 21, /* look-ups that ended in an "(other)" series */
	REASON_ROUTE_FULL = 22,	 /* look-ups that ended in the "(other)" route */
	/*
	 * A request is delivered to all who subscribed, and answered by one of them: a JetStream
	 * publish, say, reaches core subscribers with its reply subject. So a delivery (MSG, RMSG,
	 * LMSG) that its receiver does not answer is no failed request, unlike a PUB.
	 */
	REASON_NOT_ANSWERED = 23, /* unanswered: a delivery timed out */
	REASON_LISTENER = 24,	  /* one_way: delivery to a socket that never answered this route */
	REASON_DELIVERIES = 25,	  /* gauge: of in_flight, deliveries */
	/* one_way */
	REASON_NO_ANSWER = 26, /* Redis: answered by pushes (SUBSCRIBE), a stream, or not at all */
	REASON_PUSH = 27,      /* Redis: came without being asked for (pub/sub, MONITOR) */
	/*
	 * In no identity: segments that pass a listening socket. The kernel hands data to it that
	 * comes before the connection is made: with TCP_DEFER_ACCEPT the first request of each,
	 * otherwise where the handshake's last packet was lost or overtaken.
	 */
	REASON_ACCEPTING = 28,
	REASON_MAX = 32
};

/*
 * Counters of one lane. A lane is claimed by one run of a program at a time, so its counters need
 * no atomics; `gen` is odd while it is claimed, and a reader that sees the same even `gen` before
 * and after has a consistent copy. Both identities of the design hold in every such copy.
 */
#define LANES_PER_CPU 4

struct wire_acct {
	__u64 gen;
	__u64 seen; /* messages that could open an exchange */
	__u64 matched;
	__u64 one_way;
	__s64 in_flight; /* opened minus closed by this lane; the sum over lanes is the gauge */
	__u64 unanswered;
	__u64 dropped;
	__u64 orphans;
	__u64 bytes_seen;
	__u64 bytes_framed;
	__u64 bytes_unparsed;
	__u64 packets;
	__u64 messages; /* every frame, PING and +OK included */
	__u64 exemplars;
	__u64 exemplars_lost; /* ring full */
	__u64 conns;	      /* connections recognised */
	__u64 reason[REASON_MAX];
	__u64 proto_conns[8]; /* of `conns`, by enum wire_proto */
	__u64 bytes_opaque;   /* that passed in connections recognised but not read: HTTP/2, TLS */
	__u64 pad[7];
};

_Static_assert(sizeof(struct wire_acct) == 512, "lanes do not share cache lines");
_Static_assert(PROTO_MAX <= 8, "proto_conns");

struct series_key {
	__u64 cgroup; /* cgroup v2 id of the socket */
	__u32 route;  /* 0 = "(other)" */
	__u8 proto;
	__u8 role;
	__u8 status;
	__u8 part; /* enum wire_part */
};

_Static_assert(sizeof(struct series_key) == 16, "hash key without padding");

/* One series. `count` and `bytes` cover answered and unanswered; `hist` only those with latency. */
struct series_val {
	struct series_key key;
	__u64 used; /* 1 once the key is set */
	__u64 count;
	__u64 bytes; /* payload bytes, request and reply */
	struct hist hist;
};

/*
 * The first series are where exchanges go once max_series is reached: route "(other)", cgroup 0,
 * and one for each protocol, role, status and part that go together, so that even there views are
 * not pooled. NATS: 10 roles of 6 statuses. HTTP and Redis: parts, two roles, 8 statuses each.
 */
#define SERIES_NATS_ROLES    ROLE_SERVER
#define SERIES_NATS_STATUSES STATUS_1XX
#define SERIES_HTTP	     (SERIES_NATS_ROLES * SERIES_NATS_STATUSES)
#define SERIES_REDIS	     (SERIES_HTTP + PART_MAX * 2 * 8)
#define SERIES_FIXED	     (SERIES_REDIS + PART_MAX * 2 * 8)

/* Unanswered, error, 1xx .. 5xx; Redis: unanswered, error, ok, blocking. */
static inline __attribute__((always_inline)) __u32 series__status_slot(__u32 status)
{
	if (status >= STATUS_1XX && status <= STATUS_5XX)
		return 2 + status - STATUS_1XX;
	return status == STATUS_ERROR	   ? 1
	       : status == STATUS_OK	   ? 2
	       : status == STATUS_BLOCKING ? 3
					   : 0;
}

/* Index of the fixed series that takes what has this key. */
static inline __attribute__((always_inline)) __u32 series__other(const struct series_key *k)
{
	__u32 base = k->proto == PROTO_REDIS ? SERIES_REDIS : SERIES_HTTP;
	__u32 part = k->part < PART_MAX ? k->part : 0;

	if (k->proto == PROTO_HTTP || k->proto == PROTO_REDIS)
		return base + (part * 2 + (k->role == ROLE_SERVER)) * 8 +
		       series__status_slot(k->status);
	return (k->role < SERIES_NATS_ROLES ? k->role : 0) * SERIES_NATS_STATUSES +
	       (k->status < SERIES_NATS_STATUSES ? k->status : 0);
}

struct route_key {
	char name[ROUTE_LEN];
};

enum wire_record { RECORD_EXEMPLAR = 1, RECORD_TIMELINE = 2 }; /* the latter: hop.h */

/* One slow or sampled exchange. */
struct wire_exemplar {
	__u32 type; /* RECORD_EXEMPLAR */
	__u32 size;
	__u64 start_ns; /* CLOCK_MONOTONIC, request passed */
	__u64 duration_ns;
	__u64 cookie; /* socket */
	struct series_key key;
	__u32 tgid; /* 0: not known */
	__u16 port_local;
	__u16 port_remote;
	char comm[COMM_LEN];
	__u32 bytes;
	__u32 pad;
};

_Static_assert(sizeof(struct wire_exemplar) == 80, "ring record");

#endif
