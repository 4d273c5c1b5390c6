/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Probes on functions of one process, each with a cookie: many in one link (Linux 6.6), entry and
 * return in one program that says at entry whether it wants the return (sessions, Linux 6.13), else
 * a perf event for each. By the system call, since libbpf learned of the first two only later.
 */
#ifndef HOPSCOPE_PROBE_UPROBES_H
#define HOPSCOPE_PROBE_UPROBES_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum uprobe_how {
	UPROBE_PERF = 1,
	UPROBE_MULTI = 2,
	UPROBE_SESSION = 3,
};

enum uprobe_end { UPROBE_ENTRY = 1, UPROBE_RETURN = 2, UPROBE_BOTH = 3 };

struct uprobe_site {
	uint64_t offset; /* in the file */
	uint64_t cookie;
};

struct uprobes {
	struct bpf_link **links; /* UPROBE_PERF */
	int *fds;
	size_t n_links, n_fds;
};

/* The best that this kernel has: tried, not read off its version. */
enum uprobe_how uprobes__best(void);

/* Before load: prog is for this kind of attachment. UPROBE_BOTH only with UPROBE_SESSION. */
int uprobes__prepare(struct bpf_program *prog, enum uprobe_how how, enum uprobe_end end);

/*
 * Attaches to the file at `path` as far as process pid has it mapped. Adds to *u. 0 or negative
 * errno, and then nothing of this call stays.
 */
int uprobes__attach(struct uprobes *u, const struct bpf_program *prog, enum uprobe_how how,
		    enum uprobe_end end, const char *path, pid_t pid,
		    const struct uprobe_site *sites, size_t n);
/* All of them at once, which takes no longer than one. */
void uprobes__detach(struct uprobes *u);
/* Moves them, to be detached together. 0 or -ENOMEM, and then *from keeps them. */
int uprobes__take(struct uprobes *to, struct uprobes *from);

#endif
