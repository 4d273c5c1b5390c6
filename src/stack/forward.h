/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* socat in front of a broker: the stand-in for `kubectl port-forward`, one user-space hop. */
#ifndef HOPSCOPE_STACK_FORWARD_H
#define HOPSCOPE_STACK_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "stack/cgroup.h"
#include "stack/child.h"
#include "stack/rundir.h"

#define FORWARD_HOST_LEN 256

struct forward {
	char name[24];
	uint16_t port; /* on 127.0.0.1 */
	char host[FORWARD_HOST_LEN];
	uint16_t to;
	struct cgroup cgroup;
	struct child child;
};

int forward__start(struct forward *f, const struct rundir *run);
/* "socat 1.7.4.4". 0, -ENOENT when it is not installed, or negative errno. */
int forward__version(char *buf, size_t size);

#endif
