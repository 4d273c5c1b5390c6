// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Any file as an ELF file with unwind tables; any bytes as a call frame program. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sym/cfi.h"
#include "sym/table.h"

#define MUST(cond)                                                                         \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

struct last {
	uint64_t loc, size;
	size_t n;
};

static int on_row(void *ctx, uint64_t loc, const struct unwind_row *row)
{
	struct last *l = ctx;

	MUST(loc < l->size && (!l->n || loc > l->loc));
	MUST(row->cfa <= UNWIND_DEREF_FP);
	l->loc = loc;
	l->n++;
	return 0;
}

static void as_program(const uint8_t *data, size_t size)
{
	struct cfi_cie cie = {.code_align = 1, .data_align = -8, .ra_reg = 16};
	struct last l = {.size = 1u << 31};
	uint8_t *copy;

	if (size < 2)
		return;
	cie.signal = data[0] & 1;
	cie.code_align = data[1] ? data[1] : 1;
	copy = malloc(size - 1);
	MUST(copy);
	memcpy(copy, data + 2, size - 2);
	if (cfi__begin(&cie, copy, copy + (size - 2) / 2))
		MUST(!cfi__run(&cie, l.size, copy + (size - 2) / 2, copy + size - 2, on_row, &l));
	free(copy);
}

static void as_file(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct unwind_table t;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	MUST(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	if (!unwind_table__read(fd, &t))
		for (size_t i = 1; i < t.n; i++)
			MUST(t.rows[i - 1].pc < t.rows[i].pc);
	else
		MUST(!t.rows && !t.n);
	unwind_table__free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_program(data, size);
	as_file(data, size);
	return 0;
}
