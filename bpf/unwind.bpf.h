/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Walks user stacks in the kernel: by the tables of include/stack_walk.h where there are some for
 * the address, else by frame pointers. A stack is stored once, under the hash of its frames; what
 * is counted by stack needs only that hash. src/probe/unwind.c sizes and fills the maps.
 */
#ifndef HOPSCOPE_UNWIND_BPF_H
#define HOPSCOPE_UNWIND_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "arch.bpf.h"
#include "stack_walk.h"

/*
 * Where a walk begins: the registers of one and the same instruction, the one that is about to be
 * executed.
 *
 * Entry probes: those of pt_regs, also when the probe sits behind pushes: the row of that very pc
 * is applied. Return probes: the function has returned, so pc is the true return address (the
 * kernel has put it back in regs->ip; it is not the trampoline) and sp is that behind the `ret`,
 * which pt_regs hold too. The walk then begins in the caller; a pc of the function itself with the
 * sp of its caller would be wrong in every frame.
 */
struct unwind_start {
	__u64 pc, sp, fp;
	/*
	 * Address of the return address of pc's function, where the caller knows it: sp at a
	 * function's first byte, sp + 8 behind its first push. Used where there is no table (musl),
	 * in which case the frame pointer is still the caller's. 0: not known.
	 */
	__u64 ra_at;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* set before load */
	__type(key, __u64);
	__type(value, struct stack_val);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, struct unwind_row);
} unwind_rows SEC(".maps");

/* A search in all rows of a file touches some 16 of them, with the index 5. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, struct unwind_index);
} unwind_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64); /* set before load */
	__type(key, __u32);
	__type(value, struct unwind_process);
} unwind_processes SEC(".maps");

/* Uprobe programs can be preempted by another on the same CPU: as in lane.bpf.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STACK_LANES * 64); /* times the possible CPUs, set before load */
	__type(key, __u32);
	__type(value, struct stack_lane);
} stack_lanes SEC(".maps");

/* Only for the sake of the types' names in the kernel's BTF: not all kernels have all of it. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct return_instance___unwind {
	unsigned long stack; /* where the return address was */
	unsigned long orig_ret_vaddr;
	struct return_instance___unwind *next;
};

struct uprobe_task___unwind {
	struct return_instance___unwind *return_instances;
};

struct xol_area___unwind {
	unsigned long vaddr;
};

struct uprobes_state___unwind {
	struct xol_area___unwind *xol_area;
};

struct mm_struct___unwind {
	struct uprobes_state___unwind uprobes_state;
};

struct task_struct___unwind {
	int tgid;
	struct task_struct___unwind *real_parent;
	struct mm_struct___unwind *mm;
	struct uprobe_task___unwind *utask;
};

#pragma clang attribute pop

#define STACK_SEARCH_ROWS 24 /* halvings: 16M rows */
#define STACK_SEARCH_VMAS 9  /* UNWIND_MAX_VMAS */

/*
 * A walk. Its numbers are in the lane: what the verifier does not know, as it does not the contents
 * of maps, it need not tell apart.
 */
struct stack_walk {
	struct stack_lane *lane;
	const struct unwind_process *process; /* NULL: not known, frame pointers only */
};

static __always_inline struct stack_lane *stack__claim(void)
{
	__u32 first = bpf_get_smp_processor_id() * STACK_LANES, i, k;
	struct stack_lane *l;

	for (i = 0; i < STACK_LANES; i++) {
		k = first + i;
		l = bpf_map_lookup_elem(&stack_lanes, &k);
		if (!l)
			return NULL;
		if (!__sync_val_compare_and_swap(&l->claimed, 0, 1))
			return l;
	}
	l = bpf_map_lookup_elem(&stack_lanes, &first);
	if (l)
		__sync_fetch_and_add(&l->busy, 1);
	return NULL;
}

static __always_inline void stack__release(struct stack_lane *l)
{
	__sync_lock_test_and_set(&l->claimed, 0);
}

