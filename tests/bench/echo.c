// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The smallest round trip there is: one thread, two loopback sockets, NATS bytes, four packets.
 * Slices with nothing attached, with two empty programs and with hopscope take turns, so that a
 * noisy machine disturbs them alike; quoted are medians of slices and of ratios within a turn.
 *
 *   echo [turns] [round trips a slice] [shell command that attaches something else]
 *
 * The command (a bpftrace script, say) gets its own turns at the end, beside bare ones.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "empty.h"
#include "probe/wire.h"

#define TURNS_MAX 200

enum variant { BARE, EMPTY, HOPSCOPE, OTHER, VARIANTS };

struct pair {
	int client, server;
	uint64_t n; /* round trips so far */
	uint16_t port;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void pair__open(struct pair *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	p->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(l, (void *)&a, len) || listen(l, 1) || getsockname(l, (void *)&a, &len) ||
	    connect(p->client, (void *)&a, len))
		die("loopback connection");
	p->port = ntohs(a.sin_port);
	p->server = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	close(l);
	setsockopt(p->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(p->server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* A request as a client library writes it, its answer as a server does. */
static void pair__round_trip(struct pair *p)
{
	char out[256], in[256];
	int n;

	n = snprintf(
		out, sizeof(out),
		"PUB rpc.echo.call _INBOX.aZ3kfY81mmQpW0sTbn4xLu.%lu 16\r\n0123456789abcdef\r\n",
		p->n);
	if (write(p->client, out, (size_t)n) != n || read(p->server, in, sizeof(in)) != n)
		die("request");
	n = snprintf(out, sizeof(out),
		     "MSG _INBOX.aZ3kfY81mmQpW0sTbn4xLu.%lu 1 16\r\n0123456789abcdef\r\n", p->n++);
	if (write(p->server, out, (size_t)n) != n || read(p->client, in, sizeof(in)) != n)
		die("reply");
}

/* ns a round trip over a slice. */
static double slice(struct pair *p, int n)
{
	uint64_t t0;

	for (int i = 0; i < n / 10; i++)
		pair__round_trip(p);
	t0 = now_ns();
	for (int i = 0; i < n; i++)
		pair__round_trip(p);
	return (double)(now_ns() - t0) / n;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *v, int n)
{
	double s[TURNS_MAX];

	memcpy(s, v, (size_t)n * sizeof(*v));
	qsort(s, (size_t)n, sizeof(*s), by_value);
	return n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

static double median_ratio(const double *v, const double *base, int n)
{
	double r[TURNS_MAX];

	for (int i = 0; i < n; i++)
		r[i] = v[i] / base[i];
	return median(r, n);
}

struct bench {
	struct pair pair;
	struct wire *wire;
	struct empty empty;
	int turns, trips;
	double ns[VARIANTS][TURNS_MAX];
	double other_base[TURNS_MAX];
};

static double measure(struct bench *b, enum variant v)
{
	double ns;

	if ((v == EMPTY && empty__attach(&b->empty)) || (v == HOPSCOPE && wire__attach(b->wire)))
		die("attach");
	ns = slice(&b->pair, b->trips);
	empty__detach(&b->empty);
	wire__detach(b->wire);
	return ns;
}

static uint64_t wire_ns(struct bench *b, uint64_t *matched)
{
	struct snapshot s;
	uint64_t ns = 0;

	if (wire__read(b->wire, &s))
		exit(1);
	for (size_t i = 0; i < s.n_programs; i++) {
		if (!strncmp(s.programs[i].name, "wire_egress", 11) ||
		    !strncmp(s.programs[i].name, "wire_ingress", 12))
			ns += s.programs[i].ns;
	}
	*matched = s.acct.matched;
	snapshot__free(&s);
	return ns;
}

/* BPF time as the kernel counts it, in slices of their own: counting costs as well. */
static void print_bpf_time(struct bench *b)
{
	double with[TURNS_MAX], without[TURNS_MAX];
	uint64_t runs, ns0, ns1, matched;

	if (wire__statistics(b->wire, true)) {
		printf("BPF statistics are not permitted: no BPF time\n");
		return;
	}
	for (int i = 0; i < b->turns; i++) {
		empty__cost(&b->empty, &runs, &ns0);
		measure(b, EMPTY);
		empty__cost(&b->empty, &runs, &ns1);
		without[i] = (double)(ns1 - ns0) / (b->trips + b->trips / 10);
		ns0 = wire_ns(b, &matched);
		measure(b, HOPSCOPE);
		ns1 = wire_ns(b, &matched);
		with[i] = (double)(ns1 - ns0) / (b->trips + b->trips / 10);
	}
	wire__statistics(b->wire, false);
	printf("BPF time a round trip       empty x4 %6.0f ns   hopscope %6.0f ns   "
	       "above empty %6.0f ns\n",
	       median(without, b->turns), median(with, b->turns),
	       median(with, b->turns) - median(without, b->turns));
}

/* The other tool: started, given time to attach, measured, ended, then bare. False: it ended. */
static bool measure_other(struct bench *b, const char *command)
{
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	setpgid(pid, pid);
	sleep(6);
	for (int i = 0; i < b->turns; i++)
		b->ns[OTHER][i] = slice(&b->pair, b->trips);
	if (waitpid(pid, NULL, WNOHANG))
		return false;
	kill(-pid, SIGINT);
	waitpid(pid, NULL, 0);
	sleep(1);
	for (int i = 0; i < b->turns; i++)
		b->other_base[i] = slice(&b->pair, b->trips);
	return true;
}

static void print_row(const char *name, const double *v, const double *base, int n)
{
	double sorted[TURNS_MAX];

	memcpy(sorted, v, (size_t)n * sizeof(*v));
	qsort(sorted, (size_t)n, sizeof(*sorted), by_value);
	printf("%-26s %8.2f us   (%.2f .. %.2f)   %+6.1f %%\n", name, median(v, n) / 1e3,
	       sorted[0] / 1e3, sorted[n - 1] / 1e3, 100 * (median_ratio(v, base, n) - 1));
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct wire_opts opts = {0};
	uint64_t before, after;

	b.turns = argc > 1 ? atoi(argv[1]) : 30;
	b.trips = argc > 2 ? atoi(argv[2]) : 20000;
	if (b.turns < 3 || b.turns > TURNS_MAX || b.trips < 100)
		return fprintf(stderr, "usage: echo [turns 3..200] [trips 100..] [command]\n"), 2;
	signal(SIGPIPE, SIG_IGN);
	pair__open(&b.pair);
	/* Whatever else speaks NATS on this machine is not ours to count. */
	opts.ports[0] = b.pair.port;
	opts.n_ports = 1;
	if (wire__open(&b.wire, &opts) || empty__open(&b.empty))
		return 1;
	wire_ns(&b, &before);
	for (int i = 0; i < b.turns; i++) {
		for (enum variant v = BARE; v <= HOPSCOPE; v++)
			b.ns[(v + i) % 3][i] = measure(&b, (v + i) % 3);
	}
	wire_ns(&b, &after);
	printf("loopback echo, 4 packets a round trip, %d turns of %d; median (min .. max), median "
	       "ratio to bare\n",
	       b.turns, b.trips);
	print_row("nothing attached", b.ns[BARE], b.ns[BARE], b.turns);
	print_row("two empty programs", b.ns[EMPTY], b.ns[BARE], b.turns);
	print_row("hopscope", b.ns[HOPSCOPE], b.ns[BARE], b.turns);
	/* Both ends are seen: two exchanges a round trip; the first of a slice finds the place. */
	printf("exchanges matched: %.4f %% of those made\n",
	       100.0 * (double)(after - before) /
		       (2.0 * b.turns * (b.trips + (double)(b.trips / 10))));
	print_bpf_time(&b);
	if (argc > 3) {
		if (measure_other(&b, argv[3]))
			print_row("the other tool", b.ns[OTHER], b.other_base, b.turns);
		else
			printf("the other tool ended by itself: not measured\n");
	}
	wire__close(b.wire);
	empty__close(&b.empty);
	return 0;
}
