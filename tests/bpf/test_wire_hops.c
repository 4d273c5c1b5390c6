// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Hops on made packets: which sockets an exchange passed, in what order, and that their times sum
 * to the round trip's. Both ends of a connection are flows with the same sequence numbers whose
 * ports cross at one side (the other one is translated, so to speak: see wire_run.h on ports).
 */
#include <bpf/libbpf.h>

#include "../support/wire_run.h"

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

/* The beginning of bpf/hops_table.bpf.h's struct hop_socket, and its size. */
struct span_times {
	uint64_t request;
	uint64_t reply;
	uint64_t rest[6];
};

static void open_with(struct wire_setup *s)
{
	s->conns = 16;
	n_paths = s->hop_paths ? s->hop_paths : 16;
	wire_test__open(&t, s);
	paths = map_array(t.skel->maps.hop_paths, n_paths * sizeof(*paths));
	hists = map_array(t.skel->maps.hop_hists, n_paths * HOP_SPANS * SLOTS * sizeof(*hists));
}

static int open_default(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 4096});
	return 0;
}

static int close_it(void **state)
{
	(void)state;
	munmap(paths, n_paths * sizeof(*paths));
	munmap(hists, n_paths * HOP_SPANS * SLOTS * sizeof(*hists));
	wire_test__close(&t);
	return 0;
}

/* ---- what was counted */

static uint64_t counted(unsigned int what)
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
static void assert_counts(const int *want)
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

static uint64_t hist_n(const struct hist *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i < HIST_BUCKETS; i++)
		n += h->bucket[i];
	return n;
}

static const struct hist *hist_of(const struct hop_path *p, int span, int slot)
{
	return &hists[p->first + (uint32_t)(span * SLOTS + slot)];
}

/* Every exchange is in every histogram of its path, and the parts sum to the whole. */
static void check_sums(void)
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

static uint64_t complete(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n_paths; i++)
		sum += paths[i].count;
	return sum;
}

/* The n-th path that came up. */
static const struct hop_path *path_at(size_t n)
{
	for (size_t i = 0; i < n_paths; i++) {
		if (paths[i].used && !n--)
			return &paths[i];
	}
	fail_msg("there are not as many paths");
	return NULL;
}

static struct hop_node_key node_of(const struct hop_path *p, int span)
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

static void assert_path(const struct hop_path *p, const struct want *w, int n)
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
static void set_owner(const struct flow *f, uint32_t tgid)
{
	struct btf *btf = bpf_object__btf(t.skel->obj);
	const struct btf_type *type = btf__type_by_id(
		btf, (uint32_t)btf__find_by_name_kind(btf, "conn", BTF_KIND_STRUCT));
	const struct btf_member *m = btf_members(type);
	size_t size = bpf_map__value_size(t.skel->maps.test_conns);
	int fd = bpf_map__fd(t.skel->maps.test_conns);
	uint32_t key = (uint32_t)(f->local + f->remote) % t.conns;
	uint8_t *conn = calloc(1, size);

	assert_non_null(conn);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, conn), 0);
	for (uint16_t i = 0; i < btf_vlen(type); i++, m++) {
		if (!strcmp(btf__name_by_offset(btf, m->name_off), "tgid"))
			memcpy(conn + m->offset / 8, &tgid, sizeof(tgid));
	}
	assert_int_equal(bpf_map_update_elem(fd, &key, conn, 0), 0);
	free(conn);
}

static struct flow end_at(uint16_t port, bool server, int slot, uint32_t owner)
{
	struct flow f = {.t = &t, .local = server ? port : 40000, .remote = server ? 40000 : port};
	uint16_t *other = server ? &f.remote : &f.local;

	while ((f.local + f.remote) % (int)t.conns != slot)
		++*other;
	set_owner(&f, owner);
	return f;
}