/* What this task's return probes wait for, innermost first; NULL: nothing, or not known. */
static __always_inline struct return_instance___unwind *returns__first(
	const struct task_struct___unwind *task)
{
	if (!bpf_core_field_exists(task->utask) || !task->utask ||
	    !bpf_core_field_exists(struct xol_area___unwind, vaddr))
		return NULL;
	return task->utask->return_instances;
}

/* What stands in the place of their return addresses. */
static __always_inline __u64 returns__trampoline(const struct task_struct___unwind *task)
{
	return task->mm->uprobes_state.xol_area->vaddr;
}

/*
 * Return probes replace return addresses on the stack by the address of a trampoline; the true ones
 * are in a list of the task's, innermost first. perf does the same since Linux 6.11 (4a365eb8a6d9
 * "perf,uprobes: fix user stack traces in the presence of pending uretprobes").
 */
static __always_inline void stack__note_returns(struct stack_lane *l,
						const struct task_struct___unwind *task)
{
	struct return_instance___unwind *ri = returns__first(task);
	__u32 i;

	l->n_returns = 0;
	l->trampoline = ri ? returns__trampoline(task) : 0;
	for (i = 0; i < STACK_RETURNS && ri; i++) {
		l->ret[i].slot = ri->stack;
		l->ret[i].pc = ri->orig_ret_vaddr;
		l->n_returns = i + 1;
		ri = ri->next;
	}
}

/* What the return probe on the function that was called with this CFA put aside; 0: none. */
static __always_inline __u64 stack__original(const struct stack_lane *l, __u64 cfa)
{
	__u32 i;

	for (i = 0; i < STACK_RETURNS; i++)
		if (i < l->n_returns && ARCH_IS_SLOT(l->ret[i].slot, cfa))
			return l->ret[i].pc;
	return 0;
}

/* Number of the mapping with this address; UNWIND_MAX_VMAS: none. */
static __always_inline __u32 stack__vma(const struct unwind_process *p, __u64 pc)
{
	__u32 lo = 0, hi = p->n, mid, i;

	for (i = 0; i < STACK_SEARCH_VMAS && lo < hi; i++) {
		mid = (lo + hi) / 2;
		if (mid >= UNWIND_MAX_VMAS)
			break;
		if (pc < p->vma[mid].start)
			hi = mid;
		else if (pc >= p->vma[mid].end)
			lo = mid + 1;
		else
			return mid;
	}
	return UNWIND_MAX_VMAS;
}

