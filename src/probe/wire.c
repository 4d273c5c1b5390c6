// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/wire.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "probe/lacks.h"
#include "probe/opaque.h"
#include "probe/programs.h"
#include "probe/privileges.h"
#include "probe/redis_names.h"
#include "probe/tls.h"
#include "probe/wire_hops.h"
#include "probe/wire_names.h"
#include "probe/wire_tree.h"
#include "wire.skel.h"

#define ROUTES_DEFAULT	 256
#define SERIES_DEFAULT	 512
#define OVERFLOW_DEFAULT 65536
#define MAX_EDGES	 1024
#define FAR_REQUESTS	 16384 /* of deep pipelines, with hops */
#define TIMEOUT_DEFAULT	 (5ull * 1000000000)
#define SWEEP_MOST_NS	 (2 * 1000000000ull) /* between two sweeps, however rare the readings */
#define OWNERS_EVERY_NS	 (1000000000ull)     /* at most: a walk over every process's open files */

struct wire {
	struct wire_bpf *skel;
	struct bpf_link *egress, *ingress, *destroy;
	struct wire_tree *tree;		 /* with opts.tree or opts.hops only */
	struct wire_hops *hops;		 /* with opts.hops only */
	struct bpf_link *made;		 /* cgroups; with filters by name only */
	struct bpf_link *sweep, *owners; /* iterators: run when read */
	struct ring_buffer *ring;
	struct wire_acct *lanes; /* mapped, n_lanes of them */
	size_t n_lanes;
	const struct series_val *series; /* mapped, max_series of them */
	size_t max_series;
	char (*route_names)[ROUTE_LEN + 1]; /* by number, max_routes of them */
	size_t max_routes;
	struct wire_opts opts;
	struct wire_names *names;
	struct opaque *opaque;
	struct tls *tls;  /* NULL: not asked for */
	bool passed_over; /* there were connections that are not read */
	uint32_t named;	  /* series_used when cgroups were last looked up */
	int stats_fd;
	uint64_t opened_ns, timeout_ns, swept_ns, owners_ns, owners_seen;
	wire_exemplar_fn fn;
	void *fn_ctx;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* libbpf's own messages: the verifier's log is of use with -v only. */
static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (!log_verbose || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, args);
}

static void set_filters(struct wire_bpf__rodata *ro, const struct wire_opts *o)
{
	memcpy((void *)ro->targ_pids, o->pids, sizeof(o->pids));
	memcpy((void *)ro->targ_comms, o->comms, sizeof(o->comms));
	memcpy((void *)ro->targ_ports, o->ports, sizeof(o->ports));
	memcpy((void *)ro->targ_cgroups, o->cgroups, sizeof(o->cgroups));
	memcpy((void *)ro->targ_cgroup_levels, o->cgroup_levels, sizeof(o->cgroup_levels));
	ro->targ_protos = o->protos ? o->protos : UINT32_MAX;
	if (o->tls) /* which sockets may be whose: bpf/tls.bpf.c */
		ro->targ_protos |= 1u << PROTO_TLS;
	ro->targ_n_pids = (uint32_t)o->n_pids;
	ro->targ_n_comms = (uint32_t)o->n_comms;
	ro->targ_n_ports = (uint32_t)o->n_ports;
	ro->targ_n_cgroups = (uint32_t)o->n_cgroups;
}

static bool by_name(const struct wire_opts *o)
{
	return o->n_containers || o->n_pods;
}

/* Without the tracepoint a new cgroup is noticed by its first segment. */
static int configure_names(struct wire *w, const struct wire_opts *o)
{
	struct wire_bpf *s = w->skel;
	bool seen = by_name(o) && libbpf_find_vmlinux_btf_id("cgroup_mkdir", BPF_TRACE_RAW_TP) > 0;
	int err = bpf_program__set_autoload(s->progs.wire_cgroup, seen);

	s->rodata->targ_named = by_name(o);
	if (!by_name(o))
		return err;
	err = err ? err : bpf_map__set_max_entries(s->maps.verdicts, WIRE_VERDICTS);
	return err ? err : bpf_map__set_max_entries(s->maps.undecided, WIRE_UNDECIDED);
}

