// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The gateway stack by hand:
 *
 *	gateway_stack SCENARIO [NAME=VALUE...]
 *
 * starts it, says where everything is, and obeys: a command a line on stdin, a JSON object a line
 * on stdout. Ends with its input, on `quit`, and on SIGTERM.
 *
 *	kill|terminate|launch|await|pause|resume|reset|health|state|tail SERVICE
 *	counters   status   info   quit
 *
 * Names are those of struct gateway_opts: latency="fixed 5 ms", breaker_open_ms=500,
 * redis_port=..., kong_memory=... . It has no probe.
 */
#include "stack/clock.h"
#include "stack/gateway.h"
#include "stack_tool.h"

#define GRACE_MS 5000
#define AWAIT_MS 20000

static struct gateway gateway;
static struct gateway_opts opts;

static int set_of_service(struct gateway_opts *o, const char *name, unsigned long long v)
{
	static const char *const prefix[] = {"redis_", "api_", "kong_", "proxy_", "client_"};
	size_t i;

	for (i = 0; i < GATEWAY_COUNT; i++) {
		size_t len = strlen(prefix[i]);

		if (strncmp(name, prefix[i], len) != 0)
			continue;
		if (!strcmp(name + len, "port"))
			o->port[i] = (uint16_t)v;
		else if (!strcmp(name + len, "memory"))
			o->memory[i] = v;
		else if (!strcmp(name + len, "workers"))
			o->workers[i] = (unsigned int)v;
		else
			continue;
		return 0;
	}
	return -EINVAL;
}

static int set_option(struct gateway_opts *o, char *arg)
{
	char *value = value_of(arg);
	const char *why;
	unsigned long long v;

	if (!value)
		return -EINVAL;
	if (!strcmp(arg, "latency"))
		return latency__parse(value, &o->latency, &why);
	if (!strcmp(arg, "error_share")) {
		o->error_share = atof(value);
		return 0;
	}
	v = strtoull(value, NULL, 10);
#define OPTION(field)                           \
	if (!strcmp(arg, #field)) {             \
		o->field = (typeof(o->field))v; \
		return 0;                       \
	}
	OPTION(api_status_port)
	OPTION(seed)
	OPTION(map_ttl_s)
	OPTION(breaker_failures)
	OPTION(breaker_open_ms)
	OPTION(redis_timeout_ms)
	OPTION(upstream_timeout_ms)
	OPTION(access_log)
	OPTION(api_delay_ms)
	OPTION(proxy_delay_ms)
	OPTION(redis_via)
	OPTION(api_via)
	OPTION(kong_via)
	return set_of_service(o, arg, v);
}

static json_t *info(void)
{
	json_t *services = json_object();
	struct gateway_versions v;
	size_t i;

	memset(&v, 0, sizeof(v));
	gateway__check(&gateway.opts, &v);
	gateway__versions(&gateway, &v);
	for (i = 0; i < GATEWAY_COUNT; i++) {
		const struct gateway_service *s = &gateway.service[i];

		json_object_set_new(
			services, s->name,
			json_pack("{s:i,s:i,s:s,s:s,s:s,s:I,s:I,s:i}", "port", s->port, "pid",
				  (int)s->child.pid, "cgroup", s->cgroup.v2, "memory_cgroup",
				  s->cgroup.v1[0] ? s->cgroup.v1 : s->cgroup.v2, "access_log",
				  s->access_log, "cgroup_id", (json_int_t)s->cgroup.id, "memory",
				  (json_int_t)s->memory, "starts", (int)s->starts));
	}
	return json_pack("{s:b,s:o,s:i,s:s,s:s,s:i,s:s,s:s,s:s,s:s}", "ok", 1, "services", services,
			 "api_status_port", gateway.api_status_port, "ca", gateway.ca, "run",
			 run.path, "deaths", (int)deaths, "nginx", v.nginx, "lua_module",
			 v.lua_module, "redis", v.redis, "openssl", v.openssl);
}

static json_t *health(enum gateway_id id)
{
	struct gateway_health h;
	int err = gateway__health(&gateway, id, 2000, &h);

	return json_pack("{s:b,s:b,s:I,s:s}", "ok", !err, "healthy", h.healthy, "took_ns",
			 (json_int_t)h.took_ns, "why", h.why);
}

static json_t *counters(void)
{
	struct gateway_counters c;
	int err = gateway__counters(&gateway, &c);

	return json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "ok", !err, "requests",
			 (json_int_t)c.requests, "with_identifiers", (json_int_t)c.with_identifiers,
			 "errors", (json_int_t)c.errors, "bad", (json_int_t)c.bad, "connections",
			 (json_int_t)c.connections, "answered", (json_int_t)c.answered, "wanted_us",
			 (json_int_t)c.wanted_us, "waited_us", (json_int_t)c.waited_us);
}

