/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recorded connections (tests/captures): the segments as they passed, and what others say is in
 * them; captures/convert.js describes both files. Replayed in many ways, to whoever reads them.
 */
#ifndef TESTS_CAPTURE_H
#define TESTS_CAPTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPTURES      "tests/captures/"
#define CAPTURE_UNITS 256
#define CAPTURE_SEGS  256

/* A line of NAME.want: one word or two, and the bytes. */
struct capture_unit {
	char what[64];
	char more[32];
	uint64_t pos;
	uint64_t end; /* 0: it did not come */
};

struct capture {
	uint8_t *data[2];
	size_t len[2];
	struct {
		int dir;
		size_t at, len;
	} seg[CAPTURE_SEGS];
	size_t n_segs;
	struct capture_unit unit[2][CAPTURE_UNITS];
	size_t n[2];
	char opaque[16]; /* "" : it stays what it is */
};

/* Feeds [at, at + len) of a direction as one segment. */
typedef void capture_feed(int dir, uint64_t at, uint32_t len);

static inline void capture__fail(const char *name, const char *what)
{
	fprintf(stderr, "%s: %s\n", name, what);
	abort();
}

static inline FILE *capture__file(const char *name, const char *ending)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), CAPTURES "%s.%s", name, ending);
	f = fopen(path, "r");
	if (!f)
		capture__fail(path, "cannot be read; the tests run where the Makefile is");
	return f;
}

/* One character of a line, and how often. NULL: bad. */
static inline const char *capture__decode(const char *s, char *c, size_t *times)
{
	unsigned int hex;
	int n = 0;

	*times = 1;
	*c = *s++;
	if (*c != '\\')
		return s;
	switch (*s++) {
	case 'r': *c = '\r'; return s;
	case 'n': *c = '\n'; return s;
	case '\\': return s;
	case 'x':
		if (sscanf(s, "%2x", &hex) != 1)
			return NULL;
		*c = (char)hex;
		return s + 2;
	case '*':
		if (sscanf(s, "%zu*%c%n", times, c, &n) != 2 || !n)
			return NULL;
		return s + n;
	}
	return NULL;
}

static inline void capture__segment(struct capture *c, const char *name, const char *line)
{
	int dir = *line == '<';
	size_t old = c->len[dir], times;
	char byte;

	if (c->n_segs == CAPTURE_SEGS || (*line != '<' && *line != '>') || line[1] != ' ')
		capture__fail(name, "bad segment");
	for (line += 2; *line && *line != '\n';) {
		line = capture__decode(line, &byte, &times);
		if (!line)
			capture__fail(name, "bad escape");
		c->data[dir] = realloc(c->data[dir], c->len[dir] + times);
		if (!c->data[dir])
			capture__fail(name, "no memory");
		memset(c->data[dir] + c->len[dir], byte, times);
		c->len[dir] += times;
	}
	c->seg[c->n_segs].dir = dir;
	c->seg[c->n_segs].at = old;
	c->seg[c->n_segs].len = c->len[dir] - old;
	c->n_segs++;
}

static inline void capture__want(struct capture *c, const char *name, const char *line,
				 uint64_t *at)
{
	char side, first[64], second[32], third[32] = "";
	int dir, words;
	struct capture_unit *u;
	const char *size;

	if (sscanf(line, "opaque %15s", c->opaque) == 1)
		return;
	words = sscanf(line, "%c %63s %31s %31s", &side, first, second, third);
	dir = side == '<';
	if (words < 3 || c->n[dir] == CAPTURE_UNITS)
		capture__fail(name, "bad unit");
	size = words == 3 ? second : third;
	if (!strcmp(first, "blank")) {
		at[dir] += strtoull(size, NULL, 10);
		return;
	}
	u = &c->unit[dir][c->n[dir]++];
	snprintf(u->what, sizeof(u->what), "%s", first);
	snprintf(u->more, sizeof(u->more), "%s", words == 3 ? "" : second);
	u->pos = at[dir];
	if (strcmp(size, "cut")) {
		at[dir] += strtoull(size, NULL, 10);
		u->end = at[dir];
	}
}

static inline void capture__read(struct capture *c, const char *name)
{
	uint64_t at[2] = {0};
	char *line = NULL;
	size_t room = 0;
	FILE *f;

	memset(c, 0, sizeof(*c));
	f = capture__file(name, "cap");
	while (getline(&line, &room, f) > 0)
		capture__segment(c, name, line);
	fclose(f);
	f = capture__file(name, "want");
	while (getline(&line, &room, f) > 0)
		capture__want(c, name, line, at);
	fclose(f);
	free(line);
	for (int dir = 0; dir < 2; dir++) {
		const struct capture_unit *last = c->unit[dir] + c->n[dir];

		if (!c->n_segs || (!c->n[dir] && !*c->opaque))
			capture__fail(name, "nothing in it");
		if (!*c->opaque && last[-1].end && last[-1].end != c->len[dir])
			capture__fail(name, "the units are not the whole of it");
	}
}

static inline void capture__free(struct capture *c)
{
	free(c->data[0]);
	free(c->data[1]);
	memset(c, 0, sizeof(*c));
}

/* From segment `first` on, in pieces of at most `piece` bytes. */
static inline void capture__replay(const struct capture *c, size_t first, size_t piece,
				   capture_feed *feed)
{
	for (size_t i = first; i < c->n_segs; i++) {
		size_t at = c->seg[i].at, end = at + c->seg[i].len;

		for (size_t n; at < end; at += n) {
			n = piece < end - at ? piece : end - at;
			feed(c->seg[i].dir, at, (uint32_t)n);
		}
	}
}

/* What passed one way before anything passed the other way is one segment. */
static inline void capture__replay_coalesced(const struct capture *c, capture_feed *feed)
{
	for (size_t i = 0, k; i < c->n_segs; i = k) {
		size_t len = 0;

		for (k = i; k < c->n_segs && c->seg[k].dir == c->seg[i].dir; k++)
			len += c->seg[k].len;
		feed(c->seg[i].dir, c->seg[i].at, (uint32_t)len);
	}
}

/* As they passed, but that the one that holds byte `cut` of direction `dir` ends in front of it. */
static inline void capture__replay_cut(const struct capture *c, int dir, size_t cut,
				       capture_feed *feed)
{
	for (size_t i = 0; i < c->n_segs; i++) {
		size_t at = c->seg[i].at, len = c->seg[i].len;

		if (c->seg[i].dir == dir && cut > at && cut < at + len) {
			feed(dir, at, (uint32_t)(cut - at));
			len -= cut - at;
			at = cut;
		}
		feed(c->seg[i].dir, at, (uint32_t)len);
	}
}

#endif
