/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * delay_relay SERVER_PORT PORT MICROSECONDS [PORT MICROSECONDS]...: forwards TCP connections on
 * 127.0.0.1 to SERVER_PORT. What a client sends goes on so much later than it came.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static unsigned short server_port;

struct way {
	int from, to;
	long delay_us;
};

struct port {
	unsigned short port;
	long delay_us;
};

static int local_socket(struct sockaddr_in *at, unsigned short port)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(at, 0, sizeof(*at));
	at->sin_family = AF_INET;
	at->sin_port = htons(port);
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void wait_until(struct timespec at, long us)
{
	at.tv_nsec += us * 1000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* One direction of a connection. */
static void *forward(void *arg)
{
	struct way *w = arg;
	struct timespec came;
	char buf[65536];
	ssize_t n;

	prctl(PR_SET_TIMERSLACK, 1);
	while ((n = read(w->from, buf, sizeof(buf))) > 0) {
		clock_gettime(CLOCK_MONOTONIC, &came);
		if (w->delay_us)
			wait_until(came, w->delay_us);
		if (send(w->to, buf, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	}
	shutdown(w->to, SHUT_WR);
	free(w);
	return NULL;
}

static void start(int from, int to, long delay_us)
{
	struct way *w = malloc(sizeof(*w));
	pthread_t t;

	*w = (struct way){from, to, delay_us};
	pthread_create(&t, NULL, forward, w);
	pthread_detach(t);
}

static void *serve(void *arg)
{
	const struct port *p = arg;
	struct sockaddr_in at;
	int one = 1, in, out, fd = local_socket(&at, p->port);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 512)) {
		perror("bind");
		exit(1);
	}
	/* Sockets stay open until the program ends: a test does not open many. */
	while ((in = accept(fd, NULL, NULL)) >= 0) {
		setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		out = local_socket(&at, server_port);
		if (connect(out, (struct sockaddr *)&at, sizeof(at))) {
			close(in);
			close(out);
			continue;
		}
		start(in, out, p->delay_us);
		start(out, in, 0);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct port ports[8];
	pthread_t t;

	if (argc < 4 || argc % 2 || argc > 2 + 2 * 8)
		return 2;
	server_port = (unsigned short)atoi(argv[1]);
	for (int i = 0; 2 * i + 3 < argc; i++) {
		ports[i].port = (unsigned short)atoi(argv[2 * i + 2]);
		ports[i].delay_us = atol(argv[2 * i + 3]);
		pthread_create(&t, NULL, serve, &ports[i]);
	}
	for (;;)
		pause();
}
