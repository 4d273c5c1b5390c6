// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the run holds, by the kernel's accounting of its cgroups. */
#include <math.h>

#include "bench/bench.h"
#include "log.h"
#include "probe/memory.h"

/* v1's hierarchy where that has the memory controller. */
static int read_cgroup(const struct cgroup *c, struct memory_reading *r)
{
	return memory__read_cgroup(c->v1[0] ? c->v1 : c->v2, r);
}

static double usage(const struct cgroup *c)
{
	struct memory_reading r;

	return read_cgroup(c, &r) ? NAN : (double)r.current;
}

void bench__measure_baseline(struct bench *b)
{
	b->baseline_bytes = usage(&b->course.run.cgroup);
}

void bench__measure_total(struct bench *b)
{
	b->total_bytes = usage(&b->course.run.cgroup);
}

static void add_member(struct bench *b, const char *name, const struct cgroup *cgroup,
		       const struct child *child)
{
	struct member *m = &b->members[b->n_members++];

	m->name = name;
	m->cgroup = cgroup;
	m->child = child;
}

void bench__list_members(struct bench *b)
{
	size_t i;

	for (i = 0; i < b->n_services; i++)
		add_member(b, b->services[i].name, &b->services[i].cgroup,
			   &b->services[i].remote.child);
	for (i = 0; i < b->stack.n_nodes; i++)
		add_member(b, b->stack.nodes[i].name, &b->stack.nodes[i].cgroup,
			   &b->stack.nodes[i].child);
	for (i = 0; i < b->stack.n_forwards; i++)
		add_member(b, b->stack.forwards[i].name, &b->stack.forwards[i].cgroup,
			   &b->stack.forwards[i].child);
	add_member(b, "load", &b->load, NULL);
}

bool member__read(const struct member *m, struct memory_reading *r)
{
	return !(m->child && m->child->dead) && !read_cgroup(m->cgroup, r);
}

/* After the load: a service that has worked holds more than one that has just started. */
void bench__measure_members(struct bench *b)
{
	size_t i;

	for (i = 0; i < b->n_members; i++) {
		struct member *m = &b->members[i];

		m->measured = member__read(m, &m->memory);
		if (i < b->n_services)
			b->services_measured |= m->measured;
	}
	if (!b->services_measured)
		log_warn("no memory controller counts the services: no memory figures");
}
