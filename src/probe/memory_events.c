// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loads bpf/cgroup.bpf.c as far as the kernel has its tracepoints. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cgroup.h"
#include "cgroup.skel.h"
#include "log.h"
#include "probe/lacks.h"
#include "probe/memory_watch.h"

struct memory_events {
	struct cgroup_bpf *skel;
	struct ring_buffer *ring;
	bool cgroups, kills;
	memory_event_fn fn;
	void *ctx;
};

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (!log_verbose || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, args);
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct memory_events *e = ctx;
	const struct cgroup_event *record = data;

	if (size >= sizeof(*record) && record->size == sizeof(*record))
		e->fn(e->ctx, record);
	return 0;
}

static bool has_tracepoint(const char *name)
{
	return libbpf_find_vmlinux_btf_id(name, BPF_TRACE_RAW_TP) > 0;
}

/*
 * Does mark_victim give the task, or a pid? Its arguments are those of btf_trace_mark_victim, after
 * the tracepoint's own. Negative errno where neither is known.
 */
static int victim_is_task(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *t;
	int id, rc = -ENOENT;

	if (!btf)
		return -errno;
	id = btf__find_by_name_kind(btf, "btf_trace_mark_victim", BTF_KIND_TYPEDEF);
	t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	t = t ? btf__type_by_id(btf, t->type) : NULL;		       /* what the typedef is */
	t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL; /* the function */
	if (t && btf_is_func_proto(t) && btf_vlen(t) >= 2) {
		t = btf__type_by_id(btf, btf_params(t)[1].type);
		rc = t && btf_is_ptr(t);
	}
	btf__free(btf);
	return rc;
}

static void choose(struct memory_events *e)
{
	int task = has_tracepoint("mark_victim") ? victim_is_task() : -ENOENT;

	e->cgroups = has_tracepoint("cgroup_mkdir") && has_tracepoint("cgroup_rmdir");
	/* Given a pid, the program looks at the task that runs. */
	if (task == 0 && !kernel__has_helper(BPF_FUNC_get_current_task_btf))
		task = -ENOENT;
	e->kills = task >= 0;
	bpf_program__set_autoload(e->skel->progs.cgroup_made, e->cgroups);
	bpf_program__set_autoload(e->skel->progs.cgroup_removed, e->cgroups);
	bpf_program__set_autoload(e->skel->progs.cgroup_entered,
				  has_tracepoint("cgroup_attach_task"));
	bpf_program__set_autoload(e->skel->progs.oom_victim_task, task == 1);
	bpf_program__set_autoload(e->skel->progs.oom_victim_pid, task == 0);
}

static int load(struct memory_events *e, int hierarchy, bool read_kernel)
{
	e->skel = cgroup_bpf__open();
	if (!e->skel)
		return -errno;
	choose(e);
	if (!e->cgroups && !e->kills)
		return -ENOENT;
	e->skel->rodata->targ_hierarchy = hierarchy;
	e->skel->rodata->targ_read_kernel = read_kernel;
	return cgroup_bpf__load(e->skel);
}

static int start(struct memory_events *e, int hierarchy)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	int err;

	libbpf_set_print(print_libbpf);
	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* counts for BPF before 5.11 only */
	err = load(e, hierarchy, true);
	if (err && err != -ENOENT) {
		cgroup_bpf__destroy(e->skel);
		err = load(e, hierarchy, false);
	}
	err = err ? err : cgroup_bpf__attach(e->skel);
	if (err)
		return err;
	e->ring = ring_buffer__new(bpf_map__fd(e->skel->maps.cgroup_events), on_record, e, NULL);
	return e->ring ? 0 : -errno;
}

struct memory_events *memory_events__open(int hierarchy, memory_event_fn fn, void *ctx)
{
	struct memory_events *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return NULL;
	e->fn = fn;
	e->ctx = ctx;
	err = start(e, hierarchy);
	if (err) {
		log_warn("cgroup and OOM events are not followed: %s; containers are looked for "
			 "once an interval, and a kill is counted without its victim, or not at "
			 "all where the container goes with it. `hopscope "
			 "doctor` tells what is missing (as a rule CAP_BPF and CAP_PERFMON)",
			 strerror(-err));
		memory_events__close(e);
		return NULL;
	}
	if (!e->cgroups)
		log_warn("this kernel has no typed cgroup_mkdir and cgroup_rmdir tracepoints: "
			 "containers are looked for once an interval");
	if (!e->kills)
		log_warn(
			"this kernel does not tell programs of OOM victims: an OOM kill is counted "
			"without its victim, or not at all where the container goes with it");
	return e;
}

void memory_events__close(struct memory_events *e)
{
	if (!e)
		return;
	ring_buffer__free(e->ring);
	cgroup_bpf__destroy(e->skel);
	free(e);
}

void memory_events__take(struct memory_events *e)
{
	ring_buffer__consume(e->ring);
}

int memory_events__fd(const struct memory_events *e)
{
	return ring_buffer__epoll_fd(e->ring);
}

uint64_t memory_events__lost(const struct memory_events *e)
{
	return e->skel->bss->lost;
}

bool memory_events__cgroups(const struct memory_events *e)
{
	return e->cgroups;
}

bool memory_events__kills(const struct memory_events *e)
{
	return e->kills;
}
