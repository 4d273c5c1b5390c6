/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire programs under BPF_PROG_TEST_RUN: packets are made here, and what was counted is read
 * back. A test run has a new socket every time, so targ_test keeps the state of connections in
 * arrays; which of them is the sum of the ports modulo their number, mostly 4.
 */
#ifndef TESTS_WIRE_RUN_H
#define TESTS_WIRE_RUN_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "hop.h"
#include "probe/redis_names.h"
#include "wire.h"
#include "wire.skel.h"

#define PACKET_MAX  3400 /* a test run's packet is one page, headers and metadata included */
#define SEGMENT_MAX 3200

enum { IN = 0, OUT = 1 };

/* What is set before loading; zero means the programs' own value. */
struct wire_setup {
	uint64_t timeout_ns;
	uint64_t slow_ns;
	uint32_t overflow;
	uint32_t routes;
	uint32_t series; /* besides the fixed ones */
	uint16_t port;	 /* the only one wanted */
	uint32_t protos; /* bits (1 << enum wire_proto) */
	uint32_t conns;	 /* 0: 4, else a power of two */
	uint32_t hops;	 /* exchanges in flight whose hops are recorded: a power of two; 0: off */
	uint32_t hop_paths;
	uint32_t hop_sample;
	int (*more)(struct wire_bpf *); /* sets the rest; 0 or negative errno */
};

struct wire_test {
	struct wire_bpf *skel;
	struct wire_acct *lanes;
	struct series_val *series;
	size_t n_lanes;
	size_t n_series;
	uint32_t conns;
};

/* A connection as seen from its local socket. */
struct flow {
	struct wire_test *t;
	uint16_t local;
	uint16_t remote;
	uint32_t seq[2]; /* of the next segment, by direction */
	int v6;
	uint8_t options;	 /* 32-bit words of IPv4 options */
	uint8_t extension;	 /* IPv6: type of a header in front of TCP, 0 none */
	uint8_t extension_words; /* of 8 bytes, besides the first */
	int doff;		 /* 0: as it should be */
};

static inline int print_nothing(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static inline int size_map(struct bpf_map *map, uint32_t n)
{
	return n ? bpf_map__set_max_entries(map, n) : 0;
}

static inline void *map_array(struct bpf_map *map, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	assert_true(p != MAP_FAILED);
	return p;
}

/* As src/probe/wire_hops.c does it. */
static inline int size_hops(struct wire_test *t, const struct wire_setup *c)
{
	struct wire_bpf *s = t->skel;
	uint32_t paths = c->hop_paths ? c->hop_paths : 16;
	int err;

	if (!c->hops)
		return 0;
	s->rodata->targ_hops = true;
	s->rodata->targ_hop_sample = c->hop_sample;
	s->rodata->targ_hop_sets = c->hops / 4;
	s->rodata->targ_hop_paths = paths;
	s->rodata->targ_hop_slots = 3;
	s->rodata->targ_hop_hists = paths * HOP_SPANS * 3;
	err = size_map(s->maps.hop_sets, c->hops / 4);
	err |= size_map(s->maps.hop_records, c->hops);
	err |= size_map(s->maps.hop_lanes, (uint32_t)t->n_lanes);
	err |= size_map(s->maps.hop_lost, 4096);
	err |= size_map(s->maps.hop_counters, (uint32_t)t->n_lanes + 1);
	err |= size_map(s->maps.hop_node_ids, HOP_NODES);
	err |= size_map(s->maps.hop_nodes, HOP_NODES);
	err |= size_map(s->maps.hop_path_ids, paths);
	err |= size_map(s->maps.hop_paths, paths);
	err |= size_map(s->maps.hop_hists, paths * HOP_SPANS * 3);
	return err | size_map(s->maps.hop_timelines, 1 << 16);
}

static inline void wire_test__open(struct wire_test *t, const struct wire_setup *c)
{
	struct wire_bpf *s;
	int err;

	memset(t, 0, sizeof(*t));
	libbpf_set_print(print_nothing);
	t->skel = s = wire_bpf__open();
	assert_non_null(s);
	t->n_lanes = (size_t)libbpf_num_possible_cpus() * LANES_PER_CPU;
	t->n_series = SERIES_FIXED + (c->series ? c->series : 512);
	s->rodata->targ_test = true;
	s->rodata->targ_seed = 0x1234567890abcdefull;
	s->rodata->targ_slow_ns = c->slow_ns;
	s->rodata->targ_max_series = (uint32_t)t->n_series;
	if (c->timeout_ns)
		s->rodata->targ_timeout_ns = c->timeout_ns;
	if (c->routes)
		s->rodata->targ_max_routes = c->routes;
	if (c->protos)
		s->rodata->targ_protos = c->protos;
	if (c->port) {
		s->rodata->targ_ports[0] = c->port;
		s->rodata->targ_n_ports = 1;
	}
	err = size_map(s->maps.lanes, (uint32_t)t->n_lanes);
	err |= size_map(s->maps.scratches, (uint32_t)t->n_lanes);
	err |= size_map(s->maps.series, (uint32_t)t->n_series);
	err |= size_map(s->maps.series_ids, (uint32_t)t->n_series);
	err |= size_map(s->maps.routes, c->routes);
	err |= size_map(s->maps.flight_overflow, c->overflow);
	err |= size_hops(t, c);
	t->conns = c->conns ? c->conns : 4;
	s->rodata->targ_test_conns = t->conns;
	err |= size_map(s->maps.test_conns, t->conns);
	err |= size_map(s->maps.test_flights, t->conns);
	err |= size_map(s->maps.test_rings, 2 * t->conns);
	err |= c->more ? c->more(s) : 0;
	assert_int_equal(err, 0);
	err = wire_bpf__load(s);
	err = err ? err : redis_names__fill(bpf_map__fd(s->maps.redis_names));
	if (err)
		fail_msg("the kernel refuses the wire programs: %s", strerror(-err));
	t->lanes = map_array(s->maps.lanes, t->n_lanes * sizeof(*t->lanes));
	t->series = map_array(s->maps.series, t->n_series * sizeof(*t->series));
}

static inline void wire_test__close(struct wire_test *t)
{
	munmap(t->lanes, t->n_lanes * sizeof(*t->lanes));
	munmap(t->series, t->n_series * sizeof(*t->series));
	wire_bpf__destroy(t->skel);
	memset(t, 0, sizeof(*t));
}

/* What userspace does from time to time. No socket has a connection's state here. */
static inline void wire_test__sweep(const struct wire_test *t)
{
	union bpf_iter_link_info info = {
		.map = {.map_fd = (uint32_t)bpf_map__fd(t->skel->maps.conns)}};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(t->skel->progs.wire_sweep, &opts);
	char none;
	int fd;

	assert_non_null(link);
	fd = bpf_iter_create(bpf_link__fd(link));
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &none, sizeof(none)), 0);
	close(fd);
	bpf_link__destroy(link);
}

