// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The configurations of the gateway's services in the run directory. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "stack/file.h"
#include "stack/gateway_internal.h"
#include "stack/program.h"
#include "stack/template.h"

#define OPENSSL_MS     10000
#define PROXY_SLACK_MS 500
/* Of redis-cache's limit: the rest is for what is no data (buffers, fragmentation). */
#define MAXMEMORY_SHARE 0.8

static const char *const kinds[] = {[LATENCY_FIXED] = "fixed",
				    [LATENCY_UNIFORM] = "uniform",
				    [LATENCY_LOGNORMAL] = "lognormal"};

/* Which files a service has besides <name>.conf. */
static const char *const parts[GATEWAY_COUNT][10] = {
	[GATEWAY_API] = {"log_format.conf", "settings.lua", "process.lua", "claude_api.lua"},
	[GATEWAY_KONG] = {"log_format.conf", "settings.lua", "process.lua", "gateway.lua",
			  "body.lua", "identifiers.lua", "masks.lua", "unmask.lua", "breaker.lua"},
	[GATEWAY_PROXY] = {"log_format.conf", "process.lua"},
};

/*
 * A certificate for the name claude-api, its own authority, for the days that a run may take. Its
 * key never leaves the run directory, which only we can enter.
 */
static int make_certificate(const struct gateway *g)
{
	char cert[PATH_MAX], key[PATH_MAX], out[2048];
	char *argv[] = {"openssl",
			"req",
			"-x509",
			"-newkey",
			"ec",
			"-pkeyopt",
			"ec_paramgen_curve:P-256",
			"-nodes",
			"-days",
			"7",
			"-subj",
			"/CN=claude-api",
			"-addext",
			"subjectAltName=DNS:claude-api,IP:127.0.0.1",
			"-keyout",
			key,
			"-out",
			cert,
			NULL};
	int err = path__format(cert, "%s", g->ca);

	if (!err)
		err = path__format(key, "%s/claude-api.key", g->run->path);
	if (!err)
		err = program__output_all(argv, out, sizeof(out), OPENSSL_MS);
	if (err)
		return log_fail(err, "cannot make a certificate: openssl req: %s%s%s",
				strerror(-err), err == -ECHILD ? ":\n" : "",
				err == -ECHILD ? out : "");
	return chmod(key, 0600) ? -errno : 0;
}

