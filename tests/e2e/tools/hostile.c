// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hostile PORT [OPTION=VALUE]...: bytes that are not the protocol, in the middle of connections
 * that speak it. This program is both ends, as two processes that play the same script: good
 * exchanges ("before"), the bytes, good exchanges ("after"), one after the other.
 *
 *	to=PORT   says it to a server of somebody else's instead, which is free to hang up
 *	proto=nats|http|redis  only these
 *	only=N    only case N
 *	fuzz=N    and N more: good exchanges in which some bytes are others
 *	seed=N    of those
 *
 * NATS: subjects hostile.before and hostile.after; HTTP: GET /before, /after; Redis: INCR, DECR.
 * Requests that are in the payload of others are to hostile.never, GET /never, GETDEL: nobody makes
 * them. Prints {"cases", "nats", "http", "redis"}: the numbers of good exchanges before (and of
 * those after) by protocol.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOOD	 10 /* exchanges before the bytes, and after */
#define MAX_TEXT (4u << 20)

enum proto { NATS, HTTP, REDIS, PROTOS };
enum side { CLIENT, SERVER };

static const char *const proto_names[] = {"nats", "http", "redis"};

/* `begin`, `times` times `middle`, `end`; then what the other side says to that. */
struct hostile {
	enum proto proto;
	enum side side;
	const char *begin, *middle;
	unsigned int times;
	const char *end, *other;
};

#define LOTS	   1000000
#define NEVER_NATS "PUB hostile.never _INBOX.never 2\r\nhi\r\n"
#define NEVER_HTTP "GET /never HTTP/1.1\r\nHost: h\r\n\r\n"
#define NEVER_RESP "*2\r\n$6\r\nGETDEL\r\n$1\r\na\r\n"

