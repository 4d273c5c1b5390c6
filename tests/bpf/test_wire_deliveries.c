// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Messages that nobody answers, from who publishes to each who subscribes. */
#include <bpf/libbpf.h>

#include "../support/hop_run.h"

static int set_deliveries(struct wire_bpf *s)
{
	s->rodata->targ_deliveries = true;
	return 0;
}

static int open_deliveries(void **state)
{
	(void)state;
	open_with(&(struct wire_setup){.hops = 4096, .more = set_deliveries});
	return 0;
}

/* A way has no `after`; its parts sum to the whole. */
static void check_one_way(const struct hop_path *p)
{
	uint64_t sum = 0;

	assert_int_equal(p->key.one_way, 1);
	assert_int_equal(p->key.status, STATUS_OK);
	for (int i = 0; i < p->key.n; i++) {
		assert_int_equal(hist_n(hist_of(p, i, 0)), p->count);
		assert_int_equal(hist_n(hist_of(p, i, 1)), 0);
		assert_int_equal(hist_n(hist_of(p, i, 2)), 0); /* nobody read */
		sum += i ? hist_of(p, i, 0)->sum : 0;
	}
	assert_int_equal(sum, hist_of(p, 0, 0)->sum);
}

#define PUBLISH "PUB news 5\r\nhello\r\n"
#define GET	"MSG news 1 5\r\nhello\r\n"

/* Each subscriber's way is a path of its own, of all that it passed. */
static void test_two_subscribers(void **state)
{
	struct link p = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER),
		    o = client_at(4, OTHER, BROKER);
	const struct hop_path *path;

	(void)state;
	there(&p, PUBLISH);
	usleep(4000);
	back(&s, GET);
	usleep(2000);
	back(&o, GET);
	NO_COUNTS();
	assert_int_equal(complete(), 2);
	path = path_at(0); /* the subscribers have one name here */
	assert_int_equal(path->count, 2);
	assert_int_equal(path->key.route, route_id(&t, "news"));
	PATH(path, {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_SERVICE, 1, 2, HOP_NETWORK});
	check_one_way(path);
	assert_true(hist_of(path, 2, 0)->sum >= 10000000); /* in the broker: 4 and 6 ms */
	assert_true(hist_of(path, 3, 0)->sum < 4000000);
}

/* From broker to broker. */
static void test_over_a_route(void **state)
{
	struct link p = client_at(0, CLIENT, BROKER), r = route_at(2, BROKER, BROKER2),
		    s = client_at(4, SERVICE, BROKER2);

	(void)state;
	there(&p, PUBLISH);
	there(&r, "RMSG $G news 5\r\nhello\r\n");
	back(&s, GET);
	NO_COUNTS();
	assert_int_equal(complete(), 1);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_ROUTE, 0, 1, HOP_PROCESS}, {ROLE_ROUTE_IN, 1, 2, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 3, HOP_PROCESS}, {ROLE_SERVICE, 1, 4, HOP_NETWORK});
	check_one_way(path_at(0));
}

/* Subject, length and first bytes tell messages apart. */
static void test_told_apart(void **state)
{
	struct link p = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER);

	(void)state;
	there(&p, PUBLISH "PUB news 6\r\nhello!\r\nPUB olds 5\r\nhello\r\nPUB news 5\r\nhallo\r\n"
			  "PUB news 0\r\n\r\n");
	back(&s, GET "MSG news 1 6\r\nhello!\r\nMSG olds 2 5\r\nhello\r\n"
		     "MSG news 1 5\r\nhallo\r\nMSG news 1 0\r\n\r\n");
	NO_COUNTS();
	assert_int_equal(complete(), 5);
	assert_int_equal(path_at(0)->count, 4);
	assert_int_equal(path_at(1)->count, 1);
	check_one_way(path_at(0));
	check_one_way(path_at(1));
}

