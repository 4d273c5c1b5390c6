// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How each way is made: what it needs, its configuration, its processes. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stack/clock.h"
#include "stack/file.h"
#include "stack/port.h"
#include "stack/portforward_internal.h"
#include "stack/program.h"
#include "stack/template.h"

#define VERSION_MS 10000
#define RUN_MS	   10000
#define PORT_STEP  100 /* between the ways' ports for one server */

int pf_route__lacks(struct pf_route *r, int err, const char *fmt, ...)
{
	va_list args;

	if (r->why[0])
		return err; /* the first reason is the reason */
	va_start(args, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, args);
	va_end(args);
	r->why[strcspn(r->why, "\n")] = '\0';
	return err;
}

static int find_program(struct pf_route *r, const char *name, const char *package,
			char path[PATH_MAX])
{
	int err = program__find(name, path);

	return err ? pf_route__lacks(r, err, "%s is not installed (package %s)", name, package) : 0;
}

/* "PREFIX WORD": the word behind `key` in what the program says of itself. */
static void set_version(struct pf_route *r, char *const *argv, const char *key, const char *prefix)
{
	char out[1024];
	const char *v;

	program__output_all(argv, out, sizeof(out), VERSION_MS);
	v = strstr(out, key);
	if (v)
		snprintf(r->version, sizeof(r->version), "%s %.*s", prefix,
			 (int)strcspn(v + strlen(key), " ,\n"), v + strlen(key));
}

static void set_endpoints(const struct pf_stack *s, struct pf_route *r, const char *host,
			  unsigned int step)
{
	size_t i;

	for (i = 0; i < pf_stack__servers(s); i++) {
		snprintf(r->to[i].host, sizeof(r->to[i].host), "%s", host);
		r->to[i].port = (uint16_t)(pf_stack__server_port(s, i) + step);
	}
}

static int render(const struct pf_stack *s, struct pf_route *r, const char *file,
		  const struct template_vars *v, char to[PATH_MAX])
{
	char from[PATH_MAX];
	int err = path__format(from, "%s/%s", s->opts.files, file);

	if (!err)
		err = path__format(to, "%s/%s", s->run->path, file);
	if (!err)
		err = template__render(from, to, v);
	return err ? pf_route__lacks(r, err, "cannot write its %s: %s", file, strerror(-err)) : 0;
}

int pf_relay__start(struct pf_stack *s, struct pf_route *r, const char *program, int server,
		    enum pf_place place, char *const *argv)
{
	struct pf_relay *relay = &r->relays[r->n_relays];
	struct child_spec spec = {.argv = argv, .netns = &s->ns[place]};
	char log[PATH_MAX];
	int err;

	memset(relay, 0, sizeof(*relay));
	snprintf(relay->name, sizeof(relay->name), "%s%s%s", program, server < 0 ? "" : "-",
		 server < 0 ? "" : pf_stack__server_name(s, (size_t)server));
	relay->program = program;
	relay->server = server;
	relay->place = place;
	err = cgroup__plan_child(&relay->cgroup, &s->run->cgroup, relay->name);
	if (!err)
		err = cgroup__create(&relay->cgroup, false);
	if (!err)
		err = path__format(log, "%s/%s.log", s->run->path, relay->name);
	if (!err) {
		spec.name = relay->name;
		spec.log = log;
		spec.cgroup = &relay->cgroup;
		r->n_relays++;
		err = child__start(&relay->child, &spec);
	}
	return err ? pf_route__lacks(r, err, "cannot start %s: %s", relay->name, strerror(-err))
		   : 0;
}

int pf_relay__await(struct pf_stack *s, struct pf_route *r, unsigned int port)
{
	struct pf_relay *relay = &r->relays[r->n_relays - 1];
	uint64_t deadline = clock__now() + PF_READY_MS * NS_PER_MS;
	char tail[512];

	for (;;) {
		int back;
		int err = netns__enter(&s->ns[PF_FORWARDER], &back);

		if (!err) {
			err = port__connects(PF_SERVER_ADDR, (uint16_t)port, PF_CHECK_MS);
			netns__leave(back);
		}
		if (!err)
			return 0;
		err = watch__wait(s->watch, -1, clock__now() + PF_POLL_MS * NS_PER_MS, NULL);
		if (err < 0)
			return err;
		if (child__ended(&relay->child) || clock__now() >= deadline)
			return pf_route__lacks(
				r, -ETIMEDOUT, "%s does not answer: %s", relay->name,
				file__tail(relay->child.log, PF_TAIL_LINES, tail, sizeof(tail)));
	}
}

static int start_direct(struct pf_stack *s, struct pf_route *r)
{
	set_endpoints(s, r, PF_SERVER_ADDR, 0);
	return 0;
}

