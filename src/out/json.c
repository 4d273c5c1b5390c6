/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON writers. Building fails only for want of memory, which session__put() carries upwards. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/quantile.h"
#include "out/json.h"
#include "out/text.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Digits that survive decimal -> double -> decimal (DBL_DIG): writing is idempotent. */
#define REAL_DIGITS 15
#define DUMP_FLAGS  (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS))

/* Integers beyond this are not exact in a double. */
#define WHOLE_LIMIT 9e15

void session__put(json_t **o, const char *key, json_t *value)
{
	if (!*o) {
		json_decref(value);
	} else if (!value || json_object_set_new(*o, key, value)) {
		json_decref(*o);
		*o = NULL;
	}
}

void session__append(json_t **a, json_t *value)
{
	if (!*a) {
		json_decref(value);
	} else if (!value || json_array_append_new(*a, value)) {
		json_decref(*a);
		*a = NULL;
	}
}

/* Beyond 2^63 is no counter, but a gauge of several lanes that was read in motion: below 0. */
static json_t *count(uint64_t v)
{
	return json_integer(v > INT64_MAX ? 0 : (json_int_t)v);
}

json_t *session__number(double v)
{
	if (!isfinite(v))
		return json_null();
	if (v == rint(v) && fabs(v) < WHOLE_LIMIT)
		return json_integer((json_int_t)v);
	return json_real(v);
}

json_t *session__text(const char *s)
{
	struct text t = {0};
	json_t *o;

	if (!s)
		return json_null();
	text__add_printable(&t, s);
	o = t.failed ? NULL : json_string(t.data ? t.data : "");
	text__free(&t);
	return o;
}

json_t *session__estimate(const struct estimate *e)
{
	json_t *o = json_object();

	session__put(&o, "value", session__number(e->value));
	session__put(&o, "ci_low", session__number(e->lo));
	session__put(&o, "ci_high", session__number(e->hi));
	session__put(&o, "n", count(e->n));
	return o;
}

json_t *session__buckets(const struct hist *h)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		json_t *pair;

		if (!h->bucket[i])
			continue;
		pair = json_array();
		session__append(&pair, json_integer(i));
		session__append(&pair, count(h->bucket[i]));
		session__append(&a, pair);
	}
	return a;
}

static json_t *quantiles(const struct hist *h)
{
	static const struct {
		const char *name;
		double q;
	} list[] = {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}};
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		struct estimate e = quantile__estimate(h, list[i].q);

		session__put(&o, list[i].name, session__estimate(&e));
	}
	return o;
}

json_t *session__latency(const struct hist *h)
{
	uint64_t n = hist__count(h);
	json_t *o = json_object();

	session__put(&o, "count", count(n));
	session__put(&o, "min_ns", n ? count(hist__min_ns(h)) : json_null());
	session__put(&o, "mean_ns", session__number(hist__mean_ns(h)));
	session__put(&o, "max_ns", n ? count(hist__max_ns(h)) : json_null());
	session__put(&o, "quantiles", quantiles(h));
	session__put(&o, "buckets", session__buckets(h));
	return o;
}

json_t *session__target(const struct target *t)
{
	json_t *o = json_object();

	session__put(&o, "name", session__text(t->name));
	session__put(&o, "value", session__number(t->estimate.value));
	session__put(&o, "ci_low", session__number(t->estimate.lo));
	session__put(&o, "ci_high", session__number(t->estimate.hi));
	session__put(&o, "limit", session__number(t->limit));
	session__put(&o, "op", session__text(target_op__name(t->op)));
	session__put(&o, "unit", session__text(t->unit));
	session__put(&o, "verdict", session__text(verdict__name(t->verdict)));
	session__put(&o, "reason", session__text(t->reason));
	return o;
}

json_t *session__targets(const struct target *t, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		session__append(&a, session__target(&t[i]));
	return a;
}

