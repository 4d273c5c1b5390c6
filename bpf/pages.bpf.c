// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who first wrote to a page of anonymous memory. Both programs run at every page fault of the
 * machine, so they leave early: first by the page (one in N is followed), then by the process.
 *
 * Only writes count. A read of fresh anonymous memory maps the zero page, which is nobody's memory
 * (mm/memory.c, do_anonymous_page); the write that follows faults again. A read that brings a page
 * back from swap, or answers a NUMA hint, leaves the record as it is.
 */
#include "unwind.bpf.h"

#include <bpf/bpf_core_read.h>

#include "page_fault.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The tracepoints exist on x86, and give its error code (arch/x86/include/asm/trap_pf.h). */
#define FAULT_PRESENT (1 << 0)
#define FAULT_WRITE   (1 << 1)

const volatile __u64 targ_seed;
const volatile __u64 targ_below;      /* of page__selected() */
const volatile __u32 targ_page_shift; /* of a page's size */
const volatile __u32 targ_huge_mask;  /* pages of a huge page - 1 */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* A flavour, for the part after ___ is not compared: other programs may have their own pt_regs. */
struct pt_regs___fault {
	unsigned long ip, sp, bp;
};

struct atomic___fault {
	int counter;
};

struct signal_struct___fault {
	struct atomic___fault live;
};

struct task_struct___fault {
	int tgid;
	int pagefault_disabled;
	struct signal_struct___fault *signal;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct page_process);
} page_processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20); /* set before load */
	__type(key, struct page_key);
	__type(value, struct page_val);
} pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* set before load */
	__type(key, struct page_site_key);
	__type(value, __u64); /* faults on pages of the sample */
} page_sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct page_acct);
} page_accts SEC(".maps");

static __always_inline struct page_acct *acct__get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&page_accts, &zero);
}

static __always_inline void site__count(struct page_acct *a, __u64 stack, __u32 tgid, __u32 since)
{
	struct page_site_key key = {.stack = stack, .tgid = tgid, .since = since};
	__u64 *n = bpf_map_lookup_elem(&page_sites, &key), one = 1;

	if (!n) {
		/* Two may come here at once: the second adds to what the first made. */
		if (!bpf_map_update_elem(&page_sites, &key, &one, BPF_NOEXIST))
			return;
		n = bpf_map_lookup_elem(&page_sites, &key);
	}
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		a->sites_lost++;
}

/*
 * A write to a page that is there but write-protected is copy-on-write: after a fork the memory was
 * and stays that of the first writer. It makes a new page where only the zero page was, or the page
 * was a parent's or a file's: then there is no record, or it is marked as read since.
 */
static __always_inline bool page__keeps(const struct page_val *old, __u64 error_code,
					__u64 since_ns)
{
	return old && (error_code & FAULT_PRESENT) && !(old->flags & PAGE_READ_SINCE) &&
	       old->time_ns >= since_ns;
}

static __noinline int page__record(__u64 address, struct pt_regs___fault *regs, __u64 error_code)
{
	__u64 page = address >> targ_page_shift;
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct page_key key = {.page = page, .tgid = tgid};
	struct page_process *process = bpf_map_lookup_elem(&page_processes, &tgid);
	struct page_acct *a = acct__get();
	struct unwind_start start = {};
	struct page_val val = {}, *old;

	if (!process || !a)
		return 0;
	old = bpf_map_lookup_elem(&pages, &key);
	if (!(error_code & FAULT_WRITE)) {
		if (old && !(error_code & FAULT_PRESENT))
			old->flags |= PAGE_READ_SINCE;
		return 0;
	}
	a->faults++;
	if (page__keeps(old, error_code, process->since_ns))
		return 0;
	start.pc = regs->ip;
	start.sp = regs->sp;
	start.fp = regs->bp;
	val.stack = stack__id(&start, process->tables);
	val.time_ns = bpf_ktime_get_ns();
	/* Each counts for N: not the first pages of huge pages, which are followed beside them. */
	if (page__selected(page, tgid, targ_seed, targ_below))
		site__count(a, val.stack, tgid, (__u32)process->since_ns);
	if (bpf_map_update_elem(&pages, &key, &val, BPF_ANY))
		a->pages_lost++;
	return 0;
}

/*
 * The first page of a huge page is always followed: memory that is touched in order brings in the
 * huge page there, with one fault for all of it, and one in N of those would be few.
 */
static __always_inline bool fault__followed(__u64 address)
{
	__u64 page = address >> targ_page_shift;
	struct page_acct *a = acct__get();

	if (a)
		a->hits++;
	return page__selected(page, bpf_get_current_pid_tgid() >> 32, targ_seed, targ_below) ||
	       !(page & targ_huge_mask);
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(page_fault_user, unsigned long address, struct pt_regs___fault *regs,
	     unsigned long error_code)
{
	if (!fault__followed(address))
		return 0;
	return page__record(address, regs, error_code);
}

/*
 * The kernel writes to the process's memory (read(2) into a fresh buffer). The user's registers are
 * those of its system call. A task that has disabled faults only tries (our own stack walk does):
 * nothing is brought in.
 */
SEC("tp_btf/page_fault_kernel")
int BPF_PROG(page_fault_kernel, unsigned long address, struct pt_regs___fault *regs,
	     unsigned long error_code)
{
	struct task_struct___fault *task;

	if ((long)address < 0 || !fault__followed(address))
		return 0;
	task = (void *)bpf_get_current_task_btf();
	if (task->pagefault_disabled)
		return 0;
	regs = (void *)bpf_task_pt_regs((void *)task);
	return page__record(address, regs, error_code);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(page_process_fork, struct task_struct___fault *parent,
	     struct task_struct___fault *child)
{
	__u32 tgid = parent->tgid, new_tgid = child->tgid;
	struct page_process *old, val = {};
	struct page_acct *a;

	if (tgid == new_tgid) /* a thread */
		return 0;
	old = bpf_map_lookup_elem(&page_processes, &tgid);
	if (!old)
		return 0;
	val.since_ns = bpf_ktime_get_ns();
	val.tables = old->tables;
	a = acct__get();
	if (bpf_map_update_elem(&page_processes, &new_tgid, &val, BPF_ANY) && a)
		a->forks_lost++;
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(page_process_exec, struct task_struct___fault *task)
{
	__u32 tgid = task->tgid;
	struct page_process *p = bpf_map_lookup_elem(&page_processes, &tgid);
	struct page_acct *a = acct__get();

	if (!p)
		return 0;
	p->since_ns = bpf_ktime_get_ns();
	p->tables = tgid;
	if (a)
		a->ended++;
	return 0;
}

/* The last thread's end is the process's: do_exit() has counted it down by then. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(page_process_exit, struct task_struct___fault *task)
{
	__u32 tgid = task->tgid;
	struct page_acct *a;

	if (!bpf_map_lookup_elem(&page_processes, &tgid) || task->signal->live.counter)
		return 0;
	/* Two that are the last ones come here both. */
	if (bpf_map_delete_elem(&page_processes, &tgid))
		return 0;
	a = acct__get();
	if (a)
		a->ended++;
	return 0;
}
