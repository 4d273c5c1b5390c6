// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/wire_hops.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "wire.skel.h"

#define TABLE_DEFAULT 32768
#define TABLE_MAX     (1u << 20)
#define PATHS_DEFAULT 128
#define PATHS_MAX     4096
#define PATH_SPANS    6 /* there is room for so many in a path, on average */
#define RING_BYTES    (1u << 20)
#define WAYS	      4
#define LOST	      4096 /* exchanges with messages beyond a segment's HOP_EVENTS */

/* bpf/hops_finish.bpf.h: how the histograms of a span lie in the pool. */
enum place { IN_BEFORE = 0, IN_AFTER = 1, IN_QUEUE = 2, IN_RUN = 3 };

struct node {
	struct hop_node_key key;
	uint64_t used;
};

struct counts {
	uint64_t count[HOP_COUNTS];
};

struct wire_hops {
	struct wire_bpf *skel;
	struct bpf_link *wakeup, *run;
	struct wire_names *names;
	const char *(*route)(void *ctx, uint32_t route);
	void *route_ctx;
	const struct node *nodes; /* mapped, HOP_NODES of them */
	const struct hop_path *paths;
	const struct hist *hists;
	const struct counts *counts;
	size_t n_paths, n_hists, n_counts;
	uint32_t slots; /* histograms of a span */
	uint32_t named; /* nodes whose cgroups were looked up */
	struct ring_buffer *ring;
	wire_timeline_fn fn;
	void *fn_ctx;
};

static uint32_t table_size(const struct wire_opts *o)
{
	return o->hop_table ? o->hop_table : TABLE_DEFAULT;
}

static uint32_t paths_size(const struct wire_opts *o)
{
	return o->hop_paths ? o->hop_paths : PATHS_DEFAULT;
}

static uint32_t slots_of(const struct wire_opts *o)
{
	return o->sched ? IN_RUN + 1 : IN_RUN;
}

static uint32_t hists_size(const struct wire_opts *o)
{
	return paths_size(o) * PATH_SPANS * slots_of(o);
}

static int check(const struct wire_opts *o)
{
	uint32_t table = table_size(o);

	if (table < WAYS || table > TABLE_MAX || (table & (table - 1)))
		return log_fail(-EINVAL,
				"cannot record hops of %u exchanges in flight: a power of two from "
				"%d to %u is possible",
				table, WAYS, TABLE_MAX);
	if (paths_size(o) > PATHS_MAX)
		return log_fail(-EINVAL, "cannot tell %u paths apart: at most %d", paths_size(o),
				PATHS_MAX);
	return 0;
}

static bool has_tracepoint(const char *name)
{
	return libbpf_find_vmlinux_btf_id(name, BPF_TRACE_RAW_TP) > 0;
}

/* What tells of the time in queues: without it everything else is told. */
static int set_programs(struct wire_bpf *s, const struct wire_opts *o)
{
	bool reads = has_tracepoint("tcp_rcv_space_adjust");
	int err;

	if (!reads)
		log_warn("hops: the time in sockets' queues is not told: this kernel lacks the "
			 "typed tracepoint tcp_rcv_space_adjust");
	if (o->sched &&
	    (!reads || !has_tracepoint("sched_wakeup") || !has_tracepoint("sched_switch") ||
	     !libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL)))
		return log_fail(-EOPNOTSUPP,
				"cannot tell how long readers wait for a processor: this kernel "
				"lacks storage of tasks (Linux 5.11), or the typed tracepoints "
				"tcp_rcv_space_adjust, sched_wakeup and sched_switch");
	err = bpf_program__set_autoload(s->progs.wire_read, reads);
	err = err ? err : bpf_program__set_autoload(s->progs.wire_wakeup, o->sched);
	return err ? err : bpf_program__set_autoload(s->progs.wire_switch, o->sched);
}

static int set_sizes(struct wire_bpf *s, const struct wire_opts *o, uint32_t lanes)
{
	const struct {
		struct bpf_map *map;
		uint32_t n;
	} maps[] = {
		{s->maps.hop_sets, table_size(o) / WAYS},
		{s->maps.hop_records, table_size(o)},
		{s->maps.hop_lanes, lanes},
		{s->maps.hop_lost, LOST},
		{s->maps.hop_counters, lanes + 1},
		{s->maps.hop_node_ids, HOP_NODES},
		{s->maps.hop_nodes, HOP_NODES},
		{s->maps.hop_path_ids, paths_size(o)},
		{s->maps.hop_paths, paths_size(o)},
		{s->maps.hop_hists, hists_size(o)},
		{s->maps.hop_timelines, RING_BYTES},
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(maps) / sizeof(maps[0]); i++)
		err = bpf_map__set_max_entries(maps[i].map, maps[i].n);
	return err;
}

