// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a gateway needs, looked for before anything is started. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "stack/file.h"
#include "stack/gateway_internal.h"
#include "stack/port.h"
#include "stack/program.h"

#define VERSION_MS  5000
#define MAX_WORKERS 16

const char *const gateway_files[] = {"redis-cache.conf",
				     "claude-api.conf",
				     "kong-gateway.conf",
				     "nginx-claude-proxy.conf",
				     "log_format.conf",
				     "settings.lua",
				     "process.lua",
				     "claude_api.lua",
				     "gateway.lua",
				     "body.lua",
				     "identifiers.lua",
				     "masks.lua",
				     "unmask.lua",
				     "breaker.lua",
				     NULL};

/* Lua libraries without a program that would say whether they are there. */
static const struct {
	const char *package;
	const char *places[4];
} libraries[] = {
	{"lua-nginx-redis",
	 {"/usr/share/lua/5.1/nginx/redis.lua", "/usr/share/lua/5.1/resty/redis.lua",
	  "/usr/local/share/lua/5.1/resty/redis.lua"}},
	{"lua-cjson", {"/usr/lib/*/lua/5.1/cjson.so", "/usr/local/lib/lua/5.1/cjson.so"}},
};

static bool is_somewhere(const char *const *places)
{
	bool found = false;

	for (; *places && !found; places++) {
		glob_t g;

		found = !glob(*places, 0, NULL, &g) && g.gl_pathc;
		globfree(&g);
	}
	return found;
}

/* The text after `key` up to a blank. 0 or -EPROTO. */
static int word_after(const char *text, const char *key, char *buf, size_t size)
{
	const char *p = strstr(text, key);

	if (!p)
		return -EPROTO;
	p += strlen(key);
	snprintf(buf, size, "%.*s", (int)strcspn(p, " \t\n'"), p);
	return buf[0] ? 0 : -EPROTO;
}

int gateway__modules_path(const char *nginx, char path[PATH_MAX])
{
	char *argv[] = {(char *)nginx, "-V", NULL};
	char out[16384];
	int err = program__output_all(argv, out, sizeof(out), VERSION_MS);

	if (!err && word_after(out, "--modules-path=", path, PATH_MAX))
		err = path__format(path, "/usr/lib/nginx/modules");
	return err;
}

static void there(struct gateway_need *need, const char *found)
{
	need->there = true;
	snprintf(need->found, sizeof(need->found), "%.*s", (int)sizeof(need->found) - 1, found);
}

