/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap/target.h"
#include "log.h"
#include "out/text.h"
#include "probe/container.h"

#define MAX_DEPTH   32
#define MAX_MATCHES 16

/* ---- a process */

void heap_target__comm(pid_t pid, char *out, size_t size)
{
	char path[64], comm[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f) {
		if (!fgets(comm, sizeof(comm), f))
			comm[0] = 0;
		fclose(f);
	}
	comm[strcspn(comm, "\n")] = 0;
	snprintf(out, size, "%s", comm[0] ? comm : "?");
}

/* The lines of /proc/PID/status that decide. False: there is no such process. */
static bool status(pid_t pid, pid_t *tgid, char *state)
{
	char path[64], line[256];
	FILE *f;

	*tgid = 0;
	*state = '?';
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "State: %c", state) == 1)
			continue;
		if (sscanf(line, "Tgid: %d", tgid) == 1)
			break;
	}
	fclose(f);
	return *tgid > 0;
}

/* Kernel threads have no program. */
static bool has_program(pid_t pid)
{
	char path[64], to[8];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, to, sizeof(to)) >= 0 || errno != ENOENT;
}

int heap_target__pid(struct heap_target *t, pid_t pid)
{
	char comm[32], state;
	pid_t tgid;

	memset(t, 0, sizeof(*t));
	if (!status(pid, &tgid, &state))
		return log_fail(-ESRCH, "there is no process %d: `ps -e` lists them", pid);
	if (tgid != pid)
		return log_fail(-ESRCH, "%d is a thread of process %d: give that", pid, tgid);
	if (state == 'Z' || state == 'X')
		return log_fail(-ESRCH,
				"process %d has ended; only its parent has not taken notice", pid);
	if (!has_program(pid))
		return log_fail(-ESRCH, "%d is a kernel thread: it has no memory of its own", pid);
	heap_target__comm(pid, comm, sizeof(comm));
	snprintf(t->name, sizeof(t->name), "%s[%d]", comm, pid);
	t->pids[t->n_pids++] = pid;
	return 0;
}

/* ---- a container */

struct match {
	char dir[PATH_MAX];
	char label[256];
	bool exact;
	size_t processes;
};

struct search {
	const char *wanted;
	struct containers *names;
	size_t mount_len; /* of the hierarchy being walked */
	struct match *matches;
	size_t n;
	bool more; /* than MAX_MATCHES */
	pid_t pids[HEAP_MAX_PIDS];
	size_t n_pids; /* may be more than there is room for */
};

static void read_procs(struct search *s, const char *dir)
{
	char path[PATH_MAX + 16];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fscanf(f, "%d", &pid) == 1) {
		size_t i = 0;

		/* 0: a process of another pid namespace */
		while (i < s->n_pids && i < HEAP_MAX_PIDS && s->pids[i] != pid)
			i++;
		if (pid <= 0 || (i < s->n_pids && i < HEAP_MAX_PIDS) || !has_program(pid))
			continue;
		if (s->n_pids < HEAP_MAX_PIDS)
			s->pids[s->n_pids] = pid;
		s->n_pids++;
	}
	fclose(f);
}

/* Calls fn for each directory in dir. */
static void each_dir(struct search *s, const char *dir, int depth,
		     void (*fn)(struct search *, const char *, int))
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d = depth < MAX_DEPTH ? opendir(dir) : NULL;

	while (d && (e = readdir(d))) {
		if (e->d_type != DT_DIR || !strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			fn(s, path, depth + 1);
	}
	if (d)
		closedir(d);
}

/* The processes of a cgroup and of those below it. */
static void collect(struct search *s, const char *dir, int depth)
{
	read_procs(s, dir);
	each_dir(s, dir, depth, collect);
}

