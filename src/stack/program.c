// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack/clock.h"
#include "stack/file.h"
#include "stack/program.h"

extern char **environ;

static int spawn(char *const *argv, int out, bool all, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int err;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (all)
		posix_spawn_file_actions_adddup2(&actions, out, 2);
	else
		posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	err = posix_spawnp(pid, argv[0], &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

/* Reads to the end of the stream; what does not fit is read and dropped. */
static int read_output(int fd, char *buf, size_t size, unsigned int timeout_ms)
{
	uint64_t deadline = clock__now() + timeout_ms * NS_PER_MS;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char dropped[512];
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (poll(&p, 1, clock__left_ms(deadline)) <= 0)
			return -ETIMEDOUT;
		if (len + 1 < size)
			n = read(fd, buf + len, size - 1 - len);
		else
			n = read(fd, dropped, sizeof(dropped));
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (len + 1 < size)
			len += (size_t)n;
		buf[len] = '\0';
	}
}

static int output(char *const *argv, bool all, char *buf, size_t size, unsigned int timeout_ms)
{
	int fds[2], status, err;
	pid_t pid;

	buf[0] = '\0';
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	err = spawn(argv, fds[1], all, &pid);
	close(fds[1]);
	if (!err) {
		err = read_output(fds[0], buf, size, timeout_ms);
		if (err)
			kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (!err && (!WIFEXITED(status) || WEXITSTATUS(status)))
			err = -ECHILD;
	}
	close(fds[0]);
	return err;
}

int program__output(char *const *argv, char *buf, size_t size, unsigned int timeout_ms)
{
	return output(argv, false, buf, size, timeout_ms);
}

int program__output_all(char *const *argv, char *buf, size_t size, unsigned int timeout_ms)
{
	return output(argv, true, buf, size, timeout_ms);
}

int program__find(const char *name, char path[PATH_MAX])
{
	const char *env = getenv("PATH");
	char *list = NULL, *dir, *save = NULL;
	int err = -ENOENT;

	if (strchr(name, '/'))
		return path__format(path, "%s", name) || access(path, X_OK) ? -ENOENT : 0;
	if (asprintf(&list, "%s:/usr/sbin:/sbin:/usr/local/sbin", env ? env : "/usr/bin:/bin") < 0)
		return -ENOMEM;
	for (dir = strtok_r(list, ":", &save); dir && err; dir = strtok_r(NULL, ":", &save))
		if (!path__format(path, "%s/%s", dir, name) && !access(path, X_OK))
			err = 0;
	free(list);
	return err;
}
