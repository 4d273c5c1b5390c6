/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Any bytes as /proc/PID/maps and as a perf map: in order, whole, found again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sym/maps.h"
#include "sym/perf_map.h"

#define MUST(cond)                                                                         \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

static char *copy(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	MUST(text);
	memcpy(text, data, size);
	text[size] = 0;
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct perf_map p;
	struct maps m;

	MUST(!maps__parse(&m, copy(data, size), size, size % 2));
	for (size_t i = 0; i < m.n; i++) {
		MUST(m.map[i].start < m.map[i].end);
		MUST(!i || m.map[i].exec || !(size % 2));
		MUST(size % 2 || !i || m.map[i - 1].end <= m.map[i].start);
		MUST(m.map[i].path >= m.memory && m.map[i].path <= m.memory + size);
		MUST(maps__find(&m, m.map[i].start) == &m.map[i]);
		MUST(maps__find(&m, m.map[i].end - 1) == &m.map[i]);
		MUST(maps__find(&m, m.map[i].end) != &m.map[i]);
	}
	maps__free(&m);

	MUST(!perf_map__parse(&p, copy(data, size), size));
	for (size_t i = 0; i < p.n; i++) {
		const struct perf_map_entry *e = perf_map__find(&p, p.entry[i].start);

		MUST(!i || p.entry[i - 1].start <= p.entry[i].start);
		MUST(e && *e->name && p.entry[i].start - e->start < e->size);
	}
	perf_map__free(&p);
	return 0;
}