static int random_hex(char *hex, size_t bytes)
{
	unsigned char raw[32];
	size_t i;

	if (bytes > sizeof(raw) || getrandom(raw, bytes, 0) != (ssize_t)bytes)
		return -EIO;
	for (i = 0; i < bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

/* Where one service finds another: itself, or the relay before it. */
static unsigned int port_of(uint16_t via, const struct gateway_service *s)
{
	return via ? via : s->port;
}

static int set_settings(struct template_vars *v, const struct gateway *g)
{
	const struct gateway_opts *o = &g->opts;
	const struct latency *l = &o->latency;
	char hex[65];
	int err = random_hex(hex, 20);

	err |= template__set(v, "HASH_KEY", "%s", hex);
	err |= template__set(v, "REDIS_PORT", "%u",
			     port_of(o->redis_via, &g->service[GATEWAY_REDIS]));
	err |= template__set(v, "API_PORT", "%u", port_of(o->api_via, &g->service[GATEWAY_API]));
	err |= template__set(v, "KONG_PORT", "%u", port_of(o->kong_via, &g->service[GATEWAY_KONG]));
	err |= template__set(v, "STATUS_PORT", "%u", g->api_status_port);
	err |= template__set(v, "REDIS_TIMEOUT_MS", "%u", o->redis_timeout_ms);
	err |= template__set(v, "UPSTREAM_TIMEOUT_MS", "%u", o->upstream_timeout_ms);
	err |= template__set(v, "PROXY_TIMEOUT_MS", "%u",
			     o->upstream_timeout_ms + 4 * o->redis_timeout_ms + PROXY_SLACK_MS);
	err |= template__set(v, "MAP_TTL_S", "%u", o->map_ttl_s);
	err |= template__set(v, "BREAKER_FAILURES", "%u", o->breaker_failures);
	err |= template__set(v, "BREAKER_OPEN_MS", "%u", o->breaker_open_ms);
	err |= template__set(v, "LATENCY_KIND", "%s", kinds[l->kind]);
	err |= template__set(v, "LATENCY_LOW_US", "%" PRIu64, l->low_us);
	err |= template__set(v, "LATENCY_HIGH_US", "%" PRIu64, l->high_us);
	err |= template__set(v, "LATENCY_SIGMA", "%.10g", l->sigma);
	err |= template__set(v, "LATENCY_SLOW_SHARE", "%.10g", l->slow_share);
	err |= template__set(v, "LATENCY_SLOW_US", "%" PRIu64, l->slow_us);
	err |= template__set(v, "LATENCY_AT_MOST_US", "%" PRIu64, l->at_most_us);
	err |= template__set(v, "API_DELAY_US", "%u000", o->api_delay_ms);
	err |= template__set(v, "ERROR_SHARE", "%.10g", o->error_share);
	err |= template__set(v, "SEED", "%" PRIu64, o->seed);
	return err ? -EINVAL : 0;
}

static int set_common(struct template_vars *v, const struct gateway *g)
{
	const struct gateway_opts *o = &g->opts;
	char modules[PATH_MAX];
	int err = gateway__modules_path(g->nginx, modules);

	if (err)
		return err;
	err |= template__set(v, "MODULES", "%s", modules);
	err |= template__set(v, "CERTIFICATE", "%s", g->ca);
	err |= template__set(v, "KEY", "%s/claude-api.key", g->run->path);
	err |= template__set(v, "MAXMEMORY", "%" PRIu64,
			     (uint64_t)((double)o->memory[GATEWAY_REDIS] * MAXMEMORY_SHARE));
	/* Nothing of it is there when nothing is to be delayed. */
	if (o->proxy_delay_ms)
		err |= template__set(v, "DELAY",
				     "access_by_lua_block { require(\"process\").delay(%u000) }",
				     o->proxy_delay_ms);
	else
		err |= template__set(v, "DELAY", "%s", "");
	return err ? -EINVAL : set_settings(v, g);
}

static int set_service(struct template_vars *v, const struct gateway *g, enum gateway_id id)
{
	const struct gateway_service *s = &g->service[id];
	int err = 0;

	err |= template__set(v, "PORT", "%u", s->port);
	err |= template__set(v, "WORKERS", "%u", g->opts.workers[id]);
	err |= template__set(v, "DIR", "%s", s->dir);
	if (s->access_log[0])
		err |= template__set(v, "ACCESS_LOG", "access_log \"%s\" gateway;", s->access_log);
	else
		err |= template__set(v, "ACCESS_LOG", "access_log off;");
	return err ? -EINVAL : 0;
}

static int render(const struct gateway *g, enum gateway_id id, const char *file,
		  const struct template_vars *v)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (path__format(from, "%s/%s", g->opts.templates, file) ||
	    path__format(to, "%s/%s", g->service[id].dir, file))
		return log_fail(-ENAMETOOLONG, "the path of the run directory is too long");
	return template__render(from, to, v);
}

static int configure_service(struct gateway *g, enum gateway_id id, struct template_vars *v)
{
	const struct gateway_service *s = &g->service[id];
	char conf[64];
	size_t i;
	int err;

	if (mkdir(s->dir, 0700) && errno != EEXIST)
		return log_fail(-errno, "cannot create %s: %s", s->dir, strerror(errno));
	err = set_service(v, g, id);
	if (err)
		return log_fail(err, "a path in the configuration of %s is too long", s->name);
	snprintf(conf, sizeof(conf), "%s.conf", s->name);
	err = render(g, id, conf, v);
	for (i = 0; parts[id][i] && !err; i++)
		err = render(g, id, parts[id][i], v);
	return err;
}

int gateway__configure(struct gateway *g)
{
	struct template_vars *v = calloc(1, sizeof(*v));
	size_t i;
	int err = v ? 0 : -ENOMEM;

	/* ';' ends a Lua path, the others end or change a word of nginx's or Redis's. */
	if (strpbrk(g->run->path, "\"\\\n;?$") || strpbrk(g->run->store, "\"\\\n;?$"))
		err = log_fail(-EINVAL, "TMPDIR holds a character of \"\\;?$, which nginx's "
					"configuration cannot: use another TMPDIR");
	if (!err && access(g->ca, R_OK))
		err = make_certificate(g);
	if (!err && set_common(v, g))
		err = log_fail(-EINVAL, "cannot put together the settings of the gateway");
	for (i = 0; i < GATEWAY_CLIENT && !err; i++)
		err = configure_service(g, i, v);
	free(v);
	return err;
}