/* A connection of two processes; its ends' states are in slots n and n + 1. */
static struct link link_at(uint16_t port, int n, uint32_t owner_a, uint32_t owner_b)
{
	struct link l = {.a = end_at(port, false, n, owner_a),
			 .b = end_at(port, true, n + 1, owner_b)};

	next_seq += 10000000;
	l.a.seq[OUT] = l.b.seq[IN] = next_seq;
	l.a.seq[IN] = l.b.seq[OUT] = next_seq + 5000000;
	return l;
}

/* Bytes from the one who connected to the other, and the other way. */
static void there(struct link *l, const char *text)
{
	send_text(&l->a, OUT, text);
	send_text(&l->b, IN, text);
}

static void back(struct link *l, const char *text)
{
	send_text(&l->b, OUT, text);
	send_text(&l->a, IN, text);
}

/* Of a client to a broker. */
static struct link client_at(int n, uint32_t client, uint32_t broker)
{
	struct link l = link_at(4222, n, client, broker);

	back(&l, INFO);
	there(&l, CONNECT);
	back(&l, "PONG\r\n");
	return l;
}

static struct link route_at(int n, uint32_t from, uint32_t to)
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

/* What it costs the verifier: docs/measured.md. */
static void test_programs(void **state)
{
	struct bpf_program *p;

	(void)state;
	bpf_object__for_each_program(p, t.skel->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
		printf("# %s: the verifier went through %u instructions, %u bytes of machine "
		       "code\n",
		       bpf_program__name(p), info.verified_insns, info.jited_prog_len);
	}
}

/* ---- the onion */

static void test_four_spans(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER);
	const struct hop_path *p;

	(void)state;
	for (int i = 0; i < 3; i++) {
		there(&c, ASK);
		usleep(1000);
		back(&s, DELIVER);
		usleep(4000);
		there(&s, ANSWER);
		usleep(2000);
		back(&c, ARRIVE);
	}
	NO_COUNTS();
	assert_int_equal(complete(), 3);
	p = path_at(0);
	assert_int_equal(p->count, 3);
	assert_int_equal(p->key.route, route_id(&t, "svc"));
	assert_int_equal(p->key.proto, PROTO_NATS);
	assert_int_equal(p->key.status, STATUS_OK);
	PATH(p, {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	assert_int_equal(node_of(p, 0).port, 4222);
	assert_int_equal(node_of(p, 3).port, 4222);
	check_sums();
	/* The times are where they were spent: resident on the way, serving, resident again. */
	assert_true(hist_of(p, 2, 0)->sum >= 3000000);
	assert_true(hist_of(p, 3, 1)->sum >= 12000000);
	assert_true(hist_of(p, 1, 1)->sum >= 6000000);
	assert_true(hist_of(p, 1, 0)->sum < 3000000);
	assert_true(hist_of(p, 0, 1)->sum < 3000000);
}

static void test_six_spans(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), r = route_at(2, BROKER, BROKER2),
		    s = client_at(4, SERVICE, BROKER2);

	(void)state;
	there(&c, ASK);
	there(&r, "RMSG $G svc _INBOX.a.1 5\r\nhello\r\n");
	back(&s, DELIVER);
	there(&s, ANSWER);
	back(&r, "RMSG $G _INBOX.a.1 3\r\nyes\r\n");
	back(&c, ARRIVE);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_ROUTE, 0, 1, HOP_PROCESS}, {ROLE_ROUTE_IN, 1, 2, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 3, HOP_PROCESS}, {ROLE_SERVICE, 1, 4, HOP_NETWORK});
	assert_int_equal(complete(), 1);
	check_sums();
}

/* HPUB and HMSG, and an exchange that fails: a path of its own. */
static void test_status(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	there(&c, "HPUB svc _INBOX.a.1 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nhello\r\n");
	back(&c, "HMSG _INBOX.a.1 9 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n");
	there(&c, "PUB svc _INBOX.a.2 0\r\n\r\n");
	back(&c, "HMSG _INBOX.a.2 9 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
	NO_COUNTS();
	assert_int_equal(path_at(0)->key.status, STATUS_OK);
	assert_int_equal(path_at(1)->key.status, STATUS_NO_RESPONDERS);
	assert_int_equal(path_at(1)->count, 1);
	PATH(path_at(1), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK});
	check_sums();
}

