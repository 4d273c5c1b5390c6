/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One GET to a monitoring port on the loopback address. */
#ifndef HOPSCOPE_STACK_HTTP_H
#define HOPSCOPE_STACK_HTTP_H

#include <stddef.h>
#include <stdint.h>

/*
 * The body of a 200 answer as a string in `body` (cut to size). 0; -EPROTO: another status, no
 * HTTP, or larger than size; or negative errno.
 */
int http__get(uint16_t port, const char *path, char *body, size_t size, unsigned int timeout_ms);

#endif
