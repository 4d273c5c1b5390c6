// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Processes under watch: what they have mapped, the probes in it, fork, exec and exit. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "log.h"
#include "probe/heap_internal.h"
#include "sym/maps.h"

/*
 * A path to the file that the kernel takes: by the mapping itself, so that files that were deleted
 * or replaced, or lie in another mount namespace, are the right ones.
 */
static void file_path(char *buf, size_t size, pid_t pid, const struct map *map)
{
	snprintf(buf, size, "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)map->start,
		 (unsigned long long)map->end);
}

static struct heap_module *known_module(const struct heap *h, const struct map *map)
{
	for (size_t i = 0; i < h->n_modules; i++) {
		struct heap_module *m = h->modules[i];

		if (m->inode == map->inode && m->major == map->major && m->minor == map->minor)
			return m;
	}
	return NULL;
}

static void number_functions(struct heap *h, struct heap_module *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct placement *at = &m->functions[i].at;

		m->functions[i].id = ++h->n_functions;
		if (h->opts.at_entry && at->offset)
			*at = (struct placement){.instruction = "entry"};
	}
}

static void note_allocator(struct heap *h, const struct heap_module *m)
{
	const char *name = m->allocator ? m->allocator : "malloc";
	size_t len = strlen(h->allocator);

	if (!m->n || strstr(h->allocator, name))
		return;
	snprintf(h->allocator + len, sizeof(h->allocator) - len, "%s%s", len ? ", " : "", name);
}

/* Reads the mapped file. NULL: out of memory. What cannot be read has no allocator. */
static struct heap_module *new_module(struct heap *h, const struct map *map, const char *path)
{
	struct heap_module **more = realloc(h->modules, (h->n_modules + 1) * sizeof(*more));
	struct heap_module *m;
	int fd, err = 0;

	if (!more)
		return NULL;
	h->modules = more;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->major = map->major;
	m->minor = map->minor;
	m->inode = map->inode;
	m->path = strdup(map->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && m->path) {
		err = heap_module__read(m, fd);
	}
	if (fd < 0 || err)
		log_debug("cannot read %s: %s", map->path, strerror(fd < 0 ? errno : -err));
	if (fd >= 0)
		close(fd);
	if (!m->path || err == -ENOMEM || (unsigned int)h->n_functions + m->n > 0xffff) {
		heap_module__free(m);
		free(m);
		return NULL;
	}
	if (err)
		m->n = 0;
	number_functions(h, m);
	h->modules[h->n_modules++] = m;
	return m;
}

/* ---- probes */

static uint64_t cookie_of(const struct watched *w, const struct heap_function *f)
{
	return HEAP_COOKIE(f->what->role, f->what->arg, !f->at.emulated, f->what->throws,
			   f->jumps_out, f->id) |
	       HEAP_COOKIE_PLACE(f->at.offset, f->at.pushed, w->life);
}

static size_t sites_of(const struct heap_module *m, const struct watched *w, bool frees,
		       bool reallocs, struct uprobe_site *sites)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct heap_function *f = &m->functions[i];
		bool is_realloc =
			f->what->role == HEAP_REALLOC || f->what->role == HEAP_REALLOCARRAY;

		if ((f->what->role == HEAP_FREE) != frees || (!frees && is_realloc != reallocs))
			continue;
		if (f->what->throws && w->may_throw)
			continue;
		sites[n].offset = f->offset + f->at.offset;
		sites[n++].cookie = cookie_of(w, f);
	}
	return n;
}

/* Frees first: a block that comes to be known is not to go unseen. */
static int attach_module(struct heap *h, struct watched *w, const struct heap_module *m,
			 const char *path)
{
	struct uprobe_site *sites = calloc(m->n, sizeof(*sites));
	const struct heap_bpf *s = h->skel;
	size_t n;
	int err;

	if (!sites)
		return -ENOMEM;
	n = sites_of(m, w, true, false, sites);
	err = uprobes__attach(&w->probes, s->progs.heap_free, h->how, UPROBE_ENTRY, path, w->pid,
			      sites, n);
	n = sites_of(m, w, false, true, sites);
	n += sites_of(m, w, false, false, sites + n);
	if (!err && h->how == UPROBE_SESSION) {
		err = uprobes__attach(&w->probes, s->progs.heap_session, h->how, UPROBE_BOTH, path,
				      w->pid, sites, n);
	} else if (!err) {
		err = uprobes__attach(&w->probes, s->progs.heap_return, h->how, UPROBE_RETURN, path,
				      w->pid, sites, n);
		err = err ? err
			  : uprobes__attach(&w->probes, s->progs.heap_enter, h->how, UPROBE_ENTRY,
					    path, w->pid, sites, n);
	}
	free(sites);
	return err;
}

