// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hopscope hops: where the time of a round trip goes, hop by hop. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "log.h"
#include "out/hops.h"
#include "out/json.h"
#include "out/md.h"
#include "out/output.h"
#include "out/session.h"
#include "probe/live.h"

#define ROWS	      5
#define SLOWEST_MAX   1000
#define SAMPLED_MAX   1000 /* kept of an interval */
#define DRAIN_FAST_NS 5000000ull

/* Exchanges one by one. */
struct exchanges {
	struct waterfall *v;
	size_t n, max;
};

struct hops_cmd {
	struct live live;
	struct table_opts table;
	bool rows_given;
	uint32_t n_slowest, sample;
	struct exchanges slowest; /* largest first */
	struct exchanges sampled; /* of the interval */
	uint64_t left_out;	  /* of them: had no place */
	uint64_t left_out_all;	  /* of the whole run */
	struct output svg, md;
	const char *from;
	bool watches; /* an option was given that means nothing to --from */
};

static const char usage_text[] =
	"usage: hopscope hops [options] [filters]\n"
	"       hopscope hops --from FILE [--rows N] [--route GLOB] [--json] [--svg FILE]\n"
	"                     [--md FILE]\n"
	"\n"
	"Where the time of a round trip goes, hop by hop: by route and way, the sockets that a\n"
	"request and its reply passed, and the time between each of them. Means add up.\n"
	"\n" LIVE_HELP_TIMES
	"  -n, --rows N        ways to print (default 5, in an interval as many of them\n"
	"                      as fit on the screen; 0: all)\n" LIVE_HELP_JSON
	"      --slowest K     the K slowest exchanges, one by one, at the end\n"
	"      --sample N      one exchange in N, one by one\n"
	"      --sched         how long readers waited for a processor (two more tracepoints, in\n"
	"                      every switch of tasks)\n"
	"      --deliveries    also messages without an answer, to each who subscribes (NATS)\n"
	"      --sample-hops N look at one exchange in N only, to cost less\n"
	"      --svg FILE      the whole run as a picture\n"
	"      --md FILE       the whole run as Markdown tables\n"
	"      --from FILE     print the last line of what --json wrote; -: standard "
	"input\n" LIVE_HELP_LIMITS LIVE_HELP_REST "\n" FILTER_HELP "\n"
	"With a filter by process, container or port the sockets of others are not looked at: "
	"their\n"
	"hops are missing. --route is applied to whole round trips.\n"
	"→ there, ← back, ● where it is answered. network: between the two ends of a connection;\n"
	"a program: in it, between two of its sockets; not visible: a tunnel, TLS, another host.\n"
	"queued: of it, in a socket's queue, to be read. " LIVE_HELP_NEEDS;

enum {
	OPT_SLOWEST = 1,
	OPT_SAMPLE,
	OPT_SCHED,
	OPT_DELIVERIES,
	OPT_SAMPLE_HOPS,
	OPT_SVG,
	OPT_MD,
	OPT_FROM,
};

static const struct option options[] = {
	{"rows", required_argument, NULL, 'n'},
	{"slowest", required_argument, NULL, OPT_SLOWEST},
	{"sample", required_argument, NULL, OPT_SAMPLE},
	{"sched", no_argument, NULL, OPT_SCHED},
	{"deliveries", no_argument, NULL, OPT_DELIVERIES},
	{"sample-hops", required_argument, NULL, OPT_SAMPLE_HOPS},
	{"svg", required_argument, NULL, OPT_SVG},
	{"md", required_argument, NULL, OPT_MD},
	{"from", required_argument, NULL, OPT_FROM},
	LIVE_LONG_OPTIONS,
	{},
};

static bool is_for_records(int opt)
{
	switch (opt) {
	case 'n':
	case 'q':
	case 'v':
	case OPT_SVG:
	case OPT_MD:
	case OPT_FROM:
	case LIVE_OPT_JSON:
	case FILTER_OPT_ROUTE: return true;
	}
	return false;
}

static int set_option(struct hops_cmd *h, int opt, const char *arg)
{
	struct wire_opts *w = &h->live.wire;

	switch (opt) {
	case 'n':
		h->rows_given = true;
		return live__set_count("--rows", arg, 0, 100000, &h->table.max_rows);
	case OPT_SLOWEST: return live__set_count("--slowest", arg, 1, SLOWEST_MAX, &h->n_slowest);
	case OPT_SAMPLE: return live__set_count("--sample", arg, 1, 1000000000, &h->sample);
	case OPT_SCHED: w->sched = true; return 0;
	case OPT_DELIVERIES: w->deliveries = true; return 0;
	case OPT_SAMPLE_HOPS:
		return live__set_count("--sample-hops", arg, 1, 1000000000, &w->hop_sample);
	case OPT_SVG: h->svg.path = arg; return 0;
	case OPT_MD: h->md.path = arg; return 0;
	case OPT_FROM: h->from = arg; return 0;
	}
	return live__option(&h->live, opt, arg);
}

