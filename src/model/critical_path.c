// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Trees of requests and calls, from series and edges. */
#include "model/critical_path.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/hist.h"

#define DEPTH_MAX 16
#define ROUNDING  1e-9 /* of sums of doubles */

/* Which exchanges: those of a route on the sockets of a container. */
struct place {
	uint64_t cgroup;
	uint32_t route;
	uint8_t proto;
	uint8_t role;
};

/* Builds one path. `above`: the servers that the one at hand is called by. */
struct builder {
	const struct snapshot *s;
	struct critical_path *path;
	struct place above[DEPTH_MAX];
	unsigned int depth;
	double leaves; /* sum of the parts' means */
	bool failed;
};

const char *path_kind__name(enum path_kind kind)
{
	switch (kind) {
	case PATH_NETWORK: return "network";
	case PATH_QUEUE: return "queue";
	case PATH_SELF: return "self";
	case PATH_CHILD: return "child";
	case PATH_OPAQUE: return "opaque";
	}
	return "?";
}

static bool has_latency(const struct snapshot_series *s)
{
	return s->key.status != STATUS_UNANSWERED && s->key.status != STATUS_PROTO_ERR &&
	       s->key.status != STATUS_BLOCKING;
}

static bool series_is(const struct snapshot_series *s, const struct place *at)
{
	return s->key.cgroup == at->cgroup && s->key.route == at->route &&
	       s->key.proto == at->proto && s->key.role == at->role;
}

/* All answers of a place, whatever their status: calls are not known by the status they led to. */
static void gather(const struct snapshot *s, const struct place *at, unsigned int part,
		   struct hist *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < s->n_series; i++)
		if (s->series[i].key.part == part && has_latency(&s->series[i]) &&
		    series_is(&s->series[i], at))
			hist__merge(out, &s->series[i].hist);
}

static const char *container_of(const struct snapshot *s, uint64_t cgroup)
{
	for (size_t i = 0; i < s->n_series; i++)
		if (s->series[i].key.cgroup == cgroup)
			return s->series[i].container;
	for (size_t i = 0; i < s->n_edges; i++) {
		if (s->edges[i].key.child_cgroup == cgroup)
			return s->edges[i].container;
		if (s->edges[i].callee == cgroup)
			return s->edges[i].callee_container;
	}
	return "";
}

/* "/hopscope-12/gateway" and "ns/pod/gateway" are "gateway". */
static const char *short_name(const char *container)
{
	const char *slash = strrchr(container, '/');

	return slash && slash[1] ? slash + 1 : container;
}

static struct path_part *add_part(struct builder *b, enum path_kind kind, double mean_ns,
				  double calls)
{
	struct critical_path *p = b->path;
	struct path_part *parts = reallocarray(p->parts, p->n_parts + 1, sizeof(*parts)), *part;

	if (!parts) {
		b->failed = true;
		return NULL;
	}
	p->parts = parts;
	part = &parts[p->n_parts++];
	*part = (struct path_part){.kind = kind,
				   .depth = b->depth,
				   .proto = PROTO_HTTP,
				   .container = "",
				   .mean_ns = mean_ns,
				   .p50_ns = NAN,
				   .p99_ns = NAN,
				   .share = p->mean_ns > 0 ? mean_ns / p->mean_ns : NAN,
				   .calls = calls};
	return part;
}

/* A part that counts. NULL: out of memory. */
static struct path_part *add_leaf(struct builder *b, enum path_kind kind, double mean_ns,
				  double calls)
{
	b->leaves += mean_ns;
	return add_part(b, kind, mean_ns, calls);
}

static void set_quantiles(struct path_part *part, const struct hist *h)
{
	part->p50_ns = hist__quantile_ns(h, 0.5);
	part->p99_ns = hist__quantile_ns(h, 0.99);
}

/*
 * What a call took beyond its server. A server that took longer than its caller waited (calls that
 * overlap, counts that do not belong together) leaves nothing here, and the rest is residual.
 */
static void add_network(struct builder *b, double mean_ns, double calls, const char *from,
			const char *to)
{
	struct path_part *part;

	if (mean_ns < 0) {
		b->path->crossed = true;
		mean_ns = 0;
	}
	part = add_leaf(b, PATH_NETWORK, mean_ns, calls);
	if (part)
		snprintf(part->name, sizeof(part->name), "%s - %s", short_name(from),
			 short_name(to));
}

