/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What surrounded the measurement: environment, configuration, kernel view, accounting, cost. */
#include <math.h>
#include <string.h>

#include "model/snapshot.h"
#include "out/md.h"
#include "out/session.h"

#define SERIES_ROWS    40
#define OPAQUE_ROWS    8
#define TLS_LOST_SHARE 0.01 /* of reads and writes */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void add_topology(struct text *out, const json_t *list)
{
	static const char *const keys[] = {"kind", "address", "cgroup"};

	if (!json_array_size(list)) {
		text__add(out, "Topology: " MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out, "Topology:\n\n| process | kind | address | cgroup | pid "
		       "|\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);
		double pid = session__get_number(p, "pid");

		text__add(out, "| ");
		md__text(out, session__get_text(p, "name"));
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			text__add(out, " | ");
			md__code(out, session__get_text(p, keys[k]));
		}
		if (isnan(pid))
			text__add(out, " | - |\n");
		else
			text__addf(out, " | %.0f |\n", pid);
	}
	text__add(out, "\n");
}

void md__environment(struct text *out, const json_t *session)
{
	static const struct {
		const char *key, *title;
		bool service; /* of one kind of run; the other has no such key */
	} texts[] = {{"kernel", "kernel", false},
		     {"arch", "architecture", false},
		     {"cpu_model", "processor", false},
		     {"lockdown", "kernel lockdown", false},
		     {"cgroup", "cgroups", false},
		     {"libbpf", "libbpf", false},
		     {"natsc", "nats.c", true},
		     {"nats_server", "nats-server", true},
		     {"forwarder", "forwarder", true},
		     {"nginx", "nginx", true},
		     {"lua_module", "its Lua module", true},
		     {"redis", "redis-server", true},
		     {"openssl", "OpenSSL", true}};
	const json_t *e = session__get(session, "environment");

	text__add(out, "## Environment\n\n");
	if (!e) {
		text__add(out, MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out, "| | |\n|---|---|\n");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].service && !json_object_get(e, texts[i].key))
			continue;
		md__row_text(out, texts[i].title, session__get_text(e, texts[i].key));
		if (!strcmp(texts[i].key, "cpu_model")) {
			md__row_value(out, "processors", session__get_number(e, "cpus"), "");
			md__row_value(out, "memory", session__get_number(e, "memory_bytes"),
				      "bytes");
		}
	}
	text__add(out, "\n");
	add_topology(out, session__get(e, "topology"));
}

