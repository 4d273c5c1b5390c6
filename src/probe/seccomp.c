// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE
#include "probe/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYS_URETPROBE 335 /* x86-64, since Linux 6.11 */

int seccomp__has_filter(pid_t pid)
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
static void be_filtered(int go, void (*call)(void))
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
	call();
	_exit(0);
}

int seccomp__return_probes_kill(seccomp_attach_fn attach, void (*call)(void), void *ctx)
{
	struct uprobes u = {0};
	int go[2], status = 0, err;
	pid_t child;

	if (pipe2(go, O_CLOEXEC))
		return -errno;
	child = fork();
	if (!child) {
		close(go[1]); /* or it would wait for itself when there is no byte */
		be_filtered(go[0], call);
	}
	err = child < 0 ? -errno : attach(ctx, &u, child);
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
