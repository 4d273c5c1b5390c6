/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Any bytes as Go's function table: nothing is read beyond them, what is found holds the address.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sym/gopclntab.h"

#define MUST(cond)                                                                         \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

static void look(const struct gopclntab *g, uint64_t pc)
{
	struct gopclntab_func f;

	if (!gopclntab__find(g, pc, &f))
		return;
	MUST(pc >= f.entry && pc < f.end);
	MUST(f.name[0] && strlen(f.name) < sizeof(f.name) && strlen(f.file) < sizeof(f.file));
	MUST(!f.line == !f.file[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t magic[4][8] = {
		{0xfb, 0xff, 0xff, 0xff, 0, 0, 1, 8},
		{0xfa, 0xff, 0xff, 0xff, 0, 0, 1, 8},
		{0xf0, 0xff, 0xff, 0xff, 0, 0, 4, 4},
		{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8},
	};
	struct gopclntab_source src = {.size = size};
	struct gopclntab g;
	uint8_t *copy;

	if (size < 9)
		return 0;
	/* of its own size: a read beyond it is seen. The first byte chooses a good beginning. */
	copy = malloc(size - 1);
	MUST(copy);
	memcpy(copy, data + 1, size - 1);
	if (data[0] < 4)
		memcpy(copy, magic[data[0]], 8);
	src.mem = copy;
	src.size = size - 1;
	if (!gopclntab__open(&g, &src)) {
		look(&g, g.text);
		for (uint64_t pc = 1; pc; pc *= 3) {
			look(&g, g.text + pc);
			if (pc > UINT64_MAX / 3)
				break;
		}
	}
	free(copy);
	return 0;
}
