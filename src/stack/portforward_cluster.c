// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The network of the port-forward stack, and the servers at its far end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "stack/clock.h"
#include "stack/file.h"
#include "stack/gateway_internal.h"
#include "stack/portforward_internal.h"
#include "stack/program.h"
#include "stack/template.h"

#define NATS_PORT    4222
#define NATS_ROUTE   6222
#define NATS_HTTP    8222
#define WEB_PORT     8080
#define VERSION_MS   5000
#define WEB_TEMPLATE "web.conf"

static const char *const place_names[PF_PLACES] = {"client", "forwarder", "cluster"};

size_t pf_stack__servers(const struct pf_stack *s)
{
	return s->n_nodes + 1;
}

uint16_t pf_stack__server_port(const struct pf_stack *s, size_t server)
{
	return server < s->n_nodes ? s->nodes[server].client : s->web.port;
}

const char *pf_stack__server_name(const struct pf_stack *s, size_t server)
{
	return server < s->n_nodes ? s->nodes[server].name : "web";
}

static int run_ip(const struct pf_stack *s, enum pf_place place, const char *commands)
{
	char path[PATH_MAX];
	int err = path__format(path, "%s/%s.ip", s->run->path, place_names[place]);

	if (!err)
		err = file__create(path, commands);
	if (err)
		return log_fail(err, "cannot write %s: %s", path, strerror(-err));
	return netns__ip(&s->ns[place], path);
}

/*
 * Before the links are made, as they inherit it: no look for the way back, which for dnat's answers
 * is not where the asker thinks.
 */
static int set_sysctls(const struct pf_stack *s)
{
	static const char *const names[] = {"ipv4/conf/all/rp_filter",
					    "ipv4/conf/default/rp_filter"};
	size_t place, i;
	int err = netns__sysctl(&s->ns[PF_FORWARDER], "ipv4/ip_forward", "1");

	for (place = 0; place < PF_PLACES && !err; place++)
		for (i = 0; i < 2 && !err; i++)
			err = netns__sysctl(&s->ns[place], names[i], "0");
	return err ? log_fail(err, "cannot write below /proc/sys/net: %s", strerror(-err)) : 0;
}

int pf_stack__join(struct pf_stack *s)
{
	char links[512];
	size_t place;
	int err = 0;

	for (place = 0; place < PF_PLACES && !err; place++)
		err = netns__create(&s->ns[place], place_names[place]);
	if (!err)
		err = set_sysctls(s);
	if (err)
		return err;
	snprintf(links, sizeof(links),
		 "link set lo up\n"
		 "link add client type veth peer name eth0 netns /proc/%d/fd/%d\n"
		 "link add cluster type veth peer name eth0 netns /proc/%d/fd/%d\n"
		 "address add " PF_FRONT_ADDR "/24 dev client\n"
		 "address add " PF_BACK_ADDR "/24 dev cluster\n"
		 "link set client up\n"
		 "link set cluster up\n",
		 (int)getpid(), s->ns[PF_CLIENT].fd, (int)getpid(), s->ns[PF_CLUSTER].fd);
	err = run_ip(s, PF_FORWARDER, links);
	if (!err)
		err = run_ip(s, PF_CLIENT,
			     "link set lo up\n"
			     "address add " PF_CLIENT_ADDR "/24 dev eth0\n"
			     "link set eth0 up\n"
			     "route add default via " PF_FRONT_ADDR "\n");
	if (!err)
		err = run_ip(s, PF_CLUSTER,
			     "link set lo up\n"
			     "address add " PF_SERVER_ADDR "/24 dev eth0\n"
			     "address add " PF_DNAT_ADDR "/24 dev eth0\n"
			     "link set eth0 up\n"
			     "route add default via " PF_BACK_ADDR "\n");
	return err;
}

static int start_nodes(struct pf_stack *s)
{
	const char *program = s->opts.nats_program ? s->opts.nats_program : "nats-server";
	size_t i;
	int err = nats__version(program, s->nats_version, sizeof(s->nats_version));

	if (err)
		return log_fail(err, "cannot run %s: %s (package nats-server)", program,
				strerror(-err));
	for (i = 0; i < s->n_nodes && !err; i++) {
		struct nats_node *n = &s->nodes[i];

		n->client = (uint16_t)(NATS_PORT + i);
		n->route = (uint16_t)(NATS_ROUTE + i);
		n->http = (uint16_t)(NATS_HTTP + i);
		n->listen = "0.0.0.0";
		n->netns = &s->ns[PF_CLUSTER];
		snprintf(n->name, sizeof(n->name), "n%zu", i + 1);
		err = cgroup__plan_child(&n->cgroup, &s->run->cgroup, n->name);
		if (!err)
			err = cgroup__create(&n->cgroup, false);
	}
	if (!err)
		err = nats__configure(s->nodes, s->n_nodes, false, s->run);
	for (i = 0; i < s->n_nodes && !err; i++) {
		err = nats__start(&s->nodes[i], program, s->run);
		if (!err)
			err = watch__add(s->watch, &s->nodes[i].child);
	}
	return err;
}