/* ---- packets */

static size_t put_ipv4(const struct flow *f, uint8_t *p, size_t len, uint8_t proto)
{
	size_t head = 20 + 4u * f->options;

	memset(p, 1, head); /* options of NOPs */
	memset(p, 0, 20);
	p[0] = (uint8_t)(0x40 | head / 4);
	p[2] = (uint8_t)((head + len) >> 8);
	p[3] = (uint8_t)(head + len);
	p[8] = 64;
	p[9] = proto;
	p[12] = p[16] = 127;
	p[15] = p[19] = 1;
	return head;
}

static size_t put_ipv6(const struct flow *f, uint8_t *p, size_t len, uint8_t proto)
{
	size_t more = f->extension ? 8 * (1u + f->extension_words) : 0;

	memset(p, 0, 40 + more);
	p[0] = 0x60;
	p[4] = (uint8_t)((more + len) >> 8);
	p[5] = (uint8_t)(more + len);
	p[6] = f->extension ? f->extension : proto;
	p[7] = 64;
	p[23] = p[39] = 1;
	if (more) {
		p[40] = proto;
		p[41] = f->extension_words;
	}
	return 40 + more;
}

/* Ethernet, IP, TCP and n payload bytes; the packet's length. */
static inline size_t make_packet(const struct flow *f, uint8_t *p, int dir, uint32_t seq,
				 const void *payload, size_t n)
{
	uint16_t src = dir == OUT ? f->local : f->remote, dst = dir == OUT ? f->remote : f->local;
	size_t at = 14, tcp = 20;

	assert_true(n <= SEGMENT_MAX);
	memset(p, 0, 14);
	p[12] = f->v6 ? 0x86 : 0x08;
	p[13] = f->v6 ? 0xdd : 0x00;
	at += f->v6 ? put_ipv6(f, p + at, tcp + n, IPPROTO_TCP)
		    : put_ipv4(f, p + at, tcp + n, IPPROTO_TCP);
	memset(p + at, 0, tcp);
	src = htons(src);
	dst = htons(dst);
	seq = htonl(seq);
	memcpy(p + at, &src, 2);
	memcpy(p + at + 2, &dst, 2);
	memcpy(p + at + 4, &seq, 4);
	p[at + 12] = (uint8_t)((f->doff ? f->doff : 5) << 4);
	p[at + 13] = 0x18;
	at += tcp;
	if (n)
		memcpy(p + at, payload, n);
	return at + n;
}

