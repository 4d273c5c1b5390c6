/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A watch of the wire probe, an interval at a time: what `trace` and `hops` have in common. It ends
 * with its duration, or with Ctrl-C.
 */
#ifndef HOPSCOPE_PROBE_LIVE_H
#define HOPSCOPE_PROBE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "probe/filter.h"
#include "probe/wire.h"

enum live_option {
	LIVE_OPT_JSON = 0x200,
	LIVE_OPT_TIMEOUT,
	LIVE_OPT_MAX_ROUTES,
	LIVE_OPT_MAX_SERIES,
	LIVE_OPT_OVERHEAD,
	LIVE_OPT_TLS,
};

/* Rows for a command's getopt_long() table, filters included, and its short options. */
#define LIVE_SHORT_OPTIONS "d:i:qvh"
#define LIVE_LONG_OPTIONS                                                                          \
	{"duration", required_argument, NULL, 'd'}, {"interval", required_argument, NULL, 'i'},    \
		{"json", no_argument, NULL, LIVE_OPT_JSON},                                        \
		{"timeout", required_argument, NULL, LIVE_OPT_TIMEOUT},                            \
		{"max-routes", required_argument, NULL, LIVE_OPT_MAX_ROUTES},                      \
		{"max-series", required_argument, NULL, LIVE_OPT_MAX_SERIES},                      \
		{"overhead", no_argument, NULL, LIVE_OPT_OVERHEAD},                                \
		{"tls", required_argument, NULL, LIVE_OPT_TLS}, {"quiet", no_argument, NULL, 'q'}, \
		{"verbose", no_argument, NULL, 'v'}, {"help", no_argument, NULL, 'h'},             \
		FILTER_LONG_OPTIONS

#define LIVE_HELP_TIMES                                                  \
	"  -d, --duration S    stop after S seconds (default: Ctrl-C)\n" \
	"  -i, --interval S    seconds between tables (default 1)\n"

#define LIVE_HELP_JSON \
	"      --json          one JSON object an interval, the last one for the whole run\n"

#define LIVE_HELP_LIMITS                                                                \
	"      --timeout S     an exchange older than this is unanswered (default 5)\n" \
	"      --max-routes N  routes kept apart, the rest in (other) (default 256)\n"  \
	"      --max-series N  series kept apart (default 512)\n"

#define LIVE_HELP_REST                                                                           \
	"      --tls WHEN      read the text of TLS connections (OpenSSL, GnuTLS), with probes " \
	"on\n"                                                                                   \
	"                      the libraries' functions, 3 us a call: on, off, or auto "         \
	"(default):\n"                                                                           \
	"                      when --pid, --comm, --cgroup, --container or --pod say whose\n"   \
	"      --overhead      count what the programs cost (which makes them cost more)\n"      \
	"  -q, -v, -h          quiet, verbose, help\n"

/* The rest of a line, and two more. */
#define LIVE_HELP_NEEDS                                                                          \
	"Needs CAP_BPF, CAP_PERFMON and\n"                                                       \
	"CAP_NET_ADMIN; --tls CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE and CAP_DAC_READ_SEARCH,\n" \
	"too; that one gives containers their names.\n"

enum live_tls { LIVE_TLS_AUTO, LIVE_TLS_ON, LIVE_TLS_OFF };

struct live {
	struct wire_opts wire;
	struct filter_view view;
	double seconds;	 /* 0: until Ctrl-C */
	double interval; /* seconds */
	bool json, overhead;
	enum live_tls tls;
	const char *doing; /* told when it begins: "tracing ..." */

	/* What was read, of an interval or (final) of the whole run. Not 0: it ends with that. */
	int (*print)(void *ctx, struct snapshot *s, bool final);
	/* Empties the ring: called at the start, often, and before a reading. NULL: it stays empty.
	 */
	void (*drain)(void *ctx);
	void *ctx;

	/* While it runs: */
	struct wire *probe;
	uint64_t drain_ns; /* how often, at least; 0: it does not matter. `drain` may change it */
	struct snapshot first, last;
};

/*
 * Takes one option of the rows above but for 'h'. 0; 1 when `opt` is none of them; negative errno
 * after a message.
 */
int live__option(struct live *l, int opt, const char *arg);
/* 0, or negative errno after a message where there is something to say. */
int live__run(struct live *l);

/* A number of an option times `unit`, and a whole one: 0 or negative errno after a message. */
int live__set_ns(const char *option, const char *arg, double lo, double hi, double unit,
		 uint64_t *out);
int live__set_count(const char *option, const char *arg, long lo, long hi, uint32_t *out);

#endif
