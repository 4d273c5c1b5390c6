/* SPDX-License-Identifier: GPL-2.0-only */
/* How what is deep in a framer's calls tells cause.bpf.h what happened. With targ_tree only. */
#ifndef HOPSCOPE_CAUSE_TELL_BPF_H
#define HOPSCOPE_CAUSE_TELL_BPF_H

#include "conn.bpf.h"
#include "lane.bpf.h"

/* Some task reads requests: until then, and where there is only NATS, nobody is looked up. */
__u32 cause_working SHARED = 0;

/* Are calls of NATS of interest? For a tree, all of them; for hops, those of who serves requests.
 */
static __always_inline bool cause__wants_nats(void)
{
	return targ_tree && (targ_parts || *(volatile __u32 *)&cause_working);
}

/* The caller fills in the rest. NULL: there have been too many in this segment. */
static __always_inline struct cause_event *cause__tell(struct lane_scratch *s, __u32 what, __u64 id,
						       __u32 route, bool server)
{
	__u32 n = *(volatile __u32 *)&s->n_events;
	struct cause_event *e;

	if (n >= CAUSE_EVENTS) {
		s->events_lost++;
		return NULL;
	}
	e = &s->event[n];
	e->what = (__u8)what;
	e->id = id;
	e->route = (__u16)route;
	e->server = server;
	s->n_events = n + 1;
	return e;
}

#endif
