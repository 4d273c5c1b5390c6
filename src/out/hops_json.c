/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waterfalls as docs/session.md defines them, and read again. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "out/hops.h"
#include "out/json.h"
#include "out/session.h"

#define MAX_NS	  1e18 /* sums stay finite */
#define MAX_COUNT 9007199254740992.0

/* ---- writing */

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *name_json(const struct waterfall *w, size_t span)
{
	char name[WATERFALL_NAME_LEN];

	waterfall__name(w, span, true, name, sizeof(name));
	return session__text(name);
}

static json_t *span_json(const struct waterfall *w, size_t i)
{
	const struct waterfall_span *s = &w->span[i];
	json_t *o = json_object();

	session__put(&o, "index", count(i));
	session__put(&o, "parent", i ? count(s->parent) : json_null());
	session__put(&o, "depth", count(s->depth));
	session__put(&o, "kind", i ? session__text(hop_kind__name(s->kind)) : json_null());
	session__put(&o, "comm", session__text(s->comm));
	session__put(&o, "container", session__text(s->container));
	session__put(&o, "port", count(s->port));
	session__put(&o, "proto", session__text(wire_proto__name(s->proto)));
	session__put(&o, "role", session__text(wire_role__name(s->role)));
	session__put(&o, "request_in", json_boolean(s->request_in));
	if (!w->timeline)
		return o;
	session__put(&o, "pid", s->tgid ? count(s->tgid) : json_null());
	session__put(&o, "request_ns", session__number(s->request_ns));
	session__put(&o, "reply_ns", session__number(s->reply_ns));
	session__put(&o, "queue_request_ns", session__number(s->queue_request_ns));
	session__put(&o, "queue_reply_ns", session__number(s->queue_reply_ns));
	session__put(&o, "run_queue_ns", session__number(s->run_queue_ns));
	return o;
}

static json_t *edge_json(const struct waterfall *w, const struct waterfall_edge *e)
{
	json_t *o = json_object();

	session__put(&o, "span", count(e->span));
	session__put(&o, "from", name_json(w, e->from));
	session__put(&o, "to", name_json(w, e->to));
	session__put(&o, "kind", session__text(waterfall_kind__name(e->kind)));
	session__put(&o, "direction", session__text(waterfall_direction__name(e->direction)));
	session__put(&o, "mean_ns", session__number(e->mean_ns));
	session__put(&o, "p50_ns", session__number(e->p50_ns));
	session__put(&o, "p99_ns", session__number(e->p99_ns));
	session__put(&o, "share", session__number(e->share));
	session__put(&o, "queue_mean_ns", session__number(e->queue_mean_ns));
	session__put(&o, "queue_p50_ns", session__number(e->queue_p50_ns));
	session__put(&o, "queue_p99_ns", session__number(e->queue_p99_ns));
	session__put(&o, "queue_count", e->queues ? count(e->queue_count) : json_null());
	session__put(&o, "run_queue_mean_ns", session__number(e->run_mean_ns));
	session__put(&o, "run_queue_p99_ns", session__number(e->run_p99_ns));
	return o;
}

static json_t *spans_json(const struct waterfall *w)
{
	json_t *spans = json_array();

	for (size_t i = 0; i < w->n_spans; i++)
		session__append(&spans, span_json(w, i));
	return spans;
}

/* Of several edges the medians do not add up: that of their sum is not known then. */
static double residual_p50(const struct waterfall *w)
{
	double p50 = 0;
	size_t n = 0;

	for (size_t i = 0; i < w->n_edges; i++)
		if (waterfall_kind__is_residual(w->edge[i].kind) && n++ == 0)
			p50 = w->edge[i].p50_ns;
	return n > 1 ? NAN : p50;
}

static json_t *path_json(const struct waterfall *w)
{
	json_t *o = json_object(), *edges = json_array();

	session__put(&o, "route", session__text(w->route));
	session__put(&o, "proto", session__text(wire_proto__name(w->proto)));
	session__put(&o, "status", session__text(wire_status__name(w->status)));
	session__put(&o, "count", count(w->count));
	session__put(&o, "one_way", json_boolean(w->one_way));
	session__put(&o, "rtt_mean_ns", session__number(w->mean_ns));
	session__put(&o, "rtt_p50_ns", session__number(w->p50_ns));
	session__put(&o, "rtt_p99_ns", session__number(w->p99_ns));
	session__put(&o, "rtt_max_ns", session__number(w->max_ns));
	session__put(&o, "residual_mean_ns", session__number(w->residual_ns));
	session__put(&o, "residual_p50_ns", session__number(residual_p50(w)));
	session__put(&o, "unsettled_mean_ns", session__number(w->unsettled_ns));
	session__put(&o, "spans", spans_json(w));
	for (size_t i = 0; i < w->n_edges; i++)
		session__append(&edges, edge_json(w, &w->edge[i]));
	session__put(&o, "edges", edges);
	return o;
}

