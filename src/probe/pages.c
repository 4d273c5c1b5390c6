// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/pages.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "probe/lacks.h"
#include "probe/pages_priv.h"
#include "probe/privileges.h"

#define RECORDS_MAX    (1u << 20)
#define RECORDS_MIN    (1u << 14)
#define STACKS_DEFAULT 16384
#define REFRESH_NS     (1000000000ull) /* at most: a look at a process's mappings */
#define READ_EVERY_NS  (250000000ull)  /* at most: a reading of our own; and ... */
#define READ_SHARE     100	       /* ... not more than this part of the time */
#define STATS_EVERY    32	       /* calls of pages__tend(): statistics are on during one */

uint64_t pages__now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* libbpf's own messages: the verifier's log is of use with -v only. */
static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (!log_verbose || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, args);
}

static int check_kernel(void)
{
	if (libbpf_find_vmlinux_btf_id("page_fault_user", BPF_TRACE_RAW_TP) > 0 &&
	    libbpf_find_vmlinux_btf_id("page_fault_kernel", BPF_TRACE_RAW_TP) > 0)
		return 0;
	return log_fail(-EOPNOTSUPP,
			"cannot watch page faults: this kernel has no page_fault_user and "
			"page_fault_kernel tracepoints with types (they need x86 and "
			"CONFIG_DEBUG_INFO_BTF); use --allocs");
}

/* The process of a pid, which may be a thread's. */
static int process_of(pid_t pid, uint32_t *tgid)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	*tgid = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Tgid: %u", tgid) == 1)
			break;
	}
	if (f)
		fclose(f);
	if (!*tgid)
		return log_fail(-ESRCH, "there is no process %d", pid);
	return 0;
}

/*
 * What is read of it later, said before anything is attached. CAP_PERFMON alone opens some of it on
 * newer kernels, and is given up.
 */
static int check_access(pid_t pid)
{
	char path[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		if (!stat(path, &st) && (st.st_uid == geteuid() || privilege__held(CAP_SYS_PTRACE)))
			return 0;
	} else if (errno != EACCES && errno != EPERM) {
		return 0;
	}
	return log_fail(-EPERM,
			"cannot read which pages process %d holds, as it is another user's: that "
			"needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, or root "
			"(docs/privileges.md)",
			pid);
}

/* Records that the machine's memory can need, and as many again for pages that are gone. */
static uint32_t default_records(uint32_t sample, unsigned int page_shift)
{
	struct sysinfo info = {0};
	uint64_t n = RECORDS_MAX;

	if (!sysinfo(&info))
		n = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit >> page_shift;
	n = n / sample * 2;
	return n > RECORDS_MAX ? RECORDS_MAX : n < RECORDS_MIN ? RECORDS_MIN : (uint32_t)n;
}

static int configure(struct pages *p, const struct pages_opts *o)
{
	struct pages_bpf *s = p->skel;
	uint32_t stacks = o->max_stacks ? o->max_stacks : STACKS_DEFAULT;
	int err;

	p->sample = o->sample ? o->sample : PAGES_SAMPLE_DEFAULT;
	p->no_ioctl = o->no_ioctl;
	p->page_shift = pagemap__page_shift();
	p->max_pages = o->max_pages ? o->max_pages : default_records(p->sample, p->page_shift);
	p->max_processes = bpf_map__max_entries(s->maps.page_processes);
	p->sampling.below = (1ull << 32) / p->sample;
	p->sampling.every = p->sample;
	p->sampling.huge_pages = pagemap__huge_pages();
	if (getrandom(&p->sampling.seed, sizeof(p->sampling.seed), 0) != sizeof(p->sampling.seed))
		return log_fail(-errno, "cannot read random bytes: %s", strerror(errno));
	p->processes = calloc(p->max_processes, sizeof(*p->processes));
	if (!p->processes)
		return log_fail(-ENOMEM, "out of memory");
	s->rodata->targ_seed = p->sampling.seed;
	s->rodata->targ_below = p->sampling.below;
	s->rodata->targ_page_shift = p->page_shift;
	s->rodata->targ_huge_mask = (uint32_t)p->sampling.huge_pages - 1;
	err = bpf_map__set_max_entries(s->maps.pages, p->max_pages);
	err = err ? err : bpf_map__set_max_entries(s->maps.stacks, stacks);
	err = err ? err : bpf_map__set_max_entries(s->maps.page_sites, stacks);
	return err ? log_fail(err, "cannot size the maps: %s", strerror(-err)) : 0;
}

