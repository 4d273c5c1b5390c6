// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "stack/file.h"
#include "stack/rundir.h"

#define PREFIX	   "hopscope-"
#define BOOT_LEN   40
#define KILL_MS	   3000
#define RECORD	   "owner"
#define RECORD_LEN (4 * PATH_MAX)

/* Who made a run directory. A pid alone would be mistaken once it is reused. */
struct owner {
	int pid;
	uint64_t start; /* field 22 of /proc/PID/stat */
	uint64_t pidns; /* a pid of another namespace says nothing here */
	char boot[BOOT_LEN];
};

static const char *tmp_root(void)
{
	const char *tmp = getenv("TMPDIR");

	return tmp && tmp[0] == '/' ? tmp : "/tmp";
}

static int base_path(char path[PATH_MAX])
{
	if (!geteuid())
		return path__format(path, "/run/hopscope");
	return path__format(path, "%s/" PREFIX "%u", tmp_root(), (unsigned int)geteuid());
}

/* Start time of a live process in clock ticks since boot; 0 when there is none. */
static uint64_t start_time(int pid)
{
	char path[PATH_MAX], stat[1024];
	char *p, *save = NULL;
	int field;

	if (path__format(path, "/proc/%d/stat", pid) || file__read(path, stat, sizeof(stat)) <= 0)
		return 0;
	p = strrchr(stat, ')'); /* the name before it may hold blanks and brackets */
	p = p ? strtok_r(p + 1, " ", &save) : NULL;
	if (!p || *p == 'Z' || *p == 'X')
		return 0;
	for (field = 3; p && field < 22; field++)
		p = strtok_r(NULL, " ", &save);
	return p ? strtoull(p, NULL, 10) : 0;
}

static int owner__self(struct owner *o)
{
	struct stat st;

	memset(o, 0, sizeof(*o));
	o->pid = getpid();
	o->start = start_time(o->pid);
	o->pidns = stat("/proc/self/ns/pid", &st) ? 0 : st.st_ino;
	if (file__read("/proc/sys/kernel/random/boot_id", o->boot, sizeof(o->boot)) < 0)
		o->boot[0] = '\0';
	o->boot[strcspn(o->boot, "\n")] = '\0';
	return o->start ? 0 : -ESRCH;
}

static int write_record(const struct rundir *r)
{
	char text[RECORD_LEN], path[PATH_MAX];
	struct owner o;
	int err = owner__self(&o);

	if (err)
		return err;
	snprintf(text, sizeof(text),
		 "pid %d\nstart %" PRIu64 "\npidns %" PRIu64 "\nboot %s\nv2 %s\nv1 %s\nstore %s\n",
		 o.pid, o.start, o.pidns, o.boot, r->cgroup.v2, r->cgroup.v1, r->store);
	err = path__format(path, "%s/" RECORD, r->path);
	return err ? err : file__create(path, text);
}

static void read_record(const char *dir, struct owner *o, struct rundir *r)
{
	char text[RECORD_LEN], path[PATH_MAX];
	char *line, *save = NULL;

	memset(o, 0, sizeof(*o));
	memset(r, 0, sizeof(*r));
	path__format(r->path, "%s", dir);
	if (path__format(path, "%s/" RECORD, dir) || file__read(path, text, sizeof(text)) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(line, "pid"))
			o->pid = atoi(value);
		else if (!strcmp(line, "start"))
			o->start = strtoull(value, NULL, 10);
		else if (!strcmp(line, "pidns"))
			o->pidns = strtoull(value, NULL, 10);
		else if (!strcmp(line, "boot"))
			snprintf(o->boot, sizeof(o->boot), "%s", value);
		else if (!strcmp(line, "v2"))
			path__format(r->cgroup.v2, "%s", value);
		else if (!strcmp(line, "v1"))
			path__format(r->cgroup.v1, "%s", value);
		else if (!strcmp(line, "store"))
			path__format(r->store, "%s", value);
	}
}

/* A path of a record is acted on only if it carries the run's own name. */
static void drop_unless_named(char *path, const char *name, bool exact)
{
	size_t len = strlen(name);
	const char *last = path__name(path);

	if (path[0] != '/' || strncmp(last, name, len) != 0 ||
	    (exact ? last[len] : last[len] != '-'))
		path[0] = '\0';
}

/* A directory of ours alone: what stands in it is acted on, and nobody swaps it. 0 or negative
 * errno. */
static int check_ours(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	return 0;
}

static int remove_store(const char *store)
{
	int err = store[0] ? check_ours(store) : -ENOENT;

	if (err)
		return err == -ENOENT ? 0 : err;
	return tree__remove(store);
}

