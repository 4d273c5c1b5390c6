/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that our BPF programs use, and of each only the members they read. CO-RE
 * (preserve_access_index) finds the members' real offsets in the running kernel's BTF when a
 * program is loaded, so the order here does not matter and there is no need for a dump of one
 * kernel's 100,000 lines. To add a member, look at it with
 *
 *	bpftool btf dump file /sys/kernel/btf/vmlinux format c
 *
 * What is stable API (struct __sk_buff, map types, helpers' flags) comes from linux/bpf.h.
 */
#ifndef HOPSCOPE_VMLINUX_H
#define HOPSCOPE_VMLINUX_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#ifndef __bpf__
#error "for BPF programs only"
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct mm_struct;

struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct task_struct *group_leader;
	char comm[16];
	__u64 start_time;
	unsigned long nvcsw; /* times it gave up the CPU by itself */
	unsigned int __state;
};

/* Before Linux 5.14 (2f064a59a11f). */
struct task_struct___signed_state {
	long state;
};

struct sock_common {
	unsigned short skc_family;
	__u16 skc_num;	 /* local port */
	__u16 skc_dport; /* remote port, as on the wire */
};

typedef struct {
	int owned; /* a process holds the lock */
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	__u16 sk_protocol;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 srtt_us;
	__u32 copied_seq; /* what was read up to */
};

struct socket {
	struct sock *sk;
};

struct file;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

#pragma clang attribute pop

#endif
