// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Everything that a run starts, in order, and its end, in reverse. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/precheck.h"
#include "log.h"
#include "portforward/run.h"
#include "stack/file.h"

#define READY_MS     30000
#define WARMUP_MS    10000
#define CONNECT_MS   10000
#define WARMUP_CALLS 20
#define HOP_PATHS    512

int pfrun__precheck(struct pfrun *r)
{
	int err = precheck__host(&r->course.mounts, !r->course.opts->no_probe);

	if (err)
		return err;
	err = pf_stack__files(r->course.opts->scenario, r->files);
	if (err)
		return log_fail(err,
				"the folder port-forward/ with what the ways need is not beside %s",
				r->course.opts->scenario);
	pf_scenario__stack(r->scenario, &r->stack_opts);
	r->stack_opts.files = r->files;
	rundir__sweep(&r->course.mounts);
	return outdir__open(&r->course.outdir, r->course.opts->out);
}

/* Loaded now, so that a kernel that does not take it says so at once; attached when its turn comes.
 */
static int open_probe(struct pfrun *r)
{
	struct wire_opts opts = {.protos = 1u << PROTO_NATS | 1u << PROTO_HTTP,
				 .hops = true,
				 .sched = true,
				 .hop_paths = HOP_PATHS};

	return r->scenario->hops.rounds
		       ? course__open_probe(&r->course, &opts, r->scenario->load.timeout_ms)
		       : 0;
}

static int make_cgroups(struct pfrun *r)
{
	int err = cgroup__plan_child(&r->load, &r->course.run.cgroup, "load");

	if (!err)
		err = cgroup__create(&r->load, false);
	if (!err)
		err = cgroup__plan_child(&r->responder_cgroup, &r->course.run.cgroup, "responder");
	return err ? err : cgroup__create(&r->responder_cgroup, false);
}

static int start_worker(struct pfrun *r, struct remote *w, const char *name, json_t *config,
			const struct cgroup *cgroup, const struct netns *netns)
{
	char log[PATH_MAX];
	int err = path__format(log, "%s/%s.log", r->course.run.path, name);

	if (!config || err) {
		json_decref(config);
		return log_fail(err ? err : -ENOMEM, "cannot start %s: %s", name,
				strerror(err ? -err : ENOMEM));
	}
	return remote__start(w, name, config, cgroup, netns, log, &r->course.watch);
}

json_t *pfrun__subjects(unsigned int n)
{
	json_t *list = json_array();
	char subject[32];
	unsigned int i;

	for (i = 0; i < n; i++) {
		snprintf(subject, sizeof(subject), "rpc.svc-%u.echo", i + 1);
		json_array_append_new(list, json_string(subject));
	}
	return list;
}

static int start_responder(struct pfrun *r, size_t node)
{
	char name[32], service[32], url[64];
	int err;

	snprintf(name, sizeof(name), "responder-%zu", node + 1);
	snprintf(service, sizeof(service), "svc-%zu", node + 1);
	snprintf(url, sizeof(url), "nats://127.0.0.1:%u", r->stack.nodes[node].client);
	err = start_worker(r, &r->responders[node], name,
			   json_pack("{s:s,s:s,s:[s],s:s,s:[s],s:i}", "role", "service", "name",
				     name, "urls", url, "service", service, "methods", "echo",
				     "connect_timeout_ms", CONNECT_MS),
			   &r->responder_cgroup, pf_stack__cluster_netns(&r->stack));
	return err ? err : remote__await_ready(&r->responders[node], READY_MS);
}

static int start_responders(struct pfrun *r)
{
	size_t i;
	int err = 0;

	for (i = 0; i < r->stack.n_nodes && !err && r->scenario->what.workload[PF_NATS]; i++)
		err = start_responder(r, i);
	return err;
}

/* Of n nodes from the first on. */
static json_t *nats_urls(const struct pfrun *r, enum pf_way way, size_t first, size_t n)
{
	json_t *urls = json_array();
	char url[96];
	size_t i;

	for (i = first; i < first + n; i++) {
		const struct pf_endpoint *to = pf_stack__nats(&r->stack, way, i);

		snprintf(url, sizeof(url), "nats://%s:%u", to->host, to->port);
		json_array_append_new(urls, json_string(url));
	}
	return urls;
}

static struct pf_worker *find_nats(struct pf_used *u, const struct pf_point *p)
{
	size_t i;

	for (i = 0; i < PFRUN_MAX_WORKERS; i++)
		if (!u->nats[i].used ||
		    (u->nats[i].pool == p->pool && u->nats[i].tunnels == p->tunnels))
			return &u->nats[i];
	return NULL;
}

