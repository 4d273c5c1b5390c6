/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading and checking a recorded session. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "model/hist.h"
#include "model/verdict.h"
#include "out/hops.h"
#include "out/json.h"
#include "out/session.h"
#include "out/session_fields.h"
#include "out/text.h"

/* Where the walk is, and the first thing that was wrong. */
struct walk {
	char path[128];
	char *err;
	size_t err_len;
};

static int wrong(struct walk *w, const char *what)
{
	snprintf(w->err, w->err_len, "%s: %s", w->path[0] ? w->path : "document", what);
	return -EINVAL;
}

/* Extends the path; the result is what to hand to leave(). */
static size_t enter(struct walk *w, const char *name, size_t index)
{
	size_t len = strlen(w->path);

	if (name)
		snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "." : "", name);
	else
		snprintf(w->path + len, sizeof(w->path) - len, "[%zu]", index);
	return len;
}

static void leave(struct walk *w, size_t len)
{
	w->path[len] = 0;
}

static bool is_count(const json_t *v)
{
	return json_is_integer(v) && json_integer_value(v) >= 0 &&
	       json_integer_value(v) <= COUNT_LIMIT;
}

static bool is_number(const json_t *v)
{
	return json_is_number(v) && fabs(json_number_value(v)) <= NUMBER_LIMIT;
}

static int check_buckets(struct walk *w, const json_t *list)
{
	json_int_t last = -1, total = 0;

	if (!json_is_array(list))
		return wrong(w, "is not a list of [index, count]");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *pair = json_array_get(list, i);
		const json_t *index = json_array_get(pair, 0), *n = json_array_get(pair, 1);

		if (json_array_size(pair) != 2 || !is_count(index) || !is_count(n))
			return wrong(w, "is not a list of [index, count]");
		if (json_integer_value(index) <= last ||
		    json_integer_value(index) >= (json_int_t)HIST_BUCKETS)
			return wrong(w, "has an index that does not rise or is out of range");
		last = json_integer_value(index);
		total += json_integer_value(n);
		if (total > COUNT_LIMIT)
			return wrong(w, "holds more than 2^53 values");
	}
	return 0;
}

static bool is_row(const json_t *e)
{
	size_t i;

	for (i = 0; i < json_array_size(e); i++)
		if (!is_number(json_array_get(e, i)) && !json_is_null(json_array_get(e, i)))
			return false;
	return json_array_size(e) == 5;
}

/* Lists and objects of one kind of scalar. */
static int check_members(struct walk *w, const json_t *v, enum field_type type)
{
	if (type == COUNTS || type == TEXTS) {
		json_t *o = (json_t *)v;

		if (!json_is_object(v))
			return wrong(w, "is not an object");
		for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
			const json_t *e = json_object_iter_value(i);

			if (type == COUNTS ? !is_count(e) : json_is_array(e) || json_is_object(e))
				return wrong(w, "has a member of the wrong type");
		}
		return 0;
	}
	if (!json_is_array(v))
		return wrong(w, "is not a list");
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *e = json_array_get(v, i);

		if (type == POINTS &&
		    !(json_array_size(e) == 2 && is_number(json_array_get(e, 0)) &&
		      is_number(json_array_get(e, 1))))
			return wrong(w, "is not a list of [number, number]");
		if (type == ROWS && !is_row(e))
			return wrong(w, "is not a list of [number or null, ...], five each");
		if (type == IDS && !json_is_string(e) && !json_is_integer(e))
			return wrong(w, "holds something that is neither a text nor an integer");
		if (type == PAIRS &&
		    !(json_array_size(e) == 2 && json_is_string(json_array_get(e, 0)) &&
		      json_is_string(json_array_get(e, 1))))
			return wrong(w, "is not a list of [text, text]");
	}
	return 0;
}

static int check_object(struct walk *w, const json_t *o, const struct field *fields);

static int check_value(struct walk *w, const json_t *v, const struct field *f)
{
	switch (f->type) {
	case NUMBER: return is_number(v) ? 0 : wrong(w, "is not a number (within +-1e18)");
	case COUNT: return is_count(v) ? 0 : wrong(w, "is not a count (an integer from 0 to 2^53)");
	case TEXT: return json_is_string(v) ? 0 : wrong(w, "is not a text");
	case BOOL: return json_is_boolean(v) ? 0 : wrong(w, "is neither true nor false");
	case VERDICT:
		return json_is_string(v) && verdict__from_name(json_string_value(v)) != VERDICT_NONE
			       ? 0
			       : wrong(w, "is not a verdict");
	case OP:
		return json_is_string(v) && (!strcmp(json_string_value(v), "<=") ||
					     !strcmp(json_string_value(v), ">="))
			       ? 0
			       : wrong(w, "is neither <= nor >=");
	case BUCKETS: return check_buckets(w, v);
	case OBJECT: return check_object(w, v, f->fields);
	case LIST:
		if (!json_is_array(v))
			return wrong(w, "is not a list");
		for (size_t i = 0; i < json_array_size(v); i++) {
			size_t mark = enter(w, NULL, i);
			int err = check_object(w, json_array_get(v, i), f->fields);

			if (err)
				return err;
			leave(w, mark);
		}
		return 0;
	default: return check_members(w, v, f->type);
	}
}

