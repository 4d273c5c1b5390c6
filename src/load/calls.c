/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load/schedule.h"

int calls__init(struct calls *c, size_t n, bool open)
{
	c->call = calloc(n ? n : 1, sizeof(*c->call));
	c->n = n;
	c->open = open;
	return c->call ? 0 : -ENOMEM;
}

void calls__free(struct calls *c)
{
	free(c->call);
	c->call = NULL;
	c->n = 0;
}

void calls__total(const struct calls *c, struct calls_totals *t)
{
	const struct call *call;

	memset(t, 0, sizeof(*t));
	for (call = c->call; call < c->call + c->n; call++) {
		if (call->status == CALL_NONE)
			continue;
		t->attempted++;
		if (c->open && call->start_ns > call->intended_ns + SCHEDULE_LATE_NS)
			t->behind_schedule++;
		if (call->status != CALL_OK) {
			t->failed++;
			t->errors[call->status]++;
			continue;
		}
		t->succeeded++;
		hist__add(&t->client, call->end_ns - call->start_ns);
		if (c->open)
			hist__add(&t->intended, call->end_ns - call->intended_ns);
	}
	/* A call that was given up without an end (it should not be there) is no result. */
	t->errors[CALL_OTHER] += t->errors[CALL_PENDING];
	t->errors[CALL_PENDING] = 0;
}

json_t *load_hist__to_json(const struct hist *h)
{
	bool empty = hist__count(h) == 0;
	json_t *buckets = json_array();
	uint32_t i;

	for (i = 0; i < HIST_BUCKETS; i++) {
		if (h->bucket[i] == 0)
			continue;
		if (json_array_append_new(
			    buckets, json_pack("[I,I]", (json_int_t)i, (json_int_t)h->bucket[i])))
			goto nomem;
	}
	return json_pack("{s:I,s:o,s:o,s:o}", "sum", (json_int_t)h->sum, "min_ns",
			 empty ? json_null() : json_integer((json_int_t)hist__min_ns(h)), "max_ns",
			 empty ? json_null() : json_integer((json_int_t)hist__max_ns(h)), "buckets",
			 buckets);
nomem:
	json_decref(buckets);
	return NULL;
}

json_t *calls__errors_to_json(const size_t errors[CALL_STATUS_MAX])
{
	json_t *o = json_object();
	int err = 0;

#define CALL_PUT(id, name) \
	err |= json_object_set_new(o, #name, json_integer((json_int_t)errors[id]));
	CALL_ERRORS(CALL_PUT)
#undef CALL_PUT
	if (!err)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *calls__record(const struct calls *c)
{
	json_t *list = json_array();
	const struct call *call;

	for (call = c->call; call < c->call + c->n; call++) {
		if (call->status != CALL_OK)
			continue;
		if (json_array_append_new(list, json_pack("[I,I]", (json_int_t)call->start_ns,
							  (json_int_t)call->end_ns))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *calls__to_json(const struct calls *c, bool record)
{
	struct calls_totals *t = malloc(sizeof(*t)); /* two histograms: 20 KB */
	json_t *o = NULL;

	if (!t)
		return NULL;
	calls__total(c, t);
	o = json_pack("{s:I,s:I,s:I,s:o,s:I,s:o,s:o}", "attempted", (json_int_t)t->attempted,
		      "succeeded", (json_int_t)t->succeeded, "failed", (json_int_t)t->failed,
		      "errors", calls__errors_to_json(t->errors), "behind_schedule",
		      (json_int_t)t->behind_schedule, "client", load_hist__to_json(&t->client),
		      "intended", c->open ? load_hist__to_json(&t->intended) : json_null());
	free(t);
	if (o && record && json_object_set_new(o, "calls", calls__record(c))) {
		json_decref(o);
		return NULL;
	}
	return o;
}
