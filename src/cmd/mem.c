// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hopscope mem: containers, limits, growth. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "log.h"
#include "out/mem_json.h"
#include "out/mem_table.h"
#include "probe/confine.h"
#include "probe/filter.h"
#include "probe/memory.h"
#include "stack/clock.h"

struct mem {
	struct memory_opts opts;
	struct mem_table_opts table;
	double seconds;	 /* 0: until Ctrl-C */
	double interval; /* seconds between tables */
	double every;	 /* seconds between readings; 0: the default */
	bool json;
	uint32_t fail_on; /* enum memory_finding */
	struct memory *probe;
	const struct memory_snapshot *snapshot; /* the probe's */
};

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
	if (stop_signal)
		_exit(128 + sig);
	stop_signal = sig;
}

static const char usage_text[] =
	"usage: hopscope mem [options] [filters]\n"
	"\n"
	"Memory of containers (cgroup v1 or v2): usage against the limit, growth with its\n"
	"certainty, OOM kills with what was read before them.\n"
	"\n"
	"  -d, --duration S    stop after S seconds (default: Ctrl-C)\n"
	"  -i, --interval S    seconds between tables (default 1)\n"
	"      --every S       seconds between readings (default 1, or the interval when that is\n"
	"                      shorter)\n"
	"  -n, --rows N        rows a table (default 40, 0: all)\n"
	"  -s, --sort KEY      ws, usage, anon, limit (share of it), growth or name (default ws)\n"
	"      --json          one JSON object an interval, the last one for the whole run\n"
	"      --all           inner cgroups and empty ones, too\n"
	"      --fail-on LIST  of growing, near-limit, oom: exit code 3 when one was found, 4 "
	"when\n"
	"                      growth is asked for and not decided\n"
	"      --host-root DIR where the host's file system is seen (/host in a DaemonSet)\n"
	"  -q, -v, -h          quiet, verbose, help\n"
	"\n"
	"filters (each may be given several times; different kinds must all match):\n"
	"  --container NAME    containers whose name contains NAME, or whose id begins with it\n"
	"  --pod NAME          containers of this pod\n"
	"  --cgroup PATH       this cgroup of the memory hierarchy and those below it\n"
	"  --pid PID           the cgroup of this process\n"
	"\n"
	"wset: working set, usage less inactive page cache; %: of the limit. waits: share of the\n"
	"time in which some task waited for memory. growth: of anonymous memory and swap, never "
	"of\n"
	"page cache; detectable: the smallest slope that these readings could show. Following\n"
	"containers and OOM victims needs CAP_BPF and CAP_PERFMON; without, it goes by looking.\n"
	"CAP_DAC_READ_SEARCH gives them the names that runtimes keep.\n";

enum {
	OPT_JSON = 1,
	OPT_ALL,
	OPT_FAIL_ON,
	OPT_HOST_ROOT,
	OPT_CONTAINER,
	OPT_POD,
	OPT_CGROUP,
	OPT_PID,
	OPT_EVERY,
};

static const struct option options[] = {
	{"duration", required_argument, NULL, 'd'},
	{"interval", required_argument, NULL, 'i'},
	{"rows", required_argument, NULL, 'n'},
	{"sort", required_argument, NULL, 's'},
	{"every", required_argument, NULL, OPT_EVERY},
	{"json", no_argument, NULL, OPT_JSON},
	{"all", no_argument, NULL, OPT_ALL},
	{"fail-on", required_argument, NULL, OPT_FAIL_ON},
	{"host-root", required_argument, NULL, OPT_HOST_ROOT},
	{"container", required_argument, NULL, OPT_CONTAINER},
	{"pod", required_argument, NULL, OPT_POD},
	{"cgroup", required_argument, NULL, OPT_CGROUP},
	{"pid", required_argument, NULL, OPT_PID},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{},
};

static int set_rows(const char *arg, unsigned int *out)
{
	long v = filter__number("--rows", arg, 0, 100000);

	*out = v < 0 ? 0 : (unsigned int)v;
	return v < 0 ? (int)v : 0;
}

