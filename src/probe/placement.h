/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where in a function a probe is cheap. The kernel carries out some instructions itself when a
 * probe stands on them; all others it has to single-step out of line, which costs ten times as
 * much. A few instructions into a function its arguments are still where they were.
 */
#ifndef HOPSCOPE_PROBE_PLACEMENT_H
#define HOPSCOPE_PROBE_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct placement {
	uint32_t offset;      /* from the function's entry */
	uint32_t pushed;      /* bytes: the return address is at sp + pushed */
	bool emulated;	      /* by the kernel; else the probe is at the entry */
	char instruction[16]; /* "push", for people */
};

/*
 * code: the function, size bytes of it from its entry at `address`. The first n_args arguments have
 * to be in their registers there; at_return: a return probe is wanted as well, which replaces what
 * is at sp, so that must be the return address. Never fails: the entry is always right.
 */
void placement__find(const uint8_t *code, size_t size, uint64_t address, unsigned int n_args,
		     bool at_return, struct placement *p);

/* May it end by a jump to another function? Yes, unless its code is known to say no. */
bool placement__jumps_out(const uint8_t *code, size_t size, uint64_t address);

/*
 * Where a function goes before it does anything else of note: the target of its first call or jump,
 * if that comes before any return. *jumps: the function is nothing but that jump. 0: nowhere.
 */
uint64_t placement__passes_to(const uint8_t *code, size_t size, uint64_t address, bool *jumps);

#endif
