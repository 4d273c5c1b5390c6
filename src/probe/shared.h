/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One BPF object on the maps of another: programs that are loaded later count in the same series,
 * lanes and routes. What is shared are maps of one name, the variables of the section
 * ".data.shared", and the values of constants of one name. Other variables are each object's own.
 */
#ifndef HOPSCOPE_PROBE_SHARED_H
#define HOPSCOPE_PROBE_SHARED_H

#include <bpf/libbpf.h>

/* Before `to` is loaded; `from` is. 0 or negative errno after a message. */
int shared__use(struct bpf_object *to, const struct bpf_object *from);

#endif
