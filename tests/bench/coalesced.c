// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Messages by the hundred in a segment: what one costs, and whether any is lost at the rate that
 * one core can send. One thread fills a loopback socket with segments of small messages while
 * another empties it; both ends are seen, so every message is counted twice.
 *
 *   coalesced [messages a segment] [segments]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "probe/wire.h"

static int sockets[2];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void connect_pair(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	sockets[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (void *)&a, len) || listen(l, 1) || getsockname(l, (void *)&a, &len) ||
	    connect(sockets[0], (void *)&a, len))
		die("loopback connection");
	sockets[1] = accept(l, NULL, NULL);
	close(l);
}

static void *drain(void *unused)
{
	static char buf[1 << 18];

	while (read(sockets[1], buf, sizeof(buf)) > 0)
		;
	return unused;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Sends everything; seconds it took. */
static double send_all(const char *segment, size_t len, int segments)
{
	double t0 = seconds();
	ssize_t n;

	for (int i = 0; i < segments; i++) {
		for (size_t at = 0; at < len; at += (size_t)n) {
			n = write(sockets[0], segment + at, len - at);
			if (n <= 0)
				die("write");
		}
	}
	return seconds() - t0;
}

static uint64_t program_ns(const struct snapshot *s)
{
	uint64_t ns = 0;

	for (size_t i = 0; i < s->n_programs; i++)
		ns += s->programs[i].ns;
	return ns;
}

static void measure(struct wire *w, const char *what, const char *message, int per_segment,
		    int segments)
{
	size_t one = strlen(message), len = one * (size_t)per_segment;
	char *segment = malloc(len + 1);
	struct snapshot a, b, counted;
	double took;

	for (int i = 0; i < per_segment; i++)
		memcpy(segment + one * (size_t)i, message, one);
	/* Counted without statistics, timed with them: two passes. */
	if (wire__read(w, &a))
		exit(1);
	took = send_all(segment, len, segments);
	usleep(200000);
	if (wire__read(w, &counted) || wire__statistics(w, true))
		exit(1);
	send_all(segment, len, segments);
	usleep(200000);
	wire__statistics(w, false);
	if (wire__read(w, &b))
		exit(1);
	printf("%-34s %4d a write: %6.1f ns a message in BPF; %7.0f thousand/s sent; "
	       "counted %llu of %llu, unparsed bytes %llu\n",
	       what, per_segment,
	       (double)(program_ns(&b) - program_ns(&counted)) /
		       (double)(b.acct.messages - counted.acct.messages),
	       per_segment * (double)segments / took / 1e3,
	       (unsigned long long)(counted.acct.messages - a.acct.messages),
	       2ull * (unsigned long long)per_segment * (unsigned long long)segments,
	       (unsigned long long)(counted.acct.bytes_unparsed - a.acct.bytes_unparsed));
	for (int i = 1; i < REASON_MAX; i++) {
		if (counted.acct.reason[i] != a.acct.reason[i] && i != REASON_NO_REPLY)
			printf("  %s %llu\n", wire_reason__name((unsigned int)i),
			       (unsigned long long)(counted.acct.reason[i] - a.acct.reason[i]));
	}
	snapshot__free(&a);
	snapshot__free(&b);
	snapshot__free(&counted);
	free(segment);
}

int main(int argc, char **argv)
{
	int per_segment = argc > 1 ? atoi(argv[1]) : 100;
	int segments = argc > 2 ? atoi(argv[2]) : 20000;
	struct wire_opts opts = {0};
	struct wire *w;
	pthread_t t;

	if (per_segment < 1 || segments < 1)
		return fprintf(stderr, "usage: coalesced [messages a segment] [segments]\n"), 2;
	connect_pair();
	/* Only these two sockets: whatever else speaks NATS here is not ours to count. */
	struct sockaddr_in self;
	socklen_t len = sizeof(self);

	getsockname(sockets[0], (void *)&self, &len);
	opts.ports[0] = ntohs(self.sin_port);
	opts.n_ports = 1;
	if (wire__open(&w, &opts) || wire__attach(w))
		return 1;
	pthread_create(&t, NULL, drain, NULL);
	measure(w, "PUB, 16 bytes, no reply",
		"PUB events.orders.created 16\r\n0123456789abcdef\r\n", per_segment, segments);
	measure(w, "PUB, 2 bytes, no reply", "PUB e 2\r\nxx\r\n", per_segment, segments);
	measure(w, "PUB, 128 bytes, no reply",
		"PUB events.orders.created 128\r\n"
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n",
		per_segment, segments);
	shutdown(sockets[0], SHUT_WR);
	pthread_join(t, NULL);
	wire__close(w);
	return 0;
}