/* How many of the rows [lo, hi) begin at or before pc, plus lo. */
static __always_inline __u32 stack__search(__u32 lo, __u32 hi, __u32 pc)
{
	const struct unwind_row *row;
	__u32 mid, i;

	for (i = 0; i < STACK_SEARCH_ROWS && lo < hi; i++) {
		mid = lo + (hi - lo) / 2;
		row = bpf_map_lookup_elem(&unwind_rows, &mid);
		if (!row)
			break;
		if (row->pc <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The row of a pc: the last that does not begin behind it. */
static __always_inline const struct unwind_row *stack__row(const struct unwind_vma *v, __u32 pc)
{
	__u32 first = v->first, lo = first + v->count, page = pc >> v->shift;
	const struct unwind_index *index;

	if (page < v->pages) {
		page += v->index;
		index = bpf_map_lookup_elem(&unwind_index, &page);
		if (!index)
			return NULL;
		lo = stack__search(index->lo, index->hi, pc);
	}
	/* The range's rows may all begin behind it: then it is the one before them. */
	if (lo <= first)
		return NULL;
	lo--;
	return bpf_map_lookup_elem(&unwind_rows, &lo);
}

/* The rule for where the walk is. Rows are copied: the compiler must not read one in pieces. */
static __always_inline struct unwind_row stack__rule(const struct stack_walk *w)
{
	struct unwind_row rule = {.cfa = UNWIND_FP};
	/* A call can be a function's last instruction: what it returns to is the next function. */
	__u64 pc = w->lane->executing ? w->lane->pc : w->lane->pc - 1;
	const struct unwind_vma *vma;
	const struct unwind_row *row;
	__u32 at;

	if (!w->process)
		return rule;
	at = stack__vma(w->process, pc);
	if (at >= UNWIND_MAX_VMAS) {
		rule.cfa = UNWIND_NONE;
		return rule;
	}
	vma = &w->process->vma[at];
	if (!vma->count)
		return rule;
	row = stack__row(vma, (__u32)(pc - vma->bias));
	return row ? *row : rule;
}

static __always_inline long stack__end(struct stack_walk *w, __u32 flag)
{
	w->lane->val.flags |= flag;
	return 1;
}

/* Goes on in the caller. Its frame is above ours: a stack that goes down is none. */
static __always_inline long stack__append(struct stack_walk *w, __u64 pc, __u64 sp, __u64 fp)
{
	__u32 n = w->lane->val.n;

	if (n >= STACK_FRAMES)
		return stack__end(w, STACK_TRUNCATED);
	w->lane->val.pc[n] = pc;
	w->lane->val.n = n + 1;
	w->lane->hash = (w->lane->hash ^ pc) * 0x9fb21c651e98df25ull;
	w->lane->hash ^= w->lane->hash >> 32;
	w->lane->pc = pc;
	w->lane->sp = sp;
	w->lane->fp = fp;
	return 0;
}

/*
 * Reading memory of the process costs some 60 ns whether it is 8 bytes or 500, so frames are read
 * in chunks: from a little below the word on, to the end of its page.
 */
static __noinline long stack__read_chunk(struct stack_walk *w, __u64 at, __u64 *out)
{
	__u64 base = w->lane->sp & ~7ull, len;
	struct stack_lane *l = w->lane;

	if (at - base > 64)
		base = at - 64;
	len = (at | 4095) + 1 - base;
	if (len > sizeof(l->chunk))
		len = sizeof(l->chunk);
	l->chunk_len = 0;
	if ((at & 7) || bpf_probe_read_user(l->chunk, len, (void *)base))
		return bpf_probe_read_user(out, sizeof(*out), (void *)at);
	l->chunk_at = base;
	l->chunk_len = len;
	*out = l->chunk[(at - base) / 8 % STACK_CHUNK];
	return 0;
}

/* A word of the stack. */
static __always_inline long stack__read(struct stack_walk *w, __u64 at, __u64 *out)
{
	struct stack_lane *l = w->lane;
	__u64 off = at - l->chunk_at;

	if (off >= l->chunk_len || (at & 7))
		return stack__read_chunk(w, at, out);
	*out = l->chunk[off / 8 % STACK_CHUNK];
	return 0;
}

/* Linux's rt_sigframe on x86-64: sp points to struct ucontext, its registers begin at 40. */
static __always_inline long stack__signal(struct stack_walk *w)
{
	struct {
		__u64 rbp, rbx, rdx, rax, rcx, rsp, rip;
	} regs;

	if (bpf_probe_read_user(&regs, sizeof(regs), (void *)(w->lane->sp + 120)))
		return stack__end(w, STACK_BROKEN);
	w->lane->executing = 1;
	return stack__append(w, regs.rip, regs.rsp, regs.rbp);
}

/* One frame up; 1: that was the last. */
static long stack__step(__u32 i, struct stack_walk *w)
{
	struct unwind_row rule = stack__rule(w);
	__u64 cfa, fp = w->lane->fp, fp_at = 0, ra;

	switch (rule.cfa) {
	case UNWIND_END: return stack__end(w, 0);
	case UNWIND_CFA_SP: cfa = w->lane->sp + 8 * rule.cfa_words; break;
	case UNWIND_CFA_FP: cfa = fp + 8 * rule.cfa_words; break;
	case UNWIND_CFA_PLT:
		cfa = w->lane->sp + 8 + 8 * ((w->lane->pc & 15) >= rule.cfa_words);
		break;
	case UNWIND_FP:
		if (!i && w->lane->ra_at) {
			cfa = w->lane->ra_at + 8;
			break;
		}
		if (!fp)
			return stack__end(w, 0);
		cfa = fp + 16;
		rule.fp_words = -2;
		break;
	case UNWIND_DEREF_FP:
		fp_at = fp;
		if (stack__read(w, fp - 8 * rule.cfa_words, &cfa))
			return stack__end(w, STACK_BROKEN);
		break;
	case UNWIND_SIGNAL: return stack__signal(w);
	default: return stack__end(w, STACK_BROKEN);
	}
	if (cfa <= w->lane->sp)
		return stack__end(w, STACK_BROKEN);
	if (stack__read(w, cfa - 8, &ra))
		return stack__end(w, STACK_BROKEN);
	if (rule.fp_words)
		fp_at = cfa + 8 * (__s64)rule.fp_words;
	if (fp_at && stack__read(w, fp_at, &fp))
		return stack__end(w, STACK_BROKEN);
	ra = ARCH_CODE(ra);
	if (w->lane->n_returns && ra == w->lane->trampoline) {
		ra = stack__original(w->lane, cfa);
		if (!ra)
			return stack__end(w, STACK_BROKEN);
	}
	if (!ra)
		return stack__end(w, 0);
	w->lane->executing = 0;
	return stack__append(w, ra, cfa, fp);
}

/* Keeps a stack under its hash. -E2BIG: too many are kept. */
static __always_inline int stack__keep(struct stack_lane *l, const __u64 *hash)
{
	long err;
	__u32 i;

	if (bpf_map_lookup_elem(&stacks, hash))
		return 0;
	for (i = 0; i < STACK_FRAMES; i++)
		if (i >= l->val.n)
			l->val.pc[i] = 0;
	err = bpf_map_update_elem(&stacks, hash, &l->val, BPF_NOEXIST);
	return err && err != -17 /* -EEXIST: another CPU was faster */ ? (int)err : 0;
}

/* The tables of a process; of its parent, when it was forked and is not yet known. */
static __always_inline const struct unwind_process *stack__process(
	const struct task_struct___unwind *task, __u32 tgid)
{
	const struct unwind_process *p = bpf_map_lookup_elem(&unwind_processes, &tgid);

	if (p)
		return p;
	tgid = (__u32)task->real_parent->tgid;
	return bpf_map_lookup_elem(&unwind_processes, &tgid);
}

/*
 * Id of the current user stack, stored in `stacks`; 0: it could not be stored (counted). The id
 * names the frames' addresses: two processes can share one. For the task that runs now, with its
 * memory: uprobes (sleepable or not) and faults.
 */
static __noinline __attribute__((unused)) __u64 stack__id(const struct unwind_start *start,
							  __u32 tgid)
{
	const struct task_struct___unwind *task = (void *)bpf_get_current_task_btf();
	struct stack_lane *l = stack__claim();
	struct stack_walk w = {0};
	__u64 id;

	if (!l)
		return 0;
	stack__note_returns(l, task);
	w.lane = l;
	w.process = stack__process(task, tgid);
	l->executing = 1;
	l->ra_at = start->ra_at;
	l->hash = 0x9e3779b97f4a7c15ull;
	l->val.n = 0;
	l->val.flags = 0;
	l->chunk_len = 0;
	stack__append(&w, start->pc, start->sp, start->fp);
	bpf_loop(STACK_FRAMES, stack__step, &w, 0);
	id = (l->hash ^ l->val.flags) * 0xd6e8feb86659fd93ull;
	id ^= id >> 32;
	id += !id; /* 0 is no stack */
	l->acct.walks++;
	l->acct.truncated += !!(l->val.flags & STACK_TRUNCATED);
	l->acct.broken += !!(l->val.flags & STACK_BROKEN);
	if (stack__keep(l, &id)) {
		l->acct.lost++;
		id = 0;
	}
	stack__release(l);
	return id;
}

#endif
