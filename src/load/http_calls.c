/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load/http_calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/calls.h"
#include "load/schedule.h"

static const char *const fate_names[HTTP_FATE_MAX] = {
#define HTTP_NAME(id, name) [id] = #name,
	HTTP_ERRORS(HTTP_NAME)
#undef HTTP_NAME
};

int http_calls__init(struct http_calls *c, size_t n, bool open)
{
	memset(c, 0, sizeof(*c));
	c->call = calloc(n ? n : 1, sizeof(*c->call));
	c->n = n;
	c->open = open;
	return c->call ? 0 : -ENOMEM;
}

void http_calls__free(struct http_calls *c)
{
	free(c->call);
	c->call = NULL;
	c->n = 0;
}

void http_calls__end(struct http_calls *c, size_t i, uint64_t now, enum http_fate fate,
		     unsigned int code)
{
	struct http_call *call = &c->call[i];

	call->end_ns = now;
	call->fate = (uint8_t)fate;
	call->code = code < HTTP_CODE_MAX ? (uint16_t)code : 0;
	if (http_call__succeeded(call) || c->n_failures == HTTP_FIRST_FAILURES)
		return;
	c->failure[c->n_failures++] = (struct http_failure){now, call->code, call->fate};
}

void http_totals__of(struct http_totals *t, const struct http_call *call, size_t n, bool open)
{
	const struct http_call *end = call + n;
	uint64_t late;

	memset(t, 0, sizeof(*t));
	for (; call < end; call++) {
		if (call->fate == HTTP_NONE)
			continue;
		t->attempted++;
		late = call->start_ns > call->due_ns ? call->start_ns - call->due_ns : 0;
		t->behind_schedule += late > SCHEDULE_LATE_NS;
		if (late > t->late_ns_max)
			t->late_ns_max = late;
		if (call->code)
			t->codes[call->code]++;
		/* A call without an end (it should not be there) is no result. */
		if (call->fate == HTTP_PENDING)
			t->errors[HTTP_OTHER]++;
		else if (call->fate != HTTP_ANSWERED)
			t->errors[call->fate]++;
		if (!http_call__succeeded(call)) {
			t->failed++;
			continue;
		}
		t->succeeded++;
		hist__add(&t->client, call->end_ns - call->start_ns);
		if (open)
			hist__add(&t->intended, call->end_ns - call->due_ns);
	}
}

