/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Folded stacks, as flamegraph.pl and speedscope read them: "outermost;...;innermost BYTES", equal
 * lines added up, sorted. What a name holds of ';', line ends or other unprintable bytes is \xNN.
 */
#ifndef HOPSCOPE_OUT_FOLDED_H
#define HOPSCOPE_OUT_FOLDED_H

#include <stdbool.h>
#include <stdio.h>

#include "model/heap.h"
#include "out/text.h"

/*
 * `grown`: two numbers a line, the bytes before and now (flamegraph.pl draws them red and blue).
 * Flushes. 0, -ENOMEM or -EIO.
 */
int folded__print(FILE *out, const struct heap_profile *p, bool grown);

/*
 * How folded stacks and flame graphs call a frame, printable: the function; "[unknown] libfoo.so".
 */
void folded__frame_name(struct text *t, const struct heap_frame *f);
/*
 * Frames that are not in the stack but go before it: "comm[pid]" when the profile is of several
 * processes, and what is wrong with the stack ("[stack cut off]"). At most 2; NULL ends them.
 */
void folded__roots(const struct heap_site *s, bool processes, char names[2][64],
		   const char *roots[3]);

#endif
