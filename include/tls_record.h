/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the probes on TLS libraries (bpf/tls.bpf.c) and their reader (src/probe/tls.c) share. */
#ifndef HOPSCOPE_TLS_RECORD_H
#define HOPSCOPE_TLS_RECORD_H

#include <linux/types.h>

/* What a probed function does with the connection that is its first argument. */
enum tls_role {
	TLS_NONE = 0,
	TLS_READ = 1,	   /* (connection, buffer, size): plaintext comes in */
	TLS_WRITE = 2,	   /* (connection, buffer, size): plaintext goes out */
	TLS_HANDSHAKE = 3, /* its system calls tell the connection's socket */
	TLS_END = 4,	   /* the connection is no more, its address may be another's next */
	TLS_CHECK = 5,	   /* nothing: for trying whether probes can be attached */
	TLS_SEND_FILE = 6, /* plaintext goes out that never was in this process's memory */
};

/* How a function tells how much it moved. */
enum tls_result {
	TLS_RETURNS = 0, /* its value, an int or ssize_t; 0 and below: nothing */
	TLS_STORES = 1,	 /* its value is above 0 when it did; how much is in *(size_t *)fourth */
};

/*
 * The cookie of a probe. `site` is the function in its file, and the file: two containers can show
 * one library under two names, and both probes are then hit by one call.
 */
#define TLS_COOKIE(role, result, wide, site) \
	((__u64)(role) | (__u64)(result) << 8 | (__u64)((wide) != 0) << 16 | (__u64)(site) << 32)
#define TLS_COOKIE_ROLE(c)   ((__u32)((c)&0xff))
#define TLS_COOKIE_RESULT(c) ((__u32)((c) >> 8 & 0xff))
#define TLS_COOKIE_WIDE(c)   ((__u32)((c) >> 16 & 1)) /* sizes are size_t, else int */
#define TLS_COOKIE_SITE(c)   ((__u32)((c) >> 32))

/* Counters; every one of them says that something was not, or not certainly, measured. */
struct tls_stats {
	__u64 conns;	    /* connections whose plaintext was read */
	__u64 conns_lost;   /* no room for one more */
	__u64 calls;	    /* reads and writes */
	__u64 calls_lost;   /* whose return was not seen, or for which there was no memory */
	__u64 guessed;	    /* connections whose socket is the one that their thread read last */
	__u64 no_socket;    /* connections that ended, their socket unknown */
	__u64 ends_lost;    /* connections that ended with exchanges that stay in flight for ever */
	__u64 execs_lost;   /* programs that began and were looked at only with all others */
	__u64 sockets_lost; /* sockets that will be called opaque, though their text was read */
};

#endif
