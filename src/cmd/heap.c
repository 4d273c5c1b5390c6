// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hopscope heap: who holds the memory. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "heap/outputs.h"
#include "heap/target.h"
#include "heap/watch.h"
#include "log.h"
#include "out/heap_json.h"
#include "out/heap_table.h"
#include "out/table.h"
#include "out/text.h"
#include "probe/confine.h"
#include "probe/filter.h"

#define BUDGET_DEFAULT 0.01

struct heap_args {
	pid_t pid;
	const char *container;
	const char *records[2]; /* what is read instead of a process */
	struct heap_watch_opts watch;
	struct heap_outputs outputs;
	struct heap_table_opts table;
	enum heap_sort sort; /* 0: by bytes, or what grew */
	double budget;	     /* NaN: the default */
	bool json, grown, comparing, from;
};

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
	/* The second one ends the process where it is: the kernel detaches what it held. */
	if (stop_signal)
		_Exit(128 + sig);
	stop_signal = sig;
}

static const char usage_text[] =
	"usage: hopscope heap PID [options]\n"
	"       hopscope heap --container NAME [options]\n"
	"       hopscope heap --diff A.json B.json [options]\n"
	"       hopscope heap --from A.json [options]\n"
	"\n"
	"Who holds the memory of a process: by stack, what was taken since the attach and is not\n"
	"given back. Children are followed.\n"
	"\n"
	"      --pages          pages by the stack that first wrote to them (default): for any\n"
	"                       program and allocator; the size is right, the blame biased\n"
	"      --allocs         blocks by the stack that allocated them: the allocator is probed\n"
	"      --sample BYTES   mean bytes between samples, 4k or 1m too (default: 64k of\n"
	"                       allocations, one page in 16)\n"
	"      --exact          no sampling: every allocation, every page\n"
	"      --budget PERCENT of a core that --allocs may cost, then it detaches itself\n"
	"                       (default 1; with --exact none; 0: none)\n"
	"      --binary PATH    where the allocator is, if it is not found by itself\n"
	"  -d, --duration S     stop after S seconds (default: Ctrl-C, which reports)\n"
	"  -i, --interval S     report every S seconds, too (default: only at the end)\n"
	"  -n, --rows N         sites a table (default 20, 0: all)\n"
	"      --frames N       callers below each site (default 4, 0: all)\n"
	"  -s, --sort KEY       bytes, grown, blocks or age\n"
	"      --grown          what grew in the later half of the watch, not what is held\n"
	"      --json           one JSON object a report, the last one for the whole watch\n"
	"      --folded FILE    folded stacks (flamegraph.pl, speedscope); -: standard output\n"
	"      --flame FILE     flame graph: FILE.svg, or a page FILE.html\n"
	"      --pprof FILE     for go tool pprof, speedscope, ...: FILE.pb.gz\n"
	"      --record FILE    the whole as JSON, a line a report, for --diff\n"
	"      --diff A B       what grew between two records; A@3 is the third line of A\n"
	"      --from A         prints a record again\n"
	"      --host-root DIR  where the host's files are seen, for names of containers\n"
	"  -q, -v, -h           quiet, verbose, help\n"
	"\n"
	"Needs CAP_BPF and CAP_PERFMON, for other users' processes CAP_SYS_PTRACE; --allocs "
	"that,\n"
	"CAP_CHECKPOINT_RESTORE and CAP_DAC_READ_SEARCH, which also gives containers their "
	"names.\n"
	"\n"
	"exit codes: 0 reported, also when the process ended meanwhile; 1 a run-time error; 2 "
	"usage\n";

enum {
	OPT_PAGES = 1,
	OPT_ALLOCS,
	OPT_SAMPLE,
	OPT_EXACT,
	OPT_BUDGET,
	OPT_BINARY,
	OPT_FRAMES,
	OPT_GROWN,
	OPT_JSON,
	OPT_FOLDED,
	OPT_FLAME,
	OPT_PPROF,
	OPT_RECORD,
	OPT_DIFF,
	OPT_FROM,
	OPT_CONTAINER,
	OPT_HOST_ROOT,
};

