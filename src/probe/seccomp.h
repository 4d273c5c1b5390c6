/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes that return probes would kill. */
#ifndef HOPSCOPE_PROBE_SECCOMP_H
#define HOPSCOPE_PROBE_SECCOMP_H

#include <sys/types.h>

#include "probe/uprobes.h"

/* 1: the process has a seccomp filter; 0: none; -ESRCH. */
int seccomp__has_filter(pid_t pid);

/*
 * Linux 6.11 made the return from a probed function a system call, which a seccomp filter that does
 * not know it answers by killing (or failing, which ends the same way); commit cf6cb56ef244
 * exempted it. Tried on a child of ours, in which `attach` puts a return probe on what `call`
 * calls: versions tell nothing about kernels with backports. 1: they are killed; 0: they are not;
 * negative errno.
 */
typedef int (*seccomp_attach_fn)(void *ctx, struct uprobes *u, pid_t pid);
int seccomp__return_probes_kill(seccomp_attach_fn attach, void (*call)(void), void *ctx);

#endif
