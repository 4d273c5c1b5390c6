/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two cgroup_skb programs that do nothing: what the hooks themselves cost. */
#ifndef HOPSCOPE_BENCH_EMPTY_H
#define HOPSCOPE_BENCH_EMPTY_H

#include <stdint.h>

struct empty {
	int prog[2];
	int link[2];
};

/* Loads them. Negative errno. */
int empty__open(struct empty *e);
int empty__attach(struct empty *e);
void empty__detach(struct empty *e);
void empty__close(struct empty *e);
/* Runs and their time while kernel BPF statistics were on, both programs together. */
void empty__cost(const struct empty *e, uint64_t *runs, uint64_t *ns);

#endif