/* nodelay, as haproxy, ssh and kubectl have it; with Nagle we would measure Nagle. */
static int start_socat(struct pf_stack *s, struct pf_route *r)
{
	char program[PATH_MAX], from[128], to[128];
	char *ask[] = {program, "-V", NULL}, *argv[] = {program, from, to, NULL};
	size_t i;
	int err = find_program(r, "socat", "socat", program);

	if (err)
		return err;
	set_version(r, ask, "socat version ", "socat");
	for (i = 0; i < pf_stack__servers(s) && !err; i++) {
		snprintf(from, sizeof(from),
			 "TCP-LISTEN:%u,bind=%s,fork,reuseaddr,nodelay,backlog=128", r->to[i].port,
			 r->to[i].host);
		snprintf(to, sizeof(to), "TCP:" PF_SERVER_ADDR ":%u,nodelay",
			 pf_stack__server_port(s, i));
		if (!i)
			snprintf(r->command, sizeof(r->command), "socat %s %s", from, to);
		err = pf_relay__start(s, r, "socat", (int)i, PF_FORWARDER, argv);
	}
	return err;
}

static int haproxy_servers(const struct pf_stack *s, const struct pf_route *r, char *buf,
			   size_t size)
{
	size_t i, len = 0;

	for (i = 0; i < pf_stack__servers(s) && len < size; i++) {
		const char *name = pf_stack__server_name(s, i);

		len += (size_t)snprintf(
			buf + len, size - len,
			"listen %s\n\tbind %s:%u\n\tserver %s " PF_SERVER_ADDR ":%u\n", name,
			r->to[i].host, r->to[i].port, name, pf_stack__server_port(s, i));
	}
	return len < size ? 0 : -E2BIG;
}

static int start_haproxy(struct pf_stack *s, struct pf_route *r)
{
	struct template_vars *v = calloc(1, sizeof(*v));
	char program[PATH_MAX], conf[PATH_MAX], servers[2048];
	/* -db: in the foreground, and one process. */
	char *ask[] = {program, "-v", NULL}, *argv[] = {program, "-db", "-f", conf, NULL};
	int err = v ? find_program(r, "haproxy", "haproxy", program) : -ENOMEM;

	if (!err) {
		set_version(r, ask, "ersion ", "haproxy");
		err = haproxy_servers(s, r, servers, sizeof(servers));
	}
	if (!err)
		err = template__set(v, "SERVERS", "%s", servers);
	if (!err)
		err = render(s, r, "haproxy.cfg", v, conf);
	if (!err) {
		snprintf(r->command, sizeof(r->command), "haproxy -db -f haproxy.cfg");
		err = pf_relay__start(s, r, "haproxy", -1, PF_FORWARDER, argv);
	}
	free(v);
	return err;
}

static int make_key(struct pf_route *r, const char *dir, const char *name)
{
	char path[PATH_MAX], said[512] = "";
	char *argv[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path, NULL};
	int err = path__format(path, "%s/%s", dir, name);

	if (!err)
		err = program__output_all(argv, said, sizeof(said), RUN_MS);
	return err ? pf_route__lacks(r, err, "cannot make a key with ssh-keygen: %s",
				     err == -ENOENT ? "it is not installed"
				     : said[0]	    ? said
						    : strerror(-err))
		   : 0;
}

/* Keys of this run, and the client's knowledge of the server's. */
static int make_keys(struct pf_route *r, const char *dir)
{
	char path[PATH_MAX], key[512], line[600];
	int err = mkdir(dir, 0700) ? -errno : 0;

	if (!err)
		err = make_key(r, dir, "host_key");
	if (!err)
		err = make_key(r, dir, "client_key");
	if (!err)
		err = path__format(path, "%s/host_key.pub", dir);
	if (!err) {
		int n = file__read(path, key, sizeof(key));

		err = n < 0 ? n : path__format(path, "%s/known_hosts", dir);
	}
	if (!err) {
		snprintf(line, sizeof(line), "cluster %s", key);
		err = file__create(path, line);
	}
	return err ? pf_route__lacks(r, err, "cannot make its keys: %s", strerror(-err)) : 0;
}

static int configure_ssh(struct pf_stack *s, struct pf_route *r, char client[PATH_MAX],
			 char server[PATH_MAX])
{
	struct template_vars *v = calloc(1, sizeof(*v));
	const struct passwd *user = getpwuid(geteuid());
	char dir[PATH_MAX];
	int err = v ? path__format(dir, "%s/ssh", s->run->path) : -ENOMEM;

	if (!user) {
		free(v);
		return pf_route__lacks(r, -ENOENT, "the user %u has no name, which sshd needs",
				       (unsigned int)geteuid());
	}
	if (!err)
		err = make_keys(r, dir);
	if (!err)
		err = template__set(v, "DIR", "%s", dir);
	if (!err)
		err = template__set(v, "USER", "%s", user->pw_name);
	if (!err)
		err = template__set(v, "ADDRESS", "%s", PF_SERVER_ADDR);
	if (!err)
		err = template__set(v, "PORT", "%d", PF_SSH_PORT);
	if (!err)
		err = render(s, r, "ssh_config", v, client);
	if (!err)
		err = render(s, r, "sshd_config", v, server);
	free(v);
	return err;
}

/*
 * sshd wants /run/sshd to be there, which on a machine without its service it is not, and we leave
 * nothing on the host: it has a /run of its own, with ours in it. `exec`, so that it is the child
 * that we started.
 */
