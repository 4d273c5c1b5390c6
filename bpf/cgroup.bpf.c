// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What happens to memory cgroups between two readings: made, removed, a task chosen by the OOM
 * killer. Each program is loaded only where the kernel has its tracepoint (src/probe/
 * memory_events.c). Kernel memory is read through typed pointers only, which lockdown allows.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "cgroup.h"

#define RING_BYTES	 (256 * 1024)
#define ENTERED_AGAIN_NS 1000000000ull

/* Of the kernel's types only what is read here; what follows the ___ is no part of the name. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node___mem {
	__u64 id; /* since 5.5 */
};

struct cgroup_root___mem {
	int hierarchy_id;
};

struct cgroup___mem {
	struct kernfs_node___mem *kn;
	struct cgroup_root___mem *root;
};

struct cgroup_subsys_state___mem {
	struct cgroup___mem *cgroup;
};

struct css_set___mem {
	struct cgroup_subsys_state___mem *subsys[16];
};

typedef struct {
	long counter;
} atomic_long___mem;

struct page_counter___mem {
	atomic_long___mem usage;
};

struct mem_cgroup___mem {
	struct page_counter___mem memory;
};

struct percpu_counter___mem {
	__s64 count;
};

struct mm_struct___mem {
	struct percpu_counter___mem rss_stat[4];
};

/* Before 6.2, commit f1a7941243c1. */
struct mm_rss_stat___mem {
	atomic_long___mem count[4];
};

struct mm_struct___old {
	struct mm_rss_stat___mem rss_stat;
};

struct task_struct___mem {
	int pid;
	int tgid;
	char comm[CGROUP_COMM_LEN];
	struct css_set___mem *cgroups;
	struct mm_struct___mem *mm;
};

enum cgroup_subsys_id___mem { memory_cgrp_id___mem = 4 };

#pragma clang attribute pop

/* enum in include/linux/mm_types_task.h: it has no name that CO-RE could look up. */
enum { FILE_PAGES = 0, ANON_PAGES = 1, SHMEM_PAGES = 3 };

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

const volatile bool targ_read_kernel; /* bpf_probe_read_kernel() is allowed */
const volatile int targ_hierarchy;    /* of the memory controller, as in /proc/self/cgroup */

__u64 lost; /* events that the ring had no room for */
/* The last CGROUP_ENTERED. Two CPUs at once may both tell: that does no harm. */
__u64 entered, entered_ns;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} cgroup_events SEC(".maps");

static __always_inline struct cgroup_event *event__new(enum cgroup_record type)
{
	struct cgroup_event *e = bpf_ringbuf_reserve(&cgroup_events, sizeof(*e), 0);

	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->type = type;
	e->size = sizeof(*e);
	e->time_ns = bpf_ktime_get_ns();
	e->anon_pages = e->file_pages = e->shmem_pages = e->usage_pages = CGROUP_NOT_TOLD;
	return e;
}

static __always_inline int cgroup__tell(struct cgroup___mem *cgrp, enum cgroup_record type)
{
	struct cgroup_event *e;

	if (cgrp->root->hierarchy_id != targ_hierarchy)
		return 0;
	e = event__new(type);
	if (!e)
		return 0;
	e->cgroup = cgrp->kn->id;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup___mem *cgrp)
{
	return cgroup__tell(cgrp, CGROUP_MADE);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup___mem *cgrp)
{
	return cgroup__tell(cgrp, CGROUP_REMOVED);
}

/*
 * A cgroup that was empty holds a process now. Some hosts move processes all the time: the reader
 * goes on looking for a while after one that it is told of, so those close behind can be left out.
 */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_entered, struct cgroup___mem *cgrp)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 id = cgrp->kn->id;

	if (cgrp->root->hierarchy_id != targ_hierarchy ||
	    (id == entered && now - entered_ns < ENTERED_AGAIN_NS))
		return 0;
	entered = id;
	entered_ns = now;
	return cgroup__tell(cgrp, CGROUP_ENTERED);
}

