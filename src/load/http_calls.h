/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The HTTP calls of a run, what became of each, and their sums in all and over time; no HTTP. */
#ifndef HOPSCOPE_LOAD_HTTP_CALLS_H
#define HOPSCOPE_LOAD_HTTP_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "model/hist.h"

/* X(constant, name in "errors"): a call without a whole and good answer ends in one of these. */
#define HTTP_ERRORS(X)             \
	X(HTTP_REFUSED, refused)   \
	X(HTTP_RESET, reset)       \
	X(HTTP_TIMEOUT, timeout)   \
	X(HTTP_CLOSED, closed)     \
	X(HTTP_TLS, tls)           \
	X(HTTP_BAD_BODY, bad_body) \
	X(HTTP_OTHER, other)

enum http_fate {
	HTTP_NONE = 0, /* not begun */
	HTTP_PENDING = 1,
	HTTP_ANSWERED = 2, /* the code says what */
#define HTTP_ENUM(id, name) id,
	HTTP_ERRORS(HTTP_ENUM)
#undef HTTP_ENUM
		HTTP_FATE_MAX
};

struct http_call {
	uint64_t due_ns;   /* the actual start in a closed loop */
	uint64_t start_ns; /* just before it was handed to libcurl */
	uint64_t end_ns;   /* the last byte was in hand, or the call was given up */
	uint16_t code;	   /* of a whole answer, good or not; else 0 */
	uint8_t fate;	   /* enum http_fate */
};

#define HTTP_FIRST_FAILURES 20

struct http_failure {
	uint64_t t_ns;
	uint16_t code;
	uint8_t fate;
};

struct http_calls {
	struct http_call *call; /* start times rise with the index */
	size_t n;
	bool open;
	struct http_failure failure[HTTP_FIRST_FAILURES]; /* in the order they became known */
	size_t n_failures;
};

/* A run of n calls, none begun. 0 or -ENOMEM. */
int http_calls__init(struct http_calls *c, size_t n, bool open);
void http_calls__free(struct http_calls *c);

/* Call i is over. */
void http_calls__end(struct http_calls *c, size_t i, uint64_t now, enum http_fate fate,
		     unsigned int code);

static inline bool http_call__succeeded(const struct http_call *call)
{
	return call->fate == HTTP_ANSWERED && call->code / 100 == 2;
}

#define HTTP_CODE_MAX 1000

struct http_totals {
	size_t attempted;
	size_t succeeded;
	size_t failed;
	size_t errors[HTTP_FATE_MAX];
	size_t codes[HTTP_CODE_MAX];
	size_t behind_schedule;
	uint64_t late_ns_max;
	struct hist client;   /* from the actual start */
	struct hist intended; /* from the due time: open loop only */
};

/* Adds up `n` calls. Zeroes `t` first. */
void http_totals__of(struct http_totals *t, const struct http_call *call, size_t n, bool open);

/*
 * The body of the "done" event as far as it follows from the calls (worker.h): all from attempted
 * to errors, behind_schedule, late_ns_max, client, intended, first_failures; with bucket_ns also
 * timeline, with `record` also calls. NULL: out of memory.
 */
json_t *http_calls__to_json(const struct http_calls *c, uint64_t start_ns, uint64_t bucket_ns,
			    bool record);
/* The timeline alone. */
json_t *http_calls__timeline(const struct http_calls *c, uint64_t start_ns, uint64_t bucket_ns);

#endif
