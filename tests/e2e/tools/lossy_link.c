// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lossy_link PID PID [OPTION=VALUE]...: a device "lossy" in the network namespaces of two
 *processes, and between them a line that loses packets, hands on some twice, and some behind those
 *that came after them. (netem is not in every kernel.)
 *
 *	drop=N swap=N twice=N  per mille of the packets
 *	seed=N
 *
 * SIGUSR1: no packet passes any more. Ends with SIGTERM and prints {"passed", "dropped", "swapped",
 * "twice"}.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WAIT_MS 5 /* a packet that is to be overtaken waits no longer */

struct packet {
	size_t len;
	uint8_t bytes[65536];
};

static struct link {
	struct pollfd end[2];
	struct packet kept[2]; /* from this end, to be overtaken */
	unsigned int drop, swap, twice;
	uint64_t random;
	unsigned long passed, dropped, swapped, doubled;
} l;

static volatile sig_atomic_t ended, cut;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		cut = 1;
	else
		ended = 1;
}

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "lossy_link: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_end(const char *pid)
{
	struct ifreq dev = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	char path[64];
	int ns, fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNET))
		die(path);
	close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	memcpy(dev.ifr_name, "lossy", 6);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &dev))
		die("/dev/net/tun");
	return fd;
}

static bool chance(unsigned int per_mille)
{
	l.random ^= l.random << 13;
	l.random ^= l.random >> 7;
	l.random ^= l.random << 17;
	return (l.random >> 11) % 1000 < per_mille;
}

static void hand_on(int from, const struct packet *p)
{
	if (write(l.end[!from].fd, p->bytes, p->len) == (ssize_t)p->len)
		l.passed++;
	else
		l.dropped++;
}

static void release(int from)
{
	if (l.kept[from].len)
		hand_on(from, &l.kept[from]);
	l.kept[from].len = 0;
}

static void forward(int from)
{
	static struct packet p;
	ssize_t n = read(l.end[from].fd, p.bytes, sizeof(p.bytes));

	if (n <= 0)
		return;
	p.len = (size_t)n;
	if (cut || chance(l.drop)) {
		l.dropped++;
		return;
	}
	if (!l.kept[from].len && chance(l.swap)) {
		l.kept[from] = p;
		l.swapped++;
		return;
	}
	hand_on(from, &p);
	if (chance(l.twice)) {
		hand_on(from, &p);
		l.doubled++;
	}
	release(from);
}

static unsigned int option(char **argv, const char *name, unsigned int otherwise)
{
	size_t len = strlen(name);

	for (; *argv; argv++) {
		if (!strncmp(*argv, name, len) && (*argv)[len] == '=')
			return (unsigned int)strtoul(*argv + len + 1, NULL, 10);
	}
	return otherwise;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	bool told = false;

	if (argc < 3)
		return 2;
	l.drop = option(argv + 3, "drop", 0);
	l.swap = option(argv + 3, "swap", 0);
	l.twice = option(argv + 3, "twice", 0);
	l.random = option(argv + 3, "seed", 1) * 0x9e3779b97f4a7c15;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 2; i++)
		l.end[i] = (struct pollfd){.fd = open_end(argv[1 + i]), .events = POLLIN};
	fprintf(stderr, "ready\n");
	while (!ended) {
		int n = poll(l.end, 2, WAIT_MS);

		if (cut && !told) {
			told = true;
			fprintf(stderr, "cut\n");
		}
		for (int i = 0; i < 2; i++) {
			if (n > 0 && l.end[i].revents & POLLIN)
				forward(i);
			else if (n == 0)
				release(i);
		}
	}
	printf("{\"passed\": %lu, \"dropped\": %lu, \"swapped\": %lu, \"twice\": %lu}\n", l.passed,
	       l.dropped, l.swapped, l.doubled);
	return 0;
}
