/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections that the wire probe recognised and nobody can read, for its readings. */
#ifndef HOPSCOPE_PROBE_OPAQUE_H
#define HOPSCOPE_PROBE_OPAQUE_H

#include "model/snapshot.h"
#include "probe/wire_names.h"

struct opaque;
struct bpf_object;

/* `wire`: the wire probe's object, loaded. 0 or negative errno after a message. */
int opaque__open(struct opaque **out, struct wire_names *names, const struct bpf_object *wire);
int opaque__attach(struct opaque *o);
void opaque__detach(struct opaque *o);
void opaque__close(struct opaque *o); /* accepts NULL */

/* Fills in s->opaque, cumulative. 0 or negative errno. */
int opaque__read(struct opaque *o, struct snapshot *s);

#endif
