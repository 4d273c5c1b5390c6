// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/scenario.h"
#include "log.h"
#include "model/recovery.h"

#define MAX_CALLS 500000 /* of one phase: each is recorded */

static const struct scenario_number numbers[] = {
#define N(path, min, max, otherwise) SCENARIO_WHOLE(struct gw_scenario, path, min, max, otherwise)
#define R(path, min, max, otherwise) SCENARIO_REAL(struct gw_scenario, path, min, max, otherwise)
	N(stack.workers, 1, 2, 1),
	N(stack.map_ttl_s, 1, 86400 * 365, 3600),
	N(stack.upstream_timeout_ms, 10, 60000, 10000),
	N(stack.redis_timeout_ms, 10, 60000, 1000),
	N(breaker.failures, 1, 1000, 5),
	R(breaker.seconds, 0.1, 600, 30),
	N(client.connections, 1, 4096, 256),
	N(client.payload, 0, 256 * 1024, 1024),
	N(client.timeout_ms, 10, 60000, 5000),
	N(response.calls, 1, 100e3, 300),
	N(response.concurrency, 1, 512, 1),
	R(load.seconds, 1, 3600, 10),
	R(load.headroom, 0, 100, 2),
	R(faults.rate, 10, 10e3, 100),
	R(faults.before, 1, 600, 4),
	R(faults.down, 0.1, 600, 3),
	R(faults.after, 1, 600, 6),
	N(faults.bucket_ms, 10, 1000, 100),
	R(memory.interval, 0.1, 60, 0.25),
	R(memory.seconds, 0, 86400, 0),
	R(memory.rate, 1, 10e3, 100),
	R(hops.seconds, 0, 60, 3),
	{0},
#undef N
#undef R
};

static const char *const fault_names[FAULT_KINDS] = {
	[FAULT_STOP] = "stop",
	[FAULT_KILL] = "kill",
	[FAULT_PAUSE] = "pause",
	[FAULT_RESET] = "reset",
};

const char *fault_kind__name(enum fault_kind k)
{
	return fault_names[k];
}

static int apply_texts(struct gw_scenario *s)
{
	if (scenario_text__apply(&s->kind, "gateway") ||
	    scenario_text__apply(&s->name, "gateway") || scenario_text__apply(&s->title, s->name) ||
	    scenario_text__apply(&s->stack.ports_text, "auto") ||
	    scenario_text__apply(&s->stack.latency_text, "lognormal 20 ms sigma 0.3") ||
	    scenario_text__apply(&s->error_bound_text, "1 %"))
		return -EINVAL;
	return 0;
}

static int apply_stack(struct gw_scenario *s, const struct yaml_index *y, const char *file)
{
	const char *why;

	if (scenario_name__check(s->name, y, file))
		return -EINVAL;
	s->stack.fixed = !strcmp(s->stack.ports_text, "fixed");
	if (!s->stack.fixed && strcmp(s->stack.ports_text, "auto") != 0)
		return scenario_rules__fail(y, file, "stack.ports",
					    "'%s' is neither auto nor fixed (8082 and 8000)",
					    s->stack.ports_text);
	if (latency__parse(s->stack.latency_text, &s->stack.latency, &why))
		return scenario_rules__fail(y, file, "stack.upstream_latency", "'%s': %s",
					    s->stack.latency_text, why);
	return 0;
}

static int apply_limits(struct gw_scenario *s, const struct yaml_index *y, const char *file)
{
	char path[64];
	const char *why;
	double bytes;
	int id;

	for (id = 0; id < GATEWAY_COUNT; id++) {
		s->limits.bytes[id] = 0;
		if (!s->limits.text[id] || !strcmp(s->limits.text[id], "none"))
			continue;
		snprintf(path, sizeof(path), "limits.%s", gateway__name((enum gateway_id)id));
		if (limit__parse(s->limits.text[id], "bytes", &bytes, &why))
			return scenario_rules__fail(y, file, path, "'%s': %s, or none",
						    s->limits.text[id], why);
		if (bytes < 16 << 20 || bytes > 1e15)
			return scenario_rules__fail(y, file, path,
						    "%s is out of range: 16 MiB to 1000 TB",
						    s->limits.text[id]);
		s->limits.bytes[id] = (uint64_t)bytes;
	}
	return 0;
}

/* A number that is written where the schema knows only words. */
static int apply_real(const struct yaml_index *y, const char *file, const char *path,
		      const char *text, double min, double max, double otherwise, double *v)
{
	char *end;

	*v = otherwise;
	if (!text)
		return 0;
	*v = strtod(text, &end);
	if (end == text || *end)
		return scenario_rules__fail(y, file, path, "'%s' is not a number", text);
	if (!(*v >= min && *v <= max))
		return scenario_rules__fail(y, file, path, "%s is out of range: %.10g to %.10g",
					    text, min, max);
	return 0;
}