static inline void run_packet(const struct flow *f, int dir, const uint8_t *packet, size_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = (uint32_t)n);
	struct bpf_program *prog =
		dir == OUT ? f->t->skel->progs.wire_egress : f->t->skel->progs.wire_ingress;
	int err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);

	if (err)
		fail_msg("a test run of %zu bytes failed: %s", n, strerror(-err));
	assert_int_equal(opts.retval, 1); /* every packet passes */
}

/* A segment with any sequence number; the flow's own does not move. */
static inline void send_at(const struct flow *f, int dir, uint32_t seq, const void *payload,
			   size_t n)
{
	uint8_t packet[PACKET_MAX];

	run_packet(f, dir, packet, make_packet(f, packet, dir, seq, payload, n));
}

/* The next segment. */
static inline void send_bytes(struct flow *f, int dir, const void *payload, size_t n)
{
	send_at(f, dir, f->seq[dir], payload, n);
	f->seq[dir] += (uint32_t)n;
}

static inline void send_text(struct flow *f, int dir, const char *text)
{
	send_bytes(f, dir, text, strlen(text));
}

__attribute__((format(printf, 3, 4))) static inline void send_fmt(struct flow *f, int dir,
								  const char *fmt, ...)
{
	char text[SEGMENT_MAX];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	assert_true(n > 0 && n < (int)sizeof(text));
	send_bytes(f, dir, text, (size_t)n);
}

/* A fresh connection; slot 0..3 (or more: `conns`) says where its state is kept. */
static inline struct flow new_flow(struct wire_test *t, uint16_t local, uint16_t remote, int slot)
{
	struct flow f = {.t = t, .local = local, .remote = remote};

	while ((f.local + f.remote) % (int)t->conns != slot)
		f.local == 4222 ? f.remote++ : f.local++;
	f.seq[IN] = 1000;
	f.seq[OUT] = 5000000;
	return f;
}

#define INFO	"INFO {\"server_id\":\"NA\",\"headers\":true}\r\n"
#define CONNECT "CONNECT {\"verbose\":false,\"headers\":true}\r\nPING\r\n"

/* A client's socket, and a broker's, behind the handshake. */
static inline struct flow new_client(struct wire_test *t, int slot)
{
	struct flow f = new_flow(t, 40000, 4222, slot);

	send_text(&f, IN, INFO);
	send_text(&f, OUT, CONNECT);
	send_text(&f, IN, "PONG\r\n");
	return f;
}

static inline struct flow new_broker(struct wire_test *t, int slot)
{
	struct flow f = new_flow(t, 4222, 40000, slot);

	send_text(&f, OUT, INFO);
	send_text(&f, IN, CONNECT);
	send_text(&f, OUT, "PONG\r\n");
	return f;
}

/* ---- what was counted */

static inline uint64_t sum_of(const struct wire_acct *a, const int *reasons)
{
	uint64_t sum = 0;

	for (; *reasons; reasons++)
		sum += a->reason[*reasons];
	return sum;
}

/* Both identities, and that every part is the sum of its reasons. */
static inline void check_identities(const struct wire_acct *a, const char *what)
{
	static const int one_way[] = {
		REASON_NO_REPLY, REASON_PULL,	   REASON_INTERNAL, REASON_AMBIGUOUS,
		REASON_LISTENER, REASON_NO_ANSWER, REASON_PUSH,	    0};
	static const int unanswered[] = {REASON_TIMEOUT, REASON_CLOSED, REASON_SUPERSEDED,
					 REASON_NOT_ANSWERED, 0};
	static const int dropped[] = {REASON_TABLE_FULL, REASON_GAP_LOST, REASON_NO_MEMORY,
				      REASON_ID_LONG, 0};
	static const int unparsed[] = {REASON_GAP,     REASON_RESYNC,  REASON_BAD,
				       REASON_UNKNOWN, REASON_REFUSED, 0};

	if (a->gen & 1)
		fail_msg("%s is still claimed", what);
	if (a->seen !=
	    a->matched + a->one_way + (uint64_t)a->in_flight + a->unanswered + a->dropped)
		fail_msg("%s: seen %llu matched %llu one_way %llu in_flight %lld unanswered %llu "
			 "dropped %llu",
			 what, (unsigned long long)a->seen, (unsigned long long)a->matched,
			 (unsigned long long)a->one_way, (long long)a->in_flight,
			 (unsigned long long)a->unanswered, (unsigned long long)a->dropped);
	if (a->bytes_seen != a->bytes_framed + a->bytes_unparsed)
		fail_msg("%s: %llu bytes seen, %llu framed, %llu unparsed", what,
			 (unsigned long long)a->bytes_seen, (unsigned long long)a->bytes_framed,
			 (unsigned long long)a->bytes_unparsed);
	assert_int_equal(a->one_way, sum_of(a, one_way));
	assert_int_equal(a->unanswered, sum_of(a, unanswered));
	assert_int_equal(a->dropped, sum_of(a, dropped));
	assert_int_equal(a->bytes_unparsed, sum_of(a, unparsed));
	assert_int_equal(a->orphans, a->reason[REASON_ORPHAN]);
}

