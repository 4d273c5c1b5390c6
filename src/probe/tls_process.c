// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which processes have a TLS library mapped, and the probes in them. */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "probe/seccomp.h"
#include "probe/tls_internal.h"
#include "sym/maps.h"

/* A program that began then has loaded its libraries. */
#define SETTLE_NS 2000000000ull
/* New processes are looked for so often where no exec told of them (forks). */
#define LIST_EVERY_NS 100000000ull
/* All processes are looked through at most as often, and for a hundredth of the time. */
#define LOOK_EVERY_NS 2000000000ull
#define LOOK_SHARE    100

/* ---- filters */

static bool read_line(const char *path, const char *prefix, char *buf, size_t size)
{
	size_t len = strlen(prefix);
	FILE *f = fopen(path, "re");
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(buf, (int)size, f))
		found = !strncmp(buf, prefix, len);
	fclose(f);
	if (!found)
		return false;
	memmove(buf, buf + len, strlen(buf + len) + 1);
	buf[strcspn(buf, "\n")] = 0;
	return true;
}

static bool comm_is_wanted(const struct wire_opts *o, pid_t pid)
{
	char path[64], comm[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (!read_line(path, "", comm, sizeof(comm)))
		return false;
	for (size_t i = 0; i < o->n_comms; i++) {
		if (!strncmp(comm, o->comms[i], COMM_LEN))
			return true;
	}
	return false;
}

static bool is_below(const char *path, uint64_t id)
{
	char top[SNAPSHOT_CONTAINER_LEN];
	size_t len;

	if (cgroup2__path(id, top, sizeof(top)))
		return false;
	len = strcmp(top, "/") ? strlen(top) : 0;
	return !strncmp(path, top, len) && (!path[len] || path[len] == '/');
}

static bool cgroup_is_wanted(const struct tls *t, pid_t pid)
{
	const struct wire_opts *o = t->opts;
	char path[64], cgroup[SNAPSHOT_CONTAINER_LEN];
	bool below = !o->n_cgroups;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (!read_line(path, "0::", cgroup, sizeof(cgroup)))
		return false;
	for (size_t i = 0; i < o->n_cgroups && !below; i++)
		below = is_below(cgroup, o->cgroups[i]);
	return below && ((!o->n_containers && !o->n_pods) || wire_names__pass(t->names, cgroup));
}

static bool is_wanted(struct tls *t, pid_t pid)
{
	const struct wire_opts *o = t->opts;
	bool pass = !o->n_pids;

	/*
	 * We speak no TLS. But libcurl brings the host's libssl into this process: without filters,
	 * the first program that uses it finds its probes in place.
	 */
	if (pid == getpid())
		return !t->each;
	for (size_t i = 0; i < o->n_pids && !pass; i++)
		pass = (uint32_t)pid == o->pids[i];
	if (!pass || (o->n_comms && !comm_is_wanted(o, pid)))
		return false;
	if ((o->n_cgroups || o->n_containers || o->n_pods) && !cgroup_is_wanted(t, pid))
		return false;
	return true;
}

/* On kernels where return probes kill: not those with a seccomp filter. */
static bool may_be_probed(struct tls *t, pid_t pid, const struct tls_file *f)
{
	if (!t->kills || !seccomp__has_filter(pid))
		return true;
	if (!t->told)
		log_warn("process %d has a seccomp filter, and on this kernel a return probe would "
			 "kill it (fixed by commit cf6cb56ef244, Linux 6.14): the TLS of such "
			 "processes (here %s) is not read",
			 pid, f->path);
	t->told = true;
	return false;
}

/* ---- files */

/* The mapping itself: right for files that were deleted or lie in another mount namespace. */
static void file_path(char *buf, size_t size, pid_t pid, const struct map *map)
{
	snprintf(buf, size, "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)map->start,
		 (unsigned long long)map->end);
}

static struct tls_file *known_file(const struct tls *t, const struct map *map)
{
	for (size_t i = 0; i < t->n_files; i++) {
		struct tls_file *f = &t->files[i];

		if (f->inode == map->inode && f->major == map->major && f->minor == map->minor)
			return f;
	}
	return NULL;
}

static uint64_t mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;
}

/*
 * Is what is there now the file that was read? A probe at another one's offsets would stand in the
 * middle of an instruction. 0, -ESTALE, or negative errno: it is not there.
 */
static int check_file(const struct tls_file *f, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	return f->size == (uint64_t)st.st_size && f->mtime_ns == mtime_ns(&st) ? 0 : -ESTALE;
}