static int check_calls(const struct yaml_index *y, const char *file, const char *path, double calls)
{
	if (calls > MAX_CALLS)
		return scenario_rules__fail(y, file, path,
					    "makes %.0f requests in a row: at most %d", calls,
					    MAX_CALLS);
	return 0;
}

static int apply_rates(struct gw_scenario *s, const struct yaml_index *y, const char *file)
{
	static const double usual[] = {100, 1000};
	char path[32];
	unsigned int i, j;

	if (!s->load.n_rates) {
		s->load.n_rates = 2;
		memcpy(s->load.rates, usual, sizeof(usual));
		/* libcyaml frees as many texts as are counted. */
		free(s->load.rate_texts);
		s->load.rate_texts = calloc(2, sizeof(char *));
		if (!s->load.rate_texts)
			return log_fail(-ENOMEM, "out of memory");
		for (i = 0; i < 2; i++)
			if (scenario_text__apply(&s->load.rate_texts[i], i ? "1000" : "100"))
				return -ENOMEM;
	}
	if (s->load.n_rates > GW_MAX_RATES)
		return scenario_rules__fail(y, file, "load.rates", "more than %d rates",
					    GW_MAX_RATES);
	for (i = 0; i < s->load.n_rates; i++) {
		snprintf(path, sizeof(path), "load.rates[%u]", i);
		if (apply_real(y, file, path, s->load.rate_texts[i], 1, 100e3, 0,
			       &s->load.rates[i]) ||
		    check_calls(y, file, path,
				gw_scenario__offered(s, s->load.rates[i]) * s->load.seconds))
			return -EINVAL;
		for (j = 0; j < i; j++)
			if (s->load.rates[i] == s->load.rates[j])
				return scenario_rules__fail(y, file, path, "%g is there twice",
							    s->load.rates[i]);
	}
	return 0;
}

/* What can be done to a container at all. */
static int check_fault(const struct gw_fault *f, const struct yaml_index *y, const char *file,
		       const char *path)
{
	if (!f->fault || !f->container)
		return scenario_rules__fail(y, file, path, "the key '%s' is missing",
					    f->fault ? "container" : "fault");
	if (f->kind == FAULT_KINDS)
		return scenario_rules__fail(y, file, path,
					    "fault '%s' is not one of stop, kill, pause, reset",
					    f->fault);
	if (f->id == GATEWAY_COUNT)
		return scenario_rules__fail(y, file, path, "container '%s' is not started",
					    f->container);
	if (f->id == GATEWAY_CLIENT && f->kind != FAULT_RESET)
		return scenario_rules__fail(y, file, path, "without claude-client nobody asks");
	if (f->kind == FAULT_RESET && f->down_text)
		return scenario_rules__fail(y, file, path,
					    "a reset is over at once: it has no 'down'");
	return 0;
}

static int apply_fault(struct gw_scenario *s, const struct yaml_index *y, const char *file,
		       unsigned int i)
{
	struct gw_fault *f = &s->faults.list[i];
	char path[32], key[48];
	int kind = 0;
	unsigned int j;

	snprintf(path, sizeof(path), "faults.list[%u]", i);
	while (f->fault && kind < FAULT_KINDS && strcmp(f->fault, fault_names[kind]) != 0)
		kind++;
	f->kind = (enum fault_kind)kind;
	f->id = f->container ? gateway__find(f->container) : GATEWAY_COUNT;
	if (check_fault(f, y, file, path))
		return -EINVAL;
	snprintf(key, sizeof(key), "%s.down", path);
	if (apply_real(y, file, key, f->down_text, 0.1, 600, s->faults.down, &f->down))
		return -EINVAL;
	if (f->kind == FAULT_RESET)
		f->down = 0;
	snprintf(key, sizeof(key), "%s.after", path);
	if (apply_real(y, file, key, f->after_text, 1, 600, s->faults.after, &f->after))
		return -EINVAL;
	snprintf(f->name, sizeof(f->name), "%s %s", f->fault, f->container);
	for (j = 0; j < i; j++)
		if (!strcmp(s->faults.list[j].name, f->name))
			return scenario_rules__fail(y, file, path, "'%s' is there twice", f->name);
	return check_calls(y, file, path, s->faults.rate * (s->faults.before + f->down + f->after));
}

