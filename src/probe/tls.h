/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The plaintext of TLS connections, for the wire probe: uprobes on the functions that read and
 * write it (src/probe/tls_libs.c). What they see is framed and counted as a plain socket's bytes,
 * in the wire probe's own maps. Attached to the processes that the wire probe's filters name, or to
 * all that have the library mapped; those that begin later are found by tls__notice().
 */
#ifndef HOPSCOPE_PROBE_TLS_H
#define HOPSCOPE_PROBE_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "model/snapshot.h"
#include "probe/wire.h"
#include "probe/wire_names.h"

struct tls;
struct bpf_object;

/*
 * `wire`: the wire probe's object, loaded. The options and names must stay. 0, or negative errno
 * after a message.
 */
int tls__open(struct tls **out, const struct wire_opts *opts, struct wire_names *names,
	      const struct bpf_object *wire);
/* May alternate, as the wire probe's. 0 or negative errno after a message. */
int tls__attach(struct tls *t);
void tls__detach(struct tls *t);
void tls__close(struct tls *t); /* accepts NULL */

/*
 * Looks for processes that began, and for libraries mapped since: cheap when there are none. Where
 * filters say which processes are wanted, one that begins is not seen before this is called.
 */
void tls__notice(struct tls *t);
/* Gives up exchanges that are older than the timeout. 0 or negative errno. */
int tls__sweep(struct tls *t);
/* Adds programs and counters to a reading. */
void tls__read(struct tls *t, struct snapshot *s);

/* How functions are probed here, and in which files now: one line for doctor. */
void tls__found(const struct tls *t, char *buf, size_t size);

#endif
