/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Capabilities: which a command needs, which are of use to it, which it keeps while it runs. */
#ifndef HOPSCOPE_PROBE_PRIVILEGES_H
#define HOPSCOPE_PROBE_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/* What is done with them. docs/privileges.md has the same table for people. */
enum privilege_use {
	PRIVILEGES_TRACE = 0, /* all that opens the wire probe: trace, hops */
	PRIVILEGES_TLS = 1,   /* the same with probes in TLS libraries */
	PRIVILEGES_MEM = 2,
	PRIVILEGES_PAGES = 3,
	PRIVILEGES_ALLOCS = 4,
	PRIVILEGES_BENCH = 5,
	PRIVILEGES_USES
};

struct privilege {
	int cap;
	const char *name;
	const char *why;
	const char
		*without; /* what is lost where it is of use and not held; NULL: nothing to say */
	/* Bits 1 << enum privilege_use. */
	unsigned int required;
	unsigned int useful;
	unsigned int kept; /* while it runs, once everything is attached */
	bool admin;	   /* CAP_SYS_ADMIN includes it (and was all there was before Linux 5.8) */
};

extern const struct privilege privileges[];
extern const size_t privileges_n;

/* "trace", "trace --tls", "mem", ...: for messages. */
const char *privilege_use__name(enum privilege_use use);

/* Is it in this thread's effective set? */
bool privilege__held(int cap);
/* The same, CAP_SYS_ADMIN counting for those that it includes. */
bool privilege__granted(const struct privilege *p);

/*
 * 0, or -EPERM after naming what is missing (log_fail). What is of use and not held is a warning,
 * and 0.
 */
int privileges__check(enum privilege_use use);
/* Without a message; the names of what is missing, "" if nothing is. */
bool privileges__suffice(enum privilege_use use, char *missing, size_t size);

/*
 * Gives up, in this thread, for good, all capabilities but those that `use` keeps while it runs.
 * Nothing is left to be inherited by a program. 0 or negative errno.
 */
int privileges__drop(enum privilege_use use);

/* No capability is inherited by programs that this process starts. 0 or negative errno. */
int privileges__keep_from_children(void);

/* Kernel lockdown: "none", "integrity", "confidentiality", or "unknown". Static memory. */
const char *lockdown__mode(void);

#endif
