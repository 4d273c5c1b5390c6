// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/memory.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "probe/limits.h"
#include "probe/memory_watch.h"
#include "stack/clock.h"

#define MAX_GONE       256 /* containers that went and are still listed; with findings: */
#define MAX_GONE_FOUND 1024
#define SCAN_EVERY_NS  (30 * NS_PER_S) /* where events tell what changes */
#define SCAN_EMPTY_NS  (2 * NS_PER_S)  /* a process born into its cgroup is no event */
#define RESCAN_NS      (NS_PER_S / 4)  /* after a cgroup was made */
#define READ_SHARE     0.005	       /* of the interval; beyond it readings are thinned */
#define JUDGE_SHARE    0.001
#define JUDGE_AGAIN    0.02 /* of the watch: a verdict younger than that stands */
#define BUSY_ROUNDS    2
#define COST_RISES     1.1
#define COST_FADES     0.98
#define IDLE_ROUNDS    5
#define SLOW_ROUNDS    20
#define NEAR_SHARE     0.9 /* of the limit: read as often as can be */

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static double seconds_since(const struct memory *m, uint64_t time_ns)
{
	return time_ns > m->opened_ns ? (double)(time_ns - m->opened_ns) / 1e9 : 0;
}

int memory__open(struct memory **out, const struct memory_opts *opts)
{
	struct memory *m = calloc(1, sizeof(*m));
	int err;

	*out = NULL;
	if (!m)
		return log_fail(-ENOMEM, "out of memory");
	m->opts = *opts;
	m->opened_ns = m->read_ns = clock__now();
	limits__raise_files(); /* a container takes up to six */
	m->keep_open = true;
	err = memory__find_hierarchy(m);
	err = err ? err : memory__resolve_filters(m);
	if (err)
		goto fail;
	m->snapshot.hierarchy = m->version->name;
	m->names = containers__open(opts->host_root);
	if (!m->names) {
		err = log_fail(-ENOMEM, "out of memory");
		goto fail;
	}
	/* First the events, then the list: nothing is missed between the two. */
	if (!opts->mount)
		m->events = memory_events__open(m->hierarchy, memory__on_event, m);
	m->snapshot.followed = m->events && memory_events__cgroups(m->events);
	m->snapshot.kills_told = m->events && memory_events__kills(m->events);
	err = memory__scan(m);
	if (err)
		goto fail;
	*out = m;
	return 0;
fail:
	memory__close(m);
	return err;
}

void memory__close(struct memory *m)
{
	if (!m)
		return;
	memory_events__close(m->events);
	containers__close(m->names);
	for (size_t i = 0; i < m->snapshot.n; i++) {
		memory_files__close(&m->watches[i]->files);
		free(m->watches[i]);
	}
	free(m->watches);
	free(m->dirs);
	memory_snapshot__free(&m->snapshot);
	free(m);
}

static int make_room(struct memory *m)
{
	size_t room = m->room ? 2 * m->room : 64;
	struct memory_container *containers;
	struct memory_watch **watches;

	if (m->snapshot.n < m->room)
		return 0;
	containers = realloc(m->snapshot.containers, room * sizeof(*containers));
	if (!containers)
		return -ENOMEM;
	m->snapshot.containers = containers;
	watches = realloc(m->watches, room * sizeof(struct memory_watch *));
	if (!watches)
		return -ENOMEM;
	m->watches = watches;
	m->room = room;
	return 0;
}

