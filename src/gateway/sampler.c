// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What each container holds and uses, read again and again until calls are followed hop by hop. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/run.h"
#include "log.h"
#include "probe/memory.h"
#include "stack/clock.h"

#define PEAK_S 1.0 /* the highest processor use is that of so long */

static double cpu_us(const struct cgroup *c)
{
	uint64_t ns;

	return cgroup__cpu_ns(c, &ns) ? NAN : (double)ns / 1e3;
}

static double known(uint64_t v)
{
	return v == MEMORY_NOT_KNOWN ? NAN : (double)v;
}

/* Page cache is not counted: it is given back when somebody needs the memory. */
static double held(const struct memory_reading *m)
{
	double anon = known(m->anon);

	return m->swap == MEMORY_NOT_KNOWN ? anon : anon + (double)m->swap;
}

static struct gw_reading *next_reading(struct gw_container *c)
{
	if (c->n == c->size) {
		size_t size = c->size ? 2 * c->size : 1024;
		struct gw_reading *more = realloc(c->readings, size * sizeof(*more));

		if (!more)
			return NULL;
		c->readings = more;
		c->size = size;
	}
	return &c->readings[c->n++];
}

static void sample(struct gwrun *r, struct gw_container *c)
{
	const struct gateway_service *s = &r->gateway.service[c->id];
	struct memory_reading m;
	struct gw_reading *reading;
	bool up = c->id == GATEWAY_CLIENT ? !r->client.child.dead
					  : s->state == GATEWAY_UP || s->state == GATEWAY_PAUSED;

	/* An empty cgroup still holds page cache, and nobody's memory. */
	if (!up || memory__read_cgroup(s->cgroup.v1[0] ? s->cgroup.v1 : s->cgroup.v2, &m))
		return;
	reading = next_reading(c);
	if (!reading)
		return;
	c->memory = m;
	c->has_memory = true;
	*reading = (struct gw_reading){
		.t_s = course__elapsed(&r->course),
		.held = held(&m),
		.working_set = known(m.working_set),
		.current = known(m.current),
		.limit = known(m.limit),
		.cpu_us = cpu_us(&s->cgroup),
		.starts = s->starts,
	};
}

static void sample_all(struct gwrun *r)
{
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++)
		sample(r, &r->containers[id]);
}

void gwrun__on_time(void *run)
{
	struct gwrun *r = run;
	uint64_t step = (uint64_t)(r->scenario->memory.interval * 1e9);
	uint64_t now = clock__now(), fault;

	if (now >= r->next_sample_ns) {
		sample_all(r);
		/* A gateway that was killed speaks TLS in new processes. */
		if (r->course.wire)
			wire__notice(r->course.wire);
		r->next_sample_ns += step;
		/* Whoever is late does not catch up: readings in a row say nothing new. */
		if (r->next_sample_ns <= now)
			r->next_sample_ns = now + step;
	}
	fault = gwrun__do_faults(r);
	r->course.watch.next_ns = fault < r->next_sample_ns ? fault : r->next_sample_ns;
}

void gwrun__start_sampler(struct gwrun *r)
{
	r->next_sample_ns = clock__now();
	r->course.watch.on_time = gwrun__on_time;
	r->course.watch.next_ns = r->next_sample_ns;
}

void gwrun__end_sampler(struct gwrun *r)
{
	sample_all(r);
	r->course.watch.next_ns = 0;
}

/* Percent of one processor between two readings. */
static double percent(const struct gw_reading *a, const struct gw_reading *b)
{
	return (b->cpu_us - a->cpu_us) / (b->t_s - a->t_s) / 1e4;
}

struct gw_use gw_container__use(const struct gw_container *c, double from_s, double to_s)
{
	struct gw_use u = {NAN, NAN, NAN, NAN, NAN, NAN};
	size_t i, first = c->n, back = 0;

	for (i = 0; i < c->n; i++) {
		const struct gw_reading *v = &c->readings[i];

		if (v->t_s < from_s || v->t_s > to_s)
			continue;
		if (first == c->n)
			first = back = i;
		u.working_set = fmax(u.working_set, v->working_set);
		u.current = fmax(u.current, v->current);
		u.share = fmax(u.share, v->working_set / v->limit);
		u.limit = v->limit;
		if (i > first)
			u.cpu_percent = percent(&c->readings[first], v);
		while (back < i && v->t_s - c->readings[back + 1].t_s >= PEAK_S)
			back++;
		if (v->t_s - c->readings[back].t_s >= PEAK_S)
			u.cpu_percent_max = fmax(u.cpu_percent_max, percent(&c->readings[back], v));
	}
	return u;
}

static void judge_stretch(struct gwrun *r, const struct gw_container *c, size_t from, size_t n)
{
	struct gw_growth *g = &r->growths[r->n_growths];
	struct growth_sample *s = calloc(n ? n : 1, sizeof(*s));
	double limit = n ? c->readings[from + n - 1].limit : NAN;
	size_t i;

	if (!s || r->n_growths == GW_MAX_GROWTHS) {
		free(s);
		return;
	}
	r->n_growths++;
	g->id = c->id;
	g->from = from;
	g->n = n;
	for (i = 0; i < n; i++)
		s[i] = (struct growth_sample){.t_s = c->readings[from + i].t_s,
					      .bytes = c->readings[from + i].held};
	growth__judge(&g->growth, s, n, n ? limit - s[n - 1].bytes : NAN);
	free(s);
}

void gwrun__judge_growth(struct gwrun *r)
{
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++) {
		const struct gw_container *c = &r->containers[id];
		size_t i, from = 0, first = r->n_growths;

		for (i = 1; i <= c->n; i++) {
			if (i < c->n && c->readings[i].starts == c->readings[from].starts)
				continue;
			judge_stretch(r, c, from, i - from);
			from = i;
		}
		for (i = first; i < r->n_growths; i++) {
			r->growths[i].stretch = (unsigned int)(i - first) + 1;
			r->growths[i].stretches = (unsigned int)(r->n_growths - first);
		}
	}
}
