// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `hopscope bench`: options. The work is in src/bench/. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/scenario_file.h"
#include "cmd/cmd.h"
#include "gateway/run.h"
#include "log.h"
#include "portforward/run.h"
#include "probe/confine.h"

static const char help[] =
	"usage: hopscope bench SCENARIO.yaml [options]\n"
	"\n"
	"Starts the stack that the scenario names, drives the load, measures it in the kernel and "
	"at\n"
	"the client, judges it against the scenario's targets, and writes report.md, its figures "
	"and\n"
	"session.json. scenarios/aegis.yaml, gateway.yaml and port-forward.yaml explain every "
	"key.\n"
	"\n"
	"  --out DIR            where the files go (default: out)\n"
	"  --json               print the session instead of the report\n"
	"  --no-probe           without eBPF: no kernel latencies, no accounting\n"
	"  -q, --quiet          no progress\n"
	"  -v, --verbose        what is of use when something fails\n"
	"  -h, --help\n"
	"\n"
	"scenarios of NATS only:\n"
	"  --nats-url URL[,URL] use a cluster that runs; nothing of it is started or stopped\n"
	"  --nats-server PATH   the program to start (default: nats-server)\n"
	"  --ab                 afterwards, the same load with and without the probe\n"
	"  --ab-only            only that\n"
	"\n"
	"Needs CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_DAC_OVERRIDE (cgroups); the gateway\n"
	"CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE and CAP_DAC_READ_SEARCH, too (TLS); "
	"port-forward\n"
	"CAP_SYS_ADMIN (network namespaces). What it starts gets none of them.\n"
	"\n"
	"Ctrl-C ends the run and writes a partial report; once more, and there is none.\n"
	"\n"
	"exit codes: 0 every target passed; 1 a run-time error, or the run is partial, whatever "
	"its\n"
	"targets say; 2 usage or the scenario; 3 a target FAILED; 4 none failed, but one is\n"
	"INCONCLUSIVE, NO DATA or INVALID\n";

enum { OPT_OUT = 256, OPT_JSON, OPT_URL, OPT_SERVER, OPT_AB, OPT_AB_ONLY, OPT_NO_PROBE };

static const struct option options[] = {
	{"out", required_argument, NULL, OPT_OUT},
	{"json", no_argument, NULL, OPT_JSON},
	{"nats-url", required_argument, NULL, OPT_URL},
	{"nats-server", required_argument, NULL, OPT_SERVER},
	{"ab", no_argument, NULL, OPT_AB},
	{"ab-only", no_argument, NULL, OPT_AB_ONLY},
	{"no-probe", no_argument, NULL, OPT_NO_PROBE},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int parse_urls(struct bench_opts *o, const char *list)
{
	char *copy = strdup(list), *save = NULL, *one;
	const char *why;
	int err = copy ? 0 : log_fail(-ENOMEM, "out of memory");

	for (one = copy ? strtok_r(copy, ",", &save) : NULL; one && !err;
	     one = strtok_r(NULL, ",", &save)) {
		if (o->n_urls == NATS_MAX_NODES)
			err = log_fail(-E2BIG, "--nats-url: more than %d URLs", NATS_MAX_NODES);
		else if (url__parse(&o->urls[o->n_urls++], one, &why))
			err = log_fail(-EINVAL, "--nats-url: '%s': %s", one, why);
	}
	free(copy);
	if (!err && !o->n_urls)
		err = log_fail(-EINVAL, "--nats-url: no URL in '%s'", list);
	return err;
}

static int take_option(struct bench_opts *o, int c)
{
	switch (c) {
	case OPT_OUT: o->out = optarg; return 0;
	case OPT_JSON: o->json = true; return 0;
	case OPT_URL: return parse_urls(o, optarg);
	case OPT_SERVER: o->nats_server = optarg; return 0;
	case OPT_AB: o->ab = true; return 0;
	case OPT_AB_ONLY: o->ab_only = true; return 0;
	case OPT_NO_PROBE: o->no_probe = true; return 0;
	case 'q': log_quiet = true; return 0;
	case 'v': log_verbose = true; return 0;
	default:
		/* getopt has named the option */
		return log_fail(-EINVAL, "`hopscope bench --help` lists the options");
	}
}

int cmd_bench(int argc, char **argv)
{
	struct bench_opts o = {.out = "out"};
	int c, kind;

	while ((c = getopt_long(argc, argv, "qvh", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return EXIT_PASS;
		}
		if (take_option(&o, c))
			return EXIT_USAGE;
	}
	if (optind != argc - 1) {
		log_fail(-EINVAL, optind == argc ? "which scenario? hopscope bench SCENARIO.yaml"
						 : "one scenario at a time, please");
		return EXIT_USAGE;
	}
	if (o.no_probe && (o.ab || o.ab_only)) {
		log_fail(-EINVAL, "--ab compares with the probe, which --no-probe leaves out");
		return EXIT_USAGE;
	}
	if (confine__children())
		return EXIT_RUNTIME;
	o.scenario = argv[optind];
	kind = scenario_file__kind(o.scenario);
	if (kind < 0)
		return EXIT_USAGE;
	if (kind == SCENARIO_NATS) {
		o.nats_server = o.nats_server ? o.nats_server : "nats-server";
		return bench__run(&o);
	}
	if (o.n_urls || o.nats_server || o.ab || o.ab_only) {
		log_fail(-EINVAL, "--nats-url, --nats-server, --ab and --ab-only are for scenarios "
				  "of NATS");
		return EXIT_USAGE;
	}
	return kind == SCENARIO_GATEWAY ? gwrun__run(&o) : pfrun__run(&o);
}
