/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the report says, and what it must not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "out/markdown.h"
#include "out/session.h"

static char *text;

/* Renders s into `text`, after the check that every reader makes. */
static void render(const json_t *s)
{
	char why[256];
	size_t len = 0;
	FILE *f;

	free(text);
	text = NULL;
	if (session__check(s, why, sizeof(why)))
		fail_msg("%s", why);
	f = open_memstream(&text, &len);
	assert_int_equal(markdown__report(f, s), 0);
	fclose(f);
}

static void says(const char *what)
{
	if (!strstr(text, what))
		fail_msg("the report does not say: %s\n%s", what, text);
}

static void silent_about(const char *what)
{
	if (strstr(text, what))
		fail_msg("the report must not say: %s\n%s", what, text);
}

static json_t *phase(json_t *s, size_t i)
{
	return json_array_get(json_object_get(s, "phases"), i);
}

static void verdicts_come_first(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	render(s);
	assert_true(strstr(text, "## Verdict") < strstr(text, "## Summary"));
	says("# A title\n");
	says("**1 of 3 targets failed.** 3 targets: 1 PASS, 1 FAIL, 1 INCONCLUSIVE.");
	says("| event rate | ≥ 50,000 events/s | 6,666 events/s (6,600 to 6,700 events/s) | "
	     "**FAIL** |");
	says("| memory per service | ≤ 47.7 MiB | 57.2 MiB (38.1 MiB to 58.2 MiB) | "
	     "**INCONCLUSIVE** |");
	says("| missing events | ≤ 0 events | 0 events | **PASS** |");
	silent_about("Partial");
	json_decref(s);
}

static void a_run_is_as_good_as_its_targets(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	json_array_remove(json_object_get(s, "targets"), 0);
	render(s);
	says("**No target failed, but 1 of 2 could not be decided.**");
	json_array_remove(json_object_get(s, "targets"), 0);
	render(s);
	says("**Every target passed.** 1 target: 1 PASS.");
	json_array_clear(json_object_get(s, "targets"));
	render(s);
	says("nothing was judged");
	silent_about("passed.**");
	json_decref(s);
}

static json_t *growth_of(json_t *s, size_t i)
{
	json_t *phases = json_object_get(s, "phases");
	json_t *memory = json_array_get(phases, json_array_size(phases) - 1);

	return json_array_get(json_object_get(memory, "growth"), i);
}

static void growth_is_shown_with_what_could_have_been_seen(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	render(s);
	says("growing: svc-1; no growth in 0 of 2 containers, 1 undecided.");
	says("| svc-1 | 1.00 MiB | 2.00 MiB | ▁▅█ | 34.3 MiB/h (33.4 MiB/h to 35.3 MiB/h) | "
	     "96.7 KiB/h | GROWING | it grows |");
	says("| n1 | NO DATA | NO DATA |");
	json_object_set_new(growth_of(s, 0), "verdict", json_string("INCONCLUSIVE"));
	render(s);
	says("growth was not decided in any of 2 containers.");
	silent_about("no growth");
	json_object_set_new(growth_of(s, 0), "verdict", json_string("STABLE"));
	render(s);
	says("no growth was found in 1 of 2 containers, 1 undecided; the smallest");
	json_decref(s);
}

static void set_latency(json_t *s, unsigned int n, double median)
{
	json_t *l = json_object_get(phase(s, 0), "latency");

	json_object_set_new(l, "client", fixture__latency(n, median));
	render(s);
}

/* The seed called 1.6 ms sub-millisecond. */
static void sub_millisecond_is_what_its_interval_says(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	while (json_array_size(json_object_get(s, "phases")) > 1)
		json_array_remove(json_object_get(s, "phases"), 1);
	set_latency(s, 5000, 2e5);
	says("Sub-millisecond: p99 is below 1 ms with its whole interval.");
	set_latency(s, 5000, 8.5e5);
	says("The median is sub-millisecond, p99 is not.");
	silent_about("Sub-millisecond");
	set_latency(s, 200, 2e5); /* too few for the upper end of p99 */
	says("The median is sub-millisecond; for p99 this run does not show it.");
	silent_about("Sub-millisecond");
	set_latency(s, 5000, 1.6e6);
	says("Not sub-millisecond: at least half of the calls took 1 ms or more.");
	silent_about("Sub-millisecond");
	set_latency(s, 5000, 1e6); /* right at it: neither */
	silent_about("ub-millisecond");
	json_decref(s);
}