/* ---- mappings */

static void add_ranges(struct heap_ranges *r, const struct heap_module *m, const struct map *map)
{
	for (size_t i = 0; i < m->n && r->n < HEAP_MAX_RANGES; i++) {
		const struct heap_function *f = &m->functions[i];
		uint64_t start = map->start + f->offset - map->offset;

		if (f->offset < map->offset || start >= map->end)
			continue;
		r->range[r->n++] = (struct heap_range){.start = start, .end = start + f->size};
	}
}

static bool is_probed(const struct watched *w, size_t module)
{
	for (size_t i = 0; i < w->n_modules; i++) {
		if (w->modules[i] == module)
			return true;
	}
	return false;
}

static void warn_throwing(const struct heap *h, const struct watched *w,
			  const struct heap_module *m)
{
	for (size_t i = 0; i < m->n && w->may_throw; i++) {
		if (!m->functions[i].what->throws)
			continue;
		log_warn("process %d: operator new of %s is not followed: it throws when it fails, "
			 "which a return probe would turn into the end of the program, and %s",
			 w->pid, m->path,
			 h->how == UPROBE_SESSION
				 ? "its memory is limited (RLIMIT_AS, RLIMIT_DATA or overcommit)"
				 : "this kernel has no session probes (Linux 6.13)");
		return;
	}
}

