// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hopscope trace: live latency by route. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "log.h"
#include "model/hist.h"
#include "out/json.h"
#include "out/table.h"
#include "out/text.h"
#include "out/tree.h"
#include "probe/live.h"

struct trace {
	struct live live;
	struct table_opts table;
};

static const char usage_text[] =
	"usage: hopscope trace [options] [filters]\n"
	"\n"
	"Latency of NATS, HTTP/1 and Redis round trips by route, live, measured in the kernel.\n"
	"\n" LIVE_HELP_TIMES "  -n, --rows N        rows a table (default 40, 0: all)\n"
	"  -s, --sort KEY      count or total (time) (default count)\n" LIVE_HELP_JSON
	"      --slow MS       print every exchange that took as long\n"
	"      --sample N      print one exchange in N\n" LIVE_HELP_LIMITS
	"      --tree          where the time of a request went: calls by the request that caused\n"
	"                      them, parts that add up to the whole\n" LIVE_HELP_REST
	"\n" FILTER_HELP "\n"
	"roles: client (PUB out, the full round trip), broker (PUB in), broker_out (MSG out),\n"
	"service (MSG in, the responder's own time), route / route_in (between brokers),\n"
	"relay* (a forwarder's sockets); HTTP, Redis: client (request out), server (request in).\n"
	"ttfb: time to the first byte of the response. " LIVE_HELP_NEEDS;

enum { OPT_SLOW = 1, OPT_SAMPLE, OPT_TREE };

static const struct option options[] = {
	{"rows", required_argument, NULL, 'n'},
	{"sort", required_argument, NULL, 's'},
	{"slow", required_argument, NULL, OPT_SLOW},
	{"sample", required_argument, NULL, OPT_SAMPLE},
	{"tree", no_argument, NULL, OPT_TREE},
	LIVE_LONG_OPTIONS,
	{},
};

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

static int set_option(struct trace *t, int opt, const char *arg)
{
	struct wire_opts *w = &t->live.wire;

	switch (opt) {
	case 'n': return live__set_count("--rows", arg, 0, 100000, &t->table.max_rows);
	case 's': return set_sort(arg, &t->table.sort);
	case OPT_TREE: w->tree = true; return 0;
	case OPT_SLOW: return live__set_ns("--slow", arg, 0.001, 1e7, 1e6, &w->slow_ns);
	case OPT_SAMPLE: return live__set_count("--sample", arg, 1, 1000000000, &w->sample);
	}
	return live__option(&t->live, opt, arg);
}

/* 0: go on; else the exit code + 1. */
static int parse(struct trace *t, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, LIVE_SHORT_OPTIONS "n:s:", options, NULL)) != -1) {
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
	text__add_printable(&line, wire__route_name(t->live.probe, e->key.route));
	text__add(&line, "  ");
	text__add_printable(&line, comm[0] ? comm : "?");
	text__addf(&line, "[%u] :%u -> :%u  %u bytes\n", e->tgid, e->port_local, e->port_remote,
		   e->bytes);
	if (line.data)
		fputs(line.data, t->live.json ? stderr : stdout);
	text__free(&line);
}

/* Of the trees, those whose root's route is wanted: what a call's route is called is no matter. */
static void keep_wanted(const struct trace *t, struct critical_paths *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (filter__passes(&t->live.view, p->paths[i].route))
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
	err = t->live.json ? tree__print_json(stdout, &paths, s, final)
			   : tree__print(stdout, &paths, s, &t->table);
	critical_paths__free(&paths);
	return err;
}

static int print_snapshot(void *ctx, struct snapshot *s, bool final)
{
	struct trace *t = ctx;
	char clock[16];
	time_t now = time(NULL);
	struct tm tm;

	if (!t->live.wire.tree)
		filter__apply(&t->live.view, s);
	if (t->live.json)
		return t->live.wire.tree ? print_tree(t, s, final)
					 : json__print_snapshot(stdout, s, final);
	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (final)
		printf("\ntotal of %.1f s\n", (double)s->duration_ns / 1e9);
	else
		printf("\n%s\n", clock);
	return t->live.wire.tree ? print_tree(t, s, final) : table__print(stdout, s, &t->table);
}

static void drain(void *ctx)
{
	struct trace *t = ctx;

	wire__drain(t->live.probe, print_exemplar, t);
}

int cmd_trace(int argc, char **argv)
{
	struct trace t = {.live = {.interval = 1,
				   .wire = {.names = true},
				   .doing = "tracing NATS, HTTP, Redis",
				   .print = print_snapshot,
				   .ctx = &t}};
	int done;

	table_opts__detect(&t.table, stdout);
	t.table.max_rows = 40;
	done = parse(&t, argc, argv);
	if (done)
		return done - 1;
	if (t.live.wire.slow_ns || t.live.wire.sample)
		t.live.drain = drain;
	return live__run(&t.live) ? EXIT_RUNTIME : EXIT_PASS;
}
