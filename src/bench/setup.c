// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Everything that a run starts, in order, and its end, in reverse. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "log.h"
#include "stack/file.h"

#define READY_MS	30000
#define WARMUP_MS	30000
#define CONNECT_MS	10000
#define WARMUP_CALLS	20
#define COPIES_OF_EVENT 12
#define MIN_OPEN	(1u << 16)
#define MAX_OPEN	(1u << 20)
#define STREAM		"HOPSCOPE_BENCH"

/*
 * Copies of events that carry a reply subject and that their receivers do not answer (subscriber,
 * services, routes between brokers) stay open until the probe gives them up, all at a time.
 */
static uint32_t open_exchanges(const struct scenario *s)
{
	uint64_t n = s->has_events ? (uint64_t)s->events.count * s->n_paths * COPIES_OF_EVENT : 0;

	return n > MAX_OPEN ? MAX_OPEN : n < MIN_OPEN ? MIN_OPEN : (uint32_t)n;
}

static int start_probe(struct bench *b)
{
	struct wire_opts opts = {.protos = 1u << PROTO_NATS,
				 .max_overflow = open_exchanges(b->scenario)};
	int err = course__open_probe(&b->course, &opts, b->scenario->rpc.timeout_ms);

	return err || !b->course.wire ? err : wire__attach(b->course.wire);
}

static int start_brokers(struct bench *b)
{
	const struct scenario *s = b->scenario;
	struct stack_opts opts = {
		.nodes = (size_t)s->stack.nodes,
		.jetstream = s->stack.jetstream,
		.ports = s->stack.n_ports ? s->stack.ports : NULL,
		.program = b->course.opts->nats_server,
	};
	size_t i;
	int err = 0;

	if (!b->course.opts->n_urls)
		err = stack__start(&b->stack, &opts, &b->course.run, &b->course.watch);
	if (err || !bench__has_path(b, PATH_FORWARDED))
		return err;
	for (i = 0; i < b->stack.n_nodes && !err; i++)
		err = stack__forward(&b->stack, "127.0.0.1", b->stack.nodes[i].client,
				     &b->course.run, &b->course.watch);
	for (i = 0; i < b->course.opts->n_urls && !err; i++)
		err = stack__forward(&b->stack, b->course.opts->urls[i].host,
				     b->course.opts->urls[i].port, &b->course.run,
				     &b->course.watch);
	return err;
}

/* Where clients connect on a path: the list turned by `first`, so that they spread over nodes. */
static json_t *urls(const struct bench *b, enum path path, size_t first)
{
	size_t n = b->course.opts->n_urls ? b->course.opts->n_urls : b->stack.n_nodes;
	char text[URL_LEN + URL_HOST_LEN + 32];
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < n; i++) {
		size_t k = (first + i) % n;
		struct url u = {.host = "127.0.0.1"};

		if (b->course.opts->n_urls)
			u = b->course.opts->urls[k];
		else
			u.port = b->stack.nodes[k].client;
		if (path == PATH_FORWARDED) {
			snprintf(u.host, sizeof(u.host), "127.0.0.1");
			u.port = b->stack.forwards[k].port;
		}
		json_array_append_new(list, json_string(url__format(&u, text)));
	}
	return list;
}

/* The keys that every worker's configuration has. */
static json_t *config_of(const struct bench *b, const char *role, const char *name, enum path path,
			 size_t first)
{
	return json_pack("{s:s,s:s,s:o,s:o,s:i}", "role", role, "name", name, "urls",
			 urls(b, path, first), "probe_urls", urls(b, PATH_DIRECT, 0),
			 "connect_timeout_ms", CONNECT_MS);
}

static int start_worker(struct bench *b, struct remote *r, const char *name, json_t *config,
			const struct cgroup *cgroup)
{
	char log[PATH_MAX];
	int err = path__format(log, "%s/%s.log", b->course.run.path, name);

	if (!config || err) {
		json_decref(config);
		return log_fail(err ? err : -ENOMEM, "cannot start %s: %s", name,
				strerror(err ? -err : ENOMEM));
	}
	return remote__start(r, name, config, cgroup, NULL, log, &b->course.watch);
}

static int start_service(struct bench *b, size_t i)
{
	const struct scenario *s = b->scenario;
	struct service *service = &b->services[i];
	char events[160];
	json_t *config;
	int err;

	snprintf(service->name, sizeof(service->name), "svc-%zu", i + 1);
	b->n_services = i + 1;
	err = cgroup__plan_child(&service->cgroup, &b->course.run.cgroup, service->name);
	if (!err)
		err = cgroup__create(&service->cgroup, false);
	if (err)
		return err;
	config = config_of(b, "service", service->name, PATH_DIRECT, i);
	json_object_set_new(config, "pool", json_integer(s->services.pool));
	json_object_set_new(config, "service", json_string(service->name));
	json_object_set_new(config, "queue", json_string(service->name));
	json_object_set_new(config, "methods", json_pack("[s]", s->rpc.method));
	if (s->has_events) {
		/* Each service handles one domain, as services do. */
		snprintf(events, sizeof(events), "events.%s.>",
			 s->events.domains[i % s->events.n_domains]);
		json_object_set_new(config, "event_subjects", json_pack("[s]", events));
	}
	return start_worker(b, &service->remote, service->name, config, &service->cgroup);
}

static int start_services(struct bench *b)
{
	size_t i, n = (size_t)b->scenario->services.count;
	int err = 0;

	bench__measure_baseline(b);
	for (i = 0; i < n && !err; i++)
		err = start_service(b, i);
	for (i = 0; i < n && !err; i++)
		err = remote__await_ready(&b->services[i].remote, READY_MS);
	if (!err)
		bench__measure_total(b);
	return err;
}

