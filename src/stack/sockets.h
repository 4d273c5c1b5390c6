/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections of a cgroup, ended by the kernel (sock_diag, SOCK_DESTROY). */
#ifndef HOPSCOPE_STACK_SOCKETS_H
#define HOPSCOPE_STACK_SOCKETS_H

#include <stdint.h>

/*
 * Aborts the established TCP connections of the cgroup (v2 id) in our network namespace: the other
 * end gets a reset, our own an error. *n: how many were. 0; -EOPNOTSUPP: this kernel cannot
 * (CONFIG_INET_DIAG_DESTROY); -EPERM: no CAP_NET_ADMIN; or negative errno.
 */
int sockets__abort(uint64_t cgroup_id, unsigned int *n);

#endif
