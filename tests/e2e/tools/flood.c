// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * flood nats|http HOST PORT WHAT [OPTION=VALUE]...: many requests, and an account of them.
 *
 * nats: requests to the subject WHAT through a server, answered by another connection of this
 * program. http: GETs of the path WHAT from a server of this program's own, at HOST:PORT.
 *
 *	n=1         requests altogether
 *	inflight=1  at once on a connection, those that are new in one piece of up to 64 KiB
 *	distinct=1  each has a name of its own, of letters: WHAT.abcdefg, WHAT/abcdefg
 *	hold=MS     none is answered before all have come (inflight=N) and so long has passed
 *	per=N       requests a connection, then there is another one
 *	rst=1       connections end with a reset
 *	from=PORT   they all come from this port
 *	pause=MS    between the first answer and the next request
 *	defer=1     http: TCP_DEFER_ACCEPT, the kernel accepts with the first request
 *	thread=1    all in a thread that is called "worker"
 *
 * It stays on the processor that it started on: on loopback segments of one connection overtake
 *each other when they are sent from two (docs/measured.md), and what a test counts would depend on
 *that.
 *
 * Prints {"ok", "connections", "sum_ns", "min_ns", "max_ns"}: from before a request is sent until
 * after its answer was received, in ns of CLOCK_MONOTONIC. Dies when an answer is wrong, is
 * nobody's, or does not come.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE	 65536
#define MAX_READ (1u << 20)

struct end {
	int fd;
	char *in, *out;
	size_t in_len, out_at, out_len, out_size;
};

static struct flood {
	struct sockaddr_in to;
	const char *what;
	char name[32];	/* nobody else's */
	char inbox[96]; /* one a connection: the server may not know yet that the last one ended */
	bool http, distinct, rst, defer;
	uint32_t n, inflight, hold_ms, per, from, pause_ms;
	struct end ask, answer;
	int listener;
	uint64_t *t0;		 /* of each request; 0: answered */
	uint32_t sent, answered; /* altogether */
	uint32_t first;		 /* of this connection */
	uint32_t came;		 /* requests that the other end has */
	uint32_t *held, n_held;	 /* with hold_ms */
	uint64_t held_ns, connections, sum_ns, min_ns, max_ns;
} f;

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "flood: %u sent, %u came, %u answered: ", f.sent, f.came, f.answered);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* ---- an end of a connection */

static __attribute__((format(printf, 2, 3))) void say(struct end *e, const char *format, ...)
{
	va_list args;
	int n;

	if (e->out_size - e->out_len < 512) {
		e->out_size += e->out_size / 2 + PIECE;
		e->out = realloc(e->out, e->out_size);
		if (!e->out)
			die("no memory");
	}
	va_start(args, format);
	n = vsnprintf(e->out + e->out_len, e->out_size - e->out_len, format, args);
	va_end(args);
	if (n < 0 || n >= 512)
		die("too much at once");
	e->out_len += (size_t)n;
}

static void flush(struct end *e)
{
	while (e->out_at < e->out_len) {
		size_t left = e->out_len - e->out_at;
		ssize_t n = send(e->fd, e->out + e->out_at, left < PIECE ? left : PIECE,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			die("send: %s", strerror(errno));
		e->out_at += (size_t)n;
	}
	e->out_at = e->out_len = 0;
}

static void fill(struct end *e)
{
	ssize_t n = recv(e->fd, e->in + e->in_len, MAX_READ - e->in_len, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		die("the other end: %s", n ? strerror(errno) : "closed");
	if (n > 0)
		e->in_len += (size_t)n;
	e->in[e->in_len] = 0;
}

static void used(struct end *e, const char *up_to)
{
	e->in_len -= (size_t)(up_to - e->in);
	memmove(e->in, up_to, e->in_len + 1);
}

static void take(struct end *e, int fd)
{
	int one = 1;

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!e->in)
		e->in = malloc(MAX_READ + 1);
	if (!e->in)
		die("no memory");
	*e->in = 0;
	e->in_len = e->out_at = e->out_len = 0;
	e->fd = fd;
}

static void connect_end(struct end *e, uint32_t from)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)from)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (from && bind(fd, (struct sockaddr *)&local, sizeof(local)))
		die("port %u: %s", from, strerror(errno));
	if (connect(fd, (struct sockaddr *)&f.to, sizeof(f.to)))
		die("connect: %s", strerror(errno));
	take(e, fd);
}

static void close_end(struct end *e, bool rst)
{
	struct linger now = {.l_onoff = 1};

	if (rst)
		setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(e->fd);
	e->fd = -1;
}

static int listen_here(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (f.defer && setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof(one)))
		die("TCP_DEFER_ACCEPT: %s", strerror(errno));
	if (bind(fd, (struct sockaddr *)&f.to, sizeof(f.to)) || listen(fd, 16))
		die("listen: %s", strerror(errno));
	return fd;
}

/* ---- requests and answers */

