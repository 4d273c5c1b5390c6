/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One reading of the wire probe, free of kernel types: what trace prints, bench stores and tests
 * compare. Counters are cumulative; snapshot__delta() makes an interval of two readings.
 */
#ifndef HOPSCOPE_SNAPSHOT_H
#define HOPSCOPE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cause.h"
#include "model/hops.h"
#include "opaque.h"
#include "tls_record.h"
#include "wire.h"

#define SNAPSHOT_CONTAINER_LEN 512

struct snapshot_series {
	struct series_key key;
	char route[ROUTE_LEN + 1];
	/* Label of the container where it is known and was asked for, else the cgroup's path below
	 * the v2 mount: "/" for the root, "?" when it is gone. */
	char container[SNAPSHOT_CONTAINER_LEN];
	uint64_t count; /* exchanges (answered or not); equals the histogram's total when OK */
	uint64_t bytes;
	struct hist hist; /* hist.min is ns + 1, 0 when empty */
};

/* Calls of one kind of request to one address, by route: see include/cause.h. */
struct snapshot_edge {
	struct edge_key key;
	char parent_route[ROUTE_LEN + 1];
	char child_route[ROUTE_LEN + 1];
	char container[SNAPSHOT_CONTAINER_LEN];	       /* of the caller */
	char callee_container[SNAPSHOT_CONTAINER_LEN]; /* "" when not on this host */
	uint64_t calls, done, sum_ns, late, callee, callees;
	struct hist hist;
};

/* Connections that were recognised and could not be read, of one program to one port. */
struct snapshot_opaque {
	struct opaque_key key;
	char container[SNAPSHOT_CONTAINER_LEN];
	struct opaque_sum live;	  /* connections that are there */
	struct opaque_sum closed; /* and those that ended, of an interval: in it */
};

struct snapshot_program {
	char name[32];
	uint64_t runs; /* while kernel BPF statistics were on */
	uint64_t ns;
	uint64_t missed; /* runs that the kernel left out, see probe/programs.h */
};

struct snapshot {
	uint64_t time_ns;	  /* CLOCK_MONOTONIC of the reading */
	uint64_t duration_ns;	  /* since the attach, or of the interval */
	bool settled;		  /* every lane was read at rest, so the identities must hold */
	struct wire_acct acct;	  /* sum over lanes; gen unused */
	int64_t in_flight_before; /* of an interval: in flight when it began. 0 for a reading */
	struct snapshot_series *series; /* owned */
	size_t n_series;
	bool tree;		     /* calls were linked to requests: `edges` says what there is */
	struct snapshot_edge *edges; /* owned */
	size_t n_edges;
	uint64_t cause[CAUSE_COUNTS]; /* enum cause_count */
	struct hops hops;
	struct snapshot_program programs[20];
	size_t n_programs;
	struct snapshot_opaque *opaque; /* owned */
	size_t n_opaque;
	bool has_tls; /* the text of TLS connections was read */
	struct tls_stats tls;
	double user_cpu_s; /* of this process */
	uint64_t rss_bytes;
};

/* Frees what the snapshot owns; the struct itself belongs to the caller. */
void snapshot__free(struct snapshot *s);

/*
 * out = now - before, series by series (by key); gauges (in_flight) are those of `now`. min/max of
 * an interval cannot be known from totals: they are the bounds of its lowest and highest bucket,
 * clipped to the totals' min and max. Series that did not change are left out. -ENOMEM or 0.
 */
int snapshot__delta(struct snapshot *out, const struct snapshot *now,
		    const struct snapshot *before);

/*
 * seen = matched + one_way + in_flight + unanswered + dropped, bytes_seen = framed + unparsed. The
 * first function is for counters since the attach; the second knows intervals too, where what was
 * in flight before is added to the left-hand side.
 */
bool snapshot__identities_hold(const struct wire_acct *a);
bool snapshot__holds(const struct snapshot *s);

enum snapshot_order {
	SNAPSHOT_BY_COUNT = 0,
	SNAPSHOT_BY_TOTAL = 1, /* time: the sum of the latencies */
};

/*
 * Pointers to the n_series series, largest first and then by name, so that the order is the same
 * every time. The caller frees the array, not what it points to. NULL: out of memory.
 */
const struct snapshot_series **snapshot__sorted(const struct snapshot *s, enum snapshot_order by);

/* The series of a part of the same exchanges as `of`, or NULL. */
const struct snapshot_series *snapshot__part(const struct snapshot *s,
					     const struct snapshot_series *of, unsigned int part);

/* Names as printed and as in JSON; "?" for an unknown value. */
const char *wire_proto__name(unsigned int proto);
const char *wire_role__name(unsigned int role);
const char *wire_status__name(unsigned int status);
const char *wire_part__name(unsigned int part);
/* Is it an exchange that failed, or got no answer? HTTP's 4xx and 5xx are, a blocking command is
 * not.
 */
bool wire_status__is_error(unsigned int status);
const char *wire_reason__name(unsigned int reason);
const char *cause_count__name(unsigned int count);
/*
 * The term of an identity that a reason explains: "one_way", "unanswered", "dropped", "orphans",
 * "bytes_unparsed"; or what it counts outside them: "bytes_passed_over", "segments_passed_over",
 * "lookups" (that ended in "(other)"). "other" for an unknown value.
 */
const char *wire_reason__term(unsigned int reason);

#endif
