// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Processes that return probes would kill. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "probe/heap_internal.h"
#include "probe/seccomp.h"
#include "sym/elf_file.h"

/* A line "Max address space   unlimited   unlimited   bytes" of /proc/PID/limits. */
static bool is_limited(pid_t pid)
{
	char path[64], line[256];
	bool limited = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	f = fopen(path, "re");
	if (!f)
		return true;
	while (fgets(line, sizeof(line), f)) {
		if ((!strncmp(line, "Max address space", 17) ||
		     !strncmp(line, "Max data size", 13)) &&
		    strncmp(line + 26, "unlimited", 9))
			limited = true;
	}
	fclose(f);
	return limited;
}

static bool is_strict(void)
{
	FILE *f = fopen("/proc/sys/vm/overcommit_memory", "re");
	int mode = 0;

	if (!f)
		return false;
	if (fscanf(f, "%d", &mode) != 1)
		mode = 0;
	fclose(f);
	return mode == 2;
}

/*
 * The unwinder of C++ does not know the trampoline that stands in the place of a return address
 * while a return probe waits: std::bad_alloc thrown through it ends the program. With session
 * probes, calls for more than the machine has get no return probe; smaller ones fail only where
 * memory is limited beforehand.
 */
bool heap__may_throw(const struct heap *h, pid_t pid)
{
	return h->how != UPROBE_SESSION || is_strict() || is_limited(pid);
}

static int attach(void *ctx, struct uprobes *u, pid_t pid)
{
	return heap_cost__attach(ctx, u, pid);
}

static int check_seccomp(struct heap *h, pid_t pid)
{
	int filtered = seccomp__has_filter(pid), kills;

	if (filtered <= 0)
		return filtered ? log_fail(filtered, "process %d: no such process", pid) : 0;
	kills = seccomp__return_probes_kill(attach, heap_cost__call, h);
	if (kills < 0)
		return log_fail(kills,
				"cannot find out whether return probes would kill process %d, "
				"which has a seccomp filter: %s",
				pid, strerror(-kills));
	if (kills)
		return log_fail(-EOPNOTSUPP,
				"process %d has a seccomp filter, and on this kernel a return "
				"probe would kill it (fixed by commit cf6cb56ef244, Linux 6.14); "
				"use --pages",
				pid);
	return 0;
}

static int check_go(pid_t pid)
{
	struct elf_file f;
	char path[64];
	bool is_go = false;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return log_fail(-errno, "cannot read the program of process %d: %s%s", pid,
				strerror(errno),
				errno == ENOENT ? " (a kernel thread has none)" : "");
	if (!elf_file__open(&f, fd)) {
		is_go = elf_file__is_go(&f);
		elf_file__close(&f);
	}
	close(fd);
	if (is_go)
		return log_fail(-EOPNOTSUPP,
				"process %d is a Go program: its memory comes from Go's own "
				"runtime, and return probes crash it; use --pages",
				pid);
	return 0;
}

int heap__check(struct heap *h, pid_t pid)
{
	int err;

	if (kill(pid, 0) && errno == ESRCH)
		return log_fail(-ESRCH, "process %d: no such process", pid);
	err = check_go(pid);
	return err ? err : check_seccomp(h, pid);
}