/* A number in letters: digits would be taken for an id, and all names for one. */
static void spell(char *out, uint32_t i)
{
	for (int k = 0; k < 8; k++, i >>= 4)
		out[k] = (char)('a' + (i & 15));
	out[8] = 0;
}

static void request(uint32_t i)
{
	char name[16] = "";

	if (f.distinct) {
		name[0] = f.http ? '/' : '.';
		spell(name + 1, i);
	}
	f.t0[i] = now();
	if (f.http)
		say(&f.ask, "GET %s%s HTTP/1.1\r\nHost: f\r\n\r\n", f.what, name);
	else
		say(&f.ask, "PUB %s%s %s%u 2\r\nhi\r\n", f.what, name, f.inbox, i);
}

static void reply(uint32_t i)
{
	if (f.http)
		say(&f.answer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	else
		say(&f.answer, "PUB %s%u 2\r\nhi\r\n", f.inbox, i);
}

static void request_came(uint32_t i)
{
	f.came++;
	if (!f.hold_ms) {
		reply(i);
		return;
	}
	f.held[f.n_held++] = i;
	if (f.n_held == f.n)
		f.held_ns = now();
}

static void answer_came(uint32_t i, uint64_t at)
{
	uint64_t ns;

	if (i >= f.sent || !f.t0[i])
		die("an answer to request %u, which nobody waits for", i);
	ns = at - f.t0[i];
	f.t0[i] = 0;
	f.sum_ns += ns;
	if (!f.answered++ || ns < f.min_ns)
		f.min_ns = ns;
	if (ns > f.max_ns)
		f.max_ns = ns;
}

static void release_held(void)
{
	struct timespec t = {.tv_sec = f.hold_ms / 1000, .tv_nsec = f.hold_ms % 1000 * 1000000L};

	nanosleep(&t, NULL);
	for (uint32_t i = 0; i < f.n_held; i++)
		reply(f.held[i]);
	f.held_ns = f.n_held = 0;
}

/* Number behind the inbox, of a subject or reply subject. */
static uint32_t number_of(const char *subject)
{
	if (strncmp(subject, f.inbox, strlen(f.inbox)))
		die("this is not ours: %.60s", subject);
	return (uint32_t)strtoul(subject + strlen(f.inbox), NULL, 10);
}

/* "MSG subject sid [reply] 2": all there is to read at a NATS end. */
static void read_nats(struct end *e, bool asks)
{
	uint64_t at = now();
	char *line = e->in, *stop, *token[6];
	size_t n;

	while ((stop = strstr(line, "\r\n"))) {
		char *next = stop + 2, *save;

		if (!strncmp(line, "MSG ", 4)) {
			if (e->in + e->in_len < next + 4)
				break;
			if (memcmp(next, "hi\r\n", 4))
				die("not what was sent: %.80s", line);
			*stop = 0;
			n = 0;
			for (char *t = strtok_r(line, " ", &save); t && n < 6;
			     t = strtok_r(NULL, " ", &save))
				token[n++] = t;
			if (asks && n == 4)
				answer_came(number_of(token[1]), at);
			else if (!asks && n == 5)
				request_came(number_of(token[3]));
			else
				die("a message of %zu parts", n);
			next += 4;
		} else if (*line == '-') {
			die("%.80s", line);
		} else if (!strncmp(line, "PING", 4)) {
			say(e, "PONG\r\n");
		}
		line = next;
	}
	used(e, line);
}

static void read_http(struct end *e, bool asks)
{
	uint64_t at = now();
	char *from = e->in, *stop;

	while ((stop = strstr(from, "\r\n\r\n"))) {
		stop += 4;
		if (asks) {
			if (e->in + e->in_len < stop + 2)
				break;
			if (strncmp(from, "HTTP/1.1 200 ", 13) || memcmp(stop, "hi", 2))
				die("not what was answered: %.60s", from);
			stop += 2;
			answer_came(f.answered, at);
		} else {
			request_came(f.came);
		}
		from = stop;
	}
	used(e, from);
}

/* ---- the run */

/* Clients do not speak before the server's INFO, nor do they ask before their PONG. */
static void await_line(struct end *e, const char *begin)
{
	const char *line, *end = NULL;

	while (!(line = strstr(e->in, begin)) || !(end = strstr(line, "\r\n"))) {
		struct pollfd fd = {.fd = e->fd, .events = POLLIN};

		if (poll(&fd, 1, 10000) <= 0)
			die("no %s", begin);
		fill(e);
	}
	used(e, end + 2);
}

static void ask_more(void);

static void open_asker(void)
{
	connect_end(&f.ask, f.from);
	f.first = f.sent;
	snprintf(f.inbox, sizeof(f.inbox), "_INBOX.%s.%" PRIu64 ".", f.name, f.connections++);
	if (f.defer) {
		ask_more();
		flush(&f.ask);
	}
	if (f.http)
		take(&f.answer, accept4(f.listener, NULL, NULL, SOCK_CLOEXEC));
	else {
		await_line(&f.ask, "INFO ");
		say(&f.ask, "CONNECT {\"verbose\":false}\r\nSUB %s* 1\r\n", f.inbox);
	}
}

static void close_asker(void)
{
	close_end(&f.ask, f.rst);
	if (f.http)
		close_end(&f.answer, false);
}

static void open_answerer(void)
{
	if (f.http) {
		f.listener = listen_here();
		return;
	}
	connect_end(&f.answer, 0);
	await_line(&f.answer, "INFO ");
	say(&f.answer, "CONNECT {\"verbose\":false}\r\nSUB %s%s 1\r\nPING\r\n", f.what,
	    f.distinct ? ".*" : "");
	flush(&f.answer);
	await_line(&f.answer, "PONG");
}

static bool may_ask(void)
{
	return f.sent < f.n && f.sent - f.first < f.per && f.sent - f.answered < f.inflight;
}

static void ask_more(void)
{
	if (f.pause_ms && f.sent == f.n / 2) {
		usleep(f.pause_ms * 1000);
		f.pause_ms = 0;
	}
	while (may_ask() && f.ask.out_len < PIECE - 512 && !(f.pause_ms && f.sent == f.n / 2))
		request(f.sent++);
}

static void turn(void)
{
	struct pollfd fd[2] = {{.fd = f.ask.fd, .events = POLLIN},
			       {.fd = f.answer.fd, .events = POLLIN}};

	if (stopped)
		die("stopped");
	if (f.held_ns)
		release_held();
	if (!f.ask.out_len)
		ask_more();
	flush(&f.ask);
	flush(&f.answer);
	fd[0].events |= f.ask.out_len || may_ask() ? POLLOUT : 0;
	fd[1].events |= f.answer.out_len ? POLLOUT : 0;
	if (poll(fd, 2, 20000) <= 0)
		die(stopped ? "stopped" : "nothing for 20 s");
	for (int i = 0; i < 2; i++) {
		struct end *e = i ? &f.answer : &f.ask;

		if (!(fd[i].revents & ~POLLOUT))
			continue;
		fill(e);
		f.http ? read_http(e, !i) : read_nats(e, !i);
	}
}

static void stay_here(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here))
		die("sched_setaffinity: %s", strerror(errno));
}

