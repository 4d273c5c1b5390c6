// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "stack/port.h"

#define MAX_PORTS 64

/* A bound socket, or negative errno. *port 0: the kernel chooses. */
static int bind_port(uint16_t *port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	/* As the servers do: connections in TIME_WAIT do not count as taken. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || (*port && listen(fd, 1)) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		int err = -errno;

		close(fd);
		return err;
	}
	*port = ntohs(addr.sin_port);
	return fd;
}

int port__free(uint16_t *ports, size_t n)
{
	int fds[MAX_PORTS];
	size_t i, bound = 0;
	int err = n > MAX_PORTS ? -E2BIG : 0;

	/* All are held until the last is found: no port twice. */
	for (i = 0; i < n && !err; i++) {
		ports[i] = 0;
		fds[i] = bind_port(&ports[i]);
		if (fds[i] < 0)
			err = fds[i];
		else
			bound++;
	}
	for (i = 0; i < bound; i++)
		close(fds[i]);
	return err;
}

int port__check(uint16_t port)
{
	int fd = bind_port(&port);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int connect_one(const struct addrinfo *a, unsigned int timeout_ms)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen)) {
		err = errno;
		if (err == EINPROGRESS) {
			err = ETIMEDOUT;
			if (poll(&p, 1, (int)timeout_ms) == 1)
				getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
		}
	}
	close(fd);
	return -err;
}

int port__connects(const char *host, uint16_t port, unsigned int timeout_ms)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL, *a;
	char service[8];
	int err = -EHOSTUNREACH;

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &list))
		return -EHOSTUNREACH;
	for (a = list; a && err; a = a->ai_next)
		err = connect_one(a, timeout_ms);
	freeaddrinfo(list);
	return err;
}

int port__open(uint16_t port, unsigned int timeout_ms)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}
