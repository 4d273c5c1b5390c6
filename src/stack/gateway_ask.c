// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the gateway's services say about themselves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "stack/clock.h"
#include "stack/file.h"
#include "stack/gateway_internal.h"
#include "stack/http.h"
#include "stack/port.h"

#define STATUS_MS 2000

static int ping_redis(uint16_t port, unsigned int timeout_ms)
{
	static const char ping[] = "PING\r\n", pong[] = "+PONG\r\n";
	char answer[sizeof(pong)] = "";
	size_t len = 0;
	int fd = port__open(port, timeout_ms);
	int err = 0;

	if (fd < 0)
		return fd;
	if (send(fd, ping, sizeof(ping) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(ping) - 1)
		err = -EIO;
	while (!err && len < sizeof(pong) - 1) {
		ssize_t n = recv(fd, answer + len, sizeof(pong) - 1 - len, 0);

		if (n <= 0)
			err = n ? -errno : -ECONNRESET;
		else
			len += (size_t)n;
	}
	close(fd);
	return err ? err : strcmp(answer, pong) ? -EPROTO : 0;
}

/* The port on which a service tells that it is well. */
static uint16_t health_port(const struct gateway *g, enum gateway_id id)
{
	return id == GATEWAY_API ? g->api_status_port : g->service[id].port;
}

int gateway__health(const struct gateway *g, enum gateway_id id, unsigned int timeout_ms,
		    struct gateway_health *h)
{
	uint64_t begin = clock__now();
	char body[4096];
	int err;

	memset(h, 0, sizeof(*h));
	if (id >= GATEWAY_CLIENT)
		return -EINVAL;
	if (id == GATEWAY_REDIS)
		err = ping_redis(g->service[id].port, timeout_ms);
	else
		err = http__get(health_port(g, id), "/health", body, sizeof(body), timeout_ms);
	if (err == -EAGAIN)
		err = -ETIMEDOUT; /* SO_RCVTIMEO's word for it */
	h->healthy = !err;
	if (!err || err == -EPROTO)
		h->took_ns = clock__now() - begin;
	if (err == -EPROTO)
		snprintf(h->why, sizeof(h->why), "it answers, and not that it is healthy");
	else if (err)
		snprintf(h->why, sizeof(h->why), "%s", strerror(-err));
	return 0;
}

static json_t *get_status(uint16_t port)
{
	char body[8192];

	return http__get(port, "/status", body, sizeof(body), STATUS_MS)
		       ? NULL
		       : json_loads(body, 0, NULL);
}

static uint64_t count(const json_t *j, const char *key)
{
	double v = json_number_value(json_object_get(j, key));

	return v > 0 ? (uint64_t)v : 0;
}

int gateway__counters(const struct gateway *g, struct gateway_counters *c)
{
	json_t *j = get_status(g->api_status_port);

	memset(c, 0, sizeof(*c));
	if (!j)
		return -EIO;
	c->requests = count(j, "requests");
	c->with_identifiers = count(j, "with_identifiers");
	c->errors = count(j, "errors");
	c->bad = count(j, "bad");
	c->connections = count(j, "connections");
	c->answered = count(j, "answered");
	c->wanted_us = count(j, "wanted_us");
	c->waited_us = count(j, "waited_us");
	json_decref(j);
	return 0;
}

static enum breaker_state state_of(const char *name)
{
	if (name && !strcmp(name, "open"))
		return BREAKER_OPEN;
	return name && !strcmp(name, "half_open") ? BREAKER_HALF_OPEN : BREAKER_CLOSED;
}

int gateway__status(const struct gateway *g, struct gateway_status *s)
{
	json_t *j = get_status(g->service[GATEWAY_KONG].port);
	const json_t *b = json_object_get(j, "breaker");

	memset(s, 0, sizeof(*s));
	if (!j)
		return -EIO;
	s->breaker = state_of(json_string_value(json_object_get(b, "state")));
	s->failures = (unsigned int)count(b, "failures");
	s->opened = (unsigned int)count(b, "opened");
	s->requests = count(j, "requests");
	s->masked = count(j, "masked");
	s->unmasked = count(j, "unmasked");
	s->redis_failures = count(j, "redis_failures");
	s->upstream_failures = count(j, "upstream_failures");
	s->refused = count(j, "refused");
	json_decref(j);
	return 0;
}

int gateway__versions(const struct gateway *g, struct gateway_versions *versions)
{
	json_t *j = get_status(g->service[GATEWAY_KONG].port);
	const char *v = json_string_value(json_object_get(j, "lua_module"));

	if (v)
		snprintf(versions->lua_module, sizeof(versions->lua_module), "%s", v);
	json_decref(j);
	return v ? 0 : -EIO;
}

const char *gateway__tail(const struct gateway *g, enum gateway_id id, int lines, char *buf,
			  size_t size)
{
	return file__tail(g->service[id].child.log, lines, buf, size);
}