static void run(void)
{
	stay_here();
	open_answerer();
	while (f.answered < f.n) {
		uint32_t until = f.n - f.answered < f.per ? f.n : f.answered + f.per;

		open_asker();
		while (f.answered < until)
			turn();
		close_asker();
	}
}

static void *run_as_worker(void *unused)
{
	(void)unused;
	pthread_setname_np(pthread_self(), "worker");
	run();
	return NULL;
}

static void run_in_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run_as_worker, NULL) || pthread_join(thread, NULL))
		die("no thread");
}

static uint32_t option(char **argv, const char *name, uint32_t otherwise)
{
	size_t len = strlen(name);

	for (; *argv; argv++) {
		if (!strncmp(*argv, name, len) && (*argv)[len] == '=')
			return (uint32_t)strtoul(*argv + len + 1, NULL, 10);
	}
	return otherwise;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGTERM, &action, NULL);
	if (argc < 5 || (strcmp(argv[1], "nats") && strcmp(argv[1], "http"))) {
		fprintf(stderr, "usage: flood nats|http HOST PORT WHAT [OPTION=VALUE]...\n");
		return 2;
	}
	f.http = !strcmp(argv[1], "http");
	f.to.sin_family = AF_INET;
	f.to.sin_port = htons((uint16_t)atoi(argv[3]));
	f.what = argv[4];
	argv += 5;
	f.n = option(argv, "n", 1);
	f.hold_ms = option(argv, "hold", 0);
	f.inflight = f.hold_ms ? f.n : option(argv, "inflight", 1);
	f.distinct = option(argv, "distinct", 0);
	f.per = option(argv, "per", f.n);
	f.rst = option(argv, "rst", 0);
	f.from = option(argv, "from", 0);
	f.pause_ms = option(argv, "pause", 0);
	f.defer = option(argv, "defer", 0);
	f.t0 = calloc(f.n, sizeof(*f.t0));
	f.held = calloc(f.n, sizeof(*f.held));
	if (inet_pton(AF_INET, argv[-3], &f.to.sin_addr) != 1 || !f.t0 || !f.held)
		die("%s: no address", argv[-3]);
	/* Reply subjects are not used twice. */
	snprintf(f.name, sizeof(f.name), "%012" PRIX64 "%07d", now() & 0xffffffffffff, getpid());
	if (option(argv, "thread", 0))
		run_in_thread();
	else
		run();
	printf("{\"ok\": %u, \"connections\": %" PRIu64 ", \"sum_ns\": %" PRIu64
	       ", \"min_ns\": %" PRIu64 ", \"max_ns\": %" PRIu64 "}\n",
	       f.answered, f.connections, f.sum_ns, f.min_ns, f.max_ns);
	return 0;
}
