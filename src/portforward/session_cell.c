// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* "phases" of the session: a way at a point each; and "analysis": what becomes of a way over them.
 */
#include <math.h>
#include <string.h>

#include "model/waterfall.h"
#include "out/hops.h"
#include "out/json.h"
#include "portforward/analysis.h"
#include "portforward/run.h"

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void put_estimate(json_t **o, const char *key, struct estimate e)
{
	session__put(o, key, session__estimate(&e));
}

static size_t rounds_of(const struct pfrun *r)
{
	return (size_t)r->scenario->load.rounds;
}

static json_t *added(const struct pfrun *r, size_t way, size_t point)
{
	const struct pf_cell *c = pfrun__cell(r, way, point), *d = pfrun__cell(r, 0, point);
	size_t n = rounds_of(r);
	json_t *o = json_object();

	put_estimate(&o, "mean_ns", pf_added(d->mean, c->mean, n));
	put_estimate(&o, "p50_ns", pf_added(d->p50, c->p50, n));
	put_estimate(&o, "p99_ns", pf_added(d->p99, c->p99, n));
	put_estimate(&o, "rate_percent", pf_percent(d->rate, c->rate, n));
	put_estimate(&o, "machine_ns", pf_added(d->machine, c->machine, n));
	return o;
}

/* Processor time a request of each program of the way, all its processes together. */
static json_t *cpu(const struct pfrun *r, size_t way, const struct pf_cell *c)
{
	const struct pf_route *route = &r->stack.routes[r->used[way].way];
	size_t i, k, round, n = rounds_of(r);
	json_t *list = json_array();

	for (i = 0; i < route->n_relays; i++) {
		const char *program = route->relays[i].program;
		double sum[PF_MAX_ROUNDS];
		json_t *o;

		for (k = 0; k < i && strcmp(route->relays[k].program, program) != 0; k++)
			;
		if (k < i)
			continue; /* is in the sum of the first one */
		for (round = 0; round < n; round++)
			for (sum[round] = 0, k = i; k < route->n_relays; k++)
				if (!strcmp(route->relays[k].program, program))
					sum[round] += c->cpu[k][round];
		o = json_object();
		session__put(&o, "program", session__text(program));
		put_estimate(&o, "ns_per_request", pf_middle(sum, n));
		session__append(&list, o);
	}
	return list;
}

static json_t *srtt(const struct pfrun *r, size_t way, const struct pf_cell *c)
{
	const struct pf_used *u = &r->used[way];
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < u->n_legs; i++) {
		json_t *o = json_object();

		session__put(&o, "from", session__text(u->legs[i].from));
		session__put(&o, "to", session__text(u->legs[i].to));
		put_estimate(&o, "front_ns", pf_middle(c->srtt[i][0], rounds_of(r)));
		put_estimate(&o, "back_ns", pf_middle(c->srtt[i][1], rounds_of(r)));
		session__append(&list, o);
	}
	return list;
}

/* Means of an exchange; null: not known. */
static json_t *residence(const struct pf_hops *h)
{
	json_t *o = json_object(), *places = json_array();
	double n = (double)h->exchanges;
	size_t i;

	for (i = 0; i < h->n_places; i++) {
		const struct pf_place_sum *p = &h->place[i];
		json_t *e = json_object();

		session__put(&e, "name", session__text(p->name));
		session__put(&e, "relay", json_boolean(p->relay));
		session__put(&e, "there_ns", session__number(p->there / n));
		session__put(&e, "back_ns", session__number(p->back / n));
		session__put(&e, "queue_ns", session__number(p->queued ? p->queue / n : NAN));
		session__put(&e, "run_queue_ns",
			     session__number(p->queued ? p->run_queue / n : NAN));
		session__append(&places, e);
	}
	session__put(&o, "exchanges", count(h->exchanges));
	session__put(&o, "mean_ns", session__number(h->total / n));
	session__put(&o, "network_ns", session__number(h->network / n));
	session__put(&o, "opaque_ns", session__number(h->opaque / n));
	session__put(&o, "beyond_ns", session__number(h->beyond / n));
	session__put(&o, "client_p50_ns", session__number(hist__quantile_ns(&h->client, 0.5)));
	session__put(&o, "places", places);
	return o;
}

