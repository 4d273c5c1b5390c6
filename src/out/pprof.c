/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "model/arena.h"
#include "out/pprof.h"
#include "out/text.h"
#include "src/out/profile.pb-c.h"

#define VALUES 6

/* A growing list of messages, and of what each was made from, to find it again. */
struct list {
	void **items;
	size_t n, size;
};

/* Key of a string, module, function or location: what distinguishes it. */
struct key {
	const void *a, *b;
	uint64_t c, d;
};

struct entry {
	struct key key;
	size_t value; /* position + 1; 0: free */
};

struct table {
	struct entry *entries;
	size_t n, size;
};

struct build {
	struct arena *arena;
	Pprof__Profile profile;
	struct list strings, functions, mappings, locations, samples, comments;
	struct table by_string, by_function, by_mapping, by_location;
	bool failed;
};

static void *get(struct build *b, size_t size)
{
	void *p = arena__alloc(b->arena, size);

	if (!p)
		b->failed = true;
	return p;
}

static void list__add(struct build *b, struct list *l, void *item)
{
	size_t size = l->size ? l->size * 2 : 64;
	void **items;

	if (l->n == l->size) {
		items = realloc(l->items, size * sizeof(*items));
		if (!items) {
			b->failed = true;
			return;
		}
		l->items = items;
		l->size = size;
	}
	l->items[l->n++] = item;
}

static struct entry *place(struct entry *entries, size_t size, const struct key *k)
{
	uint64_t h = ((uintptr_t)k->a * 0x9e3779b97f4a7c15) ^ ((uintptr_t)k->b + k->c);

	h = (h ^ k->d ^ h >> 29) * 0xbf58476d1ce4e5b9;
	for (size_t i = (h ^ h >> 32) & (size - 1);; i = (i + 1) & (size - 1)) {
		struct entry *e = &entries[i];

		if (!e->value ||
		    (e->key.a == k->a && e->key.b == k->b && e->key.c == k->c && e->key.d == k->d))
			return e;
	}
}

/* The entry of a key, made when it is not there (value 0). NULL: out of memory. */
static struct entry *table__find(struct build *b, struct table *t, const struct key *k)
{
	struct entry *e;

	if (t->n * 2 >= t->size) {
		size_t size = t->size ? t->size * 2 : 256;
		struct entry *entries = calloc(size, sizeof(*entries));

		if (!entries) {
			b->failed = true;
			return NULL;
		}
		for (size_t i = 0; i < t->size; i++)
			if (t->entries[i].value)
				*place(entries, size, &t->entries[i].key) = t->entries[i];
		free(t->entries);
		t->entries = entries;
		t->size = size;
	}
	e = place(t->entries, t->size, k);
	if (!e->value) {
		e->key = *k;
		t->n++;
	}
	return e;
}

/* Index into the string table. protobuf demands UTF-8: printable is. */
static int64_t string(struct build *b, const char *s)
{
	struct text t = {0};
	const char *kept;
	struct entry *e;

	text__add_printable(&t, s ? s : "");
	kept = t.failed ? NULL : arena__string(b->arena, t.data ? t.data : "");
	text__free(&t);
	e = kept ? table__find(b, &b->by_string, &(struct key){.a = kept}) : NULL;
	if (!e) {
		b->failed = true;
		return 0;
	}
	if (!e->value) {
		list__add(b, &b->strings, (void *)kept);
		e->value = b->strings.n;
	}
	return (int64_t)e->value - 1;
}

static uint64_t function(struct build *b, const struct heap_frame *f)
{
	int64_t name = string(b, f->function), file = string(b, f->source);
	struct key k = {.c = (uint64_t)name, .d = (uint64_t)file};
	struct entry *e = table__find(b, &b->by_function, &k);
	Pprof__Function *made;

	if (!e || e->value)
		return e ? e->value : 0;
	made = get(b, sizeof(*made));
	if (!made)
		return 0;
	pprof__function__init(made);
	list__add(b, &b->functions, made);
	e->value = b->functions.n;
	made->id = e->value;
	made->name = name;
	made->system_name = name;
	made->filename = file;
	return e->value;
}

/* 0: not known. */
static uint64_t mapping(struct build *b, const struct heap_frame *f)
{
	int64_t name = string(b, f->module);
	struct entry *e;
	Pprof__Mapping *made;

	if (!f->module[0])
		return 0;
	e = table__find(b, &b->by_mapping, &(struct key){.c = (uint64_t)name});
	if (!e || e->value)
		return e ? e->value : 0;
	made = get(b, sizeof(*made));
	if (!made)
		return 0;
	pprof__mapping__init(made);
	list__add(b, &b->mappings, made);
	e->value = b->mappings.n;
	made->id = e->value;
	made->filename = name;
	/* so that no viewer looks for names in files that it has not */
	made->has_functions = true;
	return e->value;
}

