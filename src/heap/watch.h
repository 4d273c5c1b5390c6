/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A watch over the memory of processes: either probe, its readings, profiles made of them. */
#ifndef HOPSCOPE_HEAP_WATCH_H
#define HOPSCOPE_HEAP_WATCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "heap/target.h"
#include "model/heap.h"

struct heap_watch_opts {
	enum heap_source source;
	bool exact;	       /* every allocation; every page */
	uint64_t sample_bytes; /* mean bytes between samples, when not exact; 0: the default */
	double budget;	       /* allocations: share of one core; 0: none */
	const char *binary;    /* where the allocator is; NULL: found by itself */
	const char *host_root;
	double seconds;	 /* 0: until a signal */
	double interval; /* 0: only at the end */
};

struct heap_watch;

/* 0, or negative errno after a message. */
int heap_watch__open(struct heap_watch **out, const struct heap_target *t,
		     const struct heap_watch_opts *o);
void heap_watch__close(struct heap_watch *w);

/*
 * Watches until the time is over, *stop is not 0, all processes ended or the budget is spent. `fn`
 * gets a profile every interval, and a last one (`final`) after the probes were detached, also when
 * an error that it or a reading returned ended the watch. 0 or negative errno after a message.
 */
typedef int (*heap_watch_fn)(void *ctx, struct heap_profile *p, bool final);
int heap_watch__run(struct heap_watch *w, const volatile sig_atomic_t *stop, heap_watch_fn fn,
		    void *ctx);

#endif