static void remove_run(struct rundir *r)
{
	int err;

	if (cgroup__destroy(&r->cgroup, KILL_MS))
		log_warn("cannot remove the cgroup %s: something in it does not end; the next run "
			 "tries again",
			 r->cgroup.v2);
	err = remove_store(r->store);
	if (err)
		log_warn("cannot remove %s: %s", r->store, strerror(-err));
	/* The record goes last: what stands before it can be found again. */
	err = tree__remove(r->path);
	if (err)
		log_warn("cannot remove %s: %s", r->path, strerror(-err));
}

static void sweep_run(const char *base, const char *entry, const struct owner *self)
{
	char dir[PATH_MAX], name[32];
	struct rundir r;
	struct owner o;
	int pid = atoi(entry);
	bool same_boot;

	if (pid <= 0 || path__format(dir, "%s/%s", base, entry))
		return;
	read_record(dir, &o, &r);
	if (!o.pid) {
		/* Killed between mkdir and the record: nothing else was made yet. */
		if (!start_time(pid))
			tree__remove(dir);
		return;
	}
	same_boot = !strcmp(o.boot, self->boot);
	if (o.pid != pid || (same_boot && o.pidns != self->pidns) ||
	    (same_boot && start_time(pid) == o.start))
		return;
	snprintf(name, sizeof(name), PREFIX "%d", pid);
	drop_unless_named(r.cgroup.v2, name, true);
	drop_unless_named(r.cgroup.v1, name, true);
	drop_unless_named(r.store, name, false);
	if (!same_boot)
		r.cgroup.v2[0] = r.cgroup.v1[0] = '\0';
	log_info("cleaning up after an earlier run that was killed (pid %d)", pid);
	remove_run(&r);
}

/* A cgroup of our name without a record: only an empty one is taken away. */
static void sweep_unrecorded(const char *base, const char *mount)
{
	DIR *d = mount[0] ? opendir(mount) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[PATH_MAX], record[PATH_MAX];
		int pid;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		pid = atoi(e->d_name + strlen(PREFIX));
		if (pid <= 0 || start_time(pid) || path__format(path, "%s/%s", mount, e->d_name) ||
		    path__format(record, "%s/%d", base, pid) || !access(record, F_OK))
			continue;
		if (cgroup__remove_empty(path))
			log_warn("the cgroup %s holds processes and belongs to no run that is "
				 "known here: left alone",
				 path);
	}
	if (d)
		closedir(d);
}

void rundir__sweep(const struct cgroup_mounts *m)
{
	char base[PATH_MAX];
	struct owner self;
	struct dirent *e;
	DIR *d;

	if (base_path(base) || owner__self(&self))
		return;
	if (!check_ours(base)) {
		d = opendir(base);
		while (d && (e = readdir(d)))
			sweep_run(base, e->d_name, &self);
		if (d)
			closedir(d);
	}
	sweep_unrecorded(base, m->v2);
	sweep_unrecorded(base, m->v1_memory);
}

/* Both directories. A run that ends at this moment may take an empty base away: again, then. */
static int make_dirs(const char *base, const char *path)
{
	int attempt, err = 0;

	for (attempt = 0; attempt < 3; attempt++) {
		if (mkdir(base, 0700) && errno != EEXIST)
			return log_fail(-errno, "cannot create %s: %s", base, strerror(errno));
		err = check_ours(base);
		if (err && err != -ENOENT)
			return log_fail(err, "%s is not a directory of ours alone: remove it",
					base);
		if (!err && !mkdir(path, 0700))
			return 0;
		err = -errno;
		if (err != -ENOENT)
			break;
	}
	return log_fail(err, "cannot create %s: %s", path, strerror(-err));
}

int rundir__create(struct rundir *r, const struct cgroup_mounts *m)
{
	char base[PATH_MAX], path[PATH_MAX], name[32];
	int pid = getpid();
	uint64_t random;
	int err;

	memset(r, 0, sizeof(*r));
	/* In a directory that everybody may write to: a name that nobody can take before us. */
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return log_fail(-EIO, "cannot make up a name: %s", strerror(errno));
	snprintf(name, sizeof(name), PREFIX "%d", pid);
	err = base_path(base);
	if (!err)
		err = path__format(path, "%s/%d", base, pid);
	if (!err)
		err = path__format(r->store, "%s/%s-%016" PRIx64, tmp_root(), name, random);
	if (!err)
		err = cgroup__plan(&r->cgroup, m, name);
	if (err)
		return log_fail(err, "the path of the run directory is too long: shorten TMPDIR");
	err = make_dirs(base, path);
	if (err)
		return err;
	path__format(r->path, "%s", path); /* from here on rundir__remove() has work */
	err = write_record(r);
	if (!err && mkdir(r->store, 0700))
		err = -errno;
	return err ? log_fail(err, "cannot create %s: %s", r->store, strerror(-err)) : 0;
}

void rundir__remove(struct rundir *r)
{
	if (!r->path[0])
		return;
	remove_run(r);
	/* The base, too, when nobody else is in it. */
	*strrchr(r->path, '/') = '\0';
	rmdir(r->path);
	r->path[0] = '\0';
}
