/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* "START SIZE NAME" lines, hexadecimal; the process writes them, nothing in them is trusted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sym/perf_map.h"

#define TEXT_MAX  (128u << 20)
#define STEPS_MAX 256

static bool hex(char **p, uint64_t *v)
{
	char *end;

	if (!strchr("0123456789abcdefABCDEF", **p) || !**p)
		return false;
	errno = 0;
	*v = strtoull(*p, &end, 16);
	if (errno || *end != ' ')
		return false;
	*p = end + 1;
	return true;
}

static bool parse_line(char *line, struct perf_map_entry *e)
{
	if (!hex(&line, &e->start) || !hex(&line, &e->size))
		return false;
	e->name = line;
	return *line && e->size && e->start + e->size > e->start;
}

static int by_start(const void *a, const void *b)
{
	const struct perf_map_entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

int perf_map__parse(struct perf_map *m, char *text, size_t len)
{
	size_t lines = 0;
	char *line, *end;

	memset(m, 0, sizeof(*m));
	m->memory = text;
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n' || !text[i];
	m->entry = calloc(lines + 1, sizeof(*m->entry));
	if (!m->entry) {
		perf_map__free(m);
		return -ENOMEM;
	}
	for (line = text; line < text + len; line = end + 1) {
		struct perf_map_entry *e = &m->entry[m->n];

		end = line + strcspn(line, "\n");
		/* the last line may still be in the writing */
		if (!*end)
			break;
		*end = 0;
		if (parse_line(line, e)) {
			e->order = m->n;
			m->n++;
		}
	}
	if (m->n)
		qsort(m->entry, m->n, sizeof(*m->entry), by_start);
	return 0;
}

int perf_map__read(struct perf_map *m, int fd)
{
	size_t n = 0, room;
	struct stat st;
	ssize_t got;
	char *text;

	memset(m, 0, sizeof(*m));
	if (fstat(fd, &st))
		return -errno;
	if (st.st_size > (off_t)TEXT_MAX)
		return -EFBIG;
	room = (size_t)st.st_size;
	text = malloc(room + 1);
	if (!text)
		return -ENOMEM;
	while (n < room && (got = pread(fd, text + n, room - n, (off_t)n)) > 0)
		n += (size_t)got;
	text[n] = 0;
	return perf_map__parse(m, text, n);
}

void perf_map__free(struct perf_map *m)
{
	free(m->entry);
	free(m->memory);
	memset(m, 0, sizeof(*m));
}

const struct perf_map_entry *perf_map__find(const struct perf_map *m, uint64_t address)
{
	const struct perf_map_entry *best = NULL;
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->entry[mid].start <= address)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = low, steps = 0; i && steps < STEPS_MAX; i--, steps++) {
		const struct perf_map_entry *e = &m->entry[i - 1];

		if (address - e->start < e->size && (!best || e->order > best->order))
			best = e;
	}
	return best;
}
