/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A scenario file: what is started, what load is driven, what is a success. Read by libcyaml, then
 * checked: an unknown key, an impossible value and a contradiction are errors with file, line and
 * reason. scenarios/aegis.yaml explains every key.
 */
#ifndef HOPSCOPE_BENCH_SCENARIO_H
#define HOPSCOPE_BENCH_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/scenario_values.h"
#include "model/verdict.h"
#include "stack/nats.h"

enum path { PATH_DIRECT = 0, PATH_FORWARDED = 1, PATH_COUNT };

/* X(id, name in the file, unit of the model, what it is called in the report) */
#define METRICS(X)                                                             \
	X(METRIC_RPC_P50, "rpc_p50", "ns", "RPC p50")                          \
	X(METRIC_RPC_P90, "rpc_p90", "ns", "RPC p90")                          \
	X(METRIC_RPC_P95, "rpc_p95", "ns", "RPC p95")                          \
	X(METRIC_RPC_P99, "rpc_p99", "ns", "RPC p99")                          \
	X(METRIC_RPC_P999, "rpc_p999", "ns", "RPC p99.9")                      \
	X(METRIC_RPC_RATE, "rpc_per_s", "calls/s", "RPC rate")                 \
	X(METRIC_EVENTS_RATE, "events_per_s", "events/s", "events")            \
	X(METRIC_EVENTS_MISSING, "events_missing", "events", "events missing") \
	X(METRIC_MEMORY, "memory_per_service", "bytes", "memory per service")  \
	X(METRIC_GROWTH, "memory_growth", "bytes/h", "memory growth")          \
	X(METRIC_ERROR_RATE, "error_rate", "%", "error rate")

enum metric {
#define METRIC_ENUM(id, name, unit, title) id,
	METRICS(METRIC_ENUM)
#undef METRIC_ENUM
		METRIC_COUNT
};

enum rpc_mode { MODE_ANY = 0, MODE_CLOSED = 1, MODE_OPEN = 2 };
enum rpc_clock { CLOCK_DEFAULT = 0, CLOCK_CLIENT, CLOCK_INTENDED, CLOCK_KERNEL };

struct scenario_target {
	/* As written; owned by libcyaml. */
	char *metric_name;
	char *path_name;
	char *container;
	char *mode_name;
	char *clock_name;
	char *at_most;
	char *at_least;
	/* As understood. */
	enum metric metric;
	int path; /* enum path, -1: each */
	enum rpc_mode mode;
	enum rpc_clock clock;
	enum target_op op;
	double limit; /* in the metric's unit */
};

struct scenario {
	char *name;
	char *title;
	struct {
		int64_t nodes;
		bool jetstream;
		uint16_t ports[NATS_MAX_NODES]; /* of clients */
		size_t n_ports;			/* 0: free ones */
	} stack;
	char **path_names;
	unsigned int n_paths;
	enum path paths[PATH_COUNT];
	int64_t rounds;
	struct {
		int64_t calls, pool, payload, concurrency, timeout_ms;
		char *service;
		char *method;
	} rpc;
	bool has_open;
	struct {
		double rate;
		int64_t calls;
	} rpc_open;
	bool has_events;
	struct {
		int64_t count, batch, payload, replicas, timeout_ms;
		char **domains;
		unsigned int n_domains;
		char **types;
		unsigned int n_types;
		char *storage;
	} events;
	struct {
		int64_t count, pool;
	} services;
	bool has_memory;
	struct {
		double seconds, interval, rate;
		char **containers; /* none: all */
		unsigned int n_containers;
	} memory;
	struct {
		double seconds; /* 0: not followed hop by hop */
	} hops;
	struct {
		int64_t slices;
		double seconds;
	} ab;
	char *error_bound_text;
	double error_bound; /* ratio: 0.01 is 1 % */
	struct scenario_target *targets;
	unsigned int n_targets;
};

/*
 * Reads and checks. NULL after one log_fail() that names file and line. The caller frees with
 * scenario__free().
 */
struct scenario *scenario__load(const char *file);
void scenario__free(struct scenario *s);

/* Every setting as understood, in order, defaults filled in. */
int scenario__settings(const struct scenario *s, scenario_setting_fn fn, void *ctx);

const char *path__label(enum path p);
const char *metric__title(enum metric m);
const char *metric__unit(enum metric m);

#endif
