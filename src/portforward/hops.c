// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where the time goes on each way: rounds of their own, with the probe. What it costs is in no
 * latency that is compared.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/answer.h"
#include "bench/hops.h"
#include "log.h"
#include "model/waterfall.h"
#include "portforward/run.h"
#include "stack/clock.h"

#define PROGRESS_NS (5 * NS_PER_S)
#define WARM_S	    0.05

/* Whose cgroup it is: no exchange gets lost with one that is not known. */
static const char *name_of(const struct pfrun *r, size_t way, uint64_t cgroup, bool *relay)
{
	const struct pf_route *route = &r->stack.routes[r->used[way].way];
	size_t i;

	*relay = false;
	for (i = 0; i < route->n_relays; i++) {
		if (route->relays[i].cgroup.id != cgroup)
			continue;
		*relay = true;
		return route->relays[i].program;
	}
	for (i = 0; i < r->stack.n_nodes; i++)
		if (r->stack.nodes[i].cgroup.id == cgroup)
			return "nats-server";
	if (r->stack.web.cgroup.id == cgroup)
		return "nginx";
	if (r->load.id == cgroup)
		return "client";
	return r->responder_cgroup.id == cgroup ? "responder" : "(other)";
}

/* The sum of the place of this name; a new one where there is none. NULL: no room. */
static struct pf_place_sum *place_of(struct pf_hops *h, const char *name, bool relay)
{
	struct pf_place_sum *p;
	size_t i;

	for (i = 0; i < h->n_places; i++)
		if (!strcmp(h->place[i].name, name))
			return &h->place[i];
	if (h->n_places == PFRUN_MAX_PLACES)
		return NULL;
	p = &h->place[h->n_places++];
	*p = (struct pf_place_sum){.relay = relay};
	snprintf(p->name, sizeof(p->name), "%s", name);
	return p;
}

static double known(double v)
{
	return isfinite(v) ? v : 0;
}

static void add_residence(const struct pfrun *r, size_t way, struct pf_hops *h,
			  const struct hops_path *path, const struct waterfall_edge *e)
{
	bool relay;
	const char *name = name_of(r, way, path->span[e->span].node.key.cgroup, &relay);
	struct pf_place_sum *p;
	double n = (double)path->count;

	/* Nothing of it was seen behind this socket: what is there is not the relay's alone. */
	if (e->kind == WATERFALL_SERVICE && relay) {
		h->beyond += n * e->mean_ns;
		return;
	}
	p = place_of(h, name, relay);
	if (!p)
		return;
	*(e->direction == WATERFALL_BACK ? &p->back : &p->there) += n * e->mean_ns;
	p->queue += (double)e->queue_count * known(e->queue_mean_ns);
	p->run_queue += (double)e->queue_count * known(e->run_mean_ns);
	p->queued += e->queue_count;
}

static void add_path(const struct pfrun *r, size_t way, struct pf_hops *h,
		     const struct hops_path *path)
{
	struct waterfall w;
	size_t i;

	if (!waterfall__of_path(&w, path))
		return;
	h->exchanges += w.count;
	h->total += (double)w.count * w.mean_ns;
	for (i = 0; i < w.n_edges; i++) {
		const struct waterfall_edge *e = &w.edge[i];
		double ns = (double)w.count * e->mean_ns;

		switch (e->kind) {
		case WATERFALL_NETWORK: h->network += ns; break;
		case WATERFALL_OPAQUE: h->opaque += ns; break;
		case WATERFALL_BEYOND: h->beyond += ns; break;
		default: add_residence(r, way, h, path, e);
		}
	}
}

/* Exchanges of the load worker alone: what relays and brokers ask each other is none. */
static bool is_ours(const struct pfrun *r, const struct hops_path *path)
{
	return path->key.n && path->span[0].node.key.cgroup == r->load.id;
}

/* The paths of the base are kept for the waterfall; of the others the sums do. */
static void keep_paths(struct pf_cell *c, struct snapshot *delta)
{
	if (c->hops.has_paths || !delta->hops.n_paths)
		return;
	c->hops.paths = delta->hops;
	c->hops.has_paths = true;
	memset(&delta->hops, 0, sizeof(delta->hops));
}

