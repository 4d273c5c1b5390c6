/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The calls of an RPC run and what became of each; pure data, no NATS. */
#ifndef HOPSCOPE_LOAD_CALLS_H
#define HOPSCOPE_LOAD_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "model/hist.h"

/* X(constant, name in "errors"): a call ends in exactly one of these, or well. */
#define CALL_ERRORS(X)                       \
	X(CALL_TIMEOUT, timeout)             \
	X(CALL_NO_RESPONDERS, no_responders) \
	X(CALL_BAD_ENVELOPE, bad_envelope)   \
	X(CALL_REMOTE_ERROR, remote_error)   \
	X(CALL_DISCONNECTED, disconnected)   \
	X(CALL_OTHER, other)

enum call_status {
	CALL_NONE = 0, /* not begun */
	CALL_PENDING = 1,
	CALL_OK = 2,
#define CALL_ENUM(id, name) id,
	CALL_ERRORS(CALL_ENUM)
#undef CALL_ENUM
		CALL_STATUS_MAX
};

struct call {
	uint64_t intended_ns; /* when it was due; open loop only */
	uint64_t start_ns;    /* just before it was published */
	uint64_t end_ns;      /* just after the reply was in hand; success only */
	enum call_status status;
};

struct calls {
	struct call *call;
	size_t n;
	bool open;
};

/* A run of n calls, none begun. 0 or -ENOMEM. */
int calls__init(struct calls *c, size_t n, bool open);
void calls__free(struct calls *c);

struct calls_totals {
	size_t attempted;
	size_t succeeded;
	size_t failed;
	size_t errors[CALL_STATUS_MAX];
	size_t behind_schedule;
	struct hist client;   /* from the actual send */
	struct hist intended; /* from the intended send: open loop only */
};

/* Adds the calls up. Zeroes `t` first. */
void calls__total(const struct calls *c, struct calls_totals *t);

/*
 * The body of the "done" event: attempted, succeeded, failed, errors, behind_schedule, client,
 * intended; with `record` also calls. NULL: out of memory.
 */
json_t *calls__to_json(const struct calls *c, bool record);
/* The "errors" object alone. */
json_t *calls__errors_to_json(const size_t errors[CALL_STATUS_MAX]);

/* HIST of worker.h. NULL: out of memory. */
json_t *load_hist__to_json(const struct hist *h);

#endif
