/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One phase of a run: rounds of load on one path, added up. */
#ifndef HOPSCOPE_BENCH_PHASE_H
#define HOPSCOPE_BENCH_PHASE_H

#include "bench/answer.h"
#include "bench/bench.h"

/* A phase of the scenario's number of rounds, none done. It belongs to the bench. NULL: no memory.
 */
struct phase *phase__add(struct bench *b, enum phase_kind kind, enum path path, enum rpc_mode mode);
void phase__free(struct phase *p);
/* The phase of this kind, or NULL. */
struct phase *phase__find(const struct bench *b, enum phase_kind kind, enum path path,
			  enum rpc_mode mode);
/* Why its numbers must not be judged; the first reason stays. */
void phase__invalidate(struct phase *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "closed loop, direct" or "RPC closed loop, direct": a phase in the name of a target. */
const char *phase__label(const struct phase *p, bool with_kind, char *buf, size_t size);

/* Mean over the rounds, a second; none without rounds. */
struct estimate phase__rate(const struct phase *p);

/*
 * Runs `total` units of load in the scenario's rounds, each round on every phase in turn, the order
 * alternating, so that what drifts hits all alike. fn does one round of one phase: 0; -EINTR; or
 * another negative errno after a message, upon which the run is cut short.
 */
typedef int (*round_fn)(struct bench *b, struct phase *p, uint64_t units);
int rounds__run(struct bench *b, const char *what, struct phase *const *phases, size_t n,
		uint64_t total, round_fn fn);

#endif
