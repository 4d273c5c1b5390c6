/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process that we start, inside a cgroup, and end. It dies with us: SIGKILL of this process too
 * leaves none of them (PR_SET_PDEATHSIG).
 */
#ifndef HOPSCOPE_STACK_CHILD_H
#define HOPSCOPE_STACK_CHILD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "stack/cgroup.h"
#include "stack/netns.h"

#define CHILD_NAME_LEN 48

struct child {
	char name[CHILD_NAME_LEN];
	char log[PATH_MAX]; /* its stderr */
	pid_t pid;	    /* 0: not started, or stopped */
	pid_t started;	    /* its pid, kept for reports */
	int pidfd;
	int in;	       /* pipe to its stdin, -1: none */
	int out;       /* pipe from its stdout, -1: none */
	bool dead;     /* reaped */
	bool stopping; /* we asked it to end */
	int code;      /* CLD_EXITED, CLD_KILLED ... once dead */
	int status;    /* exit status or signal once dead */
};

struct child_spec {
	const char *name;
	char *const *argv;
	const char *log; /* stderr, and stdout where there are no pipes */
	const struct cgroup *cgroup;
	bool pipes;		   /* stdin and stdout are ours; else /dev/null and the log */
	const struct netns *netns; /* the network namespace it is in; NULL: ours */
};

/* 0 or negative errno after log_fail(): program missing, cgroup refused. */
int child__start(struct child *c, const struct child_spec *spec);
/* Whether it has ended; reaps it then. Never blocks. */
bool child__ended(struct child *c);
/*
 * SIGTERM to all that live, at most grace_ms, SIGKILL, at most 2 s. Accepts what never started.
 * impatient_fd (-1: none) becoming readable, a second Ctrl-C, cuts the grace short.
 */
void child__stop_all(struct child **children, size_t n, unsigned int grace_ms, int impatient_fd);
/* "exit status 1", "signal 9 (Killed)". Returns buf. */
const char *child__how_it_ended(const struct child *c, char *buf, size_t size);

#endif
