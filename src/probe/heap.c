// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE /* gettid */
#include "probe/heap.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "probe/heap_internal.h"
#include "probe/lacks.h"
#include "probe/privileges.h"

#define BLOCKS_DEFAULT (1u << 20)
#define STACKS_DEFAULT 16384u
#define SITES_A_STACK  4 /* the same stack in several processes, by several functions */
#define RESCAN_NS      500000000ull
#define THREAD_WAIT_MS 10 /* at most; at first, and where the budget is short, less */

uint64_t heap__now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (!log_verbose || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, args);
}

/* ---- open */

/* An operator new of this size throws, or will not be missed: no machine has half of that left. */
static uint64_t throw_limit(void)
{
	struct sysinfo si;

	if (sysinfo(&si))
		return 1ull << 30;
	return ((uint64_t)si.totalram + si.totalswap) * si.mem_unit / 2;
}

static int prepare_programs(struct heap *h)
{
	struct heap_bpf *s = h->skel;
	bool session = h->how == UPROBE_SESSION;
	int err;

	bpf_program__set_autoload(s->progs.heap_session, session);
	bpf_program__set_autoload(s->progs.heap_enter, !session);
	bpf_program__set_autoload(s->progs.heap_return, !session);
	err = uprobes__prepare(s->progs.heap_session, UPROBE_SESSION, UPROBE_BOTH);
	err = err ? err : uprobes__prepare(s->progs.heap_enter, h->how, UPROBE_ENTRY);
	err = err ? err : uprobes__prepare(s->progs.heap_return, h->how, UPROBE_RETURN);
	return err ? err : uprobes__prepare(s->progs.heap_free, h->how, UPROBE_ENTRY);
}

static int configure(struct heap *h)
{
	uint32_t max_blocks = h->opts.max_blocks ? h->opts.max_blocks : BLOCKS_DEFAULT;
	uint32_t max_stacks = h->opts.max_stacks ? h->opts.max_stacks : STACKS_DEFAULT;
	struct heap_bpf *s = h->skel;
	int err = prepare_programs(h);

	h->max_sites = (size_t)max_stacks * SITES_A_STACK;
	h->n_cpus = (size_t)libbpf_num_possible_cpus();
	s->rodata->targ_rate = h->opts.sample_bytes;
	s->rodata->targ_max_sites = (uint32_t)h->max_sites;
	s->rodata->targ_throw_limit = throw_limit();
	heap_sample__tables((struct heap_sample_tables *)&s->rodata->targ_tables);
	err = err ? err : bpf_map__set_max_entries(s->maps.blocks, max_blocks);
	err = err ? err : bpf_map__set_max_entries(s->maps.stacks, max_stacks);
	err = err ? err : bpf_map__set_max_entries(s->maps.sites, (uint32_t)h->max_sites);
	err = err ? err : bpf_map__set_max_entries(s->maps.site_ids, (uint32_t)h->max_sites);
	err = err ? err : bpf_map__set_max_entries(s->maps.accts, (uint32_t)h->n_cpus);
	err = err ? err : bpf_map__set_max_entries(s->maps.events, (uint32_t)sysconf(_SC_PAGESIZE));
	return err ? log_fail(err, "cannot size the maps: %s", strerror(-err)) : 0;
}

static int map_memory(struct bpf_map *map, size_t bytes, void **out)
{
	*out = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (*out != MAP_FAILED)
		return 0;
	*out = NULL;
	return log_fail(-errno, "cannot map %s: %s", bpf_map__name(map), strerror(errno));
}

static int on_event(void *ctx, void *data, size_t size)
{
	(void)ctx, (void)data, (void)size; /* it woke us: that is all */
	return 0;
}

static int load(struct heap *h)
{
	char lacks[256];
	void *at;
	int err = heap_bpf__load(h->skel);

	if (err && kernel__lacks(LACKS_ALLOCS, lacks, sizeof(lacks)))
		return log_fail(err,
				"cannot watch allocations: this kernel lacks %s; `hopscope doctor` "
				"tells what works here",
				lacks);
	if (err)
		return log_fail(err,
				"this kernel refused to load the heap programs: %s; `hopscope "
				"doctor` tells which privilege or lockdown is in the way, and -v "
				"the verifier's words (lockdown: %s)",
				strerror(-err), lockdown__mode());
	err = map_memory(h->skel->maps.accts, h->n_cpus * sizeof(*h->accts), &at);
	if (err)
		return err;
	h->accts = at;
	err = map_memory(h->skel->maps.sites, h->max_sites * sizeof(*h->sites), &at);
	if (err)
		return err;
	h->sites = at;
	h->events = ring_buffer__new(bpf_map__fd(h->skel->maps.events), on_event, NULL, NULL);
	return h->events ? 0 : log_fail(-errno, "cannot read events: %s", strerror(errno));
}

