// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "log.h"
#include "stack/file.h"
#include "stack/http.h"
#include "stack/nats.h"
#include "stack/program.h"

#define HTTP_TIMEOUT_MS 1000
/* Bounds of what a benchmark may put on the machine: 10,000 events take some megabytes. */
#define MAX_MEMORY_STORE "512MB"
#define MAX_FILE_STORE	 "2GB"

struct config {
	char text[8192];
	size_t len;
};

static void add(struct config *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct config *c, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(c->text + c->len, sizeof(c->text) - c->len, fmt, args);
	va_end(args);
	if (n > 0)
		c->len += (size_t)n;
	if (c->len >= sizeof(c->text))
		c->len = sizeof(c->text) - 1;
}

static int configure_node(const struct nats_node *nodes, size_t n, size_t i, bool jetstream,
			  const struct rundir *run)
{
	const struct nats_node *node = &nodes[i];
	struct config c = {.len = 0};
	char path[PATH_MAX];
	size_t j;
	int err;

	add(&c, "server_name: \"%s\"\nlisten: \"%s:%u\"\nhttp: \"127.0.0.1:%u\"\n", node->name,
	    node->listen ? node->listen : "127.0.0.1", node->client, node->http);
	if (jetstream)
		add(&c,
		    "jetstream {\n  store_dir: \"%s/%s\"\n  max_memory_store: " MAX_MEMORY_STORE
		    "\n  max_file_store: " MAX_FILE_STORE "\n}\n",
		    run->store, node->name);
	if (n > 1) {
		/* no_advertise: a client must not learn a way around its forwarder. */
		add(&c,
		    "cluster {\n  name: \"%s\"\n  listen: \"127.0.0.1:%u\"\n"
		    "  no_advertise: true\n  routes: [\n",
		    path__name(run->cgroup.v2), node->route);
		for (j = 0; j < n; j++)
			if (j != i)
				add(&c, "    \"nats://127.0.0.1:%u\"\n", nodes[j].route);
		add(&c, "  ]\n}\n");
	}
	err = path__format(path, "%s/%s.conf", run->path, node->name);
	if (!err) {
		remove(path); /* an attempt before this one, with other ports */
		err = file__create(path, c.text);
	}
	return err ? log_fail(err, "cannot write %s: %s", path, strerror(-err)) : 0;
}

int nats__configure(const struct nats_node *nodes, size_t n, bool jetstream,
		    const struct rundir *run)
{
	size_t i;
	int err = 0;

	if (jetstream && strpbrk(run->store, "\"\\\n"))
		return log_fail(-EINVAL, "TMPDIR holds a quote or a backslash, which nats-server's "
					 "configuration cannot: use another TMPDIR");
	for (i = 0; i < n && !err; i++)
		err = configure_node(nodes, n, i, jetstream, run);
	return err;
}

int nats__start(struct nats_node *node, const char *program, const struct rundir *run)
{
	char conf[PATH_MAX], log[PATH_MAX], name[CHILD_NAME_LEN];
	char *argv[] = {(char *)program, "-c", conf, NULL};
	struct child_spec spec = {.name = name,
				  .argv = argv,
				  .log = log,
				  .cgroup = &node->cgroup,
				  .pipes = false,
				  .netns = node->netns};

	snprintf(name, sizeof(name), "nats-server %s", node->name);
	if (path__format(conf, "%s/%s.conf", run->path, node->name) ||
	    path__format(log, "%s/%s.log", run->path, node->name))
		return log_fail(-ENAMETOOLONG, "the path of the run directory is too long");
	return child__start(&node->child, &spec);
}

static json_t *get_json(uint16_t port, const char *path)
{
	char *body = malloc(256 * 1024);
	json_t *j = NULL;

	if (body && !http__get(port, path, body, 256 * 1024, HTTP_TIMEOUT_MS))
		j = json_loads(body, 0, NULL);
	free(body);
	return j;
}

/* Other nodes a node has a route to. From 2.10 on a pair of nodes may hold several connections. */
static size_t count_peers(const json_t *routez)
{
	const json_t *routes = json_object_get(routez, "routes");
	size_t i, j, peers = 0;

	for (i = 0; i < json_array_size(routes); i++) {
		const json_t *id = json_object_get(json_array_get(routes, i), "remote_id");

		for (j = 0; j < i; j++)
			if (json_equal(id, json_object_get(json_array_get(routes, j), "remote_id")))
				break;
		peers += j == i;
	}
	return peers;
}

static int ready(const struct nats_node *node, size_t n_nodes, bool jetstream, char *why,
		 size_t size)
{
	char body[1024];
	json_t *j;
	const char *leader;
	size_t peers;
	int err = http__get(node->http, "/healthz", body, sizeof(body), HTTP_TIMEOUT_MS);

	if (err) {
		snprintf(why, size, "%s is not healthy (/healthz: %s)", node->name, strerror(-err));
		return -EAGAIN;
	}
	if (n_nodes > 1) {
		j = get_json(node->http, "/routez");
		peers = count_peers(j);
		json_decref(j);
		if (peers < n_nodes - 1) {
			snprintf(why, size, "%s has routes to %zu of %zu nodes", node->name, peers,
				 n_nodes - 1);
			return -EAGAIN;
		}
	}
	if (jetstream && n_nodes > 1) {
		j = get_json(node->http, "/jsz");
		leader = json_string_value(
			json_object_get(json_object_get(j, "meta_cluster"), "leader"));
		err = leader && leader[0] ? 0 : -EAGAIN;
		json_decref(j);
		if (err)
			snprintf(why, size, "%s knows no JetStream leader yet", node->name);
	}
	return err;
}

int nats__ready(const struct nats_node *node, size_t n_nodes, bool jetstream, char *why,
		size_t size)
{
	int back = -1;
	int err = node->netns ? netns__enter(node->netns, &back) : 0;

	if (err)
		return err;
	err = ready(node, n_nodes, jetstream, why, size);
	if (node->netns)
		netns__leave(back);
	return err;
}

int nats__version(const char *program, char *buf, size_t size)
{
	char *argv[] = {(char *)program, "--version", NULL};
	char out[256];
	const char *v;
	int err = program__output(argv, out, sizeof(out), 5000);

	if (err)
		return err;
	/* "nats-server: v2.9.10" */
	v = strstr(out, ": v");
	if (strncmp(out, "nats-server", 11) != 0 || !v)
		return -EPROTO;
	snprintf(buf, size, "%.*s", (int)strcspn(v + 3, " \n"), v + 3);
	return 0;
}
