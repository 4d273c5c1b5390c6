/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of code made at run time: /tmp/perf-PID.map, as node, Java agents and .NET write it. */
#ifndef HOPSCOPE_SYM_PERF_MAP_H
#define HOPSCOPE_SYM_PERF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct perf_map_entry {
	uint64_t start, size;
	const char *name;
	size_t order; /* later lines replace earlier ones */
};

struct perf_map {
	struct perf_map_entry *entry;
	size_t n;
	char *memory;
};

/* Takes the text over (malloc'ed, a 0 behind it). Lines that are none are passed over. */
int perf_map__parse(struct perf_map *m, char *text, size_t len);
int perf_map__read(struct perf_map *m, int fd);
void perf_map__free(struct perf_map *m);

/* NULL: none covers the address. */
const struct perf_map_entry *perf_map__find(const struct perf_map *m, uint64_t address);

#endif