/* A call is a hop of the request that caused it: which one, is what a tree is made of. */
static bool links_calls(const struct wire_opts *o)
{
	return o->tree || o->hops;
}

static int configure(struct wire *w, const struct wire_opts *o)
{
	uint32_t routes = o->max_routes ? o->max_routes : ROUTES_DEFAULT;
	uint32_t series = (o->max_series ? o->max_series : SERIES_DEFAULT) + SERIES_FIXED;
	struct wire_bpf *s = w->skel;
	uint64_t seed;
	int err;

	w->n_lanes = (size_t)libbpf_num_possible_cpus() * LANES_PER_CPU;
	w->max_series = series;
	w->max_routes = routes;
	w->timeout_ns = o->timeout_ns ? o->timeout_ns : TIMEOUT_DEFAULT;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return log_fail(-errno, "cannot read random bytes: %s", strerror(errno));
	s->rodata->targ_seed = seed;
	s->rodata->targ_timeout_ns = w->timeout_ns;
	s->rodata->targ_slow_ns = o->slow_ns;
	s->rodata->targ_sample = o->sample;
	s->rodata->targ_max_routes = routes;
	s->rodata->targ_max_series = series;
	set_filters(s->rodata, o);
	err = configure_names(w, o);
	err = err ? err
		  : wire_tree__configure(s, links_calls(o), o->tree,
					 links_calls(o) ? MAX_EDGES : 1);
	err = err ? err : bpf_map__set_max_entries(s->maps.fifo_far, o->hops ? FAR_REQUESTS : 1);
	err = err ? err : wire_hops__configure(s, o, (uint32_t)w->n_lanes);
	err = err ? err : bpf_map__set_max_entries(s->maps.lanes, (uint32_t)w->n_lanes);
	err = err ? err : bpf_map__set_max_entries(s->maps.scratches, (uint32_t)w->n_lanes);
	err = err ? err : bpf_map__set_max_entries(s->maps.routes, routes);
	err = err ? err : bpf_map__set_max_entries(s->maps.series, series);
	err = err ? err : bpf_map__set_max_entries(s->maps.series_ids, series);
	err = err ? err
		  : bpf_map__set_max_entries(s->maps.flight_overflow,
					     o->max_overflow ? o->max_overflow : OVERFLOW_DEFAULT);
	return err ? log_fail(err, "cannot size the maps: %s", strerror(-err)) : 0;
}

/* A map of the kernel's as our memory. The kernel rounds values up to 8 bytes; ours are. */
static int map_memory(struct bpf_map *map, size_t bytes, int prot, void **out)
{
	*out = mmap(NULL, bytes, prot, MAP_SHARED, bpf_map__fd(map), 0);
	if (*out != MAP_FAILED)
		return 0;
	*out = NULL;
	return log_fail(-errno, "cannot map %s: %s", bpf_map__name(map), strerror(errno));
}

static const char *route_name(void *ctx, uint32_t route)
{
	return wire__route_name(ctx, route);
}

static int map_memories(struct wire *w)
{
	void *at;
	int err;

	err = map_memory(w->skel->maps.lanes, w->n_lanes * sizeof(*w->lanes), PROT_READ, &at);
	if (err)
		return err;
	w->lanes = at;
	err = map_memory(w->skel->maps.series, w->max_series * sizeof(*w->series), PROT_READ, &at);
	if (err)
		return err;
	w->series = at;
	if (links_calls(&w->opts))
		w->tree = wire_tree__open(w->skel, MAX_EDGES);
	if (w->opts.hops)
		w->hops = wire_hops__open(w->skel, &w->opts, (uint32_t)w->n_lanes, w->names,
					  route_name, w);
	return (links_calls(&w->opts) && !w->tree) || (w->opts.hops && !w->hops) ? -ENOMEM : 0;
}