static int probe_map(struct heap *h, struct watched *w, struct heap_module *m, const char *path)
{
	size_t index = 0, *more;
	int err;

	while (h->modules[index] != m)
		index++;
	if (!m->n || is_probed(w, index))
		return 0;
	more = realloc(w->modules, (w->n_modules + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	w->modules = more;
	warn_throwing(h, w, m);
	err = attach_module(h, w, m, path);
	if (err)
		return err;
	w->modules[w->n_modules++] = index;
	note_allocator(h, m);
	return 0;
}

static uint64_t maps__hash(const struct maps *maps)
{
	uint64_t hash = 1;

	for (size_t i = 0; i < maps->n; i++) {
		hash = (hash ^ maps->map[i].start) * 0x100000001b3ull;
		hash = (hash ^ maps->map[i].inode) * 0x100000001b3ull;
	}
	return hash;
}

/* With --binary: no other file. */
static bool is_wanted(const struct heap *h, const struct map *map)
{
	const char *wanted = h->binary;
	size_t len, have;
	struct stat st;

	if (!map->inode || !map->exec)
		return false;
	if (!wanted)
		return true;
	if (!stat(wanted, &st) && st.st_ino == map->inode && major(st.st_dev) == map->major &&
	    minor(st.st_dev) == map->minor)
		return true;
	/* As the process sees it, or the end of that. */
	len = strlen(wanted);
	have = strlen(map->path);
	return have >= len && !strcmp(map->path + have - len, wanted) &&
	       (have == len || wanted[0] == '/' || map->path[have - len - 1] == '/');
}

/* Looks through what the process has mapped. -ESRCH: it ended. */
static int scan(struct heap *h, struct watched *w, bool *changed)
{
	struct heap_ranges ranges = {0};
	struct maps maps;
	uint64_t hash;
	int err = maps__read(&maps, w->pid, true);

	*changed = false;
	if (err)
		return err;
	hash = maps__hash(&maps);
	*changed = hash != w->mapped;
	for (size_t i = 0; i < maps.n && *changed && !err; i++) {
		struct heap_module *m;
		char path[96];

		if (!is_wanted(h, &maps.map[i]))
			continue;
		file_path(path, sizeof(path), w->pid, &maps.map[i]);
		m = known_module(h, &maps.map[i]);
		if (!m)
			m = new_module(h, &maps.map[i], path);
		if (!m) {
			err = -ENOMEM;
			break;
		}
		err = probe_map(h, w, m, path);
		if (err) {
			log_warn("process %d: cannot probe %s: %s", w->pid, m->path,
				 strerror(-err));
			break;
		}
		add_ranges(&ranges, m, &maps.map[i]);
	}
	if (*changed && !err) {
		w->mapped = hash;
		bpf_map__update_elem(h->skel->maps.ranges, &w->life, sizeof(w->life), &ranges,
				     sizeof(ranges), BPF_ANY);
	}
	maps__free(&maps);
	return err;
}

/* ---- processes */

int heap__watch(struct heap *h, pid_t pid, uint32_t life, bool asked, size_t *n)
{
	struct watched *more = realloc(h->watched, (h->n_watched + 1) * sizeof(*more)), *w;
	bool changed;
	int err;

	if (!more)
		return log_fail(-ENOMEM, "out of memory");
	h->watched = more;
	w = &h->watched[h->n_watched++];
	*w = (struct watched){.pid = pid, .life = life, .asked = asked};
	w->may_throw = heap__may_throw(h, pid);
	err = life > HEAP_MAX_LIFE ? -EOVERFLOW : scan(h, w, &changed);
	*n = w->n_modules;
	if (err == -ESRCH && asked)
		return log_fail(err, "process %d: no such process", pid);
	if (err && asked)
		return log_fail(err, "cannot probe process %d: %s", pid, strerror(-err));
	return err;
}

static void forget(struct heap *h, size_t i)
{
	struct watched *w = &h->watched[i];
	uint32_t life = w->life;

	uprobes__detach(&w->probes);
	free(w->modules);
	bpf_map__delete_elem(h->skel->maps.ranges, &life, sizeof(life), 0);
	h->watched[i] = h->watched[--h->n_watched];
}

static struct watched *watched_life(struct heap *h, uint32_t life)
{
	for (size_t i = 0; i < h->n_watched; i++) {
		if (h->watched[i].life == life)
			return &h->watched[i];
	}
	return NULL;
}

/* A process that came by fork, or that is another program now. */
static void take_in(struct heap *h, uint32_t pid, const struct heap_process *p)
{
	size_t n = 0;

	/* The program may be one that must not be probed now. */
	if (p->asked && heap__check(h, (pid_t)pid)) {
		bpf_map__delete_elem(h->skel->maps.processes, &pid, sizeof(pid), 0);
		return;
	}
	unwinder__refresh(h->unwinder, (pid_t)pid);
	if (heap__watch(h, (pid_t)pid, p->life, p->asked, &n))
		log_debug("process %u: not followed, it ended", pid);
	if (p->parent)
		heap__inherit(h, p->parent, p->life);
}

void heap__sync(struct heap *h)
{
	int fd = bpf_map__fd(h->skel->maps.processes);
	struct heap_process p;
	bool reap = false;
	uint32_t pid, *at = NULL;

	for (size_t i = h->n_watched; i-- > 0;) {
		pid = (uint32_t)h->watched[i].pid;
		if (!bpf_map_lookup_elem(fd, &pid, &p) && p.life == h->watched[i].life)
			continue;
		forget(h, i);
		reap = true;
	}
	while (!bpf_map_get_next_key(fd, at, &pid)) {
		at = &pid;
		if (!bpf_map_lookup_elem(fd, &pid, &p) && !watched_life(h, p.life))
			take_in(h, pid, &p);
	}
	if (reap)
		heap__reap(h);
}

void heap__rescan(struct heap *h)
{
	for (size_t i = 0; i < h->n_watched; i++) {
		bool changed;

		if (scan(h, &h->watched[i], &changed) == -ESRCH)
			continue; /* its exit comes to be known by itself */
		if (changed)
			unwinder__refresh(h->unwinder, h->watched[i].pid);
	}
}

void heap__detach(struct heap *h)
{
	struct uprobes all = {0};

	for (size_t i = 0; i < h->n_watched; i++)
		uprobes__take(&all, &h->watched[i].probes);
	uprobes__detach(&all);
	for (size_t i = 0; i < h->n_watched; i++) {
		uprobes__detach(&h->watched[i].probes); /* where there was no memory */
		free(h->watched[i].modules);
		h->watched[i].modules = NULL;
		h->watched[i].n_modules = 0;
	}
	for (int i = 0; i < 3; i++) {
		bpf_link__destroy(h->tracepoints[i]);
		h->tracepoints[i] = NULL;
	}
}
