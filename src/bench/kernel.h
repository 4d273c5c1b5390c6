/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's view of one round: what the load workers asked and were answered, at their sockets.
 */
#ifndef HOPSCOPE_BENCH_KERNEL_H
#define HOPSCOPE_BENCH_KERNEL_H

#include "bench/bench.h"

struct kernel_round {
	struct snapshot before;
	bool open; /* `before` is held */
};

/* Before the load of a round. No probe: does nothing. */
void kernel__begin(struct bench *b, struct phase *p, struct kernel_round *k);
/*
 * After it. Adds the answered exchanges on routes that begin with `prefix` to the phase, and
 * invalidates the phase unless their number is at least `least` (answers that the client took) and
 * at most `most` (plus those for which it did not wait).
 */
void kernel__end(struct bench *b, struct phase *p, struct kernel_round *k, const char *prefix,
		 uint64_t least, uint64_t most);
/* The round is not counted. */
void kernel__drop(struct kernel_round *k);

#endif
