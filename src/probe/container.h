/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of containers: from the files that runtimes leave on the host. */
#ifndef HOPSCOPE_PROBE_CONTAINER_H
#define HOPSCOPE_PROBE_CONTAINER_H

#include <stddef.h>

#include "model/container.h"

struct containers;

/*
 * host_root: where the host's file system is seen ("" or NULL: here; "/host" in a DaemonSet). NULL:
 * out of memory. Keeps what it found, so that asking twice costs nothing, and looks again for what
 * it did not find after some time: names come up a moment after the cgroup.
 */
struct containers *containers__open(const char *host_root);
void containers__close(struct containers *c);

/*
 * What is known of the cgroup at `path`; never fails: what cannot be found stays "". Sources, in
 * this order: OCI bundle (config.json annotations under the run directories of containerd, CRI-O,
 * runc), docker's config.v2.json, podman's, /var/log/containers. Files are bounded in size, and
 * nothing in them is trusted.
 */
void containers__resolve(struct containers *c, const char *path, struct container *out);

/*
 * Does a --container argument mean this one? A part of its name, label or cgroup path, or the first
 * 6 digits or more of its id.
 */
bool container__matches(const struct container *c, const char *path, const char *wanted);
/* And --pod: a part of "namespace/pod", or the first 6 or more of its uid. */
bool container__in_pod(const struct container *c, const char *wanted);

#endif