/* Of `n` requests of a server, of which the root has `k` each: what a part's sum is of the root. */
static double of_root(const struct hist *part, uint64_t n, double k)
{
	return n ? k * (double)part->sum / (double)n : 0;
}

static void add_own(struct builder *b, const struct place *at, enum path_kind kind,
		    unsigned int which, uint64_t n, double k)
{
	const char *container = container_of(b->s, at->cgroup);
	struct path_part *part;
	struct hist h;

	gather(b->s, at, which, &h);
	if (!hist__count(&h))
		return;
	part = add_leaf(b, kind, of_root(&h, n, k), k);
	if (!part)
		return;
	snprintf(part->name, sizeof(part->name), "%s%s", short_name(container),
		 kind == PATH_QUEUE ? " queue" : "");
	part->container = container;
	set_quantiles(part, &h);
}

/* ---- calls */

static bool edge_is_from(const struct snapshot_edge *e, const struct place *at)
{
	return e->key.kind == EDGE_LINKED && e->key.parent_cgroup == at->cgroup &&
	       e->key.parent_route == at->route && e->key.parent_proto == at->proto;
}

static bool same_address(const struct snapshot_edge *a, const struct snapshot_edge *b)
{
	return a->key.child_proto == b->key.child_proto &&
	       a->key.remote_port == b->key.remote_port &&
	       memcmp(a->key.remote, b->key.remote, sizeof(a->key.remote)) == 0;
}

static void address_of(char *buf, size_t len, const struct edge_key *k)
{
	const unsigned char *b = (const unsigned char *)k->remote;

	if (k->family == 4)
		snprintf(buf, len, "%u.%u.%u.%u:%u", b[0], b[1], b[2], b[3], k->remote_port);
	else if (k->family == 6)
		snprintf(buf, len, "[%x:%x:%x:%x:%x:%x:%x:%x]:%u", b[0] << 8 | b[1],
			 b[2] << 8 | b[3], b[4] << 8 | b[5], b[6] << 8 | b[7], b[8] << 8 | b[9],
			 b[10] << 8 | b[11], b[12] << 8 | b[13], b[14] << 8 | b[15],
			 k->remote_port);
	else
		snprintf(buf, len, "port %u", k->remote_port);
}

/* Who is called: its container's name, where it is on this host, else its address. */
static void name_callee(struct path_part *part, const struct snapshot *s,
			const struct snapshot_edge *e)
{
	char address[64];

	address_of(address, sizeof(address), &e->key);
	part->container = e->callee ? container_of(s, e->callee) : "";
	if (part->container[0] && strcmp(part->container, "/") != 0)
		snprintf(part->name, sizeof(part->name), "%s", short_name(part->container));
	else
		snprintf(part->name, sizeof(part->name), "%s", address);
	part->proto = e->key.child_proto;
}

/* Calls of a protocol to one address: `sum` of the requests' time that they took, or the part. */
static void add_group(struct builder *b, const struct place *at, size_t first, uint64_t n, double k,
		      const struct hist *whole)
{
	const struct snapshot_edge *e = &b->s->edges[first];
	const struct hist *own = &e->hist;
	struct path_part *part;
	double sum = 0, calls = 0;
	unsigned int edges = 0;

	for (size_t i = first; i < b->s->n_edges; i++) {
		if (!edge_is_from(&b->s->edges[i], at) || !same_address(e, &b->s->edges[i]))
			continue;
		sum += (double)b->s->edges[i].hist.sum;
		calls += (double)b->s->edges[i].calls;
		edges++;
	}
	if (whole) {
		own = whole;
		sum = (double)whole->sum;
	}
	part = add_leaf(b, PATH_CHILD, n ? k * sum / (double)n : 0, n ? k * calls / (double)n : 0);
	if (!part)
		return;
	name_callee(part, b->s, e);
	if (whole || edges == 1)
		set_quantiles(part, own);
}

static bool is_first_of_group(const struct snapshot *s, const struct place *at, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (edge_is_from(&s->edges[j], at) && same_address(&s->edges[i], &s->edges[j]))
			return false;
	return true;
}

