/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads heap profiles. Whatever the file holds, it is checked before it is used. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "model/heap_sites.h"
#include "out/heap_json.h"
#include "stack_walk.h"

#define MAX_FRAMES 512
#define MAX_VALUE  1e18 /* bytes: sums stay finite */

struct load {
	char *err;
	size_t err_len;
	char where[48];
};

static int wrong(struct load *l, const char *fmt, ...)
{
	size_t used = (size_t)snprintf(l->err, l->err_len, "%s%s", l->where, *l->where ? ": " : "");
	va_list args;

	va_start(args, fmt);
	if (used < l->err_len)
		vsnprintf(l->err + used, l->err_len - used, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* Absent and null are NaN. */
static int number(struct load *l, const json_t *o, const char *key, double *out)
{
	const json_t *v = json_object_get(o, key);

	*out = NAN;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_number(v) || fabs(json_number_value(v)) > MAX_VALUE)
		return wrong(l, "'%s' is no number within +-1e18", key);
	*out = json_number_value(v);
	return 0;
}

/* The same, but a number must be there. `least`: the smallest that makes sense. */
static int known(struct load *l, const json_t *o, const char *key, double least, double *out)
{
	int err = number(l, o, key, out);

	if (err)
		return err;
	if (!(*out >= least))
		return wrong(l, "'%s' is missing or less than %g", key, least);
	return 0;
}

static int text(struct load *l, const json_t *o, const char *key, bool needed, const char **out)
{
	const json_t *v = json_object_get(o, key);

	*out = NULL;
	if (v && json_is_string(v))
		*out = json_string_value(v);
	else if (needed || (v && !json_is_null(v)))
		return wrong(l, "'%s' is no text", key);
	return 0;
}

static int copy_text(struct load *l, const json_t *o, const char *key, char *out, size_t size)
{
	const char *s;
	int err = text(l, o, key, false, &s);

	if (!err)
		snprintf(out, size, "%s", s ? s : "");
	return err;
}

static int address(struct load *l, const json_t *o, const char *key, uint64_t *out)
{
	const char *s;
	char *end;
	int err = text(l, o, key, false, &s);

	*out = 0;
	if (err || !s)
		return err;
	errno = 0;
	*out = strtoull(s, &end, 16);
	if (strncmp(s, "0x", 2) != 0 || *end || errno)
		return wrong(l, "'%s' is no address (\"0x...\")", key);
	return 0;
}

static int read_frame(struct load *l, const json_t *o, struct heap_frame *f)
{
	double line;
	int err = text(l, o, "function", true, &f->function);

	err = err ? err : text(l, o, "module", false, &f->module);
	err = err ? err : text(l, o, "source", false, &f->source);
	err = err ? err : address(l, o, "address", &f->address);
	err = err ? err : address(l, o, "offset", &f->offset);
	err = err ? err : number(l, o, "line", &line);
	if (err)
		return err;
	if (!isnan(line) && !(line >= 0 && line <= INT32_MAX))
		return wrong(l, "'line' is out of range");
	f->line = isnan(line) ? 0 : (unsigned int)line;
	return 0;
}

static int read_stack(struct load *l, const json_t *list, struct heap_frame *frames, size_t *n)
{
	*n = json_array_size(list);
	if (!json_is_array(list) || *n > MAX_FRAMES)
		return wrong(l, "'stack' is no list of at most %d frames", MAX_FRAMES);
	for (size_t i = 0; i < *n; i++) {
		int err = read_frame(l, json_array_get(list, i), &frames[i]);

		if (err)
			return err;
	}
	return 0;
}

static int read_site(struct load *l, const json_t *o, struct heap_site *s)
{
	double pid;
	int err = known(l, o, "bytes", 0, &s->bytes);

	err = err ? err : known(l, o, "blocks", 0, &s->blocks);
	err = err ? err : known(l, o, "bytes_error", 0, &s->bytes_error);
	err = err ? err : known(l, o, "grown_bytes", -MAX_VALUE, &s->grown_bytes);
	err = err ? err : known(l, o, "grown_blocks", -MAX_VALUE, &s->grown_blocks);
	err = err ? err : known(l, o, "total_bytes", 0, &s->total_bytes);
	err = err ? err : known(l, o, "total_blocks", 0, &s->total_blocks);
	err = err ? err : number(l, o, "age_s", &s->age_s);
	err = err ? err : known(l, o, "pid", 0, &pid);
	err = err ? err : text(l, o, "comm", false, &s->comm);
	if (err)
		return err;
	if (pid > UINT32_MAX)
		return wrong(l, "'pid' is out of range");
	s->tgid = (uint32_t)pid;
	s->flags = (json_is_true(json_object_get(o, "truncated")) ? STACK_TRUNCATED : 0) |
		   (json_is_true(json_object_get(o, "broken")) ? STACK_BROKEN : 0);
	return 0;
}

static int read_sites(struct load *l, const json_t *list, struct heap_profile *p)
{
	struct heap_frame frames[MAX_FRAMES];
	struct heap_sites sites;
	int err;

	if (!json_is_array(list))
		return wrong(l, "'sites' is no list");
	err = heap_sites__init(&sites, HEAP_BY_LINE);
	for (size_t i = 0; i < json_array_size(list) && !err; i++) {
		const json_t *o = json_array_get(list, i);
		struct heap_site s = {.frames = frames};

		memset(frames, 0, sizeof(frames));
		snprintf(l->where, sizeof(l->where), "sites[%zu]", i);
		err = read_site(l, o, &s);
		err = err ? err : read_stack(l, json_object_get(o, "stack"), frames, &s.n_frames);
		err = err ? err : heap_sites__add(&sites, &s);
	}
	l->where[0] = 0;
	if (!err)
		heap_sites__take(&sites, p);
	heap_sites__free(&sites);
	return err;
}

static int read_counters(struct load *l, const json_t *o, struct heap_counters *c)
{
	double v;
	int err;

#define READ(name, what)                                            \
	err = number(l, o, #name, &v);                              \
	if (err)                                                    \
		return err;                                         \
	if (v < 0)                                                  \
		return wrong(l, "counter '%s' is negative", #name); \
	c->name = isnan(v) ? 0 : (uint64_t)v;
	HEAP_COUNTERS(READ)
#undef READ
	return 0;
}

static int read_header(struct load *l, const json_t *o, struct heap_profile *p)
{
	const json_t *overhead = json_object_get(o, "overhead");
	const json_t *totals = json_object_get(o, "totals");
	const char *source, *label;
	double bytes;
	int err = text(l, o, "source", true, &source);

	err = err ? err : text(l, o, "label", true, &label);
	if (err)
		return err;
	p->source = heap_source__from_name(source);
	p->label = heap_label__from_name(label);
	if (!p->source || !p->label)
		return wrong(l, "unknown 'source' or 'label'");
	err = known(l, o, "sample_bytes", 0, &p->sample_bytes);
	err = err ? err : copy_text(l, o, "target", p->target, sizeof(p->target));
	err = err ? err : copy_text(l, o, "allocator", p->allocator, sizeof(p->allocator));
	err = err ? err : known(l, o, "started", 0, &p->started_unix);
	err = err ? err : known(l, o, "duration_s", 0, &p->duration_s);
	err = err ? err : number(l, o, "grown_s", &p->grown_s);
	err = err ? err : number(l, totals, "unattributed_bytes", &p->unattributed_bytes);
	err = err ? err : number(l, totals, "resident_bytes", &p->resident_bytes);
	err = err ? err : number(l, totals, "bytes", &bytes);
	err = err ? err : number(l, overhead, "hits", &p->probe_hits);
	err = err ? err : number(l, overhead, "ns", &p->probe_ns);
	err = err ? err : number(l, overhead, "budget", &p->budget);
	err = err ? err : copy_text(l, overhead, "stopped", p->stopped, sizeof(p->stopped));
	if (err)
		return err;
	if (p->probe_hits < 0)
		return wrong(l, "'hits' is negative");
	p->budget = isnan(p->budget) ? 0 : p->budget;
	p->unread = json_is_null(json_object_get(totals, "bytes"));
	return read_counters(l, json_object_get(o, "counters"), &p->counters);
}

static int read_notes(struct load *l, const json_t *o, struct heap_profile *p)
{
	const json_t *list = json_object_get(o, "notes");
	double lost;
	int err = number(l, o, "notes_lost", &lost);

	if (err)
		return err;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		if (!json_is_string(v))
			return wrong(l, "'notes' holds something that is no text");
		heap_profile__note(p, "%s", json_string_value(v));
	}
	if (lost > 0)
		p->notes_lost += (size_t)lost;
	return 0;
}

static int read_profile(struct load *l, const json_t *o, struct heap_profile *p)
{
	const char *kind;
	const json_t *schema = json_object_get(o, "schema");
	int err;

	if (!json_is_object(o) || text(l, o, "kind", true, &kind) || strcmp(kind, "heap") != 0 ||
	    !json_is_integer(schema))
		return wrong(l, "this is no heap profile: `hopscope heap --record FILE` makes one");
	if (json_integer_value(schema) != HEAP_SCHEMA)
		return wrong(l,
			     "schema %lld is not known here (this is %d): another version of "
			     "hopscope wrote it",
			     (long long)json_integer_value(schema), HEAP_SCHEMA);
	err = read_header(l, o, p);
	err = err ? err : read_sites(l, json_object_get(o, "sites"), p);
	return err ? err : read_notes(l, o, p);
}

static bool at_end(FILE *in)
{
	int c;

	do
		c = getc(in);
	while (c == ' ' || c == '\n' || c == '\r' || c == '\t');
	ungetc(c, in);
	return c == EOF;
}

int heap_json__read(FILE *in, unsigned long line, struct heap_profile *p, char *err, size_t err_len)
{
	struct load l = {.err = err, .err_len = err_len};
	json_t *o = NULL;
	json_error_t why;
	unsigned long n = 0;
	int rc;

	memset(p, 0, sizeof(*p));
	err[0] = 0;
	while (!at_end(in) && (!line || n < line)) {
		json_decref(o);
		o = json_loadf(in, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &why);
		n++;
		if (!o)
			return wrong(&l, "object %lu: %s", n, why.text);
	}
	if (line && n < line)
		rc = wrong(&l, "there are %lu profiles in it, not %lu", n, line);
	else
		rc = o ? read_profile(&l, o, p) : wrong(&l, "it is empty");
	json_decref(o);
	if (rc)
		heap_profile__free(p);
	if (rc == -ENOMEM)
		snprintf(err, err_len, "out of memory");
	return rc;
}

int heap_json__load(const char *path, struct heap_profile *p, char *err, size_t err_len)
{
	const char *at = strrchr(path, '@');
	unsigned long line = 0;
	struct stat st;
	char *file = NULL, *end;
	FILE *in;
	int rc;

	memset(p, 0, sizeof(*p));
	if (stat(path, &st) && at && at[1] >= '1' && at[1] <= '9') {
		line = strtoul(at + 1, &end, 10);
		if (!*end)
			file = strndup(path, (size_t)(at - path));
	}
	in = fopen(file ? file : path, "re");
	if (!in) {
		rc = -errno;
		snprintf(err, err_len, "%s", strerror(errno));
	} else {
		rc = heap_json__read(in, file ? line : 0, p, err, err_len);
		fclose(in);
	}
	free(file);
	return rc;
}