static int configure_web(struct pf_stack *s, const char *nginx, char conf[PATH_MAX])
{
	struct template_vars *v = calloc(1, sizeof(*v));
	char modules[PATH_MAX], from[PATH_MAX];
	int err = v ? gateway__modules_path(nginx, modules) : -ENOMEM;

	if (!err && strpbrk(s->run->path, "\"\\\n;?$"))
		err = -EINVAL;
	if (!err)
		err = template__set(v, "MODULES", "%s", modules);
	if (!err)
		err = template__set(v, "PORT", "%u", s->web.port);
	if (!err)
		err = path__format(from, "%s/" WEB_TEMPLATE, s->opts.files);
	if (!err)
		err = path__format(conf, "%s/" WEB_TEMPLATE, s->run->path);
	if (err)
		log_fail(err, "cannot configure nginx: %s", strerror(-err));
	else
		err = template__render(from, conf, v);
	free(v);
	return err;
}

/* "nginx version: nginx/1.22.1" */
static void web_version(struct pf_stack *s, const char *nginx)
{
	char *argv[] = {(char *)nginx, "-v", NULL};
	char out[256];
	const char *v;

	if (program__output_all(argv, out, sizeof(out), VERSION_MS))
		return;
	v = strstr(out, "nginx/");
	if (v)
		snprintf(s->web_version, sizeof(s->web_version), "%.*s", (int)strcspn(v + 6, " \n"),
			 v + 6);
}

static int start_web(struct pf_stack *s)
{
	char nginx[PATH_MAX], conf[PATH_MAX], log[PATH_MAX];
	char *argv[] = {nginx, "-p", (char *)s->run->path, "-c", conf, "-e", "stderr", NULL};
	struct child_spec spec = {.name = "web",
				  .argv = argv,
				  .log = log,
				  .cgroup = &s->web.cgroup,
				  .netns = &s->ns[PF_CLUSTER]};
	int err = program__find("nginx", nginx);

	if (err)
		return log_fail(err, "nginx is not installed (packages nginx, "
				     "libnginx-mod-http-lua)");
	s->web.port = WEB_PORT;
	web_version(s, nginx);
	err = configure_web(s, nginx, conf);
	if (!err)
		err = path__format(log, "%s/web.log", s->run->path);
	if (!err)
		err = cgroup__plan_child(&s->web.cgroup, &s->run->cgroup, "web");
	if (!err)
		err = cgroup__create(&s->web.cgroup, false);
	if (!err)
		err = child__start(&s->web.child, &spec);
	return err ? err : watch__add(s->watch, &s->web.child);
}

static const struct child *find_dead(const struct pf_stack *s)
{
	size_t i;

	for (i = 0; i < s->n_nodes; i++)
		if (s->nodes[i].child.dead)
			return &s->nodes[i].child;
	return s->web.child.dead ? &s->web.child : NULL;
}

/* nginx is asked later: over each way. */
static int await_nodes(struct pf_stack *s)
{
	uint64_t deadline = clock__now() + PF_READY_MS * NS_PER_MS;
	const struct child *dead;
	char why[160] = "", tail[2048];
	size_t ready = 0; /* nodes 0..ready-1 are */

	for (;;) {
		int err;

		while (ready < s->n_nodes &&
		       !nats__ready(&s->nodes[ready], s->n_nodes, false, why, sizeof(why)))
			ready++;
		if (ready == s->n_nodes)
			return 0;
		err = watch__wait(s->watch, -1, clock__now() + PF_POLL_MS * NS_PER_MS, NULL);
		if (err < 0)
			return err;
		dead = find_dead(s);
		if (dead)
			return log_fail(-ECHILD, "the cluster did not start: %s ended (see above)",
					dead->name);
		if (clock__now() < deadline)
			continue;
		file__tail(s->nodes[ready].child.log, PF_TAIL_LINES, tail, sizeof(tail));
		return log_fail(-ETIMEDOUT,
				"the cluster was not ready within %d s: %s; the last lines of its "
				"log:\n%s",
				PF_READY_MS / 1000, why, tail);
	}
}

int pf_stack__start_servers(struct pf_stack *s)
{
	int err = start_nodes(s);

	if (!err)
		err = start_web(s);
	return err ? err : await_nodes(s);
}
