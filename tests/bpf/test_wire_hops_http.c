// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Hops of HTTP and Redis on the wire programs: both ends of a connection find one exchange, by the
 * place of its request's first byte, and a call finds that of the request it is made for. A test
 * run has no tasks, so which request a call is made for is set here, where a connect would.
 */
#include "../support/wire_run.h"

#include "cause.h"
#include "hop.h"

#define TABLE 64
#define PATHS 16 /* as wire_run.h has it */

static struct wire_test t;
/* Which calls are whose is known by bpf/cause.bpf.h. */
static int set_tree(struct wire_bpf *s)
{
	int err;

	s->rodata->targ_tree = true;
	s->rodata->targ_max_edges = 16;
	err = bpf_map__set_max_entries(s->maps.edges, 16);
	err |= bpf_map__set_max_entries(s->maps.edge_ids, 16);
	return err | bpf_map__set_max_entries(s->maps.fifo_far, 4096);
}

/* A process that has read requests: this one. */
static void serve(void)
{
	uint8_t *blank = calloc(1, bpf_map__value_size(t.skel->maps.cause_processes));
	uint32_t tgid = (uint32_t)getpid();

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(t.skel->maps.cause_processes), &tgid,
					     blank, BPF_ANY),
			 0);
	free(blank);
}

static int open_hops(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.hops = TABLE, .more = set_tree});
	serve();
	return 0;
}

static int open_sampled(void **state)
{
	(void)state;
	wire_test__open(&t, &(struct wire_setup){.hops = TABLE, .hop_sample = 4, .more = set_tree});
	serve();
	return 0;
}

static int close_it(void **state)
{
	(void)state;
	wire_test__close(&t);
	return 0;
}

/* ---- what was recorded */

static uint64_t counted(enum hop_count what)
{
	uint64_t count[HOP_COUNTS], sum = 0;

	for (uint32_t i = 0; i <= t.n_lanes; i++) {
		assert_int_equal(
			bpf_map_lookup_elem(bpf_map__fd(t.skel->maps.hop_counters), &i, count), 0);
		sum += count[what];
	}
	return sum;
}

static int path_at(uint32_t i, struct hop_path *p)
{
	return !bpf_map_lookup_elem(bpf_map__fd(t.skel->maps.hop_paths), &i, p) && p->used;
}

/* Exchanges whose path has these links, first to last; all of them with n < 0. */
static uint64_t in_paths(int n, const uint8_t *link)
{
	struct hop_path p;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < PATHS; i++) {
		if (path_at(i, &p) &&
		    (n < 0 || (p.key.n == n && !memcmp(p.key.link, link, (size_t)n))))
			sum += p.count;
	}
	return sum;
}

#define LINK(parent, kind) (uint8_t)((parent) << 4 | (kind))
#define IN_PATH(...)	   in_paths(sizeof((uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

static uint64_t in_any(void)
{
	return in_paths(-1, NULL);
}

/* ---- connections */

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

/*
 * The other end of a client's connection. It has another port than the client asked for, as where
 * addresses are translated: one would be the same slot.
 */
static struct flow other_end(const struct flow *client, int slot)
{
	struct flow f = {.t = &t, .local = 8000, .remote = client->local, .v6 = client->v6};

	while ((f.local + f.remote) % 4 != slot)
		f.local++;
	f.seq[IN] = client->seq[OUT];
	f.seq[OUT] = client->seq[IN];
	return f;
}

/* The id that both ends find: bpf/hop_id.bpf.h. */
static uint64_t id_at(uint16_t port, uint32_t seq)
{
	uint64_t h = 0x1234567890abcdefull ^ ((uint64_t)port << 32 | seq);

	h *= 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	return (h ^ h >> 32) | 1;
}

/* The client's connection was opened for the request that came in on `server`, at its `seq`. */
static void opened_for(const struct flow *client, const struct flow *server, uint32_t seq)
{
	int conns = bpf_map__fd(t.skel->maps.test_conns);
	int parents = bpf_map__fd(t.skel->maps.cause_parents);
	uint8_t *conn = calloc(1, bpf_map__value_size(t.skel->maps.test_conns));
	uint8_t *parent = calloc(1, bpf_map__value_size(t.skel->maps.cause_parents));
	uint64_t ref = 0x1000 + seq, hop = id_at(server->remote, seq);
	uint32_t slot = (client->local + client->remote) & 3;

	memcpy(parent + offset_in(&t, "cause_parent", "hop"), &hop, 8);
	assert_int_equal(bpf_map_update_elem(parents, &ref, parent, BPF_ANY), 0);
	assert_int_equal(bpf_map_lookup_elem(conns, &slot, conn), 0);
	memcpy(conn + offset_in(&t, "conn", "cause") + offset_in(&t, "cause_conn", "opener"), &ref,
	       8);
	assert_int_equal(bpf_map_update_elem(conns, &slot, conn, BPF_ANY), 0);
	free(conn);
	free(parent);
}