static int load_failed(int err)
{
	char lacks[256];

	if (kernel__lacks(LACKS_WIRE, lacks, sizeof(lacks)))
		return log_fail(
			err,
			"cannot measure: this kernel lacks %s; `hopscope doctor` tells what "
			"works here",
			lacks);
	if (err == -EPERM || err == -EACCES)
		return log_fail(err,
				"this kernel refused to load the wire programs: %s; "
				"`hopscope doctor` tells which privilege or lockdown is in the way "
				"(lockdown: %s; memory lock limit before kernel 5.11)",
				strerror(-err), lockdown__mode());
	return log_fail(err,
			"this kernel refused to load the wire programs: %s; run with -v for the "
			"verifier's words",
			strerror(-err));
}

int wire__open(struct wire **out, const struct wire_opts *opts)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct wire *w;
	int err;

	*out = NULL;
	err = privileges__check(opts->tls ? PRIVILEGES_TLS : PRIVILEGES_TRACE);
	if (err)
		return err;
	if (!cgroup2__mount())
		return log_fail(-ENOENT, "cannot measure: no cgroup v2 hierarchy is mounted; mount "
					 "one: mount -t cgroup2 none /sys/fs/cgroup/unified");
	w = calloc(1, sizeof(*w));
	if (!w)
		return log_fail(-ENOMEM, "out of memory");
	w->stats_fd = -1;
	w->opts = *opts;
	w->opened_ns = now_ns();
	w->names = wire_names__open(&w->opts);
	if (!w->names) {
		err = log_fail(-ENOMEM, "out of memory");
		goto fail;
	}
	libbpf_set_print(print_libbpf);
	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* counts for BPF before 5.11 only */
	w->skel = wire_bpf__open();
	if (!w->skel) {
		err = log_fail(-errno, "cannot open the wire programs: %s", strerror(errno));
		goto fail;
	}
	err = configure(w, opts);
	if (err)
		goto fail;
	err = wire_bpf__load(w->skel);
	if (err) {
		load_failed(err);
		goto fail;
	}
	err = map_memories(w);
	err = err ? err : redis_names__fill(bpf_map__fd(w->skel->maps.redis_names));
	if (err)
		goto fail;
	w->route_names = calloc(w->max_routes, sizeof(*w->route_names));
	if (!w->route_names) {
		err = log_fail(-ENOMEM, "out of memory");
		goto fail;
	}
	err = opaque__open(&w->opaque, w->names, w->skel->obj);
	if (err)
		goto fail;
	if (opts->tls) {
		err = tls__open(&w->tls, &w->opts, w->names, w->skel->obj);
		if (err)
			goto fail;
	}
	*out = w;
	return 0;
fail:
	wire__close(w);
	return err;
}

static int attach_iterators(struct wire *w)
{
	union bpf_iter_link_info info = {
		.map = {.map_fd = (uint32_t)bpf_map__fd(w->skel->maps.conns)}};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	if (!w->sweep)
		w->sweep = bpf_program__attach_iter(w->skel->progs.wire_sweep, &opts);
	if (!w->sweep)
		return log_fail(-errno, "cannot attach the sweep iterator: %s", strerror(errno));
	if (!w->owners)
		w->owners = bpf_program__attach_iter(w->skel->progs.wire_owners, NULL);
	if (!w->owners)
		return log_fail(-errno, "cannot attach the file iterator: %s", strerror(errno));
	return 0;
}

static int attach_packets(struct wire *w)
{
	const char *mount = cgroup2__mount();
	int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return log_fail(-errno, "cannot open %s: %s", mount, strerror(errno));
	w->ingress = bpf_program__attach_cgroup(w->skel->progs.wire_ingress, fd);
	if (!w->ingress)
		err = -errno;
	if (!err) {
		w->egress = bpf_program__attach_cgroup(w->skel->progs.wire_egress, fd);
		if (!w->egress)
			err = -errno;
	}
	close(fd);
	if (err)
		return log_fail(
			err,
			"cannot attach to the packets of %s: %s; another program may hold "
			"it exclusively (bpftool cgroup tree), or this is a container whose "
			"root it is not",
			mount, strerror(-err));
	return 0;
}

