// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A client and a server that speak HTTP over TLS with each other, in the ways that matter to who
 * listens at the library's functions. Says on stdout what it did, as JSON.
 *
 *	tls_peer CERT KEY WAY N [PORT]
 *
 * plain    N requests, blocking
 * ex       the same with SSL_read_ex and SSL_write_ex
 * peek     every read is preceded by a peek
 * threads  the client writes in one thread and reads in another, N requests on their way at once
 * retry    the server writes 1 MB to a slow reader, non-blocking, and again what was not taken
 * partial  the same with SSL_MODE_ENABLE_PARTIAL_WRITE
 * hold     one request, waits for a line on stdin, then N requests: for who attaches meanwhile
 * reuse    N connections, each with one request that the server answers only every other time
 * bench    N requests and answers through memory, no sockets: prints the
 *          processor time of a write and its read, in ns
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BIG (1u << 20)

static SSL_CTX *server_ctx, *client_ctx;
static int listener, port;
static const char *way;
static long wanted_write, max_ns, min_ns = -1;

static void die(const char *what)
{
	perror(what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static bool is(const char *name)
{
	return !strcmp(way, name);
}

static long clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

static long now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static int get(SSL *ssl, char *buf, int size)
{
	char seen[16384];
	size_t n = 0;

	if (is("ex"))
		return SSL_read_ex(ssl, buf, (size_t)size, &n) ? (int)n : 0;
	if (is("peek"))
		SSL_peek(ssl, seen, sizeof(seen));
	return SSL_read(ssl, buf, size);
}

static void put(SSL *ssl, const char *buf, int n)
{
	size_t done;

	if (is("ex") ? !SSL_write_ex(ssl, buf, (size_t)n, &done) : SSL_write(ssl, buf, n) != n)
		die("write");
}

/* Writes all, waits where it must, and gives the library what it did not take once more. */
static void put_patiently(SSL *ssl, const char *buf, int n)
{
	struct pollfd p = {.fd = SSL_get_fd(ssl), .events = POLLOUT};

	while (n) {
		int took = SSL_write(ssl, buf, n);

		if (took > 0) {
			buf += took;
			n -= took;
			continue;
		}
		if (SSL_get_error(ssl, took) != SSL_ERROR_WANT_WRITE)
			die("write");
		wanted_write++;
		poll(&p, 1, -1);
	}
}

static void answer(SSL *ssl, long number)
{
	static char body[BIG];
	int size = is("retry") || is("partial") ? BIG : 5, n;
	char *all = malloc(BIG + 256);

	if (!all)
		die("malloc");
	memset(body, 'x', sizeof(body));
	n = sprintf(all, "HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n", number % 4 ? 200 : 404,
		    size);
	memcpy(all + n, body, (size_t)size);
	if (size == BIG)
		put_patiently(ssl, all, n + size);
	else
		put(ssl, all, n + size);
	free(all);
}

/* Answers requests until the client goes; requests may come several in a read. */
static void serve_one(SSL *ssl, long connection)
{
	char buf[16384];
	long number = 0;
	int n, run = 0;

	while ((n = get(ssl, buf, sizeof(buf))) > 0) {
		for (int i = 0; i < n; i++) {
			run = buf[i] == '\n' || buf[i] == '\r' ? run + 1 : 0;
			if (run != 4)
				continue;
			run = 0;
			if (is("reuse") && connection % 2)
				return;
			answer(ssl, ++number);
		}
	}
}

static void *serve(void *arg)
{
	bool slow = is("retry") || is("partial");

	for (long i = 1;; i++) {
		int fd = accept(listener, NULL, NULL), small = 4096;
		SSL *ssl = SSL_new(server_ctx);

		if (fd < 0 || !ssl)
			return arg;
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1) {
			if (slow) {
				setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
				SSL_set_mode(ssl,
					     is("partial")
						     ? SSL_MODE_ENABLE_PARTIAL_WRITE |
							       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
						     : SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
			}
			if (slow) /* reads wait all the same: SSL_read is called when there is
				     something */
				fcntl(fd, F_SETFL, 0);
			if (slow) {
				char request[4096];

				while (SSL_read(ssl, request, sizeof(request)) > 0) {
					fcntl(fd, F_SETFL, O_NONBLOCK);
					answer(ssl, 1);
					fcntl(fd, F_SETFL, 0);
				}
			} else {
				serve_one(ssl, i);
			}
		}
		SSL_shutdown(ssl);
		SSL_free(ssl);
		close(fd);
	}
}

static SSL *connected(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
	SSL *ssl = SSL_new(client_ctx);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) || !SSL_set_fd(ssl, fd) ||
	    SSL_connect(ssl) != 1)
		die("connect");
	return ssl;
}