/* A histogram that does not hold what its count says was cut or edited. */
static int check_latency(struct walk *w, const json_t *o)
{
	const json_t *list = json_object_get(o, "buckets");
	json_int_t total = 0;

	if (!json_is_array(list) || !json_is_integer(json_object_get(o, "count")))
		return 0;
	for (size_t i = 0; i < json_array_size(list); i++)
		total += json_integer_value(json_array_get(json_array_get(list, i), 1));
	if (total != json_integer_value(json_object_get(o, "count")))
		return wrong(w, "its buckets do not hold as many values as its count says");
	return 0;
}

/* What cannot be read was measured all the same: it is no NO DATA. */
static int check_hops(struct walk *w, const json_t *phase)
{
	struct waterfalls hops;
	char why[160];

	if (hops_json__load(&hops, phase, why, sizeof(why)))
		return wrong(w, why);
	waterfalls__free(&hops);
	return 0;
}

static int check_object(struct walk *w, const json_t *o, const struct field *fields)
{
	if (!json_is_object(o))
		return wrong(w, "is not an object");
	for (const struct field *f = fields; f->name; f++) {
		const json_t *v = json_object_get(o, f->name);
		size_t mark;
		int err;

		if (!v || json_is_null(v))
			continue;
		mark = enter(w, f->name, 0);
		err = check_value(w, v, f);
		if (err)
			return err;
		leave(w, mark);
	}
	if (fields == session_latency_fields)
		return check_latency(w, o);
	return fields == session_phase_fields ? check_hops(w, o) : 0;
}

int session__check(const json_t *session, char *err, size_t err_len)
{
	const json_t *schema = json_object_get(session, "schema");
	struct walk w = {.err = err, .err_len = err_len};

	if (!json_is_object(session) || !json_is_integer(schema)) {
		snprintf(err, err_len, "not a hopscope session: it has no number \"schema\"");
		return -EINVAL;
	}
	if (json_integer_value(schema) != SESSION_SCHEMA) {
		snprintf(err, err_len,
			 "its schema is %lld and this hopscope knows %d; use the version that "
			 "wrote it",
			 (long long)json_integer_value(schema), SESSION_SCHEMA);
		return -EPROTONOSUPPORT;
	}
	if (!json_is_array(json_object_get(session, "phases"))) {
		snprintf(err, err_len,
			 json_is_array(json_object_get(session, "series"))
				 ? "not a session but a line of `hopscope trace --json`"
				 : "not a hopscope session: it has no list \"phases\"");
		return -EINVAL;
	}
	return check_object(&w, session, session_fields);
}

static int load_stream(FILE *in, json_t **out, char *err, size_t err_len)
{
	struct text text = {0};
	json_error_t error;

	*out = json_loadf(in, JSON_REJECT_DUPLICATES, &error);
	if (*out)
		return 0;
	if (ferror(in)) {
		snprintf(err, err_len, "cannot read it: %s", strerror(EIO));
		return -EIO;
	}
	text__add_printable(&text, error.text);
	snprintf(err, err_len, "not JSON, line %d column %d: %s; was it cut short?", error.line,
		 error.column, text.data ? text.data : "");
	text__free(&text);
	return -EINVAL;
}

int session__load(const char *path, json_t **out, char *err, size_t err_len)
{
	bool is_stdin = !strcmp(path, "-");
	const char *file = path;
	char inside[4096];
	struct stat st;
	FILE *in = stdin;
	int ret;

	*out = NULL;
	if (!is_stdin) {
		if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
			snprintf(inside, sizeof(inside), "%s/session.json", path);
			file = inside;
		}
		in = fopen(file, "re");
		if (!in) {
			ret = -errno;
			snprintf(err, err_len, "cannot open %s: %s", file, strerror(errno));
			return ret;
		}
	}
	ret = load_stream(in, out, err, err_len);
	if (!is_stdin)
		fclose(in);
	if (!ret)
		ret = session__check(*out, err, err_len);
	if (ret) {
		json_decref(*out);
		*out = NULL;
	}
	return ret;
}

const json_t *session__get(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_null(v) ? NULL : v;
}

double session__get_number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

const char *session__get_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

bool session__get_bool(const json_t *o, const char *key, bool otherwise)
{
	const json_t *v = json_object_get(o, key);

	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

struct estimate session__get_estimate(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	double n = session__get_number(v, "n");

	return (struct estimate){
		.value = session__get_number(v, "value"),
		.lo = session__get_number(v, "ci_low"),
		.hi = session__get_number(v, "ci_high"),
		.n = n > 0 && n < COUNT_LIMIT ? (uint64_t)n : 0,
	};
}

bool session__get_hist(const json_t *latency, struct hist *h)
{
	const json_t *list = json_object_get(latency, "buckets");
	double min = session__get_number(latency, "min_ns");
	double max = session__get_number(latency, "max_ns");
	double mean = session__get_number(latency, "mean_ns");
	uint64_t n = 0;

	memset(h, 0, sizeof(*h));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *pair = json_array_get(list, i);
		json_int_t index = json_integer_value(json_array_get(pair, 0));
		json_int_t value = json_integer_value(json_array_get(pair, 1));

		if (index < 0 || index >= (json_int_t)HIST_BUCKETS || value < 0)
			return false;
		h->bucket[index] += (uint64_t)value;
		n += (uint64_t)value;
	}
	if (!n)
		return false;
	h->min = min >= 0 && min < COUNT_LIMIT ? (uint64_t)min + 1 : 1;
	h->max = max >= 0 && max < COUNT_LIMIT ? (uint64_t)max : hist__high(HIST_BUCKETS - 1);
	h->sum = mean >= 0 && mean * (double)n < 1e19 ? (uint64_t)llround(mean * (double)n) : 0;
	return true;
}