static int load(struct pages *p)
{
	int err = pages_bpf__load(p->skel);
	char lacks[256];

	if (err && kernel__lacks(LACKS_PAGES, lacks, sizeof(lacks)))
		return log_fail(err,
				"cannot watch page faults: this kernel lacks %s; `hopscope doctor` "
				"tells what works here",
				lacks);
	if (err == -EPERM || err == -EACCES)
		return log_fail(err,
				"this kernel refused to load the page fault programs: %s; "
				"`hopscope doctor` tells which privilege or lockdown is in the way "
				"(lockdown: %s; memory lock limit before kernel 5.11)",
				strerror(-err), lockdown__mode());
	if (err)
		return log_fail(err,
				"this kernel refused to load the page fault programs: %s; run "
				"with -v for the verifier's words",
				strerror(-err));
	return 0;
}

int pages__try(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct pages_bpf *skel;
	int err;

	libbpf_set_print(print_libbpf);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	skel = pages_bpf__open();
	if (!skel)
		return -errno;
	/* What they hold is not the question, and costs memory. */
	err = bpf_map__set_max_entries(skel->maps.pages, 64);
	err = err ? err : bpf_map__set_max_entries(skel->maps.stacks, 64);
	err = err ? err : bpf_map__set_max_entries(skel->maps.page_sites, 64);
	err = err ? err : pages_bpf__load(skel);
	pages_bpf__destroy(skel);
	return err;
}

static int watch(struct pages *p, const uint32_t *tgids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct page_process val = {.tables = tgids[i]};

		if (bpf_map_update_elem(bpf_map__fd(p->skel->maps.page_processes), &tgids[i], &val,
					BPF_ANY))
			return log_fail(-errno, "cannot watch process %u: %s", tgids[i],
					strerror(errno));
	}
	return 0;
}

int pages__open(struct pages **out, const struct pages_opts *opts)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	uint32_t tgids[HEAP_MAX_PIDS];
	pid_t pids[HEAP_MAX_PIDS];
	struct pages *p = NULL;
	int err;

	*out = NULL;
	if (!opts->n_pids || opts->n_pids > HEAP_MAX_PIDS)
		return log_fail(-EINVAL, "from 1 to %d processes can be watched, not %zu",
				HEAP_MAX_PIDS, opts->n_pids);
	err = privileges__check(PRIVILEGES_PAGES);
	err = err ? err : check_kernel();
	for (size_t i = 0; !err && i < opts->n_pids; i++)
		err = process_of(opts->pids[i], &tgids[i]);
	for (size_t i = 0; !err && i < opts->n_pids; i++)
		err = check_access(opts->pids[i]);
	if (err)
		return err;
	p = calloc(1, sizeof(*p));
	if (!p)
		return log_fail(-ENOMEM, "out of memory");
	p->stats_fd = -1;
	p->ns_a_hit = NAN;
	libbpf_set_print(print_libbpf);
	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* counts for BPF before 5.11 only */
	p->skel = pages_bpf__open();
	err = p->skel ? 0
		      : log_fail(-errno, "cannot open the page fault programs: %s",
				 strerror(errno));
	err = err ? err : configure(p, opts);
	for (size_t i = 0; i < opts->n_pids; i++)
		pids[i] = (pid_t)tgids[i];
	err = err ? err : unwinder__open(&p->unwinder, p->skel->obj, pids, opts->n_pids);
	err = err ? err : load(p);
	err = err ? err : unwinder__fill(p->unwinder);
	err = err ? err : watch(p, tgids, opts->n_pids);
	if (!err) {
		err = pages_bpf__attach(p->skel);
		if (err)
			log_fail(err, "cannot attach to the page fault tracepoints: %s",
				 strerror(-err));
	}
	if (err)
		pages__close(p);
	else
		*out = p;
	return err;
}

void pages__close(struct pages *p)
{
	if (!p)
		return;
	if (p->stats_fd >= 0)
		close(p->stats_fd);
	unwinder__close(p->unwinder);
	pages_bpf__destroy(p->skel);
	heap_reading__free(&p->kept);
	free(p->processes);
	free(p);
}

