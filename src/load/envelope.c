/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load/envelope.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct slice slice__str(const char *s)
{
	return slice__of(s, s ? strlen(s) : 0);
}

bool slice__equal(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

int envelope_ids__init(struct envelope_ids *ids)
{
	if (getrandom(ids, sizeof(*ids), 0) != sizeof(*ids))
		return -EIO;
	/* Version 4, variant 1; the low 48 bits are the number's. */
	ids->high = (ids->high & ~0xf000ull) | 0x4000ull;
	ids->low = (ids->low & 0x3fff000000000000ull) | 0x8000000000000000ull;
	return 0;
}

void envelope_ids__format(const struct envelope_ids *ids, uint64_t seq, char out[UUID_LEN + 1])
{
	static const char digit[] = "0123456789abcdef";
	uint64_t word = ids->high;
	int i, nibble = 0;

	/* Twice a call: snprintf would be the dearest part of the whole encoding. */
	for (i = 0; i < UUID_LEN; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			out[i] = '-';
			continue;
		}
		if (nibble++ == 16)
			word = ids->low | (seq & 0xffffffffffffull);
		out[i] = digit[word >> 60];
		word <<= 4;
	}
	out[UUID_LEN] = '\0';
}

char *envelope__timestamp(char buf[TIMESTAMP_LEN + 1])
{
	struct timespec now;
	struct tm tm;
	char text[80];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", tm.tm_year + 1900,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000);
	memcpy(buf, text, TIMESTAMP_LEN);
	buf[TIMESTAMP_LEN] = '\0';
	return buf;
}

/*
 * Encoding. msgpack_pack_*() fail only when the buffer cannot grow, and a failure leaves a short
 * buffer behind, so the results are or'ed together and looked at once.
 */
static int pack_str(msgpack_packer *pk, struct slice s)
{
	if (!s.p)
		return msgpack_pack_nil(pk);
	return msgpack_pack_str(pk, s.n) | msgpack_pack_str_body(pk, s.p, s.n);
}

static int pack_key(msgpack_packer *pk, const char *key)
{
	return pack_str(pk, slice__str(key));
}

static int pack_field(msgpack_packer *pk, const char *key, struct slice value)
{
	return pack_key(pk, key) | pack_str(pk, value);
}

static int pack_bin_field(msgpack_packer *pk, const char *key, struct slice value)
{
	return pack_key(pk, key) | msgpack_pack_bin(pk, value.n) |
	       (value.n ? msgpack_pack_bin_body(pk, value.p, value.n) : 0);
}

static int pack_request(msgpack_packer *pk, const struct envelope *e)
{
	return pack_field(pk, "target", e->target) | pack_field(pk, "method", e->method) |
	       pack_key(pk, "params") | msgpack_pack_map(pk, 1) |
	       pack_bin_field(pk, "payload", e->payload);
}

static int pack_response(msgpack_packer *pk, const struct envelope *e)
{
	int err = pack_key(pk, "success");

	err |= e->success ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
	err |= pack_key(pk, "result");
	if (!e->success) {
		err |= msgpack_pack_nil(pk);
	} else if (e->has_sum) {
		err |= msgpack_pack_map(pk, 1) | pack_key(pk, "sum");
		err |= msgpack_pack_uint64(pk, e->sum);
	} else {
		err |= msgpack_pack_map(pk, 1) | pack_bin_field(pk, "payload", e->payload);
	}
	return err | pack_field(pk, "error", e->error);
}

static int pack_event(msgpack_packer *pk, const struct envelope *e)
{
	return pack_field(pk, "domain", e->domain) | pack_field(pk, "event_type", e->event_type) |
	       pack_key(pk, "payload") | msgpack_pack_map(pk, 3) |
	       pack_field(pk, "run_id", e->run_id) | pack_key(pk, "id") |
	       msgpack_pack_uint64(pk, e->id) | pack_bin_field(pk, "data", e->payload);
}

int envelope__encode(msgpack_sbuffer *out, enum envelope_kind kind, const struct envelope *e)
{
	msgpack_packer pk;
	int err;

	msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
	err = msgpack_pack_map(&pk, 8);
	err |= pack_field(&pk, "message_id", e->message_id);
	err |= pack_field(&pk, "trace_id", e->trace_id);
	err |= pack_field(&pk, "correlation_id", e->correlation_id);
	err |= pack_field(&pk, "timestamp", e->timestamp);
	err |= pack_field(&pk, "source", e->source);
	switch (kind) {
	case ENVELOPE_REQUEST: err |= pack_request(&pk, e); break;
	case ENVELOPE_RESPONSE: err |= pack_response(&pk, e); break;
	case ENVELOPE_EVENT: err |= pack_event(&pk, e); break;
	}
	return err ? -ENOMEM : 0;
}

/* Decoding. */

