// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where the memory hierarchy is, and which of its cgroups are shown. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "probe/memory_watch.h"
#include "stack/clock.h"

#define MAX_DEPTH	32
#define POPULATED_DEPTH 4
#define NAMES_AGAIN_NS	(5 * NS_PER_S) /* names come up a moment after the cgroup */

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += len)
		if ((at == list || at[-1] == ',' || at[-1] == ' ') &&
		    strchr(", \n", at[len])) /* strchr finds the terminating 0, too */
			return true;
	return false;
}

static bool has_file(const char *dir, const char *name)
{
	char path[2 * MEMORY_PATH_LEN];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

/* The memory controller is on v1, or the hierarchy of v2 has it. */
static const struct memory_version *mount_version(const char *type, const char *options,
						  const char *point)
{
	char path[MEMORY_PATH_LEN + 32], buf[512] = "";
	FILE *f;

	if (!strcmp(type, "cgroup"))
		return has_word(options, "memory") ? &memory_v1 : NULL;
	if (strcmp(type, "cgroup2") != 0)
		return NULL;
	snprintf(path, sizeof(path), "%s/cgroup.controllers", point);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	if (!fgets(buf, sizeof(buf), f))
		buf[0] = '\0';
	fclose(f);
	return has_word(buf, "memory") ? &memory_v2 : NULL;
}

/* How well a mount serves: the host's own first, then one of the whole hierarchy. */
static int mount_rank(const struct memory *m, const char *point, const char *root)
{
	const char *host = m->opts.host_root ? m->opts.host_root : "";
	size_t len = strlen(host);

	while (len && host[len - 1] == '/')
		len--;
	return 1 + (strcmp(root, "/") == 0) + 2 * (len && !strncmp(point, host, len));
}

/* Number of the hierarchy in /proc/self/cgroup: "4:memory:/path"; 0 is v2. */
static int hierarchy_number(const struct memory_version *version)
{
	FILE *f = version == &memory_v1 ? fopen("/proc/self/cgroup", "re") : NULL;
	char line[4096], controllers[512];
	int number = 0, n;

	while (f && !number && fgets(line, sizeof(line), f))
		if (sscanf(line, "%d:%511[^:]", &n, controllers) == 2 &&
		    has_word(controllers, "memory"))
			number = n;
	if (f)
		fclose(f);
	return number;
}

int memory__find_hierarchy(struct memory *m)
{
	char line[8192], point[MEMORY_PATH_LEN], root[MEMORY_PATH_LEN], type[32], options[1024];
	int best = 0;
	FILE *f;

	if (m->opts.mount) {
		snprintf(m->mount, sizeof(m->mount), "%s", m->opts.mount);
		m->version = has_file(m->mount, memory_v1.sign) ? &memory_v1 : &memory_v2;
		return 0;
	}
	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return log_fail(-errno, "cannot read /proc/self/mountinfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		const char *sep = strstr(line, " - ");
		const struct memory_version *version;
		int rank;

		if (!sep || sscanf(line, "%*s %*s %*s %511s %511s", root, point) != 2 ||
		    sscanf(sep, " - %31s %*s %1023s", type, options) != 2)
			continue;
		version = mount_version(type, options, point);
		rank = version ? mount_rank(m, point, root) : 0;
		if (rank <= best)
			continue;
		best = rank;
		m->version = version;
		snprintf(m->mount, sizeof(m->mount), "%s", point);
		snprintf(m->root, sizeof(m->root), "%s", strcmp(root, "/") ? root : "");
	}
	fclose(f);
	if (!m->version)
		return log_fail(-ENOENT,
				"no cgroup hierarchy with the memory controller is mounted; v2: "
				"mount -t cgroup2 none /sys/fs/cgroup, v1: mount -t cgroup -o "
				"memory none /sys/fs/cgroup/memory");
	m->hierarchy = hierarchy_number(m->version);
	return 0;
}

static bool has_processes(const char *host_root)
{
	char path[MEMORY_PATH_LEN];

	snprintf(path, sizeof(path), "%s/proc/1", host_root);
	return !access(path, F_OK);
}

int memory__path_of(const struct memory *m, uint32_t pid, char *path, size_t size)
{
	char file[MEMORY_PATH_LEN], line[4096], *at;
	int number;
	FILE *f;

	snprintf(file, sizeof(file), "%s/proc/%u/cgroup",
		 m->opts.host_root ? m->opts.host_root : "", pid);
	path[0] = '\0';
	f = fopen(file, "re");
	/* Only where the host's are not to be seen at all: else it would be another of that number.
	 */
	if (!f && m->opts.host_root && !has_processes(m->opts.host_root)) {
		snprintf(file, sizeof(file), "/proc/%u/cgroup", pid);
		f = fopen(file, "re");
	}
	if (!f)
		return -errno;
	while (!path[0] && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%d:", &number) != 1 || number != m->hierarchy)
			continue;
		at = strchr(line, ':');
		at = at ? strchr(at + 1, ':') : NULL;
		if (!at)
			continue;
		at++;
		at[strcspn(at, "\n")] = '\0';
		/* Seen from a cgroup namespace, what is outside begins with "/..". */
		while (!strncmp(at, "/../", 4))
			at += 3;
		if (m->root[0] && !strncmp(at, m->root, strlen(m->root)))
			at += strlen(m->root);
		snprintf(path, size, "%s", *at ? at : "/");
	}
	fclose(f);
	return path[0] ? 0 : -ENOENT;
}

/* "/a/b" of "a/b/", "/a/b" or "/sys/fs/cgroup/memory/a/b". */
static void normalise(const struct memory *m, const char *arg, char *out, size_t size)
{
	size_t len = strlen(m->mount);

	if (!strncmp(arg, m->mount, len) && (arg[len] == '/' || !arg[len]))
		arg += len;
	while (*arg == '/')
		arg++;
	snprintf(out, size, "/%s", arg);
	for (len = strlen(out); len > 1 && out[len - 1] == '/'; len--)
		out[len - 1] = '\0';
}

int memory__resolve_filters(struct memory *m)
{
	const struct memory_opts *o = &m->opts;

	m->filtered = o->n_pids || o->n_cgroups || o->n_containers || o->n_pods;
	for (size_t i = 0; i < o->n_cgroups; i++)
		normalise(m, o->cgroups[i], m->cgroup_paths[i], sizeof(m->cgroup_paths[i]));
	for (size_t i = 0; i < o->n_pids; i++) {
		int err = memory__path_of(m, o->pids[i], m->pid_paths[i], sizeof(m->pid_paths[i]));

		if (err)
			return log_fail(err,
					"--pid %u: no such process, or it is in no memory "
					"cgroup that is seen from here: %s",
					o->pids[i], strerror(-err));
		if (!strcmp(m->pid_paths[i], "/"))
			return log_fail(-ENOENT,
					"--pid %u: the process is in the root cgroup, "
					"which counts no memory of its own",
					o->pids[i]);
	}
	return 0;
}

/* A directory as the walk comes upon it. */
struct found {
	int parent; /* descriptor */
	const char *name;
	const char *path; /* below the mount */
	uint64_t id;
	bool leaf;
	bool inside; /* of a container that is shown already */
};

static bool holds_processes(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), procs;
	bool found = false;
	struct dirent *e;
	DIR *d;
	char c;

	if (fd < 0)
		return false;
	procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	if (procs >= 0) {
		found = read(procs, &c, 1) == 1;
		close(procs);
	}
	d = found || depth >= POPULATED_DEPTH ? NULL : fdopendir(fd);
	if (!d) {
		close(fd);
		return found;
	}
	while (!found && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			found = holds_processes(fd, e->d_name, depth + 1);
	closedir(d);
	return found;
}

static bool below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return !strcmp(top, "/") || (!strncmp(path, top, len) && (path[len] == '/' || !path[len]));
}

