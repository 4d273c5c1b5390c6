// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/uprobes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. Values are the kernel's ABI (include/uapi/linux/bpf.h). */
#define ATTACH_UPROBE_MULTI   48
#define ATTACH_UPROBE_SESSION 57
#define MULTI_RETURN	      (1u << 0)

/* union bpf_attr for BPF_LINK_CREATE with uprobe_multi. */
struct link_create {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t n, multi_flags, pid, pad;
};

static int attach_type(enum uprobe_how how, enum uprobe_end end)
{
	if (how == UPROBE_PERF)
		return 0;
	return how == UPROBE_SESSION && end == UPROBE_BOTH ? ATTACH_UPROBE_SESSION
							   : ATTACH_UPROBE_MULTI;
}

static int link_create(int prog_fd, int type, bool at_return, const char *path, pid_t pid,
		       const uint64_t *offsets, const uint64_t *cookies, size_t n)
{
	struct link_create attr = {.prog_fd = (uint32_t)prog_fd,
				   .attach_type = (uint32_t)type,
				   .path = (uint64_t)(uintptr_t)path,
				   .offsets = (uint64_t)(uintptr_t)offsets,
				   .cookies = (uint64_t)(uintptr_t)cookies,
				   .n = (uint32_t)n,
				   .multi_flags = at_return ? MULTI_RETURN : 0,
				   .pid = (uint32_t)pid};
	long fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

/*
 * "/" is no file to probe: a kernel that knows this kind of link says EBADF. Before commit
 * 46ba0e49b642 (Linux 6.10) the pid meant the one thread; since then pid -1 is refused as such,
 * with EINVAL, before the path is looked at.
 */
static bool is_known(int type)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)type);
	uint64_t offset = 0;
	bool known;
	int fd;

	fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "GPL", nothing, 2, &opts);
	if (fd < 0)
		return false;
	known = link_create(fd, type, false, "/", 0, &offset, NULL, 1) == -EBADF &&
		link_create(fd, type, false, "/", -1, &offset, NULL, 1) == -EINVAL;
	close(fd);
	return known;
}

enum uprobe_how uprobes__best(void)
{
	if (!is_known(ATTACH_UPROBE_MULTI))
		return UPROBE_PERF;
	return is_known(ATTACH_UPROBE_SESSION) ? UPROBE_SESSION : UPROBE_MULTI;
}

int uprobes__prepare(struct bpf_program *prog, enum uprobe_how how, enum uprobe_end end)
{
	return bpf_program__set_expected_attach_type(prog,
						     (enum bpf_attach_type)attach_type(how, end));
}

static int keep_fd(struct uprobes *u, int fd)
{
	int *more = realloc(u->fds, (u->n_fds + 1) * sizeof(*more));

	if (!more) {
		close(fd);
		return -ENOMEM;
	}
	u->fds = more;
	u->fds[u->n_fds++] = fd;
	return 0;
}

static int attach_multi(struct uprobes *u, const struct bpf_program *prog, int type,
			enum uprobe_end end, const char *path, pid_t pid,
			const struct uprobe_site *sites, size_t n)
{
	uint64_t *both = calloc(2 * n, sizeof(*both));
	int fd;

	if (!both)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		both[i] = sites[i].offset;
		both[n + i] = sites[i].cookie;
	}
	fd = link_create(bpf_program__fd(prog), type, end == UPROBE_RETURN, path, pid, both,
			 both + n, n);
	free(both);
	return fd < 0 ? fd : keep_fd(u, fd);
}

static int attach_perf(struct uprobes *u, const struct bpf_program *prog, enum uprobe_end end,
		       const char *path, pid_t pid, const struct uprobe_site *site)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = end == UPROBE_RETURN,
		    .bpf_cookie = site->cookie);
	struct bpf_link **more = realloc(u->links, (u->n_links + 1) * sizeof(*more));
	struct bpf_link *link;

	if (!more)
		return -ENOMEM;
	u->links = more;
	link = bpf_program__attach_uprobe_opts(prog, pid, path, site->offset, &opts);
	if (!link)
		return -errno;
	u->links[u->n_links++] = link;
	return 0;
}

int uprobes__attach(struct uprobes *u, const struct bpf_program *prog, enum uprobe_how how,
		    enum uprobe_end end, const char *path, pid_t pid,
		    const struct uprobe_site *sites, size_t n)
{
	size_t had = u->n_links;
	int err = 0;

	if (!n)
		return 0;
	if (how != UPROBE_PERF)
		return attach_multi(u, prog, attach_type(how, end), end, path, pid, sites, n);
	for (size_t i = 0; i < n && !err; i++)
		err = attach_perf(u, prog, end, path, pid, &sites[i]);
	while (err && u->n_links > had)
		bpf_link__destroy(u->links[--u->n_links]);
	return err;
}

static void *close_fd(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

/*
 * Closing takes the probes out at once, and then waits some 30 ms for programs that may still run:
 * all side by side, or those that come last would be hit for as long as the others wait.
 */
static void close_all(const int *fds, size_t n)
{
	pthread_t *threads = calloc(n + 1, sizeof(*threads));
	bool *started = calloc(n + 1, sizeof(*started));

	for (size_t i = 0; i < n; i++) {
		void *arg = (void *)(intptr_t)fds[i];

		if (threads && started && n > 1)
			started[i] = !pthread_create(&threads[i], NULL, close_fd, arg);
		if (!started || !started[i])
			close_fd(arg);
	}
	for (size_t i = 0; i < n; i++) {
		if (started && started[i])
			pthread_join(threads[i], NULL);
	}
	free(threads);
	free(started);
}

int uprobes__take(struct uprobes *to, struct uprobes *from)
{
	struct bpf_link **links;
	int *fds;

	fds = realloc(to->fds, (to->n_fds + from->n_fds + 1) * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	to->fds = fds;
	links = realloc(to->links, (to->n_links + from->n_links + 1) * sizeof(*links));
	if (!links)
		return -ENOMEM;
	to->links = links;
	for (size_t i = 0; i < from->n_fds; i++)
		fds[to->n_fds++] = from->fds[i];
	for (size_t i = 0; i < from->n_links; i++)
		links[to->n_links++] = from->links[i];
	from->n_fds = from->n_links = 0;
	uprobes__detach(from);
	return 0;
}

void uprobes__detach(struct uprobes *u)
{
	for (size_t i = 0; i < u->n_links; i++)
		bpf_link__destroy(u->links[i]);
	close_all(u->fds, u->n_fds);
	free(u->links);
	free(u->fds);
	memset(u, 0, sizeof(*u));
}