static json_t *status(void)
{
	static const char *const states[] = {"closed", "open", "half_open"};
	struct gateway_status s;
	int err = gateway__status(&gateway, &s);

	return json_pack("{s:b,s:s,s:i,s:i,s:I,s:I,s:I,s:I,s:I,s:I}", "ok", !err, "breaker",
			 states[s.breaker], "failures", (int)s.failures, "opened", (int)s.opened,
			 "requests", (json_int_t)s.requests, "masked", (json_int_t)s.masked,
			 "unmasked", (json_int_t)s.unmasked, "redis_failures",
			 (json_int_t)s.redis_failures, "upstream_failures",
			 (json_int_t)s.upstream_failures, "refused", (json_int_t)s.refused);
}

static json_t *act(const char *what, enum gateway_id id)
{
	struct gateway_span when = {0};
	unsigned int n = 0;
	int err = -EINVAL;

	if (!strcmp(what, "kill"))
		err = gateway__kill(&gateway, id, &when);
	else if (!strcmp(what, "terminate"))
		err = gateway__terminate(&gateway, id, GRACE_MS, &when);
	else if (!strcmp(what, "launch"))
		err = gateway__launch(&gateway, id, &when);
	else if (!strcmp(what, "await"))
		err = gateway__await(&gateway, id, AWAIT_MS);
	else if (!strcmp(what, "pause"))
		err = gateway__pause(&gateway, id, &when);
	else if (!strcmp(what, "resume"))
		err = gateway__resume(&gateway, id, &when);
	else if (!strcmp(what, "reset"))
		err = gateway__reset(&gateway, id, &n, &when);
	return json_pack("{s:b,s:i,s:i,s:I,s:I}", "ok", !err, "err", err, "n", (int)n, "begin_ns",
			 (json_int_t)when.begin_ns, "end_ns", (json_int_t)when.end_ns);
}

static json_t *obey(const char *what, const char *name, unsigned int number)
{
	enum gateway_id id = gateway__find(name);
	char tail[4096];

	(void)number;
	if (!strcmp(what, "info"))
		return info();
	if (!strcmp(what, "counters"))
		return counters();
	if (!strcmp(what, "status"))
		return status();
	if (id == GATEWAY_COUNT)
		return json_pack("{s:b,s:s}", "ok", 0, "why", "no such service");
	if (!strcmp(what, "health"))
		return health(id);
	if (!strcmp(what, "state"))
		return json_pack("{s:b,s:i}", "ok", 1, "state", (int)gateway__state(&gateway, id));
	if (!strcmp(what, "tail"))
		return json_pack("{s:b,s:s}", "ok", 1, "tail",
				 gateway__tail(&gateway, id, 20, tail, sizeof(tail)));
	return act(what, id);
}

static int start(void)
{
	struct gateway_versions versions;
	int err = gateway__check(&opts, &versions);

	return err ? err : gateway__start(&gateway, &opts, &run, &watch);
}

static void stop(void)
{
	gateway__stop(&gateway, GRACE_MS, watch.signals);
}

int main(int argc, char **argv)
{
	char templates[PATH_MAX];
	int i;

	if (argc < 2 || gateway__templates(argv[1], templates))
		return EXIT_USAGE;
	gateway__defaults(&opts);
	opts.templates = templates;
	for (i = 2; i < argc; i++)
		if (set_option(&opts, argv[i])) {
			fprintf(stderr, "unknown or bad: %s\n", argv[i]);
			return EXIT_USAGE;
		}
	return stack_tool();
}