/* How functions are called and return there: bpf/arch.bpf.h. */
static bool knows_machine(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	return true;
#else
	return false;
#endif
}

int heap__try(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct heap h = {.how = uprobes__best()};
	int err;

	if (!knows_machine())
		return -EOPNOTSUPP;
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	libbpf_set_print(print_libbpf);
	h.skel = heap_bpf__open();
	if (!h.skel)
		return -errno;
	err = prepare_programs(&h);
	/* What they hold is not the question, and costs memory. */
	err = err ? err : bpf_map__set_max_entries(h.skel->maps.blocks, 64);
	err = err ? err : bpf_map__set_max_entries(h.skel->maps.stacks, 64);
	err = err ? err : heap_bpf__load(h.skel);
	heap_bpf__destroy(h.skel);
	return err;
}

static int follow_processes(struct heap *h)
{
	struct bpf_program *progs[3] = {h->skel->progs.heap_fork, h->skel->progs.heap_exec,
					h->skel->progs.heap_exit};

	for (int i = 0; i < 3; i++) {
		h->tracepoints[i] = bpf_program__attach(progs[i]);
		if (!h->tracepoints[i])
			return log_fail(-errno, "cannot attach to %s: %s",
					bpf_program__name(progs[i]), strerror(errno));
	}
	return 0;
}

static int watch_all(struct heap *h)
{
	for (size_t i = 0; i < h->opts.n_pids; i++) {
		uint32_t pid = (uint32_t)h->opts.pids[i];
		struct heap_process p = {.asked = 1};
		char why[512];
		size_t n = 0;
		int err;

		p.life = __atomic_fetch_add(&h->skel->data->lives, 1, __ATOMIC_RELAXED);
		err = bpf_map__update_elem(h->skel->maps.processes, &pid, sizeof(pid), &p,
					   sizeof(p), BPF_ANY);
		if (!err)
			err = heap__watch(h, h->opts.pids[i], p.life, true, &n);
		if (err)
			return err;
		if (!n)
			return log_fail(-ENOENT, "%s",
					heap__no_allocator(h, h->opts.pids[i], why, sizeof(why)));
		if (kill(h->opts.pids[i], 0) && errno == ESRCH)
			return log_fail(-ESRCH, "process %d ended", h->opts.pids[i]);
	}
	return 0;
}

/* Forks are to be followed at once, and the budget kept, however rarely we are asked. */
static void *run(void *ctx)
{
	struct heap *h = ctx;
	int wait = h->opts.budget > 0 ? 1 : THREAD_WAIT_MS;

	/* A budget that is looked at late is overspent; where that is not allowed, so be it. */
	if (h->opts.budget > 0)
		setpriority(PRIO_PROCESS, (id_t)gettid(), -20);
	/* Capabilities are each thread's own; when the command gives up its own, it is too late. */
	h->thread_err = privileges__drop(PRIVILEGES_ALLOCS);
	sem_post(&h->begun);
	while (!__atomic_load_n(&h->quit, __ATOMIC_ACQUIRE)) {
		int n = ring_buffer__poll(h->events, wait);

		if (wait < THREAD_WAIT_MS)
			wait++;

		__atomic_store_n(&h->skel->bss->clock_ns, heap__now(), __ATOMIC_RELAXED);
		pthread_mutex_lock(&h->lock);
		if (!h->stopped[0]) {
			heap_cost__watch(h);
			if (n > 0 && !h->stopped[0])
				heap__sync(h);
		}
		pthread_mutex_unlock(&h->lock);
	}
	return NULL;
}

