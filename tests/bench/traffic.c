// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the wire probe costs a server under somebody else's load generator. Slices with the probes
 * detached and attached, and with two programs that do nothing, take turns; quoted are medians of
 * the ratios within a turn, with intervals.
 *
 *   traffic PAIRS PORT PID LOAD COUNTER [OTHER]
 *
 * PID      the server, one process
 * LOAD     shell command, one slice of load; its last line: requests, seconds, p99 in us
 * COUNTER  shell command that prints how many requests the server itself has handled so far
 * OTHER    another tool: attaches, prints "ready", and "@n: N" requests when it ends
 *
 * Requests of COUNTER reach the server while nothing is attached.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "empty.h"
#include "model/estimate.h"
#include "probe/wire.h"

#define PAIRS_MAX 200
#define BLOCK	  5   /* slices beside the other tool before it is detached again */
#define COSTED	  5   /* slices with BPF statistics */
#define TARGET	  3.0 /* per cent */

struct load {
	double rate, p99_us;
	double cpu_ns; /* a request, on all processors: server and load generator */
	double requests;
};

struct counts {
	uint64_t server, client; /* exchanges by role, answered or not */
	uint64_t unanswered, dropped, orphans, unparsed, busy, in_flight;
	uint64_t bpf_ns;
	bool holds;
};

enum variant { BARE, HOPSCOPE, EMPTY, VARIANTS };

struct bench {
	struct wire *wire;
	struct empty empty;
	const char *load, *counter, *other;
	pid_t server;
	unsigned int port;
	int pairs;
	double rate[VARIANTS][PAIRS_MAX], p99[VARIANTS][PAIRS_MAX], cpu[VARIANTS][PAIRS_MAX];
	double requests, handled; /* while attached, as the load and the server say */
};

static void die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, errno ? strerror(errno) : "failed");
	exit(1);
}

/* The command's last line. */
static void last_line(const char *command, char *line, size_t size)
{
	FILE *f = popen(command, "re");
	char buf[512];

	*line = 0;
	if (!f)
		die(command);
	while (fgets(buf, sizeof(buf), f))
		snprintf(line, size, "%s", buf);
	errno = 0;
	if (pclose(f) || !*line)
		die(command);
}

/* Of the server, and of all commands that have ended. */
static double run_time_ns(pid_t server)
{
	struct timespec ts;
	struct rusage u;
	clockid_t clock;

	if (clock_getcpuclockid(server, &clock) || clock_gettime(clock, &ts) ||
	    getrusage(RUSAGE_CHILDREN, &u))
		die("processor time of the server");
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec +
	       (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

static struct load slice(const struct bench *b)
{
	double seconds, begin = run_time_ns(b->server);
	struct load l = {0};
	char line[512];

	last_line(b->load, line, sizeof(line));
	if (sscanf(line, "%lf %lf %lf", &l.requests, &seconds, &l.p99_us) != 3 || seconds <= 0 ||
	    l.requests <= 0)
		die(line);
	l.rate = l.requests / seconds;
	l.cpu_ns = (run_time_ns(b->server) - begin) / l.requests;
	return l;
}

static double handled(const struct bench *b)
{
	char line[512];

	last_line(b->counter, line, sizeof(line));
	return atof(line);
}

/* Connections of the server's port that are not over. */
static int connections(unsigned int port)
{
	FILE *f = fopen("/proc/net/tcp", "re");
	unsigned int local, state;
	char line[256];
	int n = 0;

	if (!f)
		die("/proc/net/tcp");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*d: %*x:%x %*x:%*x %x", &local, &state) == 2 && local == port &&
		    state != TCP_LISTEN && state != TCP_TIME_WAIT)
			n++;
	}
	fclose(f);
	return n;
}

/*
 * What was under way when the load generator left must reach the server, and be answered, before
 * the probes go.
 */
static void settle(const struct bench *b)
{
	struct timespec ms = {.tv_nsec = 1000000};

	for (int i = 0; i < 5000 && connections(b->port); i++)
		nanosleep(&ms, NULL);
}

static struct load attached(struct bench *b)
{
	double before = handled(b);
	struct load l;

	if (wire__attach(b->wire))
		die("attach");
	l = slice(b);
	settle(b);
	wire__detach(b->wire);
	b->requests += l.requests;
	b->handled += handled(b) - before;
	return l;
}