json_t *session__hops(const struct waterfalls *w)
{
	json_t *a = json_array();

	for (size_t i = 0; i < w->n; i++)
		session__append(&a, path_json(&w->v[i]));
	return a;
}

json_t *session__timelines(const struct waterfall *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();

		session__put(&o, "route", session__text(v[i].route));
		session__put(&o, "proto", session__text(wire_proto__name(v[i].proto)));
		session__put(&o, "status", session__text(wire_status__name(v[i].status)));
		session__put(&o, "duration_ns", session__number(v[i].mean_ns));
		session__put(&o, "sampled", json_boolean(v[i].sampled));
		session__put(&o, "spans", spans_json(&v[i]));
		session__append(&a, o);
	}
	return a;
}

json_t *session__hop_accounting(const uint64_t counts[HOP_COUNTS])
{
	json_t *o = json_object();

	for (unsigned int i = 0; i < HOP_COUNTS; i++)
		if (strcmp(hop_count__name(i), "?") != 0)
			session__put(&o, hop_count__name(i), count(counts[i]));
	return o;
}

void session__put_hops(json_t **o, const struct waterfalls *w)
{
	session__put(o, "hops", session__hops(w));
	session__put(o, "hop_accounting", session__hop_accounting(w->count));
}

int hops_json__print(FILE *out, const struct waterfalls *w, const struct waterfall *timelines,
		     size_t n_timelines, const struct snapshot *s, bool final)
{
	json_t *o = json__snapshot(s, final, NULL, 0);
	int err;

	session__put_hops(&o, w);
	session__put(&o, "timelines", session__timelines(timelines, n_timelines));
	err = o ? json__print_line(out, o) : -ENOMEM;
	json_decref(o);
	return err;
}

/* ---- reading: nothing in the document is trusted */

