// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Processes that return probes would kill. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "probe/heap_internal.h"
#include "sym/elf_file.h"

#define SYS_URETPROBE 335 /* x86-64, since Linux 6.11 */

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

/* "Seccomp: 2" of /proc/PID/status: a filter. -ESRCH. */
static int has_seccomp_filter(pid_t pid)
{
	char path[64], line[256];
	int mode = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return -ESRCH;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	}
	fclose(f);
	return mode == SECCOMP_MODE_FILTER;
}

/* Runs in a child: a filter that kills for the one system call that no program makes by itself. */
static void be_filtered(int go)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_URETPROBE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(2);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(2);
	heap_cost__call();
	_exit(0);
}

/*
 * Linux 6.11 made the return from a probed function a system call, which a seccomp filter that
 * does not know it answers by killing (or failing, which ends the same way); commit cf6cb56ef244
 * exempted it. Tried on a child of ours: versions tell nothing about kernels with backports.
 * 1: they are killed; 0: they are not; negative errno.
 */
static int seccomp_kills(struct heap *h)
{
	struct uprobes u = {0};
	int go[2], status = 0, err;
	pid_t child;

	if (pipe2(go, O_CLOEXEC))
		return -errno;
	child = fork();
	if (!child) {
		close(go[1]); /* or it would wait for itself when there is no byte */
		be_filtered(go[0]);
	}
	err = child < 0 ? -errno : heap_cost__attach(h, &u, child);
	close(go[0]);
	if (!err && write(go[1], "", 1) != 1)
		err = -errno;
	close(go[1]); /* without the byte, the child ends */
	if (child > 0 && waitpid(child, &status, 0) != child)
		err = -errno;
	uprobes__detach(&u);
	if (err)
		return err;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		return -EPERM;
	return !WIFEXITED(status);
}

static int check_seccomp(struct heap *h, pid_t pid)
{
	int filtered = has_seccomp_filter(pid), kills;

	if (filtered <= 0)
		return filtered ? log_fail(filtered, "process %d: no such process", pid) : 0;
	kills = seccomp_kills(h);
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