/* wire_read has another user: see wire_tree__configure(). */
static int drop_programs(struct wire_bpf *s)
{
	int err = bpf_program__set_autoload(s->progs.wire_wakeup, false);

	return err ? err : bpf_program__set_autoload(s->progs.wire_switch, false);
}

int wire_hops__configure(struct wire_bpf *s, const struct wire_opts *o, uint32_t lanes)
{
	int err;

	s->rodata->targ_hops = o->hops;
	if (!o->hops)
		return drop_programs(s);
	err = check(o);
	if (err)
		return err;
	s->rodata->targ_deliveries = o->deliveries;
	s->rodata->targ_hop_sample = o->hop_sample;
	s->rodata->targ_hop_sets = table_size(o) / WAYS;
	s->rodata->targ_hop_paths = paths_size(o);
	s->rodata->targ_hop_slots = slots_of(o);
	s->rodata->targ_hop_hists = hists_size(o);
	s->rodata->targ_sched = o->sched;
	err = set_programs(s, o);
	if (err)
		return err;
	err = set_sizes(s, o, lanes);
	return err ? log_fail(err, "cannot size the maps of hops: %s", strerror(-err)) : 0;
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

struct wire_hops *wire_hops__open(struct wire_bpf *skel, const struct wire_opts *o, uint32_t lanes,
				  struct wire_names *names,
				  const char *(*route)(void *ctx, uint32_t route), void *ctx)
{
	struct wire_hops *h = calloc(1, sizeof(*h));

	if (!h) {
		log_fail(-ENOMEM, "out of memory");
		return NULL;
	}
	h->skel = skel;
	h->names = names;
	h->route = route;
	h->route_ctx = ctx;
	h->slots = slots_of(o);
	h->n_paths = paths_size(o);
	h->n_hists = hists_size(o);
	h->n_counts = lanes + 1;
	h->named = 1;
	h->nodes = map_memory(skel->maps.hop_nodes, map_bytes(HOP_NODES, sizeof(*h->nodes)));
	h->paths = map_memory(skel->maps.hop_paths, map_bytes(h->n_paths, sizeof(*h->paths)));
	h->hists = map_memory(skel->maps.hop_hists, map_bytes(h->n_hists, sizeof(*h->hists)));
	h->counts = map_memory(skel->maps.hop_counters, map_bytes(h->n_counts, sizeof(*h->counts)));
	if (h->nodes && h->paths && h->hists && h->counts)
		return h;
	wire_hops__close(h);
	return NULL;
}

static void unmap(const void *at, size_t bytes)
{
	if (at)
		munmap((void *)at, bytes);
}

void wire_hops__close(struct wire_hops *h)
{
	if (!h)
		return;
	wire_hops__detach(h);
	ring_buffer__free(h->ring);
	unmap(h->nodes, map_bytes(HOP_NODES, sizeof(*h->nodes)));
	unmap(h->paths, map_bytes(h->n_paths, sizeof(*h->paths)));
	unmap(h->hists, map_bytes(h->n_hists, sizeof(*h->hists)));
	unmap(h->counts, map_bytes(h->n_counts, sizeof(*h->counts)));
	free(h);
}

/* Where it was loaded. */
static int attach(struct bpf_program *p, const char *name, struct bpf_link **link)
{
	if (bpf_program__fd(p) < 0)
		return 0;
	*link = bpf_program__attach(p);
	return *link ? 0 : log_fail(-errno, "cannot attach to %s: %s", name, strerror(errno));
}

int wire_hops__attach(struct wire_hops *h)
{
	int err = attach(h->skel->progs.wire_wakeup, "sched_wakeup", &h->wakeup);

	return err ? err : attach(h->skel->progs.wire_switch, "sched_switch", &h->run);
}

void wire_hops__detach(struct wire_hops *h)
{
	bpf_link__destroy(h->wakeup);
	bpf_link__destroy(h->run);
	h->wakeup = h->run = NULL;
}

static size_t in_use(uint32_t used, size_t max)
{
	return used < max ? used : max;
}

void wire_hops__notice(struct wire_hops *h)
{
	size_t used = in_use(h->skel->data_shared->hop_nodes_used, HOP_NODES);

	for (uint32_t i = h->named; i < used; i++) {
		if (h->nodes[i].used)
			wire_names__get(h->names, h->nodes[i].key.cgroup);
	}
	h->named = (uint32_t)used;
}

static void read_node(struct wire_hops *h, uint16_t id, struct hops_node *out)
{
	memset(out, 0, sizeof(*out));
	if (!id || id >= HOP_NODES || !h->nodes[id].used) {
		snprintf(out->key.comm, sizeof(out->key.comm), "?");
		snprintf(out->container, sizeof(out->container), "?");
		return;
	}
	out->key = h->nodes[id].key;
	snprintf(out->container, sizeof(out->container), "%s",
		 wire_names__get(h->names, out->key.cgroup));
}

static int read_path(struct wire_hops *h, const struct hop_path *p, struct hops_path *out)
{
	size_t n = p->key.n < HOP_SPANS ? p->key.n : HOP_SPANS;

	out->key = p->key;
	out->count = p->count;
	snprintf(out->route, sizeof(out->route), "%s", h->route(h->route_ctx, p->key.route));
	out->span = calloc(n, sizeof(*out->span));
	if (!out->span)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct hops_span *sp = &out->span[i];
		const struct hist *from = &h->hists[p->first + i * h->slots];

		read_node(h, p->key.node[i], &sp->node);
		sp->parent = p->key.link[i] >> 4;
		sp->kind = p->key.link[i] & 15;
		sp->hist[HOP_BEFORE] = from[IN_BEFORE];
		sp->hist[HOP_AFTER] = from[IN_AFTER];
		sp->hist[sp->node.key.request_in ? HOP_QUEUE_REQUEST : HOP_QUEUE_REPLY] =
			from[IN_QUEUE];
		if (h->slots > IN_RUN)
			sp->hist[HOP_RUN_QUEUE] = from[IN_RUN];
	}
	return 0;
}

