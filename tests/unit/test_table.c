/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define _GNU_SOURCE
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/hist.h"
#include "out/table.h"
#include "out/text.h"
#include "out/tree.h"
#include "random.h"

static struct snapshot_series series[4];

static struct snapshot base(void)
{
	struct snapshot s = {
		.duration_ns = 2000000000, .settled = true, .series = series, .n_series = 2};

	memset(series, 0, sizeof(series));
	series[0].key = (struct series_key){
		.route = 1, .proto = PROTO_NATS, .role = ROLE_SERVICE, .status = STATUS_OK};
	strcpy(series[0].route, "rpc.echo.call");
	strcpy(series[0].container, "/");
	for (int i = 1; i <= 1000; i++)
		hist__add(&series[0].hist, (uint64_t)i * 1000);
	series[0].count = 1000;
	series[1].key = (struct series_key){
		.route = 2, .proto = PROTO_NATS, .role = ROLE_CLIENT, .status = STATUS_UNANSWERED};
	strcpy(series[1].route, "größe.日本");
	strcpy(series[1].container, "/");
	series[1].count = 2;
	s.acct.seen = 1002;
	s.acct.matched = 1000;
	s.acct.unanswered = 2;
	s.acct.bytes_seen = 12345;
	s.acct.bytes_framed = 12345;
	s.acct.reason[REASON_TIMEOUT] = 2;
	return s;
}

static char *printed(const struct snapshot *s, const struct table_opts *opts)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(table__print(f, s, opts), 0);
	fclose(f);
	return text;
}

static void the_table(void **state)
{
	/* clang-format off */
	static const char want[] =
		"proto  role     route          status      count  rate/s    p50    p90    p99  p99.9     max\n"
		"nats   service  rpc.echo.call  ok          1,000     500  504us  893us  991us  991us  1.00ms\n"
		"nats   client   größe.日本     unanswered      2       1      -      -      -      -       -\n"
		"seen 1,002 = matched 1,000 + one-way 0 + in flight 0 + unanswered 2 + dropped 0\n"
		"bytes seen 12,345 = framed 12,345 + unparsed 0\n"
		"unanswered: timeout 2\n";
	/* clang-format on */
	struct snapshot s = base();
	struct table_opts opts = {0};
	char *text = printed(&s, &opts);

	(void)state;
	assert_string_equal(text, want);
	free(text);
}

/* What was passed over needs nothing else that is missing to be told. */
static void segments_passed_over(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {0};
	char *text;

	(void)state;
	s.acct.seen = 1000;
	s.acct.unanswered = 0;
	s.acct.reason[REASON_TIMEOUT] = 0;
	text = printed(&s, &opts);
	assert_null(strstr(text, "passed over"));
	free(text);
	s.acct.reason[REASON_BUSY] = 3;
	s.acct.reason[REASON_OWNER] = 2;
	text = printed(&s, &opts);
	assert_non_null(strstr(text, "segments passed over: owner 2, busy 3\n"));
	free(text);
}

static void runs_that_were_left_out(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {0};
	char *text;

	(void)state;
	s.programs[0] = (struct snapshot_program){"wire_ingress", 9, 900, 0};
	s.n_programs = 1;
	text = printed(&s, &opts);
	assert_null(strstr(text, "left out"));
	free(text);
	s.programs[1] = (struct snapshot_program){"wire_switch", 9, 900, 1200};
	s.programs[2] = (struct snapshot_program){"tls_send", 0, 0, 1};
	s.n_programs = 3;
	text = printed(&s, &opts);
	assert_non_null(strstr(
		text, "\nprogram runs left out by the kernel: wire_switch 1,200, tls_send 1\n"));
	free(text);
}

/* The same lines below a tree as below the table. */
static void a_tree_has_the_accounting(void **state)
{
	struct snapshot s = base();
	struct critical_paths none = {0};
	struct table_opts opts = {0};
	char *table, *tree = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&tree, &len);

	(void)state;
	s.has_tls = true;
	s.tls.conns = 3;
	s.tls.calls_lost = 2;
	s.acct.bytes_opaque = 77;
	table = printed(&s, &opts);
	assert_int_equal(tree__print(f, &none, &s, &opts), 0);
	fclose(f);
	assert_non_null(strstr(table, "\nseen 1,002 = "));
	assert_non_null(strstr(table, "unanswered: timeout 2\nTLS connections read: 3, lost"));
	assert_non_null(strstr(table, "not read: 77 bytes\n"));
	assert_non_null(strstr(tree, strstr(table, "seen 1,002 = ")));
	free(table);
	free(tree);
}