struct load {
	char *err;
	size_t err_len;
	char where[64];
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct load *l, const char *fmt, ...)
{
	size_t used = (size_t)snprintf(l->err, l->err_len, "%s%s", l->where, *l->where ? ": " : "");
	va_list args;

	va_start(args, fmt);
	if (used < l->err_len)
		vsnprintf(l->err + used, l->err_len - used, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* Absent and null are NaN. */
static int number(const struct load *l, const json_t *o, const char *key, double *out)
{
	const json_t *v = session__get(o, key);

	*out = NAN;
	if (!v)
		return 0;
	if (!json_is_number(v) || !(fabs(json_number_value(v)) <= MAX_NS))
		return wrong(l, "'%s' is no number within +-1e18", key);
	*out = json_number_value(v);
	return 0;
}

/* A whole number from 0 to `most` that must be there. */
static int whole(const struct load *l, const json_t *o, const char *key, double most, double *out)
{
	int err = number(l, o, key, out);

	if (!err && !(*out >= 0 && *out <= most && *out == floor(*out)))
		return wrong(l, "'%s' is no whole number from 0 to %.0f", key, most);
	return err;
}

static int copy_text(const struct load *l, const json_t *o, const char *key, char *out, size_t size)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return wrong(l, "'%s' is no text", key);
	snprintf(out, size, "%s", json_string_value(v));
	return 0;
}

/* The number that has this name; 0: none has. */
static uint8_t named(const json_t *o, const char *key, const char *(*name)(unsigned int),
		     unsigned int max)
{
	const char *s = session__get_text(o, key);

	for (unsigned int i = 0; i < max; i++)
		if (strcmp(name(i), s) == 0)
			return (uint8_t)i;
	return 0;
}

static int read_times(const struct load *l, const json_t *o, struct waterfall_span *s)
{
	double pid;
	int err = number(l, o, "pid", &pid);

	s->tgid = pid > 0 && pid < UINT32_MAX ? (uint32_t)pid : 0;
	err = err ? err : number(l, o, "request_ns", &s->request_ns);
	err = err ? err : number(l, o, "reply_ns", &s->reply_ns);
	err = err ? err : number(l, o, "queue_request_ns", &s->queue_request_ns);
	err = err ? err : number(l, o, "queue_reply_ns", &s->queue_reply_ns);
	return err ? err : number(l, o, "run_queue_ns", &s->run_queue_ns);
}

static int read_span(const struct load *l, const json_t *o, size_t i, struct waterfall_span *s)
{
	double parent = 0, port;
	int err = json_is_object(o) ? 0 : wrong(l, "spans[%zu] is no object", i);

	if (!err && i)
		err = whole(l, o, "parent", (double)i - 1, &parent);
	err = err ? err : whole(l, o, "port", UINT16_MAX, &port);
	err = err ? err : copy_text(l, o, "comm", s->comm, sizeof(s->comm));
	err = err ? err : copy_text(l, o, "container", s->container, sizeof(s->container));
	if (err)
		return err;
	s->parent = (uint8_t)parent;
	s->port = (uint16_t)port;
	s->kind = i ? named(o, "kind", hop_kind__name, HOP_OPAQUE + 1) : HOP_NONE;
	s->proto = named(o, "proto", wire_proto__name, PROTO_MAX);
	s->role = named(o, "role", wire_role__name, ROLE_MAX);
	s->request_in = session__get_bool(o, "request_in", false);
	return read_times(l, o, s);
}

static int read_spans(const struct load *l, const json_t *o, struct waterfall *w)
{
	const json_t *spans = session__get(o, "spans");
	int err = copy_text(l, o, "route", w->route, sizeof(w->route));

	if (err)
		return err;
	w->proto = named(o, "proto", wire_proto__name, PROTO_MAX);
	w->status = named(o, "status", wire_status__name, STATUS_MAX);
	if (!json_array_size(spans) || json_array_size(spans) > HOP_SPANS)
		return wrong(l, "'spans' is no list of 1 to %d", HOP_SPANS);
	w->n_spans = (uint8_t)json_array_size(spans);
	for (size_t i = 0; i < w->n_spans && !err; i++)
		err = read_span(l, json_array_get(spans, i), i, &w->span[i]);
	return err;
}

static int read_edge(const struct load *l, const json_t *o, struct waterfall_edge *e)
{
	const struct {
		const char *key;
		double *out;
	} fields[] = {
		{"mean_ns", &e->mean_ns},
		{"p50_ns", &e->p50_ns},
		{"p99_ns", &e->p99_ns},
		{"queue_mean_ns", &e->queue_mean_ns},
		{"queue_p50_ns", &e->queue_p50_ns},
		{"queue_p99_ns", &e->queue_p99_ns},
		{"run_queue_mean_ns", &e->run_mean_ns},
		{"run_queue_p99_ns", &e->run_p99_ns},
	};
	double known;
	int err = number(l, o, "queue_count", &known);

	e->queue_count = known > 0 && known <= MAX_COUNT ? (uint64_t)known : 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && !err; i++)
		err = number(l, o, fields[i].key, fields[i].out);
	if (!err && isnan(e->mean_ns))
		return wrong(l, "an edge has no 'mean_ns'");
	return err;
}

/* The edges follow from the spans: here are their figures. */
static int read_edges(const struct load *l, const json_t *list, struct waterfall *w)
{
	if (!waterfall__plan(w) || json_array_size(list) != w->n_edges)
		return wrong(l, "'edges' are not those of 'spans'");
	for (size_t i = 0; i < w->n_edges; i++) {
		const json_t *o = json_array_get(list, i);
		struct waterfall_edge *e = &w->edge[i];
		double span = session__get_number(o, "span");
		int err;

		if (span != e->span || strcmp(session__get_text(o, "direction"),
					      waterfall_direction__name(e->direction)) != 0)
			return wrong(l, "'edges' are not those of 'spans'");
		err = read_edge(l, o, e);
		if (err)
			return err;
	}
	return 0;
}