/* Does it pass the path filters? *named: one of them names this very cgroup. */
static bool passes_paths(const struct memory *m, const char *path, bool *named)
{
	bool pid = !m->opts.n_pids, cgroup = !m->opts.n_cgroups;

	*named = false;
	for (size_t i = 0; i < m->opts.n_pids; i++) {
		if (strcmp(path, m->pid_paths[i]) != 0)
			continue;
		pid = true;
		*named = true;
	}
	for (size_t i = 0; i < m->opts.n_cgroups; i++) {
		cgroup = cgroup || below(path, m->cgroup_paths[i]);
		*named = *named || !strcmp(path, m->cgroup_paths[i]);
	}
	return pid && cgroup;
}

static bool passes_names(const struct memory *m, const char *path, const struct container *c)
{
	bool container = !m->opts.n_containers, pod = !m->opts.n_pods;

	for (size_t i = 0; i < m->opts.n_containers; i++)
		container = container || container__matches(c, path, m->opts.containers[i]);
	for (size_t i = 0; i < m->opts.n_pods; i++)
		pod = pod || container__in_pod(c, m->opts.pods[i]);
	return container && pod;
}

/* Is it to be shown? Fills its names when it is. */
static bool wanted(struct memory *m, const struct found *d, struct container *c)
{
	bool named;

	if (!passes_paths(m, d->path, &named))
		return false;
	containers__resolve(m->names, d->path, c);
	if (!passes_names(m, d->path, c))
		return false;
	if (m->opts.all || d->id == m->forced)
		return true;
	if (d->inside && !named)
		return false;
	if (!d->leaf && !named && !c->id[0])
		return false;
	if (holds_processes(d->parent, d->name, c->id[0] ? 0 : POPULATED_DEPTH))
		return true;
	m->n_empty++;
	return false;
}

