/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdint.h>
#include <stdio.h>
#include "model/snapshot.h"

static void add(struct snapshot *s, const struct bpf_program *p)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	struct snapshot_program *out = &s->programs[s->n_programs];

	if (s->n_programs >= sizeof(s->programs) / sizeof(s->programs[0]) ||
	    bpf_program__fd(p) < 0 || bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
		return;
	snprintf(out->name, sizeof(out->name), "%s", bpf_program__name(p));
	out->runs = info.run_cnt;
	out->ns = info.run_time_ns;
	out->missed = info.recursion_misses;
	s->n_programs++;
}

void programs__read(const struct bpf_object *obj, struct snapshot *s)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, obj)
	{
		add(s, p);
	}
}
