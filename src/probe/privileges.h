/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef HOPSCOPE_PROBE_PRIVILEGES_H
#define HOPSCOPE_PROBE_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/* Capabilities the wire probe needs, in the order they are asked for. */
struct privilege {
	int cap;
	const char *name;
	const char *why;
};

extern const struct privilege privileges_wire[];
extern const size_t privileges_wire_n;

/* Is it in this process's effective set? */
bool privilege__held(int cap);

/* 0, or -EPERM after naming what is missing (log_fail). */
int privileges__check_wire(void);

/* Kernel lockdown: "none", "integrity", "confidentiality", or "unknown". Static memory. */
const char *lockdown__mode(void);

#endif
