/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flame graphs: one file, nothing loaded from anywhere, the same bytes for the same profile. The
 * outermost frame is on top; width is bytes. Script and style: flame.js, flame.css.
 */
#ifndef HOPSCOPE_OUT_FLAME_H
#define HOPSCOPE_OUT_FLAME_H

#include <stdbool.h>
#include <stdio.h>

#include "model/heap.h"

struct flame_opts {
	bool grown; /* width is what grew (red) or shrank (blue), instead of what is held */
	bool html;  /* a page around the SVG */
};

/* Flushes. 0, -ENOMEM or -EIO. */
int flame__print(FILE *out, const struct heap_profile *p, const struct flame_opts *opts);

#endif
