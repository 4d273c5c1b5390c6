/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A load worker seen from bench: a process that takes and gives a JSON object a line. */
#ifndef HOPSCOPE_BENCH_REMOTE_H
#define HOPSCOPE_BENCH_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "stack/cgroup.h"
#include "stack/child.h"
#include "stack/watch.h"

struct remote {
	struct child child;
	struct watch *watch;
	char *buf; /* what was read and not yet handed on; owned */
	size_t len, size;
	bool lost; /* dead, or it did not answer and was killed */
};

/*
 * Starts `hopscope __worker ROLE`, in a network namespace (NULL: ours), and hands it its
 * configuration (the reference is taken over). It is not ready yet. 0 or negative errno after
 * log_fail().
 */
int remote__start(struct remote *r, const char *name, json_t *config, const struct cgroup *cgroup,
		  const struct netns *netns, const char *log, struct watch *watch);
/* Waits until it is ready. 0, -EINTR, or negative errno after log_fail(). */
int remote__await_ready(struct remote *r, unsigned int timeout_ms);

/*
 * Sends a command (the reference is taken over) and waits for its answer, which the caller owns.
 * -EINTR; -ECHILD: it died; -ETIMEDOUT: it did not answer, and was killed; -EREMOTEIO: it could not
 * carry it out. All but -EINTR after a message.
 */
int remote__call(struct remote *r, json_t *command, unsigned int timeout_ms, json_t **answer);

/* The two halves of that, for a command that is carried out while others are. */
int remote__send(struct remote *r, json_t *command);
int remote__answer(struct remote *r, unsigned int timeout_ms, json_t **answer);

/* Frees the buffer; the child is ended by child__stop_all(). */
void remote__free(struct remote *r);

#endif
