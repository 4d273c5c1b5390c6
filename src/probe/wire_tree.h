/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The part of the wire probe that knows which calls belong to which request: bpf/cause.bpf.h. */
#ifndef HOPSCOPE_PROBE_WIRE_TREE_H
#define HOPSCOPE_PROBE_WIRE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/snapshot.h"
#include "probe/wire_names.h"

struct wire_bpf;
struct wire_tree;

/*
 * Before loading. Where it is not wanted, its maps take no memory and its programs are not loaded.
 * `parts`: the time of requests is taken apart, too. 0 or negative errno.
 */
int wire_tree__configure(struct wire_bpf *skel, bool wanted, bool parts, uint32_t max_edges);

/* After loading; NULL: out of memory, or the maps could not be mapped (log_fail). */
struct wire_tree *wire_tree__open(struct wire_bpf *skel, uint32_t max_edges);
void wire_tree__close(struct wire_tree *t); /* accepts NULL */

int wire_tree__attach(struct wire_tree *t);
void wire_tree__detach(struct wire_tree *t);

/* Adds edges and counts to a reading. `route` names a route. 0 or -ENOMEM. */
int wire_tree__read(struct wire_tree *t, struct snapshot *s, struct wire_names *names,
		    const char *(*route)(void *ctx, uint32_t route), void *ctx);

#endif