/* Runs an iterator's program over all there is. What it prints is nothing. */
static int run_iterator(struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));
	char buf[256];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf, sizeof(buf));
	} while (n > 0 || (n < 0 && errno == EINTR));
	close(fd);
	return n < 0 ? -errno : 0;
}

/* Gives up what timed out, and wipes the lanes' memory, where the last time is so long ago. */
static int sweep(struct wire *w, uint64_t every_ns)
{
	uint64_t now = now_ns();
	int err;

	if (now - w->swept_ns <= (every_ns < SWEEP_MOST_NS ? every_ns : SWEEP_MOST_NS))
		return 0;
	err = run_iterator(w->sweep);
	if (!err)
		w->swept_ns = now;
	return err;
}

/* First the tracepoint, then those that are there: none is missed in between. */
static int attach_named(struct wire *w)
{
	if (!by_name(&w->opts))
		return 0;
	if (bpf_program__fd(w->skel->progs.wire_cgroup) >= 0) {
		w->made = bpf_program__attach(w->skel->progs.wire_cgroup);
		if (!w->made)
			return log_fail(-errno, "cannot attach to cgroup_mkdir: %s",
					strerror(errno));
	}
	return wire_names__filter(w->names, bpf_map__fd(w->skel->maps.verdicts),
				  bpf_map__fd(w->skel->maps.undecided));
}

int wire__attach(struct wire *w)
{
	int err = attach_iterators(w);

	if (err)
		return err;
	if (!w->owners_ns) {
		w->owners_ns = now_ns();
		err = run_iterator(w->owners);
		if (err)
			return log_fail(err, "cannot look through open files: %s", strerror(-err));
	}
	w->skel->data_shared->attach_epoch++;
	w->destroy = bpf_program__attach(w->skel->progs.wire_destroy);
	if (!w->destroy)
		return log_fail(-errno, "cannot attach to tcp_destroy_sock: %s", strerror(errno));
	err = attach_named(w);
	if (!err && w->tree)
		err = wire_tree__attach(w->tree);
	if (!err && w->hops)
		err = wire_hops__attach(w->hops);
	err = err ? err : opaque__attach(w->opaque);
	err = err ? err : attach_packets(w);
	if (!err && w->tls)
		err = tls__attach(w->tls);
	if (err)
		wire__detach(w);
	return err;
}

void wire__detach(struct wire *w)
{
	if (w->tls)
		tls__detach(w->tls);
	if (w->opaque)
		opaque__detach(w->opaque);
	bpf_link__destroy(w->egress);
	bpf_link__destroy(w->ingress);
	bpf_link__destroy(w->destroy);
	bpf_link__destroy(w->made);
	if (w->tree)
		wire_tree__detach(w->tree);
	if (w->hops)
		wire_hops__detach(w->hops);
	w->egress = w->ingress = w->destroy = w->made = NULL;
}

void wire__close(struct wire *w)
{
	if (!w)
		return;
	wire__detach(w);
	tls__close(w->tls);
	opaque__close(w->opaque);
	bpf_link__destroy(w->sweep);
	bpf_link__destroy(w->owners);
	ring_buffer__free(w->ring);
	if (w->lanes)
		munmap(w->lanes, w->n_lanes * sizeof(*w->lanes));
	if (w->series)
		munmap((void *)w->series, w->max_series * sizeof(*w->series));
	wire__statistics(w, false);
	wire_tree__close(w->tree);
	wire_hops__close(w->hops);
	wire_bpf__destroy(w->skel);
	free(w->route_names);
	wire_names__close(w->names);
	free(w);
}

int wire__statistics(struct wire *w, bool on)
{
	if (!on) {
		if (w->stats_fd >= 0)
			close(w->stats_fd);
		w->stats_fd = -1;
		return 0;
	}
	if (w->stats_fd >= 0)
		return 0;
	w->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	return w->stats_fd < 0 ? -errno : 0;
}

