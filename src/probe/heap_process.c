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

#define SETTLE_NS 1000000000ull /* a program that began then has loaded its libraries */

/*
 * A path to the file that the kernel takes: by the mapping itself, so that files that were deleted
 * or replaced, or lie in another mount namespace, are the right ones.
 */
static void file_path(char *buf, size_t size, pid_t pid, const struct map *map)
{
	snprintf(buf, size, "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)map->start,
		 (unsigned long long)map->end);
}

static bool same_file(const struct heap_module *a, const struct heap_module *b)
{
	return a->inode == b->inode && a->major == b->major && a->minor == b->minor;
}

static struct heap_module *known_module(const struct heap *h, const struct map *map,
					const struct stat *st)
{
	for (size_t i = 0; i < h->n_modules; i++) {
		struct heap_module *m = h->modules[i];

		if (m->inode == map->inode && m->major == map->major && m->minor == map->minor &&
		    m->size == st->st_size && m->mtime.tv_sec == st->st_mtim.tv_sec &&
		    m->mtime.tv_nsec == st->st_mtim.tv_nsec)
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

/* Reads the mapped file. What is no ELF file has no allocator. 0 or -ENOMEM. */
static int new_module(struct heap *h, const struct map *map, int fd, const struct stat *st,
		      struct heap_module **out)
{
	struct heap_module **more = realloc(h->modules, (h->n_modules + 1) * sizeof(*more));
	struct heap_module *m;
	int err;

	if (!more)
		return -ENOMEM;
	h->modules = more;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->major = map->major;
	m->minor = map->minor;
	m->inode = map->inode;
	m->size = st->st_size;
	m->mtime = st->st_mtim;
	m->path = strdup(map->path);
	err = m->path ? heap_module__read(m, fd) : -ENOMEM;
	if (err)
		log_debug("cannot read %s: %s", map->path, strerror(-err));
	if (err == -ENOMEM || (unsigned int)h->n_functions + m->n > 0xffff) {
		heap_module__free(m);
		free(m);
		return -ENOMEM;
	}
	if (err)
		m->n = 0;
	number_functions(h, m);
	h->modules[h->n_modules++] = m;
	*out = m;
	return 0;
}

/*
 * The file of a mapping as it is now. 0, or negative errno; one that cannot be opened is not
 * remembered as one without an allocator: mostly the process has just ended.
 */
static int module_of(struct heap *h, const struct map *map, const char *path,
		     struct heap_module **out)
{
	struct stat st;
	int fd, err = 0;

	if (stat(path, &st))
		return -errno;
	*out = known_module(h, map, &st);
	if (*out)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) ? -errno : new_module(h, map, fd, &st, out);
	close(fd);
	return err;
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
	struct uprobes all = {0};
	size_t n;
	int err;

	if (!sites)
		return -ENOMEM;
	n = sites_of(m, w, true, false, sites);
	err = uprobes__attach(&all, s->progs.heap_free, h->how, UPROBE_ENTRY, path, w->pid, sites,
			      n);
	n = sites_of(m, w, false, true, sites);
	n += sites_of(m, w, false, false, sites + n);
	if (!err && h->how == UPROBE_SESSION) {
		err = uprobes__attach(&all, s->progs.heap_session, h->how, UPROBE_BOTH, path,
				      w->pid, sites, n);
	} else if (!err) {
		err = uprobes__attach(&all, s->progs.heap_return, h->how, UPROBE_RETURN, path,
				      w->pid, sites, n);
		err = err ? err
			  : uprobes__attach(&all, s->progs.heap_enter, h->how, UPROBE_ENTRY, path,
					    w->pid, sites, n);
	}
	free(sites);
	err = err ? err : uprobes__take(&w->probes, &all);
	if (err)
		uprobes__detach(&all);
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

/* By the file alone: one that was written anew while it is probed is not probed twice. */
static bool is_probed(const struct heap *h, const struct watched *w, const struct heap_module *m)
{
	for (size_t i = 0; i < w->n_modules; i++) {
		if (same_file(h->modules[w->modules[i]], m))
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
	if (!m->n || is_probed(h, w, m))
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
	for (size_t i = 0; i < maps.n && *changed; i++) {
		struct heap_module *m = NULL;
		char path[96];
		int failed;

		if (!is_wanted(h, &maps.map[i]))
			continue;
		file_path(path, sizeof(path), w->pid, &maps.map[i]);
		failed = module_of(h, &maps.map[i], path, &m);
		if (failed && failed != -ENOMEM && failed != -EMFILE && failed != -ENFILE) {
			log_debug("cannot read %s: %s", maps.map[i].path, strerror(-failed));
			continue;
		}
		failed = failed ? failed : probe_map(h, w, m, path);
		if (!failed && m) {
			add_ranges(&ranges, m, &maps.map[i]);
		} else if (failed == -ESRCH) {
			err = failed;
			break;
		} else {
			log_warn("process %d: cannot probe %s: %s", w->pid, maps.map[i].path,
				 strerror(-failed));
			err = err ? err : failed;
		}
	}
	/* Also when some could not be probed: that is said once, and not at each look. */
	if (*changed && err != -ESRCH) {
		w->mapped = hash;
		bpf_map__update_elem(h->skel->maps.ranges, &w->life, sizeof(w->life), &ranges,
				     sizeof(ranges), BPF_ANY);
	}
	maps__free(&maps);
	return err;
}

/* ---- processes */

const char *heap__no_allocator(const struct heap *h, pid_t pid, char *buf, size_t size)
{
	for (size_t i = 0; i < h->n_modules; i++) {
		if (!h->modules[i]->is_static || h->modules[i]->has_symbols)
			continue;
		snprintf(buf, size,
			 "process %d: %s is statically linked and stripped, so its allocator "
			 "cannot be found; run one with symbols, or use --pages",
			 pid, h->modules[i]->path);
		return buf;
	}
	if (h->binary)
		snprintf(buf, size,
			 "process %d has mapped no file %s that defines an allocator's function",
			 pid, h->binary);
	else
		snprintf(buf, size,
			 "process %d: no file that it has mapped defines malloc, or any function "
			 "of an allocator that is known; give --binary PATH, or use --pages",
			 pid);
	return buf;
}

int heap__watch(struct heap *h, pid_t pid, uint32_t life, bool asked, size_t *n)
{
	struct watched *more = realloc(h->watched, (h->n_watched + 1) * sizeof(*more)), *w;
	bool changed;
	int err;

	if (!more)
		return log_fail(-ENOMEM, "out of memory");
	h->watched = more;
	w = &h->watched[h->n_watched++];
	*w = (struct watched){.pid = pid, .life = life, .asked = asked, .since_ns = heap__now()};
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
	int err;

	/* The program may be one that must not be probed now. */
	if (p->asked && heap__check(h, (pid_t)pid)) {
		bpf_map__delete_elem(h->skel->maps.processes, &pid, sizeof(pid), 0);
		return;
	}
	unwinder__refresh(h->unwinder, (pid_t)pid);
	err = heap__watch(h, (pid_t)pid, p->life, p->asked, &n);
	if (err == -ESRCH)
		log_debug("process %u: not followed, it ended", pid);
	else if (err && !p->asked) /* else it was said */
		log_warn("process %u: not followed, or not all of it: %s", pid, strerror(-err));
	if (p->parent)
		heap__inherit(h, p->parent, p->life);
}

struct newcomer {
	uint32_t pid;
	struct heap_process p;
};

static int by_life(const void *a, const void *b)
{
	const struct newcomer *x = a, *y = b;

	return (x->p.life > y->p.life) - (x->p.life < y->p.life);
}

/* By rising life: a child inherits what its parent has inherited before. */
static void take_in_new(struct heap *h)
{
	int fd = bpf_map__fd(h->skel->maps.processes);
	struct newcomer new[HEAP_MAX_PROCESSES] = {0};
	struct heap_process p;
	uint32_t pid, *at = NULL;
	size_t n = 0;

	while (n < HEAP_MAX_PROCESSES && !bpf_map_get_next_key(fd, at, &pid)) {
		at = &pid;
		if (!bpf_map_lookup_elem(fd, &pid, &p) && !watched_life(h, p.life))
			new[n++] = (struct newcomer){.pid = pid, .p = p};
	}
	qsort(new, n, sizeof(*new), by_life);
	for (size_t i = 0; i < n; i++) {
		if (!watched_life(h, new[i].p.life)) /* listed twice, while the table changed */
			take_in(h, new[i].pid, &new[i].p);
	}
}

void heap__sync(struct heap *h)
{
	int fd = bpf_map__fd(h->skel->maps.processes);
	/* Lives that begin from now on may be missed below, and are not dead for that. */
	uint32_t newest = __atomic_load_n(&h->skel->data->lives, __ATOMIC_RELAXED) - 1;
	struct heap_process p;
	bool ended = false;
	uint32_t pid;

	for (size_t i = h->n_watched; i-- > 0;) {
		pid = (uint32_t)h->watched[i].pid;
		if (!bpf_map_lookup_elem(fd, &pid, &p) && p.life == h->watched[i].life)
			continue;
		forget(h, i);
		ended = true;
	}
	take_in_new(h);
	heap__reap(h, newest, ended);
}

void heap__rescan(struct heap *h)
{
	for (size_t i = 0; i < h->n_watched; i++) {
		struct watched *w = &h->watched[i];
		char why[512];
		bool changed;

		if (scan(h, w, &changed) == -ESRCH)
			continue; /* its exit comes to be known by itself */
		if (changed)
			unwinder__refresh(h->unwinder, w->pid);
		/* The program that it runs now: its libraries are not there at once. */
		if (w->asked && !w->n_modules && !w->told &&
		    heap__now() - w->since_ns > SETTLE_NS) {
			w->told = true;
			log_warn("%s", heap__no_allocator(h, w->pid, why, sizeof(why)));
		}
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
