/* SPDX-License-Identifier: GPL-2.0-only */
/* Slow or sampled exchanges, one by one, through a ring buffer. A full ring costs no statistics. */
#ifndef HOPSCOPE_EXEMPLAR_BPF_H
#define HOPSCOPE_EXEMPLAR_BPF_H

#include "conn.bpf.h"

const volatile __u64 targ_slow_ns;
const volatile __u32 targ_sample;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} exemplars SEC(".maps");

static __always_inline void exemplar__send(struct wire_acct *a, const struct conn *c,
					   const struct series_key *key, __u64 t0, __u64 ns,
					   __u64 bytes)
{
	struct wire_exemplar *e = bpf_ringbuf_reserve(&exemplars, sizeof(*e), 0);

	if (!e) {
		a->exemplars_lost++;
		return;
	}
	a->exemplars++;
	e->type = RECORD_EXEMPLAR;
	e->size = sizeof(*e);
	e->start_ns = t0;
	e->duration_ns = ns;
	e->cookie = c->cookie;
	e->key = *key;
	e->tgid = c->tgid;
	e->port_local = c->port_local;
	e->port_remote = c->port_remote;
	__builtin_memcpy(e->comm, c->comm, sizeof(e->comm));
	e->bytes = (__u32)bytes;
	e->pad = 0;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

/* Is the exchange worth one? a->matched counts it already. */
static __always_inline bool exemplar__wanted(const struct wire_acct *a, __u64 ns)
{
	return (targ_slow_ns && ns >= targ_slow_ns) ||
	       (targ_sample && a->matched % targ_sample == 0);
}

#endif