static void missing(struct gateway_need *need, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void missing(struct gateway_need *need, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(need->found, sizeof(need->found), fmt, args);
	va_end(args);
}

static void find_modules(struct gateway_need *need, const char *nginx)
{
	static const char *const modules[] = {"ndk_http_module.so", "ngx_http_lua_module.so"};
	char dir[PATH_MAX], path[PATH_MAX];
	size_t i;
	int err = gateway__modules_path(nginx, dir);

	if (err) {
		missing(need, "%s -V: %s", nginx, strerror(-err));
		return;
	}
	for (i = 0; i < 2; i++) {
		if (!path__format(path, "%s/%s", dir, modules[i]) && !access(path, R_OK))
			continue;
		missing(need, "nginx has no %s in %s", modules[i], dir);
		return;
	}
	there(need, dir);
}

static void find_nginx(struct gateway_need *need, struct gateway_versions *v,
		       const char nginx[PATH_MAX])
{
	char out[16384];
	char *argv[] = {(char *)nginx, "-V", NULL};
	int err = program__output_all(argv, out, sizeof(out), VERSION_MS);

	if (!err)
		err = word_after(out, "nginx/", v->nginx, sizeof(v->nginx));
	if (err) {
		missing(need, "%s is no nginx that works: `%s -V` fails: %s", nginx, nginx,
			strerror(-err));
		return;
	}
	/* "built with OpenSSL A date (running with OpenSSL B date)": the second where they differ.
	 */
	if (word_after(out, "running with OpenSSL ", v->openssl, sizeof(v->openssl)))
		word_after(out, "built with OpenSSL ", v->openssl, sizeof(v->openssl));
	there(need, nginx);
}

static void find_redis(struct gateway_need *need, struct gateway_versions *v,
		       const char path[PATH_MAX])
{
	char out[512];
	char *argv[] = {(char *)path, "--version", NULL};
	int err = program__output(argv, out, sizeof(out), VERSION_MS);

	if (!err)
		err = word_after(out, " v=", v->redis, sizeof(v->redis));
	if (err)
		missing(need, "%s is no redis-server that works: %s", path, strerror(-err));
	else
		there(need, path);
}

/* False, and said so in `need`, when there is no such program. */
static bool find_program(struct gateway_need *need, char path[PATH_MAX])
{
	if (!program__find(need->name, path))
		return true;
	missing(need, "%s is not installed", need->name);
	return false;
}

void gateway__needs(struct gateway_need needs[GATEWAY_NEEDS], struct gateway_versions *v)
{
	static const struct gateway_need all[GATEWAY_NEEDS] = {
		{.name = "nginx", .package = "nginx libnginx-mod-http-lua"},
		{.name = "nginx's Lua module", .package = "libnginx-mod-http-lua"},
		{.name = "lua-nginx-redis", .package = "lua-nginx-redis"},
		{.name = "lua-cjson", .package = "lua-cjson"},
		{.name = "redis-server", .package = "redis-server"},
		{.name = "openssl", .package = "openssl"},
	};
	char path[PATH_MAX];
	size_t i;

	memcpy(needs, all, sizeof(all));
	if (find_program(&needs[0], path)) {
		find_nginx(&needs[0], v, path);
		find_modules(&needs[1], path);
	} else {
		missing(&needs[1], "%s", needs[0].found);
	}
	for (i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		if (is_somewhere(libraries[i].places))
			there(&needs[2 + i], "installed");
		else
			missing(&needs[2 + i], "%s is not installed", libraries[i].package);
	}
	if (find_program(&needs[4], path))
		find_redis(&needs[4], v, path);
	if (find_program(&needs[5], path))
		there(&needs[5], path);
}

static int check_programs(struct gateway_versions *v)
{
	struct gateway_need needs[GATEWAY_NEEDS];
	size_t i;

	gateway__needs(needs, v);
	for (i = 0; i < GATEWAY_NEEDS; i++)
		if (!needs[i].there)
			return log_fail(-ENOENT, "%s: apt-get install %s", needs[i].found,
					needs[i].package);
	return 0;
}

static int check_templates(const char *dir)
{
	char path[PATH_MAX];
	size_t i;

	for (i = 0; gateway_files[i]; i++) {
		if (path__format(path, "%s/%s", dir, gateway_files[i]))
			return log_fail(-ENAMETOOLONG, "the path %s is too long", dir);
		if (access(path, R_OK))
			return log_fail(-errno,
					"cannot read %s: %s; the folder 'gateway' belongs beside "
					"the scenario file",
					path, strerror(errno));
	}
	return 0;
}

static int check_port(uint16_t port, const char *name)
{
	int err = port ? port__check(port) : 0;

	return err ? log_fail(err,
			      "cannot use port %u for %s: %s; see who has it (ss -ltnp 'sport = "
			      ":%u'), or let it have a free one",
			      port, name, strerror(-err), port)
		   : 0;
}

static int check_options(const struct gateway_opts *o)
{
	size_t i;

	for (i = 0; i < GATEWAY_COUNT; i++)
		if (o->workers[i] < 1 || o->workers[i] > MAX_WORKERS)
			return log_fail(-EINVAL, "%s: %u worker processes: 1 to %d",
					gateway__name(i), o->workers[i], MAX_WORKERS);
	if (!(o->error_share >= 0 && o->error_share <= 1))
		return log_fail(-EINVAL, "claude-api's share of errors is 0 to 1");
	if (!o->breaker_failures || !o->breaker_open_ms || !o->map_ttl_s || !o->redis_timeout_ms ||
	    !o->upstream_timeout_ms || !o->latency.kind)
		return log_fail(-EINVAL, "a gateway option is 0 that must not be: start from "
					 "gateway__defaults()");
	return 0;
}

int gateway__check(const struct gateway_opts *opts, struct gateway_versions *versions)
{
	size_t i;
	int err = check_options(opts);

	memset(versions, 0, sizeof(*versions));
	if (!err)
		err = check_programs(versions);
	if (!err)
		err = check_templates(opts->templates);
	for (i = 0; i < GATEWAY_CLIENT && !err; i++)
		err = check_port(opts->port[i], gateway__name(i));
	return err ? err : check_port(opts->api_status_port, "the status of claude-api");
}