static int start_sshd(struct pf_stack *s, struct pf_route *r, char *program, char *conf)
{
	static const char script[] =
		"mkdir -m 755 \"$0\" && mount -t tmpfs -o mode=755 tmpfs \"$0\" && "
		"mkdir -m 755 \"$0/sshd\" \"$0/hopscope\" && "
		"mount --rbind /run/hopscope \"$0/hopscope\" && mount --rbind \"$0\" /run && "
		"exec \"$@\"";
	char dir[PATH_MAX];
	char *argv[] = {"unshare", "--mount", "sh", "-c", (char *)script, dir,
			program,   "-D",      "-e", "-f", conf,		  NULL};
	int err = path__format(dir, "%s/sshd-run", s->run->path);

	/* Who is not root needs none of it, and may not mount. */
	return err ? err
		   : pf_relay__start(s, r, "sshd", -1, PF_CLUSTER, geteuid() ? argv + 6 : argv);
}

static int start_ssh(struct pf_stack *s, struct pf_route *r)
{
	char program[PATH_MAX], server[PATH_MAX], conf[PATH_MAX], server_conf[PATH_MAX], to[128];
	char *ask[] = {program, "-V", NULL};
	char *argv[] = {program, "-F", conf, "-N", "-L", to, "cluster", NULL};
	size_t i;
	int err = find_program(r, "ssh", "openssh-client", program);

	if (!err)
		err = find_program(r, "sshd", "openssh-server", server);
	if (!err)
		err = configure_ssh(s, r, conf, server_conf);
	if (err)
		return err;
	set_version(r, ask, "OpenSSH_", "OpenSSH");
	err = start_sshd(s, r, server, server_conf);
	if (!err)
		err = pf_relay__await(s, r, PF_SSH_PORT);
	for (i = 0; i < pf_stack__servers(s) && !err; i++) {
		snprintf(to, sizeof(to), "%s:%u:127.0.0.1:%u", r->to[i].host, r->to[i].port,
			 pf_stack__server_port(s, i));
		if (!i)
			snprintf(r->command, sizeof(r->command), "ssh -N -L %s cluster", to);
		err = pf_relay__start(s, r, "ssh", (int)i, PF_FORWARDER, argv);
	}
	return err;
}

static int start_dnat(struct pf_stack *s, struct pf_route *r)
{
	struct template_vars *v = calloc(1, sizeof(*v));
	char program[PATH_MAX], rules[PATH_MAX], ports[128] = "", said[512];
	char *ask[] = {program, "--version", NULL}, *argv[] = {program, "-f", rules, NULL};
	size_t i, len = 0;
	int err = v ? find_program(r, "nft", "nftables", program) : -ENOMEM;

	if (!err)
		set_version(r, ask, "nftables v", "nftables");
	for (i = 0; i < pf_stack__servers(s) && !err; i++)
		len += (size_t)snprintf(ports + len, sizeof(ports) - len, "%s%u", i ? ", " : "",
					pf_stack__server_port(s, i));
	if (!err)
		err = template__set(v, "PORTS", "%s", ports);
	if (!err)
		err = template__set(v, "VIRTUAL", "%s", PF_VIRTUAL_ADDR);
	if (!err)
		err = template__set(v, "TO", "%s", PF_DNAT_ADDR);
	if (!err)
		err = render(s, r, "dnat.nft", v, rules);
	if (!err) {
		err = netns__output(&s->ns[PF_FORWARDER], argv, said, sizeof(said), RUN_MS);
		if (err)
			pf_route__lacks(r, err, "nft could not set the rules: %s",
					said[0] ? said : strerror(-err));
	}
	if (!err)
		set_endpoints(s, r, PF_VIRTUAL_ADDR, 0);
	free(v);
	return err;
}

static const struct {
	const char *name;
	int (*start)(struct pf_stack *s, struct pf_route *r);
} ways[PF_WAYS] = {
	[PF_DIRECT] = {"direct", start_direct},
	[PF_SOCAT] = {"socat", start_socat},
	[PF_HAPROXY] = {"haproxy", start_haproxy},
	[PF_SSH] = {"ssh", start_ssh},
	[PF_DNAT] = {"dnat", start_dnat},
	[PF_KUBECTL] = {"kubectl", pf_kubectl__start},
	[PF_KUBECTL_WS] = {"kubectl-ws", pf_kubectl__start_ws},
};

const char *pf_way__name(enum pf_way way)
{
	return way < PF_WAYS ? ways[way].name : "?";
}

enum pf_way pf_way__find(const char *name)
{
	size_t i;

	for (i = 0; i < PF_WAYS; i++)
		if (!strcmp(ways[i].name, name))
			break;
	return (enum pf_way)i;
}

int pf_way__start(struct pf_stack *s, enum pf_way way)
{
	struct pf_route *r = &s->routes[way];
	int err;

	/* Those with a relay listen at the forwarder's address, each on ports of its own. */
	set_endpoints(s, r, PF_FRONT_ADDR, (unsigned int)way * PORT_STEP);
	err = ways[way].start(s, r);
	return err ? pf_route__lacks(r, err, "it could not be set up: %s", strerror(-err)) : 0;
}