/* A forwarder in front of the broker: its sockets are known as its own when the answer passes. */
static void test_relay(void **state)
{
	struct link c = client_at(0, CLIENT, RELAY), f = client_at(2, RELAY, BROKER);

	(void)state;
	there(&c, ASK);
	there(&f, ASK);
	back(&f, ARRIVE);
	back(&c, ARRIVE);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_RELAY, 1, 0, HOP_NETWORK},
	     {ROLE_RELAY_OUT, 0, 1, HOP_PROCESS}, {ROLE_BROKER, 1, 2, HOP_NETWORK});
	check_sums();
}

/* Between the two there is something that is not seen: a tunnel. */
static void test_opaque(void **state)
{
	struct link c = client_at(0, CLIENT, OTHER), f = client_at(2, RELAY, BROKER);

	(void)state;
	send_text(&c.a, OUT, ASK); /* the other end is elsewhere */
	there(&f, ASK);
	back(&f, ARRIVE);
	send_text(&c.a, IN, ARRIVE);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_CLIENT, 0, 0, HOP_OPAQUE},
	     {ROLE_BROKER, 1, 1, HOP_NETWORK});
	check_sums();
}

/* Only the responder is here: its span is the first one. */
static void test_service_alone(void **state)
{
	struct link s = client_at(0, SERVICE, BROKER);

	(void)state;
	send_text(&s.a, IN, DELIVER);
	send_text(&s.a, OUT, ANSWER);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_SERVICE, 1, 0, HOP_NONE});
	check_sums();
}

/* ---- deliveries */

static void test_one_of_three_answers(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER),
		    s[3] = {client_at(2, SERVICE, BROKER), client_at(4, OTHER, BROKER),
			    client_at(6, RELAY, BROKER)};

	(void)state;
	there(&c, ASK);
	for (int i = 0; i < 3; i++)
		back(&s[i], DELIVER);
	there(&s[1], ANSWER);
	back(&c, ARRIVE);
	COUNTS(HOP_UNANSWERED, 4);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
	/* Another answer, which nobody waits for, closes nothing; nor does a delivery open one. */
	there(&s[2], ANSWER);
	back(&s[0], DELIVER);
	assert_int_equal(complete(), 1);
	COUNTS(HOP_UNANSWERED, 6);
}

/* Two answer, one after the other, and the first answer goes on: the second one is too late. */
static void test_children_that_overlap(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER),
		    o = client_at(4, OTHER, BROKER);

	(void)state;
	there(&c, ASK);
	back(&s, DELIVER);
	back(&o, DELIVER);
	there(&s, ANSWER);
	there(&o, ANSWER);
	back(&c, ARRIVE);
	COUNTS(HOP_OVERLAPPING, 2);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
}

/* The shorter one is inside the other one in time, and is no part of it. */
static void test_children_inside_each_other(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER),
		    o = client_at(4, OTHER, BROKER);

	(void)state;
	there(&c, ASK);
	back(&s, DELIVER);
	back(&o, DELIVER);
	there(&o, ANSWER);
	there(&s, ANSWER);
	back(&c, ARRIVE);
	COUNTS(HOP_OVERLAPPING, 2);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
}

/* One after the other, both count. */
static void test_children_in_turn(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER),
		    o = client_at(4, OTHER, BROKER);

	(void)state;
	there(&c, ASK);
	back(&s, DELIVER);
	there(&s, ANSWER);
	usleep(2000);
	back(&o, DELIVER);
	there(&o, ANSWER);
	back(&c, ARRIVE);
	NO_COUNTS();
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 4, HOP_NETWORK});
	assert_true(hist_of(path_at(0), 4, 0)->sum >= 2000000);
	check_sums();
}

