/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * pprof's format, gzipped: `go tool pprof`, speedscope, Pyroscope read it. Sample types:
 * alloc_objects, alloc_space, inuse_objects, inuse_space, grown_objects, grown_space; each sample
 * has the labels pid and comm.
 */
#ifndef HOPSCOPE_OUT_PPROF_H
#define HOPSCOPE_OUT_PPROF_H

#include <stdbool.h>
#include <stdio.h>

#include "model/heap.h"

/* `grown`: grown_space is what a viewer shows first, not inuse_space. Flushes. 0, -ENOMEM or -EIO.
 */
int pprof__print(FILE *out, const struct heap_profile *p, bool grown);

#endif