static json_t *series_one(const struct snapshot_series *s, bool buckets)
{
	uint64_t n = hist__count(&s->hist);
	json_t *o = json_object();

	session__put(&o, "proto", session__text(wire_proto__name(s->key.proto)));
	session__put(&o, "role", session__text(wire_role__name(s->key.role)));
	session__put(&o, "route", session__text(s->route));
	session__put(&o, "container", session__text(s->container));
	session__put(&o, "status", session__text(wire_status__name(s->key.status)));
	if (s->key.part != PART_WHOLE)
		session__put(&o, "part", session__text(wire_part__name(s->key.part)));
	session__put(&o, "count", count(s->count));
	session__put(&o, "errors", count(wire_status__is_error(s->key.status) ? s->count : 0));
	session__put(&o, "bytes", count(s->bytes));
	session__put(&o, "min_ns", n ? count(hist__min_ns(&s->hist)) : json_null());
	session__put(&o, "mean_ns", session__number(hist__mean_ns(&s->hist)));
	session__put(&o, "p50_ns", session__number(hist__quantile_ns(&s->hist, 0.5)));
	session__put(&o, "p90_ns", session__number(hist__quantile_ns(&s->hist, 0.9)));
	session__put(&o, "p99_ns", session__number(hist__quantile_ns(&s->hist, 0.99)));
	session__put(&o, "p999_ns", session__number(hist__quantile_ns(&s->hist, 0.999)));
	session__put(&o, "max_ns", n ? count(hist__max_ns(&s->hist)) : json_null());
	if (buckets)
		session__put(&o, "buckets", session__buckets(&s->hist));
	return o;
}

json_t *session__series(const struct snapshot *s, bool buckets)
{
	const struct snapshot_series **sorted = snapshot__sorted(s, SNAPSHOT_BY_COUNT);
	json_t *a = json_array();

	if (!sorted) {
		json_decref(a);
		return NULL;
	}
	for (size_t i = 0; i < s->n_series; i++)
		session__append(&a, series_one(sorted[i], buckets));
	free(sorted);
	return a;
}

json_t *session__accounting(const struct snapshot *s)
{
	const struct wire_acct *a = &s->acct;
	json_t *o = json_object(), *reasons = json_object(), *conns = json_object();

	session__put(&o, "seen", count(a->seen));
	session__put(&o, "in_flight_before", json_integer(s->in_flight_before));
	session__put(&o, "matched", count(a->matched));
	session__put(&o, "one_way", count(a->one_way));
	session__put(&o, "in_flight", json_integer(a->in_flight));
	session__put(&o, "unanswered", count(a->unanswered));
	session__put(&o, "dropped", count(a->dropped));
	session__put(&o, "orphans", count(a->orphans));
	session__put(&o, "bytes_seen", count(a->bytes_seen));
	session__put(&o, "bytes_framed", count(a->bytes_framed));
	session__put(&o, "bytes_unparsed", count(a->bytes_unparsed));
	session__put(&o, "exemplars_lost", count(a->exemplars_lost));
	session__put(&o, "packets", count(a->packets));
	session__put(&o, "messages", count(a->messages));
	session__put(&o, "connections", count(a->conns));
	for (unsigned int i = PROTO_NATS; i < PROTO_MAX; i++)
		session__put(&conns, wire_proto__name(i), count(a->proto_conns[i]));
	session__put(&o, "connections_by", conns);
	session__put(&o, "bytes_opaque", count(a->bytes_opaque));
	session__put(&o, "settled", json_boolean(s->settled));
	session__put(&o, "holds", json_boolean(snapshot__holds(s)));
	for (unsigned int i = 1; i < REASON_MAX; i++) {
		const char *name = wire_reason__name(i);

		if (strcmp(name, "?") != 0)
			session__put(&reasons, name, count(a->reason[i]));
	}
	session__put(&o, "reasons", reasons);
	return o;
}

