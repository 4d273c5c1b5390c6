// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "bench/yaml_index.h"

#define MAX_DEPTH   16
#define MAX_ENTRIES 2000

struct level {
	char path[YAML_PATH_LEN];
	bool sequence;
	bool have_key; /* mapping: the key was read, its value comes next */
	char key[YAML_PATH_LEN];
	unsigned int key_line;
	unsigned int count; /* sequence: elements so far */
};

struct reader {
	struct yaml_index *y;
	struct level level[MAX_DEPTH];
	size_t depth;
	unsigned int documents;
};

static int fail(struct reader *r, unsigned int line, const char *why)
{
	r->y->error_line = line;
	snprintf(r->y->error, sizeof(r->y->error), "%s", why);
	return -EINVAL;
}

/* Longer paths are cut: no key of a scenario is near the limit, and an unknown one only has to
 * show. */
static void join(char out[YAML_PATH_LEN], const char *a, const char *b)
{
	size_t n = strlen(a);
	size_t m = strlen(b);

	n = n < YAML_PATH_LEN - 1 ? n : YAML_PATH_LEN - 1;
	m = m < YAML_PATH_LEN - 1 - n ? m : YAML_PATH_LEN - 1 - n;
	memmove(out, a, n);
	memcpy(out + n, b, m);
	out[n + m] = '\0';
}

/* Path and line of the value that comes now; takes the pending key or counts the element. */
static unsigned int take_place(struct reader *r, unsigned int line, char path[YAML_PATH_LEN])
{
	struct level *l = r->depth ? &r->level[r->depth - 1] : NULL;
	char element[24];

	path[0] = '\0';
	if (!l)
		return line;
	if (l->sequence) {
		snprintf(element, sizeof(element), "[%u]", l->count++);
		join(path, l->path, element);
		return line;
	}
	join(path, l->path, l->path[0] ? "." : "");
	join(path, path, l->key);
	l->have_key = false;
	return l->key_line;
}

static int add_entry(struct reader *r, const char *path, const char *text, unsigned int line)
{
	struct yaml_index *y = r->y;
	struct yaml_entry *e;

	if (y->n == MAX_ENTRIES)
		return fail(r, line, "too many entries for a scenario");
	if (y->n == y->size) {
		size_t size = y->size ? 2 * y->size : 64;

		e = realloc(y->entries, size * sizeof(*e));
		if (!e)
			return -ENOMEM;
		y->entries = e;
		y->size = size;
	}
	e = &y->entries[y->n++];
	memset(e, 0, sizeof(*e));
	snprintf(e->path, sizeof(e->path), "%s", path);
	snprintf(e->text, sizeof(e->text), "%s", text ? text : "");
	e->scalar = text;
	e->line = line;
	return 0;
}

static int on_scalar(struct reader *r, const char *text, unsigned int line)
{
	struct level *l = r->depth ? &r->level[r->depth - 1] : NULL;
	char path[YAML_PATH_LEN];

	if (l && !l->sequence && !l->have_key) {
		snprintf(l->key, sizeof(l->key), "%s", text);
		l->have_key = true;
		l->key_line = line;
		return 0;
	}
	line = take_place(r, line, path);
	return add_entry(r, path, text, line);
}

static int on_open(struct reader *r, bool sequence, unsigned int line)
{
	struct level *l = r->depth ? &r->level[r->depth - 1] : NULL;
	char path[YAML_PATH_LEN];
	int err;

	if (l && !l->sequence && !l->have_key)
		return fail(r, line, "a key must be a word");
	if (r->depth == MAX_DEPTH)
		return fail(r, line, "nested too deep for a scenario");
	line = take_place(r, line, path);
	err = add_entry(r, path, NULL, line);
	if (err)
		return err;
	l = &r->level[r->depth++];
	memset(l, 0, sizeof(*l));
	snprintf(l->path, sizeof(l->path), "%s", path);
	l->sequence = sequence;
	return 0;
}

/* 1 at the end of the stream. */
static int on_event(struct reader *r, const yaml_event_t *e)
{
	unsigned int line = (unsigned int)e->start_mark.line + 1;

	switch (e->type) {
	case YAML_STREAM_END_EVENT: return 1;
	case YAML_DOCUMENT_START_EVENT:
		if (r->documents++)
			return fail(r, line,
				    "a second document ('---'): a file holds one scenario");
		return 0;
	case YAML_ALIAS_EVENT: return fail(r, line, "aliases ('*name') are not supported here");
	case YAML_SCALAR_EVENT: return on_scalar(r, (const char *)e->data.scalar.value, line);
	case YAML_SEQUENCE_START_EVENT: return on_open(r, true, line);
	case YAML_MAPPING_START_EVENT: return on_open(r, false, line);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		if (r->depth)
			r->depth--;
		return 0;
	default: return 0;
	}
}

int yaml_index__read(struct yaml_index *y, const char *yaml, size_t len)
{
	struct reader *r = calloc(1, sizeof(*r));
	yaml_parser_t parser;
	yaml_event_t event;
	int err = 0;

	memset(y, 0, sizeof(*y));
	if (!r || !yaml_parser_initialize(&parser)) {
		free(r);
		return -ENOMEM;
	}
	r->y = y;
	yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, len);
	while (!err) {
		if (!yaml_parser_parse(&parser, &event)) {
			err = fail(r, (unsigned int)parser.problem_mark.line + 1,
				   parser.problem ? parser.problem : "not YAML");
			break;
		}
		err = on_event(r, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	free(r);
	if (err < 0) {
		free(y->entries);
		y->entries = NULL;
		y->n = y->size = 0;
		return err;
	}
	return 0;
}

void yaml_index__free(struct yaml_index *y)
{
	free(y->entries);
	memset(y, 0, sizeof(*y));
}

const struct yaml_entry *yaml_index__find(const struct yaml_index *y, const char *path)
{
	size_t i;

	for (i = 0; i < y->n; i++)
		if (!strcmp(y->entries[i].path, path))
			return &y->entries[i];
	return NULL;
}

const struct yaml_entry *yaml_index__find_key(const struct yaml_index *y, const char *key,
					      unsigned int line)
{
	size_t i, len = strlen(key);

	for (i = 0; i < y->n; i++) {
		const char *path = y->entries[i].path;
		size_t n = strlen(path);

		if (y->entries[i].line >= line && n >= len && !strcmp(path + n - len, key) &&
		    (n == len || path[n - len - 1] == '.'))
			return &y->entries[i];
	}
	return NULL;
}

const struct yaml_entry *yaml_index__find_duplicate(const struct yaml_index *y)
{
	size_t i, j;

	for (i = 0; i < y->n; i++)
		for (j = 0; j < i; j++)
			if (!strcmp(y->entries[i].path, y->entries[j].path))
				return &y->entries[i];
	return NULL;
}