double pages__sample_bytes(const struct pages *p)
{
	return p->sample > 1 ? (double)p->sample * (double)(1ull << p->page_shift) : 0;
}

/* ---- readings */

/* A copy that owns its memory. */
static int reading__copy(struct heap_reading *to, const struct heap_reading *from)
{
	size_t n_pcs = 0;
	uint64_t *pcs;

	*to = *from;
	for (size_t i = 0; i < from->n_sites; i++)
		n_pcs += from->sites[i].n_pcs;
	to->sites = malloc((from->n_sites + 1) * sizeof(*to->sites));
	to->memory = pcs = malloc((n_pcs + 1) * sizeof(*pcs));
	if (!to->sites || !pcs) {
		heap_reading__free(to);
		return -ENOMEM;
	}
	for (size_t i = 0; i < from->n_sites; i++) {
		to->sites[i] = from->sites[i];
		to->sites[i].pcs = pcs;
		for (size_t k = 0; k < from->sites[i].n_pcs; k++)
			*pcs++ = from->sites[i].pcs[k];
	}
	return 0;
}

/* The processes' last reading, taken now if there is still one to read. */
static int keep(struct pages *p)
{
	struct heap_reading r;
	int err = pages__take(p, &r);

	if (err)
		return err;
	heap_reading__free(&p->kept);
	p->kept = r;
	p->has_kept = true;
	if (r.counters.blocks_lost && !p->warned_full) {
		p->warned_full = true;
		log_warn("more pages than the table holds (%u): the rest is not attributed; follow "
			 "fewer (one in %u now)",
			 p->max_pages, p->sample);
	}
	return 0;
}

int pages__read(struct pages *p, struct heap_reading *r)
{
	int err = keep(p);

	memset(r, 0, sizeof(*r));
	if (err && !(err == -ESRCH && p->has_kept))
		return err;
	return reading__copy(r, &p->kept);
}

/* ---- tending */

/* Statistics cost every BPF program of the machine two clock reads a run: on for one call only. */
static void measure_cost(struct pages *p)
{
	const struct bpf_program *programs[2] = {p->skel->progs.page_fault_user,
						 p->skel->progs.page_fault_kernel};
	uint64_t ns = 0, runs = 0;

	if (p->stats_fd >= 0) {
		close(p->stats_fd);
		p->stats_fd = -1;
		for (int i = 0; i < 2; i++) {
			struct bpf_prog_info info = {0};
			uint32_t len = sizeof(info);

			if (bpf_obj_get_info_by_fd(bpf_program__fd(programs[i]), &info, &len))
				continue;
			ns += info.run_time_ns;
			runs += info.run_cnt;
		}
		p->ns_a_hit = runs ? (double)ns / (double)runs : NAN;
	} else if (p->tended % STATS_EVERY == 0 || isnan(p->ns_a_hit)) {
		p->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	}
	p->tended++;
}

/* Tables of what was opened since (dlopen) or is run now (exec). */
static void look_at(struct pages *p, const struct pages_process *process, uint64_t now)
{
	struct pages_look *l = &p->looks[process->tgid % PAGES_LOOKS];
	int err;

	/* A child without a program of its own is walked by its parent's tables. */
	if (process->state.tables != process->tgid ||
	    (l->tgid == process->tgid && l->since_ns == process->state.since_ns &&
	     now - l->at_ns < REFRESH_NS))
		return;
	err = unwinder__refresh(p->unwinder, (pid_t)process->tgid);
	if (err && err != -ESRCH)
		log_debug("unwind tables of process %u: %s", process->tgid, strerror(-err));
	*l = (struct pages_look){process->tgid, process->state.since_ns, now};
}

int pages__tend(struct pages *p)
{
	uint64_t now = pages__now_ns();
	int err;

	measure_cost(p);
	err = pages__list(p);
	if (err)
		return log_fail(err, "cannot read the processes that are watched: %s",
				strerror(-err));
	if (!p->n_processes)
		return -ESRCH;
	for (size_t i = 0; i < p->n_processes; i++)
		look_at(p, &p->processes[i], now);
	if (now - p->read_ns >= READ_EVERY_NS && now - p->read_ns >= READ_SHARE * p->read_cost_ns) {
		err = keep(p);
		if (err && err != -ESRCH)
			return err;
	}
	return 0;
}