json_t *session__overhead(const struct snapshot *s)
{
	json_t *o = json_object(), *programs = json_array();
	uint64_t runs = 0, ns = 0;

	for (size_t i = 0; i < s->n_programs; i++) {
		json_t *p = json_object();

		session__put(&p, "name", session__text(s->programs[i].name));
		session__put(&p, "runs", count(s->programs[i].runs));
		session__put(&p, "ns", count(s->programs[i].ns));
		session__put(&p, "missed", count(s->programs[i].missed));
		session__append(&programs, p);
		runs += s->programs[i].runs;
		ns += s->programs[i].ns;
	}
	session__put(&o, "programs", programs);
	/* no runs: the kernel's statistics were off, and the cost is not known */
	session__put(&o, "ns_per_exchange",
		     session__number(runs && s->acct.matched ? (double)ns / (double)s->acct.matched
							     : NAN));
	session__put(&o, "user_cpu_s", session__number(s->user_cpu_s));
	session__put(&o, "rss_bytes", s->rss_bytes ? count(s->rss_bytes) : json_null());
	return o;
}

/* Connections that could not be read; the server's port is that with the lower number. */
json_t *session__opaque(const struct snapshot *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_opaque; i++) {
		const struct snapshot_opaque *q = &s->opaque[i];
		uint64_t n = q->live.rtt_n + q->closed.rtt_n;
		char comm[OPAQUE_COMM + 1];
		json_t *o = json_object();

		snprintf(comm, sizeof(comm), "%.*s", OPAQUE_COMM, q->key.comm);
		session__put(&o, "proto", session__text(wire_proto__name(q->key.proto)));
		session__put(&o, "role", session__text(q->key.server ? "server" : "client"));
		session__put(&o, "container", session__text(q->container));
		session__put(&o, "comm", session__text(comm));
		session__put(&o, "port", count(q->key.port));
		session__put(&o, "connections", count(q->live.connections + q->closed.connections));
		session__put(&o, "bytes", count(q->live.bytes + q->closed.bytes));
		session__put(
			&o, "srtt_us",
			session__number(n ? (double)(q->live.rtt_us + q->closed.rtt_us) / (double)n
					  : NAN));
		session__put(&o, "srtt_max_us",
			     n ? count(q->live.rtt_max > q->closed.rtt_max ? q->live.rtt_max
									   : q->closed.rtt_max)
			       : json_null());
		session__append(&list, o);
	}
	return list;
}

json_t *session__tls(const struct snapshot *s)
{
	json_t *o;

	if (!s->has_tls)
		return json_null();
	o = json_object();
	session__put(&o, "connections", count(s->tls.conns));
	session__put(&o, "calls", count(s->tls.calls));
	session__put(&o, "sockets_guessed", count(s->tls.guessed));
	session__put(&o, "sockets_unknown", count(s->tls.no_socket));
	session__put(&o, "connections_lost", count(s->tls.conns_lost));
	session__put(&o, "ends_lost", count(s->tls.ends_lost));
	session__put(&o, "calls_lost", count(s->tls.calls_lost));
	session__put(&o, "sockets_lost", count(s->tls.sockets_lost));
	session__put(&o, "execs_lost", count(s->tls.execs_lost));
	return o;
}

json_t *json__snapshot(const struct snapshot *s, bool final, const struct target *targets,
		       size_t n_targets)
{
	json_t *o = json_object();

	session__put(&o, "schema", json_integer(SESSION_SCHEMA));
	session__put(&o, "time_ns", count(s->time_ns));
	session__put(&o, "duration_s", session__number((double)s->duration_ns / 1e9));
	session__put(&o, "final", json_boolean(final));
	session__put(&o, "series", session__series(s, false));
	session__put(&o, "accounting", session__accounting(s));
	session__put(&o, "opaque", session__opaque(s));
	session__put(&o, "tls", session__tls(s));
	session__put(&o, "overhead", session__overhead(s));
	session__put(&o, "targets", session__targets(targets, n_targets));
	return o;
}

static bool is_number(const json_t *v)
{
	return json_is_number(v) || json_is_null(v);
}