static int start_nats(struct pfrun *r, struct pf_used *u, const struct pf_point *p)
{
	struct pf_worker *w = find_nats(u, p);
	char name[48];
	int err;

	if (!w)
		return log_fail(-ENOSPC, "too many different pools");
	if (w->used)
		return 0;
	*w = (struct pf_worker){.used = true, .pool = p->pool, .tunnels = p->tunnels};
	snprintf(name, sizeof(name), "nats-%s-%u-%u", pf_way__name(u->way), p->pool, p->tunnels);
	err = start_worker(r, &w->remote, name,
			   json_pack("{s:s,s:s,s:o,s:I,s:i}", "role", "rpc", "name", name, "urls",
				     nats_urls(r, u->way, 0, p->tunnels), "pool",
				     (json_int_t)p->pool, "connect_timeout_ms", CONNECT_MS),
			   &r->load, pf_stack__client_netns(&r->stack));
	return err;
}

static int start_http(struct pfrun *r, struct pf_used *u, unsigned int connections)
{
	const struct pf_endpoint *to = pf_stack__http(&r->stack, u->way);
	char name[48], url[96];

	u->http = (struct pf_worker){.used = true, .pool = connections, .tunnels = 1};
	snprintf(name, sizeof(name), "http-%s", pf_way__name(u->way));
	snprintf(url, sizeof(url), "http://%s:%u/echo", to->host, to->port);
	return start_worker(r, &u->http.remote, name,
			    json_pack("{s:s,s:s,s:s,s:I}", "role", "http", "name", name, "url", url,
				      "connections", (json_int_t)connections),
			    &r->load, pf_stack__client_netns(&r->stack));
}

/* Neighbours: one on the port of the first node, which is measured, and one on the second's. */
static int start_bulk(struct pfrun *r, struct pf_used *u)
{
	char name[48];
	size_t i;
	int err = 0;

	for (i = 0; i < 2 && !err && r->scenario->what.bulk; i++) {
		u->bulk[i] = (struct pf_worker){.used = true, .pool = 1, .tunnels = 1};
		snprintf(name, sizeof(name), "bulk-%s-%zu", pf_way__name(u->way), i + 1);
		err = start_worker(r, &u->bulk[i].remote, name,
				   json_pack("{s:s,s:s,s:o,s:i,s:i}", "role", "rpc", "name", name,
					     "urls", nats_urls(r, u->way, i, 1), "pool", 1,
					     "connect_timeout_ms", CONNECT_MS),
				   &r->load, pf_stack__client_netns(&r->stack));
	}
	return err;
}

static int start_way(struct pfrun *r, struct pf_used *u)
{
	const struct pf_scenario *s = r->scenario;
	unsigned int connections = 0;
	size_t i;
	int err = 0;

	for (i = 0; i < s->n_points && !err; i++) {
		if (s->points[i].workload == PF_NATS)
			err = start_nats(r, u, &s->points[i]);
		else if (s->points[i].concurrency > connections)
			connections = s->points[i].concurrency;
	}
	if (!err && s->what.workload[PF_NATS])
		err = start_bulk(r, u);
	return err || !connections ? err : start_http(r, u, connections);
}

static int await_way(struct pf_used *u)
{
	size_t i;
	int err = 0;

	for (i = 0; i < PFRUN_MAX_WORKERS && !err; i++)
		if (u->nats[i].used)
			err = remote__await_ready(&u->nats[i].remote, READY_MS);
	for (i = 0; i < 2 && !err; i++)
		if (u->bulk[i].used)
			err = remote__await_ready(&u->bulk[i].remote, READY_MS);
	if (!err && u->http.used)
		err = remote__await_ready(&u->http.remote, READY_MS);
	return err;
}

/* Every connection of the way has carried a call before anything is measured. */
static int warm_nats(struct pf_worker *w)
{
	json_t *answer;
	bool warm;
	int err = remote__call(&w->remote,
			       json_pack("{s:s,s:o,s:i,s:i}", "cmd", "warmup", "subjects",
					 pfrun__subjects(w->tunnels), "calls", WARMUP_CALLS,
					 "timeout_ms", WARMUP_MS),
			       2 * WARMUP_MS, &answer);

	if (err)
		return err;
	warm = json_is_true(json_object_get(answer, "warm"));
	json_decref(answer);
	return warm ? 0 : -ETIMEDOUT;
}