static int read_path(const struct load *l, const json_t *o, struct waterfall *w)
{
	double n = 0;
	int err =
		json_is_object(o) ? whole(l, o, "count", MAX_COUNT, &n) : wrong(l, "is no object");

	w->count = err ? 0 : (uint64_t)n;
	w->one_way = json_is_true(session__get(o, "one_way"));
	err = err ? err : number(l, o, "rtt_mean_ns", &w->mean_ns);
	err = err ? err : number(l, o, "rtt_p50_ns", &w->p50_ns);
	err = err ? err : number(l, o, "rtt_p99_ns", &w->p99_ns);
	err = err ? err : number(l, o, "rtt_max_ns", &w->max_ns);
	if (!err && !(w->mean_ns >= 0))
		err = wrong(l, "it has no 'rtt_mean_ns'");
	err = err ? err : read_spans(l, o, w);
	err = err ? err : read_edges(l, session__get(o, "edges"), w);
	if (!err)
		waterfall__sum(w);
	return err;
}

typedef int (*read_fn)(const struct load *l, const json_t *o, struct waterfall *w);

static int read_timeline(const struct load *l, const json_t *o, struct waterfall *w)
{
	int err = read_spans(l, o, w);

	w->sampled = session__get_bool(o, "sampled", false);
	if (!err && !waterfall__measure(w))
		err = wrong(l, "its spans are not nested");
	return err;
}

static int read_list(struct load *l, const json_t *o, const char *key, read_fn read,
		     struct waterfall **out, size_t *n_out)
{
	const json_t *list = session__get(o, key);
	size_t n = json_array_size(list);
	struct waterfall *v = calloc(n + 1, sizeof(*v));
	int err = 0;

	*out = NULL;
	*n_out = 0;
	if (!v) {
		snprintf(l->err, l->err_len, "out of memory");
		return -ENOMEM;
	}
	if (list && !json_is_array(list))
		err = wrong(l, "'%s' is no list", key);
	for (size_t i = 0; i < n && !err; i++) {
		snprintf(l->where, sizeof(l->where), "%s[%zu]", key, i);
		err = read(l, json_array_get(list, i), &v[i]);
	}
	if (err) {
		free(v);
		return err;
	}
	*out = v;
	*n_out = n;
	return 0;
}

int hops_json__load(struct waterfalls *w, const json_t *o, char *err, size_t err_len)
{
	const json_t *counts = session__get(o, "hop_accounting");
	struct load l = {.err = err, .err_len = err_len};
	int rc;

	memset(w, 0, sizeof(*w));
	rc = read_list(&l, o, "hops", read_path, &w->v, &w->n);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < HOP_COUNTS; i++) {
		double v = session__get_number(counts, hop_count__name(i));

		w->count[i] = v > 0 && v <= MAX_COUNT ? (uint64_t)v : 0;
	}
	waterfalls__sort(w);
	return 0;
}

int hops_json__load_timelines(struct waterfall **timelines, size_t *n, const json_t *o, char *err,
			      size_t err_len)
{
	struct load l = {.err = err, .err_len = err_len};

	return read_list(&l, o, "timelines", read_timeline, timelines, n);
}

/* Records that were cut may lack "schema". */
static int check_record(const json_t *o, char *err, size_t err_len)
{
	const json_t *schema = session__get(o, "schema");

	if (!json_is_array(session__get(o, "hops"))) {
		snprintf(err, err_len, "it has no \"hops\": `hopscope hops --json` makes them");
		return -EINVAL;
	}
	if (!schema || json_integer_value(schema) == SESSION_SCHEMA)
		return 0;
	snprintf(err, err_len,
		 "its schema is %lld and this hopscope knows %d; use the version that wrote it",
		 (long long)json_integer_value(schema), SESSION_SCHEMA);
	return -EPROTONOSUPPORT;
}

static bool at_end(FILE *in)
{
	int c;

	do
		c = getc(in);
	while (c == ' ' || c == '\n' || c == '\r' || c == '\t');
	ungetc(c, in);
	return c == EOF;
}

json_t *hops_json__last_line(const char *path, char *err, size_t err_len)
{
	FILE *in = strcmp(path, "-") ? fopen(path, "re") : stdin;
	json_t *o = NULL;
	json_error_t why;

	if (!in) {
		snprintf(err, err_len, "%s", strerror(errno));
		return NULL;
	}
	snprintf(err, err_len, "it is empty");
	while (!at_end(in)) {
		json_decref(o);
		o = json_loadf(in, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &why);
		if (o)
			continue;
		snprintf(err, err_len, "not JSON: %s", why.text);
		break;
	}
	if (in != stdin)
		fclose(in);
	if (o && check_record(o, err, err_len)) {
		json_decref(o);
		o = NULL;
	}
	return o;
}
