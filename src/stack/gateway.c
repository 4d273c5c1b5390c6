// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The gateway's services from their start to their end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "stack/clock.h"
#include "stack/file.h"
#include "stack/gateway_internal.h"
#include "stack/port.h"
#include "stack/program.h"

#define PORT_ATTEMPTS 3 /* a free port may be taken before the server binds it */
#define HEALTH_MS     1000
#define EMPTY_MS      2000
#define THAW_MS	      2000
#define MIB	      (1024ull * 1024)

static const char *const names[GATEWAY_COUNT] = {
	[GATEWAY_REDIS] = "redis-cache",    [GATEWAY_API] = "claude-api",
	[GATEWAY_KONG] = "kong-gateway",    [GATEWAY_PROXY] = "nginx-claude-proxy",
	[GATEWAY_CLIENT] = "claude-client",
};

void gateway__defaults(struct gateway_opts *o)
{
	static const uint64_t memory_mib[GATEWAY_COUNT] = {[GATEWAY_REDIS] = 512,
							   [GATEWAY_KONG] = 1024,
							   [GATEWAY_PROXY] = 256,
							   [GATEWAY_CLIENT] = 512};
	size_t i;

	memset(o, 0, sizeof(*o));
	for (i = 0; i < GATEWAY_COUNT; i++) {
		o->memory[i] = memory_mib[i] * MIB;
		o->workers[i] = 1;
	}
	/* 30 in flight at 1000 requests/s; 1 in 100 takes more than 47 ms. */
	o->latency = (struct latency){.kind = LATENCY_LOGNORMAL,
				      .low_us = 20000,
				      .sigma = 0.35,
				      .at_most_us = LATENCY_MAX_US};
	o->seed = 1;
	o->map_ttl_s = 60;
	o->breaker_failures = 5;
	o->breaker_open_ms = 30000;
	o->redis_timeout_ms = 1000;
	o->upstream_timeout_ms = 10000;
	o->access_log = true;
}

int gateway__templates(const char *scenario, char path[PATH_MAX])
{
	size_t dir = (size_t)(path__name(scenario) - scenario);
	int err = path__format(path, "%.*sgateway", (int)dir, scenario);

	return err ? err : access(path, F_OK) ? -errno : 0;
}

const char *gateway__name(enum gateway_id id)
{
	return names[id];
}

enum gateway_id gateway__find(const char *name)
{
	enum gateway_id id = 0;

	while (id < GATEWAY_COUNT && strcmp(names[id], name) != 0)
		id++;
	return id;
}

enum gateway_state gateway__state(struct gateway *g, enum gateway_id id)
{
	struct gateway_service *s = &g->service[id];

	if ((s->state == GATEWAY_UP || s->state == GATEWAY_PAUSED) && child__ended(&s->child))
		s->state = GATEWAY_DIED;
	return s->state;
}

static int plan_service(struct gateway *g, enum gateway_id id)
{
	struct gateway_service *s = &g->service[id];
	int err;

	s->name = names[id];
	s->memory = g->opts.memory[id];
	err = path__format(s->dir, "%s/%s", g->run->path, s->name);
	if (!err && g->opts.access_log && id != GATEWAY_REDIS && id != GATEWAY_CLIENT)
		err = path__format(s->access_log, "%s/%s.access.log", g->run->store, s->name);
	if (!err)
		err = cgroup__plan_child(&s->cgroup, &g->run->cgroup, s->name);
	return err ? log_fail(err, "the path of the run directory is too long") : 0;
}

static int make_cgroup(struct gateway_service *s)
{
	int err = cgroup__create(&s->cgroup, false);

	if (err || !s->memory)
		return err;
	err = cgroup__limit(&s->cgroup, s->memory);
	if (err) {
		log_warn("cannot limit the memory of %s: %s: it runs without a limit", s->name,
			 strerror(-err));
		s->memory = 0;
	}
	return 0;
}

static int plan(struct gateway *g)
{
	size_t i;
	int err = path__format(g->ca, "%s/claude-api.crt", g->run->path);

	if (!err)
		err = program__find("nginx", g->nginx);
	if (!err)
		err = program__find("redis-server", g->redis);
	if (err)
		return log_fail(err, "nginx or redis-server is not installed");
	for (i = 0; i < GATEWAY_COUNT && !err; i++) {
		err = plan_service(g, i);
		if (!err)
			err = make_cgroup(&g->service[i]);
	}
	return err;
}

static int choose_ports(struct gateway *g)
{
	uint16_t ports[GATEWAY_CLIENT + 1];
	size_t i;
	int err = port__free(ports, GATEWAY_CLIENT + 1);

	if (err)
		return log_fail(err, "cannot find free ports: %s", strerror(-err));
	for (i = 0; i < GATEWAY_CLIENT; i++)
		g->service[i].port = g->opts.port[i] ? g->opts.port[i] : ports[i];
	g->api_status_port =
		g->opts.api_status_port ? g->opts.api_status_port : ports[GATEWAY_CLIENT];
	return 0;
}

int gateway__start_process(struct gateway *g, enum gateway_id id)
{
	struct gateway_service *s = &g->service[id];
	char conf[PATH_MAX], log[PATH_MAX], prefix[PATH_MAX];
	char *redis[] = {g->redis, conf, NULL};
	/* -e: what goes wrong before the configuration says where to is told, too. */
	char *nginx[] = {g->nginx, "-p", prefix, "-c", conf, "-e", "stderr", NULL};
	struct child_spec spec = {.name = s->name,
				  .argv = id == GATEWAY_REDIS ? redis : nginx,
				  .log = log,
				  .cgroup = &s->cgroup};
	int err;

	if (path__format(conf, "%s/%s.conf", s->dir, s->name) ||
	    path__format(prefix, "%s/", s->dir) ||
	    path__format(log, "%s/%s.log", g->run->path, s->name))
		return log_fail(-ENAMETOOLONG, "the path of the run directory is too long");
	err = child__start(&s->child, &spec);
	if (err)
		return err;
	s->state = GATEWAY_UP;
	s->starts++;
	err = watch__add(g->watch, &s->child);
	return err ? log_fail(err, "too many processes to watch") : 0;
}