static void all_failed_is_no_latency(void **state)
{
	json_t *s = fixture__session(), *p = phase(s, 0);

	(void)state;
	json_object_set_new(p, "succeeded", json_integer(0));
	json_object_set_new(p, "failed", json_integer(1000));
	json_object_set_new(p, "latency", json_null());
	render(s);
	says("- **rpc closed direct**: **1,000 of 1,000 (100 %) calls failed**. There is no "
	     "latency to "
	     "report");
	says("Latency: NO DATA.");
	says("| rpc closed direct | rpc closed forwarded | p50 | NO DATA |");
	json_decref(s);
}

static void failures_stand_beside_latencies(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	render(s);
	says("| failed | 3 of 1,000 (0.300 %): timeout 3 |");
	says("Latencies are of successful attempts only.");
	says("none of 1,000 calls failed");
	json_decref(s);
}

static void missing_events_are_named(void **state)
{
	json_t *s = fixture__session(), *e = json_object_get(phase(s, 3), "events");

	(void)state;
	render(s);
	says("9,998 received, **2 missing**, 0 duplicates.");
	says("Missing, by id: 17, `x-99`.");
	silent_about("every one was");
	json_object_set_new(e, "missing", json_integer(0));
	json_object_set_new(e, "received", json_integer(10000));
	json_object_set_new(e, "missing_ids", json_array());
	render(s);
	says("every one was acknowledged and received once.");
	json_object_set_new(e, "acked", json_null());
	render(s);
	silent_about("every one was");
	says("NO DATA acknowledged");
	json_decref(s);
}

static void the_client_and_the_kernel(void **state)
{
	json_t *s = fixture__session(), *l = json_object_get(phase(s, 0), "latency");

	(void)state;
	render(s);
	says("is client-side time");
	json_object_set_new(l, "kernel", fixture__latency(1000, 5e5));
	json_array_remove(json_object_get(s, "phases"), 1);
	json_array_remove(json_object_get(s, "phases"), 1);
	render(s);
	says("their intervals overlap, so this run does not tell them apart");
	silent_about("client-side time");
	json_object_set_new(l, "kernel", fixture__latency(900, 9e5));
	render(s);
	says("The kernel's is the larger one, so the two do not cover the same exchanges.");
	says("1,000 by the client, 900 in the kernel");
	json_object_set_new(l, "kernel", json_null());
	render(s);
	silent_about("At the median");
	silent_about("kernel, at the client's socket");
	json_decref(s);
}

static void differences_say_what_their_interval_says(void **state)
{
	json_t *s = fixture__session(), *list = json_object_get(s, "differences");

	(void)state;
	render(s);
	says("- **forwarder, RPC p50**: 400 us (390 us to 410 us) more.");
	says("- **probes, RPC p50**: no difference can be told from 0: -0.500 to 1.50 %.");
	says("| 500 us | 400 us (390 us to 410 us) | 80 % | 5 | more: the whole interval is above "
	     "0 |");
	says("| not distinguishable from 0 in this run |");
	json_object_set_new(
		json_array_get(list, 0), "estimate",
		json_pack("{s:i,s:i,s:i}", "value", -500, "ci_low", -700, "ci_high", -300));
	json_object_set_new(json_array_get(list, 1), "estimate", json_pack("{s:i}", "value", 3));
	render(s);
	says("500 ns (300 ns to 700 ns) less.");
	says("3 % (no interval); without an interval this decides nothing.");
	json_decref(s);
}

static void identities_are_added_up_again(void **state)
{
	json_t *s = fixture__session(), *a = json_object_get(s, "accounting");

	(void)state;
	render(s);
	says("- messages: seen 215 = matched 200 + one-way 10 + in flight 0 + unanswered 5 + "
	     "dropped 0. "
	     "It closes.");
	says("- bytes: seen 10,512 = framed 10,000 + unparsed 512. It closes.");
	says("| unanswered | timeout | 5 |");
	says("| bytes unparsed | resync | 512 |");
	/* `holds` says true, the numbers do not */
	json_object_set_new(a, "matched", json_integer(199));
	render(s);
	says("**It does not close**: off by 1.");
	json_object_set_new(a, "matched", json_null());
	render(s);
	says("Whether it closes is not known.");
	json_object_set_new(json_object_get(a, "reasons"), "from_the_future|", json_integer(1));
	render(s);
	says("| a term of a later version | from_the_future\\| | 1 |");
	json_decref(s);
}

