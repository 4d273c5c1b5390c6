/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of brokers: nats://[user[:password]@]host[:port]. */
#ifndef HOPSCOPE_BENCH_URL_H
#define HOPSCOPE_BENCH_URL_H

#include <stddef.h>
#include <stdint.h>

#define URL_LEN	     512
#define URL_HOST_LEN 256

struct url {
	char user[URL_LEN]; /* "user:password@" or "" */
	char host[URL_HOST_LEN];
	uint16_t port;
};

/* 0, or -EINVAL with *why set. */
int url__parse(struct url *u, const char *text, const char **why);
/* As a client wants it. Returns buf. */
const char *url__format(const struct url *u, char buf[URL_LEN + URL_HOST_LEN + 32]);
/* host:port, without what is secret. Returns buf. */
const char *url__address(const struct url *u, char *buf, size_t size);

#endif
