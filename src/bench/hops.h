/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Load that is followed hop by hop, in a phase of its own at the end of a run: what that costs is
 * in no other figure.
 *
 *	course__read_last()        the run's own probe has seen all that it is to see
 *	hop_phase__attach()        another one in its place
 *	  for each phase: warm up; reading, load, hop_phase__settle(), reading;
 *			  hop_phase__take() of the difference; hop_phase__put() into the session
 */
#ifndef HOPSCOPE_BENCH_HOPS_H
#define HOPSCOPE_BENCH_HOPS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/course.h"
#include "model/waterfall.h"

/* Whether there is a phase: the scenario wants it, there is a probe, and the run is whole. */
bool hop_phase__is_wanted(const struct course *c, double seconds);
/* false, after a message: this kernel does not take it, and there is no probe any more. */
bool hop_phase__attach(struct course *c, struct wire_opts *opts, int64_t timeout_ms);
/* So many calls last so long, at the rate at which they were answered without it. */
uint64_t hop_phase__calls(double rate, double seconds);
/* Before the reading: the last exchange's other sockets close a little later. */
void hop_phase__settle(void);
/*
 * The ways of the exchanges that the load began, which is what `complete` then counts; losses are
 * of all sockets. 0 or -ENOMEM.
 */
int hop_phase__take(struct waterfalls *ways, struct snapshot *delta, uint64_t load_cgroup);

#endif