/* Its cgroup may be gone before it is read: then it is listed without figures. */
struct memory_watch *memory__add(struct memory *m, uint64_t id, const char *path,
				 const struct container *name)
{
	char dir[2 * MEMORY_PATH_LEN];
	struct memory_container *c;
	struct memory_watch *w;

	if (make_room(m))
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->index = m->snapshot.n++;
	w->named_ns = clock__now();
	m->watches[w->index] = w;
	c = &m->snapshot.containers[w->index];
	memset(c, 0, sizeof(*c));
	c->cgroup = id;
	c->name = *name;
	c->worst_share = NAN;
	memory_reading__init(&c->last);
	snprintf(c->path, sizeof(c->path), "%s", path);
	memory_container__judge(c);
	snprintf(dir, sizeof(dir), "%s%s", m->mount, path);
	if (memory_files__open(&w->files, dir, m->keep_open) == -EMFILE)
		log_warn("no descriptor is left for %s: raise the limit (ulimit -n)", path);
	return w;
}

void memory__gone(struct memory *m, struct memory_watch *w, uint64_t time_ns)
{
	struct memory_container *c = &m->snapshot.containers[w->index];

	if (c->gone)
		return;
	memory_container__judge(c);
	c->gone = true;
	c->gone_s = seconds_since(m, time_ns);
	memory_files__close(&w->files);
}

static bool same_container(const struct memory_container *old, const struct memory_container *now)
{
	const struct container *a = &old->name, *b = &now->name;

	if (!strcmp(old->path, now->path))
		return true;
	return a->id[0] && b->id[0] && a->name[0] && !strcmp(a->name, b->name) &&
	       !strcmp(a->pod, b->pod) && !strcmp(a->namespace_, b->namespace_) &&
	       !strcmp(a->runtime, b->runtime) && (a->pod[0] || !strcmp(a->runtime, "docker"));
}

void memory__link_restarts(struct memory *m)
{
	for (size_t i = 0; i < m->snapshot.n; i++) {
		struct memory_container *c = &m->snapshot.containers[i];

		if (m->watches[i]->linked)
			continue;
		m->watches[i]->linked = true;
		for (size_t j = m->snapshot.n; j-- > 0 && !c->restarts;) {
			struct memory_container *old = &m->snapshot.containers[j];

			if (j == i || !old->gone || old->succeeded || !same_container(old, c))
				continue;
			c->restarts = old->restarts + 1;
			old->succeeded = true;
		}
	}
}

static void drop(struct memory *m, size_t i)
{
	struct memory_watch *w = m->watches[i];
	size_t after = m->snapshot.n - i - 1;

	for (size_t d = 0; d < m->n_dirs; d++) {
		m->dirs[d].watch = m->dirs[d].watch == w ? NULL : m->dirs[d].watch;
		m->dirs[d].owner = m->dirs[d].owner == w ? NULL : m->dirs[d].owner;
	}
	m->snapshot.forgotten_findings |= m->snapshot.containers[i].findings;
	memory_container__free(&m->snapshot.containers[i]);
	memory_files__close(&w->files);
	free(w);
	memmove(&m->snapshot.containers[i], &m->snapshot.containers[i + 1],
		after * sizeof(*m->snapshot.containers));
	memmove(&m->watches[i], &m->watches[i + 1], after * sizeof(struct memory_watch *));
	m->snapshot.n--;
	for (size_t j = i; j < m->snapshot.n; j++)
		m->watches[j]->index = j;
	m->snapshot.forgotten++;
}

void memory__forget(struct memory *m)
{
	size_t gone = 0;

	for (size_t i = 0; i < m->snapshot.n; i++)
		gone += m->snapshot.containers[i].gone;
	for (size_t i = 0; i < m->snapshot.n && gone > MAX_GONE;) {
		const struct memory_container *c = &m->snapshot.containers[i];

		if (!c->gone || (c->findings && gone <= MAX_GONE_FOUND)) {
			i++;
			continue;
		}
		drop(m, i);
		gone--;
	}
}

/*
 * Would reading all of every container cost more than its share of the interval? Who asks for short
 * intervals wants the detail: what they may cost is that of a second.
 */
static bool must_save(const struct memory *m, uint64_t now)
{
	double interval = fmax((double)(now - m->read_ns), (double)NS_PER_S);

	return !m->finishing && m->full_ns * (double)m->snapshot.n > READ_SHARE * interval;
}