static const struct hostile cases[] = {
	/* verbs inside payloads */
	{NATS, CLIENT, "PUB hostile.carrier 3800\r\n", NEVER_NATS, 100, "\r\n", NULL},
	{NATS, CLIENT, "PUB hostile.carrier 950000\r\n", NEVER_NATS, 25000, "\r\n", NULL},
	{NATS, SERVER, "MSG hostile.carrier 1 3800\r\n", NEVER_NATS, 100, "\r\n", NULL},
	{NATS, CLIENT, "HPUB hostile.carrier 12 3812\r\nNATS/1.0\r\n\r\n", NEVER_NATS, 100, "\r\n",
	 NULL},
	{HTTP, CLIENT, "POST /carrier HTTP/1.1\r\nContent-Length: 3200\r\n\r\n", NEVER_HTTP, 100,
	 "", "HTTP/1.1 204 No\r\n\r\n"},
	{HTTP, CLIENT, "POST /carrier HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n",
	 NEVER_HTTP "\r\n20\r\n", 100, NEVER_HTTP "\r\n0\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n"},
	{REDIS, CLIENT, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2300\r\n", NEVER_RESP, 100, "\r\n",
	 "+OK\r\n"},
	/* control lines that end early, or are none */
	{NATS, CLIENT, "PUB\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB \r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x _INBOX.x\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB a b c d e f 2\r\nhi\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "", "PUB ", 20000, "\r\n", NULL},
	{NATS, CLIENT, "", "\r\n", 20000, "", NULL},
	{NATS, CLIENT, "", " ", LOTS, "\r\n", NULL},
	{NATS, CLIENT, "PU", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x _INBOX.x 2\r\nh", "", 0, "", NULL},
	{NATS, CLIENT, "SUB\r\nUNSUB\r\nCONNECT\r\nHPUB\r\nRS+\r\nA-\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "", "PING\r\n", 20000, "", NULL},
	{NATS, SERVER, "", "+OK\r\n", 20000, "", NULL},
	{NATS, SERVER, "MSG\r\n", "", 0, "", NULL},
	{NATS, SERVER, "MSG hostile.x\r\n", "", 0, "", NULL},
	{NATS, SERVER, "-ERR\r\n-ERR '", "x", LOTS, "'\r\n", NULL},
	{NATS, SERVER, "INFO {", "[", LOTS, "", NULL},
	{HTTP, CLIENT, "GET\r\n\r\n", "", 0, "", NULL},
	{HTTP, CLIENT, "GET /x\r\n\r\n", "", 0, "", NULL},
	{HTTP, CLIENT, "GET /x HTTP/9.9\r\n\r\n", "", 0, "", NULL},
	{HTTP, CLIENT, "GET /x HTTP/1.1\r\n", "", 0, "", NULL},
	{HTTP, CLIENT, "", "\r\n", 20000, "", NULL},
	{HTTP, SERVER, "HTTP/1.1 \r\n\r\n", "", 0, "", NULL},
	{HTTP, SERVER, "HTTP/1.1 99999 x\r\n\r\n", "", 0, "", NULL},
	{REDIS, CLIENT, "*\r\n", "", 0, "", NULL},
	{REDIS, CLIENT, "*2\r\n$3\r\nGET\r\n", "", 0, "", NULL},
	{REDIS, CLIENT, "", "*1\r\n", 50000, "", NULL},
	{REDIS, SERVER, "", "*1\r\n", 50000, "", NULL},
	/* lengths */
	{NATS, CLIENT, "PUB hostile.x -1\r\n\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x +2\r\nhi\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x 2a\r\nhi\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x 0x2\r\nhi\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x 2147483648\r\nhi\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x 4294967298\r\nhi\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x 18446744073709551618\r\nhi\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x ", "9", 3000, "\r\nhi\r\n", NULL},
	{NATS, CLIENT, "PUB hostile.x 2\r\nhello\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "PUB hostile.x 60000000\r\nhi\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "HPUB hostile.x 12 2\r\nNATS/1.0\r\n\r\n\r\n", "", 0, "", NULL},
	{NATS, CLIENT, "HPUB hostile.x 4294967308 4294967310\r\nNATS/1.0\r\n\r\nhi\r\n", "", 0, "",
	 NULL},
	{NATS, SERVER, "MSG hostile.x 1 4294967298\r\nhi\r\n", "", 0, "", NULL},
	{NATS, SERVER, "HMSG hostile.x 1 0 -1\r\n\r\n", "", 0, "", NULL},
	{HTTP, CLIENT, "POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "", 0, "", NULL},
	{HTTP, CLIENT, "POST /x HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\nx", "", 0,
	 "", NULL},
	{HTTP, CLIENT, "POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "", 0,
	 "", NULL},
	{HTTP, CLIENT, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
	 "", 0, "", NULL},
	{HTTP, CLIENT, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "", 0, "",
	 NULL},
	{HTTP, SERVER, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "", 0, "",
	 NULL},
	{REDIS, CLIENT, "*-5\r\n*1000000000\r\n", "", 0, "", NULL},
	{REDIS, CLIENT, "*18446744073709551617\r\n", "", 0, "", NULL},
	{REDIS, CLIENT, "*2\r\n$3\r\nGET\r\n$-7\r\n", "", 0, "", NULL},
	{REDIS, CLIENT, "*2\r\n$3\r\nGET\r\n$4294967297\r\na\r\n", "", 0, "", NULL},
	{REDIS, SERVER, "$-2\r\n*-2\r\n", "", 0, "", NULL},
	{REDIS, SERVER, "%1000000000\r\n", "", 0, "", NULL},
	/* lines too long, names that are none */
	{NATS, CLIENT, "PUB ", "x", LOTS, "", NULL},
	{NATS, CLIENT, "PUB hostile", ".abcd", 1000, " 2\r\nhi\r\n", NULL},
	{NATS, CLIENT, "PUB hostile.\033[31m\377\376\"\\{} _INBOX.\033\200 2\r\nhi\r\n", "", 0, "",
	 "MSG _INBOX.\033\200 1 2\r\nhi\r\n"},
	{NATS, SERVER, "MSG ", "x", LOTS, "", NULL},
	{HTTP, CLIENT, "GET /", "x", LOTS, "", NULL},
	{HTTP, CLIENT, "GET /\033[31m\377\376\"\\{} HTTP/1.1\r\n\r\n", "", 0, "",
	 "HTTP/1.1 204 No\r\n\r\n"},
	{HTTP, CLIENT, "GET /x HTTP/1.1\r\nA: ", "x", LOTS, "", NULL},
	{HTTP, CLIENT, "GET /x HTTP/1.1\r\n", "A: b\r\n", 20000, "", NULL},
	{REDIS, CLIENT, "SET a ", "x", LOTS, "\r\n", NULL},
	/* of another protocol, of none, and answers that nobody asked for */
	{NATS, CLIENT, "", NEVER_HTTP, 20, "", NULL},
	{NATS, CLIENT, "\026\003\001\002", "\1", 512, "", NULL},
	{HTTP, CLIENT, "", NEVER_NATS, 20, "", NULL},
	{REDIS, CLIENT, "", NEVER_HTTP, 20, "", NULL},
	{NATS, SERVER, "", "MSG _INBOX.nobody 1 2\r\nhi\r\n", 1000, "", NULL},
	{HTTP, SERVER, "", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 1000, "", NULL},
	{HTTP, SERVER, "", "HTTP/1.1 100 Continue\r\n\r\n", 20000, "", NULL},
	{REDIS, SERVER, "", "+OK\r\n", 1000, "", NULL},
};

#define CASES (sizeof(cases) / sizeof(*cases))

struct text {
	char *at;
	size_t len;
};

static struct play {
	enum side me;
	int fd;
	uint64_t random; /* the same on both sides */
	struct text text;
} play;

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "hostile: %s: %s: %s\n", play.me == CLIENT ? "client" : "server", what,
		errno ? strerror(errno) : "failed");
	exit(1);
}

static uint32_t pick(uint32_t below)
{
	play.random ^= play.random << 13;
	play.random ^= play.random >> 7;
	play.random ^= play.random << 17;
	return (uint32_t)((play.random >> 11) % below);
}

static void add(struct text *t, const char *what)
{
	size_t n = strlen(what);

	if (t->len + n > MAX_TEXT)
		die("too long");
	memcpy(t->at + t->len, what, n);
	t->len += n;
}

/* ---- both ends, in step */

static void send_text(const struct text *t)
{
	for (size_t at = 0; at < t->len;) {
		ssize_t n = send(play.fd, t->at + at, t->len - at, MSG_NOSIGNAL);

		if (n <= 0)
			die("send");
		at += (size_t)n;
	}
}

static void read_text(const struct text *t)
{
	static char buf[65536];

	for (size_t at = 0; at < t->len;) {
		size_t left = t->len - at;
		ssize_t n = recv(play.fd, buf, left < sizeof(buf) ? left : sizeof(buf), 0);

		if (n <= 0)
			die("receive");
		if (memcmp(buf, t->at + at, (size_t)n))
			die("not what the other side says");
		at += (size_t)n;
	}
}

/* One side says what is in play.text, the other one hears it. */
static void said_by(enum side side)
{
	if (side == play.me)
		send_text(&play.text);
	else
		read_text(&play.text);
	play.text.len = 0;
}

static void say(enum side side, const char *what)
{
	add(&play.text, what);
	said_by(side);
}

static void greet(enum proto proto)
{
	if (proto != NATS)
		return;
	say(SERVER,
	    "INFO {\"server_id\":\"H\",\"version\":\"2.9.10\",\"max_payload\":1048576} \r\n");
	say(CLIENT, "CONNECT {\"verbose\":false}\r\nSUB _INBOX.> 1\r\nPING\r\n");
	say(SERVER, "PONG\r\n");
}

/* Texts of exchange i. */
static void write_request(enum proto proto, const char *when, unsigned int i)
{
	char line[128];

	if (proto == NATS)
		snprintf(line, sizeof(line), "PUB hostile.%s _INBOX.%s.%u 2\r\nhi\r\n", when, when,
			 i);
	else if (proto == HTTP)
		snprintf(line, sizeof(line), "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", when);
	else
		snprintf(line, sizeof(line), "*2\r\n$4\r\n%s\r\n$1\r\na\r\n",
			 *when == 'b' ? "INCR" : "DECR");
	add(&play.text, line);
}

static void write_answer(enum proto proto, const char *when, unsigned int i)
{
	char line[128];

	if (proto == NATS)
		snprintf(line, sizeof(line), "MSG _INBOX.%s.%u 1 2\r\nhi\r\n", when, i);
	else if (proto == HTTP)
		snprintf(line, sizeof(line), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	else
		snprintf(line, sizeof(line), ":1\r\n");
	add(&play.text, line);
}

static void exchange(enum proto proto, const char *when)
{
	for (unsigned int i = 0; i < GOOD; i++) {
		write_request(proto, when, i);
		said_by(CLIENT);
		write_answer(proto, when, i);
		said_by(SERVER);
	}
}

static void write_case(const struct hostile *h)
{
	add(&play.text, h->begin);
	for (unsigned int i = 0; i < h->times; i++)
		add(&play.text, h->middle);
	add(&play.text, h->end);
}

/* Good exchanges of one side, and some of their bytes are others, or gone. */
static void write_mutant(enum proto proto, enum side side)
{
	unsigned int n = 1 + pick(4);

	for (unsigned int i = 0; i < GOOD; i++)
		side == CLIENT ? write_request(proto, "mutant", i)
			       : write_answer(proto, "mutant", i);
	while (n--) {
		size_t at = pick((uint32_t)play.text.len - 1);

		switch (pick(3)) {
		case 0: play.text.at[at] = (char)pick(256); break;
		case 1: play.text.at[at] = "\r\n 9$*-"[pick(7)]; break;
		default:
			memmove(play.text.at + at, play.text.at + at + 1, play.text.len - at - 1);
			play.text.len--;
		}
	}
}

static void play_case(unsigned int number)
{
	const struct hostile *h = number < CASES ? &cases[number] : NULL;
	enum proto proto = h ? h->proto : number % PROTOS;
	enum side side = h ? h->side : pick(2);

	greet(proto);
	exchange(proto, "before");
	if (h)
		write_case(h);
	else
		write_mutant(proto, side);
	said_by(side);
	if (h && h->other)
		say(!side, h->other);
	exchange(proto, "after");
}

/* ---- a server of somebody else's */

static void connect_to(struct sockaddr_in *to)
{
	int one = 1;

	play.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (play.fd < 0 || connect(play.fd, (struct sockaddr *)to, sizeof(*to)))
		die("connect");
	setsockopt(play.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Whatever it says until it has not said anything for a while, or hangs up. */
static void drain(int ms)
{
	struct pollfd fd = {.fd = play.fd, .events = POLLIN};
	static char buf[65536];

	while (poll(&fd, 1, ms) == 1 && recv(play.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void tell_server(struct sockaddr_in *to, const struct hostile *h)
{
	const char *const hello[] = {"CONNECT {\"verbose\":false}\r\nPING\r\n",
				     "GET /small HTTP/1.1\r\nHost: h\r\n\r\n",
				     "*1\r\n$4\r\nPING\r\n"};

	connect_to(to);
	add(&play.text, hello[h->proto]);
	send_text(&play.text);
	drain(20);
	play.text.len = 0;
	write_case(h);
	/* It may hang up while it is told. */
	if (send(play.fd, play.text.at, play.text.len, MSG_NOSIGNAL) > 0)
		shutdown(play.fd, SHUT_WR);
	drain(100);
	play.text.len = 0;
	close(play.fd);
}

/* ---- the run */

static struct run {
	struct sockaddr_in to;
	const char *proto;
	unsigned int only, fuzz;
	uint64_t seed;
	unsigned int cases, good[PROTOS];
} run;

static bool wanted(unsigned int number)
{
	enum proto proto = number < CASES ? cases[number].proto : number % PROTOS;

	return (!run.proto || !strcmp(run.proto, proto_names[proto])) &&
	       (run.only == ~0u || run.only == number);
}

static void play_all(int listener)
{
	for (unsigned int i = 0; i < CASES + run.fuzz; i++) {
		if (!wanted(i))
			continue;
		play.random = run.seed * 0x9e3779b97f4a7c15 + i + 1;
		if (play.me == CLIENT)
			connect_to(&run.to);
		else
			play.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		play_case(i);
		close(play.fd);
		run.cases++;
		run.good[i < CASES ? cases[i].proto : i % PROTOS] += GOOD;
	}
}

static void both_ends(void)
{
	int one = 1, status, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t child;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&run.to, sizeof(run.to)) || listen(listener, 16))
		die("listen");
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		play.me = SERVER;
	}
	play_all(listener);
	if (!child)
		_exit(0);
	if (waitpid(child, &status, 0) != child || status)
		die("the server");
}

static const char *option(char **argv, const char *name, const char *otherwise)
{
	size_t len = strlen(name);

	for (; *argv; argv++) {
		if (!strncmp(*argv, name, len) && (*argv)[len] == '=')
			return *argv + len + 1;
	}
	return otherwise;
}

int main(int argc, char **argv)
{
	const char *to;

	if (argc < 2)
		return 2;
	to = option(argv + 2, "to", NULL);
	run.proto = option(argv + 2, "proto", NULL);
	run.only = (unsigned int)strtol(option(argv + 2, "only", "-1"), NULL, 10);
	run.fuzz = (unsigned int)strtoul(option(argv + 2, "fuzz", "0"), NULL, 10);
	run.seed = strtoull(option(argv + 2, "seed", "1"), NULL, 10);
	run.to = (struct sockaddr_in){.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)atoi(to ? to : argv[1])),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	play.text.at = malloc(MAX_TEXT);
	if (!play.text.at)
		die("memory");
	if (!to)
		both_ends();
	for (unsigned int i = 0; to && i < CASES; i++) {
		if (!wanted(i) || cases[i].side != CLIENT)
			continue;
		tell_server(&run.to, &cases[i]);
		run.cases++;
	}
	printf("{\"cases\": %u, \"nats\": %u, \"http\": %u, \"redis\": %u}\n", run.cases,
	       run.good[NATS], run.good[HTTP], run.good[REDIS]);
	return 0;
}
