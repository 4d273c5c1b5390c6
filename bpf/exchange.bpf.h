/* SPDX-License-Identifier: GPL-2.0-only */
/* An exchange in flight, as kept in memory. flight.bpf.h tells where and how. */
#ifndef HOPSCOPE_EXCHANGE_BPF_H
#define HOPSCOPE_EXCHANGE_BPF_H

#include "vmlinux.h"

#define FLIGHT_WAYS 4

/* Opened by a request, ended by its reply. */
struct flight {
	__u64 id; /* 0: free */
	__u64 t0;
	__u32 bytes;
	__u16 route;
	__u8 role;
	__u8 dir; /* direction of the request */
};

struct overflow_key {
	__u64 cookie;
	__u64 id;
};

struct overflow_val {
	struct flight flight;
	__u64 cgroup;
	__u64 proto;
};

#endif