/* Two publishers of the same bytes: whose message comes is not known, for a second. */
static void test_alike(void **state)
{
	struct link p = client_at(0, CLIENT, BROKER), q = client_at(2, OTHER, BROKER),
		    s = client_at(4, SERVICE, BROKER);

	(void)state;
	there(&p, PUBLISH);
	there(&q, PUBLISH);
	COUNTS(HOP_ALIKE, 2); /* by sockets that it passes */
	back(&s, GET GET);
	COUNTS(HOP_ALIKE, 6);
	assert_int_equal(complete(), 0);
	usleep(1100000);
	there(&p, PUBLISH);
	back(&s, GET);
	COUNTS(HOP_ALIKE, 6);
	assert_int_equal(complete(), 1);
	/* What was delivered before another one came is known. */
	there(&p, PUBLISH);
	COUNTS(HOP_ALIKE, 8);
	assert_int_equal(complete(), 1);
	check_one_way(path_at(0));
}

/* Who published is not seen, or what is seen does not hang together. */
static void test_no_origin(void **state)
{
	struct link p = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER2);

	(void)state;
	send_text(&s.a, IN, GET);
	COUNTS(HOP_NO_ORIGIN, 1);
	there(&p, PUBLISH);
	back(&s, GET); /* of a broker that it did not come to */
	COUNTS(HOP_NO_ORIGIN, 3);
	assert_int_equal(complete(), 0);
}

/* The payload begins in another segment: at each socket where it does. */
static void test_cut(void **state)
{
	struct link p = client_at(0, CLIENT, BROKER);

	(void)state;
	there(&p, "PUB news 5\r\n");
	there(&p, "hello\r\n");
	COUNTS(HOP_CUT, 2);
	there(&p, "PUB news 40\r\n0123456789012345678901234567890"); /* 31 of 32 */
	there(&p, "123456789\r\n");
	COUNTS(HOP_CUT, 4);
	there(&p, "PUB news 40\r\n01234567890123456789012345678901");
	there(&p, "23456789\r\n");
	COUNTS(HOP_CUT, 4);
}

/* A forwarder hands on what comes in; known as one, it is no subscriber. */
static void test_relay(void **state)
{
	struct link p = client_at(0, CLIENT, BROKER), f = client_at(2, RELAY, BROKER),
		    s = client_at(4, SERVICE, RELAY);

	(void)state;
	back(&f, "MSG other 1 0\r\n\r\n");
	back(&s, "MSG other 1 0\r\n\r\n");
	COUNTS(HOP_NO_ORIGIN, 4);
	there(&p, PUBLISH);
	back(&f, GET);
	back(&s, GET);
	COUNTS(HOP_NO_ORIGIN, 4);
	assert_int_equal(complete(), 1);
	PATH(path_at(0), {ROLE_CLIENT, 0, 0, HOP_NONE}, {ROLE_BROKER, 1, 0, HOP_NETWORK},
	     {ROLE_BROKER_OUT, 0, 1, HOP_PROCESS}, {ROLE_RELAY_SERVICE, 1, 2, HOP_NETWORK},
	     {ROLE_RELAY_SERVICE_OUT, 0, 3, HOP_PROCESS}, {ROLE_SERVICE, 1, 4, HOP_NETWORK});
	check_one_way(path_at(0));
}

/* Beside exchanges: a request is none, and an answer is none. */
static void test_beside_exchanges(void **state)
{
	struct link p = client_at(0, CLIENT, BROKER), s = client_at(2, SERVICE, BROKER);

	(void)state;
	there(&p, ASK PUBLISH);
	back(&s, DELIVER GET);
	there(&s, ANSWER);
	back(&p, ARRIVE);
	NO_COUNTS();
	assert_int_equal(complete(), 2);
	assert_int_equal(path_at(0)->key.one_way + path_at(1)->key.one_way, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_two_subscribers, open_deliveries),
		WITH(test_over_a_route, open_deliveries),
		WITH(test_told_apart, open_deliveries),
		WITH(test_alike, open_deliveries),
		WITH(test_no_origin, open_deliveries),
		WITH(test_cut, open_deliveries),
		WITH(test_relay, open_deliveries),
		WITH(test_beside_exchanges, open_deliveries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