/* Sum over the lanes. The identities hold in each of them and in the sum. */
static inline struct wire_acct acct_of(const struct wire_test *t)
{
	struct wire_acct sum = {0};
	char what[32];

	for (size_t i = 0; i < t->n_lanes; i++) {
		const __u64 *from = (const __u64 *)&t->lanes[i];
		__u64 *to = (__u64 *)&sum;

		snprintf(what, sizeof(what), "lane %zu", i);
		check_identities(&t->lanes[i], what);
		for (size_t k = 1; k < sizeof(sum) / 8; k++)
			to[k] += from[k];
	}
	check_identities(&sum, "the sum of the lanes");
	assert_true(sum.in_flight >= 0);
	assert_true((int64_t)sum.bytes_framed >= 0);
	assert_int_equal(t->skel->data_shared->lanes_busy, 0);
	return sum;
}

/* Number of a route, or -1. */
static inline int64_t route_id(const struct wire_test *t, const char *name)
{
	struct route_key key = {0};
	uint32_t id;

	strcpy(key.name, name);
	if (bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.routes), &key, &id))
		return -1;
	return id;
}

static inline const struct series_val *series_at(const struct wire_test *t, enum wire_proto proto,
						 enum wire_role role, enum wire_status status,
						 enum wire_part part, const char *route)
{
	int64_t id = route_id(t, route);

	for (size_t i = SERIES_FIXED; i < t->n_series; i++) {
		const struct series_val *v = &t->series[i];

		if (v->used && v->key.role == role && v->key.status == status &&
		    v->key.route == id && v->key.proto == proto && v->key.part == part)
			return v;
	}
	return NULL;
}

static inline const struct series_val *series_of(const struct wire_test *t, enum wire_role role,
						 enum wire_status status, const char *route)
{
	return series_at(t, PROTO_NATS, role, status, PART_WHOLE, route);
}

static inline uint64_t hist_count(const struct series_val *v)
{
	uint64_t n = 0;

	for (size_t i = 0; v && i < HIST_BUCKETS; i++)
		n += v->hist.bucket[i];
	return n;
}

/* Exchanges in a series, answered or not. */
static inline uint64_t series_count(const struct wire_test *t, enum wire_role role,
				    enum wire_status status, const char *route)
{
	const struct series_val *v = series_of(t, role, status, route);

	return v ? hist_count(v) + v->count : 0;
}

/* Offset of a struct's member, by name: the layout is the programs' own. */
static inline size_t offset_in(const struct wire_test *t, const char *name, const char *member)
{
	struct btf *btf = bpf_object__btf(t->skel->obj);
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	const struct btf_type *type = btf__type_by_id(btf, (uint32_t)id);
	const struct btf_member *m = type ? btf_members(type) : NULL;

	for (uint16_t i = 0; type && i < btf_vlen(type); i++, m++) {
		if (!strcmp(btf__name_by_offset(btf, m->name_off), member))
			return m->offset / 8;
	}
	fail_msg("struct %s has no %s", name, member);
	return 0;
}

/* A field of a connection's state, by name. */
static inline uint64_t conn_field(const struct wire_test *t, int slot, const char *name)
{
	struct btf *btf = bpf_object__btf(t->skel->obj);
	int id = btf__find_by_name_kind(btf, "conn", BTF_KIND_STRUCT);
	const struct btf_type *type = btf__type_by_id(btf, (uint32_t)id);
	const struct btf_member *m = btf_members(type);
	size_t size = bpf_map__value_size(t->skel->maps.test_conns);
	uint8_t *conn = malloc(size);
	uint64_t v = 0;
	uint32_t key = (uint32_t)slot;

	assert_non_null(conn);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.test_conns), &key, conn), 0);
	for (uint16_t i = 0; i < btf_vlen(type); i++, m++) {
		if (strcmp(btf__name_by_offset(btf, m->name_off), name))
			continue;
		memcpy(&v, conn + m->offset / 8,
		       (size_t)btf__resolve_size(btf, m->type) > 8
			       ? 8
			       : (size_t)btf__resolve_size(btf, m->type));
		free(conn);
		return v;
	}
	free(conn);
	fail_msg("struct conn has no %s", name);
	return 0;
}

static inline uint32_t map_entries(struct bpf_map *map)
{
	uint8_t key[256];
	const void *prev = NULL;
	uint32_t n = 0;

	while (!bpf_map_get_next_key(bpf_map__fd(map), prev, key)) {
		prev = key;
		n++;
	}
	return n;
}

#endif
