/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stack of programs at uprobes. Since Linux 6.13 (commit a76ab5731e32) the JIT compiler gives
 * programs of their type one stack a processor, as if none of them could be preempted. At uprobes
 * they can, where the kernel is preemptible: then the next task's run overwrites what this one has
 * on its stack, pointers that the verifier has checked among them. Seen on Debian's 7.2: wrong
 * reads, and a panic. A program with a tail call keeps the task's own stack, so each has one that
 * is never made.
 */
#ifndef HOPSCOPE_TASK_STACK_BPF_H
#define HOPSCOPE_TASK_STACK_BPF_H

/* Never true: the verifier takes the tail call out, after it has seen it. */
const volatile bool targ_tail_call;

/*
 * First in a program, not in what it calls (there the stack may be no longer than 256 bytes). A map
 * for each: the kernel wants all programs of one to be attached in the same way.
 */
#define STACK_OF_TASK(program, ctx)                           \
	do {                                                  \
		if (targ_tail_call)                           \
			bpf_tail_call(ctx, &program##_no, 0); \
	} while (0)

#define NO_PROGRAMS(program)                           \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY); \
		__uint(max_entries, 1);                \
		__type(key, __u32);                    \
		__type(value, __u32);                  \
	} program##_no SEC(".maps")

#endif