static void send_pieces(struct flow *f, int dir, const char *text, size_t n)
{
	size_t len = strlen(text), i;

	for (i = 0; i < len; i += n)
		send_bytes(f, dir, text + i, len - i < n ? len - i : n);
}

/* ---- tests */

/* Client and server, their ports apart (translated), IPv4 and IPv6: one exchange, two spans. */
static void test_both_ends(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct flow c = new_flow(&t, (uint16_t)(40000 + 8 * v6), 80, v6 * 2), s;

		c.v6 = v6;
		s = other_end(&c, 1 + v6 * 2);
		for (int i = 0; i < 3; i++) {
			send_text(&c, OUT, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
			send_text(&s, IN, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
			send_text(&s, OUT, OK);
			assert_int_equal(in_any(), 3 * v6 + i);
			send_text(&c, IN, OK);
			assert_int_equal(in_any(), 3 * v6 + i + 1);
		}
	}
	assert_int_equal(IN_PATH(0, LINK(0, HOP_NETWORK)), 6);
	assert_int_equal(counted(HOP_UNANSWERED), 0);
	assert_int_equal(counted(HOP_OVERLAPPING), 0);
}

/* A head cut differently at both ends, and several requests in a segment at one of them. */
static void test_split_heads(void **state)
{
	static const char two[] = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
				  "GET /b?q HTTP/1.1\r\nHost: x\r\n\r\n";
	struct flow c = new_flow(&t, 40000, 80, 0), s = other_end(&c, 1);

	(void)state;
	send_text(&c, OUT, "GET /first HTTP/1.1\r\n\r\n");
	send_text(&s, IN, "GET /first HTTP/1.1\r\n\r\n");
	send_text(&s, OUT, OK);
	send_text(&c, IN, OK);
	for (size_t n = 1; n < 12; n++) {
		if (n & 1) {
			send_text(&c, OUT, two);
			send_pieces(&s, IN, two, n);
		} else {
			send_pieces(&c, OUT, two, n);
			send_text(&s, IN, two);
		}
		send_text(&s, OUT, OK OK);
		send_pieces(&c, IN, OK OK, n);
	}
	assert_int_equal(in_any(), 23);
	assert_int_equal(IN_PATH(0, LINK(0, HOP_NETWORK)), 23);
	assert_int_equal(counted(HOP_UNANSWERED), 0);
}

/* Every request of a pipeline is an exchange of its own, beyond the first slots, too. */
static void test_pipelines(void **state)
{
	static const int depths[] = {2, 8, 9, 50};
	struct flow c = new_flow(&t, 40000, 80, 0), s = other_end(&c, 1);
	uint64_t n = 0;

	(void)state;
	for (size_t k = 0; k < sizeof(depths) / sizeof(depths[0]); k++) {
		for (int i = 0; i < depths[k]; i++)
			send_text(&c, OUT, "GET /p HTTP/1.1\r\n\r\n");
		for (int i = 0; i < depths[k]; i++)
			send_text(&s, IN, "GET /p HTTP/1.1\r\n\r\n");
		for (int i = 0; i < depths[k]; i++)
			send_text(&s, OUT, OK);
		for (int i = 0; i < depths[k]; i++)
			send_text(&c, IN, OK);
		n += (uint64_t)depths[k];
		assert_int_equal(in_any() + counted(HOP_TABLE_FULL) / 2, n);
	}
	assert_int_equal(IN_PATH(0, LINK(0, HOP_NETWORK)), in_any());
	assert_int_equal(counted(HOP_UNANSWERED), 0);
}

#define PING "*1\r\n$4\r\nPING\r\n"
#define GET  "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"

static void test_redis(void **state)
{
	struct flow c = new_flow(&t, 40000, 6379, 0), s = other_end(&c, 1);

	(void)state;
	send_text(&c, OUT, PING GET PING);
	send_pieces(&s, IN, PING GET PING, 5);
	send_text(&s, OUT, "+PONG\r\n$1\r\nv\r\n");
	send_text(&c, IN, "+PONG\r\n$1\r\nv\r\n");
	assert_int_equal(in_any(), 2);
	send_text(&s, OUT, "+PONG\r\n");
	send_text(&c, IN, "+PONG\r\n");
	assert_int_equal(IN_PATH(0, LINK(0, HOP_NETWORK)), 3);
	assert_int_equal(counted(HOP_UNANSWERED), 0);
}

/* A request, the call made for it and the call's other end; times add up. */
static void test_call(void **state)
{
	struct flow s = new_flow(&t, 8090, 50000, 0), c = new_flow(&t, 40000, 80, 1);
	struct flow u = other_end(&c, 2);
	struct hop_path p;
	uint64_t whole, parts = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		uint32_t at = s.seq[IN];

		send_text(&s, IN, "GET /outer HTTP/1.1\r\n\r\n");
		opened_for(&c, &s, at);
		send_text(&c, OUT, "GET /inner HTTP/1.1\r\n\r\n");
		send_text(&u, IN, "GET /inner HTTP/1.1\r\n\r\n");
		send_text(&u, OUT, OK);
		send_text(&c, IN, OK);
		assert_int_equal(in_any(), i);
		send_text(&s, OUT, OK);
	}
	assert_int_equal(in_any(), 4);
	assert_int_equal(IN_PATH(0, LINK(0, HOP_PROCESS), LINK(1, HOP_NETWORK)), 4);
	assert_int_equal(counted(HOP_UNANSWERED), 0);
	assert_true(path_at(0, &p));
	assert_int_equal(p.key.route, route_id(&t, "GET /outer"));
	for (uint32_t i = 0; i < 9; i++) {
		uint32_t at = p.first + i;
		struct hist h;

		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t.skel->maps.hop_hists), &at, &h),
				 0);
		if (!i)
			whole = h.sum;
		else if (i % 3 < 2) /* before and after */
			parts += h.sum;
	}
	assert_int_equal(whole, parts);
}

