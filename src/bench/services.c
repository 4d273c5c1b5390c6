// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the services hold, by the kernel's accounting of their cgroups. */
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

/* After the load: a service that has worked holds more than one that has just started. */
void bench__measure_services(struct bench *b)
{
	size_t i;

	for (i = 0; i < b->n_services; i++) {
		struct service *s = &b->services[i];

		s->measured = !s->remote.child.dead && !cgroup__memory(&s->cgroup, &s->memory);
		b->services_measured |= s->measured;
	}
	if (!b->services_measured)
		log_warn("no memory controller counts the services: no memory figures");
}