/* A file that cannot be read is not remembered: mostly the process has just ended. */
static struct tls_file *new_file(struct tls *t, const struct map *map, const char *path)
{
	struct tls_file *more = realloc(t->files, (t->n_files + 1) * sizeof(*more));
	struct tls_module *m = calloc(1, sizeof(*m));
	char *name = strdup(map->path);
	int fd, err = -ENOMEM;
	struct stat st;
	bool known;

	if (more)
		t->files = more;
	if (!more || !m || !name)
		goto fail;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		goto fail;
	/* First: what changes from here on is noticed before probes are attached. */
	known = !fstat(fd, &st);
	if (known)
		err = tls_module__read(m, fd);
	close(fd);
	if (!known || err == -ENOMEM)
		goto fail;
	if (err || !m->n) {
		free(m);
		m = NULL;
	}
	more += t->n_files++;
	*more = (struct tls_file){.major = map->major,
				  .minor = map->minor,
				  .inode = map->inode,
				  .size = (uint64_t)st.st_size,
				  .mtime_ns = mtime_ns(&st),
				  .path = name,
				  .module = m};
	if (m)
		log_debug("%s in %s", m->library, name);
	return more;
fail:
	free(m);
	free(name);
	return NULL;
}

static void refuse(struct tls_file *f, int err)
{
	/* The process has ended, or the file has just changed: the next look will do. */
	if (err == -ESRCH || err == -ENOENT || err == -ESTALE)
		return;
	if (!f->refused)
		log_warn("cannot probe %s in %s: %s", f->module->library, f->path, strerror(-err));
	f->refused = true;
}

static void probe_file(struct tls *t, struct tls_file *f, const char *path)
{
	int err;

	if (f->probed || f->refused)
		return;
	err = check_file(f, path);
	err = err ? err : tls__probe(t, &f->probes, f, path, 0);
	if (err)
		refuse(f, err);
	f->probed = !err;
}

static void probe_process(struct tls *t, struct tls_process *p, struct tls_file *f,
			  const char *path)
{
	size_t index = (size_t)(f - t->files), *more;
	int err;

	for (size_t i = 0; i < p->n_files; i++) {
		if (p->files[i] == index)
			return;
	}
	if (!may_be_probed(t, p->pid, f))
		return;
	more = realloc(p->files, (p->n_files + 1) * sizeof(*more));
	if (!more)
		return;
	p->files = more;
	err = check_file(f, path);
	err = err ? err : tls__probe(t, &p->probes, f, path, p->pid);
	if (err)
		refuse(f, err);
	if (!err || f->refused)
		p->files[p->n_files++] = index;
}

/* ---- processes */

/* Its program, whatever that is called, and libraries by their names. */
static bool is_candidate(const struct map *map, const char *exe)
{
	return map->inode && map->exec &&
	       (tls_libs__is_named(map->path) || !strcmp(map->path, exe));
}

static void forget(struct tls_process *p)
{
	uprobes__detach(&p->probes);
	free(p->files);
	p->files = NULL;
	p->n_files = 0;
}

/* The file is another one now: its probes go, and those of processes that have it with them. */
static void retire(struct tls *t, struct tls_file *f)
{
	size_t index = (size_t)(f - t->files);

	log_debug("%s has changed: it is looked into anew", f->path);
	uprobes__detach(&f->probes);
	f->probed = false;
	for (size_t i = 0; i < t->n_processes; i++) {
		struct tls_process *p = &t->processes[i];
		bool has = false;

		for (size_t k = 0; k < p->n_files && !has; k++)
			has = p->files[k] == index;
		if (has)
			forget(p);
	}
	free(f->module);
	f->module = NULL;
	f->inode = 0;
}

/* The file as it is now; NULL: it cannot be read. */
static struct tls_file *current_file(struct tls *t, const struct map *map, const char *path)
{
	struct tls_file *f = known_file(t, map);

	if (f && check_file(f, path) == -ESTALE) {
		retire(t, f);
		f = NULL;
	}
	return f ? f : new_file(t, map, path);
}

static void look_into(struct tls *t, struct tls_process *p)
{
	char path[96], exe[4096];
	struct maps maps;
	ssize_t len;

	if (maps__read(&maps, p->pid, true))
		return;
	snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
	len = readlink(path, exe, sizeof(exe) - 1);
	exe[len < 0 ? 0 : len] = 0;
	for (size_t i = 0; i < maps.n; i++) {
		struct map *map = &maps.map[i];
		struct tls_file *f;

		if (!is_candidate(map, exe))
			continue;
		file_path(path, sizeof(path), p->pid, map);
		f = current_file(t, map, path);
		if (!f || !f->module)
			continue;
		if (t->each)
			probe_process(t, p, f, path);
		else
			probe_file(t, f, path);
	}
	maps__free(&maps);
}

