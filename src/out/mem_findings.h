/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `hopscope mem` found, in sentences: each is made of the values that it is about. */
#ifndef HOPSCOPE_OUT_MEM_FINDINGS_H
#define HOPSCOPE_OUT_MEM_FINDINGS_H

#include "model/memory.h"
#include "out/text.h"

/*
 * A line a finding, no wider than `width` (0: in full). `final`: the black box of each kill, too,
 * and why each container is not judged to be growing.
 */
void mem_findings__add(struct text *out, const struct memory_snapshot *s,
		       const struct memory_container **sorted, size_t width, bool final);

/* How tables call a container; printable. */
void mem_findings__add_name(struct text *out, const struct memory_container *c);
/* "45 s", "12 min", "3.4 h", "8.1 d"; "-" for NaN. */
void mem_findings__add_seconds(struct text *out, double s);
/* Slow growth is told by the hour, fast growth by the second. */
bool mem_findings__per_hour(double per_s);

#endif
