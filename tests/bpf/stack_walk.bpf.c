// SPDX-License-Identifier: GPL-2.0-only
/* Test programs: walk the stack where a uprobe fires, and tell the test its id. */
#include "vmlinux.h"

#include <linux/ptrace.h>

#include "unwind.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct hit {
	__u64 id, pc, cookie;
	__u32 tgid, tid;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} hits SEC(".maps");

__u32 targ_tgid;
__u32 targ_ra_at_sp; /* probes sit at functions' first bytes */

static __always_inline int hit__report(struct pt_regs *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct unwind_start start = {0};
	struct hit *h;

	if (targ_tgid && targ_tgid != id >> 32)
		return 0;
	start.pc = PT_REGS_IP(ctx);
	start.sp = PT_REGS_SP(ctx);
	start.fp = PT_REGS_FP(ctx);
	start.ra_at = targ_ra_at_sp ? start.sp : 0;
	h = bpf_ringbuf_reserve(&hits, sizeof(*h), 0);
	if (!h)
		return 0;
	h->tgid = id >> 32;
	h->tid = (__u32)id;
	h->pc = start.pc;
	h->cookie = bpf_get_attach_cookie(ctx);
	h->id = stack__id(&start, id >> 32);
	bpf_ringbuf_submit(h, 0);
	return 0;
}

SEC("uprobe")
int walk(struct pt_regs *ctx)
{
	return hit__report(ctx);
}

/* For links of many probes, where the kernel has them. */
SEC("uprobe")
int walk_multi(struct pt_regs *ctx)
{
	return hit__report(ctx);
}

SEC("uprobe.s")
int walk_sleepable(struct pt_regs *ctx)
{
	return hit__report(ctx);
}

SEC("uretprobe")
int walk_return(struct pt_regs *ctx)
{
	return hit__report(ctx);
}

SEC("uretprobe")
int nothing_return(struct pt_regs *ctx)
{
	return 0;
}

/* For measurements: the same without a report; the frame pointer walk of the kernel; nothing. */
SEC("uprobe")
int cost_walk(struct pt_regs *ctx)
{
	struct unwind_start start = {PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx), 0};

	stack__id(&start, bpf_get_current_pid_tgid() >> 32);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 4096);
	__uint(key_size, 4);
	__uint(value_size, STACK_FRAMES * 8);
} kernel_stacks SEC(".maps");

SEC("uprobe")
int cost_stackid(struct pt_regs *ctx)
{
	bpf_get_stackid(ctx, &kernel_stacks, BPF_F_USER_STACK);
	return 0;
}

SEC("uprobe")
int cost_nothing(struct pt_regs *ctx)
{
	return 0;
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(walk_fault, unsigned long address, struct pt_regs *regs, unsigned long error)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct unwind_start start = {0};
	struct hit *h;

	if (!targ_tgid || targ_tgid != id >> 32)
		return 0;
	start.pc = PT_REGS_IP(regs);
	start.sp = PT_REGS_SP(regs);
	start.fp = PT_REGS_FP(regs);
	h = bpf_ringbuf_reserve(&hits, sizeof(*h), 0);
	if (!h)
		return 0;
	h->tgid = id >> 32;
	h->tid = (__u32)id;
	h->pc = start.pc;
	h->cookie = address;
	h->id = stack__id(&start, id >> 32);
	bpf_ringbuf_submit(h, 0);
	return 0;
}
