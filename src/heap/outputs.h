/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The files that `hopscope heap` writes. */
#ifndef HOPSCOPE_HEAP_OUTPUTS_H
#define HOPSCOPE_HEAP_OUTPUTS_H

#include <stdbool.h>
#include <stdio.h>

#include "model/heap.h"
#include "out/output.h"

enum heap_output { HEAP_FOLDED, HEAP_FLAME, HEAP_PPROF, HEAP_RECORD, HEAP_OUTPUTS };

struct heap_outputs {
	struct output out[HEAP_OUTPUTS];
	bool grown;
};

/* Opens all of them, by output__open(). 0 or negative errno after a message. */
int heap_outputs__open(struct heap_outputs *o);
/* The record gets each profile, the others the final one; one that fails stops no other. 0 or
 * negative errno after a message. */
int heap_outputs__write(struct heap_outputs *o, const struct heap_profile *p, bool final);
/* 0 or negative errno after a message. */
int heap_outputs__close(struct heap_outputs *o);
/* One of them is standard output. */
bool heap_outputs__to_stdout(const struct heap_outputs *o);

#endif
