/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Readings of the wire probe and their differences. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/hist.h"
#include "model/snapshot.h"

void snapshot__free(struct snapshot *s)
{
	if (!s)
		return;
	free(s->series);
	s->series = NULL;
	s->n_series = 0;
	free(s->edges);
	s->edges = NULL;
	s->n_edges = 0;
	free(s->opaque);
	s->opaque = NULL;
	s->n_opaque = 0;
	hops__free(&s->hops);
}

static bool key_equal(const struct series_key *a, const struct series_key *b)
{
	return a->cgroup == b->cgroup && a->route == b->route && a->proto == b->proto &&
	       a->role == b->role && a->status == b->status && a->part == b->part;
}

/* The series is mostly where it was: look there first. */
static const struct snapshot_series *find(const struct snapshot *s, const struct series_key *key,
					  size_t hint)
{
	if (hint < s->n_series && key_equal(&s->series[hint].key, key))
		return &s->series[hint];
	for (size_t i = 0; i < s->n_series; i++)
		if (key_equal(&s->series[i].key, key))
			return &s->series[i];
	return NULL;
}

const struct snapshot_series *snapshot__part(const struct snapshot *s,
					     const struct snapshot_series *of, unsigned int part)
{
	struct series_key key = of->key;

	key.part = (uint8_t)part;
	return find(s, &key, s->n_series);
}

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* Counters only grow, and so does every field of wire_acct but the gauge. */
static void acct_delta(struct wire_acct *out, const struct wire_acct *now,
		       const struct wire_acct *before)
{
#define DELTA(field) out->field = grown(now->field, before->field)
	memset(out, 0, sizeof(*out));
	DELTA(seen);
	DELTA(matched);
	DELTA(one_way);
	DELTA(unanswered);
	DELTA(dropped);
	DELTA(orphans);
	DELTA(bytes_seen);
	DELTA(bytes_framed);
	DELTA(bytes_unparsed);
	DELTA(packets);
	DELTA(messages);
	DELTA(exemplars);
	DELTA(exemplars_lost);
	DELTA(conns);
	DELTA(bytes_opaque);
	for (int i = 0; i < REASON_MAX; i++)
		DELTA(reason[i]);
	for (int i = 0; i < PROTO_MAX; i++)
		DELTA(proto_conns[i]);
#undef DELTA
	/* A split line framed in an interval before, found bad in this one: it moved. */
	if (now->bytes_framed < before->bytes_framed)
		out->bytes_unparsed -= before->bytes_framed - now->bytes_framed;
	out->in_flight = now->in_flight;
	out->reason[REASON_DELIVERIES] = now->reason[REASON_DELIVERIES];
}

static void programs_delta(struct snapshot *out, const struct snapshot *before)
{
	for (size_t i = 0; i < out->n_programs; i++) {
		struct snapshot_program *p = &out->programs[i];

		for (size_t j = 0; j < before->n_programs; j++) {
			if (strcmp(p->name, before->programs[j].name) != 0)
				continue;
			p->runs = grown(p->runs, before->programs[j].runs);
			p->ns = grown(p->ns, before->programs[j].ns);
			p->missed = grown(p->missed, before->programs[j].missed);
			break;
		}
	}
}

/* Edges are never taken away, and stay where they are. */
static int edges_delta(struct snapshot *out, const struct snapshot *now,
		       const struct snapshot *before)
{
	out->edges = NULL;
	out->n_edges = 0;
	for (int i = 0; i < CAUSE_COUNTS; i++)
		out->cause[i] = grown(now->cause[i], before->cause[i]);
	if (!now->n_edges)
		return 0;
	out->edges = calloc(now->n_edges, sizeof(*out->edges));
	if (!out->edges)
		return -ENOMEM;
	for (size_t i = 0; i < now->n_edges; i++) {
		struct snapshot_edge *e = &out->edges[out->n_edges];
		const struct snapshot_edge *was = i < before->n_edges ? &before->edges[i] : NULL;

		*e = now->edges[i];
		if (was && memcmp(&was->key, &e->key, sizeof(e->key)) == 0) {
			e->calls = grown(e->calls, was->calls);
			e->done = grown(e->done, was->done);
			e->late = grown(e->late, was->late);
			e->sum_ns = grown(e->sum_ns, was->sum_ns);
			e->callees = grown(e->callees, was->callees);
			hist__delta(&e->hist, &was->hist);
		}
		if (e->calls || hist__count(&e->hist))
			out->n_edges++;
	}
	return 0;
}