static const struct option options[] = {
	{"pages", no_argument, NULL, OPT_PAGES},
	{"allocs", no_argument, NULL, OPT_ALLOCS},
	{"sample", required_argument, NULL, OPT_SAMPLE},
	{"exact", no_argument, NULL, OPT_EXACT},
	{"budget", required_argument, NULL, OPT_BUDGET},
	{"binary", required_argument, NULL, OPT_BINARY},
	{"duration", required_argument, NULL, 'd'},
	{"interval", required_argument, NULL, 'i'},
	{"rows", required_argument, NULL, 'n'},
	{"frames", required_argument, NULL, OPT_FRAMES},
	{"sort", required_argument, NULL, 's'},
	{"grown", no_argument, NULL, OPT_GROWN},
	{"json", no_argument, NULL, OPT_JSON},
	{"folded", required_argument, NULL, OPT_FOLDED},
	{"flame", required_argument, NULL, OPT_FLAME},
	{"pprof", required_argument, NULL, OPT_PPROF},
	{"record", required_argument, NULL, OPT_RECORD},
	{"diff", no_argument, NULL, OPT_DIFF},
	{"from", no_argument, NULL, OPT_FROM},
	{"container", required_argument, NULL, OPT_CONTAINER},
	{"host-root", required_argument, NULL, OPT_HOST_ROOT},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{},
};

/* ---- the command line */

static int set_count(const char *option, const char *arg, unsigned int *out)
{
	double v;
	int err = filter__real(option, arg, 0, 1e6, &v);

	if (!err && v != floor(v))
		err = log_fail(-EINVAL, "%s: '%s' is not a whole number", option, arg);
	*out = err ? 0 : (unsigned int)v;
	return err;
}

/* "4096", "512k", "1m". */
static int set_bytes(const char *option, const char *arg, uint64_t *out)
{
	char *end;
	double v = strtod(arg, &end);

	if (end != arg && (*end == 'k' || *end == 'K'))
		v *= 1 << 10, end++;
	else if (end != arg && (*end == 'm' || *end == 'M'))
		v *= 1 << 20, end++;
	if (end == arg || *end || !(v >= 1 && v <= 1e12))
		return log_fail(-EINVAL, "%s: '%s' is not a number of bytes (4096, 512k, 1m)",
				option, arg);
	*out = (uint64_t)v;
	return 0;
}

static int set_sort(const char *arg, enum heap_sort *out)
{
	static const char *const names[] = {"bytes", "grown", "blocks", "age"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(arg, names[i]) != 0)
			continue;
		*out = (enum heap_sort)(HEAP_SORT_BYTES + i);
		return 0;
	}
	return log_fail(-EINVAL, "--sort %s: bytes, grown, blocks or age", arg);
}

static int set_option(struct heap_args *a, int opt, const char *arg)
{
	struct heap_watch_opts *w = &a->watch;
	int err;

	switch (opt) {
	case OPT_PAGES: w->source = HEAP_PAGES; return 0;
	case OPT_ALLOCS: w->source = HEAP_ALLOCS; return 0;
	case OPT_SAMPLE: return set_bytes("--sample", arg, &w->sample_bytes);
	case OPT_EXACT: w->exact = true; return 0;
	case OPT_BUDGET:
		err = filter__real("--budget", arg, 0, 10000, &a->budget);
		a->budget /= 100;
		return err;
	case OPT_BINARY: w->binary = arg; return 0;
	case OPT_HOST_ROOT: return filter__host_root(arg, &w->host_root);
	case OPT_CONTAINER: a->container = arg; return 0;
	case OPT_FOLDED: a->outputs.out[HEAP_FOLDED].path = arg; return 0;
	case OPT_FLAME: a->outputs.out[HEAP_FLAME].path = arg; return 0;
	case OPT_PPROF: a->outputs.out[HEAP_PPROF].path = arg; return 0;
	case OPT_RECORD: a->outputs.out[HEAP_RECORD].path = arg; return 0;
	case OPT_FRAMES: return set_count("--frames", arg, &a->table.frames);
	case OPT_JSON: a->json = true; return 0;
	case OPT_GROWN: a->grown = true; return 0;
	case OPT_DIFF: a->comparing = true; return 0;
	case OPT_FROM: a->from = true; return 0;
	case 'd': return filter__real("--duration", arg, 0.1, 1e7, &w->seconds);
	case 'i': return filter__real("--interval", arg, 0.1, 86400, &w->interval);
	case 'n': return set_count("--rows", arg, &a->table.max_rows);
	case 's': return set_sort(arg, &a->sort);
	case 'q': log_quiet = true; return 0;
	case 'v': log_verbose = true; return 0;
	}
	return -EINVAL;
}