/*
 * Calls that are one part for each address. To one address only, as mostly: then the time in which
 * any was under way is known exactly. Else by edges, which may overlap.
 */
static void add_groups(struct builder *b, const struct place *at, uint8_t proto, unsigned int which,
		       uint64_t n, double k)
{
	const struct snapshot *s = b->s;
	size_t groups = 0;
	struct hist h;

	gather(s, at, which, &h);
	for (size_t i = 0; i < s->n_edges; i++)
		groups += edge_is_from(&s->edges[i], at) && s->edges[i].key.child_proto == proto &&
			  is_first_of_group(s, at, i);
	for (size_t i = 0; i < s->n_edges; i++)
		if (edge_is_from(&s->edges[i], at) && s->edges[i].key.child_proto == proto &&
		    is_first_of_group(s, at, i))
			add_group(b, at, i, n, k, groups == 1 ? &h : NULL);
}

static void add_server(struct builder *b, const struct place *at, double k);

/* Can the callee be looked into? Its exchanges then are in *n of them, *mean_ns each. */
static bool callee_is_known(const struct builder *b, const struct snapshot_edge *e,
			    struct place *at, struct hist *h)
{
	*at = (struct place){.cgroup = e->callee,
			     .route = e->key.child_route,
			     .proto = PROTO_HTTP,
			     .role = ROLE_SERVER};
	if (!e->callee || e->callees || b->depth + 1 >= DEPTH_MAX)
		return false;
	for (unsigned int i = 0; i < b->depth; i++)
		if (b->above[i].cgroup == at->cgroup && b->above[i].route == at->route)
			return false;
	gather(b->s, at, PART_WHOLE, h);
	return hist__count(h) > 0;
}

/* One kind of HTTP call, of which `mean_ns` is the time in which one was under way. */
static void add_http_call(struct builder *b, const struct snapshot_edge *e, uint64_t n, double k)
{
	double mean_ns = of_root(&e->hist, n, k), calls = k * (double)e->done / (double)n;
	struct path_part *part;
	struct place callee;
	struct hist h;

	if (!callee_is_known(b, e, &callee, &h)) {
		part = add_leaf(b, PATH_OPAQUE, mean_ns, calls);
		if (part) {
			name_callee(part, b->s, e);
			set_quantiles(part, &e->hist);
		}
		return;
	}
	part = add_part(b, PATH_CHILD, mean_ns, calls);
	if (part) {
		part->heading = true;
		part->container = container_of(b->s, e->callee);
		snprintf(part->name, sizeof(part->name), "%s", e->child_route);
		set_quantiles(part, &e->hist);
	}
	if (hist__count(&h) > e->done + e->late + e->done / 100 + 2)
		b->path->several = true;
	b->depth++;
	add_network(b, mean_ns - calls * hist__mean_ns(&h), calls, e->container,
		    container_of(b->s, e->callee));
	add_server(b, &callee, calls);
	b->depth--;
}

static void add_server(struct builder *b, const struct place *at, double k)
{
	const struct snapshot *s = b->s;
	struct hist whole;
	uint64_t n;

	gather(s, at, PART_WHOLE, &whole);
	n = hist__count(&whole);
	if (!n)
		return;
	b->above[b->depth - 1] = *at;
	add_own(b, at, PATH_QUEUE, PART_QUEUE, n, k);
	add_own(b, at, PATH_SELF, PART_SELF, n, k);
	for (size_t i = 0; i < s->n_edges; i++) {
		if (!edge_is_from(&s->edges[i], at))
			continue;
		b->path->linked += s->edges[i].calls;
		if (s->edges[i].key.child_proto == PROTO_HTTP)
			add_http_call(b, &s->edges[i], n, k);
	}
	add_groups(b, at, PROTO_REDIS, PART_REDIS, n, k);
	add_groups(b, at, PROTO_NATS, PART_NATS, n, k);
}

/* ---- roots */

static uint64_t count_failed(const struct snapshot *s, const struct place *at)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n_series; i++)
		if (s->series[i].key.part == PART_WHOLE && series_is(&s->series[i], at) &&
		    (s->series[i].key.status == STATUS_5XX ||
		     s->series[i].key.status == STATUS_ERROR))
			n += s->series[i].count;
	return n;
}

