/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel counts of each loaded program. */
#ifndef HS_PROBE_PROGRAMS_H
#define HS_PROBE_PROGRAMS_H

struct bpf_object;
struct snapshot;

/*
 * Appends the loaded programs of the object to s->programs, as many as have room there.
 * runs and ns stay 0 while BPF statistics are off (bpf_enable_stats). missed is counted always,
 * since Linux 5.12: runs at tracepoints, uprobes and iterators that were left out because a program
 * was in the middle of a run on that processor (bpf_prog_info.recursion_misses).
 */
void programs__read(const struct bpf_object *obj, struct snapshot *s);

#endif
