// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/lacks.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdio.h>

#define BIT(use) (1u << (use))

enum lacks_kind { LACKS_HELPER = 1, LACKS_MAP, LACKS_TRACEPOINT };

/* `since` is for people who look for a newer kernel; nothing is decided by it. */
static const struct lacks_need {
	const char *name, *since;
	int id; /* of the helper or the type of map */
	enum lacks_kind kind;
	unsigned int uses;
} needs[] = {
	{"ring buffers", "5.8", BPF_MAP_TYPE_RINGBUF, LACKS_MAP,
	 BIT(LACKS_WIRE) | BIT(LACKS_EVENTS) | BIT(LACKS_ALLOCS)},
	{"storage of tasks", "5.11", BPF_MAP_TYPE_TASK_STORAGE, LACKS_MAP, BIT(LACKS_ALLOCS)},
	{"bpf_get_current_task_btf()", "5.11", BPF_FUNC_get_current_task_btf, LACKS_HELPER,
	 BIT(LACKS_WIRE) | BIT(LACKS_PAGES) | BIT(LACKS_ALLOCS)},
	{"bpf_for_each_map_elem()", "5.13", BPF_FUNC_for_each_map_elem, LACKS_HELPER,
	 BIT(LACKS_WIRE)},
	{"bpf_get_attach_cookie()", "5.15", BPF_FUNC_get_attach_cookie, LACKS_HELPER,
	 BIT(LACKS_ALLOCS)},
	{"bpf_task_pt_regs()", "5.15", BPF_FUNC_task_pt_regs, LACKS_HELPER, BIT(LACKS_PAGES)},
	{"bpf_loop()", "5.17", BPF_FUNC_loop, LACKS_HELPER,
	 BIT(LACKS_WIRE) | BIT(LACKS_PAGES) | BIT(LACKS_ALLOCS)},
	{"typed tracepoint tcp_destroy_sock", "5.5", 0, LACKS_TRACEPOINT, BIT(LACKS_WIRE)},
	{"typed tracepoint page_fault_user", "5.5, x86", 0, LACKS_TRACEPOINT, BIT(LACKS_PAGES)},
	{"typed tracepoint page_fault_kernel", "5.5, x86", 0, LACKS_TRACEPOINT, BIT(LACKS_PAGES)},
};

/*
 * For probes on functions, whose programs may call nearly all helpers; libbpf cannot try those of
 * tp_btf programs. Its answer is 1, 0 or that it could not try.
 */
bool kernel__has_helper(int helper)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, (enum bpf_func_id)helper, NULL) != 0;
}

static bool has(const struct lacks_need *n)
{
	const char *tracepoint = n->name;

	switch (n->kind) {
	case LACKS_HELPER: return kernel__has_helper(n->id);
	case LACKS_MAP: return libbpf_probe_bpf_map_type((enum bpf_map_type)n->id, NULL) != 0;
	default: break;
	}
	for (const char *c = n->name; *c; c++) {
		if (*c == ' ')
			tracepoint = c + 1;
	}
	return libbpf_find_vmlinux_btf_id(tracepoint, BPF_TRACE_RAW_TP) > 0;
}

size_t kernel__lacks(enum lacks_use use, char *out, size_t size)
{
	size_t used = 0, n = 0;

	out[0] = '\0';
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_KPROBE, NULL) != 1)
		return 0;
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (!(needs[i].uses & BIT(use)) || has(&needs[i]))
			continue;
		if (used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s (Linux %s)",
						 n ? ", " : "", needs[i].name, needs[i].since);
		n++;
	}
	return n;
}
