/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of heap profiles that nobody vouches for: read, compared and drawn in every form. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "out/flame.h"
#include "out/folded.h"
#include "out/heap_json.h"
#include "out/heap_table.h"
#include "out/pprof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static FILE *nowhere;

static void draw(const struct heap_profile *p, bool grown)
{
	struct flame_opts flame = {.grown = grown, .html = grown};
	struct heap_table_opts table = {.width = grown ? 80 : 0, .grown = grown};

	if (flame__print(nowhere, p, &flame) || folded__print(nowhere, p, grown) ||
	    pprof__print(nowhere, p, grown) || heap_table__print(nowhere, p, &table))
		abort();
}

/* What was written reads back as the same. */
static void again(const struct heap_profile *p)
{
	char *one = NULL, *two = NULL, err[256];
	size_t len_one, len_two;
	struct heap_profile back;
	FILE *f = open_memstream(&one, &len_one);

	if (heap_json__print(f, p, true))
		abort();
	fclose(f);
	f = fmemopen(one, len_one, "r");
	if (heap_json__read(f, 0, &back, err, sizeof(err)))
		abort();
	fclose(f);
	f = open_memstream(&two, &len_two);
	if (heap_json__print(f, &back, true) || back.n_sites != p->n_sites)
		abort();
	fclose(f);
	heap_profile__free(&back);
	free(one);
	free(two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct heap_profile p, d;
	char err[256];
	FILE *in;

	nowhere = nowhere ? nowhere : fopen("/dev/null", "we");
	in = len ? fmemopen((void *)data, len, "r") : NULL;
	if (!in || !nowhere)
		return 0;
	if (!heap_json__read(in, 0, &p, err, sizeof(err))) {
		draw(&p, false);
		again(&p);
		if (heap_profile__diff(&d, &p, &p))
			abort();
		draw(&d, true);
		heap_profile__free(&d);
		heap_profile__free(&p);
	}
	fclose(in);
	return 0;
}
