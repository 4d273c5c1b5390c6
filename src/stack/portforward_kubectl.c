// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* kubectl port-forward, and the test server that it speaks to. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "log.h"
#include "stack/file.h"
#include "stack/portforward_internal.h"
#include "stack/program.h"

#define VERSION_MS   10000
#define FETCH_MS     120000
#define WS_MINOR     30 /* kubectl 1.30 is the first that can tunnel through a WebSocket */
#define MAX_PROGRAMS 3

struct kubectl {
	char path[PATH_MAX];
	char version[48]; /* "v1.20.2" */
	int minor;	  /* of 1.x; -1: it did not say */
};

/* From {"clientVersion": {"minor": "20+", "gitVersion": "v1.20.2", ...}}. */
static int ask_version(struct kubectl *k)
{
	char *argv[] = {k->path, "version", "--client", "-o", "json", NULL};
	char out[4096];
	const char *git, *minor;
	json_t *j;
	int err = program__output(argv, out, sizeof(out), VERSION_MS);

	k->minor = -1;
	if (err)
		return err;
	j = json_loads(out, 0, NULL);
	if (json_unpack(j, "{s:{s:s,s:s}}", "clientVersion", "gitVersion", &git, "minor", &minor)) {
		err = -EPROTO;
	} else {
		snprintf(k->version, sizeof(k->version), "%s", git);
		k->minor = atoi(minor);
	}
	json_decref(j);
	return err;
}

