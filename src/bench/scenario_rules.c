// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/scenario_rules.h"
#include "log.h"
#include "model/trend.h"

#define MAX_PAYLOAD (1000 * 1000) /* nats-server's max_payload is 1 MiB with the envelope */
#define MAX_OPEN_S  3600

/* Every number of a scenario: where it lives, what it may be, what it is when left out. */
static const struct scenario_number numbers[] = {
#define N(path, min, max, otherwise) SCENARIO_WHOLE(struct scenario, path, min, max, otherwise)
#define R(path, min, max, otherwise) SCENARIO_REAL(struct scenario, path, min, max, otherwise)
	N(stack.nodes, 1, NATS_MAX_NODES, 3),
	N(rounds, 2, 1000, 10),
	N(rpc.calls, 1, 10e6, 1000),
	N(rpc.pool, 1, 1000, 3),
	N(rpc.payload, 0, MAX_PAYLOAD, 64),
	N(rpc.concurrency, 1, 512, 1),
	N(rpc.timeout_ms, 1, 60000, 2000),
	R(rpc_open.rate, 0.1, 100e3, 200),
	N(rpc_open.calls, 1, 10e6, 1000),
	N(events.count, 1, 10e6, 10000),
	N(events.batch, 1, 10000, 100),
	N(events.payload, 0, MAX_PAYLOAD, 128),
	N(events.replicas, 1, 5, 1),
	N(events.timeout_ms, 1, 60000, 10000),
	N(services.count, 1, 50, 5),
	N(services.pool, 1, 100, 1),
	R(memory.seconds, 5, 86400, 20),
	R(memory.interval, 0.1, 60, 0.5),
	R(memory.rate, 0, 100e3, 100),
	N(ab.slices, 12, 1000, 40), /* the interval wants six pairs */
	R(ab.seconds, 0.05, 60, 0.5),
	R(hops.seconds, 0, 60, 3),
	{0},
#undef N
#undef R
};

static int apply_list(char ***list, unsigned int *n, const char *first, const char *second)
{
	if (*n)
		return 0;
	free(*list);
	*list = calloc(2, sizeof(**list));
	if (!*list)
		return log_fail(-ENOMEM, "out of memory");
	(*list)[0] = strdup(first);
	(*list)[1] = strdup(second);
	*n = 2;
	return (*list)[0] && (*list)[1] ? 0 : log_fail(-ENOMEM, "out of memory");
}

static int apply_texts(struct scenario *s)
{
	if (scenario_text__apply(&s->name, "bench") || scenario_text__apply(&s->title, s->name) ||
	    scenario_text__apply(&s->rpc.service, "svc-1") ||
	    scenario_text__apply(&s->rpc.method, "echo") ||
	    scenario_text__apply(&s->error_bound_text, "1 %") ||
	    apply_list(&s->path_names, &s->n_paths, "direct", "forwarded"))
		return -EINVAL;
	if (!s->has_events)
		return 0;
	if (scenario_text__apply(&s->events.storage, "file") ||
	    apply_list(&s->events.domains, &s->events.n_domains, "orders", "payments") ||
	    apply_list(&s->events.types, &s->events.n_types, "created", "updated"))
		return -EINVAL;
	return 0;
}

static int apply_port(struct scenario *s, const struct yaml_index *y, const char *file, size_t i)
{
	char path[32];
	const struct yaml_entry *e;
	char *end;
	long v;
	size_t j;

	snprintf(path, sizeof(path), "stack.ports[%zu]", i);
	e = yaml_index__find(y, path);
	if (!e)
		return -ENOENT;
	if (i == NATS_MAX_NODES)
		return scenario_rules__fail(y, file, "stack.ports", "more than %d ports",
					    NATS_MAX_NODES);
	v = strtol(e->text, &end, 10);
	if (!e->text[0] || *end || v < 1 || v > 65535)
		return scenario_rules__fail(y, file, path, "'%s' is not a port: 1 to 65535",
					    e->text);
	for (j = 0; j < i; j++)
		if (s->stack.ports[j] == v)
			return scenario_rules__fail(y, file, path, "port %ld is there twice", v);
	s->stack.ports[i] = (uint16_t)v;
	s->stack.n_ports = i + 1;
	return 0;
}

static int apply_ports(struct scenario *s, const struct yaml_index *y, const char *file)
{
	const struct yaml_entry *e = yaml_index__find(y, "stack.ports");
	size_t i;
	int err = 0;

	s->stack.n_ports = 0;
	if (!e || (e->scalar && !strcmp(e->text, "auto")))
		return 0;
	if (e->scalar)
		return scenario_rules__fail(y, file, "stack.ports",
					    "'%s' is neither auto nor a list of ports", e->text);
	for (i = 0; !err; i++)
		err = apply_port(s, y, file, i);
	if (err != -ENOENT)
		return err;
	if (s->stack.n_ports != (size_t)s->stack.nodes)
		return scenario_rules__fail(y, file, "stack.ports",
					    "%zu ports for %lld nodes: one each is wanted, or auto",
					    s->stack.n_ports, (long long)s->stack.nodes);
	return 0;
}