/* ---- bounds */

static void test_too_many_spans(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		s[i] = client_at(2 + 2 * i, SERVICE, BROKER);
	there(&c, ASK);
	for (int i = 0; i < 6; i++) {
		back(&s[i], DELIVER);
		there(&s[i], ANSWER);
	}
	back(&c, ARRIVE);
	COUNTS(HOP_SPANS_FULL, 2);
	assert_int_equal(path_at(0)->key.n, HOP_SPANS);
	check_sums();
}

static int open_small(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 4, .timeout_ns = 200000000});
	return 0;
}

static void test_table_full(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	for (int i = 0; i < 6; i++)
		send_fmt(&c.a, OUT, "PUB svc _INBOX.a.%d 0\r\n\r\n", i);
	COUNTS(HOP_TABLE_FULL, 2);
	send_fmt(&c.a, IN, "MSG _INBOX.a.1 9 0\r\n\r\n");
	send_fmt(&c.a, IN, "MSG _INBOX.a.5 9 0\r\n\r\n");
	assert_int_equal(complete(), 1);
	send_fmt(&c.a, OUT, "PUB svc _INBOX.b 0\r\n\r\n"); /* where the first one was */
	COUNTS(HOP_TABLE_FULL, 2);
	usleep(250000);
	for (int i = 0; i < 4; i++)
		send_fmt(&c.a, OUT, "PUB svc _INBOX.c.%d 0\r\n\r\n", i);
	COUNTS(HOP_TABLE_FULL, 2, HOP_ABANDONED, 4);
	for (int i = 0; i < 4; i++)
		send_fmt(&c.a, IN, "MSG _INBOX.c.%d 9 0\r\n\r\n", i);
	assert_int_equal(complete(), 5);
	check_sums();
}

/* Reads it as userspace does from time to time. */
static void sweep(void)
{
	union bpf_iter_link_info info = {
		.map = {.map_fd = (uint32_t)bpf_map__fd(t.skel->maps.conns)}};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(t.skel->progs.wire_sweep, &opts);
	char buf[64];
	int fd;

	assert_non_null(link);
	fd = bpf_iter_create(bpf_link__fd(link));
	assert_true(fd >= 0);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
	bpf_link__destroy(link);
}

static void test_sweep(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	there(&c, "PUB svc _INBOX.a.1 0\r\n\r\n");
	there(&c, "PUB svc _INBOX.a.2 0\r\n\r\n");
	back(&c, "MSG _INBOX.a.2 9 0\r\n\r\n");
	sweep();
	NO_COUNTS();
	usleep(250000);
	sweep();
	COUNTS(HOP_ABANDONED, 1);
	sweep();
	COUNTS(HOP_ABANDONED, 1);
	assert_int_equal(complete(), 1);
}

/* The same reply subject again, and before the answer: another exchange. */
static void test_superseded(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);

	(void)state;
	there(&c, ASK);
	there(&c, ASK);
	back(&c, ARRIVE);
	COUNTS(HOP_ABANDONED, 1);
	assert_int_equal(complete(), 1);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK});
	there(&c, ASK); /* and after it */
	back(&c, ARRIVE);
	COUNTS(HOP_ABANDONED, 1);
	assert_int_equal(complete(), 2);
	check_sums();
}

static int open_large(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 32768});
	return 0;
}

static void test_many_in_flight(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER);
	char text[64];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "PUB svc _INBOX.a.%d 0\r\n\r\n", i);
		there(&c, text);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "MSG svc 1 _INBOX.a.%d 0\r\n\r\n", i);
		back(&s, text);
	}
	for (int i = 999; i >= 0; i--) { /* answered in another order */
		snprintf(text, sizeof(text), "PUB _INBOX.a.%d 0\r\n\r\n", i);
		there(&s, text);
		snprintf(text, sizeof(text), "MSG _INBOX.a.%d 9 0\r\n\r\n", i);
		back(&c, text);
	}
	NO_COUNTS();
	assert_int_equal(complete(), 1000);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_sums();
}

