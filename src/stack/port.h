/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP ports on the loopback address. */
#ifndef HOPSCOPE_STACK_PORT_H
#define HOPSCOPE_STACK_PORT_H

#include <stddef.h>
#include <stdint.h>

/* n different free ports. They are free, not reserved: bind soon and be ready to ask again. */
int port__free(uint16_t *ports, size_t n);
/* 0 when it can be bound, else negative errno (-EADDRINUSE). */
int port__check(uint16_t port);
/* Whether something accepts connections there now. */
int port__connects(const char *host, uint16_t port, unsigned int timeout_ms);
/* A connection to the loopback address whose reads and writes are bounded; or negative errno. */
int port__open(uint16_t port, unsigned int timeout_ms);

#endif
