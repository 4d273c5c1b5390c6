// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "stack/file.h"
#include "stack/netns.h"
#include "stack/program.h"

#define IP_TIMEOUT_MS 10000

static int open_own(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int netns__create(struct netns *ns, const char *name)
{
	const char *hint = "";
	int back = open_own();
	int err = back < 0 ? back : 0;

	memset(ns, 0, sizeof(*ns));
	if (!err && unshare(CLONE_NEWNET))
		err = -errno;
	if (!err) {
		ns->fd = open_own();
		netns__leave(back);
		back = -1;
		err = ns->fd < 0 ? ns->fd : 0;
	}
	if (back >= 0)
		close(back);
	if (!err) {
		snprintf(ns->name, sizeof(ns->name), "%s", name);
		return 0;
	}
	if (err == -EPERM)
		hint = "; it needs CAP_SYS_ADMIN: run as root";
	return log_fail(err, "cannot make a network namespace for the %s: %s%s", name,
			strerror(-err), hint);
}

void netns__close(struct netns *ns)
{
	if (ns->name[0])
		close(ns->fd);
	ns->name[0] = '\0';
	ns->fd = -1;
}

int netns__enter(const struct netns *ns, int *back)
{
	int err = 0;

	*back = open_own();
	if (*back < 0)
		return *back;
	if (setns(ns->fd, CLONE_NEWNET)) {
		err = -errno;
		close(*back);
	}
	return err;
}

void netns__leave(int back)
{
	if (setns(back, CLONE_NEWNET)) {
		log_warn("cannot go back to the own network namespace: %s", strerror(errno));
		abort();
	}
	close(back);
}

int netns__output(const struct netns *ns, char *const *argv, char *buf, size_t size,
		  unsigned int timeout_ms)
{
	int back;
	int err = netns__enter(ns, &back);

	buf[0] = '\0';
	if (err)
		return err;
	err = program__output_all(argv, buf, size, timeout_ms);
	netns__leave(back);
	return err;
}

int netns__ip(const struct netns *ns, const char *file)
{
	char *argv[] = {"ip", "-batch", (char *)file, NULL};
	char said[1024];
	int err = netns__output(ns, argv, said, sizeof(said), IP_TIMEOUT_MS);

	if (!err)
		return 0;
	if (err == -ENOENT)
		return log_fail(err, "cannot link the network namespaces: ip is not installed "
				     "(package iproute2)");
	said[strcspn(said, "\n")] = '\0';
	return log_fail(err, "cannot set up the network of the %s: ip: %s", ns->name,
			said[0] ? said : strerror(-err));
}

int netns__sysctl(const struct netns *ns, const char *name, const char *value)
{
	char path[PATH_MAX];
	int back;
	int err = path__format(path, "/proc/sys/net/%s", name);

	if (!err)
		err = netns__enter(ns, &back);
	if (err)
		return err;
	err = file__write(path, value);
	netns__leave(back);
	return err;
}

int netns__socket(const struct netns *ns, int family, int type, int protocol)
{
	int back, fd;
	int err = netns__enter(ns, &back);

	if (err)
		return err;
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	err = fd < 0 ? -errno : 0;
	netns__leave(back);
	return err ? err : fd;
}
