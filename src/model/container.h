/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose cgroup is this? What its path alone says; names come from src/probe/container.h. */
#ifndef HOPSCOPE_MODEL_CONTAINER_H
#define HOPSCOPE_MODEL_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

/* All strings are printable ASCII, whatever the path held, and "" when not known. */
struct container {
	char runtime[16]; /* "containerd", "docker", "cri-o", "podman", "runc", "lxc", "systemd",
			     "kubelet", "" */
	char id[72];	  /* full container id, 64 hex digits as a rule */
	char name[128];	  /* container's or unit's name; the cgroup's last component otherwise. A
			     container whose name is not known has the component with its id here */
	char pod[128];	  /* pod's name; its uid where only that is known */
	char pod_uid[40]; /* with dashes, whichever form the path has */
	char namespace_[64];
};

/*
 * Reads runtime, id, pod uid and unit off a cgroup path (below a mount, v1 or v2, systemd or
 * cgroupfs driver, nested under other slices; of containers in containers, the innermost). True: a
 * container, or a systemd service or scope. False: a level above them (slice, pod, class of pods),
 * or a plain cgroup; `name` is its last component.
 */
bool container__parse(const char *path, struct container *c);

/* A container whose name is known, not only its id. */
bool container__is_named(const struct container *c);

/*
 * How a table calls it: "namespace/pod/name", "name", "pod/name" or the path; at most size bytes,
 * 0 included. A cgroup within a container is its name and the rest of the path: "web/init". Names
 * are printable; a path is as it is.
 */
void container__label(const struct container *c, const char *path, char *out, size_t size);

/* Copies len bytes, those that are not printable ASCII as \xNN; cut where `out` is full. */
void container__put(char *out, size_t size, const char *s, size_t len);

#endif
