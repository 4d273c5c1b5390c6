// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hopscope trace: live latency by route. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "log.h"
#include "model/hist.h"
#include "out/json.h"
#include "out/table.h"
#include "out/text.h"
#include "out/tree.h"
#include "probe/filter.h"
#include "probe/wire.h"

#define NOTICE_NS 100000000ull
#define DECIDE_NS 20000000ull /* a container that is waited for is not to send unseen */
#define TLS_NS	  5000000ull  /* a program that begins is to be probed before it sends */

struct trace {
	struct wire_opts wire;
	struct filter_view view;
	struct table_opts table;
	double seconds;	 /* 0: until Ctrl-C */
	double interval; /* seconds */
	bool json;
	bool overhead;
	enum { TLS_AUTO, TLS_ON, TLS_OFF } tls;
	struct wire *probe;
	struct snapshot first, last;
};

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
	/* The second one ends the process where it is: the kernel detaches what it held. */
	if (stop_signal)
		_exit(128 + sig);
	stop_signal = sig;
}

static const char usage_text[] =
	"usage: hopscope trace [options] [filters]\n"
	"\n"
	"Latency of NATS, HTTP/1 and Redis round trips by route, live, measured in the kernel.\n"
	"\n"
	"  -d, --duration S    stop after S seconds (default: Ctrl-C)\n"
	"  -i, --interval S    seconds between tables (default 1)\n"
	"  -n, --rows N        rows a table (default 40, 0: all)\n"
	"  -s, --sort KEY      count or total (time) (default count)\n"
	"      --json          one JSON object an interval, the last one for the whole run\n"
	"      --slow MS       print every exchange that took as long\n"
	"      --sample N      print one exchange in N\n"
	"      --timeout S     an exchange older than this is unanswered (default 5)\n"
	"      --max-routes N  routes kept apart, the rest in (other) (default 256)\n"
	"      --max-series N  series kept apart (default 512)\n"
	"      --tree          where the time of a request went: calls by the request that caused\n"
	"                      them, parts that add up to the whole\n"
	"      --tls WHEN      read the text of TLS connections (OpenSSL, GnuTLS), with probes on\n"
	"                      the libraries' functions, 3 us a call: on, off, or auto (default):\n"
	"                      when --pid, --comm, --cgroup, --container or --pod say whose\n"
	"      --overhead      count what the programs cost (which makes them cost more)\n"
	"  -q, -v, -h          quiet, verbose, help\n"
	"\n" FILTER_HELP "\n"
	"roles: client (PUB out, the full round trip), broker (PUB in), broker_out (MSG out),\n"
	"service (MSG in, the responder's own time), route / route_in (between brokers),\n"
	"relay* (a forwarder's sockets); HTTP, Redis: client (request out), server (request in).\n"
	"ttfb: time to the first byte of the response. Needs CAP_BPF, CAP_PERFMON and "
	"CAP_NET_ADMIN.\n";

enum {
	OPT_JSON = 1,
	OPT_SLOW,
	OPT_SAMPLE,
	OPT_TIMEOUT,
	OPT_MAX_ROUTES,
	OPT_MAX_SERIES,
	OPT_OVERHEAD,
	OPT_TREE,
	OPT_TLS,
};

static const struct option options[] = {
	{"duration", required_argument, NULL, 'd'},
	{"interval", required_argument, NULL, 'i'},
	{"rows", required_argument, NULL, 'n'},
	{"sort", required_argument, NULL, 's'},
	{"json", no_argument, NULL, OPT_JSON},
	{"slow", required_argument, NULL, OPT_SLOW},
	{"sample", required_argument, NULL, OPT_SAMPLE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"max-routes", required_argument, NULL, OPT_MAX_ROUTES},
	{"max-series", required_argument, NULL, OPT_MAX_SERIES},
	{"overhead", no_argument, NULL, OPT_OVERHEAD},
	{"tree", no_argument, NULL, OPT_TREE},
	{"tls", required_argument, NULL, OPT_TLS},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	FILTER_LONG_OPTIONS,
	{},
};

static int set_ns(const char *option, const char *arg, double lo, double hi, double unit,
		  uint64_t *out)
{
	double v;
	int err = filter__real(option, arg, lo, hi, &v);

	*out = err ? 0 : (uint64_t)(v * unit);
	return err;
}

static int set_count(const char *option, const char *arg, long lo, long hi, uint32_t *out)
{
	long v = filter__number(option, arg, lo, hi);

	*out = v < 0 ? 0 : (uint32_t)v;
	return v < 0 ? (int)v : 0;
}

static int set_sort(const char *arg, enum snapshot_order *out)
{
	if (strcmp(arg, "count") == 0)
		*out = SNAPSHOT_BY_COUNT;
	else if (strcmp(arg, "total") == 0)
		*out = SNAPSHOT_BY_TOTAL;
	else
		return log_fail(-EINVAL, "--sort %s: count or total", arg);
	return 0;
}

