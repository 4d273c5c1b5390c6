// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stack/clock.h"
#include "stack/http.h"
#include "stack/port.h"

/* HTTP/1.0 without keep-alive: the answer ends with the connection. */
static int exchange(int fd, const char *path, char *buf, size_t size, uint64_t deadline)
{
	char request[256];
	size_t len = 0;
	int n = snprintf(request, sizeof(request),
			 "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path);

	if (n < 0 || (size_t)n >= sizeof(request))
		return -ENAMETOOLONG;
	if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		return -EIO;
	for (;;) {
		ssize_t got = recv(fd, buf + len, size - 1 - len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		len += (size_t)got;
		if (len + 1 >= size)
			return -EPROTO;
		if (clock__now() > deadline)
			return -ETIMEDOUT;
	}
	buf[len] = '\0';
	return 0;
}

int http__get(uint16_t port, const char *path, char *body, size_t size, unsigned int timeout_ms)
{
	int fd = port__open(port, timeout_ms);
	int major, minor, status, err;
	const char *end;

	if (fd < 0)
		return fd;
	err = exchange(fd, path, body, size, clock__now() + timeout_ms * NS_PER_MS);
	close(fd);
	if (err)
		return err;
	end = strstr(body, "\r\n\r\n");
	if (!end || sscanf(body, "HTTP/%d.%d %d", &major, &minor, &status) != 3 || status != 200)
		return -EPROTO;
	memmove(body, end + 4, strlen(end + 4) + 1);
	return 0;
}
