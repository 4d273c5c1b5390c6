// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A NATS client and responder that say themselves, by the clock that the kernel's programs read,
 * what they did with each request: an account to hold `hopscope hops` against.
 *
 *	hop_peer answer HOST PORT SUBJECT [OPTION=VALUE]...
 *	hop_peer ask HOST PORT SUBJECT [OPTION=VALUE]...
 *	hop_peer spin ON_US OFF_US SECONDS
 *
 * answer: holds each request for as long as it asks for, any number at once, without being busy.
 *
 *	lag=US    finds out that there is something to read, then does not read it for so long
 *	account=FILE  at its end (SIGTERM): {"answered", "run_queue_ns"}, the second being what
 *		  the kernel's scheduler says that it waited for a processor since it began to
 *		  answer
 *
 * ask: makes requests. "%c" in the subject is the number of the connection, with mix=1 that of the
 * delay.
 *
 *	connections=1
 *	n=1       requests a connection
 *	inflight=1  at once on a connection
 *	delay=US[,US...]  how long the request is to be held; one for each connection, in turns, or
 *		  with mix=1 for each request
 *	slow=N,US,STEP  N requests of each connection, evenly spread, are to be held for US,
 *		  US + STEP, US + 2 STEP ... more
 *	pace=US   between an answer and the next request
 *	late=US   does not read its answers for so long
 *	size=0    bytes of the request's payload, at least
 *	first=1   later answers to the same request are ignored
 *	http=1    GET of the path SUBJECT from a web server instead: one at a time on a
 *		  connection, and only t0 and t1 are known
 *	warm=0    so many requests first, which do not count; then says "warm"
 *	go=FILE   and waits for it
 *
 * Prints {"ok", "calls": [[connection, hold_us, t0, poll, recv, came, goes, t1], ...]} with t0
 * before the send and t1 after the receive, as the caller saw them, and between them what the
 * responder did: found it was readable, began to read, had read, began to send. In ns of
 * CLOCK_MONOTONIC.
 *
 * spin: keeps a processor busy for ON, sleeps for OFF, until it has lived for SECONDS.
 *
 * All connections of an asker number their requests alike: reply subjects differ by their inbox
 * only, as those of nats.c do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 64
#define BUFFER		(1u << 20)
#define MAX_HELD	65536
#define MAX_SUBJECT	200
#define INBOX		"_INBOX.%s%02u"

typedef unsigned long long ns_t;

struct peer {
	int fd;
	char *in, *out; /* BUFFER each */
	size_t in_len, out_len;
	/* of an asker */
	unsigned int number, sent, answered;
};

/* MSG as it is in a buffer: valid until more is read. */
struct message {
	char subject[MAX_SUBJECT], reply[MAX_SUBJECT];
	const char *payload;
	size_t size;
};

static volatile sig_atomic_t stopped;

static ns_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (ns_t)t.tv_sec * 1000000000 + (ns_t)t.tv_nsec;
}

