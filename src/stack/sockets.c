// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "stack/sockets.h"

#define TIMEOUT_S 2
/* <netinet/tcp.h> has names for these, but not all of struct tcp_info. */
#define ESTABLISHED 1
#define CLOSE_WAIT  8
#define ALIVE	    (1u << ESTABLISHED | 1u << CLOSE_WAIT)

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

/* Told of each socket of a dump. 0, or a negative errno that ends it. */
typedef int (*message_fn)(void *ctx, const struct nlmsghdr *h);

/* Sockets found, to be ended once the dump is over: the kernel walks the same tables for it. */
struct found {
	uint64_t cgroup_id;
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
			 .idiag_ext = id ? 0 : 1u << (INET_DIAG_INFO - 1),
			 .idiag_states = ALIVE},
	};

	if (id)
		r.body.id = *id;
	return send(fd, &r, sizeof(r), 0) == (ssize_t)sizeof(r) ? 0 : -errno;
}

/* NULL: the kernel gives none. */
static const struct rtattr *attribute(const struct nlmsghdr *h, unsigned short type)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a = (const struct rtattr *)(m + 1);
	int left = (int)NLMSG_PAYLOAD(h, sizeof(*m));

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == type)
			return a;
	return NULL;
}

/* Attributes are aligned to 4 bytes, so that a u64 is copied. -ENOENT: the kernel gives none. */
static int cgroup_of(const struct nlmsghdr *h, uint64_t *cgroup)
{
	const struct rtattr *a = attribute(h, INET_DIAG_CGROUP_ID);

	if (!a || RTA_PAYLOAD(a) < sizeof(*cgroup))
		return -ENOENT;
	memcpy(cgroup, RTA_DATA(a), sizeof(*cgroup));
	return 0;
}

static int error_of(const struct nlmsghdr *h)
{
	return h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))
		       ? -EPROTO
		       : ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

/* 1: more will come. 0: that was the end. */
static int take(const struct nlmsghdr *h, message_fn fn, void *ctx)
{
	int err;

	if (h->nlmsg_type == NLMSG_DONE)
		return 0;
	if (h->nlmsg_type == NLMSG_ERROR)
		return error_of(h);
	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 1;
	err = fn(ctx, h);
	return err ? err : 1;
}

static int take_found(void *ctx, const struct nlmsghdr *h)
{
	struct found *f = ctx;
	uint64_t cgroup = 0;

	if (cgroup_of(h, &cgroup))
		return -EOPNOTSUPP;
	if (cgroup != f->cgroup_id)
		return 0;
	return add(f, &((const struct inet_diag_msg *)NLMSG_DATA(h))->id);
}

static int walk(int fd, uint8_t family, message_fn fn, void *ctx)
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
			err = take(h, fn, ctx);
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
	struct found f = {.cgroup_id = cgroup_id};
	size_t i;
	int err = walk(fd, family, take_found, &f);

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

struct each {
	socket_fn fn;
	void *ctx;
};

static void address(uint8_t family, const __be32 *from, uint8_t to[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (family == AF_INET) {
		memcpy(to, mapped, 12);
		memcpy(to + 12, from, 4);
	} else {
		memcpy(to, from, 16);
	}
}

static int take_each(void *ctx, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a = attribute(h, INET_DIAG_INFO);
	const struct each *e = ctx;
	struct socket_info s = {
		.local_port = ntohs(m->id.idiag_sport),
		.remote_port = ntohs(m->id.idiag_dport),
	};
	struct tcp_info info = {0};

	if (cgroup_of(h, &s.cgroup))
		return -EOPNOTSUPP;
	/* An older kernel has less of it, a newer one more. */
	if (a)
		memcpy(&info, RTA_DATA(a),
		       RTA_PAYLOAD(a) < sizeof(info) ? RTA_PAYLOAD(a) : sizeof(info));
	address(m->idiag_family, m->id.idiag_src, s.local);
	address(m->idiag_family, m->id.idiag_dst, s.remote);
	s.segments = info.tcpi_data_segs_out;
	s.retransmits = info.tcpi_total_retrans;
	s.srtt_us = info.tcpi_rtt;
	return e->fn(e->ctx, &s);
}

int sockets__each(socket_fn fn, void *ctx)
{
	struct each e = {.fn = fn, .ctx = ctx};
	int fd = open_diag();
	int err;

	if (fd < 0)
		return fd;
	err = walk(fd, AF_INET, take_each, &e);
	if (!err)
		err = walk(fd, AF_INET6, take_each, &e);
	close(fd);
	return err == -ENOENT ? 0 : err;
}
