// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "stack/clock.h"
#include "stack/file.h"
#include "stack/portforward_internal.h"

#define FOLDER	  "port-forward"
#define MAX_CHILD (PF_WAYS * PF_MAX_RELAYS + PF_MAX_SERVER)

void pf_stack__defaults(struct pf_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->ways = PF_ALL_WAYS;
	opts->nodes = 3;
}

int pf_stack__files(const char *scenario, char path[PATH_MAX])
{
	int dir = (int)(path__name(scenario) - scenario);
	int err = path__format(path, "%.*s" FOLDER, dir, scenario);

	return err ? err : access(path, R_OK | X_OK) ? -ENOENT : 0;
}

/* ---- one request */

/* Until `want` has come, at the head of what is read or anywhere in it. 0 or negative errno. */
static int await_text(int fd, const char *want, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[4096];
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (poll(&p, 1, clock__left_ms(deadline)) <= 0)
			return -ETIMEDOUT;
		n = read(fd, buf + len, sizeof(buf) - 1 - len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		len += (size_t)n;
		buf[len] = '\0';
		if (strstr(buf, want))
			return 0;
		if (len + 1 == sizeof(buf))
			return -EPROTO;
	}
}

static int tell(int fd, const char *text)
{
	ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);

	return n == (ssize_t)strlen(text) ? 0 : n < 0 ? -errno : -EIO;
}

static int open_to(const struct pf_stack *s, const struct pf_endpoint *to, uint64_t deadline)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(to->port)};
	struct pollfd p = {.events = POLLOUT};
	socklen_t len = sizeof(int);
	int err = 0;
	int fd = netns__socket(&s->ns[PF_CLIENT], AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return fd;
	p.fd = fd;
	inet_pton(AF_INET, to->host, &addr.sin_addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = errno;
		if (err == EINPROGRESS) {
			err = ETIMEDOUT;
			if (poll(&p, 1, clock__left_ms(deadline)) == 1)
				getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
		}
	}
	if (err) {
		close(fd);
		return -err;
	}
	return fd;
}

int pf_stack__check(const struct pf_stack *s, enum pf_way way, size_t server,
		    unsigned int timeout_ms, uint64_t *took_ns, char *why, size_t size)
{
	const struct pf_endpoint *to = &s->routes[way].to[server];
	uint64_t begin = clock__now(), deadline = begin + timeout_ms * NS_PER_MS;
	const char *step = "connect";
	int fd = open_to(s, to, deadline);
	int err = fd < 0 ? fd : 0;

	if (!err && server < s->n_nodes) {
		step = "INFO of the broker";
		err = await_text(fd, "INFO {", deadline);
		if (!err)
			err = tell(fd, "CONNECT {\"verbose\":false}\r\nPING\r\n");
		if (!err) {
			step = "PONG of the broker";
			err = await_text(fd, "PONG\r\n", deadline);
		}
	} else if (!err) {
		step = "answer of the web server";
		err = tell(fd, "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
		if (!err)
			err = await_text(fd, "\r\n\r\nok\n", deadline);
	}
	if (fd >= 0)
		close(fd);
	*took_ns = err ? 0 : clock__now() - begin;
	snprintf(why, size, "%s%s%s", err ? step : "", err ? ": " : "", err ? strerror(-err) : "");
	return err;
}

/* ---- start and stop */

static void stop_route(struct pf_stack *s, struct pf_route *r)
{
	struct child *list[PF_MAX_RELAYS];
	size_t i;

	for (i = 0; i < r->n_relays; i++) {
		watch__forget(s->watch, &r->relays[i].child);
		list[i] = &r->relays[i].child;
	}
	child__stop_all(list, r->n_relays, 0, -1);
	for (i = 0; i < r->n_relays; i++)
		cgroup__kill(&r->relays[i].cgroup);
	r->n_relays = 0;
}

static struct pf_relay *find_dead(struct pf_route *r)
{
	size_t i;

	for (i = 0; i < r->n_relays; i++)
		if (child__ended(&r->relays[i].child))
			return &r->relays[i];
	return NULL;
}

/* 0, -EINTR, or another negative errno with `why` set. */
static int await_route(struct pf_stack *s, enum pf_way way)
{
	uint64_t deadline = clock__now() + PF_READY_MS * NS_PER_MS, took;
	struct pf_route *r = &s->routes[way];
	char why[128], tail[512], how[96];
	size_t ready = 0; /* servers 0..ready-1 answer */

	for (;;) {
		const struct pf_relay *dead;
		int err;

		while (ready < pf_stack__servers(s) &&
		       !pf_stack__check(s, way, ready, PF_CHECK_MS, &took, why, sizeof(why)))
			ready++;
		if (ready == pf_stack__servers(s))
			return 0;
		err = watch__wait(s->watch, -1, clock__now() + PF_POLL_MS * NS_PER_MS, NULL);
		if (err < 0)
			return err;
		dead = find_dead(r);
		if (dead)
			return pf_route__lacks(
				r, -ECHILD, "%s ended: %s: %s", dead->name,
				child__how_it_ended(&dead->child, how, sizeof(how)),
				file__tail(dead->child.log, PF_TAIL_LINES, tail, sizeof(tail)));
		if (clock__now() >= deadline)
			return pf_route__lacks(r, -ETIMEDOUT, "%s was not reached within %d s: %s",
					       pf_stack__server_name(s, ready), PF_READY_MS / 1000,
					       why);
	}
}

/* Only what works is watched: what does not is told by `why`. */
static int finish_route(struct pf_stack *s, enum pf_way way)
{
	struct pf_route *r = &s->routes[way];
	size_t i;
	int err = await_route(s, way);

	for (i = 0; i < r->n_relays && !err; i++)
		err = watch__add(s->watch, &r->relays[i].child);
	r->available = !err;
	if (!err)
		return 0;
	stop_route(s, r);
	return err;
}

static int start_routes(struct pf_stack *s)
{
	size_t way;

	/* All first, then each is waited for: kubectl takes its time. */
	for (way = 0; way < PF_WAYS; way++) {
		struct pf_route *r = &s->routes[way];

		r->wanted = way == PF_DIRECT || s->opts.ways >> way & 1;
		if (!r->wanted)
			snprintf(r->why, sizeof(r->why), "it was not asked for");
		else if (pf_way__start(s, way) == -EINTR)
			return -EINTR;
		else if (r->why[0])
			stop_route(s, r);
	}
	for (way = 0; way < PF_WAYS; way++) {
		struct pf_route *r = &s->routes[way];

		if (r->why[0])
			continue;
		log_info("waiting for %s", pf_way__name(way));
		if (finish_route(s, way) == -EINTR)
			return -EINTR;
	}
	if (s->routes[PF_DIRECT].available)
		return 0;
	return log_fail(-EHOSTUNREACH, "the client does not reach the cluster: %s",
			s->routes[PF_DIRECT].why);
}

int pf_stack__start(struct pf_stack *s, const struct pf_opts *opts, const struct rundir *run,
		    struct watch *watch)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->opts = *opts;
	s->run = run;
	s->watch = watch;
	if (!opts->nodes || opts->nodes > PF_MAX_NODES)
		return log_fail(-EINVAL, "a port-forward stack has 1 to %d nodes", PF_MAX_NODES);
	s->n_nodes = opts->nodes;
	err = pf_stack__join(s);
	if (!err)
		err = pf_stack__start_servers(s);
	return err ? err : start_routes(s);
}