int envelope_reader__init(struct envelope_reader *r)
{
	r->ready = msgpack_zone_init(&r->zone, 2048);
	return r->ready ? 0 : -ENOMEM;
}

void envelope_reader__free(struct envelope_reader *r)
{
	if (r->ready)
		msgpack_zone_destroy(&r->zone);
	r->ready = false;
}

/* Big-endian number of n bytes, n <= 4. The caller has checked that they are there. */
static size_t read_be(const uint8_t *p, size_t n)
{
	size_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/*
 * One object's head at p: *body bytes follow it (its length field included), and *items objects.
 * False: a byte that MessagePack does not use, or a length field cut short.
 */
static bool head(const uint8_t *p, const uint8_t *end, size_t *body, size_t *items)
{
	size_t left = (size_t)(end - p) - 1;
	uint8_t b = *p++;
	size_t wide;

	*body = 0;
	*items = 0;
	if (b < 0x80 || b >= 0xe0 || b == 0xc0 || b == 0xc2 || b == 0xc3) {
		return true; /* small numbers, nil, false, true */
	} else if (b < 0x90) {
		*items = 2 * (size_t)(b & 15);
	} else if (b < 0xa0) {
		*items = b & 15;
	} else if (b < 0xc0) {
		*body = b & 31;
	} else if (b == 0xc1) {
		return false;
	} else if (b <= 0xc9 || (b >= 0xd9 && b <= 0xdb)) { /* bin, ext, str with a length */
		wide = (size_t)1 << (b <= 0xc6 ? b - 0xc4 : b <= 0xc9 ? b - 0xc7 : b - 0xd9);
		if (left < wide)
			return false;
		*body = wide + read_be(p, wide) + (b >= 0xc7 && b <= 0xc9);
	} else if (b <= 0xcb) { /* float */
		*body = b == 0xca ? 4 : 8;
	} else if (b <= 0xd3) { /* integers of 1, 2, 4, 8 bytes */
		*body = (size_t)1 << (b & 3);
	} else if (b <= 0xd8) { /* fixext of 1 to 16 bytes */
		*body = 1 + ((size_t)1 << (b - 0xd4));
	} else { /* array, map with a length of 2 or 4 bytes */
		wide = b & 1 ? 4 : 2;
		if (left < wide)
			return false;
		*body = wide;
		*items = read_be(p, wide) * (b >= 0xde ? 2 : 1);
	}
	return true;
}

/*
 * Whether the bytes are exactly one MessagePack object. msgpack-c allocates the table of an array
 * or map from its declared length before it looks whether the elements are there: five bytes ask
 * for 200 GB. Every element takes a byte at least, so more elements than bytes left is a lie.
 */
static bool wellformed(const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	size_t expected = 1, body, items;

	while (expected) {
		if (p == end || !head(p, end, &body, &items))
			return false;
		p++;
		if (body > (size_t)(end - p))
			return false;
		p += body;
		expected = expected - 1 + items;
		if (expected > (size_t)(end - p))
			return false;
	}
	return p == end;
}

enum field_type {
	FIELD_STR = 1, /* must be there */
	FIELD_STR_OR_NIL = 2,
	FIELD_TIME = 3, /* string or number */
	FIELD_BOOL = 4,
	FIELD_UINT = 5,
	FIELD_BIN = 6, /* bin or str */
	FIELD_MAP = 7, /* the map of the rule's `inner` rules */
	FIELD_MAP_OR_NIL = 8,
};

struct rule {
	const char *key;
	enum field_type type;
	bool optional; /* may be absent */
	size_t offset; /* in struct envelope */
	const struct rule *inner;
	const char *why; /* when it is absent or of another type */
};

#define RULE(k, t, opt, member)                                                                    \
	{                                                                                          \
		.key = k, .type = t, .optional = opt, .offset = offsetof(struct envelope, member), \
		.why = "no valid " k                                                               \
	}
#define RULE_MAP(k, t, opt, in)                                                         \
	{                                                                               \
		.key = k, .type = t, .optional = opt, .inner = in, .why = "no valid " k \
	}

static const struct rule params_rules[] = {
	RULE("payload", FIELD_BIN, true, payload),
	{0},
};

static const struct rule result_rules[] = {
	RULE("payload", FIELD_BIN, true, payload),
	RULE("sum", FIELD_UINT, true, sum),
	{0},
};

static const struct rule event_rules[] = {
	RULE("run_id", FIELD_STR, false, run_id),
	RULE("id", FIELD_UINT, false, id),
	RULE("data", FIELD_BIN, true, payload),
	{0},
};

/* In order: message_id and trace_id come first, so that a refusal can name them. */
#define RULES_COMMON                                                            \
	RULE("message_id", FIELD_STR, false, message_id),                       \
		RULE("trace_id", FIELD_STR_OR_NIL, true, trace_id),             \
		RULE("correlation_id", FIELD_STR_OR_NIL, true, correlation_id), \
		RULE("timestamp", FIELD_TIME, true, timestamp),                 \
		RULE("source", FIELD_STR_OR_NIL, true, source)

static const struct rule rules[][10] = {
	[ENVELOPE_REQUEST] =
		{
			RULES_COMMON,
			RULE("target", FIELD_STR_OR_NIL, true, target),
			RULE("method", FIELD_STR, false, method),
			RULE_MAP("params", FIELD_MAP, false, params_rules),
		},
	[ENVELOPE_RESPONSE] =
		{
			RULES_COMMON,
			RULE("success", FIELD_BOOL, false, success),
			RULE("error", FIELD_STR_OR_NIL, true, error),
			RULE_MAP("result", FIELD_MAP_OR_NIL, true, result_rules),
		},
	[ENVELOPE_EVENT] =
		{
			RULES_COMMON,
			RULE("domain", FIELD_STR_OR_NIL, true, domain),
			RULE("event_type", FIELD_STR, false, event_type),
			RULE_MAP("payload", FIELD_MAP, false, event_rules),
		},
};

static const msgpack_object *find(const msgpack_object *map, const char *key)
{
	size_t n = strlen(key);
	uint32_t i;

	for (i = 0; i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];

		if (kv->key.type == MSGPACK_OBJECT_STR && kv->key.via.str.size == n &&
		    memcmp(kv->key.via.str.ptr, key, n) == 0)
			return &kv->val;
	}
	return NULL;
}