/* The paths of exchanges hop by hop, as `hops --json` has them. */
static void put_paths(json_t **o, const struct pf_hops *h)
{
	struct waterfalls w;

	if (!h->has_paths || waterfalls__build(&w, &h->paths, NULL, NULL))
		return;
	session__put_hops(o, &w);
	waterfalls__free(&w);
}

static void put_point(json_t **o, const struct pfrun *r, const struct pf_point *p)
{
	struct pf_point base = pf_sweep__base(&r->scenario->what, p->workload);
	char name[96];

	session__put(o, "name", session__text(pf_point__name(p, name, sizeof(name))));
	session__put(o, "kind", json_string("cell"));
	session__put(o, "workload", json_string(pf_workload__name(p->workload)));
	session__put(o, "base", json_boolean(pf_point__is(p, &base)));
	session__put(o, "payload_bytes", count(p->payload));
	session__put(o, "concurrency", count(p->concurrency));
	session__put(o, "pool", count(p->pool));
	session__put(o, "tunnels", count(p->tunnels));
	session__put(o, "beside",
		     p->beside ? json_string(p->beside == PF_SAME_PORT ? "same" : "other")
			       : json_null());
}

static json_t *cell(const struct pfrun *r, size_t way, size_t point)
{
	const struct pf_cell *c = pfrun__cell(r, way, point);
	const struct pf_used *u = &r->used[way];
	size_t n = rounds_of(r);
	json_t *o = json_object(), *latency = json_object();

	put_point(&o, r, &r->scenario->points[point]);
	session__put(&o, "way", session__text(pf_way__name(u->way)));
	session__put(&o, "rounds", count(c->rounds));
	session__put(&o, "attempted", count(c->attempted));
	session__put(&o, "succeeded", count(c->succeeded));
	session__put(&o, "failed", count(c->failed));
	session__put(&o, "errors", json_incref(c->errors));
	session__put(&o, "duration_s", session__number(c->duration_s));
	put_estimate(&o, "rate_per_s", pf_middle(c->rate, n));
	session__put(&latency, "client",
		     hist__count(&c->client) ? session__latency(&c->client) : json_null());
	session__put(&o, "latency", latency);
	session__put(&o, "added", way ? added(r, way, point) : json_null());
	session__put(&o, "cpu", cpu(r, way, c));
	put_estimate(&o, "relays_ns_per_request", pf_middle(c->relays, n));
	put_estimate(&o, "machine_ns_per_request", pf_middle(c->machine, n));
	session__put(&o, "srtt", srtt(r, way, c));
	session__put(&o, "segments", count(c->segments));
	session__put(&o, "retransmits", count(c->retransmits));
	session__put(&o, "invalid", session__text(u->broken ? u->why : NULL));
	session__put(&o, "residence", c->hops.exchanges ? residence(&c->hops) : json_null());
	put_paths(&o, &c->hops);
	return o;
}

json_t *pfrun__phases(const struct pfrun *r)
{
	json_t *list = json_array();
	size_t way, point;

	for (point = 0; point < r->scenario->n_points; point++)
		for (way = 0; way < r->scenario->n_used; way++)
			if (pfrun__cell(r, way, point)->attempted)
				session__append(&list, cell(r, way, point));
	return list;
}

/* Of latencies of a cell in which too much failed nothing is to be made. */
static bool is_broken(const struct pfrun *r, size_t way, const struct pf_cell *c)
{
	return r->used[way].broken ||
	       (double)c->failed > r->scenario->error_bound * (double)c->attempted;
}

