/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Network namespaces without a name: each lives as long as a descriptor of it or a process in it.
 * Links between them are made from inside; the namespace that we came from is not touched.
 */
#ifndef HOPSCOPE_STACK_NETNS_H
#define HOPSCOPE_STACK_NETNS_H

#include <stddef.h>

#define INET_ADDR_LEN 46 /* an address as text */

struct netns {
	int fd;	       /* of the namespace; close-on-exec. Read only while there is a name */
	char name[16]; /* for messages; "": there is none */
};

/* A new one, its loopback device down. 0 or negative errno after log_fail() (-EPERM). */
int netns__create(struct netns *ns, const char *name);
void netns__close(struct netns *ns);

/*
 * Sockets, files below /proc/thread-self/net and children of this thread are of the namespace from
 * now on, until netns__leave(back). *back: where it came from. 0 or negative errno.
 */
int netns__enter(const struct netns *ns, int *back);
/* Closes `back`. Aborts when there is no way back: nothing after it would be true. */
void netns__leave(int back);

/*
 * Runs a program in it and reads what it says on stdout and stderr. Results: those of
 * program__output_all().
 */
int netns__output(const struct netns *ns, char *const *argv, char *buf, size_t size,
		  unsigned int timeout_ms);
/*
 * Commands of `ip`, a line each, from a file. Another namespace of ours is named there by its
 * descriptor: /proc/PID/fd/N. 0 or negative errno after log_fail().
 */
int netns__ip(const struct netns *ns, const char *file);
/* Writes below /proc/sys/net of the namespace: "ipv4/ip_forward". 0 or negative errno. */
int netns__sysctl(const struct netns *ns, const char *name, const char *value);
/* A socket in it. The descriptor, or negative errno. */
int netns__socket(const struct netns *ns, int family, int type, int protocol);

#endif
