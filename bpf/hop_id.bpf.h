/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What both ends of a connection call an HTTP or Redis exchange: nothing in it travels, so it is
 * the client's port and the TCP sequence number of the request's first byte. Translated addresses
 * leave both as they are, IPv4 and IPv6 alike, and pipelines have a number for each of their
 * requests.
 */
#ifndef HOPSCOPE_HOP_ID_BPF_H
#define HOPSCOPE_HOP_ID_BPF_H

#include "conn.bpf.h"
#include "hash.bpf.h"

/* Never 0. `seq`: of the first byte. `server`: the request came in. */
static __always_inline __u64 hop__id_at(const struct conn *c, bool server, __u32 seq)
{
	__u64 whose = server ? c->port_remote : c->port_local, h;

	if (c->cookie >>
	    63) /* text of TLS: its bytes are not TCP's, and the other end has its own */
		whose = ~c->cookie;
	h = (targ_seed ^ (whose << 32 | seq)) * 0x9e3779b97f4a7c15ULL;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
	return (h ^ h >> 32) | 1;
}

#endif