static int apply(const msgpack_object *map, const struct rule *rule, struct envelope *e,
		 const char **why);

static bool store_str(const msgpack_object *v, struct slice *at)
{
	if (v->type != MSGPACK_OBJECT_STR)
		return false;
	*at = slice__of(v->via.str.ptr, v->via.str.size);
	return true;
}

/* Stores one value. False: the type is not the rule's. */
static bool store(const msgpack_object *v, const struct rule *rule, struct envelope *e,
		  const char **why)
{
	void *at = (char *)e + rule->offset;

	switch (rule->type) {
	case FIELD_TIME:
		if (v->type == MSGPACK_OBJECT_FLOAT64 || v->type == MSGPACK_OBJECT_FLOAT32 ||
		    v->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
			return true;
		return store_str(v, at);
	case FIELD_STR_OR_NIL: return v->type == MSGPACK_OBJECT_NIL || store_str(v, at);
	case FIELD_STR: return store_str(v, at);
	case FIELD_BIN:
		if (v->type != MSGPACK_OBJECT_BIN)
			return store_str(v, at);
		*(struct slice *)at = slice__of(v->via.bin.ptr, v->via.bin.size);
		return true;
	case FIELD_BOOL:
		*(bool *)at = v->type == MSGPACK_OBJECT_BOOLEAN && v->via.boolean;
		return v->type == MSGPACK_OBJECT_BOOLEAN;
	case FIELD_UINT:
		*(uint64_t *)at = v->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? v->via.u64 : 0;
		return v->type == MSGPACK_OBJECT_POSITIVE_INTEGER;
	case FIELD_MAP_OR_NIL:
	case FIELD_MAP:
		if (v->type == MSGPACK_OBJECT_NIL)
			return rule->type == FIELD_MAP_OR_NIL;
		return v->type == MSGPACK_OBJECT_MAP && apply(v, rule->inner, e, why) == 0;
	}
	return false;
}

static int apply(const msgpack_object *map, const struct rule *rule, struct envelope *e,
		 const char **why)
{
	for (; rule->key; rule++) {
		const msgpack_object *v = find(map, rule->key);

		if (!v && rule->optional)
			continue;
		*why = rule->why;
		if (!v || !store(v, rule, e, why))
			return -EBADMSG;
	}
	*why = NULL;
	return 0;
}

int envelope__decode(struct envelope_reader *r, enum envelope_kind kind, const void *data,
		     size_t len, struct envelope *e, const char **why)
{
	msgpack_object root;
	size_t off = 0;

	memset(e, 0, sizeof(*e));
	*why = "not one MessagePack object";
	if (!data || !wellformed(data, len))
		return -EBADMSG;

	msgpack_zone_clear(&r->zone);
	/*
	 * msgpack_unpack() says EXTRA_BYTES or SUCCESS for a whole object. Anything else on well-
	 * formed input is nesting deeper than its fixed stack, or memory.
	 */
	switch (msgpack_unpack(data, len, &off, &r->zone, &root)) {
	case MSGPACK_UNPACK_SUCCESS:
	case MSGPACK_UNPACK_EXTRA_BYTES: break;
	default: *why = "nested too deeply"; return -EBADMSG;
	}
	*why = "not a map";
	if (root.type != MSGPACK_OBJECT_MAP)
		return -EBADMSG;
	return apply(&root, rules[kind], e, why);
}