static int set_tls(struct trace *t, const char *arg)
{
	if (strcmp(arg, "auto") == 0)
		t->tls = TLS_AUTO;
	else if (strcmp(arg, "on") == 0)
		t->tls = TLS_ON;
	else if (strcmp(arg, "off") == 0)
		t->tls = TLS_OFF;
	else
		return log_fail(-EINVAL, "--tls %s: on, off or auto", arg);
	return 0;
}

/* A machine's whole TLS is not slowed down without being asked. */
static bool wants_tls(const struct trace *t)
{
	const struct wire_opts *w = &t->wire;

	if (t->tls == TLS_AUTO)
		return w->n_pids || w->n_comms || w->n_cgroups || w->n_containers || w->n_pods;
	return t->tls == TLS_ON;
}

static int set_option(struct trace *t, int opt, const char *arg)
{
	struct wire_opts *w = &t->wire;

	switch (opt) {
	case 'd': return filter__real("--duration", arg, 0.1, 1e7, &t->seconds);
	case 'i': return filter__real("--interval", arg, 0.05, 86400, &t->interval);
	case 'n': return set_count("--rows", arg, 0, 100000, &t->table.max_rows);
	case 's': return set_sort(arg, &t->table.sort);
	case 'q': log_quiet = true; return 0;
	case 'v': log_verbose = true; return 0;
	case OPT_JSON: t->json = true; return 0;
	case OPT_TREE: w->tree = true; return 0;
	case OPT_OVERHEAD: t->overhead = true; return 0;
	case OPT_TLS: return set_tls(t, arg);
	case OPT_SLOW: return set_ns("--slow", arg, 0.001, 1e7, 1e6, &w->slow_ns);
	case OPT_TIMEOUT: return set_ns("--timeout", arg, 0.01, 3600, 1e9, &w->timeout_ns);
	case OPT_SAMPLE: return set_count("--sample", arg, 1, 1000000000, &w->sample);
	case OPT_MAX_ROUTES: return set_count("--max-routes", arg, 2, 32768, &w->max_routes);
	case OPT_MAX_SERIES: return set_count("--max-series", arg, 1, 65536, &w->max_series);
	}
	return filter__option(opt, arg, w, &t->view);
}

/* 0: go on; else the exit code + 1. */
static int parse(struct trace *t, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "d:i:n:s:qvh", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 1 + EXIT_PASS;
		}
		if (opt == '?' || set_option(t, opt, optarg))
			return 1 + EXIT_USAGE;
	}
	if (optind < argc) {
		log_fail(-EINVAL, "trace takes no argument: '%s'; see hopscope trace --help",
			 argv[optind]);
		return 1 + EXIT_USAGE;
	}
	return 0;
}

static void print_exemplar(void *ctx, const struct wire_exemplar *e)
{
	struct trace *t = ctx;
	char comm[COMM_LEN + 1];
	struct text line = {};

	/* comm and route come from programs and traffic that we do not know. */
	snprintf(comm, sizeof(comm), "%.*s", COMM_LEN, e->comm);
	text__addf(&line, "  %.6f s  %8.3f ms  %-10s %-12s ", (double)e->start_ns / 1e9,
		   (double)e->duration_ns / 1e6, wire_role__name(e->key.role),
		   wire_status__name(e->key.status));
	text__add_printable(&line, wire__route_name(t->probe, e->key.route));
	text__add(&line, "  ");
	text__add_printable(&line, comm[0] ? comm : "?");
	text__addf(&line, "[%u] :%u -> :%u  %u bytes\n", e->tgid, e->port_local, e->port_remote,
		   e->bytes);
	if (line.data)
		fputs(line.data, t->json ? stderr : stdout);
	text__free(&line);
}

/* Of the trees, those whose root's route is wanted: what a call's route is called is no matter. */
static void keep_wanted(const struct trace *t, struct critical_paths *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (filter__passes(&t->view, p->paths[i].route))
			p->paths[kept++] = p->paths[i];
		else
			free(p->paths[i].parts);
	}
	p->n = kept;
}

static int print_tree(struct trace *t, const struct snapshot *s, bool final)
{
	struct critical_paths paths;
	int err = critical_paths__build(&paths, s);

	if (err)
		return log_fail(err, "out of memory");
	keep_wanted(t, &paths);
	err = t->json ? tree__print_json(stdout, &paths, s, final)
		      : tree__print(stdout, &paths, s, &t->table);
	critical_paths__free(&paths);
	return err;
}