static void sleep_until(ns_t at)
{
	struct timespec t = {.tv_sec = (time_t)(at / 1000000000),
			     .tv_nsec = (long)(at % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR && !stopped)
		;
}

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* The value of OPTION= among the arguments, or NULL. */
static const char *option(char **argv, const char *name)
{
	size_t len = strlen(name);

	for (; *argv; argv++) {
		if (!strncmp(*argv, name, len) && (*argv)[len] == '=')
			return *argv + len + 1;
	}
	return NULL;
}

static unsigned int number(char **argv, const char *name, unsigned int otherwise)
{
	const char *text = option(argv, name);

	return text ? (unsigned int)strtoul(text, NULL, 10) : otherwise;
}

/* ---- NATS */

static void say(struct peer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct peer *p, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(p->out + p->out_len, BUFFER - p->out_len, format, args);
	va_end(args);
	if (n < 0 || p->out_len + (size_t)n >= BUFFER)
		die("too much to send");
	p->out_len += (size_t)n;
}

/* What was said, in one piece. */
static void send_all(struct peer *p)
{
	size_t at = 0;

	while (at < p->out_len) {
		ssize_t n = send(p->fd, p->out + at, p->out_len - at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("send: %s", strerror(errno));
		at += (size_t)n;
	}
	p->out_len = 0;
}

/* False at the end of the connection. */
static bool receive(struct peer *p)
{
	ssize_t n = recv(p->fd, p->in + p->in_len, BUFFER - p->in_len, 0);

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	p->in_len += (size_t)n;
	return true;
}

static void consume(struct peer *p, size_t *at)
{
	memmove(p->in, p->in + *at, p->in_len - *at);
	p->in_len -= *at;
	*at = 0;
}

/* The next MSG from *at on, which moves behind it; answers PING. False: more has to be read. */
static bool next_message(struct peer *p, size_t *at, struct message *m)
{
	for (;;) {
		char *line = p->in + *at, *end = memmem(line, p->in_len - *at, "\r\n", 2);
		unsigned long long size = 0;
		char sid[16];
		size_t head;

		if (!end)
			return false;
		head = (size_t)(end - line) + 2;
		*end = 0;
		if (strncmp(line, "MSG ", 4)) {
			if (!strncmp(line, "PING", 4)) {
				say(p, "PONG\r\n");
				send_all(p);
			} else if (line[0] == '-') {
				die("%s", line);
			}
			*at += head;
			continue;
		}
		if (sscanf(line, "MSG %199s %15s %199s %llu", m->subject, sid, m->reply, &size) !=
		    4) {
			m->reply[0] = 0;
			if (sscanf(line, "MSG %199s %15s %llu", m->subject, sid, &size) != 3)
				die("what is this? %s", line);
		}
		*end = '\r';
		if (p->in_len - *at < head + size + 2)
			return false;
		m->payload = line + head;
		m->size = size;
		*at += head + size + 2;
		return true;
	}
}

static void wait_pong(struct peer *p)
{
	char *pong;

	say(p, "PING\r\n");
	send_all(p);
	while (!(pong = memmem(p->in, p->in_len, "PONG\r\n", 6))) {
		if (!receive(p))
			die("the server closed the connection");
	}
	p->in_len = 0;
}

static void connect_peer(struct peer *p, const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *a = NULL;
	int one = 1;

	if (getaddrinfo(host, port, &hints, &a))
		die("%s: no such address", host);
	p->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, a->ai_addr, a->ai_addrlen))
		die("%s:%s: %s", host, port, strerror(errno));
	freeaddrinfo(a);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	p->in = calloc(1, BUFFER + 1); /* texts in it end */
	p->out = malloc(BUFFER);
	if (!p->in || !p->out)
		die("no memory");
}

static void say_connect(struct peer *p)
{
	say(p, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,"
	       "\"no_responders\":false,\"protocol\":1}\r\n");
}

/* ---- the responder */

struct held {
	ns_t due, poll, recv, came;
	char reply[MAX_SUBJECT];
};

/* A heap by the time when it is due. */
static struct held *held[MAX_HELD];
static size_t n_held;

static void hold(struct held *h)
{
	size_t i = n_held++;

	if (n_held == MAX_HELD)
		die("too many requests at once");
	for (; i && held[(i - 1) / 2]->due > h->due; i = (i - 1) / 2)
		held[i] = held[(i - 1) / 2];
	held[i] = h;
}

static struct held *release(void)
{
	struct held *first = held[0], *last = held[--n_held];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < n_held) {
		if (child + 1 < n_held && held[child + 1]->due < held[child]->due)
			child++;
		if (held[child]->due >= last->due)
			break;
		held[i] = held[child];
		i = child;
	}
	held[i] = last;
	return first;
}

/* Whatever is due, in one piece. */
static unsigned int answer_due(struct peer *p)
{
	unsigned int n = 0;

	while (n_held && held[0]->due <= now()) {
		struct held *h = release();
		char payload[128];
		int len = snprintf(payload, sizeof(payload), "%llu %llu %llu %llu", h->poll,
				   h->recv, h->came, now());

		say(p, "PUB %s %d\r\n%s\r\n", h->reply, len, payload);
		free(h);
		n++;
	}
	if (n)
		send_all(p);
	return n;
}