static uint64_t location(struct build *b, const struct heap_frame *f)
{
	uint64_t fn = function(b, f), map = mapping(b, f);
	struct key k = {.a = (void *)(uintptr_t)fn,
			.b = (void *)(uintptr_t)map,
			.c = f->address,
			.d = f->line};
	struct entry *e = table__find(b, &b->by_location, &k);
	Pprof__Location *made;
	Pprof__Line *line;

	if (!e || e->value)
		return e ? e->value : 0;
	made = get(b, sizeof(*made));
	line = get(b, sizeof(*line));
	if (!made || !line)
		return 0;
	pprof__location__init(made);
	pprof__line__init(line);
	list__add(b, &b->locations, made);
	e->value = b->locations.n;
	made->id = e->value;
	made->mapping_id = map;
	made->address = f->address;
	made->n_line = 1;
	made->line = get(b, sizeof(*made->line));
	if (!made->line)
		return 0;
	made->line[0] = line;
	line->function_id = fn;
	line->line = f->line;
	return e->value;
}

static Pprof__Label *label(struct build *b, const char *key, const char *str, int64_t num)
{
	Pprof__Label *l = get(b, sizeof(*l));

	if (!l)
		return NULL;
	pprof__label__init(l);
	l->key = string(b, key);
	l->str = str ? string(b, str) : 0;
	l->num = num;
	return l;
}

static void add_sample(struct build *b, const struct heap_site *s)
{
	/* the order of sample_types() */
	const double values[VALUES] = {s->total_blocks, s->total_bytes,	 s->blocks,
				       s->bytes,	s->grown_blocks, s->grown_bytes};
	Pprof__Sample *sample = get(b, sizeof(*sample));

	if (!sample)
		return;
	pprof__sample__init(sample);
	sample->location_id = get(b, (s->n_frames + 1) * sizeof(*sample->location_id));
	sample->value = get(b, sizeof(values));
	sample->label = get(b, 2 * sizeof(*sample->label));
	if (!sample->location_id || !sample->value || !sample->label)
		return;
	for (size_t i = 0; i < VALUES; i++)
		sample->value[i] = llround(values[i]);
	sample->n_value = VALUES;
	for (size_t i = 0; i < s->n_frames; i++)
		sample->location_id[i] = location(b, &s->frames[i]);
	sample->n_location_id = s->n_frames;
	if (!s->n_frames) {
		struct heap_frame lost = {.function = "[stack not kept]", .module = ""};

		sample->location_id[sample->n_location_id++] = location(b, &lost);
	}
	sample->label[0] = label(b, "pid", NULL, s->tgid);
	sample->label[1] = label(b, "comm", s->comm, 0);
	sample->n_label = 2;
	list__add(b, &b->samples, sample);
}

static Pprof__ValueType *value_type(struct build *b, const char *type, const char *unit)
{
	Pprof__ValueType *v = get(b, sizeof(*v));

	if (!v)
		return NULL;
	pprof__value_type__init(v);
	v->type = string(b, type);
	v->unit = string(b, unit);
	return v;
}

static void sample_types(struct build *b)
{
	static const char *const kinds[] = {"alloc", "inuse", "grown"};
	Pprof__ValueType **types = get(b, VALUES * sizeof(*types));
	char name[24];

	if (!types)
		return;
	for (size_t i = 0; i < VALUES; i++) {
		snprintf(name, sizeof(name), "%s_%s", kinds[i / 2], i % 2 ? "space" : "objects");
		types[i] = value_type(b, name, i % 2 ? "bytes" : "count");
	}
	b->profile.sample_type = types;
	b->profile.n_sample_type = VALUES;
}

static void add_comment(struct build *b, const char *s)
{
	int64_t *c = get(b, sizeof(*c));

	if (!c)
		return;
	*c = string(b, s);
	list__add(b, &b->comments, c);
}

/* Viewers take the first mapping for the program: the one that main() is in. */
static void map_program(struct build *b, const struct heap_profile *p)
{
	static const char *const mains[] = {"_start", "main", "main.main", "runtime.main"};

	for (size_t i = 0; i < p->n_sites; i++)
		for (size_t k = p->sites[i].n_frames; k-- > 0;)
			for (size_t m = 0; m < sizeof(mains) / sizeof(mains[0]); m++)
				if (!strcmp(p->sites[i].frames[k].function, mains[m])) {
					mapping(b, &p->sites[i].frames[k]);
					return;
				}
}