static int compare_dirs(const void *a, const void *b)
{
	const struct memory_dir *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static const struct memory_dir *find_dir(const struct memory *m, uint64_t id)
{
	struct memory_dir key = {.id = id};

	return m->n_dirs ? bsearch(&key, m->dirs, m->n_dirs, sizeof(key), compare_dirs) : NULL;
}

struct memory_watch *memory__owner(const struct memory *m, uint64_t id)
{
	const struct memory_dir *d = find_dir(m, id);

	/* The latest first: an id is not used again, but a container that went is still listed. */
	for (size_t i = m->snapshot.n; i-- > 0;)
		if (m->snapshot.containers[i].cgroup == id)
			return m->watches[i];
	return d ? d->owner : NULL;
}

struct walk {
	struct memory *m;
	struct memory_dir *dirs;
	size_t n, room;
	char path[MEMORY_PATH_LEN];
	int err;
};

static int walk__note(struct walk *w, uint64_t id, struct memory_watch *watch,
		      struct memory_watch *owner)
{
	if (w->n == w->room) {
		size_t room = w->room ? 2 * w->room : 256;
		struct memory_dir *dirs = realloc(w->dirs, room * sizeof(*dirs));

		if (!dirs)
			return -ENOMEM;
		w->dirs = dirs;
		w->room = room;
	}
	w->dirs[w->n++] = (struct memory_dir){.id = id, .watch = watch, .owner = owner};
	return 0;
}

static void walk__below(struct walk *w, int fd, size_t len, struct memory_watch *owner, int depth);

static bool is_container(const struct memory *m, const struct memory_watch *w)
{
	return w && m->snapshot.containers[w->index].name.id[0];
}

/* Names come late: asks again for those of a container that has none yet. */
static void name_again(struct memory *m, struct memory_watch *watch)
{
	struct memory_container *c = &m->snapshot.containers[watch->index];
	uint64_t now = clock__now();

	if (!c->name.id[0] || c->name.pod[0] || now - watch->named_ns < NAMES_AGAIN_NS)
		return;
	watch->named_ns = now;
	containers__resolve(m->names, c->path, &c->name);
	watch->linked = watch->linked && !c->name.pod[0];
}

/* For file systems that do not count links of directories: not kernfs. */
static bool has_subdirectory(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;
	struct dirent *e;

	if (!d && fd >= 0)
		close(fd);
	while (d && !found && (e = readdir(d)))
		found = e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 &&
			strcmp(e->d_name, "..") != 0;
	if (d)
		closedir(d);
	return found;
}

static void walk__dir(struct walk *w, int fd, const struct dirent *e, size_t len,
		      struct memory_watch *owner, int depth)
{
	const struct memory_dir *old = find_dir(w->m, e->d_ino);
	struct memory_watch *watch = old ? old->watch : NULL;
	struct found d = {.parent = fd, .name = e->d_name, .path = w->path, .id = e->d_ino};
	size_t more = strlen(e->d_name) + 1;
	struct container c;
	struct stat st;
	int sub;

	if (len + more >= sizeof(w->path)) {
		if (!w->m->warned_paths)
			log_warn("cgroups whose path is longer than %d bytes are passed over",
				 MEMORY_PATH_LEN - 1);
		w->m->warned_paths = true;
		return;
	}
	if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
		return; /* gone meanwhile */
	snprintf(w->path + len, sizeof(w->path) - len, "/%s", e->d_name);
	/* kernfs: a directory's link count is that of its subdirectories and 2. */
	d.leaf = st.st_nlink == 2 || (st.st_nlink < 2 && !has_subdirectory(fd, e->d_name));
	d.inside = is_container(w->m, owner);
	if (!watch && wanted(w->m, &d, &c)) {
		watch = memory__add(w->m, d.id, d.path, &c);
		if (!watch)
			w->err = -ENOMEM;
	}
	if (watch) {
		watch->scan = w->m->scans;
		name_again(w->m, watch);
	}
	w->err = w->err ? w->err : walk__note(w, d.id, watch, watch ? watch : owner);
	if (!d.leaf && depth < MAX_DEPTH && !w->err) {
		sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0 && errno != ENOENT && errno != ENODEV)
			w->err = -errno;
		if (sub >= 0)
			walk__below(w, sub, len + more, watch ? watch : owner, depth + 1);
	}
	w->path[len] = '\0';
}

/* Takes fd over. `len`: of the path so far. */
static void walk__below(struct walk *w, int fd, size_t len, struct memory_watch *owner, int depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;

	if (!d) {
		close(fd);
		w->err = -ENOMEM;
		return;
	}
	while (!w->err && (e = readdir(d)))
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0)
			walk__dir(w, dirfd(d), e, len, owner, depth);
	closedir(d);
}

int memory__scan(struct memory *m)
{
	struct walk w = {.m = m};
	uint64_t now = clock__now();
	int fd = open(m->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return log_fail(-errno, "cannot open %s: %s", m->mount, strerror(errno));
	memory__forget(m);
	m->scans++;
	m->n_empty = 0;
	m->scanned_ns = now;
	m->dirty = false;
	walk__below(&w, fd, 0, NULL, 0);
	if (w.err) {
		free(w.dirs);
		return log_fail(w.err, "cannot list the cgroups: %s", strerror(-w.err));
	}
	if (w.n)
		qsort(w.dirs, w.n, sizeof(*w.dirs), compare_dirs);
	free(m->dirs);
	m->dirs = w.dirs;
	m->n_dirs = w.n;
	for (size_t i = 0; i < m->snapshot.n; i++)
		if (m->watches[i]->scan != m->scans)
			memory__gone(m, m->watches[i], now);
	memory__link_restarts(m);
	return 0;
}
