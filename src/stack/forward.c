// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "stack/file.h"
#include "stack/forward.h"
#include "stack/program.h"

int forward__start(struct forward *f, const struct rundir *run)
{
	char listen[128], to[FORWARD_HOST_LEN + 32], log[PATH_MAX], name[CHILD_NAME_LEN];
	char *argv[] = {"socat", listen, to, NULL};
	struct child_spec spec = {
		.name = name, .argv = argv, .log = log, .cgroup = &f->cgroup, .pipes = false};
	/* A ':' in the host is an IPv6 address, which socat wants in brackets. */
	const char *fmt = strchr(f->host, ':') ? "TCP:[%s]:%u,nodelay" : "TCP:%s:%u,nodelay";

	if (strpbrk(f->host, ",!|\"'\\ "))
		return log_fail(-EINVAL, "'%s' is not a host name", f->host);
	snprintf(name, sizeof(name), "forwarder %s", f->name);
	/* nodelay: kubectl's sockets (Go) have it; with Nagle we would measure Nagle. */
	snprintf(listen, sizeof(listen),
		 "TCP-LISTEN:%u,bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=128", f->port);
	snprintf(to, sizeof(to), fmt, f->host, f->to);
	if (path__format(log, "%s/%s.log", run->path, f->name))
		return log_fail(-ENAMETOOLONG, "the path of the run directory is too long");
	return child__start(&f->child, &spec);
}

int forward__version(char *buf, size_t size)
{
	char *argv[] = {"socat", "-V", NULL};
	char out[512];
	const char *v;
	int err = program__output(argv, out, sizeof(out), 5000);

	if (err)
		return err;
	/* "socat version 1.7.4.4 on ..." on the second line */
	v = strstr(out, "socat version ");
	if (!v)
		return -EPROTO;
	v += strlen("socat version ");
	snprintf(buf, size, "socat %.*s", (int)strcspn(v, " \n"), v);
	return 0;
}