static void opaque_sum_delta(struct opaque_sum *s, const struct opaque_sum *before)
{
	s->connections = grown(s->connections, before->connections);
	s->rtt_us = grown(s->rtt_us, before->rtt_us);
	s->rtt_n = grown(s->rtt_n, before->rtt_n);
}

/*
 * What ended since, and what is there; bytes of both that were not there before. (One connection
 * moves from the one to the other, so bytes are only known of their sum: it is put into `live`.)
 */
static int opaque_delta(struct snapshot *out, const struct snapshot *now,
			const struct snapshot *before)
{
	out->opaque = NULL;
	out->n_opaque = 0;
	if (!now->n_opaque)
		return 0;
	out->opaque = calloc(now->n_opaque, sizeof(*out->opaque));
	if (!out->opaque)
		return -ENOMEM;
	for (size_t i = 0; i < now->n_opaque; i++) {
		struct snapshot_opaque *o = &out->opaque[out->n_opaque];
		uint64_t bytes = 0;

		*o = now->opaque[i];
		for (size_t k = 0; k < before->n_opaque; k++) {
			const struct snapshot_opaque *was = &before->opaque[k];

			if (memcmp(&was->key, &o->key, sizeof(o->key)) != 0)
				continue;
			bytes = was->live.bytes + was->closed.bytes;
			opaque_sum_delta(&o->closed, &was->closed);
			break;
		}
		o->live.bytes = grown(o->live.bytes + o->closed.bytes, bytes);
		o->closed.bytes = 0;
		if (o->live.bytes || o->closed.connections)
			out->n_opaque++;
	}
	return 0;
}

static void tls_delta(struct tls_stats *s, const struct tls_stats *before)
{
	const uint64_t *was = (const uint64_t *)before;
	uint64_t *is = (uint64_t *)s;

	for (size_t i = 0; i < sizeof(*s) / sizeof(*is); i++)
		is[i] = grown(is[i], was[i]);
}

int snapshot__delta(struct snapshot *out, const struct snapshot *now, const struct snapshot *before)
{
	struct snapshot_series *series = NULL;
	size_t n = 0;

	if (now->n_series) {
		series = calloc(now->n_series, sizeof(*series));
		if (!series)
			return -ENOMEM;
	}
	*out = *now;
	if (hops__delta(&out->hops, &now->hops, &before->hops)) {
		free(series);
		return -ENOMEM;
	}
	if (opaque_delta(out, now, before)) {
		hops__free(&out->hops);
		free(series);
		return -ENOMEM;
	}
	tls_delta(&out->tls, &before->tls);
	for (size_t i = 0; i < now->n_series; i++) {
		const struct snapshot_series *was = find(before, &now->series[i].key, i);
		struct snapshot_series *s = &series[n];

		*s = now->series[i];
		if (was) {
			s->count = grown(s->count, was->count);
			s->bytes = grown(s->bytes, was->bytes);
			hist__delta(&s->hist, &was->hist);
		}
		if (s->count || hist__count(&s->hist))
			n++;
	}
	out->series = series;
	out->n_series = n;
	if (edges_delta(out, now, before)) {
		snapshot__free(out);
		return -ENOMEM;
	}
	out->duration_ns = grown(now->time_ns, before->time_ns);
	out->settled = now->settled && before->settled;
	acct_delta(&out->acct, &now->acct, &before->acct);
	out->in_flight_before = before->acct.in_flight;
	programs_delta(out, before);
	out->user_cpu_s =
		now->user_cpu_s > before->user_cpu_s ? now->user_cpu_s - before->user_cpu_s : 0;
	return 0;
}

static bool balanced(const struct wire_acct *a, int64_t in_flight_before)
{
	/* modulo 2^64, so a gauge below 0 is counted as such and not as a huge number */
	return a->seen + (uint64_t)in_flight_before == a->matched + a->one_way +
							       (uint64_t)a->in_flight +
							       a->unanswered + a->dropped &&
	       a->bytes_seen == a->bytes_framed + a->bytes_unparsed;
}

