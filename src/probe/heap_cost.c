// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the probes cost: the trap of each class is measured on a function of our own when we start,
 * the program's own time is taken by itself, one hit in HEAP_TIMED. Not by the kernel's BPF
 * statistics: these cost more than what they measure, for every program on the machine.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "probe/heap_internal.h"
#include "sym/maps.h"

#define WINDOW_NS     1000000000ull
#define LOOK_AHEAD_NS 20000000.0 /* until the next look, and the probes are gone */
/* Until some hits were timed: a single one may have been interrupted. */
#define FEW	 32
#define FEW_NS	 600.0
#define ROUNDS	 7
#define ROUND_NS 2000000ull

#if defined(__x86_64__)
/* One begins with an instruction that the kernel emulates, one with one that it does not. */
asm(".text\n"
    ".p2align 4\n"
    ".type hopscope_probe_push, @function\n"
    "hopscope_probe_push:\n"
    "	push %rbp\n"
    "	mov %rsp, %rbp\n"
    "	pop %rbp\n"
    "	ret\n"
    ".size hopscope_probe_push, . - hopscope_probe_push\n"
    ".p2align 4\n"
    ".type hopscope_probe_test, @function\n"
    "hopscope_probe_test:\n"
    "	test %rdi, %rdi\n"
    "	ret\n"
    ".size hopscope_probe_test, . - hopscope_probe_test\n");
void hopscope_probe_push(void *nothing);
void hopscope_probe_test(void *nothing);
#elif defined(__aarch64__)
asm(".text\n"
    ".p2align 4\n"
    ".type hopscope_probe_push, @function\n"
    "hopscope_probe_push:\n"
    "	b 1f\n"
    "1:	ret\n"
    ".size hopscope_probe_push, . - hopscope_probe_push\n"
    ".p2align 4\n"
    ".type hopscope_probe_test, @function\n"
    "hopscope_probe_test:\n"
    "	cmp x0, #0\n"
    "	ret\n"
    ".size hopscope_probe_test, . - hopscope_probe_test\n");
void hopscope_probe_push(void *nothing);
void hopscope_probe_test(void *nothing);
#else
static __attribute__((noinline)) void hopscope_probe_push(void *nothing)
{
	asm volatile("" ::"r"(nothing));
}
#define hopscope_probe_test hopscope_probe_push
#endif

typedef void (*probed_fn)(void *);

static int file_offset(probed_fn fn, uint64_t *offset)
{
	uint64_t at = (uint64_t)(uintptr_t)fn;
	const struct map *map;
	struct maps maps;
	int err = maps__read(&maps, getpid(), true);

	if (err)
		return err;
	map = maps__find(&maps, at);
	if (map)
		*offset = at - map->start + map->offset;
	maps__free(&maps);
	return map ? 0 : -ENOENT;
}

static int attach(struct heap *h, struct uprobes *u, pid_t pid, probed_fn fn, bool both)
{
	struct uprobe_site site = {.cookie = HEAP_COOKIE(HEAP_CALIBRATE, 1, 0, 0, 0, 0)};
	const struct heap_bpf *s = h->skel;
	char path[64];
	int err = file_offset(fn, &site.offset);

	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/%d/exe", getpid());
	if (!both)
		return uprobes__attach(u, s->progs.heap_free, h->how, UPROBE_ENTRY, path, pid,
				       &site, 1);
	if (h->how == UPROBE_SESSION)
		return uprobes__attach(u, s->progs.heap_session, h->how, UPROBE_BOTH, path, pid,
				       &site, 1);
	err = uprobes__attach(u, s->progs.heap_enter, h->how, UPROBE_ENTRY, path, pid, &site, 1);
	return err ? err
		   : uprobes__attach(u, s->progs.heap_return, h->how, UPROBE_RETURN, path, pid,
				     &site, 1);
}

int heap_cost__attach(struct heap *h, struct uprobes *u, pid_t pid)
{
	return attach(h, u, pid, hopscope_probe_push, true);
}

void heap_cost__call(void)
{
	hopscope_probe_push(NULL);
}

