// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Everything that a run starts, in order, and its end, in reverse. */
#include <errno.h>
#include <stdio.h>

#include "bench/answer.h"
#include "gateway/run.h"
#include "log.h"
#include "stack/file.h"

#define READY_MS    15000
#define HEALTH_MS   2000
#define WARMUP_MS   15000
#define WARMUP_N    20
#define LOAD_WORKER "claude-client"

static int start_probe(struct gwrun *r)
{
	struct wire_opts opts = {.tree = true, .tls = true};
	int err = course__open_probe(&r->course, &opts, r->scenario->client.timeout_ms);

	return err || !r->course.wire ? err : wire__attach(r->course.wire);
}

static int start_client(struct gwrun *r)
{
	char log[PATH_MAX], url[128];
	int err = path__format(log, "%s/%s.log", r->course.run.path, LOAD_WORKER);
	json_t *config;

	if (err)
		return err;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u" GATEWAY_PATH,
		 r->gateway.service[GATEWAY_PROXY].port);
	config = json_pack("{s:s,s:s,s:s,s:I}", "role", "http", "name", LOAD_WORKER, "url", url,
			   "connections", (json_int_t)r->scenario->client.connections);
	if (!config)
		return log_fail(-ENOMEM, "out of memory");
	err = remote__start(&r->client, LOAD_WORKER, config,
			    &r->gateway.service[GATEWAY_CLIENT].cgroup, NULL, log,
			    &r->course.watch);
	return err ? err : remote__await_ready(&r->client, READY_MS);
}

int gwrun__warm_up(struct gwrun *r)
{
	json_t *answer;
	uint64_t good;
	int err = remote__call(&r->client,
			       json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:s,s:s,s:I}", "cmd", "run",
					 "mode", "closed", "concurrency", 1, "calls", WARMUP_N,
					 "timeout_ms", HEALTH_MS, "limit_s", WARMUP_MS / 1000,
					 "method", "POST", "content", "masker", "payload",
					 (json_int_t)r->scenario->client.payload),
			       2 * WARMUP_MS, &answer);

	if (err)
		return err;
	good = answer__count(answer, "succeeded");
	json_decref(answer);
	if (good)
		return 0;
	return log_fail(-EPROTO, "none of %d requests through the gateway succeeded", WARMUP_N);
}

void gwrun__health(struct gwrun *r, bool first)
{
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++) {
		struct gw_container *c = &r->containers[id];
		struct gateway_health *h = first ? &c->first : &c->last;

		/* The load worker has no port: it is well when it lives and takes commands. */
		if (id == GATEWAY_CLIENT) {
			h->healthy =
				r->client.child.pid && !r->client.child.dead && !r->client.lost;
			if (!h->healthy)
				snprintf(h->why, sizeof(h->why), "its process has ended");
		} else if (gateway__health(&r->gateway, (enum gateway_id)id, HEALTH_MS, h)) {
			h->healthy = false;
		}
		if (first)
			c->has_first = true;
		else
			c->has_last = true;
	}
}

int gwrun__setup(void *run)
{
	struct gwrun *r = run;
	int err = start_probe(r);

	if (err)
		return err;
	log_info("[%5.1f s] starting redis-cache, claude-api, kong-gateway, nginx-claude-proxy",
		 course__elapsed(&r->course));
	err = gateway__start(&r->gateway, &r->stack_opts, &r->course.run, &r->course.watch);
	if (!err)
		err = start_client(r);
	if (err)
		return err;
	gateway__versions(&r->gateway, &r->versions);
	log_info("[%5.1f s] health, warm-up", course__elapsed(&r->course));
	gwrun__health(r, true);
	err = gwrun__warm_up(r);
	return err ? err : watch__poll(&r->course.watch);
}

void gwrun__teardown(void *run, unsigned int grace_ms)
{
	struct gwrun *r = run;
	struct child *client = &r->client.child;
	int impatient = r->course.watch.signals;

	r->course.watch.next_ns = 0;
	child__stop_all(&client, 1, grace_ms, impatient);
	gateway__stop(&r->gateway, grace_ms, impatient);
	remote__free(&r->client);
}
