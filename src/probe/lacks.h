/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a command needs of the kernel's BPF and this kernel does not have: tried, never by version.
 */
#ifndef HOPSCOPE_PROBE_LACKS_H
#define HOPSCOPE_PROBE_LACKS_H

#include <stdbool.h>
#include <stddef.h>

enum lacks_use {
	LACKS_WIRE = 1, /* trace, bench */
	LACKS_EVENTS,	/* mem: cgroups that come and go, OOM victims */
	LACKS_PAGES,	/* heap --pages */
	LACKS_ALLOCS,	/* heap --allocs */
};

/*
 * How many things are missing; *out names them with the kernel that has them first: "bpf_loop()
 * (Linux 5.17)". 0 where BPF may not be used at all: then nothing can be tried.
 */
size_t kernel__lacks(enum lacks_use use, char *out, size_t size);

/* Helper functions by their number in enum bpf_func_id. */
bool kernel__has_helper(int helper);

#endif
