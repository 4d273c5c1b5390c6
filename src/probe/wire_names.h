/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The wire probe's cgroups: what they are called, and which pass --container and --pod. */
#ifndef HOPSCOPE_PROBE_WIRE_NAMES_H
#define HOPSCOPE_PROBE_WIRE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "probe/wire.h"

#define WIRE_VERDICTS  8192 /* cgroups whose verdict the kernel holds */
#define WIRE_UNDECIDED 1024 /* new ones that wait for one */

struct wire_names;

/* `o` must stay. NULL: out of memory. */
struct wire_names *wire_names__open(const struct wire_opts *o);
void wire_names__close(struct wire_names *n);

/* Container's name, or path, of a cgroup v2 id; "/" for the root, "?" when it went unseen. Valid
 * until the next call. */
const char *wire_names__get(struct wire_names *n, uint64_t id);

/* Filters by name: gives the kernel a verdict on every cgroup that is there. Negative errno. */
int wire_names__filter(struct wire_names *n, int verdicts_fd, int undecided_fd);
/* And on those that came up since, as far as their names are known. */
void wire_names__notice(struct wire_names *n);

/* Does a cgroup, by its path, pass --container and --pod as far as its name is known now? */
bool wire_names__pass(struct wire_names *n, const char *path);

#endif
