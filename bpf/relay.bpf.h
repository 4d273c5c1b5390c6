/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Forwarders: a process into which a verb comes on one socket and out of which the same verb goes
 * on another (socat, kubectl port-forward, an L4 proxy). Its sockets look like a broker's and a
 * client's; put into those series they would pool a hop with the whole round trip.
 */
#ifndef HOPSCOPE_RELAY_BPF_H
#define HOPSCOPE_RELAY_BPF_H

#include "conn.bpf.h"

#define VERB_PUB_IN  1
#define VERB_PUB_OUT 2
#define VERB_MSG_IN  4
#define VERB_MSG_OUT 8
#define VERB_OTHER   16 /* routes', leaf nodes' */

/* A process: its number alone may be that of one which is gone. */
static __always_inline __u64 relay__process(const struct conn *c)
{
	return (__u64)c->born << 32 | c->tgid;
}

/* Verbs that passed the sockets of a process. An LRU: a process that is gone is forgotten. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, __u32);
} relay_verbs SEC(".maps");

static __always_inline bool relay__is(__u32 verbs)
{
	return ((verbs & VERB_PUB_IN) && (verbs & VERB_PUB_OUT)) ||
	       ((verbs & VERB_MSG_IN) && (verbs & VERB_MSG_OUT));
}

/* Raised whenever some process is found to be a forwarder: sockets then look again. */
__u32 relay_epoch SHARED = 1;

static __noinline void relay__add(__u64 process, __u32 verb)
{
	__u32 *old = bpf_map_lookup_elem(&relay_verbs, &process), verbs = verb;

	if (old) {
		if ((*old & verb) == verb)
			return;
		verbs |= *old;
	}
	bpf_map_update_elem(&relay_verbs, &process, &verbs, BPF_ANY);
	if (relay__is(verbs))
		__sync_fetch_and_add(&relay_epoch, 1);
}

/* Tells the process's entry what its socket carried, once the process is known. */
static __always_inline void relay__tell(struct conn *c)
{
	if (c->verbs == c->verbs_told || !c->tgid)
		return;
	c->verbs_told = c->verbs;
	relay__add(relay__process(c), c->verbs);
}

/*
 * Clients send PUB and brokers receive it, brokers send MSG and clients receive it: only a process
 * that hands one of them on does both. (So does a program that holds a broker and is the client of
 * another one. Its sockets then are named relay, which they are not; routes tell them apart.)
 */
static __always_inline void relay__note(struct conn *c, __u32 dir, const struct nats_unit *u)
{
	bool out = dir == OUT;
	__u32 verb;

	if (u->verb == NATS_PUB || u->verb == NATS_HPUB)
		verb = out ? VERB_PUB_OUT : VERB_PUB_IN;
	else if (u->verb == NATS_MSG || (u->verb == NATS_HMSG && c->kind == NATS_KIND_CLIENT))
		verb = out ? VERB_MSG_OUT : VERB_MSG_IN;
	else
		verb = VERB_OTHER;
	c->verbs |= verb;
	relay__tell(c);
}

static __always_inline void relay__look(struct conn *c)
{
	__u32 now, *verbs;
	__u64 process;

	relay__tell(c);
	now = *(volatile __u32 *)&relay_epoch;
	if (c->relay_epoch == now || !c->tgid)
		return;
	c->relay_epoch = now;
	process = relay__process(c);
	verbs = bpf_map_lookup_elem(&relay_verbs, &process);
	c->relay = verbs && relay__is(*verbs);
}

/*
 * What the sockets of a forwarder are called: four bits for each enum wire_role, what to turn over
 * in it. Not a switch: this is at the end of the longest chains of calls, where every branch is
 * verified again.
 */
#define RELAY_NAME(role, name) ((__u64)((role) ^ (name)) << 4 * (role))
#define RELAY_NAMES                                                                      \
	(RELAY_NAME(ROLE_BROKER, ROLE_RELAY) | RELAY_NAME(ROLE_CLIENT, ROLE_RELAY_OUT) | \
	 RELAY_NAME(ROLE_SERVICE, ROLE_RELAY_SERVICE) |                                  \
	 RELAY_NAME(ROLE_BROKER_OUT, ROLE_RELAY_SERVICE_OUT))

_Static_assert(ROLE_MAX <= 16, "four bits for each");

/* relay: 0 or 1 */
static __always_inline __u32 relay__named(__u32 relay, __u32 role)
{
	return role ^ (__u32)(RELAY_NAMES >> 4 * (role & 15) & 15) * relay;
}

static __always_inline __u32 relay__role(const struct conn *c, __u32 role)
{
	return relay__named(c->relay, role);
}

#endif