static void leave(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void ask(SSL *ssl)
{
	static const char request[] = "GET /thing/7 HTTP/1.1\r\nHost: here\r\n\r\n";

	put(ssl, request, sizeof(request) - 1);
}

/* Reads n answers. False: the server went. */
static bool read_answers(SSL *ssl, long n)
{
	long left = 0, head = 0, line = 0;
	static __thread char buf[65536];
	bool slow = is("retry") || is("partial");

	while (n) {
		int got;

		if (slow)
			usleep(200);
		got = get(ssl, buf, slow ? 8192 : (int)sizeof(buf));
		if (got <= 0)
			return false;
		for (int i = 0; i < got; i++) {
			if (left) {
				left--;
				n -= !left;
				continue;
			}
			line = buf[i] == '\n' || buf[i] == '\r' ? line + 1 : 0;
			head++;
			if (line == 4) {
				left = slow ? BIG : 5;
				line = head = 0;
			}
		}
	}
	return true;
}

static void *ask_many(void *arg)
{
	for (long i = 0; i < *(long *)SSL_get_app_data((SSL *)arg); i++)
		ask(arg);
	return NULL;
}

static long exchange(SSL *ssl, long n)
{
	long done = 0;

	for (long i = 0; i < n; i++) {
		long begin = now_ns(), ns;

		ask(ssl);
		if (!read_answers(ssl, 1))
			break;
		ns = now_ns() - begin;
		max_ns = ns > max_ns ? ns : max_ns;
		min_ns = min_ns < 0 || ns < min_ns ? ns : min_ns;
		done++;
	}
	return done;
}

static long run(long n)
{
	long done = 0;
	SSL *ssl = NULL;

	if (!is("reuse"))
		ssl = connected();
	if (is("threads")) {
		pthread_t thread;

		SSL_set_app_data(ssl, (char *)&n);
		pthread_create(&thread, NULL, ask_many, ssl);
		done = read_answers(ssl, n) ? n : 0;
		pthread_join(thread, NULL);
	} else if (is("reuse")) {
		for (long i = 0; i < n; i++) {
			ssl = connected();
			done += exchange(ssl, 1);
			leave(ssl);
		}
		return done;
	} else {
		if (is("hold")) {
			done = exchange(ssl, 1);
			printf("{\"ready\":%d}\n", port);
			fflush(stdout);
			getchar();
		}
		done += exchange(ssl, n);
	}
	leave(ssl);
	return done;
}

static void bench(long n)
{
	static const char request[] = "GET /thing/7 HTTP/1.1\r\nHost: here\r\n\r\n";
	static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nxxxxx";
	SSL *a = SSL_new(server_ctx), *b = SSL_new(client_ctx);
	char buf[256];
	BIO *x, *y;
	long begin;

	BIO_new_bio_pair(&x, 65536, &y, 65536);
	SSL_set_bio(a, x, x);
	SSL_set_bio(b, y, y);
	SSL_set_accept_state(a);
	SSL_set_connect_state(b);
	while (!SSL_is_init_finished(a) || !SSL_is_init_finished(b)) {
		SSL_do_handshake(b);
		SSL_do_handshake(a);
	}
	SSL_read(b, buf, sizeof(buf)); /* session tickets */
	begin = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; i < n; i++) {
		if (SSL_write(b, request, sizeof(request) - 1) <= 0 ||
		    SSL_read(a, buf, sizeof(buf)) <= 0 ||
		    SSL_write(a, reply, sizeof(reply) - 1) <= 0 ||
		    SSL_read(b, buf, sizeof(buf)) <= 0)
			die("pair");
	}
	printf("%.0f\n", (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin) / (double)n / 2);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	pthread_t thread;
	long n, done;
	int one = 1;

	if (argc != 5 && argc != 6)
		return 2;
	a.sin_port = htons(argc == 6 ? (uint16_t)atoi(argv[5]) : 0);
	signal(SIGPIPE, SIG_IGN);
	way = argv[3];
	n = atol(argv[4]);
	server_ctx = SSL_CTX_new(TLS_server_method());
	client_ctx = SSL_CTX_new(TLS_client_method());
	if (SSL_CTX_use_certificate_chain_file(server_ctx, argv[1]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server_ctx, argv[2], SSL_FILETYPE_PEM) != 1)
		die("certificate");
	/*
	 * A ticket that one thread reads puts the connection into a handshake, and the other
	 * thread's write takes part in it: OpenSSL then fails, now and then.
	 */
	if (is("threads"))
		SSL_CTX_set_num_tickets(server_ctx, 0);
	if (is("bench")) {
		bench(n);
		return 0;
	}
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 16) ||
	    getsockname(listener, (struct sockaddr *)&a, &len))
		die("listen");
	port = ntohs(a.sin_port);
	pthread_create(&thread, NULL, serve, NULL);
	done = run(n);
	printf("{\"port\":%d,\"done\":%ld,\"wanted_write\":%ld,\"min_ns\":%ld,\"max_ns\":%ld}\n",
	       port, done, wanted_write, min_ns, max_ns);
	return 0;
}
