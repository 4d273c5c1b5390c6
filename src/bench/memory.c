// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the run holds, by the kernel's accounting of its cgroups. */
#include <math.h>

#include "bench/bench.h"
#include "log.h"

static double usage(const struct cgroup *c)
{
	struct cgroup_memory m;

	return cgroup__memory(c, &m) ? NAN : (double)m.current_bytes;
}

void bench__measure_baseline(struct bench *b)
{
	b->baseline_bytes = usage(&b->run.cgroup);
}

void bench__measure_total(struct bench *b)
{
	b->total_bytes = usage(&b->run.cgroup);
}

static void measure_one(struct bench *b, const char *name, const struct cgroup *cgroup, bool dead)
{
	struct container *c = &b->containers[b->n_containers++];

	c->name = name;
	c->cgroup = cgroup;
	c->measured = !dead && !cgroup__memory(cgroup, &c->memory);
}

/* After the load: a service that has worked holds more than one that has just started. */
void bench__measure_containers(struct bench *b)
{
	size_t i;

	for (i = 0; i < b->n_services; i++) {
		const struct service *s = &b->services[i];

		measure_one(b, s->name, &s->cgroup, s->remote.child.dead);
		b->services_measured |= b->containers[i].measured;
	}
	for (i = 0; i < b->stack.n_nodes; i++)
		measure_one(b, b->stack.nodes[i].name, &b->stack.nodes[i].cgroup,
			    b->stack.nodes[i].child.dead);
	for (i = 0; i < b->stack.n_forwards; i++)
		measure_one(b, b->stack.forwards[i].name, &b->stack.forwards[i].cgroup,
			    b->stack.forwards[i].child.dead);
	measure_one(b, "load", &b->load, false);
	if (!b->services_measured)
		log_warn("no memory controller counts the services: no memory figures");
}
