/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A session with every part of docs/session.md in it, built as bench builds its own. */
#ifndef HOPSCOPE_TESTS_FIXTURE_H
#define HOPSCOPE_TESTS_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "out/json.h"
#include "random.h"

static inline json_t *fixture__parse(const char *text)
{
	json_error_t error;
	json_t *v = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!v) {
		fprintf(stderr, "fixture: %s in %s\n", error.text, text);
		abort();
	}
	return v;
}

/* n latencies around `median` ns. */
static inline json_t *fixture__latency(unsigned int n, double median)
{
	static struct hist h;
	uint64_t s = 1;

	memset(&h, 0, sizeof(h));
	for (unsigned int i = 0; i < n; i++)
		hist__add(&h, (uint64_t)(median * exp(0.2 * random__normal(&s))));
	return session__latency(&h);
}

static inline json_t *fixture__rpc(const char *name, const char *path, const char *mode,
				   unsigned int n, unsigned int failed, double median)
{
	static const char text[] =
		"{'rounds': 5, 'errors': {'timeout': 0, 'no_responders': 0}, 'duration_s': 2.5,"
		" 'rate_per_s': {'value': 400, 'ci_low': 390, 'ci_high': 410, 'n': 5},"
		" 'target_rate_per_s': null}";
	char quoted[sizeof(text)];
	json_t *p, *l = json_object();

	for (size_t i = 0; i < sizeof(text); i++)
		quoted[i] = text[i] == '\'' ? '"' : text[i];
	p = fixture__parse(quoted);
	json_object_set_new(p, "name", json_string(name));
	json_object_set_new(p, "kind", json_string("rpc"));
	json_object_set_new(p, "path", json_string(path));
	json_object_set_new(p, "mode", json_string(mode));
	json_object_set_new(p, "attempted", json_integer(n));
	json_object_set_new(p, "succeeded", json_integer(n - failed));
	json_object_set_new(p, "failed", json_integer(failed));
	json_object_set_new(json_object_get(p, "errors"), "timeout", json_integer(failed));
	json_object_set_new(l, "client", fixture__latency(n - failed, median));
	json_object_set_new(l, "kernel", fixture__latency(n - failed, median * 0.7));
	if (!strcmp(mode, "open")) {
		json_object_set_new(p, "target_rate_per_s", json_integer(500));
		json_object_set_new(p, "behind_schedule", json_integer(2));
		json_object_set_new(l, "intended", fixture__latency(n - failed, median * 1.3));
	}
	json_object_set_new(p, "latency", l);
	return p;
}

static inline void fixture__add_snapshot(json_t *session)
{
	static struct snapshot s;
	static struct snapshot_series series[2];

	memset(&s, 0, sizeof(s));
	memset(series, 0, sizeof(series));
	s.series = series;
	s.n_series = 2;
	for (uint32_t i = 0; i < 2; i++) {
		series[i].key = (struct series_key){.route = i + 1,
						    .proto = PROTO_NATS,
						    .role = ROLE_CLIENT,
						    .status = STATUS_OK};
		strcpy(series[i].container, "/");
		for (int k = 0; k < 100; k++)
			hist__add(&series[i].hist, 1000u * (unsigned int)(k + 1));
		series[i].count = 100 + i;
	}
	strcpy(series[0].route, "rpc.echo.call");
	strcpy(series[1].route, "_INBOX.*");
	s.settled = true;
	s.acct.seen = 215;
	s.acct.matched = 200;
	s.acct.one_way = 10;
	s.acct.unanswered = 5;
	s.acct.reason[REASON_TIMEOUT] = 5;
	s.acct.bytes_seen = 10512;
	s.acct.bytes_framed = 10000;
	s.acct.bytes_unparsed = 512;
	s.acct.reason[REASON_RESYNC] = 512;
	strcpy(s.programs[0].name, "wire_egress");
	s.programs[0].runs = 1000;
	s.programs[0].ns = 700000;
	s.n_programs = 1;
	s.user_cpu_s = 0.25;
	s.rss_bytes = 8 << 20;
	json_object_set_new(session, "series", session__series(&s, true));
	json_object_set_new(session, "accounting", session__accounting(&s));
	json_object_set_new(session, "overhead", session__overhead(&s));
}

static inline void fixture__add_targets(json_t *session)
{
	struct estimate rate = {.value = 6666, .lo = 6600, .hi = 6700, .n = 5};
	struct estimate size = {.value = 60e6, .lo = 40e6, .hi = 61e6, .n = 5};
	struct target t[3];

	target__init(&t[0], "event rate", TARGET_GE, 50000, "events/s");
	target__judge(&t[0], &rate);
	target__init(&t[1], "memory per service", TARGET_LE, 50e6, "bytes");
	target__judge(&t[1], &size);
	target__init(&t[2], "missing events", TARGET_LE, 0, "events");
	rate = estimate__exact(0, 10000);
	target__judge(&t[2], &rate);
	json_object_set_new(session, "targets", session__targets(t, 3));
}