/* One token of a NATS subject. */
static bool is_token(const char *s)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '-' && *s != '_')
			return false;
	return true;
}

static int check_token(const struct yaml_index *y, const char *file, const char *path,
		       const char *s)
{
	if (s[0] && is_token(s))
		return 0;
	return scenario_rules__fail(
		y, file, path, "'%s' cannot be part of a subject: letters, digits, - and _", s);
}

static int check_list(const struct yaml_index *y, const char *file, const char *path, char **list,
		      unsigned int n)
{
	unsigned int i, j;
	char item[64];
	int err;

	for (i = 0; i < n; i++) {
		snprintf(item, sizeof(item), "%s[%u]", path, i);
		err = check_token(y, file, item, list[i]);
		for (j = 0; j < i && !err; j++)
			if (!strcmp(list[i], list[j]))
				err = scenario_rules__fail(y, file, item, "'%s' is there twice",
							   list[i]);
		if (err)
			return err;
	}
	return 0;
}

static int apply_paths(struct scenario *s, const struct yaml_index *y, const char *file)
{
	unsigned int i, j;
	char item[32];

	for (i = 0; i < s->n_paths; i++) {
		const char *name = s->path_names[i];

		snprintf(item, sizeof(item), "paths[%u]", i);
		for (j = 0; j < PATH_COUNT && strcmp(name, path__label(j)) != 0; j++)
			;
		if (j == PATH_COUNT)
			return scenario_rules__fail(
				y, file, item, "'%s' is not a path: direct or forwarded", name);
		if (i == PATH_COUNT || (i && s->paths[0] == j))
			return scenario_rules__fail(y, file, item, "'%s' is there twice", name);
		s->paths[i] = j;
	}
	return 0;
}

static int check_rpc(const struct scenario *s, const struct yaml_index *y, const char *file)
{
	long long n;
	char end;

	if (check_token(y, file, "rpc.service", s->rpc.service) ||
	    check_token(y, file, "rpc.method", s->rpc.method))
		return -EINVAL;
	if (sscanf(s->rpc.service, "svc-%lld%c", &n, &end) != 1 || n < 1 || n > s->services.count)
		return scenario_rules__fail(y, file, "rpc.service",
					    "'%s' is not started: services are svc-1 to svc-%lld",
					    s->rpc.service, (long long)s->services.count);
	if (s->rpc.calls < s->rounds)
		return scenario_rules__fail(y, file, "rpc.calls",
					    "%lld calls cannot be spread over %lld rounds",
					    (long long)s->rpc.calls, (long long)s->rounds);
	if (s->rpc.concurrency > s->rpc.calls / s->rounds)
		return scenario_rules__fail(y, file, "rpc.concurrency",
					    "%lld at a time is more than the %lld calls of a round",
					    (long long)s->rpc.concurrency,
					    (long long)(s->rpc.calls / s->rounds));
	if (!s->has_open)
		return 0;
	if (s->rpc_open.calls < s->rounds)
		return scenario_rules__fail(y, file, "rpc_open.calls",
					    "%lld calls cannot be spread over %lld rounds",
					    (long long)s->rpc_open.calls, (long long)s->rounds);
	if ((double)s->rpc_open.calls / s->rpc_open.rate > MAX_OPEN_S)
		return scenario_rules__fail(y, file, "rpc_open.rate",
					    "%lld calls at %g a second take %.0f s a path: at most "
					    "%d s",
					    (long long)s->rpc_open.calls, s->rpc_open.rate,
					    (double)s->rpc_open.calls / s->rpc_open.rate,
					    MAX_OPEN_S);
	return 0;
}

static int check_events(const struct scenario *s, const struct yaml_index *y, const char *file)
{
	if (!s->has_events)
		return 0;
	if (check_list(y, file, "events.domains", s->events.domains, s->events.n_domains) ||
	    check_list(y, file, "events.types", s->events.types, s->events.n_types))
		return -EINVAL;
	if (strcmp(s->events.storage, "file") != 0 && strcmp(s->events.storage, "memory") != 0)
		return scenario_rules__fail(y, file, "events.storage",
					    "'%s' is neither file nor memory", s->events.storage);
	if (!s->stack.jetstream)
		return scenario_rules__fail(y, file, "stack.jetstream",
					    "events are acknowledged by JetStream: set it to true, "
					    "or leave out events");
	if (s->events.replicas > s->stack.nodes)
		return scenario_rules__fail(
			y, file, "events.replicas", "%lld replicas on %lld nodes",
			(long long)s->events.replicas, (long long)s->stack.nodes);
	if (s->events.count < s->rounds)
		return scenario_rules__fail(y, file, "events.count",
					    "%lld events cannot be spread over %lld rounds",
					    (long long)s->events.count, (long long)s->rounds);
	return 0;
}