static int set_sort(const char *arg, enum memory_order *out)
{
	int by = memory_order__parse(arg);

	if (by < 0)
		return log_fail(-EINVAL, "--sort %s: ws, usage, anon, limit, growth or name", arg);
	*out = (enum memory_order)by;
	return 0;
}

static int set_fail_on(const char *arg, uint32_t *out)
{
	char list[128], *save = NULL, *word;
	unsigned int finding;

	if (strlen(arg) >= sizeof(list))
		return log_fail(-EINVAL, "--fail-on: the list is too long");
	snprintf(list, sizeof(list), "%s", arg);
	for (word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		finding = memory_finding__parse(word);
		if (!finding)
			return log_fail(-EINVAL,
					"--fail-on: '%s' is none of growing, near-limit, "
					"oom",
					word);
		*out |= finding;
	}
	return *out ? 0 : log_fail(-EINVAL, "--fail-on: the list is empty");
}

static int add_name(const char *option, const char *arg, const char **list, size_t *n)
{
	if (!*arg)
		return log_fail(-EINVAL, "%s: the name is empty", option);
	if (*n == MEMORY_MAX_FILTER)
		return log_fail(-E2BIG, "%s: at most %d of them", option, MEMORY_MAX_FILTER);
	list[(*n)++] = arg;
	return 0;
}

static int add_pid(const char *arg, struct memory_opts *o)
{
	long v = filter__number("--pid", arg, 1, INT_MAX);

	if (v < 0)
		return (int)v;
	if (o->n_pids == MEMORY_MAX_FILTER)
		return log_fail(-E2BIG, "--pid: at most %d of them", MEMORY_MAX_FILTER);
	o->pids[o->n_pids++] = (uint32_t)v;
	return 0;
}

static int set_option(struct mem *m, int opt, const char *arg)
{
	struct memory_opts *o = &m->opts;

	switch (opt) {
	case 'd': return filter__real("--duration", arg, 0.1, 1e7, &m->seconds);
	case 'i': return filter__real("--interval", arg, 0.05, 86400, &m->interval);
	case 'n': return set_rows(arg, &m->table.max_rows);
	case 's': return set_sort(arg, &m->table.sort);
	case 'q': log_quiet = true; return 0;
	case 'v': log_verbose = true; return 0;
	case OPT_EVERY: return filter__real("--every", arg, 0.05, 86400, &m->every);
	case OPT_JSON: m->json = true; return 0;
	case OPT_ALL: o->all = true; return 0;
	case OPT_FAIL_ON: return set_fail_on(arg, &m->fail_on);
	case OPT_HOST_ROOT: return filter__host_root(arg, &o->host_root);
	case OPT_CONTAINER: return add_name("--container", arg, o->containers, &o->n_containers);
	case OPT_POD: return add_name("--pod", arg, o->pods, &o->n_pods);
	case OPT_CGROUP: return add_name("--cgroup", arg, o->cgroups, &o->n_cgroups);
	case OPT_PID: return add_pid(arg, o);
	}
	return -EINVAL;
}

/* 0: go on; else the exit code + 1. */
static int parse(struct mem *m, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "d:i:n:s:qvh", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 1 + EXIT_PASS;
		}
		if (opt == '?' || set_option(m, opt, optarg))
			return 1 + EXIT_USAGE;
	}
	if (optind < argc) {
		log_fail(-EINVAL, "mem takes no argument: '%s'; see hopscope mem --help",
			 argv[optind]);
		return 1 + EXIT_USAGE;
	}
	return 0;
}

static int read_and_print(struct mem *m, bool final)
{
	int err = memory__read(m->probe, &m->snapshot);

	if (err)
		return err;
	return m->json ? mem_json__print(stdout, m->snapshot, final)
		       : mem_table__print(stdout, m->snapshot, &m->table, final);
}

