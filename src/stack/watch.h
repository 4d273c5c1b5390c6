/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one place where bench waits. Whatever it waits for, a child that dies and Ctrl-C are noticed
 * at once.
 */
#ifndef HOPSCOPE_STACK_WATCH_H
#define HOPSCOPE_STACK_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/child.h"

#define WATCH_MAX 160

/* Told once for each child that ended without being asked, after the message was printed: from
 * watch__tell() on. */
typedef void (*watch_death_fn)(void *ctx, struct child *c);

/*
 * Called once, when a wait meets or passes next_ns, which is 0 then: it sets the next. It may wait
 * itself.
 */
typedef void (*watch_time_fn)(void *ctx);

struct watch {
	int signals; /* signalfd of SIGINT, SIGTERM, SIGHUP */
	unsigned int interrupts;
	int signal;	  /* the last one */
	const char *when; /* for messages: "while the stack started" */
	struct child *children[WATCH_MAX];
	size_t n_children;
	struct child *ended[WATCH_MAX]; /* before there was anybody to tell */
	size_t n_ended;
	watch_death_fn on_death;
	void *ctx;
	uint64_t next_ns; /* when on_time is due; 0: never */
	watch_time_fn on_time;
};

/* Blocks the signals from now on. ctx is for on_death and on_time. 0 or negative errno. */
int watch__init(struct watch *w, void *ctx);
/*
 * From now on, and of those that ended before and were not forgotten: a child that is started
 * again, as somebody else had taken its port, is none of them.
 */
void watch__tell(struct watch *w, watch_death_fn on_death);
void watch__close(struct watch *w);
/* The child must stay where it is until watch__forget() or watch__close(). */
int watch__add(struct watch *w, struct child *c);
void watch__forget(struct watch *w, const struct child *c);

/*
 * Waits until fd is readable (-1: only for time to pass): 1. 0: the deadline has passed. -EINTR: a
 * signal asked us to end; so do all further calls. A child that dies does not end the wait unless
 * it is `needed`: -ECHILD.
 */
int watch__wait(struct watch *w, int fd, uint64_t deadline_ns, const struct child *needed);
/* Looks without waiting. 0 or -EINTR. */
int watch__poll(struct watch *w);

#endif