static void a_partial_run_says_so_at_the_top(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	json_object_set_new(s, "complete", json_false());
	json_object_set_new(s, "incomplete_reason", json_string("interrupted"));
	render(s);
	says("> **Partial run.** It ended before its scenario did: interrupted.");
	assert_true(strstr(text, "Partial run") < strstr(text, "## Verdict"));
	says("- Anything about what was to come after it ended");
	json_object_set_new(s, "complete",
			    json_null()); /* not known to be complete is not complete */
	render(s);
	says("**Partial run.**");
	json_decref(s);
}

static void nothing_measured_is_no_data(void **state)
{
	json_t *s =
		fixture__parse("{\"schema\": 1, \"phases\": [], \"complete\": true, \"targets\": ["
			       "{\"name\": \"p99\", \"value\": null, \"limit\": 15000000, \"op\":"
			       "\"<=\", \"unit\": \"ns\", \"verdict\": \"NO DATA\", \"reason\":"
			       "\"nothing was measured\"}]}");

	(void)state;
	render(s);
	says("| p99 | ≤ 15.0 ms | NO DATA | **NO DATA** | nothing was measured |");
	says("## Environment\n\nNO DATA.");
	says("## Accounting\n\nNO DATA.");
	says("- Request latency: no rpc phase was run.");
	silent_about("nan");
	silent_about("(null)");
	json_decref(s);
}

static void what_the_run_cannot_tell(void **state)
{
	json_t *s = fixture__session();

	(void)state;
	render(s);
	says("- How high p99 of rpc open direct may be: 200 samples do not bound it from above; it "
	     "takes "
	     "299.");
	says("every address is a loopback address");
	says("shared 2 processors");
	silent_about("no open loop was run");
	silent_about("forwarded path.");
	json_object_set_new(
		json_array_get(json_object_get(json_object_get(s, "environment"), "topology"), 0),
		"address", json_string("10.0.0.1:4222"));
	json_object_set_new(json_object_get(s, "overhead"), "ns_per_exchange", json_null());
	json_array_remove(json_object_get(s, "phases"), 1);
	render(s);
	silent_about("loopback");
	says("no phase took the forwarded path");
	says("the kernel's BPF statistics were not recorded");
	json_decref(s);
}

static void runs_that_were_left_out(void **state)
{
	json_t *s = fixture__session(),
	       *programs = json_object_get(json_object_get(s, "overhead"), "programs");

	(void)state;
	assert_int_equal(json_array_size(programs), 1);
	render(s);
	silent_about("The kernel left out");
	json_object_set_new(json_array_get(programs, 0), "name", json_string("wire_switch"));
	json_object_set_new(json_array_get(programs, 0), "missed", json_integer(1200));
	json_array_append_new(programs, json_pack("{s:s, s:i, s:i, s:i}", "name", "wire_ingress",
						  "runs", 9, "ns", 900, "missed", 0));
	render(s);
	says("what they would have counted is missing: `wire_switch` 1,200.");
	json_decref(s);
}

/* Every text of the session is hostile: no control bytes, no Markdown, no HTML of its own. */
static void poison(json_t *at)
{
	static const char *const keep[] = {"kind", "mode", "path", "verdict", "op", "unit"};
	static const char evil[] = "x|y`z\x1b[2J<script>**b**[l](u)\n# h\xe2\x80\xae";

	for (size_t i = 0; i < json_array_size(at); i++) {
		json_t *v = json_array_get(at, i);

		if (json_is_string(v))
			json_string_set(v, evil);
		else
			poison(v);
	}
	for (void *i = json_object_iter(at); i; i = json_object_iter_next(at, i)) {
		bool kept = false;

		for (size_t k = 0; k < sizeof(keep) / sizeof(keep[0]); k++)
			kept = kept || !strcmp(json_object_iter_key(i), keep[k]);
		if (!json_is_string(json_object_iter_value(i)))
			poison(json_object_iter_value(i));
		else if (!kept)
			json_string_set(json_object_iter_value(i), evil);
	}
}

