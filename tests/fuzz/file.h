/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For targets whose code reads files: the input under a path; messages to nowhere. */
#ifndef HOPSCOPE_TESTS_FUZZ_FILE_H
#define HOPSCOPE_TESTS_FUZZ_FILE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(cond)                                                                    \
	do {                                                                          \
		if (!(cond)) {                                                        \
			dprintf(2, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                      \
		}                                                                     \
	} while (0)

/* Rejections are told at length; the fuzzer's own stream is another one. */
static inline FILE *fuzz__nowhere(void)
{
	static FILE *nowhere;

	if (!nowhere) {
		nowhere = fopen("/dev/null", "we");
		MUST(nowhere);
		stderr = nowhere;
	}
	return nowhere;
}

/* A path under which the input is read; the same one each time. */
static inline const char *fuzz__file(const uint8_t *data, size_t len)
{
	static char path[64];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("input", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	MUST(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, len, 0) == (ssize_t)len);
	return path;
}

#endif
