// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

long filter__number(const char *option, const char *arg, long lo, long hi)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(arg, &end, 10);
	if (errno || end == arg || *end || v < lo || v > hi)
		return log_fail(-EINVAL, "%s: '%s' is not a number from %ld to %ld", option, arg,
				lo, hi);
	return v;
}

int filter__real(const char *option, const char *arg, double lo, double hi, double *out)
{
	char *end;

	*out = strtod(arg, &end);
	if (end == arg || *end || !(*out >= lo && *out <= hi))
		return log_fail(-EINVAL, "%s: '%s' is not a number from %g to %g", option, arg, lo,
				hi);
	return 0;
}

static int too_many(const char *option, size_t max)
{
	return log_fail(-E2BIG, "%s: at most %zu of them", option, max);
}

static int add_number(const char *option, const char *arg, long hi, uint32_t *list32,
		      uint16_t *list16, size_t *n, size_t max)
{
	long v = filter__number(option, arg, 1, hi);

	if (v < 0)
		return (int)v;
	if (*n == max)
		return too_many(option, max);
	if (list32)
		list32[*n] = (uint32_t)v;
	else
		list16[*n] = (uint16_t)v;
	(*n)++;
	return 0;
}

static int add_comm(const char *arg, struct wire_opts *o)
{
	if (!*arg)
		return log_fail(-EINVAL, "--comm: the name is empty");
	if (strlen(arg) >= COMM_LEN)
		log_warn("--comm %s: the kernel keeps %d characters of a name", arg, COMM_LEN - 1);
	if (o->n_comms == WIRE_MAX_FILTER)
		return too_many("--comm", WIRE_MAX_FILTER);
	snprintf(o->comms[o->n_comms++], COMM_LEN, "%s", arg);
	return 0;
}

static int add_cgroup(const char *arg, struct wire_opts *o)
{
	uint64_t id;
	uint32_t level;
	int err = cgroup2__find(arg, &id, &level);

	if (err)
		return log_fail(err, "--cgroup %s: no such cgroup below %s: %s", arg,
				cgroup2__mount() ? cgroup2__mount() : "(no cgroup v2 mount)",
				strerror(-err));
	if (o->n_cgroups == WIRE_MAX_FILTER)
		return too_many("--cgroup", WIRE_MAX_FILTER);
	o->cgroups[o->n_cgroups] = id;
	o->cgroup_levels[o->n_cgroups++] = level;
	return 0;
}

static int add_name(const char *option, const char *arg, const char **list, size_t *n)
{
	if (!*arg)
		return log_fail(-EINVAL, "%s: the name is empty", option);
	if (!cgroup2__mount())
		return log_fail(-EINVAL, "%s: no cgroup v2 hierarchy is mounted", option);
	if (*n == WIRE_MAX_FILTER)
		return too_many(option, WIRE_MAX_FILTER);
	list[(*n)++] = arg;
	return 0;
}

static int add_proto(const char *arg, struct wire_opts *o)
{
	static const struct {
		const char *name;
		uint32_t bits;
	} protos[] = {
		{"nats", 1u << PROTO_NATS},
		{"http", 1u << PROTO_HTTP | 1u << PROTO_HTTP2},
		{"redis", 1u << PROTO_REDIS},
	};

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
		if (strcmp(arg, protos[i].name) == 0) {
			o->protos |= protos[i].bits;
			return 0;
		}
	}
	return log_fail(-EINVAL, "--proto %s: unknown protocol; known: nats, http, redis", arg);
}

int filter__host_root(const char *arg, const char **out)
{
	struct stat st;

	if (stat(arg, &st) || !S_ISDIR(st.st_mode))
		return log_fail(-ENOTDIR, "--host-root %s: no such directory", arg);
	*out = arg;
	return 0;
}

int filter__option(int opt, const char *arg, struct wire_opts *o, struct filter_view *view)
{
	switch (opt) {
	case FILTER_OPT_PID:
		return add_number("--pid", arg, INT_MAX, o->pids, NULL, &o->n_pids,
				  WIRE_MAX_FILTER);
	case FILTER_OPT_COMM: return add_comm(arg, o);
	case FILTER_OPT_CGROUP: return add_cgroup(arg, o);
	case FILTER_OPT_CONTAINER:
		return add_name("--container", arg, o->containers, &o->n_containers);
	case FILTER_OPT_POD: return add_name("--pod", arg, o->pods, &o->n_pods);
	case FILTER_OPT_HOST_ROOT: return filter__host_root(arg, &o->host_root);
	case FILTER_OPT_PORT:
		return add_number("--port", arg, 65535, NULL, o->ports, &o->n_ports,
				  WIRE_MAX_PORTS);
	case FILTER_OPT_PROTO: return add_proto(arg, o);
	case FILTER_OPT_ROUTE:
		if (view->n_routes == FILTER_MAX_ROUTES)
			return too_many("--route", FILTER_MAX_ROUTES);
		view->routes[view->n_routes++] = arg;
		return 0;
	}
	return 1;
}

bool filter__passes(const struct filter_view *view, const char *route)
{
	for (size_t i = 0; i < view->n_routes; i++) {
		if (fnmatch(view->routes[i], route, 0) == 0)
			return true;
	}
	return view->n_routes == 0;
}

void filter__apply(const struct filter_view *view, struct snapshot *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_series; i++) {
		if (!filter__passes(view, s->series[i].route))
			continue;
		if (kept != i)
			s->series[kept] = s->series[i];
		kept++;
	}
	s->n_series = kept;
}