void md__configuration(struct text *out, const json_t *session)
{
	const json_t *list = session__get(session, "configuration");

	text__add(out, "## Configuration\n\n");
	if (!json_array_size(list)) {
		text__add(out, MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out, "The scenario as it was understood:\n\n| setting | value |\n|---|---|\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *pair = json_array_get(list, i);
		const char *key = json_string_value(json_array_get(pair, 0));
		const char *value = json_string_value(json_array_get(pair, 1));

		text__add(out, "| ");
		md__code(out, key ? key : "");
		text__add(out, " | ");
		md__text(out, value ? value : "");
		text__add(out, " |\n");
	}
	text__add(out, "\n");
}

static void add_series_names(struct text *out, const json_t *s)
{
	md__text(out, session__get_text(s, "proto"));
	text__add(out, " | ");
	md__text(out, session__get_text(s, "role"));
	/* the same exchanges, to another moment */
	if (*session__get_text(s, "part")) {
		text__add(out, ", ");
		md__text(out, session__get_text(s, "part"));
	}
	text__add(out, " | ");
	md__code(out, session__get_text(s, "route"));
	text__add(out, " | ");
	md__code(out, session__get_text(s, "container"));
	text__add(out, " | ");
	md__text(out, session__get_text(s, "status"));
}

static void add_series_row(struct text *out, const json_t *s)
{
	static const char *const ns[] = {"p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"};

	text__add(out, "| ");
	add_series_names(out, s);
	text__add(out, " |");
	text__add(out, " ");
	md__count(out, session__get_number(s, "count"));
	text__add(out, " |");
	for (size_t i = 0; i < ARRAY_LEN(ns); i++) {
		double v = session__get_number(s, ns[i]);

		text__add(out, " ");
		if (isnan(v))
			text__add(out, "-");
		else
			md__value(out, v, "ns");
		text__add(out, " |");
	}
	text__add(out, "\n");
}

void md__series_table(struct text *out, const json_t *session, bool parts)
{
	const json_t *list = session__get(session, "series");
	size_t shown = 0, more = 0;

	text__add(out, "| proto | role | route | container | status | count | p50 | p90 | p99 | "
		       "p99.9 | max |\n"
		       "|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *s = json_array_get(list, i);

		if (!parts && *session__get_text(s, "part"))
			continue;
		if (shown == SERIES_ROWS) {
			more++;
			continue;
		}
		add_series_row(out, s);
		shown++;
	}
	if (more) {
		text__add(out, "\n");
		md__plural(out, (double)more, "series is", "series are");
		text__add(out, " not shown; the session file has them.\n");
	}
	text__add(out, "\n");
}

void md__series(struct text *out, const json_t *session)
{
	text__add(out, "## What the kernel saw\n\n");
	if (!json_array_size(session__get(session, "series"))) {
		text__add(out, MD_NO_DATA ": no exchange was seen.\n\n");
		return;
	}
	text__add(out, "Every socket is a point of view of its own, never pooled with another: "
		       "`client` is the "
		       "full round trip at the caller's socket, `relay` and what begins with it "
		       "the sockets of a "
		       "forwarder, `broker` and `broker_out` the broker's, `route` and `route_in` "
		       "those between "
		       "brokers, `service` the responder's own time. All phases together.\n\n");
	md__series_table(out, session, true);
}

struct term {
	const char *key, *title;
};

/*
 * "sum = term + term + ...: closes". The identity is computed again from the terms: a session that
 * says it holds while it does not is told so.
 */
static void add_identity(struct text *out, const json_t *a, const char *what,
			 const struct term *left, size_t n_left, const struct term *right,
			 size_t n_right)
{
	double sum = 0;
	bool known = true;

	text__addf(out, "- %s: ", what);
	for (size_t i = 0; i < n_left + n_right; i++) {
		const struct term *t = i < n_left ? &left[i] : &right[i - n_left];
		double v = session__get_number(a, t->key);

		/* only intervals have it, and then it is not 0 */
		if (!strcmp(t->key, "in_flight_before") && !(fabs(v) > 0))
			continue;
		text__addf(out, "%s%s ", i == n_left ? " = " : i ? " + " : "", t->title);
		md__count(out, v);
		known = known && !isnan(v);
		sum += i < n_left ? v : -v;
	}
	if (!known)
		text__add(out, ". Whether it closes is not known.\n");
	else if (sum == 0)
		text__add(out, ". It closes.\n");
	else {
		text__add(out, ". **It does not close**: off by ");
		md__count(out, fabs(sum));
		text__add(out, ".\n");
	}
}

static const char *explain_term(const char *term)
{
	static const struct term terms[] = {
		{"one_way", "one-way (needs no answer)"},
		{"in_flight", "in flight"},
		{"in_flight", "in flight"},
		{"unanswered", "unanswered"},
		{"dropped", "dropped (not measured)"},
		{"orphans", "replies without request"},
		{"bytes_unparsed", "bytes unparsed"},
		{"bytes_passed_over", "bytes passed over, in no identity"},
		{"segments_passed_over", "segments passed over, in no identity"},
		{"lookups", "look-ups that ended in `(other)`"},
	};

	for (size_t i = 0; i < ARRAY_LEN(terms); i++)
		if (!strcmp(terms[i].key, term))
			return terms[i].title;
	return "other";
}

/* Reasons that are not 0, by the term they explain; names this version does not know come last. */
static void add_reasons(struct text *out, const json_t *a)
{
	json_t *reasons = (json_t *)session__get(a, "reasons");
	bool any = false;

	for (void *i = json_object_iter(reasons); i; i = json_object_iter_next(reasons, i)) {
		const char *name = json_object_iter_key(i), *term = NULL;
		double n = json_number_value(json_object_iter_value(i));

		if (!(n > 0))
			continue;
		for (unsigned int r = 1; r < REASON_MAX; r++)
			if (!strcmp(wire_reason__name(r), name))
				term = wire_reason__term(r);
		text__add(out, any ? "" : "\n| of | reason | number |\n|---|---|---|\n");
		text__addf(out, "| %s | ", term ? explain_term(term) : "a term of a later version");
		md__text(out, name);
		text__add(out, " | ");
		md__count(out, n);
		text__add(out, " |\n");
		any = true;
	}
	text__add(out, "\n");
}

bool md__tls_incomplete(const json_t *tls)
{
	double calls = session__get_number(tls, "calls");
	double lost = session__get_number(tls, "calls_lost");

	return session__get_number(tls, "connections_lost") > 0 ||
	       lost + session__get_number(tls, "ends_lost") > TLS_LOST_SHARE * (calls + lost);
}

bool md__tls_lost(struct text *out, const json_t *tls)
{
	static const struct {
		const char *key, *one, *many;
	} terms[] = {
		{"connections_lost", "connection", "connections"},
		{"ends_lost", "end of a connection", "ends of connections"},
		{"sockets_lost", "socket, which is also counted as not readable",
		 "sockets, which are also counted as not readable"},
	};
	double lost = session__get_number(tls, "calls_lost");
	bool any = lost > 0;

	if (any) {
		md__share(out, lost, lost + session__get_number(tls, "calls"));
		text__add(out, " reads and writes");
	}
	for (size_t i = 0; i < ARRAY_LEN(terms); i++) {
		double n = session__get_number(tls, terms[i].key);

		if (!(n > 0))
			continue;
		text__add(out, any ? ", " : "");
		md__plural(out, n, terms[i].one, terms[i].many);
		any = true;
	}
	return any;
}

/* What was read of TLS connections in the libraries of their processes. */
static void add_tls(struct text *out, const json_t *tls)
{
	struct text lost = {0};

	if (!tls)
		return;
	text__add(out, "- TLS: ");
	md__plural(out, session__get_number(tls, "connections"), "connection", "connections");
	text__add(out, " read, in ");
	md__plural(out, session__get_number(tls, "calls"), "read or write", "reads and writes");
	if (session__get_number(tls, "sockets_guessed") > 0) {
		text__add(out, "; the socket was guessed for ");
		md__count(out, session__get_number(tls, "sockets_guessed"));
	}
	if (session__get_number(tls, "sockets_unknown") > 0) {
		text__add(out, "; the socket of ");
		md__count(out, session__get_number(tls, "sockets_unknown"));
		text__add(out, " was never known");
	}
	if (md__tls_lost(&lost, tls)) {
		text__add(out, "; **lost**: ");
		text__add(out, lost.data ? lost.data : "");
	}
	text__add(out, ".\n");
	out->failed = out->failed || lost.failed;
	text__free(&lost);
}

/* Connections that were recognised and not read. */
static void add_opaque(struct text *out, const json_t *list)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && i < OPAQUE_ROWS; i++) {
		const json_t *q = json_array_get(list, i);

		text__add(out, "- not readable: ");
		md__text(out, session__get_text(q, "proto"));
		text__add(out, " ");
		md__text(out, session__get_text(q, "role"));
		text__add(out, " ");
		md__code(out, session__get_text(q, "comm"));
		text__addf(out, ", port %.0f, in ", session__get_number(q, "port"));
		md__code(out, session__get_text(q, "container"));
		text__add(out, ": ");
		md__plural(out, session__get_number(q, "connections"), "connection", "connections");
		text__add(out, ", ");
		md__value(out, session__get_number(q, "bytes"), "bytes");
		text__add(out, ".\n");
	}
	if (n > OPAQUE_ROWS)
		text__addf(out,
			   "- and %zu more that are not readable; the session file has them.\n",
			   n - OPAQUE_ROWS);
}