static void add_loss(void *ctx, uint64_t n, const char *what)
{
	char line[128];

	snprintf(line, sizeof(line), "%" PRIu64 " %s", n, what);
	add_comment(ctx, line);
}

static void fill(struct build *b, const struct heap_profile *p, bool grown)
{
	Pprof__Profile *out = &b->profile;
	char line[256];

	pprof__profile__init(out);
	string(b, ""); /* must be the first */
	sample_types(b);
	out->default_sample_type = string(b, grown ? "grown_space" : "inuse_space");
	out->period_type = value_type(b, "space", "bytes");
	out->period = p->sample_bytes >= 1 ? llround(p->sample_bytes) : 1;
	out->time_nanos = llround(p->started_unix * 1e9);
	out->duration_nanos = llround(p->duration_s * 1e9);
	snprintf(line, sizeof(line), "hopscope heap --%s: %s, %s", heap_source__name(p->source),
		 heap_label__name(p->label), p->target);
	add_comment(b, line);
	for (size_t i = 0; i < p->n_notes; i++)
		add_comment(b, p->notes[i]);
	if (p->notes_lost) {
		snprintf(line, sizeof(line), "%zu more notes left out", p->notes_lost);
		add_comment(b, line);
	}
	if (p->stopped[0])
		add_comment(b, p->stopped);
	heap_counters__losses(&p->counters, add_loss, b);
	map_program(b, p);
	for (size_t i = 0; i < p->n_sites && !b->failed; i++)
		add_sample(b, &p->sites[i]);
}

static void link_lists(struct build *b)
{
	Pprof__Profile *out = &b->profile;
	int64_t *comments = get(b, (b->comments.n + 1) * sizeof(*comments));

	out->sample = (Pprof__Sample **)b->samples.items;
	out->n_sample = b->samples.n;
	out->mapping = (Pprof__Mapping **)b->mappings.items;
	out->n_mapping = b->mappings.n;
	out->location = (Pprof__Location **)b->locations.items;
	out->n_location = b->locations.n;
	out->function = (Pprof__Function **)b->functions.items;
	out->n_function = b->functions.n;
	out->string_table = (char **)b->strings.items;
	out->n_string_table = b->strings.n;
	for (size_t i = 0; comments && i < b->comments.n; i++)
		comments[i] = *(int64_t *)b->comments.items[i];
	out->comment = comments;
	out->n_comment = comments ? b->comments.n : 0;
}

static void build__free(struct build *b)
{
	struct list *lists[] = {&b->strings,   &b->functions, &b->mappings,
				&b->locations, &b->samples,   &b->comments};
	struct table *tables[] = {&b->by_string, &b->by_function, &b->by_mapping, &b->by_location};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		free(lists[i]->items);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		free(tables[i]->entries);
	arena__free(b->arena);
}

/* gzip without name and time: the same profile gives the same bytes. */
static int write_gzip(FILE *out, unsigned char *data, size_t len)
{
	unsigned char buf[16384] = {0};
	z_stream z = {.next_in = data};
	int rc, err = 0;

	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	do {
		size_t part = len > (1u << 30) ? 1u << 30 : len;

		if (!z.avail_in) {
			z.avail_in = (uInt)part;
			len -= part;
		}
		z.next_out = buf;
		z.avail_out = sizeof(buf);
		rc = deflate(&z, len ? Z_NO_FLUSH : Z_FINISH);
		if (fwrite(buf, 1, sizeof(buf) - z.avail_out, out) != sizeof(buf) - z.avail_out)
			err = -EIO;
	} while (rc != Z_STREAM_END && rc != Z_STREAM_ERROR && !err);
	deflateEnd(&z);
	if (rc == Z_STREAM_ERROR || fflush(out))
		return -EIO;
	return err;
}

int pprof__print(FILE *out, const struct heap_profile *p, bool grown)
{
	struct build b = {.arena = arena__new()};
	unsigned char *packed = NULL;
	size_t len = 0;
	int err = -ENOMEM;

	if (b.arena) {
		fill(&b, p, grown);
		link_lists(&b);
	}
	if (b.arena && !b.failed) {
		len = pprof__profile__get_packed_size(&b.profile);
		packed = malloc(len + 1);
	}
	if (packed) {
		pprof__profile__pack(&b.profile, packed);
		err = write_gzip(out, packed, len);
	}
	free(packed);
	build__free(&b);
	return err;
}