static json_t *errors__to_json(const size_t errors[HTTP_FATE_MAX], bool all)
{
	json_t *o = json_object();
	int err = o ? 0 : -1, i;

	for (i = HTTP_ANSWERED + 1; !err && i < HTTP_FATE_MAX; i++) {
		if (all || errors[i])
			err = json_object_set_new(o, fate_names[i],
						  json_integer((json_int_t)errors[i]));
	}
	if (!err)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *codes__to_json(const size_t codes[HTTP_CODE_MAX])
{
	json_t *o = json_object();
	int err = o ? 0 : -1, i;
	char name[8];

	for (i = 0; !err && i < HTTP_CODE_MAX; i++) {
		if (!codes[i])
			continue;
		snprintf(name, sizeof(name), "%d", i);
		err = json_object_set_new(o, name, json_integer((json_int_t)codes[i]));
	}
	if (!err)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *status__to_json(const size_t codes[HTTP_CODE_MAX])
{
	size_t class[HTTP_CODE_MAX / 100] = {0};
	int i;

	for (i = 0; i < HTTP_CODE_MAX; i++)
		class[i / 100] += codes[i];
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "1xx", (json_int_t) class[1], "2xx",
			 (json_int_t) class[2], "3xx", (json_int_t) class[3], "4xx",
			 (json_int_t) class[4], "5xx", (json_int_t) class[5]);
}

/* Appends and takes `item` over; a list that could not take one becomes NULL. */
static json_t *list__append(json_t *list, json_t *item)
{
	if (!list) {
		json_decref(item);
		return NULL;
	}
	if (json_array_append_new(list, item) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *failures__to_json(const struct http_calls *c)
{
	json_t *list = json_array();
	const struct http_failure *f;
	char code[8];

	for (f = c->failure; f < c->failure + c->n_failures; f++) {
		snprintf(code, sizeof(code), "%u", f->code);
		list = list__append(
			list, json_pack("{s:I,s:s}", "t_ns", (json_int_t)f->t_ns, "what",
					f->fate == HTTP_ANSWERED ? code : fate_names[f->fate]));
	}
	return list;
}

static json_t *record__to_json(const struct http_calls *c)
{
	json_t *list = json_array();
	const struct http_call *call;

	for (call = c->call; call < c->call + c->n; call++) {
		if (call->fate == HTTP_NONE)
			continue;
		/* An error has no code, so that 2xx here is success. */
		list = list__append(
			list,
			json_pack("[I,I,I,I]", (json_int_t)call->due_ns, (json_int_t)call->start_ns,
				  (json_int_t)call->end_ns,
				  (json_int_t)(call->fate == HTTP_ANSWERED ? call->code : 0)));
	}
	return list;
}

static int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Work space of a timeline: one bucket's sums and its sorted latencies. */
struct timeline {
	struct http_totals totals;
	uint64_t *ns;
	size_t n;
};

static json_t *timeline__quantile(const struct timeline *t, double q)
{
	return t->n ? json_integer((json_int_t)t->ns[hist__rank(t->n, q) - 1]) : json_null();
}

static json_t *timeline__bucket(struct timeline *t, uint64_t at, const struct http_call *call,
				size_t n)
{
	struct http_totals *s = &t->totals;
	size_t i;

	http_totals__of(s, call, n, false);
	for (i = 0, t->n = 0; i < n; i++) {
		if (http_call__succeeded(&call[i]))
			t->ns[t->n++] = call[i].end_ns - call[i].due_ns;
	}
	qsort(t->ns, t->n, sizeof(*t->ns), compare_ns);
	return json_pack("{s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o}", "t_ns", (json_int_t)at, "due",
			 (json_int_t)s->attempted, "succeeded", (json_int_t)s->succeeded, "failed",
			 (json_int_t)s->failed, "codes", codes__to_json(s->codes), "errors",
			 errors__to_json(s->errors, false), "p50_ns", timeline__quantile(t, 0.5),
			 "p99_ns", timeline__quantile(t, 0.99), "max_ns", timeline__quantile(t, 1));
}

json_t *http_calls__timeline(const struct http_calls *c, uint64_t start_ns, uint64_t bucket_ns)
{
	struct timeline *t = malloc(sizeof(*t));
	json_t *list = json_array();
	size_t i, from;

	if (t)
		t->ns = malloc((c->n ? c->n : 1) * sizeof(*t->ns));
	if (!t || !t->ns) {
		json_decref(list);
		free(t);
		return NULL;
	}
	/* Due times rise with the index, so a bucket's calls stand together. */
	for (i = 0; i < c->n && c->call[i].fate != HTTP_NONE;) {
		uint64_t bucket = (c->call[i].due_ns - start_ns) / bucket_ns;

		for (from = i; i < c->n && c->call[i].fate != HTTP_NONE &&
			       (c->call[i].due_ns - start_ns) / bucket_ns == bucket;
		     i++)
			;
		list = list__append(list, timeline__bucket(t, start_ns + bucket * bucket_ns,
							   &c->call[from], i - from));
	}
	free(t->ns);
	free(t);
	return list;
}

json_t *http_calls__to_json(const struct http_calls *c, uint64_t start_ns, uint64_t bucket_ns,
			    bool record)
{
	struct http_totals *t = malloc(sizeof(*t)); /* two histograms: 20 KB */
	json_t *o = NULL;

	if (!t)
		return NULL;
	http_totals__of(t, c->call, c->n, c->open);
	o = json_pack("{s:I,s:I,s:I,s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:o}", "attempted",
		      (json_int_t)t->attempted, "succeeded", (json_int_t)t->succeeded, "failed",
		      (json_int_t)t->failed, "status", status__to_json(t->codes), "codes",
		      codes__to_json(t->codes), "errors", errors__to_json(t->errors, true),
		      "behind_schedule", (json_int_t)t->behind_schedule, "late_ns_max",
		      c->open ? json_integer((json_int_t)t->late_ns_max) : json_null(), "client",
		      load_hist__to_json(&t->client), "intended",
		      c->open ? load_hist__to_json(&t->intended) : json_null(), "first_failures",
		      failures__to_json(c));
	free(t);
	if (o && bucket_ns &&
	    json_object_set_new(o, "timeline", http_calls__timeline(c, start_ns, bucket_ns)))
		goto nomem;
	if (o && record && json_object_set_new(o, "calls", record__to_json(c)))
		goto nomem;
	return o;
nomem:
	json_decref(o);
	return NULL;
}