static int print_snapshot(struct trace *t, struct snapshot *s, bool final)
{
	char clock[16];
	time_t now = time(NULL);
	struct tm tm;

	if (!t->wire.tree)
		filter__apply(&t->view, s);
	if (t->json)
		return t->wire.tree ? print_tree(t, s, final)
				    : json__print_snapshot(stdout, s, final);
	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (final)
		printf("\ntotal of %.1f s\n", (double)s->duration_ns / 1e9);
	else
		printf("\n%s\n", clock);
	return t->wire.tree ? print_tree(t, s, final) : table__print(stdout, s, &t->table);
}

/* Reads, prints what happened since the last reading, and keeps the reading. */
static int tick(struct trace *t)
{
	struct snapshot now, delta;
	int err = wire__read(t->probe, &now);

	if (err)
		return err;
	if (t->wire.slow_ns || t->wire.sample)
		wire__drain(t->probe, print_exemplar, t);
	err = snapshot__delta(&delta, &now, &t->last);
	if (!err) {
		err = print_snapshot(t, &delta, false);
		snapshot__free(&delta);
	}
	snapshot__free(&t->last);
	t->last = now;
	return err;
}

static int total(struct trace *t)
{
	struct snapshot now, delta;
	int err = wire__read(t->probe, &now);

	if (err)
		return err;
	if (t->wire.slow_ns || t->wire.sample)
		wire__drain(t->probe, print_exemplar, t);
	err = snapshot__delta(&delta, &now, &t->first);
	snapshot__free(&now);
	if (err)
		return err;
	if (!delta.acct.seen && !delta.n_series)
		log_info("no message was seen; %sUnix sockets cannot be read, and a connection is "
			 "recognised by its next message",
			 t->wire.tls ? "" : "TLS is read with --tls on only, ");
	err = print_snapshot(t, &delta, true);
	snapshot__free(&delta);
	return err;
}

/*
 * Sleeps until `at`; a signal ends it early. In between it drains the ring before that is full, and
 * learns the names of containers before they are gone.
 */
static void sleep_until(struct trace *t, uint64_t at)
{
	uint64_t notice = t->wire.n_containers || t->wire.n_pods ? DECIDE_NS : NOTICE_NS;
	uint64_t now, step;
	struct timespec ts;

	if (t->wire.tls)
		notice = TLS_NS;
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
		if (stop_signal || now >= at)
			return;
		step = now + notice < at ? now + notice : at;
		ts.tv_sec = (time_t)(step / 1000000000);
		ts.tv_nsec = (long)(step % 1000000000);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		if (step != at && (t->wire.slow_ns || t->wire.sample))
			wire__drain(t->probe, print_exemplar, t);
		wire__notice(t->probe);
	}
}

static int watch(struct trace *t)
{
	uint64_t interval = (uint64_t)(t->interval * 1e9), at = t->first.time_ns;
	uint64_t end = t->seconds > 0 ? at + (uint64_t)(t->seconds * 1e9) : UINT64_MAX;
	int err = 0;

	while (!err && !stop_signal && at < end) {
		at = at + interval < end ? at + interval : end;
		sleep_until(t, at);
		err = tick(t);
	}
	if (err)
		return err;
	wire__detach(t->probe);
	return total(t);
}

/*
 * Counters begin at 0 with the attach. A first reading under load would not be a better base: what
 * ends while it is taken is in one of its parts and not yet in another, and would be missing in the
 * total.
 */
static int begin(struct trace *t)
{
	struct snapshot now;
	int err = wire__read(t->probe, &now); /* learns who owns the sockets that are there */

	if (err)
		return err;
	t->first.time_ns = now.time_ns;
	t->first.user_cpu_s = now.user_cpu_s;
	t->first.settled = true;
	t->last = t->first;
	snapshot__free(&now);
	return 0;
}

static int run(struct trace *t)
{
	int err = wire__open(&t->probe, &t->wire);

	if (err)
		return err;
	if (t->overhead)
		err = wire__statistics(t->probe, true);
	err = err ? err : wire__attach(t->probe);
	err = err ? err : begin(t);
	if (!err) {
		log_info("tracing NATS, HTTP, Redis; Ctrl-C ends it");
		err = watch(t);
	}
	snapshot__free(&t->first);
	snapshot__free(&t->last);
	wire__close(t->probe);
	return err;
}

int cmd_trace(int argc, char **argv)
{
	struct trace t = {.interval = 1, .table = {.max_rows = 40}, .wire = {.names = true}};
	struct sigaction sa = {.sa_handler = on_signal};
	int done;

	table_opts__detect(&t.table, stdout);
	t.table.max_rows = 40;
	done = parse(&t, argc, argv);
	if (done)
		return done - 1;
	t.wire.tls = wants_tls(&t);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	return run(&t) ? EXIT_RUNTIME : EXIT_PASS;
}