static int apply_faults(struct gw_scenario *s, const struct yaml_index *y, const char *file)
{
	double width = (double)s->faults.bucket_ms / 1000;
	unsigned int i;

	s->has_faults = s->faults.n_list > 0;
	if (s->faults.n_list > GW_MAX_FAULTS)
		return scenario_rules__fail(y, file, "faults.list", "more than %d faults",
					    GW_MAX_FAULTS);
	if (s->has_faults && s->faults.before < RECOVERY_MIN_BASELINE * width)
		return scenario_rules__fail(
			y, file, "faults.before",
			"%g s are no baseline: %d buckets of %lld ms are wanted", s->faults.before,
			RECOVERY_MIN_BASELINE, (long long)s->faults.bucket_ms);
	if (s->has_faults && s->faults.rate * width < 3)
		return scenario_rules__fail(y, file, "faults.bucket_ms",
					    "%g requests in a bucket have no median: 3 are wanted",
					    s->faults.rate * width);
	for (i = 0; i < s->faults.n_list; i++)
		if (apply_fault(s, y, file, i))
			return -EINVAL;
	return 0;
}

int gw_rules__apply(struct gw_scenario *s, const struct yaml_index *y, const char *file)
{
	if (scenario_numbers__apply(s, numbers, y, file) || apply_texts(s) ||
	    apply_stack(s, y, file) || apply_limits(s, y, file) || apply_rates(s, y, file) ||
	    apply_faults(s, y, file) ||
	    check_calls(y, file, "memory.seconds", s->memory.rate * s->memory.seconds))
		return -EINVAL;
	if (strcmp(s->kind, "gateway") != 0)
		return scenario_rules__fail(y, file, "kind", "'%s' is not gateway", s->kind);
	if (s->response.concurrency > s->response.calls)
		return scenario_rules__fail(y, file, "response.concurrency",
					    "%lld at a time is more than the %lld calls",
					    (long long)s->response.concurrency,
					    (long long)s->response.calls);
	if (s->response.concurrency > s->client.connections)
		return scenario_rules__fail(y, file, "response.concurrency",
					    "%lld at a time is more than the %lld connections",
					    (long long)s->response.concurrency,
					    (long long)s->client.connections);
	if (error_bound__apply(s->error_bound_text, &s->error_bound, y, file))
		return -EINVAL;
	return gw_targets__apply(s, y, file);
}

static int say_stack(const struct gw_scenario *s, scenario_setting_fn fn, void *ctx)
{
	char text[LATENCY_TEXT_LEN], key[64];
	int id, err;

	err = fn(ctx, "stack.ports", s->stack.ports_text);
	if (!err)
		err = scenario_numbers__say(s, numbers, "stack", fn, ctx);
	if (!err)
		err = fn(ctx, "stack.upstream_latency",
			 latency__format(&s->stack.latency, text, sizeof(text)));
	if (!err)
		err = scenario_numbers__say(s, numbers, "breaker", fn, ctx);
	for (id = 0; id < GATEWAY_COUNT && !err; id++) {
		snprintf(key, sizeof(key), "limits.%s", gateway__name((enum gateway_id)id));
		err = fn(ctx, key, s->limits.bytes[id] ? s->limits.text[id] : "none");
	}
	return err;
}

static int say_load(const struct gw_scenario *s, scenario_setting_fn fn, void *ctx)
{
	char text[256];
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < s->load.n_rates; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.10g", i ? ", " : "",
					s->load.rates[i]);
	return fn(ctx, "load.rates", text) ? -ENOMEM
					   : scenario_numbers__say(s, numbers, "load", fn, ctx);
}

static int say_faults(const struct gw_scenario *s, scenario_setting_fn fn, void *ctx)
{
	char key[32], text[192];
	unsigned int i;
	int err = s->has_faults ? scenario_numbers__say(s, numbers, "faults", fn, ctx) : 0;

	for (i = 0; i < s->faults.n_list && !err; i++) {
		const struct gw_fault *f = &s->faults.list[i];

		snprintf(key, sizeof(key), "faults.list[%u]", i);
		if (f->kind == FAULT_RESET)
			snprintf(text, sizeof(text), "%s, then watch %g s", f->name, f->after);
		else
			snprintf(text, sizeof(text), "%s for %g s, then watch %g s", f->name,
				 f->down, f->after);
		err = fn(ctx, key, text);
	}
	return err;
}

int gw_scenario__settings(const struct gw_scenario *s, scenario_setting_fn fn, void *ctx)
{
	int err = say_stack(s, fn, ctx);

	if (!err)
		err = scenario_numbers__say(s, numbers, "client", fn, ctx);
	if (!err)
		err = scenario_numbers__say(s, numbers, "response", fn, ctx);
	if (!err)
		err = say_load(s, fn, ctx);
	if (!err)
		err = say_faults(s, fn, ctx);
	if (!err)
		err = scenario_numbers__say(s, numbers, "memory", fn, ctx);
	if (!err)
		err = scenario_numbers__say(s, numbers, "hops", fn, ctx);
	return err ? err : fn(ctx, "error_bound", s->error_bound_text);
}
