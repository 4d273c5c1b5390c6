/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP connections as the kernel lists them, and ended by it (sock_diag). */
#ifndef HOPSCOPE_STACK_SOCKETS_H
#define HOPSCOPE_STACK_SOCKETS_H

#include <stdint.h>

/*
 * Aborts the established TCP connections of the cgroup (v2 id) in our network namespace: the other
 * end gets a reset, our own an error. *n: how many were. 0; -EOPNOTSUPP: this kernel cannot
 * (CONFIG_INET_DIAG_DESTROY); -EPERM: no CAP_NET_ADMIN; or negative errno.
 */
int sockets__abort(uint64_t cgroup_id, unsigned int *n);

/* An established connection. IPv4 addresses are mapped ones (::ffff:192.0.2.1). */
struct socket_info {
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
	uint64_t cgroup;      /* v2 id */
	uint64_t segments;    /* sent with data, those sent again too */
	uint64_t retransmits; /* segments */
	uint32_t srtt_us;     /* smoothed round trip; 0: there was none yet */
};

/* 0; or a negative errno, which ends the walk and is its result. */
typedef int (*socket_fn)(void *ctx, const struct socket_info *s);

/* Each connection of our network namespace. 0; -EOPNOTSUPP: no cgroups of sockets here; or -errno.
 */
int sockets__each(socket_fn fn, void *ctx);

#endif