/* Two points of a way: what it adds at the one, at the other, and the difference by rounds. */
static json_t *compared(const struct pfrun *r, size_t way, const struct pf_point *from,
			const struct pf_point *to, unsigned int from_value, unsigned int to_value)
{
	const struct pf_scenario *s = r->scenario;
	size_t a = pf_point__find(s->points, s->n_points, from);
	size_t b = pf_point__find(s->points, s->n_points, to), n = rounds_of(r);
	const struct pf_cell *d[2], *c[2];
	struct pf_pair p50[2], p99[2];
	json_t *o;
	int i;

	if (a == s->n_points || b == s->n_points || a == b)
		return json_null();
	for (i = 0; i < 2; i++) {
		d[i] = pfrun__cell(r, 0, i ? b : a);
		c[i] = pfrun__cell(r, way, i ? b : a);
		if (is_broken(r, 0, d[i]) || is_broken(r, way, c[i]))
			return json_null();
		p50[i] = (struct pf_pair){d[i]->p50, c[i]->p50};
		p99[i] = (struct pf_pair){d[i]->p99, c[i]->p99};
	}
	o = json_object();
	session__put(&o, "from", count(from_value));
	session__put(&o, "to", count(to_value));
	put_estimate(&o, "added_from_ns", pf_added(d[0]->p50, c[0]->p50, n));
	put_estimate(&o, "added_to_ns", pf_added(d[1]->p50, c[1]->p50, n));
	put_estimate(&o, "growth_ns", pf_growth(&p50[0], &p50[1], n));
	put_estimate(&o, "growth_p99_ns", pf_growth(&p99[0], &p99[1], n));
	return o;
}

static json_t *over_payload(const struct pfrun *r, size_t way, enum pf_workload w)
{
	const struct pf_values *v = &r->scenario->what.payloads;
	struct pf_point from = pf_sweep__base(&r->scenario->what, w), to = from;

	if (v->n < 2)
		return json_null();
	from.payload = v->v[0];
	to.payload = v->v[v->n - 1];
	return compared(r, way, &from, &to, from.payload, to.payload);
}

static json_t *over_concurrency(const struct pfrun *r, size_t way, enum pf_workload w)
{
	const struct pf_values *v = &r->scenario->what.concurrencies;
	struct pf_point from = pf_sweep__base(&r->scenario->what, w), to = from;

	if (v->n < 2)
		return json_null();
	from.concurrency = v->v[0];
	to.concurrency = v->v[v->n - 1];
	if (w == PF_HTTP) {
		from.pool = from.concurrency;
		to.pool = to.concurrency;
	}
	return compared(r, way, &from, &to, from.concurrency, to.concurrency);
}

/* A pool spread over tunnels of their own against the same pool in one: NATS only. */
static json_t *over_tunnels(const struct pfrun *r, size_t way, enum pf_workload w)
{
	const struct pf_sweep *s = &r->scenario->what;
	struct pf_point own = pf_sweep__base(s, w), one;
	json_t *o;

	if (w != PF_NATS || s->tunnels < 2)
		return json_null();
	own.concurrency = s->pool_concurrency;
	own.pool = own.tunnels = s->tunnels;
	one = own;
	one.tunnels = 1;
	o = compared(r, way, &own, &one, own.tunnels, one.tunnels);
	if (json_is_object(o))
		session__put(&o, "concurrency", count(own.concurrency));
	return o;
}

/* A busy neighbour on the same port against one on another. */
static json_t *over_neighbours(const struct pfrun *r, size_t way, enum pf_workload w)
{
	struct pf_point other = pf_sweep__base(&r->scenario->what, w), same = other;
	json_t *o;

	if (w != PF_NATS)
		return json_null();
	other.beside = PF_OTHER_PORT;
	same.beside = PF_SAME_PORT;
	o = compared(r, way, &other, &same, 2, 1);
	if (json_is_object(o))
		session__put(&o, "concurrency", count(r->scenario->what.bulk_concurrency));
	return o;
}

json_t *pfrun__analysis(const struct pfrun *r)
{
	json_t *list = json_array();
	size_t way;
	int w;

	for (way = 1; way < r->scenario->n_used; way++) {
		for (w = 0; w < PF_WORKLOADS; w++) {
			json_t *o;

			if (!r->scenario->what.workload[w] ||
			    !r->stack.routes[r->used[way].way].available)
				continue;
			o = json_object();
			session__put(&o, "way", session__text(pf_way__name(r->used[way].way)));
			session__put(&o, "workload",
				     json_string(pf_workload__name((enum pf_workload)w)));
			session__put(&o, "payload", over_payload(r, way, (enum pf_workload)w));
			session__put(&o, "concurrency",
				     over_concurrency(r, way, (enum pf_workload)w));
			session__put(&o, "tunnels", over_tunnels(r, way, (enum pf_workload)w));
			session__put(&o, "neighbour", over_neighbours(r, way, (enum pf_workload)w));
			session__append(&list, o);
		}
	}
	return list;
}
