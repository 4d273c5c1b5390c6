/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every run of bench needs, looked for before anything is started. */
#ifndef HOPSCOPE_BENCH_PRECHECK_H
#define HOPSCOPE_BENCH_PRECHECK_H

#include <stdbool.h>

#include "stack/cgroup.h"

/*
 * Where cgroups are mounted; capabilities of the probe, cgroups that can be made. 0 or negative
 * errno after log_fail().
 */
int precheck__host(struct cgroup_mounts *m, bool probe);

#endif