static void bold_header_only_where_asked(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {.color = true};
	char *text = printed(&s, &opts);

	(void)state;
	assert_int_equal(strncmp(text, "\033[1mproto", 9), 0);
	assert_non_null(strstr(text, "max\033[0m\n"));
	assert_null(strchr(strstr(text, "\033[0m") + 1, '\033'));
	free(text);
}

static size_t widest(const char *text)
{
	size_t most = 0;
	char *copy = strdup(text);

	for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
		if (text__width(line) > most)
			most = text__width(line);
	free(copy);
	return most;
}

/* Routes of any length and script, no container but "/": 100 columns hold it. */
static void fits_into_100_columns(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {.width = 100};
	uint64_t seed = 1;

	(void)state;
	s.n_series = 4;
	for (int round = 0; round < 500; round++) {
		char *text;

		for (int i = 0; i < 4; i++) {
			size_t n = random__next(&seed) % 96;

			series[i].key.role = (uint8_t)(1 + random__next(&seed) % (ROLE_RELAY_OUT));
			series[i].key.status = (uint8_t)(1 + random__next(&seed) % STATUS_ERROR);
			strcpy(series[i].container, "/");
			memset(series[i].route, 0, sizeof(series[i].route));
			for (size_t k = 0; k < n; k++)
				series[i].route[k] = (char)(1 + random__next(&seed) % 255);
			series[i].count = random__log(&seed, 16);
			memset(&series[i].hist, 0, sizeof(series[i].hist));
			hist__add(&series[i].hist, random__log(&seed, 33));
		}
		text = printed(&s, &opts);
		assert_true(widest(text) <= 100);
		for (size_t k = 0, len; text[k]; k += len) {
			int32_t cp = text__decode(text + k, &len);

			assert_true(cp == '\n' || text__is_printable(cp));
		}
		free(text);
	}
}

static void a_file_gets_names_whole(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {0};
	char *text;

	(void)state;
	memset(series[0].route, 'r', 90);
	text = printed(&s, &opts);
	assert_non_null(strstr(text, series[0].route));
	assert_null(strstr(text, "…"));
	free(text);
}

static void containers_show_when_there_is_one(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {0};
	char *text = printed(&s, &opts);

	(void)state;
	assert_null(strstr(text, "container"));
	free(text);
	strcpy(series[1].container, "/kube/pod\x1b[2J");
	text = printed(&s, &opts);
	assert_non_null(strstr(text, "container"));
	assert_non_null(strstr(text, "/kube/pod\\x1b[2J"));
	free(text);
	/* A label goes in whole, and so does a path of the kubelet's, which takes 200 bytes. */
	strcpy(series[0].container, "prod/shop-7d9f/app");
	memset(series[1].container, 'k', 200);
	text = printed(&s, &opts);
	assert_non_null(strstr(text, "  prod/shop-7d9f/app  "));
	assert_non_null(strstr(text, series[1].container));
	free(text);
}

static void losses_and_their_reasons(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {0};
	char *text;

	(void)state;
	s.acct.dropped = 3;
	s.acct.seen += 3;
	s.acct.reason[REASON_TABLE_FULL] = 3;
	s.acct.orphans = 1;
	s.acct.reason[REASON_ORPHAN] = 1;
	s.acct.bytes_seen += 700;
	s.acct.bytes_unparsed = 700;
	s.acct.reason[REASON_GAP] = 600;
	s.acct.reason[REASON_RESYNC] = 100;
	s.acct.exemplars_lost = 9;
	text = printed(&s, &opts);
	assert_non_null(strstr(text,
			       "\nunanswered: timeout 2; dropped: table_full 3; replies without "
			       "request: orphan 1; bytes unparsed: gap 600, resync 100; "
			       "exemplars lost 9\n"));
	assert_null(strstr(text, "ADD UP"));
	free(text);
	s.acct.matched--;
	text = printed(&s, &opts);
	assert_non_null(strstr(text, "DOES NOT ADD UP"));
	free(text);
	s.settled = false;
	text = printed(&s, &opts);
	assert_null(strstr(text, "DOES NOT ADD UP"));
	assert_non_null(strstr(text, "read in motion"));
	free(text);
}