bool scenario__has_container(const struct scenario *s, const char *name)
{
	long long n;
	char end;

	if (sscanf(name, "svc-%lld%c", &n, &end) == 1)
		return n >= 1 && n <= s->services.count;
	if (sscanf(name, "fwd-%lld%c", &n, &end) == 1)
		return n >= 1 && n <= s->stack.nodes &&
		       (s->paths[0] == PATH_FORWARDED ||
			(s->n_paths > 1 && s->paths[1] == PATH_FORWARDED));
	if (sscanf(name, "n%lld%c", &n, &end) == 1)
		return n >= 1 && n <= s->stack.nodes;
	return !strcmp(name, "load");
}

static int check_memory(const struct scenario *s, const struct yaml_index *y, const char *file)
{
	unsigned int i, j;
	char item[40];

	if (!s->has_memory)
		return 0;
	if (s->memory.seconds < (TREND_MIN_READINGS - 1) * s->memory.interval)
		return scenario_rules__fail(y, file, "memory.interval",
					    "%g s in a watch of %g s: %d readings are wanted",
					    s->memory.interval, s->memory.seconds,
					    TREND_MIN_READINGS);
	for (i = 0; i < s->memory.n_containers; i++) {
		snprintf(item, sizeof(item), "memory.containers[%u]", i);
		if (!scenario__has_container(s, s->memory.containers[i]))
			return scenario_rules__fail(
				y, file, item,
				"'%s' is not started: svc-N, nN (brokers), fwd-N, load",
				s->memory.containers[i]);
		for (j = 0; j < i; j++)
			if (!strcmp(s->memory.containers[i], s->memory.containers[j]))
				return scenario_rules__fail(y, file, item, "'%s' is there twice",
							    s->memory.containers[i]);
	}
	return 0;
}

int scenario_rules__apply(struct scenario *s, const struct yaml_index *y, const char *file)
{
	s->has_open = yaml_index__find(y, "rpc_open");
	s->has_events = yaml_index__find(y, "events");
	s->has_memory = yaml_index__find(y, "memory");
	if (scenario_numbers__apply(s, numbers, y, file) || apply_texts(s) ||
	    scenario_bool__apply(y, file, "stack.jetstream", &s->stack.jetstream, true) ||
	    apply_ports(s, y, file) || apply_paths(s, y, file))
		return -EINVAL;
	if (error_bound__apply(s->error_bound_text, &s->error_bound, y, file))
		return -EINVAL;
	if (check_token(y, file, "name", s->name) || check_rpc(s, y, file) ||
	    check_events(s, y, file) || check_memory(s, y, file))
		return -EINVAL;
	return scenario_targets__apply(s, y, file);
}

static int join(char *buf, size_t size, char *const *list, unsigned int n)
{
	size_t len = 0;
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; i < n && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "", list[i]);
	return 0;
}

static int say_list(scenario_setting_fn fn, void *ctx, const char *key, char *const *list,
		    unsigned int n)
{
	char text[1024];

	join(text, sizeof(text), list, n);
	return fn(ctx, key, text);
}

static int say_ports(const struct scenario *s, scenario_setting_fn fn, void *ctx)
{
	char text[128] = "auto";
	size_t i, len = 0;

	for (i = 0; i < s->stack.n_ports; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", i ? ", " : "",
					s->stack.ports[i]);
	return fn(ctx, "stack.ports", text);
}

int scenario__settings(const struct scenario *s, scenario_setting_fn fn, void *ctx)
{
	if (scenario_numbers__say(s, numbers, "stack", fn, ctx) ||
	    fn(ctx, "stack.jetstream", s->stack.jetstream ? "true" : "false") ||
	    say_ports(s, fn, ctx) || say_list(fn, ctx, "paths", s->path_names, s->n_paths) ||
	    scenario_numbers__say(s, numbers, "rounds", fn, ctx) ||
	    scenario_numbers__say(s, numbers, "rpc", fn, ctx) ||
	    fn(ctx, "rpc.service", s->rpc.service) || fn(ctx, "rpc.method", s->rpc.method))
		return -ENOMEM;
	if (s->has_open && scenario_numbers__say(s, numbers, "rpc_open", fn, ctx))
		return -ENOMEM;
	if (s->has_events &&
	    (scenario_numbers__say(s, numbers, "events", fn, ctx) ||
	     say_list(fn, ctx, "events.domains", s->events.domains, s->events.n_domains) ||
	     say_list(fn, ctx, "events.types", s->events.types, s->events.n_types) ||
	     fn(ctx, "events.storage", s->events.storage)))
		return -ENOMEM;
	if (s->has_memory &&
	    (scenario_numbers__say(s, numbers, "memory", fn, ctx) ||
	     say_list(fn, ctx, "memory.containers",
		      s->memory.n_containers ? s->memory.containers : (char *[]){(char *)"all"},
		      s->memory.n_containers ? s->memory.n_containers : 1)))
		return -ENOMEM;
	if (scenario_numbers__say(s, numbers, "services", fn, ctx) ||
	    scenario_numbers__say(s, numbers, "hops", fn, ctx) ||
	    fn(ctx, "error_bound", s->error_bound_text))
		return -ENOMEM;
	return 0;
}

const char *path__label(enum path p)
{
	return p == PATH_FORWARDED ? "forwarded" : "direct";
}
