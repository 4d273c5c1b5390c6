/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A scenario of the kind `port-forward`: which ways, what is sent over them, what is a success.
 * Read by libcyaml, then checked. scenarios/port-forward.yaml explains every key.
 */
#ifndef HOPSCOPE_PORTFORWARD_SCENARIO_H
#define HOPSCOPE_PORTFORWARD_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/scenario_values.h"
#include "model/verdict.h"
#include "portforward/sweep.h"
#include "stack/portforward.h"

#define PF_MAX_ROUNDS 1000

/* X(id, name in the file, unit of the model, what it is called in the report) */
#define PF_METRICS(X)                                                           \
	X(PF_ADDED_P50, "added_p50", "ns", "added to direct, p50")              \
	X(PF_ADDED_P99, "added_p99", "ns", "added to direct, p99")              \
	X(PF_P50, "p50", "ns", "round trip, p50")                               \
	X(PF_P99, "p99", "ns", "round trip, p99")                               \
	X(PF_RATE, "rate", "requests/s", "requests carried")                    \
	X(PF_RATE_LOSS, "rate_loss", "%", "fewer requests carried than direct") \
	X(PF_ERROR_RATE, "error_rate", "%", "failed")

enum pf_metric {
#define PF_METRIC_ENUM(id, name, unit, title) id,
	PF_METRICS(PF_METRIC_ENUM)
#undef PF_METRIC_ENUM
		PF_METRIC_COUNT
};

const char *pf_metric__unit(enum pf_metric m);
const char *pf_metric__title(enum pf_metric m);
/* Whether it compares with direct, which has none itself. */
bool pf_metric__compares(enum pf_metric m);

struct pf_target {
	/* As written; owned by libcyaml. */
	char *metric_name;
	char *way_name, *workload_name;
	char *payload_text, *concurrency_text, *pool_text;
	char *at_most, *at_least;
	/* As understood. */
	enum pf_metric metric;
	enum pf_way way; /* PF_WAYS: each but direct */
	bool workload[PF_WORKLOADS];
	/* The point of each of these; the base, but for what the target names. */
	struct pf_point point[PF_WORKLOADS];
	enum target_op op;
	double limit; /* in the metric's unit */
};

struct pf_scenario {
	char *kind;
	char *name;
	char *title;
	char **way_texts;
	unsigned int n_ways;
	char **workload_texts;
	unsigned int n_workloads;
	struct {
		char *kubectl, *kubectl_ws; /* programs; NULL: found */
	} stack;
	struct {
		int64_t rounds, timeout_ms;
		double seconds; /* of each way at each point in each round */
	} load;
	struct {
		int64_t payload, concurrency, pool;
	} base;
	struct {
		char **payload_texts, **concurrency_texts, **pool_texts;
		unsigned int n_payload, n_concurrency, n_pool;
		int64_t pool_concurrency, tunnels, bulk, bulk_concurrency;
	} sweep;
	struct {
		int64_t rounds; /* 0: hops are not recorded */
		double seconds;
	} hops;
	char *error_bound_text;
	struct pf_target *targets;
	unsigned int n_targets;
	/* As understood. */
	enum pf_way ways[PF_WAYS]; /* direct first */
	size_t n_used;		   /* of them */
	struct pf_sweep what;
	struct pf_point points[PF_MAX_POINTS];
	size_t n_points;
	double error_bound; /* ratio: 0.01 is 1 % */
};

/*
 * Reads and checks. NULL after one log_fail() that names file and line. The caller frees with
 * pf_scenario__free().
 */
struct pf_scenario *pf_scenario__load(const char *file);
void pf_scenario__free(struct pf_scenario *s);
/* Every setting as understood, in order. 0 or what fn returned. */
int pf_scenario__settings(const struct pf_scenario *s, scenario_setting_fn fn, void *ctx);
/* What pf_stack__start() is to be asked for; the folder of files is the caller's to find. */
void pf_scenario__stack(const struct pf_scenario *s, struct pf_opts *o);

/*
 * scenario_rules.c, scenario_targets.c: defaults, ranges, contradictions. 0, or -EINVAL after
 * log_fail().
 */
/* A whole number that is written where the schema knows only words. */
int pf_rules__number(const char *text, unsigned int min, unsigned int max, unsigned int *v,
		     const struct yaml_index *y, const char *file, const char *path);
int pf_rules__apply(struct pf_scenario *s, const struct yaml_index *y, const char *file);
int pf_targets__apply(struct pf_scenario *s, const struct yaml_index *y, const char *file);

#endif
