// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "empty.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <unistd.h>

#include "probe/cgroup2.h"

static const enum bpf_attach_type types[2] = {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS};

int empty__open(struct empty *e)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};

	for (int i = 0; i < 2; i++) {
		LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = types[i]);

		e->link[i] = -1;
		e->prog[i] =
			bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "empty", "GPL", insns, 2, &opts);
		if (e->prog[i] < 0)
			return -errno;
	}
	return 0;
}

int empty__attach(struct empty *e)
{
	int fd = open(cgroup2__mount(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	for (int i = 0; i < 2 && !err; i++) {
		e->link[i] = bpf_link_create(e->prog[i], fd, types[i], NULL);
		if (e->link[i] < 0)
			err = -errno;
	}
	close(fd);
	return err;
}

void empty__detach(struct empty *e)
{
	for (int i = 0; i < 2; i++) {
		if (e->link[i] >= 0)
			close(e->link[i]);
		e->link[i] = -1;
	}
}

void empty__close(struct empty *e)
{
	empty__detach(e);
	for (int i = 0; i < 2; i++) {
		if (e->prog[i] >= 0)
			close(e->prog[i]);
	}
}

void empty__cost(const struct empty *e, uint64_t *runs, uint64_t *ns)
{
	*runs = *ns = 0;
	for (int i = 0; i < 2; i++) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(e->prog[i], &info, &len))
			continue;
		*runs += info.run_cnt;
		*ns += info.run_time_ns;
	}
}