/* Copies a lane at rest. False: it was busy every time we looked. */
static bool lane__read(const struct wire_acct *lane, struct wire_acct *out)
{
	const volatile struct wire_acct *v = lane;
	uint64_t gen;

	for (int i = 0; i < 10000; i++) {
		gen = __atomic_load_n(&v->gen, __ATOMIC_ACQUIRE);
		memcpy(out, lane, sizeof(*out));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(gen & 1) && __atomic_load_n(&v->gen, __ATOMIC_RELAXED) == gen)
			return true;
	}
	return false;
}

static void acct__add(struct wire_acct *sum, const struct wire_acct *a)
{
	sum->seen += a->seen;
	sum->matched += a->matched;
	sum->one_way += a->one_way;
	sum->in_flight += a->in_flight;
	sum->unanswered += a->unanswered;
	sum->dropped += a->dropped;
	sum->orphans += a->orphans;
	sum->bytes_seen += a->bytes_seen;
	sum->bytes_framed += a->bytes_framed;
	sum->bytes_unparsed += a->bytes_unparsed;
	sum->packets += a->packets;
	sum->messages += a->messages;
	sum->exemplars += a->exemplars;
	sum->exemplars_lost += a->exemplars_lost;
	sum->conns += a->conns;
	sum->bytes_opaque += a->bytes_opaque;
	for (int i = 0; i < PROTO_MAX; i++)
		sum->proto_conns[i] += a->proto_conns[i];
	for (int i = 0; i < REASON_MAX; i++)
		sum->reason[i] += a->reason[i];
}

static void read_lanes(struct wire *w, struct snapshot *s)
{
	struct wire_acct one;

	s->settled = true;
	for (size_t i = 0; i < w->n_lanes; i++) {
		s->settled &= lane__read(&w->lanes[i], &one);
		acct__add(&s->acct, &one);
	}
	s->acct.reason[REASON_BUSY] += w->skel->data_shared->lanes_busy;
}

/* Fills in names of routes that came up since the last call. */
static void learn_routes(struct wire *w)
{
	int fd = bpf_map__fd(w->skel->maps.routes);
	struct route_key key, next;
	const void *prev = NULL;
	uint32_t id;

	while (!bpf_map_get_next_key(fd, prev, &next)) {
		if (!bpf_map_lookup_elem(fd, &next, &id) && id < w->max_routes)
			snprintf(w->route_names[id], ROUTE_LEN + 1, "%.*s", ROUTE_LEN, next.name);
		key = next;
		prev = &key;
	}
}

const char *wire__route_name(struct wire *w, uint32_t route)
{
	if (!route || route >= w->max_routes)
		return "(other)";
	if (!w->route_names[route][0])
		learn_routes(w);
	return w->route_names[route][0] ? w->route_names[route] : "?";
}

void wire__notice(struct wire *w)
{
	uint32_t used = w->skel->data_shared->series_used;

	/* A number may stay unused (two CPUs made the same series): it must not hide those behind.
	 */
	for (uint32_t i = SERIES_FIXED; used != w->named && i < used && i < w->max_series; i++) {
		if (w->series[i].used)
			wire_names__get(w->names, w->series[i].key.cgroup);
	}
	w->named = used;
	if (w->hops)
		wire_hops__notice(w->hops);
	wire_names__notice(w->names);
	if (w->tls)
		tls__notice(w->tls);
	if (w->sweep)
		sweep(w, SWEEP_MOST_NS); /* where it cannot, the next reading fails */
}

/* Copies a series; its count is the histogram's total for those that have latency. */
static void series__read(struct wire *w, const struct series_val *v, struct snapshot_series *out)
{
	memset(out, 0, sizeof(*out));
	out->key = v->key;
	out->bytes = v->bytes;
	out->hist = v->hist;
	out->count = v->count;
	for (int i = 0; i < (int)HIST_BUCKETS; i++)
		out->count += out->hist.bucket[i];
	snprintf(out->route, sizeof(out->route), "%s", wire__route_name(w, v->key.route));
	snprintf(out->container, sizeof(out->container), "%s",
		 wire_names__get(w->names, out->key.cgroup));
}

