// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A cgroup of v1's memory hierarchy: Documentation/admin-guide/cgroup-v1/memory.rst. */
#include <errno.h>

#include "probe/memory_files.h"

/* Without a limit a counter holds LONG_MAX, rounded down to pages (PAGE_COUNTER_MAX). */
#define NO_LIMIT_FROM 0x7fffffff00000000ull

#define FIELD(name) offsetof(struct memory_reading, name)

/* Plain keys leave out the cgroups below; total_* has them, as usage_in_bytes has. */
static const struct memory_key stat_keys[] = {
	{"total_rss", FIELD(anon), false},
	{"total_cache", FIELD(file), false},
	{"total_shmem", FIELD(shmem), false},
	{"total_swap", FIELD(swap), false},
	{"total_inactive_file", FIELD(inactive_file), false},
	{"total_workingset_refault_anon", FIELD(refaults), true},
	{"total_workingset_refault_file", FIELD(refaults), true},
	{"total_workingset_refault", FIELD(refaults), true}, /* before 5.9: files only */
	{"hierarchical_memory_limit", FIELD(limit), false},
};

/* Counts of this cgroup alone, unlike v2's. */
static const struct memory_key oom_keys[] = {{"oom_kill", FIELD(events_oom_kill), false}};

static int read_stat(struct memory_files *f, struct memory_reading *r)
{
	char buf[MEMORY_TEXT];
	int n = memory_files__kept(f, KEPT_STAT, "memory.stat", buf, sizeof(buf));

	if (n < 0)
		return n;
	memory_text__keys(buf, stat_keys, sizeof(stat_keys) / sizeof(stat_keys[0]), r);
	if (r->limit >= NO_LIMIT_FROM)
		r->limit = MEMORY_NO_LIMIT;
	return 0;
}

static void read_events(struct memory_files *f, struct memory_reading *r)
{
	char buf[512];

	if (memory_files__kept(f, KEPT_EVENTS, "memory.oom_control", buf, sizeof(buf)) > 0)
		memory_text__keys(buf, oom_keys, 1, r);
	if (memory_files__kept(f, KEPT_MORE, "memory.failcnt", buf, sizeof(buf)) > 0)
		r->events_max = memory_text__number(buf);
}

static void read_slow(struct memory_files *f, struct memory_reading *r)
{
	memory_files__number(f, "memory.max_usage_in_bytes", &r->peak);
	/* Slab and the rest are one figure here, and not there at all with cgroup.memory=nokmem. */
	memory_files__number(f, "memory.kmem.usage_in_bytes", &r->kernel);
	memory_files__number(f, "memory.kmem.tcp.usage_in_bytes", &r->sock);
	memory_files__processes(f, &r->processes);
}

static int read_v1(struct memory_files *f, unsigned int parts, struct memory_reading *r)
{
	char buf[64];
	int n, err = 0;

	if (parts & MEMORY_USAGE) {
		n = memory_files__kept(f, KEPT_USAGE, "memory.usage_in_bytes", buf, sizeof(buf));
		if (n < 0)
			return n;
		r->current = memory_text__number(buf);
	}
	if (parts & MEMORY_STAT)
		err = read_stat(f, r);
	if (parts & MEMORY_EVENTS)
		read_events(f, r);
	if (parts & MEMORY_SLOW)
		read_slow(f, r);
	memory_reading__set_working_set(r);
	if (r->peak != MEMORY_NOT_KNOWN && r->current != MEMORY_NOT_KNOWN && r->peak < r->current)
		r->peak = r->current;
	return err;
}

const struct memory_version memory_v1 = {"v1", "memory.usage_in_bytes", read_v1};
