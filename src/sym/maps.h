/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process has mapped: /proc/PID/maps. */
#ifndef HOPSCOPE_SYM_MAPS_H
#define HOPSCOPE_SYM_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct map {
	uint64_t start, end;
	uint64_t offset; /* in the file */
	uint64_t inode;	 /* 0: no file */
	uint32_t major, minor;
	bool read, write, exec, shared;
	bool deleted;	  /* the file had no name any more; " (deleted)" is cut off the path */
	const char *path; /* "" for anonymous memory, "[vdso]", "[heap]", "/path" in its own root */
};

struct maps {
	struct map *map; /* rising */
	size_t n;
	size_t lost;  /* lines that were not understood or beyond the bounds */
	char *memory; /* what paths point into */
};

/* The map a line tells of; the path points into the line, which is changed. -EINVAL: no such line.
 */
int map__parse(char *line, struct map *m);

/* Takes the text over (malloc'ed, with a 0 behind its `len` bytes). 0 or -ENOMEM. */
int maps__parse(struct maps *m, char *text, size_t len, bool exec_only);

/* -ESRCH when there is no such process, or it has no memory (zombie, kernel thread). */
int maps__read(struct maps *m, pid_t pid, bool exec_only);
/* The same from an open maps file. */
int maps__read_fd(struct maps *m, int fd, bool exec_only);
void maps__free(struct maps *m);

/* The map with this address, or NULL. */
const struct map *maps__find(const struct maps *m, uint64_t address);

#endif
