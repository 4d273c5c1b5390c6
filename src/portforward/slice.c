// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One slice of load: over one way, at one point, for a fraction of a second. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/answer.h"
#include "bench/samples.h"
#include "log.h"
#include "portforward/run.h"
#include "stack/clock.h"

#define MARGIN_MS 10000
#define OPEN_S	  0.05	/* of load that opens connections */
#define LEAD_MS	  30	/* of a neighbour */
#define FASTEST	  60000 /* calls a second, beyond what any way carries: room for so many */

static json_t *command(const struct pfrun *r, const struct pf_point *p, double seconds)
{
	json_t *c = json_pack(
		"{s:s,s:s,s:I,s:I,s:I,s:I,s:f,s:b}", "cmd", "run", "mode", "closed", "calls",
		(json_int_t)(seconds * FASTEST) + PFRUN_P99_CALLS, "concurrency",
		(json_int_t)p->concurrency, "payload", (json_int_t)p->payload, "timeout_ms",
		(json_int_t)r->scenario->load.timeout_ms, "limit_s", seconds, "record", true);

	if (c && p->workload == PF_HTTP)
		json_object_set_new(c, "method", json_string("POST"));
	else if (c)
		json_object_set_new(c, "subjects", pfrun__subjects(p->tunnels));
	return c;
}

/*
 * The neighbour's load, begun before the load that is measured and over after it. Its subject is
 * that of the node it is connected to.
 */
static json_t *neighbours_command(const struct pfrun *r, const struct pf_point *p, double seconds)
{
	const struct pf_sweep *s = &r->scenario->what;
	double limit = seconds + 2 * LEAD_MS / 1e3;

	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:f}", "cmd", "run", "mode", "closed",
			 "subject", p->beside == PF_SAME_PORT ? "rpc.svc-1.echo" : "rpc.svc-2.echo",
			 "calls", (json_int_t)(limit * FASTEST), "concurrency",
			 (json_int_t)s->bulk_concurrency, "payload", (json_int_t)s->bulk,
			 "timeout_ms", (json_int_t)r->scenario->load.timeout_ms, "limit_s", limit);
}

static unsigned int patience_ms(const struct pfrun *r, double seconds)
{
	return (unsigned int)(seconds * 1000) + (unsigned int)r->scenario->load.timeout_ms +
	       MARGIN_MS;
}

static int drive(struct pfrun *r, size_t way, const struct pf_point *p, double seconds,
		 json_t **answer)
{
	struct remote *w = pfrun__worker(r, way, p), *neighbour = pfrun__neighbour(r, way, p);
	json_t *ignored = NULL;
	int err, ended;

	if (!w)
		return -ENOENT;
	if (!neighbour)
		return remote__call(w, command(r, p, seconds), patience_ms(r, seconds), answer);
	err = remote__send(neighbour, neighbours_command(r, p, seconds));
	if (err)
		return err;
	clock__sleep_ms(LEAD_MS);
	err = remote__call(w, command(r, p, seconds), patience_ms(r, seconds), answer);
	if (err == -EINTR)
		return err;
	ended = remote__answer(neighbour, patience_ms(r, seconds), &ignored);
	json_decref(ignored);
	if (!err && ended) {
		json_decref(*answer);
		*answer = NULL;
	}
	return err ? err : ended;
}

int pfrun__drive(struct pfrun *r, size_t way, const struct pf_point *p, double seconds,
		 json_t **answer)
{
	struct pf_used *u = &r->used[way];
	int err;

	*answer = NULL;
	err = drive(r, way, p, seconds, answer);
	if (!err || err == -EINTR || u->gone)
		return err;
	pfrun__lose(r, u, "a load worker of it was lost");
	course__incomplete(&r->course, "%s: %s", pf_way__name(u->way), u->why);
	return err;
}

/* Answers that were whole and no success: by their codes. */
static void add_codes(struct pf_cell *c, const json_t *codes)
{
	json_t *others = json_copy((json_t *)codes);

	json_object_del(others, "200");
	answer__add_counts(c->errors, others);
	json_decref(others);
}

/* What is compared: exact values of the round's single calls. */
static void take_samples(struct pf_cell *c, const struct pf_point *p, const json_t *answer,
			 unsigned int round)
{
	const json_t *calls = json_object_get(answer, "calls");
	struct samples s;

	if (p->workload == PF_HTTP ? samples__read_http(&s, calls) : samples__read(&s, calls))
		return;
	c->mean[round] = samples__mean(&s);
	c->p50[round] = samples__quantile(&s, 0.5);
	if (s.n >= PFRUN_P99_CALLS)
		c->p99[round] = samples__quantile(&s, 0.99);
	samples__free(&s);
}