static int check(const struct hops_cmd *h)
{
	if (h->from && h->watches)
		return log_fail(-EINVAL, "--from prints what was recorded: only --rows, --route, "
					 "--json, --svg and --md go with it");
	if (output__is_stdout(h->svg.path) + output__is_stdout(h->md.path) + h->live.json > 1)
		return log_fail(-EINVAL, "only one of the outputs can go to standard output");
	return 0;
}

/* 0: go on; else the exit code + 1. */
static int parse(struct hops_cmd *h, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, LIVE_SHORT_OPTIONS "n:", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 1 + EXIT_PASS;
		}
		if (opt == '?' || set_option(h, opt, optarg))
			return 1 + EXIT_USAGE;
		h->watches |= !is_for_records(opt);
	}
	if (optind < argc) {
		log_fail(-EINVAL, "hops takes no argument: '%s'; see hopscope hops --help",
			 argv[optind]);
		return 1 + EXIT_USAGE;
	}
	return check(h) ? 1 + EXIT_USAGE : 0;
}

/* ---- exchanges one by one */

static int exchanges__init(struct exchanges *e, size_t max)
{
	e->v = max ? calloc(max, sizeof(*e->v)) : NULL;
	e->max = max;
	return max && !e->v ? log_fail(-ENOMEM, "out of memory") : 0;
}

static void keep_slowest(struct exchanges *e, const struct waterfall *w)
{
	size_t i;

	if (e->n == e->max && (!e->max || w->mean_ns <= e->v[e->n - 1].mean_ns))
		return;
	i = e->n < e->max ? e->n++ : e->n - 1;
	for (; i > 0 && e->v[i - 1].mean_ns < w->mean_ns; i--)
		e->v[i] = e->v[i - 1];
	e->v[i] = *w;
}

static bool is_wanted(const void *ctx, const char *route)
{
	return filter__passes(ctx, route);
}

static void take_timeline(void *ctx, const struct hops_timeline *t)
{
	struct hops_cmd *h = ctx;
	struct waterfall w;

	if (!filter__passes(&h->live.view, t->route) || !waterfall__of_timeline(&w, t))
		return;
	keep_slowest(&h->slowest, &w);
	if (!w.sampled)
		return;
	if (h->sampled.n < h->sampled.max)
		h->sampled.v[h->sampled.n++] = w;
	else
		h->left_out++, h->left_out_all++;
}

/*
 * Only what is slower than the slowest so far need come. Until there are as many as wanted that is
 * everything, so the ring is emptied often. So it is with --sample.
 */
static void drain(void *ctx)
{
	struct hops_cmd *h = ctx;
	const struct exchanges *e = &h->slowest;
	bool full = e->n == e->max;
	uint64_t slow = !e->max ? 0 : !full ? 1 : (uint64_t)e->v[e->n - 1].mean_ns + 1;

	if (wire__timelines(h->live.probe, slow, h->sample, take_timeline, h) < 0)
		h->live.drain = NULL; /* said why, and would again every time */
	h->live.drain_ns = full && !h->sample ? 0 : DRAIN_FAST_NS;
}

/* ---- output */

/* Of a whole run, to be written to a file. */
struct whole {
	const struct waterfalls *w;
	const struct exchanges *e;
	size_t max_rows;
	double seconds; /* NaN: not known */
};

/* outfile_fn. */
static int write_svg(FILE *out, void *ctx)
{
	const struct whole *a = ctx;
	char title[80] = "Where the time goes, hop by hop";

	if (a->seconds > 0)
		snprintf(title, sizeof(title), "Where the time goes, hop by hop: %.1f s",
			 a->seconds);
	return hops_svg__print(out, a->w, a->max_rows, a->e->v, a->e->n, title);
}

/* outfile_fn. */
static int write_md(FILE *out, void *ctx)
{
	const struct whole *a = ctx;
	json_t *o = json_object();
	struct text t = {0};

	session__put_hops(&o, a->w);
	t.failed = !o;
	md__hops(&t, o, a->max_rows);
	json_decref(o);
	return text__print(&t, out);
}

static int print_exchanges(const struct hops_cmd *h, const struct exchanges *e, const char *what)
{
	if (!e->n)
		return 0;
	printf("\n%s: %zu\n", what, e->n);
	return hops_table__timelines(stdout, e->v, e->n, &h->table);
}

static int print_text(struct hops_cmd *h, const struct waterfalls *w, const struct snapshot *s,
		      bool final)
{
	time_t now = time(NULL);
	struct table_opts opts = h->table;
	char clock[16];
	struct tm tm;
	int err;

	if (final || h->rows_given)
		opts.height = 0;
	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (final)
		printf("\ntotal of %.1f s\n", (double)s->duration_ns / 1e9);
	else
		printf("\n%s\n", clock);
	err = hops_table__print(stdout, w, s, &opts);
	err = err ? err : print_exchanges(h, &h->sampled, "exchanges taken by chance");
	if (!err && h->left_out)
		printf("(%llu more that were taken by chance are left out)\n",
		       (unsigned long long)h->left_out);
	return err || !final ? err : print_exchanges(h, &h->slowest, "slowest exchanges");
}

static bool is_stdout_taken(const struct hops_cmd *h)
{
	return output__is_stdout(h->svg.path) || output__is_stdout(h->md.path);
}

