/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the gateway stack share: gateway*.c and nobody else. */
#ifndef HOPSCOPE_STACK_GATEWAY_INTERNAL_H
#define HOPSCOPE_STACK_GATEWAY_INTERNAL_H

#include "stack/gateway.h"

#define GATEWAY_READY_MS   15000
#define GATEWAY_POLL_MS	   20
#define GATEWAY_TAIL_LINES 5

/* gateway_check.c: where nginx keeps its modules, from `nginx -V`. 0 or negative errno. */
int gateway__modules_path(const char *nginx, char path[PATH_MAX]);
/* Every file that the templates consist of; NULL at the end. */
extern const char *const gateway_files[];

/* gateway_config.c: certificate and configurations of all services. 0 or negative errno. */
int gateway__configure(struct gateway *g);

/* gateway.c: starts the process and adds it to the watch. */
int gateway__start_process(struct gateway *g, enum gateway_id id);
/* Its process has gone, its cgroup is empty; the watch knows it no more. grace_ms 0: SIGKILL. */
int gateway__end_process(struct gateway *g, enum gateway_id id, unsigned int grace_ms);

#endif