static int set_whole(struct builder *b, const struct place *at)
{
	struct critical_path *p = b->path;
	struct hist h;

	gather(b->s, at, PART_WHOLE, &h);
	p->count = hist__count(&h);
	p->mean_ns = hist__mean_ns(&h);
	p->p50_ns = hist__quantile_ns(&h, 0.5);
	p->p99_ns = hist__quantile_ns(&h, 0.99);
	p->failed = count_failed(b->s, at);
	return p->count ? 0 : -ENOENT;
}

/* Of the calls of which the request is not known, those of the servers in the tree. */
static void count_unlinked(struct builder *b)
{
	struct critical_path *p = b->path;

	for (size_t i = 0; i < b->s->n_edges; i++) {
		const struct edge_key *k = &b->s->edges[i].key;
		const char *container;

		if (k->kind != EDGE_UNLINKED)
			continue;
		container = container_of(b->s, k->child_cgroup);
		for (size_t j = 0; j < p->n_parts; j++) {
			/* a container's name is always the same pointer */
			if (p->parts[j].kind != PATH_SELF || p->parts[j].container != container)
				continue;
			p->unlinked += b->s->edges[i].calls;
			break;
		}
	}
}

static void set_residual(struct builder *b)
{
	struct critical_path *p = b->path;

	p->residual_ns = p->mean_ns - b->leaves;
	if (fabs(p->residual_ns) < ROUNDING * p->mean_ns)
		p->residual_ns = 0;
	p->residual_share = p->mean_ns > 0 ? p->residual_ns / p->mean_ns : NAN;
}

/* The servers that a caller's requests of a route went to, each with its share of them. */
static void add_root_calls(struct builder *b, const struct place *client)
{
	const struct snapshot *s = b->s;
	double servers_ns = 0, network_ns;
	const char *to = NULL;
	uint64_t calls = 0;
	struct place at;
	struct hist h;
	size_t first;

	for (size_t i = 0; i < s->n_edges; i++)
		if (s->edges[i].key.kind == EDGE_ROOT &&
		    s->edges[i].key.child_cgroup == client->cgroup &&
		    s->edges[i].key.child_route == client->route)
			calls += s->edges[i].calls;
	first = b->path->n_parts;
	add_network(b, 0, 1, b->path->client, "");
	for (size_t i = 0; i < s->n_edges; i++) {
		const struct snapshot_edge *e = &s->edges[i];
		double share = calls ? (double)e->calls / (double)calls : 0;

		if (e->key.kind != EDGE_ROOT || e->key.child_cgroup != client->cgroup ||
		    e->key.child_route != client->route || e->key.child_proto != client->proto ||
		    !callee_is_known(b, e, &at, &h))
			continue;
		servers_ns += share * hist__mean_ns(&h);
		to = to ? "servers" : container_of(s, e->callee);
		b->path->container = container_of(s, e->callee);
		if (hist__count(&h) > e->calls + e->calls / 100 + 2)
			b->path->several = true;
		add_server(b, &at, share);
	}
	if (b->failed)
		return;
	network_ns = b->path->mean_ns - servers_ns;
	if (!to) { /* on another host, or not to be read */
		b->path->parts[first].kind = PATH_OPAQUE;
		to = "(elsewhere)";
	}
	b->path->crossed |= network_ns < 0;
	network_ns = network_ns < 0 ? 0 : network_ns;
	b->leaves += network_ns;
	b->path->parts[first].mean_ns = network_ns;
	b->path->parts[first].share = b->path->mean_ns > 0 ? network_ns / b->path->mean_ns : NAN;
	snprintf(b->path->parts[first].name, PATH_NAME_LEN, "%s - %s", short_name(b->path->client),
		 short_name(to));
}

static int finish(struct critical_paths *out, struct builder *b, int err)
{
	if (!err && b->failed)
		err = -ENOMEM;
	if (err) {
		free(b->path->parts);
		memset(b->path, 0, sizeof(*b->path));
		return err == -ENOENT ? 0 : err;
	}
	set_residual(b);
	count_unlinked(b);
	out->n++;
	return 0;
}