/* Two calls, one after the other, of which the request's socket and the second are one process's:
 * the second is the request's child and not the first one's, whoever's socket is next to it. */
static void test_two_calls(void **state)
{
	struct flow s = new_flow(&t, 8090, 50000, 0), c = new_flow(&t, 40000, 80, 1);
	struct flow u = other_end(&c, 2);

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint32_t at = s.seq[IN];

		send_text(&s, IN, "GET /outer HTTP/1.1\r\n\r\n");
		for (int k = 0; k < 2; k++) {
			opened_for(&c, &s, at);
			send_text(&c, OUT, "GET /inner HTTP/1.1\r\n\r\n");
			send_text(&u, IN, "GET /inner HTTP/1.1\r\n\r\n");
			send_text(&u, OUT, OK);
			send_text(&c, IN, OK);
		}
		send_text(&s, OUT, OK);
	}
	assert_int_equal(IN_PATH(0, LINK(0, HOP_PROCESS), LINK(1, HOP_NETWORK),
				 LINK(0, HOP_PROCESS), LINK(3, HOP_NETWORK)),
			 2);
	assert_int_equal(counted(HOP_OVERLAPPING), 0);
}

/* A call of a request that has been answered begins an exchange of its own. */
static void test_late_call(void **state)
{
	struct flow s = new_flow(&t, 8090, 50000, 0), c = new_flow(&t, 40000, 80, 1);
	uint32_t at = s.seq[IN];

	(void)state;
	send_text(&s, IN, "GET /outer HTTP/1.1\r\n\r\n");
	send_text(&s, OUT, OK);
	opened_for(&c, &s, at);
	send_text(&c, OUT, "GET /inner HTTP/1.1\r\n\r\n");
	send_text(&c, IN, OK);
	assert_int_equal(IN_PATH(0), 2);
}

/* One in so many, with all its calls and their other ends; of the others none. */
static void test_sample(void **state)
{
	struct flow s = new_flow(&t, 8090, 50000, 0), c = new_flow(&t, 40000, 80, 1);
	struct flow u = other_end(&c, 2);
	uint64_t n;

	(void)state;
	for (int i = 0; i < 400; i++) {
		uint32_t at = s.seq[IN];

		send_text(&s, IN, "GET /outer HTTP/1.1\r\n\r\n");
		opened_for(&c, &s, at);
		send_text(&c, OUT, "GET /inner HTTP/1.1\r\n\r\n");
		send_text(&u, IN, "GET /inner HTTP/1.1\r\n\r\n");
		send_text(&u, OUT, OK);
		send_text(&c, IN, OK);
		send_text(&s, OUT, OK);
	}
	n = IN_PATH(0, LINK(0, HOP_PROCESS), LINK(1, HOP_NETWORK));
	assert_in_range(n, 60, 140);
	assert_int_equal(in_any(), n);
	/* Every socket that cannot know better counts them. */
	assert_in_range(counted(HOP_SAMPLED_OUT), 400 - n, 800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_ends, open_hops, close_it),
		cmocka_unit_test_setup_teardown(test_split_heads, open_hops, close_it),
		cmocka_unit_test_setup_teardown(test_pipelines, open_hops, close_it),
		cmocka_unit_test_setup_teardown(test_redis, open_hops, close_it),
		cmocka_unit_test_setup_teardown(test_call, open_hops, close_it),
		cmocka_unit_test_setup_teardown(test_two_calls, open_hops, close_it),
		cmocka_unit_test_setup_teardown(test_late_call, open_hops, close_it),
		cmocka_unit_test_setup_teardown(test_sample, open_sampled, close_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