/* From the front: nobody is asked by one that has lost its back. */
void pf_stack__stop(struct pf_stack *s, unsigned int grace_ms, int impatient_fd)
{
	struct child *list[MAX_CHILD];
	size_t way, i, n = 0;

	for (way = 0; way < PF_WAYS; way++)
		for (i = s->routes[way].n_relays; i-- > 0;)
			list[n++] = &s->routes[way].relays[i].child;
	for (i = 0; i < n; i++)
		watch__forget(s->watch, list[i]);
	child__stop_all(list, n, grace_ms, impatient_fd);
	/* What they have forked: a socat and an sshd for each connection. */
	for (way = 0; way < PF_WAYS; way++)
		for (i = 0; i < s->routes[way].n_relays; i++)
			cgroup__kill(&s->routes[way].relays[i].cgroup);
	for (n = 0; n < s->n_nodes; n++)
		list[n] = &s->nodes[n].child;
	list[n++] = &s->web.child;
	for (i = 0; i < n && s->watch; i++)
		watch__forget(s->watch, list[i]);
	child__stop_all(list, n, grace_ms, impatient_fd);
	for (i = 0; i < PF_PLACES; i++)
		netns__close(&s->ns[i]);
}

/* ---- what there is */

bool pf_stack__alive(const struct pf_stack *s, enum pf_way way)
{
	const struct pf_route *r = &s->routes[way];
	size_t i;

	for (i = 0; i < r->n_relays; i++)
		if (!r->relays[i].child.pid || r->relays[i].child.dead)
			return false;
	return r->available;
}

const struct pf_endpoint *pf_stack__nats(const struct pf_stack *s, enum pf_way way, size_t node)
{
	return &s->routes[way].to[node];
}

const struct pf_endpoint *pf_stack__http(const struct pf_stack *s, enum pf_way way)
{
	return &s->routes[way].to[s->n_nodes];
}

const struct netns *pf_stack__client_netns(const struct pf_stack *s)
{
	return &s->ns[PF_CLIENT];
}

const struct netns *pf_stack__cluster_netns(const struct pf_stack *s)
{
	return &s->ns[PF_CLUSTER];
}

int pf_relay__cpu_ns(const struct pf_relay *relay, uint64_t *ns)
{
	return cgroup__cpu_ns(&relay->cgroup, ns);
}
