/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The TLS functions in one file that processes have mapped, and where to probe them. */
#ifndef HOPSCOPE_PROBE_TLS_MODULE_H
#define HOPSCOPE_PROBE_TLS_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/placement.h"
#include "probe/tls_libs.h"

#define TLS_MODULE_SITES 16

struct tls_site {
	const struct tls_function *what;
	enum tls_result result; /* of what is probed: not always that of the function */
	bool wide, inner;
	uint64_t vaddr, offset, size;
	struct placement at;
};

struct tls_module {
	struct tls_site sites[TLS_MODULE_SITES];
	size_t n;	     /* 0: it has no usable TLS library in it */
	const char *library; /* "OpenSSL" */
	bool is_go;
};

/* Reads the file behind fd. 0 or negative errno. */
int tls_module__read(struct tls_module *m, int fd);

#endif