static void judge(struct tls *t, struct tls_process *p)
{
	p->wanted = is_wanted(t, p->pid);
	if (!p->wanted && p->n_files)
		forget(p);
}

static int by_pid(const void *a, const void *b)
{
	const struct tls_process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct tls_process *known_process(struct tls *t, pid_t pid)
{
	struct tls_process key = {.pid = pid};

	if (!t->n_processes)
		return NULL;
	return bsearch(&key, t->processes, t->n_processes, sizeof(key), by_pid);
}

/* Those that ended go, and their probes. */
static void drop_absent(struct tls *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n_processes; i++) {
		if (t->processes[i].present)
			t->processes[kept++] = t->processes[i];
		else
			forget(&t->processes[i]);
	}
	t->n_processes = kept;
}

/* Brings the list of processes up to date. 0 or negative errno. */
static int list(struct tls *t)
{
	size_t known = t->n_processes;
	struct tls_process *p;
	struct dirent *d;
	DIR *dir = opendir("/proc");

	if (!dir)
		return -errno;
	for (size_t i = 0; i < t->n_processes; i++)
		t->processes[i].present = false;
	while ((d = readdir(dir))) {
		pid_t pid = atoi(d->d_name);
		struct tls_process key = {.pid = pid};

		if (pid <= 0)
			continue;
		p = known ? bsearch(&key, t->processes, known, sizeof(*p), by_pid) : NULL;
		if (p) {
			p->present = true;
			continue;
		}
		p = realloc(t->processes, (t->n_processes + 1) * sizeof(*p));
		if (!p)
			break;
		t->processes = p;
		p += t->n_processes++;
		*p = (struct tls_process){.pid = pid, .since_ns = tls__now(), .present = true};
		judge(t, p);
	}
	closedir(dir);
	drop_absent(t);
	if (t->n_processes)
		qsort(t->processes, t->n_processes, sizeof(*t->processes), by_pid);
	return 0;
}

int tls__look(struct tls *t)
{
	uint64_t begin = tls__now();
	int err = list(t);

	for (size_t i = 0; i < t->n_processes && !err; i++) {
		struct tls_process *p = &t->processes[i];

		/* Names change; containers' names come to be known. */
		if (t->each)
			judge(t, p);
		if (p->wanted)
			look_into(t, p);
	}
	t->looked_ns = tls__now();
	t->look_cost_ns = t->looked_ns - begin;
	return err;
}

/*
 * Programs that began: their pids may be known, under another name and with other files. False:
 * there are none.
 */
static bool take_execs(struct tls *t)
{
	int fd = bpf_map__fd(t->skel->maps.tls_execs);
	struct tls_process *p;
	bool any = false;
	uint32_t pid;

	while (!bpf_map_lookup_and_delete_elem(fd, NULL, &pid)) {
		any = true;
		p = known_process(t, (pid_t)pid);
		if (!p)
			continue; /* it is new, or gone */
		p->since_ns = tls__now();
		judge(t, p);
	}
	return any;
}

void tls__look_at_new(struct tls *t)
{
	uint64_t now = tls__now(), pause = t->look_cost_ns * LOOK_SHARE;
	bool execs = take_execs(t), due = now - t->listed_ns > LIST_EVERY_NS;

	if (now - t->looked_ns > (pause > LOOK_EVERY_NS ? pause : LOOK_EVERY_NS)) {
		tls__look(t);
		return;
	}
	if ((execs || due) && list(t))
		return;
	if (due)
		t->listed_ns = now;
	for (size_t i = 0; i < t->n_processes; i++) {
		struct tls_process *p = &t->processes[i];

		if (now - p->since_ns > SETTLE_NS)
			continue;
		if (t->each && due && !p->wanted)
			judge(t, p);
		if (p->wanted)
			look_into(t, p);
	}
}

void tls__forget(struct tls *t)
{
	struct uprobes all = {0};

	for (size_t i = 0; i < t->n_files; i++) {
		uprobes__take(&all, &t->files[i].probes);
		t->files[i].probed = false;
	}
	for (size_t i = 0; i < t->n_processes; i++)
		uprobes__take(&all, &t->processes[i].probes);
	uprobes__detach(&all);
	for (size_t i = 0; i < t->n_files; i++)
		uprobes__detach(&t->files[i].probes); /* where there was no memory */
	for (size_t i = 0; i < t->n_processes; i++)
		forget(&t->processes[i]);
	free(t->processes);
	t->processes = NULL;
	t->n_processes = 0;
}