static int warm_way(struct pfrun *r, size_t way)
{
	struct pf_used *u = &r->used[way];
	size_t i;
	int err = await_way(u);

	for (i = 0; i < PFRUN_MAX_WORKERS && !err; i++)
		if (u->nats[i].used)
			err = warm_nats(&u->nats[i]);
	if (!err || err == -EINTR || way == 0)
		return err;
	/* The others can still be measured. */
	pfrun__lose(r, u, "its clients could not connect, or got no answer");
	log_warn("%s: %s", pf_way__name(u->way), u->why);
	return 0;
}

int pfrun__start_load(struct pfrun *r)
{
	size_t w;
	int err = start_responders(r);

	for (w = 0; w < r->scenario->n_used && !err; w++)
		if (pfrun__available(r, w))
			err = start_way(r, &r->used[w]);
	for (w = 0; w < r->scenario->n_used && !err; w++)
		if (pfrun__available(r, w))
			err = warm_way(r, w);
	return err;
}

struct remote *pfrun__worker(struct pfrun *r, size_t way, const struct pf_point *p)
{
	struct pf_used *u = &r->used[way];
	struct pf_worker *w = p->workload == PF_HTTP ? &u->http : find_nats(u, p);

	return w && w->used ? &w->remote : NULL;
}

struct remote *pfrun__neighbour(struct pfrun *r, size_t way, const struct pf_point *p)
{
	struct pf_used *u = &r->used[way];

	switch (p->beside) {
	case PF_SAME_PORT: return &u->bulk[0].remote;
	case PF_OTHER_PORT: return &u->bulk[1].remote;
	default: return NULL;
	}
}

static void say_ways(const struct pfrun *r)
{
	size_t w;

	for (w = 0; w < r->scenario->n_used; w++) {
		const struct pf_route *route = &r->stack.routes[r->used[w].way];

		if (!route->available)
			log_warn("%s is left out: %s", pf_way__name(r->used[w].way), route->why);
	}
}

int pfrun__setup(void *run)
{
	struct pfrun *r = run;
	size_t w;
	int err;

	for (w = 0; w < r->scenario->n_used; w++)
		r->used[w].way = r->scenario->ways[w];
	err = open_probe(r);
	if (err)
		return err;
	log_info("[%5.1f s] starting the cluster and %zu ways to it", course__elapsed(&r->course),
		 r->scenario->n_used);
	r->stack_started = true;
	err = pf_stack__start(&r->stack, &r->stack_opts, &r->course.run, &r->course.watch);
	if (err)
		return err;
	say_ways(r);
	err = make_cgroups(r);
	if (!err)
		err = pfrun__make_cells(r);
	if (err)
		return err;
	log_info("[%5.1f s] starting the load", course__elapsed(&r->course));
	err = pfrun__start_load(r);
	return err ? err : watch__poll(&r->course.watch);
}

static void forget(struct pfrun *r, struct remote *w)
{
	watch__forget(&r->course.watch, &w->child);
	remote__free(w);
	memset(w, 0, sizeof(*w));
}

void pfrun__stop_load(struct pfrun *r, unsigned int grace_ms)
{
	struct child *list[PF_WAYS * (PFRUN_MAX_WORKERS + 3)];
	size_t w, i, n = 0;

	for (w = 0; w < PF_WAYS; w++) {
		for (i = 0; i < PFRUN_MAX_WORKERS; i++)
			list[n++] = &r->used[w].nats[i].remote.child;
		list[n++] = &r->used[w].http.remote.child;
		for (i = 0; i < 2; i++)
			list[n++] = &r->used[w].bulk[i].remote.child;
	}
	/* Clients first: what they still wait for is answered. */
	child__stop_all(list, n, grace_ms, r->course.watch.signals);
	for (i = 0; i < PF_MAX_NODES; i++)
		list[i] = &r->responders[i].child;
	child__stop_all(list, PF_MAX_NODES, grace_ms, r->course.watch.signals);
	for (w = 0; w < PF_WAYS; w++) {
		for (i = 0; i < PFRUN_MAX_WORKERS; i++) {
			forget(r, &r->used[w].nats[i].remote);
			r->used[w].nats[i].used = false;
		}
		forget(r, &r->used[w].http.remote);
		r->used[w].http.used = false;
		for (i = 0; i < 2; i++) {
			forget(r, &r->used[w].bulk[i].remote);
			r->used[w].bulk[i].used = false;
		}
	}
	for (i = 0; i < PF_MAX_NODES; i++)
		forget(r, &r->responders[i]);
}

void pfrun__teardown(void *run, unsigned int grace_ms)
{
	struct pfrun *r = run;

	pfrun__stop_load(r, grace_ms);
	if (r->stack_started)
		pf_stack__stop(&r->stack, grace_ms, r->course.watch.signals);
}