static struct load beside_empty(struct bench *b)
{
	struct load l;

	if (empty__attach(&b->empty))
		die("attach");
	l = slice(b);
	empty__detach(&b->empty);
	return l;
}

static struct counts counts(const struct bench *b)
{
	struct counts c = {0};
	struct snapshot s;

	if (wire__read(b->wire, &s))
		die("reading the probe");
	for (size_t i = 0; i < s.n_series; i++) {
		if (s.series[i].key.part != PART_WHOLE)
			continue;
		if (s.series[i].key.role == ROLE_SERVER)
			c.server += s.series[i].count;
		else if (s.series[i].key.role == ROLE_CLIENT)
			c.client += s.series[i].count;
	}
	for (size_t i = 0; i < s.n_programs; i++) {
		if (!strncmp(s.programs[i].name, "wire_", 5))
			c.bpf_ns += s.programs[i].ns;
	}
	c.unanswered = s.acct.unanswered;
	c.dropped = s.acct.dropped;
	c.orphans = s.acct.orphans;
	c.unparsed = s.acct.bytes_unparsed;
	c.busy = s.acct.reason[REASON_BUSY];
	c.in_flight = (uint64_t)s.acct.in_flight;
	c.holds = snapshot__holds(&s);
	snapshot__free(&s);
	return c;
}

static const char *judged(const struct estimate *e, double limit)
{
	double worst = limit < 0 ? e->lo : e->hi, best = limit < 0 ? e->hi : e->lo;

	if (isnan(worst) || isnan(best))
		return "not decided: too few pairs";
	if (limit < 0 ? worst >= limit : worst <= limit)
		return "met";
	return (limit < 0 ? best < limit : best > limit) ? "missed" : "not decided";
}

static void print_difference(const char *what, const double *base, const double *with, int n,
			     double limit, const char *unit)
{
	struct estimate e = estimate__percent_robust(base, with, (size_t)n);
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += base[i];
	printf("%-28s %+6.1f %% (%+.1f to %+.1f %%, 95 %%, %d pairs); without: %.0f %s on average",
	       what, e.value, e.lo, e.hi, n, sum / n, unit);
	if (limit != 0)
		printf("; target %+.0f %%: %s", limit, judged(&e, limit));
	printf("\n");
}

static void keep(struct bench *b, enum variant v, int i, const struct load *l)
{
	b->rate[v][i] = l->rate;
	b->p99[v][i] = l->p99_us;
	b->cpu[v][i] = l->cpu_ns;
}

/*
 * Processor time is what a busy machine disturbs least: throughput and p99 also tell who else
 * wanted the processors.
 */
static void print_differences(const struct bench *b, const char *who, enum variant v, int n,
			      double target)
{
	char what[64];

	snprintf(what, sizeof(what), "%s, throughput", who);
	print_difference(what, b->rate[BARE], b->rate[v], n, -target, "/s");
	snprintf(what, sizeof(what), "%s, p99", who);
	print_difference(what, b->p99[BARE], b->p99[v], n, target, "us");
	snprintf(what, sizeof(what), "%s, processor time", who);
	print_difference(what, b->cpu[BARE], b->cpu[v], n, 0, "ns a request");
}

static void measure(struct bench *b)
{
	slice(b); /* the first is another */
	for (int i = 0; i < b->pairs; i++) {
		for (int k = 0; k < VARIANTS; k++) {
			enum variant v = (enum variant)((k + i) % VARIANTS);
			struct load l = v == BARE	? slice(b)
					: v == HOPSCOPE ? attached(b)
							: beside_empty(b);

			keep(b, v, i, &l);
		}
	}
	print_differences(b, "empty", EMPTY, b->pairs, 0);
	print_differences(b, "hopscope", HOPSCOPE, b->pairs, TARGET);
}

/*
 * A load generator that stops by the clock gives up what is in flight, so the server may have
 * handled more than it counts.
 */