static int start_rpc(struct bench *b, enum path path)
{
	json_t *config;
	char name[32];

	snprintf(name, sizeof(name), "rpc-%s", path__label(path));
	config = config_of(b, "rpc", name, path, 0);
	json_object_set_new(config, "pool", json_integer(b->scenario->rpc.pool));
	return start_worker(b, &b->rpc[path], name, config, &b->load);
}

static int start_publisher(struct bench *b, enum path path)
{
	const struct scenario *s = b->scenario;
	json_t *config;
	char name[32];

	snprintf(name, sizeof(name), "publisher-%s", path__label(path));
	config = config_of(b, "publisher", name, path, 0);
	json_object_set_new(config, "stream", json_string(STREAM));
	json_object_set_new(config, "subjects", json_pack("[s]", "events.>"));
	json_object_set_new(config, "replicas", json_integer(s->events.replicas));
	json_object_set_new(config, "storage", json_string(s->events.storage));
	/* The first one makes the stream, and takes it away at the end. */
	json_object_set_new(config, "create_stream", json_boolean(path == s->paths[0]));
	return start_worker(b, &b->publisher[path], name, config, &b->load);
}

static int start_events(struct bench *b)
{
	json_t *config = config_of(b, "subscriber", "subscriber", PATH_DIRECT, 0);
	unsigned int i;
	int err;

	json_object_set_new(config, "subject", json_string("events.>"));
	err = start_worker(b, &b->subscriber, "subscriber", config, &b->load);
	if (!err)
		err = remote__await_ready(&b->subscriber, READY_MS);
	for (i = 0; i < b->scenario->n_paths && !err; i++) {
		err = start_publisher(b, b->scenario->paths[i]);
		if (!err)
			err = remote__await_ready(&b->publisher[b->scenario->paths[i]], READY_MS);
	}
	return err;
}

int bench__warm_up(struct bench *b, enum path path)
{
	json_t *list = json_array(), *answer;
	char subject[160];
	size_t i;
	int err;

	for (i = 0; i < b->n_services; i++) {
		snprintf(subject, sizeof(subject), "rpc.%s.%s", b->services[i].name,
			 b->scenario->rpc.method);
		json_array_append_new(list, json_string(subject));
	}
	err = remote__call(&b->rpc[path],
			   json_pack("{s:s,s:o,s:i,s:i}", "cmd", "warmup", "subjects", list,
				     "calls", WARMUP_CALLS, "timeout_ms", WARMUP_MS / 2),
			   WARMUP_MS, &answer);
	if (!err && !json_is_true(json_object_get(answer, "warm")))
		err = log_fail(-ETIMEDOUT,
			       "the services do not answer on the %s path within %d s: see the "
			       "messages above",
			       path__label(path), WARMUP_MS / 2000);
	json_decref(answer);
	return err;
}

static int start_load(struct bench *b)
{
	const struct scenario *s = b->scenario;
	unsigned int i;
	int err = 0;

	for (i = 0; i < s->n_paths && !err; i++)
		err = start_rpc(b, s->paths[i]);
	for (i = 0; i < s->n_paths && !err; i++)
		err = remote__await_ready(&b->rpc[s->paths[i]], READY_MS);
	if (!err && s->has_events && !b->course.opts->ab_only)
		err = start_events(b);
	for (i = 0; i < s->n_paths && !err; i++)
		err = bench__warm_up(b, s->paths[i]);
	return err;
}

int bench__setup(void *run)
{
	struct bench *b = run;
	int err = cgroup__plan_child(&b->load, &b->course.run.cgroup, "load");

	if (!err)
		err = cgroup__create(&b->load, false);
	if (!err)
		err = start_probe(b);
	if (err)
		return err;
	if (b->course.opts->n_urls)
		log_info("[%5.1f s] using %zu broker%s that run%s", 0.0, b->course.opts->n_urls,
			 b->course.opts->n_urls == 1 ? "" : "s",
			 b->course.opts->n_urls == 1 ? "s" : "");
	else
		log_info("[%5.1f s] starting %lld nats-server node%s", 0.0,
			 (long long)b->scenario->stack.nodes,
			 b->scenario->stack.nodes == 1 ? "" : "s");
	err = start_brokers(b);
	if (err)
		return err;
	log_info("[%5.1f s] starting %lld services and the load", course__elapsed(&b->course),
		 (long long)b->scenario->services.count);
	err = start_services(b);
	if (!err)
		err = start_load(b);
	return err ? err : watch__poll(&b->course.watch);
}

void bench__teardown(void *run, unsigned int grace_ms)
{
	struct bench *b = run;
	struct child *list[MAX_SERVICES + 2 * PATH_COUNT + 1];
	size_t i, n = 0;
	int impatient = b->course.watch.signals;

	/* The load first: the publisher takes its stream away while there is a cluster. */
	for (i = 0; i < PATH_COUNT; i++) {
		list[n++] = &b->publisher[i].child;
		list[n++] = &b->rpc[i].child;
	}
	list[n++] = &b->subscriber.child;
	for (i = 0; i < b->n_services; i++)
		list[n++] = &b->services[i].remote.child;
	child__stop_all(list, n, grace_ms, impatient);
	stack__stop(&b->stack, grace_ms, impatient);
	for (i = 0; i < PATH_COUNT; i++) {
		remote__free(&b->publisher[i]);
		remote__free(&b->rpc[i]);
	}
	remote__free(&b->subscriber);
	for (i = 0; i < b->n_services; i++)
		remote__free(&b->services[i].remote);
}