static void take_hops(struct pfrun *r, size_t way, size_t point, const struct snapshot *before)
{
	struct pf_cell *c = pfrun__cell(r, way, point);
	const struct pf_point *p = &r->scenario->points[point];
	struct pf_point base = pf_sweep__base(&r->scenario->what, p->workload);
	struct snapshot now = {0}, delta = {0};
	size_t i;

	if (wire__read(r->course.wire, &now) || snapshot__delta(&delta, &now, before)) {
		course__incomplete(&r->course, "the probe could not be read");
	} else {
		for (i = 0; i < delta.hops.n_paths; i++)
			if (is_ours(r, &delta.hops.paths[i]))
				add_path(r, way, &c->hops, &delta.hops.paths[i]);
		if (pf_point__is(p, &base))
			keep_paths(c, &delta);
	}
	snapshot__free(&delta);
	snapshot__free(&now);
}

static int hop_slice(struct pfrun *r, size_t way, size_t point)
{
	struct snapshot before = {0};
	struct pf_cell *c = pfrun__cell(r, way, point);
	json_t *answer = NULL;
	int err = pfrun__open(r, way, &r->scenario->points[point]);

	if (err)
		return err == -EINTR ? err : 0;
	if (wire__read(r->course.wire, &before)) {
		course__incomplete(&r->course, "the probe could not be read");
		return pfrun__close(r, way, &r->scenario->points[point]);
	}
	err = pfrun__drive(r, way, &r->scenario->points[point], r->scenario->hops.seconds, &answer);
	if (!err) {
		hop_phase__settle();
		if (answer__merge_hist(json_object_get(answer, "client"), &c->hops.client))
			course__incomplete(&r->course,
					   "an answer of a load worker could not be read");
		take_hops(r, way, point, &before);
	}
	json_decref(answer);
	snapshot__free(&before);
	if (!err)
		err = pfrun__close(r, way, &r->scenario->points[point]);
	return err == -EINTR ? err : 0;
}

/* New connections, which the probe sees from their first byte on. */
static int restart_load(struct pfrun *r)
{
	size_t way, point;
	json_t *answer;
	int err;

	pfrun__stop_load(r, 2000);
	err = wire__attach(r->course.wire);
	if (!err)
		err = pfrun__start_load(r);
	for (point = 0; point < r->scenario->n_points && !err; point++) {
		for (way = 0; way < r->scenario->n_used && err != -EINTR; way++) {
			if (!pfrun__available(r, way))
				continue;
			err = pfrun__drive(r, way, &r->scenario->points[point], WARM_S, &answer);
			json_decref(answer);
			if (!err)
				err = pfrun__close(r, way, &r->scenario->points[point]);
		}
		err = err == -EINTR ? err : 0;
	}
	return err;
}

static int run_round(struct pfrun *r, unsigned int round, uint64_t *told)
{
	size_t order[PF_WAYS], point, i;
	int err = 0;

	for (point = 0; point < r->scenario->n_points && !err; point++) {
		if (clock__now() - *told > PROGRESS_NS) {
			*told = clock__now();
			log_info("[%5.1f s] hops, round %u of %lld, point %zu of %zu",
				 course__elapsed(&r->course), round + 1,
				 (long long)r->scenario->hops.rounds, point + 1,
				 r->scenario->n_points);
		}
		pf_sweep__order(round, point, r->scenario->n_used, order);
		for (i = 0; i < r->scenario->n_used && !err; i++)
			if (pfrun__available(r, order[i]))
				err = hop_slice(r, order[i], point);
	}
	return err;
}

int pfrun__measure_hops(struct pfrun *r)
{
	unsigned int rounds = (unsigned int)r->scenario->hops.rounds, round;
	uint64_t told = clock__now();
	int err;

	log_info("[%5.1f s] hops: the probe attached, %u round%s", course__elapsed(&r->course),
		 rounds, rounds == 1 ? "" : "s");
	err = restart_load(r);
	if (err && err != -EINTR)
		course__incomplete(&r->course, "the rounds with the probe could not be begun");
	for (round = 0; round < rounds && !err; round++) {
		err = run_round(r, round, &told);
		r->hop_rounds += !err;
	}
	course__read_last(&r->course);
	wire__detach(r->course.wire);
	return err == -EINTR ? err : 0;
}
