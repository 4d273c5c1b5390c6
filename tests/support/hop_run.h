/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hops on made packets, for the tests of them: a probe, what it counted, and connections. Both ends
 * of a connection are flows with the same sequence numbers whose ports cross at one side (the other
 * one is translated, so to speak: see wire_run.h on ports).
 */
#ifndef TESTS_HOP_RUN_H
#define TESTS_HOP_RUN_H

#include "wire_run.h"

#define SLOTS 3 /* histograms of a span: before, after, queue */

static struct wire_test t;
static struct hop_path *paths;
static struct hist *hists;
static size_t n_paths;

struct node {
	struct hop_node_key key;
	uint64_t used;
};

struct counts {
	uint64_t count[HOP_COUNTS];
};

static inline void open_with(struct wire_setup *s)
{
	s->conns = 16;
	n_paths = s->hop_paths ? s->hop_paths : 16;
	wire_test__open(&t, s);
	paths = map_array(t.skel->maps.hop_paths, n_paths * sizeof(*paths));
	hists = map_array(t.skel->maps.hop_hists, n_paths * HOP_SPANS * SLOTS * sizeof(*hists));
}

static inline int open_default(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 4096});
	return 0;
}

static inline int close_it(void **state)
{
	(void)state;
	munmap(paths, n_paths * sizeof(*paths));
	munmap(hists, n_paths * HOP_SPANS * SLOTS * sizeof(*hists));
	wire_test__close(&t);
	return 0;
}

/* ---- what was counted */

static inline uint64_t counted(unsigned int what)
{
	int fd = bpf_map__fd(t.skel->maps.hop_counters);
	struct counts c;
	uint64_t sum = 0;

	for (uint32_t i = 0; i <= t.n_lanes; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &i, &c), 0);
		sum += c.count[what];
	}
	return sum;
}

/* Nothing but what is asked for was counted: pairs of enum hop_count and number, then -1. */
static inline void assert_counts(const int *want)
{
	for (int i = 0; i < HOP_COUNTS; i++) {
		uint64_t n = 0, got = counted((unsigned int)i);

		for (const int *w = want; *w >= 0; w += 2) {
			if (w[0] == i)
				n = (uint64_t)w[1];
		}
		if (got != n)
			fail_msg("count %d is %llu, not %llu", i, (unsigned long long)got,
				 (unsigned long long)n);
	}
}

#define COUNTS(...) assert_counts((int[]){__VA_ARGS__, -1})
#define NO_COUNTS() assert_counts((int[]){-1})

static inline uint64_t hist_n(const struct hist *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i < HIST_BUCKETS; i++)
		n += h->bucket[i];
	return n;
}

static inline const struct hist *hist_of(const struct hop_path *p, int span, int slot)
{
	return &hists[p->first + (uint32_t)(span * SLOTS + slot)];
}

/* Every exchange is in every histogram of its path, and the parts sum to the whole. */
static inline void check_sums(void)
{
	for (size_t i = 0; i < n_paths; i++) {
		const struct hop_path *p = &paths[i];
		uint64_t sum = 0;

		if (!p->used)
			continue;
		for (int k = 0; k < p->key.n; k++) {
			assert_int_equal(hist_n(hist_of(p, k, 0)), p->count);
			assert_int_equal(hist_n(hist_of(p, k, 1)), p->count);
			assert_int_equal(hist_n(hist_of(p, k, 2)), 0); /* nobody read */
			sum += (k ? hist_of(p, k, 0)->sum : 0) + hist_of(p, k, 1)->sum;
		}
		assert_int_equal(sum, hist_of(p, 0, 0)->sum);
	}
}

static inline uint64_t complete(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n_paths; i++)
		sum += paths[i].count;
	return sum;
}

/* The n-th path that came up. */
static inline const struct hop_path *path_at(size_t n)
{
	for (size_t i = 0; i < n_paths; i++) {
		if (paths[i].used && !n--)
			return &paths[i];
	}
	fail_msg("there are not as many paths");
	return NULL;
}

static inline struct hop_node_key node_of(const struct hop_path *p, int span)
{
	uint32_t id = p->key.node[span];
	struct node n;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t.skel->maps.hop_nodes), &id, &n), 0);
	assert_int_equal(n.used, 1);
	return n.key;
}

struct want {
	enum wire_role role;
	int in;
	int parent;
	enum hop_kind kind;
};