int wire_hops__read(struct wire_hops *h, struct hops *out)
{
	size_t used = in_use(h->skel->data_shared->hop_paths_used, h->n_paths);
	int err;

	memset(out, 0, sizeof(*out));
	out->on = true;
	for (size_t i = 0; i < h->n_counts; i++) {
		for (size_t k = 0; k < HOP_COUNTS; k++)
			out->count[k] += h->counts[i].count[k];
	}
	out->paths = calloc(used + 1, sizeof(*out->paths));
	if (!out->paths)
		return log_fail(-ENOMEM, "out of memory");
	for (size_t i = 0; i < used; i++) {
		const struct hop_path *p = &h->paths[i];

		if (!p->used || !p->count)
			continue;
		err = read_path(h, p, &out->paths[out->n_paths]);
		if (err) {
			hops__free(out);
			return log_fail(err, "out of memory");
		}
		out->count[p->key.one_way ? HOP_DELIVERED : HOP_COMPLETE] +=
			out->paths[out->n_paths].count;
		out->n_paths++;
	}
	return 0;
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct wire_hops *h = ctx;
	const struct hop_timeline *t = data;
	struct hops_timeline told;

	if (size < sizeof(*t) || t->type != RECORD_TIMELINE || !h->fn)
		return 0;
	told.t = *t;
	snprintf(told.route, sizeof(told.route), "%s", h->route(h->route_ctx, t->route));
	for (size_t i = 0; i < HOP_SPANS; i++)
		read_node(h, i < t->n ? t->span[i].node : 0, &told.node[i]);
	h->fn(h->fn_ctx, &told);
	return 0;
}

int wire_hops__timelines(struct wire_hops *h, uint64_t slow_ns, uint32_t sample,
			 wire_timeline_fn fn, void *ctx)
{
	if (!h->ring) {
		h->ring = ring_buffer__new(bpf_map__fd(h->skel->maps.hop_timelines), on_record, h,
					   NULL);
		if (!h->ring)
			return log_fail(-errno, "cannot map the ring buffer: %s", strerror(errno));
	}
	if (slow_ns != UINT64_MAX)
		h->skel->data_shared->hop_slow_ns = slow_ns;
	h->skel->data_shared->hop_one_in = sample;
	h->fn = fn;
	h->fn_ctx = ctx;
	return ring_buffer__consume(h->ring);
}
