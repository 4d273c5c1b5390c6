// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "stack/cgroup.h"
#include "stack/clock.h"
#include "stack/file.h"

/* Whether `word` is one of a list with commas. */
static bool has_option(const char *options, const char *word)
{
	size_t len = strlen(word);

	for (; options; options = strchr(options, ',')) {
		options += *options == ',';
		if (!strncmp(options, word, len) && (options[len] == ',' || !options[len]))
			return true;
	}
	return false;
}

/* Our own path in v1's memory hierarchy, from "4:memory:/path" of /proc/self/cgroup. */
static void own_memory_path(char path[PATH_MAX])
{
	char line[PATH_MAX + 64];
	FILE *f = fopen("/proc/self/cgroup", "re");

	path[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':');
		char *where = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!where)
			continue;
		*where++ = '\0';
		where[strcspn(where, "\n")] = '\0';
		if (has_option(controllers + 1, "memory") && strcmp(where, "/") != 0)
			path__format(path, "%s", where);
	}
	if (f)
		fclose(f);
}

int cgroup__mounts(struct cgroup_mounts *m)
{
	char line[2 * PATH_MAX], mount[PATH_MAX], own[PATH_MAX], options[512];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	m->v2[0] = m->v1_memory[0] = '\0';
	if (!f)
		return -errno;
	own_memory_path(own);
	while (fgets(line, sizeof(line), f)) {
		char type[32];
		char *dash = strstr(line, " - ");

		if (!dash || sscanf(line, "%*s %*s %*s %*s %4095s", mount) != 1 ||
		    sscanf(dash, " - %31s %*s %511s", type, options) != 2)
			continue;
		if (!strcmp(type, "cgroup2") && !m->v2[0])
			path__format(m->v2, "%s", mount);
		/* The first of several mounts: later ones are other roots' and may go. */
		if (!strcmp(type, "cgroup") && !m->v1_memory[0] && has_option(options, "memory")) {
			path__format(m->v1_memory, "%s%s", mount, own);
			/* In a container the mount may begin at our own cgroup. */
			if (access(m->v1_memory, F_OK))
				path__format(m->v1_memory, "%s", mount);
		}
	}
	fclose(f);
	return 0;
}

int cgroup__plan(struct cgroup *c, const struct cgroup_mounts *m, const char *name)
{
	int err;

	memset(c, 0, sizeof(*c));
	err = path__format(c->v2, "%s/%s", m->v2, name);
	if (!err && m->v1_memory[0])
		err = path__format(c->v1, "%s/%s", m->v1_memory, name);
	return err;
}

int cgroup__plan_child(struct cgroup *c, const struct cgroup *parent, const char *name)
{
	int err;

	memset(c, 0, sizeof(*c));
	err = path__format(c->v2, "%s/%s", parent->v2, name);
	if (!err && parent->v1[0])
		err = path__format(c->v1, "%s/%s", parent->v1, name);
	return err;
}

int cgroup__create(struct cgroup *c, bool group)
{
	char path[PATH_MAX];
	struct stat st;

	if (mkdir(c->v2, 0755))
		return log_fail(-errno, "cannot create cgroup %s: %s", c->v2, strerror(errno));
	if (c->v1[0] && mkdir(c->v1, 0755))
		return log_fail(-errno, "cannot create cgroup %s: %s", c->v1, strerror(errno));
	/* The id of a cgroup is the inode number of its directory on 64-bit kernels. */
	if (stat(c->v2, &st))
		return log_fail(-errno, "cannot stat cgroup %s: %s", c->v2, strerror(errno));
	c->id = st.st_ino;
	/* Refused where the root does not hand the controller down: memory is NO DATA then. */
	if (group && !c->v1[0] && !path__format(path, "%s/cgroup.subtree_control", c->v2) &&
	    file__write(path, "+memory"))
		log_warn("the memory controller is not handed down to %s: no memory figures. "
			 "Turn it on: echo +memory > %.*s/cgroup.subtree_control",
			 c->v2, (int)(path__name(c->v2) - c->v2 - 1), c->v2);
	return 0;
}