static int set_target(struct heap_args *a, int argc, char **argv)
{
	char *end;
	long pid;

	if (a->comparing || a->from) {
		if (argc != (a->comparing ? 2 : 1) || a->container || a->from == a->comparing)
			return log_fail(-EINVAL, "--diff takes two records: A.json B.json; --from "
						 "takes one");
		for (int i = 0; i < argc; i++)
			a->records[i] = argv[i];
		return 0;
	}
	if (a->container && argc)
		return log_fail(-EINVAL, "a PID or a --container, not both: '%s'", argv[0]);
	if (a->container)
		return 0;
	if (argc != 1)
		return log_fail(-EINVAL, argc ? "one PID at a time; or a --container"
					      : "which process? A PID or a --container NAME");
	errno = 0;
	pid = strtol(argv[0], &end, 10);
	if (end == argv[0] || *end || errno || pid < 1 || pid > INT32_MAX)
		return log_fail(-EINVAL, "'%s' is no PID; containers are given by --container NAME",
				argv[0]);
	a->pid = (pid_t)pid;
	return 0;
}

/* Options that contradict each other. */
static int check(struct heap_args *a)
{
	struct heap_watch_opts *w = &a->watch;
	int to_stdout = a->json;

	if (w->exact && w->sample_bytes)
		return log_fail(-EINVAL, "--exact or --sample, not both");
	if (w->source != HEAP_ALLOCS && (w->binary || !isnan(a->budget)))
		return log_fail(-EINVAL, "%s is for --allocs", w->binary ? "--binary" : "--budget");
	for (int i = 0; i < HEAP_OUTPUTS; i++)
		to_stdout += output__is_stdout(a->outputs.out[i].path);
	if (to_stdout > 1)
		return log_fail(-EINVAL, "only one of the outputs can go to standard output");
	if (w->source == HEAP_ALLOCS)
		w->budget = !isnan(a->budget) ? a->budget : w->exact ? 0 : BUDGET_DEFAULT;
	a->grown = a->grown || a->comparing;
	a->outputs.grown = a->table.grown = a->grown;
	if (!a->sort)
		a->sort = a->grown ? HEAP_SORT_GROWN : HEAP_SORT_BYTES;
	a->table.sort = a->sort;
	return 0;
}

/* 0: go on; else the exit code + 1. */
static int parse(struct heap_args *a, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "d:i:n:s:qvh", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 1 + EXIT_PASS;
		}
		if (opt == '?' || set_option(a, opt, optarg))
			return 1 + EXIT_USAGE;
	}
	if (set_target(a, argc - optind, argv + optind) || check(a))
		return 1 + EXIT_USAGE;
	return 0;
}

/* ---- what it does */

static void warn_loss(void *ctx, uint64_t n, const char *what)
{
	(void)ctx;
	log_warn("%" PRIu64 " %s", n, what);
}

/* p's text, which may hold names of others, for a terminal. */
static void warn_text(const char *s)
{
	struct text t = {0};

	text__add_printable(&t, s);
	log_warn("%s", t.data ? t.data : "?");
	text__free(&t);
}

