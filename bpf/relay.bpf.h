/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Forwarders: a process into which a verb comes on one socket and out of which the same verb goes
 * on another (socat, kubectl port-forward, an L4 proxy). Its sockets look like a broker's and a
 * client's; put into those series they would pool a hop with the whole round trip.
 */
#ifndef HOPSCOPE_RELAY_BPF_H
#define HOPSCOPE_RELAY_BPF_H

#include "nats.bpf.h"

#define VERB_PUB_IN  1
#define VERB_PUB_OUT 2
#define VERB_MSG_IN  4
#define VERB_MSG_OUT 8
#define RELAY_PUB    (VERB_PUB_IN | VERB_PUB_OUT)

/* Verbs that passed the sockets of a process. An LRU: a process that is gone is forgotten. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u32);
} relay_verbs SEC(".maps");

/* Raised whenever some process is found to be a forwarder: sockets then look again. */
__u32 relay_epoch = 1;

static __noinline void relay__add(__u32 tgid, __u32 verb)
{
	__u32 *old = bpf_map_lookup_elem(&relay_verbs, &tgid), verbs = verb;

	if (old) {
		if (*old & verb)
			return;
		verbs |= *old;
	}
	bpf_map_update_elem(&relay_verbs, &tgid, &verbs, BPF_ANY);
	if ((verbs & RELAY_PUB) == RELAY_PUB)
		__sync_fetch_and_add(&relay_epoch, 1);
}

/*
 * PUB alone decides: clients send it and brokers receive it, only a forwarder does both. (MSG in
 * and out would take a client that is a broker, or a forwarder whose PUBs we see as well.)
 */
static __always_inline void relay__note(struct nats_io *io, const struct nats_unit *u)
{
	struct conn *c = io->conn;
	__u32 verb;

	if (u->verb != NATS_PUB && u->verb != NATS_HPUB)
		return;
	verb = io->dir == OUT ? VERB_PUB_OUT : VERB_PUB_IN;
	if ((c->verbs & verb) || !c->tgid)
		return;
	c->verbs |= verb;
	relay__add(c->tgid, verb);
}

static __always_inline void relay__look(struct conn *c)
{
	__u32 now = *(volatile __u32 *)&relay_epoch, *verbs, tgid = c->tgid;

	if (c->relay_epoch == now || !tgid)
		return;
	c->relay_epoch = now;
	verbs = bpf_map_lookup_elem(&relay_verbs, &tgid);
	c->relay = verbs && (*verbs & RELAY_PUB) == RELAY_PUB;
}

static __always_inline __u32 relay__role(const struct conn *c, __u32 role)
{
	if (!c->relay)
		return role;
	switch (role) {
	case ROLE_BROKER: return ROLE_RELAY;
	case ROLE_CLIENT: return ROLE_RELAY_OUT;
	case ROLE_SERVICE: return ROLE_RELAY_SERVICE;
	case ROLE_BROKER_OUT: return ROLE_RELAY_SERVICE_OUT;
	}
	return role;
}

#endif