/* Many in a segment, and more than are looked at. */
static void test_many_in_a_segment(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	char ask[SEGMENT_MAX] = "", arrive[SEGMENT_MAX] = "";

	(void)state;
	for (int i = 0; i < 130; i++) {
		sprintf(ask + strlen(ask), "PUB s _I.%d 0\r\n\r\n", i);
		sprintf(arrive + strlen(arrive), "MSG _I.%d 9 0\r\n\r\n", i);
	}
	there(&c, ask);
	back(&c, arrive);
	COUNTS(HOP_EVENTS_LOST, 0);
	assert_int_equal(complete(), 130);
	check_sums();
}

static int open_few_paths(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 64, .hop_paths = 2});
	return 0;
}

static void test_paths_full(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	char text[64];

	(void)state;
	for (int i = 0; i < 9; i++) {
		snprintf(text, sizeof(text), "PUB svc%c _INBOX.a.%d 0\r\n\r\n", 'a' + i % 3, i);
		there(&c, text);
		snprintf(text, sizeof(text), "MSG _INBOX.a.%d 9 0\r\n\r\n", i);
		back(&c, text);
	}
	COUNTS(HOP_PATHS_FULL, 3);
	assert_int_equal(complete(), 6);
	check_sums();
}

static int open_sampled(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 64, .hop_sample = 4});
	return 0;
}

/* An exchange is recorded on all of its sockets or on none. */
static void test_sampling(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	char text[64];

	(void)state;
	for (int i = 0; i < 400; i++) {
		snprintf(text, sizeof(text), "PUB svc _INBOX.a.%d 0\r\n\r\n", i);
		there(&c, text);
		snprintf(text, sizeof(text), "MSG _INBOX.a.%d 9 0\r\n\r\n", i);
		back(&c, text);
	}
	assert_in_range(complete(), 60, 140);
	COUNTS(HOP_SAMPLED_OUT, (int)(800 - 2 * complete()));
	assert_int_equal(path_at(0)->count, complete());
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK});
	check_sums();
}

/* Clocks that differ: a request that came in before it left. The exchange is left out, and said so.
 */
static void test_negative(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	int fd = bpf_map__fd(t.skel->maps.hop_records);
	struct span_times r[HOP_SPANS];

	(void)state;
	there(&c, ASK);
	for (uint32_t i = 0; i < 4096; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &i, r), 0);
		if (!r[0].request)
			continue;
		assert_true(r[1].request >= r[0].request);
		r[1].request = r[0].request - 1;
		assert_int_equal(bpf_map_update_elem(fd, &i, r, 0), 0);
	}
	back(&c, ARRIVE);
	COUNTS(HOP_NEGATIVE, 1, HOP_OVERLAPPING, 1);
	assert_int_equal(complete(), 0);
}

/* ---- one by one */

static int on_line(void *ctx, void *data, size_t size)
{
	assert_int_equal(size, sizeof(struct hop_timeline));
	memcpy(ctx, data, size);
	return 0;
}