static int take_answer(struct pf_cell *c, const struct pf_point *p, const json_t *answer,
		       unsigned int round)
{
	double duration = answer__number(answer, "duration_s");
	uint64_t succeeded = answer__count(answer, "succeeded");
	int err = answer__merge_hist(json_object_get(answer, "client"), &c->client);

	if (err)
		return log_fail(err, "the answer of a load worker cannot be read");
	c->attempted += answer__count(answer, "attempted");
	c->succeeded += succeeded;
	c->failed += answer__count(answer, "failed");
	c->duration_s += duration;
	answer__add_counts(c->errors, json_object_get(answer, "errors"));
	add_codes(c, json_object_get(answer, "codes"));
	/* Of a rate, none in the time it took is a value. */
	if (duration > 0)
		c->rate[round] = (double)succeeded / duration;
	take_samples(c, p, answer, round);
	return 0;
}

/* Processor time of the way's relays, and of the machine. */
struct used {
	uint64_t relay[PF_MAX_RELAYS];
	bool known[PF_MAX_RELAYS];
	struct machine machine;
};

static void read_used(const struct pfrun *r, size_t way, struct used *u)
{
	const struct pf_route *route = &r->stack.routes[r->used[way].way];
	size_t i;

	for (i = 0; i < route->n_relays; i++)
		u->known[i] = !pf_relay__cpu_ns(&route->relays[i], &u->relay[i]);
	u->machine = machine__read();
}

static void take_used(const struct pfrun *r, size_t way, struct pf_cell *c,
		      const struct used *before, const struct used *after, double requests,
		      unsigned int round)
{
	const struct pf_route *route = &r->stack.routes[r->used[way].way];
	double all = 0;
	size_t i;

	if (!(requests > 0))
		return;
	for (i = 0; i < route->n_relays; i++) {
		double ns = before->known[i] && after->known[i]
				    ? (double)(after->relay[i] - before->relay[i]) / requests
				    : NAN;

		c->cpu[i][round] = ns;
		all += ns;
	}
	if (route->n_relays)
		c->relays[round] = all;
	c->machine[round] = (after->machine.busy - before->machine.busy) /
			    (double)sysconf(_SC_CLK_TCK) * 1e9 / requests;
}

/* What TCP says of the way's connections, which stay open between the slices. */
static void take_legs(struct pfrun *r, size_t way, struct pf_cell *c, unsigned int round)
{
	struct pf_used *u = &r->used[way];
	struct pf_leg now[PF_MAX_LEGS];
	size_t i, n, end;

	if (pf_stack__legs(&r->stack, u->way, now, &n))
		return;
	for (i = 0; i < n; i++) {
		for (end = 0; end < 2; end++) {
			const struct pf_leg_end *e = end ? &now[i].back : &now[i].front;
			const struct pf_leg_end *b = end ? &u->legs[i].back : &u->legs[i].front;

			if (e->with_rtt)
				c->srtt[i][end][round] = (double)e->srtt_min_ns;
			if (i >= u->n_legs)
				continue;
			c->segments += pf_risen(b->segments, e->segments);
			c->retransmits += pf_risen(b->retransmits, e->retransmits);
		}
	}
	memcpy(u->legs, now, sizeof(now));
	u->n_legs = n;
}

/*
 * Connections that only this point needs are opened for it and closed after it: a tunnel that has a
 * hundred open is another one for all other points (ssh looks at each whenever it wakes up).
 */
static bool has_own_connections(const struct pfrun *r, const struct pf_point *p)
{
	return p->workload == PF_HTTP && p->concurrency > r->scenario->what.concurrency;
}

int pfrun__open(struct pfrun *r, size_t way, const struct pf_point *p)
{
	json_t *answer;
	int err;

	if (!has_own_connections(r, p))
		return 0;
	err = pfrun__drive(r, way, p, OPEN_S, &answer);
	json_decref(answer);
	return err;
}

int pfrun__close(struct pfrun *r, size_t way, const struct pf_point *p)
{
	struct remote *w = pfrun__worker(r, way, p);
	json_t *answer;
	int err;

	if (!has_own_connections(r, p) || !w)
		return 0;
	err = remote__call(w, json_pack("{s:s}", "cmd", "close"), MARGIN_MS, &answer);
	json_decref(answer);
	return err == -EINTR ? err : 0;
}

int pfrun__slice(struct pfrun *r, size_t way, size_t point, double seconds, unsigned int round)
{
	const struct pf_point *p = &r->scenario->points[point];
	struct pf_cell *c = pfrun__cell(r, way, point);
	struct used before = {0}, after = {0};
	json_t *answer;
	int err = pfrun__open(r, way, p);

	if (err)
		return err;
	read_used(r, way, &before);
	err = pfrun__drive(r, way, p, seconds, &answer);
	if (err)
		return err;
	read_used(r, way, &after);
	if (take_answer(c, p, answer, round)) {
		course__incomplete(&r->course, "an answer of a load worker could not be read");
	} else {
		take_used(r, way, c, &before, &after, (double)answer__count(answer, "succeeded"),
			  round);
		take_legs(r, way, c, round);
		c->rounds++;
	}
	json_decref(answer);
	return pfrun__close(r, way, p);
}
