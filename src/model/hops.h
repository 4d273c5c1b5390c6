/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the time of a round trip goes, hop by hop: what the probe read (paths), and what is told of
 * it (a waterfall of edges whose means sum to the round trip's). See include/hop.h for the terms.
 */
#ifndef HOPSCOPE_MODEL_HOPS_H
#define HOPSCOPE_MODEL_HOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hop.h"

#define HOPS_CONTAINER_LEN 512

/* A path that exchanges took, cumulative or of an interval. */
struct hops_node {
	struct hop_node_key key;	    /* comm "?" and cgroup 0: node 0 */
	char container[HOPS_CONTAINER_LEN]; /* as in struct snapshot_series */
};

struct hops_path {
	struct hop_path_key key; /* key.node[] are numbers of the kernel's: use `span` */
	char route[ROUTE_LEN + 1];
	uint64_t count;
	struct hops_span {
		struct hops_node node;
		uint8_t parent; /* index; 0 for the first */
		uint8_t kind;	/* enum hop_kind */
		struct hist hist[HOP_SLOTS];
	} * span; /* key.n of them; owned */
};

/* A slow or sampled exchange. */
struct hops_timeline {
	struct hop_timeline t;
	char route[ROUTE_LEN + 1];
	struct hops_node node[HOP_SPANS];
};

/* Part of a snapshot. */
struct hops {
	bool on;		 /* hops were recorded */
	struct hops_path *paths; /* owned */
	size_t n_paths;
	uint64_t count[HOP_COUNTS]; /* enum hop_count */
};

void hops__free(struct hops *h);
/* out = now - before, path by path, as snapshot__delta() does. 0 or -ENOMEM. */
int hops__delta(struct hops *out, const struct hops *now, const struct hops *before);

const char *hop_count__name(unsigned int count);
const char *hop_kind__name(unsigned int kind); /* "network", "process", "opaque", "?" */

#endif
