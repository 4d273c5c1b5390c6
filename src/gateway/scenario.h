/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A scenario of the kind `gateway`: what is started, what is asked of it, what befalls it, what is
 * a success. Read by libcyaml, then checked. scenarios/gateway.yaml explains every key.
 */
#ifndef HOPSCOPE_GATEWAY_SCENARIO_H
#define HOPSCOPE_GATEWAY_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/scenario_values.h"
#include "model/verdict.h"
#include "stack/gateway.h"

#define GW_MAX_RATES  8
#define GW_MAX_FAULTS 12

/* What a target's value is measured over. */
enum gw_scope {
	GW_SCOPE_RESPONSE = 1, /* the response time phase */
	GW_SCOPE_LOAD = 2,     /* each rate of the load phase */
	GW_SCOPE_FAULT = 3,    /* each fault */
	GW_SCOPE_CONTAINER = 4,
	GW_SCOPE_RUN = 5,
};

/* X(id, name in the file, unit of the model, what it is called in the report, scope) */
#define GW_METRICS(X)                                                                          \
	X(GW_RESPONSE_AVG, "response_avg", "ns", "response time, average", GW_SCOPE_RESPONSE)  \
	X(GW_RESPONSE_P50, "response_p50", "ns", "response time, p50", GW_SCOPE_RESPONSE)      \
	X(GW_RESPONSE_P99, "response_p99", "ns", "response time, p99", GW_SCOPE_RESPONSE)      \
	X(GW_RESPONSE_MAX, "response_max", "ns", "response time, longest", GW_SCOPE_RESPONSE)  \
	X(GW_LOAD_P50, "load_p50", "ns", "latency under load, p50", GW_SCOPE_LOAD)             \
	X(GW_LOAD_P99, "load_p99", "ns", "latency under load, p99", GW_SCOPE_LOAD)             \
	X(GW_LOAD_RATE, "load_rate", "requests/s", "requests carried", GW_SCOPE_LOAD)          \
	X(GW_SUCCESS, "success_rate", "%", "success", GW_SCOPE_LOAD)                           \
	X(GW_RECOVERY, "recovery_time", "ns", "recovery", GW_SCOPE_FAULT)                      \
	X(GW_AVAILABILITY, "availability", "%", "availability outside faults", GW_SCOPE_RUN)   \
	X(GW_LEAKS, "masking_leaks", "requests", "requests with an AWS identifier at the API", \
	  GW_SCOPE_RUN)                                                                        \
	X(GW_BAD_BODIES, "bad_bodies", "requests", "answers without the client's identifiers", \
	  GW_SCOPE_RUN)                                                                        \
	X(GW_MEMORY_SHARE, "memory_of_limit", "%", "memory of its limit", GW_SCOPE_CONTAINER)  \
	X(GW_GROWTH, "memory_growth", "bytes/h", "memory growth", GW_SCOPE_CONTAINER)

enum gw_metric {
#define GW_METRIC_ENUM(id, name, unit, title, scope) id,
	GW_METRICS(GW_METRIC_ENUM)
#undef GW_METRIC_ENUM
		GW_METRIC_COUNT
};

const char *gw_metric__name(enum gw_metric m);
const char *gw_metric__unit(enum gw_metric m);
const char *gw_metric__title(enum gw_metric m);
enum gw_scope gw_metric__scope(enum gw_metric m);

enum fault_kind { FAULT_STOP = 0, FAULT_KILL, FAULT_PAUSE, FAULT_RESET, FAULT_KINDS };

/* "stop", "kill", "pause", "reset". */
const char *fault_kind__name(enum fault_kind k);

struct gw_fault {
	/* As written; owned by libcyaml. */
	char *fault;
	char *container;
	char *down_text, *after_text;
	/* As understood. */
	double down, after; /* seconds */
	enum fault_kind kind;
	enum gateway_id id;
	char name[80]; /* "stop redis-cache" */
};

struct gw_target {
	/* As written; owned by libcyaml. */
	char *metric_name;
	char *container;
	char *fault_name; /* as gw_fault.name */
	char *rate_text;
	char *at_most;
	char *at_least;
	/* As understood. */
	double rate; /* of the load; 0: each */
	enum gw_metric metric;
	enum target_op op;
	double limit; /* in the metric's unit */
};

struct gw_scenario {
	char *kind;
	char *name;
	char *title;
	struct {
		char *ports_text;
		bool fixed; /* ports: the issue's */
		int64_t workers, map_ttl_s;
		char *latency_text;
		struct latency latency; /* of the upstream */
		int64_t upstream_timeout_ms, redis_timeout_ms;
	} stack;
	struct {
		int64_t failures;
		double seconds;
	} breaker;
	struct {
		/* As written: claude_api ... */
		char *text[GATEWAY_COUNT];
		uint64_t bytes[GATEWAY_COUNT]; /* 0: no limit */
	} limits;
	struct {
		int64_t connections, payload, timeout_ms;
	} client;
	struct {
		int64_t calls, concurrency;
	} response;
	struct {
		char **rate_texts;
		unsigned int n_rates;
		double rates[GW_MAX_RATES];
		double seconds, headroom;
	} load;
	bool has_faults;
	struct {
		double rate, before, down, after;
		int64_t bucket_ms;
		struct gw_fault *list;
		unsigned int n_list;
	} faults;
	struct {
		double interval, seconds, rate;
	} memory;
	struct {
		double seconds; /* 0: not followed hop by hop */
	} hops;
	char *error_bound_text;
	double error_bound; /* ratio: 0.01 is 1 % */
	struct gw_target *targets;
	unsigned int n_targets;
};

/*
 * Reads and checks. NULL after one log_fail() that names file and line. The caller frees with
 * gw_scenario__free().
 */
struct gw_scenario *gw_scenario__load(const char *file);
void gw_scenario__free(struct gw_scenario *s);
/* Every setting as understood, in order. 0 or what fn returned. */
int gw_scenario__settings(const struct gw_scenario *s, scenario_setting_fn fn, void *ctx);
/* What gateway__start() is to be asked for; the templates are the caller's to find. */
void gw_scenario__stack(const struct gw_scenario *s, struct gateway_opts *o);

/* Requests a second that are sent where the scenario says `rate`. */
double gw_scenario__offered(const struct gw_scenario *s, double rate);

/* scenario_rules.c, scenario_targets.c: defaults, ranges, contradictions. 0, or -EINVAL after
 * log_fail(). */
int gw_rules__apply(struct gw_scenario *s, const struct yaml_index *y, const char *file);
int gw_targets__apply(struct gw_scenario *s, const struct yaml_index *y, const char *file);

#endif