static void find(struct search *s, const char *dir, int depth)
{
	const char *path = dir + s->mount_len;
	const char *last = strrchr(dir, '/');
	struct container c;
	struct match *m;

	containers__resolve(s->names, path, &c);
	if (!container__matches(&c, path, s->wanted)) {
		each_dir(s, dir, depth, find);
		return;
	}
	/* what is below it belongs to it */
	if (s->n == MAX_MATCHES) {
		s->more = true;
		return;
	}
	m = &s->matches[s->n];
	s->n_pids = 0;
	collect(s, dir, depth);
	if (!s->n_pids)
		return;
	snprintf(m->dir, sizeof(m->dir), "%s", dir);
	container__label(&c, path, m->label, sizeof(m->label));
	m->exact = !strcmp(c.name, s->wanted) || !strcmp(m->label, s->wanted) ||
		   !strcmp(c.id, s->wanted) || !strcmp(path, s->wanted) ||
		   (last && !strcmp(last + 1, s->wanted));
	m->processes = s->n_pids;
	s->n++;
}

/* Walks the hierarchies of one kind: v2, or v1's memory controller. */
static void walk(struct search *s, bool v2, const char *host_root)
{
	size_t root_len = host_root ? strlen(host_root) : 0;
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (f && (m = getmntent(f))) {
		if (strcmp(m->mnt_type, v2 ? "cgroup2" : "cgroup") != 0)
			continue;
		if (!v2 && !hasmntopt(m, "memory"))
			continue;
		if (root_len && strncmp(m->mnt_dir, host_root, root_len) != 0)
			continue;
		s->mount_len = strlen(m->mnt_dir);
		each_dir(s, m->mnt_dir, 0, find);
		break;
	}
	if (f)
		endmntent(f);
}

static int ambiguous(const struct search *s)
{
	struct text list = {0};

	for (size_t i = 0; i < s->n && i < 5; i++) {
		text__add(&list, i ? ", " : "");
		text__add_printable(&list, s->matches[i].label);
	}
	if (s->n > 5 || s->more)
		text__add(&list, ", ...");
	log_fail(-EINVAL, "'%s' means several containers: %s: give more of the name, or the id",
		 s->wanted, list.data ? list.data : "?");
	text__free(&list);
	return -EINVAL;
}

/* The one that is meant. NULL after a message. */
static const struct match *choose(const struct search *s)
{
	const struct match *one = s->n == 1 && !s->more ? &s->matches[0] : NULL;

	for (size_t i = 0; s->matches && i < s->n && !(one && s->n == 1); i++) {
		if (!s->matches[i].exact)
			continue;
		if (one) {
			ambiguous(s);
			return NULL;
		}
		one = &s->matches[i];
	}
	if (!one && s->n)
		ambiguous(s);
	return one;
}

int heap_target__container(struct heap_target *t, const char *wanted, const char *host_root)
{
	struct search s = {.wanted = wanted};
	const struct match *m = NULL;
	int err = -ENOMEM;

	memset(t, 0, sizeof(*t));
	s.names = containers__open(host_root);
	s.matches = calloc(MAX_MATCHES, sizeof(*s.matches));
	if (!s.names || !s.matches) {
		log_fail(err, "out of memory");
		goto out;
	}
	walk(&s, true, host_root);
	if (!s.n)
		walk(&s, false, host_root);
	err = -ESRCH;
	if (!s.n) {
		log_fail(err, "no container with a process matches '%s': `hopscope mem` lists them",
			 wanted);
		goto out;
	}
	m = choose(&s);
	if (!m)
		goto out;
	s.n_pids = 0;
	collect(&s, m->dir, 0);
	if (!s.n_pids) {
		log_fail(err, "container %s has ended", m->label);
		goto out;
	}
	if (s.n_pids > HEAP_MAX_PIDS) {
		err = log_fail(-E2BIG,
			       "container %s holds %zu processes, and at most %d can be "
			       "watched at once: give a PID",
			       m->label, s.n_pids, HEAP_MAX_PIDS);
		goto out;
	}
	memcpy(t->pids, s.pids, sizeof(t->pids));
	t->n_pids = s.n_pids;
	snprintf(t->name, sizeof(t->name), "container %.140s", m->label);
	err = 0;
out:
	free(s.matches);
	containers__close(s.names);
	return err;
}
