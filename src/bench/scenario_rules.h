/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the values of a scenario may be, and what they are when they are left out. */
#ifndef HOPSCOPE_BENCH_SCENARIO_RULES_H
#define HOPSCOPE_BENCH_SCENARIO_RULES_H

#include "bench/scenario.h"
#include "bench/scenario_values.h"
#include "bench/yaml_index.h"

/*
 * Fills in defaults, checks ranges and contradictions. 0, or -EINVAL after log_fail(). `file` is
 * for messages.
 */
int scenario_rules__apply(struct scenario *s, const struct yaml_index *y, const char *file);

/* Whether this scenario starts a container of this name: svc-1, n1, fwd-1, load. */
bool scenario__has_container(const struct scenario *s, const char *name);

/* Understands the targets: metric, path, mode, clock, limit. 0, or -EINVAL after log_fail(). */
int scenario_targets__apply(struct scenario *s, const struct yaml_index *y, const char *file);

#endif