static void print_account(const struct bench *b)
{
	struct counts c = counts(b);

	printf("%-28s %llu of the %.0f that the server handled (%.4f %%); client role %llu; load "
	       "generator %.0f\n",
	       "requests measured", (unsigned long long)c.server, b->handled,
	       100 * (double)c.server / b->handled, (unsigned long long)c.client, b->requests);
	printf("%-28s unanswered %llu, dropped %llu, orphans %llu, in flight %llu, bytes unparsed "
	       "%llu, segments passed over %llu; identities %s\n",
	       "lost", (unsigned long long)c.unanswered, (unsigned long long)c.dropped,
	       (unsigned long long)c.orphans, (unsigned long long)c.in_flight,
	       (unsigned long long)c.unparsed, (unsigned long long)c.busy,
	       c.holds ? "hold" : "DO NOT HOLD");
}

/* BPF time as the kernel counts it, in slices of their own: counting costs as well. */
static void print_cost(struct bench *b)
{
	struct counts c0, c1;
	double before;

	if (wire__statistics(b->wire, true)) {
		printf("BPF statistics are not permitted: no BPF time\n");
		return;
	}
	c0 = counts(b);
	before = b->handled;
	for (int i = 0; i < COSTED; i++)
		attached(b);
	c1 = counts(b);
	wire__statistics(b->wire, false);
	printf("%-28s %.0f ns a request, both ends together (%.0f requests)\n", "BPF run time",
	       (double)(c1.bpf_ns - c0.bpf_ns) / (b->handled - before), b->handled - before);
}

/* ---- the other tool */

struct tool {
	pid_t pid;
	FILE *out;
};

/* Returns when it says that it is ready. */
static void tool__start(struct tool *t, const char *command)
{
	char line[256];
	int fd[2];

	if (pipe(fd))
		die("pipe");
	t->pid = fork();
	if (!t->pid) {
		prctl(PR_SET_PDEATHSIG, SIGINT);
		dup2(fd[1], STDOUT_FILENO);
		close(fd[0]);
		close(fd[1]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	t->out = fdopen(fd[0], "r");
	do {
		if (!t->out || !fgets(line, sizeof(line), t->out))
			die("the other tool ended before it was ready");
	} while (strncmp(line, "ready", 5) != 0);
	sleep(2); /* what it prints first, it prints in front of the last attachment */
}

/* What it says that @n is. */
static double tool__stop(struct tool *t)
{
	double n = NAN, x;
	char line[256];

	kill(t->pid, SIGINT);
	while (fgets(line, sizeof(line), t->out)) {
		if (sscanf(line, "@n: %lf", &x) == 1)
			n = x;
	}
	fclose(t->out);
	waitpid(t->pid, NULL, 0);
	return n;
}

static void measure_other(struct bench *b)
{
	double requests = 0, measured = 0;
	int n = b->pairs / BLOCK * BLOCK;

	for (int i = 0; i < n; i += BLOCK) {
		struct tool t = {0};

		for (int k = 0; k < 2; k++) {
			int on = (k + i / BLOCK) % 2;

			if (on)
				tool__start(&t, b->other);
			for (int j = i; j < i + BLOCK; j++) {
				struct load l = slice(b);

				keep(b, on ? HOPSCOPE : BARE, j, &l); /* its column */
				requests += on ? l.requests : 0;
			}
			if (on)
				measured += tool__stop(&t);
		}
	}
	if (!n)
		return;
	print_differences(b, "bpftrace", HOPSCOPE, n, 0);
	printf("%-28s %.0f of %.0f (%.1f %%)\n", "bpftrace measured", measured, requests,
	       100 * measured / requests);
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct wire_opts opts = {.n_ports = 1};

	b.pairs = argc > 1 ? atoi(argv[1]) : 0;
	if (b.pairs < 2 || b.pairs > PAIRS_MAX || argc < 6 || argc > 7) {
		fprintf(stderr, "usage: traffic PAIRS PORT PID LOAD COUNTER [OTHER]\n");
		return 2;
	}
	b.port = (unsigned int)atoi(argv[2]);
	opts.ports[0] = (uint16_t)b.port;
	b.server = atoi(argv[3]);
	b.load = argv[4];
	b.counter = argv[5];
	b.other = argc > 6 && *argv[6] ? argv[6] : NULL;
	if (wire__open(&b.wire, &opts) || empty__open(&b.empty))
		return 1;
	measure(&b);
	print_account(&b);
	print_cost(&b);
	wire__close(b.wire);
	empty__close(&b.empty);
	if (b.other)
		measure_other(&b);
	return 0;
}