static bool is_number_pair(const json_t *v)
{
	return json_is_array(v) && json_array_size(v) == 2 && is_number(json_array_get(v, 0)) &&
	       is_number(json_array_get(v, 1));
}

/* What goes on one line: estimates, lists of scalars, lists of pairs of numbers (buckets). */
static bool is_one_line(json_t *v)
{
	if (json_is_object(v)) {
		for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i))
			if (!is_number(json_object_iter_value(i)))
				return false;
		return json_object_size(v) <= 4;
	}
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *e = json_array_get(v, i);

		if ((json_is_array(e) || json_is_object(e)) && !is_number_pair(e))
			return false;
	}
	return true;
}

/*
 * A string with everything unprintable as \uXXXX: jansson leaves DEL, C1 controls and bidirectional
 * overrides as they are, and some terminals obey them.
 */
static void dump_string(const char *s, FILE *out)
{
	size_t len;

	fputc('"', out);
	for (; *s; s += len) {
		int32_t cp = text__decode(s, &len);

		if (cp == '"' || cp == '\\')
			fprintf(out, "\\%c", (char)cp);
		else if (text__is_printable(cp))
			fwrite(s, 1, len, out);
		else if (cp < 0x10000)
			fprintf(out, "\\u%04x", cp < 0 ? 0xfffd : (unsigned int)cp);
		else
			fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (unsigned int)(cp >> 10),
				0xdc00 + (unsigned int)(cp & 0x3ff));
	}
	fputc('"', out);
}

/* depth < 0: all on one line. */
static int dump(json_t *v, FILE *out, int depth);

static void dump_break(const char *sep, FILE *out, int depth)
{
	if (depth >= 0)
		fprintf(out, "%s\n%*s", sep, depth, "");
	else
		fprintf(out, "%s%s", sep, *sep == ',' ? " " : "");
}

static int dump_object(json_t *v, FILE *out, int depth)
{
	const char *sep = "{";
	int err = 0;

	for (void *i = json_object_iter(v); i && !err; i = json_object_iter_next(v, i)) {
		dump_break(sep, out, depth < 0 ? depth : depth + 1);
		dump_string(json_object_iter_key(i), out);
		fputs(": ", out);
		err = dump(json_object_iter_value(i), out, depth < 0 ? depth : depth + 1);
		sep = ",";
	}
	dump_break(*sep == '{' ? "{" : "", out, depth);
	fputc('}', out);
	return err;
}

static int dump_array(json_t *v, FILE *out, int depth)
{
	int err = 0;

	for (size_t i = 0; i < json_array_size(v) && !err; i++) {
		dump_break(i ? "," : "[", out, depth < 0 ? depth : depth + 1);
		err = dump(json_array_get(v, i), out, depth < 0 ? depth : depth + 1);
	}
	dump_break(json_array_size(v) ? "" : "[", out, depth);
	fputc(']', out);
	return err;
}

static int dump(json_t *v, FILE *out, int depth)
{
	if (json_is_string(v)) {
		dump_string(json_string_value(v), out);
		return 0;
	}
	if (!json_is_object(v) && !json_is_array(v))
		return json_dumpf(v, out, DUMP_FLAGS) ? -EIO : 0;
	if (is_one_line(v))
		depth = -1;
	return json_is_object(v) ? dump_object(v, out, depth) : dump_array(v, out, depth);
}

int json__print_line(FILE *out, json_t *o)
{
	int err = dump(o, out, -1);

	if (fputc('\n', out) == EOF || fflush(out))
		return -EIO;
	return err;
}

int json__print_snapshot(FILE *out, const struct snapshot *s, bool final)
{
	json_t *o = json__snapshot(s, final, NULL, 0);
	int err;

	if (!o)
		return -ENOMEM;
	err = json__print_line(out, o);
	json_decref(o);
	return err;
}

int session__dump(const json_t *session, FILE *out)
{
	int err = dump((json_t *)session, out, 0);

	if (fputc('\n', out) == EOF || fflush(out) || ferror(out))
		return -EIO;
	return err;
}