/* Where scenarios/port-forward/fetch puts Debian's, when another's is installed. */
static int cached_path(char path[PATH_MAX])
{
	const char *own = getenv("HOPSCOPE_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int err = -ENOENT;

	if (own && own[0])
		err = path__format(path, "%s/kubectl/usr/bin/kubectl", own);
	else if (xdg && xdg[0])
		err = path__format(path, "%s/hopscope/kubectl/usr/bin/kubectl", xdg);
	else if (home && home[0])
		err = path__format(path, "%s/.cache/hopscope/kubectl/usr/bin/kubectl", home);
	return err ? err : access(path, X_OK) ? -ENOENT : 0;
}

/* `wanted`, or those that there are. How many. */
static size_t find_programs(const char *wanted, struct kubectl list[MAX_PROGRAMS])
{
	size_t n = 0;

	if (wanted)
		return program__find(wanted, list[0].path) || ask_version(&list[0]) ? 0 : 1;
	if (!cached_path(list[n].path) && !ask_version(&list[n]))
		n++;
	if (!program__find("kubectl", list[n].path) && !ask_version(&list[n]))
		n++;
	return n;
}

static int choose_kubectl(const struct pf_stack *s, struct pf_route *r, bool ws,
			  struct kubectl *chosen)
{
	const char *wanted = ws ? s->opts.kubectl_ws : s->opts.kubectl;
	struct kubectl list[MAX_PROGRAMS];
	size_t i, best = 0, n = find_programs(wanted, list);

	if (!n && wanted)
		return pf_route__lacks(r, -ENOENT, "%s is not there, or is no kubectl", wanted);
	if (!n)
		return pf_route__lacks(r, -ENOENT,
				       "kubectl is not installed (package kubernetes-client)");
	for (i = 1; i < n && ws; i++)
		if (list[i].minor > list[best].minor)
			best = i;
	*chosen = list[best];
	if (ws && chosen->minor < WS_MINOR)
		return pf_route__lacks(r, -EOPNOTSUPP,
				       "kubectl is %s, and WebSockets came with v1.%d",
				       chosen->version, WS_MINOR);
	return 0;
}

/* The packages that the server needs, fetched when they are not there. npm may say things, too. */
static int fetch_packages(const struct pf_stack *s, struct pf_route *r, char dir[PATH_MAX])
{
	char program[PATH_MAX], said[PATH_MAX] = "";
	char *argv[] = {program, "npm", NULL}, *last = said, *line, *save = NULL;
	int err = path__format(program, "%s/fetch", s->opts.files);

	if (!err)
		err = program__output_all(argv, said, sizeof(said), FETCH_MS);
	for (line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		last = line;
	if (err)
		return pf_route__lacks(r, err, "%s", last[0] ? last : strerror(-err));
	return path__format(dir, "%s", last);
}

static json_t *api_options(const struct pf_stack *s, unsigned int port)
{
	json_t *pods = json_object();
	size_t i;

	for (i = 0; i < pf_stack__servers(s); i++)
		json_object_set_new(pods, pf_stack__server_name(s, i),
				    json_integer(pf_stack__server_port(s, i)));
	return json_pack("{s:s,s:i,s:o}", "host", PF_SERVER_ADDR, "port", (int)port, "pods", pods);
}

static int start_api(struct pf_stack *s, struct pf_route *r, const char *name, unsigned int port)
{
	char node[PATH_MAX], server[PATH_MAX], packages[PATH_MAX], path[PATH_MAX + 32];
	char *argv[] = {"env", path, node, server, NULL, NULL};
	json_t *options;
	int err = program__find("node", node);

	if (err)
		return pf_route__lacks(r, err, "node is not installed (package nodejs)");
	err = fetch_packages(s, r, packages);
	if (!err)
		err = path__format(server, "%s/kube-api.js", s->opts.files);
	if (err)
		return err;
	snprintf(path, sizeof(path), "NODE_PATH=%s/node_modules", packages);
	options = api_options(s, port);
	argv[4] = json_dumps(options, JSON_COMPACT);
	json_decref(options);
	err = argv[4] ? pf_relay__start(s, r, name, -1, PF_CLUSTER, argv) : -ENOMEM;
	free(argv[4]);
	return err;
}

static int write_kubeconfig(const struct pf_stack *s, unsigned int port, char path[PATH_MAX])
{
	char text[512];
	int err = path__format(path, "%s/kubeconfig-%u", s->run->path, port);

	snprintf(text, sizeof(text),
		 "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
		 "clusters: [{name: test, cluster: {server: \"http://" PF_SERVER_ADDR ":%u\"}}]\n"
		 "contexts: [{name: test, context: {cluster: test, namespace: default}}]\n",
		 port);
	return err ? err : file__create(path, text);
}

static int start_kubectls(struct pf_stack *s, struct pf_route *r, struct kubectl *k, bool ws,
			  unsigned int port)
{
	char config[PATH_MAX + 16], path[PATH_MAX], cache[PATH_MAX + 48], pod[32], ports[16];
	/* Nothing of the user's: neither clusters, nor a proxy. */
	char *argv[] = {"env",
			"NO_PROXY=*",
			ws ? "KUBECTL_PORT_FORWARD_WEBSOCKETS=true"
			   : "KUBECTL_PORT_FORWARD_WEBSOCKETS=false",
			k->path,
			config,
			cache,
			"port-forward",
			"--address",
			PF_FRONT_ADDR,
			pod,
			ports,
			NULL};
	size_t i;
	int err = write_kubeconfig(s, port, path);

	snprintf(config, sizeof(config), "--kubeconfig=%s", path);
	snprintf(cache, sizeof(cache), "--cache-dir=%s/kube-cache-%u", s->run->path, port);
	for (i = 0; i < pf_stack__servers(s) && !err; i++) {
		snprintf(pod, sizeof(pod), "pod/%s", pf_stack__server_name(s, i));
		snprintf(ports, sizeof(ports), "%u:%u", r->to[i].port, pf_stack__server_port(s, i));
		if (!i)
			snprintf(r->command, sizeof(r->command),
				 "kubectl port-forward --address " PF_FRONT_ADDR " %s %s", pod,
				 ports);
		err = pf_relay__start(s, r, ws ? "kubectl-ws" : "kubectl", (int)i, PF_FORWARDER,
				      argv);
	}
	return err;
}

static int start(struct pf_stack *s, struct pf_route *r, bool ws)
{
	unsigned int port = ws ? PF_API_WS_PORT : PF_API_PORT;
	struct kubectl k;
	int err = choose_kubectl(s, r, ws, &k);

	if (err)
		return err;
	/* Whoever reads "kube-api" among the relays is not to take it for Kubernetes'. */
	snprintf(r->version, sizeof(r->version),
		 "kubectl %s, %s, to kube-api: a test server, not Kubernetes'", k.version,
		 ws ? "WebSocket" : "SPDY/3.1");
	/* kubectl gives up when nobody answers: the server is there first. */
	err = start_api(s, r, ws ? "kube-api-ws" : "kube-api", port);
	if (!err)
		err = pf_relay__await(s, r, port);
	return err ? err : start_kubectls(s, r, &k, ws, port);
}

int pf_kubectl__start(struct pf_stack *s, struct pf_route *r)
{
	return start(s, r, false);
}

int pf_kubectl__start_ws(struct pf_stack *s, struct pf_route *r)
{
	return start(s, r, true);
}