/* What to read of a container when readings are thinned, its usage being read already. */
static unsigned int parts_saved(const struct memory *m, const struct memory_watch *w,
				const struct memory_reading *r)
{
	size_t turn = m->rounds + w->index;
	bool near =
		r->limit != MEMORY_NO_LIMIT && (double)r->current > NEAR_SHARE * (double)r->limit;
	unsigned int parts = 0;

	if (turn % SLOW_ROUNDS == 0)
		return MEMORY_STAT | MEMORY_EVENTS | MEMORY_SLOW;
	if (near)
		return MEMORY_STAT | MEMORY_EVENTS;
	/* Where nobody tells of kills, the counter does: late, it would hide what was before. */
	if (!m->events || !memory_events__kills(m->events))
		parts |= MEMORY_EVENTS;
	/* To the byte the same, off the limit: nothing was charged but what CPUs have in stock. */
	if ((r->current != w->stat_usage && turn % BUSY_ROUNDS == 0) || turn % IDLE_ROUNDS == 0)
		parts |= MEMORY_STAT;
	return parts;
}

static int read_one(struct memory *m, struct memory_watch *w, bool save)
{
	struct memory_container *c = &m->snapshot.containers[w->index];
	struct memory_reading r = c->last;
	unsigned int parts = MEMORY_ALL;
	bool counted = false; /* its anon is that of now */
	int err;

	if (c->gone)
		return 0;
	r.pressure_some = r.pressure_full = NAN;
	if (save && w->read) {
		err = m->version->read(&w->files, MEMORY_USAGE, &r);
		counted = r.current == w->stat_usage;
		parts = parts_saved(m, w, &r);
		err = err || !parts ? err : m->version->read(&w->files, parts, &r);
		if (!(parts & MEMORY_EVENTS)) {
			r.pressure_some = c->last.pressure_some;
			r.pressure_full = c->last.pressure_full;
		}
	} else {
		err = m->version->read(&w->files, parts, &r);
	}
	r.time_ns = clock__now();
	/* The directory went while it was read; the scan will say the same. */
	if (err == -ENODEV || err == -ENOENT || err == -EBADF) {
		if (err == -ENODEV)
			memory__gone(m, w, r.time_ns);
		return 0;
	}
	if (err)
		return err;
	if (!w->read)
		w->kills_base =
			r.events_oom_kill == MEMORY_NOT_KNOWN
				? 0
				: r.events_oom_kill -
					  (r.events_oom_kill >= w->kills_told ? w->kills_told : 0);
	w->before_last = c->last;
	w->read = true;
	if (parts & MEMORY_STAT)
		w->stat_usage = r.current;
	counted = counted || parts & MEMORY_STAT;
	return memory_container__add(c, &r, seconds_since(m, r.time_ns), counted);
}

/*
 * One slow round (an interrupt, a cold cache) is not to thin readings: the estimate rises slowly
 * and falls at once. While they are thinned it fades, so that a full round is tried now and then.
 */
static void note_cost(struct memory *m, bool saved, double ns)
{
	if (saved)
		m->full_ns *= COST_FADES;
	else if (m->rounds) /* the first one opens the files, too */
		m->full_ns = m->full_ns > 0 ? fmin(ns, m->full_ns * COST_RISES) : ns;
}

static int read_all(struct memory *m)
{
	bool save = must_save(m, clock__now());
	uint64_t before = cpu_ns();
	size_t live = 0;
	int err;

	for (size_t i = 0; i < m->snapshot.n; i++) {
		live += !m->snapshot.containers[i].gone;
		err = read_one(m, m->watches[i], save);
		if (err)
			return log_fail(err, "cannot read the memory of %s%s: %s", m->mount,
					m->snapshot.containers[i].path, strerror(-err));
	}
	note_cost(m, save, live ? (double)(cpu_ns() - before) / (double)live : 0);
	m->rounds++;
	return 0;
}

