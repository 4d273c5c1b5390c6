// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/url.h"

#define DEFAULT_PORT 4222

static int parse_host(struct url *u, const char *host, size_t len, const char **why)
{
	size_t i;

	*why = "the host is missing or too long";
	if (!len || len >= sizeof(u->host))
		return -EINVAL;
	*why = "the host holds a character that no host has";
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) && !strchr("-._:", host[i]))
			return -EINVAL;
	snprintf(u->host, sizeof(u->host), "%.*s", (int)len, host);
	return 0;
}

static int parse_port(struct url *u, const char *text, const char **why)
{
	char *end;
	long port = strtol(text, &end, 10);

	if (*end == '/' && !end[1])
		end++;
	*why = "the port is not a number from 1 to 65535";
	if (end == text || *end || port < 1 || port > 65535)
		return -EINVAL;
	u->port = (uint16_t)port;
	return 0;
}

int url__parse(struct url *u, const char *text, const char **why)
{
	const char *at, *host, *end;

	memset(u, 0, sizeof(*u));
	u->port = DEFAULT_PORT;
	if (!strncmp(text, "tls://", 6)) {
		*why = "TLS is not supported: the probe cannot read what is encrypted";
		return -EINVAL;
	}
	if (!strncmp(text, "nats://", 7))
		text += 7;
	*why = "only nats:// is supported";
	if (strstr(text, "://"))
		return -EINVAL;
	at = strrchr(text, '@');
	host = at ? at + 1 : text;
	*why = "user and password are too long";
	if ((size_t)(host - text) >= sizeof(u->user))
		return -EINVAL;
	snprintf(u->user, sizeof(u->user), "%.*s", (int)(host - text), text);
	if (*host == '[') {
		end = strchr(++host, ']');
		*why = "the bracket of the address is not closed";
		if (!end)
			return -EINVAL;
		if (parse_host(u, host, (size_t)(end - host), why))
			return -EINVAL;
		end++;
	} else {
		end = host + strcspn(host, ":/");
		if (parse_host(u, host, (size_t)(end - host), why))
			return -EINVAL;
	}
	if (*end == ':')
		return parse_port(u, end + 1, why);
	*why = "only host and port may be given";
	return *end && strcmp(end, "/") != 0 ? -EINVAL : 0;
}

const char *url__address(const struct url *u, char *buf, size_t size)
{
	snprintf(buf, size, strchr(u->host, ':') ? "[%s]:%u" : "%s:%u", u->host, u->port);
	return buf;
}

const char *url__format(const struct url *u, char buf[URL_LEN + URL_HOST_LEN + 32])
{
	char address[URL_HOST_LEN + 16];

	snprintf(buf, URL_LEN + URL_HOST_LEN + 32, "nats://%s%s", u->user,
		 url__address(u, address, sizeof(address)));
	return buf;
}
