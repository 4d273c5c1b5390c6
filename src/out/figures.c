/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "out/figures.h"

static const struct figure *const lists[] = {pf_figures, hop_figures};

const struct figure *figure__at(size_t i)
{
	for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++)
		for (const struct figure *f = lists[k]; f->file; f++)
			if (!i--)
				return f;
	return NULL;
}

const struct figure *figure__find(const char *file)
{
	const struct figure *f;

	for (size_t i = 0; (f = figure__at(i)); i++)
		if (!strcmp(f->file, file))
			return f;
	return NULL;
}
