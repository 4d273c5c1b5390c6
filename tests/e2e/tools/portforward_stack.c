// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The port-forward stack by hand:
 *
 *	portforward_stack SCENARIO [NAME=VALUE...]
 *
 * starts it, says where everything is, and obeys: a command a line on stdin, a JSON object a line
 * on stdout. Ends with its input, on `quit`, and on SIGTERM.
 *
 *	check WAY SERVER   legs WAY   tcp PLACE   cpu WAY   alive WAY   info   quit
 *
 * Servers are nodes from 0, then web. Names are those of struct pf_opts: ways=direct,socat nodes=2
 * kubectl=... . A program in one of the namespaces: nsenter --net=/proc/PID/fd/FD, both of `info`.
 */
#include "stack/portforward.h"
#include "stack_tool.h"

#define GRACE_MS 2000
#define CHECK_MS 5000

static struct pf_stack stack;
static struct pf_opts opts;

static int set_ways(struct pf_opts *o, char *names)
{
	char *name, *save = NULL;

	o->ways = 0;
	for (name = strtok_r(names, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		if (pf_way__find(name) == PF_WAYS)
			return -EINVAL;
		o->ways |= 1u << pf_way__find(name);
	}
	return 0;
}

static int set_option(struct pf_opts *o, char *arg)
{
	char *value = value_of(arg);

	if (!value)
		return -EINVAL;
	if (!strcmp(arg, "ways"))
		return set_ways(o, value);
	if (!strcmp(arg, "nodes"))
		o->nodes = strtoul(value, NULL, 10);
	else if (!strcmp(arg, "kubectl"))
		o->kubectl = value;
	else if (!strcmp(arg, "kubectl_ws"))
		o->kubectl_ws = value;
	else if (!strcmp(arg, "nats_program"))
		o->nats_program = value;
	else
		return -EINVAL;
	return 0;
}

static json_t *way_info(const struct pf_route *r)
{
	json_t *to = json_array(), *relays = json_array();
	size_t i;

	for (i = 0; i < stack.n_nodes + 1; i++)
		json_array_append_new(to, json_pack("{s:s,s:i}", "host", r->to[i].host, "port",
						    (int)r->to[i].port));
	for (i = 0; i < r->n_relays; i++) {
		const struct pf_relay *relay = &r->relays[i];

		json_array_append_new(
			relays, json_pack("{s:s,s:s,s:i,s:i,s:s,s:i}", "name", relay->name,
					  "program", relay->program, "server", relay->server,
					  "place", (int)relay->place, "cgroup", relay->cgroup.v2,
					  "pid", (int)relay->child.started));
	}
	return json_pack("{s:b,s:b,s:s,s:s,s:s,s:o,s:o}", "wanted", r->wanted, "available",
			 r->available, "why", r->why, "version", r->version, "command", r->command,
			 "to", to, "relays", relays);
}

static json_t *info(void)
{
	json_t *ways = json_object(), *ns = json_array();
	size_t i;

	for (i = 0; i < PF_WAYS; i++)
		json_object_set_new(ways, pf_way__name(i), way_info(&stack.routes[i]));
	for (i = 0; i < PF_PLACES; i++)
		json_array_append_new(ns, json_integer(stack.ns[i].fd));
	return json_pack("{s:b,s:i,s:{s:i},s:s,s:s,s:s,s:i,s:o,s:o}", "ok", 1, "pid", (int)getpid(),
			 "pids", "web", (int)stack.web.child.started, "run", run.path, "nats",
			 stack.nats_version, "web", stack.web_version, "deaths", (int)deaths, "ns",
			 ns, "ways", ways);
}

static json_t *check(enum pf_way way, size_t server)
{
	char why[160];
	uint64_t took = 0;
	int err = pf_stack__check(&stack, way, server, CHECK_MS, &took, why, sizeof(why));

	return json_pack("{s:b,s:I,s:s}", "ok", !err, "took_ns", (json_int_t)took, "why", why);
}

static json_t *end_of(const struct pf_leg_end *e)
{
	return json_pack("{s:i,s:I,s:I,s:i,s:I,s:I,s:I}", "connections", (int)e->connections,
			 "segments", (json_int_t)e->segments, "retransmits",
			 (json_int_t)e->retransmits, "with_rtt", (int)e->with_rtt, "srtt_min_ns",
			 (json_int_t)e->srtt_min_ns, "srtt_mean_ns", (json_int_t)e->srtt_mean_ns,
			 "srtt_max_ns", (json_int_t)e->srtt_max_ns);
}

static json_t *legs(enum pf_way way)
{
	struct pf_leg list[PF_MAX_LEGS];
	json_t *j = json_array();
	size_t i, n;
	int err = pf_stack__legs(&stack, way, list, &n);

	for (i = 0; i < n; i++)
		json_array_append_new(j, json_pack("{s:s,s:s,s:o,s:o}", "from", list[i].from, "to",
						   list[i].to, "front", end_of(&list[i].front),
						   "back", end_of(&list[i].back)));
	return json_pack("{s:b,s:o}", "ok", !err, "legs", j);
}

static json_t *tcp(enum pf_place place)
{
	struct pf_tcp t = {0};
	int err = place < PF_PLACES ? pf_stack__tcp(&stack, place, &t) : -EINVAL;

	return json_pack("{s:b,s:I,s:I,s:I}", "ok", !err, "in_segments", (json_int_t)t.in_segments,
			 "out_segments", (json_int_t)t.out_segments, "retransmits",
			 (json_int_t)t.retransmits);
}

static json_t *cpu(enum pf_way way)
{
	const struct pf_route *r = &stack.routes[way];
	json_t *j = json_object();
	size_t i;
	int err = 0;

	for (i = 0; i < r->n_relays && !err; i++) {
		uint64_t ns;

		err = pf_relay__cpu_ns(&r->relays[i], &ns);
		json_object_set_new(j, r->relays[i].name, json_integer((json_int_t)ns));
	}
	return json_pack("{s:b,s:o}", "ok", !err, "cpu", j);
}

static json_t *obey(const char *what, const char *name, unsigned int number)
{
	enum pf_way way = pf_way__find(name);

	if (!strcmp(what, "info"))
		return info();
	if (!strcmp(what, "tcp"))
		return tcp((enum pf_place)atoi(name));
	if (way == PF_WAYS)
		return json_pack("{s:b,s:s}", "ok", 0, "why", "no such way");
	if (!strcmp(what, "check") && number <= stack.n_nodes)
		return check(way, number);
	if (!strcmp(what, "legs"))
		return legs(way);
	if (!strcmp(what, "cpu"))
		return cpu(way);
	if (!strcmp(what, "alive"))
		return json_pack("{s:b,s:b}", "ok", 1, "alive", pf_stack__alive(&stack, way));
	return json_pack("{s:b,s:s}", "ok", 0, "why", "no such command");
}

static int start(void)
{
	return pf_stack__start(&stack, &opts, &run, &watch);
}

static void stop(void)
{
	pf_stack__stop(&stack, GRACE_MS, watch.signals);
}

int main(int argc, char **argv)
{
	char files[PATH_MAX];
	int i;

	if (argc < 2 || pf_stack__files(argv[1], files))
		return EXIT_USAGE;
	pf_stack__defaults(&opts);
	opts.files = files;
	for (i = 2; i < argc; i++)
		if (set_option(&opts, argv[i])) {
			fprintf(stderr, "unknown or bad: %s\n", argv[i]);
			return EXIT_USAGE;
		}
	return stack_tool();
}
