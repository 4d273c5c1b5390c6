/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The commands that are told by name. A word that is none of them may be a password sent to the
 * wrong prompt: it never leaves the kernel, its route is "?".
 */
#ifndef HOPSCOPE_PROBE_REDIS_NAMES_H
#define HOPSCOPE_PROBE_REDIS_NAMES_H

/* Puts "GET", "CONFIG GET" ... into the map `redis_names` (bpf/redis.bpf.h). 0 or negative errno.
 */
int redis_names__fill(int map_fd);

#endif