static void nothing_lost_nothing_said(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {0};
	char *text;

	(void)state;
	s.acct.unanswered = 0;
	s.acct.seen = 1000;
	s.acct.reason[REASON_TIMEOUT] = 0;
	s.acct.reason[REASON_NO_REPLY] = 5; /* one-way messages are no loss */
	text = printed(&s, &opts);
	assert_non_null(strstr(text, "unparsed 0\n"));
	assert_string_equal(strstr(text, "unparsed 0\n"), "unparsed 0\n");
	free(text);
}

static void an_interval_names_what_was_in_flight(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {0};
	char *text;

	(void)state;
	s.in_flight_before = 4;
	s.acct.in_flight = 4;
	text = printed(&s, &opts);
	assert_non_null(strstr(text,
			       "seen 1,002 + in flight before 4 = matched 1,000 + one-way 0 + in "
			       "flight 4 + unanswered 2"));
	free(text);
}

static void rows_sorted_and_limited(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {.max_rows = 1};
	char *text;

	(void)state;
	series[1].count = 5000;
	text = printed(&s, &opts);
	assert_non_null(strstr(text, "client"));
	assert_null(strstr(text, "service"));
	assert_non_null(strstr(text, "... and 1 more series\n"));
	free(text);
	opts.sort = SNAPSHOT_BY_TOTAL;
	text = printed(&s, &opts);
	assert_non_null(strstr(text, "service"));
	free(text);
	s.n_series = 0;
	text = printed(&s, &opts);
	assert_non_null(strstr(text, "(no exchanges)\n"));
	free(text);
}

static void a_full_disk_is_an_error(void **state)
{
	struct snapshot s = base();
	struct table_opts opts = {0};
	FILE *f = fopen("/dev/full", "w");

	(void)state;
	assert_true(table__print(f, &s, &opts) < 0);
	fclose(f);
}

static void terminals(void **state)
{
	struct winsize size = {.ws_row = 24, .ws_col = 137};
	struct table_opts opts;
	int master, slave;
	FILE *f;

	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	f = fdopen(slave, "w");
	unsetenv("NO_COLOR");
	table_opts__detect(&opts, f);
	assert_int_equal(opts.width, 137);
	assert_true(opts.color);
	setenv("NO_COLOR", "1", 1);
	table_opts__detect(&opts, f);
	assert_false(opts.color);
	setenv("NO_COLOR", "", 1); /* empty counts as not set: no-color.org */
	table_opts__detect(&opts, f);
	assert_true(opts.color);
	unsetenv("NO_COLOR");
	size.ws_col = 0;
	ioctl(master, TIOCSWINSZ, &size);
	table_opts__detect(&opts, f);
	assert_int_equal(opts.width, 100);
	fclose(f);
	close(master);
	f = fopen("/dev/null", "w");
	table_opts__detect(&opts, f);
	assert_true(opts.width == 0 && !opts.color);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table),
		cmocka_unit_test(segments_passed_over),
		cmocka_unit_test(runs_that_were_left_out),
		cmocka_unit_test(a_tree_has_the_accounting),
		cmocka_unit_test(bold_header_only_where_asked),
		cmocka_unit_test(fits_into_100_columns),
		cmocka_unit_test(a_file_gets_names_whole),
		cmocka_unit_test(containers_show_when_there_is_one),
		cmocka_unit_test(losses_and_their_reasons),
		cmocka_unit_test(nothing_lost_nothing_said),
		cmocka_unit_test(an_interval_names_what_was_in_flight),
		cmocka_unit_test(rows_sorted_and_limited),
		cmocka_unit_test(a_full_disk_is_an_error),
		cmocka_unit_test(terminals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
