// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A cgroup of the v2 hierarchy: Documentation/admin-guide/cgroup-v2.rst. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/memory_files.h"
#include "stack/clock.h"

#define MAX_DEPTH 32

#define FIELD(name) offsetof(struct memory_reading, name)

static const struct memory_key stat_keys[] = {
	{"anon", FIELD(anon), false},
	{"file", FIELD(file), false},
	{"kernel", FIELD(kernel), false}, /* since 5.18 */
	{"slab", FIELD(slab), false},
	{"sock", FIELD(sock), false},
	{"shmem", FIELD(shmem), false},
	{"inactive_file", FIELD(inactive_file), false},
	{"workingset_refault_anon", FIELD(refaults), true},
	{"workingset_refault_file", FIELD(refaults), true},
	{"workingset_refault", FIELD(refaults), true}, /* before 5.9: files only */
};

static const struct memory_key event_keys[] = {
	{"high", FIELD(events_high), false},
	{"max", FIELD(events_max), false},
	{"oom", FIELD(events_oom), false},
	{"oom_kill", FIELD(events_oom_kill), false},
};

static int read_stat(struct memory_files *f, struct memory_reading *r)
{
	char buf[MEMORY_TEXT];
	int n = memory_files__kept(f, KEPT_STAT, "memory.stat", buf, sizeof(buf));

	if (n < 0)
		return n;
	memory_text__keys(buf, stat_keys, sizeof(stat_keys) / sizeof(stat_keys[0]), r);
	n = memory_files__kept(f, KEPT_SWAP, "memory.swap.current", buf, sizeof(buf));
	if (n > 0)
		r->swap = memory_text__number(buf);
	return n == -ENOENT || n > 0 ? 0 : n;
}

/* Microseconds of "some avg10=0.00 avg60=0.00 avg300=0.00 total=N". */
static uint64_t pressure_total(const char *text, const char *kind)
{
	const char *line = strstr(text, kind), *total;

	total = line ? strstr(line, "total=") : NULL;
	return total ? memory_text__number(total + 6) : MEMORY_NOT_KNOWN;
}

static double share_of(uint64_t now_us, uint64_t before_us, double us)
{
	double v;

	if (now_us == MEMORY_NOT_KNOWN || before_us == MEMORY_NOT_KNOWN || now_us < before_us ||
	    us <= 0)
		return NAN;
	v = (double)(now_us - before_us) / us;
	return v > 1 ? 1 : v;
}

static void read_pressure(struct memory_files *f, struct memory_reading *r)
{
	uint64_t now = clock__now(), some, full;
	double us = (double)(now - f->pressure_ns) / 1e3;
	char buf[512];

	if (memory_files__kept(f, KEPT_MORE, "memory.pressure", buf, sizeof(buf)) <= 0)
		return;
	some = pressure_total(buf, "some ");
	full = pressure_total(buf, "full ");
	if (f->pressure_ns) {
		r->pressure_some = share_of(some, f->some_us, us);
		r->pressure_full = share_of(full, f->full_us, us);
	}
	f->some_us = some;
	f->full_us = full;
	f->pressure_ns = now;
}

/* The lowest of a limit on the way to the root, which has none itself. */
static void read_lowest(struct memory_files *f, const char *name, uint64_t *lowest)
{
	char path[3 * MAX_DEPTH + 32] = "", *end = path;
	uint64_t v;

	*lowest = MEMORY_NO_LIMIT;
	for (int up = 0; up < MAX_DEPTH; up++) {
		snprintf(end, sizeof(path) - (size_t)(end - path), "%s", name);
		if (memory_files__number(f, path, &v))
			break;
		*lowest = v < *lowest ? v : *lowest;
		memcpy(end, "../", 3);
		end += 3;
	}
}

static int read_v2(struct memory_files *f, unsigned int parts, struct memory_reading *r)
{
	char buf[512];
	int n, err = 0;

	if (parts & MEMORY_USAGE) {
		n = memory_files__kept(f, KEPT_USAGE, "memory.current", buf, sizeof(buf));
		if (n < 0)
			return n;
		r->current = memory_text__number(buf);
	}
	if (parts & MEMORY_STAT)
		err = read_stat(f, r);
	if (parts & MEMORY_EVENTS) {
		n = memory_files__kept(f, KEPT_EVENTS, "memory.events", buf, sizeof(buf));
		if (n > 0)
			memory_text__keys(buf, event_keys,
					  sizeof(event_keys) / sizeof(event_keys[0]), r);
		read_pressure(f, r);
	}
	if (parts & MEMORY_SLOW) {
		read_lowest(f, "memory.max", &r->limit);
		read_lowest(f, "memory.high", &r->high);
		memory_files__number(f, "memory.peak", &r->peak); /* since 5.19 */
		memory_files__processes(f, &r->processes);
	}
	memory_reading__set_working_set(r);
	if (r->peak != MEMORY_NOT_KNOWN && r->current != MEMORY_NOT_KNOWN && r->peak < r->current)
		r->peak = r->current;
	return err;
}

const struct memory_version memory_v2 = {"v2", "memory.current", read_v2};
