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

/*
 * The same where answers come in the order of the requests (fifo.bpf.h): its number tells which it
 * is. `word` holds the rest, so that one compare-and-swap decides who takes it; 0: free.
 */
struct fifo_entry {
	__u64 t0;
	__u64 word; /* bytes, route, tag, flags: enum fifo_shift */
};

#define FIFO_FIRST 8

/* An exchange, taken out of its slot. */
struct exchange {
	__u64 t0;
	__u64 word;
	__u64 seq; /* its lower 15 bits are certain */
	__u32 at;  /* sequence number of its first byte */
	__u32 pad;
};

/* A request that opens one. */
struct opening {
	__u32 seq;
	__u32 waiting; /* so many requests in front of it wait for their answers */
	__u32 at;      /* sequence number of its first byte */
	__u32 pad;
	__u64 t0;
	__u64 word; /* without the tag */
};

struct answer {
	__u64 begin; /* its first byte passed; 0: no part of its own */
	__u64 end;
	__u64 bytes;
	__u32 status;
	__u32 at; /* sequence number behind its last byte; 0: not known */
};

struct overflow_key {
	__u64 cookie;
	__u64 id;
};

struct overflow_val {
	struct flight flight;
	__u64 cgroup;
	__u32 proto;
	__u32 relay; /* its process is a forwarder */
};

#endif