static int open_procs(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	if (path__format(path, "%s/cgroup.procs", dir))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup__open_procs(const struct cgroup *c, int *v2_fd, int *v1_fd)
{
	*v1_fd = -1;
	*v2_fd = open_procs(c->v2);
	if (*v2_fd < 0)
		return *v2_fd;
	if (!c->v1[0])
		return 0;
	*v1_fd = open_procs(c->v1);
	if (*v1_fd < 0) {
		close(*v2_fd);
		return *v1_fd;
	}
	return 0;
}

static int pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool lists_pid(const char *procs, pid_t pid)
{
	FILE *f = fopen(procs, "re");
	bool found = false;
	int p;

	while (f && !found && fscanf(f, "%d", &p) == 1)
		found = p == pid;
	if (f)
		fclose(f);
	return found;
}

/*
 * SIGKILL to every process of one cgroup directory. The pidfd is taken first and the list read
 * again, so that a pid that was reused in between is not hit. Number of processes seen.
 */
static int kill_procs(const char *dir)
{
	char procs[PATH_MAX];
	FILE *f;
	int pid, n = 0;

	if (path__format(procs, "%s/cgroup.procs", dir))
		return 0;
	f = fopen(procs, "re");
	while (f && fscanf(f, "%d", &pid) == 1) {
		int fd;

		if (pid <= 1 || pid == getpid())
			continue; /* 0: a process of another pid namespace */
		n++;
		fd = pidfd_open(pid);
		if (fd < 0)
			continue;
		if (lists_pid(procs, pid))
			syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		close(fd);
	}
	if (f)
		fclose(f);
	return n;
}

/* Depth first: kill (or not) and rmdir. What could not be removed, as a count. */
static int destroy_dir(const char *dir, bool do_kill)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int left = 0;

	if (!d)
		return errno == ENOENT ? 0 : 1;
	while ((e = readdir(d))) {
		char sub[PATH_MAX];

		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    path__format(sub, "%s/%s", dir, e->d_name))
			continue;
		left += destroy_dir(sub, do_kill);
	}
	closedir(d);
	if (do_kill)
		left += kill_procs(dir);
	if (!left && rmdir(dir) && errno != ENOENT)
		left++;
	return left;
}

int cgroup__destroy(const struct cgroup *c, unsigned int timeout_ms)
{
	uint64_t deadline = clock__now() + timeout_ms * NS_PER_MS;

	for (;;) {
		int left = c->v2[0] ? destroy_dir(c->v2, true) : 0;

		/* Its processes are those of the v2 twin; killed there, they leave here too. */
		if (c->v1[0])
			left += destroy_dir(c->v1, true);
		if (!left)
			return 0;
		if (clock__now() >= deadline)
			return -EBUSY;
		clock__sleep_ms(10);
	}
}

int cgroup__limit(const struct cgroup *c, uint64_t bytes)
{
	char path[PATH_MAX], text[32];
	int err;

	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	err = c->v1[0] ? path__format(path, "%s/memory.limit_in_bytes", c->v1)
		       : path__format(path, "%s/memory.max", c->v2);
	return err ? err : file__write(path, text);
}

/* The number after `key` in one of its files of "key number" lines. */
static int read_key(const struct cgroup *c, const char *file, const char *key, uint64_t *value)
{
	char path[PATH_MAX], text[4096];
	char *line, *save = NULL;
	size_t len = strlen(key);
	int err = path__format(path, "%s/%s", c->v2, file);

	if (!err)
		err = file__read(path, text, sizeof(text));
	if (err < 0)
		return err;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, key, len) != 0 || line[len] != ' ')
			continue;
		*value = strtoull(line + len + 1, NULL, 10);
		return 0;
	}
	return -ENOENT;
}

/* The kernel counts time in every cgroup of v2, without the cpu controller, too. */
int cgroup__cpu_ns(const struct cgroup *c, uint64_t *ns)
{
	int err = read_key(c, "cpu.stat", "usage_usec", ns);

	*ns = err ? 0 : *ns * 1000;
	return err;
}

bool cgroup__populated(const struct cgroup *c)
{
	uint64_t populated = 0;

	return c->v2[0] && !read_key(c, "cgroup.events", "populated", &populated) && populated;
}

void cgroup__kill(const struct cgroup *c)
{
	char path[PATH_MAX];

	/* From 5.14 on in one go: nothing forks in between. */
	if (!path__format(path, "%s/cgroup.kill", c->v2) && !file__write(path, "1"))
		return;
	kill_procs(c->v2);
}

int cgroup__freeze(const struct cgroup *c, bool frozen, unsigned int timeout_ms)
{
	uint64_t deadline = clock__now() + timeout_ms * NS_PER_MS, is = !frozen;
	char path[PATH_MAX];
	int err = path__format(path, "%s/cgroup.freeze", c->v2);

	if (!err)
		err = file__write(path, frozen ? "1" : "0");
	while (!err) {
		err = read_key(c, "cgroup.events", "frozen", &is);
		if (err || is == frozen)
			break;
		if (clock__now() >= deadline)
			err = -ETIMEDOUT;
		else
			clock__sleep_ms(1);
	}
	return err;
}

int cgroup__remove_empty(const char *path)
{
	return destroy_dir(path, false) ? -EBUSY : 0;
}
