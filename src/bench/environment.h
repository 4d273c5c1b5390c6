/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a run was measured on, as far as that does not depend on its kind. */
#ifndef HOPSCOPE_BENCH_ENVIRONMENT_H
#define HOPSCOPE_BENCH_ENVIRONMENT_H

#include <jansson.h>

#include "stack/cgroup.h"
#include "stack/child.h"

/* "kernel" to "libbpf" of a session's "environment"; NULL: out of memory. */
json_t *environment__host(const struct cgroup_mounts *m);
/* A row of its "topology"; c, address and cgroup may be NULL. */
void environment__add_process(json_t *list, const char *name, const char *kind,
			      const struct child *c, const char *address, const char *cgroup);
/* A cgroup's path below the mount of v2: short, and the same wherever the run was started from. */
const char *environment__cgroup(const struct cgroup_mounts *m, const struct cgroup *c);

#endif
