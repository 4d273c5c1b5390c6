/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * delay_relay [-o] SERVER_PORT PORT MICROSECONDS[:BACK[:LAG]] [...]...: forwards TCP connections on
 * 127.0.0.1 to SERVER_PORT. What a client sends goes on so much later than it came, and what the
 * server sends BACK later. With LAG, what the server sends is not read for so long after it was
 * found to be there. A thread for each direction of a connection, or with -o one for both, as socat
 * has it: for a request at a time.
 *
 * Says at its end (SIGTERM) how long it held each piece that began with a NATS or HTTP message, by
 * its own clock: {"PORT": {"there": [ns, ...], "back": [...], "lag": [...]}, ...}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_PORTS 8
#define MAX_HELD  4096

static unsigned short server_port;
static bool one_thread;

/* What was held, in ns. Beyond MAX_HELD it is forgotten. */
struct account {
	unsigned int n;
	long long ns[MAX_HELD];
};

struct port {
	unsigned short port;
	long there_us, back_us, lag_us;
	struct account there, back, lag;
};

struct way {
	int from, to;
	struct port *port;
	bool back;
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

static void book(struct account *a, const struct timespec *from, const struct timespec *to)
{
	unsigned int i = __atomic_fetch_add(&a->n, 1, __ATOMIC_RELAXED);

	if (i < MAX_HELD)
		a->ns[i] = (to->tv_sec - from->tv_sec) * 1000000000ll + to->tv_nsec - from->tv_nsec;
}

/* Found to be there; read when the lag is over. Returns when it was found. */
static struct timespec lag(const struct way *w)
{
	struct pollfd fd = {.fd = w->from, .events = POLLIN};
	struct timespec found;

	poll(&fd, 1, -1);
	clock_gettime(CLOCK_MONOTONIC, &found);
	wait_until(found, w->port->lag_us);
	return found;
}

static bool has_message(const char *buf, ssize_t n)
{
	static const char *const words[] = {"PUB ", "MSG ", "GET ", "HTTP"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (memmem(buf, (size_t)n, words[i], 4))
			return true;
	}
	return false;
}

/* What there is to read in one direction of a connection. False at its end. */
static bool pass(const struct way *w)
{
	struct port *p = w->port;
	long delay_us = w->back ? p->back_us : p->there_us;
	struct timespec found = {0}, begins, came, goes;
	bool lags = w->back && p->lag_us, message;
	char buf[65536];
	ssize_t n;

	if (lags)
		found = lag(w);
	clock_gettime(CLOCK_MONOTONIC, &begins);
	n = read(w->from, buf, sizeof(buf));
	if (n <= 0)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &came);
	message = has_message(buf, n);
	if (message && lags)
		book(&p->lag, &found, &begins);
	if (delay_us)
		wait_until(came, delay_us);
	clock_gettime(CLOCK_MONOTONIC, &goes);
	if (message)
		book(w->back ? &p->back : &p->there, &came, &goes);
	return send(w->to, buf, (size_t)n, MSG_NOSIGNAL) == n;
}

static void *forward(void *arg)
{
	struct way *w = arg;

	prctl(PR_SET_TIMERSLACK, 1);
	while (pass(w))
		;
	shutdown(w->to, SHUT_WR);
	free(w);
	return NULL;
}

static void *forward_both(void *arg)
{
	struct way *there = arg, back = {there->to, there->from, there->port, true};
	struct pollfd fds[] = {{.fd = there->from, .events = POLLIN},
			       {.fd = there->to, .events = POLLIN}};

	prctl(PR_SET_TIMERSLACK, 1);
	while (poll(fds, 2, -1) > 0) {
		if ((fds[0].revents && !pass(there)) || (fds[1].revents && !pass(&back)))
			break;
	}
	shutdown(there->to, SHUT_RDWR);
	shutdown(there->from, SHUT_RDWR);
	free(there);
	return NULL;
}

static void start(int from, int to, struct port *p, bool back)
{
	struct way *w = malloc(sizeof(*w));
	pthread_t t;

	*w = (struct way){from, to, p, back};
	pthread_create(&t, NULL, one_thread ? forward_both : forward, w);
	pthread_detach(t);
}

static void *serve(void *arg)
{
	struct port *p = arg;
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
		start(in, out, p, false);
		if (!one_thread)
			start(out, in, p, true);
	}
	return NULL;
}

static void print_account(const char *name, const struct account *a)
{
	printf("\"%s\": [", name);
	for (unsigned int i = 0; i < a->n && i < MAX_HELD; i++)
		printf("%s%lld", i ? ", " : "", a->ns[i]);
	printf("]");
}

int main(int argc, char **argv)
{
	static struct port ports[MAX_PORTS];
	sigset_t ends;
	pthread_t t;
	int n, sig;

	one_thread = argc > 1 && !strcmp(argv[1], "-o");
	argc -= one_thread;
	argv += one_thread;
	n = (argc - 2) / 2;
	if (argc < 4 || argc % 2 || n > MAX_PORTS)
		return 2;
	server_port = (unsigned short)atoi(argv[1]);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	for (int i = 0; i < n; i++) {
		struct port *p = &ports[i];

		p->port = (unsigned short)atoi(argv[2 * i + 2]);
		sscanf(argv[2 * i + 3], "%ld:%ld:%ld", &p->there_us, &p->back_us, &p->lag_us);
		pthread_create(&t, NULL, serve, p);
	}
	sigwait(&ends, &sig);
	for (int i = 0; i < n; i++) {
		printf("%s\"%u\": {", i ? ", " : "{", ports[i].port);
		print_account("there", &ports[i].there);
		printf(", ");
		print_account("back", &ports[i].back);
		printf(", ");
		print_account("lag", &ports[i].lag);
		printf("}");
	}
	puts("}");
	return 0;
}