static void take_requests(struct peer *p, ns_t poll_at, ns_t recv_at)
{
	ns_t came = now();
	struct message m;
	size_t at = 0;

	while (next_message(p, &at, &m)) {
		struct held *h = malloc(sizeof(*h));

		if (!h)
			die("no memory");
		if (!m.reply[0])
			continue;
		*h = (struct held){came + strtoull(m.payload, NULL, 10) * 1000, poll_at, recv_at,
				   came, ""};
		snprintf(h->reply, sizeof(h->reply), "%s", m.reply);
		hold(h);
	}
	consume(p, &at);
}

/* Time in the run queue that the scheduler counted for this thread, in ns. */
static ns_t run_queue(void)
{
	FILE *f = fopen("/proc/thread-self/schedstat", "re");
	ns_t ran, waited = 0;

	if (!f || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		die("cannot read /proc/thread-self/schedstat");
	fclose(f);
	return waited;
}

static void on_signal(int sig)
{
	stopped = sig;
}

static void write_account(const char *path, unsigned long answered, ns_t waited)
{
	FILE *f = path ? fopen(path, "we") : NULL;

	if (!f)
		return;
	fprintf(f, "{\"answered\": %lu, \"run_queue_ns\": %llu}\n", answered, waited);
	fclose(f);
}

static int answer(char **argv)
{
	ns_t lag = number(argv + 3, "lag", 0) * 1000ull, waited = 0;
	struct sigaction action = {.sa_handler = on_signal};
	struct peer p = {0};
	unsigned long answered = 0;

	sigaction(SIGTERM, &action, NULL);
	connect_peer(&p, argv[0], argv[1]);
	say_connect(&p);
	say(&p, "SUB %s 1\r\n", argv[2]);
	wait_pong(&p);
	fprintf(stderr, "ready\n");
	while (!stopped) {
		struct pollfd fd = {.fd = p.fd, .events = POLLIN};
		struct timespec left = {0};
		ns_t found, begins;

		if (n_held && held[0]->due > (found = now())) {
			left.tv_sec = (time_t)((held[0]->due - found) / 1000000000);
			left.tv_nsec = (long)((held[0]->due - found) % 1000000000);
		}
		ppoll(&fd, 1, n_held ? &left : NULL, NULL);
		if (!stopped && fd.revents) {
			found = now();
			if (!answered)
				waited = run_queue();
			if (lag)
				sleep_until(found + lag);
			begins = now();
			if (!receive(&p))
				break;
			take_requests(&p, found, begins);
		}
		answered += answer_due(&p);
	}
	write_account(option(argv + 3, "account"), answered, run_queue() - waited);
	return 0;
}

/* ---- the asker */

struct call {
	unsigned int kind, hold_us;
	ns_t t[6]; /* t0, poll, recv, came, goes, t1 */
};

static struct asker {
	char **argv;
	struct peer peer[MAX_CONNECTIONS];
	unsigned int connections, n, inflight, pace_us, late_us, size, http, first, mix;
	unsigned int slow_n, slow_us, slow_step;
	char subject[MAX_SUBJECT], inbox[32], filler[65536];
	struct call *calls; /* n of each connection */
} asker;

/* Which of the delays a request has, and the number in its subject. */
static unsigned int kind_of(const struct asker *a, unsigned int connection, unsigned int i)
{
	const char *text = option(a->argv, "delay");
	unsigned int n = 1;

	for (; text && *text; text++)
		n += *text == ',';
	return a->mix ? i % n : connection;
}

static unsigned int hold_of(const struct asker *a, unsigned int kind, unsigned int i)
{
	const char *text = option(a->argv, "delay");
	unsigned int us = 0, of[MAX_CONNECTIONS], n = 0, every = a->slow_n ? a->n / a->slow_n : 0;

	for (; text && *text && n < MAX_CONNECTIONS; text += *text == ',')
		of[n++] = (unsigned int)strtoul(text, (char **)&text, 10);
	if (n)
		us = of[kind % n];
	if (every && i % every == every / 2 && i / every < a->slow_n)
		us += a->slow_us + i / every * a->slow_step;
	return us;
}

static void expand(char *out, size_t size, const char *subject, unsigned int kind)
{
	const char *at = strstr(subject, "%c");

	if (at)
		snprintf(out, size, "%.*s%u%s", (int)(at - subject), subject, kind, at + 2);
	else
		snprintf(out, size, "%s", subject);
}

/* Up to `inflight` requests on their way, those that are new in one piece. */
static void ask_more(struct asker *a, struct peer *p, struct call *calls, unsigned int n)
{
	char subject[MAX_SUBJECT], payload[32];
	int len, more;

	while (p->sent < n && p->sent - p->answered < a->inflight) {
		struct call *c = &calls[p->sent];

		c->kind = kind_of(a, p->number, p->sent);
		c->hold_us = hold_of(a, c->kind, p->sent);
		expand(subject, sizeof(subject), a->subject, c->kind);
		len = snprintf(payload, sizeof(payload), "%u ", c->hold_us);
		more = a->size > (unsigned int)len ? (int)a->size - len : 0;
		c->t[0] = now();
		if (a->http) {
			say(p, "GET %s HTTP/1.1\r\nHost: hops\r\n\r\n", subject);
			p->sent++;
			continue;
		}
		say(p, "PUB %s " INBOX ".%u %d\r\n%s%.*s\r\n", subject, a->inbox, p->number,
		    p->sent++, len + more, payload, more, a->filler);
	}
	if (p->out_len)
		send_all(p);
}

static void take_answers(struct peer *p, struct call *calls, unsigned int n, bool first)
{
	ns_t t1 = now();
	struct message m;
	size_t at = 0;
	char *text;

	while (next_message(p, &at, &m)) {
		const char *token = strrchr(m.subject, '.');
		unsigned int i = token ? (unsigned int)strtoul(token + 1, NULL, 10) : n;
		struct call *c = i < n ? &calls[i] : NULL;

		if (c && c->t[5] && first)
			continue;
		if (!c || c->t[5])
			die("an answer that nobody waits for: %s", m.subject);
		c->t[5] = t1;
		text = (char *)m.payload;
		for (int k = 1; k < 5; k++)
			c->t[k] = strtoull(text, &text, 10);
		p->answered++;
	}
	consume(p, &at);
}

/* The one on its way. False: more has to be read. */
static bool take_response(struct peer *p, struct call *calls)
{
	ns_t t1 = now();
	char *body = memmem(p->in, p->in_len, "\r\n\r\n", 4), *length;
	size_t size;

	if (!body)
		return false;
	if (strncmp(p->in, "HTTP/1.1 200 ", 13))
		die("not answered well: %.60s", p->in);
	*body = 0;
	length = strcasestr(p->in, "\r\nContent-Length:");
	if (!length)
		die("an answer without a length");
	size = strtoul(length + 17, NULL, 10);
	*body = '\r';
	if (p->in_len < (size_t)(body + 4 - p->in) + size)
		return false;
	calls[p->answered++].t[5] = t1;
	p->in_len = 0;
	return true;
}

/* n requests of each connection. */
static void ask_all(struct asker *a, unsigned int n)
{
	struct pollfd fds[MAX_CONNECTIONS];
	unsigned int open = a->connections, i;

	memset(a->calls, 0, (size_t)a->n * a->connections * sizeof(*a->calls));
	for (i = 0; i < a->connections; i++) {
		a->peer[i].sent = a->peer[i].answered = 0;
		fds[i] = (struct pollfd){.fd = a->peer[i].fd, .events = POLLIN};
		ask_more(a, &a->peer[i], a->calls + (size_t)i * a->n, n);
	}
	while (open) {
		if (poll(fds, a->connections, 20000) <= 0)
			die("no answer for 20 s");
		if (a->late_us)
			sleep_until(now() + a->late_us * 1000ull);
		for (i = 0; i < a->connections; i++) {
			struct peer *p = &a->peer[i];
			struct call *calls = a->calls + (size_t)i * a->n;

			if (!fds[i].revents)
				continue;
			if (!receive(p))
				die("the server closed the connection");
			if (!a->http)
				take_answers(p, calls, n, a->first);
			else if (!take_response(p, calls))
				continue;
			if (p->answered == n) {
				fds[i].fd = -1;
				open--;
				continue;
			}
			if (a->pace_us)
				sleep_until(now() + a->pace_us * 1000ull);
			ask_more(a, p, calls, n);
		}
	}
}

static void print_calls(const struct asker *a)
{
	size_t total = (size_t)a->n * a->connections;

	printf("{\"ok\": %zu, \"calls\": [", total);
	for (size_t i = 0; i < total; i++) {
		const struct call *c = &a->calls[i];

		printf("%s[%u,%u", i ? "," : "", c->kind, c->hold_us);
		for (int k = 0; k < 6; k++)
			printf(",%llu", c->t[k]);
		printf("]");
	}
	printf("]}\n");
}

/* Reply subjects are not used twice: X is for those that count. */
static void subscribe(struct asker *a, struct peer *p)
{
	say_connect(p);
	for (int k = 0; k < 2; k++) {
		a->inbox[0] = "XW"[k];
		say(p, "SUB " INBOX ".* %d\r\n", a->inbox, p->number, k + 1);
	}
	wait_pong(p);
}

static int ask(char **argv)
{
	struct asker *a = &asker;
	const char *slow = option(argv + 3, "slow"), *go = option(argv + 3, "go");
	unsigned int warm = number(argv + 3, "warm", 0);

	a->argv = argv + 3;
	a->connections = number(argv + 3, "connections", 1);
	a->n = number(argv + 3, "n", 1);
	a->inflight = number(argv + 3, "inflight", 1);
	a->pace_us = number(argv + 3, "pace", 0);
	a->late_us = number(argv + 3, "late", 0);
	a->size = number(argv + 3, "size", 0);
	a->http = number(argv + 3, "http", 0);
	a->first = number(argv + 3, "first", 0);
	a->mix = number(argv + 3, "mix", 0);
	if (slow && sscanf(slow, "%u,%u,%u", &a->slow_n, &a->slow_us, &a->slow_step) != 3)
		return 2;
	if (!a->connections || a->connections > MAX_CONNECTIONS || warm > a->n ||
	    a->size > sizeof(a->filler) || (a->http && a->inflight > 1))
		return 2;
	memset(a->filler, 'x', sizeof(a->filler));
	snprintf(a->subject, sizeof(a->subject), "%s", argv[2]);
	snprintf(a->inbox, sizeof(a->inbox), "%013llX%07d", now() & 0xfffffffffffff, getpid());
	a->calls = calloc((size_t)a->n * a->connections, sizeof(*a->calls));
	for (unsigned int i = 0; i < a->connections; i++) {
		a->peer[i].number = i;
		connect_peer(&a->peer[i], argv[0], argv[1]);
		if (!a->http)
			subscribe(a, &a->peer[i]);
	}
	if (warm)
		ask_all(a, warm);
	fprintf(stderr, "warm\n");
	while (go && access(go, F_OK))
		usleep(5000);
	a->inbox[0] = 'X';
	ask_all(a, a->n);
	print_calls(a);
	return 0;
}

/* ---- the busy one */

static int spin(char **argv)
{
	ns_t on = strtoull(argv[0], NULL, 10) * 1000, off = strtoull(argv[1], NULL, 10) * 1000;
	ns_t end = now() + strtoull(argv[2], NULL, 10) * 1000000000, until;

	fprintf(stderr, "ready\n");
	while ((until = now() + on) < end) {
		while (now() < until)
			;
		sleep_until(now() + off);
	}
	return 0;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_TIMERSLACK, 1);
	if (argc >= 5 && !strcmp(argv[1], "answer")) {
		prctl(PR_SET_NAME, "hop_answer");
		return answer(argv + 2);
	}
	if (argc >= 5 && !strcmp(argv[1], "ask")) {
		prctl(PR_SET_NAME, "hop_ask");
		return ask(argv + 2);
	}
	if (argc == 5 && !strcmp(argv[1], "spin")) {
		prctl(PR_SET_NAME, "hop_spin");
		return spin(argv + 2);
	}
	return 2;
}
