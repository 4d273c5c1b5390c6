/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Filters as given on a command line, turned into what the wire probe takes. */
#ifndef HOPSCOPE_PROBE_FILTER_H
#define HOPSCOPE_PROBE_FILTER_H

#include <getopt.h>

#include "probe/wire.h"

enum filter_option {
	FILTER_OPT_PID = 0x100,
	FILTER_OPT_COMM,
	FILTER_OPT_CGROUP,
	FILTER_OPT_CONTAINER,
	FILTER_OPT_POD,
	FILTER_OPT_HOST_ROOT,
	FILTER_OPT_PORT,
	FILTER_OPT_PROTO,
	FILTER_OPT_ROUTE,
};

/* Rows for a command's getopt_long() table. */
#define FILTER_LONG_OPTIONS                                                   \
	{"pid", required_argument, NULL, FILTER_OPT_PID},                     \
		{"comm", required_argument, NULL, FILTER_OPT_COMM},           \
		{"cgroup", required_argument, NULL, FILTER_OPT_CGROUP},       \
		{"container", required_argument, NULL, FILTER_OPT_CONTAINER}, \
		{"pod", required_argument, NULL, FILTER_OPT_POD},             \
		{"host-root", required_argument, NULL, FILTER_OPT_HOST_ROOT}, \
		{"port", required_argument, NULL, FILTER_OPT_PORT},           \
		{"proto", required_argument, NULL, FILTER_OPT_PROTO},         \
	{                                                                     \
		"route", required_argument, NULL, FILTER_OPT_ROUTE            \
	}

#define FILTER_HELP                                                                         \
	"filters (each may be given several times; different kinds must all match):\n"      \
	"  --pid PID           sockets of this process\n"                                   \
	"  --comm NAME         sockets of processes of this name\n"                         \
	"  --cgroup PATH       sockets of this cgroup v2 and those below it\n"              \
	"  --container NAME    sockets of containers with NAME in their name, label\n"      \
	"                      (namespace/pod/name) or cgroup path, or with an id that\n"   \
	"                      begins so; also of those that start later\n"                 \
	"  --pod NAME          sockets of pods with NAME in namespace/pod, or such a uid\n" \
	"  --host-root DIR     where the host's /run and /var are, for the names of\n"      \
	"                      containers (default /)\n"                                    \
	"  --port PORT         this local or remote port; what is not understood there\n"   \
	"                      is counted as unparsed\n"                                    \
	"  --proto NAME        nats, http or redis; others are not read\n"                  \
	"  --route GLOB        routes to print, for example 'rpc.*' (counters cover all)\n"

#define FILTER_MAX_ROUTES 16

/* What is applied when printing, not in the kernel. */
struct filter_view {
	const char *routes[FILTER_MAX_ROUTES];
	size_t n_routes;
};

/*
 * Takes one option of FILTER_LONG_OPTIONS. 0; 1 when `opt` is none of them; -EINVAL or the like
 * after a message. `arg` must outlive the view.
 */
int filter__option(int opt, const char *arg, struct wire_opts *o, struct filter_view *view);

/* Is the route one of those to print? */
bool filter__passes(const struct filter_view *view, const char *route);
/* Removes the series that the view leaves out. */
void filter__apply(const struct filter_view *view, struct snapshot *s);

/* --host-root: a directory that is there. 0, or -ENOTDIR after a message. */
int filter__host_root(const char *arg, const char **out);
/* A number between lo and hi in `arg`, or -EINVAL after a message that names the option. */
long filter__number(const char *option, const char *arg, long lo, long hi);
/* The same with fractions: 0 with *out set, or -EINVAL after the message. */
int filter__real(const char *option, const char *arg, double lo, double hi, double *out);

#endif
