// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lag_relay LISTEN TO MICROSECONDS: a TCP relay on the loopback address that holds back what it
 * gets from a client for a known time, each piece from its own arrival. Answers pass at once. Says
 * "ready" when it listens; TO need not be there before it is asked for.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 1024
#define PIECE		65536

/* What a client has sent, and when it is to go on. */
struct piece {
	struct piece *next;
	unsigned long long due;
	size_t len;
	char data[];
};

struct connection {
	int client, server;
	struct piece *first, **last;
};

static struct connection connections[MAX_CONNECTIONS];
static size_t n_connections;
static unsigned long long delay_ns;

static unsigned long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long long)t.tv_sec * 1000000000 + (unsigned long long)t.tv_nsec;
}

static struct sockaddr_in address(const char *port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((unsigned short)atoi(port)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

static void accept_one(int listener, const char *to)
{
	struct sockaddr_in a = address(to);
	struct connection *c = &connections[n_connections];
	int one = 1;

	c->client = accept(listener, NULL, NULL);
	if (c->client < 0)
		return;
	setsockopt(c->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->server = open_socket();
	c->first = NULL;
	c->last = &c->first;
	if (n_connections == MAX_CONNECTIONS - 1 ||
	    connect(c->server, (struct sockaddr *)&a, sizeof(a))) {
		close(c->client);
		close(c->server);
		return;
	}
	n_connections++;
}

static void drop(size_t i)
{
	struct connection *c = &connections[i];

	while (c->first) {
		struct piece *p = c->first;

		c->first = p->next;
		free(p);
	}
	close(c->client);
	close(c->server);
	*c = connections[--n_connections];
	if (!c->first)
		c->last = &c->first;
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int hold(struct connection *c)
{
	struct piece *p = malloc(sizeof(*p) + PIECE);
	ssize_t n = p ? recv(c->client, p->data, PIECE, 0) : -1;

	if (n <= 0) {
		free(p);
		return -1;
	}
	p->due = now() + delay_ns;
	p->len = (size_t)n;
	p->next = NULL;
	*c->last = p;
	c->last = &p->next;
	return 0;
}

static int release(struct connection *c, unsigned long long time)
{
	while (c->first && c->first->due <= time) {
		struct piece *p = c->first;
		int err = send_all(c->server, p->data, p->len);

		c->first = p->next;
		if (!c->first)
			c->last = &c->first;
		free(p);
		if (err)
			return -1;
	}
	return 0;
}

static int answer(struct connection *c)
{
	char buf[PIECE];
	ssize_t n = recv(c->server, buf, sizeof(buf), 0);

	return n <= 0 ? -1 : send_all(c->client, buf, (size_t)n);
}

static void wait_for(struct pollfd *fds, size_t n, int listener)
{
	unsigned long long due = 0, time = now();
	struct timespec left = {0};
	size_t i;

	fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
	for (i = 0; i < n; i++) {
		const struct piece *p = connections[i].first;

		fds[2 * i + 1] = (struct pollfd){.fd = connections[i].client, .events = POLLIN};
		fds[2 * i + 2] = (struct pollfd){.fd = connections[i].server, .events = POLLIN};
		if (p && (!due || p->due < due))
			due = p->due;
	}
	if (due > time) {
		left.tv_sec = (time_t)((due - time) / 1000000000);
		left.tv_nsec = (long)((due - time) % 1000000000);
	}
	if (ppoll(fds, 2 * n + 1, due ? &left : NULL, NULL) < 0)
		memset(fds, 0, (2 * n + 1) * sizeof(*fds));
}

int main(int argc, char **argv)
{
	static struct pollfd fds[2 * MAX_CONNECTIONS + 1];
	int listener = open_socket();
	struct sockaddr_in a;

	if (argc != 4)
		return 2;
	delay_ns = strtoull(argv[3], NULL, 10) * 1000;
	a = address(argv[1]);
	prctl(PR_SET_TIMERSLACK, 1);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 512)) {
		perror("lag_relay");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		size_t i, n = n_connections;

		wait_for(fds, n, listener);
		/* From the back: drop() moves the last one into the gap. */
		for (i = n; i-- > 0;) {
			struct connection *c = &connections[i];

			if (release(c, now()) || (fds[2 * i + 1].revents && hold(c)) ||
			    (fds[2 * i + 2].revents && answer(c)))
				drop(i);
		}
		if (fds[0].revents & POLLIN)
			accept_one(listener, argv[2]);
	}
}