/*
 * Before 6.2 the counters are atomic_long_t in an array, which the verifier does not follow through
 * a typed pointer ("Type 'atomic_long_t' is not a struct"). The helper is refused under lockdown;
 * the reader then loads the programs again without.
 */
static __always_inline __u64 counter__read(const atomic_long___mem *counter)
{
	long v;

	if (bpf_probe_read_kernel(&v, sizeof(v), counter))
		return CGROUP_NOT_TOLD;
	return v < 0 ? 0 : (__u64)v;
}

static __always_inline __u64 percpu_counter__read(const struct percpu_counter___mem *counter)
{
	__s64 v = counter->count;

	return v < 0 ? 0 : (__u64)v;
}

/* The kernel's counters as it prints them itself: what CPUs still hold back is not in there. */
static __always_inline void event__set_rss(struct cgroup_event *e, struct mm_struct___mem *mm)
{
	struct mm_struct___old *old = (void *)mm;

	if (!mm)
		return;
	if (bpf_core_field_exists(mm->rss_stat[0].count)) {
		e->file_pages = percpu_counter__read(&mm->rss_stat[FILE_PAGES]);
		e->anon_pages = percpu_counter__read(&mm->rss_stat[ANON_PAGES]);
		e->shmem_pages = percpu_counter__read(&mm->rss_stat[SHMEM_PAGES]);
	} else if (targ_read_kernel && bpf_core_field_exists(old->rss_stat.count)) {
		e->file_pages = counter__read(&old->rss_stat.count[FILE_PAGES]);
		e->anon_pages = counter__read(&old->rss_stat.count[ANON_PAGES]);
		e->shmem_pages = counter__read(&old->rss_stat.count[SHMEM_PAGES]);
	}
}

static __always_inline void event__set_cgroup(struct cgroup_event *e, struct task_struct___mem *t)
{
	struct cgroup_subsys_state___mem *css;
	struct mem_cgroup___mem *memcg;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id___mem, memory_cgrp_id___mem))
		return;
	css = t->cgroups->subsys[bpf_core_enum_value(enum cgroup_subsys_id___mem,
						     memory_cgrp_id___mem)];
	if (!css)
		return;
	e->cgroup = css->cgroup->kn->id;
	/* struct mem_cgroup begins with its css. */
	if (bpf_rdonly_cast && bpf_core_type_exists(struct mem_cgroup___mem)) {
		memcg = bpf_rdonly_cast(css, bpf_core_type_id_kernel(struct mem_cgroup___mem));
		e->usage_pages = (__u64)memcg->memory.usage.counter;
	}
}

static __always_inline void event__set_victim(struct cgroup_event *e, struct task_struct___mem *t)
{
	__u64 *to = (__u64 *)e->comm;

	e->pid = (__u32)t->tgid;
	to[0] = *(__u64 *)&t->comm[0];
	to[1] = *(__u64 *)&t->comm[8];
	event__set_rss(e, t->mm);
	event__set_cgroup(e, t);
}

/* Newer kernels give the tracepoint the task (commit 72ba14deb40a) ... */
SEC("tp_btf/mark_victim")
int BPF_PROG(oom_victim_task, struct task_struct___mem *task)
{
	struct cgroup_event *e = event__new(CGROUP_OOM_VICTIM);

	if (!e)
		return 0;
	event__set_victim(e, task);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* ... older ones a thread's id. More is known when it is the task that asked for memory. */
SEC("tp_btf/mark_victim")
int BPF_PROG(oom_victim_pid, int pid)
{
	struct task_struct___mem *task = (void *)bpf_get_current_task_btf();
	struct cgroup_event *e = event__new(CGROUP_OOM_VICTIM);

	if (!e)
		return 0;
	e->pid = (__u32)pid;
	if (task->pid == pid)
		event__set_victim(e, task);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