int gateway__end_process(struct gateway *g, enum gateway_id id, unsigned int grace_ms)
{
	struct gateway_service *s = &g->service[id];
	struct child *child = &s->child;
	uint64_t deadline;

	child->stopping = true;
	watch__forget(g->watch, child);
	/* All at once: workers of a master that is gone would go on for a moment. */
	if (!grace_ms)
		cgroup__kill(&s->cgroup);
	child__stop_all(&child, 1, grace_ms, g->watch->signals);
	s->state = GATEWAY_DOWN;
	cgroup__kill(&s->cgroup);
	for (deadline = clock__now() + EMPTY_MS * NS_PER_MS; cgroup__populated(&s->cgroup);) {
		if (clock__now() > deadline)
			return log_fail(-EBUSY, "%s: its processes do not end", s->name);
		clock__sleep_ms(1);
	}
	return 0;
}

/* A free port was taken by another program in between. A fixed one stays what it is. */
static bool port_was_taken(const struct gateway *g, enum gateway_id id)
{
	const struct gateway_service *s = &g->service[id];
	char tail[4096];

	if (g->opts.port[id] || (id == GATEWAY_API && g->opts.api_status_port))
		return false;
	file__tail(s->child.log, 20, tail, sizeof(tail));
	return strstr(tail, "ddress already in use") != NULL;
}

static int not_ready(const struct gateway_service *s, const char *why, unsigned int timeout_ms)
{
	char tail[2048];

	file__tail(s->child.log, GATEWAY_TAIL_LINES, tail, sizeof(tail));
	return log_fail(-ETIMEDOUT, "%s was not healthy within %.1f s: %s%s%s", s->name,
			timeout_ms / 1000.0, why, tail[0] ? "; its last lines:\n" : "", tail);
}

int gateway__await(struct gateway *g, enum gateway_id id, unsigned int timeout_ms)
{
	uint64_t deadline = clock__now() + timeout_ms * NS_PER_MS;
	struct gateway_service *s = &g->service[id];
	struct gateway_health h;
	int err;

	for (;;) {
		if (!gateway__health(g, id, HEALTH_MS, &h) && h.healthy)
			return 0;
		err = watch__wait(g->watch, -1, clock__now() + GATEWAY_POLL_MS * NS_PER_MS,
				  &s->child);
		if (err == -ECHILD)
			s->state = GATEWAY_DIED;
		if (err < 0)
			return err;
		if (clock__now() >= deadline)
			return not_ready(s, h.why, timeout_ms);
	}
}

/* Another attempt must not be judged by what this one has said. */
static void drop_logs(const struct gateway *g)
{
	size_t i;

	for (i = 0; i < GATEWAY_CLIENT; i++)
		if (g->service[i].child.log[0])
			unlink(g->service[i].child.log);
}

static int start_all(struct gateway *g)
{
	size_t i;
	int err = choose_ports(g);

	if (!err)
		err = gateway__configure(g);
	for (i = 0; i < GATEWAY_CLIENT && !err; i++) {
		err = gateway__start_process(g, i);
		if (!err)
			err = gateway__await(g, i, GATEWAY_READY_MS);
		if (err == -ECHILD)
			err = port_was_taken(g, i) ? -EADDRINUSE
						   : log_fail(err,
							      "the gateway did not start: %s ended "
							      "(see above)",
							      names[i]);
	}
	return err;
}

int gateway__start(struct gateway *g, const struct gateway_opts *opts, const struct rundir *run,
		   struct watch *watch)
{
	int attempt, err;

	memset(g, 0, sizeof(*g));
	g->opts = *opts;
	g->run = run;
	g->watch = watch;
	err = plan(g);
	for (attempt = 1; !err; attempt++) {
		err = start_all(g);
		if (err != -EADDRINUSE)
			break;
		if (attempt == PORT_ATTEMPTS)
			return log_fail(err, "the gateway did not start: its ports are taken by "
					     "another program again and again");
		log_info("a port was taken in between: trying other ports");
		gateway__stop(g, 0, -1);
		drop_logs(g);
		err = 0;
	}
	return err;
}

void gateway__stop(struct gateway *g, unsigned int grace_ms, int impatient_fd)
{
	struct child *list[GATEWAY_CLIENT];
	size_t i, n = 0;

	/* From the front: nobody is asked by one that has lost its back. */
	for (i = GATEWAY_CLIENT; i-- > 0;) {
		struct gateway_service *s = &g->service[i];

		if (!s->child.pid)
			continue;
		if (s->state == GATEWAY_PAUSED)
			cgroup__freeze(&s->cgroup, false, THAW_MS);
		watch__forget(g->watch, &s->child);
		list[n++] = &s->child;
	}
	child__stop_all(list, n, grace_ms, impatient_fd);
	for (i = 0; i < GATEWAY_CLIENT; i++) {
		/* A worker that finishes an answer longer than that. */
		if (g->service[i].state != GATEWAY_DOWN)
			cgroup__kill(&g->service[i].cgroup);
		g->service[i].state = GATEWAY_DOWN;
	}
}