/* Each, though one fails. */
static int write_files(struct hops_cmd *h, const struct waterfalls *w, const struct exchanges *e,
		       double seconds)
{
	struct whole a = {w, e, h->table.max_rows, seconds};
	int err = h->svg.file ? output__write(&h->svg, write_svg, &a) : 0;
	int rc = h->md.file ? output__write(&h->md, write_md, &a) : 0;

	return err ? err : rc;
}

/* At the end there are those, too, that came since the last interval. */
static int print_json(const struct hops_cmd *h, const struct waterfalls *w,
		      const struct snapshot *s, bool final)
{
	const struct exchanges *slowest = &h->slowest, *sampled = &h->sampled;
	size_t n = final ? slowest->n : 0;
	struct waterfall *v = calloc(n + sampled->n + 1, sizeof(*v));
	int err;

	if (!v)
		return log_fail(-ENOMEM, "out of memory");
	if (n)
		memcpy(v, slowest->v, n * sizeof(*v));
	for (size_t i = 0; i < sampled->n; i++)
		v[n++] = sampled->v[i];
	err = hops_json__print(stdout, w, v, n, s, final);
	free(v);
	return err;
}

static int print(void *ctx, struct snapshot *s, bool final)
{
	struct hops_cmd *h = ctx;
	struct waterfalls w;
	int err = waterfalls__build(&w, &s->hops, is_wanted, &h->live.view), rc = 0;

	if (err)
		return log_fail(err, "out of memory");
	filter__apply(&h->live.view, s);
	w.count[HOP_TIMELINES_LOST] += final ? h->left_out_all : h->left_out;
	if (final)
		rc = write_files(h, &w, &h->slowest, (double)s->duration_ns / 1e9);
	if (h->live.json)
		err = print_json(h, &w, s, final);
	else if (!is_stdout_taken(h))
		err = print_text(h, &w, s, final);
	h->sampled.n = 0;
	h->left_out = 0;
	waterfalls__free(&w);
	return err ? err : rc;
}

/* ---- what was recorded */

static void keep_wanted(const struct hops_cmd *h, json_t *o)
{
	static const char *const lists[] = {"series", "hops", "timelines"};

	for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
		json_t *list = json_object_get(o, lists[k]);

		for (size_t i = json_array_size(list); i-- > 0;)
			if (!filter__passes(&h->live.view,
					    session__get_text(json_array_get(list, i), "route")))
				json_array_remove(list, i);
	}
}

static int render_text(struct hops_cmd *h, const struct waterfalls *w, const struct exchanges *e)
{
	struct table_opts opts = h->table;
	int err;

	opts.height = 0;
	err = hops_table__print(stdout, w, NULL, &opts);
	return err ? err : print_exchanges(h, e, "exchanges one by one");
}

static int render(struct hops_cmd *h)
{
	struct waterfalls w = {0};
	struct exchanges e = {0};
	char why[200];
	json_t *o = hops_json__last_line(h->from, why, sizeof(why));
	int err = o ? 0 : -EINVAL, rc;

	if (o)
		keep_wanted(h, o);
	err = err ? err : hops_json__load(&w, o, why, sizeof(why));
	err = err ? err : hops_json__load_timelines(&e.v, &e.n, o, why, sizeof(why));
	if (err) {
		log_fail(err, "cannot read %s: %s", h->from, why);
		goto out;
	}
	err = write_files(h, &w, &e, session__get_number(o, "duration_s"));
	if (h->live.json)
		rc = json__print_line(stdout, o);
	else
		rc = is_stdout_taken(h) ? 0 : render_text(h, &w, &e);
	err = err ? err : rc;
out:
	waterfalls__free(&w);
	free(e.v);
	json_decref(o);
	return err;
}

static int watch(struct hops_cmd *h)
{
	int err = exchanges__init(&h->slowest, h->n_slowest);

	err = err ? err : exchanges__init(&h->sampled, h->sample ? SAMPLED_MAX : 0);
	if (h->n_slowest || h->sample)
		h->live.drain = drain;
	err = err ? err : live__run(&h->live);
	free(h->slowest.v);
	free(h->sampled.v);
	return err;
}

int cmd_hops(int argc, char **argv)
{
	struct hops_cmd h = {.live = {.interval = 1,
				      .wire = {.names = true, .hops = true},
				      .doing = "following NATS, HTTP, Redis from hop to hop",
				      .print = print}};
	int rc, err;

	h.live.ctx = &h;
	table_opts__detect(&h.table, stdout);
	h.table.max_rows = ROWS;
	rc = parse(&h, argc, argv);
	if (rc)
		return rc - 1;
	err = output__open(&h.svg);
	err = err ? err : output__open(&h.md);
	if (!err && h.svg.file && h.md.file && output__same_file(h.svg.file, h.md.file))
		err = log_fail(-EINVAL, "%s and %s are the same file", h.svg.path, h.md.path);
	if (!err)
		err = h.from ? render(&h) : watch(&h);
	if (output__close(&h.svg) | output__close(&h.md))
		err = -EIO;
	return err ? EXIT_RUNTIME : EXIT_PASS;
}
