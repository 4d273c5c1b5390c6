/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The files of one memory cgroup. Those read each time stay open: opening costs more than reading.
 */
#ifndef HOPSCOPE_PROBE_MEMORY_FILES_H
#define HOPSCOPE_PROBE_MEMORY_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/memory.h"

#define MEMORY_TEXT 16384 /* longest file that is read: memory.stat has about 2 KiB */

enum memory_part {
	MEMORY_USAGE = 1 << 0,
	MEMORY_STAT = 1 << 1,
	MEMORY_EVENTS = 1 << 2, /* and pressure */
	MEMORY_SLOW = 1 << 3,	/* what hardly moves: limits, peak, processes, v1's kernel memory */
	MEMORY_ALL = (1 << 4) - 1,
};

enum memory_kept { KEPT_USAGE, KEPT_STAT, KEPT_EVENTS, KEPT_MORE, KEPT_SWAP, KEPT_FILES };

struct memory_files {
	int dir; /* O_PATH */
	int fd[KEPT_FILES];
	uint8_t absent;				/* bit per file that is not there */
	bool keep;				/* descriptors are enough to leave them open */
	uint64_t some_us, full_us, pressure_ns; /* totals at the last reading */
};

/* v1 or v2: fills what `parts` names, leaves the rest of *r. -ENODEV: the cgroup went. */
struct memory_version {
	const char *name;
	const char *sign; /* a file that only this version has */
	int (*read)(struct memory_files *f, unsigned int parts, struct memory_reading *r);
};

extern const struct memory_version memory_v1, memory_v2;

int memory_files__open(struct memory_files *f, const char *dir, bool keep);
void memory_files__close(struct memory_files *f);

/* Reads the whole file as a string. Its length, -ENOENT: no such file, -ENODEV: no such cgroup. */
int memory_files__kept(struct memory_files *f, enum memory_kept which, const char *name, char *buf,
		       size_t size);
int memory_files__once(struct memory_files *f, const char *name, char *buf, size_t size);
/* The one number of a file; "max" and no number are MEMORY_NO_LIMIT. Absent: not touched. */
int memory_files__number(struct memory_files *f, const char *name, uint64_t *value);
/* Lines of cgroup.procs. */
int memory_files__processes(struct memory_files *f, uint64_t *n);

uint64_t memory_text__number(const char *text);

/* Which field a key of memory.stat or memory.events goes to. */
struct memory_key {
	const char *name;
	size_t offset; /* in struct memory_reading */
	bool add;      /* one of several whose sum it is */
};

/* Takes the keys out of lines "key value"; those that are not in the text become not known. */
void memory_text__keys(char *text, const struct memory_key *keys, size_t n,
		       struct memory_reading *r);

/* current - inactive_file */
void memory_reading__set_working_set(struct memory_reading *r);

#endif
