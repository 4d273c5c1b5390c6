/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of addresses in the processes that are watched, kept beyond their end. */
#ifndef HOPSCOPE_HEAP_NAMES_H
#define HOPSCOPE_HEAP_NAMES_H

#include <sys/types.h>

#include "model/heap.h"

struct heap_names;

/* NULL: out of memory. */
struct heap_names *heap_names__open(void);
void heap_names__close(struct heap_names *n);

/* Takes a process in (0; -ESRCH: too late), or looks what it mapped since. */
int heap_names__learn(struct heap_names *n, pid_t pid);
/* The processes of a reading, and those taken in before. */
void heap_names__refresh(struct heap_names *n, const struct heap_reading *r);

/* For heap_profile__make(). */
struct heap_namer heap_names__namer(struct heap_names *n);
/* Why names are missing, as notes of the profile. */
void heap_names__note(const struct heap_names *n, struct heap_profile *p);

#endif