bool snapshot__identities_hold(const struct wire_acct *a)
{
	return balanced(a, 0);
}

bool snapshot__holds(const struct snapshot *s)
{
	return balanced(&s->acct, s->in_flight_before);
}

static int by_name(const struct snapshot_series *a, const struct snapshot_series *b)
{
	int c = strcmp(a->route, b->route);

	if (!c)
		c = strcmp(a->container, b->container);
	if (!c)
		c = (int)a->key.proto - b->key.proto;
	if (!c)
		c = (int)a->key.role - b->key.role;
	if (!c)
		c = (int)a->key.status - b->key.status;
	if (!c)
		c = (int)a->key.part - b->key.part;
	return c ? c : (a->key.cgroup > b->key.cgroup) - (a->key.cgroup < b->key.cgroup);
}

static int by_count(const void *pa, const void *pb)
{
	const struct snapshot_series *a = *(const struct snapshot_series *const *)pa;
	const struct snapshot_series *b = *(const struct snapshot_series *const *)pb;

	return a->count == b->count ? by_name(a, b) : a->count < b->count ? 1 : -1;
}

static int by_total(const void *pa, const void *pb)
{
	const struct snapshot_series *a = *(const struct snapshot_series *const *)pa;
	const struct snapshot_series *b = *(const struct snapshot_series *const *)pb;

	return a->hist.sum == b->hist.sum ? by_name(a, b) : a->hist.sum < b->hist.sum ? 1 : -1;
}

const struct snapshot_series **snapshot__sorted(const struct snapshot *s, enum snapshot_order by)
{
	const struct snapshot_series **sorted = calloc(s->n_series + 1, sizeof(void *));

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < s->n_series; i++)
		sorted[i] = &s->series[i];
	qsort(sorted, s->n_series, sizeof(void *), by == SNAPSHOT_BY_TOTAL ? by_total : by_count);
	return sorted;
}

/*
 * Names. Switches without a default: an enumerator that is added to wire.h without a name here does
 * not build.
 */

const char *wire_proto__name(unsigned int proto)
{
	switch ((enum wire_proto)proto) {
	case PROTO_NEW: return "new";
	case PROTO_OTHER: return "other";
	case PROTO_NATS: return "nats";
	case PROTO_HTTP: return "http";
	case PROTO_REDIS: return "redis";
	case PROTO_HTTP2: return "http2";
	case PROTO_TLS: return "tls";
	case PROTO_MAX: break;
	}
	return "?";
}

const char *wire_role__name(unsigned int role)
{
	switch ((enum wire_role)role) {
	case ROLE_CLIENT: return "client";
	case ROLE_BROKER: return "broker";
	case ROLE_BROKER_OUT: return "broker_out";
	case ROLE_SERVICE: return "service";
	case ROLE_ROUTE: return "route";
	case ROLE_ROUTE_IN: return "route_in";
	case ROLE_RELAY: return "relay";
	case ROLE_RELAY_OUT: return "relay_out";
	case ROLE_RELAY_SERVICE: return "relay_service";
	case ROLE_RELAY_SERVICE_OUT: return "relay_service_out";
	case ROLE_SERVER: return "server";
	case ROLE_NONE:
	case ROLE_MAX: break;
	}
	return "?";
}

const char *wire_status__name(unsigned int status)
{
	switch ((enum wire_status)status) {
	case STATUS_OK: return "ok";
	case STATUS_NO_RESPONDERS: return "no_responders";
	case STATUS_ERROR: return "error";
	case STATUS_UNANSWERED: return "unanswered";
	case STATUS_PROTO_ERR: return "proto_err";
	case STATUS_1XX: return "1xx";
	case STATUS_2XX: return "2xx";
	case STATUS_3XX: return "3xx";
	case STATUS_4XX: return "4xx";
	case STATUS_5XX: return "5xx";
	case STATUS_BLOCKING: return "blocking";
	case STATUS_NONE:
	case STATUS_MAX: break;
	}
	return "?";
}

bool wire_status__is_error(unsigned int status)
{
	switch ((enum wire_status)status) {
	case STATUS_OK:
	case STATUS_1XX:
	case STATUS_2XX:
	case STATUS_3XX:
	case STATUS_BLOCKING: return false;
	default: return true;
	}
}