static int start(struct heap *h)
{
	sigset_t all, old;
	int err;

	h->opened_ns = h->scanned_ns = h->window_ns = heap__now();
	h->skel->bss->clock_ns = h->opened_ns;
	__atomic_store_n(&h->skel->bss->recording, 1, __ATOMIC_RELEASE);
	sigfillset(&all); /* signals are the command's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&h->thread, NULL, run, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return log_fail(-err, "cannot start a thread: %s", strerror(err));
	h->threaded = true;
	while (sem_wait(&h->begun) && errno == EINTR)
		;
	return h->thread_err ? log_fail(h->thread_err, "cannot give up capabilities: %s",
					strerror(-h->thread_err))
			     : 0;
}

static int open_all(struct heap *h)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	int err;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	libbpf_set_print(print_libbpf);
	h->how = uprobes__best();
	if (h->how == UPROBE_SESSION && h->opts.no_session)
		h->how = UPROBE_MULTI;
	if (h->opts.no_multi)
		h->how = UPROBE_PERF;
	h->skel = heap_bpf__open();
	if (!h->skel)
		return log_fail(-errno, "cannot open the heap programs: %s", strerror(errno));
	err = configure(h);
	err = err ? err : unwinder__open(&h->unwinder, h->skel->obj, h->opts.pids, h->opts.n_pids);
	err = err ? err : load(h);
	err = err ? err : heap_cost__measure(h);
	for (size_t i = 0; i < h->opts.n_pids && !err; i++)
		err = heap__check(h, h->opts.pids[i]);
	err = err ? err : unwinder__fill(h->unwinder);
	err = err ? err : follow_processes(h);
	err = err ? err : watch_all(h);
	return err ? err : start(h);
}

int heap__open(struct heap **out, const struct heap_opts *opts)
{
	struct heap *h;
	int err;

	*out = NULL;
	if (!knows_machine())
		return log_fail(-EOPNOTSUPP, "heap --allocs knows x86-64 and arm64 only");
	if (!opts->n_pids || opts->n_pids > HEAP_MAX_PIDS || opts->sample_bytes > SAMPLE_MAX_RATE)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return log_fail(-ENOMEM, "out of memory");
	h->opts = *opts;
	h->binary = opts->binary ? strdup(opts->binary) : NULL;
	pthread_mutex_init(&h->lock, NULL);
	sem_init(&h->begun, 0, 0);
	err = open_all(h);
	if (err) {
		heap__close(h);
		return err;
	}
	*out = h;
	return 0;
}

void heap__close(struct heap *h)
{
	if (!h)
		return;
	if (h->threaded) {
		__atomic_store_n(&h->quit, true, __ATOMIC_RELEASE);
		pthread_join(h->thread, NULL);
	}
	if (h->skel && h->skel->bss)
		__atomic_store_n(&h->skel->bss->recording, 0, __ATOMIC_RELEASE);
	heap__detach(h);
	free(h->watched);
	free(h->binary);
	for (size_t i = 0; i < h->n_modules; i++) {
		heap_module__free(h->modules[i]);
		free(h->modules[i]);
	}
	free(h->modules);
	ring_buffer__free(h->events);
	unwinder__close(h->unwinder);
	if (h->accts)
		munmap(h->accts, h->n_cpus * sizeof(*h->accts));
	if (h->sites)
		munmap(h->sites, h->max_sites * sizeof(*h->sites));
	heap_bpf__destroy(h->skel);
	pthread_mutex_destroy(&h->lock);
	sem_destroy(&h->begun);
	free(h);
}

/* ---- while it runs */

static bool all_ended(struct heap *h)
{
	uint32_t pid;

	if (!h->stopped[0])
		return bpf_map_get_next_key(bpf_map__fd(h->skel->maps.processes), NULL, &pid) != 0;
	for (size_t i = 0; i < h->opts.n_pids; i++) {
		if (!kill(h->opts.pids[i], 0) || errno != ESRCH)
			return false;
	}
	return true;
}

int heap__tend(struct heap *h)
{
	uint64_t now = heap__now();
	bool ended;

	pthread_mutex_lock(&h->lock);
	if (!h->stopped[0]) {
		heap__sync(h);
		if (now - h->scanned_ns >= RESCAN_NS) {
			heap__rescan(h);
			h->scanned_ns = now;
		}
		heap_cost__watch(h);
	}
	ended = all_ended(h);
	pthread_mutex_unlock(&h->lock);
	return ended ? -ESRCH : 0;
}

const char *heap__stopped(const struct heap *h)
{
	return h->stopped;
}

const char *heap__allocator(const struct heap *h)
{
	return h->allocator;
}

void heap__probes(const struct heap *h, heap_probe_fn fn, void *ctx)
{
	static const char *const how[] = {"", "perf events", "uprobe_multi", "session"};
	char line[512];

	for (size_t i = 0; i < h->n_modules; i++) {
		const struct heap_module *m = h->modules[i];

		for (size_t k = 0; k < m->n; k++) {
			const struct heap_function *f = &m->functions[k];

			snprintf(line, sizeof(line), "%s in %s +0x%x (%s%s), %s", f->what->symbol,
				 m->path, f->at.offset, f->at.instruction,
				 f->at.emulated ? "" : ": single-stepped", how[h->how]);
			fn(ctx, line);
		}
	}
}
