// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>

#include "model/units.h"
#include "portforward/sweep.h"

const char *pf_workload__name(enum pf_workload w)
{
	return w == PF_HTTP ? "http" : "nats";
}

bool pf_point__is(const struct pf_point *a, const struct pf_point *b)
{
	return a->workload == b->workload && a->payload == b->payload &&
	       a->concurrency == b->concurrency && a->pool == b->pool && a->tunnels == b->tunnels &&
	       a->beside == b->beside;
}

size_t pf_point__find(const struct pf_point *p, size_t n, const struct pf_point *wanted)
{
	size_t i = 0;

	while (i < n && !pf_point__is(&p[i], wanted))
		i++;
	return i;
}

struct list {
	struct pf_point *p;
	size_t n;
};

/* A call of HTTP has a connection to itself: its pool is what is under way. */
static void add(struct list *l, struct pf_point p)
{
	if (p.workload == PF_HTTP)
		p.pool = p.concurrency;
	if (l->n < PF_MAX_POINTS && pf_point__find(l->p, l->n, &p) == l->n)
		l->p[l->n++] = p;
}

struct pf_point pf_sweep__base(const struct pf_sweep *s, enum pf_workload w)
{
	return (struct pf_point){
		.workload = w,
		.payload = s->payload,
		.concurrency = s->concurrency,
		.pool = w == PF_HTTP ? s->concurrency : s->pool,
		.tunnels = 1,
	};
}

static void add_pools(const struct pf_sweep *s, struct list *l)
{
	struct pf_point p = pf_sweep__base(s, PF_NATS);
	size_t i;

	p.concurrency = s->pool_concurrency;
	for (i = 0; i < s->pools.n; i++) {
		p.pool = s->pools.v[i];
		add(l, p);
	}
	if (s->tunnels < 2)
		return;
	/* Both sides of the comparison. */
	p.pool = s->tunnels;
	add(l, p);
	p.tunnels = s->tunnels;
	add(l, p);
}

static void add_neighbours(const struct pf_sweep *s, struct list *l)
{
	struct pf_point p = pf_sweep__base(s, PF_NATS);

	if (!s->bulk || s->tunnels < 2)
		return;
	p.beside = PF_OTHER_PORT;
	add(l, p);
	p.beside = PF_SAME_PORT;
	add(l, p);
}

size_t pf_sweep__points(const struct pf_sweep *s, struct pf_point points[PF_MAX_POINTS])
{
	struct list l = {.p = points};
	int w;
	size_t i;

	for (w = 0; w < PF_WORKLOADS; w++) {
		struct pf_point base = pf_sweep__base(s, (enum pf_workload)w), p;

		if (!s->workload[w])
			continue;
		add(&l, base);
		for (i = 0; i < s->payloads.n; i++) {
			p = base;
			p.payload = s->payloads.v[i];
			add(&l, p);
		}
		for (i = 0; i < s->concurrencies.n; i++) {
			p = base;
			p.concurrency = s->concurrencies.v[i];
			add(&l, p);
		}
		if (w == PF_NATS) {
			add_pools(s, &l);
			add_neighbours(s, &l);
		}
	}
	return l.n;
}

char *pf_point__name(const struct pf_point *p, char *buf, size_t size)
{
	char bytes[UNITS_LEN];
	int len;

	len = snprintf(buf, size, "%s, %s, %u at a time", p->workload == PF_HTTP ? "HTTP" : "NATS",
		       units__bytes(bytes, sizeof(bytes), p->payload), p->concurrency);
	if (p->workload == PF_NATS && len > 0 && (size_t)len < size)
		len += snprintf(buf + len, size - (size_t)len, ", pool of %u", p->pool);
	if (p->tunnels > 1 && len > 0 && (size_t)len < size)
		len += snprintf(buf + len, size - (size_t)len, " in %u tunnels", p->tunnels);
	if (p->beside && len > 0 && (size_t)len < size)
		snprintf(buf + len, size - (size_t)len, ", a neighbour on %s port",
			 p->beside == PF_SAME_PORT ? "the same" : "another");
	return buf;
}

void pf_sweep__order(unsigned int round, size_t point, size_t n, size_t *order)
{
	size_t i;

	for (i = 0; i < n; i++) {
		size_t k = (round / 2 + point + i) % n;

		order[i] = round % 2 ? n - 1 - k : k;
	}
}