/* Only touched pages are looked at: the series in use and, once one is full, the fixed ones. */
static int read_series(struct wire *w, struct snapshot *s)
{
	size_t used = w->skel->data_shared->series_used;

	if (used > w->max_series)
		used = w->max_series;
	s->series = calloc(used, sizeof(*s->series));
	if (!s->series)
		return log_fail(-ENOMEM, "out of memory");
	for (size_t i = s->acct.reason[REASON_SERIES_FULL] ? 0 : SERIES_FIXED; i < used; i++) {
		if (!w->series[i].used)
			continue;
		series__read(w, &w->series[i], &s->series[s->n_series]);
		if (s->series[s->n_series].count)
			s->n_series++;
	}
	return 0;
}

static void read_self(struct snapshot *s)
{
	struct rusage ru;
	long pages = 0;
	FILE *f;

	getrusage(RUSAGE_SELF, &ru);
	s->user_cpu_s = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
			(double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	f = fopen("/proc/self/statm", "re");
	if (!f)
		return;
	if (fscanf(f, "%*s %ld", &pages) == 1)
		s->rss_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
	fclose(f);
}

/* Owners: when some socket wants one. Sweep: a few times in a timeout. */
static int housekeep(struct wire *w)
{
	uint64_t now = now_ns(), wanted = w->skel->data_shared->owners_wanted;
	int err = 0;

	if (!w->owners)
		return 0;
	if (wanted != w->owners_seen && now - w->owners_ns > OWNERS_EVERY_NS) {
		w->owners_ns = now;
		w->owners_seen = wanted;
		err = run_iterator(w->owners);
	}
	/* What passed in connections that nobody reads is told by the sweep. */
	if (!err)
		err = sweep(w, w->passed_over ? 0 : w->timeout_ns / 4);
	if (!err && w->tls) {
		tls__notice(w->tls);
		err = tls__sweep(w->tls); /* what ended since, too */
	}
	return err ? log_fail(err, "cannot run an iterator: %s", strerror(-err)) : 0;
}

int wire__read(struct wire *w, struct snapshot *s)
{
	int err;

	memset(s, 0, sizeof(*s));
	err = housekeep(w);
	if (err)
		return err;
	s->time_ns = now_ns();
	s->duration_ns = s->time_ns - w->opened_ns;
	read_lanes(w, s);
	w->passed_over = s->acct.proto_conns[PROTO_HTTP2] || s->acct.proto_conns[PROTO_TLS];
	err = read_series(w, s);
	if (!err && w->opts.tree)
		err = wire_tree__read(w->tree, s, w->names, route_name, w);
	if (!err && w->hops)
		err = wire_hops__read(w->hops, &s->hops);
	if (err) {
		snapshot__free(s);
		return err;
	}
	programs__read(w->skel->obj, s);
	if (w->tls)
		tls__read(w->tls, s);
	err = opaque__read(w->opaque, s);
	if (err) {
		snapshot__free(s);
		return err;
	}
	read_self(s);
	return 0;
}

void wire__tls_found(const struct wire *w, char *buf, size_t size)
{
	buf[0] = 0;
	if (w->tls)
		tls__found(w->tls, buf, size);
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct wire *w = ctx;
	const struct wire_exemplar *e = data;

	if (size >= sizeof(*e) && e->type == RECORD_EXEMPLAR && w->fn)
		w->fn(w->fn_ctx, e);
	return 0;
}

int wire__drain(struct wire *w, wire_exemplar_fn fn, void *ctx)
{
	if (!w->ring) {
		w->ring =
			ring_buffer__new(bpf_map__fd(w->skel->maps.exemplars), on_record, w, NULL);
		if (!w->ring)
			return log_fail(-errno, "cannot map the ring buffer: %s", strerror(errno));
	}
	w->fn = fn;
	w->fn_ctx = ctx;
	return ring_buffer__consume(w->ring);
}

int wire__timelines(struct wire *w, uint64_t slow_ns, uint32_t sample, wire_timeline_fn fn,
		    void *ctx)
{
	return w->hops ? wire_hops__timelines(w->hops, slow_ns, sample, fn, ctx) : 0;
}
