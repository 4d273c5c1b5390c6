// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/wire_tree.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cause.h"
#include "log.h"
#include "wire.skel.h"

#define MEET 16384 /* connections that begin, and their ends */

struct wire_tree {
	struct wire_bpf *skel;
	struct bpf_link *read, *connect, *exit;
	const struct edge_val *edges; /* mapped, max_edges of them */
	const struct cause_stats *stats;
	size_t max_edges;
};

int wire_tree__configure(struct wire_bpf *skel, bool wanted, bool parts, uint32_t max_edges)
{
	int err;

	skel->rodata->targ_tree = wanted;
	skel->rodata->targ_parts = parts;
	skel->rodata->targ_max_edges = max_edges;
	err = bpf_program__set_autoload(skel->progs.wire_read, wanted);
	err = err ? err : bpf_program__set_autoload(skel->progs.wire_connect, wanted);
	err = err ? err : bpf_program__set_autoload(skel->progs.wire_exit, wanted);
	if (!wanted) {
		struct bpf_map *maps[] = {skel->maps.cause_parents, skel->maps.cause_links,
					  skel->maps.cause_ids, skel->maps.cause_actors,
					  skel->maps.cause_processes};

		for (size_t i = 0; !err && i < sizeof(maps) / sizeof(maps[0]); i++)
			err = bpf_map__set_max_entries(maps[i], 1);
		return err;
	}
	err = err ? err : bpf_map__set_max_entries(skel->maps.edges, max_edges);
	err = err ? err : bpf_map__set_max_entries(skel->maps.edge_ids, max_edges);
	err = err ? err : bpf_map__set_max_entries(skel->maps.cause_meet, MEET);
	return err ? err : bpf_map__set_max_entries(skel->maps.cause_peers, MEET);
}

static size_t map_bytes(size_t n, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (n * size + page - 1) / page * page;
}

static const void *map_memory(struct bpf_map *map, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	if (at != MAP_FAILED)
		return at;
	log_fail(-errno, "cannot map %s: %s", bpf_map__name(map), strerror(errno));
	return NULL;
}

struct wire_tree *wire_tree__open(struct wire_bpf *skel, uint32_t max_edges)
{
	struct wire_tree *t = calloc(1, sizeof(*t));

	if (!t) {
		log_fail(-ENOMEM, "out of memory");
		return NULL;
	}
	t->skel = skel;
	t->max_edges = max_edges;
	t->edges = map_memory(skel->maps.edges, map_bytes(max_edges, sizeof(*t->edges)));
	t->stats = map_memory(skel->maps.cause_counts, map_bytes(1, sizeof(*t->stats)));
	if (t->edges && t->stats)
		return t;
	wire_tree__close(t);
	return NULL;
}

void wire_tree__close(struct wire_tree *t)
{
	if (!t)
		return;
	wire_tree__detach(t);
	if (t->edges)
		munmap((void *)t->edges, map_bytes(t->max_edges, sizeof(*t->edges)));
	if (t->stats)
		munmap((void *)t->stats, map_bytes(1, sizeof(*t->stats)));
	free(t);
}

int wire_tree__attach(struct wire_tree *t)
{
	/* Hops do without it: wire_hops.c warns of what is not told then. */
	if (bpf_program__fd(t->skel->progs.wire_read) >= 0) {
		t->read = bpf_program__attach(t->skel->progs.wire_read);
		if (!t->read)
			return log_fail(
				-errno,
				"cannot attach to tcp_rcv_space_adjust: %s; --tree needs it",
				strerror(errno));
	}
	t->connect = bpf_program__attach(t->skel->progs.wire_connect);
	if (!t->connect)
		return log_fail(-errno, "cannot attach to inet_sock_set_state: %s; --tree needs it",
				strerror(errno));
	t->exit = bpf_program__attach(t->skel->progs.wire_exit);
	if (!t->exit)
		return log_fail(-errno, "cannot attach to sched_process_exit: %s; --tree needs it",
				strerror(errno));
	return 0;
}

void wire_tree__detach(struct wire_tree *t)
{
	bpf_link__destroy(t->read);
	bpf_link__destroy(t->connect);
	bpf_link__destroy(t->exit);
	t->read = t->connect = t->exit = NULL;
}

static void set_name(char *to, size_t len, const char *name)
{
	snprintf(to, len, "%s", name);
}

int wire_tree__read(struct wire_tree *t, struct snapshot *s, struct wire_names *names,
		    const char *(*route)(void *ctx, uint32_t route), void *ctx)
{
	size_t used = t->stats->edges_used + EDGES_FIRST;

	if (used > t->max_edges)
		used = t->max_edges;
	memcpy(s->cause, t->stats->count, sizeof(s->cause));
	s->tree = true;
	s->edges = calloc(used, sizeof(*s->edges));
	if (!s->edges)
		return log_fail(-ENOMEM, "out of memory");
	for (size_t i = EDGES_FIRST; i < used; i++) {
		const struct edge_val *v = &t->edges[i];
		struct snapshot_edge *e = &s->edges[s->n_edges];

		if (!v->used)
			continue;
		e->key = v->key;
		e->calls = v->calls;
		e->done = v->done;
		e->sum_ns = v->sum_ns;
		e->late = v->late;
		e->callee = v->callee;
		e->callees = v->callees;
		e->hist = v->hist;
		if (v->key.kind == EDGE_LINKED)
			set_name(e->parent_route, sizeof(e->parent_route),
				 route(ctx, v->key.parent_route));
		set_name(e->child_route, sizeof(e->child_route), route(ctx, v->key.child_route));
		set_name(e->container, sizeof(e->container),
			 wire_names__get(names, v->key.child_cgroup));
		if (v->callee)
			set_name(e->callee_container, sizeof(e->callee_container),
				 wire_names__get(names, v->callee));
		s->n_edges++;
	}
	return 0;
}
