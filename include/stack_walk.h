/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Unwind tables, shared by bpf/unwind.bpf.h (walks stacks with them) and src/sym/ (makes them from
 * .eh_frame): for each range of a file's addresses, how to find the caller's frame.
 */
#ifndef HOPSCOPE_STACK_WALK_H
#define HOPSCOPE_STACK_WALK_H

#ifndef __bpf__
#include <stdint.h>
#include <linux/types.h>
#endif

#define STACK_FRAMES 48 /* frames kept of a stack, innermost first */

enum unwind_cfa {
	UNWIND_END = 0,	     /* outermost frame: its return address is said to be undefined */
	UNWIND_CFA_SP = 1,   /* CFA = sp + 8 * cfa_words */
	UNWIND_CFA_FP = 2,   /* CFA = frame pointer + 8 * cfa_words */
	UNWIND_CFA_PLT = 3,  /* x86-64 PLT entries: sp + 8 + ((pc & 15) >= cfa_words) * 8 */
	UNWIND_FP = 4,	     /* no rule for this range: try the frame pointer chain */
	UNWIND_NONE = 5,     /* there is a rule, which a row cannot say: the walk ends, broken */
	UNWIND_SIGNAL = 6,   /* x86-64 signal return: sp points to the ucontext */
	UNWIND_DEREF_FP = 7, /* CFA = *(fp - 8 * cfa_words), caller's fp = *fp (realigned stack) */
};

/*
 * From `pc` up to the next row's. The return address is at CFA - 8. Eight bytes, because there are
 * hundreds of thousands of them and a search touches twenty.
 */
struct unwind_row {
	__u32 pc;      /* file's virtual address minus the table's base */
	__u32 cfa : 4; /* enum unwind_cfa */
	__u32 cfa_words : 16;
	__s32 fp_words : 12; /* caller's frame pointer is at CFA + 8 * fp_words; 0: unchanged */
};

_Static_assert(sizeof(struct unwind_row) == 8, "unwind row");

#define UNWIND_MAX_VMAS 256 /* executable mappings of a process that are known */

struct unwind_vma {
	__u64 start, end;
	__u64 bias;  /* pc - bias = row pc space */
	__u32 first; /* row */
	__u32 count; /* rows; 0: frame pointers */
	/* Where to search: pc >> shift counts entries of the index from `index` on. */
	__u32 index;
	__u32 pages : 27;
	__u32 shift : 5;
};

_Static_assert(sizeof(struct unwind_vma) == 40, "unwind vma");

/* The rows that begin in a range of addresses: from lo up to, not including, hi. */
struct unwind_index {
	__u32 lo, hi;
};

struct unwind_process {
	__u32 n;
	__u32 pad;
	struct unwind_vma vma[UNWIND_MAX_VMAS]; /* rising */
};

/* Value of the `stacks` map; the key is the u64 hash of the frames. */
struct stack_val {
	__u32 n;
	__u32 flags; /* enum stack_flag */
	__u64 pc[STACK_FRAMES];
};

enum stack_flag {
	STACK_TRUNCATED = 1 << 0, /* more frames than STACK_FRAMES */
	STACK_BROKEN = 1 << 1,	  /* the walk ended where it should not have: no rule, unreadable */
};

/* Counters of stack walks, by lane. */
struct stack_acct {
	__u64 walks;
	__u64 truncated;
	__u64 broken;
	__u64 lost; /* `stacks` was full: counted under stack id 0 */
};

/* A return address that the kernel put aside for a return probe, and where it was. */
struct stack_return {
	__u64 slot;
	__u64 pc;
};

#define STACK_LANES   4	 /* walks that can be under way on one CPU */
#define STACK_RETURNS 16 /* pending return probes of a thread that are known to a walk */
#define STACK_CHUNK   64 /* words of the stack that are read at once */

/* Scratch memory and counters that one walk has for itself. */
struct stack_lane {
	__u64 claimed;
	__u64 busy; /* walks that found no free lane; in a CPU's first lane only, atomic */
	struct stack_acct acct;
	__u64 trampoline; /* what return probes put in place of return addresses */
	__u32 n_returns;
	__u32 executing;			/* pc is where it executes, not a return address */
	__u64 pc, sp, fp;			/* where the walk is */
	__u64 ra_at;				/* as in struct unwind_start */
	__u64 hash;				/* of the frames so far */
	struct stack_return ret[STACK_RETURNS]; /* innermost first */
	struct stack_val val;
	__u64 chunk_at;	 /* address of the stack's words below */
	__u64 chunk_len; /* bytes */
	__u64 chunk[STACK_CHUNK];
};

#endif