/* What table and JSON say, and neither is printed. */
static void warn(const struct heap_profile *p)
{
	if (p->stopped[0])
		warn_text(p->stopped);
	heap_counters__losses(&p->counters, warn_loss, NULL);
	for (size_t i = 0; i < p->n_notes; i++)
		warn_text(p->notes[i]);
	if (p->notes_lost)
		log_warn("%zu more notes left out", p->notes_lost);
}

static int print_stdout(struct heap_args *a, struct heap_profile *p, bool final)
{
	int err;

	heap_profile__sort(p, a->sort);
	if (!a->json && a->watch.interval > 0)
		printf("\n");
	err = a->json ? heap_json__print(stdout, p, final)
		      : heap_table__print(stdout, p, &a->table);
	/* main() tells of other errors of standard output */
	return err == -ENOMEM ? log_fail(err, "out of memory for the report") : err;
}

/* heap_watch_fn. */
static int print(void *ctx, struct heap_profile *p, bool final)
{
	struct heap_args *a = ctx;
	int err = heap_outputs__write(&a->outputs, p, final), rc;

	if (heap_outputs__to_stdout(&a->outputs)) {
		if (final && !output__is_stdout(a->outputs.out[HEAP_RECORD].path))
			warn(p);
		return err;
	}
	rc = print_stdout(a, p, final);
	return err ? err : rc;
}

static int watch(struct heap_args *a)
{
	struct heap_watch *w = NULL;
	struct heap_target t;
	int err = a->container ? heap_target__container(&t, a->container, a->watch.host_root)
			       : heap_target__pid(&t, a->pid);

	err = err ? err : heap_watch__open(&w, &t, &a->watch);
	err = err ? err : heap_outputs__open(&a->outputs);
	err = err ? err
		  : confine__running(a->watch.source == HEAP_PAGES ? PRIVILEGES_PAGES
								   : PRIVILEGES_ALLOCS);
	if (!err) {
		log_info("watching %zu process%s%s", t.n_pids, t.n_pids == 1 ? "" : "es",
			 a->watch.seconds > 0 ? "" : "; Ctrl-C ends it and reports");
		err = heap_watch__run(w, &stop_signal, print, a);
	}
	heap_watch__close(w);
	return err;
}

static int compare(const struct heap_args *a, struct heap_profile *d,
		   const struct heap_profile p[2])
{
	int err = heap_profile__diff(d, &p[0], &p[1]);

	if (err == -EINVAL)
		return log_fail(err, "%s is of %s and %s of %s: they cannot be compared",
				a->records[0], heap_source__name(p[0].source), a->records[1],
				heap_source__name(p[1].source));
	return err ? log_fail(err, "out of memory") : 0;
}

static int render(struct heap_args *a)
{
	struct heap_profile p[2] = {}, d = {};
	char why[256];
	int err = 0;

	for (int i = 0; i < 2 && a->records[i] && !err; i++) {
		err = heap_json__load(a->records[i], &p[i], why, sizeof(why));
		if (err)
			log_fail(err, "cannot read %s: %s", a->records[i], why);
	}
	if (!err && a->comparing)
		err = compare(a, &d, p);
	err = err ? err : heap_outputs__open(&a->outputs);
	err = err ? err : print(a, a->comparing ? &d : &p[0], true);
	heap_profile__free(&d);
	heap_profile__free(&p[0]);
	heap_profile__free(&p[1]);
	return err;
}

int cmd_heap(int argc, char **argv)
{
	struct heap_args a = {.watch = {.source = HEAP_PAGES}, .budget = NAN};
	struct sigaction sa = {.sa_handler = on_signal};
	struct table_opts terminal;
	int rc, err;

	table_opts__detect(&terminal, stdout);
	a.table = (struct heap_table_opts){
		.width = terminal.width, .color = terminal.color, .max_rows = 20, .frames = 4};
	rc = parse(&a, argc, argv);
	if (rc)
		return rc - 1;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	err = a.records[0] ? render(&a) : watch(&a);
	if (heap_outputs__close(&a.outputs))
		err = -EIO;
	return err ? EXIT_RUNTIME : EXIT_PASS;
}