static void test_timeline(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER);
	struct hop_timeline l = {0};
	struct ring_buffer *ring =
		ring_buffer__new(bpf_map__fd(t.skel->maps.hop_timelines), on_line, &l, NULL);

	(void)state;
	assert_non_null(ring);
	there(&c, "PUB svc _INBOX.b 0\r\n\r\n");
	back(&c, "MSG _INBOX.b 9 0\r\n\r\n");
	assert_int_equal(ring_buffer__consume(ring), 0);
	t.skel->data_shared->hop_slow_ns = 3000000;
	there(&c, "PUB svc _INBOX.c 0\r\n\r\n");
	back(&c, "MSG _INBOX.c 9 0\r\n\r\n");
	there(&c, ASK);
	usleep(4000);
	back(&s, DELIVER);
	there(&s, ANSWER);
	back(&c, ARRIVE);
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(l.type, RECORD_TIMELINE);
	assert_int_equal(l.size, sizeof(l));
	assert_int_equal(l.n, 4);
	assert_int_equal(l.status, STATUS_OK);
	assert_int_equal(l.proto, PROTO_NATS);
	assert_int_equal(l.route, route_id(&t, "svc"));
	assert_int_equal(l.sampled, 0);
	assert_true(l.duration_ns >= 4000000);
	assert_int_equal(l.span[0].request_ns, 0);
	assert_int_equal(l.span[0].reply_ns, l.duration_ns);
	assert_true(l.span[2].request_ns >= 4000000);
	assert_int_equal(l.span[1].tgid, BROKER);
	assert_int_equal(l.span[3].tgid, SERVICE);
	assert_int_equal(l.span[3].link, 2 << 4 | HOP_NETWORK);
	for (int i = 0; i < 4; i++) {
		assert_true(l.span[i].queue_request_ns == HOP_UNKNOWN);
		assert_true(l.span[i].queue_reply_ns == HOP_UNKNOWN);
		assert_true(l.span[i].run_queue_ns == HOP_UNKNOWN);
		if (i)
			assert_true(l.span[i].reply_ns <= l.span[i - 1].reply_ns);
	}
	/* None is slow, every one is taken. */
	t.skel->data_shared->hop_slow_ns = 0;
	t.skel->data_shared->hop_one_in = 1;
	there(&c, "PUB svc _INBOX.d 0\r\n\r\n");
	back(&c, "MSG _INBOX.d 9 0\r\n\r\n");
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(l.sampled, 1);
	/* The ring has room for a hundred. */
	for (int i = 0; i < 200; i++) {
		there(&c, "PUB svc _INBOX.d 0\r\n\r\n");
		back(&c, "MSG _INBOX.d 9 0\r\n\r\n");
	}
	assert_in_range(counted(HOP_TIMELINES_LOST), 50, 150);
	assert_int_equal(complete(), 204);
	ring_buffer__free(ring);
}

/* ---- off */

static int open_off(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.conns = 16});
	return 0;
}

static int close_off(void **state)
{
	(void)state;
	wire_test__close(&t);
	return 0;
}

static void test_off(void **state)
{
	struct link c = client_at(0, CLIENT, BROKER);
	struct counts n;
	uint32_t zero = 0;

	(void)state;
	there(&c, ASK);
	back(&c, ARRIVE);
	assert_int_equal(acct_of(&t).matched, 2);
	assert_int_equal(bpf_map__max_entries(t.skel->maps.hop_records), 1);
	assert_int_equal(bpf_map__max_entries(t.skel->maps.hop_hists), 1);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t.skel->maps.hop_counters), &zero, &n), 0);
	for (int i = 0; i < HOP_COUNTS; i++)
		assert_int_equal(n.count[i], 0);
	assert_int_equal(t.skel->data_shared->hop_nodes_used, 1);
}

#define TEST(f)	     cmocka_unit_test_setup_teardown(f, open_default, close_it)
#define WITH(f, how) cmocka_unit_test_setup_teardown(f, how, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_programs),
		TEST(test_four_spans),
		TEST(test_six_spans),
		TEST(test_status),
		TEST(test_relay),
		TEST(test_opaque),
		TEST(test_service_alone),
		TEST(test_one_of_three_answers),
		TEST(test_children_that_overlap),
		TEST(test_children_inside_each_other),
		TEST(test_children_in_turn),
		TEST(test_too_many_spans),
		WITH(test_table_full, open_small),
		WITH(test_sweep, open_small),
		TEST(test_superseded),
		WITH(test_many_in_flight, open_large),
		TEST(test_many_in_a_segment),
		WITH(test_paths_full, open_few_paths),
		WITH(test_sampling, open_sampled),
		TEST(test_negative),
		TEST(test_timeline),
		cmocka_unit_test_setup_teardown(test_off, open_off, close_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
