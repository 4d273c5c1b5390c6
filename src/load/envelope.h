/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SDK's message envelope: a MessagePack map with string keys.
 *
 *   every message  message_id (uuid), trace_id, correlation_id (or nil), timestamp (RFC 3339, UTC),
 *                  source
 *   request        + target, method, params {"payload": bin}
 *   response       + success, result (or nil), error (or nil); correlation_id is the request's
 *                    message_id
 *   event          + domain, event_type, payload {"run_id", "id", "data": bin}
 *
 * Keys that are not known are passed over.
 */
#ifndef HOPSCOPE_LOAD_ENVELOPE_H
#define HOPSCOPE_LOAD_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msgpack.h>

#define UUID_LEN 36

/* Bytes inside somebody else's buffer, not terminated. p NULL: absent or nil. */
struct slice {
	const char *p;
	size_t n;
};

static inline struct slice slice__of(const char *p, size_t n)
{
	return (struct slice){p, n};
}

struct slice slice__str(const char *s);
bool slice__equal(struct slice a, struct slice b);

enum envelope_kind { ENVELOPE_REQUEST = 1, ENVELOPE_RESPONSE = 2, ENVELOPE_EVENT = 3 };

struct envelope {
	struct slice message_id;
	struct slice trace_id;
	struct slice correlation_id;
	struct slice timestamp; /* p NULL when it was a number */
	struct slice source;
	/* request */
	struct slice target;
	struct slice method;
	/* response */
	bool success;
	struct slice error;
	bool has_sum;
	uint64_t sum; /* result.sum, written when has_sum */
	/* event */
	struct slice domain;
	struct slice event_type;
	struct slice run_id;
	uint64_t id;
	/* params.payload, result.payload, payload.data */
	struct slice payload;
};

/* UUIDs (version 4 in form) that carry a number: unique across processes, computable again. */
struct envelope_ids {
	uint64_t high;
	uint64_t low;
};

/* Fills the source with random bits. 0 or a negative errno. */
int envelope_ids__init(struct envelope_ids *ids);
/* UUID number seq (48 bits count). Writes UUID_LEN bytes and a NUL. */
void envelope_ids__format(const struct envelope_ids *ids, uint64_t seq, char out[UUID_LEN + 1]);

/* Now in UTC as 2026-11-21T21:50:00.123456Z. Returns buf. */
#define TIMESTAMP_LEN 27
char *envelope__timestamp(char buf[TIMESTAMP_LEN + 1]);

/*
 * Appends the encoding of `e` to `out` (clear it first to use it again). The kind says which fields
 * are written. 0 or -ENOMEM.
 */
int envelope__encode(msgpack_sbuffer *out, enum envelope_kind kind, const struct envelope *e);

/* Reusable memory of a decoder; one per thread. */
struct envelope_reader {
	msgpack_zone zone;
	bool ready;
};

int envelope_reader__init(struct envelope_reader *r);
void envelope_reader__free(struct envelope_reader *r);

/*
 * Decodes; the slices point into `data`. Any bytes are fine as input: what is not an envelope of
 * this kind is -EBADMSG, with *why a constant text. message_id and trace_id, where they could be
 * read, are set even then, so that an answer can name them. -ENOMEM: no memory.
 */
int envelope__decode(struct envelope_reader *r, enum envelope_kind kind, const void *data,
		     size_t len, struct envelope *e, const char **why);

#endif
