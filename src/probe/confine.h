/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a command may still do once everything is attached. (probe/seccomp.h is about other
 * processes' filters.)
 */
#ifndef HOPSCOPE_PROBE_CONFINE_H
#define HOPSCOPE_PROBE_CONFINE_H

#include <stdbool.h>

#include "probe/privileges.h"

/*
 * For good: no new privileges; only the capabilities that `use` keeps; and a filter of system calls
 * in all threads, under which no program is started, no file is opened for writing, no socket is
 * made, and of bpf(2) there is what reads and fills maps that are open. Files that are written
 * later, and sockets, must be open before. Threads that were started before call privileges__drop()
 * themselves: capabilities are each thread's own.
 *
 * 0, or negative errno after a message. A kernel without seccomp filters is a warning.
 */
int confine__running(enum privilege_use use);

/* This kernel has seccomp filters. */
bool confine__has_filters(void);

/* For a command that starts programs: they get no capability from us, and no new privileges. */
int confine__children(void);

#endif