static double step_of(const struct mem *m)
{
	double every = m->every > 0 ? m->every : 1;

	return every < m->interval ? every : m->interval;
}

static int watch(struct mem *m)
{
	uint64_t step = (uint64_t)(step_of(m) * 1e9), at = clock__now();
	uint64_t print = (uint64_t)(m->interval * 1e9), next = at + print;
	uint64_t end = m->seconds > 0 ? at + (uint64_t)(m->seconds * 1e9) : UINT64_MAX;
	int err = memory__read(m->probe, &m->snapshot); /* the first: nothing to tell yet */

	if (!err && m->table.redraw && !m->json)
		fputs("\033[2J", stdout);
	while (!err && !stop_signal) {
		uint64_t now = clock__now();

		/* Readings stay on the grid, also after one that was late. */
		at += step;
		while (at < now)
			at += step;
		if (at >= end)
			break;
		while (!stop_signal && clock__now() < at)
			memory__wait(m->probe, at);
		if (stop_signal)
			break;
		/* Half a step of leeway: the grids of readings and of tables need not agree. */
		if (at + step / 2 < next) {
			err = memory__read(m->probe, &m->snapshot);
			continue;
		}
		while (next < at + step / 2)
			next += print;
		err = read_and_print(m, false);
	}
	while (!err && !stop_signal && end != UINT64_MAX && clock__now() < end)
		memory__wait(m->probe, end);
	if (err)
		return err;
	memory__finish(m->probe);
	return read_and_print(m, true);
}

/* Whether one of the findings that are asked for may have been there, and nobody would know. */
static bool undecided(const struct mem *m, const struct memory_snapshot *s)
{
	bool any_read = false, any_gone = s->forgotten > 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct memory_container *c = &s->containers[i];

		/* Of one that could not be read nothing is known. */
		if (!c->first.time_ns && !c->gone)
			return true;
		if ((m->fail_on & FINDING_GROWING) && c->growth.verdict != GROWTH_STABLE)
			return true;
		any_read = any_read || c->first.time_ns;
		any_gone = any_gone || c->gone;
	}
	/* The counter of its kills went with it. */
	if ((m->fail_on & FINDING_OOM_KILL) && !s->kills_told && any_gone)
		return true;
	return !any_read;
}

/* A watch of nothing is no PASS. */
static int exit_code(const struct mem *m)
{
	const struct memory_snapshot *s = m->snapshot;
	bool filtered =
		m->opts.n_containers || m->opts.n_pods || m->opts.n_cgroups || m->opts.n_pids;

	if (!s->n && filtered) {
		log_fail(-ENOENT,
			 "no container matched the filters during the watch; `hopscope mem "
			 "--all -d 1 -n 0` lists what there is");
		return EXIT_RUNTIME;
	}
	if (!m->fail_on)
		return EXIT_PASS;
	if (memory_snapshot__findings(s) & m->fail_on)
		return EXIT_TARGET_FAILED;
	return undecided(m, s) ? EXIT_UNDECIDED : EXIT_PASS;
}

static int run(struct mem *m)
{
	int err = privileges__check(PRIVILEGES_MEM), rc;

	err = err ? err : memory__open(&m->probe, &m->opts);
	if (err)
		return EXIT_RUNTIME;
	err = confine__running(PRIVILEGES_MEM);
	if (!err) {
		log_info("watching memory%s; Ctrl-C ends it",
			 m->seconds > 0 ? "" : " until Ctrl-C");
		err = watch(m);
	}
	rc = err ? EXIT_RUNTIME : exit_code(m);
	memory__close(m->probe);
	return rc;
}

int cmd_mem(int argc, char **argv)
{
	struct mem m = {.interval = 1};
	/* No SA_RESTART: a signal ends the wait. */
	struct sigaction sa = {.sa_handler = on_signal};
	int done;

	mem_table_opts__detect(&m.table, stdout);
	m.table.max_rows = 40;
	done = parse(&m, argc, argv);
	if (done)
		return done - 1;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	return run(&m);
}
