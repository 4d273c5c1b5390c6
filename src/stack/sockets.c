// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "stack/sockets.h"

#define TIMEOUT_S 2
#define ALIVE	  (1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT)

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

/* Sockets found, to be ended once the dump is over: the kernel walks the same tables for it. */
struct found {
	struct inet_diag_sockid *ids;
	size_t n, room;
};

static int add(struct found *f, const struct inet_diag_sockid *id)
{
	if (f->n == f->room) {
		size_t room = f->room ? 2 * f->room : 256;
		struct inet_diag_sockid *ids = realloc(f->ids, room * sizeof(*ids));

		if (!ids)
			return -ENOMEM;
		f->ids = ids;
		f->room = room;
	}
	f->ids[f->n++] = *id;
	return 0;
}

static int open_diag(void)
{
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static int ask(int fd, uint16_t type, uint16_t flags, uint8_t family,
	       const struct inet_diag_sockid *id)
{
	struct request r = {
		.head = {.nlmsg_len = sizeof(r), .nlmsg_type = type, .nlmsg_flags = flags},
		.body = {.sdiag_family = family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = ALIVE},
	};

	if (id)
		r.body.id = *id;
	return send(fd, &r, sizeof(r), 0) == (ssize_t)sizeof(r) ? 0 : -errno;
}

/* Attributes are aligned to 4 bytes, so that a u64 is copied. -ENOENT: the kernel gives none. */
static int cgroup_of(const struct nlmsghdr *h, uint64_t *cgroup)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a = (const struct rtattr *)(m + 1);
	int left = (int)NLMSG_PAYLOAD(h, sizeof(*m));

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type != INET_DIAG_CGROUP_ID || RTA_PAYLOAD(a) < sizeof(*cgroup))
			continue;
		memcpy(cgroup, RTA_DATA(a), sizeof(*cgroup));
		return 0;
	}
	return -ENOENT;
}

static int error_of(const struct nlmsghdr *h)
{
	return h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))
		       ? -EPROTO
		       : ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

/* 1: more will come. 0: that was the end. */
static int take(const struct nlmsghdr *h, uint64_t cgroup_id, struct found *f)
{
	uint64_t cgroup = 0;

	if (h->nlmsg_type == NLMSG_DONE)
		return 0;
	if (h->nlmsg_type == NLMSG_ERROR)
		return error_of(h);
	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 1;
	if (cgroup_of(h, &cgroup))
		return -EOPNOTSUPP;
	if (cgroup == cgroup_id) {
		int err = add(f, &((const struct inet_diag_msg *)NLMSG_DATA(h))->id);

		if (err)
			return err;
	}
	return 1;
}

static int find(int fd, uint8_t family, uint64_t cgroup_id, struct found *f)
{
	uint32_t buf[32 * 1024 / sizeof(uint32_t)];
	int err = ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, family, NULL);

	if (err)
		return err;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EPROTO;
		for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			err = take(h, cgroup_id, f);
			if (err <= 0)
				return err;
		}
	}
}

/* 0, -ENOENT: it has ended in the meantime. */
static int destroy(int fd, uint8_t family, const struct inet_diag_sockid *id)
{
	uint32_t buf[256];
	int err = ask(fd, SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, family, id);
	ssize_t n;

	if (err)
		return err;
	do
		n = recv(fd, buf, sizeof(buf), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return error_of((const struct nlmsghdr *)buf);
}

static int abort_family(int fd, uint8_t family, uint64_t cgroup_id, unsigned int *n)
{
	struct found f = {0};
	size_t i;
	int err = find(fd, family, cgroup_id, &f);

	for (i = 0; i < f.n && !err; i++) {
		err = destroy(fd, family, &f.ids[i]);
		*n += !err;
		if (err == -ENOENT)
			err = 0;
	}
	free(f.ids);
	return err;
}

int sockets__abort(uint64_t cgroup_id, unsigned int *n)
{
	int fd = open_diag();
	int err;

	*n = 0;
	if (fd < 0)
		return fd;
	err = abort_family(fd, AF_INET, cgroup_id, n);
	if (!err)
		err = abort_family(fd, AF_INET6, cgroup_id, n);
	close(fd);
	/* IPv6 may be off. */
	return err == -ENOENT ? 0 : err;
}