/* A tree that begins at a caller on this host. `e`: the first of its edges. */
static int build_from_client(struct critical_paths *out, const struct snapshot *s,
			     const struct snapshot_edge *e)
{
	struct builder b = {.s = s, .path = &out->paths[out->n], .depth = 1};
	struct place client = {.cgroup = e->key.child_cgroup,
			       .route = e->key.child_route,
			       .proto = PROTO_HTTP,
			       .role = ROLE_CLIENT};
	int err;

	*b.path = (struct critical_path){.route = e->child_route,
					 .container = "",
					 .client = e->container,
					 .proto = PROTO_HTTP};
	err = set_whole(&b, &client);
	if (!err)
		add_root_calls(&b, &client);
	return finish(out, &b, err);
}

static int build_from_server(struct critical_paths *out, const struct snapshot *s,
			     const struct snapshot_series *v)
{
	struct builder b = {.s = s, .path = &out->paths[out->n], .depth = 1};
	struct place at = {.cgroup = v->key.cgroup,
			   .route = v->key.route,
			   .proto = PROTO_HTTP,
			   .role = ROLE_SERVER};
	int err;

	*b.path = (struct critical_path){
		.route = v->route, .container = v->container, .client = "", .proto = PROTO_HTTP};
	err = set_whole(&b, &at);
	if (!err)
		add_server(&b, &at, 1);
	return finish(out, &b, err);
}

/* Is there an edge before this one with the same caller and route? */
static bool is_first_root(const struct snapshot *s, size_t i)
{
	const struct edge_key *k = &s->edges[i].key;

	if (k->kind != EDGE_ROOT || k->child_proto != PROTO_HTTP)
		return false;
	for (size_t j = 0; j < i; j++)
		if (s->edges[j].key.kind == EDGE_ROOT &&
		    s->edges[j].key.child_proto == PROTO_HTTP &&
		    s->edges[j].key.child_cgroup == k->child_cgroup &&
		    s->edges[j].key.child_route == k->child_route)
			return false;
	return true;
}

/* A server that nobody on this host is known to call, once for all its statuses. */
static bool is_root_server(const struct snapshot *s, size_t i)
{
	const struct series_key *k = &s->series[i].key;
	struct place at = {
		.cgroup = k->cgroup, .route = k->route, .proto = k->proto, .role = ROLE_SERVER};

	if (k->proto != PROTO_HTTP || k->role != ROLE_SERVER || k->part != PART_WHOLE ||
	    !has_latency(&s->series[i]))
		return false;
	for (size_t j = 0; j < i; j++)
		if (s->series[j].key.part == PART_WHOLE && has_latency(&s->series[j]) &&
		    series_is(&s->series[j], &at))
			return false;
	for (size_t j = 0; j < s->n_edges; j++)
		if (s->edges[j].callee == k->cgroup && s->edges[j].key.child_route == k->route &&
		    s->edges[j].key.child_proto == PROTO_HTTP &&
		    s->edges[j].key.kind != EDGE_UNLINKED)
			return false;
	return true;
}

static int by_time(const void *pa, const void *pb)
{
	const struct critical_path *a = pa, *b = pb;
	double ta = a->mean_ns * (double)a->count, tb = b->mean_ns * (double)b->count;

	return ta < tb ? 1 : ta > tb ? -1 : strcmp(a->route, b->route);
}

int critical_paths__build(struct critical_paths *out, const struct snapshot *s)
{
	int err = 0;

	memset(out, 0, sizeof(*out));
	out->paths = calloc(s->n_edges + s->n_series + 1, sizeof(*out->paths));
	if (!out->paths)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_edges && !err; i++) {
		out->linked += s->edges[i].key.kind == EDGE_LINKED ? s->edges[i].calls : 0;
		out->unlinked += s->edges[i].key.kind == EDGE_UNLINKED ? s->edges[i].calls : 0;
		if (is_first_root(s, i))
			err = build_from_client(out, s, &s->edges[i]);
	}
	for (size_t i = 0; i < s->n_series && !err; i++)
		if (is_root_server(s, i))
			err = build_from_server(out, s, &s->series[i]);
	if (err) {
		critical_paths__free(out);
		return err;
	}
	qsort(out->paths, out->n, sizeof(*out->paths), by_time);
	return 0;
}

void critical_paths__free(struct critical_paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->paths[i].parts);
	free(p->paths);
	memset(p, 0, sizeof(*p));
}
