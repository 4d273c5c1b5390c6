// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a run needs, looked for before anything is started or left behind. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/precheck.h"
#include "log.h"
#include "probe/privileges.h"
#include "stack/port.h"

#define CONNECT_MS 3000

int precheck__host(struct cgroup_mounts *m, bool probe)
{
	int err = cgroup__mounts(m);

	if (err)
		return log_fail(err, "cannot read /proc/self/mountinfo: %s", strerror(-err));
	err = probe ? privileges__check(PRIVILEGES_BENCH) : 0;
	if (err)
		return err;
	if (!m->v2[0])
		return log_fail(-ENOENT, "no cgroup v2 hierarchy is mounted, and containers are "
					 "told apart by it; mount one: mkdir -p "
					 "/sys/fs/cgroup/unified && mount -t cgroup2 none "
					 "/sys/fs/cgroup/unified");
	if (faccessat(AT_FDCWD, m->v2, W_OK, AT_EACCESS) ||
	    (m->v1_memory[0] && faccessat(AT_FDCWD, m->v1_memory, W_OK, AT_EACCESS)))
		return log_fail(
			-errno,
			"cannot create cgroups below %s: %s; run it as root (sudo), or in a "
			"container with a writable cgroup file system",
			m->v2, strerror(errno));
	return 0;
}

static int check_programs(struct bench *b)
{
	const char *program = b->course.opts->nats_server;
	int err;

	if (!b->course.opts->n_urls) {
		err = nats__version(program, b->nats_version, sizeof(b->nats_version));
		if (err == -ENOENT)
			return log_fail(err,
					"%s is not installed: apt-get install nats-server, or give "
					"--nats-server PATH, or --nats-url URL of a cluster that "
					"runs",
					program);
		if (err)
			return log_fail(err, "%s is no nats-server that works: it %s", program,
					err == -EPROTO ? "does not say a version of one"
						       : "cannot be run");
	}
	if (!bench__has_path(b, PATH_FORWARDED))
		return 0;
	err = forward__version(b->forwarder_version, sizeof(b->forwarder_version));
	if (err == -ENOENT)
		return log_fail(err, "socat, which forwards, is not installed: apt-get install "
				     "socat, or leave 'forwarded' out of the scenario's paths");
	return err ? log_fail(err, "socat does not work: %s", strerror(-err)) : 0;
}

static int check_ports(const struct bench *b)
{
	char address[URL_HOST_LEN + 16];
	size_t i;
	int err;

	for (i = 0; i < b->course.opts->n_urls; i++) {
		const struct url *u = &b->course.opts->urls[i];

		err = port__connects(u->host, u->port, CONNECT_MS);
		if (err)
			return log_fail(err,
					"cannot connect to %s: %s; is the cluster up, and is "
					"--nats-url right?",
					url__address(u, address, sizeof(address)), strerror(-err));
	}
	if (b->course.opts->n_urls)
		return 0;
	for (i = 0; i < b->scenario->stack.n_ports; i++) {
		unsigned int port = b->scenario->stack.ports[i];

		err = port__check((uint16_t)port);
		if (err)
			return log_fail(err,
					"cannot use port %u: %s; see who has it (ss -ltnp 'sport = "
					":%u'), or set stack.ports to auto in %s",
					port, strerror(-err), port, b->course.opts->scenario);
	}
	return 0;
}

int bench__precheck(struct bench *b)
{
	int err = precheck__host(&b->course.mounts, !b->course.opts->no_probe);

	if (!err)
		err = check_programs(b);
	if (!err)
		err = outdir__open(&b->course.outdir, b->course.opts->out);
	if (err)
		return err;
	/* Before the ports: what a killed run left may hold them. */
	rundir__sweep(&b->course.mounts);
	return check_ports(b);
}