/* The caller owns it. */
static inline json_t *fixture__session(void)
{
	json_t *s = fixture__parse(
		"{\"schema\": 1, \"tool\": {\"name\": \"hopscope\", \"version\": \"0.1.0\"},"
		"\"scenario\": {\"name\": \"aegis\", \"file\": \"aegis.yaml\", \"title\": \"A "
		"title\"},"
		"\"started\": \"2026-11-21T21:50:00Z\", \"duration_s\": 61.2, \"complete\": true,"
		"\"incomplete_reason\": null, \"environment\": {\"kernel\": \"6.18\", \"arch\": "
		"\"x86_64\","
		"\"cpu_model\": \"cpu\", \"cpus\": 2, \"memory_bytes\": 25000000000, \"lockdown\": "
		"\"none\","
		"\"cgroup\": \"v2\", \"libbpf\": \"1.1.2\", \"natsc\": null, \"nats_server\": "
		"\"2.9.10\","
		"\"forwarder\": \"socat\", \"topology\": [{\"name\": \"n1\", \"kind\": "
		"\"nats-server\","
		"\"pid\": 1, \"address\": \"127.0.0.1:4222\", \"cgroup\": \"/n1\"}]},"
		"\"configuration\": [[\"rpc.calls\", \"1000\"]], \"phases\": []}");
	json_t *phases = json_object_get(s, "phases"), *p;

	json_array_append_new(phases,
			      fixture__rpc("rpc closed direct", "direct", "closed", 1000, 0, 5e5));
	json_array_append_new(
		phases, fixture__rpc("rpc closed forwarded", "forwarded", "closed", 1000, 3, 9e5));
	json_array_append_new(phases,
			      fixture__rpc("rpc open direct", "direct", "open", 200, 0, 5e6));
	p = fixture__parse(
		"{\"name\": \"events\", \"kind\": \"events\", \"path\": \"direct\","
		"\"mode\": null, \"rounds\": 5, \"attempted\": 10000, \"failed\": 0,"
		"\"rate_per_s\": {\"value\": 6666, \"ci_low\": 6600, \"ci_high\": 6700, \"n\": 5},"
		"\"events\": {\"published\": 10000, \"acked\": 10000, \"received\": 9998,"
		"\"missing\": 2, \"duplicates\": 0, \"missing_ids\": [17, \"x-99\"]}}");
	json_array_append_new(phases, p);
	p = fixture__parse(
		"{\"name\": \"services\", \"kind\": \"services\", \"memory\": {"
		"\"baseline_bytes\": 50000000, \"total_bytes\": 110000000, \"services\": ["
		"{\"name\": \"svc-1\", \"cgroup\": \"/svc-1\", \"current_bytes\": 12000000,"
		"\"anon_bytes\": 10000000, \"file_bytes\": 1000000}], \"per_service_bytes\":"
		"{\"value\": 12000000, \"ci_low\": 11000000, \"ci_high\": 13000000, \"n\": 5}}}");
	json_array_append_new(phases, p);
	p = fixture__parse(
		"{\"name\": \"memory\", \"kind\": \"memory\", \"attempted\": 2000, \"failed\": 0,"
		"\"duration_s\": 20, \"growth\": [{\"name\": \"svc-1\", \"cgroup\": \"/svc-1\","
		"\"verdict\": \"GROWING\", \"bytes_per_hour\": {\"value\": 36000000, \"ci_low\":"
		"35000000, \"ci_high\": 37000000, \"n\": 3}, \"min_detectable_bytes_per_hour\": "
		"99000,"
		"\"reason\": \"it grows\", \"readings\": [[0, 1048576], [10, 1572864], [20, "
		"2097152]]},"
		"{\"name\": \"n1\", \"verdict\": \"NO DATA\", \"readings\": []}]}");
	json_array_append_new(phases, p);
	p = fixture__parse(
		"[{\"name\": \"forwarder, RPC p50\", \"unit\": \"ns\", \"base_ns\": 500000,"
		"\"estimate\": {\"value\": 400000, \"ci_low\": 390000, \"ci_high\": 410000,"
		"\"n\": 5}}, {\"name\": \"probes, RPC p50\", \"unit\": \"%\", \"base_ns\": 500000,"
		"\"estimate\": {\"value\": 0.5, \"ci_low\": -0.5, \"ci_high\": 1.5, \"n\": 20}}]");
	json_object_set_new(s, "differences", p);
	fixture__add_snapshot(s);
	fixture__add_targets(s);
	return s;
}

#endif
