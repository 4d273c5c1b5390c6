// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Events of the kernel, and the black box of an OOM kill: what was read before it. */
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "log.h"
#include "probe/memory_watch.h"
#include "stack/clock.h"

/* A process enters its cgroup a moment after that was made. */
#define YOUNG_NS   (2 * NS_PER_S)
#define ENTERED_NS (NS_PER_S / 2)

static uint64_t bytes_of(uint64_t pages)
{
	return pages == CGROUP_NOT_TOLD ? MEMORY_NOT_KNOWN
					: pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The container nearest to a path, at it or above it. */
static struct memory_watch *owner_of_path(const struct memory *m, const char *path)
{
	struct memory_watch *best = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < m->snapshot.n; i++) {
		const struct memory_container *c = &m->snapshot.containers[i];
		size_t len = strlen(c->path);

		if (!c->gone && len > longest && !strncmp(path, c->path, len) &&
		    (path[len] == '/' || !path[len])) {
			best = m->watches[i];
			longest = len;
		}
	}
	return best;
}

static struct memory_watch *owner_of_victim(struct memory *m, const struct cgroup_event *e)
{
	char path[MEMORY_PATH_LEN];
	struct memory_watch *w;

	if (!e->cgroup) /* an older kernel; the process may be gone by now */
		return memory__path_of(m, e->pid, path, sizeof(path)) ? NULL
								      : owner_of_path(m, path);
	w = memory__owner(m, e->cgroup);
	if (w)
		return w;
	/* So young that it was not seen yet. It may be empty already. */
	m->forced = e->cgroup;
	if (!memory__scan(m))
		w = memory__owner(m, e->cgroup);
	m->forced = 0;
	return w;
}

static void note_kill(struct memory *m, struct memory_watch *w, struct oom_kill *k)
{
	struct memory_container *c = &m->snapshot.containers[w->index];

	k->before = c->last;
	if (c->last.time_ns > k->time_ns && w->before_last.time_ns)
		k->before = w->before_last;
	if (memory_container__kill(c, k))
		log_warn("out of memory: an OOM kill is counted, but not described");
}

static void on_victim(struct memory *m, const struct cgroup_event *e)
{
	struct memory_watch *w = owner_of_victim(m, e);
	struct oom_kill k = {
		.time_ns = e->time_ns,
		.pid = e->pid,
		.anon_rss = bytes_of(e->anon_pages),
		.file_rss = bytes_of(e->file_pages),
		.shmem_rss = bytes_of(e->shmem_pages),
		.usage = bytes_of(e->usage_pages),
	};

	memcpy(k.comm, e->comm, sizeof(k.comm));
	k.comm[sizeof(k.comm) - 1] = '\0';
	if (!w) {
		m->snapshot.kills_elsewhere += !m->filtered;
		return;
	}
	w->kills_told++;
	note_kill(m, w, &k);
}

static void on_removed(struct memory *m, const struct cgroup_event *e)
{
	for (size_t i = m->snapshot.n; i-- > 0;) {
		if (m->snapshot.containers[i].cgroup != e->cgroup)
			continue;
		memory__gone(m, m->watches[i], e->time_ns);
		return;
	}
}

/* Processes move into containers that are known already all the time. */
static void on_entered(struct memory *m, const struct cgroup_event *e)
{
	for (size_t i = 0; i < m->snapshot.n; i++)
		if (m->snapshot.containers[i].cgroup == e->cgroup)
			return;
	m->dirty = true;
	m->young_until_ns = e->time_ns + ENTERED_NS;
}

void memory__on_event(void *ctx, const struct cgroup_event *e)
{
	struct memory *m = ctx;

	switch (e->type) {
	case CGROUP_MADE:
		m->dirty = true;
		m->young_until_ns = e->time_ns + YOUNG_NS;
		break;
	case CGROUP_ENTERED: on_entered(m, e); break;
	case CGROUP_REMOVED: on_removed(m, e); break;
	case CGROUP_OOM_VICTIM: on_victim(m, e); break;
	}
}

/*
 * The kernel counts a kill just before it tells of it. So one that is counted and was not told
 * waits for the next reading, where there are events at all.
 */
static void count_kills_of(struct memory *m, struct memory_watch *w)
{
	const struct memory_container *c = &m->snapshot.containers[w->index];
	uint64_t counted = c->last.events_oom_kill, missing;
	struct oom_kill k = {
		.time_ns = c->last.time_ns,
		.anon_rss = MEMORY_NOT_KNOWN,
		.file_rss = MEMORY_NOT_KNOWN,
		.shmem_rss = MEMORY_NOT_KNOWN,
		.usage = MEMORY_NOT_KNOWN,
	};

	if (counted == MEMORY_NOT_KNOWN || counted < w->kills_base + w->kills_told)
		return;
	missing = counted - w->kills_base - w->kills_told;
	if (m->snapshot.kills_told && missing > w->kills_pending) {
		w->kills_pending = missing;
		return;
	}
	w->kills_pending = 0;
	for (; missing; missing--) {
		w->kills_told++;
		note_kill(m, w, &k);
		/* It died before the reading that counts it. */
		if (w->before_last.time_ns && c->n_kills_kept)
			c->kills[c->n_kills_kept - 1].before = w->before_last;
	}
}

void memory__count_kills(struct memory *m)
{
	for (size_t i = 0; i < m->snapshot.n; i++)
		if (!m->snapshot.containers[i].gone && m->watches[i]->read)
			count_kills_of(m, m->watches[i]);
}