const char *wire_part__name(unsigned int part)
{
	switch ((enum wire_part)part) {
	case PART_WHOLE: return "whole";
	case PART_FIRST_BYTE: return "first_byte";
	case PART_QUEUE: return "queue";
	case PART_SELF: return "self";
	case PART_HTTP: return "http";
	case PART_REDIS: return "redis";
	case PART_NATS: return "nats";
	case PART_MAX: break;
	}
	return "?";
}

const char *cause_count__name(unsigned int count)
{
	switch ((enum cause_count)count) {
	case CAUSE_BY_ID: return "by_id";
	case CAUSE_BY_CONNECT: return "by_connect";
	case CAUSE_BY_TASK: return "by_task";
	case CAUSE_NO_TASK: return "no_task";
	case CAUSE_NO_REQUEST: return "no_request";
	case CAUSE_STALE: return "stale";
	case CAUSE_DEFERRED: return "deferred";
	case CAUSE_MOVED: return "moved";
	case CAUSE_PARENTS_FULL: return "parents_full";
	case CAUSE_LINKS_FULL: return "links_full";
	case CAUSE_EDGES_FULL: return "edges_full";
	case CAUSE_SLOTS_FULL: return "slots_full";
	case CAUSE_NEGATIVE: return "negative";
	case CAUSE_ACTORS_FULL: return "actors_full";
	case CAUSE_EVENTS_LOST: return "events_lost";
	case CAUSE_FORGOTTEN: return "forgotten";
	case CAUSE_COUNTS: break;
	}
	return "?";
}

struct reason {
	const char *name, *term;
};

static struct reason describe(unsigned int reason)
{
	switch ((enum wire_reason)reason) {
	case REASON_NO_REPLY: return (struct reason){"no_reply", "one_way"};
	case REASON_PULL: return (struct reason){"pull", "one_way"};
	case REASON_INTERNAL: return (struct reason){"internal", "one_way"};
	case REASON_AMBIGUOUS: return (struct reason){"ambiguous", "one_way"};
	case REASON_TIMEOUT: return (struct reason){"timeout", "unanswered"};
	case REASON_CLOSED: return (struct reason){"closed", "unanswered"};
	case REASON_SUPERSEDED: return (struct reason){"superseded", "unanswered"};
	case REASON_TABLE_FULL: return (struct reason){"table_full", "dropped"};
	case REASON_GAP_LOST: return (struct reason){"gap_lost", "dropped"};
	case REASON_NO_MEMORY: return (struct reason){"no_memory", "dropped"};
	case REASON_ID_LONG: return (struct reason){"id_long", "dropped"};
	case REASON_ORPHAN: return (struct reason){"orphan", "orphans"};
	case REASON_GAP: return (struct reason){"gap", "bytes_unparsed"};
	case REASON_RESYNC: return (struct reason){"resync", "bytes_unparsed"};
	case REASON_BAD: return (struct reason){"bad", "bytes_unparsed"};
	case REASON_UNKNOWN: return (struct reason){"unknown", "bytes_unparsed"};
	case REASON_BUSY: return (struct reason){"busy", "segments_passed_over"};
	case REASON_REFUSED: return (struct reason){"refused", "bytes_unparsed"};
	case REASON_RETRANS: return (struct reason){"retransmitted", "bytes_passed_over"};
	case REASON_OWNER: return (struct reason){"owner", "segments_passed_over"};
	case REASON_ACCEPTING: return (struct reason){"accepting", "segments_passed_over"};
	case REASON_SERIES_FULL: return (struct reason){"series_full", "lookups"};
	case REASON_ROUTE_FULL: return (struct reason){"route_full", "lookups"};
	case REASON_NOT_ANSWERED: return (struct reason){"not_answered", "unanswered"};
	case REASON_LISTENER: return (struct reason){"listener", "one_way"};
	case REASON_NO_ANSWER: return (struct reason){"no_answer", "one_way"};
	case REASON_PUSH: return (struct reason){"push", "one_way"};
	case REASON_DELIVERIES: return (struct reason){"deliveries", "in_flight"};
	case REASON_NONE:
	case REASON_MAX: break;
	}
	return (struct reason){"?", "other"};
}

const char *wire_reason__name(unsigned int reason)
{
	return describe(reason).name;
}

const char *wire_reason__term(unsigned int reason)
{
	return describe(reason).term;
}