static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median of some rounds of our own processor time: the machine does other things too. */
static double time_call(probed_fn fn)
{
	double rounds[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = thread_ns(), now, n = 0;

		do {
			for (int k = 0; k < 64; k++)
				fn(NULL);
			n += 64;
			now = thread_ns();
		} while (now - start < ROUND_NS);
		rounds[i] = (double)(now - start) / (double)n;
	}
	qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
	return rounds[ROUNDS / 2];
}

static int time_probed(struct heap *h, probed_fn fn, bool both, double *ns)
{
	struct uprobes u = {0};
	double bare = time_call(fn);
	int err = attach(h, &u, getpid(), fn, both);

	if (!err)
		*ns = time_call(fn) - bare;
	uprobes__detach(&u);
	return err;
}

int heap_cost__measure(struct heap *h)
{
	double *ns = h->cost.trap_ns, both;
	int err;

	err = time_probed(h, hopscope_probe_push, false, &ns[HEAP_EMULATED]);
	err = err ? err : time_probed(h, hopscope_probe_test, false, &ns[HEAP_STEPPED]);
	err = err ? err : time_probed(h, hopscope_probe_push, true, &both);
	if (err)
		return log_fail(err,
				"cannot probe a function of our own: %s; `hopscope doctor` "
				"tells what is in the way",
				strerror(-err));
	ns[HEAP_RETURN] = both > ns[HEAP_EMULATED] ? both - ns[HEAP_EMULATED] : 0;
	memset(h->accts, 0, h->n_cpus * sizeof(*h->accts));
	log_debug("a probe costs %.0f ns on an emulated instruction, %.0f ns on a stepped one, "
		  "%.0f ns at a return",
		  ns[HEAP_EMULATED], ns[HEAP_STEPPED], ns[HEAP_RETURN]);
	return 0;
}

/* All counters are u64: they are summed as such. */
void heap__acct(const struct heap *h, struct heap_acct *sum)
{
	uint64_t *out = (uint64_t *)sum;

	memset(sum, 0, sizeof(*sum));
	for (size_t cpu = 0; cpu < h->n_cpus; cpu++) {
		const uint64_t *in = (const uint64_t *)&h->accts[cpu];

		for (size_t i = 0; i < sizeof(*sum) / sizeof(*out); i++)
			out[i] += __atomic_load_n(&in[i], __ATOMIC_RELAXED);
	}
}

double heap_cost__of(const struct heap *h, const struct heap_acct *a)
{
	double ns = 0;

	for (int i = 0; i < HEAP_CLASSES; i++) {
		double own = ((double)a->timed_ns[i] + FEW * FEW_NS) / ((double)a->timed[i] + FEW);

		ns += (double)a->hits[i] * (h->cost.trap_ns[i] + own);
	}
	return ns;
}

/*
 * The budget holds for each second since the start. It is not waited for to be used up: what the
 * next look would find is added. There is no going on later: frees would be missed.
 */
void heap_cost__watch(struct heap *h)
{
	uint64_t now = heap__now(), hits = 0;
	double cost, used, elapsed, share;
	struct heap_acct a;

	if (h->opts.budget <= 0 || h->stopped[0])
		return;
	heap__acct(h, &a);
	for (int i = 0; i < HEAP_CLASSES; i++)
		hits += a.hits[i];
	cost = heap_cost__of(h, &a);
	used = cost - h->window_cost;
	elapsed = (double)(now - h->window_ns);
	share = elapsed > 0 ? used / elapsed : 0;
	if (used + share * LOOK_AHEAD_NS > h->opts.budget * (double)WINDOW_NS) {
		double seconds = (double)(now - h->opened_ns) / 1e9;

		__atomic_store_n(&h->skel->bss->recording, 0, __ATOMIC_RELEASE);
		heap__detach(h);
		h->stopped_ns = now;
		log_debug("detached in %.1f ms", (double)(heap__now() - now) / 1e6);
		snprintf(h->stopped, sizeof(h->stopped),
			 "stopped after %.*f s: %.0f probe hits/s cost %.*f %% of a core, budget "
			 "%g %%",
			 seconds < 1 ? 3 : 1, seconds,
			 (double)(hits - h->window_hits) / elapsed * 1e9, share < 0.1 ? 1 : 0,
			 share * 100, h->opts.budget * 100);
	} else if (now - h->window_ns >= WINDOW_NS) {
		h->window_ns = now;
		h->window_cost = cost;
		h->window_hits = hits;
	}
}
