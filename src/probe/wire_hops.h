/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The part of the wire probe that knows which sockets an exchange passes: bpf/hops.bpf.h. */
#ifndef HOPSCOPE_PROBE_WIRE_HOPS_H
#define HOPSCOPE_PROBE_WIRE_HOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/snapshot.h"
#include "probe/wire.h"
#include "probe/wire_names.h"

struct wire_bpf;
struct wire_hops;

/*
 * Before loading. Where they are not wanted (opts->hops), the maps take no memory and the programs
 * are not loaded. wire_tree__configure() comes before. 0 or negative errno (log_fail).
 */
int wire_hops__configure(struct wire_bpf *skel, const struct wire_opts *opts, uint32_t lanes);

/*
 * After loading. NULL: out of memory, or the maps could not be mapped (log_fail). `route` names a
 * route; it, ctx and names must stay.
 */
struct wire_hops *wire_hops__open(struct wire_bpf *skel, const struct wire_opts *opts,
				  uint32_t lanes, struct wire_names *names,
				  const char *(*route)(void *ctx, uint32_t route), void *ctx);
void wire_hops__close(struct wire_hops *h); /* accepts NULL */

int wire_hops__attach(struct wire_hops *h);
void wire_hops__detach(struct wire_hops *h);

/* Looks up the names of cgroups that came up since: a container may be gone later. */
void wire_hops__notice(struct wire_hops *h);

/* Adds paths and counts, cumulative. The caller frees with hops__free(). 0 or -ENOMEM. */
int wire_hops__read(struct wire_hops *h, struct hops *out);

/* See wire__timelines(). */
int wire_hops__timelines(struct wire_hops *h, uint64_t slow_ns, uint32_t sample,
			 wire_timeline_fn fn, void *ctx);

#endif
