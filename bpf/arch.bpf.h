/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a function is called and returns, where architectures differ in it. */
#ifndef HOPSCOPE_ARCH_BPF_H
#define HOPSCOPE_ARCH_BPF_H

#include "vmlinux.h"

#include <linux/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#if defined(__TARGET_ARCH_x86)

/* What the stack pointer of a function's first instruction is when it has returned. */
#define ARCH_LEFT(sp) ((sp) + sizeof(__u64))

/* Where a function will return to, in its first instructions: `pushed` bytes lie above it. */
static __always_inline long arch__caller(struct pt_regs *ctx, __u32 pushed, __u64 *caller)
{
	return bpf_probe_read_user(caller, sizeof(*caller), (void *)PT_REGS_SP(ctx) + pushed);
}

/* Is that where a return probe found the return address of the function with this CFA? */
#define ARCH_IS_SLOT(slot, cfa) ((slot) == (cfa)-8)

/* A return address as it is on the stack, to where it leads. */
#define ARCH_CODE(address) (address)

#else /* the return address is in a register: arm64 */

#define ARCH_LEFT(sp)		(sp)

static __always_inline long arch__caller(struct pt_regs *ctx, __u32 pushed, __u64 *caller)
{
	(void)pushed;
	*caller = PT_REGS_RET(ctx);
	/* The compiler would choose between registers by their place in *ctx, which is fixed. */
	asm volatile("" : "+r"(*caller));
	return 0;
}

/*
 * Return probes note the stack pointer at the entry. The pair of frame pointer and return address
 * is in the frame below it, and the caller's is above: the innermost that is not below the pair.
 */
#define ARCH_IS_SLOT(slot, cfa) ((slot) >= (cfa))

/* arm64 may sign return addresses on the stack, in the bits that no address needs. */
#define ARCH_CODE(address)	((address) & ((1ull << 48) - 1))

#endif

#endif
