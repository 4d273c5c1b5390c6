// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The session document, as docs/session.md has it: everything that a report may say. */
#include <stdio.h>

#include <nats/nats.h> /* its version; everything else of it is src/load */

#include "bench/environment.h"
#include "out/json.h"
#include "portforward/run.h"

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *text_or_null(const char *s)
{
	return session__text(s[0] ? s : NULL);
}

static json_t *configuration(const struct pfrun *r)
{
	json_t *list = json_array();

	pf_scenario__settings(r->scenario, course__add_setting, list);
	if (r->course.opts->no_probe)
		course__add_setting(list, "--no-probe", "true");
	return list;
}

static json_t *topology(const struct pfrun *r)
{
	const struct pf_stack *s = &r->stack;
	json_t *list = json_array();
	char address[48];
	size_t i, k;

	for (i = 0; i < s->n_nodes; i++) {
		snprintf(address, sizeof(address), "port %u", s->nodes[i].client);
		environment__add_process(
			list, s->nodes[i].name, "nats-server", &s->nodes[i].child, address,
			environment__cgroup(&r->course.mounts, &s->nodes[i].cgroup));
	}
	snprintf(address, sizeof(address), "port %u", s->web.port);
	environment__add_process(list, "web", "nginx", &s->web.child, address,
				 environment__cgroup(&r->course.mounts, &s->web.cgroup));
	for (i = 0; i < r->scenario->n_used; i++) {
		const struct pf_route *route = &s->routes[r->used[i].way];

		for (k = 0; k < route->n_relays && route->available; k++)
			environment__add_process(
				list, route->relays[k].name, route->relays[k].program,
				&route->relays[k].child, NULL,
				environment__cgroup(&r->course.mounts, &route->relays[k].cgroup));
	}
	return list;
}

static json_t *environment(const struct pfrun *r)
{
	json_t *e = environment__host(&r->course.mounts);

	session__put(&e, "natsc", session__text(nats_GetVersion()));
	session__put(&e, "nats_server", text_or_null(r->stack.nats_version));
	session__put(&e, "nginx", text_or_null(r->stack.web_version));
	session__put(&e, "topology", topology(r));
	return e;
}

/* What one end of a leg sent while the load ran, and the round trips at its end. */
static json_t *leg_end(const struct pf_leg_end *before, const struct pf_leg_end *after)
{
	bool rtt = after->with_rtt > 0;
	json_t *o = json_object();

	session__put(&o, "connections", count(after->connections));
	session__put(&o, "segments", count(pf_risen(before->segments, after->segments)));
	session__put(&o, "retransmits", count(pf_risen(before->retransmits, after->retransmits)));
	session__put(&o, "srtt_min_ns", rtt ? count(after->srtt_min_ns) : json_null());
	session__put(&o, "srtt_mean_ns", rtt ? count(after->srtt_mean_ns) : json_null());
	session__put(&o, "srtt_max_ns", rtt ? count(after->srtt_max_ns) : json_null());
	return o;
}

static json_t *legs(const struct pf_used *u)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < u->n_legs; i++) {
		json_t *o = json_object();

		session__put(&o, "from", session__text(u->legs[i].from));
		session__put(&o, "to", session__text(u->legs[i].to));
		session__put(&o, "front", leg_end(&u->first[i].front, &u->legs[i].front));
		session__put(&o, "back", leg_end(&u->first[i].back, &u->legs[i].back));
		session__append(&list, o);
	}
	return list;
}

static const char *place_name(enum pf_place place)
{
	switch (place) {
	case PF_CLIENT: return "client";
	case PF_FORWARDER: return "forwarder";
	default: return "cluster";
	}
}

static json_t *relays(const struct pf_route *route)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < route->n_relays; i++) {
		const struct pf_relay *relay = &route->relays[i];
		json_t *o = json_object();

		session__put(&o, "name", session__text(relay->name));
		session__put(&o, "program", session__text(relay->program));
		session__put(&o, "place", json_string(place_name(relay->place)));
		session__append(&list, o);
	}
	return list;
}

static json_t *ways(const struct pfrun *r)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < r->scenario->n_used; i++) {
		const struct pf_used *u = &r->used[i];
		const struct pf_route *route = &r->stack.routes[u->way];
		json_t *o = json_object();

		session__put(&o, "name", session__text(pf_way__name(u->way)));
		session__put(&o, "available", json_boolean(route->available));
		session__put(&o, "why", text_or_null(route->available ? u->why : route->why));
		session__put(&o, "version", text_or_null(route->version));
		session__put(&o, "command", text_or_null(route->command));
		session__put(&o, "relays", relays(route));
		session__put(&o, "legs", legs(u));
		session__append(&list, o);
	}
	return list;
}

static json_t *tcp(const struct pfrun *r)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < PF_PLACES && r->has_tcp; i++) {
		const struct pf_tcp *a = &r->tcp[i][0], *b = &r->tcp[i][1];
		json_t *o = json_object();

		session__put(&o, "place", json_string(place_name((enum pf_place)i)));
		session__put(&o, "in_segments", count(pf_risen(a->in_segments, b->in_segments)));
		session__put(&o, "out_segments", count(pf_risen(a->out_segments, b->out_segments)));
		session__put(&o, "retransmits", count(pf_risen(a->retransmits, b->retransmits)));
		session__append(&list, o);
	}
	return list;
}

static json_t *values(const struct pf_values *v)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < v->n; i++)
		session__append(&list, count(v->v[i]));
	return list;
}

static json_t *sweeps(const struct pf_sweep *s)
{
	json_t *o = json_object();

	session__put(&o, "payload", values(&s->payloads));
	session__put(&o, "concurrency", values(&s->concurrencies));
	session__put(&o, "pool", values(&s->pools));
	session__put(&o, "pool_concurrency", count(s->pool_concurrency));
	session__put(&o, "tunnels", count(s->tunnels));
	session__put(&o, "bulk", count(s->bulk));
	session__put(&o, "bulk_concurrency", count(s->bulk_concurrency));
	return o;
}

json_t *pfrun__session(const struct pfrun *r)
{
	json_t *o =
		course__session(&r->course, "port-forward", r->scenario->name, r->scenario->title);

	session__put(&o, "environment", environment(r));
	session__put(&o, "configuration", configuration(r));
	session__put(&o, "rounds", count(r->rounds));
	session__put(&o, "slice_s", session__number(r->scenario->load.seconds));
	session__put(&o, "hop_rounds", count(r->hop_rounds));
	session__put(&o, "sweeps", sweeps(&r->scenario->what));
	session__put(&o, "ways", ways(r));
	session__put(&o, "phases", pfrun__phases(r));
	session__put(&o, "analysis", pfrun__analysis(r));
	session__put(&o, "tcp", tcp(r));
	course__put_probe(&o, &r->course, false);
	session__put(&o, "error_bound_percent", session__number(100 * r->scenario->error_bound));
	session__put(&o, "targets", session__targets(r->targets, r->n_targets));
	return o;
}
