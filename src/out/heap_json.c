/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes heap profiles. Sites are written one by one: all at once would be a large tree. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "out/heap_json.h"
#include "out/json.h"
#include "stack_walk.h"

#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))

/* Takes `value` over; *o becomes NULL when memory ran out. */
static json_t *hex(uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, v);
	return json_string(text);
}

/* Sums of figures that were written and read differ in the last digits: those are left out. */
static json_t *sum(double v)
{
	return session__number(rint(v * 1000) / 1000);
}

static json_t *totals(const struct heap_profile *p)
{
	struct heap_total t;
	json_t *o = json_object();

	heap_profile__total(p, &t);
	session__put(&o, "bytes", sum(t.bytes));
	session__put(&o, "blocks", sum(t.blocks));
	session__put(&o, "bytes_error", sum(t.bytes_error));
	session__put(&o, "grown_bytes", sum(t.grown_bytes));
	session__put(&o, "unattributed_bytes", session__number(p->unattributed_bytes));
	session__put(&o, "resident_bytes", session__number(p->resident_bytes));
	return o;
}

static json_t *counters(const struct heap_profile *p)
{
	json_t *o = json_object();

#define PUT(name, what) session__put(&o, #name, session__number((double)p->counters.name));
	HEAP_COUNTERS(PUT)
#undef PUT
	return o;
}

static json_t *overhead(const struct heap_profile *p)
{
	json_t *o = json_object();

	session__put(&o, "hits", session__number(p->probe_hits));
	session__put(&o, "ns", session__number(p->probe_ns));
	session__put(&o, "budget", p->budget > 0 ? session__number(p->budget) : json_null());
	session__put(&o, "stopped", p->stopped[0] ? session__text(p->stopped) : json_null());
	return o;
}

static json_t *notes(const struct heap_profile *p)
{
	json_t *a = json_array();

	for (size_t i = 0; i < p->n_notes; i++)
		session__append(&a, session__text(p->notes[i]));
	return a;
}

/* All but the sites. */
static json_t *header(const struct heap_profile *p, bool final)
{
	json_t *o = json_object();

	session__put(&o, "schema", json_integer(HEAP_SCHEMA));
	session__put(&o, "kind", json_string("heap"));
	session__put(&o, "final", json_boolean(final));
	session__put(&o, "source", session__text(heap_source__name(p->source)));
	session__put(&o, "label", session__text(heap_label__name(p->label)));
	session__put(&o, "sample_bytes", session__number(p->sample_bytes));
	session__put(&o, "target", session__text(p->target));
	session__put(&o, "allocator", session__text(p->allocator));
	session__put(&o, "started", session__number(p->started_unix));
	session__put(&o, "duration_s", session__number(p->duration_s));
	session__put(&o, "grown_s", session__number(p->grown_s));
	session__put(&o, "totals", totals(p));
	session__put(&o, "counters", counters(p));
	session__put(&o, "overhead", overhead(p));
	session__put(&o, "notes", notes(p));
	if (p->notes_lost)
		session__put(&o, "notes_lost", session__number((double)p->notes_lost));
	return o;
}

static json_t *frame(const struct heap_frame *f)
{
	json_t *o = json_object();

	session__put(&o, "function", session__text(f->function));
	session__put(&o, "module", session__text(f->module));
	session__put(&o, "offset", hex(f->offset));
	session__put(&o, "address", hex(f->address));
	session__put(&o, "source", session__text(f->source));
	session__put(&o, "line", f->source && f->line ? json_integer(f->line) : json_null());
	return o;
}

static json_t *site(const struct heap_profile *p, const struct heap_site *s)
{
	json_t *o = json_object(), *stack = json_array();

	session__put(&o, "bytes", session__number(s->bytes));
	session__put(&o, "blocks", session__number(s->blocks));
	session__put(&o, "label", session__text(heap_label__name(p->label)));
	session__put(&o, "bytes_error", session__number(s->bytes_error));
	session__put(&o, "grown_bytes", session__number(s->grown_bytes));
	session__put(&o, "grown_blocks", session__number(s->grown_blocks));
	session__put(&o, "total_bytes", session__number(s->total_bytes));
	session__put(&o, "total_blocks", session__number(s->total_blocks));
	session__put(&o, "age_s", session__number(s->age_s));
	session__put(&o, "pid", json_integer(s->tgid));
	session__put(&o, "comm", session__text(s->comm));
	session__put(&o, "truncated", json_boolean(s->flags & STACK_TRUNCATED));
	session__put(&o, "broken", json_boolean(s->flags & STACK_BROKEN));
	for (size_t i = 0; i < s->n_frames; i++)
		session__append(&stack, frame(&s->frames[i]));
	session__put(&o, "stack", stack);
	return o;
}

/* Writes and drops v. */
static int dump(json_t *v, FILE *out)
{
	int err = !v ? -ENOMEM : json_dumpf(v, out, DUMP_FLAGS) ? -EIO : 0;

	json_decref(v);
	return err;
}

int heap_json__print(FILE *out, const struct heap_profile *p, bool final)
{
	json_t *o = header(p, final);
	char *text = o ? json_dumps(o, DUMP_FLAGS) : NULL;
	int err = text ? 0 : -ENOMEM;

	json_decref(o);
	if (!err) {
		text[strlen(text) - 1] = 0; /* the object stays open */
		fprintf(out, "%s,\"sites\":[", text);
	}
	for (size_t i = 0; i < p->n_sites && !err; i++) {
		if (i)
			fputc(',', out);
		err = dump(site(p, &p->sites[i]), out);
	}
	free(text);
	fputs("]}\n", out);
	if (fflush(out) || ferror(out))
		return err ? err : -EIO;
	return err;
}