static void judge_one(struct memory *m, struct memory_watch *w, uint64_t now)
{
	memory_container__judge(&m->snapshot.containers[w->index]);
	w->judged_ns = now;
}

/* In turn, as long as its share of the time lasts, and one at least. */
static void judge_some(struct memory *m, uint64_t now)
{
	double budget = JUDGE_SHARE * (double)(now - m->read_ns);
	double young = JUDGE_AGAIN * (double)(now - m->opened_ns);
	uint64_t before = cpu_ns();
	bool first = true;

	for (size_t n = 0; n < m->snapshot.n; n++) {
		struct memory_watch *w;

		if (!m->finishing && !first && (double)(cpu_ns() - before) > budget)
			break;
		m->judge_at = (m->judge_at + 1) % m->snapshot.n;
		w = m->watches[m->judge_at];
		if (m->snapshot.containers[w->index].gone ||
		    (!m->finishing && w->judged_ns && (double)(now - w->judged_ns) < young))
			continue;
		judge_one(m, w, now);
		first = false;
	}
}

static void account_self(struct memory *m)
{
	struct rusage u = {0};
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	getrusage(RUSAGE_SELF, &u);
	m->snapshot.user_cpu_s = (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
	m->snapshot.system_cpu_s = (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
	if (f && fscanf(f, "%*s %llu", &pages) == 1)
		m->snapshot.rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	if (f)
		fclose(f);
}

int memory__read(struct memory *m, const struct memory_snapshot **s)
{
	uint64_t now;
	int err = 0;

	memory__notice(m);
	now = clock__now();
	if (!m->snapshot.followed || m->finishing || now < m->young_until_ns ||
	    now - m->scanned_ns >= (m->n_empty ? SCAN_EMPTY_NS : SCAN_EVERY_NS))
		err = memory__scan(m);
	err = err ? err : read_all(m);
	if (err)
		return err;
	if (m->events)
		memory_events__take(m->events);
	memory__count_kills(m);
	now = clock__now();
	judge_some(m, now);
	m->read_ns = now;
	m->snapshot.time_ns = now;
	m->snapshot.duration_s = seconds_since(m, now);
	m->snapshot.events_lost = m->events ? memory_events__lost(m->events) : 0;
	account_self(m);
	*s = &m->snapshot;
	return 0;
}

void memory__finish(struct memory *m)
{
	m->finishing = true;
}

void memory__notice(struct memory *m)
{
	if (!m->events)
		return;
	memory_events__take(m->events);
	if (m->dirty && clock__now() - m->scanned_ns >= RESCAN_NS)
		memory__scan(m);
}

void memory__wait(struct memory *m, uint64_t until_ns)
{
	struct pollfd p = {.fd = m->events ? memory_events__fd(m->events) : -1, .events = POLLIN};
	uint64_t now = clock__now(), next;

	while (now < until_ns) {
		/* While cgroups are young, looking for their first process; else until an event. */
		next = now < m->young_until_ns && now + RESCAN_NS < until_ns ? now + RESCAN_NS
									     : until_ns;
		if (poll(&p, 1, clock__left_ms(next)) < 0)
			return;
		now = clock__now();
		m->dirty = m->dirty || now < m->young_until_ns;
		memory__notice(m);
		now = clock__now();
	}
}

int memory__read_cgroup(const char *dir, struct memory_reading *r)
{
	static const struct memory_version *const versions[] = {&memory_v1, &memory_v2};
	char path[MEMORY_PATH_LEN * 2];
	struct memory_files f;
	int err = -ENODATA;

	memory_reading__init(r);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, versions[i]->sign);
		if (access(path, R_OK))
			continue;
		err = memory_files__open(&f, dir, false);
		if (err)
			return err;
		err = versions[i]->read(&f, MEMORY_ALL, r);
		memory_files__close(&f);
		break;
	}
	r->time_ns = clock__now();
	return err;
}