static inline void assert_path(const struct hop_path *p, const struct want *w, int n)
{
	assert_int_equal(p->key.n, n);
	for (int i = 0; i < n; i++) {
		struct hop_node_key k = node_of(p, i);

		if (k.role != w[i].role || k.request_in != w[i].in ||
		    p->key.link[i] != (w[i].parent << 4 | w[i].kind))
			fail_msg("span %d: role %d in %d link %x, not role %d in %d link %x", i,
				 k.role, k.request_in, p->key.link[i], w[i].role, w[i].in,
				 w[i].parent << 4 | w[i].kind);
	}
	for (int i = n; i < HOP_SPANS; i++)
		assert_int_equal(p->key.node[i] | p->key.link[i], 0);
}

#define PATH(p, ...)                                 \
	assert_path(p, (struct want[]){__VA_ARGS__}, \
		    sizeof((struct want[]){__VA_ARGS__}) / sizeof(struct want))

/* ---- connections, both ends */

struct link {
	struct flow a, b; /* who connected, who was connected to */
};

static uint32_t next_seq;

/* Whose socket it is; 0 would be this test itself. */
static inline void set_owner(const struct flow *f, uint32_t tgid)
{
	size_t size = bpf_map__value_size(t.skel->maps.test_conns);
	int fd = bpf_map__fd(t.skel->maps.test_conns);
	uint32_t key = (uint32_t)(f->local + f->remote) % t.conns;
	uint8_t *conn = calloc(1, size);

	assert_non_null(conn);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, conn), 0);
	memcpy(conn + offset_in(&t, "conn", "tgid"), &tgid, sizeof(tgid));
	assert_int_equal(bpf_map_update_elem(fd, &key, conn, 0), 0);
	free(conn);
}

static inline struct flow end_at(uint16_t port, bool server, int slot, uint32_t owner)
{
	struct flow f = {.t = &t, .local = server ? port : 40000, .remote = server ? 40000 : port};
	uint16_t *other = server ? &f.remote : &f.local;

	while ((f.local + f.remote) % (int)t.conns != slot)
		++*other;
	set_owner(&f, owner);
	return f;
}

/* A connection of two processes; its ends' states are in slots n and n + 1. */
static inline struct link link_at(uint16_t port, int n, uint32_t owner_a, uint32_t owner_b)
{
	struct link l = {.a = end_at(port, false, n, owner_a),
			 .b = end_at(port, true, n + 1, owner_b)};

	next_seq += 10000000;
	l.a.seq[OUT] = l.b.seq[IN] = next_seq;
	l.a.seq[IN] = l.b.seq[OUT] = next_seq + 5000000;
	return l;
}

/* Bytes from the one who connected to the other, and the other way. */
static inline void there(struct link *l, const char *text)
{
	send_text(&l->a, OUT, text);
	send_text(&l->b, IN, text);
}

static inline void back(struct link *l, const char *text)
{
	send_text(&l->b, OUT, text);
	send_text(&l->a, IN, text);
}

/* Of a client to a broker. */
static inline struct link client_at(int n, uint32_t client, uint32_t broker)
{
	struct link l = link_at(4222, n, client, broker);

	back(&l, INFO);
	there(&l, CONNECT);
	back(&l, "PONG\r\n");
	return l;
}

static inline struct link route_at(int n, uint32_t from, uint32_t to)
{
	struct link l = link_at(6222, n, from, to);

	there(&l, INFO "CONNECT {\"x\":1}\r\nPING\r\n");
	back(&l, INFO "PONG\r\nRS+ $G svc\r\n");
	there(&l, "RS+ $G _INBOX.*.*\r\n");
	return l;
}

enum { CLIENT = 1001, BROKER, BROKER2, SERVICE, RELAY, OTHER };

#define ASK	"PUB svc _INBOX.a.1 5\r\nhello\r\n"
#define DELIVER "MSG svc 1 _INBOX.a.1 5\r\nhello\r\n"
#define ANSWER	"PUB _INBOX.a.1 3\r\nyes\r\n"
#define ARRIVE	"MSG _INBOX.a.1 9 3\r\nyes\r\n"

#define TEST(f)	     cmocka_unit_test_setup_teardown(f, open_default, close_it)
#define WITH(f, how) cmocka_unit_test_setup_teardown(f, how, close_it)

#endif
