/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of heap --allocs share. Nobody else includes this. */
#ifndef HOPSCOPE_PROBE_HEAP_INTERNAL_H
#define HOPSCOPE_PROBE_HEAP_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>

#include "heap_record.h"
#include "heap_sample.h"
#include "probe/heap.h"
#include "probe/heap_module.h"
#include "probe/unwind.h"
#include "probe/uprobes.h"
#include "heap.skel.h"

/* What a hit costs besides the program's own time, by class. */
struct heap_cost {
	double trap_ns[HEAP_CLASSES];
};

/* A process that is watched, in one life. */
struct watched {
	pid_t pid;
	uint32_t life;
	bool asked;
	bool may_throw; /* functions that throw get no probe */
	struct uprobes probes;
	size_t *modules; /* that are probed in it: indexes of heap.modules */
	size_t n_modules;
	uint64_t mapped; /* hash of its mappings when they were last looked through */
	uint64_t since_ns;
	bool told; /* that no allocator was found in it */
};

struct heap {
	struct heap_opts opts;
	struct heap_bpf *skel;
	struct unwinder *unwinder;
	struct ring_buffer *events;
	enum uprobe_how how;
	struct bpf_link *tracepoints[3];

	struct heap_module **modules; /* every file that was looked at */
	size_t n_modules;
	uint16_t n_functions;
	struct watched *watched;
	size_t n_watched;
	char allocator[64];
	char *binary; /* opts.binary, ours */

	struct heap_acct *accts; /* mapped, n_cpus */
	size_t n_cpus;
	struct heap_site_val *sites; /* mapped, max_sites */
	size_t max_sites;
	struct heap_cost cost;
	uint64_t opened_ns, scanned_ns, window_ns, stopped_ns;
	double window_cost; /* of all hits when the window began */
	uint64_t window_hits;
	char stopped[160];

	pthread_mutex_t lock; /* all of the above, once the thread runs */
	pthread_t thread;
	sem_t begun;	/* the thread is what it will be: its priority, its capabilities */
	int thread_err; /* of that */
	bool threaded, quit;
};

uint64_t heap__now(void);

/* ---- heap_check.c: processes that must not be probed */

/* 0, -ESRCH, -EOPNOTSUPP: after a message. */
int heap__check(struct heap *h, pid_t pid);
/* Must functions that throw be left alone? */
bool heap__may_throw(const struct heap *h, pid_t pid);

/* ---- heap_cost.c */

/* Measures what probes cost here, on a function of our own. 0 or negative errno. */
int heap_cost__measure(struct heap *h);
/* Attaches the programs to that function in process pid, as an allocation. */
int heap_cost__attach(struct heap *h, struct uprobes *u, pid_t pid);
void heap_cost__call(void);

void heap__acct(const struct heap *h, struct heap_acct *sum);
/* Nanoseconds that the hits in a took. */
double heap_cost__of(const struct heap *h, const struct heap_acct *a);
/* Is the budget about to be exceeded? Then everything is detached and h->stopped says why. */
void heap_cost__watch(struct heap *h);

/* ---- heap_process.c */

/* Takes in a process under this life, probes its allocators. *n: files with an allocator in it. */
int heap__watch(struct heap *h, pid_t pid, uint32_t life, bool asked, size_t *n);
/* Why no file with an allocator was found, and what to do: written to buf, which is returned. */
const char *heap__no_allocator(const struct heap *h, pid_t pid, char *buf, size_t size);
/* Brings h->watched up to what the kernel's table says: fork, exec, exit. */
void heap__sync(struct heap *h);
/* Looks for files mapped since. */
void heap__rescan(struct heap *h);
void heap__detach(struct heap *h);

/* ---- heap_inherit.c */

/* Writes down for a child what it was forked with. */
void heap__inherit(struct heap *h, uint32_t parent, uint32_t child);
/*
 * What is kept for lives up to `newest` that are not watched: they ended. Blocks are looked through
 * when a watched one did, or a child before it inherited.
 */
void heap__reap(struct heap *h, uint32_t newest, bool ended);
/* Walks all blocks. fn returns true to take the block out. 0 or negative errno. */
typedef bool (*heap_block_fn)(void *ctx, const struct heap_block_key *key,
			      const struct heap_block *block);
int heap__each_block(struct heap *h, heap_block_fn fn, void *ctx);

#endif