static unsigned int cells(const char *line, size_t len)
{
	unsigned int n = 0;

	for (size_t i = 0; i < len; i++)
		n += line[i] == '|' && (!i || line[i - 1] != '\\');
	return n;
}

/* Takes out of `text` what is between two backticks; within, nothing is Markdown. */
static void without_code_spans(void)
{
	bool inside = false;
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (*p == '`' && (p == text || p[-1] != '\\'))
			inside = !inside;
		else if (!inside)
			*to++ = *p;
	}
	*to = 0;
}

static void hostile_names_stay_names(void **state)
{
	json_t *s = fixture__session();
	unsigned int header = 0;

	(void)state;
	poison(s);
	render(s);
	for (const char *p = strchr(text, '<'); p; p = strchr(p + 1, '<'))
		assert_int_equal(p[-1], '\\');
	silent_about("\x1b");
	silent_about("\n# h");
	silent_about("\xe2\x80\xae");
	without_code_spans();
	silent_about("**b**[");
	render(s);
	says("# x\\|y\\`z\\\\x1b\\[2J\\<script\\>\\*\\*b\\*\\*\\[l\\](u)\\\\x0a# h\\\\u{202e}\n");
	says("`x\\x7cy\\x60z\\x1b[2J\\x3cscript>");
	/* every table row has as many cells as its header */
	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		size_t len = strcspn(line, "\n");

		if (*line != '|') {
			header = 0;
			continue;
		}
		if (!header)
			header = cells(line, len);
		assert_int_equal(cells(line, len), header);
	}
	json_decref(s);
}

/* Units that a hostile session invents must not break the table either. */
static void hostile_units(void **state)
{
	json_t *s = fixture__session(), *t = json_array_get(json_object_get(s, "targets"), 0);

	(void)state;
	json_object_set_new(t, "unit", json_string("|\n%s%n"));
	render(s);
	says("≥ 50,000 \\|\\\\x0a%s%n |");
	json_decref(s);
}

static void histograms(void **state)
{
	json_t *s = fixture__session(), *l = json_object_get(phase(s, 0), "latency");
	static struct hist h;
	unsigned int rows = 0;
	const char *p;

	(void)state;
	memset(&h, 0, sizeof(h));
	for (int i = 0; i < 4000; i++)
		hist__add(&h, 1000000);
	hist__add(&h, 4000000000ull);
	json_object_set_new(l, "client", session__latency(&h));
	render(s);
	p = strstr(text, "```\n") + 4;
	for (const char *end = strstr(p, "```\n"); p < end; p = strchr(p, '\n') + 1)
		rows++;
	assert_true(rows > 10 && rows <= 20);
	says("4,000  99.975 %  ████████████████████████████████████████\n");
	/* one of 4,001 still shows */
	says("1   0.025 %  ▏\n");
	json_decref(s);
}

static void a_full_disk_is_an_error(void **state)
{
	json_t *s = fixture__session();
	FILE *f = fopen("/dev/full", "w");

	(void)state;
	assert_true(markdown__report(f, s) < 0);
	fclose(f);
	json_decref(s);
}

static int clean_up(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_come_first),
		cmocka_unit_test(a_run_is_as_good_as_its_targets),
		cmocka_unit_test(growth_is_shown_with_what_could_have_been_seen),
		cmocka_unit_test(sub_millisecond_is_what_its_interval_says),
		cmocka_unit_test(all_failed_is_no_latency),
		cmocka_unit_test(failures_stand_beside_latencies),
		cmocka_unit_test(missing_events_are_named),
		cmocka_unit_test(the_client_and_the_kernel),
		cmocka_unit_test(differences_say_what_their_interval_says),
		cmocka_unit_test(identities_are_added_up_again),
		cmocka_unit_test(a_partial_run_says_so_at_the_top),
		cmocka_unit_test(nothing_measured_is_no_data),
		cmocka_unit_test(what_the_run_cannot_tell),
		cmocka_unit_test(runs_that_were_left_out),
		cmocka_unit_test(hostile_names_stay_names),
		cmocka_unit_test(hostile_units),
		cmocka_unit_test(histograms),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, clean_up);
}