void md__accounting(struct text *out, const json_t *session)
{
	static const struct term left[] = {{"seen", "seen"},
					   {"in_flight_before", "in flight before"}};
	static const struct term right[] = {{"matched", "matched"},
					    {"one_way", "one-way"},
					    {"in_flight", "in flight"},
					    {"unanswered", "unanswered"},
					    {"dropped", "dropped"}};
	static const struct term bytes[] = {{"bytes_seen", "seen"}};
	static const struct term parts[] = {{"bytes_framed", "framed"},
					    {"bytes_unparsed", "unparsed"}};
	const json_t *a = session__get(session, "accounting");

	text__add(out, "## Accounting\n\n");
	if (!a) {
		text__add(out, MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out,
		  "Every message that could open an exchange, and every byte, is in one of these "
		  "terms:\n\n");
	add_identity(out, a, "messages", left, ARRAY_LEN(left), right, ARRAY_LEN(right));
	add_identity(out, a, "bytes", bytes, ARRAY_LEN(bytes), parts, ARRAY_LEN(parts));
	if (!session__get_bool(a, "settled", true))
		text__add(out,
			  "- The counters could not be read at rest; a difference of a few is no "
			  "error then.\n");
	text__add(out, "- beside them: ");
	md__plural(out, session__get_number(a, "orphans"), "reply without its request",
		   "replies without their request");
	text__add(out, ", ");
	md__plural(out, session__get_number(a, "exemplars_lost"), "exemplar lost",
		   "exemplars lost");
	text__add(out, " (which cost no statistics); ");
	md__plural(out, session__get_number(a, "messages"), "message", "messages");
	text__add(out, " of every kind in ");
	md__plural(out, session__get_number(a, "packets"), "packet", "packets");
	text__add(out, " on ");
	md__plural(out, session__get_number(a, "connections"), "connection", "connections");
	text__add(out, ".\n");
	if (session__get_number(a, "bytes_opaque") > 0) {
		text__add(out, "- of the bytes, ");
		md__value(out, session__get_number(a, "bytes_opaque"), "bytes");
		text__add(out, " were encrypted: counted, and not read.\n");
	}
	add_tls(out, session__get(session, "tls"));
	add_opaque(out, session__get(session, "opaque"));
	add_reasons(out, a);
}

static void add_missed(struct text *out, const json_t *programs)
{
	bool any = false;

	for (size_t i = 0; i < json_array_size(programs); i++) {
		const json_t *p = json_array_get(programs, i);
		double missed = session__get_number(p, "missed");

		if (!(missed > 0)) /* older sessions have none */
			continue;
		text__add(out, any ? ", "
				   : "The kernel left out runs, and what they would have counted "
				     "is missing: ");
		md__code(out, session__get_text(p, "name"));
		text__add(out, " ");
		md__count(out, missed);
		any = true;
	}
	text__add(out, any ? ".\n\n" : "");
}

void md__overhead(struct text *out, const json_t *session)
{
	const json_t *o = session__get(session, "overhead"),
		     *programs = session__get(o, "programs");
	double each = session__get_number(o, "ns_per_exchange");

	text__add(out, "## The profiler's own cost\n\n");
	if (!o) {
		text__add(out, MD_NO_DATA ".\n\n");
		return;
	}
	text__add(out, "| | |\n|---|---|\n");
	md__row_value(out, "BPF run time per matched exchange and point of view", each, "ns");
	md__row_value(out, "user processor time of hopscope",
		      session__get_number(o, "user_cpu_s") * 1e9, "ns");
	md__row_value(out, "resident memory of hopscope", session__get_number(o, "rss_bytes"),
		      "bytes");
	text__add(out, "\n");
	if (!json_array_size(programs))
		return;
	add_missed(out, programs);
	text__add(out, "| BPF program | runs | total | per run |\n|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(programs); i++) {
		const json_t *p = json_array_get(programs, i);
		double runs = session__get_number(p, "runs"), ns = session__get_number(p, "ns");

		text__add(out, "| ");
		md__code(out, session__get_text(p, "name"));
		text__add(out, " | ");
		md__count(out, runs);
		text__add(out, " | ");
		if (runs > 0) {
			md__value(out, ns, "ns");
			text__add(out, " | ");
			md__value(out, ns / runs, "ns");
		} else {
			text__add(out, "- | -");
		}
		text__add(out, " |\n");
	}
	text__add(out, "\n");
}
