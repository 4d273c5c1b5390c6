/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the TLS probe share. Nobody else includes this. */
#ifndef HOPSCOPE_PROBE_TLS_INTERNAL_H
#define HOPSCOPE_PROBE_TLS_INTERNAL_H

#include "probe/tls.h"
#include "probe/tls_module.h"
#include "probe/uprobes.h"
#include "tls.skel.h"

/* A file that was looked into, because some process has it mapped. */
struct tls_file {
	uint32_t major, minor;
	uint64_t inode;		   /* 0: it has changed since, and is another entry now */
	uint64_t size, mtime_ns;   /* when it was read: inodes are used again, files written to */
	char *path;		   /* as the first process saw it */
	struct tls_module *module; /* NULL: no TLS library is in it */
	struct uprobes probes;	   /* in every process that maps it, now or later */
	bool probed;
	bool refused; /* attaching failed, which was said */
};

struct tls_process {
	pid_t pid;
	uint64_t since_ns; /* of its program, as far as is known */
	bool present;	   /* in the list that is being read */
	bool wanted;	   /* filters say so; of them, its own probes: */
	struct uprobes probes;
	size_t *files; /* indexes of tls.files */
	size_t n_files;
};

struct tls {
	struct tls_bpf *skel;
	const struct wire_opts *opts;
	struct wire_names *names;
	enum uprobe_how how;
	bool attached;
	bool each;  /* probes are attached to processes one by one: filters ask for some of them */
	bool kills; /* return probes kill processes with a seccomp filter on this kernel */
	bool told;  /* that some are left out for that */
	struct bpf_link *links[4];
	struct bpf_link *sweep;
	struct tls_file *files;
	size_t n_files;
	struct tls_process *processes; /* by pid */
	size_t n_processes;
	uint64_t listed_ns; /* processes, last */
	uint64_t looked_ns; /* through all processes, last */
	uint64_t look_cost_ns;
};

uint64_t tls__now(void);

/* ---- tls_process.c */

/* Looks at every process. 0 or negative errno. */
int tls__look(struct tls *t);
/* At those that are new or were new a moment ago, and now and then at all. */
void tls__look_at_new(struct tls *t);
/* Takes out all probes and forgets the processes, not what is known of files. */
void tls__forget(struct tls *t);

/* ---- tls.c */

/* Attaches to a file's functions in process pid; 0: in all. 0 or negative errno. */
int tls__probe(struct tls *t, struct uprobes *u, const struct tls_file *f, const char *path,
	       pid_t pid);

#endif
